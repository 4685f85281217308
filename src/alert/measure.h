/* What a monitor reads: the value of its query at a time, for each of its groups, asked from the query engine. */
#ifndef ALERT_MEASURE_H
#define ALERT_MEASURE_H

#include "alert/monitor.h"
#include "query/api.h"

/* Whom monitors ask: the engine of this process, or a server elsewhere. `call` is as api_call; any thread. */
struct asker {
    int (*call)(void *ctx, const struct api_request *request, struct buf *out, struct error *err);
    void *ctx;
};
struct asker asker_of_engine(struct engine *engine);

enum { READINGS_MAX = 1000 }; /* groups of a monitor: the largest, or the smallest where less is worse */

struct reading {
    struct slice group; /* "model:gpt-4o,…" in the order of by {…}; empty without groups */
    double value;       /* NaN: nothing in the window tells */
};

/* How a query is read here:
 * - The window is [now − window, now).
 * - avg of avg, sum of sum or count, min of min, max of max are taken over all spans of the window, exactly; other
 * pairs go over points of a minute (of ten seconds in windows under five minutes), as Datadog does over its points.
 * - Of counts, tokens and cost an empty window is 0, of durations it is unknown. With notify_no_data an empty window is
 * unknown for counts too when the service sent nothing at all in it.
 * - .as_rate() is the sum divided by the window's seconds, .as_count() the sum.
 * Readings live in the arena, at most the 1,000 largest groups. Groups that are known from before but missing now are
 * the caller's.
 *
 * `memory` (NULL = none) makes windows of two hours and more cheap to read again and again: they are cut into blocks of
 * a twenty-fourth of their length whose values are remembered. The newest block and the one before are asked for each
 * time, and one of the others by turns, so what comes later than a block is long counts after 23 evaluations at most.
 */
struct monitor_memory;
struct monitor_memory *monitor_memory_new(void); /* of one monitor; NULL without memory. One thread */
void monitor_memory_free(struct monitor_memory *memory);
int monitor_measure(const struct asker *asker, const struct monitor *monitor, struct monitor_memory *memory,
                    int64_t now_ns, struct arena *arena, struct reading **readings, uint32_t *count, struct error *err);
/* The filter, in the filter language, of the spans that the query is about. */
void monitor_where(const struct monitor_query *query, struct buf *out);

#endif
