/* Scores are few beside spans: they are read first, then one scan looks for their traces, past row groups that have
 * none. */
#include "query/scored.h"

#include "query/blocks.h"
#include "query/scores.h"

#include <pthread.h>
#include <stdlib.h>

struct scored {
    struct score score;
    struct slice model; /* of the scored span itself */
};

struct scored_trace {
    uint8_t id[TRACE_ID_SIZE];
    uint32_t first, count; /* its scores */
    bool seen;
    double cost;         /* NaN = not known */
    int64_t answered_ns; /* start of its last LLM call that went well */
    struct slice model;  /* of that call */
};

enum { MARKS = 1 << 16 };

struct scoring {
    struct ask *ask;
    struct scored *scores;
    struct scored_trace *traces; /* by id */
    uint32_t trace_count;
    uint8_t marks[MARKS / 8]; /* of ids that are wanted, by two of their bytes */
    pthread_mutex_t lock;     /* guards the traces and the ask's arena while the scan runs */
};

static unsigned mark_of(const uint8_t *id) {
    return (unsigned)(id[0] ^ id[14]) << 8 | (id[7] ^ id[15]);
}

static int by_trace(const void *a, const void *b) {
    const struct scored *x = a, *y = b;
    return memcmp(x->score.trace_id, y->score.trace_id, TRACE_ID_SIZE);
}
static int by_id(const void *a, const void *b) {
    return memcmp(a, ((const struct scored_trace *)b)->id, TRACE_ID_SIZE);
}

static int load(struct scoring *s, struct error *err) {
    struct ask *ask = s->ask;
    struct score_query query = {
        .project = ask->request->project, .from_ns = ask->from_ns, .to_ns = ask->to_ns, .limit = SCORED_MAX};
    struct score *list;
    uint32_t count;
    int code = scores_list(ask->engine->scores, &query, &ask->arena, &list, &count, err);
    if (code) return code;
    s->scores = ask_alloc(ask, count, sizeof *s->scores, err);
    s->traces = ask_alloc(ask, count, sizeof *s->traces, err);
    if (!s->scores || !s->traces) return err->code;
    for (uint32_t i = 0; i < count; i++) s->scores[i].score = list[i];
    if (count) qsort(s->scores, count, sizeof *s->scores, by_trace);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *id = s->scores[i].score.trace_id;
        if (!i || memcmp(id, s->scores[i - 1].score.trace_id, TRACE_ID_SIZE) != 0) {
            struct scored_trace *trace = &s->traces[s->trace_count++];
            *trace = (struct scored_trace){.first = i, .cost = (double)NAN, .answered_ns = INT64_MIN};
            memcpy(trace->id, id, TRACE_ID_SIZE);
            s->marks[mark_of(id) / 8] |= (uint8_t)(1u << mark_of(id) % 8);
        }
        s->traces[s->trace_count - 1].count++;
    }
    return 0;
}

/* ---- the scan ---- */

static bool may_have_some(const struct scoring *s, const struct rowgroup *group) {
    for (uint32_t i = 0; i < s->trace_count; i++)
        if (rowgroup_may_have_trace(group, s->traces[i].id)) return true;
    return false;
}

struct columns {
    const struct vec *ids, *spans, *starts, *kinds, *statuses, *flags, *costs, *models;
};

static bool read_columns(struct block *block, struct columns *c, struct error *err) {
    const struct {
        const struct vec **vec;
        enum col col;
    } all[] = {{&c->ids, COL_TRACE_ID},   {&c->spans, COL_SPAN_ID},   {&c->starts, COL_START_NS},
               {&c->kinds, COL_KIND},     {&c->statuses, COL_STATUS}, {&c->flags, COL_FLAGS},
               {&c->costs, COL_COST_USD}, {&c->models, COL_MODEL}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!(*all[i].vec = block_column(block, all[i].col, err))) return false;
    return true;
}

/* Texts outlive the block. */
static struct slice keep(struct scoring *s, struct slice text) {
    return text.len ? arena_copy(&s->ask->arena, text) : text;
}

static void take_row(struct scoring *s, struct scored_trace *trace, const struct columns *c, uint32_t row) {
    double cost = c->costs->doubles[row];
    struct slice model = c->models->dict[c->models->codes[row]];
    trace->seen = true;
    if (!isnan(cost) && !(c->flags->ints[row] & SPAN_USAGE_RESTATED))
        trace->cost = isnan(trace->cost) ? cost : trace->cost + cost;
    if (!model.len) return;
    for (uint32_t i = trace->first; i < trace->first + trace->count; i++)
        if (memcmp(s->scores[i].score.span_id, c->spans->bytes + (size_t)row * SPAN_ID_SIZE, SPAN_ID_SIZE) == 0)
            s->scores[i].model = keep(s, model);
    if (c->kinds->ints[row] != KIND_LLM || c->statuses->ints[row] == STATUS_ERROR ||
        c->starts->ints[row] < trace->answered_ns)
        return;
    trace->answered_ns = c->starts->ints[row];
    if (!slice_eq(trace->model, model)) trace->model = keep(s, model);
}

static int scored_block(void *ctx, struct block *block, struct error *err) {
    struct scoring *s = ctx;
    struct columns c;
    if (!block->mend && !may_have_some(s, block->group)) return 0;
    if (!read_columns(block, &c, err)) return err->code;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < block->count; i++) {
        const uint8_t *id = c.ids->bytes + (size_t)block->rows[i] * TRACE_ID_SIZE;
        if (!(s->marks[mark_of(id) / 8] >> mark_of(id) % 8 & 1)) continue;
        struct scored_trace *trace = bsearch(id, s->traces, s->trace_count, sizeof *trace, by_id);
        if (trace) take_row(s, trace, &c, block->rows[i]);
    }
    pthread_mutex_unlock(&s->lock);
    return 0;
}

/* ---- the rows ---- */

static int by_name_and_model(const void *a, const void *b) {
    const struct scored_row *x = a, *y = b;
    const struct slice pairs[2][2] = {{x->name, y->name}, {x->model, y->model}};
    for (int i = 0; i < 2; i++) {
        size_t common = pairs[i][0].len < pairs[i][1].len ? pairs[i][0].len : pairs[i][1].len;
        int order = common ? memcmp(pairs[i][0].ptr, pairs[i][1].ptr, common) : 0;
        if (!order) order = pairs[i][0].len < pairs[i][1].len ? -1 : pairs[i][0].len > pairs[i][1].len;
        if (order) return order;
    }
    return 0;
}
static int by_name_and_count(const void *a, const void *b) {
    const struct scored_row *x = a, *y = b;
    if (!slice_eq(x->name, y->name) || x->count == y->count) return by_name_and_model(a, b);
    return x->count > y->count ? -1 : 1;
}

static int make_rows(struct scoring *s, struct scored_row **out, uint32_t *out_count, struct error *err) {
    uint32_t total = 0, count = 0;
    for (uint32_t t = 0; t < s->trace_count; t++) total += s->traces[t].seen ? s->traces[t].count : 0;
    struct scored_row *rows = *out = ask_alloc(s->ask, total, sizeof *rows, err);
    if (!rows) return err->code;
    for (uint32_t t = 0, at = 0; t < s->trace_count; t++) {
        const struct scored_trace *trace = &s->traces[t];
        for (uint32_t i = 0; trace->seen && i < trace->count; i++) {
            const struct scored *scored = &s->scores[trace->first + i];
            bool cost = !isnan(trace->cost);
            rows[at++] = (struct scored_row){
                scored->score.name,    scored->model.len ? scored->model : trace->model, 1, scored->score.value, cost,
                cost ? trace->cost : 0};
        }
    }
    if (total) qsort(rows, total, sizeof *rows, by_name_and_model);
    for (uint32_t i = 0; i < total; i++) {
        struct scored_row *last = count ? &rows[count - 1] : NULL;
        if (!last || by_name_and_model(last, &rows[i]) != 0) {
            rows[count++] = rows[i];
            continue;
        }
        last->count += rows[i].count;
        last->sum += rows[i].sum;
        last->cost_count += rows[i].cost_count;
        last->cost_sum += rows[i].cost_sum;
    }
    if (count) qsort(rows, count, sizeof *rows, by_name_and_count);
    *out_count = count;
    return 0;
}

int scored_rows(struct ask *ask, struct scored_row **rows, uint32_t *count, struct error *err) {
    struct scoring *s = ask_alloc(ask, 1, sizeof *s, err);
    if (!s) return err->code;
    s->ask = ask;
    *count = 0;
    int code = load(s, err);
    if (code || !s->trace_count) return code;
    struct scan scan = {
        .filter = ask->filter, .from_ns = INT64_MIN, .to_ns = INT64_MAX, .each = scored_block, .ctx = s};
    pthread_mutex_init(&s->lock, NULL);
    code = scan_run(ask, &scan, err);
    pthread_mutex_destroy(&s->lock);
    return code ? code : make_rows(s, rows, count, err);
}
