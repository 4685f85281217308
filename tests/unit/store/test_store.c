/* The store: what is acknowledged is found again, once, with every field, from memory, WAL and segments. */
#include "kit.h"

#include <stdio.h>
#include <stdlib.h>

static void spans_are_found_in_memory_wal_and_segments(void **state) {
    for (uint32_t n = 0; n < 3000; n += 100) append(n, 100);
    expect(3000, 37);
    store_close(store);
    open_store();
    expect(3000, 37);
    assert_int_equal(store_seal(store, NULL), 0);
    expect(3000, 37);
    append(3000, 500);
    store_close(store);
    open_store();
    expect(3500, 41);
}

static void columns_of_a_segment_equal_those_of_memory(void **state) {
    append(0, 5000);
    store_seal(store, NULL);
    struct snapshot *snap = store_snapshot(store);
    assert_int_equal(snapshot_count(snap), 1);
    const struct rowgroup *group = snapshot_rowgroup(snap, 0);
    assert_true(group->segment != 0 && group->sorted_by_trace);
    struct arena arena = {0};
    uint32_t rows[] = {0, 1, 2500, 4998, 4999};
    struct slice prompts[5];
    struct vec all;
    struct error err = {0};
    assert_int_equal(rowgroup_read(group, COL_PROMPT, &arena, &all, &err), 0);
    assert_int_equal(rowgroup_read_rows(group, COL_PROMPT, rows, 5, &arena, prompts, &err), 0);
    for (int i = 0; i < 5; i++) assert_true(slice_eq(prompts[i], all.text[rows[i]]));
    uint8_t unknown[TRACE_ID_SIZE];
    uint32_t hits = 0;
    for (int i = 0; i < 1000; i++) id_random(unknown, sizeof unknown), hits += rowgroup_may_have_trace(group, unknown);
    assert_true(hits < 60);
    assert_true(rowgroup_may_have_word(group, SLICE("prompt")));
    assert_false(rowgroup_may_have_word(group, SLICE("zebra")) && rowgroup_may_have_word(group, SLICE("giraffe")));
    assert_false(rowgroup_may_have_value(group, COL_MODEL, SLICE("no such model")));
    arena_free(&arena);
    snapshot_free(snap);
}

static void torn_tail_is_cut_and_the_rest_kept(void **state) {
    append(0, 10);
    append(10, 10);
    store_close(store);
    char command[256];
    snprintf(command, sizeof command, "f=$(ls %s/wal/*.wal); truncate -s -7 $f", dir);
    assert_int_equal(system(command), 0);
    open_store();
    expect(10, 1);
    store_close(store);
    open_store();
    expect(10, 1);
}

static void span_sent_twice_is_kept_once(void **state) {
    append(0, 100);
    append(0, 100);
    store_seal(store, NULL);
    expect(100, 7);
}

static void snapshot_stays_as_it_was(void **state) {
    append(0, 100);
    struct snapshot *snap = store_snapshot(store);
    append(100, 100);
    store_seal(store, NULL);
    append(200, 100);
    assert_int_equal(snapshot_count(snap), 1);
    assert_int_equal(snapshot_rowgroup(snap, 0)->rows, 100);
    snapshot_free(snap);
    expect(300, 1);
}

static void second_process_is_kept_out(void **state) {
    struct store *second;
    struct error err = {0};
    assert_true(store_open(&second, &(struct store_options){.dir = dir}, &err) < 0);
    assert_non_null(strstr(err.message, "in use"));
    append(0, 10);
    assert_int_equal(store_open(&second, &(struct store_options){.dir = dir, .read_only = true}, &err), 0);
    struct store_stats stats;
    store_get_stats(second, &stats);
    assert_int_equal(stats.spans_total, 10);
    store_close(second);
}

static void broken_segment_is_set_aside_and_the_rest_answers(void **state) {
    append(0, 100);
    store_seal(store, NULL);
    append(100, 100);
    store_seal(store, NULL);
    store_close(store);
    char command[256];
    snprintf(command, sizeof command, "f=$(ls %s/spans/*/*.parquet | head -1); truncate -s -3 $f", dir);
    assert_int_equal(system(command), 0);
    open_store();
    struct store_stats stats;
    store_get_stats(store, &stats);
    assert_int_equal(stats.spans_total, 100);
    assert_int_equal(stats.segments_set_aside, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(spans_are_found_in_memory_wal_and_segments, start, stop),
        cmocka_unit_test_setup_teardown(columns_of_a_segment_equal_those_of_memory, start, stop),
        cmocka_unit_test_setup_teardown(torn_tail_is_cut_and_the_rest_kept, start, stop),
        cmocka_unit_test_setup_teardown(span_sent_twice_is_kept_once, start, stop),
        cmocka_unit_test_setup_teardown(snapshot_stays_as_it_was, start, stop),
        cmocka_unit_test_setup_teardown(second_process_is_kept_out, start, stop),
        cmocka_unit_test_setup_teardown(broken_segment_is_set_aside_and_the_rest_answers, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
