/* Costs of stored spans computed anew: which change, which stay, and that nothing else of a span does. */
#include "kit.h"

#include "store/reprice.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SPANS = 300 };

static struct prices *prices;

static void load(const char *yaml) {
    char path[80];
    struct error err = {0};
    snprintf(path, sizeof path, "%s.yaml", dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(yaml, file);
    fclose(file);
    prices_free(prices);
    if (prices_load(&prices, path, &err)) fail_msg("%s", err.message);
    unlink(path);
}

static int begin(void **state) {
    if (start(state)) return -1;
    load("[{model: 'dear', input: 100, output: 200}, {model: 'CHEAP-*', input: 1, output: 2}]");
    return 0;
}

static int end(void **state) {
    prices_free(prices);
    prices = NULL;
    return stop(state);
}

/* Span n costs 1 dollar a million tokens by the prices of long ago; every tenth was reported by its sender. */
static void make(struct span *span, uint32_t n) {
    static const char *const models[] = {"dear", "cheap-1", "of no price"};
    uint64_t id = n + 1;
    memcpy(span->trace_id, &id, 8);
    memcpy(span->span_id, &id, 8);
    span->start_ns = INT64_C(1795460000000000000) + (int64_t)n * NS_PER_S;
    span->duration_ns = 1;
    span->kind = KIND_LLM;
    span->tokens_input = 1000;
    span->tokens_output = n;
    span->cost_usd = 0.001;
    if (n % 10 == 0) span->flags |= SPAN_COST_REPORTED;
    *span_text(span, COL_MODEL) = slice_of(models[n % 3]);
    *span_text(span, COL_PROMPT) = SLICE("what was asked");
    *span_text(span, COL_PROJECT) = n % 2 ? SLICE("odd") : SLICE("even");
}

static void append_made(uint32_t first, uint32_t count) {
    struct batch *batch = batch_new();
    struct error err = {0};
    for (uint32_t n = first; n < first + count; n++) make(batch_add(batch), n);
    if (store_append_wait(store, batch, &err)) fail_msg("%s", err.message);
    batch_unref(batch);
}

/* The old cost, or the new one where `anew` says so; everything else as it was made. */
static void expect_costs(bool (*anew)(uint32_t n)) {
    struct snapshot *snap = store_snapshot(store);
    uint32_t seen = 0;
    for (uint32_t g = 0; g < snapshot_count(snap); g++) {
        const struct rowgroup *group = snapshot_rowgroup(snap, g);
        for (uint32_t i = 0; i < group->rows; i++) {
            struct arena arena = {0};
            struct error err = {0};
            struct span got, made;
            uint64_t id;
            if (rowgroup_read_span(group, i, &arena, &got, &err)) fail_msg("%s", err.message);
            memcpy(&id, got.span_id, sizeof id);
            uint32_t n = (uint32_t)id - 1;
            span_init(&made);
            make(&made, n);
            double cost = made.cost_usd;
            if (anew(n) && n % 10)
                cost = n % 3 == 0   ? (1000 * 100.0 + n * 200.0) / 1e6
                       : n % 3 == 1 ? (1000 * 1.0 + n * 2.0) / 1e6
                                    : (double)NAN;
            if (isnan(cost) ? !isnan(got.cost_usd) : fabs(got.cost_usd - cost) > 1e-12)
                fail_msg("span %u costs %g, expected %g", n, got.cost_usd, cost);
            got.cost_usd = made.cost_usd;
            assert_memory_equal(&got, &made, offsetof(struct span, temperature));
            assert_int_equal(got.flags, made.flags);
            for (int c = COL_TEXT_FIRST; c < COL_COUNT; c++)
                assert_true(slice_eq(span_get_text(&got, (enum col)c), span_get_text(&made, (enum col)c)));
            arena_free(&arena);
            seen++;
        }
    }
    snapshot_free(snap);
    assert_int_equal(seen, SPANS);
}

static bool none(uint32_t n) {
    return false;
}
static bool all(uint32_t n) {
    return true;
}

static struct repriced reprice(struct reprice what) {
    struct repriced out;
    struct error err = {0};
    what.prices = prices;
    if (store_reprice(store, &what, &out, &err)) fail_msg("%s", err.message);
    return out;
}

static void costs_become_those_of_the_present_prices_but_what_was_reported_stays(void **state) {
    append_made(0, 200);
    store_seal(store, NULL);
    append_made(200, 100); /* in memory still */
    struct repriced done = reprice((struct reprice){0});
    assert_int_equal(done.total.spans, 270);
    assert_int_equal(done.total.reported, 30);
    assert_int_equal(done.total.unpriced, 90);
    assert_int_equal(done.segments, 2);
    assert_true(fabs(done.total.old_usd - 0.270) < 1e-9);
    assert_int_equal(done.model_count, 3);
    assert_string_equal(done.models[0].model.ptr, "dear");
    assert_int_equal(done.models[0].sum.spans, 90);
    assert_true(fabs(done.models[0].sum.old_usd - 0.090) < 1e-9);
    assert_true(done.models[0].sum.new_usd > 9);
    reprice_free(&done);
    expect_costs(all);
    reopen();
    expect_costs(all);
    /* And once more there is nothing to do. */
    done = reprice((struct reprice){0});
    assert_int_equal(done.total.changed, 0);
    assert_int_equal(done.segments, 0);
    reprice_free(&done);
}

static void dry_run_tells_the_same_and_changes_nothing(void **state) {
    append_made(0, 200);
    store_seal(store, NULL);
    append_made(200, 100);
    struct repriced told = reprice((struct reprice){.dry_run = true});
    expect_costs(none);
    assert_true(stats().memtable_rows == 100); /* not even sealed */
    struct repriced done = reprice((struct reprice){0});
    assert_int_equal(told.segments, 0);
    told.segments = done.segments;
    assert_memory_equal(&told.total, &done.total, offsetof(struct reprice_sum, old_usd));
    assert_true(fabs(told.total.old_usd - done.total.old_usd) < 1e-9);
    assert_true(fabs(told.total.new_usd - done.total.new_usd) < 1e-9);
    reprice_free(&told);
    reprice_free(&done);
}

static bool from_50_to_100(uint32_t n) {
    return n >= 50 && n < 100;
}
static bool is_cheap(uint32_t n) {
    return n % 3 == 1;
}
static bool is_odd(uint32_t n) {
    return n % 2;
}

static void time_model_and_project_say_which_spans_are_meant(void **state) {
    append_made(0, SPANS);
    int64_t start_ns = INT64_C(1795460000000000000);
    struct repriced done = reprice(
        (struct reprice){.from_ns = start_ns + INT64_C(50) * NS_PER_S, .to_ns = start_ns + INT64_C(100) * NS_PER_S});
    assert_int_equal(done.total.spans, 45);
    reprice_free(&done);
    expect_costs(from_50_to_100);
}

static void a_pattern_says_which_models_are_meant(void **state) {
    append_made(0, SPANS);
    struct repriced done = reprice((struct reprice){.model = "Cheap*"});
    assert_int_equal(done.total.spans, 90);
    assert_int_equal(done.model_count, 1);
    reprice_free(&done);
    expect_costs(is_cheap);
}

static void a_project_keeps_to_itself(void **state) {
    append_made(0, SPANS);
    struct repriced done = reprice((struct reprice){.project = SLICE("odd")});
    assert_int_equal(done.total.spans, 150);
    reprice_free(&done);
    expect_costs(is_odd);
}

static void cost_without_tokens_and_without_model_stays(void **state) {
    struct batch *batch = batch_new();
    struct error err = {0};
    for (uint32_t n = 0; n < 2; n++) {
        struct span *span = batch_add(batch);
        make(span, n + 1);
        if (n)
            span->tokens_input = span->tokens_output = SPAN_NO_INT;
        else
            *span_text(span, COL_MODEL) = (struct slice){NULL, 0};
    }
    if (store_append_wait(store, batch, &err)) fail_msg("%s", err.message);
    batch_unref(batch);
    struct repriced done = reprice((struct reprice){0});
    assert_int_equal(done.total.spans, 0);
    assert_int_equal(done.segments, 0);
    reprice_free(&done);
}

static bool stop_after_one(void *ctx, uint64_t bytes, uint64_t total, uint64_t spans) {
    assert_true(bytes <= total);
    return ++*(int *)ctx < 1;
}

static void who_asks_may_stop_it_and_finds_whole_segments(void **state) {
    int calls = 0;
    struct repriced done;
    struct error err = {0};
    append_made(0, 150);
    store_seal(store, NULL);
    append_made(150, 150);
    const struct reprice what = {.prices = prices, .progress = stop_after_one, .ctx = &calls};
    assert_int_equal(store_reprice(store, &what, &done, &err), VT_ECANCELLED);
    assert_int_equal(calls, 1);
    assert_int_equal(done.segments, 1);
    reprice_free(&done);
    done = reprice((struct reprice){0}); /* the same again does the rest */
    assert_int_equal(done.segments, 1);
    reprice_free(&done);
    expect_costs(all);
}

static void a_store_for_reading_only_is_looked_at(void **state) {
    append_made(0, SPANS);
    store_close(store);
    options.read_only = true;
    open_store();
    struct repriced done = reprice((struct reprice){.dry_run = true});
    assert_int_equal(done.total.spans, 270);
    reprice_free(&done);
    struct error err = {0};
    assert_int_equal(store_reprice(store, &(struct reprice){.prices = prices}, &done, &err), VT_EINVAL);
    reprice_free(&done);
}

static void a_snapshot_keeps_the_costs_that_it_found(void **state) {
    append_made(0, SPANS);
    store_seal(store, NULL);
    struct snapshot *snap = store_snapshot(store);
    struct repriced done = reprice((struct reprice){0});
    struct arena arena = {0};
    struct vec costs;
    assert_int_equal(rowgroup_read(snapshot_rowgroup(snap, 0), COL_COST_USD, &arena, &costs, NULL), 0);
    for (uint32_t i = 0; i < costs.count; i++) assert_true(costs.doubles[i] == 0.001);
    arena_free(&arena);
    snapshot_free(snap);
    reprice_free(&done);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(costs_become_those_of_the_present_prices_but_what_was_reported_stays),
        TEST(dry_run_tells_the_same_and_changes_nothing),
        TEST(time_model_and_project_say_which_spans_are_meant),
        TEST(a_pattern_says_which_models_are_meant),
        TEST(a_project_keeps_to_itself),
        TEST(cost_without_tokens_and_without_model_stays),
        TEST(who_asks_may_stop_it_and_finds_whole_segments),
        TEST(a_store_for_reading_only_is_looked_at),
        TEST(a_snapshot_keeps_the_costs_that_it_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
