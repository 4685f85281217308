/* Moments and spans of time as people write them in parameters and filters. */
#ifndef QUERY_WHEN_H
#define QUERY_WHEN_H

#include "base/slice.h"

/* Unix milliseconds ("1795460391722"), ISO 8601, "now", or relative to now: "-1h", "now-7d". Units: ms s m h d w. */
bool when_parse(struct slice text, int64_t now_ns, int64_t *ns);
/* "1500ms", "2s", "1.5m", "3h", "1d", "1w", also ns and us; a bare number is in `bare_ns` units. Not negative. */
bool duration_parse(struct slice text, int64_t bare_ns, int64_t *ns);
/* A decimal number that takes up the whole text. */
bool number_parse(struct slice text, double *value);

#endif
