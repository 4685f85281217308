/* See push.h. */
#include "serve/push.h"

#include "base/log.h"
#include "base/timestamp.h"
#include "forward/post.h"
#include "metrics/otlp_metrics.h"
#include "metrics/remote_write.h"
#include "serve/handlers.h"
#include "serve/server.h"

#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TIMEOUT_MS = 10000,
    LAST_TIMEOUT_MS = 3000, /* at the end nobody wants to wait */
    RETRY_FIRST_MS = 1000,
    SERIES_A_REQUEST = 5000, /* of remote write: what receivers like to take */
    GZIP_LEVEL = 1
};

struct push {
    struct target target;
    struct server *server;
    uint32_t interval_ms;
    CURL *curl; /* the thread's, as the next four */
    struct curl_slist *headers;
    struct libdeflate_compressor *gzip;
    struct buf body, packed;
    pthread_t thread;
    bool runs;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    bool stop;
    struct push_stats stats;
};

/* What came of one round. */
struct outcome {
    enum post_result verdict;
    struct post_answer answer; /* of the last request */
};

/* Sends p->packed. Nothing more is sent in a round of which something was not taken. */
static void send_packed(struct push *p, struct outcome *o) {
    if (o->verdict != POST_TAKEN) return;
    if (p->packed.failed) {
        o->verdict = POST_LATER;
        snprintf(o->answer.why, sizeof o->answer.why, "memory ran out");
    } else {
        o->verdict = target_post(p->curl, &p->target, p->headers, buf_slice(&p->packed), &o->answer);
    }
    pthread_mutex_lock(&p->lock);
    if (o->verdict == POST_TAKEN)
        p->stats.sent++;
    else
        p->stats.failed++;
    pthread_mutex_unlock(&p->lock);
}

static void push_otlp(struct push *p, struct outcome *o) {
    buf_clear(&p->body);
    buf_clear(&p->packed);
    otlp_metrics_write(p->server->prometheus, p->server->started_ns, time_now_ns(), &p->body);
    if (!p->body.len && !p->body.failed) return;
    size_t bound = libdeflate_gzip_compress_bound(p->gzip, p->body.len);
    if (!p->body.failed && buf_reserve(&p->packed, bound))
        p->packed.len = libdeflate_gzip_compress(p->gzip, p->body.ptr, p->body.len, p->packed.ptr, bound);
    if (!p->packed.len) p->packed.failed = true;
    send_packed(p, o);
}

/* The text of /metrics, piece by piece, as remote write. */
struct rewriting {
    struct prometheus_sink sink;
    struct push *push;
    struct outcome *outcome;
    int64_t now_ms;
    uint32_t series; /* in push->body */
};

static void send_series(struct rewriting *r) {
    struct push *p = r->push;
    if (!r->series) return;
    buf_clear(&p->packed);
    snappy_put_literals(buf_slice(&p->body), &p->packed);
    p->packed.failed = p->packed.failed || p->body.failed;
    send_packed(p, r->outcome);
    buf_clear(&p->body);
    r->series = 0;
}

static void rewrite_piece(struct prometheus_sink *sink) {
    struct rewriting *r = container_of(sink, struct rewriting, sink);
    r->series += remote_write_put(buf_slice(&sink->text), r->now_ms, &r->push->body);
    buf_clear(&sink->text);
    if (r->series >= SERIES_A_REQUEST) send_series(r);
}

static void push_prometheus(struct push *p, struct outcome *o) {
    struct rewriting r = {
        .sink = {.drain = rewrite_piece}, .push = p, .outcome = o, .now_ms = time_now_ns() / NS_PER_MS};
    buf_clear(&p->body);
    metrics_put(p->server, false, &r.sink);
    rewrite_piece(&r.sink);
    send_series(&r);
    buf_free(&r.sink.text);
}

static void push_round(struct push *p, struct outcome *o) {
    *o = (struct outcome){.verdict = POST_TAKEN};
    if (p->gzip)
        push_otlp(p, o);
    else
        push_prometheus(p, o);
    pthread_mutex_lock(&p->lock);
    bool was_well = !p->stats.problem[0], well = o->verdict == POST_TAKEN;
    if (well)
        p->stats.problem[0] = 0;
    else
        memcpy(p->stats.problem, o->answer.why[0] ? o->answer.why : "not taken", sizeof p->stats.problem);
    pthread_mutex_unlock(&p->lock);
    if (well && !was_well) log_info("pushing metrics to %s works again", p->stats.name);
    if (!well && was_well)
        log_warn("pushing metrics to %s fails: %s; it is tried again (told once)", p->stats.name, o->answer.why);
}

/* True when it is time to end. */
static bool pause_ms(struct push *p, int64_t ms) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * NS_PER_MS;
    if (until.tv_nsec >= NS_PER_S) until.tv_nsec -= NS_PER_S, until.tv_sec++;
    pthread_mutex_lock(&p->lock);
    while (!p->stop && pthread_cond_timedwait(&p->wake, &p->lock, &until) == 0) continue;
    bool stop = p->stop;
    pthread_mutex_unlock(&p->lock);
    return stop;
}

static void *push_loop(void *ctx) {
    struct push *p = ctx;
    struct outcome o;
    int64_t retry_ms = 0, wait_ms = p->interval_ms;
    while (!pause_ms(p, wait_ms)) {
        push_round(p, &o);
        /* What will never be taken waits for the next round, too: by then a setting may have been mended there. */
        retry_ms = o.verdict != POST_LATER ? 0 : retry_ms ? retry_ms * 2 : RETRY_FIRST_MS;
        if (retry_ms > p->interval_ms) retry_ms = p->interval_ms;
        wait_ms = o.answer.wait_ms ? o.answer.wait_ms : retry_ms ? retry_ms : p->interval_ms;
    }
    p->target.timeout_ms = LAST_TIMEOUT_MS;
    push_round(p, &o);
    return NULL;
}

int push_open(struct push **out, const char *target, unsigned place, uint32_t interval_ms, struct error *err) {
    struct push *p = calloc(1, sizeof *p);
    pthread_condattr_t clock;
    *out = NULL;
    if (!p) return error_set(err, VT_ENOMEM, "no memory to push metrics");
    int code = target_parse(target, TARGET_METRICS, &p->target, err);
    bool otlp = !code && strcmp(p->target.kind, "otlp") == 0;
    if (otlp) code = target_add_env_headers(&p->target, err);
    if (!code) {
        p->curl = curl_easy_init();
        p->headers = target_headers(&p->target);
        p->gzip = otlp ? libdeflate_alloc_compressor(GZIP_LEVEL) : NULL;
        if (!p->curl || !p->headers || (otlp && !p->gzip))
            code = error_set(err, VT_ENOMEM, "no memory to push metrics");
    }
    p->interval_ms = interval_ms;
    p->target.timeout_ms = TIMEOUT_MS;
    snprintf(p->stats.name, sizeof p->stats.name, "%s-%u", p->target.kind, place);
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&p->wake, &clock);
    pthread_condattr_destroy(&clock);
    if (code)
        push_free(p);
    else
        *out = p;
    return code;
}

int push_start(struct push *p, struct server *server, struct error *err) {
    p->server = server;
    p->runs = pthread_create(&p->thread, NULL, push_loop, p) == 0;
    return p->runs ? 0 : error_set(err, VT_ENOMEM, "no thread to push metrics");
}

void push_end(struct push *p) {
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    if (p->runs) pthread_join(p->thread, NULL);
    p->runs = false;
}

void push_free(struct push *p) {
    if (!p) return;
    push_end(p);
    curl_slist_free_all(p->headers);
    curl_easy_cleanup(p->curl);
    libdeflate_free_compressor(p->gzip);
    buf_free(&p->body);
    buf_free(&p->packed);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    explicit_bzero(&p->target, sizeof p->target);
    free(p);
}

void push_get_stats(struct push *p, struct push_stats *stats) {
    pthread_mutex_lock(&p->lock);
    *stats = p->stats;
    pthread_mutex_unlock(&p->lock);
}
