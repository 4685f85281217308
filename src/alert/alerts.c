/* The evaluating thread, the sending thread, and what the API shows of them. */
#include "alert/alerts.h"

#include "alert/evaluator.h"
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
    GIVE_UP_ATTEMPTS = 100,
    SEND_PAUSE_MS = 200 /* a target that comes back is not flooded */
};

struct alerts {
    char *file_path, *catalog_path, *page_url;
    uint32_t interval_ms;

    pthread_mutex_t lock; /* guards what follows down to stop */
    pthread_cond_t wake;
    struct evaluator rounds; /* with the file of monitors and the database of it and the API */
    bool stop;

    pthread_t evaluator, sender;
    bool evaluator_runs, sender_runs;
};

/* ---- evaluating ---- */

static void *evaluate_loop(void *ctx) {
    struct alerts *a = ctx;
    pthread_mutex_lock(&a->lock);
    while (!a->stop) {
        pthread_mutex_unlock(&a->lock);
        evaluator_round(&a->rounds);
        pthread_mutex_lock(&a->lock);
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += a->interval_ms / 1000;
        until.tv_nsec += (long)(a->interval_ms % 1000) * NS_PER_MS;
        if (until.tv_nsec >= NS_PER_S) until.tv_nsec -= NS_PER_S, until.tv_sec++;
        if (!a->stop) pthread_cond_timedwait(&a->wake, &a->lock, &until);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* ---- sending ---- */

/* A copy of the target, since the file may be read again while we send. Under the lock. */
static bool find_target(struct alerts *a, struct slice name, struct arena *arena, struct notify_target *out) {
    for (uint32_t i = 0; i < a->rounds.file.target_count; i++) {
        const struct notify_target *t = &a->rounds.file.targets[i];
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
    /* A clock that was set forward by days makes nothing old. */
    bool old = now_ns - entry->created_ns > (int64_t)GIVE_UP_S * NS_PER_S && entry->attempts >= GIVE_UP_ATTEMPTS;
    bool give_up = code == VT_EINVAL || old;
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
        code = monitor_file_load_to_run(a->file_path, &probe, &file, err);
        arena_free(&probe);
    }
    if (!code) code = alert_db_open(&a->rounds.db, a->catalog_path, err);
    a->rounds.asker = *asker;
    a->rounds.file_path = a->file_path;
    a->rounds.page_url = a->page_url;
    a->rounds.interval_ns = (int64_t)a->interval_ms * NS_PER_MS;
    a->rounds.now_ns = time_now_ns;
    a->rounds.monotonic_ns = time_monotonic_ns;
    a->rounds.lock = &a->lock;
    a->rounds.stop = &a->stop;
    if (!code) {
        evaluator_reload(&a->rounds);
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
    alert_db_close(a->rounds.db);
    evaluator_free(&a->rounds);
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

static int put_monitor(struct alerts *a, uint32_t place, struct json_writer *w, struct error *err) {
    const struct monitor *m = &a->rounds.file.monitors[place];
    const struct error *fault = m->problem.code ? &m->problem : &a->rounds.faults[place];
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
    if (fault->code) put_text(w, "error", slice_of(fault->message));
    json_put_key(w, "tags");
    json_open(w, '[');
    for (uint32_t i = 0; i < m->tag_count; i++) json_put_string(w, m->tags[i]);
    json_close(w, ']');
    json_put_key(w, "groups");
    int code = alert_db_put_states(a->rounds.db, m->name, w, err);
    json_close(w, '}');
    return code;
}

int alerts_json(struct alerts *a, struct buf *out, struct error *err) {
    struct json_writer w = json_writer_on(out);
    int code = 0;
    pthread_mutex_lock(&a->lock);
    json_open(&w, '{');
    put_text(&w, "file", slice_of(a->file_path));
    if (a->rounds.file_problem.code) put_text(&w, "error", slice_of(a->rounds.file_problem.message));
    json_put_key(&w, "monitors");
    json_open(&w, '[');
    for (uint32_t i = 0; i < a->rounds.file.count && !code; i++) code = put_monitor(a, i, &w, err);
    json_close(&w, ']');
    json_put_key(&w, "silences");
    if (!code) code = alert_db_put_silences(a->rounds.db, time_now_ns(), &w, err);
    json_put_key(&w, "targets");
    json_open(&w, '[');
    for (uint32_t i = 0; i < a->rounds.file.target_count; i++) {
        json_open(&w, '{');
        put_text(&w, "name", a->rounds.file.targets[i].name);
        put_text(&w, "kind", a->rounds.file.targets[i].kind);
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
        int64_t now_ns = time_now_ns();
        code = evaluator_knows(&a->rounds, monitor)
                   ? alert_db_silence(a->rounds.db, monitor, group, now_ns, now_ns + (int64_t)(minutes.real * 60e9),
                                      reason, err)
                   : error_set(err, VT_ENOTFOUND, "there is no monitor \"%.*s\"", (int)monitor.len, monitor.ptr);
        if (code == VT_ENOTFOUND) error_hint(err, "`vitrine alerts list` names them; \"*\" stands for all");
        pthread_mutex_unlock(&a->lock);
    }
    arena_free(&arena);
    return code;
}

int alerts_unsilence(struct alerts *a, int64_t id, struct error *err) {
    pthread_mutex_lock(&a->lock);
    int code = alert_db_unsilence(a->rounds.db, id, err);
    pthread_mutex_unlock(&a->lock);
    return code;
}
