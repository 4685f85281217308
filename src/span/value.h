/* What a sender's value says, whatever type it came in: numbers as text are met as often as text as numbers. NULL is no
 * value. Any thread. */
#ifndef SPAN_VALUE_H
#define SPAN_VALUE_H

#include "base/arena.h"
#include "span/raw.h"

bool value_is_empty(const struct value *value);
/* A finite number that takes up the whole text. */
bool number_of_text(struct slice text, double *number);
double value_double(const struct value *value); /* NaN when it is none */
int64_t value_int(const struct value *value);   /* SPAN_NO_INT when it is none; rounded */
/* As text in the arena; empty for what is none. */
struct slice value_text(struct arena *arena, const struct value *value);
/* Text or JSON where it lies; empty for everything else. */
static inline struct slice value_borrow(const struct value *value) {
    return value && (value->type == VALUE_STRING || value->type == VALUE_JSON) ? value->text : (struct slice){NULL, 0};
}

#endif
