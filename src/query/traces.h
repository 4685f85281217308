/* Traces put together from wherever their spans lie, and their summaries. */
#ifndef QUERY_TRACES_H
#define QUERY_TRACES_H

#include "query/engine.h"

/* One trace. Spans stand parents first, siblings by start; each once; flags (restated, fallback), user, thread and turn
 * as the whole trace gives them. */
struct trace {
    uint8_t trace_id[TRACE_ID_SIZE];
    struct span **spans;
    int32_t *parents; /* index of each span's parent in spans, or -1 */
    uint16_t *depths; /* 0 = no parent here */
    uint32_t span_count;
    const struct span *root; /* has no parent; the earliest one when the root has not come */
};

/* What a summary or a turn says of a set of spans. Sums leave restated usage out; SPAN_NO_INT, NaN = not known. */
struct totals {
    int64_t tokens[5]; /* input, output, cached, cache_write, reasoning */
    double cost_usd;
    uint32_t spans, llm_calls, errors; /* errors: of LLM calls */
    struct slice models[16];
    uint32_t model_count;
    struct slice provider;
};
void totals_init(struct totals *totals);
void totals_add(struct totals *totals, const struct span *span);
/* "tokens":{input, output, cached, cache_write, reasoning, total}; nothing when nothing is known. */
void totals_put_tokens(const struct totals *totals, struct json_writer *w);
void totals_put_models(const struct totals *totals, struct json_writer *w); /* "models":[…] */

/* Loads the traces with these ids, in this order; one that is not there has span_count 0. `columns` (bits 1 << COL_…)
 * says which texts are wanted beside ids and numbers, which always come: TRACE_ALL for everything. All in the ask's
 * arena. VT_ELIMIT when the spans are more than TRACE_SPANS_MAX. */
#define TRACE_ALL UINT64_MAX
#define TRACE_SUMMARY                                                                                                  \
    ((uint64_t)1 << COL_PROJECT | (uint64_t)1 << COL_SERVICE | (uint64_t)1 << COL_OPERATION |                          \
     (uint64_t)1 << COL_PROVIDER | (uint64_t)1 << COL_MODEL | (uint64_t)1 << COL_USER_ID |                             \
     (uint64_t)1 << COL_THREAD_ID | (uint64_t)1 << COL_TURN_ID | (uint64_t)1 << COL_ERROR)
enum { TRACE_SPANS_MAX = 200000 };
int traces_load(struct ask *ask, const uint8_t (*ids)[TRACE_ID_SIZE], uint32_t count, uint64_t columns,
                struct trace **traces, struct error *err);
/* The trace that goes under this id: hex, or as the sender of one of its spans wrote it. VT_ENOTFOUND. */
int trace_named(struct ask *ask, struct slice text, uint64_t columns, struct trace **trace, struct error *err);
/* The id that a text stands for: hex, or mapped as ids of another form were when they came in. */
void trace_id_of(struct slice text, uint8_t id[TRACE_ID_SIZE]);

/* Members of the summary object of docs/api.md, without braces. */
void trace_put_summary(const struct trace *trace, struct json_writer *w);
/* The chat turn at `span` succeeded although an LLM call below it failed. */
static inline bool span_is_fallback(const struct span *span) {
    return span->flags & SPAN_FALLBACK;
}

#endif
