/* Reading moments and spans of time. */
#include "query/when.h"

#include "base/timestamp.h"

#include <math.h>
#include <stdlib.h>

bool number_parse(struct slice text, double *value) {
    char copy[64], *end;
    if (!text.len || text.len >= sizeof copy) return false;
    for (size_t i = 0; i < text.len; i++)
        if (!strchr("0123456789+-.eE", text.ptr[i]) || !text.ptr[i]) return false; /* no hex, no "inf" */
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    *value = strtod(copy, &end);
    return *end == 0 && isfinite(*value);
}

bool duration_parse(struct slice text, int64_t bare_ns, int64_t *ns) {
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"ns", 1},   {"us", 1e3},   {"\xc2\xb5s", 1e3}, {"ms", 1e6},    {"s", 1e9},
                 {"m", 60e9}, {"min", 60e9}, {"h", 3600e9},      {"d", 86400e9}, {"w", 604800e9}};
    size_t digits = 0;
    double value, scale = (double)bare_ns;
    while (digits < text.len && ((text.ptr[digits] >= '0' && text.ptr[digits] <= '9') || text.ptr[digits] == '.'))
        digits++;
    struct slice unit = slice_from(text, digits);
    if (!number_parse(slice_make(text.ptr, digits), &value)) return false;
    if (unit.len) {
        size_t i = 0, count = sizeof units / sizeof *units;
        while (i < count && !slice_is(unit, units[i].unit)) i++;
        if (i == count) return false;
        scale = units[i].ns;
    }
    value *= scale;
    if (value > 9e18) return false;
    *ns = (int64_t)llround(value);
    return true;
}

bool when_parse(struct slice text, int64_t now_ns, int64_t *ns) {
    int64_t away;
    double ms;
    if (slice_is(text, "now")) {
        *ns = now_ns;
        return true;
    }
    if (slice_starts(text, SLICE("now-"))) text = slice_from(text, 3);
    if (text.len > 1 && text.ptr[0] == '-') {
        struct slice rest = slice_from(text, 1);
        bool has_unit = rest.ptr[rest.len - 1] > '9';
        if (!has_unit || !duration_parse(rest, 0, &away)) return false;
        *ns = now_ns - away;
        return away <= now_ns;
    }
    if (time_parse(text, ns)) return true;
    if (!number_parse(text, &ms) || ms < 0 || ms > 9.2e12) return false;
    *ns = llround(ms * 1e6);
    if (ms == floor(ms)) *ns = (int64_t)ms * NS_PER_MS;
    return true;
}
