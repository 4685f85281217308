/* Exports as a Parquet file: spans are gathered to row groups and written as the store writes its segments. */
#include "base/timestamp.h"
#include "query/export_internal.h"
#include "store/columns.h"
#include "store/order.h"
#include "store/parquet.h"
#include "store/segment.h"

#include <stdlib.h>

enum { PIECE_ROWS = 1024 };

/* Spans of the row group to come. */
struct gathered {
    struct arena arena;
    struct span *spans; /* ROWGROUP_ROWS places, as all of these */
    struct row_key *keys;
    uint32_t *order;
    const struct span **sorted;
    uint32_t count;
    size_t text_bytes;
};

static bool gather_init(struct gathered *g) {
    size_t places = ROWGROUP_ROWS;
    g->spans = malloc(places * sizeof *g->spans);
    g->keys = malloc(places * sizeof *g->keys);
    g->order = malloc(places * sizeof *g->order);
    g->sorted = malloc(places * sizeof *g->sorted);
    return g->spans && g->keys && g->order && g->sorted;
}

static void gather_free(struct gathered *g) {
    arena_free(&g->arena);
    free(g->spans);
    free(g->keys);
    free(g->order);
    free(g->sorted);
}

static int gather(struct gathered *g, const struct span *spans, uint32_t count, struct error *err) {
    for (uint32_t i = 0; i < count; i++) {
        struct span *kept = &g->spans[g->count];
        *kept = spans[i];
        for (int t = 0; t < COL_TEXT_COUNT; t++) {
            if (!kept->text[t].len) continue;
            kept->text[t] = arena_copy(&g->arena, kept->text[t]);
            if (!kept->text[t].ptr) return error_set(err, VT_ENOMEM, "no memory for a row group");
            g->text_bytes += kept->text[t].len;
        }
        g->keys[g->count] = (struct row_key){kept->trace_id, kept->span_id, kept->start_ns};
        g->count++;
    }
    return 0;
}

static int read_sorted(void *ctx, enum col col, uint32_t first, uint32_t count, struct arena *arena, struct vec *out,
                       struct error *err) {
    const struct gathered *g = ctx;
    return rows_column(g->sorted + first, count, col, arena, out, err);
}

static int write_group(struct gathered *g, struct segment_writer *writer, uint64_t *rows, struct error *err) {
    struct row_source source = {g, read_sorted};
    int64_t kept = order_rows(g->keys, g->count, g->order);
    if (kept < 0) return error_set(err, (int)kept, "no memory to sort a row group");
    for (int64_t i = 0; i < kept; i++) g->sorted[i] = &g->spans[g->order[i]];
    int code = kept ? segment_writer_group(writer, &source, 0, (uint32_t)kept, err) : 0;
    *rows += (uint64_t)kept;
    g->count = 0;
    g->text_bytes = 0;
    arena_reset(&g->arena);
    return code;
}

static int write_all(struct export *e, struct gathered *g, struct segment_writer *writer,
                     bool (*each)(void *, const struct export_progress *), void *ctx, uint64_t *rows,
                     struct error *err) {
    struct span *spans;
    uint32_t count;
    for (;;) {
        uint32_t room = ROWGROUP_ROWS - g->count;
        e->ask.deadline_ns = time_monotonic_ns() + (int64_t)e->ask.engine->options.timeout_ms * NS_PER_MS;
        int code = export_read(e, room < PIECE_ROWS ? room : PIECE_ROWS, &spans, &count, err);
        if (!code && count) code = gather(g, spans, count, err);
        if (code) return code;
        bool full = g->count == ROWGROUP_ROWS || g->text_bytes >= ROWGROUP_TEXT_BYTES;
        if ((full || !count) && g->count && (code = write_group(g, writer, rows, err))) return code;
        struct export_progress progress;
        export_get_progress(e, &progress);
        if (each && !each(ctx, &progress)) return error_set(err, VT_ECANCELLED, "the export was stopped");
        if (!count) return 0;
    }
}

int export_parquet(struct engine *engine, const struct api_request *request, const char *path,
                   bool (*each)(void *ctx, const struct export_progress *), void *ctx, uint64_t *rows,
                   struct error *err) {
    struct export *e;
    struct segment_writer *writer = NULL;
    struct gathered g = {0};
    uint64_t bytes;
    *rows = 0;
    int code = export_open(&e, engine, request, err);
    if (code) return code;
    if (!gather_init(&g)) code = error_set(err, VT_ENOMEM, "no memory for an export");
    if (!code) code = segment_writer_open(&writer, path, EFFORT_MERGED, err);
    if (!code) code = write_all(e, &g, writer, each, ctx, rows, err);
    if (code)
        segment_writer_abort(writer);
    else
        code = segment_writer_finish(writer, "export", &bytes, err);
    gather_free(&g);
    export_free(e);
    return code;
}
