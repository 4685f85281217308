/* From memtable to segment: sort, write aside, sync, rename, enter in the catalog, drop the WAL file. */
#include "store/store_internal.h"

#include "base/log.h"
#include "base/timestamp.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RETRY_S = 5 };

/* A row and what it is sorted by: traces stand together, in the order in which they began. */
struct sort_row {
    int64_t trace_start_ns;
    const struct span *span;
};

static int by_trace(const void *a, const void *b) {
    const struct span *x = *(const struct span *const *)a, *y = *(const struct span *const *)b;
    int order = memcmp(x->trace_id, y->trace_id, TRACE_ID_SIZE);
    if (!order) order = memcmp(x->span_id, y->span_id, SPAN_ID_SIZE);
    return order;
}

static int by_start(const void *a, const void *b) {
    const struct sort_row *x = a, *y = b;
    if (x->trace_start_ns != y->trace_start_ns) return x->trace_start_ns < y->trace_start_ns ? -1 : 1;
    int order = memcmp(x->span->trace_id, y->span->trace_id, TRACE_ID_SIZE);
    if (order) return order;
    return x->span->start_ns < y->span->start_ns ? -1 : x->span->start_ns > y->span->start_ns;
}

/* Sorts in place. A span that was sent twice (same trace and span id) is kept once. Returns how many are left, or a negative code. */
static int64_t sort_spans(const struct span **spans, uint32_t count) {
    struct sort_row *rows = malloc(count * sizeof *rows + 1);
    uint32_t kept = 0;
    if (!rows) return VT_ENOMEM;
    qsort(spans, count, sizeof *spans, by_trace);
    for (uint32_t i = 0; i < count;) {
        uint32_t end = i;
        int64_t earliest = INT64_MAX;
        for (; end < count && memcmp(spans[i]->trace_id, spans[end]->trace_id, TRACE_ID_SIZE) == 0; end++)
            if (spans[end]->start_ns < earliest) earliest = spans[end]->start_ns;
        for (uint32_t k = i; k < end; k++)
            if (k == i || memcmp(spans[k]->span_id, spans[k - 1]->span_id, SPAN_ID_SIZE) != 0) rows[kept++] = (struct sort_row){earliest, spans[k]};
        i = end;
    }
    qsort(rows, kept, sizeof *rows, by_start);
    for (uint32_t i = 0; i < kept; i++) spans[i] = rows[i].span;
    free(rows);
    return kept;
}

static int sync_path(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int result = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0) close(fd);
    return result;
}

/* Writes the rows of one day as a segment under its final name. */
static int write_day(struct store *s, const struct span *const *rows, uint32_t count, struct catalog_entry *entry, struct error *err) {
    char day[32], dir[480], final[700], aside[720];
    *entry = (struct catalog_entry){.id = catalog_next_id(s->catalog), .rows = count, .min_start_ns = INT64_MAX, .max_start_ns = INT64_MIN};
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i]->start_ns < entry->min_start_ns) entry->min_start_ns = rows[i]->start_ns;
        if (rows[i]->start_ns > entry->max_start_ns) entry->max_start_ns = rows[i]->start_ns;
    }
    time_format(rows[0]->start_ns, 3, day);
    snprintf(entry->path, sizeof entry->path, "spans/%.10s/%012llu.parquet", day, (unsigned long long)entry->id);
    snprintf(dir, sizeof dir, "%s/%.10s", s->spans_dir, day);
    snprintf(final, sizeof final, "%s/%s", s->dir, entry->path);
    snprintf(aside, sizeof aside, "%s.tmp", final);
    if (mkdir(dir, 0700) && errno != EEXIST) return error_set(err, VT_EIO, "%s: %s", dir, strerror(errno));
    int code = segment_write(aside, rows, count, &entry->bytes, err);
    if (!code && rename(aside, final)) code = error_set(err, VT_EIO, "%s: %s", final, strerror(errno));
    if (!code && (sync_path(dir) || sync_path(s->spans_dir))) code = error_set(err, VT_EIO, "%s cannot be synced: %s", dir, strerror(errno));
    if (code) unlink(aside);
    return code;
}

static int64_t day_of(const struct span *span) { return span->start_ns / (86400 * INT64_C(1000000000)); }

static int add_segment(struct store *s, const struct catalog_entry *entry, struct segment **segment, struct error *err) {
    char path[700];
    snprintf(path, sizeof path, "%s/%s", s->dir, entry->path);
    return segment_open(segment, path, entry->id, err);
}

/* Under the lock. */
static bool list_segment(struct store *s, struct segment *segment) {
    if (s->segment_count == s->segment_capacity) {
        uint32_t capacity = s->segment_capacity ? 2 * s->segment_capacity : 64;
        struct segment **more = realloc(s->segments, capacity * sizeof *more);
        if (!more) return false;
        s->segments = more;
        s->segment_capacity = capacity;
    }
    s->segments[s->segment_count++] = segment;
    return true;
}

enum { DAYS_MAX = 4096 };

int seal_memtable(struct store *s, struct memtable *m, struct error *err) {
    uint32_t count = memtable_rows(m), entries = 0, opened = 0;
    const struct span **rows = malloc(count * sizeof *rows + 1);
    struct catalog_entry *entry = malloc(DAYS_MAX * sizeof *entry);
    struct segment **segments = calloc(DAYS_MAX, sizeof *segments);
    int64_t kept = rows && entry && segments ? 0 : VT_ENOMEM;
    for (uint32_t i = 0; !kept && i < count; i++) rows[i] = memtable_row(m, i);
    if (!kept) kept = sort_spans(rows, count);
    int code = kept < 0 ? error_set(err, VT_ENOMEM, "no memory to seal %u spans", count) : 0;
    /* Sorted by the traces' starts, so days come in runs, but for traces that cross midnight: those stay with their first day. */
    for (uint32_t start = 0, end; !code && start < (uint32_t)kept; start = end) {
        for (end = start + 1; end < (uint32_t)kept && (day_of(rows[end]) == day_of(rows[start]) || memcmp(rows[end]->trace_id, rows[end - 1]->trace_id, TRACE_ID_SIZE) == 0);) end++;
        if (entries == DAYS_MAX) end = (uint32_t)kept;
        else code = write_day(s, rows + start, end - start, &entry[entries++], err);
    }
    for (; !code && opened < entries; opened++) code = add_segment(s, &entry[opened], &segments[opened], err);
    if (!code) code = catalog_change(s->catalog, entry, entries, NULL, 0, memtable_wal(m), err);
    if (!code) {
        pthread_mutex_lock(&s->lock);
        for (uint32_t i = 0; i < entries; i++)
            if (!list_segment(s, segments[i])) log_error("no memory to list a segment; it is found again at the next start"), segment_unref(segments[i]);
        for (uint32_t i = 0; i < s->sealing_count; i++)
            if (s->sealing[i] == m) {
                memmove(&s->sealing[i], &s->sealing[i + 1], (--s->sealing_count - i) * sizeof *s->sealing);
                memtable_unref(m);
                break;
            }
        pthread_cond_broadcast(&s->sealed);
        pthread_mutex_unlock(&s->lock);
        char path[600];
        snprintf(path, sizeof path, "%s/%020llu.wal", s->wal_dir, (unsigned long long)memtable_wal(m));
        unlink(path);
    } else {
        for (uint32_t i = 0; i < opened; i++) segment_unref(segments[i]);
    }
    free(rows);
    free(entry);
    free(segments);
    return code;
}

void *seal_loop(void *ctx) {
    struct store *s = ctx;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->sealing_count && !s->sealer_stop) pthread_cond_wait(&s->sealer_wake, &s->lock);
        if (s->sealer_stop) break;
        struct memtable *m = memtable_ref(s->sealing[0]);
        pthread_mutex_unlock(&s->lock);
        struct error err = {0};
        int code = seal_memtable(s, m, &err);
        memtable_unref(m);
        if (code) log_error("sealing failed and is tried again in %d s: %s", RETRY_S, err.message);
        pthread_mutex_lock(&s->lock);
        s->sealer_stuck = code != 0;
        if (code && !s->sealer_stop) {
            struct timespec until;
            clock_gettime(CLOCK_MONOTONIC, &until);
            until.tv_sec += RETRY_S;
            pthread_cond_broadcast(&s->sealed);
            pthread_cond_timedwait(&s->sealer_wake, &s->lock, &until);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

int store_seal(struct store *s, struct error *err) {
    pthread_mutex_lock(&s->queue_lock);
    s->seal_wanted = true;
    pthread_cond_signal(&s->queue_wake);
    pthread_mutex_unlock(&s->queue_lock);
    for (;;) {
        pthread_mutex_lock(&s->queue_lock);
        bool asked = s->seal_wanted;
        pthread_mutex_unlock(&s->queue_lock);
        pthread_mutex_lock(&s->lock);
        bool done = !asked && !s->sealing_count, stuck = s->sealer_stuck;
        pthread_mutex_unlock(&s->lock);
        if (stuck) return error_set(err, VT_EIO, "sealing fails; the log says why");
        if (done) return 0;
        usleep(2000);
    }
}

static bool listed(const struct catalog_entry *entries, uint32_t count, const char *path) {
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(entries[i].path, path) == 0) return true;
    return false;
}

/* Removes files that a stopped process left half-written or did not enter in the catalog. */
static void remove_leftovers(struct store *s, const struct catalog_entry *entries, uint32_t count) {
    DIR *days = opendir(s->spans_dir);
    for (struct dirent *day; days && (day = readdir(days));) {
        char dir[700], path[1000], name[600];
        if (day->d_name[0] == '.') continue;
        snprintf(dir, sizeof dir, "%s/%s", s->spans_dir, day->d_name);
        DIR *files = opendir(dir);
        for (struct dirent *file; files && (file = readdir(files));) {
            size_t len = strlen(file->d_name);
            bool aside = len > 4 && strcmp(file->d_name + len - 4, ".tmp") == 0;
            bool segment = len > 8 && strcmp(file->d_name + len - 8, ".parquet") == 0;
            snprintf(name, sizeof name, "spans/%s/%s", day->d_name, file->d_name);
            snprintf(path, sizeof path, "%s/%s", dir, file->d_name);
            if ((aside || (segment && !listed(entries, count, name))) && unlink(path) == 0)
                log_info("removed %s, left by a process that was stopped while it wrote it; its spans are in the WAL or in other segments", name);
        }
        if (files) closedir(files);
    }
    if (days) closedir(days);
}

int load_segments(struct store *s, struct error *err) {
    struct catalog_entry *entries;
    uint32_t count;
    int code = catalog_list(s->catalog, &entries, &count, err);
    for (uint32_t i = 0; i < count && !code; i++) {
        struct segment *segment;
        struct error why = {0};
        if (add_segment(s, &entries[i], &segment, &why)) {
            log_error("segment %s is set aside: %s", entries[i].path, why.message);
            s->set_aside++;
        } else if (!list_segment(s, segment)) {
            code = error_set(err, VT_ENOMEM, "no memory for %u segments", count);
        }
    }
    if (!code && !s->options.read_only) remove_leftovers(s, entries, count);
    free(entries);
    return code;
}

void set_segment_aside(struct store *s, const struct segment *segment, const struct error *why) {
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->segment_count; i++) {
        if (s->segments[i] != segment) continue;
        log_error("segment %s is set aside: %s", segment_path(segment), why->message);
        char aside[800];
        snprintf(aside, sizeof aside, "%s.corrupt", segment_path(segment));
        if (!s->options.read_only && rename(segment_path(segment), aside) == 0) {
            uint64_t id = segment_id(segment);
            struct error err = {0};
            if (catalog_change(s->catalog, NULL, 0, &id, 1, 0, &err)) log_error("%s", err.message);
        }
        s->segments[i] = s->segments[--s->segment_count];
        s->set_aside++;
        segment_unref((struct segment *)(uintptr_t)segment);
        break;
    }
    pthread_mutex_unlock(&s->lock);
}
