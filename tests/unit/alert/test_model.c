/* States and notices of many groups, kept in the catalog, against a slow reference that looks back over the whole
 * history at each step: with restarts in the middle, groups that come and go, gaps, clocks that jump both ways,
 * silence, recovery thresholds and repeated notices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "alert/alert_db.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SERIES = 300, STEPS = 60, GROUPS = 3, STEP_S = 10 };
static const int64_t SECOND = 1000000000;

static double random_part(unsigned *seed) {
    return rand_r(seed) / (double)RAND_MAX;
}

struct history {
    double values[STEPS];      /* NaN: the group did not come */
    int64_t elapsed_ns[STEPS]; /* of the evaluator's own time */
};

struct expected {
    enum alert_state state;
    enum alert_notice notice; /* at the last step */
};

/* All from the beginning, each time. */
static struct expected reference(const struct monitor *m, const struct history *h, int at) {
    struct expected e = {ALERT_OK, NOTICE_NONE};
    int64_t need = m->no_data_ns ? m->no_data_ns : 600 * SECOND;
    bool told = false;
    int last_told = -1;
    for (int i = 0; i <= at; i++) {
        enum alert_state before = e.state;
        e.notice = NOTICE_NONE;
        if (isnan(h->values[i])) {
            int64_t silent = 0;
            for (int k = i; k >= 0 && isnan(h->values[k]); k--) silent += h->elapsed_ns[k];
            if (silent >= need) e.state = ALERT_NO_DATA;
        } else {
            double v = h->values[i];
            bool alert = v > m->critical || (before == ALERT_ALERT && v > m->critical_recovery);
            bool bad = before == ALERT_ALERT || before == ALERT_WARN;
            bool warned = !isnan(m->warning) && (v > m->warning || (bad && v > m->warning_recovery));
            e.state = alert ? ALERT_ALERT : warned ? ALERT_WARN : ALERT_OK;
        }
        int64_t since_told = 0;
        for (int k = i; k > last_told; k--) since_told += h->elapsed_ns[k];
        if (e.state != before) {
            if (e.state == ALERT_OK)
                e.notice = told ? NOTICE_RECOVERY : NOTICE_NONE;
            else if (e.state != ALERT_NO_DATA || m->notify_no_data)
                e.notice = NOTICE_CHANGE;
        } else if (e.state != ALERT_OK && told && m->renotify_ns && since_told >= m->renotify_ns) {
            e.notice = NOTICE_AGAIN;
        }
        if (e.notice != NOTICE_NONE) last_told = i, told = e.notice != NOTICE_RECOVERY;
    }
    return e;
}

static struct monitor any_monitor(unsigned *seed) {
    const double nan = (double)NAN;
    struct monitor m = {.name = SLICE("m"),
                        .critical = 80,
                        .warning = rand_r(seed) % 2 ? 60 : nan,
                        .critical_recovery = rand_r(seed) % 2 ? 70 : nan,
                        .warning_recovery = rand_r(seed) % 2 ? 40 : nan,
                        .notify_no_data = rand_r(seed) % 2,
                        .no_data_ns = rand_r(seed) % 3 ? (60 + rand_r(seed) % 120) * SECOND : 0,
                        .renotify_ns = rand_r(seed) % 2 ? (20 + rand_r(seed) % 100) * SECOND : 0};
    m.query.compare = CMP_GT;
    m.query.window_ns = 60 * SECOND;
    return m;
}

/* A machine that slept, or was not there, for hours counts as one step; a slow evaluation as what it took. */
static int64_t any_elapsed(unsigned *seed) {
    return rand_r(seed) % 10 ? STEP_S * SECOND : (1 + rand_r(seed) % 29) * SECOND;
}

static void states_and_notices_are_those_of_the_reference(void **unused) {
    static struct history histories[GROUPS];
    char path[] = "/tmp/vt-model-XXXXXX", name[16];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    for (unsigned n = 0; n < SERIES; n++) {
        unsigned seed = n + 11;
        struct alert_db *db;
        struct error err = {0};
        struct monitor m = any_monitor(&seed);
        double levels[GROUPS] = {50, 60, 40};
        bool comes[GROUPS] = {true, true, false}, began = false;
        int64_t clock_ns = INT64_C(1795478400) * SECOND;
        struct slice monitor = slice_make(name, (size_t)snprintf(name, sizeof name, "m%u", n));
        assert_int_equal(alert_db_open(&db, path, &err), 0);
        for (int i = 0; i < STEPS; i++) {
            int64_t elapsed_ns = any_elapsed(&seed);
            clock_ns += elapsed_ns;
            if (rand_r(&seed) % 30 == 0) clock_ns += (rand_r(&seed) % 14400 - 7200) * SECOND; /* and back, too */
            bool restarts = rand_r(&seed) % 20 == 0;
            if (began && (restarts || rand_r(&seed) % 8 == 0)) { /* not each step: a disk may be slow */
                assert_int_equal(alert_db_commit(db, &err), 0);
                began = false;
            }
            if (restarts) { /* or a kill: what was committed is there */
                alert_db_close(db);
                assert_int_equal(alert_db_open(&db, path, &err), 0);
            }
            if (!began) assert_int_equal(alert_db_begin(db, &err), 0);
            began = true;
            for (int g = 0; g < GROUPS; g++) {
                struct alert_status status;
                char text[16];
                struct slice group = slice_make(text, (size_t)snprintf(text, sizeof text, "model:%d", g));
                if (rand_r(&seed) % 12 == 0) comes[g] = !comes[g];
                levels[g] += random_part(&seed) * 40 - 20 + (55 - levels[g]) * 0.05;
                histories[g].values[i] = comes[g] ? levels[g] : (double)NAN;
                histories[g].elapsed_ns[i] = elapsed_ns;
                assert_int_equal(alert_db_load(db, monitor, group, &status, &err), 0);
                struct alert_step step = alert_advance(&m, &status, histories[g].values[i], clock_ns, elapsed_ns);
                assert_int_equal(alert_db_save(db, monitor, group, &status, &err), 0);
                struct expected e = reference(&m, &histories[g], i);
                if (status.state != e.state || step.notice != e.notice)
                    fail_msg("series %u step %d group %d value %g: %s, notice %d; reference %s, %d", n, i, g,
                             histories[g].values[i], alert_state_names[status.state], (int)step.notice,
                             alert_state_names[e.state], (int)e.notice);
            }
        }
        assert_int_equal(alert_db_commit(db, &err), 0);
        alert_db_close(db);
    }
    unlink(path);
    char beside[64];
    snprintf(beside, sizeof beside, "%s-wal", path), unlink(beside);
    snprintf(beside, sizeof beside, "%s-shm", path), unlink(beside);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_and_notices_are_those_of_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
