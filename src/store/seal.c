/* From memtable to segments, one a day: sort, write, enter in the catalog, drop the WAL files. */
#include "store/store_internal.h"

#include "base/log.h"
#include "base/timestamp.h"
#include "span/settle.h"
#include "store/columns.h"
#include "store/order.h"
#include "store/parquet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    RETRY_S = 5,
    BACKLOG_STALL = 2048,
    STALL_MS = 20,
    DISK_BOUND = 3 /* times the work */,
    SLOW_SYNCS = 4 /* in a row: the disk is slow */
};
static const int64_t DISK_SLOW_NS = (int64_t)10 * NS_PER_S;

static int64_t day_of(const struct span *span) {
    return span->start_ns / ((int64_t)86400 * NS_PER_S);
}

/* The rows that wait and those of the memtable as a segment has them: traces that came in several batches are put
 * together (changed rows are copies in `arena`). Returns how many, or VT_ENOMEM. */
static int64_t sort_rows(const struct memtable *waiting, const struct memtable *m, uint32_t count, struct arena *arena,
                         const struct span **rows) {
    struct row_key *keys = malloc(count * sizeof *keys + 1);
    uint32_t *order = malloc(count * sizeof *order + 1), older = waiting ? memtable_rows(waiting) : 0;
    int64_t kept = VT_ENOMEM;
    const struct span **all = malloc(count * sizeof *all + 1);
    for (uint32_t i = 0; all && i < count; i++)
        all[i] = i < older ? memtable_row(waiting, i) : memtable_row(m, i - older);
    if (keys && order && all && spans_settle_rows(all, count, arena)) {
        for (uint32_t i = 0; i < count; i++)
            keys[i] = (struct row_key){all[i]->trace_id, all[i]->span_id, all[i]->start_ns};
        kept = order_rows(keys, count, order);
        for (int64_t i = 0; i < kept; i++) rows[i] = all[order[i]];
    }
    free(all);
    free(keys);
    free(order);
    return kept;
}

struct sorted_rows {
    const struct span *const *rows;
};

static int read_rows(void *ctx, enum col col, uint32_t first, uint32_t count, struct arena *arena, struct vec *out,
                     struct error *err) {
    const struct sorted_rows *sorted = ctx;
    return rows_column(sorted->rows + first, count, col, arena, out, err);
}

static uint32_t group_end(const struct span *const *rows, uint32_t start, uint32_t count) {
    size_t bytes = 0;
    uint32_t end = start;
    for (; end < count && end - start < ROWGROUP_ROWS && bytes < ROWGROUP_TEXT_BYTES; end++)
        for (int c = COL_PROMPT; c < COL_COUNT; c++) bytes += span_get_text(rows[end], (enum col)c).len;
    return end;
}

/* In a hurry the processor is mostly what is short, and packing waits for the merge. Where a disk was slower than that,
 * its bytes are saved for a while. */
static enum segment_effort effort_for(const struct store *s) {
    if (!atomic_load(&s->hurried)) return EFFORT_SEALED;
    return time_monotonic_ns() < s->disk_slow_until_ns ? EFFORT_FAST : EFFORT_RAW;
}

/* Writes rows of one day as a segment. */
static int write_rows(struct store *s, const struct span *const *rows, uint32_t count, const char *origin,
                      struct fresh *fresh, struct error *err) {
    struct segment_writer *writer;
    struct sorted_rows sorted = {rows};
    struct row_source source = {&sorted, read_rows};
    int64_t begun_ns = time_monotonic_ns();
    int code = fresh_begin(s, rows[0]->start_ns, effort_for(s), fresh, &writer, err);
    if (code) return code;
    for (uint32_t start = 0, end; start < count && !code; start = end) {
        end = group_end(rows, start, count);
        code = segment_writer_group(writer, &source, start, end - start, err);
    }
    if (code) {
        segment_writer_abort(writer);
        return code;
    }
    int64_t written_ns = time_monotonic_ns();
    code = fresh_finish(s, fresh, writer, origin, err);
    int64_t done_ns = time_monotonic_ns();
    s->slow_syncs = done_ns - written_ns > DISK_BOUND * (written_ns - begun_ns) ? s->slow_syncs + 1 : 0;
    if (s->slow_syncs >= SLOW_SYNCS) s->disk_slow_until_ns = done_ns + DISK_SLOW_NS;
    return code;
}

/* Sorted by the traces' starts, days come in runs, but for traces that cross midnight: those stay with their first day.
 */
static uint32_t day_end(const struct span *const *rows, uint32_t start, uint32_t count) {
    uint32_t end = start + 1;
    while (end < count && (day_of(rows[end]) == day_of(rows[start]) ||
                           memcmp(rows[end]->trace_id, rows[end - 1]->trace_id, TRACE_ID_SIZE) == 0))
        end++;
    return end;
}

static int write_days(struct store *s, const struct span *const *rows, uint32_t count, const char *origin,
                      struct fresh **fresh, uint32_t *fresh_count, struct error *err) {
    uint32_t capacity = 0;
    int code = 0;
    for (uint32_t start = 0, end; start < count && !code; start = end) {
        end = day_end(rows, start, count);
        if (*fresh_count == capacity) {
            capacity = capacity ? 2 * capacity : 4;
            struct fresh *more = realloc(*fresh, capacity * sizeof *more);
            if (!more) return error_set(err, VT_ENOMEM, "no memory to seal %u days", capacity);
            *fresh = more;
        }
        code = write_rows(s, rows + start, end - start, origin, &(*fresh)[*fresh_count], err);
        if (!code) ++*fresh_count;
    }
    return code;
}

/* WAL files whose spans are in segments now. */
static void remove_wals(struct store *s, uint64_t up_to) {
    uint64_t *numbers;
    char path[512];
    int count = wal_list(s->wal_dir, &numbers, NULL);
    for (int i = 0; i < count && numbers[i] <= up_to; i++) {
        wal_path(s->wal_dir, numbers[i], path, sizeof path);
        unlink(path);
    }
    free(numbers);
}

/* A commit that failed may still hold, until another one is through: only then may its files be written anew. */
static int prove_catalog(struct store *s, struct error *err) {
    return s->sealer_stuck ? catalog_change(s->catalog, &(struct catalog_change){0}, err) : 0;
}

int seal_memtable(struct store *s, struct memtable *m, struct error *err) {
    struct memtable *waiting = s->carried; /* only this thread changes it */
    uint32_t count = memtable_rows(m) + (waiting ? memtable_rows(waiting) : 0), fresh_count = 0;
    const struct span **rows = malloc(count * sizeof *rows + 1);
    struct fresh *fresh = NULL;
    struct sampled sampled = {0};
    char origin[32];
    uint64_t wal = memtable_wal(m);
    snprintf(origin, sizeof origin, "wal %llu", (unsigned long long)wal);
    struct arena arena = {0};
    int64_t sorted = rows ? sort_rows(waiting, m, count, &arena, rows) : VT_ENOMEM;
    int code = sorted < 0 ? error_set(err, VT_ENOMEM, "no memory to seal %u spans", count) : prove_catalog(s, err);
    sampled.kept = code ? 0 : (uint32_t)sorted;
    if (!code && s->options.keep)
        code = sample_rows(s, rows, (uint32_t)sorted, atomic_load(&s->deciders) > 0, &arena, &sampled, err);
    if (!code) code = write_days(s, rows, sampled.kept, origin, &fresh, &fresh_count, err);
    if (!code) code = carry_write(s, wal, sampled.waiting, sampled.waiting_count, &s->carry_next, err);
    if (!code) code = segments_replace(s, fresh, fresh_count, NULL, 0, m, err);
    if (!code) {
        s->sampled_out += sampled.left_out;
        s->decided_early += sampled.early;
        remove_wals(s, wal);
        carry_remove_others(s, wal);
    }
    for (uint32_t i = 0; code && i < fresh_count; i++) fresh_discard(&fresh[i]);
    memtable_unref(s->carry_next); /* when it was not taken */
    s->carry_next = NULL;
    arena_free(&arena);
    free(sampled.waiting);
    free(fresh);
    free(rows);
    return code;
}

/* Merging that is far behind holds the sealer, and so the senders: segments, and what a query must open, stay bounded.
 * One that fails, or is not wanted, holds nobody. */
static void wait_for_merges(struct store *s) {
    while (!s->options.no_merging && !atomic_load(&s->merge_failed) && !atomic_load(&s->closing) &&
           merge_backlog(s) >= BACKLOG_STALL)
        nanosleep(&(struct timespec){.tv_nsec = (int64_t)STALL_MS * NS_PER_MS}, NULL);
}

void *seal_loop(void *ctx) {
    struct store *s = ctx;
    pthread_setname_np(pthread_self(), "vt-seal");
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->sealing_count && !s->sealer_stop) pthread_cond_wait(&s->sealer_wake, &s->lock);
        if (s->sealer_stop) break;
        struct memtable *m = memtable_ref(s->sealing[0]);
        pthread_mutex_unlock(&s->lock);
        wait_for_merges(s);
        struct error err = {0};
        int code = seal_memtable(s, m, &err);
        memtable_unref(m);
        pthread_mutex_lock(&s->lock);
        if (code && !s->sealer_stuck)
            log_error("sealing failed and is tried again every %d s; spans are safe in the WAL meanwhile: %s", RETRY_S,
                      err.message);
        if (!code && s->sealer_stuck) log_info("sealing works again");
        s->sealer_stuck = code != 0;
        s->seal_error = err;
        if (!code) pthread_cond_signal(&s->keeper_wake);
        if (code && !s->sealer_stop) {
            struct timespec until;
            clock_gettime(CLOCK_MONOTONIC, &until);
            until.tv_sec += RETRY_S;
            pthread_cond_broadcast(&s->sealed);
            pthread_cond_timedwait(&s->sealer_wake, &s->lock, &until);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Under the lock: whether a memtable up to that WAL file is not in a segment yet, or traces wait. */
static bool waits(const struct store *s, uint64_t wal) {
    bool active = memtable_wal(s->active) <= wal && memtable_rows(s->active);
    return active || s->carried || (s->sealing_count && memtable_wal(s->sealing[0]) <= wal);
}

static void want_seal(struct store *s) {
    pthread_mutex_lock(&s->queue_lock);
    s->seal_wanted = true;
    pthread_cond_signal(&s->queue_wake);
    pthread_mutex_unlock(&s->queue_lock);
}

int store_seal(struct store *s, struct error *err) {
    int code = 0;
    if (s->options.read_only) return error_set(err, VT_EUNSUPPORTED, "the store was opened for reading only");
    atomic_fetch_add(&s->deciders, 1);
    pthread_mutex_lock(&s->lock);
    uint64_t wal = memtable_wal(s->active);
    pthread_mutex_unlock(&s->lock);
    want_seal(s);
    pthread_mutex_lock(&s->lock);
    while (waits(s, wal) && !code) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += 1;
        pthread_cond_timedwait(&s->sealed, &s->lock, &until);
        if (s->carried && !s->sealing_count) { /* a seal that was under way may have left traces waiting */
            pthread_mutex_unlock(&s->lock);
            want_seal(s);
            pthread_mutex_lock(&s->lock);
        }
        if (s->sealer_stuck && waits(s, wal))
            code = error_set(err, s->seal_error.code, "sealing fails: %s", s->seal_error.message);
        if (s->sealer_stop) code = error_set(err, VT_ECANCELLED, "the store is closing");
    }
    pthread_mutex_unlock(&s->lock);
    atomic_fetch_sub(&s->deciders, 1);
    return code;
}
