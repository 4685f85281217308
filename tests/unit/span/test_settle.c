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

/* A chain of turns and failed calls by turns: each turn with a failed call anywhere below it fell back, and no other
 * span. 20,000 deep and with ids that count upwards, it is quick only when no step is made twice. */
static void turns_above_failed_calls_fell_back_however_deep(void **state) {
    enum { DEEP = 20000, LAST_FAILED = DEEP - 101 };
    struct arena arena = {0};
    struct span *spans = arena_calloc(&arena, DEEP, sizeof *spans);
    const struct span **rows = arena_calloc(&arena, DEEP, sizeof *rows);
    for (uint32_t i = 0; i < DEEP; i++) {
        uint32_t id = i + 1;
        span_init(&spans[i]);
        spans[i].trace_id[0] = 1;
        for (int b = 0; b < 4; b++) { /* the first has no parent */
            spans[i].span_id[SPAN_ID_SIZE - 1 - b] = (uint8_t)(id >> 8 * b);
            spans[i].parent_span_id[SPAN_ID_SIZE - 1 - b] = (uint8_t)(i >> 8 * b);
        }
        spans[i].kind = i % 2 ? KIND_LLM : KIND_TURN;
        spans[i].status = i % 2 && i <= LAST_FAILED ? STATUS_ERROR : STATUS_OK;
        rows[i] = &spans[i];
    }
    assert_true(spans_settle_rows(rows, DEEP, &arena));
    for (uint32_t i = 0; i < DEEP; i++)
        assert_int_equal(!!(rows[i]->flags & SPAN_FALLBACK), i % 2 == 0 && i < LAST_FAILED);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(calls_take_contents_from_their_log_events_in_any_order),
                                       cmocka_unit_test(turns_above_failed_calls_fell_back_however_deep)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
