/* A segment anew: without some of its rows, or with other values in a column of them. The new file takes the place of
 * the old one in a single step of the catalog: whoever looks, also after a crash, finds one of the two. */
#include "store/trace_indexes.h"

#include "store/columns.h"

#include <stdio.h>
#include <stdlib.h>

struct rewriting {
    struct merged_rows rows;
    const struct rewrite *how;
};

static int read_rewritten(void *ctx, enum col col, uint32_t first, uint32_t count, struct arena *arena, struct vec *out,
                          struct error *err) {
    struct rewriting *r = ctx;
    if (col != COL_COST_USD || !r->how->cost_usd) return merged_read(&r->rows, col, first, count, arena, out, err);
    double *costs = arena_alloc(arena, count * sizeof *costs + 1);
    if (!costs) return error_set(err, VT_ENOMEM, "no memory for column %s", span_columns[col].name);
    for (uint32_t i = 0; i < count; i++) costs[i] = r->how->cost_usd[r->how->kept[first + i]];
    vec_use(out, col, count, costs);
    return 0;
}

int segment_rewrite(struct store *s, struct segment *segment, const struct rewrite *how, struct error *err) {
    struct rewriting r = {.rows = {.segments = &segment,
                                   .segment_count = 1,
                                   .order = how->kept,
                                   .rows = (uint32_t)segment_rows(segment),
                                   .stop = &s->closing},
                          .how = how};
    struct row_source source = {&r, read_rewritten};
    struct segment_writer *writer;
    struct fresh fresh;
    char origin[48];
    /* First: once the catalog knows the new one, a start would not come back to this. */
    trace_indexes_forget(s, segment);
    if (!how->kept_count) return segments_replace(s, NULL, 0, &segment, 1, NULL, err);
    snprintf(origin, sizeof origin, "segments %llu", (unsigned long long)segment_id(segment));
    int code = fresh_begin(s, segment_min_start_ns(segment), EFFORT_MERGED, &fresh, &writer, err);
    if (code) return code;
    uint32_t step = rows_per_group(r.rows.rows, segment_text_bytes(segment));
    for (uint32_t first = 0; first < how->kept_count && !code; first += step) {
        uint32_t count = how->kept_count - first < step ? how->kept_count - first : step;
        code = segment_writer_group(writer, &source, first, count, err);
    }
    if (code) {
        segment_writer_abort(writer);
        return code;
    }
    if ((code = fresh_finish(s, &fresh, writer, origin, err))) return code;
    if ((code = segments_replace(s, &fresh, 1, &segment, 1, NULL, err))) fresh_discard(&fresh);
    return code;
}

/* One that was set aside meanwhile, or is broken, is not answered from any more; its file is named in the log. */
static bool goes_on(int code) {
    return !code || code == VT_ECORRUPT || code == VT_ECANCELLED;
}

int segments_each(struct store *s, segment_step *step, void *ctx, const char *when_closing, struct error *err) {
    uint32_t count;
    struct segment **segments = segments_list(s, &count);
    int code = segments ? 0 : error_set(err, VT_ENOMEM, "no memory for the list of segments");
    for (uint32_t i = 0; i < count && goes_on(code); i++)
        code = atomic_load(&s->closing) ? error_set(err, VT_EIO, "the store is closing; %s", when_closing)
                                        : step(ctx, segments[i], err);
    segments_unref(segments, count);
    return goes_on(code) ? 0 : code;
}
