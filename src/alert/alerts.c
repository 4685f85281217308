/* The evaluating thread, the sending thread, and what the API shows of them. */
#include "alert/alerts.h"

#include "alert/alert_db.h"
#include "alert/measure.h"
#include "alert/notify.h"
#include "base/log.h"
#include "base/timestamp.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    INTERVAL_MS = 10000,
    RETRY_FIRST_S = 5,
    RETRY_MAX_S = 900,
    GIVE_UP_S = 3 * 86400, /* a target that was away for three days gets no old news */
    SEND_PAUSE_MS = 200,   /* a target that comes back is not flooded */
    FORGET_GROUP_S = 86400
};

struct alerts {
    struct asker asker;
    char *file_path, *catalog_path, *page_url;
    uint32_t interval_ms;

    pthread_mutex_t lock; /* guards what follows down to stop */
    pthread_cond_t wake;
    struct monitor_file file;
    struct arena file_arena;
    struct monitor_memory *memories[MONITORS_MAX]; /* of the monitors of the file, in its order; NULL = none yet */
    struct timespec file_time;
    off_t file_size;
    struct error file_problem;
    struct alert_db *db; /* of the API and the evaluator */
    bool stop;

    pthread_t evaluator, sender;
    bool evaluator_runs, sender_runs;
};

/* ---- the file ---- */

static void forget_windows(struct alerts *a) {
    for (uint32_t i = 0; i < MONITORS_MAX; i++) monitor_memory_free(a->memories[i]), a->memories[i] = NULL;
}

/* Reads the monitors again when the file changed; a file that cannot be read leaves the old ones running. Under the
 * lock. */
static void reload(struct alerts *a) {
    struct stat now;
    struct arena arena = {0};
    struct monitor_file file;
    if (!a->file_path || stat(a->file_path, &now)) return;
    if (now.st_size == a->file_size && now.st_mtim.tv_sec == a->file_time.tv_sec &&
        now.st_mtim.tv_nsec == a->file_time.tv_nsec)
        return;
    a->file_size = now.st_size;
    a->file_time = now.st_mtim;
    a->file_problem.code = 0;
    if (monitor_file_load(a->file_path, &arena, &file, &a->file_problem)) {
        log_error("%s; the monitors read before go on", a->file_problem.message);
        arena_free(&arena);
        return;
    }
    forget_windows(a);
    arena_free(&a->file_arena);
    a->file_arena = arena;
    a->file = file;
    for (uint32_t i = 0; i < file.count; i++)
        if (file.monitors[i].problem.code) log_error("%s", file.monitors[i].problem.message);
    log_info("%u monitors from %s", file.count, a->file_path);
}

/* ---- evaluating ---- */

static int post_notices(struct alerts *a, const struct notice *notice, struct error *err) {
    struct buf payload = {0};
    int code = 0;
    for (uint32_t i = 0; i < a->file.target_count && !code; i++) {
        const struct notify_target *target = &a->file.targets[i];
        if (!notice_is_for(notice, target, a->file.targets, a->file.target_count)) continue;
        buf_clear(&payload);
        notice_payload(notice, target, &payload);
        code = payload.failed ? error_set(err, VT_ENOMEM, "no memory for a notification")
                              : alert_db_post(a->db, target->name, buf_slice(&payload), notice->at_ns, err);
    }
    buf_free(&payload);
    return code;
}

static int advance_group(struct alerts *a, const struct monitor *m, struct slice group, double value, int64_t now_ns,
                         int64_t elapsed_ns, struct error *err) {
    struct alert_status status;
    int code = alert_db_load(a->db, m->name, group, &status, err);
    if (code) return code;
    struct alert_step step = alert_advance(m, &status, value, now_ns, elapsed_ns);
    if (group.len && isnan(value) && status.silent_ns > (int64_t)FORGET_GROUP_S * NS_PER_S)
        return alert_db_forget_group(a->db, m->name, group, err);
    if ((code = alert_db_save(a->db, m->name, group, &status, err))) return code;
    if (step.changed) {
        log_info("monitor \"%.*s\"%s%.*s: %s, was %s, value %g", (int)m->name.len, m->name.ptr, group.len ? " on " : "",
                 (int)group.len, group.len ? group.ptr : "", alert_state_names[status.state],
                 alert_state_names[step.from], value);
        if ((code = alert_db_add_history(a->db, m->name, group, step.from, status.state, value, now_ns, err)))
            return code;
    }
    if (step.notice == NOTICE_NONE || alert_db_is_silenced(a->db, m->name, group, now_ns)) return 0;
    char link[512] = "";
    if (a->page_url) snprintf(link, sizeof link, "%s/alerts", a->page_url);
    struct notice notice = {m, step.notice, step.from, status.state, group, value, now_ns, slice_of(link)};
    return post_notices(a, &notice, err);
}

static bool has_group(const struct reading *readings, uint32_t count, struct slice group) {
    for (uint32_t i = 0; i < count; i++)
        if (slice_eq(readings[i].group, group)) return true;
    return false;
}

/* One monitor: everything that follows from one evaluation is one transaction. */
static int evaluate(struct alerts *a, const struct monitor *m, struct monitor_memory *memory, int64_t now_ns,
                    int64_t elapsed_ns, struct arena *arena, struct error *err) {
    struct reading *readings;
    struct slice *known;
    uint32_t count, known_count;
    int code;
    if ((code = monitor_measure(&a->asker, m, memory, now_ns, arena, &readings, &count, err))) return code;
    if ((code = alert_db_groups(a->db, m->name, arena, &known, &known_count, err))) return code;
    if ((code = alert_db_begin(a->db, err))) return code;
    for (uint32_t i = 0; i < count && !code; i++)
        code = advance_group(a, m, readings[i].group, readings[i].value, now_ns, elapsed_ns, err);
    /* A group that no longer comes has nothing to count (0) or nothing to say. */
    double missing = m->query.metric->additive && m->query.group_count ? 0 : (double)NAN;
    for (uint32_t i = 0; i < known_count && !code; i++)
        if (!has_group(readings, count, known[i]))
            code = advance_group(a, m, known[i], missing, now_ns, elapsed_ns, err);
    struct error end = {0};
    int ended = alert_db_commit(a->db, code ? &end : err);
    return code ? code : ended;
}

static void *evaluate_loop(void *ctx) {
    struct alerts *a = ctx;
    struct arena arena = {0};
    int64_t last_ns = time_monotonic_ns(), interval_ns = (int64_t)a->interval_ms * NS_PER_MS;
    pthread_mutex_lock(&a->lock);
    while (!a->stop) {
        int64_t now_ns = time_monotonic_ns();
        /* A machine that slept did not watch: what it missed is not "no data". */
        int64_t elapsed_ns = now_ns - last_ns < 3 * interval_ns ? now_ns - last_ns : interval_ns;
        last_ns = now_ns;
        reload(a);
        for (uint32_t i = 0; i < a->file.count && !a->stop; i++) {
            struct error err = {0};
            const struct monitor *m = &a->file.monitors[i];
            if (!a->memories[i]) a->memories[i] = monitor_memory_new();
            if (!m->problem.code && evaluate(a, m, a->memories[i], time_now_ns(), elapsed_ns, &arena, &err))
                log_warn("monitor \"%.*s\" was not evaluated: %s", (int)m->name.len, m->name.ptr, err.message);
            arena_reset(&arena);
        }
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += a->interval_ms / 1000;
        until.tv_nsec += (long)(a->interval_ms % 1000) * NS_PER_MS;
        if (until.tv_nsec >= NS_PER_S) until.tv_nsec -= NS_PER_S, until.tv_sec++;
        if (!a->stop) pthread_cond_timedwait(&a->wake, &a->lock, &until);
    }
    pthread_mutex_unlock(&a->lock);
    arena_free(&arena);
    return NULL;
}

/* ---- sending ---- */

/* A copy of the target, since the file may be read again while we send. Under the lock. */
static bool find_target(struct alerts *a, struct slice name, struct arena *arena, struct notify_target *out) {
    for (uint32_t i = 0; i < a->file.target_count; i++) {
        const struct notify_target *t = &a->file.targets[i];
        if (!slice_eq(t->name, name)) continue;
        *out = (struct notify_target){arena_copy(arena, t->name), arena_copy(arena, t->kind),
                                      arena_copy(arena, t->url),  arena_copy(arena, t->secret),
                                      arena_copy(arena, t->to),   arena_copy(arena, t->from),
                                      arena_copy(arena, t->user), arena_copy(arena, t->command)};
        return true;
    }
    return false;
}

static void settle(struct alert_db *db, const struct outbox_entry *entry, int code, const struct error *why) {
    struct error err = {0};
    int64_t now_ns = time_now_ns(), delay_s = RETRY_FIRST_S;
    for (int i = 0; i < entry->attempts && delay_s < RETRY_MAX_S; i++) delay_s *= 2;
    if (delay_s > RETRY_MAX_S) delay_s = RETRY_MAX_S;
    bool give_up = code == VT_EINVAL || now_ns - entry->created_ns > (int64_t)GIVE_UP_S * NS_PER_S;
    if (code && give_up)
        log_error("notification given up: %s", why->message);
    else if (code && entry->attempts == 0)
        log_warn("notification not taken, tried again: %s", why->message);
    if (!code || give_up)
        alert_db_sent(db, entry->id, &err);
    else
        alert_db_retry_at(db, entry->id, now_ns + delay_s * NS_PER_S, &err);
    if (err.code) log_error("%s", err.message);
}

static void *send_loop(void *ctx) {
    struct alerts *a = ctx;
    struct alert_db *db;
    struct error err = {0};
    struct arena arena = {0};
    if (alert_db_open(&db, a->catalog_path, &err)) {
        log_error("notifications are not sent: %s", err.message);
        return NULL;
    }
    pthread_mutex_lock(&a->lock);
    while (!a->stop) {
        struct outbox_entry entry;
        struct notify_target target;
        bool found = alert_db_due(db, time_now_ns(), &arena, &entry, &err) == 0;
        if (found && !find_target(a, entry.target, &arena, &target)) {
            log_warn("notification for \"%.*s\" dropped: there is no such target any more", (int)entry.target.len,
                     entry.target.ptr);
            alert_db_sent(db, entry.id, &err);
        } else if (found) {
            pthread_mutex_unlock(&a->lock);
            struct error why = {0};
            settle(db, &entry, notify_send(&target, entry.payload, &why), &why);
            pthread_mutex_lock(&a->lock);
        }
        arena_reset(&arena);
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        if (found)
            until.tv_nsec += (long)SEND_PAUSE_MS * NS_PER_MS;
        else
            until.tv_sec += 1;
        if (until.tv_nsec >= NS_PER_S) until.tv_nsec -= NS_PER_S, until.tv_sec++;
        if (!a->stop) pthread_cond_timedwait(&a->wake, &a->lock, &until);
    }
    pthread_mutex_unlock(&a->lock);
    alert_db_close(db);
    arena_free(&arena);
    return NULL;
}

/* ---- life ---- */

int alerts_open(struct alerts **out, const struct asker *asker, const struct alerts_options *options,
                struct error *err) {
    struct alerts *a = calloc(1, sizeof *a);
    pthread_condattr_t clock;
    int code = 0;
    *out = NULL;
    if (!a) return error_set(err, VT_ENOMEM, "no memory for alerts");
    a->asker = *asker;
    a->interval_ms = options->interval_ms ? options->interval_ms : INTERVAL_MS;
    a->file_path = options->file ? strdup(options->file) : NULL;
    a->catalog_path = strdup(options->catalog_path);
    a->page_url = options->page_url ? strdup(options->page_url) : NULL;
    pthread_mutex_init(&a->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&a->wake, &clock);
    pthread_condattr_destroy(&clock);
    if (a->file_path) {
        struct arena probe = {0};
        struct monitor_file file;
        code = monitor_file_load(a->file_path, &probe, &file, err);
        arena_free(&probe);
    }
    if (!code) code = alert_db_open(&a->db, a->catalog_path, err);
    if (!code) {
        reload(a);
        a->evaluator_runs = pthread_create(&a->evaluator, NULL, evaluate_loop, a) == 0;
        a->sender_runs = a->evaluator_runs && pthread_create(&a->sender, NULL, send_loop, a) == 0;
        if (!a->sender_runs) code = error_set(err, VT_ENOMEM, "no thread for alerts");
    }
    if (code) {
        alerts_close(a);
        return code;
    }
    *out = a;
    return 0;
}

void alerts_close(struct alerts *a) {
    if (!a) return;
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_broadcast(&a->wake);
    pthread_mutex_unlock(&a->lock);
    if (a->evaluator_runs) pthread_join(a->evaluator, NULL);
    if (a->sender_runs) pthread_join(a->sender, NULL);
    alert_db_close(a->db);
    forget_windows(a);
    arena_free(&a->file_arena);
    pthread_cond_destroy(&a->wake);
    pthread_mutex_destroy(&a->lock);
    free(a->file_path);
    free(a->catalog_path);
    free(a->page_url);
    free(a);
}

/* ---- the API ---- */

static void put_text(struct json_writer *w, const char *key, struct slice value) {
    if (!value.len) return;
    json_put_key(w, key);
    json_put_string(w, value);
}

static void put_real(struct json_writer *w, const char *key, double value) {
    if (isnan(value)) return;
    json_put_key(w, key);
    json_put_double(w, value);
}

static int put_monitor(struct alerts *a, const struct monitor *m, struct json_writer *w, struct error *err) {
    json_open(w, '{');
    put_text(w, "name", m->name);
    put_text(w, "query", m->query.text);
    put_text(w, "message", m->message);
    put_text(w, "type", m->type);
    put_real(w, "critical", m->critical);
    put_real(w, "warning", m->warning);
    put_real(w, "critical_recovery", m->critical_recovery);
    put_real(w, "warning_recovery", m->warning_recovery);
    if (m->query.metric) put_text(w, "unit", slice_of(m->query.metric->unit));
    if (m->problem.code) put_text(w, "error", slice_of(m->problem.message));
    json_put_key(w, "tags");
    json_open(w, '[');
    for (uint32_t i = 0; i < m->tag_count; i++) json_put_string(w, m->tags[i]);
    json_close(w, ']');
    json_put_key(w, "groups");
    int code = alert_db_put_states(a->db, m->name, w, err);
    json_close(w, '}');
    return code;
}

int alerts_json(struct alerts *a, struct buf *out, struct error *err) {
    struct json_writer w = json_writer_on(out);
    int code = 0;
    pthread_mutex_lock(&a->lock);
    json_open(&w, '{');
    put_text(&w, "file", slice_of(a->file_path));
    if (a->file_problem.code) put_text(&w, "error", slice_of(a->file_problem.message));
    json_put_key(&w, "monitors");
    json_open(&w, '[');
    for (uint32_t i = 0; i < a->file.count && !code; i++) code = put_monitor(a, &a->file.monitors[i], &w, err);
    json_close(&w, ']');
    json_put_key(&w, "silences");
    if (!code) code = alert_db_put_silences(a->db, time_now_ns(), &w, err);
    json_put_key(&w, "targets");
    json_open(&w, '[');
    for (uint32_t i = 0; i < a->file.target_count; i++) {
        json_open(&w, '{');
        put_text(&w, "name", a->file.targets[i].name);
        put_text(&w, "kind", a->file.targets[i].kind);
        json_close(&w, '}');
    }
    json_close(&w, ']');
    json_close(&w, '}');
    pthread_mutex_unlock(&a->lock);
    return code;
}

int alerts_silence(struct alerts *a, struct slice body, struct error *err) {
    struct slice monitor = {0}, group = {0}, reason = {0}, key;
    struct json_number minutes = {0};
    struct json_reader r;
    struct arena arena = {0};
    json_reader_init(&r, body, &arena);
    if (json_object(&r))
        while (json_key(&r, &key)) {
            if (slice_is(key, "monitor"))
                json_string(&r, &monitor);
            else if (slice_is(key, "group"))
                json_string(&r, &group);
            else if (slice_is(key, "reason"))
                json_string(&r, &reason);
            else if (slice_is(key, "minutes"))
                json_number(&r, &minutes);
            else
                json_skip(&r, NULL);
        }
    int code = 0;
    if (!json_end(&r)) {
        if (err) *err = r.err;
        code = VT_EINVAL;
    } else if (!monitor.len || monitor.len > 500 || group.len > 1000 || reason.len > 1000) {
        code = error_set(err, VT_EINVAL, "monitor is missing or a text is too long");
        error_hint(err, "send {\"monitor\": NAME or \"*\", \"minutes\": 60}");
    } else if (!(minutes.real > 0 && minutes.real <= 527040)) {
        code = error_set(err, VT_EINVAL, "minutes is %g, expected more than 0 and at most a year", minutes.real);
    } else {
        pthread_mutex_lock(&a->lock);
        code = alert_db_silence(a->db, monitor, group, time_now_ns() + (int64_t)(minutes.real * 60e9), reason, err);
        pthread_mutex_unlock(&a->lock);
    }
    arena_free(&arena);
    return code;
}

int alerts_unsilence(struct alerts *a, int64_t id, struct error *err) {
    pthread_mutex_lock(&a->lock);
    int code = alert_db_unsilence(a->db, id, err);
    pthread_mutex_unlock(&a->lock);
    return code;
}
