/* What a file holds, by its beginning; where its records end. */
#include "cli/sniff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PB_LEN = 14 };
static const char pb[] =
    "\x0a\x0c\x0a\x00\x12\x08\x12\x06\x2a\x04name"; /* ResourceSpans{resource, ScopeSpans{Span…}} */

static void forms_are_told_apart_by_their_beginning(void **state) {
    static const struct {
        const char *head;
        enum form form;
    } cases[] = {
        {"", FORM_LINES},
        {"\n\nplain text\n", FORM_LINES}, /* a line feed is a protobuf tag, too */
        {"\n\n\n\n\n\n\n\n\n\n\n\n", FORM_LINES},
        {"🔍 TRACE: {\n  \"timestamp\"", FORM_LINES},
        {"{\"timestamp\":\"2026\",\"trace\":{\"traceId\":\"resourceSpans\"}}", FORM_LINES},
        {"{\"a\":{\"resourceSpans\":[]},\"b\":\"topic\"}", FORM_LINES}, /* not at the top */
        {"[{\"timestamp\":\"2026\"}]", FORM_LINES},
        {"{\"resourceSpans\":[]}", FORM_OTLP_JSON},
        {" \r\n{ \"resource_spans\" : [", FORM_OTLP_JSON},
        {"\xef\xbb\xbf{\"resourceLogs\":[]}", FORM_OTLP_JSON},
        {"{\"schema\":\"{\\\"x\\\"\",\"resourceMetrics\":[]}", FORM_OTLP_JSON},
        {"[\n {\"topic\":\"console\"}", FORM_CONVEX},
        {"{\"_timestamp\":1,\"_topic\":\"console\"}\n", FORM_CONVEX},
        {"{\"topic", FORM_LINES}, /* cut before it says */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (sniff(slice_of(cases[i].head)) != cases[i].form)
            fail_msg("case %zu: found %s", i, form_name(sniff(slice_of(cases[i].head))));
}

static void protobuf_is_known_whole_cut_and_framed(void **state) {
    struct slice whole = slice_make(pb, PB_LEN);
    assert_int_equal(sniff(whole), FORM_OTLP_PROTOBUF);
    assert_int_equal(sniff(slice_make(pb, 10)), FORM_OTLP_PROTOBUF);
    char two[2 * PB_LEN], frames[4 + PB_LEN] = {0, 0, 0, PB_LEN};
    memcpy(two, pb, PB_LEN);
    memcpy(two + PB_LEN, pb, PB_LEN);
    assert_int_equal(sniff(slice_make(two, sizeof two)), FORM_OTLP_PROTOBUF);
    memcpy(frames + 4, pb, PB_LEN);
    assert_int_equal(sniff(slice_make(frames, sizeof frames)), FORM_OTLP_FRAMED);
    two[PB_LEN] = 'x';
    assert_int_equal(sniff(slice_make(two, sizeof two)), FORM_LINES);
}

static void json_values_end_where_their_brackets_close(void **state) {
    struct slice text = SLICE("[ {\"a\":\"}]\\\"\"} ,\n{\"b\":[{}]}\n17\n{\"cut\":"), value;
    static const char *const values[] = {"{\"a\":\"}]\\\"\"}", "{\"b\":[{}]}", "17\n"};
    size_t at = 0;
    for (size_t i = 0; i < 3; i++) {
        assert_true(next_json_value(text, &at, true, &value));
        assert_true(slice_is(value, values[i]));
    }
    assert_false(next_json_value(text, &at, true, &value));
    assert_true(slice_is(slice_from(text, at), "{\"cut\":")); /* stands at what is not whole */
    at = 0;
    text = SLICE(" \n,] ");
    assert_false(next_json_value(text, &at, true, &value));
    assert_int_equal(at, text.len);
}

static void protobuf_records_say_how_much_is_missing(void **state) {
    struct slice record;
    size_t at = 0, more;
    assert_true(next_pb_record(slice_make(pb, PB_LEN), &at, &record, &more));
    assert_int_equal(at, PB_LEN);
    assert_int_equal(record.len, PB_LEN);
    at = 0;
    assert_false(next_pb_record(slice_make(pb, PB_LEN - 5), &at, &record, &more));
    assert_int_equal(more, 5);
    assert_false(next_pb_record(SLICE("\x0a"), &at, &record, &more));
    assert_int_equal(more, 1);
    assert_false(next_pb_record(SLICE("\x12\x00"), &at, &record, &more));
    assert_int_equal(more, 0);
    assert_false(next_pb_record(SLICE("\x0a\xff\xff\xff\xff\xff\xff"), &at, &record, &more)); /* a length without end */
    assert_int_equal(more, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_told_apart_by_their_beginning),
        cmocka_unit_test(protobuf_is_known_whole_cut_and_framed),
        cmocka_unit_test(json_values_end_where_their_brackets_close),
        cmocka_unit_test(protobuf_records_say_how_much_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
