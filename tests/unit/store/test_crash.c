/* The store is killed, or finds the disk full, at every write, sync, rename and unlink that it does in a life of
 * appending, sealing, merging, deleting and computing costs anew; SQLite's own included. Whatever moment it is: what
 * was acknowledged is there once, what was deleted is gone, a cost is the old one or the new one. */
#include "kit.h"
#include "strike.h"

#include "base/log.h"
#include "store/reprice.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SPANS = 1200,
    BATCH = 60,
    REPRICED = SPANS * 3 / 4, /* so many are there when costs are computed anew */
    USERS = SPANS / 30,
    DELETED_USER = 7
};
/* What both processes know. */
static struct {
    uint8_t sent[SPANS], acknowledged[SPANS];
    uint8_t delete_begun, delete_done, reprice_begun, reprice_done;
} * shared;

static struct prices *prices; /* of which costs are made anew */

/* ---- a life ---- */

static void mark(uint8_t *marks, uint32_t first) {
    memset(marks + first, 1, BATCH);
}

static void send(uint32_t first) {
    struct batch *batch = batch_new();
    struct error err = {0};
    for (uint32_t n = first; n < first + BATCH; n++) fill(batch_add(batch), n, &batch->arena);
    mark(shared->sent, first);
    if (!store_append_wait(store, batch, &err)) mark(shared->acknowledged, first);
    batch_unref(batch);
}

static void live(void) {
    struct error err = {0};
    uint64_t deleted;
    options.seal_after_ms = 600000;
    options.dir = dir;
    if (store_open(&store, &options, &err)) return;
    for (uint32_t first = 0; first < SPANS; first += BATCH) {
        send(first);
        if (first % (2 * BATCH)) store_seal(store, NULL);
        if (first + BATCH == REPRICED) {
            struct repriced done;
            shared->reprice_begun = 1;
            shared->reprice_done = !store_reprice(store, &(struct reprice){.prices = prices}, &done, &err);
            reprice_free(&done);
        }
        if (first == SPANS / 2) {
            shared->delete_begun = 1;
            shared->delete_done =
                !store_delete(store, &(struct store_delete){.user_id = SLICE("user 7")}, &deleted, &err);
        }
    }
    usleep(20000); /* merging goes on */
    store_close(store);
}

/* ---- and what is left of it ---- */

static uint32_t count_user(const uint8_t *seen) {
    uint32_t n = 0;
    for (uint32_t i = 30 * DELETED_USER; i < 30 * (DELETED_USER + 1); i++) n += seen[i];
    return n;
}

/* The cost that span n has: what it was sent with or what the table makes of it, as far as the life went. */
static void check_cost(uint32_t n, double cost, int call) {
    struct arena arena = {0};
    struct span span;
    double sent, anew;
    span_init(&span);
    fill(&span, n, &arena);
    sent = anew = span.cost_usd;
    bool stays = span.flags & SPAN_COST_REPORTED ||
                 (span.tokens_input == SPAN_NO_INT && span.tokens_output == SPAN_NO_INT) ||
                 !span_get_text(&span, COL_MODEL).len;
    if (!stays && !prices_cost(prices, &span, &anew)) anew = (double)NAN;
    bool is_sent = isnan(sent) ? isnan(cost) : cost == sent, is_anew = isnan(anew) ? isnan(cost) : cost == anew;
    if (!(is_sent && !(shared->reprice_done && n < REPRICED)) &&
        !(is_anew && (stays || (shared->reprice_begun && n < REPRICED))))
        fail_msg("call %d: span %u costs %g; sent with %g, by the table %g", call, n, cost, sent, anew);
    arena_free(&arena);
}

static void look(uint8_t *seen, int call) {
    struct snapshot *snap = store_snapshot(store);
    memset(seen, 0, SPANS);
    for (uint32_t g = 0; g < snapshot_count(snap); g++) {
        struct arena arena = {0};
        struct vec ids, prompts, costs;
        struct error err = {0};
        if (rowgroup_read(snapshot_rowgroup(snap, g), COL_SPAN_ID, &arena, &ids, &err) ||
            rowgroup_read(snapshot_rowgroup(snap, g), COL_PROMPT, &arena, &prompts, &err) ||
            rowgroup_read(snapshot_rowgroup(snap, g), COL_COST_USD, &arena, &costs, &err))
            fail_msg("call %d: %s", call, err.message);
        for (uint32_t i = 0; i < ids.count; i++) {
            uint64_t id;
            memcpy(&id, ids.bytes + (size_t)i * SPAN_ID_SIZE, sizeof id);
            if (!id || id > SPANS || seen[id - 1]++)
                fail_msg("call %d: span %llu is there twice, or is none of ours", call, (unsigned long long)id);
            check_cost((uint32_t)id - 1, costs.doubles[i], call);
        }
        arena_free(&arena);
    }
    snapshot_free(snap);
}

static void no_problem(void *ctx, const char *path, const char *message) {
    fail_msg("call %d: %s: %s", *(int *)ctx, path, message);
}

static void judge(int call) {
    uint8_t seen[SPANS];
    look(seen, call);
    /* A deletion that was noted goes on after the start; one that was not has changed nothing. */
    uint32_t begun_with = count_user(shared->acknowledged);
    for (int i = 0; i < 6000 && shared->delete_begun && count_user(seen) && count_user(seen) < begun_with; i++)
        usleep(10000), look(seen, call);
    for (uint32_t n = 0; n < SPANS; n++) {
        bool user = n / 30 == DELETED_USER;
        if (seen[n] && !shared->sent[n]) fail_msg("call %d: span %u was never sent", call, n);
        if (user && shared->delete_done && seen[n]) fail_msg("call %d: span %u was deleted", call, n);
        if (!seen[n] && shared->acknowledged[n] && !(user && shared->delete_begun))
            fail_msg("call %d: span %u was acknowledged and is lost", call, n);
    }
    if (shared->delete_begun && count_user(seen) && count_user(seen) != begun_with)
        fail_msg("call %d: half of a deletion is left", call);
}

static void check_directory(int call) {
    struct store_checked checked;
    struct error err = {0};
    if (store_check(dir, no_problem, &call, &checked, &err)) fail_msg("call %d: %s", call, err.message);
    shell("! ls $D/spans/*/*.tmp 2>/dev/null");
}

/* One life in a process of its own, which ends at the given call; false when it came to its natural end. */
static bool die_at(enum how way, int call) {
    memset(shared, 0, sizeof *shared);
    shell("rm -rf $D/*");
    options.hurry = call & 1 ? STORE_HURRY_SEALS : STORE_HURRY_AUTO;
    bool killed = strike_life(way, call, live);
    for (int i = 0; i < 2; i++) { /* the second start finds what the first has left */
        struct error err = {0};
        if (store_open(&store, &options, &err)) fail_msg("call %d: %s", call, err.message);
        judge(call);
        store_close(store);
        store = NULL;
        check_directory(call);
    }
    return killed || way == DISK_FULL;
}

/* Calls 1, 1 + step, …, beginning at `from`, until a life ends before its call. */
static void at_every_call(enum how way, int from, int step) {
    int call = from, last = 0;
    for (; call < 5000; call += step) {
        if (!die_at(way, call)) break;
        last = call;
        if (way == DISK_FULL && strike_calls() < call) break;
    }
    print_message("struck at %d moments, the last of them call %d\n", (last - from) / step + 1, last);
    assert_true(last > 200); /* the stand-ins are in the way of what they should be */
}

static void killed_before_a_call(void **state) {
    at_every_call(DIE_BEFORE, 1, 5);
}
static void killed_after_a_call(void **state) {
    at_every_call(DIE_AFTER, 2, 5);
}
static void killed_in_the_middle_of_a_write(void **state) {
    at_every_call(DIE_IN_THE_MIDDLE, 3, 5);
}
static void disk_full_for_a_while(void **state) {
    at_every_call(DISK_FULL, 4, 29);
}

/* Every second model has a price. */
static bool load_prices(void) {
    char path[80];
    struct error err = {0};
    shell("echo '[{model: \"model 1*\", input: 3, output: 9}, {model: \"model 3*\", input: 2}]' > $D.yaml");
    snprintf(path, sizeof path, "%s.yaml", dir);
    int code = prices_load(&prices, path, &err);
    if (code) print_error("%s\n", err.message);
    unlink(path);
    return !code;
}

static int tear_down(void **state) {
    prices_free(prices);
    return stop(state);
}

static int set_up(void **state) {
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    options = (struct store_options){.seal_after_ms = 600000};
    snprintf(dir, sizeof dir, "/tmp/vitrine-crash-XXXXXX");
    options.dir = dir;
    return mkdtemp(dir) && load_prices() ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(killed_before_a_call, set_up, tear_down),
        cmocka_unit_test_setup_teardown(killed_after_a_call, set_up, tear_down),
        cmocka_unit_test_setup_teardown(killed_in_the_middle_of_a_write, set_up, tear_down),
        cmocka_unit_test_setup_teardown(disk_full_for_a_while, set_up, tear_down),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
