/* The metrics that Vitrine derives from spans, by their short names: <service with - as _>.llm.duration and so on.
 * One table for monitors, dashboards, StatsD names and the page. */
#ifndef ALERT_METRIC_H
#define ALERT_METRIC_H

#include "base/slice.h"

struct metric {
    const char *name;  /* behind the service: "llm.duration" */
    const char *unit;  /* "millisecond", "token", "dollar", "request", … */
    const char *where; /* which spans, in the filter language */
    const char *value; /* what of each span, as in `select` of /api/v1/query; NULL: each span counts 1 */
    bool additive;     /* nothing in a window is a known 0 (counts, tokens, cost), not "no data" (durations) */
};

extern const struct metric metrics[];
extern const uint32_t metric_count;
const struct metric *metric_named(struct slice name); /* NULL when there is none */

#endif
