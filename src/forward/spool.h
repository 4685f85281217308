/* A queue of request bodies on disk: files numbered in the order in which they came, oldest first out. Written aside,
 * synced and renamed, so a file is whole or not there. Not thread-safe: its owner locks. */
#ifndef FORWARD_SPOOL_H
#define FORWARD_SPOOL_H

#include "base/buf.h"
#include "base/error.h"

struct spool_file {
    uint64_t number;
    uint32_t spans; /* in it */
    uint64_t bytes;
};

struct spool {
    char dir[512];
    struct spool_file *files; /* oldest first, from `first` */
    uint32_t first, count, capacity;
    uint64_t next, bytes, limit_bytes;
    uint64_t spans_dropped; /* by the limit */
};

/* Makes the directory (0700) and takes in what an earlier run left there. */
int spool_open(struct spool *spool, const char *dir, uint64_t limit_bytes, struct error *err);
void spool_close(struct spool *spool);
/* Durable when it returns 0. Past the limit the oldest files go. */
int spool_push(struct spool *spool, struct slice body, uint32_t spans, struct error *err);
/* NULL when the queue is empty. */
const struct spool_file *spool_oldest(const struct spool *spool);
int spool_read(const struct spool *spool, const struct spool_file *file, struct buf *out, struct error *err);
/* Removes the file of that number, if the limit has not done so meanwhile. */
void spool_pop(struct spool *spool, uint64_t number);

#endif
