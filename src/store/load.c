/* What a start finds: segments of the catalog, WAL files, and what a stopped process left half done. */
#include "store/store_internal.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATH_BYTES = 1000, READ_TRIES = 20 };

/* ---- files ---- */

struct walk {
    struct store *store;
    const struct catalog_entry *entries; /* by path */
    uint32_t count;
    struct fresh *adopted;
    uint32_t adopted_count, adopted_capacity, strange;
};

static bool has_end(const char *name, const char *end) {
    size_t len = strlen(name), end_len = strlen(end);
    return len > end_len && strcmp(name + len - end_len, end) == 0;
}

static bool entered(const struct walk *walk, const char *path) {
    struct catalog_entry key;
    entry_set_path(&key, path);
    return walk->count && bsearch(&key, walk->entries, walk->count, sizeof key, entry_by_path) != NULL;
}

/* A segment that a catalog made anew does not know. */
static void adopt(struct walk *walk, const char *name, const char *path) {
    struct error why = {0};
    struct fresh f = {0};
    const char *base = strrchr(name, '/') + 1;
    f.entry.id = strtoull(base, NULL, 10);
    entry_set_path(&f.entry, name);
    if (!f.entry.id || segment_open(&f.segment, path, f.entry.id, &why)) {
        log_error("%s is not taken into the new catalog: %s", name, f.entry.id ? why.message : "its name is no number");
        walk->strange++;
        return;
    }
    if (walk->adopted_count == walk->adopted_capacity) {
        walk->adopted_capacity = walk->adopted_capacity ? 2 * walk->adopted_capacity : 64;
        struct fresh *more = realloc(walk->adopted, walk->adopted_capacity * sizeof *more);
        if (!more) {
            segment_unref(f.segment);
            return;
        }
        walk->adopted = more;
    }
    f.entry.rows = segment_rows(f.segment);
    f.entry.bytes = segment_bytes(f.segment);
    f.entry.min_start_ns = segment_min_start_ns(f.segment);
    f.entry.max_start_ns = segment_max_start_ns(f.segment);
    walk->adopted[walk->adopted_count++] = f;
}

static void look_at_file(struct walk *walk, const char *day, const char *file) {
    char name[600], path[PATH_BYTES], entry[600];
    snprintf(name, sizeof name, "spans/%s/%s", day, file);
    snprintf(path, sizeof path, "%s/%s", walk->store->dir, name);
    if (has_end(file, ".parquet.tmp")) {
        snprintf(entry, sizeof entry, "%.*s", (int)(strlen(name) - 4), name);
        if (entered(walk, entry)) return; /* open_entry renames it */
        if (unlink(path) == 0)
            log_info("removed %s, left by a process that was stopped while it wrote it; its spans are in the WAL or in "
                     "other segments",
                     name);
    } else if (has_end(file, ".parquet") && !entered(walk, name)) {
        if (catalog_is_new(walk->store->catalog)) return adopt(walk, name, path);
        log_warn("%s is not in the catalog and is left alone: its spans are not shown", name);
        walk->strange++;
    }
}

static void look_at_files(struct walk *walk) {
    DIR *days = opendir(walk->store->spans_dir);
    for (struct dirent *day; days && (day = readdir(days));) {
        char dir[PATH_BYTES];
        if (day->d_name[0] == '.') continue;
        snprintf(dir, sizeof dir, "%s/%s", walk->store->spans_dir, day->d_name);
        DIR *files = opendir(dir);
        for (struct dirent *file; files && (file = readdir(files));) look_at_file(walk, day->d_name, file->d_name);
        if (files) closedir(files);
        if (files) rmdir(dir); /* goes when it is empty */
    }
    if (days) closedir(days);
}

/* Whether another adopted segment was made of this one: "segments 12 13". */
static bool was_replaced(const struct walk *walk, uint64_t id) {
    for (uint32_t i = 0; i < walk->adopted_count; i++) {
        const char *at = segment_origin(walk->adopted[i].segment);
        if (strncmp(at, "segments ", 9) != 0) continue;
        for (at += 9; *at;) {
            char *next;
            if (strtoull(at, &next, 10) == id) return true;
            if (next == at) break;
            at = next;
        }
    }
    return false;
}

static uint64_t wal_of(const char *origin) {
    return strncmp(origin, "wal ", 4) == 0 ? strtoull(origin + 4, NULL, 10) : 0;
}

/* Enters what was adopted. A catalog that is lost costs keys and scores, but no span. */
static int enter_adopted(struct walk *walk, uint64_t *sealed_wal, struct error *err) {
    struct store *s = walk->store;
    struct catalog_entry *entries = malloc(walk->adopted_count * sizeof *entries + 1);
    uint32_t count = 0;
    int code = entries ? 0 : error_set(err, VT_ENOMEM, "no memory for the catalog");
    for (uint32_t i = 0; i < walk->adopted_count && !code; i++) {
        const struct fresh *f = &walk->adopted[i];
        uint64_t wal = wal_of(segment_origin(f->segment));
        if (wal > *sealed_wal) *sealed_wal = wal;
        catalog_skip_ids(s->catalog, f->entry.id);
        if (!was_replaced(walk, f->entry.id))
            entries[count++] = f->entry;
        else
            segment_drop(f->segment);
    }
    if (!code && count) {
        struct catalog_change change = {.add = entries, .add_count = count, .sealed_wal = *sealed_wal};
        code = catalog_change(s->catalog, &change, err);
        if (!code)
            log_warn("the catalog was not there and was made anew: %u segments found in %s", count, s->spans_dir);
    }
    free(entries);
    return code;
}

static void unlink_dropped(void *ctx, const char *path, const char *reason) {
    struct store *s = ctx;
    char full[PATH_BYTES];
    (void)reason;
    snprintf(full, sizeof full, "%s/%s", s->dir, path);
    if (unlink(full) == 0) log_info("removed %s, which the catalog had dropped before the process was stopped", path);
}

static void count_aside(void *ctx, const char *path, const char *reason) {
    struct store *s = ctx;
    (void)path, (void)reason;
    s->set_aside++;
}

/* Leaves the directory as the catalog says; with a new catalog, makes the catalog as the directory says. */
static int tidy(struct store *s, struct error *err) {
    struct catalog_entry *entries = NULL;
    uint32_t count;
    uint64_t sealed_wal;
    int code = catalog_dropped(s->catalog, unlink_dropped, s, err);
    if (code) return code;
    catalog_forget_dropped(s->catalog);
    if ((code = catalog_read(s->catalog, &entries, &count, &sealed_wal, err))) return code;
    struct walk walk = {.store = s, .entries = entries, .count = count};
    if (count) qsort(entries, count, sizeof *entries, entry_by_path);
    look_at_files(&walk);
    if (walk.adopted_count) code = enter_adopted(&walk, &sealed_wal, err);
    for (uint32_t i = 0; i < walk.adopted_count; i++) segment_unref(walk.adopted[i].segment);
    free(walk.adopted);
    free(entries);
    return code;
}

/* ---- segments ---- */

static int open_entry(struct store *s, const struct catalog_entry *entry, struct segment **segment, struct error *err) {
    char path[PATH_BYTES], aside[PATH_BYTES + 8];
    snprintf(path, sizeof path, "%s/%s", s->dir, entry->path);
    snprintf(aside, sizeof aside, "%s.tmp", path);
    int code = segment_open(segment, path, entry->id, err);
    if (code == VT_ENOTFOUND && !access(aside, F_OK)) { /* stopped between the catalog and the rename */
        if (!s->options.read_only && rename(aside, path))
            return error_set(err, VT_EIO, "%s: %s", path, strerror(errno));
        code = segment_open(segment, s->options.read_only ? aside : path, entry->id, err);
    }
    if (!code && segment_rows(*segment) != entry->rows) {
        code = error_set(err, VT_ECORRUPT, "it holds %llu spans, the catalog says %llu",
                         (unsigned long long)segment_rows(*segment), (unsigned long long)entry->rows);
        segment_unref(*segment);
    }
    if (!code) segment_set_owner(*segment, s, path);
    return code;
}

/* A segment that cannot be opened at the start: named, noted, and passed over from then on. */
static void give_up(struct store *s, const struct catalog_entry *entry, const struct error *why) {
    struct error err = {0};
    char path[PATH_BYTES], aside[PATH_BYTES + 16];
    log_error("segment %s (%llu spans) is set aside: %s", entry->path, (unsigned long long)entry->rows, why->message);
    s->set_aside++;
    if (s->options.read_only) return;
    snprintf(path, sizeof path, "%s/%s", s->dir, entry->path);
    snprintf(aside, sizeof aside, "%s.corrupt", path);
    struct catalog_change change = {.remove = &entry->id, .remove_count = 1, .aside = why->message};
    if (catalog_change(s->catalog, &change, &err))
        log_error("%s", err.message);
    else
        rename(path, aside);
}

static int open_entries(struct store *s, const struct catalog_entry *entries, uint32_t count, struct error *err) {
    int code = 0;
    s->segments = malloc((count + 1) * sizeof *s->segments);
    if (!s->segments) return error_set(err, VT_ENOMEM, "no memory for %u segments", count);
    s->segment_capacity = count + 1;
    for (uint32_t i = 0; i < count && !code; i++) {
        struct error why = {0};
        code = open_entry(s, &entries[i], &s->segments[s->segment_count], &why);
        if (!code) s->segment_count++;
        /* Beside a running server a file may be gone because it was merged meanwhile: the caller looks again. */
        else if (code == VT_ECORRUPT || (code == VT_ENOTFOUND && !s->options.read_only))
            give_up(s, &entries[i], &why), code = 0;
        else if (err)
            *err = why;
    }
    return code;
}

/* ---- WAL files ---- */

static int add_payload(void *ctx, struct slice payload, struct error *err) {
    return memtable_add(ctx, payload, err);
}

static int push_sealing(struct store *s, struct memtable *m, struct error *err) {
    int code = 0;
    if (s->sealing_count ==
        SEALING_ROOM) { /* oldest first: the catalog knows one number up to which WAL files are sealed */
        struct memtable *oldest = memtable_ref(s->sealing[0]);
        code = seal_memtable(s, oldest, err);
        memtable_unref(oldest);
    }
    if (!code)
        s->sealing[s->sealing_count++] = m;
    else
        memtable_unref(m);
    return code;
}

/* Every WAL file that is left goes into a memtable, small ones together. A server gives them to the sealer, a reader
 * keeps one. */
static int load_wals(struct store *s, uint64_t sealed_wal, uint64_t *last, struct error *err) {
    uint64_t *numbers;
    int count = wal_list(s->wal_dir, &numbers, err), code = count < 0 ? count : 0;
    struct memtable *m = NULL;
    *last = sealed_wal;
    for (int i = 0; i < count && !code; i++) {
        char path[512];
        struct wal_found found;
        if (numbers[i] > *last) *last = numbers[i];
        wal_path(s->wal_dir, numbers[i], path, sizeof path);
        if (numbers[i] <= sealed_wal) { /* its spans are in a segment: only the unlink was missed */
            if (!s->options.read_only) unlink(path);
            continue;
        }
        if (!m && !(m = memtable_new(numbers[i]))) code = error_set(err, VT_ENOMEM, "no memory for a memtable");
        if (!code) code = wal_recover(s->wal_dir, numbers[i], s->options.read_only, add_payload, m, &found, err);
        if (code) break;
        memtable_set_wal(m, numbers[i]);
        if (found.records)
            log_info("%llu batches found in %s", (unsigned long long)found.records, path);
        else if (!s->options.read_only)
            unlink(path);
        if (s->options.read_only || memtable_bytes(m) < s->options.seal_bytes) continue;
        code = push_sealing(s, m, err);
        m = NULL;
    }
    free(numbers);
    if (!code && m && memtable_rows(m)) return push_sealing(s, m, err);
    memtable_unref(m);
    return code;
}

/* ---- all together ---- */

static void forget(struct store *s) {
    segments_unref(s->segments, s->segment_count);
    for (uint32_t i = 0; i < s->sealing_count; i++) memtable_unref(s->sealing[i]);
    memtable_unref(s->carried);
    s->carried = NULL;
    s->segments = NULL;
    s->segment_count = s->segment_capacity = s->sealing_count = 0;
    s->set_aside = 0;
}

static int load_once(struct store *s, uint64_t *last_wal, struct error *err) {
    struct catalog_entry *entries = NULL;
    uint32_t count;
    uint64_t sealed_wal, again, carried_wal = 0;
    int code = catalog_read(s->catalog, &entries, &count, &sealed_wal, err);
    if (!code) code = catalog_set_aside(s->catalog, count_aside, s, err);
    if (!code) code = open_entries(s, entries, count, err);
    free(entries);
    if (!code) code = carry_load(s, sealed_wal, &carried_wal, err); /* first: reading WAL files may seal */
    if (!code) code = load_wals(s, sealed_wal, last_wal, err);
    if (carried_wal > *last_wal) *last_wal = carried_wal;
    if (code || !s->options.read_only) return code;
    /* A running server may have sealed between the two looks: then a span was in both, or in neither. */
    code = catalog_read(s->catalog, &entries, &count, &again, err);
    free(entries);
    return !code && again != sealed_wal ? error_set(err, VT_ENOTFOUND, "the store changes faster than it can be read")
                                        : code;
}

int load_store(struct store *s, struct error *err) {
    uint64_t last_wal = 0;
    int code = s->options.read_only ? 0 : tidy(s, err);
    for (int try = 0; !code && try < READ_TRIES; try++) {
        code = load_once(s, &last_wal, err);
        if (code != VT_ENOTFOUND || !s->options.read_only) break;
        if (try + 1 < READ_TRIES) code = 0;
        forget(s);
        usleep(10000);
    }
    if (code) return code;
    s->active = memtable_new(last_wal + 1);
    return s->active ? 0 : error_set(err, VT_ENOMEM, "no memory for a memtable");
}
