/* The filter language: what is taken, what is refused and where, and which spans match. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "query/filter.h"
#include <stdio.h>
#include <stdlib.h>

static struct arena arena;

static struct span sample(void) {
    struct span span;
    span_init(&span);
    memset(span.trace_id, 0xab, sizeof span.trace_id);
    memset(span.span_id, 0xcd, sizeof span.span_id);
    span.start_ns = 1795460391722 * 1000000;
    span.duration_ns = 2500000000;
    span.tokens_input = 900, span.tokens_output = 200;
    span.cost_usd = 0.0125;
    span.kind = KIND_LLM;
    span.status = STATUS_ERROR;
    *span_text(&span, COL_SERVICE) = SLICE("ai-storefront");
    *span_text(&span, COL_OPERATION) = SLICE("openai.chat.completions.create");
    *span_text(&span, COL_PROVIDER) = SLICE("openai");
    *span_text(&span, COL_MODEL) = SLICE("gpt-4o");
    *span_text(&span, COL_USER_ID) = SLICE("u1");
    *span_text(&span, COL_ERROR) = SLICE("Rate limit reached");
    *span_text(&span, COL_PROMPT) =
        SLICE("[{\"role\":\"user\",\"content\":\"Which jacket fits\\nrainy weather? Gr\xc3\xb6\xc3\x9f"
              "e 40\"}]");
    *span_text(&span, COL_COMPLETION) = SLICE("The Alpine Shell is waterproof");
    *span_text(&span, COL_ATTRIBUTES) = SLICE("{\"http.status_code\":429,\"region\":\"eu-west\",\"retry\":true,"
                                              "\"note\":\"a \\\"b\\\"\",\"n\":{\"region\":\"inner\"}}");
    *span_text(&span, COL_RESOURCE) = SLICE("{\"host.name\":\"web-1\"}");
    return span;
}

static bool matches(const char *text) {
    struct filter *filter;
    struct error err = {0};
    struct span span = sample();
    if (filter_parse(slice_of(text), &arena, &filter, &err)) fail_msg("%s: %s", text, err.message);
    return filter_matches(filter, &span);
}

static void filter_matches_by_fields(void **state) {
    static const char *const yes[] = {
        "",
        "  ",
        "model:gpt-4o",
        "status:error",
        "status:ERROR",
        "kind:llm",
        "duration:>2s",
        "duration:>=2500ms",
        "duration:2.5s",
        "duration:2s..3s",
        "duration:<1m",
        "cost:>=0.01",
        "cost:>=$0.01",
        "cost:0.0125",
        "tokens:>1000",
        "tokens:1100",
        "tokens.input:<=900",
        "tokens:1000..1200",
        "tokens:1000..",
        "tokens:..1100",
        "user:u1",
        "service:ai-*",
        "operation:openai.*",
        "operation:*create",
        "operation:*chat*create",
        "provider:openai",
        "-model:gpt-4o-mini",
        "NOT user:u2",
        "model:gpt-4o AND user:u1",
        "model:x OR user:u1",
        "(model:x OR user:u1) status:error",
        "-(model:x OR user:u2)",
        "model:(a OR gpt-4o)",
        "model:a OR model:gpt-4*",
        "-(model:a OR model:b)",
        "thread:\"\" OR thread:x",
        "has:user",
        "-has:thread",
        "has:region",
        "has:attr.retry",
        "has:host.name",
        "-has:nothing",
        "attr.region:eu-west",
        "attr.region:eu*",
        "attr.http.status_code:429",
        "attr.http.status_code:429.0",
        "attr.http.status_code:>=400",
        "attr.http.status_code:400..499",
        "attr.retry:true",
        "attr.\"note\":\"a \\\"b\\\"\"",
        "attr.host.name:web-1",
        "trace:abababababababababababababababab",
        "span:CDCDCDCDCDCDCDCD",
        "root:true",
        "-root:false",
        "error:limit",
        "error:\"rate limit\"",
        "start:>=2026-11-23",
        "start:2026-11-23T18:59..2026-11-23T19:00:00Z",
        "model:gpt-4o user:u1 tokens:>1",
        "thread:\"\"",
        "MODEL:gpt-4o",
        "user_id:u1",
        "duration_ns:>1s",
        "tokens_input:900",
    };
    static const char *const no[] = {
        "model:gpt-4",
        "model:GPT-4O",
        "status:ok",
        "duration:>2500ms",
        "duration:<2.5s",
        "tokens:>1100",
        "tokens:<1100",
        "tokens.cached:0",
        "user:u*2",
        "service:storefront",
        "-has:user",
        "has:thread",
        "model:x OR user:u2",
        "model:x OR model:y OR model:gpt-4",
        "-(model:x OR model:gpt-4o)",
        "(model:x OR user:u1) status:ok",
        "attr.region:inner",
        "attr.region:us",
        "attr.missing:*",
        "attr.http.status_code:>429",
        "trace:abababababababababababababababac",
        "root:false",
        "fallback:true",
        "estimated:true",
        "error:rat",
        "start:<2026-11-23",
        "model:\"gpt*\"",
        "temperature:>0",
        "temperature:<5",
    };
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!matches(yes[i])) fail_msg("should match: %s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (matches(no[i])) fail_msg("should not match: %s", no[i]);
}

static void words_are_found_in_what_was_said(void **state) {
    static const char *const yes[] = {"jacket",
                                      "JACKET",
                                      "\"rainy weather\"",
                                      "\"jacket fits\"",
                                      "weather",
                                      "alpine waterproof",
                                      "\"alpine shell\"",
                                      "*acke*",
                                      "jack*",
                                      "*proof",
                                      "gr\xc3\xb6\xc3\x9f"
                                      "e",
                                      "GR\xc3\x96\xc3\x9f"
                                      "E",
                                      "40",
                                      "prompt:jacket",
                                      "completion:shell",
                                      "-prompt:shell",
                                      "weather?"};
    static const char *const no[] = {"jack",  "acket",   "\"jacket rainy\"", "role",
                                     "user",  "content", "nrainy",           "prompt:shell",
                                     "proof", "gr",      "\"lpine shell\"",  "-jacket"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!matches(yes[i])) fail_msg("should match: %s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (matches(no[i])) fail_msg("should not match: %s", no[i]);
}

static void mistakes_are_named_with_their_column(void **state) {
    static const struct {
        const char *text;
        int column;
        const char *says;
    } cases[] = {
        {"modle:gpt", 1, "no field 'modle'"},
        {"status:error modle:x", 14, "no field"},
        {"status:bad", 8, "ok, error, unset"},
        {"kind:x", 6, "llm, turn"},
        {"duration:>abc", 11, "a duration such as"},
        {"duration:>", 11, "expected a duration"},
        {"tokens:many", 8, "expected a number"},
        {"tokens:5..x", 11, "expected a number"},
        {"tokens:9..5", 8, "smaller value first"},
        {"model:>x", 7, "not a number"},
        {"model:", 7, "expected a value"},
        {"model: x", 7, "expected a value"},
        {"(model:a", 1, "never closed"},
        {"model:a)", 8, "closes nothing"},
        {"\"open", 1, "never closed"},
        {"a OR", 5, "found the end"},
        {"OR a", 1, "found 'OR'"},
        {"a AND OR b", 7, "found 'OR'"},
        {"()", 2, "empty pair"},
        {"model:(a b)", 10, "expected OR"},
        {"model:(a", 7, "never closed"},
        {":x", 1, "name of a field"},
        {"fallback:maybe", 10, "true or false"},
        {"start:yesterday", 7, "a moment"},
        {"\xc3\xa9\xc3\xa9 status:x", 11, "expected one of"},
        {"attr.:x", 1, "no field"},
        {"*", 1, "beside '*'"},
        {"\"\"", 1, "between the quotes"},
        {"tokens:..", 8, "at least one side"},
        {"has:", 5, "expected the name"},
        {"has:root", 5, "always known"},
        {"NOT", 4, "found the end"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct filter *filter;
        struct error err = {0};
        int code = filter_parse(slice_of(cases[i].text), &arena, &filter, &err);
        if (code != VT_EINVAL || err.column != cases[i].column || !strstr(err.message, cases[i].says))
            fail_msg("%s: code %d, column %d, '%s'", cases[i].text, code, err.column, err.message);
    }
}

static void unknown_field_suggests_the_nearest(void **state) {
    struct filter *filter;
    struct error err = {0};
    assert_int_equal(filter_parse(SLICE("provder:x"), &arena, &filter, &err), VT_EINVAL);
    assert_non_null(strstr(err.hint, "'provider'"));
}

static void absurd_filters_meet_a_limit(void **state) {
    struct filter *filter;
    struct error err = {0};
    char *text = malloc(10 << 20);
    memset(text, 'a', 10 << 20);
    assert_int_equal(filter_parse(slice_make(text, 10 << 20), &arena, &filter, &err), VT_ELIMIT);
    size_t len = 0;
    for (int i = 0; i < 10000; i++) len += (size_t)sprintf(text + len, "a ");
    assert_int_equal(filter_parse(slice_make(text, len), &arena, &filter, &err), VT_ELIMIT);
    assert_non_null(strstr(err.message, "1000 terms"));
    memset(text, '(', 60000);
    assert_int_equal(filter_parse(slice_make(text, 60000), &arena, &filter, &err), VT_ELIMIT);
    memset(text, '-', 60000);
    assert_int_equal(filter_parse(slice_make(text, 60000), &arena, &filter, &err), VT_ELIMIT);
    /* Many stars must not take exponential time. */
    len = (size_t)sprintf(text, "operation:");
    for (int i = 0; i < 2000; i++) len += (size_t)sprintf(text + len, "*e");
    text[len++] = 'q';
    assert_int_equal(filter_parse(slice_make(text, len), &arena, &filter, &err), 0);
    struct span span = sample();
    assert_false(filter_matches(filter, &span));
    free(text);
}

static void columns_are_those_the_terms_need(void **state) {
    struct filter *filter;
    struct error err;
    assert_int_equal(filter_parse(SLICE("model:a tokens:>5"), &arena, &filter, &err), 0);
    uint64_t one = 1, cols = filter_columns(filter);
    assert_true(cols & one << COL_MODEL && cols & one << COL_TOKENS_INPUT && cols & one << COL_TOKENS_OUTPUT);
    assert_false(cols & one << COL_PROMPT);
    assert_false(filter_needs_traces(filter));
    assert_int_equal(filter_parse(SLICE("word -fallback:true"), &arena, &filter, &err), 0);
    assert_true(filter_columns(filter) & one << COL_PROMPT);
    assert_true(filter_needs_traces(filter));
}

static int start(void **state) {
    return arena_init(&arena, 0), 0;
}
static int stop(void **state) {
    return arena_free(&arena), 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filter_matches_by_fields),
        cmocka_unit_test(words_are_found_in_what_was_said),
        cmocka_unit_test(mistakes_are_named_with_their_column),
        cmocka_unit_test(unknown_field_suggests_the_nearest),
        cmocka_unit_test(absurd_filters_meet_a_limit),
        cmocka_unit_test(columns_are_those_the_terms_need),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
