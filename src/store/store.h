/* The store: spans in, durable before they are acknowledged, and out again as columns.
 *
 * Way in: store_append encodes on the caller's thread and puts the batch into a bounded queue; one writer thread
 * appends it to the WAL (group commit: one fdatasync serves all that wait), gives it to the memtable and reports
 * `done`. One sealer thread turns full memtables into Parquet segments; a keeper thread merges small ones and enforces
 * retention. Way out: store_snapshot pins a consistent set of segments and memtables; see scan.h. Any thread may call
 * anything here. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/error.h"
#include "span/batch.h"

struct store;

/* What a trace, or the part of it that is there, comes to when it is sealed: 1 = it stays, 0 = it goes, between = it
 * stays by chance, at that rate: sample_rate of its spans is multiplied by it. STORE_KEEP_WAIT, unless `last`: it is
 * under way, and asked of again with the next seal; what waits is durable and seen by queries as ever, and bounded by
 * seal_rows and seal_bytes. It must say the same again of the same trace, since a seal that failed is tried again.
 * `trace`: its spans by start, settled (settle.h), at least one. One thread at a time, also that of store_open. */
typedef double store_keep(void *ctx, const struct span *const *trace, uint32_t count, bool last);
#define STORE_KEEP_WAIT (-1.0)

/* Memory that fills faster than it can be packed is sealed with little work, to be made anew by merging, which rests
 * meanwhile, but for what has waited for pack_within_ms. AUTO: by the rate. SEALS: memory is always sealed so, but
 * merging does not rest. ALWAYS: as if spans never ceased to come in fast. */
enum store_hurry { STORE_HURRY_AUTO, STORE_HURRY_NEVER, STORE_HURRY_SEALS, STORE_HURRY_ALWAYS };

struct store_options {
    const char *dir; /* created when missing; locked against a second process (flock) */
    bool read_only;  /* for the CLI beside a running server: segments and WAL are read, nothing is written */
    bool no_merging; /* segments stay as they were sealed */
    enum store_hurry hurry;
    uint32_t pack_within_ms;  /* 0 = 300,000 */
    bool async_durability;    /* report done before fdatasync (data of the last moments may be lost in a crash) */
    uint32_t seal_rows;       /* 0 = 65,536 */
    uint64_t seal_bytes;      /* 0 = 12 MiB */
    uint32_t seal_after_ms;   /* 0 = 30,000 */
    int64_t retention_ns;     /* spans that began longer ago go; 0 = keep */
    uint64_t retention_bytes; /* of segments; the oldest days go; 0 = keep */
    uint32_t queue_batches;   /* 0 = 1,024 */
    uint64_t queue_bytes;     /* memory of the batches that wait, bodies included; 0 = 16 MiB */
    store_keep *keep;         /* NULL = all traces stay */
    void *keep_ctx;
};

int store_open(struct store **store, const struct store_options *options, struct error *err);
/* Seals nothing: makes what was appended durable, stops the threads, releases. NULL is fine. */
void store_close(struct store *store);

/* Runs on the writer thread once the batch is durable (code 0) or refused (VT_EFULL: disk full, VT_EIO). It must be
 * short: wake the loop that waits. */
typedef void store_done(void *ctx, int code);
/* Takes its own reference on the batch. VT_EFULL when the queue or the disk is full (retry later; done is not called),
 * otherwise 0 and done is called exactly once. `done` may be NULL. */
int store_append(struct store *store, struct batch *batch, store_done *done, void *ctx, struct error *err);
/* The same, waiting for durability. */
int store_append_wait(struct store *store, struct batch *batch, struct error *err);

/* Live viewers: called on the writer thread for each durable batch. At most one; set it before the first append. */
typedef void store_watch(void *ctx, struct batch *batch);
void store_set_watch(struct store *store, store_watch *watch, void *ctx);

/* Seals the memtable now and waits until its segment is in the catalog (tests, export, clean stops). Traces that wait
 * for `keep` are decided, too. */
int store_seal(struct store *store, struct error *err);

/* Before this no span may begin, by retention_ns; 0 = any time. store_append does not look: who decodes says so to the
 * sender. */
int64_t store_oldest_allowed_ns(const struct store *store);

/* Names one of user, thread and trace. In a trace in which the user (thread) is named, spans that name none go too;
 * spans that name another stay. */
struct store_delete {
    struct slice user_id, thread_id;
    const uint8_t *trace_id; /* TRACE_ID_SIZE bytes; NULL = not by trace */
    struct slice project;    /* only spans of this project; empty = all */
};
/* Takes such spans out of memory, WAL and segments. When it returns 0 they are gone from the disk; after a crash in its
 * midst the next start ends it. Spans that arrive while it runs may stay. *deleted: how many spans. Waits; may take as
 * long as writing the segments that hold them anew. VT_EFULL: there is no room for that. */
int store_delete(struct store *store, const struct store_delete *what, uint64_t *deleted, struct error *err);

/* Verifies checksums of all segments and WAL files and compares them with the catalog. `each` is told of every problem:
 * `path` is below `dir`. Beside a running server too. 0 when it could look, however many problems there are. */
typedef void store_problem(void *ctx, const char *path, const char *message);
struct store_checked {
    uint64_t segments, spans, bytes; /* that are right */
    uint64_t wal_spans, problems;
};
int store_check(const char *dir, store_problem *each, void *ctx, struct store_checked *out, struct error *err);

struct store_stats {
    uint64_t spans_total;    /* in all segments and memtables */
    uint64_t spans_appended; /* acknowledged since start */
    uint64_t batches_appended, fsyncs;
    uint64_t refused; /* batches refused since start */
    uint64_t memtable_rows, memtable_bytes;
    uint64_t segments, segment_bytes, wal_bytes;
    uint64_t queue_batches, queue_bytes;
    uint64_t merges;              /* since start */
    uint64_t merge_backlog;       /* segments that were sealed in a hurry and wait to be made anew */
    uint64_t sampled_out;         /* spans that `keep` let go, since start */
    uint64_t carried_rows;        /* spans of traces that wait for `keep`, counted in memtable_rows */
    uint64_t decided_early;       /* traces that should have waited, but there was no room, since start */
    uint64_t segments_set_aside;  /* whose files lie there as *.corrupt */
    int64_t oldest_ns, newest_ns; /* of start times; SPAN_NO_INT when empty */
    bool disk_full;
};
void store_get_stats(struct store *store, struct store_stats *stats);
/* SQLite file of the catalog, where other modules keep small tables of their own (scores, keys, alert state). */
const char *store_catalog_path(const struct store *store);
uint64_t store_queue_bytes_max(const struct store *store); /* --queue-bytes, or its default */
bool store_is_read_only(const struct store *store);        /* as it was opened */

#endif
