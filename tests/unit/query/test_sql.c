/* SQL over a real store: what tables show, what is pushed down, what is refused, and that nothing runs away. */
#include "ask.h"

#include <math.h>

#include "../span/spans.h"

static const int64_t BASE_MS = INT64_C(1795460000000);

/* Span n of 3,000: three to a trace (a turn with an LLM call and a tool), 10 ms apart. */
static void add_span(struct batch *batch, uint32_t n) {
    static const char *const models[] = {"gpt-4o", "gpt-4o-mini", "claude-sonnet-4"};
    static const char *const providers[] = {"openai", "openai", "anthropic"};
    struct span *span = batch_add(batch);
    struct arena *arena = &batch->arena;
    uint32_t trace = n / 3, part = n % 3;
    memcpy(span->trace_id, &(uint64_t){trace + 1}, 8);
    memcpy(span->span_id, &(uint64_t){n + 1}, 8);
    if (part) memcpy(span->parent_span_id, &(uint64_t){n - part + 1}, 8);
    span->start_ns = (BASE_MS + (int64_t)n * 10) * NS_PER_MS + 123456;
    span->duration_ns = (int64_t)(n % 500 + 1) * NS_PER_MS / (part == 1 ? 1 : 2);
    span->kind = part == 0 ? KIND_TURN : part == 1 ? KIND_LLM : KIND_TOOL;
    span->status = part == 1 && n % 10 == 4 ? STATUS_ERROR : STATUS_OK;
    *span_text(span, COL_OPERATION) = part == 0   ? SLICE("chat.continue_thread")
                                      : part == 1 ? SLICE("openai.chat.completions.create")
                                                  : SLICE("search");
    *span_text(span, COL_SERVICE) = SLICE("ai-storefront");
    *span_text(span, COL_USER_ID) = arena_printf(arena, "user-%u", trace % 7);
    *span_text(span, COL_THREAD_ID) = arena_printf(arena, "thread-%u", trace % 50);
    *span_text(span, COL_PROJECT) = trace % 10 == 9 ? SLICE("other") : SLICE("shop");
    if (part != 1) return;
    *span_text(span, COL_MODEL) = slice_of(models[trace % 3]);
    *span_text(span, COL_PROVIDER) = slice_of(providers[trace % 3]);
    span->tokens_input = 100 + trace % 11;
    span->tokens_output = 20 + trace % 5;
    span->cost_usd = 0.001 * (1 + trace % 4);
    span->temperature = 0.7;
    if (span->status == STATUS_ERROR) *span_text(span, COL_ERROR) = SLICE("rate limit");
    *span_text(span, COL_PROMPT) = arena_printf(arena, "question %u", trace);
    *span_text(span, COL_ATTRIBUTES) = arena_printf(
        arena, "{\"region\":\"r%u\",\"try\":%u,\"deep\":{\"a\":[1,{\"b\":\"x\"}]},\"ok\":true}", trace % 3, trace);
}

static int start(void **state) {
    if (fixture_start(state)) return -1;
    struct fixture *f = *state;
    for (uint32_t n = 0; n < 3000;) {
        struct batch *batch = batch_new();
        for (uint32_t end = n + 300; n < end; n++) add_span(batch, n);
        fixture_append(f, batch);
        if (n == 900 || n == 1800) fixture_seal(f); /* two segments and a memtable */
    }
    return 0;
}

static int sql(struct fixture *f, const char *text, const char *project) {
    struct buf body = {0};
    struct json_writer w = json_writer_on(&body);
    json_open(&w, '{');
    json_put_key(&w, "sql"), json_put_cstr(&w, text);
    json_close(&w, '}');
    int code = fixture_ask(f, "/api/v1/sql", buf_cstr(&body), project);
    buf_free(&body);
    return code;
}

/* The rows of the answer, as they stand. */
static void expect(struct fixture *f, const char *text, const char *rows) {
    if (sql(f, text, NULL)) fail_msg("%s: %s", text, f->answer.ptr);
    const char *from = strstr(f->answer.ptr, "\"rows\":"), *to = strstr(f->answer.ptr, ",\"scanned\":");
    assert_non_null(from);
    struct slice got = slice_make(from + 7, (size_t)(to - from - 7));
    if (!slice_is(got, rows)) fail_msg("%s\nexpected %s\n     got %.*s", text, rows, (int)got.len, got.ptr);
}

static double number(struct fixture *f, const char *text) {
    if (sql(f, text, NULL)) fail_msg("%s: %s", text, f->answer.ptr);
    return strtod(strstr(f->answer.ptr, "\"rows\":[[") + 9, NULL);
}

static unsigned scanned(struct fixture *f) {
    return (unsigned)strtoul(strstr(f->answer.ptr, "\"scanned\":") + 10, NULL, 10);
}

static void spans_are_counted_grouped_and_summed(void **state) {
    struct fixture *f = *state;
    expect(f, "SELECT count(*) FROM spans", "[[3000]]");
    expect(f, "SELECT kind, count(*) FROM spans GROUP BY kind ORDER BY 1",
           "[[\"llm\",1000],[\"tool\",1000],[\"turn\",1000]]");
    expect(f,
           "SELECT model, count(*), sum(tokens_input), sum(tokens_total) FROM spans WHERE kind = 'llm' GROUP BY model "
           "ORDER BY 2 DESC, 1",
           "[[\"gpt-4o\",334,35068,42416],[\"claude-sonnet-4\",333,34965,42290],[\"gpt-4o-mini\",333,34962,42289]]");
    expect(f, "SELECT count(*), count(model), count(DISTINCT user_id), count(error) FROM spans", "[[3000,1000,7,100]]");
}

static void a_row_shows_a_span_in_friendly_units(void **state) {
    struct fixture *f = *state;
    expect(f,
           "SELECT trace_id, span_id, parent_span_id, start_ms, start, duration_ms, kind, status, cost_usd, "
           "tokens_total, temperature, prompt, attributes, weight, completion"
           " FROM spans WHERE span_id = '0500000000000000'",
           "[[\"02000000000000000000000000000000\",\"0500000000000000\",\"0400000000000000\",1795460000040,\"2026-11-"
           "23T18:53:20.040123Z\",5,\"llm\",\"ERROR\","
           "0.002,122,0.7,\"question "
           "1\",\"{\\\"region\\\":\\\"r1\\\",\\\"try\\\":1,\\\"deep\\\":{\\\"a\\\":[1,{\\\"b\\\":\\\"x\\\"}]},"
           "\\\"ok\\\":true}\",1,null]]");
}

/* Every condition that a scan takes over must leave just the rows that SQLite alone would leave: '+column' keeps it
 * from us. */
static void conditions_that_are_pushed_down_change_no_answer(void **state) {
    struct fixture *f = *state;
    static const char *const conditions[] = {
        "COL = 'gpt-4o'",
        "model",
        "COL = ''",
        "model",
        "COL = 5",
        "user_id",
        "COL IN ('user-1', 'user-3', 'nobody')",
        "user_id",
        "COL IN ('user-1', 5, NULL)",
        "user_id",
        "COL = 'llm'",
        "kind",
        "COL = 'LLM'",
        "kind",
        "COL IN ('llm', 'other')",
        "kind",
        "COL = 'other'",
        "kind",
        "COL = 'ERROR'",
        "status",
        "COL = 'nothing'",
        "status",
        "COL > 100",
        "duration_ms",
        "COL >= 249.5",
        "duration_ms",
        "COL < 1.4",
        "duration_ms",
        "COL <= '3'",
        "duration_ms",
        "COL = 250",
        "duration_ms",
        "COL BETWEEN 2.5 AND 4",
        "duration_ms",
        "COL >= 1795460010000",
        "start_ms",
        "COL < 1795460010000.5",
        "start_ms",
        "COL = 1795460010000",
        "start_ms",
        "COL > 1e300",
        "start_ms",
        "COL < -1e300",
        "start_ms",
        "COL > '2026-11-23T18:53:40'",
        "start",
        "COL <= '2026-11-23'",
        "start",
        "COL > '2026-11-23 18:53:40'",
        "start",
        "COL < '2026-11-24T00:00:00+02:00'",
        "start",
        "COL >= 1795460010000123456",
        "start_ns",
        "COL = 105",
        "tokens_input",
        "COL < 102.5",
        "tokens_input",
        "COL IS NULL",
        "tokens_input",
        "COL > 125",
        "tokens_total",
        "COL >= 0.003",
        "cost_usd",
        "COL = 0.002",
        "cost_usd",
        "COL < 0",
        "cost_usd",
        "COL = 1",
        "usage_restated",
        "COL = 0",
        "usage_restated",
        "COL = '0500000000000000'",
        "span_id",
        "COL = '0500'",
        "span_id",
        "COL IN ('02000000000000000000000000000000', 'x', '03000000000000000000000000000000')",
        "trace_id",
        "COL = '02000000000000000000000000000000'",
        "trace_id",
        "COL = 'rate limit'",
        "error",
        "COL = 'question 7'",
        "prompt",
        "COL LIKE 'question 1%'",
        "prompt",
        "COL GLOB '*[0-4]7'",
        "prompt",
        "COL = 'ai-storefront'",
        "service"};
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i += 2) {
        char pushed[600], kept[600];
        const char *mark = strstr(conditions[i], "COL");
        snprintf(pushed, sizeof pushed, "SELECT count(*) FROM spans WHERE %s%s", conditions[i + 1], mark + 3);
        snprintf(kept, sizeof kept, "SELECT count(*) FROM (SELECT %s AS c FROM spans LIMIT 1000000) WHERE c%s",
                 conditions[i + 1], mark + 3);
        double left = number(f, pushed), right = number(f, kept);
        if (left != right) fail_msg("%s: %g pushed down, %g without", pushed, left, right);
    }
}

static void times_and_traces_are_skipped_to(void **state) {
    struct fixture *f = *state;
    assert_true(number(f, "SELECT count(*) FROM spans WHERE start_ms >= 1795460018000") == 1200);
    assert_int_equal(scanned(f), 1200);
    expect(f, "SELECT count(*) FROM spans WHERE trace_id = '01000000000000000000000000000000'", "[[3]]");
    assert_true(scanned(f) <= 2100); /* the memtable and one segment */
    expect(f, "SELECT count(*) FROM spans WHERE start_ms < 5", "[[0]]");
    assert_int_equal(scanned(f), 0);
}

static void rows_come_in_order_of_time_without_sorting(void **state) {
    struct fixture *f = *state;
    expect(f, "SELECT span_id, prompt FROM spans WHERE prompt IS NOT NULL ORDER BY start_ms DESC LIMIT 2",
           "[[\"b70b000000000000\",\"question 999\"],[\"b40b000000000000\",\"question 998\"]]");
    expect(f, "SELECT start_ms - 1795460000000 FROM spans ORDER BY start LIMIT 3", "[[0],[10],[20]]");
    assert_true(scanned(f) <= 1800);
    for (int desc = 0; desc < 2; desc++) {
        char text[300];
        snprintf(text, sizeof text,
                 "SELECT count(*) FROM (SELECT start_ns, lag(start_ns) OVER () AS before FROM (SELECT start_ns FROM "
                 "spans ORDER BY start_ns%s LIMIT 5000)) WHERE before %s start_ns",
                 desc ? " DESC" : "", desc ? ">" : "<");
        expect(f, text, "[[2999]]");
    }
}

static void joins_find_children_of_turns(void **state) {
    struct fixture *f = *state;
    expect(f,
           "SELECT count(*) FROM spans t JOIN spans c ON c.trace_id = t.trace_id AND c.parent_span_id = t.span_id "
           "WHERE t.kind = 'turn' AND t.start_ms < 1795460000300",
           "[[20]]");
}

/* Joins on a trace look into row groups that stay open: the answer must be that of a join by hand, in any order, and
 * inside others. */
static void looked_up_traces_are_whole_and_in_order(void **state) {
    struct fixture *f = *state;
    expect(f,
           "SELECT count(*), sum(c.tokens_input), count(c.prompt) FROM spans t JOIN spans c ON c.trace_id = t.trace_id "
           "WHERE t.kind = 'turn'",
           "[[3000,104995,1000]]");
    expect(f,
           "SELECT (SELECT group_concat(kind) FROM (SELECT kind FROM spans c WHERE c.trace_id = t.trace_id ORDER BY "
           "c.start_ms DESC)) FROM spans t WHERE t.kind = 'turn' AND t.start_ms > 1795460029900 ORDER BY t.start_ms "
           "LIMIT 2",
           "[[\"tool,llm,turn\"],[\"tool,llm,turn\"]]");
    expect(f,
           "SELECT count(*) FROM spans a JOIN spans b ON b.trace_id = a.trace_id JOIN spans c ON c.trace_id = "
           "b.trace_id WHERE a.start_ms < 1795460010000",
           "[[9000]]");
    assert_int_equal(sql(f, "SELECT count(*) FROM spans a JOIN spans b ON b.trace_id = a.trace_id", "other"), 0);
    expect_part(f, "[[900]]");
}

static void functions_do_what_they_say(void **state) {
    struct fixture *f = *state;
    expect(f,
           "SELECT regexp_extract('took 42ms', r'(\\d+)ms'), 'abc' REGEXP '^a.c$', regexp_replace('a-b', "
           "r'(\\w)-(\\w)', r'\\2-\\1'), regexp_contains('abc', 'z'), regexp_extract('x', 'y')",
           "[[\"42\",1,\"b-a\",0,null]]");
    expect(f,
           "SELECT json_extract_scalar('{\"llm.vendor\":\"openai\",\"a\":{\"b.c\":[10,{\"d\":true}]}}', "
           "'$.llm.vendor'), json_extract_scalar('{\"a\":{\"b.c\":[10,{\"d\":true}]}}', '$.a.b.c[1].d'),"
           " json_value('{\"x\":1.50}', '$.x'), json_extract_scalar('{\"a\":{}}', '$.a'), "
           "json_extract_scalar('{\"a.b\":\"y\"}', '$[\"a.b\"]')",
           "[[\"openai\",\"true\",\"1.50\",null,\"y\"]]");
    expect(f,
           "SELECT attr(attributes, 'try') + 1, attr(attributes, 'region'), attr(attributes, 'none'), attr(attributes, "
           "'ok'), attr(attributes, 'deep') FROM spans WHERE span_id = '0500000000000000'",
           "[[2,\"r1\",null,1,\"{\\\"a\\\":[1,{\\\"b\\\":\\\"x\\\"}]}\"]]");
    expect(
        f,
        "SELECT time_bucket('1m', 1795460000040), time_bucket('1h', '2026-11-23T18:53:20Z'), now_ms() > 1700000000000",
        "[[1795459980000,\"2026-11-23T18:00:00.000Z\",1]]");
    expect(f,
           "SELECT TIMESTAMP_SUB(TIMESTAMP '2026-11-23 10:00:00 UTC', INTERVAL 36 HOUR), "
           "TIMESTAMP_TRUNC('2026-11-23T18:53:20Z', MONTH), EXTRACT(DAYOFWEEK FROM '2026-11-23'), "
           "TIMESTAMP_DIFF('2026-11-23', '2026-11-20', DAY), DATE_TRUNC('2026-11-25', ISOWEEK), "
           "FORMAT_TIMESTAMP('%H:%M', 1795460000000), UNIX_SECONDS('1970-01-02')",
           "[[\"2026-11-21T22:00:00.000Z\",\"2026-11-01T00:00:00.000Z\",2,3,\"2026-11-23\",\"18:53\",86400]]");
    expect(f,
           "SELECT SAFE_CAST('12' AS INT64), SAFE_CAST('x' AS INT64), SAFE_CAST('1.5' AS FLOAT64), SAFE_DIVIDE(1, 0), "
           "IF(1 > 2, 'a', 'b'), DIV(7, 2), CONCAT('a', 1), STARTS_WITH('abc', 'ab')",
           "[[12,null,1.5,null,\"b\",3,\"a1\",1]]");
    expect(f, "SELECT COUNTIF(status = 'ERROR'), ANY_VALUE(service), APPROX_COUNT_DISTINCT(user_id) FROM spans",
           "[[100,\"ai-storefront\",7]]");
    expect(f,
           "SELECT 'Abc' LIKE 'a%C', 'a%c' LIKE 'a!%c' ESCAPE '!', 'abc' LIKE 'a!%c' ESCAPE '!', '\xc3\xa9x' LIKE "
           "'_x', 'abc' GLOB 'a[a-c]?', 'abc' LIKE '%b', NULL LIKE 'x'",
           "[[1,1,0,1,1,0,null]]");
}

static void percentiles_are_within_one_percent(void **state) {
    struct fixture *f = *state;
    double p95 = number(f, "SELECT p95(duration_ms) FROM spans WHERE kind = 'llm'"),
           p50 = number(f, "SELECT percentile(duration_ms, 50) FROM spans WHERE kind = 'llm'");
    double q95 = number(f, "SELECT APPROX_QUANTILES(duration_ms, 100)[OFFSET(95)] FROM spans WHERE kind = 'llm'");
    assert_true(p95 > 475 * 0.99 && p95 < 475 * 1.01 && p95 == q95);
    assert_true(p50 > 250 * 0.98 && p50 < 250 * 1.02);
    expect(f, "SELECT p99(duration_ms) FROM spans WHERE kind = 'agent'", "[[null]]");
}

/* The values of each group of a query, and the rows of a statement, must be the same: answers come in two ways, numbers
 * do not. */
/* The same but for the last digits of sums, which threads add up in an order of their own. */
static void assert_same_numbers(const char *got, const char *wanted) {
    const char *a = got, *b = wanted;
    while (*a && *b) {
        char *a_end, *b_end;
        double x = strtod(a, &a_end), y = strtod(b, &b_end);
        bool numbers = a_end > a && b_end > b;
        if (numbers ? fabs(x - y) > 1e-9 * (fabs(x) + fabs(y)) : *a != *b) break;
        a = numbers ? a_end : a + 1;
        b = numbers ? b_end : b + 1;
    }
    if (*a || *b) fail_msg("got %s, expected %s", got, wanted);
}

static void sql_and_query_give_the_same_numbers(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *query, *statement;
    } pairs[] = {
        {"{\"from\":0,\"select\":[\"count\",\"sum(tokens.input)\",\"sum(tokens.total)\",\"avg(tokens.output)\",\"max("
         "duration_ms)\",\"p95(duration_ms)\",\"p50(duration_ms)\"],\"where\":\"kind:llm\",\"group_by\":[\"model\"]}",
         "SELECT count(*), sum(tokens_input), sum(tokens_total), avg(tokens_output), max(duration_ms), "
         "p95(duration_ms), p50(duration_ms) FROM spans WHERE kind = 'llm' GROUP BY model ORDER BY 1 DESC, model"},
        {"{\"from\":0,\"select\":[\"count\",\"errors\",\"distinct(user_id)\",\"distinct(trace_id)\"],\"group_by\":["
         "\"kind\"],\"order_by\":\"errors\"}",
         "SELECT count(*), countif(status = 'ERROR'), count(DISTINCT user_id), count(DISTINCT trace_id) FROM spans "
         "GROUP BY kind ORDER BY 2 DESC, kind"},
        {"{\"from\":1795460005000,\"to\":1795460020000,\"select\":[\"count\",\"p99(duration_ms)\"],\"where\":"
         "\"duration:>100ms user:user-3\"}",
         "SELECT count(*), p99(duration_ms) FROM spans WHERE start_ns >= 1795460005000000000 AND start_ns < "
         "1795460020000000000 AND duration_ms > 100 AND user_id = 'user-3'"},
        {"{\"from\":0,\"select\":[\"count\",\"sum(attr.try)\"],\"group_by\":[\"attr.region\"],\"where\":\"has:attr."
         "region\"}",
         "SELECT count(*), sum(attr(attributes, 'try')) FROM spans WHERE attr(attributes, 'region') IS NOT NULL GROUP "
         "BY attr(attributes, 'region') ORDER BY 1 DESC, attr(attributes, 'region')"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct buf wanted = {0}, got = {0};
        fixture_post(f, "/api/v1/query", pairs[i].query);
        for (const char *at = f->answer.ptr; (at = strstr(at, "\"points\":[["));) {
            const char *values = strchr(at + 11, ',') + 1, *end = strchr(values, ']');
            buf_putc(&wanted, '['), buf_put(&wanted, values, (size_t)(end - values)), buf_putc(&wanted, ']');
            at = end;
        }
        if (sql(f, pairs[i].statement, NULL)) fail_msg("%s", f->answer.ptr);
        for (const char *at = strstr(f->answer.ptr, "\"rows\":[") + 7; at[1] == '[';) {
            const char *end = strchr(at, ']') + 1;
            buf_put(&got, at + 1, (size_t)(end - at - 1));
            at = end;
        }
        assert_true(got.len > 5);
        assert_same_numbers(buf_cstr(&got), buf_cstr(&wanted));
        buf_free(&wanted);
        buf_free(&got);
    }
}

/* ---- the storefront's own query ---- */

static void append_call(struct fixture *f, uint8_t n, const char *name, const char *attrs, int64_t duration_ms) {
    struct batch *batch = batch_new();
    struct raw_span raw = raw_of_json(&batch->arena, name, attrs);
    raw.span_id[7] = n;
    raw.trace_id[0] = (uint8_t)(0x80 + n);
    raw.source = SOURCE_LOG;
    raw.status = STATUS_OK;
    raw.end_ns = raw.start_ns + duration_ms * NS_PER_MS;
    assert_int_equal(normalise(batch, &raw, 1), 0);
    fixture_append(f, batch);
}

static void the_storefronts_bigquery_query_runs_as_written(void **state) {
    struct fixture *f = *state;
    append_call(f, 1, "openai.chat.completions.create",
                "{\"service.name\":\"shop\",\"llm.vendor\":\"openai\",\"llm.request.model\":\"o9\",\"llm.usage.total_"
                "tokens\":150,\"user.id\":\"u\"}",
                40);
    append_call(f, 2, "openai.chat.completions.create",
                "{\"gen_ai.provider.name\":\"openai\",\"gen_ai.request.model\":\"o9\",\"gen_ai.usage.input_tokens\":7,"
                "\"gen_ai.usage.output_tokens\":1}",
                60);
    expect(f,
           "SELECT\n  JSON_EXTRACT_SCALAR(attributes, '$.llm.vendor') as vendor,\n  JSON_EXTRACT_SCALAR(attributes, "
           "'$.llm.request.model') AS model,\n"
           "  AVG(CAST(REGEXP_EXTRACT(trace.duration, r'(\\d+)ms') AS INT64)) as avg_duration_ms, # mean\n  COUNT(*) "
           "as call_count\n"
           "FROM `my-project.logs.ai_storefront_traces`\nWHERE trace.operation = 'openai.chat.completions.create'\n"
           "  AND JSON_EXTRACT_SCALAR(attributes, \"$['llm.request.model']\") = \"o9\"\n  AND timestamp < "
           "TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL -3650 DAY)\nGROUP BY vendor, model",
           "[[\"openai\",\"o9\",50,2]]");
    expect(f,
           "SELECT trace.status, level, message, trace.duration, SAFE_CAST(JSON_EXTRACT_SCALAR(attributes, "
           "'$.llm.usage.total_tokens') AS INT64) AS t FROM ai_storefront_traces t"
           " WHERE JSON_EXTRACT_SCALAR(t.attributes, '$.llm.request.model') = 'o9' ORDER BY t.trace.duration",
           "[[\"OK\",\"INFO\",\"TRACE: openai.chat.completions.create\",\"40ms\",150],[\"OK\",\"INFO\",\"TRACE: "
           "openai.chat.completions.create\",\"60ms\",8]]");
    expect(f, "SELECT COUNTIF(trace.status = 'ERROR') FROM my-project.logs.ai_storefront_traces", "[[100]]");
}

/* ---- what is not taken ---- */

static void refuse(struct fixture *f, const char *text, int code, const char *part) {
    int got = sql(f, text, NULL);
    if (got != code) fail_msg("%.200s: code %d, expected %d: %.300s", text, got, code, f->answer.ptr);
    if (!strstr(f->answer.ptr, part)) fail_msg("%.200s: expected '%s' in %s", text, part, f->answer.ptr);
}

static void only_one_reading_statement_is_taken(void **state) {
    struct fixture *f = *state;
    static const char *const refused[] = {"CREATE TABLE t(x)",
                                          "CREATE VIEW v AS SELECT 1",
                                          "INSERT INTO spans(model) VALUES('x')",
                                          "DELETE FROM spans",
                                          "UPDATE scores SET value = 1",
                                          "DROP TABLE spans",
                                          "ATTACH '/etc/passwd' AS p",
                                          "DETACH main",
                                          "VACUUM INTO '/tmp/x'",
                                          "PRAGMA journal_mode",
                                          "PRAGMA database_list",
                                          "PRAGMA writable_schema = 1",
                                          "BEGIN",
                                          "ANALYZE",
                                          "REINDEX",
                                          "CREATE TABLE x(a)",
                                          "INSERT INTO sqlite_master VALUES(1,2,3,4,5)",
                                          "SELECT load_extension('x')",
                                          "CREATE TEMP TABLE t AS SELECT 1",
                                          "CREATE VIRTUAL TABLE v USING fts5(x)",
                                          "SELECT * FROM pragma_database_list",
                                          "SAVEPOINT a",
                                          "CREATE TRIGGER t AFTER INSERT ON spans BEGIN SELECT 1; END",
                                          "WITH x AS (SELECT 1) DELETE FROM spans"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) refuse(f, refused[i], VT_EINVAL, "sql: ");
    refuse(f, "SELECT 1; SELECT 2", VT_EINVAL, "second statement");
    refuse(f, "SELECT 1; DROP TABLE spans --", VT_EINVAL, "second statement");
    refuse(f, "", VT_EINVAL, "no statement");
    refuse(f, " -- nothing", VT_EINVAL, "no statement");
    expect(f, "SELECT 1; -- and no more\n ; /* really */", "[[1]]");
    expect(f, "SELECT name FROM pragma_table_info('scores') LIMIT 2", "[[\"score_id\"],[\"trace_id\"]]");
    expect(f, "SELECT count(*) FROM spans WHERE user_id = 'x'' OR 1=1 --'", "[[0]]");
}

static void mistakes_are_shown_where_they_stand(void **state) {
    struct fixture *f = *state;
    refuse(f, "SELECT '\xe2\x82\xac', wrong FROM spans", VT_EINVAL, "\"column\":13");
    refuse(f, "SELECT model FROM span", VT_EINVAL, "tables are spans");
    refuse(f, "SELEC 1", VT_EINVAL, "\"column\":1}");
    refuse(f, "SELECT \"modle\" FROM spans", VT_EINVAL, "no such column");
    refuse(f, "SELECT regexp_extract(model, '(') FROM spans WHERE model IS NOT NULL", VT_EINVAL, "regular expression");
    refuse(f, "SELECT time_bucket('x', 1)", VT_EINVAL, "time_bucket");
    refuse(f, "SELECT json_extract_scalar('{}', 'a')", VT_EINVAL, "JSON path");
    assert_int_equal(fixture_ask(f, "/api/v1/sql", "{\"sql\":\"SELECT 1\",\"limit\":0}", NULL), VT_EINVAL);
    assert_int_equal(fixture_ask(f, "/api/v1/sql", "{\"sql\":", NULL), VT_EINVAL);
    assert_int_equal(fixture_ask(f, "/api/v1/sql", NULL, NULL), VT_EUNSUPPORTED);
}

static void rows_are_cut_at_the_limit(void **state) {
    struct fixture *f = *state;
    assert_int_equal(fixture_ask(f, "/api/v1/sql", "{\"sql\":\"SELECT 1 FROM spans\",\"limit\":2}", NULL), 0);
    expect_part(f, "\"rows\":[[1],[1]],\"truncated\":true");
    assert_int_equal(fixture_ask(f, "/api/v1/sql", "{\"sql\":\"SELECT 1 FROM spans LIMIT 2\",\"limit\":2}", NULL), 0);
    expect_no_part(f, "truncated");
}

static void a_key_sees_its_project_alone(void **state) {
    struct fixture *f = *state;
    assert_int_equal(sql(f, "SELECT count(*), min(project), max(project) FROM spans", "other"), 0);
    expect_part(f, "[[300,\"other\",\"other\"]]");
    assert_int_equal(sql(f, "SELECT count(*) FROM spans WHERE project = 'shop' OR 1", "other"), 0);
    expect_part(f, "[[300]]");
    assert_int_equal(sql(f, "SELECT count(*) FROM ai_storefront_traces", "other"), 0);
    expect_part(f, "[[300]]");
    assert_int_equal(sql(f, "SELECT count(*) FROM spans", "nobody"), 0);
    expect_part(f, "[[0]]");
}

/* ---- what would run away ---- */

static int run_for(struct fixture *f, const char *text, int64_t ms) {
    struct buf body = {0};
    struct json_writer w = json_writer_on(&body);
    json_open(&w, '{');
    json_put_key(&w, "sql"), json_put_cstr(&w, text);
    json_close(&w, '}');
    struct api_request request = {.method = SLICE("POST"),
                                  .path = SLICE("/api/v1/sql"),
                                  .body = buf_slice(&body),
                                  .deadline_ns = time_monotonic_ns() + ms * NS_PER_MS};
    buf_clear(&f->answer);
    int code = api_call(f->engine, &request, &f->answer, &f->err);
    buf_free(&body);
    return code;
}

static void what_runs_away_is_stopped_in_its_time(void **state) {
    struct fixture *f = *state;
    static const char *const endless[] = {
        "SELECT count(*) FROM spans a, spans b, spans c, spans d",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT n FROM t WHERE n < 0",
        "WITH RECURSIVE t(n, s) AS (SELECT 1, 'x' UNION SELECT n + 1, s || n FROM t) SELECT max(s) FROM t",
        "SELECT a.prompt || b.prompt AS p, count(*) FROM spans a, spans b GROUP BY p"};
    for (size_t i = 0; i < sizeof endless / sizeof *endless; i++) {
        int64_t before = time_monotonic_ns();
        int code = run_for(f, endless[i], 200);
        if (code != VT_ETIMEOUT) fail_msg("%s: code %d: %s", endless[i], code, f->err.message);
        assert_true(time_monotonic_ns() - before < INT64_C(20) * NS_PER_S); /* not for ever; no measure of speed */
    }
    expect(f, "SELECT count(*) FROM spans", "[[3000]]");
}

static void one_who_has_gone_is_not_worked_for(void **state) {
    struct fixture *f = *state;
    int gone = 1;
    struct api_request request = {.method = SLICE("POST"),
                                  .path = SLICE("/api/v1/sql"),
                                  .body = SLICE("{\"sql\":\"SELECT count(*) FROM spans a, spans b, spans c\"}"),
                                  .cancel = &gone};
    assert_int_equal(api_call(f->engine, &request, &f->answer, &f->err), VT_ECANCELLED);
}

static void what_grows_too_large_is_refused(void **state) {
    struct fixture *f = *state;
    struct buf text = {0};
    refuse(f, "SELECT zeroblob(1000000000)", VT_ELIMIT, "MiB");
    refuse(f,
           "WITH RECURSIVE t(s) AS (SELECT 'xxxxxxxxxxxxxxxx' UNION ALL SELECT s || s FROM t) SELECT max(length(s)) "
           "FROM t",
           VT_ELIMIT, "MiB");
    refuse(f, "SELECT 'a' REGEXP '(a+)+b', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac' REGEXP '^(a|aa)+$'",
           VT_EINVAL, "too many steps");
    buf_puts(&text, "WITH t0 AS (SELECT 1)");
    for (int i = 1; i < 30; i++) buf_printf(&text, ", t%d AS (SELECT 1 FROM t%d a, t%d b)", i, i - 1, i - 1);
    buf_puts(&text, " SELECT count(*) FROM t29");
    refuse(f, buf_cstr(&text), VT_ELIMIT, "unfold");
    buf_clear(&text);
    for (int i = 0; i < 10000; i++) buf_puts(&text, "SELECT 1 UNION ALL ");
    refuse(f, buf_cstr(&text), VT_ELIMIT, "bytes");
    text.len = 19 * 5000;
    buf_puts(&text, "SELECT 1");
    refuse(f, buf_cstr(&text), VT_EINVAL, "too many terms");
    buf_clear(&text);
    buf_puts(&text, "SELECT count(*) FROM spans s");
    for (int i = 0; i < 16; i++) buf_printf(&text, ", spans s%d", i);
    refuse(f, buf_cstr(&text), VT_ELIMIT, "over 16 places");
    buf_clear(&text);
    buf_puts(&text, "SELECT ");
    for (int i = 0; i < 20000; i++) buf_putc(&text, '(');
    refuse(f, buf_cstr(&text), VT_EINVAL, "sql: ");
    buf_clear(&text);
    buf_puts(&text, "SELECT 'a' LIKE '");
    for (int i = 0; i < 6000; i++) buf_putc(&text, '%');
    buf_puts(&text, "'");
    refuse(f, buf_cstr(&text), VT_EINVAL, "LIKE");
    buf_clear(&text);
    buf_puts(&text, "SELECT '");
    while (text.len < 800 << 10) buf_putc(&text, 'x');
    buf_puts(&text, "'");
    refuse(f, buf_cstr(&text), VT_ELIMIT, "bytes");
    while (text.len < 10 << 20) buf_putc(&text, 'x');
    refuse(f, buf_cstr(&text), VT_ELIMIT, "bytes");
    buf_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(spans_are_counted_grouped_and_summed, start, fixture_stop),
        cmocka_unit_test_setup_teardown(a_row_shows_a_span_in_friendly_units, start, fixture_stop),
        cmocka_unit_test_setup_teardown(conditions_that_are_pushed_down_change_no_answer, start, fixture_stop),
        cmocka_unit_test_setup_teardown(times_and_traces_are_skipped_to, start, fixture_stop),
        cmocka_unit_test_setup_teardown(rows_come_in_order_of_time_without_sorting, start, fixture_stop),
        cmocka_unit_test_setup_teardown(joins_find_children_of_turns, start, fixture_stop),
        cmocka_unit_test_setup_teardown(looked_up_traces_are_whole_and_in_order, start, fixture_stop),
        cmocka_unit_test_setup_teardown(functions_do_what_they_say, start, fixture_stop),
        cmocka_unit_test_setup_teardown(percentiles_are_within_one_percent, start, fixture_stop),
        cmocka_unit_test_setup_teardown(sql_and_query_give_the_same_numbers, start, fixture_stop),
        cmocka_unit_test_setup_teardown(the_storefronts_bigquery_query_runs_as_written, start, fixture_stop),
        cmocka_unit_test_setup_teardown(only_one_reading_statement_is_taken, start, fixture_stop),
        cmocka_unit_test_setup_teardown(mistakes_are_shown_where_they_stand, start, fixture_stop),
        cmocka_unit_test_setup_teardown(rows_are_cut_at_the_limit, start, fixture_stop),
        cmocka_unit_test_setup_teardown(a_key_sees_its_project_alone, start, fixture_stop),
        cmocka_unit_test_setup_teardown(what_runs_away_is_stopped_in_its_time, start, fixture_stop),
        cmocka_unit_test_setup_teardown(one_who_has_gone_is_not_worked_for, start, fixture_stop),
        cmocka_unit_test_setup_teardown(what_grows_too_large_is_refused, start, fixture_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
