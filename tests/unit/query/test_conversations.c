/* Threads, one thread, users and scores, asked over a real store. */
#include "ask.h"

#include "base/json.h"

static const int64_t BASE_MS = INT64_C(1795460000000);
#define RANGE "from=1795459000000&to=1795470000000"

struct made {
    uint8_t trace, span, parent;
    enum span_kind kind;
    const char *operation, *thread, *user, *model, *prompt, *completion;
    enum span_status status;
    int64_t at_ms, duration_ms, tokens;
    double cost;
};

static void add(struct fixture *f, const struct made *list, uint32_t count) {
    struct batch *batch = batch_new();
    for (uint32_t i = 0; i < count; i++) {
        struct span *span = batch_add(batch);
        const struct made *m = &list[i];
        span->trace_id[0] = m->trace, span->span_id[0] = m->span, span->parent_span_id[0] = m->parent;
        span->kind = m->kind, span->status = m->status;
        span->start_ns = (BASE_MS + m->at_ms) * NS_PER_MS, span->duration_ns = m->duration_ms * NS_PER_MS;
        if (m->tokens) span->tokens_input = m->tokens, span->tokens_output = m->tokens / 10;
        if (m->cost > 0) span->cost_usd = m->cost;
        const struct {
            enum col col;
            const char *text;
        } texts[] = {{COL_OPERATION, m->operation}, {COL_THREAD_ID, m->thread}, {COL_USER_ID, m->user},
                     {COL_MODEL, m->model},         {COL_PROMPT, m->prompt},    {COL_COMPLETION, m->completion}};
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
            if (texts[t].text) *span_text(span, texts[t].col) = slice_of(texts[t].text);
        if (m->model) *span_text(span, COL_PROVIDER) = SLICE("openai");
        if (m->status == STATUS_ERROR) *span_text(span, COL_ERROR) = SLICE("rate limit");
        *span_text(span, COL_PROJECT) = SLICE("shop");
    }
    fixture_append(f, batch);
}

#define PROMPT(text) "[{\"role\":\"system\",\"content\":\"be kind\"},{\"role\":\"user\",\"content\":\"" text "\"}]"
static const struct made first[] = {
    {1, 1, 0, KIND_TURN, "chat.start_thread", "t/1 \xc3\xa9", "ann", NULL, NULL, NULL, STATUS_OK, 0, 50, 0, 0},
    {1, 2, 1, KIND_LLM, "openai.chat", "t/1 \xc3\xa9", "ann", "gpt-4o", PROMPT("Which jacket?"), NULL, STATUS_ERROR, 5,
     10, 0, 0},
    {1, 3, 1, KIND_LLM, "openai.chat", "t/1 \xc3\xa9", "ann", "gpt-4o-mini", PROMPT("Which jacket?"),
     "[{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"The Alpine Shell\"}]}]", STATUS_OK, 20, 20,
     100, 0.01},
    {1, 4, 3, KIND_TOOL, "search", "t/1 \xc3\xa9", "ann", NULL, NULL, NULL, STATUS_OK, 25, 5, 0, 0},
};
static const struct made second[] = {
    {2, 5, 0, KIND_LLM, "openai.chat", "t/1 \xc3\xa9", "ann", "gpt-4o", "And trousers?", "These.", STATUS_OK, 1000, 30,
     200, 0.02}, /* a turn without a turn span */
    {3, 6, 0, KIND_TURN, "chat.continue_thread", "other", "bob", NULL, PROMPT("Hello"), "Hi", STATUS_OK, 2000, 40, 110,
     0.5}, /* restates its child */
    {3, 7, 6, KIND_LLM, "openai.chat", "other", "bob", "gpt-4o", NULL, NULL, STATUS_OK, 2001, 30, 100, 0.5},
};

static int start(void **state) {
    if (fixture_start(state)) return -1;
    add(*state, first, 4);
    fixture_seal(*state);
    add(*state, second, 3);
    return 0;
}

static void threads_are_listed_with_their_numbers(void **state) {
    struct fixture *f = *state;
    fixture_get(f, "/api/v1/threads?" RANGE);
    expect_part(f, "{\"threads\":[{\"thread_id\":\"other\",\"user_id\":\"bob\",\"first\":\"2026-11-23T18:53:22."
                   "000000Z\",\"last\":\"2026-11-23T18:53:22.001000Z\",\"turn_count\":1,\"llm_calls\":1,\"errors\":0,"
                   "\"fallbacks\":0,\"tokens\":{\"input\":100,\"output\":10,\"total\":110},\"cost_usd\":0.5,\"models\":"
                   "[\"gpt-4o\"]},"
                   "{\"thread_id\":\"t/1 "
                   "\xc3\xa9\",\"user_id\":\"ann\",\"first\":\"2026-11-23T18:53:20.000000Z\",\"last\":\"2026-11-23T18:"
                   "53:21.000000Z\",\"turn_count\":2,\"llm_calls\":3,\"errors\":1,"
                   "\"fallbacks\":1,\"tokens\":{\"input\":300,\"output\":30,\"total\":330},\"cost_usd\":0.03,"
                   "\"models\":[\"gpt-4o\",\"gpt-4o-mini\"]}]");
    expect_no_part(f, "next");
    fixture_get(f, "/api/v1/threads?" RANGE "&q=status:error");
    assert_int_equal(count_parts(f->answer.ptr, "thread_id"), 1);
    expect_part(f, "\"llm_calls\":1,\"errors\":1");
}

static void threads_are_sorted_and_read_page_by_page(void **state) {
    struct fixture *f = *state;
    static const char *const sorts[] = {"last", "turns", "cost", "tokens", "errors"};
    static const char *const firsts[] = {"other", "t/1", "other", "t/1", "t/1"};
    for (int i = 0; i < 5; i++) {
        char target[300], wanted[40], next[120], *at;
        snprintf(target, sizeof target, "/api/v1/threads?" RANGE "&limit=1&sort=%s", sorts[i]);
        fixture_get(f, target);
        snprintf(wanted, sizeof wanted, "{\"threads\":[{\"thread_id\":\"%s", firsts[i]);
        expect_part(f, wanted);
        assert_int_equal(sscanf(strstr(f->answer.ptr, "\"next\":\""), "\"next\":\"%110[^\"]", next), 1);
        while ((at = strchr(next, ' '))) *at = '+';
        snprintf(target + strlen(target), sizeof target - strlen(target), "&cursor=%s", next);
        fixture_get(f, target);
        expect_no_part(f, wanted);
        expect_no_part(f, "next");
        assert_int_equal(count_parts(f->answer.ptr, "thread_id"), 1);
    }
    assert_int_equal(fixture_ask(f, "/api/v1/threads?cursor=x", NULL, NULL), VT_EINVAL);
    assert_int_equal(fixture_ask(f, "/api/v1/threads?sort=beauty", NULL, NULL), VT_EINVAL);
}

static void a_thread_is_shown_turn_by_turn(void **state) {
    struct fixture *f = *state;
    fixture_get(f, "/api/v1/threads/t%2F1%20%C3%A9");
    expect_part(f, "{\"thread_id\":\"t/1 "
                   "\xc3\xa9\",\"user_id\":\"ann\",\"first\":\"2026-11-23T18:53:20.000000Z\",\"last\":\"2026-11-23T18:"
                   "53:21.000000Z\",\"turn_count\":2,\"llm_calls\":3,\"errors\":1,\"fallbacks\":1,"
                   "\"tokens\":{\"input\":300,\"output\":30,\"total\":330},\"cost_usd\":0.03,");
    expect_part(f, "\"operation\":\"chat.start_thread\",\"start\":\"2026-11-23T18:53:20.000000Z\",\"duration_ms\":50,"
                   "\"status\":\"OK\",\"user_id\":\"ann\",\"fallback\":true,\"input\":\"Which jacket?\","
                   "\"output\":\"The Alpine "
                   "Shell\",\"models\":[\"gpt-4o\",\"gpt-4o-mini\"],\"llm_calls\":2,\"tokens\":{\"input\":100,"
                   "\"output\":10,\"total\":110},\"cost_usd\":0.01,\"calls\":[");
    expect_part(f, "\"input\":\"And trousers?\",\"output\":\"These.\"");
    expect_part(
        f,
        "\"kind\":\"llm\",\"provider\":\"openai\",\"model\":\"gpt-4o\",\"status\":\"ERROR\",\"error\":\"rate limit\"");
    assert_int_equal(count_parts(f->answer.ptr, "\"kind\":\"tool\""), 1);
    assert_true(strstr(f->answer.ptr, "chat.start_thread") < strstr(f->answer.ptr, "And trousers?"));
    fixture_get(f, "/api/v1/threads/other");
    expect_part(f, "\"input\":\"Hello\",\"output\":\"Hi\"");
    expect_part(f, "\"cost_usd\":0.5,\"models\"");
    assert_int_equal(fixture_ask(f, "/api/v1/threads/nothing", NULL, NULL), VT_ENOTFOUND);
    assert_int_equal(fixture_ask(f, "/api/v1/threads/other", NULL, "lab"), VT_ENOTFOUND);
}

static void users_are_listed_by_what_they_cost(void **state) {
    struct fixture *f = *state;
    fixture_get(f, "/api/v1/users?" RANGE);
    expect_part(f, "{\"users\":[{\"user_id\":\"bob\",\"calls\":1,\"turns\":1,\"threads\":1,\"errors\":0,\"error_rate\":"
                   "0,\"tokens\":{\"input\":100,\"output\":10,\"total\":110},\"cost_usd\":0.5,"
                   "\"first\":\"2026-11-23T18:53:22.000000Z\",\"last\":\"2026-11-23T18:53:22.001000Z\"},{\"user_id\":"
                   "\"ann\",\"calls\":3,\"turns\":2,\"threads\":1,\"errors\":1,\"error_rate\":0.3333");
    fixture_get(f, "/api/v1/users?" RANGE "&sort=calls&limit=1");
    expect_part(f, "{\"users\":[{\"user_id\":\"ann\"");
    assert_int_equal(count_parts(f->answer.ptr, "user_id"), 1);
    fixture_ask(f, "/api/v1/users?" RANGE, NULL, "lab");
    expect_part(f, "{\"users\":[]");
}

static void scores_stand_at_what_they_speak_of(void **state) {
    struct fixture *f = *state;
    fixture_post(
        f, "/api/v1/scores",
        "{\"trace_id\":\"01000000000000000000000000000000\",\"name\":\"helpful\",\"value\":true,\"user_id\":\"ann\"}");
    expect_part(f, "{\"score_id\":1}");
    fixture_post(f, "/api/v1/scores",
                 "{\"trace_id\":\"01000000000000000000000000000000\",\"name\":\"helpful\",\"value\":0.5,\"user_id\":"
                 "\"ann\",\"comment\":\"so so\"}");
    expect_part(f, "{\"score_id\":1}");
    fixture_post(f, "/api/v1/scores",
                 "{\"trace_id\":\"01000000000000000000000000000000\",\"span_id\":\"0300000000000000\",\"name\":"
                 "\"correct\",\"value\":1}");
    expect_part(f, "{\"score_id\":3}");
    fixture_get(f, "/api/v1/traces/01000000000000000000000000000000");
    expect_part(
        f, "],\"scores\":[{\"name\":\"helpful\",\"value\":0.5,\"comment\":\"so so\",\"user_id\":\"ann\",\"time\":\"2");
    expect_part(f, "\"scores\":[{\"name\":\"correct\",\"value\":1,\"time\":\"2");
    fixture_get(f, "/api/v1/threads/t%2F1%20%C3%A9");
    assert_int_equal(count_parts(f->answer.ptr, "\"name\":\"helpful\""), 1);
    assert_int_equal(count_parts(f->answer.ptr, "\"name\":\"correct\""), 1);
    fixture_get(f, "/api/v1/scores?name=correct");
    expect_part(f, "{\"scores\":[{\"score_id\":3,\"trace_id\":\"01000000000000000000000000000000\",\"span_id\":"
                   "\"0300000000000000\",\"name\":\"correct\",\"value\":1,\"time\":\"2");
    fixture_get(f, "/api/v1/scores?trace_id=01000000000000000000000000000000&limit=1");
    expect_part(f, "\"next\":\"1\"");
    fixture_get(f, "/api/v1/scores?limit=1&cursor=1");
    expect_part(f, "\"score_id\":3");
    expect_no_part(f, "next");
    fixture_post(f, "/api/v1/sql",
                 "{\"sql\":\"SELECT s.name, s.value, t.kind FROM scores s JOIN spans t ON t.trace_id = s.trace_id AND "
                 "t.span_id = s.span_id\"}");
    expect_part(f, "\"rows\":[[\"correct\",1,\"llm\"]]");
    fixture_post(f, "/api/v1/sql",
                 "{\"sql\":\"SELECT count(*), avg(value) FROM scores WHERE name = 'helpful' AND time_ms > 0\"}");
    expect_part(f, "\"rows\":[[1,0.5]]");
}

static void scores_of_what_is_not_there_are_refused(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *body, *part;
        int code;
    } wrong[] = {{"{\"trace_id\":\"ff000000000000000000000000000000\",\"name\":\"x\",\"value\":1}", "there is no trace",
                  VT_ENOTFOUND},
                 {"{\"trace_id\":\"01000000000000000000000000000000\",\"span_id\":\"0600000000000000\",\"name\":\"x\","
                  "\"value\":1}",
                  "has no span", VT_ENOTFOUND},
                 {"{\"name\":\"x\",\"value\":1}", "trace_id is missing", VT_EINVAL},
                 {"{\"trace_id\":\"01000000000000000000000000000000\",\"value\":1}", "name is missing", VT_EINVAL},
                 {"{\"trace_id\":\"01000000000000000000000000000000\",\"name\":\"x\"}", "value is missing", VT_EINVAL},
                 {"{\"trace_id\":\"01000000000000000000000000000000\",\"name\":\"x\",\"value\":\"1\"}",
                  "value: expected", VT_EINVAL},
                 {"{\"trace_id\":\"01000000000000000000000000000000\",\"name\":7,\"value\":1}", "name: expected a text",
                  VT_EINVAL},
                 {"[]", "body", VT_EINVAL}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(fixture_ask(f, "/api/v1/scores", wrong[i].body, NULL), wrong[i].code);
        expect_part(f, wrong[i].part);
    }
    assert_int_equal(fixture_ask(f, "/api/v1/scores",
                                 "{\"trace_id\":\"01000000000000000000000000000000\",\"name\":\"x\",\"value\":1}",
                                 "lab"),
                     VT_ENOTFOUND);
}

/* Log lines whose spans each had a trace id of their own: any of these ids leads to the trace that they became. */
static void ids_that_senders_wrote_lead_to_their_trace(void **state) {
    struct fixture *f = *state;
    struct batch *batch = batch_new();
    struct span *span = batch_add(batch);
    span->trace_id[0] = 9, span->span_id[0] = 90, span->start_ns = BASE_MS * NS_PER_MS;
    *span_text(span, COL_ATTRIBUTES) = SLICE("{\"source.trace_id\":\"y56ugcpv\"}");
    fixture_append(f, batch);
    fixture_get(f, "/api/v1/traces/y56ugcpv");
    expect_part(f, "{\"trace_id\":\"09000000000000000000000000000000\"");
    fixture_post(f, "/api/v1/scores", "{\"trace_id\":\"y56ugcpv\",\"name\":\"helpful\",\"value\":1}");
    fixture_get(f, "/api/v1/scores?trace_id=y56ugcpv");
    expect_part(f, "\"trace_id\":\"09000000000000000000000000000000\"");
    assert_int_equal(fixture_ask(f, "/api/v1/traces/y56", NULL, NULL), VT_ENOTFOUND);
    assert_int_equal(fixture_ask(f, "/api/v1/traces/y56ugcpv", NULL, "lab"), VT_ENOTFOUND);
}

static void expect_rows(struct fixture *f, const char *sql, const char *rows) {
    struct buf body = {0};
    struct json_writer w = json_writer_on(&body);
    json_open(&w, '{');
    json_put_key(&w, "sql"), json_put_cstr(&w, sql);
    json_close(&w, '}');
    fixture_post(f, "/api/v1/sql", buf_cstr(&body));
    buf_free(&body);
    const char *from = strstr(f->answer.ptr, "\"rows\":") + 7, *to = strstr(f->answer.ptr, ",\"scanned\":");
    if (!slice_is(slice_make(from, (size_t)(to - from)), rows))
        fail_msg("%s\nexpected %s\n     got %.*s", sql, rows, (int)(to - from), from);
}

static void sql_has_traces_and_threads_with_the_same_numbers(void **state) {
    struct fixture *f = *state;
    expect_rows(
        f,
        "SELECT trace_id, start, duration_ms, operation, status, error, provider, model, span_count, llm_calls, "
        "errors, tokens_input, tokens_total, cost_usd, user_id, thread_id, fallback FROM traces ORDER BY start_ms",
        "[[\"01000000000000000000000000000000\",\"2026-11-23T18:53:20.000000Z\",50,\"chat.start_thread\",\"OK\",\"rate "
        "limit\",\"openai\",\"gpt-4o\",4,2,1,100,110,0.01,\"ann\",\"t/1 \xc3\xa9\",1],"
        "[\"02000000000000000000000000000000\",\"2026-11-23T18:53:21.000000Z\",30,\"openai.chat\",\"OK\",null,"
        "\"openai\",\"gpt-4o\",1,1,0,200,220,0.02,\"ann\",\"t/1 \xc3\xa9\",0],"
        "[\"03000000000000000000000000000000\",\"2026-11-23T18:53:22.000000Z\",40,\"chat.continue_thread\",\"OK\",null,"
        "\"openai\",\"gpt-4o\",2,1,0,100,110,0.5,\"bob\",\"other\",0]]");
    expect_rows(
        f, "SELECT count(*), sum(span_count) FROM traces WHERE start_ms >= 1795460001000 AND start_ms < 1795460002001",
        "[[2,3]]");
    expect_rows(f, "SELECT span_count FROM traces WHERE start_ms = 1795460002000",
                "[[2]]"); /* its second span begins later */
    expect_rows(f, "SELECT count(*) FROM traces WHERE start_ms > 1795460002000",
                "[[0]]"); /* a trace begins with its root */
    expect_rows(f, "SELECT llm_calls FROM traces WHERE trace_id = '01000000000000000000000000000000'", "[[2]]");
    expect_rows(
        f,
        "SELECT thread_id, user_id, first_ms, last, turn_count, llm_calls, errors, fallbacks, tokens_total, cost_usd, "
        "models FROM threads ORDER BY cost_usd",
        "[[\"t/1 "
        "\xc3\xa9\",\"ann\",1795460000000,\"2026-11-23T18:53:21.000000Z\",2,3,1,1,330,0.03,\"[\\\"gpt-4o\\\",\\\"gpt-"
        "4o-mini\\\"]\"],"
        "[\"other\",\"bob\",1795460002000,\"2026-11-23T18:53:22.001000Z\",1,1,0,0,110,0.5,\"[\\\"gpt-4o\\\"]\"]]");
    expect_rows(f, "SELECT turn_count FROM threads WHERE thread_id = 'other'", "[[1]]");
    expect_rows(f, "SELECT count(*) FROM threads JOIN traces USING (thread_id)", "[[3]]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(threads_are_listed_with_their_numbers, start, fixture_stop),
        cmocka_unit_test_setup_teardown(threads_are_sorted_and_read_page_by_page, start, fixture_stop),
        cmocka_unit_test_setup_teardown(a_thread_is_shown_turn_by_turn, start, fixture_stop),
        cmocka_unit_test_setup_teardown(users_are_listed_by_what_they_cost, start, fixture_stop),
        cmocka_unit_test_setup_teardown(scores_stand_at_what_they_speak_of, start, fixture_stop),
        cmocka_unit_test_setup_teardown(ids_that_senders_wrote_lead_to_their_trace, start, fixture_stop),
        cmocka_unit_test_setup_teardown(sql_has_traces_and_threads_with_the_same_numbers, start, fixture_stop),
        cmocka_unit_test_setup_teardown(scores_of_what_is_not_there_are_refused, start, fixture_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
