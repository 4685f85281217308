/* The trace log line, byte for byte. */
#include "sdk_test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HEAD(status, level)                                                                                            \
    "{\"timestamp\":\"TIME\",\"level\":\"" level "\",\"message\":\"TRACE: work\",\"trace\":{\"traceId\":\"T1\","       \
    "\"spanId\":\"S1\",\"operation\":\"work\",\"duration\":\"DURATION\",\"status\":\"" status "\""

static void span_without_anything_has_head_and_service(void **state) {
    sink_init();
    vt_span_end(vt_span_start("work"));
    assert_string_equal(sink_line(0), HEAD("OK", "INFO") "},\"attributes\":{\"service.name\":\"shop\"}}");
}

static void values_of_every_type(void **state) {
    sink_init();
    vt_span *span = vt_span_start("work");
    vt_span_set_str(span, "text", "a");
    vt_span_set_str(span, "empty", "");
    vt_span_set_int(span, "least", INT64_MIN);
    vt_span_set_int(span, "most", INT64_MAX);
    vt_span_set_int(span, "zero", 0);
    vt_span_set_bool(span, "yes", true);
    vt_span_set_bool(span, "no", false);
    vt_span_end(span);
    assert_string_equal(sink_line(0),
                        HEAD("OK", "INFO") "},\"attributes\":{\"service.name\":\"shop\",\"text\":\"a\",\"empty\":\"\","
                                           "\"least\":-9223372036854775808,\"most\":9223372036854775807,\"zero\":0,"
                                           "\"yes\":true,\"no\":false}}");
}

static void doubles_read_back_the_same_and_not_finite_ones_are_null(void **state) {
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0.7, "0.7"},
                 {0, "0"},
                 {-0.0, "-0"},
                 {1, "1"},
                 {-2.5, "-2.5"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {1e300, "1e+300"},
                 {5e-324, "4.94065645841247e-324"},
                 {123456789.125, "123456789.125"},
                 {1e15, "1e+15"},
                 {1.0 / 3, "0.3333333333333333"},
                 {NAN, "null"},
                 {INFINITY, "null"},
                 {-INFINITY, "null"}};
    sink_init();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vt_span *span = vt_span_start("work");
        vt_span_set_double(span, "d", cases[i].value);
        vt_span_end(span);
        const char *text = line_value(i, "d");
        assert_string_equal(text, cases[i].text);
        if (isfinite(cases[i].value)) assert_true(strtod(text, NULL) == cases[i].value);
    }
}

/* Every byte of ASCII, by the rules of RFC 8259: two-character escapes where there are some, \u00XX for other controls.
 */
static void every_ascii_byte_is_escaped_as_json_wants(void **state) {
    sink_init();
    for (int c = 1; c < 128; c++) {
        char text[] = {'<', (char)c, '>', 0}, wanted[16];
        vt_span *span = vt_span_start("work");
        vt_span_set_str(span, "v", text);
        vt_span_end(span);
        const char *pair = c == '"'    ? "\\\""
                           : c == '\\' ? "\\\\"
                           : c == '\b' ? "\\b"
                           : c == '\t' ? "\\t"
                           : c == '\n' ? "\\n"
                           : c == '\f' ? "\\f"
                           : c == '\r' ? "\\r"
                                       : NULL;
        if (pair)
            snprintf(wanted, sizeof wanted, "\"<%s>\"", pair);
        else if (c < ' ')
            snprintf(wanted, sizeof wanted, "\"<\\u%04x>\"", (unsigned)c);
        else
            snprintf(wanted, sizeof wanted, "\"<%c>\"", c);
        const char *at = strstr(sink_raw((size_t)c - 1), "\"v\":");
        assert_non_null(at);
        if (strncmp(at + 4, wanted, strlen(wanted)) != 0) fail_msg("byte %d: %s instead of %s", c, at + 4, wanted);
    }
}

/* Escapes at every place within the pieces of sixteen bytes in which text is copied. */
static void escapes_are_found_at_any_place_of_a_long_text(void **state) {
    sink_init();
    size_t lines = 0;
    for (size_t len = 1; len < 50; len++)
        for (size_t at = 0; at < len; at++, lines++) {
            char text[64], wanted[80];
            memset(text, 'x', len);
            text[at] = '"', text[len] = 0;
            vt_span *span = vt_span_start("w");
            vt_span_set_str(span, "v", text);
            vt_span_end(span);
            snprintf(wanted, sizeof wanted, "\"%.*s\\\"%s\"", (int)at, text, text + at + 1);
            if (strcmp(line_value(0, "v"), wanted) != 0)
                fail_msg("length %zu, place %zu: %s", len, at, line_value(0, "v"));
            sink_clear();
        }
}

static void invalid_utf8_becomes_replacement_characters(void **state) {
#define R "\xef\xbf\xbd"
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"}, /* valid: as it is */
        {"\xf0\x9f\x94\x8d", "\xf0\x9f\x94\x8d"},     /* four bytes */
        {"a\xff"
         "b",
         "a" R "b"}, /* no UTF-8 at all */
        {"a\x80"
         "b",
         "a" R "b"},                   /* a continuation alone */
        {"a\xc3", "a" R},              /* cut at the end */
        {"a\xe2\x82", "a" R R},        /* cut after two of three */
        {"\xc0\xaf", R R},             /* overlong '/' */
        {"\xe0\x80\xaf", R R R},       /* overlong */
        {"\xed\xa0\x80", R R R},       /* a surrogate */
        {"\xf4\x90\x80\x80", R R R R}, /* beyond U+10FFFF */
        {"0123456789abcde\xff"
         "fghijklmnopq\xc3\xa4",
         "0123456789abcde" R "fghijklmnopq\xc3\xa4"},
    };
    sink_init();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vt_span *span = vt_span_start("work");
        vt_span_set_str(span, "v", cases[i].text);
        vt_span_end(span);
        char wanted[128];
        snprintf(wanted, sizeof wanted, "\"%s\"", cases[i].wanted);
        if (strcmp(line_value(i, "v"), wanted) != 0) fail_msg("case %zu: %s", i, line_value(i, "v"));
    }
}

static void keys_operations_errors_and_events_are_escaped_too(void **state) {
    sink_init();
    vt_span *span = vt_span_start("say \"hi\"\n\xff");
    vt_span_set_str(span, "k\"\\\x01", "v");
    vt_attr attr = vt_attr_str("e\"", "\t");
    vt_span_event(span, "ev\"", &attr, 1);
    vt_span_error(span, "it \"broke\"\r\n");
    vt_span_end(span);
    assert_string_equal(
        sink_line(0),
        "{\"timestamp\":\"TIME\",\"level\":\"ERROR\",\"message\":\"TRACE: say "
        "\\\"hi\\\"\\n\xef\xbf\xbd\",\"trace\":{\"traceId\":\"T1\","
        "\"spanId\":\"S1\",\"operation\":\"say "
        "\\\"hi\\\"\\n\xef\xbf\xbd\",\"duration\":\"DURATION\",\"status\":\"ERROR\","
        "\"error\":\"it \\\"broke\\\"\\r\\n\"},\"attributes\":{\"service.name\":\"shop\",\"k\\\"\\\\\\u0001\":\"v\"},"
        "\"events\":[{\"name\":\"ev\\\"\",\"timestamp\":MS,\"attributes\":{\"e\\\"\":\"\\t\"}}]}");
}

static void error_without_message_has_status_alone_and_the_last_message_stands(void **state) {
    sink_init();
    vt_span *span = vt_span_start("work");
    vt_span_error(span, NULL);
    vt_span_end(span);
    span = vt_span_start("work");
    vt_span_error(span, "first, and longer than the second");
    vt_span_set_int(span, "after", 1);
    vt_span_error(span, "second");
    vt_span_end(span);
    assert_string_equal(sink_line(0), HEAD("ERROR", "ERROR") "},\"attributes\":{\"service.name\":\"shop\"}}");
    assert_string_equal(line_value(1, "error"), "\"second\"");
    assert_string_equal(line_value(1, "after"), "1");
}

static void events_carry_attributes_of_every_type_and_may_have_none(void **state) {
    sink_init();
    vt_span *span = vt_span_start("work");
    vt_span_event(span, "bare", NULL, 0);
    vt_attr attrs[] = {vt_attr_str("s", "x"), vt_attr_int("i", -1), vt_attr_double("d", 0.5), vt_attr_bool("b", true)};
    vt_span_event(span, "full", attrs, 4);
    vt_span_end(span);
    assert_string_equal(
        sink_line(0),
        HEAD("OK",
             "INFO") "},\"attributes\":{\"service.name\":\"shop\"},\"events\":[{\"name\":\"bare\",\"timestamp\":MS},"
                     "{\"name\":\"full\",\"timestamp\":MS,\"attributes\":{\"s\":\"x\",\"i\":-1,\"d\":0.5,\"b\":true}}]"
                     "}");
}

static void attributes_by_struct_may_give_sizes_instead_of_nul(void **state) {
    sink_init();
    vt_span *span = vt_span_start("work");
    vt_attr attrs[] = {
        {.key = "keyREST", .key_size = 3, .type = VT_STRING, .value_size = 5, .value = {.string = "valueREST"}},
        {.key = "odd", .type = 99},
        {.key = NULL},
        {.key = "", .type = VT_INT},
        {.key = "none", .type = VT_STRING, .value = {.string = NULL}}};
    vt_span_set_attrs(span, attrs, 5);
    vt_span_end(span);
    assert_string_equal(sink_line(0),
                        HEAD("OK", "INFO") "},\"attributes\":{\"service.name\":\"shop\",\"key\":\"value\"}}");
}

static void key_set_again_takes_the_last_value(void **state) {
    sink_init();
    vt_span *span = vt_span_start("work");
    vt_span_set_str(span, "k", "first");
    vt_span_set_int(span, "other", 1);
    vt_span_set_int(span, "k", 2);
    vt_span_set_str(span, "service.name", "own"); /* takes the resource's place */
    vt_span_end(span);
    assert_string_equal(sink_line(0),
                        HEAD("OK", "INFO") "},\"attributes\":{\"other\":1,\"k\":2,\"service.name\":\"own\"}}");
}

static void resource_stands_before_the_spans_attributes(void **state) {
    vt_config config = sink_config();
    vt_attr resource[] = {vt_attr_int("pid", 7), vt_attr_str("host.name", "h\"1")};
    config.service_version = "1.0.0";
    config.environment = "production";
    config.resource = resource;
    config.resource_count = 2;
    assert_int_equal(vt_init(&config), 0);
    vt_span *span = vt_span_start("work");
    vt_span_set_int(span, "n", 1);
    vt_span_end(span);
    assert_string_equal(
        sink_line(0),
        HEAD("OK", "INFO") "},\"attributes\":{\"service.name\":\"shop\",\"service.version\":\"1.0.0\","
                           "\"deployment.environment\":\"production\",\"pid\":7,\"host.name\":\"h\\\"1\",\"n\":1}}");
}

static void operation_that_is_missing_is_unknown(void **state) {
    sink_init();
    vt_span_end(vt_span_start(NULL));
    vt_span_end(vt_span_start(""));
    assert_string_equal(line_value(0, "operation"), "\"unknown\"");
    assert_string_equal(line_value(1, "operation"), "\"unknown\"");
}

static void times_and_duration_are_those_of_the_clock(void **state) {
    sink_init();
    struct timespec before, after;
    clock_gettime(CLOCK_REALTIME, &before);
    vt_span *span = vt_span_start("work");
    sleep_ms(30);
    vt_span_event(span, "e", NULL, 0);
    vt_span_end(span);
    clock_gettime(CLOCK_REALTIME, &after);
    struct tm tm = {0};
    assert_non_null(strptime(line_value(0, "timestamp") + 1, "%Y-%m-%dT%H:%M:%S", &tm));
    long start_s = (long)timegm(&tm);
    assert_true(start_s >= before.tv_sec && start_s <= after.tv_sec);
    long event_ms = strtol(strstr(sink_raw(0), "\"e\",\"timestamp\":") + 16, NULL, 10);
    assert_true(event_ms >= before.tv_sec * 1000L + before.tv_nsec / 1000000 + 29 &&
                event_ms <= after.tv_sec * 1000L + after.tv_nsec / 1000000 + 1);
    long duration_ms = strtol(line_value(0, "duration") + 1, NULL, 10);
    assert_true(duration_ms >= 29 &&
                duration_ms <= (after.tv_sec - before.tv_sec) * 1000L + (after.tv_nsec - before.tv_nsec) / 1000000 + 1);
}

/* Spans that outgrow the slot, on its way through larger and larger buffers. */
static void long_spans_are_whole(void **state) {
    sink_init();
    enum { MANY = 100 };
    char *text = malloc(20001);
    memset(text, 'y', 20000);
    text[20000] = 0;
    vt_span *span = vt_span_start("work");
    for (int i = 0; i < MANY; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        vt_span_set_str(span, key, text);
    }
    vt_span_end(span);
    const char *line = sink_raw(0);
    assert_true(strlen(line) > MANY * 20000);
    for (int i = 0; i < MANY; i++) {
        char key[16];
        snprintf(key, sizeof key, "\"k%d\":\"y", i);
        assert_contains(line, key);
    }
    assert_string_equal(line + strlen(line) - 4, "y\"}}");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(span_without_anything_has_head_and_service),
        TEST(values_of_every_type),
        TEST(doubles_read_back_the_same_and_not_finite_ones_are_null),
        TEST(every_ascii_byte_is_escaped_as_json_wants),
        TEST(escapes_are_found_at_any_place_of_a_long_text),
        TEST(invalid_utf8_becomes_replacement_characters),
        TEST(keys_operations_errors_and_events_are_escaped_too),
        TEST(error_without_message_has_status_alone_and_the_last_message_stands),
        TEST(events_carry_attributes_of_every_type_and_may_have_none),
        TEST(attributes_by_struct_may_give_sizes_instead_of_nul),
        TEST(key_set_again_takes_the_last_value),
        TEST(resource_stands_before_the_spans_attributes),
        TEST(operation_that_is_missing_is_unknown),
        TEST(times_and_duration_are_those_of_the_clock),
        TEST(long_spans_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
