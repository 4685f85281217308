/* One target: batches wait in memory for the packer, bodies on disk for the sender. */
#include "forward/forward.h"

#include "base/id.h"
#include "base/log.h"
#include "base/timestamp.h"
#include "forward/post.h"
#include "forward/spool.h"

#include <libdeflate.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    WAITING_SPANS_MAX = 200000, /* in memory, for the packer */
    RETRY_FIRST_MS = 1000,
    RETRY_MAX_MS = 60000,
    GATHER_MS = 200,
    GZIP_LEVEL = 4
};
static const uint64_t SPOOL_BYTES = UINT64_C(1) << 30;

struct waiting {
    struct waiting *next;
    struct batch *batch;
};

struct forward {
    struct target target;
    pthread_mutex_t lock; /* guards what follows down to stop, and the spool */
    pthread_cond_t wake;
    struct waiting *first, **tail;
    uint64_t waiting_spans;
    struct forward_stats stats;
    uint64_t fit_bytes; /* of a request, unpacked; less than the target's limit once it found one too large */
    bool told_drop;     /* that spans are being dropped was logged; again once it works */
    bool stop;
    struct spool spool;
    pthread_t packer, sender;
    bool packer_runs, sender_runs;
};

/* ---- in ---- */

/* Under the lock. */
static void note_drop(struct forward *f, uint64_t spans, const char *why) {
    f->stats.spans_dropped += spans;
    if (!f->told_drop) log_warn("forwarding to %s: spans are dropped: %s (told once)", f->stats.name, why);
    f->told_drop = true;
}

void forward_put(struct forward *f, struct batch *batch) {
    struct waiting *w = malloc(sizeof *w);
    pthread_mutex_lock(&f->lock);
    if (w && f->waiting_spans + batch->count <= WAITING_SPANS_MAX) {
        *w = (struct waiting){NULL, batch_ref(batch)};
        *f->tail = w;
        f->tail = &w->next;
        f->waiting_spans += batch->count;
        w = NULL;
        pthread_cond_broadcast(&f->wake);
    } else {
        note_drop(f, batch->count, "the disk does not keep up");
    }
    pthread_mutex_unlock(&f->lock);
    free(w);
}

/* ---- from memory to disk ---- */

static bool compress_body(struct libdeflate_compressor *gzip, struct slice body, struct buf *out) {
    buf_clear(out);
    size_t bound = libdeflate_gzip_compress_bound(gzip, body.len);
    if (!buf_reserve(out, bound)) return false;
    out->len = libdeflate_gzip_compress(gzip, body.ptr, body.len, out->ptr, bound);
    return out->len > 0;
}

/* What the packer works with. Its thread. */
struct packing {
    struct libdeflate_compressor *gzip;
    struct span *spans; /* of several batches, up to what one request takes; texts stay in the batches */
    uint32_t count;
    struct buf body, packed;
};

/* One request, or several when it would be too large. */
static void queue_spans(struct forward *f, struct packing *p, uint32_t from, uint32_t count) {
    struct error err = {0};
    buf_clear(&p->body);
    f->target.encode(p->spans + from, count, &p->body);
    pthread_mutex_lock(&f->lock);
    bool fits = p->body.len <= f->fit_bytes || count == 1;
    pthread_mutex_unlock(&f->lock);
    if (!fits) {
        queue_spans(f, p, from, count / 2);
        queue_spans(f, p, from + count / 2, count - count / 2);
        return;
    }
    bool ok = !p->body.failed && compress_body(p->gzip, buf_slice(&p->body), &p->packed);
    pthread_mutex_lock(&f->lock);
    uint64_t lost = f->spool.spans_dropped;
    int code =
        ok ? spool_push(&f->spool, buf_slice(&p->packed), count, &err) : error_set(&err, VT_ENOMEM, "memory ran out");
    if (code)
        note_drop(f, count, err.message);
    else
        f->stats.spans_queued += count;
    if (f->spool.spans_dropped > lost)
        note_drop(f, f->spool.spans_dropped - lost, "the queue on disk is at its limit, the oldest go");
    pthread_cond_broadcast(&f->wake);
    pthread_mutex_unlock(&f->lock);
}

static void flush_spans(struct forward *f, struct packing *p) {
    if (p->count) queue_spans(f, p, 0, p->count);
    p->count = 0;
}

static void pack(struct forward *f, struct packing *p, struct waiting *list) {
    for (struct waiting *w = list; w; w = w->next)
        for (uint32_t i = 0; i < w->batch->count; i++) {
            p->spans[p->count++] = w->batch->spans[i];
            if (p->count == f->target.spans_max) flush_spans(f, p);
        }
    flush_spans(f, p);
    for (struct waiting *next; list; list = next) {
        next = list->next;
        batch_unref(list->batch);
        free(list);
    }
}

/* Waits, but not beyond the end, nor once so many spans are there. Under the lock. */
static void pause_ms(struct forward *f, long ms, uint64_t enough_spans) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * NS_PER_MS;
    if (until.tv_nsec >= NS_PER_S) until.tv_nsec -= NS_PER_S, until.tv_sec++;
    while (!f->stop && f->waiting_spans < enough_spans && pthread_cond_timedwait(&f->wake, &f->lock, &until) == 0)
        continue;
}

static void *pack_loop(void *ctx) {
    struct forward *f = ctx;
    struct packing p = {.gzip = libdeflate_alloc_compressor(GZIP_LEVEL),
                        .spans = malloc(f->target.spans_max * sizeof *p.spans)};
    for (bool end = !p.gzip || !p.spans; !end;) {
        pthread_mutex_lock(&f->lock);
        while (!f->first && !f->stop) pthread_cond_wait(&f->wake, &f->lock);
        pause_ms(f, GATHER_MS, f->target.spans_max); /* small batches share a request */
        struct waiting *list = f->first;
        f->first = NULL;
        f->tail = &f->first;
        f->waiting_spans = 0;
        end = f->stop && !list;
        pthread_mutex_unlock(&f->lock);
        pack(f, &p, list);
    }
    buf_free(&p.body);
    buf_free(&p.packed);
    free(p.spans);
    libdeflate_free_compressor(p.gzip);
    return NULL;
}

/* ---- from disk to the target ---- */

/* What the sender works with. Its thread. */
struct sending {
    CURL *curl;
    struct curl_slist *headers;
    struct libdeflate_compressor *gzip;
    struct libdeflate_decompressor *gunzip;
    struct buf body, whole, part, packed;
    long retry_ms; /* the last pause; 0 = the target takes what it is sent */
};

/* Of gzip that we wrote ourselves: its last four bytes say how much it was. */
static bool unpack_body(struct libdeflate_decompressor *gunzip, struct slice packed, struct buf *out) {
    uint32_t size;
    if (packed.len < sizeof size) return false;
    memcpy(&size, packed.ptr + packed.len - sizeof size, sizeof size);
    buf_clear(out);
    if (!buf_reserve(out, size)) return false;
    out->len = size;
    return libdeflate_gzip_decompress(gunzip, packed.ptr, packed.len, out->ptr, size, NULL) == LIBDEFLATE_SUCCESS;
}

/* The body that the target found too large is queued again in halves, and later ones are made no larger than these.
 * POST_TAKEN when they are there, POST_NEVER when it has no halves, POST_LATER when memory or disk are short now. */
static enum post_result halve(struct forward *f, struct sending *s, const struct spool_file *file) {
    struct error err = {0};
    uint32_t half = file->spans / 2;
    if (!half || !unpack_body(s->gunzip, buf_slice(&s->body), &s->whole)) return POST_NEVER;
    for (uint32_t from = 0; from < file->spans;) {
        uint32_t to = from ? file->spans : half;
        buf_clear(&s->part);
        f->target.cut(buf_slice(&s->whole), from, to, &s->part);
        if (s->part.failed || !compress_body(s->gzip, buf_slice(&s->part), &s->packed)) return POST_LATER;
        pthread_mutex_lock(&f->lock);
        int code = spool_push(&f->spool, buf_slice(&s->packed), to - from, &err);
        if (f->fit_bytes > s->whole.len / 2) f->fit_bytes = s->whole.len / 2;
        pthread_mutex_unlock(&f->lock);
        if (code) return POST_LATER; /* a half that is queued already will arrive twice */
        from = to;
    }
    return POST_TAKEN;
}

/* Under the lock. */
static void wait_for_target(struct forward *f, struct sending *s, const struct post_answer *answer) {
    if (!s->retry_ms)
        log_warn("forwarding to %s waits: %s; %u requests are queued on disk", f->stats.name, answer->why,
                 f->spool.count);
    s->retry_ms = s->retry_ms ? s->retry_ms * 2 < RETRY_MAX_MS ? s->retry_ms * 2 : RETRY_MAX_MS : RETRY_FIRST_MS;
    long jitter = (long)(random_u64() % (uint64_t)(s->retry_ms / 2 + 1));
    pause_ms(f, answer->wait_ms ? answer->wait_ms : s->retry_ms / 2 + jitter, UINT64_MAX);
}

/* One request, the oldest. Takes the lock and gives it back around what is slow. */
static void send_oldest(struct forward *f, struct sending *s, struct spool_file file) {
    struct error err = {0};
    struct post_answer answer = {0};
    int code = spool_read(&f->spool, &file, &s->body, &err);
    pthread_mutex_unlock(&f->lock);
    enum post_result verdict =
        code ? POST_NEVER : target_post(s->curl, &f->target, s->headers, buf_slice(&s->body), &answer);
    bool too_large = verdict == POST_TOO_LARGE;
    if (too_large) verdict = halve(f, s, &file);
    pthread_mutex_lock(&f->lock);
    if (verdict == POST_LATER) {
        wait_for_target(f, s, &answer);
        return;
    }
    if (s->retry_ms) log_info("forwarding to %s goes on", f->stats.name);
    s->retry_ms = 0;
    if (verdict == POST_TAKEN && !too_large) {
        f->stats.requests_sent++;
        if (answer.rejected)
            note_drop(f, answer.rejected < file.spans ? answer.rejected : file.spans, answer.why);
        else
            f->told_drop = false;
    } else if (verdict == POST_NEVER) {
        f->stats.requests_refused++;
        note_drop(f, file.spans, code ? err.message : answer.why);
    }
    spool_pop(&f->spool, file.number);
}

static void *send_loop(void *ctx) {
    struct forward *f = ctx;
    struct sending s = {.curl = curl_easy_init(),
                        .headers = target_headers(&f->target),
                        .gzip = libdeflate_alloc_compressor(GZIP_LEVEL),
                        .gunzip = libdeflate_alloc_decompressor()};
    pthread_mutex_lock(&f->lock);
    while (s.curl && s.headers && s.gzip && s.gunzip && !f->stop) {
        const struct spool_file *oldest = spool_oldest(&f->spool);
        if (oldest)
            send_oldest(f, &s, *oldest);
        else
            pthread_cond_wait(&f->wake, &f->lock);
    }
    pthread_mutex_unlock(&f->lock);
    buf_free(&s.body);
    buf_free(&s.whole);
    buf_free(&s.part);
    buf_free(&s.packed);
    libdeflate_free_compressor(s.gzip);
    libdeflate_free_decompressor(s.gunzip);
    curl_slist_free_all(s.headers);
    curl_easy_cleanup(s.curl);
    return NULL;
}

/* ---- life ---- */

int forward_open(struct forward **out, const char *target, const char *spool_dir, uint64_t limit_bytes,
                 struct error *err) {
    struct forward *f = calloc(1, sizeof *f);
    pthread_condattr_t clock;
    *out = NULL;
    if (!f) return error_set(err, VT_ENOMEM, "no memory for forwarding");
    int code = target_parse(target, TARGET_SPANS, &f->target, err);
    if (!code) code = spool_open(&f->spool, spool_dir, limit_bytes ? limit_bytes : SPOOL_BYTES, err);
    if (code) {
        free(f);
        return code;
    }
    const char *slash = strrchr(spool_dir, '/');
    snprintf(f->stats.name, sizeof f->stats.name, "%s", slash ? slash + 1 : spool_dir);
    f->tail = &f->first;
    f->fit_bytes = f->target.bytes_max;
    pthread_mutex_init(&f->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&f->wake, &clock);
    pthread_condattr_destroy(&clock);
    f->packer_runs = pthread_create(&f->packer, NULL, pack_loop, f) == 0;
    f->sender_runs = f->packer_runs && pthread_create(&f->sender, NULL, send_loop, f) == 0;
    if (!f->sender_runs) {
        forward_close(f);
        return error_set(err, VT_ENOMEM, "no thread for forwarding");
    }
    *out = f;
    return 0;
}

void forward_close(struct forward *f) {
    if (!f) return;
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_cond_broadcast(&f->wake);
    pthread_mutex_unlock(&f->lock);
    if (f->packer_runs) pthread_join(f->packer, NULL);
    if (f->sender_runs) pthread_join(f->sender, NULL);
    spool_close(&f->spool);
    pthread_cond_destroy(&f->wake);
    pthread_mutex_destroy(&f->lock);
    explicit_bzero(&f->target, sizeof f->target);
    free(f);
}

void forward_get_stats(struct forward *f, struct forward_stats *stats) {
    pthread_mutex_lock(&f->lock);
    *stats = f->stats;
    stats->queue_bytes = f->spool.bytes;
    stats->queue_files = f->spool.count;
    pthread_mutex_unlock(&f->lock);
}
