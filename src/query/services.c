/* GET /api/v1/services: who calls whom. A call is a span whose parent belongs to another service. Both mostly stand in
 * one row group; what is left over is looked for in a second scan. Calls to LLM providers come from the aggregator. */
#include "query/blocks.h"
#include "query/numbers.h"
#include "query/sketch.h"

#include <pthread.h>
#include <stdlib.h>

enum { EDGES_MAX = 4096, ORPHANS_MAX = 1 << 18, SERVICES_SHOWN = 500 };

struct edge {
    struct slice from, to;
    double count, errors;
    struct sketch sketch; /* of durations in ms */
};

/* A span whose parent was not in its row group. */
struct orphan {
    uint8_t parent[SPAN_ID_SIZE], trace[TRACE_ID_SIZE];
    struct slice service;
    double weight, duration_ms;
    bool error, found;
};

struct map {
    struct ask *ask;
    pthread_mutex_t lock; /* guards all that follows and the arena */
    struct arena *arena;
    struct edge *edges;
    uint32_t edge_count;
    struct orphan *orphans;
    uint32_t orphan_count, orphan_capacity;
};

static int no_memory(struct error *err) {
    return error_set(err, VT_ELIMIT, "the map of services needs more memory than one request may hold");
}

/* Under the lock. */
static int add_call(struct map *map, struct slice from, struct slice to, double weight, bool error, double duration_ms,
                    struct error *err) {
    uint32_t i = 0;
    while (i < map->edge_count && !(slice_eq(map->edges[i].from, from) && slice_eq(map->edges[i].to, to))) i++;
    struct edge *edge = &map->edges[i];
    if (i == map->edge_count) {
        if (i == EDGES_MAX) return error_set(err, VT_ELIMIT, "over %d pairs of services call each other", EDGES_MAX);
        *edge = (struct edge){.from = arena_copy(map->arena, from), .to = arena_copy(map->arena, to)};
        sketch_init(&edge->sketch);
        if (!edge->from.ptr || !edge->to.ptr) return no_memory(err);
        map->edge_count++;
    }
    edge->count += weight;
    edge->errors += error ? weight : 0;
    return sketch_add(&edge->sketch, duration_ms, weight, map->arena) ? 0 : no_memory(err);
}

/* Under the lock. What is over the limit is left out: the map shows who calls whom, not each call. */
static int add_orphan(struct map *map, const struct orphan *orphan, struct error *err) {
    if (map->orphan_count == ORPHANS_MAX) return 0;
    if (map->orphan_count == map->orphan_capacity) {
        uint32_t capacity = map->orphan_capacity ? 2 * map->orphan_capacity : 1024;
        struct orphan *more = arena_alloc(map->arena, capacity * sizeof *more);
        if (!more) return no_memory(err);
        if (map->orphan_count) memcpy(more, map->orphans, map->orphan_count * sizeof *more);
        map->orphans = more;
        map->orphan_capacity = capacity;
    }
    struct orphan *kept = &map->orphans[map->orphan_count++];
    *kept = *orphan;
    kept->service = arena_copy(map->arena, orphan->service);
    return kept->service.ptr ? 0 : no_memory(err);
}

/* ---- within a row group ---- */

struct columns {
    const struct vec *traces, *spans, *parents, *services, *statuses, *durations;
    const double *weights; /* NULL: all 1 */
};

static int read_columns(struct block *block, struct columns *c, struct error *err) {
    const struct {
        const struct vec **vec;
        enum col col;
    } all[] = {{&c->traces, COL_TRACE_ID},  {&c->spans, COL_SPAN_ID},   {&c->parents, COL_PARENT_SPAN_ID},
               {&c->services, COL_SERVICE}, {&c->statuses, COL_STATUS}, {&c->durations, COL_DURATION_NS}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!(*all[i].vec = block_column(block, all[i].col, err))) return err->code;
    return block_weights(block, &c->weights, err);
}

static uint32_t slot_of(const uint8_t *span, uint32_t mask) {
    uint64_t word;
    memcpy(&word, span, sizeof word);
    word ^= word >> 32; /* ids that count upwards differ in their last bytes alone */
    return (uint32_t)(word * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;
}

/* Rows of the group by span id: row + 1, 0 = free. */
static uint32_t *index_spans(struct block *block, const struct vec *spans, uint32_t *mask) {
    uint32_t slots = 64;
    while (slots < 2 * block->group->rows) slots *= 2;
    uint32_t *table = arena_calloc(&block->arena, slots, sizeof *table);
    *mask = slots - 1;
    for (uint32_t row = 0; table && row < block->group->rows; row++) {
        uint32_t at = slot_of(spans->bytes + (size_t)row * SPAN_ID_SIZE, *mask);
        while (table[at]) at = (at + 1) & *mask;
        table[at] = row + 1;
    }
    return table;
}

static int64_t parent_row(const struct columns *c, const uint32_t *table, uint32_t mask, uint32_t row) {
    const uint8_t *parent = c->parents->bytes + (size_t)row * SPAN_ID_SIZE,
                  *trace = c->traces->bytes + (size_t)row * TRACE_ID_SIZE;
    for (uint32_t at = slot_of(parent, mask); table[at]; at = (at + 1) & mask) {
        uint32_t other = table[at] - 1;
        if (memcmp(c->spans->bytes + (size_t)other * SPAN_ID_SIZE, parent, SPAN_ID_SIZE) == 0 &&
            memcmp(c->traces->bytes + (size_t)other * TRACE_ID_SIZE, trace, TRACE_ID_SIZE) == 0)
            return other;
    }
    return -1;
}

static int take_block(struct map *map, struct block *block, const struct columns *c, const uint32_t *table,
                      uint32_t mask, struct error *err) {
    int code = 0;
    for (uint32_t i = 0; i < block->count && !code; i++) {
        uint32_t row = block->rows[i];
        struct slice service = c->services->dict[c->services->codes[row]];
        if (!service.len || id_is_zero(c->parents->bytes + (size_t)row * SPAN_ID_SIZE, SPAN_ID_SIZE)) continue;
        struct orphan call = {.service = service,
                              .weight = c->weights ? c->weights[row] : 1,
                              .duration_ms = (double)c->durations->ints[row] * 1e-6,
                              .error = c->statuses->ints[row] == STATUS_ERROR};
        int64_t parent = parent_row(c, table, mask, row);
        if (parent < 0) {
            memcpy(call.parent, c->parents->bytes + (size_t)row * SPAN_ID_SIZE, SPAN_ID_SIZE);
            memcpy(call.trace, c->traces->bytes + (size_t)row * TRACE_ID_SIZE, TRACE_ID_SIZE);
            code = add_orphan(map, &call, err);
        } else if (c->services->codes[parent] != c->services->codes[row]) {
            struct slice caller = c->services->dict[c->services->codes[parent]];
            if (caller.len) code = add_call(map, caller, service, call.weight, call.error, call.duration_ms, err);
        }
    }
    return code;
}

static int map_block(void *ctx, struct block *block, struct error *err) {
    struct map *map = ctx;
    struct columns c;
    uint32_t mask;
    int code = read_columns(block, &c, err);
    if (code) return code;
    const uint32_t *table = index_spans(block, c.spans, &mask);
    if (!table) return no_memory(err);
    pthread_mutex_lock(&map->lock);
    code = take_block(map, block, &c, table, mask, err);
    pthread_mutex_unlock(&map->lock);
    return code;
}

/* ---- parents elsewhere ---- */

static int by_parent(const void *a, const void *b) {
    const struct orphan *x = a, *y = b;
    int order = memcmp(x->parent, y->parent, SPAN_ID_SIZE);
    return order ? order : memcmp(x->trace, y->trace, TRACE_ID_SIZE);
}

static uint32_t first_of(const struct map *map, const struct orphan *wanted) {
    uint32_t low = 0, high = map->orphan_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (by_parent(&map->orphans[middle], wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int parents_block(void *ctx, struct block *block, struct error *err) {
    struct map *map = ctx;
    const struct vec *spans = block_column(block, COL_SPAN_ID, err),
                     *traces = spans ? block_column(block, COL_TRACE_ID, err) : NULL;
    const struct vec *services = traces ? block_column(block, COL_SERVICE, err) : NULL;
    int code = 0;
    if (!services) return err->code;
    pthread_mutex_lock(&map->lock);
    for (uint32_t i = 0; i < block->count && !code; i++) {
        uint32_t row = block->rows[i];
        struct orphan wanted;
        memcpy(wanted.parent, spans->bytes + (size_t)row * SPAN_ID_SIZE, SPAN_ID_SIZE);
        memcpy(wanted.trace, traces->bytes + (size_t)row * TRACE_ID_SIZE, TRACE_ID_SIZE);
        struct slice caller = services->dict[services->codes[row]];
        for (uint32_t at = first_of(map, &wanted);
             at < map->orphan_count && !code && by_parent(&map->orphans[at], &wanted) == 0; at++) {
            struct orphan *orphan = &map->orphans[at];
            if (orphan->found) continue;
            orphan->found = true;
            if (caller.len && !slice_eq(caller, orphan->service))
                code = add_call(map, caller, orphan->service, orphan->weight, orphan->error, orphan->duration_ms, err);
        }
    }
    pthread_mutex_unlock(&map->lock);
    return code;
}

/* A parent begins at most a day before its child, as clocks and long work go. */
static int find_parents(struct map *map, struct error *err) {
    static const int64_t DAY_NS = 86400 * INT64_C(1000000000);
    struct scan scan = {
        .from_ns = map->ask->from_ns - DAY_NS, .to_ns = map->ask->to_ns + DAY_NS, .each = parents_block, .ctx = map};
    if (!map->orphan_count) return 0;
    qsort(map->orphans, map->orphan_count, sizeof *map->orphans, by_parent);
    return scan_run(map->ask, &scan, err);
}

static int find_edges(struct map *map, struct error *err) {
    struct ask *ask = map->ask;
    struct scan scan = {
        .filter = ask->filter, .from_ns = ask->from_ns, .to_ns = ask->to_ns, .each = map_block, .ctx = map};
    if (!(map->edges = ask_alloc(ask, EDGES_MAX + 1, sizeof *map->edges, err)) ||
        !(map->arena = ask_new_arena(ask, err)))
        return err->code;
    pthread_mutex_init(&map->lock, NULL);
    int code = scan_run(ask, &scan, err);
    if (!code) code = find_parents(map, err);
    pthread_mutex_destroy(&map->lock);
    return code;
}

/* ---- the answer ---- */

enum { S_COUNT, S_ERRORS, S_P50, S_P95, S_COLUMNS };

static double seconds_of(const struct ask *ask) {
    return (double)(ask->to_ns - ask->from_ns) * 1e-9;
}

static void put_call(const struct ask *ask, struct slice from, struct slice to, const double v[S_COLUMNS],
                     struct json_writer *w) {
    json_open(w, '{');
    put_text(w, "from", from);
    put_text(w, "to", to);
    put_count(w, "count", v[S_COUNT]);
    put_count(w, "errors", v[S_ERRORS]);
    put_number(w, "error_rate", share_of(v[S_ERRORS], v[S_COUNT]));
    put_number(w, "rate", v[S_COUNT] / seconds_of(ask));
    put_number(w, "p50_ms", v[S_P50]);
    put_number(w, "p95_ms", v[S_P95]);
    json_close(w, '}');
}

static void put_edges(const struct map *map, struct ranked *list, struct json_writer *w) {
    for (uint32_t i = 0; i < map->edge_count; i++)
        list[i] = (struct ranked){map->edges[i].count, map->edges[i].from, i};
    rank(list, map->edge_count);
    for (uint32_t i = 0; i < map->edge_count; i++) {
        const struct edge *edge = &map->edges[list[i].group];
        double v[S_COLUMNS] = {edge->count, edge->errors, sketch_quantile(&edge->sketch, 0.5),
                               sketch_quantile(&edge->sketch, 0.95)};
        put_call(map->ask, edge->from, edge->to, v, w);
    }
}

static void put_provider_calls(const struct ask *ask, const struct agg_result *result, struct ranked *list,
                               struct json_writer *w) {
    uint32_t count = 0;
    for (uint32_t g = 0; g < result->group_count; g++) {
        const struct agg_key *keys = result->groups[g].keys;
        double calls = agg_total(result, g, S_COUNT);
        if (keys[0].type == AGG_KEY_TEXT && keys[1].type == AGG_KEY_TEXT && calls > 0)
            list[count++] = (struct ranked){calls, keys[0].text, g};
    }
    rank(list, count);
    for (uint32_t i = 0; i < count && i < SERVICES_SHOWN; i++) {
        double v[S_COLUMNS];
        for (uint32_t c = 0; c < S_COLUMNS; c++) v[c] = agg_total(result, list[i].group, c);
        put_call(ask, list[i].key, result->groups[list[i].group].keys[1].text, v, w);
    }
}

static void put_services(const struct ask *ask, const struct agg_result *result, struct ranked *list,
                         struct json_writer *w) {
    uint32_t count = 0;
    for (uint32_t g = 0; g < result->group_count; g++)
        if (result->groups[g].keys[0].type == AGG_KEY_TEXT)
            list[count++] = (struct ranked){agg_total(result, g, S_COUNT), result->groups[g].keys[0].text, g};
    rank(list, count);
    json_put_key(w, "services");
    json_open(w, '[');
    for (uint32_t i = 0; i < count && i < SERVICES_SHOWN; i++) {
        double errors = agg_total(result, list[i].group, S_ERRORS);
        json_open(w, '{');
        put_text(w, "service", list[i].key);
        put_count(w, "spans", list[i].value);
        put_count(w, "errors", errors);
        put_number(w, "error_rate", share_of(errors, list[i].value));
        put_number(w, "rate", list[i].value / seconds_of(ask));
        put_number(w, "p95_ms", agg_total(result, list[i].group, S_P95));
        json_close(w, '}');
    }
    json_close(w, ']');
}

int services_get(struct ask *ask, struct json_writer *w, struct error *err) {
    struct number_filters filters;
    struct agg_column columns[2][S_COLUMNS];
    struct agg_spec specs[2];
    struct agg_result *results[2];
    struct field by[2];
    struct map map = {.ask = ask};
    int code = number_filters_make(ask, &filters, err);
    if (code) return code;
    field_named(SLICE("service"), false, &by[0], NULL);
    field_named(SLICE("provider"), false, &by[1], NULL);
    for (int i = 0; i < 2; i++) {
        const struct filter *where = i ? filters.called : NULL;
        columns[i][S_COUNT] = number_column(AGG_COUNT, NULL, where);
        columns[i][S_ERRORS] = number_column(AGG_ERRORS, NULL, where);
        columns[i][S_P50] = columns[i][S_P95] = number_column(AGG_PERCENTILE, "duration_ms", where);
        columns[i][S_P50].quantile = 0.5, columns[i][S_P95].quantile = 0.95;
        specs[i] = (struct agg_spec){.filter = ask->filter,
                                     .from_ns = ask->from_ns,
                                     .to_ns = ask->to_ns,
                                     .columns = columns[i],
                                     .column_count = S_COLUMNS,
                                     .group_by = by,
                                     .group_by_count = 1 + (uint32_t)i};
    }
    if ((code = aggregate_many(ask, specs, 2, results, err))) return code;
    uint32_t most =
        results[0]->group_count > results[1]->group_count ? results[0]->group_count : results[1]->group_count;
    struct ranked *list = ask_alloc(ask, most > EDGES_MAX ? most : EDGES_MAX, sizeof *list, err);
    if (!list) return err->code;
    json_open(w, '{');
    put_services(ask, results[0], list, w);
    /* With a filter, callers may be of services that it leaves out. */
    bool alone = results[0]->group_count <= 1 && filter_is_empty(ask->filter);
    if (!alone && (code = find_edges(&map, err))) return code;
    json_put_key(w, "calls");
    json_open(w, '[');
    put_edges(&map, list, w);
    put_provider_calls(ask, results[1], list, w);
    json_close(w, ']');
    ask_put_tail(ask, w);
    json_close(w, '}');
    return 0;
}
