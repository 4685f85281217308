/* See value.h. */
#include "span/value.h"

#include "span/span.h"

#include <math.h>
#include <stdlib.h>

bool value_is_empty(const struct value *value) {
    return value->type == VALUE_NONE ||
           ((value->type == VALUE_STRING || value->type == VALUE_JSON) && !value->text.len);
}

bool number_of_text(struct slice text, double *number) {
    char digits[48], *end;
    if (!text.len || text.len >= sizeof digits) return false;
    memcpy(digits, text.ptr, text.len);
    digits[text.len] = 0;
    *number = strtod(digits, &end);
    return end == digits + text.len && isfinite(*number);
}

double value_double(const struct value *value) {
    double number;
    if (!value) return (double)NAN;
    if (value->type == VALUE_INT) return (double)value->integer;
    if (value->type == VALUE_DOUBLE) return isfinite(value->real) ? value->real : (double)NAN;
    if ((value->type == VALUE_STRING || value->type == VALUE_JSON) && number_of_text(value->text, &number))
        return number;
    return (double)NAN;
}

int64_t value_int(const struct value *value) {
    if (value && value->type == VALUE_INT) return value->integer;
    double number = value_double(value);
    return isnan(number) || fabs(number) > 9e15 ? SPAN_NO_INT : (int64_t)llround(number);
}

struct slice value_text(struct arena *arena, const struct value *value) {
    if (!value) return (struct slice){NULL, 0};
    switch (value->type) {
    case VALUE_STRING:
    case VALUE_JSON: return arena_copy(arena, value->text);
    case VALUE_INT: return arena_printf(arena, "%lld", (long long)value->integer);
    case VALUE_DOUBLE: return arena_printf(arena, "%.15g", value->real);
    case VALUE_BOOL: return value->integer ? SLICE("true") : SLICE("false");
    case VALUE_NONE: break;
    }
    return (struct slice){NULL, 0};
}
