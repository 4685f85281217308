/* See otlp_sender.h. One mutex guards all but the HTTP handle and the spool, which are the thread's (or, when there is
 * no thread, of whoever stops the sender); it is never held while either is at work. */
#include "sdk/otlp_sender.h"

#include "base/id.h"
#include "base/timestamp.h"
#include "sdk/env.h"
#include "sdk/otlp_http.h"
#include "sdk/otlp_spool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum { GRACE_MS = 1000, JUST_NOW_S = 5 };

struct sender {
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    pthread_t thread;
    bool runs, stopping;
    struct parcel *first, **end; /* oldest first */
    size_t bytes;                /* of all parcels, with the one on its way */
    uint64_t flush_asked, flush_done;
    int flush_result;
    bool spooled;          /* the spool may hold something */
    bool failing;          /* the last attempt failed, and VITRINE_DEBUG told so */
    bool refusing;         /* the same of an answer that refuses for good */
    bool losing;           /* the same of batches that found no room */
    bool spool_fails;      /* the same of the spool */
    uint32_t delay_ms;     /* before the next attempt */
    int64_t next_try_ns;   /* of the monotonic clock */
    int64_t not_before_ns; /* the collector's Retry-After, 0 = it said nothing */
    int64_t failed_at_ns;  /* … */
    uint64_t lost_told;    /* lost when the failing began */
    uint64_t lost_total;

    struct otlp_settings settings;
    struct otlp_http http;
    struct spool spool;
    struct buf body; /* of a spooled batch */
    _Atomic uint64_t lost;
};

static void make_locks(struct sender *s) {
    pthread_condattr_t attr;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &attr);
    pthread_cond_init(&s->done, &attr);
    pthread_condattr_destroy(&attr);
}

static struct timespec at_time(int64_t ns) {
    return (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
}

/* Parcels (lock held) -----------------------------------------------------------------------------------------------
 */

static void push_back(struct sender *s, struct parcel *parcel) {
    parcel->next = NULL;
    *s->end = parcel;
    s->end = &parcel->next;
    s->bytes += parcel->size;
}

static struct parcel *pop(struct sender *s) {
    struct parcel *parcel = s->first;
    if (!parcel) return NULL;
    s->first = parcel->next;
    if (!s->first) s->end = &s->first;
    return parcel;
}

/* Back to where it was taken from. */
static void push_front(struct sender *s, struct parcel *parcel) {
    if (!s->first) s->end = &parcel->next;
    parcel->next = s->first;
    s->first = parcel;
}

static void finish_parcel(struct sender *s, struct parcel *parcel) {
    s->bytes -= parcel->size;
    free(parcel);
}

static void count_lost(struct sender *s, uint64_t spans) {
    s->lost_total += spans;
    atomic_fetch_add(&s->lost, spans);
}

/* Telling (lock held) -----------------------------------------------------------------------------------------------
 */

static void tell_failing(struct sender *s) {
    if (s->failing) return;
    s->failing = true;
    s->lost_told = s->lost_total;
    if (s->spool.dir)
        debug_line("OTLP: %s does not take spans (%s): they wait in %s", s->settings.told_as, s->http.why,
                   s->spool.dir);
    else
        debug_line("OTLP: %s does not take spans (%s): up to %llu KiB of them wait in memory", s->settings.told_as,
                   s->http.why, (unsigned long long)s->settings.memory_max_bytes / 1024);
}

static void tell_taken(struct sender *s) {
    if (s->failing || s->refusing)
        debug_line("OTLP: %s takes spans again; %llu were lost meanwhile", s->settings.told_as,
                   (unsigned long long)(s->lost_total - s->lost_told));
    s->failing = s->refusing = s->losing = s->spool_fails = false;
    if (s->http.why[0]) debug_line("OTLP: %s", s->http.why);
}

static void tell_refused(struct sender *s) {
    if (s->refusing) return;
    s->refusing = true;
    if (!s->failing) s->lost_told = s->lost_total;
    debug_line("OTLP: %s refuses spans (%s): they are lost", s->settings.told_as, s->http.why);
}

static void lose(struct sender *s, uint64_t spans, const char *why) {
    if (spans && !s->losing) debug_line("OTLP: spans are dropped: %s", why);
    if (spans) s->losing = true;
    count_lost(s, spans);
}

/* The spool ---------------------------------------------------------------------------------------------------------
 */

/* Lock held, and left while the disk is at work. False: it stays in memory. */
static bool to_spool(struct sender *s, struct parcel *parcel) {
    struct error err;
    uint32_t lost;
    pthread_mutex_unlock(&s->lock);
    int failed = spool_put(&s->spool, slice_make(parcel->body, parcel->size), parcel->spans, &lost, &err);
    pthread_mutex_lock(&s->lock);
    lose(s, lost, "the spool is full");
    if (failed) {
        if (!s->spool_fails) debug_line("OTLP: %s", err.message);
        s->spool_fails = true;
        return false;
    }
    s->spooled = true;
    finish_parcel(s, parcel);
    return true;
}

static void spill(struct sender *s) {
    struct parcel *parcel;
    while ((parcel = pop(s)))
        if (!to_spool(s, parcel)) {
            push_front(s, parcel);
            return;
        }
}

/* Sending (lock held, and left while the collector is at work) ------------------------------------------------------
 */

static void wait_before_retry(struct sender *s) {
    const struct otlp_settings *settings = &s->settings;
    s->delay_ms = s->delay_ms ? s->delay_ms * 2 : settings->retry_first_ms;
    if (s->delay_ms > settings->retry_last_ms) s->delay_ms = settings->retry_last_ms;
    /* Between half and one and a half of it, lest all applications come back at once. */
    uint64_t wait_ms = s->delay_ms / 2 + random_u64() % (s->delay_ms + 1);
    if (s->http.retry_after_ms > wait_ms)
        wait_ms = s->http.retry_after_ms + wait_ms % (s->http.retry_after_ms / 10 + 1);
    s->failed_at_ns = time_monotonic_ns();
    s->next_try_ns = s->failed_at_ns + (int64_t)wait_ms * NS_PER_MS;
    s->not_before_ns = s->failed_at_ns + (int64_t)s->http.retry_after_ms * NS_PER_MS;
}

/* Those that asked up to this ticket. */
static void answer_flush(struct sender *s, uint64_t ticket, int result) {
    if (s->flush_done >= ticket) return;
    s->flush_done = ticket;
    s->flush_result = result;
    pthread_cond_broadcast(&s->done);
}

static void account(struct sender *s, enum otlp_verdict verdict, uint32_t spans) {
    switch (verdict) {
    case OTLP_TAKEN:
        tell_taken(s);
        count_lost(s, s->http.rejected < spans ? s->http.rejected : spans);
        s->delay_ms = 0;
        s->next_try_ns = 0;
        s->not_before_ns = 0;
        break;
    case OTLP_REFUSED:
        tell_refused(s);
        count_lost(s, spans);
        break;
    case OTLP_LATER:
        tell_failing(s);
        wait_before_retry(s);
        break;
    }
}

static enum otlp_verdict send_parcel(struct sender *s) {
    struct parcel *parcel = pop(s);
    pthread_mutex_unlock(&s->lock);
    enum otlp_verdict verdict = otlp_http_post(&s->http, slice_make(parcel->body, parcel->size));
    pthread_mutex_lock(&s->lock);
    account(s, verdict, parcel->spans);
    if (verdict == OTLP_LATER)
        push_front(s, parcel);
    else
        finish_parcel(s, parcel);
    return verdict;
}

static enum otlp_verdict send_spooled(struct sender *s) {
    uint32_t spans = 0;
    enum otlp_verdict verdict = OTLP_TAKEN;
    pthread_mutex_unlock(&s->lock);
    bool taken = spool_take(&s->spool, &s->body, &spans);
    if (taken) {
        verdict = otlp_http_post(&s->http, buf_slice(&s->body));
        spool_done(&s->spool, verdict != OTLP_LATER);
    }
    pthread_mutex_lock(&s->lock);
    if (taken)
        account(s, verdict, spans);
    else
        s->spooled = false;
    return verdict;
}

/* What is on disk is older than what is in memory. */
static void attempt(struct sender *s) {
    uint64_t ticket = s->flush_asked; /* who asks from here on gets an attempt that begins after */
    enum otlp_verdict verdict = s->spooled ? send_spooled(s) : send_parcel(s);
    if (verdict != OTLP_LATER) return;
    if (s->spool.dir) spill(s);
    answer_flush(s, ticket, VT_ERROR_TIMEOUT);
}

/* The end: one try, unless one has just failed; then the spool, or nothing. */
static void send_last(struct sender *s) {
    bool hopeless = s->failing && time_monotonic_ns() - s->failed_at_ns < (int64_t)JUST_NOW_S * NS_PER_S;
    while (s->first && !hopeless && time_monotonic_ns() < atomic_load(&s->http.give_up_ns))
        hopeless = send_parcel(s) == OTLP_LATER;
    if (s->spool.dir) spill(s);
    for (struct parcel *parcel; (parcel = pop(s)); finish_parcel(s, parcel))
        lose(s, parcel->spans, "the program ends before the collector takes them");
    answer_flush(s, s->flush_asked, hopeless ? VT_ERROR_TIMEOUT : 0);
}

static void *run(void *ctx) {
    struct sender *s = ctx;
    pthread_mutex_lock(&s->lock);
    while (!s->stopping) {
        bool waits = s->first || s->spooled, flush = s->flush_asked != s->flush_done;
        /* A flush cuts our own waits short, but not what the collector asked for. */
        int64_t try_ns = flush ? s->not_before_ns : s->next_try_ns;
        if (waits && time_monotonic_ns() >= try_ns) {
            attempt(s);
        } else if (s->first && s->failing && s->spool.dir && !s->spool_fails) {
            spill(s); /* what came meanwhile: the process may not live to see the collector again */
        } else if (waits) {
            struct timespec until = at_time(try_ns);
            pthread_cond_timedwait(&s->wake, &s->lock, &until);
        } else {
            answer_flush(s, s->flush_asked, 0);
            pthread_cond_wait(&s->wake, &s->lock);
        }
    }
    send_last(s);
    s->runs = false;
    pthread_cond_broadcast(&s->done);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Signals stay with the application's threads. */
static void ensure_thread(struct sender *s) {
    if (s->runs || s->stopping) return;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    s->runs = pthread_create(&s->thread, NULL, run, s) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (s->runs)
        pthread_setname_np(s->thread, "vitrine-otlp");
    else
        debug_line("OTLP: no thread could be started: spans wait");
}

/* What the exporter calls -------------------------------------------------------------------------------------------
 */

int sender_new(struct sender **out, struct otlp_settings *settings, struct error *err) {
    struct sender *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s) {
        otlp_settings_free(settings);
        return error_set(err, VT_ENOMEM, "no memory for the OTLP exporter");
    }
    s->settings = *settings;
    s->end = &s->first;
    make_locks(s);
    otlp_http_init(&s->http, &s->settings);
    int failed = spool_open(&s->spool, s->settings.spool_dir, s->settings.spool_max_bytes, err);
    if (failed) {
        otlp_settings_free(&s->settings);
        free(s);
        return failed;
    }
    s->spooled = spool_has_files(&s->spool);
    pthread_mutex_lock(&s->lock);
    if (s->spooled) ensure_thread(s);
    pthread_mutex_unlock(&s->lock);
    *out = s;
    return 0;
}

void sender_put(struct sender *s, struct parcel *parcel) {
    pthread_mutex_lock(&s->lock);
    while (s->first && s->bytes + parcel->size > s->settings.memory_max_bytes) {
        struct parcel *oldest = pop(s);
        lose(s, oldest->spans, "too many wait in memory for the collector");
        finish_parcel(s, oldest);
    }
    push_back(s, parcel);
    ensure_thread(s);
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

int sender_flush(struct sender *s, uint32_t timeout_ms) {
    struct timespec deadline = at_time(time_monotonic_ns() + (int64_t)timeout_ms * NS_PER_MS);
    pthread_mutex_lock(&s->lock);
    int result = 0;
    if (s->first || s->spooled) ensure_thread(s); /* after a fork, say */
    if (s->runs) {
        uint64_t ticket = ++s->flush_asked;
        pthread_cond_signal(&s->wake);
        while (s->flush_done < ticket && !result)
            if (pthread_cond_timedwait(&s->done, &s->lock, &deadline) == ETIMEDOUT && s->flush_done < ticket)
                result = VT_ERROR_TIMEOUT;
        if (!result) result = s->flush_result;
    }
    pthread_mutex_unlock(&s->lock);
    return result;
}

uint64_t sender_lost(struct sender *s) {
    return atomic_exchange(&s->lost, 0);
}

uint64_t sender_stop(struct sender *s, uint32_t timeout_ms) {
    int64_t deadline_ns = time_monotonic_ns() + (int64_t)timeout_ms * NS_PER_MS;
    struct timespec until = at_time(deadline_ns + (int64_t)GRACE_MS * NS_PER_MS);
    atomic_store(&s->http.give_up_ns, deadline_ns);
    pthread_mutex_lock(&s->lock);
    bool ran = s->runs;
    s->stopping = true;
    if (!ran) send_last(s);
    pthread_cond_signal(&s->wake);
    while (s->runs && pthread_cond_timedwait(&s->done, &s->lock, &until) != ETIMEDOUT) {
    }
    bool ended = !s->runs;
    pthread_mutex_unlock(&s->lock);
    if (!ended) { /* what it uses must stay */
        pthread_detach(s->thread);
        return sender_lost(s);
    }
    if (ran) pthread_join(s->thread, NULL);
    otlp_http_free(&s->http);
    buf_free(&s->body);
    pthread_cond_destroy(&s->wake);
    pthread_cond_destroy(&s->done);
    pthread_mutex_destroy(&s->lock);
    otlp_settings_free(&s->settings);
    uint64_t lost = sender_lost(s);
    free(s);
    return lost;
}

void sender_forked(struct sender *s) {
    /* The parent sends what waits; the fork may have met its thread anywhere in it, so it stays behind here. */
    make_locks(s);
    s->runs = s->stopping = s->spooled = false;
    s->failing = s->refusing = s->losing = s->spool_fails = false;
    s->first = NULL;
    s->end = &s->first;
    s->bytes = 0;
    s->flush_done = s->flush_asked;
    s->delay_ms = 0;
    s->next_try_ns = 0;
    s->not_before_ns = 0;
    s->body = (struct buf){0};
    atomic_store(&s->lost, 0);
    atomic_store(&s->http.give_up_ns, 0);
    otlp_http_forked(&s->http);
    spool_forked(&s->spool);
}
