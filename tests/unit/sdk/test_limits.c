/* Limits of a span, and the counters of what went past them. */
#include "sdk_test.h"

#include <stdlib.h>
#include <string.h>

static vt_stats stats_now(void) {
    vt_stats stats;
    vt_stats_get(&stats);
    return stats;
}

static void start_with(uint32_t attributes, uint32_t bytes, uint32_t events) {
    vt_config config = sink_config();
    config.max_attributes = attributes;
    config.max_value_bytes = bytes;
    config.max_events = events;
    assert_int_equal(vt_init(&config), 0);
}

static void attributes_past_the_limit_are_counted_and_known_keys_may_change(void **state) {
    start_with(3, 0, 0);
    vt_span *span = vt_span_start("s");
    vt_span_set_int(span, "a", 1);
    vt_span_set_int(span, "b", 1);
    vt_span_set_int(span, "a", 2); /* two keys so far */
    vt_span_set_int(span, "c", 1);
    vt_span_set_int(span, "d", 1);
    vt_span_set_str(span, "e", "x");
    vt_span_set_str(span, "b", "changed");
    vt_span_error(span, "kept");
    vt_span_set_int(span, "c", 2);
    vt_span_end(span);
    assert_contains(sink_line(0), "\"attributes\":{\"service.name\":\"shop\",\"a\":2,\"b\":\"changed\",\"c\":2}}");
    assert_string_equal(line_value(0, "error"), "\"kept\"");
    assert_int_equal(stats_now().dropped_attrs, 2);
}

static void events_past_the_limit_are_counted_and_so_are_their_attributes(void **state) {
    start_with(2, 0, 2);
    vt_attr attrs[] = {vt_attr_int("a", 1), vt_attr_int("b", 1), vt_attr_int("c", 1)};
    vt_span *span = vt_span_start("s");
    vt_span_event(span, "one", attrs, 3);
    vt_span_event(span, "two", NULL, 0);
    vt_span_event(span, "three", attrs, 3);
    vt_span_end(span);
    assert_contains(sink_line(0), "\"events\":[{\"name\":\"one\",\"timestamp\":MS,\"attributes\":{\"a\":1,\"b\":1}},{"
                                  "\"name\":\"two\",\"timestamp\":MS}]}");
    assert_int_equal(stats_now().dropped_events, 1);
    assert_int_equal(stats_now().dropped_attrs, 1);
}

static void values_are_cut_at_a_code_point(void **state) {
    start_with(0, 5, 0);
    vt_span *span = vt_span_start("s");
    vt_span_set_str(span, "exact", "12345");
    vt_span_set_str(span, "over", "123456");
    vt_span_set_str(span, "point", "1234\xe2\x82\xac");
    vt_span_set_str(span, "points", "\xf0\x9f\x94\x8d\xf0\x9f\x94\x8d");
    vt_attr attr = vt_attr_str("in.event", "123456");
    vt_span_event(span, "e", &attr, 1);
    vt_span_error(span, "123456");
    vt_span_end(span);
    assert_string_equal(line_value(0, "exact"), "\"12345\"");
    assert_string_equal(line_value(0, "over"), "\"12345\"");
    assert_string_equal(line_value(0, "point"), "\"1234\"");
    assert_string_equal(line_value(0, "points"), "\"\xf0\x9f\x94\x8d\"");
    assert_string_equal(line_value(0, "in.event"), "\"12345\"");
    assert_string_equal(line_value(0, "error"), "\"12345\"");
    assert_int_equal(stats_now().truncated_values, 5);
}

static void names_that_are_too_long_are_cut_or_left_out(void **state) {
    start_with(0, 0, 0);
    char *name = malloc(5001);
    memset(name, 'n', 5000);
    name[5000] = 0;
    vt_span *span = vt_span_start(name);
    vt_span_set_int(span, name, 1);
    vt_span_set_str(span, name, "x");
    vt_span_event(span, name, NULL, 0);
    vt_span_end(span);
    assert_int_equal(strlen(line_value(0, "operation")), 1024 + 2);
    assert_int_equal(strlen(line_value(0, "name")), 1024 + 2);
    assert_contains(sink_line(0), "\"attributes\":{\"service.name\":\"shop\"},\"events\"");
    assert_int_equal(stats_now().dropped_attrs, 2);
    free(name);
}

/* 8 MiB is the most that one span may hold. */
static void a_span_larger_than_all_bounds_loses_attributes_and_not_itself(void **state) {
    start_with(1000, 4 << 20, 0);
    char *large = malloc((4 << 20) + 1);
    memset(large, 'x', 4 << 20);
    large[4 << 20] = 0;
    vt_span *span = vt_span_start("s");
    for (int i = 0; i < 5; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%d", i);
        vt_span_set_str(span, key, large);
    }
    vt_span_set_int(span, "after", 1);
    vt_stats stats = stats_now();
    assert_in_range(stats.dropped_attrs, 3, 4);
    vt_span_end(span);
    assert_int_equal(stats_now().finished, 1);
    free(large);
}

static void a_million_open_spans_are_enough(void **state) {
    vt_config config = sink_config();
    config.sampler = VT_SAMPLER_OFF; /* ids alone: fast */
    assert_int_equal(vt_init(&config), 0);
    enum { MANY = (1 << 20) + 10 };
    vt_span **spans = malloc(MANY * sizeof *spans);
    size_t opened = 0;
    for (size_t i = 0; i < MANY; i++) {
        spans[i] = vt_span_start("s");
        opened += spans[i] != NULL;
    }
    assert_int_equal(opened, 1 << 20);
    assert_int_equal(stats_now().dropped_memory, 10);
    for (size_t i = MANY; i-- > 0;) vt_span_end(spans[i]);
    vt_span *again = vt_span_start("s");
    assert_non_null(again);
    vt_span_end(again);
    free(spans);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(attributes_past_the_limit_are_counted_and_known_keys_may_change),
        TEST(events_past_the_limit_are_counted_and_so_are_their_attributes),
        TEST(values_are_cut_at_a_code_point),
        TEST(names_that_are_too_long_are_cut_or_left_out),
        TEST(a_span_larger_than_all_bounds_loses_attributes_and_not_itself),
        TEST(a_million_open_spans_are_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
