/* A store that samples is killed, or finds the disk full, at every write, sync, rename and unlink of a life in which
 * traces come in three parts over several seals. Whatever moment it is: a trace all of which was acknowledged is there
 * once and whole, with the weight that it should have. */
#include "parts.h"
#include "strike.h"

#include "base/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRACES = 240, STEP = 20, SEAL_ROWS = 5 * STEP /* as many as wait at most */ };

static struct { uint8_t acknowledged[TRACES]; /* spans */ } * shared;

/* Whole traces stay, odd ones as one of two; halves go. So a half that was decided too early is missed later. */
static double keep(void *ctx, const struct span *const *trace, uint32_t count, bool last) {
    return keep_whole(trace, count, last, 0.5, 1);
}

static void send(uint32_t first, uint32_t part) {
    struct batch *batch = batch_new();
    struct error err = {0};
    for (uint32_t t = first; t < first + STEP; t++) add_part(batch, t, part);
    if (!store_append_wait(store, batch, &err))
        for (uint32_t t = first; t < first + STEP; t++) shared->acknowledged[t]++;
    batch_unref(batch);
}

/* The root of a trace comes two steps after its first part; what was not taken is not sent again. */
static void live(void) {
    struct error err = {0};
    if (store_open(&store, &options, &err)) return;
    for (uint32_t step = 0; step < TRACES / STEP + 2; step++) {
        for (uint32_t part = PARTS; part-- > 0;) {
            uint32_t behind = PARTS - 1 - part;
            if (step >= behind && step - behind < TRACES / STEP) send((step - behind) * STEP, part);
        }
        usleep(3000); /* a seal or two */
    }
    store_close(store);
}

static void judge(int call) {
    uint8_t seen[TRACES * PARTS] = {0};
    struct snapshot *snap = store_snapshot(store);
    for (uint32_t g = 0; g < snapshot_count(snap); g++)
        for (uint32_t i = 0; i < snapshot_rowgroup(snap, g)->rows; i++) {
            struct arena arena = {0};
            struct span span;
            uint64_t id, trace;
            if (rowgroup_read_span(snapshot_rowgroup(snap, g), i, &arena, &span, NULL)) fail_msg("call %d", call);
            memcpy(&id, span.span_id, sizeof id);
            memcpy(&trace, span.trace_id, sizeof trace);
            if (!id || id > TRACES * PARTS || seen[id - 1]++)
                fail_msg("call %d: span %llu is there twice", call, (unsigned long long)id);
            if (trace % 2 ? span.sample_rate != 0.5 : span.sample_rate < 1)
                fail_msg("call %d: span %llu has the weight %g", call, (unsigned long long)id, span.sample_rate);
            arena_free(&arena);
        }
    snapshot_free(snap);
    for (uint32_t t = 0; t < TRACES; t++) {
        const uint8_t *spans = seen + (size_t)t * PARTS;
        int count = spans[0] + spans[1] + spans[2];
        if (count && count != PARTS) fail_msg("call %d: of trace %u there are %d spans", call, t, count);
        if (!count && shared->acknowledged[t] == PARTS)
            fail_msg("call %d: trace %u was acknowledged and is lost", call, t);
    }
}

static void no_problem(void *ctx, const char *path, const char *message) {
    fail_msg("call %d: %s: %s", *(int *)ctx, path, message);
}

static bool die_at(enum how how, int call) {
    struct store_checked checked;
    struct error err = {0};
    memset(shared, 0, sizeof *shared);
    shell("rm -rf $D/*");
    bool killed = strike_life(how, call, live);
    for (int i = 0; i < 2; i++) {
        if (store_open(&store, &options, &err)) fail_msg("call %d: %s", call, err.message);
        if (i == 1) { /* after a start that only looked: all is decided now */
            if (store_seal(store, &err)) fail_msg("call %d: %s", call, err.message);
            judge(call);
        }
        store_close(store);
        store = NULL;
        if (store_check(dir, no_problem, &call, &checked, &err)) fail_msg("call %d: %s", call, err.message);
    }
    return how == DISK_FULL ? strike_calls() >= call : killed;
}

static void at_every_call(enum how how, int from, int step) {
    int call = from, last = 0;
    for (; call < 5000 && die_at(how, call); call += step) last = call;
    print_message("struck at %d moments, the last of them call %d\n", (last - from) / step + 1, last);
    assert_true(last > 100);
}

static void killed_before_a_call(void **state) {
    at_every_call(DIE_BEFORE, 1, 3);
}
static void killed_after_a_call(void **state) {
    at_every_call(DIE_AFTER, 2, 3);
}
static void killed_in_the_middle_of_a_write(void **state) {
    at_every_call(DIE_IN_THE_MIDDLE, 3, 3);
}
static void disk_full_for_a_while(void **state) {
    at_every_call(DISK_FULL, 4, 29);
}

static int set_up(void **state) {
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    options = (struct store_options){.seal_after_ms = 600000, .seal_rows = SEAL_ROWS, .keep = keep, .no_merging = true};
    snprintf(dir, sizeof dir, "/tmp/vitrine-carry-XXXXXX");
    options.dir = dir;
    return mkdtemp(dir) ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(killed_before_a_call, set_up, stop),
        cmocka_unit_test_setup_teardown(killed_after_a_call, set_up, stop),
        cmocka_unit_test_setup_teardown(killed_in_the_middle_of_a_write, set_up, stop),
        cmocka_unit_test_setup_teardown(disk_full_for_a_while, set_up, stop),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
