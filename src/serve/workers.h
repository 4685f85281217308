/* Threads for work that may take long or wait for a disk (queries, keys, deletions), so that no loop ever does. The
 * queue is bounded: who finds it full is told to come again. */
#ifndef SERVE_WORKERS_H
#define SERVE_WORKERS_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct workers; /* opaque; any thread may call */

struct workers_job { /* part of the caller's own struct, which must live until `run` has returned */
    void (*run)(struct workers_job *job);
    struct workers_job *next; /* the pool's own */
};

struct workers_stats {
    unsigned threads, busy, waiting, queue_max;
    uint64_t done, refused;
};

/* `name` is what the threads are called, at most 15 characters; it must outlive them. */
int workers_start(struct workers **workers, const char *name, unsigned threads, unsigned queue_max, struct error *err);
/* False when the queue is full. Jobs start in the order in which they came. */
bool workers_add(struct workers *workers, struct workers_job *job);
void workers_get_stats(struct workers *workers, struct workers_stats *stats);
/* Runs what waits, then ends the threads. NULL is fine. */
void workers_stop(struct workers *workers);

#endif
