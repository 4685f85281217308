/* The list of segments. A file is written as NAME.tmp, entered in the catalog, and then renamed: what ends in .parquet
 * is always entered, and what is entered but still ends in .tmp is renamed by the next start. */
#include "store/store_internal.h"

#include "base/log.h"
#include "base/timestamp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 700 };

static int sync_path(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int result = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0) close(fd);
    return result;
}

static void full_path(const struct store *s, const char *path, const char *end, char *out) {
    snprintf(out, PATH_BYTES, "%s/%s%s", s->dir, path, end);
}

static int io_error(const char *path, struct error *err) {
    return error_set(err, errno == ENOSPC || errno == EDQUOT ? VT_EFULL : VT_EIO, "%s: %s", path, strerror(errno));
}

/* ---- doubt ---- */

/* A commit that failed may still have reached the disk, and then it holds after a restart, until another commit goes
 * over it. Until that is settled the files that it names must stay. */
static void doubt(struct store *s, const char *path) {
    pthread_mutex_lock(&s->lock);
    char **more = realloc(s->doubtful, (s->doubtful_count + 1) * sizeof *more);
    if (more) s->doubtful = more;
    if (more && (more[s->doubtful_count] = strdup(path))) s->doubtful_count++;
    pthread_mutex_unlock(&s->lock);
}

static void forget_doubts(struct store *s, bool settled) {
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->doubtful_count; i++) {
        if (settled) unlink(s->doubtful[i]);
        free(s->doubtful[i]);
    }
    free(s->doubtful);
    s->doubtful = NULL;
    s->doubtful_count = 0;
    pthread_mutex_unlock(&s->lock);
}

void segments_release_doubts(struct store *s) {
    forget_doubts(s, false);
}

static int settle(struct store *s, struct error *err) {
    pthread_mutex_lock(&s->lock);
    bool any = s->doubtful_count > 0;
    pthread_mutex_unlock(&s->lock);
    if (!any) return 0;
    pthread_mutex_lock(&s->changing);
    int code = catalog_change(s->catalog, &(struct catalog_change){0}, err);
    if (!code) forget_doubts(s, true);
    pthread_mutex_unlock(&s->changing);
    return code;
}

/* ---- fresh ones ---- */

int fresh_begin(struct store *s, int64_t start_ns, enum segment_effort effort, struct fresh *fresh,
                struct segment_writer **writer, struct error *err) {
    char day[TIME_TEXT_MAX], dir[PATH_BYTES], path[PATH_BYTES];
    int code = settle(s, err);
    if (code) return code;
    *fresh = (struct fresh){.entry = {.id = catalog_next_id(s->catalog)}};
    time_format(start_ns, 3, day);
    snprintf(fresh->entry.path, sizeof fresh->entry.path, "spans/%.10s/%012llu.parquet", day,
             (unsigned long long)fresh->entry.id);
    snprintf(dir, sizeof dir, "%s/%.10s", s->spans_dir, day);
    full_path(s, fresh->entry.path, ".tmp", path);
    if (mkdir(dir, 0700) == 0) {
        if (sync_path(s->spans_dir)) return io_error(s->spans_dir, err);
    } else if (errno != EEXIST) {
        return io_error(dir, err);
    }
    return segment_writer_open(writer, path, effort, err);
}

int fresh_finish(struct store *s, struct fresh *fresh, struct segment_writer *writer, const char *origin,
                 struct error *err) {
    struct catalog_entry *entry = &fresh->entry;
    char path[PATH_BYTES], final[PATH_BYTES], dir[PATH_BYTES];
    full_path(s, entry->path, ".tmp", path);
    full_path(s, entry->path, "", final);
    int code = segment_writer_finish(writer, origin, &entry->bytes, err);
    if (code) return code;
    snprintf(dir, sizeof dir, "%s", path);
    *strrchr(dir, '/') = 0;
    if (sync_path(dir)) code = io_error(dir, err);
    if (!code) code = segment_open(&fresh->segment, path, entry->id, err);
    if (code) {
        unlink(path);
        return code;
    }
    /* Opening looked at the footer alone; with what lies around it, that is a quarter of a megabyte a segment. */
    segment_unmap_pages(fresh->segment);
    segment_set_owner(fresh->segment, s, final);
    entry->rows = segment_rows(fresh->segment);
    entry->min_start_ns = segment_min_start_ns(fresh->segment);
    entry->max_start_ns = segment_max_start_ns(fresh->segment);
    return 0;
}

void fresh_discard(struct fresh *fresh) {
    if (!fresh->segment) return;
    char path[PATH_BYTES + 8];
    snprintf(path, sizeof path, "%s.tmp", segment_path(fresh->segment));
    if (fresh->doubtful)
        doubt(segment_owner(fresh->segment), path);
    else
        unlink(path);
    segment_unref(fresh->segment);
    fresh->segment = NULL;
}

/* ---- the list ---- */

/* Under the lock. */
static bool make_room(struct store *s, uint32_t more) {
    uint32_t capacity = s->segment_capacity ? s->segment_capacity : 64;
    while (capacity < s->segment_count + more) capacity *= 2;
    if (capacity == s->segment_capacity) return true;
    struct segment **segments = realloc(s->segments, capacity * sizeof *segments);
    if (!segments) return false;
    s->segments = segments;
    s->segment_capacity = capacity;
    return true;
}

static uint32_t place_of(const struct store *s, const struct segment *segment) {
    uint32_t i = 0;
    while (i < s->segment_count && s->segments[i] != segment) i++;
    return i;
}

/* All to be replaced are listed, and there is room for the new ones. */
static int check_list(struct store *s, uint32_t fresh_count, struct segment *const *old, uint32_t old_count,
                      struct error *err) {
    int code = 0;
    pthread_mutex_lock(&s->lock);
    if (!make_room(s, fresh_count)) code = error_set(err, VT_ENOMEM, "no memory to list segments");
    for (uint32_t i = 0; i < old_count && !code; i++)
        if (place_of(s, old[i]) == s->segment_count)
            code = error_set(err, VT_ECANCELLED, "%s is not listed any more", segment_path(old[i]));
    pthread_mutex_unlock(&s->lock);
    return code;
}

static void change_list(struct store *s, const struct fresh *fresh, uint32_t fresh_count, struct segment *const *old,
                        uint32_t old_count, struct memtable *m) {
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < old_count; i++)
        s->segments[place_of(s, old[i])] = s->segments[s->segment_count - 1], s->segment_count--;
    for (uint32_t i = 0; i < fresh_count; i++) s->segments[s->segment_count++] = fresh[i].segment;
    for (uint32_t i = 0; m && i < s->sealing_count; i++) {
        if (s->sealing[i] != m) continue;
        memmove(&s->sealing[i], &s->sealing[i + 1], (--s->sealing_count - i) * sizeof *s->sealing);
        memtable_unref(m);
        break;
    }
    if (m) {
        memtable_unref(s->carried);
        s->carried = s->carry_next;
        s->carry_next = NULL;
        s->merge_wanted = true;
    }
    pthread_cond_broadcast(&s->sealed);
    pthread_mutex_unlock(&s->lock);
}

static void give_names(struct store *s, const struct fresh *fresh, uint32_t count) {
    char path[PATH_BYTES], final[PATH_BYTES];
    for (uint32_t i = 0; i < count; i++) {
        full_path(s, fresh[i].entry.path, ".tmp", path);
        full_path(s, fresh[i].entry.path, "", final);
        if (rename(path, final)) log_warn("%s keeps its ending .tmp until the next start: %s", path, strerror(errno));
    }
}

int segments_replace(struct store *s, struct fresh *fresh, uint32_t fresh_count, struct segment *const *old,
                     uint32_t old_count, struct memtable *m, struct error *err) {
    struct catalog_entry *entries = malloc(fresh_count * sizeof *entries + 1);
    uint64_t *ids = malloc(old_count * sizeof *ids + 1);
    int code = entries && ids ? 0 : error_set(err, VT_ENOMEM, "no memory to enter segments");
    for (uint32_t i = 0; i < fresh_count && !code; i++) entries[i] = fresh[i].entry;
    for (uint32_t i = 0; i < old_count && !code; i++) ids[i] = segment_id(old[i]);
    pthread_mutex_lock(&s->changing);
    if (!code) code = check_list(s, fresh_count, old, old_count, err);
    if (!code) {
        struct catalog_change change = {.add = entries,
                                        .add_count = fresh_count,
                                        .remove = ids,
                                        .remove_count = old_count,
                                        .sealed_wal = m ? memtable_wal(m) : 0};
        code = catalog_change(s->catalog, &change, err);
        for (uint32_t i = 0; code && i < fresh_count; i++) fresh[i].doubtful = true;
    }
    if (!code) {
        forget_doubts(s, true);
        /* The file has its name before anyone can be told to set it aside. */
        give_names(s, fresh, fresh_count);
        change_list(s, fresh, fresh_count, old, old_count, m);
        for (uint32_t i = 0; i < old_count; i++) {
            segment_drop(old[i]);
            segment_unref(old[i]); /* the list's */
        }
    }
    pthread_mutex_unlock(&s->changing);
    free(entries);
    free(ids);
    return code;
}

struct segment **segments_list(struct store *s, uint32_t *count) {
    pthread_mutex_lock(&s->lock);
    struct segment **segments = malloc((s->segment_count + 1) * sizeof *segments);
    *count = segments ? s->segment_count : 0;
    for (uint32_t i = 0; i < *count; i++) segments[i] = segment_ref(s->segments[i]);
    pthread_mutex_unlock(&s->lock);
    return segments;
}

void segments_unref(struct segment **segments, uint32_t count) {
    for (uint32_t i = 0; segments && i < count; i++) segment_unref(segments[i]);
    free(segments);
}

void set_segment_aside(struct store *s, const struct segment *segment, const struct error *why) {
    struct error err = {0};
    char aside[PATH_BYTES + 16];
    uint64_t id = segment_id(segment);
    pthread_mutex_lock(&s->changing);
    pthread_mutex_lock(&s->lock);
    uint32_t at = place_of(s, segment);
    bool listed = at < s->segment_count;
    if (listed) {
        s->segments[at] = s->segments[--s->segment_count];
        s->set_aside++;
    }
    pthread_mutex_unlock(&s->lock);
    if (listed) {
        log_error("segment %s (%llu spans) is set aside: %s", segment_path(segment),
                  (unsigned long long)segment_rows(segment), why->message);
        snprintf(aside, sizeof aside, "%s.corrupt", segment_path(segment));
        struct catalog_change change = {.remove = &id, .remove_count = 1, .aside = why->message};
        if (!s->options.read_only &&
            (catalog_change(s->catalog, &change, &err) || rename(segment_path(segment), aside)))
            log_error("%s is not renamed: %s", segment_path(segment), err.code ? err.message : strerror(errno));
        segment_unref((struct segment *)(uintptr_t)segment); /* the list's */
    }
    pthread_mutex_unlock(&s->changing);
}
