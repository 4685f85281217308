/* Scores: kept, replaced, listed, and gone with what they speak of. */
#include "store_fixture.h"

#include "query/scores.h"
#include <math.h>
#include <sqlite3.h>

static struct scores *scores;
static struct arena arena;

static int start(void **state) {
    struct error err = {0};
    arena_init(&arena, 0);
    return fixture_start(state) || scores_open(&scores, store_catalog_path(fixture_store), false, &err);
}

static int stop(void **state) {
    scores_free(scores);
    arena_free(&arena);
    return fixture_stop(state);
}

static int64_t put(uint8_t trace, uint8_t span, const char *name, const char *user, double value) {
    struct score score = {.trace_id = {trace},
                          .span_id = {span},
                          .name = slice_of(name),
                          .user_id = slice_of(user),
                          .value = value,
                          .comment = SLICE("it's \"fine\"; DROP TABLE score"),
                          .time_ns = time_now_ns()};
    int64_t id = 0;
    assert_ok(scores_put(scores, &score, &id, &failure));
    return id;
}

static uint32_t list(struct score_query query, struct score **found) {
    uint32_t count = 0;
    assert_ok(scores_list(scores, &query, &arena, found, &count, &failure));
    return count;
}

static void the_same_name_user_and_thing_is_replaced(void **state) {
    struct score *found;
    int64_t first = put(1, 0, "helpful", "ann", 1), again = put(1, 0, "helpful", "ann", 0.25);
    assert_int_equal(first, again);
    assert_true(put(1, 0, "helpful", "bob", 1) != first);
    assert_true(put(1, 7, "helpful", "ann", 1) != first);
    assert_true(put(1, 0, "toxic", "ann", 0) != first);
    assert_int_equal(list((struct score_query){.trace_id = (uint8_t[16]){1}}, &found), 4);
    assert_int_equal(found[0].id, first);
    assert_true(found[0].value == 0.25);
    assert_true(slice_is(found[0].comment, "it's \"fine\"; DROP TABLE score"));
    assert_int_equal(found[2].span_id[0], 7);
    assert_int_equal(list((struct score_query){.name = SLICE("toxic")}, &found), 1);
    assert_int_equal(list((struct score_query){.trace_id = (uint8_t[16]){2}}, &found), 0);
}

static void a_list_is_read_page_by_page(void **state) {
    struct score *found;
    int64_t after = 0;
    uint32_t total = 0, count;
    for (int i = 0; i < 25; i++) put((uint8_t)(i + 1), 0, "helpful", "", i);
    while ((count = list((struct score_query){.after_id = after, .limit = 10}, &found))) {
        for (uint32_t i = 0; i < count; i++) assert_true(found[i].value == total + i);
        total += count;
        after = found[count - 1].id;
    }
    assert_int_equal(total, 25);
}

static void scores_of_another_project_are_not_seen(void **state) {
    struct score *found, score = {.trace_id = {9}, .name = SLICE("helpful"), .value = 1, .project = SLICE("shop")};
    int64_t id;
    assert_ok(scores_put(scores, &score, &id, &failure));
    assert_int_equal(list((struct score_query){.project = SLICE("shop")}, &found), 1);
    assert_int_equal(list((struct score_query){.project = SLICE("other")}, &found), 0);
}

static void what_has_no_meaning_is_refused_by_name(void **state) {
    struct error err = {0};
    int64_t id;
    static char large[SCORE_COMMENT_MAX + 1];
    memset(large, 'x', sizeof large);
    struct score score = {.trace_id = {1}, .value = 1};
    assert_int_equal(scores_put(scores, &score, &id, &err), VT_EINVAL);
    assert_non_null(strstr(err.message, "name"));
    score.name = SLICE("helpful");
    score.comment = slice_make(large, sizeof large);
    assert_int_equal(scores_put(scores, &score, &id, &err), VT_EINVAL);
    assert_non_null(strstr(err.message, "comment"));
    score.comment.len = 1;
    score.value = (double)NAN;
    assert_int_equal(scores_put(scores, &score, &id, &err), VT_EINVAL);
    assert_non_null(strstr(err.message, "value"));
}

static void a_directory_opened_for_reading_takes_no_scores(void **state) {
    struct error err = {0};
    struct score *found, score = {.trace_id = {1}, .name = SLICE("helpful"), .value = 1};
    int64_t id;
    put(1, 0, "helpful", "", 1);
    struct scores *writing = scores;
    assert_ok(scores_open(&scores, store_catalog_path(fixture_store), true, &failure));
    assert_int_equal(list((struct score_query){0}, &found), 1);
    assert_int_equal(scores_put(scores, &score, &id, &err), VT_EUNSUPPORTED);
    scores_free(scores);
    scores = writing;
}

static void a_directory_never_scored_reads_as_without_scores(void **state) {
    struct score *found;
    struct scores *writing = scores;
    sqlite3 *db;
    assert_int_equal(sqlite3_open(store_catalog_path(fixture_store), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "DROP TABLE score", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_ok(scores_open(&scores, store_catalog_path(fixture_store), true, &failure));
    assert_int_equal(list((struct score_query){0}, &found), 0);
    scores_free(scores);
    scores = writing;
}

static void users_and_traces_take_their_scores_with_them(void **state) {
    struct score *found;
    uint64_t deleted;
    put(1, 0, "helpful", "ann", 1), put(2, 0, "helpful", "ann", 1), put(2, 0, "helpful", "bob", 1),
        put(3, 0, "helpful", "", 1);
    struct score_forget ann = {.user_id = SLICE("ann")}, third = {.trace_id = (uint8_t[16]){3}}, nothing = {0};
    assert_ok(scores_forget(scores, &nothing, &deleted, &failure));
    assert_int_equal(deleted, 0);
    assert_ok(scores_forget(scores, &ann, &deleted, &failure));
    assert_int_equal(deleted, 2);
    assert_ok(scores_forget(scores, &third, &deleted, &failure));
    assert_int_equal(deleted, 1);
    assert_int_equal(list((struct score_query){0}, &found), 1);
    assert_true(slice_is(found[0].user_id, "bob"));
}

static void a_sweep_keeps_the_scores_of_traces_that_are_there(void **state) {
    struct score *found;
    uint64_t deleted;
    for (int round = 0; round < 2; round++) { /* once from a segment, once from memory */
        struct batch *batch = batch_new();
        for (int i = 0; i < 500; i++) {
            struct span *span = batch_add(batch);
            span->trace_id[0] = (uint8_t)(1 + 2 * round), span->trace_id[15] = (uint8_t)i,
            span->trace_id[14] = (uint8_t)(i >> 8);
            span->span_id[0] = 1, span->start_ns = time_now_ns();
        }
        fixture_append(batch);
        if (!round) fixture_seal();
    }
    put(1, 0, "helpful", "", 1), put(2, 0, "helpful", "", 2), put(3, 0, "helpful", "", 3), put(4, 0, "helpful", "", 4);
    assert_ok(scores_sweep(scores, fixture_store, &deleted, &failure));
    assert_int_equal(deleted, 2);
    assert_int_equal(list((struct score_query){0}, &found), 2);
    assert_true(found[0].value == 1 && found[1].value == 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_same_name_user_and_thing_is_replaced, start, stop),
        cmocka_unit_test_setup_teardown(a_list_is_read_page_by_page, start, stop),
        cmocka_unit_test_setup_teardown(scores_of_another_project_are_not_seen, start, stop),
        cmocka_unit_test_setup_teardown(what_has_no_meaning_is_refused_by_name, start, stop),
        cmocka_unit_test_setup_teardown(a_directory_opened_for_reading_takes_no_scores, start, stop),
        cmocka_unit_test_setup_teardown(a_directory_never_scored_reads_as_without_scores, start, stop),
        cmocka_unit_test_setup_teardown(users_and_traces_take_their_scores_with_them, start, stop),
        cmocka_unit_test_setup_teardown(a_sweep_keeps_the_scores_of_traces_that_are_there, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
