/* BigQuery's SQL as SQLite takes it; what is in literals and comments stays as it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "query/sql_rewrite.h"
#include <stdlib.h>

static struct arena arena;

static int finish(void **state) {
    arena_free(&arena);
    return 0;
}

/* Runs of blanks count as one, and none at the ends. */
static const char *squeezed(const struct buf *text) {
    char *out = arena_alloc(&arena, text->len + 1), *to = out;
    for (size_t i = 0; i < text->len; i++)
        if (text->ptr[i] != ' ' || (to > out && to[-1] != ' ')) *to++ = text->ptr[i];
    while (to > out && to[-1] == ' ') to--;
    *to = 0;
    return out;
}

static void expect(const char *sql, const char *wanted) {
    struct buf out = {0};
    struct sql_text *text;
    struct error err = {0};
    if (sql_rewrite(slice_of(sql), &arena, &out, &text, &err)) fail_msg("%s: %s", sql, err.message);
    assert_string_equal(squeezed(&out), wanted);
    buf_free(&out);
}

static void plain_sql_stays_as_it_is(void **state) {
    static const char *const same[] = {"",
                                       "SELECT 1",
                                       ("SELECT 'it''s r''x''' AS \"a.b\", [x y], `m n` FROM spans -- FROM "
                                        "`a.b.spans`\nWHERE /* INTERVAL 1 DAY */ x = 1"),
                                       "WITH t AS (SELECT 1) SELECT * FROM t",
                                       "SELECT trace.operation FROM traces AS trace",
                                       "SELECT cast(x AS TEXT), interval FROM t",
                                       "SELECT date(start), timestamp('2026-01-01'), r, \"r'x'\" FROM spans",
                                       "SELECT a-b, x->>'$.y' FROM spans s JOIN traces t",
                                       "SELECT 'unfinished",
                                       "SELECT 0x1F, 1.5e3 FROM spans WHERE model LIKE '%`%'",
                                       "SELECT \xe2\x82\xac FROM spans"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct buf out = {0};
        struct sql_text *text;
        struct error err = {0};
        if (sql_rewrite(slice_of(same[i]), &arena, &out, &text, &err)) fail_msg("%s: %s", same[i], err.message);
        assert_string_equal(buf_cstr(&out), same[i]);
        buf_free(&out);
    }
}

static void raw_literals_become_plain_ones(void **state) {
    expect("SELECT REGEXP_EXTRACT(d, r'(\\d+)ms')", "SELECT REGEXP_EXTRACT(d, '(\\d+)ms')");
    expect("SELECT R\"it's\\\"\"", "SELECT 'it''s\\\"'");
    expect("SELECT r'a\\'b', bar'x'", "SELECT 'a\\''b', bar'x'");
}

static void tables_are_found_behind_project_and_data_set(void **state) {
    expect("SELECT 1 FROM `shop-1.logs.ai_storefront_traces` t", "SELECT 1 FROM ai_storefront_traces t");
    expect("SELECT 1 FROM shop-1.logs.ai_storefront_traces", "SELECT 1 FROM ai_storefront_traces");
    expect("SELECT 1 FROM `shop`.`logs`.`Spans`", "SELECT 1 FROM spans");
    expect("SELECT 1 FROM spans JOIN logs.traces USING (trace_id)", "SELECT 1 FROM spans JOIN traces USING (trace_id)");
    expect("SELECT 1 FROM a.b.unknown", "SELECT 1 FROM a.b.unknown");
}

static void fields_of_the_trace_are_columns_where_the_log_lines_are_read(void **state) {
    expect("SELECT trace.traceId, t.trace.OPERATION, trace . status FROM ai_storefront_traces t",
           "SELECT \"trace.traceId\", t.\"trace.operation\", \"trace.status\" FROM ai_storefront_traces t");
    expect("SELECT trace.other FROM ai_storefront_traces", "SELECT trace.other FROM ai_storefront_traces");
    expect("SELECT 'trace.status' FROM ai_storefront_traces", "SELECT 'trace.status' FROM ai_storefront_traces");
}

static void casts_take_its_types(void **state) {
    expect("SELECT CAST(a AS STRING), CAST(f(b, (c)) AS INT64), SAFE_CAST(d AS FLOAT64)",
           "SELECT CAST(a AS TEXT), CAST(f(b, (c)) AS INTEGER), SAFE_CAST(d , 'FLOAT64')");
}

static void moments_and_intervals_are_functions(void **state) {
    expect("SELECT TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 7 DAY)",
           "SELECT TIMESTAMP_SUB(now_timestamp(), interval_ms( 7 , 'DAY'))");
    expect("SELECT TIMESTAMP_TRUNC(timestamp, HOUR), EXTRACT(HOUR FROM timestamp)",
           "SELECT TIMESTAMP_TRUNC(timestamp, 'HOUR'), EXTRACT('HOUR' , timestamp)");
    expect("SELECT t > TIMESTAMP '2026-11-23', DATE '2026-11-23'",
           "SELECT t > timestamp( '2026-11-23'), date( '2026-11-23')");
    expect("SELECT CURRENT_TIMESTAMP, CAST(x AS DATE)", "SELECT now_timestamp(), DATE(x )");
    expect("SELECT hour, day FROM t", "SELECT hour, day FROM t");
}

static void functions_have_their_names_here(void **state) {
    expect("SELECT STRING_AGG(a, ','), APPROX_COUNT_DISTINCT(b), least FROM t",
           "SELECT group_concat(a, ','), count(DISTINCT b), least FROM t");
    expect("SELECT APPROX_QUANTILES(a, 100)[OFFSET(95)] FROM t", "SELECT approx_quantile(a, 100, 95) FROM t");
}

static void refuse(const char *sql, int column) {
    struct buf out = {0};
    struct sql_text *text;
    struct error err = {0};
    assert_int_equal(sql_rewrite(slice_of(sql), &arena, &out, &text, &err), VT_EINVAL);
    assert_int_equal(err.column, column);
    assert_true(err.hint[0]);
    buf_free(&out);
}

static void what_cannot_be_said_is_refused_with_its_place(void **state) {
    refuse("SELECT '\xe2\x82\xac', t - INTERVAL 1 DAY", 17);
    refuse("SELECT APPROX_QUANTILES(a, 4) FROM t", 8);
    refuse("SELECT APPROX_QUANTILES(", 8);
}

static void places_lead_back_to_the_statement_as_it_was_written(void **state) {
    struct buf out = {0};
    struct sql_text *text;
    struct error err = {0};
    const char *sql = "SELECT '\xe2\x82\xac', r'x', wrong FROM `a.b.spans`";
    assert_int_equal(sql_rewrite(slice_of(sql), &arena, &out, &text, &err), 0);
    size_t wrong = (size_t)(strstr(buf_cstr(&out), "wrong") - out.ptr);
    assert_int_equal(sql_column_of(text, wrong), 19);
    assert_int_equal(sql_column_of(text, wrong + 2), 21);
    assert_int_equal(sql_column_of(text, out.len), 41);
    buf_free(&out);
}

static void long_statements_are_refused_and_deep_ones_are_quick(void **state) {
    struct buf sql = {0}, out = {0};
    struct sql_text *text;
    struct error err = {0};
    while (sql.len < SQL_BYTES_MAX - 16) buf_puts(&sql, "CAST(");
    assert_int_equal(sql_rewrite(buf_slice(&sql), &arena, &out, &text, &err), 0);
    while (sql.len < 10 << 20) buf_puts(&sql, "CAST(");
    assert_int_equal(sql_rewrite(buf_slice(&sql), &arena, &out, &text, &err), VT_ELIMIT);
    buf_free(&sql);
    buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_sql_stays_as_it_is),
        cmocka_unit_test(raw_literals_become_plain_ones),
        cmocka_unit_test(tables_are_found_behind_project_and_data_set),
        cmocka_unit_test(fields_of_the_trace_are_columns_where_the_log_lines_are_read),
        cmocka_unit_test(casts_take_its_types),
        cmocka_unit_test(moments_and_intervals_are_functions),
        cmocka_unit_test(functions_have_their_names_here),
        cmocka_unit_test(what_cannot_be_said_is_refused_with_its_place),
        cmocka_unit_test(places_lead_back_to_the_statement_as_it_was_written),
        cmocka_unit_test(long_statements_are_refused_and_deep_ones_are_quick),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
