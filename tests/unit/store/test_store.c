/* The store: what is acknowledged is found again, once, with every field, from memory, WAL and segments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/timestamp.h"
#include "store/scan.h"
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[64];
static struct store *store;

static void open_store(void) {
    struct store_options options = {.dir = dir, .seal_after_ms = 600000};
    struct error err = {0};
    if (store_open(&store, &options, &err)) fail_msg("%s", err.message);
}

static int start(void **state) {
    snprintf(dir, sizeof dir, "/tmp/vitrine-store-XXXXXX");
    if (!mkdtemp(dir)) return -1;
    open_store();
    return 0;
}

static int stop(void **state) {
    char command[128];
    store_close(store);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

/* Span n, with fields that depend on n alone; every third of a field is not known. */
static void fill(struct span *span, uint32_t n, struct arena *arena) {
    unsigned seed = n * 2654435761u + 1;
    uint64_t trace = n / 3 + 1, id = n + 1;
    memcpy(span->trace_id, &trace, 8);
    memcpy(span->span_id, &id, 8);
    if (n % 3) memcpy(span->parent_span_id, &(uint64_t){n - n % 3 + 1}, 8);
    span->start_ns = INT64_C(1795460000000000000) + (int64_t)n * 1000003;
    span->duration_ns = rand_r(&seed) % 1000000000;
    for (int c = COL_TTFT_NS; c <= COL_TOKENS_REASONING; c++)
        if (rand_r(&seed) % 3) *(int64_t *)(void *)((char *)span + span_columns[c].offset) = rand_r(&seed) % 5000;
    if (rand_r(&seed) % 3) span->cost_usd = rand_r(&seed) / 1e9;
    if (rand_r(&seed) % 3) span->temperature = 0.7;
    span->kind = rand_r(&seed) % KIND_COUNT;
    span->status = rand_r(&seed) % STATUS_COUNT;
    for (int c = COL_TEXT_FIRST; c < COL_COUNT; c++)
        if (rand_r(&seed) % 3) *span_text(span, (enum col)c) = arena_printf(arena, "%s %d %*s", span_columns[c].name, rand_r(&seed) % (c < COL_USER_ID ? 5 : 100000), rand_r(&seed) % 300, "x");
}

static struct batch *batch_of(uint32_t first, uint32_t count) {
    struct batch *batch = batch_new();
    for (uint32_t n = first; n < first + count; n++) fill(batch_add(batch), n, &batch->arena);
    return batch;
}

static void append(uint32_t first, uint32_t count) {
    struct batch *batch = batch_of(first, count);
    struct error err = {0};
    if (store_append_wait(store, batch, &err)) fail_msg("%s", err.message);
    batch_unref(batch);
}

static void compare(const struct span *a, const struct span *b) {
    assert_memory_equal(a, b, offsetof(struct span, ttft_ns));
    for (int c = COL_TTFT_NS; c < COL_TEXT_FIRST; c++) {
        if (span_columns[c].type == COL_INT) assert_int_equal(span_get_int(a, (enum col)c), span_get_int(b, (enum col)c));
        else assert_true(isnan(span_get_double(a, (enum col)c)) ? isnan(span_get_double(b, (enum col)c)) : span_get_double(a, (enum col)c) == span_get_double(b, (enum col)c));
    }
    for (int c = COL_TEXT_FIRST; c < COL_COUNT; c++)
        if (!slice_eq(span_get_text(a, (enum col)c), span_get_text(b, (enum col)c)))
            fail_msg("%s: %.*s, expected %.*s", span_columns[c].name, (int)span_get_text(b, (enum col)c).len, span_get_text(b, (enum col)c).ptr,
                     (int)span_get_text(a, (enum col)c).len, span_get_text(a, (enum col)c).ptr);
}

/* All of 0 … count-1 are there exactly once; every `step`th is compared field by field. */
static void expect(uint32_t count, uint32_t step) {
    struct snapshot *snap = store_snapshot(store);
    uint8_t *seen = calloc(count + 1, 1);
    uint32_t total = 0;
    for (uint32_t g = 0; g < snapshot_count(snap); g++) {
        const struct rowgroup *group = snapshot_rowgroup(snap, g);
        struct arena arena = {0};
        struct vec ids, starts;
        struct error err = {0};
        if (rowgroup_read(group, COL_SPAN_ID, &arena, &ids, &err) || rowgroup_read(group, COL_START_NS, &arena, &starts, &err)) fail_msg("%s", err.message);
        for (uint32_t i = 0; i < group->rows; i++) {
            uint64_t id;
            memcpy(&id, ids.bytes + (size_t)i * 8, 8);
            assert_true(id >= 1 && id <= count);
            if (seen[id - 1]++) fail_msg("span %llu is there twice", (unsigned long long)id);
            assert_true(starts.ints[i] >= group->min_start_ns && starts.ints[i] <= group->max_start_ns);
            total++;
            if ((id - 1) % step) continue;
            struct arena own = {0};
            struct span wanted, got;
            span_init(&wanted);
            fill(&wanted, (uint32_t)id - 1, &own);
            if (rowgroup_read_span(group, i, &own, &got, &err)) fail_msg("%s", err.message);
            compare(&wanted, &got);
            assert_true(rowgroup_may_have_trace(group, got.trace_id));
            arena_free(&own);
        }
        arena_free(&arena);
    }
    assert_int_equal(total, count);
    free(seen);
    snapshot_free(snap);
}

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
