/* The way from the threads that trace to the one that exports: a chain of blocks for each thread, written at its end by
 * its owner and read from its front by the exporter, without a lock. Together the chains hold at most so many spans
 * (threads draw the right to add some in small lots) and so many bytes (of blocks). */
#ifndef SDK_QUEUE_H
#define SDK_QUEUE_H

#include "sdk/record.h"

#include <stdatomic.h>

enum { QUEUE_BLOCK_BYTES = 32 * 1024 };

struct block {
    _Atomic(struct block *) next; /* set when the owner writes here no more */
    _Atomic uint32_t written;     /* bytes of data that are whole records */
    uint32_t capacity;
    uint32_t read; /* the exporter's */
    uint32_t reserved;
    char data[];
};

/* One thread's chain. The owner touches `last` and `lot`, the exporter `first`. */
struct queue {
    _Atomic(struct block *) first; /* set once by the owner, then the exporter's; NULL: nothing was ever written */
    struct block *last;
    uint32_t lot; /* spans that may still be added without asking */
};

/* Owner: adds a span. False: full, or no memory. *wake becomes true when the exporter should be told. */
bool queue_push(struct queue *queue, const struct record *record, const char *data, bool *wake);
/* Exporter: the next record of the chain, which stays valid until queue_release; NULL when there is none for now.
 * Blocks that have been read to their end are put on *spent. */
const struct record *queue_next(struct queue *queue, struct block **spent);
/* Exporter: the spans and blocks may be used again. */
void queue_release(struct block *spent, uint32_t spans);
/* Owner, at its end: rights that it drew and will not use go back, so that threads that live for a few spans do not eat
 * up the limit. */
void queue_return_lot(struct queue *queue);
/* Frees a chain whose owner is gone, with what is left in it. Returns how many spans that was. */
uint32_t queue_drop(struct queue *queue);

/* Sets the limits; spans that wait keep their place. */
void queue_limits(uint32_t spans, uint32_t wake_spans);
uint32_t queue_size(void); /* the limit in spans */
/* The exporter is about to look: pushes may wake it again. */
void queue_looked(void);
uint64_t queue_bytes(void);
void queue_trim(void); /* frees blocks that nobody uses */
/* Around fork; in the child all that waits is forgotten: the caller drops every chain, then calls queue_reset. */
void queue_lock(void);
void queue_unlock(void);
void queue_reset(void);

#endif
