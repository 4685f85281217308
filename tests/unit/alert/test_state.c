/* The state machine against a slow reference that looks back over the whole history at each step, on random series. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "alert/state.h"
#include <math.h>
#include <stdlib.h>

enum { STEP_S = 10, STEPS = 400, SERIES = 600 };
static const int64_t SECOND = 1000000000;

static struct monitor monitor_of(double critical, double warning, double critical_recovery, double warning_recovery,
                                 enum compare compare) {
    struct monitor m = {.critical = critical,
                        .warning = warning,
                        .critical_recovery = critical_recovery,
                        .warning_recovery = warning_recovery};
    m.query.compare = compare;
    m.query.window_ns = 60 * SECOND;
    return m;
}

/* State at `at`, from all values up to it: walks back to where the state cannot depend on what was before. */
static enum alert_state reference(const struct monitor *m, const double *values, int at) {
    enum alert_state state = ALERT_OK;
    int64_t need = m->no_data_ns ? m->no_data_ns : 600 * SECOND;
    int last_known = -1;
    for (int i = 0; i <= at; i++) {
        if (isnan(values[i])) {
            if ((i - last_known) * (int64_t)STEP_S * SECOND >= need) state = ALERT_NO_DATA;
            continue;
        }
        last_known = i;
        bool up = m->query.compare == CMP_GT;
        double v = up ? values[i] : -values[i];
        double crit = up ? m->critical : -m->critical, warn = up ? m->warning : -m->warning;
        double crit_back = up ? m->critical_recovery : -m->critical_recovery,
               warn_back = up ? m->warning_recovery : -m->warning_recovery;
        bool alert = v > crit || (state == ALERT_ALERT && v > crit_back);
        bool warned = v > warn || ((state == ALERT_ALERT || state == ALERT_WARN) && !isnan(warn) && v > warn_back);
        state = alert ? ALERT_ALERT : warned ? ALERT_WARN : ALERT_OK;
    }
    return state;
}

static double pick(unsigned *seed, double low, double high) {
    return low + (high - low) * (rand_r(seed) / (double)RAND_MAX);
}

static void state_equals_the_reference_on_random_series(void **unused) {
    for (unsigned n = 0; n < SERIES; n++) {
        unsigned seed = n + 1;
        bool up = rand_r(&seed) % 2;
        double sign = up ? 1 : -1, nan = (double)NAN;
        struct monitor m =
            monitor_of(sign * 80, rand_r(&seed) % 2 ? sign * 60 : nan, rand_r(&seed) % 2 ? sign * 70 : nan,
                       rand_r(&seed) % 2 ? sign * 40 : nan, up ? CMP_GT : CMP_LT);
        m.no_data_ns = rand_r(&seed) % 2 ? 120 * SECOND : 0;
        double values[STEPS], level = 50;
        struct alert_status status;
        alert_status_init(&status);
        bool silent = false;
        for (int i = 0; i < STEPS; i++) {
            if (rand_r(&seed) % 20 == 0) silent = !silent;
            level += pick(&seed, -15, 15) + (50 - level) * 0.05;
            values[i] = silent ? nan : sign * level;
            /* The wall clock jumps about; only the evaluator's own time counts. */
            int64_t now = (rand_r(&seed) % 50 == 0 ? rand_r(&seed) : i * STEP_S) * SECOND;
            alert_advance(&m, &status, values[i], now, STEP_S * SECOND);
            if (status.state != reference(&m, values, i))
                fail_msg("series %u step %d value %g: %s, reference %s", n, i, values[i],
                         alert_state_names[status.state], alert_state_names[reference(&m, values, i)]);
        }
    }
}

/* Every change into a bad state is told once, its end is told once, and what was not told has no end to tell. */
static void notices_come_in_pairs(void **unused) {
    for (unsigned n = 0; n < SERIES; n++) {
        unsigned seed = n + 7;
        struct monitor m = monitor_of(80, 60, 70, (double)NAN, CMP_GT);
        m.notify_no_data = n % 2;
        m.no_data_ns = 60 * SECOND;
        struct alert_status status;
        alert_status_init(&status);
        bool told = false;
        for (int i = 0; i < STEPS; i++) {
            double value = rand_r(&seed) % 3 ? pick(&seed, 30, 100) : (double)NAN;
            struct alert_step step = alert_advance(&m, &status, value, i * STEP_S * SECOND, STEP_S * SECOND);
            if (step.notice == NOTICE_RECOVERY) {
                assert_true(told && status.state == ALERT_OK);
                told = false;
            } else if (step.notice == NOTICE_CHANGE) {
                assert_true(step.changed && status.state != ALERT_OK);
                told = true;
            }
            if (status.state == ALERT_ALERT || status.state == ALERT_WARN) assert_true(told);
            if (status.state == ALERT_OK) assert_false(told);
        }
    }
}

static void renotify_repeats_while_the_state_lasts(void **unused) {
    struct monitor m = monitor_of(1, (double)NAN, (double)NAN, (double)NAN, CMP_GT);
    m.renotify_ns = 60 * SECOND;
    struct alert_status status;
    alert_status_init(&status);
    int notices = 0;
    for (int i = 0; i < 31; i++)
        notices += alert_advance(&m, &status, 5, i * STEP_S * SECOND, STEP_S * SECOND).notice != NOTICE_NONE;
    assert_int_equal(notices, 1 + 30 / 6);
    assert_int_equal(alert_advance(&m, &status, 0, 0, STEP_S * SECOND).notice, NOTICE_RECOVERY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_equals_the_reference_on_random_series),
        cmocka_unit_test(notices_come_in_pairs),
        cmocka_unit_test(renotify_repeats_while_the_state_lasts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
