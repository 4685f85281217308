/* Costs computed anew: the columns that a cost depends on are read, and where one differs the segment is rewritten with
 * another column of costs. */
#include "store/reprice.h"

#include "store/scan.h"
#include "store/store_internal.h"

#include <math.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { SLOTS = 4 * REPRICE_MODELS_MAX };

struct repricing {
    struct store *store;
    const struct reprice *what;
    struct repriced *out;
    uint16_t *slots; /* of out->models by provider and model; 1-based, 0 = free */
    uint64_t bytes, bytes_total;
    bool stopped;
};

/* ---- what it comes to, by model ---- */

static struct reprice_model *model_of(struct repricing *r, struct slice provider, struct slice model) {
    struct repriced *out = r->out;
    uint64_t hash = XXH3_64bits_withSeed(model.ptr ? model.ptr : "", model.len,
                                         XXH3_64bits(provider.ptr ? provider.ptr : "", provider.len));
    uint32_t at = (uint32_t)(hash % SLOTS);
    for (; r->slots[at]; at = (at + 1) % SLOTS) {
        struct reprice_model *m = &out->models[r->slots[at] - 1];
        if (slice_eq(m->model, model) && slice_eq(m->provider, provider)) return m;
    }
    if (out->model_count == REPRICE_MODELS_MAX) {
        out->models_left_out = true;
        return NULL;
    }
    out->models[out->model_count] =
        (struct reprice_model){arena_copy(&out->arena, provider), arena_copy(&out->arena, model), {0}};
    r->slots[at] = (uint16_t)++out->model_count;
    return &out->models[out->model_count - 1];
}

static void add(struct reprice_sum *sum, double before, double after, bool priced) {
    sum->spans++;
    sum->uncosted += isnan(before) ? 1 : 0;
    sum->unpriced += !priced;
    if (isnan(before) ? !isnan(after) : !(before == after)) sum->changed++;
    if (!isnan(before)) sum->old_usd += before;
    if (!isnan(after)) sum->new_usd += after;
}

static int dearest_first(const void *a, const void *b) {
    const struct reprice_model *x = a, *y = b;
    double sums[2] = {x->sum.new_usd + x->sum.old_usd * 1e-9, y->sum.new_usd + y->sum.old_usd * 1e-9};
    if (sums[0] != sums[1]) return sums[0] > sums[1] ? -1 : 1;
    return x->sum.spans > y->sum.spans ? -1 : x->sum.spans < y->sum.spans;
}

/* ---- a row group ---- */

/* What a cost depends on. */
static const enum col needed[] = {COL_START_NS,           COL_TOKENS_INPUT, COL_TOKENS_OUTPUT, COL_TOKENS_CACHED,
                                  COL_TOKENS_CACHE_WRITE, COL_COST_USD,     COL_FLAGS,         COL_PROJECT,
                                  COL_PROVIDER,           COL_MODEL};
enum { NEEDED = sizeof needed / sizeof *needed };

struct columns {
    struct vec by_col[COL_COUNT];
};

static int read_columns(const struct rowgroup *group, struct arena *arena, struct columns *c, struct error *err) {
    int code = 0;
    for (int i = 0; i < NEEDED && !code; i++) code = rowgroup_read(group, needed[i], arena, &c->by_col[needed[i]], err);
    return code;
}

static struct slice text_at(const struct columns *c, enum col col, uint32_t row) {
    return c->by_col[col].dict[c->by_col[col].codes[row]];
}

static void fill_span(const struct columns *c, uint32_t row, struct span *span) {
    span->start_ns = c->by_col[COL_START_NS].ints[row];
    span->tokens_input = c->by_col[COL_TOKENS_INPUT].ints[row];
    span->tokens_output = c->by_col[COL_TOKENS_OUTPUT].ints[row];
    span->tokens_cached = c->by_col[COL_TOKENS_CACHED].ints[row];
    span->tokens_cache_write = c->by_col[COL_TOKENS_CACHE_WRITE].ints[row];
    *span_text(span, COL_PROVIDER) = text_at(c, COL_PROVIDER, row);
    *span_text(span, COL_MODEL) = text_at(c, COL_MODEL, row);
}

static bool is_meant(const struct reprice *what, const struct columns *c, uint32_t row, const struct span *span) {
    if (span->start_ns < what->from_ns || (what->to_ns && span->start_ns >= what->to_ns)) return false;
    if (what->project.len && !slice_eq(text_at(c, COL_PROJECT, row), what->project)) return false;
    return !what->model || !*what->model || prices_model_matches(what->model, span_get_text(span, COL_MODEL));
}

/* The costs of a group's rows into `costs` (NULL: only looks). True when one of them changed. */
static bool price_rows(struct repricing *r, const struct columns *c, uint32_t rows, double *costs) {
    struct prices_cache cache = {0};
    struct reprice_sum *total = &r->out->total;
    uint64_t changed_before = total->changed;
    struct span span;
    span_init(&span);
    for (uint32_t i = 0; i < rows; i++) {
        double before = c->by_col[COL_COST_USD].doubles[i], after = (double)NAN;
        if (costs) costs[i] = before;
        fill_span(c, i, &span);
        if (!span_get_text(&span, COL_MODEL).len || !is_meant(r->what, c, i, &span)) continue;
        if (c->by_col[COL_FLAGS].ints[i] & SPAN_COST_REPORTED) {
            struct reprice_model *m = model_of(r, span_get_text(&span, COL_PROVIDER), span_get_text(&span, COL_MODEL));
            total->reported++;
            if (m) m->sum.reported++;
            continue;
        }
        if (span.tokens_input == SPAN_NO_INT && span.tokens_output == SPAN_NO_INT) continue;
        bool priced = prices_cost_cached(r->what->prices, &cache, &span, &after);
        struct reprice_model *m = model_of(r, span_get_text(&span, COL_PROVIDER), span_get_text(&span, COL_MODEL));
        add(total, before, after, priced);
        if (m) add(&m->sum, before, after, priced);
        if (costs) costs[i] = after;
    }
    return total->changed > changed_before;
}

static bool may_be_meant(const struct reprice *what, const struct rowgroup *group) {
    return group->max_start_ns >= what->from_ns && (!what->to_ns || group->min_start_ns < what->to_ns) &&
           (!what->project.len || rowgroup_may_have_value(group, COL_PROJECT, what->project));
}

static void show_progress(struct repricing *r, uint64_t bytes) {
    const struct reprice *what = r->what;
    r->bytes += bytes;
    if (!what->progress) return;
    r->stopped = !what->progress(what->ctx, r->bytes < r->bytes_total ? r->bytes : r->bytes_total, r->bytes_total,
                                 r->out->total.spans + r->out->total.reported);
}

/* ---- a segment ---- */

/* The costs of all its rows, of which some changed or none. */
static int price_segment(struct repricing *r, struct segment *segment, double *costs, bool *changed,
                         struct error *err) {
    int code = 0;
    *changed = false;
    for (uint32_t g = 0; g < segment_rowgroups(segment) && !code; g++) {
        const struct rowgroup *group = segment_rowgroup(segment, g);
        struct arena arena = {0};
        struct columns c;
        if (may_be_meant(r->what, group)) {
            if (!(code = read_columns(group, &arena, &c, err))) *changed |= price_rows(r, &c, group->rows, costs);
        } else {
            struct vec *old = &c.by_col[COL_COST_USD];
            if (!(code = rowgroup_read(group, COL_COST_USD, &arena, old, err)))
                memcpy(costs, old->doubles, group->rows * sizeof *costs);
        }
        costs += group->rows;
        arena_free(&arena);
    }
    return code;
}

static int reprice_segment(void *ctx, struct segment *segment, struct error *err) {
    struct repricing *r = ctx;
    uint32_t rows = (uint32_t)segment_rows(segment);
    bool changed = false, meant = false;
    if (r->stopped) return 0;
    for (uint32_t g = 0; g < segment_rowgroups(segment); g++)
        meant |= may_be_meant(r->what, segment_rowgroup(segment, g));
    double *costs = meant ? malloc(rows * sizeof *costs + 1) : NULL;
    uint32_t *kept = meant ? malloc(rows * sizeof *kept + 1) : NULL;
    int code = meant && (!costs || !kept)
                   ? error_set(err, VT_ENOMEM, "no memory for the rows of %s", segment_path(segment))
                   : 0;
    if (!code && meant) code = price_segment(r, segment, costs, &changed, err);
    for (uint32_t i = 0; i < rows && !code && changed; i++) kept[i] = i;
    if (!code && changed) {
        code = segment_rewrite(r->store, segment, &(struct rewrite){kept, rows, costs}, err);
        r->out->segments += !code;
    }
    free(costs);
    free(kept);
    if (!code) show_progress(r, segment_bytes(segment));
    return code;
}

/* ---- the whole ---- */

static int reprice_all(struct repricing *r, struct error *err) {
    struct store_stats stats;
    int code = store_seal(r->store, err); /* from here on, all that was acknowledged is in segments */
    if (code) return code;
    keeping_lock(r->store); /* no merge carries rows past us */
    store_get_stats(r->store, &stats);
    r->bytes_total = stats.segment_bytes;
    code = segments_each(r->store, reprice_segment, r, "ask again for the spans that are left", err);
    pthread_mutex_unlock(&r->store->keeping);
    return code;
}

static int look_at_all(struct repricing *r, struct error *err) {
    struct snapshot *snap = store_snapshot(r->store);
    int code = snap ? 0 : error_set(err, VT_ENOMEM, "no memory to look at the store");
    for (uint32_t g = 0; snap && g < snapshot_count(snap); g++) r->bytes_total += snapshot_rowgroup(snap, g)->rows;
    for (uint32_t g = 0; snap && g < snapshot_count(snap) && !code && !r->stopped; g++) {
        const struct rowgroup *group = snapshot_rowgroup(snap, g);
        struct arena arena = {0};
        struct columns c;
        if (may_be_meant(r->what, group) && !(code = read_columns(group, &arena, &c, err)))
            price_rows(r, &c, group->rows, NULL);
        if (code == VT_ECORRUPT) code = 0; /* it was set aside, and is not answered from any more */
        arena_free(&arena);
        show_progress(r, group->rows);
    }
    snapshot_free(snap);
    return code;
}

int store_reprice(struct store *s, const struct reprice *what, struct repriced *out, struct error *err) {
    struct repricing r = {.store = s, .what = what, .out = out};
    *out = (struct repriced){0};
    if (!what->dry_run && store_is_read_only(s))
        return error_set(err, VT_EINVAL, "the store is open for reading only: its costs cannot be changed");
    out->models = arena_calloc(&out->arena, REPRICE_MODELS_MAX, sizeof *out->models);
    r.slots = arena_calloc(&out->arena, SLOTS, sizeof *r.slots);
    if (!out->models || !r.slots) return error_set(err, VT_ENOMEM, "no memory to compute costs");
    int code = what->dry_run ? look_at_all(&r, err) : reprice_all(&r, err);
    if (!code && r.stopped) code = error_set(err, VT_ECANCELLED, "stopped; what was computed until then stays");
    reprice_sort(out);
    return code;
}

void reprice_sort(struct repriced *repriced) {
    qsort(repriced->models, repriced->model_count, sizeof *repriced->models, dearest_first);
}

void reprice_free(struct repriced *repriced) {
    arena_free(&repriced->arena);
    *repriced = (struct repriced){0};
}
