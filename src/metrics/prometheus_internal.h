/* What the files of the span metrics share: prometheus.c counts, the others write what was counted, each in its form.
 */
#ifndef METRICS_PROMETHEUS_INTERNAL_H
#define METRICS_PROMETHEUS_INTERNAL_H

#include "metrics/prometheus.h"
#include "metrics/series.h"

#include <pthread.h>

enum { RECENT = 4096 }; /* traces remembered to tell a fallback, each side */

/* The last RECENT traces, by a slot of their id: a newer one takes an older one's place. */
struct recent {
    uint8_t ids[RECENT][TRACE_ID_SIZE];
};

struct prometheus {
    pthread_mutex_t lock; /* guards all below */
    struct series_table table;
    struct recent failed_calls; /* traces with a failed LLM call */
    struct recent good_turns;   /* traces whose turn succeeded before a failed call of theirs was seen */
};

#endif
