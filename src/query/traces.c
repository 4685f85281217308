/* Loading traces: rows with the wanted trace ids from every row group that may have some, put in order. */
#include "query/traces.h"

#include "query/blocks.h"
#include "query/score_json.h"
#include "span/settle.h"
#include "span/span_json.h"
#include "span/tree.h"

#include <pthread.h>
#include <stdlib.h>

struct loader {
    struct ask *ask;
    const uint8_t (*ids)[TRACE_ID_SIZE];
    uint32_t count;
    uint64_t columns;     /* texts that are wanted */
    pthread_mutex_t lock; /* guards what follows and the ask's arena */
    struct span **spans;
    uint32_t span_count, capacity;
};

void trace_id_of(struct slice text, uint8_t id[TRACE_ID_SIZE]) {
    if (!hex_decode(text, id, TRACE_ID_SIZE)) id_from_text(text, id, TRACE_ID_SIZE);
}

/* ---- collecting ---- */

static int read_columns(const struct loader *l, struct block *block, struct slice *texts[COL_TEXT_COUNT],
                        struct error *err) {
    for (int c = 0; c < COL_TEXT_FIRST; c++)
        if (!block_column(block, (enum col)c, err)) return err->code;
    for (int t = 0; t < COL_TEXT_COUNT; t++) {
        enum col col = (enum col)(COL_TEXT_FIRST + t);
        texts[t] = NULL;
        if (!(l->columns & (uint64_t)1 << col)) continue;
        texts[t] = arena_alloc(&block->arena, block->count * sizeof **texts);
        if (!texts[t]) return error_set(err, VT_ELIMIT, "the traces need more memory than a request may hold");
        int code = block_texts(block, col, block->rows, block->count, texts[t], err);
        if (code) return code;
    }
    return 0;
}

static void copy_numbers(const struct block *block, uint32_t row, struct span *span) {
    for (int c = 0; c < COL_TEXT_FIRST; c++) {
        const struct column *column = &span_columns[c];
        const struct vec *vec = &block->vecs[c];
        size_t width = column->type == COL_BYTES ? column->width : 8;
        const uint8_t *from = column->type == COL_BYTES ? vec->bytes
                              : column->type == COL_INT ? (const void *)vec->ints
                                                        : (const void *)vec->doubles;
        memcpy((char *)span + column->offset, from + row * width, width);
    }
}

static struct span *new_span(struct loader *l, struct error *err) {
    struct arena *arena = &l->ask->arena;
    if (l->span_count == TRACE_SPANS_MAX) {
        error_set(err, VT_ELIMIT, "the traces have more than %d spans", TRACE_SPANS_MAX);
        return NULL;
    }
    if (l->span_count == l->capacity) {
        uint32_t capacity = l->capacity ? 2 * l->capacity : 256;
        struct span **more = arena_alloc(arena, capacity * sizeof *more);
        if (more && l->span_count) memcpy(more, l->spans, l->span_count * sizeof *more);
        if (more) l->spans = more, l->capacity = capacity;
    }
    struct span *span = l->span_count < l->capacity ? arena_alloc(arena, sizeof *span) : NULL;
    if (!span)
        error_set(err, VT_ELIMIT, "the traces need more memory than a request may hold");
    else
        l->spans[l->span_count++] = span;
    return span;
}

/* Few rows: only the pages that hold them are read. The texts lie in the block's arena. */
static int read_few(const struct loader *l, struct block *block, struct span **out, struct error *err) {
    static const uint64_t numbers = ((uint64_t)1 << COL_TEXT_FIRST) - 1;
    struct span *spans = arena_alloc(&block->arena, block->count * sizeof *spans);
    if (!(*out = spans)) return error_set(err, VT_ELIMIT, "the traces need more memory than a request may hold");
    for (uint32_t i = 0; i < block->count; i++) span_init(&spans[i]);
    int code = rowgroup_read_span_columns(block->group, block->rows, block->count, l->columns | numbers, &block->arena,
                                          spans, err);
    for (uint32_t i = 0; i < block->count && !code; i++) block_mend_span(block, block->rows[i], &spans[i]);
    return code;
}

static int keep_span(struct loader *l, const struct span *from, struct error *err) {
    struct span *span = new_span(l, err);
    if (!span) return err->code;
    *span = *from;
    for (int t = 0; t < COL_TEXT_COUNT; t++) {
        bool wanted = from->text[t].len && l->columns & (uint64_t)1 << (COL_TEXT_FIRST + t);
        span->text[t] = wanted ? arena_copy(&l->ask->arena, from->text[t]) : (struct slice){NULL, 0};
        if (wanted && !span->text[t].ptr)
            return error_set(err, VT_ELIMIT, "the traces need more memory than a request may hold");
    }
    return 0;
}

enum { FEW_ROWS = 2048 };

static int load_block(void *ctx, struct block *block, struct error *err) {
    struct loader *l = ctx;
    struct slice *texts[COL_TEXT_COUNT];
    struct span *few = NULL, one;
    int code = block->count <= FEW_ROWS ? read_few(l, block, &few, err) : read_columns(l, block, texts, err);
    if (code) return code;
    pthread_mutex_lock(&l->lock);
    for (uint32_t i = 0; i < block->count && !code; i++) {
        if (!few) {
            span_init(&one);
            copy_numbers(block, block->rows[i], &one);
            for (int t = 0; t < COL_TEXT_COUNT; t++) one.text[t] = texts[t] ? texts[t][i] : (struct slice){NULL, 0};
        }
        code = keep_span(l, few ? &few[i] : &one, err);
    }
    pthread_mutex_unlock(&l->lock);
    return code;
}

/* ---- order ---- */

/* By trace, then by span id; of spans that were sent twice the one that says more comes first. */
static int by_ids(const void *a, const void *b) {
    const struct span *x = *(const struct span *const *)a, *y = *(const struct span *const *)b;
    int order = memcmp(x->trace_id, y->trace_id, TRACE_ID_SIZE);
    if (!order) order = memcmp(x->span_id, y->span_id, SPAN_ID_SIZE);
    if (!order && x->start_ns != y->start_ns) order = x->start_ns < y->start_ns ? -1 : 1;
    if (!order && x->duration_ns != y->duration_ns) order = x->duration_ns > y->duration_ns ? -1 : 1;
    for (int t = 0; !order && t < COL_TEXT_COUNT; t++)
        if (x->text[t].len != y->text[t].len) order = x->text[t].len > y->text[t].len ? -1 : 1;
    return order;
}

static int by_start(const void *a, const void *b) {
    const struct span *x = *(const struct span *const *)a, *y = *(const struct span *const *)b;
    if (x->start_ns != y->start_ns) return x->start_ns < y->start_ns ? -1 : 1;
    if (x->duration_ns != y->duration_ns) return x->duration_ns > y->duration_ns ? -1 : 1;
    return memcmp(x->span_id, y->span_id, SPAN_ID_SIZE);
}

/* Walks the tree, children by start: `spans` are by start, so a child list in that order needs only to be linked. */
static bool put_in_order(struct ask *ask, struct trace *trace, const int32_t *parent) {
    uint32_t n = trace->span_count, done = 0;
    struct arena *arena = &ask->arena;
    int32_t *first = arena_alloc(arena, (n + 1) * sizeof *first), *next = arena_alloc(arena, (n + 1) * sizeof *next);
    int32_t *place = arena_alloc(arena, (n + 1) * sizeof *place);
    struct span **spans = arena_alloc(arena, (n + 1) * sizeof *spans);
    trace->parents = arena_alloc(arena, (n + 1) * sizeof *trace->parents);
    trace->depths = arena_alloc(arena, (n + 1) * sizeof *trace->depths);
    if (!first || !next || !place || !spans || !trace->parents || !trace->depths) return false;
    memset(first, 0xff, (n + 1) * sizeof *first);
    for (int32_t i = (int32_t)n - 1; i >= 0; i--) { /* slot n holds those without a parent */
        int32_t *list = &first[parent[i] < 0 ? (int32_t)n : parent[i]];
        next[i] = *list;
        *list = i;
    }
    int32_t at = first[n];
    unsigned depth = 0;
    while (at >= 0) {
        spans[done] = trace->spans[at];
        place[at] = (int32_t)done;
        trace->parents[done] = parent[at] < 0 ? -1 : place[parent[at]];
        trace->depths[done++] = (uint16_t)(depth < UINT16_MAX ? depth : UINT16_MAX);
        if (first[at] >= 0) {
            at = first[at];
            depth++;
            continue;
        }
        while (at >= 0 && next[at] < 0) at = parent[at], depth--;
        if (at >= 0) at = next[at];
    }
    memcpy(trace->spans, spans, n * sizeof *spans);
    return true;
}

static bool assemble(struct ask *ask, struct trace *trace) {
    struct arena scratch = {0};
    uint32_t n = trace->span_count;
    struct settled *settled = arena_alloc(&scratch, (n + 1) * sizeof *settled);
    int32_t *parent = arena_alloc(&scratch, (n + 1) * sizeof *parent);
    qsort(trace->spans, n, sizeof *trace->spans, by_start);
    const struct span *const *spans = (const struct span *const *)trace->spans;
    bool done = settled && parent && spans_settle(spans, n, &scratch, settled);
    for (uint32_t i = 0; i < n && done; i++)
        settled_apply(spans, settled, i, trace->spans[i]), parent[i] = settled[i].parent;
    for (uint32_t i = 0; i < n && done; i++)
        if (!trace->root && id_is_zero(trace->spans[i]->parent_span_id, SPAN_ID_SIZE)) trace->root = trace->spans[i];
    if (n && !trace->root) trace->root = trace->spans[0];
    done = done && put_in_order(ask, trace, parent);
    arena_free(&scratch);
    return done;
}

int traces_load(struct ask *ask, const uint8_t (*ids)[TRACE_ID_SIZE], uint32_t count, uint64_t columns,
                struct trace **out, struct error *err) {
    struct loader l = {.ask = ask, .ids = ids, .count = count, .columns = columns};
    struct scan scan = {
        .from_ns = INT64_MIN, .to_ns = INT64_MAX, .traces = ids, .trace_count = count, .each = load_block, .ctx = &l};
    struct trace *traces = *out = ask_alloc(ask, count, sizeof *traces, err);
    if (!traces) return err->code;
    pthread_mutex_init(&l.lock, NULL);
    int code = count ? scan_run(ask, &scan, err) : 0;
    /* An index is made of what it is asked about and should know; "there is none" is said by the segments themselves.
     */
    scan.all_places = true;
    if (count && !code && !l.span_count) code = scan_run(ask, &scan, err);
    pthread_mutex_destroy(&l.lock);
    if (code) return code;
    if (l.span_count) qsort(l.spans, l.span_count, sizeof *l.spans, by_ids);
    for (uint32_t t = 0; t < count; t++) memcpy(traces[t].trace_id, ids[t], TRACE_ID_SIZE);
    for (uint32_t i = 0, end; i < l.span_count; i = end) {
        uint32_t kept = 0, t = 0;
        for (end = i; end < l.span_count && memcmp(l.spans[end]->trace_id, l.spans[i]->trace_id, TRACE_ID_SIZE) == 0;
             end++)
            if (end == i || memcmp(l.spans[end]->span_id, l.spans[i + kept - 1]->span_id, SPAN_ID_SIZE) != 0)
                l.spans[i + kept++] = l.spans[end];
        while (t < count && memcmp(ids[t], l.spans[i]->trace_id, TRACE_ID_SIZE) != 0) t++;
        if (t == count) continue;
        traces[t].spans = l.spans + i;
        traces[t].span_count = kept;
        if (!assemble(ask, &traces[t]))
            return error_set(err, VT_ELIMIT, "the traces need more memory than a request may hold");
    }
    return 0;
}

/* ---- showing ---- */

static struct slice first_error(const struct trace *trace) {
    struct slice own = span_get_text(trace->root, COL_ERROR);
    const struct span *first = NULL;
    for (uint32_t i = 0; !own.len && i < trace->span_count; i++) {
        const struct span *span = trace->spans[i];
        if (span->status == STATUS_ERROR && span_get_text(span, COL_ERROR).len &&
            (!first || span->start_ns < first->start_ns))
            first = span;
    }
    return first ? span_get_text(first, COL_ERROR) : own;
}

/* What the root says, else the first span that says something. */
static struct slice first_text(const struct trace *trace, enum col col) {
    struct slice text = span_get_text(trace->root, col);
    for (uint32_t i = 0; !text.len && i < trace->span_count; i++) text = span_get_text(trace->spans[i], col);
    return text;
}

void trace_put_summary(const struct trace *trace, struct json_writer *w) {
    char hex[TRACE_ID_HEX];
    struct totals totals;
    const struct span *root = trace->root;
    int64_t end = root->start_ns;
    bool fallback = false;
    totals_init(&totals);
    for (uint32_t i = 0; i < trace->span_count; i++) {
        const struct span *span = trace->spans[i];
        totals_add(&totals, span);
        if (span->start_ns + span->duration_ns > end) end = span->start_ns + span->duration_ns;
        fallback |= span_is_fallback(span);
    }
    hex_encode(trace->trace_id, TRACE_ID_SIZE, hex);
    put_text(w, "trace_id", slice_make(hex, sizeof hex));
    put_text(w, "operation", span_get_text(root, COL_OPERATION));
    put_text(w, "service", span_get_text(root, COL_SERVICE));
    put_time(w, "start", root->start_ns);
    put_ms(w, "duration_ms", end - root->start_ns);
    put_text(
        w, "status",
        slice_of(span_status_names[root->status >= 0 && root->status < STATUS_COUNT ? root->status : STATUS_UNSET]));
    put_text(w, "error", first_error(trace));
    totals_put_models(&totals, w);
    put_text(w, "provider", totals.provider);
    put_count(w, "span_count", totals.spans);
    put_count(w, "llm_calls", totals.llm_calls);
    totals_put_tokens(&totals, w);
    put_number(w, "cost_usd", totals.cost_usd);
    put_text(w, "user_id", first_text(trace, COL_USER_ID));
    put_text(w, "thread_id", first_text(trace, COL_THREAD_ID));
    put_text(w, "turn_id", first_text(trace, COL_TURN_ID));
    if (!fallback) return;
    json_put_key(w, "fallback");
    json_put_bool(w, true);
}

static void put_span(const struct trace *trace, uint32_t i, const struct score_list *scores, struct json_writer *w) {
    const struct span *span = trace->spans[i];
    json_open(w, '{');
    put_count(w, "depth", trace->depths[i]);
    span_put_json_members(w, span);
    if (span_is_fallback(span)) json_put_key(w, "fallback"), json_put_bool(w, true);
    score_list_put(scores, span->span_id, w);
    json_close(w, '}');
}

int traces_get(struct ask *ask, struct json_writer *w, struct error *err) {
    struct trace *trace;
    struct score_list scores;
    int code = trace_named(ask, ask->id, TRACE_ALL, &trace, err);
    if (code || (code = score_list_load(ask, trace->trace_id, &scores, err))) return code;
    json_open(w, '{');
    trace_put_summary(trace, w);
    json_put_key(w, "spans");
    json_open(w, '[');
    for (uint32_t i = 0; i < trace->span_count; i++) put_span(trace, i, &scores, w);
    json_close(w, ']');
    score_list_put(&scores, NULL, w);
    ask_put_tail(ask, w);
    json_close(w, '}');
    return 0;
}
