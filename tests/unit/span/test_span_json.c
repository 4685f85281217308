/* Spans as JSON: only what is known, numbers as they are, messages as a list. */
#include "span/span_json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *json_of(const struct span *span) {
    static struct buf out;
    buf_clear(&out);
    struct json_writer w = json_writer_on(&out);
    span_put_json(&w, span);
    return buf_cstr(&out);
}

static void leaves_out_what_is_not_known(void **state) {
    struct span span;
    span_init(&span);
    span.span_id[7] = 1;
    assert_string_equal(
        json_of(&span),
        "{\"span_id\":\"0000000000000001\",\"kind\":\"other\",\"start\":\"1970-01-01T00:00:00.000000Z\","
        "\"duration_ms\":0,\"status\":\"UNSET\"}");
}

static void shows_known_zeros_and_totals(void **state) {
    struct span span;
    span_init(&span);
    span.tokens_input = 0;
    span.tokens_output = 7;
    span.cost_usd = 0;
    span.duration_ns = 1500000;
    span.flags = SPAN_USAGE_ESTIMATED;
    assert_non_null(
        strstr(json_of(&span), "\"tokens\":{\"input\":0,\"output\":7,\"total\":7},\"cost_usd\":0,\"estimated\":true"));
    assert_non_null(strstr(json_of(&span), "\"duration_ms\":1.5,"));
}

static void puts_messages_as_a_list_and_anything_else_as_text(void **state) {
    struct span span;
    span_init(&span);
    *span_text(&span, COL_PROMPT) = SLICE("[{\"role\":\"user\",\"content\":\"hi\"}]");
    *span_text(&span, COL_COMPLETION) = SLICE("[sighs] \"no\"");
    assert_non_null(strstr(
        json_of(&span), "\"prompt\":[{\"role\":\"user\",\"content\":\"hi\"}],\"completion\":\"[sighs] \\\"no\\\"\""));
    *span_text(&span, COL_PROMPT) = SLICE("[1],\"injected\":true");
    assert_non_null(strstr(json_of(&span), "\"prompt\":\"[1],\\\"injected\\\":true\""));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(leaves_out_what_is_not_known),
                                       cmocka_unit_test(shows_known_zeros_and_totals),
                                       cmocka_unit_test(puts_messages_as_a_list_and_anything_else_as_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
