/* A long window that is put together from remembered blocks has the value of the window as a whole, whatever is asked,
 * while time goes on, jumps and goes back; what comes late counts after a while. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "alert/measure.h"
#include "base/timestamp.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t END_NS = INT64_C(1795478400000000000), HOUR_NS = INT64_C(3600) * NS_PER_S;
enum { SPANS = 6000, HOURS = 50 };

static char dir[64];
static struct store *store;
static struct engine *engine;
static struct arena kept;
static struct monitor_file file;
static unsigned seed = 5;
static int asked;

static void add(uint32_t count, int64_t from_ns, int64_t to_ns) {
    static const char *const models[] = {"a", "b", "c,\"d\"", "e"};
    struct batch *batch = batch_new();
    struct error err = {0};
    for (uint32_t i = 0; i < count; i++) {
        struct span *span = batch_add(batch);
        uint64_t id = (uint64_t)rand_r(&seed) << 32 | (uint32_t)rand_r(&seed) | 1;
        memcpy(span->trace_id, &id, sizeof id);
        memcpy(span->span_id, &id, sizeof id);
        span->start_ns = from_ns + (int64_t)((double)(to_ns - from_ns) * rand_r(&seed) / RAND_MAX);
        span->duration_ns = rand_r(&seed) % 5000 * (int64_t)NS_PER_MS;
        span->kind = rand_r(&seed) % 4 ? KIND_LLM : KIND_TURN;
        span->status = rand_r(&seed) % 5 ? STATUS_OK : STATUS_ERROR;
        if (rand_r(&seed) % 3) span->tokens_input = rand_r(&seed) % 1000, span->tokens_output = 3;
        if (rand_r(&seed) % 3) span->cost_usd = rand_r(&seed) % 100 / 1000.0;
        if (rand_r(&seed) % 4 == 0) span->sample_rate = 0.25;
        if (rand_r(&seed) % 4) span->ttft_ns = rand_r(&seed) % 900 * (int64_t)NS_PER_MS;
        *span_text(span, COL_SERVICE) = SLICE("shop");
        *span_text(span, COL_MODEL) = slice_of(models[rand_r(&seed) % 4]);
        *span_text(span, COL_USER_ID) = arena_printf(&batch->arena, "u%d", rand_r(&seed) % 60);
    }
    if (store_append_wait(store, batch, &err)) fail_msg("%s", err.message);
    batch_unref(batch);
}

static int count_calls(void *ctx, const struct api_request *request, struct buf *out, struct error *err) {
    asked++;
    return api_call(ctx, request, out, err);
}

static int start(void **state) {
    static const char monitors[] = "- {name: a, query: 'sum(last_1d):count:shop.llm.errors{*} > 5'}\n"
                                   "- {name: b, query: 'sum(last_1d):sum:shop.llm.cost{*} by {user} > 5'}\n"
                                   "- {name: c, query: 'avg(last_1d):avg:shop.llm.duration{*} by {model} > 5'}\n"
                                   "- {name: d, query: 'max(last_2d):max:shop.llm.duration{*} > 5'}\n"
                                   "- {name: e, query: 'min(last_4h):min:shop.llm.ttft{model:a} by {user,model} > 5'}\n"
                                   "- {name: f, query: 'avg(last_2h):p95:shop.llm.duration{*} by {model} > 5'}\n"
                                   "- {name: g, query: 'max(last_1d):sum:shop.llm.tokens{*} by {model} > 5'}\n"
                                   "- {name: h, query: 'sum(last_3h):sum:shop.llm.tokens{*}.as_rate() > 5'}\n"
                                   "- {name: i, query: 'sum(last_5h):sum:shop.chat.turns{*}.as_count() > 5'}\n"
                                   "- {name: j, query: 'avg(last_1d):avg:shop.llm.ttft{*} > 5'}\n"
                                   "- {name: k, query: 'min(last_1d):sum:shop.llm.requests{*} > 5'}\n"
                                   "- {name: l, query: 'last(last_1d):avg:shop.llm.duration{*} > 5'}\n"
                                   "- {name: m, query: 'avg(last_1d):count:shop.llm.requests{*} by {model} > 5'}\n";
    struct error err = {0};
    snprintf(dir, sizeof dir, "/tmp/vt-blocks-XXXXXX");
    if (!mkdtemp(dir)) return -1;
    struct store_options options = {.dir = dir, .seal_after_ms = 600000};
    if (store_open(&store, &options, &err) || engine_open(&engine, store, NULL, &err)) return -1;
    add(SPANS, END_NS - HOURS * HOUR_NS, END_NS);
    return monitor_file_parse(slice_of(monitors), "test", &kept, &file, &err);
}

static int stop(void **state) {
    char command[128];
    engine_free(engine);
    store_close(store);
    arena_free(&kept);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static double value_of(const struct reading *readings, uint32_t count, struct slice group, bool *found) {
    for (uint32_t i = 0; i < count; i++)
        if (slice_eq(readings[i].group, group)) return *found = true, readings[i].value;
    *found = false;
    return 0;
}

/* NULL when the two agree, else a text that says where they do not. */
static const char *difference(const struct monitor *m, struct monitor_memory *memory, int64_t now_ns) {
    static char text[300];
    const struct asker asker = {count_calls, engine};
    struct arena arena = {0};
    struct error err = {0};
    struct reading *whole, *blocks;
    uint32_t whole_count = 0, block_count = 0;
    bool differs = false;
    if (monitor_measure(&asker, m, NULL, now_ns, &arena, &whole, &whole_count, &err) ||
        monitor_measure(&asker, m, memory, now_ns, &arena, &blocks, &block_count, &err))
        fail_msg("%s", err.message);
    if (whole_count != block_count) {
        snprintf(text, sizeof text, "%.*s: %u groups, %u by blocks", (int)m->name.len, m->name.ptr, whole_count,
                 block_count);
        differs = true;
    }
    for (uint32_t i = 0; i < whole_count && !differs; i++) {
        bool found;
        double a = whole[i].value, b = value_of(blocks, block_count, whole[i].group, &found);
        differs = !found || isnan(a) != isnan(b) || fabs(a - b) > 1e-9 * fabs(a);
        if (differs)
            snprintf(text, sizeof text, "%.*s at %lld: \"%.*s\" is %.17g, by blocks %.17g", (int)m->name.len,
                     m->name.ptr, (long long)(now_ns / NS_PER_S), (int)whole[i].group.len,
                     whole[i].group.len ? whole[i].group.ptr : "", a, b);
    }
    arena_free(&arena);
    return differs ? text : NULL;
}

static void blocks_say_what_the_whole_says(void **state) {
    assert_int_equal(file.count, 13);
    for (uint32_t i = 0; i < file.count; i++) {
        struct monitor_memory *memory = monitor_memory_new();
        int64_t now_ns = END_NS - 3 * HOUR_NS + 123456789;
        if (file.monitors[i].problem.code) fail_msg("%s", file.monitors[i].problem.message);
        for (int step = 0; step < 60; step++) {
            const char *why = difference(&file.monitors[i], memory, now_ns);
            if (why) fail_msg("step %d: %s", step, why);
            /* Ten seconds, now and then a jump of up to some hours, also back. */
            now_ns += step % 7 ? 10 * (int64_t)NS_PER_S : (int64_t)(rand_r(&seed) % 20000 - 6000) * NS_PER_S;
        }
        monitor_memory_free(memory);
    }
}

static void groups_are_named_as_the_monitor_names_them(void **state) {
    const struct asker asker = asker_of_engine(engine);
    struct arena arena = {0};
    struct reading *readings;
    uint32_t count;
    bool found;
    assert_int_equal(monitor_measure(&asker, &file.monitors[1], NULL, END_NS, &arena, &readings, &count, NULL), 0);
    assert_int_equal(count, 60);
    value_of(readings, count, SLICE("user:u7"), &found);
    assert_true(found);
    assert_int_equal(monitor_measure(&asker, &file.monitors[4], NULL, END_NS, &arena, &readings, &count, NULL), 0);
    for (uint32_t i = 0; i < count; i++) {
        assert_true(slice_starts(readings[i].group, SLICE("user:u")));
        assert_true(slice_ends(readings[i].group, SLICE(",model:a")));
    }
    arena_free(&arena);
}

static void little_is_asked_for_again(void **state) {
    struct monitor_memory *memory = monitor_memory_new();
    difference(&file.monitors[0], memory, END_NS);
    asked = 0;
    difference(&file.monitors[0], memory, END_NS + 10 * (int64_t)NS_PER_S);
    assert_in_range(asked, 2, 1 + 3); /* the whole, and of the blocks: both ends and one by turns */
    monitor_memory_free(memory);
}

static void what_comes_late_counts_after_a_while(void **state) {
    struct monitor_memory *memory = monitor_memory_new();
    int64_t now_ns = END_NS;
    assert_null(difference(&file.monitors[1], memory, now_ns));
    add(200, END_NS - 23 * HOUR_NS, END_NS - 3 * HOUR_NS);
    assert_non_null(difference(&file.monitors[1], memory, now_ns)); /* it was remembered */
    for (int i = 0; i < 23; i++) difference(&file.monitors[1], memory, now_ns += 10 * (int64_t)NS_PER_S);
    const char *why = difference(&file.monitors[1], memory, now_ns);
    if (why) fail_msg("%s", why);
    /* What comes now, or an hour late, counts at once. */
    add(50, now_ns - HOUR_NS, now_ns);
    why = difference(&file.monitors[1], memory, now_ns);
    if (why) fail_msg("%s", why);
    monitor_memory_free(memory);
}

static void clock_that_stood_ahead_leaves_no_empty_blocks(void **state) {
    struct monitor_memory *memory = monitor_memory_new();
    const int64_t now_ns = END_NS + 100 * HOUR_NS;
    difference(&file.monitors[7], memory, now_ns + 2 * HOUR_NS);
    difference(&file.monitors[7], memory, now_ns);
    add(300, now_ns, now_ns + HOUR_NS);
    const char *why = difference(&file.monitors[7], memory, now_ns + HOUR_NS);
    if (why) fail_msg("%s", why);
    monitor_memory_free(memory);
}

static void minute_that_is_only_begun_is_not_the_least(void **state) {
    struct monitor_file steady;
    struct error err = {0};
    struct reading *readings;
    uint32_t count;
    const struct asker asker = asker_of_engine(engine);
    const int64_t minute_ns = 60 * (int64_t)NS_PER_S, begin_ns = END_NS + 200 * HOUR_NS;
    for (int i = 0; i < 20; i++) add(40, begin_ns + i * minute_ns, begin_ns + (i + 1) * minute_ns - NS_PER_S);
    assert_int_equal(monitor_file_parse(SLICE("- {name: a, query: 'min(last_10m):sum:shop.llm.requests{*} < 5'}\n"
                                              "- {name: b, query: 'last(last_10m):sum:shop.llm.requests{*} < 5'}\n"),
                                        "test", &kept, &steady, &err),
                     0);
    for (int s = 0; s < 60; s += 3)
        for (int i = 0; i < 2; i++) {
            int64_t now_ns = begin_ns + 15 * minute_ns + s * (int64_t)NS_PER_S;
            assert_int_equal(monitor_measure(&asker, &steady.monitors[i], NULL, now_ns, &kept, &readings, &count, &err),
                             0);
            assert_in_range((int)readings->value, 10, 170);
        }
    /* A whole minute without any is the least, and the last. */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(monitor_measure(&asker, &steady.monitors[i], NULL, begin_ns + 21 * minute_ns + NS_PER_S, &kept,
                                         &readings, &count, &err),
                         0);
        assert_true(readings->value < 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_say_what_the_whole_says),
        cmocka_unit_test(groups_are_named_as_the_monitor_names_them),
        cmocka_unit_test(little_is_asked_for_again),
        cmocka_unit_test(what_comes_late_counts_after_a_while),
        cmocka_unit_test(clock_that_stood_ahead_leaves_no_empty_blocks),
        cmocka_unit_test(minute_that_is_only_begun_is_not_the_least),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
