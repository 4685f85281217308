/* Forwarding: what comes in goes onward to other systems, too, by way of a queue on disk, so that a target that is away
 * for a while gets everything later, also after a restart.
 *
 * A target is told as KIND=WHERE[|header: value]…; ${NAME} in a header is taken from the environment, so that no secret
 * stands on a command line: otlp=https://collector:4318|authorization: Bearer ${TOKEN}   OTLP/HTTP, protobuf (also
 * Honeycomb: |x-honeycomb-team: ${HONEYCOMB_API_KEY}) datadog=datadoghq.eu       log API; key in DD_API_KEY (a site, or
 * a whole URL) newrelic=eu                log API; key in NEW_RELIC_API_KEY    (us, eu, or a whole URL)
 *
 * Two threads a target: one writes batches into the queue, one sends. What waits in memory for the first (a second's
 * worth) is lost for the target, not for the store, when the process is killed. */
#ifndef FORWARD_FORWARD_H
#define FORWARD_FORWARD_H

#include "base/error.h"
#include "span/batch.h"

enum { FORWARDS_MAX = 8 };

struct forward; /* opaque */

struct forward_stats {
    char name[64];                            /* that of its queue: "otlp-1", "datadog-2" */
    uint64_t spans_queued;                    /* written to the queue since the start */
    uint64_t requests_sent, requests_refused; /* refused: the target will never take them */
    uint64_t spans_dropped;                   /* refused by the target, or neither memory nor the queue had room */
    uint64_t queue_bytes, queue_files;
};

/* `spool_dir` is made when missing; its files are sent first. `limit_bytes` of the queue, 0 = 1 GiB: past it the oldest
 * are dropped and counted. VT_EINVAL names what of the text has no meaning; keys are never part of a message. */
int forward_open(struct forward **forward, const char *target, const char *spool_dir, uint64_t limit_bytes,
                 struct error *err);
/* Any thread; takes a reference on the batch and returns at once. */
void forward_put(struct forward *forward, struct batch *batch);
/* Writes what waits into the queue, ends the threads. NULL is fine. */
void forward_close(struct forward *forward);
void forward_get_stats(struct forward *forward, struct forward_stats *stats);

#endif
