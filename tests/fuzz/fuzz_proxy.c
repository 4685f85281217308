/* Calls as the proxy saw them. The first byte picks the API, whether it was streamed, and what was kept of the answer;
 * a line "----" stands between request and answer. */
#include "fuzz.h"

#include "base/timestamp.h"
#include "proxy/seen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const paths[] = {"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings",
                                        "/v1/messages"};
    struct upstream upstream = {
        .name = SLICE("openai"), .url = "http://h", .host = SLICE("h"), .provider = SLICE("openai")};
    struct slice text = slice_from(slice_make(data, size), 1), between = SLICE("\n----\n");
    if (!size) return 0;
    const char *at = slice_find(text, between);
    struct slice request = slice_make(text.ptr, at ? (size_t)(at - text.ptr) : text.len);
    struct slice answer = at ? slice_from(text, request.len + between.len) : (struct slice){NULL, 0};
    struct seen seen = {.upstream = &upstream,
                        .path = slice_of(paths[(data[0] & 15) % 5]),
                        .status = data[0] & 64 ? 400 : 200,
                        .answer_type = data[0] & 16 ? SLICE("text/event-stream") : SLICE("application/json"),
                        .request = request,
                        .answer = answer,
                        .end = data[0] & 128 ? SEEN_CUT : SEEN_WHOLE,
                        .start_ns = INT64_C(1795460400000000000),
                        .duration_ns = NS_PER_MS};
    if (data[0] & 32) { /* the middle was not kept */
        seen.answer_cut = true;
        seen.tail = slice_from(answer, answer.len / 2);
        seen.answer.len /= 2;
    }
    struct arena arena = {0}, scratch = {0};
    seen_take_header(&seen, SLICE("baggage"), request, &arena);
    seen_take_header(&seen, SLICE("traceparent"), request, &arena);
    seen_take_header(&seen, SLICE("authorization"), SLICE("Bearer 0123456789"), &arena);
    seen_place(&seen);
    struct batch *batch = fuzz_batch();
    must(seen_to_span(&seen, batch, &scratch) == 0 && batch->count == 1, "every call has a span");
    must(!slice_find(span_get_text(&batch->spans[0], COL_ERROR), SLICE("0123456789")), "no key in an error");
    check_batch(batch);
    arena_free(&scratch);
    arena_free(&arena);
    return 0;
}
