/* See evaluator.h. */
#include "alert/evaluator.h"

#include "alert/notify.h"
#include "base/log.h"
#include "base/timestamp.h"

#include <math.h>
#include <stdio.h>

enum { FORGET_GROUP_S = 86400, SLEPT_INTERVALS = 3 };

/* ---- the file ---- */

static void forget_windows(struct evaluator *e) {
    for (uint32_t i = 0; i < MONITORS_MAX; i++) monitor_memory_free(e->memories[i]), e->memories[i] = NULL;
}

void evaluator_reload(struct evaluator *e) {
    struct stat now;
    struct arena arena = {0};
    struct monitor_file file;
    if (!e->file_path || stat(e->file_path, &now)) return;
    if (now.st_size == e->file_size && now.st_mtim.tv_sec == e->file_time.tv_sec &&
        now.st_mtim.tv_nsec == e->file_time.tv_nsec)
        return;
    e->file_size = now.st_size;
    e->file_time = now.st_mtim;
    e->file_problem.code = 0;
    int code = monitor_file_load_to_run(e->file_path, &arena, &file, &e->file_problem);
    struct error *faults = code ? NULL : arena_calloc(&arena, file.count + 1, sizeof *faults);
    if (!code && !faults) code = error_set(&e->file_problem, VT_ENOMEM, "%s: no memory for monitors", e->file_path);
    if (code) {
        log_error("%s; the monitors read before go on", e->file_problem.message);
        arena_free(&arena);
        return;
    }
    forget_windows(e);
    arena_free(&e->file_arena);
    e->file_arena = arena;
    e->file = file;
    e->faults = faults;
    for (uint32_t i = 0; i < file.count; i++)
        if (file.monitors[i].problem.code) log_error("%s", file.monitors[i].problem.message);
    log_info("%u monitors from %s", file.count, e->file_path);
}

bool evaluator_knows(const struct evaluator *e, struct slice monitor) {
    bool known = slice_is(monitor, "*");
    for (uint32_t i = 0; i < e->file.count && !known; i++) known = slice_eq(e->file.monitors[i].name, monitor);
    return known;
}

void evaluator_free(struct evaluator *e) {
    forget_windows(e);
    arena_free(&e->file_arena);
}

/* ---- one monitor ---- */

/* One evaluation of a monitor, for all its groups. */
struct round {
    struct evaluator *e;
    const struct monitor *monitor;
    int64_t now_ns, elapsed_ns;
    bool partial; /* too much of the window was not watched */
    struct error *err;
};

static int post_notices(const struct round *r, const struct notice *notice) {
    const struct monitor_file *file = &r->e->file;
    struct buf payload = {0};
    int code = 0;
    for (uint32_t i = 0; i < file->target_count && !code; i++) {
        const struct notify_target *target = &file->targets[i];
        if (!notice_is_for(notice, target, file->targets, file->target_count)) continue;
        buf_clear(&payload);
        notice_payload(notice, target, &payload);
        code = payload.failed ? error_set(r->err, VT_ENOMEM, "no memory for a notification")
                              : alert_db_post(r->e->db, target->name, buf_slice(&payload), notice->at_ns, r->err);
    }
    buf_free(&payload);
    return code;
}

static int tell(const struct round *r, struct slice group, const struct alert_status *status,
                const struct alert_step *step, double value) {
    char link[512] = "";
    if (r->e->page_url) snprintf(link, sizeof link, "%s/alerts", r->e->page_url);
    struct notice notice = {.monitor = r->monitor,
                            .kind = step->notice,
                            .from = step->from,
                            .to = status->state,
                            .group = group,
                            .value = value,
                            .at_ns = r->now_ns,
                            .link = slice_of(link)};
    return post_notices(r, &notice);
}

/* `missing`: a group that was there before and is not now. A total of it is 0, of which it can be silent, too. */
static int advance_group(const struct round *r, struct slice group, double value, bool missing) {
    struct alert_db *db = r->e->db;
    const struct monitor *m = r->monitor;
    struct alert_status status;
    int code = alert_db_load(db, m->name, group, &status, r->err);
    if (code) return code;
    int64_t silent_ns = status.silent_ns + r->elapsed_ns;
    struct alert_step step = r->partial && !alert_is_proven(m, &status, value)
                                 ? alert_hold(m, &status, value, r->now_ns, r->elapsed_ns)
                                 : alert_advance(m, &status, value, r->now_ns, r->elapsed_ns);
    if (missing) status.silent_ns = silent_ns;
    if (missing && silent_ns > (int64_t)FORGET_GROUP_S * NS_PER_S)
        return alert_db_forget_group(db, m->name, group, r->err);
    if (step.notice != NOTICE_NONE && alert_db_is_silenced(db, m->name, group, r->now_ns)) alert_hush(&status, &step);
    if ((code = alert_db_save(db, m->name, group, &status, r->err))) return code;
    if (step.changed) {
        log_info("monitor \"%.*s\"%s%.*s: %s, was %s, value %g", (int)m->name.len, m->name.ptr, group.len ? " on " : "",
                 (int)group.len, group.len ? group.ptr : "", alert_state_names[status.state],
                 alert_state_names[step.from], value);
        code = alert_db_add_history(db, m->name, group, step.from, status.state, value, r->now_ns, r->err);
    }
    return code || step.notice == NOTICE_NONE ? code : tell(r, group, &status, &step, value);
}

static bool has_group(const struct reading *readings, uint32_t count, struct slice group) {
    for (uint32_t i = 0; i < count; i++)
        if (slice_eq(readings[i].group, group)) return true;
    return false;
}

static int advance_all(const struct round *r, const struct reading *readings, uint32_t count, struct arena *arena) {
    const struct monitor_query *q = &r->monitor->query;
    struct slice *known;
    uint32_t known_count;
    int code = alert_db_groups(r->e->db, r->monitor->name, arena, &known, &known_count, r->err);
    for (uint32_t i = 0; i < count && !code; i++) code = advance_group(r, readings[i].group, readings[i].value, false);
    /* A group that no longer comes has nothing to count (0) or nothing to say; where there are more than are read, it
     * may only be too small. */
    double missing = query_is_total(q) && q->group_count && count < READINGS_MAX ? 0 : (double)NAN;
    for (uint32_t i = 0; i < known_count && !code; i++) {
        if (has_group(readings, count, known[i])) continue;
        /* What was kept while the monitor had other groups is none of its own any more. */
        code = (known[i].len != 0) == (q->group_count != 0)
                   ? advance_group(r, known[i], missing, true)
                   : alert_db_forget_group(r->e->db, r->monitor->name, known[i], r->err);
    }
    return code;
}

/* Everything that follows from one evaluation is one transaction: all of it, or nothing. */
static int evaluate(const struct round *r, struct monitor_memory *memory, struct arena *arena) {
    struct evaluator *e = r->e;
    struct reading *readings;
    uint32_t count;
    int code = monitor_measure(&e->asker, r->monitor, memory, r->now_ns, arena, &readings, &count, r->err);
    if (code) return code;
    pthread_mutex_lock(e->lock);
    if (!(code = alert_db_begin(e->db, r->err))) {
        code = advance_all(r, readings, count, arena);
        if (!code) code = alert_db_commit(e->db, r->err);
        if (code) alert_db_rollback(e->db);
    }
    pthread_mutex_unlock(e->lock);
    return code;
}

/* Says once that a monitor cannot be evaluated, and once that it can again; the API shows it meanwhile. */
static void note_fault(struct evaluator *e, uint32_t i, const struct error *err) {
    const struct monitor *m = &e->file.monitors[i];
    pthread_mutex_lock(e->lock);
    if (err->code && !e->faults[i].code)
        log_warn("monitor \"%.*s\" is not evaluated: %s", (int)m->name.len, m->name.ptr, err->message);
    else if (!err->code && e->faults[i].code)
        log_info("monitor \"%.*s\" is evaluated again", (int)m->name.len, m->name.ptr);
    e->faults[i] = *err;
    pthread_mutex_unlock(e->lock);
}

/* ---- around ---- */

static bool stopped(struct evaluator *e) {
    pthread_mutex_lock(e->lock);
    bool stop = e->stop && *e->stop;
    pthread_mutex_unlock(e->lock);
    return stop;
}

/* Where the process before looked last is known from the catalog. */
static void look(struct evaluator *e, int64_t now_ns, int64_t monotonic_ns) {
    struct error err = {0};
    pthread_mutex_lock(e->lock);
    if (!e->watch_loaded) e->watch_loaded = alert_db_load_watch(e->db, &e->watch, &err) == 0;
    watch_look(&e->watch, now_ns, monotonic_ns);
    if (!err.code) alert_db_save_watch(e->db, &e->watch, &err);
    if (err.code) log_error("%s", err.message);
    evaluator_reload(e);
    pthread_mutex_unlock(e->lock);
}

void evaluator_round(struct evaluator *e) {
    struct arena arena = {0};
    int64_t monotonic_ns = e->monotonic_ns(), passed_ns = e->last_ns ? monotonic_ns - e->last_ns : 0;
    /* A machine that slept did not watch: what it missed is not "no data". */
    int64_t elapsed_ns = passed_ns < SLEPT_INTERVALS * e->interval_ns ? passed_ns : e->interval_ns;
    uint32_t asked = 0, failed = 0;
    e->last_ns = monotonic_ns;
    look(e, e->now_ns(), monotonic_ns);
    /* The file changes on this thread alone. */
    for (uint32_t i = 0; i < e->file.count && !stopped(e); i++) {
        const struct monitor *m = &e->file.monitors[i];
        if (m->problem.code) continue;
        struct error err = {0};
        struct round round = {e, m, e->now_ns(), elapsed_ns, false, &err};
        round.partial = watch_is_partial(&e->watch, round.now_ns, m->query.window_ns);
        if (!e->memories[i]) e->memories[i] = monitor_memory_new();
        asked++;
        failed += evaluate(&round, e->memories[i], &arena) != 0;
        note_fault(e, i, &err);
        arena_reset(&arena);
    }
    e->watch.missed = asked && failed == asked;
    arena_free(&arena);
}
