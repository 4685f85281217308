/* OK, WARN, ALERT, NO DATA: the one place where a reading becomes a state. */
#include "alert/state.h"

#include <math.h>

const char *const alert_state_names[ALERT_STATES] = {"OK", "WARN", "ALERT", "NO DATA"};

enum { NO_DATA_MIN_S = 600 };

void alert_status_init(struct alert_status *status) {
    *status = (struct alert_status){.state = ALERT_OK, .value = (double)NAN};
}

/* Past the threshold, or not yet back past the recovery threshold of a state that is held. */
static bool holds(const struct monitor *m, double value, double threshold, double recovery, bool held) {
    if (isnan(threshold)) return false;
    return compare_holds(m->query.compare, value, threshold) ||
           (held && !isnan(recovery) && compare_holds(m->query.compare, value, recovery));
}

static enum alert_state state_of(const struct monitor *m, const struct alert_status *status, double value) {
    if (holds(m, value, m->critical, m->critical_recovery, status->state == ALERT_ALERT)) return ALERT_ALERT;
    bool was_bad = status->state == ALERT_WARN || status->state == ALERT_ALERT;
    return holds(m, value, m->warning, m->warning_recovery, was_bad) ? ALERT_WARN : ALERT_OK;
}

static int64_t no_data_after(const struct monitor *m) {
    if (m->no_data_ns) return m->no_data_ns;
    int64_t twice = 2 * m->query.window_ns, least = (int64_t)NO_DATA_MIN_S * 1000000000;
    return twice > least ? twice : least;
}

static enum alert_notice notice_of(const struct monitor *m, struct alert_status *status, enum alert_state from) {
    switch (status->state) {
    case ALERT_OK: return status->notified ? NOTICE_RECOVERY : NOTICE_NONE;
    case ALERT_NO_DATA: return m->notify_no_data ? NOTICE_CHANGE : NOTICE_NONE;
    default: return from == status->state ? NOTICE_NONE : NOTICE_CHANGE;
    }
}

/* What was kept quiet, when there is nothing newer. */
static enum alert_notice owed_notice(const struct monitor *m, const struct alert_status *status) {
    if (status->state == ALERT_OK) return status->notified ? NOTICE_RECOVERY : NOTICE_NONE;
    return status->state != ALERT_NO_DATA || m->notify_no_data ? NOTICE_CHANGE : NOTICE_NONE;
}

static struct alert_step arrive(const struct monitor *m, struct alert_status *status, enum alert_state next,
                                int64_t now_ns, int64_t elapsed_ns) {
    struct alert_step step = {.from = status->state, .was_notified = status->notified};
    if (!status->since_ns) status->since_ns = now_ns;
    status->unnotified_ns += elapsed_ns;
    step.was_unnotified_ns = status->unnotified_ns;
    if (next != status->state) {
        status->state = next;
        status->since_ns = now_ns;
        step.changed = true;
        step.notice = notice_of(m, status, step.from);
    } else if (status->owed) {
        step.notice = owed_notice(m, status);
    } else if (next != ALERT_OK && status->notified && m->renotify_ns && status->unnotified_ns >= m->renotify_ns) {
        step.notice = NOTICE_AGAIN;
    }
    if (status->owed && step.notice == NOTICE_NONE) status->owed = false;
    if (step.notice != NOTICE_NONE) {
        status->unnotified_ns = 0;
        status->notified = step.notice != NOTICE_RECOVERY;
        status->owed = false;
    }
    return step;
}

struct alert_step alert_advance(const struct monitor *m, struct alert_status *status, double value, int64_t now_ns,
                                int64_t elapsed_ns) {
    enum alert_state next = status->state;
    if (elapsed_ns < 0) elapsed_ns = 0;
    if (isnan(value)) {
        status->silent_ns += elapsed_ns;
        if (status->silent_ns >= no_data_after(m)) next = ALERT_NO_DATA;
    } else {
        status->silent_ns = 0;
        status->value = value;
        next = state_of(m, status, value);
    }
    return arrive(m, status, next, now_ns, elapsed_ns);
}

bool alert_is_proven(const struct monitor *m, const struct alert_status *status, double value) {
    if (isnan(value) || !query_is_total(&m->query)) return true;
    enum alert_state next = state_of(m, status, value);
    if (next == status->state) return true;
    switch (m->query.compare) {
    case CMP_GT:
    case CMP_GE: return status->state == ALERT_NO_DATA || next > status->state;
    case CMP_LT:
    case CMP_LE: return status->state == ALERT_NO_DATA ? next == ALERT_OK : next < status->state;
    default: return false;
    }
}

struct alert_step alert_hold(const struct monitor *m, struct alert_status *status, double value, int64_t now_ns,
                             int64_t elapsed_ns) {
    status->silent_ns = 0;
    status->value = value;
    return arrive(m, status, status->state, now_ns, elapsed_ns < 0 ? 0 : elapsed_ns);
}

void alert_hush(struct alert_status *status, struct alert_step *step) {
    if (step->notice == NOTICE_NONE) return;
    status->owed = step->notice != NOTICE_AGAIN;
    status->notified = step->was_notified;
    status->unnotified_ns = step->was_unnotified_ns;
    step->notice = NOTICE_NONE;
}
