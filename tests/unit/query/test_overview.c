/* The overview and the map of services, against numbers that are counted by hand. */
#include "ask.h"

#include <math.h>

static const int64_t DAY_MS = INT64_C(86400000), BASE_MS = INT64_C(1795460400000);

static struct span *add(struct batch *batch, uint8_t trace, uint8_t span, uint8_t parent, const char *service,
                        enum span_kind kind, int64_t at_ms, int64_t duration_ms) {
    struct span *s = batch_add(batch);
    s->trace_id[0] = trace, s->span_id[0] = span, s->parent_span_id[0] = parent;
    s->kind = kind, s->status = STATUS_OK;
    s->start_ns = (BASE_MS + at_ms) * NS_PER_MS, s->duration_ns = duration_ms * NS_PER_MS;
    *span_text(s, COL_SERVICE) = slice_of(service);
    return s;
}

/* One turn with one LLM call. */
static void talk(struct fixture *f, uint8_t n, int64_t at_ms, const char *user, const char *thread, const char *model,
                 bool fails) {
    struct batch *batch = batch_new();
    struct span *turn = add(batch, n, (uint8_t)(2 * n), 0, "shop", KIND_TURN, at_ms, 100);
    *span_text(turn, COL_USER_ID) = slice_of(user);
    *span_text(turn, COL_THREAD_ID) = slice_of(thread);
    struct span *call = add(batch, n, (uint8_t)(2 * n + 1), (uint8_t)(2 * n), "shop", KIND_LLM, at_ms + 1, 10 * n);
    *span_text(call, COL_USER_ID) = slice_of(user);
    *span_text(call, COL_THREAD_ID) = slice_of(thread);
    *span_text(call, COL_MODEL) = slice_of(model);
    *span_text(call, COL_PROVIDER) = model[0] == 'g' ? SLICE("openai") : SLICE("anthropic");
    call->tokens_input = 100, call->tokens_output = 10, call->tokens_cached = 40;
    call->cost_usd = 0.01 * n;
    call->ttft_ns = 5 * NS_PER_MS;
    if (fails) call->status = STATUS_ERROR;
    fixture_append(f, batch);
}

static int start(void **state) {
    if (fixture_start(state)) return -1;
    struct fixture *f = *state;
    talk(f, 1, -2 * DAY_MS, "ann", "t0", "gpt-4o", false); /* before the range */
    fixture_seal(f);
    talk(f, 2, 0, "ann", "t1", "gpt-4o", false);
    talk(f, 3, 60000, "ann", "t1", "gpt-4o", true); /* a fallback */
    talk(f, 4, 60000, "bob", "t2", "claude", false);
    fixture_seal(f);
    talk(f, 5, 120000, "bob", "t2", "gpt-4o", false);
    return 0;
}

#define RANGE "from=1795460400000&to=1795464000000"

static double member(const char *from, const char *key) {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = from ? strstr(from, quoted) : NULL;
    if (!at) fail_msg("no %s in %s", key, from);
    return strtod(at + strlen(quoted), NULL);
}

static void the_numbers_of_now_are_right(void **state) {
    struct fixture *f = *state;
    fixture_get(f, "/api/v1/overview?" RANGE "&interval=1m");
    expect_part(f, "{\"from_ms\":1795460400000,\"to_ms\":1795464000000,\"interval_ms\":60000,\"now\":{\"llm_calls\":4,"
                   "\"errors\":1,\"error_rate\":0.25,");
    const char *now = strstr(f->answer.ptr, "\"now\"");
    assert_true(fabs(member(now, "p50_ms") - 30) < 0.3);
    assert_true(fabs(member(now, "p99_ms") - 50) < 0.5);
    assert_true(fabs(member(now, "ttft_p95_ms") - 5) < 0.05);
    assert_true(fabs(member(now, "cost_usd") - 0.14) < 1e-9);
    assert_true(fabs(member(now, "cost_per_thread_usd") - 0.07) < 1e-9);
    assert_true(fabs(member(now, "cost_per_turn_usd") - 0.035) < 1e-9);
    expect_part(f, "\"tokens\":{\"input\":400,\"output\":40,\"cached\":160,\"total\":440}");
    expect_part(f, "\"turns\":4,\"threads\":2,\"turns_per_thread\":2,\"active_users\":2,\"returning_users\":1,\"new_"
                   "users\":1,\"fallbacks\":1,\"fallback_rate\":0.25,");
    expect_no_part(f, "previous");
}

static void the_trend_stands_at_multiples_of_the_interval(void **state) {
    struct fixture *f = *state;
    fixture_get(f, "/api/v1/overview?" RANGE "&interval=1m");
    expect_part(f, "\"trend\":{\"columns\":[\"llm_calls\",\"error_rate\",\"p50_ms\",\"p95_ms\",\"ttft_p50_ms\","
                   "\"tokens.input\",\"tokens.output\",\"tokens.cached\",\"cost_usd\",\"turns\",\"threads\",\"active_"
                   "users\",\"fallbacks\"],\"points\":[[1795460400000,1,0,");
    expect_part(f, "],[1795460460000,2,0.5,");
    expect_part(f, ",2,2,2,1],[1795460520000,1,0,");
    assert_int_equal(fixture_ask(f, "/api/v1/overview?" RANGE "&interval=0s", NULL, NULL), VT_EINVAL);
    assert_int_equal(fixture_ask(f, "/api/v1/overview?from=0&to=now&interval=1s", NULL, NULL), VT_ELIMIT);
}

static void models_and_providers_have_their_shares(void **state) {
    struct fixture *f = *state;
    fixture_get(f, "/api/v1/overview?" RANGE);
    const char *models = strstr(f->answer.ptr, "\"models\":[");
    expect_part(f,
                "\"models\":[{\"model\":\"gpt-4o\",\"provider\":\"openai\",\"calls\":3,\"share\":0.75,\"errors\":1,");
    expect_part(
        f,
        "},{\"model\":\"claude\",\"provider\":\"anthropic\",\"calls\":1,\"share\":0.25,\"errors\":0,\"error_rate\":0,");
    assert_true(fabs(member(models, "cost_share") - 0.1 / 0.14) < 1e-9);
    expect_part(f, "\"providers\":[{\"provider\":\"openai\",\"calls\":3,\"errors\":1,");
}

static void lines_of_models_and_providers_come_when_asked_for(void **state) {
    struct fixture *f = *state;
    fixture_get(f, "/api/v1/overview?" RANGE "&interval=1m");
    expect_no_part(f, "model_lines");
    fixture_get(f, "/api/v1/overview?" RANGE "&interval=1m&lines=1");
    expect_part(f, "\"model_lines\":{\"columns\":[\"llm_calls\",\"errors\",\"p50_ms\",\"p95_ms\",\"p99_ms\","
                   "\"ttft_p50_ms\",\"cost_usd\",\"tokens.input\",\"tokens.output\"],\"series\":[{\"group\":{"
                   "\"model\":\"gpt-4o\"},\"total\":[3,1,");
    expect_part(f, "\"points\":[[1795460400000,1,0,");
    expect_part(f, "],[1795460460000,1,1,");
    expect_part(f, "{\"group\":{\"model\":\"claude\"},\"total\":[1,0,");
    expect_part(f, "\"provider_lines\":{");
    expect_part(f, "{\"group\":{\"provider\":\"openai\"},\"total\":[3,1,");
}

static void numbers_alone_are_the_same(void **state) {
    struct fixture *f = *state;
    fixture_get(f, "/api/v1/overview?" RANGE "&numbers=1");
    expect_part(f, "\"now\":{\"llm_calls\":4,\"errors\":1,\"error_rate\":0.25,");
    expect_part(f, "\"turns\":4,\"threads\":2,\"turns_per_thread\":2,\"active_users\":2,\"returning_users\":1,");
    expect_no_part(f, "trend");
    expect_no_part(f, "models");
}

/* Models by the thousand at many steps need more than a request may hold: they are counted again without steps. */
static void many_models_are_counted_in_less_memory(void **state) {
    struct fixture *f = *state;
    struct engine_options options = {.memory_bytes = 24 << 20};
    engine_free(f->engine);
    assert_int_equal(engine_open(&f->engine, f->store, &options, &f->err), 0);
    enum { MODELS = 2000, STEPS = 40 };
    for (int step = 0; step < STEPS; step++) {
        struct batch *batch = batch_new();
        for (int m = 0; m < MODELS; m++) {
            struct span *call = add(batch, (uint8_t)(1 + m % 200), 0, 0, "shop", KIND_LLM, step * 60000, 1 + m);
            memcpy(call->span_id, &(int){1 + step * MODELS + m}, 4);
            memcpy(call->trace_id + 1, &(int){1 + step * MODELS + m}, 4);
            char name[16];
            snprintf(name, sizeof name, "m%d", m);
            *span_text(call, COL_MODEL) = arena_copy(&batch->arena, slice_of(name));
        }
        fixture_append(f, batch);
    }
    fixture_get(f, "/api/v1/overview?from=1795460400000&to=1795462800000&interval=1m&q=service:shop+-has:user&lines=1");
    expect_part(f, "\"now\":{\"llm_calls\":80000,");
    expect_part(f, "{\"model\":\"m0\",\"calls\":40,");
    expect_no_part(f, "model_lines");
}

static void cut_tail(struct fixture *f, char *into, size_t size) {
    const char *tail = strstr(f->answer.ptr, "\"scanned\"");
    snprintf(into, size, "%.*s", tail ? (int)(tail - f->answer.ptr) : 0, f->answer.ptr);
}

/* Sealed row groups within the range are read once; the second answer is the same, also when the range has moved. */
static void what_was_counted_before_is_added(void **state) {
    static char first[16384], again[16384];
    struct fixture *f = *state;
    fixture_seal(f);
    fixture_get(f, "/api/v1/overview?" RANGE "&interval=1m&lines=1");
    cut_tail(f, first, sizeof first);
    expect_no_part(f, "\"scanned\":0,");
    fixture_get(f, "/api/v1/overview?" RANGE "&interval=1m&lines=1");
    cut_tail(f, again, sizeof again);
    assert_string_equal(first, again);
    expect_part(f, "\"scanned\":0,");
    fixture_get(f, "/api/v1/overview?from=1795460300000&to=1795464000000&interval=1m");
    expect_part(f, "\"scanned\":0,");
    expect_part(f, "\"now\":{\"llm_calls\":4,\"errors\":1,");
    fixture_get(f, "/api/v1/overview?from=1795460430000&to=1795464000000&interval=1m"); /* the second group is cut */
    expect_part(f, "\"now\":{\"llm_calls\":3,\"errors\":1,");
    expect_no_part(f, "\"scanned\":0,");
    assert_int_equal(fixture_ask(f, "/api/v1/overview?" RANGE "&interval=1m", NULL, "lab"), 0); /* whose are others */
    expect_part(f, "\"now\":{\"llm_calls\":0,");
    fixture_get(f, "/api/v1/overview?" RANGE "&interval=1m&q=status:error");
    expect_part(f, "\"now\":{\"llm_calls\":1,\"errors\":1,");
}

/* A span that comes late changes what its trace says in a row group that is kept: its usage is restated. */
static void late_spans_change_what_was_kept(void **state) {
    struct fixture *f = *state;
    fixture_seal(f);
    for (int i = 0; i < 2; i++) fixture_get(f, "/api/v1/overview?" RANGE "&interval=1m");
    expect_part(f, "\"tokens\":{\"input\":400,");
    struct batch *batch = batch_new();
    struct span *late = add(batch, 2, 99, 5, "shop", KIND_LLM, 5, 1); /* below the call of trace 2 */
    late->tokens_input = 70, late->tokens_output = 1;
    fixture_append(f, batch);
    fixture_get(f, "/api/v1/overview?" RANGE "&interval=1m");
    expect_part(f, "\"tokens\":{\"input\":370,");
}

static void moments_that_move_are_not_kept(void **state) {
    struct fixture *f = *state;
    fixture_seal(f);
    for (int i = 0; i < 2; i++) fixture_get(f, "/api/v1/overview?" RANGE "&interval=1m&q=start:%3C-1s");
    expect_no_part(f, "\"scanned\":0,");
}

static void the_time_before_is_compared_with(void **state) {
    struct fixture *f = *state;
    fixture_get(f, "/api/v1/overview?from=1795460400000&to=1795720000000&compare=1");
    expect_part(f, "\"previous\":{\"llm_calls\":1,\"errors\":0,\"error_rate\":0,");
    expect_part(f, "\"active_users\":1,\"returning_users\":0,\"new_users\":1,");
    fixture_get(f, "/api/v1/overview?" RANGE "&compare=1");
    expect_part(f, "\"previous\":{\"llm_calls\":0,\"errors\":0,\"turns\":0,\"threads\":0,\"active_users\":0,"
                   "\"returning_users\":0,\"new_users\":0,\"fallbacks\":0}");
}

static void where_nobody_sends_turns_traces_of_conversations_are_turns(void **state) {
    struct fixture *f = *state;
    fixture_get(f, "/api/v1/overview?" RANGE "&interval=1m&q=kind:llm");
    expect_part(f, "\"turns\":4,\"threads\":2,\"turns_per_thread\":2,");
    expect_part(f, ",2,2,2,0],[1795460520000,1,0,");
}

static void filters_and_projects_narrow_it(void **state) {
    struct fixture *f = *state;
    fixture_get(f, "/api/v1/overview?" RANGE "&q=user:bob");
    expect_part(f, "\"now\":{\"llm_calls\":2,\"errors\":0,");
    assert_int_equal(fixture_ask(f, "/api/v1/overview?" RANGE, NULL, "lab"), 0);
    expect_part(f, "\"now\":{\"llm_calls\":0,");
    expect_part(f, "\"points\":[]},\"models\":[],\"providers\":[],\"scores\":[]");
}

static void scores_stand_against_cost(void **state) {
    struct fixture *f = *state;
    char from[200];
    static const char *const scores[] = {
        "{\"trace_id\":\"02000000000000000000000000000000\",\"name\":\"helpful\",\"value\":1}",
        "{\"trace_id\":\"05000000000000000000000000000000\",\"name\":\"helpful\",\"value\":0}",
        "{\"trace_id\":\"04000000000000000000000000000000\",\"name\":\"helpful\",\"value\":1}",
        ("{\"trace_id\":\"04000000000000000000000000000000\",\"span_id\":\"0900000000000000\",\"name\":\"correct\","
         "\"value\":0.5}"),
        "{\"trace_id\":\"01000000000000000000000000000000\",\"name\":\"old\",\"value\":1}"};
    for (int i = 0; i < 5; i++) fixture_post(f, "/api/v1/scores", scores[i]);
    fixture_get(f, "/api/v1/overview?from=-1h");
    expect_part(f, "\"scores\":[{\"name\":\"correct\",\"model\":\"claude\",\"count\":1,\"avg\":0.5,\"cost_usd\":0.04},{"
                   "\"name\":\"helpful\",\"model\":\"gpt-4o\",\"count\":2,\"avg\":0.5,\"cost_usd\":0.035");
    expect_part(f, "{\"name\":\"helpful\",\"model\":\"claude\",\"count\":1,\"avg\":1,\"cost_usd\":0.04}");
    snprintf(from, sizeof from, "/api/v1/overview?%s", RANGE);
    fixture_get(f, from);
    expect_part(f, "\"scores\":[]"); /* they were given later */
}

/* ---- services ---- */

static void services_and_their_calls_are_found_wherever_the_parent_lies(void **state) {
    struct fixture *f = *state;
    struct batch *batch = batch_new();
    add(batch, 100, 200, 0, "web", KIND_OTHER, 1000, 50);
    add(batch, 100, 201, 200, "shop", KIND_OTHER, 1001, 40);
    add(batch, 100, 202, 201, "shop", KIND_OTHER, 1002, 30);
    add(batch, 101, 203, 0, "web", KIND_OTHER, 2000, 50);
    fixture_append(f, batch);
    fixture_seal(f);
    batch = batch_new();
    add(batch, 101, 204, 203, "shop", KIND_OTHER, 2001, 20)->status = STATUS_ERROR; /* its parent is in the segment */
    add(batch, 102, 205, 203, "shop", KIND_OTHER, 2001, 20);                        /* another trace: no call */
    fixture_append(f, batch);
    fixture_get(f, "/api/v1/services?" RANGE);
    expect_part(f, "{\"services\":[{\"service\":\"shop\",\"spans\":12,\"errors\":2,");
    expect_part(f, "{\"service\":\"web\",\"spans\":2,\"errors\":0,\"error_rate\":0,\"rate\":0.000555");
    expect_part(f, "\"calls\":[{\"from\":\"web\",\"to\":\"shop\",\"count\":2,\"errors\":1,\"error_rate\":0.5,");
    expect_part(f, "{\"from\":\"shop\",\"to\":\"openai\",\"count\":3,\"errors\":1,");
    expect_part(f, "{\"from\":\"shop\",\"to\":\"anthropic\",\"count\":1,\"errors\":0,");
    assert_int_equal(count_parts(f->answer.ptr, "\"from\":"), 3);
    fixture_get(f, "/api/v1/services?" RANGE "&q=service:shop");
    expect_part(f, "\"calls\":[{\"from\":\"web\",\"to\":\"shop\",\"count\":2,");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_numbers_of_now_are_right, start, fixture_stop),
        cmocka_unit_test_setup_teardown(the_trend_stands_at_multiples_of_the_interval, start, fixture_stop),
        cmocka_unit_test_setup_teardown(models_and_providers_have_their_shares, start, fixture_stop),
        cmocka_unit_test_setup_teardown(lines_of_models_and_providers_come_when_asked_for, start, fixture_stop),
        cmocka_unit_test_setup_teardown(numbers_alone_are_the_same, start, fixture_stop),
        cmocka_unit_test_setup_teardown(many_models_are_counted_in_less_memory, start, fixture_stop),
        cmocka_unit_test_setup_teardown(what_was_counted_before_is_added, start, fixture_stop),
        cmocka_unit_test_setup_teardown(late_spans_change_what_was_kept, start, fixture_stop),
        cmocka_unit_test_setup_teardown(moments_that_move_are_not_kept, start, fixture_stop),
        cmocka_unit_test_setup_teardown(the_time_before_is_compared_with, start, fixture_stop),
        cmocka_unit_test_setup_teardown(where_nobody_sends_turns_traces_of_conversations_are_turns, start,
                                        fixture_stop),
        cmocka_unit_test_setup_teardown(filters_and_projects_narrow_it, start, fixture_stop),
        cmocka_unit_test_setup_teardown(scores_stand_against_cost, start, fixture_stop),
        cmocka_unit_test_setup_teardown(services_and_their_calls_are_found_wherever_the_parent_lies, start,
                                        fixture_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
