/* The JSON reader and writer: what is taken, what is refused and where, and that each reads what the other writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/json.h"
#include <math.h>
#include <stdlib.h>

static struct arena arena;
static int clear(void **state) {
    return arena_free(&arena), 0;
}

static struct json_reader reader_on(const char *text) {
    struct json_reader r;
    json_reader_init(&r, slice_of(text), &arena);
    return r;
}

static void members_are_read_in_order(void **state) {
    struct json_reader r = reader_on(" { \"a\" : [1, -2.5e3, true, null, \"x\"] , \"b\":{} , \"c\" : \"d\" } ");
    struct slice key, text;
    struct json_number n;
    bool flag;
    assert_true(json_object(&r) && json_key(&r, &key) && slice_is(key, "a"));
    assert_true(json_array(&r) && json_item(&r) && json_number(&r, &n) && n.is_int && n.integer == 1);
    assert_true(json_item(&r) && json_number(&r, &n) && !n.is_int && n.real == -2500);
    assert_true(json_item(&r) && json_bool(&r, &flag) && flag);
    assert_true(json_item(&r) && json_null(&r));
    assert_true(json_item(&r) && json_string(&r, &text) && slice_is(text, "x"));
    assert_false(json_item(&r));
    assert_true(json_key(&r, &key) && slice_is(key, "b") && json_object(&r));
    assert_false(json_key(&r, &key));
    assert_true(json_key(&r, &key) && slice_is(key, "c") && json_string(&r, &text) && slice_is(text, "d"));
    assert_false(json_key(&r, &key));
    assert_true(json_end(&r));
}

static void strings_are_unescaped(void **state) {
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"\"\"", ""},
        {"\"plain and long enough for eight at a time\"", "plain and long enough for eight at a time"},
        {"\"a\\n\\t\\\"\\\\\\/\\b\\f\\r\"", "a\n\t\"\\/\b\f\r"},
        {"\"\\u0041\\u00e4\\u20ac\\ud83e\\udde5\"", "A\xc3\xa4\xe2\x82\xac\xf0\x9f\xa7\xa5"},
        {"\"\\ud83e x \\udde5\"", "\xef\xbf\xbd x \xef\xbf\xbd"},
        {"\"\xf0\x9f\xa7\xa5 jacket\"", "\xf0\x9f\xa7\xa5 jacket"},
        {"\"a\xff\xc3\"", "a\xef\xbf\xbd\xef\xbf\xbd"},
        {"\"\xed\xa0\x80\"", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_reader r = reader_on(cases[i].json);
        struct slice text;
        if (!json_string(&r, &text) || !json_end(&r) || !slice_is(text, cases[i].text))
            fail_msg("case %zu: %.*s %s", i, (int)text.len, text.ptr, r.err.message);
    }
}

static void mistakes_are_refused_with_their_place(void **state) {
    static const struct {
        const char *json;
        int column;
    } cases[] = {
        {"", 1},           {"{", 2},         {"[1,]", 4},     {"[1 2]", 4},   {"{\"a\" 1}", 6},
        {"{a:1}", 2},      {"[01]", 2},      {"[1.]", 4},     {"[.5]", 2},    {"[-]", 3},
        {"[1e]", 4},       {"\"abc", 5},     {"\"a\nb\"", 3}, {"\"\\x\"", 2}, {"tru", 1},
        {"nul", 1},        {"[1]x", 4},      {"{\"a\":}", 6}, {"{,}", 2},     {"]", 1},
        {"{\"a\":1,}", 8}, {"\"\\u12\"", 2}, {"[+1]", 2},     {"[1}", 3},     {"{\"a\":1]", 7},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_reader r = reader_on(cases[i].json);
        json_skip(&r, NULL);
        if (json_end(&r) || r.err.column != cases[i].column)
            fail_msg("%s: column %d, %s", cases[i].json, r.err.column, r.err.message);
    }
}

static void nesting_is_limited(void **state) {
    char text[2 * JSON_DEPTH_MAX + 4];
    for (int deep = 0; deep < 2; deep++) {
        size_t n = JSON_DEPTH_MAX + (size_t)deep;
        memset(text, '[', n);
        memset(text + n, ']', n);
        text[2 * n] = 0;
        struct json_reader r = reader_on(text);
        assert_int_equal(json_skip(&r, NULL) && json_end(&r), !deep);
        if (deep) assert_int_equal(r.err.code, VT_ELIMIT);
    }
}

static void skip_gives_the_text_as_it_stands(void **state) {
    struct json_reader r = reader_on("[ {\"a\":[1,{\"b\":\"\\n]}\"}]} , 2 ]");
    struct slice raw = {0};
    assert_true(json_array(&r) && json_item(&r) && json_skip(&r, &raw));
    assert_true(slice_is(raw, "{\"a\":[1,{\"b\":\"\\n]}\"}]}"));
    assert_true(json_item(&r) && json_skip(&r, &raw) && slice_is(raw, "2"));
    assert_false(json_item(&r));
    assert_true(json_end(&r));
}

static void integers_come_in_every_form(void **state) {
    static const struct {
        const char *json;
        bool ok;
        int64_t value;
    } cases[] = {{"1", true, 1},
                 {"\"1795460391722000000\"", true, 1795460391722000000},
                 {"-9223372036854775808", true, INT64_MIN},
                 {"9223372036854775807", true, INT64_MAX},
                 {"9223372036854775808", false, 0},
                 {"1e3", true, 1000},
                 {"5.0", true, 5},
                 {"5.5", false, 0},
                 {"\"\"", false, 0},
                 {"\"x\"", false, 0},
                 {"true", false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_reader r = reader_on(cases[i].json);
        int64_t value = 0;
        bool ok = json_int64(&r, &value);
        if (ok != cases[i].ok || value != cases[i].value) fail_msg("%s: %d %lld", cases[i].json, ok, (long long)value);
    }
    struct json_reader r = reader_on("18446744073709551615");
    uint64_t big;
    assert_true(json_uint64(&r, &big) && big == UINT64_MAX);
}

static void doubles_round_trip(void **state) {
    srand(1);
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand();
        double value, back;
        memcpy(&value, &bits, sizeof value);
        if (i % 3 == 0) value = (double)(rand() % 2000000) / 1000 - 1000;
        if (!isfinite(value)) continue;
        struct buf out = {0};
        struct json_writer w = json_writer_on(&out);
        json_put_double(&w, value);
        struct json_reader r;
        struct json_number n;
        json_reader_init(&r, buf_slice(&out), &arena);
        assert_true(json_number(&r, &n) && json_end(&r));
        back = n.real;
        if (memcmp(&back, &value, sizeof back) != 0)
            fail_msg("%a became %.*s, read as %a", value, (int)out.len, out.ptr, back);
        buf_free(&out);
    }
}

static void writer_escapes_and_separates(void **state) {
    struct buf out = {0};
    struct json_writer w = json_writer_on(&out);
    json_open(&w, '{');
    json_put_key(&w, "a\"b");
    json_put_cstr(&w, "x\n\x01\x1f\x7f\\/\xff\xc3\xa4");
    json_put_key(&w, "n");
    json_open(&w, '[');
    json_put_int(&w, INT64_MIN);
    json_put_double(&w, 0.1);
    json_put_double(&w, (double)NAN);
    json_put_double(&w, (double)INFINITY);
    json_put_bool(&w, false);
    json_open(&w, '{');
    json_close(&w, '}');
    json_close(&w, ']');
    json_put_key(&w, "r");
    json_put_raw(&w, SLICE("[1]"));
    json_close(&w, '}');
    assert_string_equal(buf_cstr(&out), "{\"a\\\"b\":\"x\\n\\u0001\\u001f\x7f\\\\/\xef\xbf\xbd\xc3\xa4\","
                                        "\"n\":[-9223372036854775808,0.1,null,null,false,{}],\"r\":[1]}");
    buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(members_are_read_in_order, clear),
        cmocka_unit_test_teardown(strings_are_unescaped, clear),
        cmocka_unit_test_teardown(mistakes_are_refused_with_their_place, clear),
        cmocka_unit_test_teardown(nesting_is_limited, clear),
        cmocka_unit_test_teardown(skip_gives_the_text_as_it_stands, clear),
        cmocka_unit_test_teardown(integers_come_in_every_form, clear),
        cmocka_unit_test_teardown(doubles_round_trip, clear),
        cmocka_unit_test_teardown(writer_escapes_and_separates, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
