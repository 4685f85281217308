/* What a span's place in its trace says of it does not depend on the order in which the spans came. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "span/settle.h"

enum { SPANS = 4 };

/* A call without contents, two log events that tell of them, and another call that has its own. */
static void make(struct span spans[SPANS]) {
    for (int i = 0; i < SPANS; i++) {
        span_init(&spans[i]);
        spans[i].trace_id[0] = 1;
        spans[i].span_id[0] = (uint8_t)(i + 1);
        spans[i].start_ns = 1000 + i;
    }
    spans[0].kind = spans[3].kind = KIND_LLM;
    for (int i = 1; i < 3; i++) spans[i].flags = SPAN_CONTENT_EVENT, spans[i].parent_span_id[0] = 1;
    *span_text(&spans[1], COL_PROMPT) = SLICE("asked first");
    *span_text(&spans[2], COL_PROMPT) = SLICE("asked later");
    *span_text(&spans[2], COL_COMPLETION) = SLICE("answered");
    *span_text(&spans[3], COL_PROMPT) = SLICE("own");
}

static void calls_take_contents_from_their_log_events_in_any_order(void **state) {
    static const int orders[][SPANS] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}, {1, 3, 0, 2}};
    for (size_t o = 0; o < sizeof orders / sizeof *orders; o++) {
        struct span spans[SPANS];
        const struct span *rows[SPANS];
        struct arena arena = {0};
        make(spans);
        for (int i = 0; i < SPANS; i++) rows[i] = &spans[orders[o][i]];
        assert_true(spans_settle_rows(rows, SPANS, &arena));
        for (int i = 0; i < SPANS; i++) {
            if (rows[i]->span_id[0] == 1) {
                assert_true(slice_is(span_get_text(rows[i], COL_PROMPT), "asked first"));
                assert_true(slice_is(span_get_text(rows[i], COL_COMPLETION), "answered"));
            }
            if (rows[i]->span_id[0] == 4) assert_true(slice_is(span_get_text(rows[i], COL_PROMPT), "own"));
        }
        arena_free(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(calls_take_contents_from_their_log_events_in_any_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
