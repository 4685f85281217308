/* Which indexes of traces there are, and making them. A file is written under another name and renamed, holds what it
 * was made of, and is never changed; so whatever is found at a start is whole, or says by its checksums that it is not.
 */
#include "store/trace_indexes.h"

#include "base/log.h"
#include "base/timestamp.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    UNCOVERED_MAX = 16, /* so many segments in no index are worth one */
    DEAD_MAX = 16,      /* so many that are gone make it worth to make it anew */
    FULL = TRACE_INDEX_SEGMENTS - UNCOVERED_MAX,
    RETRY_S = 60,
    PATH_BYTES = 500
};

struct place {
    uint64_t segment;
    uint32_t index, number;
};

struct trace_indexes {
    atomic_int references;
    uint32_t count, place_count;
    struct trace_index **indexes;
    struct place *places; /* by segment */
};

/* ---- those of a moment ---- */

struct trace_indexes *trace_indexes_ref(struct trace_indexes *all) {
    if (all) atomic_fetch_add_explicit(&all->references, 1, memory_order_relaxed);
    return all;
}

void trace_indexes_unref(struct trace_indexes *all) {
    if (!all || atomic_fetch_sub_explicit(&all->references, 1, memory_order_acq_rel) > 1) return;
    for (uint32_t i = 0; i < all->count; i++) trace_index_unref(all->indexes[i]);
    free(all->indexes);
    free(all->places);
    free(all);
}

uint32_t trace_indexes_count(const struct trace_indexes *all) {
    return all ? all->count : 0;
}

struct trace_index *trace_indexes_at(const struct trace_indexes *all, uint32_t i) {
    return all->indexes[i];
}

static const struct place *place_of(const struct trace_indexes *all, uint64_t segment) {
    uint32_t low = 0, count = all ? all->place_count : 0;
    while (count) {
        uint32_t half = count / 2;
        if (all->places[low + half].segment < segment)
            low += half + 1, count -= half + 1;
        else
            count = half;
    }
    return all && low < all->place_count && all->places[low].segment == segment ? &all->places[low] : NULL;
}

bool trace_indexes_place(const struct trace_indexes *all, uint64_t segment, uint32_t *index, uint32_t *number) {
    const struct place *place = place_of(all, segment);
    if (!place) return false;
    *index = place->index;
    *number = place->number;
    return true;
}

static int by_segment(const void *a, const void *b) {
    const struct place *x = a, *y = b;
    if (x->segment != y->segment) return x->segment < y->segment ? -1 : 1;
    return x->index > y->index ? -1 : x->index < y->index; /* the later one holds */
}

static int by_id(const void *a, const void *b) {
    uint64_t x = segment_id(*(struct segment *const *)a), y = segment_id(*(struct segment *const *)b);
    return x < y ? -1 : x > y;
}

static const struct segment *find_segment(struct segment *const *by_ids, uint32_t count, uint64_t id) {
    uint32_t low = 0;
    for (uint32_t left = count; left;) {
        uint32_t half = left / 2;
        if (segment_id(by_ids[low + half]) < id)
            low += half + 1, left -= half + 1;
        else
            left = half;
    }
    return low < count && segment_id(by_ids[low]) == id ? by_ids[low] : NULL;
}

/* Takes references of its own; `segments` are those that are listed, by id. NULL without memory. */
static struct trace_indexes *put_together(struct trace_index *const *indexes, uint32_t count,
                                          struct segment *const *segments, uint32_t segment_count) {
    struct trace_indexes *all = calloc(1, sizeof *all);
    bool done = all && (all->indexes = calloc(count + 1, sizeof *all->indexes)) &&
                (all->places = calloc((size_t)count * TRACE_INDEX_SEGMENTS + 1, sizeof *all->places));
    uint32_t found = 0;
    if (all) atomic_init(&all->references, 1);
    for (uint32_t i = 0; i < count && done; i++) {
        uint32_t own;
        const struct trace_index_segment *entries = trace_index_segments(indexes[i], &own);
        all->indexes[all->count++] = trace_index_ref(indexes[i]);
        for (uint32_t n = 0; n < own; n++) {
            const struct segment *segment = find_segment(segments, segment_count, entries[n].id);
            if (segment && trace_index_is_of(&entries[n], segment))
                all->places[found++] = (struct place){entries[n].id, i, n};
        }
    }
    if (!done) {
        trace_indexes_unref(all);
        return NULL;
    }
    if (found) qsort(all->places, found, sizeof *all->places, by_segment);
    for (uint32_t i = 0; i < found; i++)
        if (!i || all->places[i].segment != all->places[i - 1].segment)
            all->places[all->place_count++] = all->places[i];
    return all;
}

static void publish(struct store *s, struct trace_indexes *all) {
    pthread_mutex_lock(&s->lock);
    struct trace_indexes *old = s->indexes;
    s->indexes = all;
    pthread_mutex_unlock(&s->lock);
    trace_indexes_unref(old);
}

static struct trace_indexes *current(struct store *s) {
    pthread_mutex_lock(&s->lock);
    struct trace_indexes *all = trace_indexes_ref(s->indexes);
    pthread_mutex_unlock(&s->lock);
    return all;
}

/* How many of its segments are listed and held by no later index. */
static uint32_t live_count(const struct trace_indexes *all, uint32_t i) {
    uint32_t live = 0;
    for (uint32_t p = 0; p < all->place_count; p++) live += all->places[p].index == i;
    return live;
}

/* ---- what a start finds ---- */

static void index_path(const struct store *s, uint64_t number, char path[PATH_BYTES]) {
    snprintf(path, PATH_BYTES, "%s/index/%012llu.traces", s->dir, (unsigned long long)number);
}

static bool has_end(const char *name, const char *end) {
    size_t len = strlen(name), end_len = strlen(end);
    return len > end_len && strcmp(name + len - end_len, end) == 0;
}

static int by_path(const void *a, const void *b) {
    return strcmp(trace_index_path(*(struct trace_index *const *)a), trace_index_path(*(struct trace_index *const *)b));
}

static void load_file(struct store *s, const char *name, struct trace_index **indexes, uint32_t *count) {
    char path[PATH_BYTES + 300];
    struct error why = {0};
    snprintf(path, sizeof path, "%s/index/%s", s->dir, name);
    if (has_end(name, ".traces.tmp") && !s->options.read_only) unlink(path);
    if (!has_end(name, ".traces")) return;
    uint64_t number = strtoull(name, NULL, 10);
    if (number >= s->index_next) s->index_next = number + 1;
    int code = trace_index_open(&indexes[*count], path, &why);
    if (!code) ++*count;
    if (!code || code == VT_ENOTFOUND || s->options.read_only) return;
    log_warn("%s; it is made again", why.message);
    if (code == VT_ECORRUPT) unlink(path);
}

/* Those that may stay come first; returns how many. A segment that is gone may have been erased. */
static uint32_t drop_stale(struct store *s, struct trace_indexes *all) {
    uint32_t kept = 0;
    for (uint32_t i = 0, own; i < all->count; i++) {
        trace_index_segments(all->indexes[i], &own);
        if (live_count(all, i) == own) {
            struct trace_index *swap = all->indexes[kept];
            all->indexes[kept++] = all->indexes[i];
            all->indexes[i] = swap;
        } else {
            trace_index_drop(all->indexes[i]);
        }
    }
    if (kept < all->count)
        log_info("%u indexes of traces in %s/index are stale and made again", all->count - kept, s->dir);
    return kept;
}

void trace_indexes_load(struct store *s) {
    enum { FILES_MAX = 4096 };
    char dir[PATH_BYTES];
    struct trace_index **indexes = calloc(FILES_MAX, sizeof *indexes);
    uint32_t count = 0, segment_count;
    snprintf(dir, sizeof dir, "%s/index", s->dir);
    DIR *files = indexes ? opendir(dir) : NULL;
    for (struct dirent *file; files && count < FILES_MAX && (file = readdir(files));)
        load_file(s, file->d_name, indexes, &count);
    if (files) closedir(files);
    struct segment **segments = count ? segments_list(s, &segment_count) : NULL;
    if (segments) {
        if (segment_count) qsort(segments, segment_count, sizeof *segments, by_id);
        qsort(indexes, count, sizeof *indexes, by_path);
        struct trace_indexes *all = put_together(indexes, count, segments, segment_count);
        uint32_t kept = all && !s->options.read_only ? drop_stale(s, all) : all ? all->count : 0;
        if (all && kept < all->count) {
            struct trace_indexes *rest = put_together(all->indexes, kept, segments, segment_count);
            trace_indexes_unref(all);
            all = rest;
        }
        publish(s, all);
        segments_unref(segments, segment_count);
    }
    for (uint32_t i = 0; i < count; i++) trace_index_unref(indexes[i]);
    free(indexes);
}

/* ---- making ---- */

struct plan {
    struct segment **segments; /* all that are listed, by id */
    uint32_t segment_count;
    struct trace_indexes *now;
    struct trace_index **kept; /* those of now that stay, then new ones; references of its own */
    uint32_t kept_count;
    struct segment **loose; /* in none of those that stay; by time */
    uint32_t loose_count;
};

static int by_time(const void *a, const void *b) {
    const struct segment *x = *(const struct segment *const *)a, *y = *(const struct segment *const *)b;
    int64_t starts[2] = {segment_min_start_ns(x), segment_min_start_ns(y)};
    return starts[0] != starts[1] ? (starts[0] < starts[1] ? -1 : 1) : by_id(a, b);
}

static void list_loose(struct plan *p, const bool *goes) {
    p->loose_count = 0;
    for (uint32_t i = 0; i < p->segment_count; i++) {
        struct segment *segment = p->segments[i];
        const struct place *place = place_of(p->now, segment_id(segment));
        if (place && !goes[place->index]) continue;
        if (!segment_is_quick(segment) && trace_index_can_hold(segment)) p->loose[p->loose_count++] = segment;
    }
}

/* Which ones go: broken, half dead, and, when new ones are to be made, those that have room. */
static bool make_plan(struct plan *p, bool *goes) {
    uint32_t own, count = trace_indexes_count(p->now);
    bool any = false;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t live = live_count(p->now, i);
        trace_index_segments(p->now->indexes[i], &own);
        goes[i] = trace_index_is_broken(p->now->indexes[i]) || !live || own - live >= DEAD_MAX;
        any |= goes[i];
    }
    list_loose(p, goes);
    if (p->loose_count >= UNCOVERED_MAX) {
        for (uint32_t i = 0; i < count; i++) goes[i] = goes[i] || live_count(p->now, i) < FULL;
        list_loose(p, goes);
        if (p->loose_count) qsort(p->loose, p->loose_count, sizeof *p->loose, by_time);
        return true;
    }
    p->loose_count = 0;
    return any;
}

static int make_index(struct store *s, struct plan *p, struct segment *const *segments, uint32_t count,
                      struct error *err) {
    char path[PATH_BYTES];
    const struct segment *broken;
    struct error own = {0};
    index_path(s, s->index_next++, path);
    int code = trace_index_write(path, segments, count, &s->closing, &broken, &own);
    if (broken) set_segment_aside(s, broken, &own);
    if (!code && !(code = trace_index_open(&p->kept[p->kept_count], path, &own))) p->kept_count++;
    for (uint32_t i = 0; i < count; i++) segment_unmap_pages(segments[i]);
    if (code) *err = own;
    return code;
}

static int carry_out(struct store *s, struct plan *p, const bool *goes, struct error *err) {
    char dir[PATH_BYTES];
    uint32_t old_kept = 0, count = trace_indexes_count(p->now);
    int code = 0;
    for (uint32_t i = 0; i < count; i++)
        if (!goes[i]) p->kept[p->kept_count++] = trace_index_ref(p->now->indexes[i]);
    old_kept = p->kept_count;
    snprintf(dir, sizeof dir, "%s/index", s->dir);
    if (p->loose_count && mkdir(dir, 0700) && errno != EEXIST)
        code = error_set(err, VT_EIO, "%s cannot be made: %s", dir, strerror(errno));
    for (uint32_t at = 0; at < p->loose_count && !code; at += TRACE_INDEX_SEGMENTS) {
        uint32_t n = p->loose_count - at;
        code = make_index(s, p, p->loose + at, n < TRACE_INDEX_SEGMENTS ? n : TRACE_INDEX_SEGMENTS, err);
    }
    struct trace_indexes *all = code ? NULL : put_together(p->kept, p->kept_count, p->segments, p->segment_count);
    if (!all) {
        for (uint32_t i = old_kept; i < p->kept_count; i++) trace_index_drop(p->kept[i]);
        return code ? code : error_set(err, VT_ENOMEM, "no memory for the indexes of traces");
    }
    publish(s, all);
    for (uint32_t i = 0; i < count; i++)
        if (goes[i]) trace_index_drop(p->now->indexes[i]);
    return 0;
}

void trace_indexes_keep(struct store *s) {
    struct plan p = {.now = current(s)};
    struct error err = {0};
    bool *goes = NULL;
    if (s->options.read_only || atomic_load(&s->disk_full) || time_monotonic_ns() < s->index_after_ns) goto out;
    if (!(p.segments = segments_list(s, &p.segment_count))) goto out;
    if (p.segment_count) qsort(p.segments, p.segment_count, sizeof *p.segments, by_id);
    goes = calloc(trace_indexes_count(p.now) + 1, sizeof *goes);
    p.loose = malloc((p.segment_count + 1) * sizeof *p.loose);
    p.kept = calloc(trace_indexes_count(p.now) + p.segment_count / TRACE_INDEX_SEGMENTS + 2, sizeof *p.kept);
    if (!goes || !p.loose || !p.kept || !make_plan(&p, goes)) goto out;
    int code = carry_out(s, &p, goes, &err);
    if (code && code != VT_ECANCELLED && code != VT_ECORRUPT) {
        s->index_after_ns = time_monotonic_ns() + (int64_t)RETRY_S * NS_PER_S;
        log_warn("an index of traces is not made, and is tried again later: %s", err.message);
    }
out:
    for (uint32_t i = 0; i < p.kept_count; i++) trace_index_unref(p.kept[i]);
    segments_unref(p.segments, p.segment_count);
    trace_indexes_unref(p.now);
    free(p.kept);
    free(p.loose);
    free(goes);
}

void trace_indexes_forget(struct store *s, const struct segment *segment) {
    struct trace_indexes *now = current(s), *rest = NULL;
    struct trace_index **kept = calloc(trace_indexes_count(now) + 1, sizeof *kept);
    uint32_t kept_count = 0, segment_count = 0, own;
    bool any = false;
    struct segment **segments = segments_list(s, &segment_count);
    for (uint32_t i = 0; i < trace_indexes_count(now); i++) {
        const struct trace_index_segment *entries = trace_index_segments(now->indexes[i], &own);
        bool holds = false;
        for (uint32_t n = 0; n < own && !holds; n++) holds = entries[n].id == segment_id(segment);
        if (holds) trace_index_drop(now->indexes[i]);
        if (!holds && kept) kept[kept_count++] = now->indexes[i];
        any |= holds;
    }
    if (segments && segment_count) qsort(segments, segment_count, sizeof *segments, by_id);
    if (any && segments && kept) rest = put_together(kept, kept_count, segments, segment_count);
    if (any) publish(s, rest); /* without memory there are none until the next start */
    segments_unref(segments, segment_count);
    trace_indexes_unref(now);
    free(kept);
}
