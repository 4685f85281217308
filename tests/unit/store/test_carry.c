/* Traces that are under way when their memtable is sealed: they wait in memory and on disk, are seen, and are decided
 * whole; not more of them than there is room for. */
#include "parts.h"

#include <stdio.h>
#include <unistd.h>

/* What is whole stays, every other trace by chance; what is not waits. */
static double keep(void *ctx, const struct span *const *trace, uint32_t count, bool last) {
    return keep_whole(trace, count, last, 1, 0.5);
}

static void send(uint32_t first, uint32_t count, uint32_t part) {
    struct batch *batch = batch_new();
    struct error err = {0};
    for (uint32_t t = first; t < first + count; t++) {
        *span_text(add_part(batch, t, part), COL_PROMPT) = SLICE("what is carried keeps its texts");
    }
    if (store_append_wait(store, batch, &err)) fail_msg("%s", err.message);
    batch_unref(batch);
}

static double rate_of[1000];

/* How many spans of traces 0 … count-1 are seen. */
static uint32_t seen(uint32_t count, uint8_t *spans) {
    uint32_t rows = 0;
    memset(spans, 0, count);
    struct snapshot *snap = store_snapshot(store);
    for (uint32_t g = 0; g < snapshot_count(snap); g++) {
        const struct rowgroup *group = snapshot_rowgroup(snap, g);
        for (uint32_t i = 0; i < group->rows; i++) {
            struct arena arena = {0};
            struct span span;
            uint64_t id;
            assert_int_equal(rowgroup_read_span(group, i, &arena, &span, NULL), 0);
            memcpy(&id, span.trace_id, sizeof id);
            assert_in_range(id, 1, count);
            assert_true(slice_is(span_get_text(&span, COL_PROMPT), "what is carried keeps its texts"));
            spans[id - 1]++;
            rate_of[id - 1] = span.sample_rate;
            rows++;
            arena_free(&arena);
        }
    }
    snapshot_free(snap);
    return rows;
}

static bool all_wait(void) {
    return stats().carried_rows == 200;
}
static bool half_is_decided(void) {
    return stats().carried_rows == 100;
}
static bool sealed_once(void) {
    return stats().carried_rows > 0;
}
static bool nothing_waits(void) {
    return !stats().carried_rows && !stats().memtable_rows;
}

static int begin_with(void **state, uint32_t seal_rows) {
    if (start(state)) return -1;
    store_close(store);
    options = (struct store_options){.seal_after_ms = 50, .seal_rows = seal_rows, .keep = keep};
    open_store();
    return 0;
}
static int begin(void **state) {
    return begin_with(state, 0);
}
static int begin_small(void **state) {
    return begin_with(state, 40);
}

static void traces_under_way_wait_and_are_decided_whole(void **state) {
    uint8_t spans[100];
    send(0, 100, 1);
    wait_for(sealed_once);
    assert_int_equal(seen(100, spans), 100); /* nothing is gone, nothing is there twice */
    send(0, 100, 2);
    wait_for(all_wait); /* sealed again */
    assert_int_equal(seen(100, spans), 200);
    assert_int_equal(stats().segments, 0);
    send(0, 50, 0);
    wait_for(half_is_decided);
    assert_int_equal(seen(100, spans), 250);
    for (uint32_t t = 0; t < 50; t++) {
        assert_int_equal(spans[t], PARTS);
        assert_true((t + 1) % 2 ? !(rate_of[t] < 1) : rate_of[t] == 0.5);
    }
    assert_int_equal(stats().sampled_out, 0);
    assert_int_equal(stats().decided_early, 0);
}

static void a_restart_finds_what_waits(void **state) {
    uint8_t spans[60];
    send(0, 60, 1);
    wait_for(sealed_once);
    reopen();
    assert_int_equal(stats().carried_rows, 60);
    assert_int_equal(seen(60, spans), 60);
    send(0, 60, 2);
    reopen();
    send(0, 60, 0);
    wait_for(nothing_waits);
    assert_int_equal(seen(60, spans), 60 * PARTS);
    shell("! ls $D/wal/carried/*.wal 2>/dev/null");
    reopen();
    assert_int_equal(seen(60, spans), 60 * PARTS);
}

static void without_room_the_oldest_are_decided_early(void **state) {
    uint8_t spans[100];
    send(0, 100, 1); /* 40 may wait */
    wait_for(sealed_once);
    assert_int_equal(stats().carried_rows, 40);
    assert_int_equal(stats().decided_early, 60);
    assert_int_equal(stats().sampled_out, 60);
    assert_int_equal(seen(100, spans), 40);
    for (uint32_t t = 0; t < 100; t++) assert_int_equal(spans[t], t >= 60);
}

static void an_order_to_seal_leaves_none_waiting(void **state) {
    uint8_t spans[30];
    uint64_t deleted;
    send(0, 30, 1);
    wait_for(sealed_once);
    assert_int_equal(store_seal(store, NULL), 0);
    assert_int_equal(stats().carried_rows, 0);
    assert_int_equal(seen(30, spans), 0);
    /* So a deletion reaches everything, too. */
    send(0, 30, 1), send(0, 30, 2);
    wait_for(sealed_once);
    uint8_t id[TRACE_ID_SIZE] = {1};
    send(0, 30, 0);
    assert_int_equal(store_delete(store, &(struct store_delete){.trace_id = id}, &deleted, NULL), 0);
    assert_int_equal(seen(30, spans), 29 * PARTS);
    assert_int_equal(spans[0], 0);
}

static void whoever_reads_beside_the_server_sees_what_waits(void **state) {
    struct store_options beside = {.dir = dir, .read_only = true}, own = options;
    struct store *writer = store;
    uint8_t spans[20];
    send(0, 20, 1);
    wait_for(sealed_once);
    send(0, 20, 2);
    assert_int_equal(store_open(&store, &beside, NULL), 0);
    assert_int_equal(seen(20, spans), 40);
    store_close(store);
    store = writer;
    options = own;
    struct store_checked checked;
    struct error err = {0};
    assert_int_equal(store_check(dir, NULL, NULL, &checked, &err), 0);
    assert_int_equal(checked.wal_spans, 40);
}

static void a_lost_catalog_costs_nothing_that_waits(void **state) {
    uint8_t spans[50];
    send(0, 50, 1);
    wait_for(sealed_once);
    send(0, 50, 2);
    store_close(store);
    shell("rm $D/catalog.sqlite*");
    open_store();
    assert_int_equal(seen(50, spans), 100);
    reopen();
    assert_int_equal(seen(50, spans), 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(traces_under_way_wait_and_are_decided_whole, begin, stop),
        cmocka_unit_test_setup_teardown(a_restart_finds_what_waits, begin, stop),
        cmocka_unit_test_setup_teardown(without_room_the_oldest_are_decided_early, begin_small, stop),
        cmocka_unit_test_setup_teardown(an_order_to_seal_leaves_none_waiting, begin, stop),
        cmocka_unit_test_setup_teardown(whoever_reads_beside_the_server_sees_what_waits, begin, stop),
        cmocka_unit_test_setup_teardown(a_lost_catalog_costs_nothing_that_waits, begin, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
