/* The filter language: parsed, and asked of a span. */
#include "fuzz.h"

#include "query/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = {0};
    struct filter *filter = NULL;
    struct error err = {0};
    struct span span;
    span_init(&span);
    span.start_ns = INT64_C(1795460391722000000);
    span.tokens_input = 10;
    *span_text(&span, COL_MODEL) = SLICE("gpt-4o");
    *span_text(&span, COL_PROMPT) = SLICE("Which jacket fits rainy weather? Gr\xc3\xb6\xc3\x9f"
                                          "e 40");
    *span_text(&span, COL_ATTRIBUTES) = SLICE("{\"region\":\"eu\",\"n\":{\"a\":[1]},\"e\":\"\\u00e9\"}");
    if (filter_parse(slice_make(data, size), &arena, &filter, &err) == 0)
        filter_matches(filter, &span);
    else
        must(err.message[0] && err.column >= 0, "a mistake is named, with its place");
    arena_free(&arena);
    return 0;
}
