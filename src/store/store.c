/* The write path: queue, writer thread, WAL, memtable. And the life of the whole. */
#include "store/trace_indexes.h"

#include "base/log.h"
#include "base/timestamp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    SEAL_ROWS = 65536,
    SEAL_BYTES = 12 << 20,
    SEAL_AFTER_MS = 30000,
    QUEUE_BATCHES = 1024,
    QUEUE_BYTES = 16 << 20,
    GROUP_MAX = 256, /* batches that one sync serves at most */
    FREE_PARTS = 8,  /* of a small disk, a part is kept free; of a large one, what a seal needs */
    PROBE_MS = 1000,
    IDLE_MS = 100,
    WISH_MS = 2,
    FULL_MS = 3000,           /* after a write found the disk full, so long nothing is tried */
    HURRY_BYTES_S = 24 << 20, /* memtables that fill faster are sealed in a hurry */
    HURRY_ENDS_MS = 300
};

struct pending {
    struct pending *next;
    uint64_t bytes; /* all that it holds while it waits */
    struct batch *batch;
    store_done *done;
    void *ctx;
};

static void default_options(struct store_options *o) {
    if (!o->seal_rows) o->seal_rows = SEAL_ROWS;
    if (!o->seal_bytes) o->seal_bytes = SEAL_BYTES;
    if (!o->seal_after_ms) o->seal_after_ms = SEAL_AFTER_MS;
    if (!o->queue_batches) o->queue_batches = QUEUE_BATCHES;
    if (!o->queue_bytes) o->queue_bytes = QUEUE_BYTES;
}

/* ---- in ---- */

static void pending_free(struct pending *p) {
    batch_unref(p->batch);
    free(p);
}

int store_append(struct store *s, struct batch *batch, store_done *done, void *ctx, struct error *err) {
    if (s->options.read_only) return error_set(err, VT_EUNSUPPORTED, "the store was opened for reading only");
    struct pending *p = calloc(1, sizeof *p);
    if (!p) return error_set(err, VT_ENOMEM, "no memory for a batch");
    batch_pack(batch);
    if (batch->payload.failed || batch->payload.len > WAL_RECORD_MAX) {
        free(p);
        return error_set(err, VT_ENOMEM, "no memory for a batch of %u spans", batch->count);
    }
    p->batch = batch_ref(batch);
    p->bytes = batch_bytes(batch);
    p->done = done;
    p->ctx = ctx;
    int code = 0;
    pthread_mutex_lock(&s->queue_lock);
    if (s->stop)
        code = error_set(err, VT_ECANCELLED, "the store is closing");
    else if (atomic_load(&s->disk_full))
        code = error_set(err, VT_EFULL, "the disk of %s is full", s->dir);
    else if (atomic_load(&s->backlogged))
        code = error_set(err, VT_EFULL, "segments cannot be written to %s; see the log", s->dir);
    else if (s->queued >= s->options.queue_batches ||
             (s->queued && s->queued_bytes + p->bytes > s->options.queue_bytes))
        code = error_set(err, VT_EFULL, "%u batches wait to be written", s->queued);
    if (!code) {
        *s->queue_tail = p;
        s->queue_tail = &p->next;
        s->queued++;
        s->queued_bytes += p->bytes;
        pthread_cond_signal(&s->queue_wake);
    } else {
        s->refused++;
    }
    pthread_mutex_unlock(&s->queue_lock);
    if (code) {
        pending_free(p);
        if (err && code == VT_EFULL)
            error_hint(err, "send it again later; see `vitrine doctor` and the free space of the data directory");
    }
    return code;
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool done;
    int code;
};

static void wake_waiter(void *ctx, int code) {
    struct waiter *w = ctx;
    pthread_mutex_lock(&w->lock);
    w->done = true;
    w->code = code;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

int store_append_wait(struct store *s, struct batch *batch, struct error *err) {
    struct waiter w = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    int code = store_append(s, batch, wake_waiter, &w, err);
    if (code) return code;
    pthread_mutex_lock(&w.lock);
    while (!w.done) pthread_cond_wait(&w.wake, &w.lock);
    pthread_mutex_unlock(&w.lock);
    return w.code ? error_set(err, w.code, "the batch was not written: %s",
                              w.code == VT_EFULL ? "disk full" : "write failed")
                  : 0;
}

/* ---- the writer ---- */

static struct pending *take_queue(struct store *s, struct pending **list) {
    pthread_mutex_lock(&s->queue_lock);
    /* A wish to seal that could not be met at once (the sealer is behind, the disk full) is looked at again soon. */
    int64_t until = time_monotonic_ns() + (int64_t)(s->seal_wanted ? WISH_MS : IDLE_MS) * NS_PER_MS;
    struct timespec deadline = {until / NS_PER_S, until % NS_PER_S};
    if (!s->queue && !s->stop) pthread_cond_timedwait(&s->queue_wake, &s->queue_lock, &deadline);
    *list = s->queue;
    struct pending *last = *list;
    for (uint32_t n = 1; last && last->next && n < GROUP_MAX; n++) last = last->next;
    s->queue = last ? last->next : NULL;
    if (!s->queue) s->queue_tail = &s->queue;
    if (last) last->next = NULL;
    for (struct pending *p = *list; p; p = p->next) s->queued--, s->queued_bytes -= p->bytes;
    pthread_mutex_unlock(&s->queue_lock);
    return *list;
}

/* Sealing needs room for a segment before it can drop the WAL file, so that much is left free. */
static bool disk_has_room(struct store *s) {
    struct statvfs fs;
    if (statvfs(s->dir, &fs)) return true;
    uint64_t total = (uint64_t)fs.f_blocks * fs.f_frsize, keep = s->options.seal_bytes;
    if (keep > total / FREE_PARTS) keep = total / FREE_PARTS;
    return (uint64_t)fs.f_bavail * fs.f_frsize > keep;
}

static void note_disk(struct store *s, bool full) {
    if (atomic_exchange(&s->disk_full, full) == full) return;
    if (full)
        log_error("the disk of %s is full: new spans are refused until there is room, queries go on", s->dir);
    else
        log_info("the disk of %s has room again: new spans are taken", s->dir);
}

/* A write found no room, whatever the file system says of its free space (a quota, reserved blocks). */
static void find_full(struct store *s) {
    s->full_until_ns = time_monotonic_ns() + (int64_t)FULL_MS * NS_PER_MS;
    note_disk(s, true);
}

static int write_group(struct store *s, struct pending *list, struct error *err) {
    struct slice payloads[GROUP_MAX];
    uint32_t count = 0;
    for (struct pending *p = list; p; p = p->next) payloads[count++] = buf_slice(&p->batch->payload);
    if (s->wal.fd < 0 || s->wal.broken)
        return error_set(err, atomic_load(&s->disk_full) ? VT_EFULL : VT_EIO, "no WAL file can be written in %s",
                         s->wal_dir);
    int code = wal_append(&s->wal, payloads, count, err);
    if (!code && !s->options.async_durability && !(code = wal_sync(&s->wal, err))) s->fsyncs++;
    return code;
}

static void finish_group(struct store *s, struct pending *list, int code) {
    struct error err = {0};
    for (struct pending *p = list, *next; p; p = next) {
        next = p->next;
        int own = code ? code : memtable_add(s->active, buf_slice(&p->batch->payload), &err);
        if (!own) {
            s->appended += p->batch->count;
            s->batches++;
            if (s->watch) s->watch(s->watch_ctx, p->batch);
        } else if (!code) {
            log_error("%s", err.message);
        }
        if (p->done) p->done(p->ctx, own);
        pending_free(p);
    }
}

/* Whether spans come in faster than they can be packed well, told by how long the memtable took to fill. */
static void note_hurry(struct store *s, int64_t now_ns, bool full) {
    int64_t took_ns = now_ns - s->active_since_ns;
    if (s->options.hurry)
        atomic_store(&s->hurried, s->options.hurry != STORE_HURRY_NEVER);
    else if (full)
        atomic_store(&s->hurried, (double)memtable_bytes(s->active) * NS_PER_S > (double)took_ns * HURRY_BYTES_S);
    else if (took_ns > (int64_t)HURRY_ENDS_MS * NS_PER_MS)
        atomic_store(&s->hurried, false);
}

/* A new memtable with a WAL file of its own; the old one goes to the sealer when there is something in it. */
static void rotate(struct store *s) {
    struct error err = {0};
    struct wal wal;
    int64_t now = time_monotonic_ns();
    if (now < s->rotate_after_ns) return;
    uint64_t number = memtable_wal(s->active) + 1;
    struct memtable *fresh = memtable_new(number), *old;
    int code =
        fresh ? wal_create(&wal, s->wal_dir, number, &err) : error_set(&err, VT_ENOMEM, "no memory for a memtable");
    if (!code && wal_sync(&s->wal, &err)) log_error("%s", err.message); /* its spans are in memory and will be sealed */
    if (code) {
        s->rotate_after_ns = now + (int64_t)PROBE_MS * NS_PER_MS;
        if (!atomic_load(&s->disk_full)) log_error("sealing waits: %s", err.message);
        if (code == VT_EFULL) find_full(s);
        memtable_unref(fresh);
        return;
    }
    wal_close(&s->wal);
    s->wal = wal;
    pthread_mutex_lock(&s->lock);
    old = s->active;
    s->active = fresh;
    s->active_since_ns = now;
    if (memtable_rows(old) || (s->carried && !s->sealing_count)) s->sealing[s->sealing_count++] = old, old = NULL;
    pthread_cond_signal(&s->sealer_wake);
    pthread_cond_broadcast(&s->sealed);
    pthread_mutex_unlock(&s->lock);
    if (!old) return;
    char path[512];
    wal_path(s->wal_dir, memtable_wal(old), path, sizeof path);
    unlink(path);
    memtable_unref(old);
}

static void rotate_if_due(struct store *s) {
    uint32_t rows = memtable_rows(s->active);
    bool wanted, room, carried, unwritable = s->wal.fd < 0 || s->wal.broken;
    bool full = rows >= s->options.seal_rows || memtable_bytes(s->active) >= s->options.seal_bytes;
    int64_t now_ns = time_monotonic_ns();
    if (!full) note_hurry(s, now_ns, false);
    pthread_mutex_lock(&s->lock);
    room = s->sealing_count < SEALING_MAX;
    /* With nothing new there is still something to seal: traces that wait. But not while a seal looks at them. */
    carried = s->carried && !s->sealing_count;
    pthread_mutex_unlock(&s->lock);
    bool nothing = !rows && !carried;
    pthread_mutex_lock(&s->queue_lock);
    wanted = s->seal_wanted;
    if (nothing) s->seal_wanted = false;
    pthread_mutex_unlock(&s->queue_lock);
    if (nothing && wanted) {
        pthread_mutex_lock(&s->lock);
        pthread_cond_broadcast(&s->sealed);
        pthread_mutex_unlock(&s->lock);
    }
    if (nothing) {
        if (unwritable) rotate(s);
        return;
    }
    if (!room) return;
    if (!unwritable && !wanted && !full && now_ns - s->active_since_ns <= (int64_t)s->options.seal_after_ms * NS_PER_MS)
        return;
    if (full) note_hurry(s, now_ns, true);
    rotate(s);
    pthread_mutex_lock(&s->queue_lock);
    if (wanted && !memtable_rows(s->active)) s->seal_wanted = false;
    pthread_mutex_unlock(&s->queue_lock);
}

/* A sealer that cannot keep up holds the writer, and so the queue, and so the senders: memory stays bounded. One that
 * fails does not hold it, but new spans are refused. */
static void wait_for_sealer(struct store *s) {
    bool over = memtable_bytes(s->active) >= s->options.seal_bytes + s->options.seal_bytes / 4 ||
                memtable_rows(s->active) >= 2 * s->options.seal_rows;
    pthread_mutex_lock(&s->lock);
    while (s->sealing_count >= SEALING_MAX && over && !s->sealer_stuck) pthread_cond_wait(&s->sealed, &s->lock);
    atomic_store(&s->backlogged, s->sealing_count >= SEALING_MAX && over);
    pthread_mutex_unlock(&s->lock);
}

static void write_list(struct store *s, struct pending *list) {
    struct error err = {0};
    int code = write_group(s, list, &err);
    if (code && !atomic_load(&s->disk_full)) log_error("%s", err.message);
    if (code == VT_EFULL) find_full(s);
    atomic_store(&s->wal_bytes, s->wal.bytes);
    finish_group(s, list, code);
    if (!code && s->options.async_durability && wal_sync(&s->wal, &err)) log_error("%s", err.message);
}

static void *write_loop(void *ctx) {
    struct store *s = ctx;
    int64_t probed_ns = 0;
    pthread_setname_np(pthread_self(), "vt-wal");
    struct pending *list;
    for (;;) {
        if (take_queue(s, &list)) write_list(s, list);
        int64_t now = time_monotonic_ns();
        if (now - probed_ns > (int64_t)PROBE_MS * NS_PER_MS) {
            probed_ns = now;
            if (now >= s->full_until_ns) note_disk(s, !disk_has_room(s));
        }
        rotate_if_due(s);
        wait_for_sealer(s);
        pthread_mutex_lock(&s->queue_lock);
        bool end = s->stop && !s->queue;
        pthread_mutex_unlock(&s->queue_lock);
        if (end) break;
    }
    struct error err = {0};
    if (wal_sync(&s->wal, &err)) log_error("%s", err.message);
    return NULL;
}

/* ---- life ---- */

static int make_dir(const char *path, struct error *err) {
    if (mkdir(path, 0700) == 0 || errno == EEXIST) return 0;
    return error_set(err, VT_EIO, "%s cannot be made: %s", path, strerror(errno));
}

static int lock_dir(struct store *s, struct error *err) {
    char path[600];
    snprintf(path, sizeof path, "%s/LOCK", s->dir);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0) return error_set(err, VT_EIO, "%s: %s", path, strerror(errno));
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0) return 0;
    int code = error_set(err, VT_EIO, "%s is in use by another vitrine", s->dir);
    error_hint(err, "ask that one over HTTP (--url), or stop it first");
    return code;
}

static int start_threads(struct store *s, struct error *err) {
    s->writer_runs = pthread_create(&s->writer, NULL, write_loop, s) == 0;
    s->sealer_runs = s->writer_runs && pthread_create(&s->sealer, NULL, seal_loop, s) == 0;
    s->keeper_runs = s->sealer_runs && pthread_create(&s->keeper, NULL, keep_loop, s) == 0;
    return s->keeper_runs ? 0 : error_set(err, VT_ENOMEM, "no thread for the store");
}

int store_open(struct store **out, const struct store_options *options, struct error *err) {
    struct store *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s) return error_set(err, VT_ENOMEM, "no memory for the store");
    s->options = *options;
    default_options(&s->options);
    s->lock_fd = s->wal.fd = -1;
    s->queue_tail = &s->queue;
    snprintf(s->dir, sizeof s->dir, "%s", options->dir);
    snprintf(s->wal_dir, sizeof s->wal_dir, "%s/wal", options->dir);
    snprintf(s->spans_dir, sizeof s->spans_dir, "%s/spans", options->dir);
    snprintf(s->catalog_path, sizeof s->catalog_path, "%s/catalog.sqlite", options->dir);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->queue_lock, NULL);
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->keeping, NULL);
    pthread_mutex_init(&s->changing, NULL);
    pthread_cond_init(&s->queue_wake, &clock);
    pthread_cond_init(&s->sealer_wake, &clock);
    pthread_cond_init(&s->sealed, &clock);
    pthread_cond_init(&s->keeper_wake, &clock);
    pthread_condattr_destroy(&clock);
    int code = s->options.read_only ? 0 : make_dir(s->dir, err);
    if (!code && !s->options.read_only && !(code = lock_dir(s, err)) && !(code = make_dir(s->wal_dir, err)))
        code = make_dir(s->spans_dir, err);
    if (!code) code = catalog_open(&s->catalog, s->catalog_path, s->options.read_only, err);
    if (!code && !(code = load_store(s, err))) trace_indexes_load(s);
    if (!code && !s->options.read_only) {
        struct error why = {0};
        s->active_since_ns = time_monotonic_ns();
        /* On a full disk the store opens for queries; the writer tries again. */
        if (wal_create(&s->wal, s->wal_dir, memtable_wal(s->active), &why) == VT_EFULL)
            note_disk(s, true);
        else if (why.code && err)
            *err = why;
        code = why.code == VT_EFULL ? 0 : why.code;
    }
    if (!code && !s->options.read_only) code = start_threads(s, err);
    if (code) {
        store_close(s);
        return code;
    }
    *out = s;
    return 0;
}

void store_close(struct store *s) {
    if (!s) return;
    atomic_store(&s->closing, true);
    pthread_mutex_lock(&s->queue_lock);
    s->stop = true;
    pthread_cond_broadcast(&s->queue_wake);
    pthread_mutex_unlock(&s->queue_lock);
    if (s->writer_runs) pthread_join(s->writer, NULL);
    pthread_mutex_lock(&s->lock);
    s->sealer_stop = true;
    pthread_cond_broadcast(&s->sealer_wake);
    pthread_cond_broadcast(&s->keeper_wake);
    pthread_cond_broadcast(&s->sealed);
    pthread_mutex_unlock(&s->lock);
    if (s->sealer_runs) pthread_join(s->sealer, NULL);
    if (s->keeper_runs) pthread_join(s->keeper, NULL);
    wal_close(&s->wal);
    trace_indexes_unref(s->indexes);
    segments_unref(s->segments, s->segment_count);
    for (uint32_t i = 0; i < s->sealing_count; i++) memtable_unref(s->sealing[i]);
    memtable_unref(s->carried);
    memtable_unref(s->active);
    segments_release_doubts(s);
    catalog_close(s->catalog);
    if (s->lock_fd >= 0) close(s->lock_fd);
    pthread_cond_destroy(&s->queue_wake);
    pthread_cond_destroy(&s->sealer_wake);
    pthread_cond_destroy(&s->sealed);
    pthread_cond_destroy(&s->keeper_wake);
    pthread_mutex_destroy(&s->keeping);
    pthread_mutex_destroy(&s->changing);
    pthread_mutex_destroy(&s->queue_lock);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void store_set_watch(struct store *s, store_watch *watch, void *ctx) {
    s->watch = watch;
    s->watch_ctx = ctx;
}

const char *store_catalog_path(const struct store *s) {
    return s->catalog_path;
}

uint64_t store_queue_bytes_max(const struct store *s) {
    return s->options.queue_bytes;
}

bool store_is_read_only(const struct store *s) {
    return s->options.read_only;
}
