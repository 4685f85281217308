/* GET /api/v1/threads/{id}: a whole conversation, turn by turn. Its traces are found by the dictionaries of the thread
 * column, then loaded whole. */
#include "query/blocks.h"
#include "query/numbers.h"
#include "query/said.h"
#include "query/score_json.h"
#include "query/traces.h"

#include <pthread.h>
#include <stdlib.h>

enum { THREAD_TRACES_MAX = 5000 };

/* ---- its traces ---- */

struct finder {
    struct ask *ask;
    pthread_mutex_t lock; /* guards what follows */
    uint8_t (*ids)[TRACE_ID_SIZE];
    uint32_t count, capacity;
};

static int add_trace(struct finder *f, const uint8_t *id, struct error *err) {
    for (uint32_t i = f->count; i-- > 0;)
        if (memcmp(f->ids[i], id, TRACE_ID_SIZE) == 0) return 0;
    if (f->count == THREAD_TRACES_MAX)
        return error_set(err, VT_ELIMIT, "the thread has more than %d traces", THREAD_TRACES_MAX);
    if (f->count == f->capacity) {
        uint32_t capacity = f->capacity ? 2 * f->capacity : 64;
        uint8_t(*more)[TRACE_ID_SIZE] = ask_alloc(f->ask, capacity, sizeof *more, err);
        if (!more) return err->code;
        if (f->count) memcpy(more, f->ids, f->count * sizeof *more);
        f->ids = more;
        f->capacity = capacity;
    }
    memcpy(f->ids[f->count++], id, TRACE_ID_SIZE);
    return 0;
}

static int find_block(void *ctx, struct block *block, struct error *err) {
    struct finder *f = ctx;
    const struct vec *ids = block_column(block, COL_TRACE_ID, err);
    const uint8_t *before = NULL;
    int code = 0;
    if (!ids) return err->code;
    pthread_mutex_lock(&f->lock);
    for (uint32_t i = 0; i < block->count && !code; i++) {
        const uint8_t *id = ids->bytes + (size_t)block->rows[i] * TRACE_ID_SIZE;
        if (!before || memcmp(before, id, TRACE_ID_SIZE) != 0) code = add_trace(f, id, err);
        before = id;
    }
    pthread_mutex_unlock(&f->lock);
    return code;
}

static int find_traces(struct ask *ask, struct finder *f, struct error *err) {
    struct filter *filter;
    struct scan scan = {.from_ns = INT64_MIN, .to_ns = INT64_MAX, .each = find_block, .ctx = f};
    int code = filter_with_any(ask, NULL, COL_THREAD_ID, &ask->id, 1, &filter, err);
    if (code) return code;
    scan.filter = filter;
    pthread_mutex_init(&f->lock, NULL);
    code = scan_run(ask, &scan, err);
    pthread_mutex_destroy(&f->lock);
    return code;
}

/* ---- turns ---- */

struct turn {
    const struct trace *trace;
    const struct span *head; /* of kind turn, or the first span of a trace that has none */
    bool only;               /* the trace has no other turn: scores of the trace are its */
    struct totals totals;
    const struct span **spans; /* by start, the head included */
    uint32_t span_count;
    int64_t end_ns;
    bool fallback;
};

struct turns {
    struct turn *all;
    uint32_t count, capacity;
};

static bool is_of_thread(const struct ask *ask, const struct span *span) {
    struct slice thread = span_get_text(span, COL_THREAD_ID);
    return !thread.len || slice_eq(thread, ask->id);
}

static struct turn *add_turn(struct ask *ask, struct turns *turns, const struct trace *trace, const struct span *head,
                             struct error *err) {
    if (turns->count == turns->capacity) {
        uint32_t capacity = turns->capacity ? 2 * turns->capacity : 64;
        struct turn *more = ask_alloc(ask, capacity, sizeof *more, err);
        if (!more) return NULL;
        if (turns->count) memcpy(more, turns->all, turns->count * sizeof *more);
        turns->all = more;
        turns->capacity = capacity;
    }
    struct turn *turn = &turns->all[turns->count];
    *turn = (struct turn){
        .trace = trace, .head = head, .spans = ask_alloc(ask, trace->span_count, sizeof *turn->spans, err)};
    if (!turn->spans) return NULL;
    totals_init(&turn->totals);
    turns->count++;
    return turn;
}

static void take_span(struct turn *turn, const struct span *span) {
    totals_add(&turn->totals, span);
    turn->spans[turn->span_count++] = span;
    turn->fallback |= span_is_fallback(span);
    if (span->start_ns + span->duration_ns > turn->end_ns) turn->end_ns = span->start_ns + span->duration_ns;
}

/* Work that stands beside the turns of its trace belongs to the one that began last before it. */
static struct turn *nearest(struct turns *turns, uint32_t first, int64_t start_ns) {
    struct turn *best = &turns->all[first];
    for (uint32_t i = first; i < turns->count; i++)
        if (turns->all[i].head->start_ns <= start_ns && turns->all[i].head->start_ns >= best->head->start_ns)
            best = &turns->all[i];
    return best;
}

static int turns_of_trace(struct ask *ask, struct turns *turns, const struct trace *trace, struct error *err) {
    uint32_t first = turns->count;
    int32_t *turn_of = ask_alloc(ask, trace->span_count, sizeof *turn_of, err);
    if (!turn_of) return err->code;
    for (uint32_t i = 0; i < trace->span_count; i++) {
        const struct span *span = trace->spans[i];
        turn_of[i] = trace->parents[i] >= 0 ? turn_of[trace->parents[i]] : -1;
        if (span->kind != KIND_TURN || !is_of_thread(ask, span)) continue;
        if (!add_turn(ask, turns, trace, span, err)) return err->code;
        turn_of[i] = (int32_t)(turns->count - 1);
    }
    for (uint32_t i = 0; i < trace->span_count && first == turns->count; i++)
        if (is_of_thread(ask, trace->spans[i]) && !add_turn(ask, turns, trace, trace->spans[i], err)) return err->code;
    for (uint32_t i = first; i < turns->count; i++) turns->all[i].only = turns->count == first + 1;
    for (uint32_t i = 0; i < trace->span_count && first < turns->count; i++) {
        const struct span *span = trace->spans[i];
        if (is_of_thread(ask, span))
            take_span(turn_of[i] >= 0 ? &turns->all[turn_of[i]] : nearest(turns, first, span->start_ns), span);
    }
    return 0;
}

static int span_by_start(const void *a, const void *b) {
    const struct span *x = *(const struct span *const *)a, *y = *(const struct span *const *)b;
    if (x->start_ns != y->start_ns) return x->start_ns < y->start_ns ? -1 : 1;
    return memcmp(x->span_id, y->span_id, SPAN_ID_SIZE);
}
static int turn_by_start(const void *a, const void *b) {
    const struct span *x = ((const struct turn *)a)->head, *y = ((const struct turn *)b)->head;
    return span_by_start(&x, &y);
}

/* ---- showing ---- */

static struct slice input_of(const struct turn *turn, struct arena *arena) {
    struct slice text = said_last(span_get_text(turn->head, COL_PROMPT), "user", arena);
    for (uint32_t i = 0; i < turn->span_count && !text.len; i++)
        text = said_last(span_get_text(turn->spans[i], COL_PROMPT), "user", arena);
    return text;
}

static struct slice output_of(const struct turn *turn, struct arena *arena) {
    struct slice text = said_last(span_get_text(turn->head, COL_COMPLETION), "assistant", arena);
    for (uint32_t i = turn->span_count; i-- > 0 && !text.len;)
        if (turn->spans[i]->kind == KIND_LLM)
            text = said_last(span_get_text(turn->spans[i], COL_COMPLETION), "assistant", arena);
    return text;
}

static void put_id(struct json_writer *w, const char *key, const uint8_t *id, size_t size) {
    char hex[TRACE_ID_HEX];
    hex_encode(id, size, hex);
    put_text(w, key, slice_make(hex, 2 * size));
}

static void put_status(struct json_writer *w, const struct span *span) {
    put_text(
        w, "status",
        slice_of(span_status_names[span->status >= 0 && span->status < STATUS_COUNT ? span->status : STATUS_UNSET]));
    put_text(w, "error", span_get_text(span, COL_ERROR));
}

static void put_call(const struct span *span, struct json_writer *w) {
    struct totals own;
    totals_init(&own);
    struct span shown = *span;
    shown.flags &= ~(int64_t)SPAN_USAGE_RESTATED; /* a call shows its own, whatever counts */
    totals_add(&own, &shown);
    json_open(w, '{');
    put_id(w, "span_id", span->span_id, SPAN_ID_SIZE);
    put_text(w, "operation", span_get_text(span, COL_OPERATION));
    put_text(w, "kind", slice_of(span_kind_names[span->kind]));
    put_text(w, "provider", span_get_text(span, COL_PROVIDER));
    put_text(w, "model", span_get_text(span, COL_MODEL));
    put_status(w, span);
    put_time(w, "start", span->start_ns);
    put_ms(w, "duration_ms", span->duration_ns);
    put_ms(w, "ttft_ms", span->ttft_ns);
    totals_put_tokens(&own, w);
    put_number(w, "cost_usd", span->cost_usd);
    put_text(w, "finish_reason", span_get_text(span, COL_FINISH_REASON));
    json_close(w, '}');
}

static void put_calls(const struct turn *turn, struct json_writer *w) {
    static const bool is_call[KIND_COUNT] = {
        [KIND_LLM] = true, [KIND_TOOL] = true, [KIND_RETRIEVAL] = true, [KIND_EMBEDDING] = true};
    json_put_key(w, "calls");
    json_open(w, '[');
    for (uint32_t i = 0; i < turn->span_count; i++)
        if (turn->spans[i]->kind >= 0 && turn->spans[i]->kind < KIND_COUNT && is_call[turn->spans[i]->kind])
            put_call(turn->spans[i], w);
    json_close(w, ']');
}

/* Of the trace, when it has but this turn, and of the turn's spans. */
static int put_scores(struct ask *ask, const struct turn *turn, struct json_writer *w, struct error *err) {
    struct score_list all, own = {NULL, 0};
    int code = score_list_load(ask, turn->trace->trace_id, &all, err);
    if (code || !all.count) return code;
    if (!(own.scores = ask_alloc(ask, all.count, sizeof *own.scores, err))) return err->code;
    for (uint32_t s = 0; s < all.count; s++) {
        bool mine = turn->only && id_is_zero(all.scores[s].span_id, SPAN_ID_SIZE);
        for (uint32_t i = 0; i < turn->span_count && !mine; i++)
            mine = memcmp(turn->spans[i]->span_id, all.scores[s].span_id, SPAN_ID_SIZE) == 0;
        if (!mine) continue;
        own.scores[own.count] = all.scores[s];
        memset(own.scores[own.count++].span_id, 0, SPAN_ID_SIZE);
    }
    score_list_put(&own, NULL, w);
    return 0;
}

static struct slice user_of(const struct turn *turn) {
    struct slice user = span_get_text(turn->head, COL_USER_ID);
    for (uint32_t i = 0; i < turn->span_count && !user.len; i++) user = span_get_text(turn->spans[i], COL_USER_ID);
    return user;
}

static int put_turn(struct ask *ask, const struct turn *turn, struct json_writer *w, struct error *err) {
    const struct span *head = turn->head;
    struct arena texts = {0};
    json_open(w, '{');
    put_text(w, "turn_id", span_get_text(head, COL_TURN_ID));
    put_id(w, "trace_id", turn->trace->trace_id, TRACE_ID_SIZE);
    put_id(w, "span_id", head->span_id, SPAN_ID_SIZE);
    put_text(w, "operation", span_get_text(head, COL_OPERATION));
    put_time(w, "start", head->start_ns);
    put_ms(w, "duration_ms", head->kind == KIND_TURN ? head->duration_ns : turn->end_ns - head->start_ns);
    put_status(w, head);
    put_text(w, "user_id", user_of(turn));
    if (turn->fallback) json_put_key(w, "fallback"), json_put_bool(w, true);
    put_text(w, "input", input_of(turn, &texts));
    put_text(w, "output", output_of(turn, &texts));
    totals_put_models(&turn->totals, w);
    put_count(w, "llm_calls", turn->totals.llm_calls);
    totals_put_tokens(&turn->totals, w);
    put_number(w, "cost_usd", turn->totals.cost_usd);
    put_calls(turn, w);
    int code = put_scores(ask, turn, w, err);
    json_close(w, '}');
    arena_free(&texts);
    return code;
}

static void put_summary(const struct ask *ask, const struct turns *turns, struct json_writer *w) {
    struct totals totals;
    int64_t last = INT64_MIN;
    uint32_t fallbacks = 0;
    struct slice user = {NULL, 0};
    totals_init(&totals);
    for (uint32_t t = 0; t < turns->count; t++) {
        const struct turn *turn = &turns->all[t];
        for (uint32_t i = 0; i < turn->span_count; i++) {
            totals_add(&totals, turn->spans[i]);
            if (turn->spans[i]->start_ns > last) last = turn->spans[i]->start_ns;
        }
        if (!user.len) user = user_of(turn);
        fallbacks += turn->fallback;
    }
    put_text(w, "thread_id", ask->id);
    put_text(w, "user_id", user);
    put_time(w, "first", turns->all[0].head->start_ns);
    put_time(w, "last", last);
    put_count(w, "turn_count", turns->count);
    put_count(w, "llm_calls", totals.llm_calls);
    put_count(w, "errors", totals.errors);
    put_count(w, "fallbacks", fallbacks);
    totals_put_tokens(&totals, w);
    put_number(w, "cost_usd", totals.cost_usd);
    totals_put_models(&totals, w);
}

int threads_get(struct ask *ask, struct json_writer *w, struct error *err) {
    static const uint64_t one = 1;
    struct finder finder = {.ask = ask};
    struct turns turns = {NULL, 0, 0};
    struct trace *traces;
    int code = find_traces(ask, &finder, err);
    if (!code && !finder.count)
        return error_set(err, VT_ENOTFOUND, "there is no thread '%.*s'", ask->id.len < 100 ? (int)ask->id.len : 100,
                         ask->id.ptr);
    uint64_t columns = TRACE_SUMMARY | one << COL_PROMPT | one << COL_COMPLETION | one << COL_FINISH_REASON;
    if (!code)
        code = traces_load(ask, (const uint8_t(*)[TRACE_ID_SIZE])finder.ids, finder.count, columns, &traces, err);
    for (uint32_t i = 0; i < finder.count && !code; i++)
        if (traces[i].span_count) code = turns_of_trace(ask, &turns, &traces[i], err);
    if (code) return code;
    if (!turns.count)
        return error_set(err, VT_ENOTFOUND, "the spans of thread '%.*s' are no longer there",
                         ask->id.len < 100 ? (int)ask->id.len : 100, ask->id.ptr);
    for (uint32_t i = 0; i < turns.count; i++)
        qsort(turns.all[i].spans, turns.all[i].span_count, sizeof *turns.all[i].spans, span_by_start);
    qsort(turns.all, turns.count, sizeof *turns.all, turn_by_start);
    json_open(w, '{');
    put_summary(ask, &turns, w);
    json_put_key(w, "turns");
    json_open(w, '[');
    for (uint32_t i = 0; i < turns.count && !code; i++) code = put_turn(ask, &turns.all[i], w, err);
    json_close(w, ']');
    ask_put_tail(ask, w);
    json_close(w, '}');
    return code;
}
