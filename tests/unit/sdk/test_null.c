/* Every call with nothing: NULL spans and texts, before vt_init, after vt_shutdown, and handles that are none. */
#include "sdk_test.h"

#include <string.h>

static int returns_three(vt_span *span, void *ctx) {
    return 3;
}
static const char *get_nothing(void *carrier, const char *name) {
    return NULL;
}
static void set_nothing(void *carrier, const char *name, const char *value) {}

static void call_everything(vt_span *span) {
    static const vt_context zero;
    char text[64] = "x";
    vt_attr attr = vt_attr_str(NULL, NULL);
    vt_span_set_str(span, NULL, NULL);
    vt_span_set_str(span, "k", NULL);
    vt_span_set_str(span, NULL, "v");
    vt_span_set_str(span, "", "v");
    vt_span_set_str(span, "k", "v");
    vt_span_set_int(span, NULL, 1);
    vt_span_set_int(span, "", 1);
    vt_span_set_double(span, NULL, 1);
    vt_span_set_bool(span, NULL, true);
    vt_span_set_attrs(span, NULL, 5);
    vt_span_set_attrs(span, &attr, 1);
    vt_span_set_attrs(span, &attr, 0);
    vt_span_event(span, NULL, NULL, 0);
    vt_span_event(span, "", NULL, 0);
    vt_span_event(span, "e", NULL, 7);
    vt_span_event(span, "e", &attr, 1);
    vt_span_error(span, NULL);
    vt_span_error(span, "");
    vt_llm_response(span, NULL, NULL);
    vt_llm_usage(span, NULL);
    vt_llm_first_token(span);
    vt_context context = vt_span_context(span);
    (void)context;
    vt_span_end(span);
    vt_span_end(span);
    vt_span_end(vt_llm_start(NULL, NULL));
    vt_span_end(vt_chat_start(NULL, NULL));
    vt_span_end(vt_span_start(NULL));
    vt_span_end(vt_span_start_remote(NULL, NULL));
    assert_int_equal(vt_trace_llm_call(NULL, NULL, returns_three, NULL), 3);
    assert_int_equal(vt_trace_chat_turn(NULL, NULL, returns_three, NULL), 3);
    assert_int_equal(vt_trace_llm_call(NULL, NULL, NULL, NULL), 0);
    context = vt_context_current();
    assert_memory_equal(&context, &zero, sizeof zero);
    vt_context_attach(zero);
    vt_context_attach((vt_context){.carried = 12345, .reserved = {1}});
    vt_context_attach(zero);
    assert_int_equal(vt_inject(NULL, 0), 0);
    assert_int_equal(vt_inject(text, sizeof text), 0);
    vt_inject_headers(NULL, NULL);
    vt_inject_headers(set_nothing, NULL);
    context = vt_extract_headers(NULL, NULL);
    assert_memory_equal(&context, &zero, sizeof zero);
    context = vt_extract_headers(get_nothing, NULL);
    assert_memory_equal(&context, &zero, sizeof zero);
    vt_baggage_set(NULL, NULL);
    vt_baggage_set("k", NULL);
    assert_int_equal(vt_baggage_get(NULL, NULL, 0), 0);
    assert_int_equal(vt_baggage_get("k", text, sizeof text), 0);
    vt_stats_get(NULL);
    vt_flush(0);
    assert_non_null(vt_error_message());
}

static void before_init(void **state) {
    call_everything(NULL);
    assert_null(vt_span_start("s"));
    vt_shutdown();
    assert_int_equal(vt_flush(1000), 0);
}

static void while_tracing(void **state) {
    sink_init();
    call_everything(NULL);
    call_everything(vt_span_start("s"));
}

static void after_shutdown(void **state) {
    sink_init();
    vt_span *open = vt_span_start("open at shutdown"), *ended = vt_span_start("ended");
    vt_span_end(ended);
    vt_shutdown();
    size_t lines = sink_lines();
    vt_context_attach((vt_context){.flags = 0});
    call_everything(open);
    call_everything(ended);
    call_everything(NULL);
    assert_null(vt_span_start("s"));
    vt_shutdown();
    assert_int_equal(vt_flush(1000), 0);
    assert_int_equal(sink_lines(), lines);
}

static void any_value_as_a_handle(void **state) {
    sink_init();
    for (uintptr_t bits = 1; bits; bits <<= 1)
        for (uintptr_t low = 0; low < 3; low++) {
            call_everything((vt_span *)(bits | low));
            vt_context_attach((vt_context){.flags = 0});
        }
    assert_false(sink_has("\"k\":\"v\""));
}

static void version_is_that_of_the_build(void **state) {
    assert_string_equal(vt_version(), VITRINE_VERSION);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(before_init),
        TEST(while_tracing),
        TEST(after_shutdown),
        TEST(any_value_as_a_handle),
        TEST(version_is_that_of_the_build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
