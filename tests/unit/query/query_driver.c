/* Fills a store with random spans and answers API requests from stdin, for the differential test: a process of its own,
 * so that another engine can read the same files.
 *
 *     query_driver DIR SEED SPANS
 *
 * A line in: the target of a GET, or the target of a POST, a tab and its body. A line out: the answer. */
#include "base/timestamp.h"
#include "query/api.h"
#include "span/normalise.h"

#include <stdio.h>
#include <stdlib.h>

static unsigned seed;
static unsigned draw(unsigned below) {
    return (unsigned)rand_r(&seed) % below;
}

static const char *const words[] = {"jacket", "rain",   "shoe", "tent", "Alpine", "SHELL",
                                    "return", "refund", "size", "blue", "stove",  "rope"};

static struct slice sentence(struct arena *arena) {
    struct buf text = {0};
    for (unsigned i = 0, n = 1 + draw(9); i < n; i++)
        buf_printf(&text, "%s%s%s", i ? (draw(5) ? " " : ", ") : "", words[draw(12)], draw(9) ? "" : "s");
    struct slice out = arena_copy(arena, buf_slice(&text));
    buf_free(&text);
    return out;
}

static void fill(struct span *span, struct arena *arena) {
    /* Microseconds: other engines may not keep more. */
    span->duration_ns = (int64_t)draw(20000) * draw(2000) * 1000;
    span->kind = draw(KIND_COUNT);
    span->status = draw(STATUS_COUNT);
    if (draw(3) == 0) span->ttft_ns = (int64_t)draw(900) * NS_PER_MS;
    if (draw(3)) span->tokens_input = draw(4000);
    if (draw(3)) span->tokens_output = draw(1500);
    if (draw(4) == 0) span->tokens_cached = draw(100);
    if (draw(2)) span->cost_usd = draw(5000) / 16384.0;
    if (draw(3) == 0) span->temperature = draw(11) / 8.0;
    if (draw(10) == 0) span->sample_rate = draw(2) ? 0.25 : 0.5;
    *span_text(span, COL_SERVICE) = draw(3) ? SLICE("shop") : SLICE("search");
    *span_text(span, COL_OPERATION) = arena_printf(arena, "%s.op%u", draw(2) ? "chat" : "tool", draw(6));
    if (draw(5)) *span_text(span, COL_MODEL) = arena_printf(arena, "%s-%u", draw(2) ? "gpt" : "claude", draw(4));
    if (draw(4)) *span_text(span, COL_USER_ID) = arena_printf(arena, "u%u", draw(draw(2) ? 20 : 3000));
    if (draw(3)) *span_text(span, COL_THREAD_ID) = arena_printf(arena, "t%u", draw(800));
    if (draw(2)) *span_text(span, COL_PROMPT) = sentence(arena);
    if (draw(2)) *span_text(span, COL_COMPLETION) = sentence(arena);
    if (draw(6))
        *span_text(span, COL_ATTRIBUTES) =
            arena_printf(arena, "{\"region\":\"r%u\",\"tries\":%u,\"beta\":%s%s}", draw(4), draw(6),
                         draw(2) ? "true" : "false", draw(3) ? "" : ",\"tier\":\"gold\"");
    if (draw(3))
        *span_text(span, COL_RESOURCE) =
            draw(2) ? SLICE("{\"host\":\"web-1\",\"tier\":\"iron\"}") : SLICE("{\"host\":\"web-2\"}");
}

static struct batch *random_batch(uint32_t count) {
    static const int64_t first_ns = INT64_C(1795392000000000000); /* 2026-11-23 */
    static unsigned number;
    struct batch *batch = batch_new();
    while (batch->count < count) {
        uint64_t trace[2] = {random_u64(), number};
        unsigned spans = 1 + draw(6), start = batch->count;
        int64_t at = first_ns + (int64_t)draw(86400) * NS_PER_S + (int64_t)draw(1000000) * NS_PER_US;
        for (unsigned i = 0; i < spans; i++) {
            struct span *span = batch_add(batch);
            uint64_t id = ++number;
            memcpy(span->trace_id, trace, TRACE_ID_SIZE);
            memcpy(span->span_id, &id, SPAN_ID_SIZE);
            if (i) memcpy(span->parent_span_id, batch->spans[start + draw(i)].span_id, SPAN_ID_SIZE);
            span->start_ns = at + (int64_t)draw(2000) * NS_PER_MS;
            fill(span, &batch->arena);
        }
    }
    batch_finish(batch);
    return batch;
}

static void answer(struct engine *engine, char *line) {
    struct error err = {0};
    struct buf out = {0};
    char *body = strchr(line, '\t'), *mark;
    line[strcspn(line, "\n")] = 0;
    if (body) *body++ = 0;
    mark = strchr(line, '?');
    struct api_request request = {.method = body ? SLICE("POST") : SLICE("GET"),
                                  .path = slice_make(line, mark ? (size_t)(mark - line) : strlen(line)),
                                  .query = mark ? slice_of(mark + 1) : slice_of(""),
                                  .body = slice_of(body)};
    if (api_call(engine, &request, &out, &err)) api_put_error(&out, &err);
    printf("%s\n", buf_cstr(&out));
    fflush(stdout);
    buf_free(&out);
}

int main(int argc, char **argv) {
    struct store *store;
    struct engine *engine;
    struct error err = {0};
    char *line = NULL;
    size_t size = 0;
    if (argc != 4) return 2;
    struct store_options options = {.dir = argv[1], .seal_after_ms = 600000, .async_durability = true};
    seed = (unsigned)atoi(argv[2]);
    if (store_open(&store, &options, &err)) return fprintf(stderr, "%s\n", err.message), 1;
    for (uint32_t left = (uint32_t)atoi(argv[3]); left;) {
        uint32_t count = left < 4000 ? left : 4000;
        struct batch *batch = random_batch(count);
        if (store_append_wait(store, batch, &err) || store_seal(store, &err))
            return fprintf(stderr, "%s\n", err.message), 1;
        batch_unref(batch);
        left -= count;
    }
    if (engine_open(&engine, store, NULL, &err)) return fprintf(stderr, "%s\n", err.message), 1;
    printf("ready\n");
    fflush(stdout);
    while (getline(&line, &size, stdin) > 0) answer(engine, line);
    free(line);
    engine_free(engine);
    store_close(store);
    return 0;
}
