/* The query grammar and the YAML file of monitors: the storefront's own three alerts, every part, every mistake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "alert/monitor.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct arena arena;
static int clear(void **state) {
    return arena_free(&arena), 0;
}

static struct monitor_query parsed(const char *text) {
    struct monitor_query query;
    struct error err = {0};
    if (monitor_query_parse(slice_of(text), &arena, &query, &err)) fail_msg("%s: %s", text, err.message);
    return query;
}

static void query_of_the_storefront_is_read(void **state) {
    struct monitor_query q = parsed("avg(last_5m):avg:ai_storefront.llm.duration{*} > 10000");
    assert_int_equal(q.time_aggr, AGGR_AVG);
    assert_int_equal(q.space_aggr, AGGR_AVG);
    assert_true(q.window_ns == 300 * INT64_C(1000000000));
    assert_true(slice_is(q.service, "ai_storefront"));
    assert_string_equal(q.metric->name, "llm.duration");
    assert_int_equal(q.tag_count, 0);
    assert_int_equal(q.compare, CMP_GT);
    assert_true(q.threshold == 10000);
    q = parsed("sum(last_10m):count:ai_storefront.llm.errors{*} > 5");
    assert_int_equal(q.space_aggr, AGGR_COUNT);
    q = parsed("sum(last_1h):sum:ai_storefront.llm.tokens{*} > 100000");
    assert_true(q.window_ns == 3600 * INT64_C(1000000000));
}

static void query_takes_scope_groups_and_form(void **state) {
    struct monitor_query q = parsed(
        "max(last_2d):p95:my.shop.chat.duration{model:gpt-4o, !env:dev/x} by {model,user.id}.as_rate() <= -1.5e3");
    assert_true(slice_is(q.service, "my.shop"));
    assert_string_equal(q.metric->name, "chat.duration");
    assert_int_equal(q.tag_count, 2);
    assert_true(slice_is(q.tags[0].tag, "model") && slice_is(q.tags[0].value, "gpt-4o") && !q.tags[0].negated);
    assert_true(slice_is(q.tags[1].tag, "env") && slice_is(q.tags[1].value, "dev/x") && q.tags[1].negated);
    assert_int_equal(q.group_count, 2);
    assert_true(slice_is(q.groups[1], "user.id"));
    assert_int_equal(q.form, FORM_RATE);
    assert_int_equal(q.compare, CMP_LE);
    assert_true(q.threshold == -1500);
    assert_int_equal(parsed("sum(last_5m):sum:a.llm.tokens{*}.as_count() by {model} != 3").group_count, 1);
}

static void query_mistakes_name_their_column(void **state) {
    static const struct {
        const char *text;
        int column;
        const char *expected;
    } cases[] = {
        {"", 1, "one of avg sum"},
        {"mean(last_5m):avg:a.llm.duration{*} > 1", 1, "one of avg sum"},
        {"avg last_5m", 5, "("},
        {"avg(5m):avg:a.llm.duration{*} > 1", 5, "last_"},
        {"avg(last_5y):avg:a.llm.duration{*} > 1", 10, "s m h d w"},
        {"avg(last_0m):avg:a.llm.duration{*} > 1", 10, "s m h d w"},
        {"avg(last_99d):avg:a.llm.duration{*} > 1", 10, "31 days"},
        {"avg(last_5m)avg:a.llm.duration{*} > 1", 13, "):"},
        {"avg(last_5m):p42:a.llm.duration{*} > 1", 14, "p50"},
        {"avg(last_5m):avg:a.llm.speed{*} > 1", 18, "a metric"},
        {"avg(last_5m):avg:llm.duration{*} > 1", 18, "a metric"},
        {"avg(last_5m):avg:a.llm.duration > 1", 33, "{"},
        {"avg(last_5m):avg:a.llm.duration{model} > 1", 38, "tag:value"},
        {"avg(last_5m):avg:a.llm.duration{model:} > 1", 39, "a value"},
        {"avg(last_5m):avg:a.llm.duration{*} by model > 1", 39, "{"},
        {"avg(last_5m):avg:a.llm.duration{*} over 1", 36, "one of >"},
        {"avg(last_5m):avg:a.llm.duration{*} > much", 38, "a number"},
        {"avg(last_5m):avg:a.llm.duration{*} > inf", 38, "a number"},
        {"avg(last_5m):avg:a.llm.duration{*} > 1 2", 40, "nothing after"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct monitor_query query;
        struct error err = {0};
        assert_int_equal(monitor_query_parse(slice_of(cases[i].text), &arena, &query, &err), VT_EINVAL);
        if (err.column != cases[i].column || !strstr(err.message, cases[i].expected))
            fail_msg("\"%s\": %s (column %d)", cases[i].text, err.message, err.column);
    }
}

static struct monitor_file loaded(const char *yaml) {
    struct monitor_file file;
    struct error err = {0};
    if (monitor_file_parse(slice_of(yaml), "alerts.yaml", &arena, &file, &err)) fail_msg("%s", err.message);
    return file;
}

static void file_of_the_storefront_is_read_unchanged(void **state) {
    struct monitor_file file = loaded("- name: \"High LLM Latency\"\n"
                                      "  query: \"avg(last_5m):avg:ai_storefront.llm.duration{*} > 10000\"\n"
                                      "  message: \"LLM response time is above 10 seconds\"\n"
                                      "- name: \"LLM Errors\"\n"
                                      "  query: \"sum(last_10m):count:ai_storefront.llm.errors{*} > 5\"\n"
                                      "  message: \"Multiple LLM errors detected\"\n"
                                      "- name: \"High Token Usage\"\n"
                                      "  query: \"sum(last_1h):sum:ai_storefront.llm.tokens{*} > 100000\"\n"
                                      "  message: \"Token usage is high\"\n");
    assert_int_equal(file.count, 3);
    for (uint32_t i = 0; i < 3; i++) assert_int_equal(file.monitors[i].problem.code, 0);
    assert_true(slice_is(file.monitors[1].name, "LLM Errors"));
    assert_true(file.monitors[2].critical == 100000 && isnan(file.monitors[2].warning));
}

static void file_options_and_targets_are_read(void **state) {
    setenv("TEST_HOOK_SECRET", "s3cret", 1);
    struct monitor_file file =
        loaded("notify:\n"
               "  - {name: hook, kind: webhook, url: 'http://127.0.0.1/x', secret: '${TEST_HOOK_SECRET}'}\n"
               "monitors:\n"
               "  - name: slow\n"
               "    type: metric alert\n"
               "    query: avg(last_5m):avg:a.llm.duration{*} > 100\n"
               "    message: '{{value}} @hook'\n"
               "    tags: [team:shop, env:prod]\n"
               "    options:\n"
               "      thresholds: {critical: 100, warning: 50, critical_recovery: 80}\n"
               "      notify_no_data: true\n"
               "      no_data_timeframe: 15\n"
               "      renotify_interval: 60\n");
    const struct monitor *m = file.monitors;
    assert_int_equal(m->problem.code, 0);
    assert_true(m->critical == 100 && m->warning == 50 && m->critical_recovery == 80 && isnan(m->warning_recovery));
    assert_true(m->notify_no_data && m->no_data_ns == 900 * INT64_C(1000000000) &&
                m->renotify_ns == 3600 * INT64_C(1000000000));
    assert_int_equal(m->tag_count, 2);
    assert_int_equal(file.target_count, 1);
    assert_true(slice_is(file.targets[0].secret, "s3cret"));
}

static void file_with_a_bad_monitor_keeps_the_others(void **state) {
    struct monitor_file file = loaded("- name: fine\n  query: avg(last_5m):avg:a.llm.duration{*} > 1\n"
                                      "- name: broken\n  query: avg(last_5m):avg:a.llm.speed{*} > 1\n"
                                      "- just a text\n"
                                      "- name: fine\n  query: avg(last_5m):avg:a.llm.duration{*} > 1\n"
                                      "- name: order\n  query: avg(last_5m):avg:a.llm.duration{*} > 1\n"
                                      "  options: {thresholds: {warning: 2}}\n"
                                      "- name: number\n  query: avg(last_5m):avg:a.llm.duration{*} > 1\n"
                                      "  options: {thresholds: {critical: lots}}\n"
                                      "- query: x\n");
    static const char *const problems[] = {NULL,
                                           "monitor \"broken\": query column 18: expected a metric",
                                           "alerts.yaml:5: expected a monitor",
                                           "has the name of line 1",
                                           "never reached",
                                           "critical is \"lots\"",
                                           "needs a name"};
    assert_int_equal(file.count, 7);
    for (uint32_t i = 0; i < file.count; i++) {
        if (!problems[i])
            assert_int_equal(file.monitors[i].problem.code, 0);
        else if (!strstr(file.monitors[i].problem.message, problems[i]))
            fail_msg("%u: %s", i, file.monitors[i].problem.message);
    }
}

static void file_that_is_no_list_is_refused(void **state) {
    static const char *const texts[] = {"",
                                        "a: b",
                                        "[unclosed",
                                        "just text",
                                        "\t- x",
                                        "monitors: 3",
                                        "notify: [{name: x, kind: pigeon, url: y}]\nmonitors: []"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct monitor_file file;
        struct error err = {0};
        assert_true(monitor_file_parse(slice_of(texts[i]), "alerts.yaml", &arena, &file, &err) < 0);
        assert_non_null(strstr(err.message, "alerts.yaml"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(query_of_the_storefront_is_read, clear),
        cmocka_unit_test_teardown(query_takes_scope_groups_and_form, clear),
        cmocka_unit_test_teardown(query_mistakes_name_their_column, clear),
        cmocka_unit_test_teardown(file_of_the_storefront_is_read_unchanged, clear),
        cmocka_unit_test_teardown(file_options_and_targets_are_read, clear),
        cmocka_unit_test_teardown(file_with_a_bad_monitor_keeps_the_others, clear),
        cmocka_unit_test_teardown(file_that_is_no_list_is_refused, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
