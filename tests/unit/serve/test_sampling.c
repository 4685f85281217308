/* Tail sampling: rules, chance and weights, through the store as the server uses it. */
#include "base/timestamp.h"
#include "serve/sampling.h"
#include "store/scan.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { TRACES = 6000, SPANS = 3 }; /* a root and two calls each; every 50th has an error in its last */

static const int64_t BEGIN_NS = INT64_C(1795460000000000000);
static char dir[64];
static struct store *store;
static struct sampling *sampling;

static void load(const char *spec) {
    struct error err = {0};
    sampling_free(sampling);
    if (sampling_load(&sampling, spec, "/nonexistent/catalog.sqlite", &err)) fail_msg("%s", err.message);
}

static void open_store(void) {
    struct error err = {0};
    struct store_options options = {.dir = dir, .seal_after_ms = 600000, .keep = sampling_keep, .keep_ctx = sampling};
    if (store_open(&store, &options, &err)) fail_msg("%s", err.message);
}

static int start(void **state) {
    snprintf(dir, sizeof dir, "/tmp/vt-sampling-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int stop(void **state) {
    char command[128];
    store_close(store);
    sampling_free(sampling);
    store = NULL;
    sampling = NULL;
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static void fill(struct span *span, uint32_t trace, uint32_t i) {
    uint64_t id = trace + 1, own = (uint64_t)trace * SPANS + i + 1, root = (uint64_t)trace * SPANS + 1;
    span_init(span);
    memcpy(span->trace_id, &id, sizeof id);
    memcpy(span->span_id, &own, sizeof own);
    if (i) memcpy(span->parent_span_id, &root, sizeof root);
    span->start_ns = BEGIN_NS + (int64_t)trace * NS_PER_MS + i;
    span->duration_ns = (int64_t)(trace * 7919 % 1000 + 1) * NS_PER_MS;
    span->cost_usd = 0.001 * (trace % 10 + 1);
    span->kind = i ? KIND_LLM : KIND_TURN;
    span->status = trace % 50 == 0 && i == SPANS - 1 ? STATUS_ERROR : STATUS_OK;
    *span_text(span, COL_SERVICE) = trace % 2 ? SLICE("odd") : SLICE("even");
}

static void append(uint32_t from, uint32_t to, uint32_t first_span, uint32_t last_span) {
    struct batch *batch = batch_new();
    struct error err = {0};
    for (uint32_t t = from; t < to; t++)
        for (uint32_t i = first_span; i <= last_span; i++) fill(batch_add(batch), t, i);
    if (store_append_wait(store, batch, &err)) fail_msg("%s", err.message);
    batch_unref(batch);
}

static void seal(void) {
    struct error err = {0};
    if (store_seal(store, &err)) fail_msg("%s", err.message);
}

struct found {
    uint8_t spans[TRACES];
    uint32_t rows;
    double count, cost, slow; /* by weights; slow: those that last more than 950 ms, as the p95 of all has it */
};

static struct found look(void) {
    struct found f = {0};
    struct snapshot *snap = store_snapshot(store);
    for (uint32_t g = 0; g < snapshot_count(snap); g++) {
        const struct rowgroup *group = snapshot_rowgroup(snap, g);
        for (uint32_t i = 0; i < group->rows; i++) {
            struct arena arena = {0};
            struct span span;
            struct error err = {0};
            uint64_t id;
            if (rowgroup_read_span(group, i, &arena, &span, &err)) fail_msg("%s", err.message);
            memcpy(&id, span.trace_id, sizeof id);
            double weight = isnan(span.sample_rate) ? 1 : 1 / span.sample_rate;
            f.spans[id - 1]++;
            f.rows++;
            f.count += weight;
            f.cost += weight * span.cost_usd;
            if (span.duration_ns > 950 * NS_PER_MS) f.slow += weight;
            arena_free(&arena);
        }
    }
    snapshot_free(snap);
    return f;
}

static uint64_t sampled_out(void) {
    struct store_stats stats;
    store_get_stats(store, &stats);
    return stats.sampled_out;
}

static void assert_near(double value, double expected, double part) {
    if (fabs(value - expected) > part * expected) fail_msg("%g is not within %g of %g", value, part, expected);
}

static void whole_traces_stay_or_go_and_weights_keep_the_sums(void **state) {
    load("keep=status:error; rate=20%");
    open_store();
    append(0, TRACES, 0, SPANS - 1);
    assert_int_equal(look().rows, TRACES * SPANS); /* until it is sealed everything is there */
    seal();
    struct found f = look();
    for (uint32_t t = 0; t < TRACES; t++) {
        assert_true(f.spans[t] == 0 || f.spans[t] == SPANS);
        if (t % 50 == 0) assert_int_equal(f.spans[t], SPANS);
    }
    assert_int_equal(f.rows + sampled_out(), TRACES * SPANS);
    assert_near(f.rows, TRACES * SPANS * (0.02 + 0.98 * 0.2), 0.1);
    /* Some 1,200 traces stand for 5,880: a standard deviation is 2.6 % of the count, 13 % of its slowest twentieth. */
    assert_near(f.count, TRACES * SPANS, 0.1);
    assert_near(f.cost, TRACES * SPANS * 0.0055, 0.1);
    assert_near(f.slow, TRACES * SPANS * 0.05, 0.4);
}

static void late_spans_share_the_fate_of_their_trace_over_restarts(void **state) {
    load("rate=30%");
    open_store();
    append(0, 500, 0, 0);
    seal();
    store_close(store);
    load("rate=30%"); /* a new process remembers nothing */
    open_store();
    append(0, 500, 1, SPANS - 1);
    seal();
    struct found f = look();
    for (uint32_t t = 0; t < 500; t++) assert_true(f.spans[t] == 0 || f.spans[t] == SPANS);
    assert_in_range(f.rows, 300, 600);
}

static void what_comes_late_of_a_trace_that_a_rule_kept_stays(void **state) {
    load("keep=status:error; rate=0");
    open_store();
    append(0, 100, SPANS - 1, SPANS - 1);
    seal();
    append(0, 100, 0, SPANS - 2);
    seal();
    struct found f = look();
    for (uint32_t t = 0; t < 100; t++) assert_int_equal(f.spans[t], t % 50 ? 0 : SPANS);
    assert_true(f.count == f.rows);
}

static void a_memtable_of_which_nothing_stays_releases_its_log(void **state) {
    load("rate=0%");
    open_store();
    append(0, 100, 0, SPANS - 1);
    seal();
    assert_int_equal(look().rows, 0);
    store_close(store);
    load("rate=100%");
    open_store(); /* from the log it would come back */
    assert_int_equal(look().rows, 0);
    append(100, 200, 0, SPANS - 1);
    seal();
    assert_int_equal(look().rows, 100 * SPANS);
}

static double keep_one(struct span *spans, uint32_t count) {
    const struct span *trace[SPANS];
    for (uint32_t i = 0; i < count; i++) trace[i] = &spans[i];
    return sampling_keep(sampling, trace, count, false);
}

static void rules_see_the_trace_as_a_whole(void **state) {
    struct span spans[SPANS];
    for (uint32_t i = 0; i < SPANS; i++) fill(&spans[i], 9, i); /* 0.01 USD each */
    load("keep=cost:>0.025; rate=0");
    assert_true(keep_one(spans, 2) == 0);
    assert_true(keep_one(spans, SPANS) == 1);
    spans[2].flags |= SPAN_USAGE_RESTATED;
    load("keep=cost:>0.025; rate=0");
    assert_true(keep_one(spans, SPANS) == 0);
    spans[2].start_ns += (int64_t)10 * NS_PER_S;
    load("keep=duration:>5s; rate=0");
    assert_true(keep_one(spans, SPANS) == 1);
    load("keep=fallback:true; rate=0");
    assert_true(keep_one(spans, SPANS) == 0);
    spans[0].flags |= SPAN_FALLBACK;
    assert_true(keep_one(spans, SPANS) == 1);
}

static void a_trace_waits_for_its_root_but_not_for_ever(void **state) {
    struct span spans[SPANS];
    const struct span *trace[] = {&spans[1], &spans[2], &spans[0]}; /* the root last */
    int64_t now_ns = time_now_ns();
    for (uint32_t i = 0; i < SPANS; i++) {
        fill(&spans[i], 1, i);
        spans[i].start_ns = now_ns - 2 * NS_PER_S, spans[i].duration_ns = NS_PER_S;
    }
    load("keep=status:ok; rate=0");
    assert_true(sampling_keep(sampling, trace, 2, false) == 1); /* nothing waits unless it is asked for */
    load("keep=status:ok; rate=0");
    sampling_set_wait(sampling, 60000);
    assert_true(sampling_keep(sampling, trace, 2, false) == STORE_KEEP_WAIT);
    assert_true(sampling_keep(sampling, trace, 2, true) == 1);
    assert_true(sampling_keep(sampling, trace, 3, false) == 1);
    for (int i = 1; i < SPANS; i++) spans[i].start_ns -= (int64_t)62 * NS_PER_S;
    assert_true(sampling_keep(sampling, trace, 2, false) == 1); /* silent for too long */
    spans[2].start_ns += (int64_t)32 * NS_PER_S;
    assert_true(sampling_keep(sampling, trace, 2, false) == STORE_KEEP_WAIT); /* its newest span counts */
    spans[1].start_ns = spans[2].start_ns = now_ns + (int64_t)3600 * NS_PER_S;
    assert_true(sampling_keep(sampling, trace, 2, false) == 1); /* a clock that is an hour ahead */
}

static void services_have_rules_of_their_own(void **state) {
    char path[100];
    snprintf(path, sizeof path, "%s/rules.yaml", dir);
    FILE *file = fopen(path, "w");
    fputs("- service: odd\n  keep: ['status:error']\n  rate: 0\n- keep:\n    - operation:\"a;b\"\n  rate: 100%\n",
          file);
    fclose(file);
    load(path);
    open_store();
    append(0, 100, 0, SPANS - 1);
    seal();
    struct found f = look();
    for (uint32_t t = 0; t < 100; t++) assert_int_equal(f.spans[t], t % 2 ? 0 : SPANS);
}

static void mistakes_are_named_with_their_column(void **state) {
    static const struct {
        const char *spec;
        int column;
        const char *part;
    } bad[] = {{"keep=statos:error; rate=1", 6, "column 6: there is no field 'statos'"},
               {"keep=status:error; keep=duration:>5q; rate=10%", 35, "column 35: expected a duration"},
               {"rate=110%", 6, "expected 0% to 100%"},
               {"rate=nan", 6, "expected 0% to 100%"},
               {"keep=status:error", 0, "rate is missing"},
               {"rate=1; kep=x", 9, "column 9: expected keep=FILTER or rate=PERCENT"},
               {"keep=; rate=1", 6, "column 6: expected a filter"},
               {"keep=fallback:true model:x; rate=1", 6, "fallback stands alone"},
               {"/nonexistent.yaml", 0, "/nonexistent.yaml: No such file"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error err = {0};
        struct sampling *none;
        assert_int_not_equal(sampling_load(&none, bad[i].spec, "x", &err), 0);
        assert_null(none);
        if (!strstr(err.message, bad[i].part)) fail_msg("%s: %s", bad[i].spec, err.message);
        assert_int_equal(err.column, bad[i].column);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_traces_stay_or_go_and_weights_keep_the_sums, start, stop),
        cmocka_unit_test_setup_teardown(late_spans_share_the_fate_of_their_trace_over_restarts, start, stop),
        cmocka_unit_test_setup_teardown(what_comes_late_of_a_trace_that_a_rule_kept_stays, start, stop),
        cmocka_unit_test_setup_teardown(a_memtable_of_which_nothing_stays_releases_its_log, start, stop),
        cmocka_unit_test_setup_teardown(rules_see_the_trace_as_a_whole, start, stop),
        cmocka_unit_test_setup_teardown(a_trace_waits_for_its_root_but_not_for_ever, start, stop),
        cmocka_unit_test_setup_teardown(services_have_rules_of_their_own, start, stop),
        cmocka_unit_test_setup_teardown(mistakes_are_named_with_their_column, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
