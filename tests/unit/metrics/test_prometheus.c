/* What Prometheus reads: right numbers, bounded series, escaped labels, families that stand together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "metrics/prometheus.h"
#include <stdio.h>
#include <stdlib.h>

static struct batch *batch;
static struct prometheus *prom;
static struct prometheus_sink sink;

static int start(void **state) {
    batch = batch_new();
    prom = prometheus_new(20);
    return !batch || !prom;
}

static int stop(void **state) {
    batch_unref(batch);
    prometheus_free(prom);
    buf_free(&sink.text);
    return 0;
}

static struct span *add(enum span_kind kind, const char *service, const char *model, enum span_status status,
                        uint8_t trace) {
    struct span *span = batch_add(batch);
    span->kind = kind;
    span->status = status;
    span->trace_id[15] = trace;
    span->duration_ns = 150000000;
    span->start_ns = INT64_C(1700000000000000000);
    *span_text(span, COL_SERVICE) = slice_of(service);
    *span_text(span, COL_MODEL) = slice_of(model);
    return span;
}

static const char *written(bool openmetrics) {
    prometheus_observe(prom, batch);
    buf_clear(&sink.text);
    prometheus_write(prom, openmetrics, &sink);
    return buf_cstr(&sink.text);
}

#define HAS(line)                                                                                                      \
    do {                                                                                                               \
        if (!strstr(all, line)) fail_msg("missing %s in\n%s", line, all);                                              \
    } while (0)
#define HAS_NOT(line)                                                                                                  \
    do {                                                                                                               \
        if (strstr(all, line)) fail_msg("unexpected %s in\n%s", line, all);                                            \
    } while (0)

static void calls_are_counted_by_their_labels(void **state) {
    struct span *s = add(KIND_LLM, "ai-storefront", "gpt-4o", STATUS_OK, 1);
    s->tokens_input = 100, s->tokens_output = 20, s->cost_usd = 0.25, s->ttft_ns = 30000000;
    add(KIND_LLM, "ai-storefront", "gpt-4o", STATUS_ERROR, 2);
    add(KIND_TOOL, "ai-storefront", "", STATUS_OK, 1);
    const char *all = written(false);
    HAS("# TYPE ai_storefront_llm_requests_total counter\n");
    HAS("ai_storefront_llm_requests_total{service=\"ai-storefront\",model=\"gpt-4o\",status=\"OK\"} 1\n");
    HAS("ai_storefront_llm_errors_total{service=\"ai-storefront\",model=\"gpt-4o\",status=\"ERROR\"} 1\n");
    HAS("ai_storefront_llm_tokens_total{service=\"ai-storefront\",model=\"gpt-4o\",status=\"OK\",type=\"input\"} "
        "100\n");
    HAS("ai_storefront_llm_cost_usd_total{service=\"ai-storefront\",model=\"gpt-4o\",status=\"OK\"} 0.25\n");
    HAS("ai_storefront_llm_duration_seconds_bucket{service=\"ai-storefront\",model=\"gpt-4o\",status=\"OK\",le=\"0."
        "08\"} 0\n");
    HAS("ai_storefront_llm_duration_seconds_bucket{service=\"ai-storefront\",model=\"gpt-4o\",status=\"OK\",le=\"0."
        "16\"} 1\n");
    HAS("gen_ai_client_token_usage_bucket{service_name=\"ai-storefront\",gen_ai_request_model=\"gpt-4o\",status=\"OK\","
        "gen_ai_token_type=\"input\",le=\"64\"} 0\n");
    HAS("gen_ai_client_token_usage_bucket{service_name=\"ai-storefront\",gen_ai_request_model=\"gpt-4o\",status=\"OK\","
        "gen_ai_token_type=\"input\",le=\"256\"} 1\n");
    HAS("gen_ai_server_time_to_first_token_seconds_sum{service_name=\"ai-storefront\",gen_ai_request_model=\"gpt-4o\","
        "status=\"OK\"} 0.03\n");
    HAS_NOT("trace_id");
}

static void errors_are_zero_until_the_first(void **state) {
    add(KIND_LLM, "a", "m", STATUS_OK, 1);
    add(KIND_TURN, "a", "", STATUS_OK, 1);
    const char *all = written(false);
    HAS("a_llm_errors_total{service=\"a\",model=\"m\",status=\"ERROR\"} 0\n");
    HAS("a_chat_errors_total{service=\"a\",status=\"ERROR\"} 0\n");
    add(KIND_LLM, "a", "m", STATUS_ERROR, 2);
    all = written(false);
    HAS("a_llm_errors_total{service=\"a\",model=\"m\",status=\"ERROR\"} 1\n");
    HAS_NOT("a_llm_errors_total{service=\"a\",model=\"m\",status=\"ERROR\"} 0\n");
}

static void restated_usage_and_weights_are_respected(void **state) {
    struct span *s = add(KIND_LLM, "a", "m", STATUS_OK, 1);
    s->tokens_input = 100, s->flags = SPAN_USAGE_RESTATED, s->sample_rate = 0.25;
    const char *all = written(false);
    HAS("a_llm_requests_total{service=\"a\",model=\"m\",status=\"OK\"} 4\n");
    HAS_NOT("a_llm_tokens_total{");
}

static void fallback_is_counted_in_either_order(void **state) {
    add(KIND_LLM, "a", "m", STATUS_ERROR, 1);
    add(KIND_TURN, "a", "", STATUS_OK, 1);
    add(KIND_TURN, "a", "", STATUS_OK, 2);
    add(KIND_LLM, "a", "m", STATUS_ERROR, 2);
    add(KIND_TURN, "a", "", STATUS_OK, 3);
    add(KIND_LLM, "a", "m", STATUS_OK, 3);
    add(KIND_LLM, "a", "m", STATUS_ERROR, 4);
    add(KIND_TURN, "a", "", STATUS_ERROR, 4);
    const char *all = written(false);
    HAS("a_chat_fallbacks_total{service=\"a\",status=\"OK\"} 2\n");
    HAS("a_chat_turns_total{service=\"a\",status=\"OK\"} 3\n");
    HAS("a_chat_errors_total{service=\"a\",status=\"ERROR\"} 1\n");
}

static void labels_are_escaped_and_exemplars_written(void **state) {
    add(KIND_LLM, "a", "x\"y\\z\nw", STATUS_OK, 0xab);
    const char *all = written(true);
    HAS("gen_ai_request_model=\"x\\\"y\\\\z\\nw\"");
    HAS("# TYPE a_llm_requests counter\n");
    HAS("le=\"0.16\"} 1 # {trace_id=\"000000000000000000000000000000ab\"} 0.15 1700000000.15\n");
}

static void series_are_bounded_and_nothing_is_lost(void **state) {
    static char names[3000][16];
    for (int i = 0; i < 3000; i++) {
        snprintf(names[i], sizeof names[i], i % 3 ? "m%d" : "svc%d", i);
        add(KIND_LLM, i % 3 ? "a" : names[i], i % 3 ? names[i] : "m", STATUS_OK, 1);
    }
    const char *all = written(false);
    HAS("model=\"overflow\"");
    HAS("service=\"overflow\"");
    double total = 0, lines = 0;
    for (const char *at = all; (at = strstr(at, "llm_requests_total{")); at++) {
        total += atof(strstr(at, "} ") + 2);
        lines++;
    }
    assert_true(total == 3000);
    assert_true(lines <= 36);
}

/* All samples of a family stand in one run behind its TYPE line. */
static void families_stand_together(void **state) {
    static const char *const services[] = {"a-b", "c", "a_b", "c", "a.b", "9lives", ""};
    for (size_t i = 0; i < 7; i++) add(i % 2 ? KIND_TURN : KIND_LLM, services[i], "m", STATUS_OK, (uint8_t)i);
    const char *all = written(false);
    char *copy = strdup(all), *seen[500], *rest = copy, *line;
    size_t count = 0;
    while ((line = strsep(&rest, "\n")) && *line) {
        if (strncmp(line, "# TYPE ", 7) != 0) continue;
        *strchr(line + 7, ' ') = 0;
        for (size_t i = 0; i < count; i++) assert_string_not_equal(seen[i], line + 7);
        seen[count++] = line + 7;
    }
    assert_true(count > 10);
    HAS("_9lives_chat_turns_total{");
    HAS("unknown_service_llm_requests_total{");
    free(copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(calls_are_counted_by_their_labels, start, stop),
        cmocka_unit_test_setup_teardown(errors_are_zero_until_the_first, start, stop),
        cmocka_unit_test_setup_teardown(restated_usage_and_weights_are_respected, start, stop),
        cmocka_unit_test_setup_teardown(fallback_is_counted_in_either_order, start, stop),
        cmocka_unit_test_setup_teardown(labels_are_escaped_and_exemplars_written, start, stop),
        cmocka_unit_test_setup_teardown(series_are_bounded_and_nothing_is_lost, start, stop),
        cmocka_unit_test_setup_teardown(families_stand_together, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
