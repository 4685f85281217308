/* What the files of src/store share. Each field says which thread or lock it belongs to. */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include "base/buf.h"
#include "store/catalog.h"
#include "store/memtable.h"
#include "store/segment.h"
#include "store/wal.h"

#include <pthread.h>
#include <stdatomic.h>

enum { SEALING_MAX = 4 }; /* memtables that wait to become segments, the one in work included */

struct pending;

struct store {
    struct store_options options; /* read-only after open */
    char dir[400], wal_dir[420], spans_dir[420], catalog_path[440];
    int lock_fd;

    pthread_mutex_t queue_lock; /* guards the next seven */
    pthread_cond_t queue_wake;
    struct pending *queue, **queue_tail;
    uint32_t queued;
    uint64_t queued_bytes, refused;
    bool stop, seal_wanted;

    struct wal wal;                     /* writer */
    atomic_bool disk_full;
    atomic_ullong appended, batches, fsyncs;
    store_watch *watch;                 /* set before the first append */
    void *watch_ctx;

    pthread_mutex_t lock; /* guards what follows down to merges */
    pthread_cond_t sealer_wake, sealed;
    struct memtable *active;            /* changed by the writer; its rows are read without the lock */
    int64_t active_since_ns;            /* writer */
    struct memtable *sealing[SEALING_MAX]; /* oldest first */
    uint32_t sealing_count;
    struct segment **segments;          /* any order */
    uint32_t segment_count, segment_capacity;
    bool sealer_stop, sealer_stuck;
    uint64_t merges, set_aside;

    struct catalog *catalog;            /* own lock */
    pthread_t writer, sealer;
    bool writer_runs, sealer_runs;
};

/* seal.c. seal_memtable writes the segment(s), enters them in the catalog and the list, and removes the WAL file. */
void *seal_loop(void *store);
int seal_memtable(struct store *store, struct memtable *memtable, struct error *err);
int load_segments(struct store *store, struct error *err);
/* Takes a broken segment out of the list and its file aside (name.corrupt). */
void set_segment_aside(struct store *store, const struct segment *segment, const struct error *why);

#endif
