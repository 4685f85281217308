/* Numbers that row groups share for users and conversations: the same text is the same number everywhere, what does not
 * fit is read by the groups' own dictionaries, and answers are the same either way. And attributes by their index. */
#include "ask.h"

#include "query/codebook.h"
#include "query/engine.h"
#include "store/trace_list.h"

enum { TURNS = 400, USERS = 37 };
static const int64_t BASE_NS = INT64_C(1795460400000000000);

static void append_turns(struct fixture *f, unsigned first, unsigned count) {
    struct batch *batch = batch_new();
    for (unsigned n = first; n < first + count; n++) {
        struct span *span = batch_add(batch);
        uint64_t id = n + 1;
        memcpy(span->trace_id, &id, sizeof id);
        memcpy(span->span_id, &id, sizeof id);
        span->start_ns = BASE_NS + (int64_t)n * NS_PER_S;
        span->duration_ns = NS_PER_MS;
        span->kind = KIND_LLM;
        span->status = n % 7 ? STATUS_OK : STATUS_ERROR;
        span->cost_usd = n % 3 ? 0.25 : (double)NAN;
        if (n % USERS) *span_text(span, COL_USER_ID) = arena_printf(&batch->arena, "user-%u", n % USERS);
        *span_text(span, COL_THREAD_ID) = arena_printf(&batch->arena, "thread-%u", n / 2);
        *span_text(span, COL_ATTRIBUTES) =
            n % 5 ? arena_printf(&batch->arena,
                                 "{\"tier\":\"t%u\",\"size\":%u,\"a key of more than thirty-two letters\":%u}", n % 4,
                                 n % 6, n % 2)
                  : SLICE("{\"tier\":null}");
        *span_text(span, COL_RESOURCE) = n % 2 ? SLICE("{\"tier\":\"whole\"}") : SLICE("{}");
    }
    fixture_append(f, batch);
}

static const char *const questions[] = {
    "{\"from\":\"2026-11-01\",\"to\":\"2026-12-01\",\"select\":[\"sum(cost_usd)\",\"count\",\"errors\"],\"group_by\":["
    "\"user_id\"]}",
    "{\"from\":\"2026-11-01\",\"to\":\"2026-12-01\",\"select\":[\"count\"],\"group_by\":[\"thread_id\",\"user_id\"],"
    "\"interval\":\"1m\"}",
    "{\"from\":\"2026-11-01\",\"to\":\"2026-12-01\",\"select\":[\"distinct(user_id)\",\"distinct(thread_id)\"],"
    "\"interval\":\"1m\"}",
    "{\"from\":\"2026-11-01\",\"to\":\"2026-12-01\",\"select\":[\"count\",\"sum(attr.size)\"],\"group_by\":[\"tier\"]}",
    "{\"from\":\"2026-11-01\",\"to\":\"2026-12-01\",\"where\":\"attr.tier:whole OR attr.size:>3\",\"select\":["
    "\"count\",\"p50(attr.size)\"]}",
    "{\"from\":\"2026-11-01\",\"to\":\"2026-12-01\",\"where\":\"attr.\\\"a key of more than thirty-two letters\\\":1\","
    "\"select\":[\"count\"]}",
    "{\"from\":\"2026-11-01\",\"to\":\"2026-12-01\",\"where\":\"-has:attr.tier -has:attr.nowhere\",\"select\":["
    "\"count\"]}"};
enum { QUESTIONS = sizeof questions / sizeof *questions };

static void ask_all(struct fixture *f, struct buf *out) {
    buf_clear(out);
    for (int i = 0; i < QUESTIONS; i++) {
        const char *answer = fixture_post(f, "/api/v1/query", questions[i]);
        buf_put(out, answer, (size_t)(strstr(answer, "\"scanned\"") - answer));
    }
}

static void expect_same(const struct buf *wanted, const struct buf *got) {
    if (wanted->len != got->len || memcmp(wanted->ptr, got->ptr, got->len) != 0)
        fail_msg("wanted %.*s\n   got %.*s", (int)wanted->len, wanted->ptr, (int)got->len, got->ptr);
}

static void answers_are_those_of_memory(void **state) {
    struct fixture *f = *state;
    struct buf wanted = {0}, got = {0};
    append_turns(f, 0, TURNS);
    ask_all(f, &wanted);     /* memory has neither numbers nor an index */
    expect_part(f, ",40]]"); /* those with neither */
    fixture_seal(f);
    for (int again = 0; again < 2; again++) {
        ask_all(f, &got);
        expect_same(&wanted, &got);
    }
    buf_free(&wanted);
    buf_free(&got);
}

/* Users that a book numbers are met beside those of memory, which has only texts: one before the other, and again. */
static void numbers_and_texts_are_one_user(void **state) {
    struct fixture *f = *state;
    struct buf wanted = {0}, got = {0};
    for (unsigned n = 0; n < TURNS; n += TURNS / 4) append_turns(f, n, TURNS / 4);
    ask_all(f, &wanted);
    fixture_stop(state);
    fixture_start(state);
    f = *state;
    for (unsigned n = 0; n < TURNS; n += TURNS / 4) {
        append_turns(f, n, TURNS / 4);
        if (n < TURNS / 2) fixture_seal(f);
    }
    for (int again = 0; again < 2; again++) {
        ask_all(f, &got);
        expect_same(&wanted, &got);
    }
    buf_free(&wanted);
    buf_free(&got);
}

static void several_texts_of_one_column_are_found_at_once(void **state) {
    static const struct {
        const char *where, *points;
    } cases[] = {{"user:user-1 OR user:user-2", ",22]]"},
                 {"-(user:user-1 OR user:user-2)", ",378]]"},
                 {"user:user-1 OR user:\\\"\\\"", ",22]]"},
                 {"user:user-1 OR user:user-3? OR user:nobody", ",11]]"},
                 {"user:user-1 OR user:user-3* OR user:nobody", ",92]]"},
                 {"user:nobody OR user:neither", ",0]]"},
                 {"user:user-1 OR thread:thread-0", ",12]]"}};
    struct fixture *f = *state;
    append_turns(f, 0, TURNS / 2);
    fixture_seal(f);
    append_turns(f, TURNS / 2, TURNS / 2);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[300];
        snprintf(body, sizeof body,
                 "{\"from\":\"2026-11-01\",\"to\":\"2026-12-01\",\"where\":\"%s\",\"select\":[\"count\"]}",
                 cases[i].where);
        fixture_post(f, "/api/v1/query", body);
        expect_part(f, cases[i].points);
    }
}

static void full_book_changes_no_answer(void **state) {
    struct fixture *f = *state;
    struct buf wanted = {0}, got = {0};
    for (unsigned n = 0; n < TURNS; n += TURNS / 4) append_turns(f, n, TURNS / 4), fixture_seal(f);
    ask_all(f, &wanted);
    codebooks_free(f->engine->books);
    f->engine->books = codebooks_new(1);
    ask_all(f, &got);
    expect_same(&wanted, &got);
    buf_free(&wanted);
    buf_free(&got);
}

static void deleted_user_is_gone_and_numbers_stay_right(void **state) {
    struct fixture *f = *state;
    struct store_delete what = {.user_id = SLICE("user-5")};
    uint64_t deleted = 0;
    for (unsigned n = 0; n < TURNS; n += TURNS / 4) append_turns(f, n, TURNS / 4), fixture_seal(f);
    fixture_post(f, "/api/v1/query", questions[0]);
    expect_part(f, "\"user-5\"");
    if (store_delete(f->store, &what, &deleted, &f->err)) fail_msg("%s", f->err.message);
    assert_true(deleted > 0);
    for (int again = 0; again < 2; again++) {
        fixture_post(f, "/api/v1/query", questions[0]);
        expect_no_part(f, "\"user-5\"");
        assert_int_equal(count_parts(f->answer.ptr, "\"user-"), USERS - 2);
    }
}

static void numbers_are_shared_and_bounded(void **state) {
    struct fixture *f = *state;
    for (unsigned n = 0; n < TURNS; n += TURNS / 2) append_turns(f, n, TURNS / 2), fixture_seal(f);
    struct snapshot *snapshot = store_snapshot(f->store);
    struct codebooks *books = codebooks_new(CODEBOOK_BYTES_MAX), *tiny = codebooks_new(1);
    struct codebook *book = codebook_take(books, codebook_of(COL_USER_ID)), *small = codebook_take(tiny, 0);
    assert_int_equal(snapshot_count(snapshot), 2);
    for (uint32_t g = 0; g < 2; g++) {
        struct arena arena = {0};
        struct trace_list list;
        uint32_t count, dict_count;
        const struct slice *dict;
        const struct rowgroup *group = snapshot_rowgroup(snapshot, g);
        assert_int_equal(rowgroup_trace_list(group, &arena, &list, NULL), 0);
        struct group_index *index = group_index_new(&list);
        const uint32_t *numbers = codebook_numbers(book, index, group, COL_USER_ID, &count);
        assert_int_equal(rowgroup_read_dictionary(group, COL_USER_ID, &arena, &dict, &dict_count, NULL), 0);
        assert_int_equal(count, dict_count);
        for (uint32_t i = 0; i < count; i++) assert_true(slice_eq(codebook_text(book, numbers[i]), dict[i]));
        assert_ptr_equal(codebook_numbers(book, index, group, COL_USER_ID, &count), numbers);
        size_t held = codebook_bytes(book);
        assert_null(codebook_numbers(small, index, group, COL_USER_ID, &count));
        group_index_unref(index);
        assert_true(codebook_bytes(book) < held); /* what a group remembers goes with it */
        arena_free(&arena);
    }
    assert_int_equal(codebook_count(book), USERS); /* one of them is "not known" */
    codebook_release(book);
    codebook_release(small);
    codebooks_free(books);
    codebooks_free(tiny);
    snapshot_free(snapshot);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_are_those_of_memory, fixture_start, fixture_stop),
        cmocka_unit_test_setup_teardown(numbers_and_texts_are_one_user, fixture_start, fixture_stop),
        cmocka_unit_test_setup_teardown(several_texts_of_one_column_are_found_at_once, fixture_start, fixture_stop),
        cmocka_unit_test_setup_teardown(full_book_changes_no_answer, fixture_start, fixture_stop),
        cmocka_unit_test_setup_teardown(deleted_user_is_gone_and_numbers_stay_right, fixture_start, fixture_stop),
        cmocka_unit_test_setup_teardown(numbers_are_shared_and_bounded, fixture_start, fixture_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
