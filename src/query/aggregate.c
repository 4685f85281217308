/* The aggregation: plan, scan, merge. */
#include "query/agg_internal.h"
#include "query/partials.h"
#include "query/spare.h"

#include <stdlib.h>

enum { AGG_MANY_MAX = 16 }; /* that may be kept together */

/* ---- plan ---- */

static enum slot_kind kind_of(enum agg_op op) {
    static const enum slot_kind kinds[] = {
        [AGG_COUNT] = SLOT_COUNT,       [AGG_RATE] = SLOT_COUNT,       [AGG_ERRORS] = SLOT_ERRORS,
        [AGG_ERROR_RATE] = SLOT_ERRORS, [AGG_SUM] = SLOT_SUM,          [AGG_AVG] = SLOT_SUM,
        [AGG_MIN] = SLOT_MIN,           [AGG_MAX] = SLOT_MAX,          [AGG_PERCENTILE] = SLOT_SKETCH,
        [AGG_HISTOGRAM] = SLOT_SKETCH,  [AGG_DISTINCT] = SLOT_DISTINCT};
    return kinds[op];
}

static bool slot_serves(const struct agg_slot *slot, const struct agg_column *column) {
    const struct field *a = &slot->column->field, *b = &column->field;
    if (slot->kind != kind_of(column->op) || slot->column->where != column->where) return false;
    return slot->kind < SLOT_SUM || (a->source == b->source && a->col == b->col && slice_eq(a->key, b->key));
}

static int make_plan(const struct agg_spec *spec, struct agg_plan *plan, struct error *err) {
    if (spec->column_count > AGG_COLUMNS_MAX)
        return error_set(err, VT_ELIMIT, "there are %u aggregates, at most %d are taken", spec->column_count,
                         AGG_COLUMNS_MAX);
    if (spec->group_by_count > GROUP_BY_MAX)
        return error_set(err, VT_ELIMIT, "group_by: there are %u fields, at most %d are taken", spec->group_by_count,
                         GROUP_BY_MAX);
    plan->spec = spec;
    for (uint32_t c = 0; c < spec->column_count; c++) {
        uint32_t s = 0;
        while (s < plan->slot_count && !slot_serves(&plan->slots[s], &spec->columns[c])) s++;
        if (s == plan->slot_count)
            plan->slots[plan->slot_count++] = (struct agg_slot){kind_of(spec->columns[c].op), &spec->columns[c]};
        plan->slot_of[c] = s;
    }
    return 0;
}

/* ---- scan ---- */

struct aggregation {
    struct agg_plan plan;
    struct agg_worker workers[WORKERS_MAX];
};

struct aggregations {
    struct aggregation *all;
    uint32_t count;
    const struct agg_also *also; /* NULL = nothing */
    struct scan scan;
    /* Parts of row groups that are kept (partials.h): made in workers of their own, then added to the others. */
    struct partials *partials;
    uint64_t question;
    atomic_bool too_large; /* one was: no more are made */
    struct agg_worker *part_workers[WORKERS_MAX];
    struct arena *part_arenas[WORKERS_MAX];
    size_t held[WORKERS_MAX]; /* bytes in the arenas of each thread, its block's too, as ask_hold knows */
};

static int no_memory(struct error *err) {
    return error_set(err, VT_ELIMIT, "the groups need more memory than one request may hold");
}

static int fold_block(struct agg_worker *worker, struct block *block, struct error *err) {
    struct block_groups groups;
    int code = block->count ? agg_group_rows(worker, block, &groups, err) : 0;
    return code || !block->count ? code : agg_fold(worker, block, &groups, err);
}

static int add_partial(struct aggregations *as, unsigned worker, const struct partial *partial, struct error *err) {
    struct agg_worker *workers[AGG_MANY_MAX];
    for (uint32_t i = 0; i < as->count; i++) workers[i] = &as->all[i].workers[worker];
    return partial_add(partial, workers) ? 0 : no_memory(err);
}

/* *done stays false when the row group's part is too large to be kept: then nothing was added. */
static int fold_to_keep(struct aggregations *as, struct block *block, const struct partial_key *key, bool *done,
                        struct error *err) {
    enum { ARENA_KEPT_MAX = 32 << 20 };
    struct agg_worker *workers = as->part_workers[block->worker], *list[AGG_MANY_MAX];
    arena_renew(as->part_arenas[block->worker], ARENA_KEPT_MAX);
    for (uint32_t i = 0; i < as->count; i++) {
        workers[i] = (struct agg_worker){.plan = &as->all[i].plan, .arena = as->part_arenas[block->worker]};
        list[i] = &workers[i];
        int code = fold_block(&workers[i], block, err);
        if (code) return code;
    }
    struct partial *partial = partial_of_workers(list, as->count);
    *done = partial != NULL;
    if (!partial) {
        atomic_store_explicit(&as->too_large, true, memory_order_relaxed);
        return 0;
    }
    int code = add_partial(as, block->worker, partial, err);
    partials_put(as->partials, key, partial);
    return code;
}

/* The limits of arenas are for one aggregation each; all together have one, too. */
static int hold(struct aggregations *as, struct block *block, struct error *err) {
    size_t now = block->arena.total_bytes, before = as->held[block->worker];
    for (uint32_t i = 0; i < as->count; i++) now += as->all[i].workers[block->worker].arena->total_bytes;
    if (now > before) as->held[block->worker] = now;
    return ask_hold(block->ask, before, now, err);
}

static int aggregate_block(void *ctx, struct block *block, struct error *err) {
    struct aggregations *as = ctx;
    struct partial_key key;
    bool done = false;
    int code = as->also ? as->also->each(as->also->ctx, block, err) : 0;
    if (!code && !atomic_load_explicit(&as->too_large, memory_order_relaxed) &&
        partial_key_of(as->question, block->group, block->mend, as->scan.from_ns, as->scan.to_ns, &key))
        code = fold_to_keep(as, block, &key, &done, err);
    for (uint32_t i = 0; i < as->count && !code && !done; i++)
        code = fold_block(&as->all[i].workers[block->worker], block, err);
    return code ? code : hold(as, block, err);
}

static int aggregate_known(void *ctx, struct block *block, struct error *err) {
    struct aggregations *as = ctx;
    struct partial_key key;
    if (!partial_key_of(as->question, block->group, block->mend, as->scan.from_ns, as->scan.to_ns, &key)) return 0;
    struct partial *partial = partials_find(as->partials, &key);
    int known = partial && as->also ? as->also->known(as->also->ctx, block, err) : partial != NULL;
    if (known > 0 && add_partial(as, block->worker, partial, err)) known = err->code;
    partial_unref(partial);
    return known;
}

/* ---- merge ---- */

static bool sketch_take(struct sketch **into, struct sketch *from, struct arena *arena) {
    if (!from) return true;
    if (*into) return sketch_merge(*into, from, arena);
    *into = from;
    return true;
}

bool cell_merge(const struct agg_slot *slot, struct agg_cell *into, const struct agg_cell *from, struct arena *arena) {
    switch (slot->kind) {
    case SLOT_SKETCH: return sketch_take(&into->sketch, from->sketch, arena);
    case SLOT_DISTINCT:
        if (!from->distinct) return true;
        if (into->distinct) return distinct_merge(into->distinct, from->distinct, arena);
        into->distinct = from->distinct;
        return true;
    case SLOT_MIN:
        if (from->a < into->a) into->a = from->a;
        break;
    case SLOT_MAX:
        if (from->a > into->a) into->a = from->a;
        break;
    default: into->a += from->a;
    }
    into->b += from->b;
    return true;
}

/* Keys that both have of one book, without a look at their hashes. */
static bool translate_known(struct agg_worker *into, const struct agg_worker *from, uint32_t f,
                            const struct codebook *book, uint32_t *numbers) {
    const struct number_map *known = &from->known[f];
    if (!known_grow(&into->known[f], known->count, into->arena)) return false;
    for (uint32_t n = 0; n < known->count; n++) {
        if (!known->keys[n]) continue;
        uint32_t own = known_number(&into->keys[f], &into->known[f], book, n, into->arena);
        if (own == UINT32_MAX) return false;
        numbers[known->keys[n] - 1] = own;
    }
    return true;
}

/* What the keys of one worker are called by another. */
static bool translate_keys(struct agg_worker *into, const struct agg_worker *from, uint32_t f,
                           const struct codebook *book, uint32_t **numbers) {
    const struct key_list *keys = &from->keys[f];
    *numbers = arena_alloc(into->arena, ((size_t)keys->table.count + 1) * sizeof **numbers);
    if (!*numbers) return false;
    memset(*numbers, 0xff, keys->table.count * sizeof **numbers);
    if (book && !translate_known(into, from, f, book, *numbers)) return false;
    for (uint32_t k = 0; k < keys->table.count; k++) {
        if ((*numbers)[k] != UINT32_MAX) continue;
        (*numbers)[k] = key_number_hashed(&into->keys[f], &keys->keys[k], keys->table.hashes[k], false, into->arena);
        if ((*numbers)[k] == UINT32_MAX) return false;
    }
    return true;
}

static bool merge_worker(const struct ask *ask, struct agg_worker *into, const struct agg_worker *from) {
    const struct agg_plan *plan = into->plan;
    uint32_t *numbers[GROUP_BY_MAX];
    for (uint32_t f = 0; f < plan->spec->group_by_count; f++) {
        const struct field *field = &plan->spec->group_by[f];
        int which = field->source == FIELD_COLUMN ? codebook_of(field->col) : -1;
        if (!translate_keys(into, from, f, which >= 0 ? ask->books[which] : NULL, &numbers[f])) return false;
    }
    for (uint32_t p = 0; p < from->point_table.count; p++) {
        const uint32_t *old = worker_keys(from, from->points[p].group);
        struct agg_tuple tuple;
        for (uint32_t f = 0; f < plan->spec->group_by_count; f++) tuple.keys[f] = numbers[f][old[f]];
        uint32_t point = worker_point(into, &tuple, from->points[p].bucket);
        if (point == UINT32_MAX) return false;
        for (uint32_t s = 0; s < plan->slot_count; s++)
            if (!cell_merge(&plan->slots[s], &into->cells[point][s], &from->cells[p][s], into->arena)) return false;
    }
    return true;
}

/* ---- result ---- */

static _Thread_local const struct agg_place *sort_places;

static int by_group_and_time(const void *a, const void *b) {
    const struct agg_place *x = &sort_places[*(const uint32_t *)a], *y = &sort_places[*(const uint32_t *)b];
    if (x->group != y->group) return x->group < y->group ? -1 : 1;
    return x->bucket < y->bucket ? -1 : x->bucket > y->bucket;
}

static int make_result(struct ask *ask, struct agg_worker *worker, struct agg_result **out, struct error *err) {
    const struct agg_spec *spec = worker->plan->spec;
    uint32_t points = worker->point_table.count, groups = worker->group_table.count, slots = worker->plan->slot_count;
    size_t bytes = groups * sizeof(struct agg_group) + points * (sizeof(struct agg_point) + sizeof(uint32_t)) +
                   (size_t)points * slots * sizeof(struct agg_cell);
    int code = ask_hold(ask, 0, bytes, err);
    if (code) return code;
    struct agg_result *result = ask_alloc(ask, 1, sizeof *result, err);
    uint32_t *order = ask_alloc(ask, points, sizeof *order, err),
             *slot_of = ask_alloc(ask, AGG_COLUMNS_MAX, sizeof *slot_of, err);
    if (!result || !order || !slot_of) return err->code;
    *result = (struct agg_result){.spec = spec,
                                  .group_count = groups,
                                  .point_count = points,
                                  .slots = slot_of,
                                  .slot_count = slots,
                                  .arena = worker->arena};
    result->groups = ask_alloc(ask, groups, sizeof *result->groups, err);
    result->points = ask_alloc(ask, points, sizeof *result->points, err);
    result->cells = ask_alloc(ask, (size_t)points * slots, sizeof *result->cells, err);
    struct agg_key *keys = ask_alloc(ask, (size_t)groups * spec->group_by_count, sizeof *keys, err);
    if (!result->groups || !result->points || !result->cells || !keys) return err->code;
    memcpy(slot_of, worker->plan->slot_of, sizeof worker->plan->slot_of);
    for (uint32_t p = 0; p < points; p++) order[p] = p;
    sort_places = worker->points;
    if (points && spec->interval_ns) qsort(order, points, sizeof *order, by_group_and_time);
    for (uint32_t g = 0; g < groups; g++)
        for (uint32_t f = 0; f < spec->group_by_count; f++) {
            struct agg_key *own = &keys[(size_t)g * spec->group_by_count];
            own[f] = worker->keys[f].keys[worker_keys(worker, g)[f]];
            result->groups[g].keys = own;
        }
    for (uint32_t p = 0; p < points; p++) {
        const struct agg_place *place = &worker->points[order[p]];
        struct agg_group *group = &result->groups[place->group];
        if (!group->point_count++) group->first_point = p;
        result->points[p] =
            (struct agg_point){spec->interval_ns ? place->bucket * spec->interval_ns : spec->from_ns, p};
        memcpy(&result->cells[(size_t)p * slots], worker->cells[order[p]], slots * sizeof *result->cells);
    }
    *out = result;
    return 0;
}

static int prepare(struct ask *ask, const struct agg_spec *spec, struct aggregation *a, struct error *err) {
    int code = make_plan(spec, &a->plan, err);
    for (int i = 0; !code && i < CODEBOOK_COLUMNS; i++)
        if (!ask->books[i]) ask->books[i] = codebook_take(ask->engine->books, i);
    for (unsigned i = 0; !code && i < scan_workers(ask); i++) {
        a->workers[i].plan = &a->plan;
        if (!(a->workers[i].arena = ask_new_arena(ask, err))) code = err->code;
    }
    return code;
}

/* Without group_by there is always one group, and without an interval its one point. */
static int close_result(struct ask *ask, struct agg_worker *worker, struct agg_result **out, struct error *err) {
    static const struct agg_tuple none;
    const struct agg_spec *spec = worker->plan->spec;
    if (!spec->group_by_count && !spec->interval_ns && worker_point(worker, &none, 0) == UINT32_MAX)
        return error_set(err, VT_ELIMIT, "the request needs more memory than one may hold");
    return make_result(ask, worker, out, err);
}

static int finish(struct ask *ask, struct aggregation *a, struct agg_result **out, struct error *err) {
    for (unsigned i = 1; i < scan_workers(ask); i++)
        if (!merge_worker(ask, &a->workers[0], &a->workers[i])) return no_memory(err);
    return close_result(ask, &a->workers[0], out, err);
}

/* Adds a point of a result, which stays as it is, to one of the worker's with the same slots. */
static bool point_add(struct agg_worker *worker, uint32_t point, const struct agg_result *result,
                      const struct agg_point *from) {
    const struct agg_cell *cells = &result->cells[(size_t)from->state * result->slot_count];
    for (uint32_t s = 0; s < worker->plan->slot_count; s++) {
        const struct agg_slot *slot = &worker->plan->slots[s];
        struct agg_cell *into = &worker->cells[point][s];
        /* cell_merge would take over the first sketch or set, which others need as it is. */
        if (slot->kind == SLOT_SKETCH && cells[s].sketch && !into->sketch) {
            if (!(into->sketch = arena_alloc(worker->arena, sizeof *into->sketch))) return false;
            sketch_init(into->sketch);
        }
        if (slot->kind == SLOT_DISTINCT && cells[s].distinct && !into->distinct &&
            !(into->distinct = arena_calloc(worker->arena, 1, sizeof *into->distinct)))
            return false;
        if (!cell_merge(slot, into, &cells[s], worker->arena)) return false;
    }
    return true;
}

/* Workers for parts; without memory for them none are made. */
static void prepare_parts(struct ask *ask, struct aggregations *as, const struct agg_spec *specs) {
    struct error none;
    uint64_t question = as->count <= AGG_MANY_MAX ? partial_question(ask, specs, as->count) : 0;
    for (uint32_t i = 0; i < as->count && question; i++)
        question = (question * UINT64_C(0x9e3779b97f4a7c15) ^ as->all[i].plan.slot_count) | 1;
    for (unsigned w = 0; w < scan_workers(ask) && question; w++) {
        as->part_workers[w] = ask_alloc(ask, as->count, sizeof *as->part_workers[w], &none);
        as->part_arenas[w] = ask_new_arena(ask, &none);
        if (!as->part_workers[w] || !as->part_arenas[w]) question = 0;
    }
    as->partials = ask->engine->partials;
    as->question = question;
}

int aggregate_with(struct ask *ask, const struct agg_spec *specs, uint32_t count, struct agg_result **results,
                   const struct agg_also *also, struct error *err) {
    struct aggregations as = {.all = ask_alloc(ask, count, sizeof *as.all, err), .count = count, .also = also};
    as.scan = (struct scan){.filter = specs->filter,
                            .from_ns = specs->from_ns,
                            .to_ns = specs->to_ns,
                            .apart = true,
                            .each = aggregate_block,
                            .ctx = &as};
    int code = as.all ? 0 : err->code;
    for (uint32_t i = 0; i < count && !code; i++) code = prepare(ask, &specs[i], &as.all[i], err);
    if (!code) prepare_parts(ask, &as, specs);
    if (as.question) as.scan.known = aggregate_known, as.scan.none = aggregate_block;
    if (!code) code = scan_run(ask, &as.scan, err);
    for (uint32_t i = 0; i < count && !code; i++) code = finish(ask, &as.all[i], &results[i], err);
    return code;
}

int aggregate_many(struct ask *ask, const struct agg_spec *specs, uint32_t count, struct agg_result **results,
                   struct error *err) {
    return aggregate_with(ask, specs, count, results, NULL, err);
}

int aggregate(struct ask *ask, const struct agg_spec *spec, struct agg_result **result, struct error *err) {
    return aggregate_many(ask, spec, 1, result, err);
}

int agg_rollup(struct ask *ask, const struct agg_result *fine, const struct agg_spec *coarse, const uint32_t *keep,
               struct agg_result **out, struct error *err) {
    struct aggregation *a = ask_alloc(ask, 1, sizeof *a, err);
    int code = a ? make_plan(coarse, &a->plan, err) : err->code;
    if (code) return code;
    struct agg_worker *worker = &a->workers[0];
    worker->plan = &a->plan;
    if (!(worker->arena = ask_new_arena(ask, err))) return err->code;
    for (uint32_t g = 0; g < fine->group_count; g++) {
        const struct agg_group *group = &fine->groups[g];
        struct agg_tuple tuple = {{0}};
        bool done = true;
        for (uint32_t f = 0; f < coarse->group_by_count; f++) {
            tuple.keys[f] = key_number(&worker->keys[f], &group->keys[keep[f]], false, worker->arena);
            done = done && tuple.keys[f] != UINT32_MAX;
        }
        for (uint32_t p = 0; done && p < group->point_count; p++) {
            const struct agg_point *from = &fine->points[group->first_point + p];
            uint32_t point =
                worker_point(worker, &tuple, coarse->interval_ns ? from->start_ns / coarse->interval_ns : 0);
            done = point != UINT32_MAX && point_add(worker, point, fine, from);
        }
        if (!done) return no_memory(err);
    }
    return close_result(ask, worker, out, err);
}
