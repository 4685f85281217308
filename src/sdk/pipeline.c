/* See pipeline.h. Two mutexes: `gate` guards the little that threads tell each other and is held for moments; `work` is
 * held while exporters run, and is the only thing that guards them. */
#include "sdk/pipeline.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum { TELL_EVERY_NS = NS_PER_S, STOP_GRACE_MS = 1000 /* for exporters that keep to their time, but not quite */ };

/* A set of waiting spans on its way through the exporters. */
struct batch {
    vt_finished *views;
    uint32_t count, cap;
    struct view_room room;
    struct block *spent; /* blocks to release after the export */
};

static struct {
    pthread_mutex_t gate;
    pthread_cond_t wake, done;
    _Atomic bool on;  /* between start and stop */
    bool thread_runs; /* the background thread exists */
    bool stopping, woken, left_behind;
    uint64_t flush_asked, flush_done; /* tickets */
    int flush_result;
    uint32_t flush_timeout_ms; /* the longest that was asked for */
    pthread_t thread;

    pthread_mutex_t work;
    struct settings *settings;
    vt_exporter exporters[PIPELINE_EXPORTERS];
    size_t exporter_count;
    struct batch batch;
    bool failed;                        /* an export failed since the last flush */
    bool lost_told[PIPELINE_EXPORTERS]; /* VITRINE_DEBUG named the exporter's losses; until one goes well */
    uint64_t told_queue, told_export;   /* losses that on_drop knows of */
    uint64_t lost_before;               /* all losses when the present run of them began */
    bool losing;                        /* and VITRINE_DEBUG has told so */
    int64_t told_ns;

    _Atomic uint64_t exported, dropped_export;
    _Atomic uint32_t starting; /* the background thread is wanted and does not run yet */
    _Atomic bool synchronous;
} pipeline = {.gate = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_MUTEX_INITIALIZER};

_Thread_local bool pipeline_exporting __attribute__((tls_model("initial-exec")));

static pthread_once_t conds_once = PTHREAD_ONCE_INIT;

static void make_conds(void) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&pipeline.wake, &attr);
    pthread_cond_init(&pipeline.done, &attr);
    pthread_condattr_destroy(&attr);
}

static struct timespec deadline_in(uint32_t ms) {
    int64_t ns = time_monotonic_ns() + (int64_t)ms * NS_PER_MS;
    return (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
}

/* Telling of losses ------------------------------------------------------------------------------------------------ */

/* An exporter, or a callback, of the application: what it does is not traced. */
static void tell_application(uint64_t spans, const char *reason) {
    const struct settings *s = pipeline.settings;
    if (!spans || !s->on_drop) return;
    pipeline_exporting = true;
    s->on_drop(s->on_drop_ctx, spans, reason);
    pipeline_exporting = false;
}

/* Once when it begins and once when it is over, however long it lasts. */
static void tell_debug(uint64_t queue, uint64_t export) {
    uint64_t all = pipeline.told_queue + pipeline.told_export;
    bool loses = queue || export;
    if (loses && !pipeline.losing) {
        pipeline.lost_before = all - queue - export;
        if (queue) debug_line("spans are dropped: the queue of %u spans is full", pipeline.settings->queue_size);
        if (export) debug_line("spans are dropped: an exporter failed");
    } else if (!loses && pipeline.losing) {
        debug_line("%llu spans were dropped; now all go out again", (unsigned long long)(all - pipeline.lost_before));
    }
    pipeline.losing = loses;
}

/* Work held. */
static void tell_drops(bool last) {
    int64_t now_ns = time_monotonic_ns();
    if (!last && now_ns - pipeline.told_ns < TELL_EVERY_NS) return;
    uint64_t counts[COUNT_END];
    thread_sums(counts);
    uint64_t queue = counts[COUNT_DROPPED_QUEUE] - pipeline.told_queue;
    uint64_t export = atomic_load(&pipeline.dropped_export) - pipeline.told_export;
    if (!queue && !export && !pipeline.losing) return;
    pipeline.told_ns = now_ns;
    pipeline.told_queue += queue;
    pipeline.told_export += export;
    tell_debug(queue, export);
    tell_application(queue, "queue full");
    tell_application(export, "export failed");
}

/* Exporting (work held) -------------------------------------------------------------------------------------------- */

static void export_views(const vt_finished *views, uint32_t count) {
    const struct settings *s = pipeline.settings;
    bool lost = false;
    pipeline_exporting = true;
    for (size_t i = 0; i < pipeline.exporter_count; i++) {
        const vt_exporter *exporter = &pipeline.exporters[i];
        bool failed = exporter->export_spans(exporter->ctx, s->resource, s->resource_count, views, count) != 0;
        if (failed && !pipeline.lost_told[i])
            debug_line("exporter %s loses spans", exporter->name ? exporter->name : "?");
        pipeline.lost_told[i] = failed;
        lost |= failed;
    }
    pipeline_exporting = false;
    atomic_fetch_add_explicit(lost ? &pipeline.dropped_export : &pipeline.exported, count, memory_order_relaxed);
    if (lost) pipeline.failed = true;
}

static void count_later_loss(uint64_t spans) {
    if (!spans) return;
    atomic_fetch_sub_explicit(&pipeline.exported, spans, memory_order_relaxed);
    atomic_fetch_add_explicit(&pipeline.dropped_export, spans, memory_order_relaxed);
    pipeline.failed = true;
}

/* Exporters that send later tell later what they lost. */
static void ask_for_losses(void) {
    for (size_t i = 0; i < pipeline.exporter_count; i++) {
        const vt_exporter *exporter = &pipeline.exporters[i];
        if (exporter->lost) count_later_loss(exporter->lost(exporter->ctx));
    }
}

static void export_batch(struct batch *batch) {
    /* A fork may meet us anywhere: what is given back must not stand here any more. */
    struct block *spent = batch->spent;
    batch->spent = NULL;
    if (batch->count) export_views(batch->views, batch->count);
    queue_release(spent, batch->count);
    batch->count = 0;
    view_room_clear(&batch->room);
}

static void add_to_batch(struct batch *batch, const struct record *record) {
    /* Blocks in spent hold records of this batch only: the one in hand lies in a block that is not read to its end. */
    bool whole = batch->count == batch->cap;
    if (whole || !view_room_fits(&batch->room, record)) {
        export_batch(batch);
        if (!whole) view_room_enlarge(&batch->room);
    }
    if (!view_room_fits(&batch->room, record)) { /* no memory */
        atomic_fetch_add_explicit(&pipeline.dropped_export, 1, memory_order_relaxed);
        pipeline.failed = true;
        queue_release(NULL, 1);
        return;
    }
    record_view(record, (const char *)(record + 1), &batch->room, &batch->views[batch->count++]);
}

/* Exports all that waits now. A thread that adds as fast as we read cannot hold us: one queue's length is the most
 * taken. */
static void drain(void) {
    struct batch *batch = &pipeline.batch;
    if (!batch->views) return;
    queue_looked();
    uint32_t most = queue_size();
    for (struct thread *thread = thread_first(); thread; thread = thread->next) {
        const struct record *record;
        for (uint32_t taken = 0; taken < most && (record = queue_next(&thread->queue, &batch->spent)); taken++)
            add_to_batch(batch, record);
        export_batch(batch);
    }
    thread_sweep();
    ask_for_losses();
    tell_drops(false);
}

static int flush_exporters(uint32_t timeout_ms) {
    int result = 0;
    pipeline_exporting = true;
    for (size_t i = 0; i < pipeline.exporter_count; i++) {
        const vt_exporter *exporter = &pipeline.exporters[i];
        int one = exporter->flush ? exporter->flush(exporter->ctx, timeout_ms) : 0;
        if (one && !result) result = one;
    }
    pipeline_exporting = false;
    ask_for_losses();
    if (pipeline.failed) result = VT_ERROR_EXPORT;
    pipeline.failed = false;
    return result;
}

/* The background thread -------------------------------------------------------------------------------------------- */

static void *run(void *unused) {
    (void)unused;
    pthread_mutex_lock(&pipeline.gate);
    while (!pipeline.left_behind) {
        if (!pipeline.woken && !pipeline.stopping && pipeline.flush_asked == pipeline.flush_done) {
            struct timespec deadline = deadline_in(pipeline.settings->delay_ms);
            while (!pipeline.woken && !pipeline.stopping && pipeline.flush_asked == pipeline.flush_done)
                if (pthread_cond_timedwait(&pipeline.wake, &pipeline.gate, &deadline) == ETIMEDOUT) break;
        }
        uint64_t ticket = pipeline.flush_asked;
        bool flush = ticket != pipeline.flush_done, stop = pipeline.stopping;
        uint32_t timeout_ms = pipeline.settings->timeout_ms;
        if (pipeline.flush_timeout_ms < timeout_ms) timeout_ms = pipeline.flush_timeout_ms;
        pipeline.woken = false;
        pipeline.flush_timeout_ms = 0;
        pthread_mutex_unlock(&pipeline.gate);

        pthread_mutex_lock(&pipeline.work);
        drain();
        int result = flush ? flush_exporters(timeout_ms) : 0;
        pthread_mutex_unlock(&pipeline.work);

        pthread_mutex_lock(&pipeline.gate);
        if (flush) {
            pipeline.flush_done = ticket;
            pipeline.flush_result = result;
            pthread_cond_broadcast(&pipeline.done);
        }
        if (stop) break;
    }
    pipeline.thread_runs = false;
    pthread_cond_broadcast(&pipeline.done);
    pthread_mutex_unlock(&pipeline.gate);
    return NULL;
}

/* Gate held: a caller that asked before it had the gate may find another run by now, which wants no thread. */
static bool wants_thread(void) {
    return atomic_load(&pipeline.on) && !atomic_load(&pipeline.synchronous);
}

/* Gate held, and a thread wanted. Signals stay with the application's threads. */
static bool ensure_thread(void) {
    if (pipeline.thread_runs) return true;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pipeline.thread_runs = pthread_create(&pipeline.thread, NULL, run, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pipeline.thread_runs) {
        pthread_setname_np(pipeline.thread, "vitrine");
    } else {
        debug_line("no background thread could be started: spans wait until vt_flush or vt_shutdown");
    }
    return pipeline.thread_runs;
}

static void wake(void) {
    pthread_mutex_lock(&pipeline.gate);
    if (wants_thread()) {
        ensure_thread();
        pipeline.woken = true;
        pthread_cond_signal(&pipeline.wake);
    }
    pthread_mutex_unlock(&pipeline.gate);
}

/* What the others call --------------------------------------------------------------------------------------------- */

static void push_now(const struct record *record, const char *data) {
    if (pipeline_exporting) { /* an exporter ends a span: nobody may take it now */
        atomic_fetch_add_explicit(&pipeline.dropped_export, 1, memory_order_relaxed);
        return;
    }
    pthread_mutex_lock(&pipeline.work);
    struct batch *batch = &pipeline.batch;
    if (pipeline.settings && batch->views) {
        if (view_room_fits(&batch->room, record)) {
            record_view(record, data, &batch->room, batch->views);
            export_views(batch->views, 1);
            view_room_clear(&batch->room);
        } else { /* no memory */
            atomic_fetch_add_explicit(&pipeline.dropped_export, 1, memory_order_relaxed);
            pipeline.failed = true;
        }
        if (__builtin_expect(pipeline.failed || pipeline.losing, 0)) tell_drops(false);
    }
    pthread_mutex_unlock(&pipeline.work);
}

void pipeline_push(struct thread *thread, const struct record *record, const char *data) {
    if (!atomic_load_explicit(&pipeline.on, memory_order_relaxed)) return;
    thread_count(thread, COUNT_FINISHED, 1);
    if (atomic_load_explicit(&pipeline.synchronous, memory_order_relaxed)) {
        push_now(record, data);
        return;
    }
    bool tell = false;
    if (__builtin_expect(!queue_push(&thread->queue, record, data, &tell), 0))
        thread_count(thread, COUNT_DROPPED_QUEUE, 1);
    if (__builtin_expect(tell, 0))
        wake();
    else if (__builtin_expect(atomic_load_explicit(&pipeline.starting, memory_order_relaxed), 0) &&
             atomic_exchange(&pipeline.starting, 0)) {
        pthread_mutex_lock(&pipeline.gate);
        if (wants_thread()) ensure_thread();
        pthread_mutex_unlock(&pipeline.gate);
    }
}

int pipeline_flush(uint32_t timeout_ms) {
    if (!atomic_load(&pipeline.on) || pipeline_exporting) return 0;
    int result = 0;
    if (atomic_load(&pipeline.synchronous)) {
        pthread_mutex_lock(&pipeline.work);
        if (pipeline.settings) result = flush_exporters(timeout_ms);
        pthread_mutex_unlock(&pipeline.work);
        return result;
    }
    struct timespec deadline = deadline_in(timeout_ms);
    pthread_mutex_lock(&pipeline.gate);
    bool wanted = wants_thread();
    if (!wanted || !ensure_thread()) {
        pthread_mutex_unlock(&pipeline.gate);
        return wanted ? VT_ERROR_MEMORY : 0;
    }
    uint64_t ticket = ++pipeline.flush_asked;
    if (pipeline.flush_timeout_ms < timeout_ms) pipeline.flush_timeout_ms = timeout_ms;
    pthread_cond_signal(&pipeline.wake);
    while (timeout_ms && pipeline.flush_done < ticket && pipeline.thread_runs && !result)
        if (pthread_cond_timedwait(&pipeline.done, &pipeline.gate, &deadline) == ETIMEDOUT &&
            pipeline.flush_done < ticket)
            result = VT_ERROR_TIMEOUT;
    if (!result && timeout_ms) result = pipeline.flush_result;
    pthread_mutex_unlock(&pipeline.gate);
    return result;
}

bool pipeline_start(struct settings *settings, const vt_exporter *exporters, size_t count) {
    pthread_once(&conds_once, make_conds);
    uint32_t cap = settings->synchronous ? 1 : settings->batch_size;
    vt_finished *views = malloc(cap * sizeof *views);
    pthread_mutex_lock(&pipeline.gate);
    if (!views || pipeline.left_behind) {
        pthread_mutex_unlock(&pipeline.gate);
        free(views);
        return false;
    }
    pthread_mutex_lock(&pipeline.work);
    pipeline.settings = settings;
    pipeline.exporter_count = count;
    memcpy(pipeline.exporters, exporters, count * sizeof *exporters);
    pipeline.batch = (struct batch){.views = views, .cap = cap};
    pipeline.stopping = pipeline.woken = false;
    atomic_store(&pipeline.synchronous, settings->synchronous);
    queue_limits(settings->queue_size, settings->batch_size);
    /* From the first span on, also while the background thread is not there yet: a thread that ends first leaves its
     * spans. */
    thread_exporter_runs(!settings->synchronous);
    atomic_store(&pipeline.starting, 1);
    atomic_store(&pipeline.on, true);
    pthread_mutex_unlock(&pipeline.work);
    pthread_mutex_unlock(&pipeline.gate);
    return true;
}

/* Waits for the background thread to end; false: it hangs in an exporter past its time. */
static bool stop_thread(uint32_t timeout_ms) {
    struct timespec deadline =
        deadline_in(timeout_ms < UINT32_MAX - STOP_GRACE_MS ? timeout_ms + STOP_GRACE_MS : UINT32_MAX);
    pthread_mutex_lock(&pipeline.gate);
    bool ran = pipeline.thread_runs, own = ran && pthread_equal(pipeline.thread, pthread_self());
    pipeline.stopping = true;
    pthread_cond_signal(&pipeline.wake);
    int waited = 0;
    while (ran && !own && pipeline.thread_runs && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&pipeline.done, &pipeline.gate, &deadline);
    bool ended = !pipeline.thread_runs;
    if (!ended) pipeline.left_behind = true;
    pthread_t thread = pipeline.thread;
    pthread_mutex_unlock(&pipeline.gate);
    if (ran && ended)
        pthread_join(thread, NULL);
    else if (ran)
        pthread_detach(thread);
    return ended;
}

static uint32_t left_ms(int64_t end_ns) {
    int64_t left_ns = end_ns - time_monotonic_ns();
    return left_ns > 0 ? (uint32_t)(left_ns / NS_PER_MS) : 0;
}

void pipeline_stop(void) {
    if (pipeline_exporting || !atomic_exchange(&pipeline.on, false)) return;
    uint32_t timeout_ms = pipeline.settings->timeout_ms;
    int64_t end_ns = time_monotonic_ns() + (int64_t)timeout_ms * NS_PER_MS;
    if (!atomic_load(&pipeline.synchronous) && !stop_thread(timeout_ms)) {
        /* exit() from inside an exporter, or one that does not return: what it uses must stay. */
        debug_line("an exporter did not return within %u ms: its spans are lost", timeout_ms);
        return;
    }
    pthread_mutex_lock(&pipeline.work);
    drain();                              /* what came without a background thread, or since its last look */
    flush_exporters(left_ms(end_ns) / 2); /* the other half is for shutdown */
    pipeline_exporting = true;
    for (size_t i = 0; i < pipeline.exporter_count; i++) {
        const vt_exporter *exporter = &pipeline.exporters[i];
        if (exporter->shutdown) count_later_loss(exporter->shutdown(exporter->ctx, left_ms(end_ns)));
    }
    pipeline_exporting = false;
    tell_drops(true);
    pipeline.exporter_count = 0;
    memset(pipeline.lost_told, 0, sizeof pipeline.lost_told);
    pipeline.failed = pipeline.losing = false;
    free(pipeline.batch.views);
    view_room_free(&pipeline.batch.room);
    pipeline.batch = (struct batch){0};
    settings_free(pipeline.settings);
    pipeline.settings = NULL;
    pthread_mutex_unlock(&pipeline.work);
    thread_exporter_runs(false);
    queue_trim();
}

struct pipeline_counts pipeline_counts(void) {
    return (struct pipeline_counts){atomic_load(&pipeline.exported), atomic_load(&pipeline.dropped_export)};
}

void pipeline_forked(void) {
    /* Whoever held these is not here. */
    pthread_mutex_init(&pipeline.gate, NULL);
    pthread_mutex_init(&pipeline.work, NULL);
    make_conds();
    pipeline.thread_runs = pipeline.woken = pipeline.stopping = pipeline.left_behind = false;
    pipeline.flush_done = pipeline.flush_asked;
    pipeline_exporting = pipeline.losing = false;
    pipeline.batch.spent = NULL; /* the few blocks on their way stay behind */
    pipeline.batch.count = 0;
    view_room_clear(&pipeline.batch.room);
    atomic_store(&pipeline.starting, 1);
    if (!atomic_load(&pipeline.on)) return;
    thread_exporter_runs(!atomic_load(&pipeline.synchronous));
    for (size_t i = 0; i < pipeline.exporter_count; i++)
        if (pipeline.exporters[i].forked) pipeline.exporters[i].forked(pipeline.exporters[i].ctx);
}
