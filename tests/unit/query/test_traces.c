/* Traces by id and lists of them, from memory and from segments. */
#include "ask.h"

static const int64_t BASE_NS = INT64_C(1795460000000000000);

static void set_id(uint8_t *id, size_t size, unsigned n) {
    memset(id, 0, size);
    id[0] = 0x5b;
    memcpy(id + size - sizeof n, &n, sizeof n);
}

/* A chat turn with one LLM call under it; every third call fails, so that its turn is a fallback. */
static void add_turn(struct batch *batch, unsigned n) {
    struct span *turn = batch_add(batch), *call = batch_add(batch);
    turn = call - 1;
    set_id(turn->trace_id, 16, n);
    set_id(call->trace_id, 16, n);
    set_id(turn->span_id, 8, 2 * n + 1);
    set_id(call->span_id, 8, 2 * n + 2);
    memcpy(call->parent_span_id, turn->span_id, 8);
    turn->start_ns = BASE_NS + (int64_t)n * NS_PER_S;
    turn->duration_ns = 13 * NS_PER_MS;
    call->start_ns = turn->start_ns + NS_PER_MS;
    call->duration_ns = 7 * NS_PER_MS;
    turn->kind = KIND_TURN;
    call->kind = KIND_LLM;
    turn->status = STATUS_OK;
    call->status = n % 3 ? STATUS_OK : STATUS_ERROR;
    turn->tokens_input = call->tokens_input = 100;
    turn->tokens_output = call->tokens_output = 50;
    call->cost_usd = turn->cost_usd = 0.25;
    *span_text(turn, COL_OPERATION) = SLICE("chat.continue_thread");
    *span_text(call, COL_OPERATION) = SLICE("openai.chat.completions.create");
    *span_text(turn, COL_SERVICE) = *span_text(call, COL_SERVICE) = SLICE("ai-storefront");
    *span_text(call, COL_MODEL) = n % 2 ? SLICE("gpt-4o") : SLICE("gpt-4o-mini");
    *span_text(call, COL_PROVIDER) = SLICE("openai");
    *span_text(turn, COL_USER_ID) = arena_printf(&batch->arena, "user-%u", n % 4);
    *span_text(call, COL_PROMPT) = SLICE("[{\"role\":\"user\",\"content\":\"Which jacket\\nfits?\"}]");
    *span_text(call, COL_ATTRIBUTES) = arena_printf(&batch->arena, "{\"region\":\"r%u\"}", n % 5);
    *span_text(turn, COL_PROJECT) = *span_text(call, COL_PROJECT) = n % 2 ? SLICE("shop") : SLICE("lab");
    if (!(n % 3)) *span_text(call, COL_ERROR) = SLICE("Rate limit reached");
}

static void add_turns(struct fixture *f, unsigned from, unsigned to) {
    struct batch *batch = batch_new();
    for (unsigned n = from; n < to; n++) add_turn(batch, n);
    fixture_append(f, batch);
}

/* 300 turns: two segments and a memtable. */
static void fill(struct fixture *f) {
    add_turns(f, 0, 100);
    fixture_seal(f);
    add_turns(f, 100, 200);
    fixture_seal(f);
    add_turns(f, 200, 300);
}

static void trace_is_shown_with_its_spans_in_order(void **state) {
    struct fixture *f = *state;
    fill(f);
    for (unsigned n = 0; n < 300; n += 99) {
        char target[100], hex[33];
        uint8_t id[16];
        set_id(id, 16, n);
        hex_encode(id, 16, hex);
        hex[32] = 0;
        snprintf(target, sizeof target, "/api/v1/traces/%s", hex);
        const char *answer = fixture_get(f, target);
        assert_int_equal(count_parts(answer, "\"span_id\""), 2);
        expect_part(f, "\"operation\":\"chat.continue_thread\",\"service\":\"ai-storefront\",\"start\":\"2026-11-2");
        expect_part(f, "\"duration_ms\":13,\"status\":\"OK\",\"error\":\"Rate limit reached\"");
        expect_part(f, "\"span_count\":2,\"llm_calls\":1,\"tokens\":{\"input\":100,\"output\":50,\"total\":150},\"cost_"
                       "usd\":0.25,\"user_id\":\"user-");
        expect_part(f, "\"fallback\":true,\"spans\":[{\"depth\":0,");
        expect_part(f, "\"usage_restated\":true");
        expect_part(f, "{\"depth\":1,");
        expect_part(f, "\"prompt\":[{\"role\":\"user\",\"content\":\"Which jacket\\nfits?\"}]");
        assert_true(strstr(answer, "chat.continue") < strstr(answer, "openai.chat"));
        assert_int_equal(count_parts(answer, "\"user_id\":\"user-"), 3);
    }
    assert_int_equal(fixture_ask(f, "/api/v1/traces/00000000000000000000000000000001", NULL, NULL), VT_ENOTFOUND);
    expect_part(f, "there is no trace");
}

static void list_is_newest_first_and_pages_without_gaps(void **state) {
    struct fixture *f = *state;
    char target[300], cursor[100] = "";
    unsigned next = 299;
    fill(f);
    for (int page = 0; page < 10; page++) {
        /* Spans that come in meanwhile shift nothing. */
        if (page == 2) add_turns(f, 300, 320);
        snprintf(target, sizeof target, "/api/v1/traces?from=2026-01-01&to=2027-01-01&limit=37%s%s",
                 cursor[0] ? "&cursor=" : "", cursor);
        const char *at = fixture_get(f, target);
        const char *more = strstr(at, "\"next\":\"");
        while ((at = strstr(at, "{\"trace_id\":\""))) {
            uint8_t id[16], wanted[16];
            assert_true(hex_decode(slice_make(at + 13, 32), id, 16));
            set_id(wanted, 16, next--);
            assert_memory_equal(id, wanted, 16);
            at += 13;
        }
        if (!more) break;
        snprintf(cursor, sizeof cursor, "%.*s", (int)strcspn(more + 8, "\""), more + 8);
    }
    assert_int_equal(next, UINT32_MAX);
}

static void list_takes_filters_and_ranges(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *query;
        unsigned traces;
    } cases[] = {
        {"q=model:gpt-4o", 150},
        {"q=status:error", 100},
        {"q=model:gpt-4o%20status:error", 50},
        {"q=model:gpt*", 300},
        {"q=-model:gpt-4o%20kind:llm", 150},
        {"q=user:user-1", 75},
        {"q=attr.region:r3", 60},
        {"q=attr.region:r3+OR+user:user-1", 120},
        {"q=jacket", 300},
        {"q=%22jacket+fits%22", 0},
        {"q=fits", 300},
        {"q=trousers", 0},
        {"q=acket", 0},
        {"q=*acke*", 300},
        {"q=fallback:true", 100},
        {"q=-fallback:true+kind:turn", 200},
        {"q=tokens:150", 300},
        {"q=tokens:>150", 0},
        {"q=root:true", 300},
        {"q=has:error", 100},
        {"q=error:limit", 100},
        {"q=duration:<10ms", 300},
        {"q=cost:0.25", 300},
        {"q=cost:>0.25", 0},
        {"from=1795460010000&to=1795460020000", 10},
        {"from=1795460010001&to=1795460020001&q=kind:turn", 10},
        {"q=project:lab", 150},
        {"q=has:attr.region", 300},
        {"q=-has:region+kind:llm", 0},
        {"q=(model:gpt-4o+OR+model:gpt-4o-mini)+status:ok", 200},
    };
    fill(f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char target[400];
        snprintf(target, sizeof target, "/api/v1/traces?limit=1000&%s%s",
                 strstr(cases[i].query, "from") ? "" : "from=2026-01-01&to=2027-01-01&", cases[i].query);
        unsigned traces = count_parts(fixture_get(f, target), "{\"trace_id\"");
        if (traces != cases[i].traces) fail_msg("%s: %u traces, expected %u", cases[i].query, traces, cases[i].traces);
    }
}

static void project_sees_only_its_own(void **state) {
    struct fixture *f = *state;
    char hex[33] = "", target[100];
    uint8_t id[16];
    fill(f);
    assert_int_equal(fixture_ask(f, "/api/v1/traces?from=2026-01-01&to=2027-01-01&limit=1000", NULL, "shop"), 0);
    assert_int_equal(count_parts(f->answer.ptr, "{\"trace_id\""), 150);
    assert_int_equal(fixture_ask(f, "/api/v1/traces?from=2026-01-01&to=2027-01-01&limit=1000", NULL, "nobody"), 0);
    assert_int_equal(count_parts(f->answer.ptr, "{\"trace_id\""), 0);
    set_id(id, 16, 10);
    hex_encode(id, 16, hex);
    snprintf(target, sizeof target, "/api/v1/traces/%s", hex);
    assert_int_equal(fixture_ask(f, target, NULL, "lab"), 0);
    assert_int_equal(fixture_ask(f, target, NULL, "shop"), VT_ENOTFOUND);
}

static void bad_requests_say_what_is_wrong(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *target, *body;
        int code;
        const char *says;
    } cases[] = {
        {"/api/v1/traces?q=status:bad", NULL, VT_EINVAL, "q: column 8: expected one of"},
        {"/api/v1/traces?q=status:bad", NULL, VT_EINVAL, "\"column\":8"},
        {"/api/v1/traces?limit=0", NULL, VT_EINVAL, "limit: expected a number from 1 to 1000"},
        {"/api/v1/traces?limit=1001", NULL, VT_EINVAL, "found '1001'"},
        {"/api/v1/traces?limit=99999999999999999999", NULL, VT_EINVAL, "limit"},
        {"/api/v1/traces?limit=x", NULL, VT_EINVAL, "limit"},
        {"/api/v1/traces?from=yesterday", NULL, VT_EINVAL, "from: expected a moment, found 'yesterday'"},
        {"/api/v1/traces?from=now&to=-1h", NULL, VT_EINVAL, "before 'to'"},
        {"/api/v1/traces?cursor=%00zz", NULL, VT_EINVAL, "cursor"},
        {"/api/v1/nothing", NULL, VT_ENOTFOUND, "nothing at /api/v1/nothing"},
        {"/api/v1/traces", "{}", VT_EUNSUPPORTED, "it takes GET"},
        {"/api/v1/traces/", NULL, 0, "traces"},
        {"", NULL, VT_ENOTFOUND, "nothing at"},
        {"/api/v1/traces/a/b", NULL, VT_ENOTFOUND, "nothing at"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int code = fixture_ask(f, cases[i].target, cases[i].body, NULL);
        if (code != cases[i].code || !strstr(f->answer.ptr, cases[i].says))
            fail_msg("%s: %d %s", cases[i].target, code, f->answer.ptr);
    }
    assert_int_equal(api_status(VT_EINVAL), 400);
    assert_int_equal(api_status(VT_ETIMEOUT), 504);
}

static void deadline_and_cancel_end_a_request(void **state) {
    struct fixture *f = *state;
    int cancel = 1;
    add_turns(f, 0, 10);
    struct api_request request = {
        .method = SLICE("GET"), .path = SLICE("/api/v1/traces"), .query = SLICE("from=0"), .cancel = &cancel};
    assert_int_equal(api_call(f->engine, &request, &f->answer, &f->err), VT_ECANCELLED);
    cancel = 0;
    request.deadline_ns = 1;
    assert_int_equal(api_call(f->engine, &request, &f->answer, &f->err), VT_ETIMEOUT);
    assert_int_equal(f->answer.len, 0);
}

static void absurd_requests_meet_a_limit(void **state) {
    struct fixture *f = *state;
    size_t size = 10 << 20;
    char *target = malloc(size + 100);
    add_turns(f, 0, 10);
    size_t head = (size_t)sprintf(target, "/api/v1/traces?q=");
    memset(target + head, 'a', size);
    target[head + size] = 0;
    assert_int_equal(fixture_ask(f, target, NULL, NULL), VT_ELIMIT);
    for (size_t i = 0; i < 10000; i++) memcpy(target + head + 3 * i, "a+b", 3);
    target[head + 30000] = 0;
    for (size_t i = 0; i < 10000; i++) target[head + 3 * i + 1] = i % 2 ? '+' : 'x';
    assert_int_equal(fixture_ask(f, target, NULL, NULL), VT_ELIMIT);
    expect_part(f, "1000 terms");
    memset(target + head, '(', 60000);
    target[head + 60000] = 0;
    assert_int_equal(fixture_ask(f, target, NULL, NULL), VT_ELIMIT);
    expect_part(f, "\"column\":65");
    memset(target, ' ', size);
    assert_int_equal(fixture_ask(f, "/api/v1/query", target, NULL), VT_ELIMIT);
    expect_part(f, "the body has");
    free(target);
    fixture_get(f, "/api/v1/traces?from=2026-01-01&to=2027-01-01");
    assert_int_equal(count_parts(f->answer.ptr, "{\"trace_id\""), 10);
}

static void corrupt_segment_is_set_aside_and_the_rest_answers(void **state) {
    struct fixture *f = *state;
    char command[400];
    struct store_stats stats;
    fill(f);
    /* One byte of each 64 of the first segment, but for its footer. */
    snprintf(command, sizeof command,
             "f=$(ls %s/spans/*/*.parquet | head -1); n=$(($(stat -c %%s $f) / 64 - 100)); "
             "for i in $(seq 1 $n); do printf '\\377' | dd of=$f bs=1 seek=$((i * 64)) conv=notrunc status=none; done",
             f->dir);
    assert_int_equal(system(command), 0);
    const char *query = "{\"from\":0,\"select\":[\"count\",\"distinct(attr.region)\",\"p50(duration_ms)\",\"sum(cost_"
                        "usd)\"],\"group_by\":[\"user_id\",\"operation\"]}";
    fixture_post(f, "/api/v1/query", query);
    fixture_post(f, "/api/v1/query", "{\"from\":0,\"select\":[\"count\"]}");
    expect_part(f, ",400]]");
    store_get_stats(f->store, &stats);
    assert_int_equal(stats.segments_set_aside, 1);
    fixture_get(f, "/api/v1/traces?from=2026-01-01&to=2027-01-01&limit=1000");
    assert_int_equal(count_parts(f->answer.ptr, "{\"trace_id\""), 200);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(trace_is_shown_with_its_spans_in_order, fixture_start, fixture_stop),
        cmocka_unit_test_setup_teardown(list_is_newest_first_and_pages_without_gaps, fixture_start, fixture_stop),
        cmocka_unit_test_setup_teardown(list_takes_filters_and_ranges, fixture_start, fixture_stop),
        cmocka_unit_test_setup_teardown(project_sees_only_its_own, fixture_start, fixture_stop),
        cmocka_unit_test_setup_teardown(bad_requests_say_what_is_wrong, fixture_start, fixture_stop),
        cmocka_unit_test_setup_teardown(deadline_and_cancel_end_a_request, fixture_start, fixture_stop),
        cmocka_unit_test_setup_teardown(absurd_requests_meet_a_limit, fixture_start, fixture_stop),
        cmocka_unit_test_setup_teardown(corrupt_segment_is_set_aside_and_the_rest_answers, fixture_start, fixture_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
