/* Spans that are grouped before SQLite sees them: the same answers as from single spans, and only for statements of
 * which that is sure. */
#include "ask.h"

#include "query/sql_group.h"

#include <ctype.h>
#include <math.h>

static const int64_t BASE_NS = INT64_C(1795460000000) * NS_PER_MS;

static uint64_t random_state = 7;
static uint32_t below(uint32_t most) {
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % most;
}

/* Much is not known, texts differ by case alone, some usage is reported twice along a trace. */
static void add_span(struct batch *batch, uint32_t n) {
    static const char *const models[] = {"gpt-4o", "GPT-4o", "claude", "", "5", "o\"1"};
    struct span *span = batch_add(batch);
    struct arena *arena = &batch->arena;
    uint32_t part = n % 4;
    memcpy(span->trace_id, &(uint64_t){n / 4 + 1}, 8);
    memcpy(span->span_id, &(uint64_t){n + 1}, 8);
    if (part) memcpy(span->parent_span_id, &(uint64_t){n - (below(2) ? part : 1) + 1}, 8);
    span->start_ns = BASE_NS + (int64_t)n * 7919 * 1000 * (1 + below(3)) + below(1000000);
    span->duration_ns = below(20) ? (int64_t)below(2000000000) : 0;
    span->kind = (int64_t)below(KIND_COUNT);
    span->status = (int64_t)below(STATUS_COUNT);
    *span_text(span, COL_OPERATION) = below(2) ? SLICE("a") : SLICE("B");
    *span_text(span, COL_SERVICE) = below(3) ? SLICE("shop") : SLICE("Shop");
    *span_text(span, COL_MODEL) = slice_of(models[below(6)]);
    if (below(3)) *span_text(span, COL_USER_ID) = arena_printf(arena, "user-%u", below(700));
    if (below(3)) *span_text(span, COL_THREAD_ID) = arena_printf(arena, "thread-%u", below(50));
    if (below(4) == 0) *span_text(span, COL_ERROR) = SLICE("no");
    if (below(2)) span->tokens_input = below(1000);
    if (below(2)) span->tokens_output = below(1000);
    if (below(3)) span->cost_usd = 0.001 * below(50);
    if (below(3)) span->ttft_ns = (int64_t)below(1000000000);
    if (below(5) == 0) span->sample_rate = 0.25;
}

static int start(void **state) {
    if (fixture_start(state)) return -1;
    struct fixture *f = *state;
    for (uint32_t n = 0; n < 4000;) {
        struct batch *batch = batch_new();
        for (uint32_t end = n + 400; n < end; n++) add_span(batch, n);
        fixture_append(f, batch);
        if (n == 1200 || n == 2400) fixture_seal(f); /* two segments and a memtable */
    }
    return 0;
}

/* Both ways of asking take this; the second is one that grouping never takes. */
static const char *const taken[] = {
    "SELECT count(*) FROM spans",
    "SELECT model, count(*), count(model), count(error), count(cost_usd), count(parent_span_id) FROM spans GROUP BY "
    "model ORDER BY model",
    "SELECT model, sum(tokens_input), sum(tokens_total), avg(tokens_output), total(cost_usd), sum(cost_usd) FROM spans "
    "GROUP BY 1 ORDER BY 1",
    "SELECT kind AS k, status, min(duration_ms), max(duration_ms), p95(duration_ms), p50(tokens_input), "
    "min(reported_cost_usd) FROM spans GROUP BY k, status ORDER BY 1, 2",
    "SELECT time_bucket('1s', start) AS at, count(*), min(start), max(end_ms) FROM spans GROUP BY at ORDER BY at",
    "SELECT time_bucket('2s', start_ms) AS at, model, sum(weight) FROM spans GROUP BY at, model ORDER BY at, model",
    "SELECT start_ms / 5000 * 5 AS s, count(*) FROM spans GROUP BY s ORDER BY s",
    "SELECT date(start), strftime('%H:%M', start) AS t, substr(start, 1, 16) AS u, count(*) FROM spans GROUP BY t, u "
    "ORDER BY t",
    "SELECT timestamp_trunc(start, HOUR) AS t, count(*) FROM spans GROUP BY t",
    "SELECT user_id, sum(cost_usd) AS cost_usd FROM spans GROUP BY user_id ORDER BY cost_usd DESC, user_id LIMIT 20",
    "SELECT count(DISTINCT user_id), count(DISTINCT model), sum(DISTINCT length(model)) FROM spans",
    "SELECT DISTINCT model, service FROM spans ORDER BY 1, 2",
    "SELECT avg(status = 'ERROR'), sum(CASE WHEN status = 'ERROR' THEN 1 ELSE 0 END), countif(kind = 'llm'), "
    "sum(model), "
    "total(model), avg(model), count(nullif(model, 'claude')), min(model), max(service) FROM spans",
    "SELECT model, avg(CASE WHEN status = 'OK' THEN duration_ms END), avg(CASE WHEN status = 'OK' THEN duration_ms "
    "ELSE "
    "0 END), count(CASE WHEN kind = 'llm' THEN cost_usd ELSE 0 END), sum(CASE WHEN kind = 'llm' THEN cost_usd ELSE 0 "
    "END)"
    ", min(CASE WHEN kind = 'llm' THEN duration_ms ELSE 0 END), p90(CASE WHEN kind = 'llm' THEN ttft_ms END) FROM "
    "spans "
    "GROUP BY model ORDER BY model",
    "SELECT service, count(*) FILTER (WHERE status = 'ERROR') AS errors, round(avg(duration_ms), 3), sum(fallback) "
    "FROM "
    "spans GROUP BY service HAVING count(*) > 5 AND errors > 1 ORDER BY errors DESC",
    "SELECT model, count(*) FROM spans WHERE start_ms >= 1795460003000 AND start_ms < 1795460020000.5 GROUP BY model "
    "ORDER BY model",
    "SELECT count(*) FROM spans WHERE start > '2026-11-23T18:53:25' AND start <= '2026-11-23T18:53:50.5Z'",
    "SELECT count(*) FROM spans WHERE start >= '2026-11-23' AND start < 'x'",
    "SELECT count(*) FROM spans WHERE start_ns BETWEEN 1795460003000000000 AND 1795460020000000001",
    "SELECT count(*), sum(duration_ms) FROM spans WHERE duration_ms > 100 AND duration_ms <= 900.25",
    "SELECT count(*) FROM spans WHERE duration_ms = 0 AND kind IN ('llm', 'other')",
    "SELECT count(*) FROM spans WHERE cost_usd > 0.005 AND cost_usd <= 0.02 AND tokens_input >= 10.5",
    "SELECT count(*) FROM spans WHERE tokens_input < 500 AND reported_tokens_output > 3",
    "SELECT count(*) FROM spans WHERE duration_ms > NULL",
    "SELECT count(*) FROM spans WHERE start_ms > 1e300 OR model = 'x'",
    "SELECT count(*), sum(cost_usd), avg(ttft_ms), p99(ttft_ms), max(model), total(cost_usd) FROM spans WHERE model = "
    "'no'",
    "SELECT model, count(*) FROM spans WHERE model = 'no' GROUP BY model",
    "SELECT s.model, count(*) FROM spans AS s WHERE s.model LIKE 'GPT%' OR s.model IS NULL GROUP BY s.model ORDER BY 1",
    "SELECT lower(model) AS model, count(*) FROM spans GROUP BY model ORDER BY 1, 2",
    "SELECT upper(kind) AS k, sum(usage_restated + 1), avg(length(model)) FROM spans GROUP BY k ORDER BY k",
    "SELECT n, m FROM (SELECT model AS m, count(*) AS n FROM spans GROUP BY model) WHERE n > 100 ORDER BY m",
    "WITH t AS (SELECT model, count(*) AS n FROM spans GROUP BY 1) SELECT t.*, n * 100.0 / sum(n) OVER () FROM t ORDER "
    "BY 1",
    "SELECT thread_id, count(*) AS n, min(start_ms) FROM spans WHERE thread_id IS NOT NULL GROUP BY thread_id ORDER BY "
    "n, 1",
    "SELECT max(tokens_input, 5) FROM spans WHERE 1 = 0 GROUP BY model",
    "SELECT \"model\", COUNT ( * ) FROM `spans` WHERE [kind] <> 'llm' GROUP BY \"model\" ORDER BY 1;",
};

/* Of these single spans must be seen. */
static const char *const left[] = {
    "SELECT model FROM spans",
    "SELECT * FROM spans GROUP BY model",
    "SELECT model, duration_ms FROM spans GROUP BY model",
    "SELECT duration_ms, count(*) FROM spans GROUP BY duration_ms ORDER BY 1",
    "SELECT prompt, count(*) FROM spans GROUP BY prompt",
    "SELECT count(DISTINCT trace_id) FROM spans",
    "SELECT sum(tokens_input + tokens_output) FROM spans",
    "SELECT sum(cost_usd > 0.01) FROM spans",
    "SELECT count(*) FILTER (WHERE duration_ms > 500) FROM spans",
    "SELECT count(*) OVER () FROM spans WHERE model = 'claude'",
    "SELECT count(*) FROM spans WHERE duration_ms + 0 > 500",
    "SELECT count(*) FROM spans WHERE duration_ms > 500 OR kind = 'llm'",
    "SELECT count(*) FROM spans WHERE NOT duration_ms > 500",
    "SELECT count(*) FROM spans WHERE (duration_ms > 500) = 0",
    "SELECT count(*) FROM spans WHERE CASE WHEN kind = 'llm' AND duration_ms > 500 THEN 1 ELSE 0 END",
    "SELECT model, count(*) FROM spans GROUP BY model COLLATE NOCASE ORDER BY 2",
    "SELECT count(*) FROM spans WHERE model = 'gpt-4O' COLLATE NOCASE",
    "SELECT count(*), min(rowid) FROM spans",
    "SELECT count(*) FROM spans a JOIN spans b ON a.span_id = b.parent_span_id",
    "SELECT count(*) FROM spans a, (SELECT 1) b",
    "SELECT strftime('%S', start) AS s, count(*) FROM spans GROUP BY s ORDER BY s",
    "SELECT date(start, '+1 second') AS s, count(*) FROM spans GROUP BY s ORDER BY s",
    "SELECT 10 - start_ms / 5000 AS s, count(*) FROM spans GROUP BY s ORDER BY s",
    "SELECT group_concat(DISTINCT kind) FROM spans WHERE kind = 'llm'",
    "SELECT count(*) FROM spans WHERE abs(random()) >= 0",
};

/* Taken at first, until a condition turns out to need single spans. */
static const char *const abandoned[] = {
    "SELECT count(*) FROM spans WHERE duration_ms > '500'",
    "SELECT count(*) FROM spans WHERE start_ms > '1795460003000'",
    "SELECT count(*) FROM spans WHERE start > 5",
    "SELECT count(*) FROM spans WHERE duration_ms = NULL OR 1",
    "SELECT model, count(*) FROM spans WHERE tokens_input > 5 AND duration_ms > '5' GROUP BY model ORDER BY 1 LIMIT 3",
    "SELECT count(*) FROM spans WHERE cost_usd < 9007199254740993",
};

static const char *rows_of(struct fixture *f, const char *statement) {
    struct buf body = {0};
    struct json_writer w = json_writer_on(&body);
    json_open(&w, '{');
    json_put_key(&w, "sql"), json_put_cstr(&w, statement);
    json_put_key(&w, "limit"), json_put_int(&w, 10000);
    json_close(&w, '}');
    if (fixture_ask(f, "/api/v1/sql", buf_cstr(&body), NULL)) fail_msg("%s: %s", statement, f->answer.ptr);
    buf_free(&body);
    char *end = strstr(f->answer.ptr, ",\"scanned\":");
    assert_non_null(end);
    *end = 0;
    return f->answer.ptr;
}

/* Sums of doubles may differ in their last digits, nothing else may. */
static bool alike(const char *a, const char *b) {
    while (*a && *b) {
        bool number = isdigit((unsigned char)*a) && isdigit((unsigned char)*b);
        char *a_end, *b_end;
        if (number) {
            double x = strtod(a, &a_end), y = strtod(b, &b_end);
            if (fabs(x - y) > 1e-9 * fabs(x)) return false;
            a = a_end, b = b_end;
        } else if (*a++ != *b++) {
            return false;
        }
    }
    return *a == *b;
}

/* The same statement over each span by itself. */
static struct buf singly(const char *statement) {
    struct buf out = {0};
    for (const char *at = statement; *at;) {
        size_t len = strncmp(at, "FROM spans", 10) == 0 ? 10 : strncmp(at, "FROM `spans`", 12) == 0 ? 12 : 0;
        if (len)
            buf_puts(&out, "FROM (SELECT * FROM spans)"), at += len;
        else
            buf_putc(&out, *at++);
    }
    return out;
}

static void expect_same(struct fixture *f, const char *const *statements, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct buf other = singly(statements[i]);
        char *grouped = strdup(rows_of(f, statements[i]));
        const char *single = rows_of(f, buf_cstr(&other));
        if (!alike(grouped, single))
            fail_msg("%s\nfrom single spans %s\nfrom groups       %s", statements[i], single, grouped);
        free(grouped);
        buf_free(&other);
    }
}

static void grouped_spans_give_the_answers_of_single_ones(void **state) {
    expect_same(*state, taken, sizeof taken / sizeof *taken);
}

static void conditions_that_groups_cannot_answer_are_left_to_sqlite(void **state) {
    expect_same(*state, abandoned, sizeof abandoned / sizeof *abandoned);
}

static int plans_of(const char *statement, struct buf *out) {
    struct arena arena = {0};
    struct error err = {0};
    static struct group_plans plans;
    assert_int_equal(sql_group_rewrite(slice_of(statement), &arena, &plans, out, &err), 0);
    arena_free(&arena);
    return plans.count;
}

static void statements_are_taken_only_where_groups_suffice(void **state) {
    struct buf out = {0};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        bool odd = strstr(taken[i], "1e300 OR") || strstr(taken[i], "tokens_input, 5") || strstr(taken[i], "HOUR");
        if (!odd && plans_of(taken[i], &out) != 1) fail_msg("not taken: %s", taken[i]);
    }
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        if (plans_of(left[i], &out)) fail_msg("taken: %s", left[i]);
    buf_free(&out);
}

static void a_statement_is_rewritten_token_by_token(void **state) {
    struct buf out = {0};
    plans_of("SELECT model, count(*) /* all */, avg(duration_ms) FROM spans WHERE kind = 'llm' GROUP BY model", &out);
    assert_string_equal(buf_cstr(&out), "SELECT model, \"~count\"(\"~n\") /* all */, \"~avg\"(\"~0\", \"~1\") FROM "
                                        "\"~spans0\" AS spans WHERE kind = 'llm' GROUP BY model");
    buf_free(&out);
}

static void columns_keep_the_names_they_were_asked_by(void **state) {
    struct fixture *f = *state;
    rows_of(f, "SELECT model, count(*), avg( duration_ms ) FROM spans GROUP BY model");
    assert_non_null(strstr(f->answer.ptr, "\"columns\":[\"model\",\"count(*)\",\"avg( duration_ms )\"]"));
}

static void a_collation_other_than_binary_is_heeded(void **state) {
    struct fixture *f = *state;
    char *folded = strdup(rows_of(f, "SELECT count(*) AS n FROM spans WHERE lower(model) = 'gpt-4o'"));
    assert_null(strstr(folded, "[[0]]"));
    assert_string_equal(rows_of(f, "SELECT count(*) AS n FROM spans WHERE model = 'Gpt-4O' COLLATE NOCASE"), folded);
    free(folded);
}

static void a_sum_that_overflows_is_an_error_as_in_sqlite(void **state) {
    struct fixture *f = *state;
    const char *body = "{\"sql\":\"SELECT sum(start_ns) FROM spans\"}";
    assert_int_equal(fixture_ask(f, "/api/v1/sql", body, NULL), VT_EINVAL);
    assert_non_null(strstr(f->answer.ptr, "integer overflow"));
}

static void sketches_survive_as_bytes(void **state) {
    struct arena arena = {0};
    struct sketch a, b;
    struct buf bytes = {0};
    sketch_init(&a), sketch_init(&b);
    for (int i = 0; i < 5000; i++) assert_true(sketch_add(&a, (i - 1000) * 0.37 * (i % 7), 1, &arena));
    assert_true(sql_sketch_write(&a, &bytes));
    assert_true(sql_sketch_merge(&b, buf_slice(&bytes), &arena));
    for (double q = 0; q <= 1; q += 0.125) assert_true(sketch_quantile(&a, q) == sketch_quantile(&b, q));
    for (size_t len = 0; len < 16; len++) assert_false(sql_sketch_merge(&b, slice_make(bytes.ptr, len), &arena));
    assert_false(sql_sketch_merge(&b, SLICE("0123456789abcdef\xff\xff\xff\xff\xff\xff\x01\x01"), &arena));
    buf_free(&bytes);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grouped_spans_give_the_answers_of_single_ones),
        cmocka_unit_test(conditions_that_groups_cannot_answer_are_left_to_sqlite),
        cmocka_unit_test(statements_are_taken_only_where_groups_suffice),
        cmocka_unit_test(a_statement_is_rewritten_token_by_token),
        cmocka_unit_test(columns_keep_the_names_they_were_asked_by),
        cmocka_unit_test(a_collation_other_than_binary_is_heeded),
        cmocka_unit_test(a_sum_that_overflows_is_an_error_as_in_sqlite),
        cmocka_unit_test(sketches_survive_as_bytes),
    };
    return cmocka_run_group_tests(tests, start, fixture_stop);
}
