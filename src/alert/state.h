/* The state of one monitor (of one of its groups), as a pure function of what it read: no clock, no store, no I/O.
 *
 * Time that passes between evaluations is given as `elapsed_ns` and is the evaluator's own (monotonic) time, so that
 * clock jumps, restarts and gaps neither raise a false "no data" nor hide a real one. */
#ifndef ALERT_STATE_H
#define ALERT_STATE_H

#include "alert/monitor.h"

enum alert_state { ALERT_OK, ALERT_WARN, ALERT_ALERT, ALERT_NO_DATA, ALERT_STATES };

struct alert_status {
    enum alert_state state;
    int64_t since_ns;      /* Unix time of the last change; 0 = never evaluated */
    double value;          /* the last one known; NaN = none yet */
    int64_t silent_ns;     /* evaluator's time since the last known value */
    int64_t unnotified_ns; /* evaluator's time since the last notification of this state */
    bool notified;         /* someone was told of this state (so its end is told too) */
    bool owed;             /* a change that was kept quiet: told when the silence ends, if it still stands */
};

enum alert_notice { NOTICE_NONE, NOTICE_CHANGE, NOTICE_RECOVERY, NOTICE_AGAIN };

struct alert_step {
    enum alert_state from;
    bool changed;
    enum alert_notice notice; /* what to tell; who is silenced calls alert_hush */
    bool was_notified;
    int64_t was_unnotified_ns;
};

void alert_status_init(struct alert_status *status);
/* value: NaN = nothing known in the window. */
struct alert_step alert_advance(const struct monitor *monitor, struct alert_status *status, double value,
                                int64_t now_ns, int64_t elapsed_ns);

/* Whether a value is right although a part of its window was not watched (watch.h). What is missing can only add to a
 * total: one that is above a threshold is so, one that is below may be above. Averages and percentiles stand. */
bool alert_is_proven(const struct monitor *monitor, const struct alert_status *status, double value);
/* As alert_advance, where the value is not proven: the state stays, and so it is not silent either. */
struct alert_step alert_hold(const struct monitor *monitor, struct alert_status *status, double value, int64_t now_ns,
                             int64_t elapsed_ns);
/* Takes the step's notice back, since nobody is to be told now. It is owed, and comes again with each step from when
 * the caller no longer takes it back, as long as it still has a meaning. */
void alert_hush(struct alert_status *status, struct alert_step *step);

extern const char *const alert_state_names[ALERT_STATES]; /* "OK", "WARN", "ALERT", "NO DATA" */

#endif
