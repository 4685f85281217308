/* The store alone: decoded batches to durable, bytes by column, what reading a column costs; and SQLite with the same
 * rows.
 *
 *     bench_store write DIR SPANS      appends, seals; spans a second, CPU, bytes by column
 *     bench_store sqlite FILE SPANS    rows with three indexes, a transaction a batch
 *     bench_store read DIR             nanoseconds a row for the columns that aggregates read, all pages warm */
#include "bodies.h"

#include "base/timestamp.h"
#include "ingest/ingest.h"
#include "span/normalise.h"
#include "store/segment_internal.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BATCHES = 64, BATCH_SPANS = 1024 };

struct made {
    struct body body;
    struct buf encoded; /* its spans, decoded once; batches of them borrow the texts */
    struct batch *batch;
    atomic_bool free;
};
static struct made made[BATCHES];

static void stop(const struct error *err) {
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static double cpu_seconds(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1e-6;
}

static void make_batches(void) {
    struct error err = {0};
    for (int i = 0; i < BATCHES; i++) {
        body_build(&made[i].body, (uint64_t)i + 1, BATCH_SPANS);
        body_renew(&made[i].body, (uint64_t)i * BATCH_SPANS, time_now_ns(), 1000000);
        made[i].batch = batch_new();
        if (otlp_decode_protobuf(made[i].batch, buf_slice(&made[i].body.bytes), SLICE(""), &err)) stop(&err);
        batch_finish(made[i].batch);
        batch_encode(made[i].batch, &made[i].encoded);
        atomic_store(&made[i].free, true);
    }
}

/* A fresh batch with new ids and times, so that no span is there twice. */
static void renew(struct made *m, uint64_t first) {
    struct error err = {0};
    batch_unref(m->batch);
    m->batch = batch_new();
    if (batch_decode(m->batch, buf_slice(&m->encoded), false, &err)) stop(&err);
    body_renew(&m->body, first, time_now_ns(), 1000000);
    for (uint32_t i = 0; i < m->batch->count; i++) {
        const uint32_t *place = m->body.places + PLACES * i;
        struct span *span = &m->batch->spans[i];
        memcpy(span->trace_id, m->body.bytes.ptr + place[0], 16);
        memcpy(span->span_id, m->body.bytes.ptr + place[1], 8);
        if (place[2]) memcpy(span->parent_span_id, m->body.bytes.ptr + place[2], 8);
        int64_t end;
        memcpy(&span->start_ns, m->body.bytes.ptr + place[3], 8);
        memcpy(&end, m->body.bytes.ptr + place[4], 8);
        span->duration_ns = end - span->start_ns;
    }
}

static void done(void *ctx, int code) {
    if (code) fprintf(stderr, "a batch was refused: %d\n", code), exit(1);
    atomic_store(&((struct made *)ctx)->free, true);
}

static void print_columns(struct store *store) {
    uint64_t bytes[COL_COUNT] = {0}, rows = 0, extras = 0, numbers = 0;
    struct snapshot *snap = store_snapshot(store);
    for (uint32_t i = 0; i < snapshot_count(snap); i++) {
        const struct rowgroup *shown = snapshot_rowgroup(snap, i);
        const struct segment *segment = shown->source;
        if (!shown->segment) continue;
        const struct group *group = &segment->groups[shown->index];
        rows += shown->rows;
        extras += group->extras_bytes;
        for (int c = 0; c < COL_COUNT; c++) bytes[c] += (uint64_t)group->chunks[c].bytes;
    }
    for (int c = 0; c < COL_COUNT && rows; c++) {
        bool text = c == COL_PROMPT || c == COL_COMPLETION || c == COL_ATTRIBUTES || c == COL_EVENTS;
        printf("  %-18s %7.2f\n", span_columns[c].name, (double)bytes[c] / (double)rows);
        numbers += text ? 0 : bytes[c];
    }
    if (rows)
        printf("  %-18s %7.2f\n  beside prompt, completion, attributes, events: %.1f bytes a span\n",
               "indexes, filters", (double)extras / (double)rows, (double)numbers / (double)rows);
    snapshot_free(snap);
}

/* Until the background has merged what it will merge now: what was sealed in a hurry is packed after a minute at most.
 */
static void settle(struct store *store) {
    struct store_stats stats = {0};
    for (uint64_t quiet = 0, merges = 0; quiet < (stats.merge_backlog ? 700 : 80); quiet++) {
        usleep(100000);
        store_get_stats(store, &stats);
        if (stats.merges != merges) quiet = 0, merges = stats.merges;
    }
    printf("after merging: %llu segments, %.1f bytes a span\n", (unsigned long long)stats.segments,
           (double)stats.segment_bytes / (double)stats.spans_total);
}

static int write_store(const char *dir, uint64_t spans) {
    struct store *store;
    struct error err = {0};
    uint64_t appended = 0;
    if (store_open(&store, &(struct store_options){.dir = dir}, &err)) stop(&err);
    double cpu = cpu_seconds();
    int64_t start = time_monotonic_ns();
    for (int i = 0; appended < spans; i = (i + 1) % BATCHES) {
        while (!atomic_load(&made[i].free)) usleep(50);
        renew(&made[i], 1000000 + appended);
        atomic_store(&made[i].free, false);
        int code;
        while ((code = store_append(store, made[i].batch, done, &made[i], &err)) == VT_EFULL) usleep(200);
        if (code) stop(&err);
        appended += BATCH_SPANS;
    }
    for (int i = 0; i < BATCHES; i++)
        while (!atomic_load(&made[i].free)) usleep(50);
    double durable = (double)(time_monotonic_ns() - start) * 1e-9, used = cpu_seconds() - cpu;
    if (store_seal(store, &err)) stop(&err);
    double sealed = (double)(time_monotonic_ns() - start) * 1e-9, all = cpu_seconds() - cpu;
    struct store_stats stats;
    store_get_stats(store, &stats);
    printf("store: %.0f spans/s to durable, %.0f spans/s to segments; CPU %.2f and %.2f us a span; %llu segments, %llu "
           "merges, %.1f bytes a span\n",
           (double)appended / durable, (double)appended / sealed, used * 1e6 / (double)appended,
           all * 1e6 / (double)appended, (unsigned long long)stats.segments, (unsigned long long)stats.merges,
           (double)stats.segment_bytes / (double)stats.spans_total);
    settle(store);
    print_columns(store);
    store_close(store);
    return 0;
}

static int write_sqlite(const char *path, uint64_t spans) {
    sqlite3 *db;
    sqlite3_stmt *stmt;
    struct buf sql = {0};
    uint64_t appended = 0;
    buf_puts(&sql, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE span(");
    for (int c = 0; c < COL_COUNT; c++) buf_printf(&sql, "%s%s", c ? ", " : "", span_columns[c].name);
    buf_puts(&sql, "); CREATE INDEX by_trace ON span(trace_id); CREATE INDEX by_start ON span(start_ns); CREATE INDEX "
                   "by_user ON span(user_id, start_ns);");
    if (sqlite3_open(path, &db) || sqlite3_exec(db, buf_cstr(&sql), NULL, NULL, NULL))
        return fprintf(stderr, "%s\n", sqlite3_errmsg(db)), 1;
    buf_clear(&sql);
    buf_puts(&sql, "INSERT INTO span VALUES(");
    for (int c = 0; c < COL_COUNT; c++) buf_puts(&sql, c ? ", ?" : "?");
    buf_puts(&sql, ")");
    sqlite3_prepare_v2(db, buf_cstr(&sql), -1, &stmt, NULL);
    double cpu = cpu_seconds();
    int64_t start = time_monotonic_ns();
    for (int i = 0; appended < spans; i = (i + 1) % BATCHES, appended += BATCH_SPANS) {
        renew(&made[i], 1000000 + appended);
        sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
        for (uint32_t n = 0; n < made[i].batch->count; n++) {
            const struct span *span = &made[i].batch->spans[n];
            for (int c = 0; c < COL_COUNT; c++) {
                const struct column *column = &span_columns[c];
                const char *field = (const char *)span + column->offset;
                int64_t number = column->type == COL_INT ? span_get_int(span, (enum col)c) : 0;
                double real = column->type == COL_DOUBLE ? span_get_double(span, (enum col)c) : 0;
                if (column->type == COL_BYTES)
                    sqlite3_bind_blob(stmt, c + 1, field, column->width, SQLITE_STATIC);
                else if (column->type == COL_INT)
                    number == SPAN_NO_INT ? sqlite3_bind_null(stmt, c + 1) : sqlite3_bind_int64(stmt, c + 1, number);
                else if (column->type == COL_DOUBLE)
                    isnan(real) ? sqlite3_bind_null(stmt, c + 1) : sqlite3_bind_double(stmt, c + 1, real);
                else if (!span_get_text(span, (enum col)c).len)
                    sqlite3_bind_null(stmt, c + 1);
                else
                    sqlite3_bind_text(stmt, c + 1, span_get_text(span, (enum col)c).ptr,
                                      (int)span_get_text(span, (enum col)c).len, SQLITE_STATIC);
            }
            sqlite3_step(stmt);
            sqlite3_reset(stmt);
        }
        sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    }
    double seconds = (double)(time_monotonic_ns() - start) * 1e-9, used = cpu_seconds() - cpu;
    sqlite3_finalize(stmt);
    sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
    sqlite3_close(db);
    struct stat info;
    stat(path, &info);
    printf("SQLite: %.0f spans/s to durable; CPU %.2f us a span; %.1f bytes a span\n", (double)appended / seconds,
           used * 1e6 / (double)appended, (double)info.st_size / (double)appended);
    buf_free(&sql);
    return 0;
}

static void read_column(struct store *store, enum col col) {
    double best = 1e9;
    for (int round = 0; round < 5; round++) {
        struct snapshot *snap = store_snapshot(store);
        struct arena arena = {0};
        uint64_t rows = 0;
        int64_t start = time_monotonic_ns();
        for (uint32_t i = 0; i < snapshot_count(snap); i++) {
            const struct rowgroup *group = snapshot_rowgroup(snap, i);
            struct vec vec;
            struct error err = {0};
            arena_reset(&arena);
            if (group->segment && rowgroup_read(group, col, &arena, &vec, &err)) stop(&err);
            rows += group->segment ? group->rows : 0;
        }
        double ns = (double)(time_monotonic_ns() - start) / (double)rows;
        if (ns < best) best = ns;
        arena_free(&arena);
        snapshot_free(snap);
    }
    printf("  %-18s %7.2f ns a row\n", span_columns[col].name, best);
}

static int read_store(const char *dir) {
    struct store *store;
    struct error err = {0};
    if (store_open(&store, &(struct store_options){.dir = dir, .read_only = true}, &err)) stop(&err);
    for (int c = 0; c < COL_COUNT; c++) read_column(store, (enum col)c);
    store_close(store);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "read")) return read_store(argv[2]);
    if (argc != 4) return fprintf(stderr, "bench_store write|sqlite PLACE SPANS | read DIR\n"), 2;
    make_batches();
    uint64_t spans = strtoull(argv[3], NULL, 10);
    return !strcmp(argv[1], "write") ? write_store(argv[2], spans) : write_sqlite(argv[2], spans);
}
