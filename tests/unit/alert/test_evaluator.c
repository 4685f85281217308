/* The evaluator as it runs, with clocks of the test: clocks that jump, restarts, times when nobody watched, silences, a
 * catalog that fails. What monitors read is said by the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "alert/evaluator.h"
#include "base/timestamp.h"

#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t SECOND = 1000000000, MINUTE = 60 * INT64_C(1000000000), START = INT64_C(1795478400000000000);
static char dir[64], catalog[96], monitors_path[96];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t wall_ns, monotonic_ns;
static double answer; /* what the store says; NaN: there is nothing */
static bool away;     /* the store cannot be asked */
static struct evaluator rounds;

static int64_t wall(void) {
    return wall_ns;
}
static int64_t monotonic(void) {
    return monotonic_ns;
}

static int say(void *ctx, const struct api_request *request, struct buf *out, struct error *err) {
    if (away) return error_set(err, VT_EIO, "nobody there");
    if (isnan(answer))
        buf_puts(out, "{\"series\":[]}");
    else
        buf_printf(out, "{\"series\":[{\"group\":{},\"points\":[[%lld,%.17g]]}]}", (long long)(wall_ns / NS_PER_MS),
                   answer);
    return 0;
}

static void open_evaluator(void) {
    struct error err = {0};
    rounds = (struct evaluator){.asker = {say, NULL},
                                .file_path = monitors_path,
                                .interval_ns = 10 * SECOND,
                                .now_ns = wall,
                                .monotonic_ns = monotonic,
                                .lock = &lock};
    if (alert_db_open(&rounds.db, catalog, &err)) fail_msg("%s", err.message);
}

static void close_evaluator(void) {
    evaluator_free(&rounds);
    alert_db_close(rounds.db);
}

static void write_monitors(const char *text) {
    FILE *file = fopen(monitors_path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* A directory of its own, clocks at the beginning, and a server that has watched for a day. */
static int start(void **state) {
    struct error err = {0};
    snprintf(dir, sizeof dir, "/tmp/vt-evaluator-XXXXXX");
    if (!mkdtemp(dir)) return -1;
    snprintf(catalog, sizeof catalog, "%s/catalog.db", dir);
    snprintf(monitors_path, sizeof monitors_path, "%s/monitors.yaml", dir);
    wall_ns = START;
    monotonic_ns = 1000 * SECOND;
    answer = 0;
    away = false;
    write_monitors("monitors:\n"
                   "  - {name: many, query: 'sum(last_5m):count:shop.llm.errors{*} > 5', message: '@hook {{state}}'}\n"
                   "  - {name: few, query: 'sum(last_5m):count:shop.llm.requests{*} < 1', message: '@hook {{state}}'}\n"
                   "  - name: slow\n"
                   "    query: 'avg(last_5m):avg:shop.llm.duration{*} > 100'\n"
                   "    options: {notify_no_data: true, no_data_timeframe: 10}\n"
                   "    message: '@hook {{state}}'\n"
                   "notify: [{name: hook, kind: command, command: 'true'}]\n");
    open_evaluator();
    return alert_db_save_watch(rounds.db, &(struct watch){.seen_ns = START - 10 * SECOND}, &err);
}

static int stop(void **state) {
    char command[128];
    close_evaluator();
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static void pass(int64_t ns) {
    wall_ns += ns;
    monotonic_ns += ns;
}

static void run_for(int64_t ns) {
    for (int64_t end = monotonic_ns + ns; monotonic_ns < end;) {
        pass(10 * SECOND);
        evaluator_round(&rounds);
    }
}

static void execute(const char *sql) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(catalog, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static int count_of(const char *sql) {
    sqlite3 *db;
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_open(catalog, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int count = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return count;
}

static int told(const char *monitor, const char *state) {
    char sql[256];
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM alert_outbox WHERE CAST(payload AS TEXT) LIKE '%%\"monitor\":\"%s\"%%'"
             " AND CAST(payload AS TEXT) LIKE '%%\"state\":\"%s\"%%'",
             monitor, state);
    return count_of(sql);
}

static const char *state_of(const char *monitor) {
    struct alert_status status;
    struct error err = {0};
    assert_int_equal(alert_db_load(rounds.db, slice_of(monitor), (struct slice){NULL, 0}, &status, &err), 0);
    return alert_state_names[status.state];
}

static void clock_set_forward_neither_alerts_nor_recovers(void **state) {
    answer = 9;
    run_for(MINUTE);
    assert_string_equal(state_of("many"), "ALERT");
    assert_string_equal(state_of("few"), "OK");
    /* An hour forward: the window is empty, for nobody could send spans of that hour. */
    wall_ns += 60 * MINUTE;
    answer = 0;
    run_for(4 * MINUTE);
    assert_string_equal(state_of("many"), "ALERT");
    assert_string_equal(state_of("few"), "OK");
    /* The window has been watched again: what it says is so. */
    run_for(2 * MINUTE);
    assert_string_equal(state_of("many"), "OK");
    assert_string_equal(state_of("few"), "ALERT");
    assert_int_equal(told("few", "ALERT"), 1);
}

static void clock_set_forward_hides_no_alert(void **state) {
    answer = 1;
    run_for(MINUTE);
    wall_ns += 60 * MINUTE;
    answer = 9;
    run_for(10 * SECOND);
    assert_string_equal(state_of("many"), "ALERT");
    assert_int_equal(told("many", "ALERT"), 1);
}

static void clock_set_back_makes_no_hole(void **state) {
    answer = 3;
    run_for(MINUTE);
    wall_ns -= 60 * MINUTE;
    answer = 9;
    run_for(10 * SECOND);
    assert_string_equal(state_of("many"), "ALERT");
    answer = 0;
    run_for(10 * SECOND);
    assert_string_equal(state_of("many"), "OK");
    assert_string_equal(state_of("few"), "ALERT");
}

static void clock_that_went_forward_and_back_is_as_before(void **state) {
    answer = 3;
    run_for(MINUTE);
    wall_ns += 24 * 60 * MINUTE;
    run_for(10 * SECOND);
    wall_ns -= 24 * 60 * MINUTE;
    answer = 0;
    run_for(6 * MINUTE);
    assert_string_equal(state_of("few"), "ALERT");
    assert_string_equal(state_of("many"), "OK");
    assert_int_equal(told("few", "ALERT"), 1);
}

static void time_when_the_server_was_down_is_not_few(void **state) {
    answer = 9;
    run_for(MINUTE);
    assert_int_equal(told("many", "ALERT"), 1);
    close_evaluator();
    wall_ns += 20 * MINUTE; /* and another boot's monotonic clock */
    monotonic_ns = 5 * SECOND;
    open_evaluator();
    answer = 0;
    run_for(4 * MINUTE);
    assert_string_equal(state_of("few"), "OK");
    assert_string_equal(state_of("many"), "ALERT");
    run_for(2 * MINUTE);
    assert_string_equal(state_of("few"), "ALERT");
    assert_int_equal(told("few", "ALERT"), 1);
    assert_int_equal(told("many", "ALERT"), 1);
    assert_int_equal(told("many", "OK"), 1);
}

static void quick_restart_changes_nothing(void **state) {
    answer = 9;
    run_for(MINUTE);
    for (int i = 0; i < 5; i++) {
        close_evaluator();
        open_evaluator();
        run_for(10 * SECOND);
    }
    assert_int_equal(told("many", "ALERT"), 1);
    answer = 0;
    run_for(10 * SECOND);
    assert_string_equal(state_of("many"), "OK");
    assert_string_equal(state_of("few"), "ALERT");
}

static void new_server_waits_for_a_window(void **state) {
    execute("DELETE FROM alert_watch");
    run_for(4 * MINUTE);
    assert_string_equal(state_of("few"), "OK");
    run_for(2 * MINUTE);
    assert_string_equal(state_of("few"), "ALERT");
}

static void slow_rounds_are_watched_time(void **state) {
    answer = 3;
    run_for(MINUTE);
    pass(4 * MINUTE);
    answer = 0;
    evaluator_round(&rounds);
    assert_string_equal(state_of("few"), "ALERT");
}

static void store_that_cannot_be_asked_is_said_and_raises_nothing(void **state) {
    answer = 3;
    run_for(MINUTE);
    away = true;
    run_for(30 * MINUTE);
    assert_string_equal(state_of("slow"), "OK");
    assert_string_equal(state_of("few"), "OK");
    assert_non_null(strstr(rounds.faults[1].message, "nobody there"));
    away = false;
    answer = 0; /* whoever sends could not either */
    run_for(4 * MINUTE);
    assert_string_equal(state_of("few"), "OK");
    assert_int_equal(rounds.faults[1].code, 0);
    run_for(2 * MINUTE);
    assert_string_equal(state_of("few"), "ALERT");
}

static void sleep_is_not_no_data_and_silence_is(void **state) {
    answer = 50;
    run_for(MINUTE);
    answer = (double)NAN;
    for (int i = 0; i < 10; i++) { /* nine hours each */
        pass(540 * MINUTE);
        evaluator_round(&rounds);
    }
    assert_string_equal(state_of("slow"), "OK");
    run_for(10 * MINUTE);
    assert_string_equal(state_of("slow"), "NO DATA");
    assert_int_equal(told("slow", "NO DATA"), 1);
}

static void silence(int64_t until_ns) {
    struct error err = {0};
    assert_int_equal(
        alert_db_silence(rounds.db, SLICE("many"), (struct slice){NULL, 0}, wall_ns, until_ns, SLICE(""), &err), 0);
}

static void alert_that_outlives_its_silence_is_told_then(void **state) {
    silence(wall_ns + 5 * MINUTE);
    answer = 9;
    run_for(4 * MINUTE);
    assert_string_equal(state_of("many"), "ALERT");
    assert_int_equal(told("many", "ALERT"), 0);
    run_for(3 * MINUTE);
    assert_int_equal(told("many", "ALERT"), 1);
    answer = 1;
    run_for(MINUTE);
    assert_int_equal(told("many", "OK"), 1);
}

static void alert_that_ends_within_its_silence_is_never_told(void **state) {
    silence(wall_ns + 5 * MINUTE);
    answer = 9;
    run_for(MINUTE);
    answer = 1;
    run_for(10 * MINUTE);
    assert_int_equal(count_of("SELECT count(*) FROM alert_outbox"), 0);
}

static void recovery_within_a_silence_is_told_after_it(void **state) {
    answer = 9;
    run_for(MINUTE);
    assert_int_equal(told("many", "ALERT"), 1);
    silence(wall_ns + 5 * MINUTE);
    answer = 1;
    run_for(2 * MINUTE);
    assert_int_equal(told("many", "OK"), 0);
    run_for(5 * MINUTE);
    assert_int_equal(told("many", "OK"), 1);
    assert_int_equal(count_of("SELECT count(*) FROM alert_outbox"), 2);
}

static void catalog_that_fails_leaves_the_change_to_be_told(void **state) {
    answer = 1;
    run_for(MINUTE);
    execute("ALTER TABLE alert_outbox RENAME TO hidden");
    answer = 9;
    run_for(MINUTE);
    assert_string_equal(state_of("many"), "OK"); /* not half of it */
    assert_true(rounds.faults[0].code != 0);
    execute("ALTER TABLE hidden RENAME TO alert_outbox");
    run_for(MINUTE);
    assert_string_equal(state_of("many"), "ALERT");
    assert_int_equal(told("many", "ALERT"), 1);
}

static struct outbox_entry due(struct arena *arena) {
    struct outbox_entry entry = {0};
    struct error err = {0};
    alert_db_due(rounds.db, wall_ns, arena, &entry, &err);
    return entry;
}

static void target_gets_its_own_in_order_and_holds_up_no_other(void **state) {
    struct arena arena = {0};
    struct error err = {0};
    alert_db_post(rounds.db, SLICE("dead"), SLICE("trigger"), wall_ns, &err);
    alert_db_post(rounds.db, SLICE("dead"), SLICE("resolve"), wall_ns + 1, &err);
    alert_db_post(rounds.db, SLICE("alive"), SLICE("x"), wall_ns + 2, &err);
    assert_int_equal(err.code, 0);
    wall_ns += SECOND;
    struct outbox_entry first = due(&arena);
    assert_true(slice_is(first.payload, "trigger"));
    alert_db_retry_at(rounds.db, first.id, wall_ns + 100 * SECOND, &err);
    struct outbox_entry other = due(&arena);
    assert_true(slice_is(other.payload, "x"));
    alert_db_sent(rounds.db, other.id, &err);
    assert_int_equal(due(&arena).id, 0); /* the recovery waits for its alert */
    wall_ns += 101 * SECOND;
    assert_true(slice_is(due(&arena).payload, "trigger"));
    alert_db_sent(rounds.db, first.id, &err);
    assert_true(slice_is(due(&arena).payload, "resolve"));
    arena_free(&arena);
}

static void outbox_of_a_dead_target_is_bounded(void **state) {
    struct error err = {0};
    execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
            " INSERT INTO alert_outbox(target, payload, created_ns, next_ns) SELECT 'hook', 'x', 1, 1 FROM n");
    assert_int_equal(alert_db_post(rounds.db, SLICE("hook"), SLICE("newest"), wall_ns, &err), 0);
    assert_int_equal(count_of("SELECT count(*) FROM alert_outbox"), 10000);
    assert_int_equal(count_of("SELECT count(*) FROM alert_outbox WHERE payload = 'newest'"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(clock_set_forward_neither_alerts_nor_recovers),
        TEST(clock_set_forward_hides_no_alert),
        TEST(clock_set_back_makes_no_hole),
        TEST(clock_that_went_forward_and_back_is_as_before),
        TEST(time_when_the_server_was_down_is_not_few),
        TEST(quick_restart_changes_nothing),
        TEST(new_server_waits_for_a_window),
        TEST(slow_rounds_are_watched_time),
        TEST(store_that_cannot_be_asked_is_said_and_raises_nothing),
        TEST(sleep_is_not_no_data_and_silence_is),
        TEST(alert_that_outlives_its_silence_is_told_then),
        TEST(alert_that_ends_within_its_silence_is_never_told),
        TEST(recovery_within_a_silence_is_told_after_it),
        TEST(catalog_that_fails_leaves_the_change_to_be_told),
        TEST(target_gets_its_own_in_order_and_holds_up_no_other),
        TEST(outbox_of_a_dead_target_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
