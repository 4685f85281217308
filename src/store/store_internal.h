/* What the files of src/store share. Each field says which thread or lock it belongs to. Locks are taken in this order:
 * keeping, changing, lock; queue_lock is taken alone. */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include "base/buf.h"
#include "store/catalog.h"
#include "store/memtable.h"
#include "store/segment.h"
#include "store/wal.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    SEALING_MAX = 2,  /* memtables that wait to become segments, the one in work included, before the writer waits */
    SEALING_ROOM = 16 /* of these a start may find more */
};

struct pending;
struct trace_indexes; /* trace_indexes.h */

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

    struct wal wal;                         /* writer */
    int64_t full_until_ns, rotate_after_ns; /* writer */
    atomic_ullong wal_bytes;                /* of the file that is written */
    atomic_bool disk_full, backlogged;      /* backlogged: sealing fails and memory is used up */
    atomic_ullong appended, batches, fsyncs;
    atomic_ullong sampled_out, decided_early; /* sealer */
    atomic_uint deciders;                     /* who waits until nothing is undecided: see store_seal */
    struct memtable *carry_next;              /* sealer: becomes `carried` with the segments of its seal */
    int64_t disk_slow_until_ns; /* sealer: syncing took much longer than writing, several times in a row */
    uint32_t slow_syncs;        /* so many times until now; sealer */
    atomic_bool merge_failed;   /* the last one */
    atomic_uint asked_for;      /* callers that wait for `keeping`: a merge does not rest meanwhile */
    atomic_bool hurried;        /* spans come in so fast that sealing is quick and merging waits; writer */
    store_watch *watch;         /* set before the first append */
    void *watch_ctx;

    pthread_mutex_t keeping;  /* held while segments are merged, deleted from or retired: one of these at a time */
    pthread_mutex_t changing; /* held while catalog and list change together */

    pthread_mutex_t lock; /* guards what follows down to seal_error */
    pthread_cond_t sealer_wake, sealed, keeper_wake;
    struct memtable *active;                /* changed by the writer; its rows are read without the lock */
    int64_t active_since_ns;                /* writer */
    struct memtable *sealing[SEALING_ROOM]; /* oldest first */
    uint32_t sealing_count;
    struct memtable *carried;  /* traces that were under way at the last seal; NULL = none */
    struct segment **segments; /* any order */
    uint32_t segment_count, segment_capacity;
    struct trace_indexes *indexes; /* NULL = none */
    bool sealer_stop, sealer_stuck, merge_wanted;
    uint64_t merges, set_aside;
    char **doubtful; /* files of commits that failed; see segments.c */
    uint32_t doubtful_count;
    struct error seal_error; /* why it is stuck */

    int64_t merge_after_ns;  /* keeping */
    int64_t index_after_ns;  /* keeping */
    uint64_t index_next;     /* keeping: number of the next index of traces */
    atomic_bool closing;     /* long work stops soon */
    struct catalog *catalog; /* own lock */
    pthread_t writer, sealer, keeper;
    bool writer_runs, sealer_runs, keeper_runs;
};

/* ---- segments.c: the list of segments, in step with the catalog and the files ---- */

/* A segment that is written but not entered yet: its file ends in .tmp. */
struct fresh {
    struct catalog_entry entry;
    struct segment *segment;
    bool doubtful; /* its commit failed, but may hold */
};
/* Names a new segment for the day of `start_ns` and opens a writer on it. */
int fresh_begin(struct store *store, int64_t start_ns, enum segment_effort effort, struct fresh *fresh,
                struct segment_writer **writer, struct error *err);
/* Finishes the writer, syncs the directories and opens the segment. On failure nothing is left. */
int fresh_finish(struct store *store, struct fresh *fresh, struct segment_writer *writer, const char *origin,
                 struct error *err);
void fresh_discard(struct fresh *fresh); /* removes the file, when that is safe */
void segments_release_doubts(struct store *store);

/* Enters what is fresh and takes out what is replaced, in catalog, list and directory, as one step for whoever looks.
 * `memtable`: is sealed by it, and carry_next is carried from then on; may be NULL. VT_ECANCELLED when one to be
 * replaced is not listed any more: then nothing is changed, and the fresh ones are still the caller's to discard. */
int segments_replace(struct store *store, struct fresh *fresh, uint32_t fresh_count, struct segment *const *old,
                     uint32_t old_count, struct memtable *memtable, struct error *err);
/* Takes a broken segment out of the list and its file aside (name.corrupt). Any thread. */
void set_segment_aside(struct store *store, const struct segment *segment, const struct error *why);
/* References on all listed segments; caller unrefs and frees. NULL when memory ran out. */
struct segment **segments_list(struct store *store, uint32_t *count);
void segments_unref(struct segment **segments, uint32_t count);

/* ---- load.c: what a start finds ---- */
int load_store(struct store *store, struct error *err);

/* ---- seal.c ---- */
void *seal_loop(void *store);
/* Writes the segments of a memtable and enters them; the WAL files up to its number are gone after. */
int seal_memtable(struct store *store, struct memtable *memtable, struct error *err);

/* ---- carry.c: sampling, and traces that wait for it ---- */
struct sampled {
    uint32_t kept, waiting_count, left_out; /* spans */
    uint32_t early;                         /* traces that should have waited, but there was no room */
    const struct span **waiting;            /* the caller's to free */
};
/* Asks of each trace whether it stays. Rows that stay move to the front, as copies in `arena` where their weight
 * changes. `last`: none may wait. */
int sample_rows(struct store *store, const struct span **rows, uint32_t count, bool last, struct arena *arena,
                struct sampled *out, struct error *err);
/* Puts rows into a memtable and a durable file of that number; nothing for no rows. Once the catalog names the number
 * as sealed, a start finds them. */
int carry_write(struct store *store, uint64_t number, const struct span *const *rows, uint32_t count,
                struct memtable **out, struct error *err);
void carry_remove_others(struct store *store, uint64_t number);
/* Fills store->carried; *wal: the number of its file, 0 = there is none. */
int carry_load(struct store *store, uint64_t sealed_wal, uint64_t *wal, struct error *err);

/* ---- keep.c, merge.c, retire.c, erase.c, reprice.c: the keeper thread ---- */
void *keep_loop(void *store);
/* Takes `keeping` for a caller who waits, as the keeper itself does not. */
void keeping_lock(struct store *store);
/* One merge, if one is due; true when it did one. Holds `keeping`. */
bool merge_once(struct store *store);
/* Segments that were sealed in a hurry and wait to be made anew. Takes `lock`. */
uint32_t merge_backlog(struct store *store);
/* Drops what is past retention. Holds `keeping`. */
void retire_segments(struct store *store);
/* Goes on with deletions that a stop or crash cut short. Holds `keeping`. */
void resume_deletions(struct store *store);
/* Rows of segments as one source, in the order of `order`: indices over all rows of all segments, one after the other.
 */
struct merged_rows {
    struct segment *const *segments;
    uint32_t segment_count;
    const uint32_t *order;
    uint32_t rows;           /* of all segments, order may name fewer */
    const atomic_bool *stop; /* may be NULL */
    struct store *yields_to; /* whose ingest comes first while it is hurried; may be NULL */
};
int merged_read(void *merged_rows, enum col col, uint32_t first, uint32_t count, struct arena *arena, struct vec *out,
                struct error *err);
/* ---- rewrite.c: deletion and new costs ---- */
struct rewrite {
    const uint32_t *kept; /* rows that stay, ascending */
    uint32_t kept_count;
    const double *cost_usd; /* of each row of the segment; NULL = as they are */
};
/* Writes the segment anew, as a segment of another id, and puts that in its place. Holds `keeping`. VT_ECANCELLED: it
 * is not listed any more. On failure all is as it was. */
int segment_rewrite(struct store *store, struct segment *segment, const struct rewrite *how, struct error *err);
/* For each segment that is listed now; what is broken or gone meanwhile is passed over. VT_EIO when the store closes:
 * `when_closing` says what becomes of the rest. */
typedef int segment_step(void *ctx, struct segment *segment, struct error *err);
int segments_each(struct store *store, segment_step *step, void *ctx, const char *when_closing, struct error *err);
/* How many rows make a row group, so that no text column passes ROWGROUP_TEXT_BYTES. */
uint32_t rows_per_group(uint64_t rows, uint64_t text_bytes);

#endif
