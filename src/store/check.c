/* Whether what is on the disk is what the catalog says. Reads everything once; changes nothing. */
#include "store/trace_indexes.h"

#include "span/batch.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATH_BYTES = 1000 };

struct checking {
    const char *dir;
    struct catalog *catalog;
    store_problem *each;
    void *ctx;
    struct store_checked *out;
};

static void problem(struct checking *c, const char *path, const char *message) {
    c->out->problems++;
    if (c->each) c->each(c->ctx, path, message);
}

static void check_segment(struct checking *c, const struct catalog_entry *entry) {
    char path[PATH_BYTES], text[700];
    struct segment *segment = NULL;
    struct error err = {0};
    snprintf(path, sizeof path, "%s/%s", c->dir, entry->path);
    int code = segment_open(&segment, path, entry->id, &err);
    if (!code) code = segment_check(segment, &err);
    if (code) {
        problem(c, entry->path, err.message);
    } else if (segment_rows(segment) != entry->rows || segment_bytes(segment) != entry->bytes ||
               segment_min_start_ns(segment) != entry->min_start_ns ||
               segment_max_start_ns(segment) != entry->max_start_ns) {
        snprintf(text, sizeof text,
                 "the file has %llu spans and %llu bytes, the catalog says %llu and %llu, or another time range",
                 (unsigned long long)segment_rows(segment), (unsigned long long)segment_bytes(segment),
                 (unsigned long long)entry->rows, (unsigned long long)entry->bytes);
        problem(c, entry->path, text);
    } else {
        c->out->segments++;
        c->out->spans += entry->rows;
        c->out->bytes += entry->bytes;
    }
    segment_unref(segment);
}

/* Beside a running server a segment may have been merged away since the catalog was read. */
static bool still_listed(struct checking *c, uint64_t id) {
    struct catalog_entry *entries = NULL;
    uint32_t count = 0;
    uint64_t sealed;
    bool found = catalog_read(c->catalog, &entries, &count, &sealed, NULL) != 0;
    for (uint32_t i = 0; i < count && !found; i++) found = entries[i].id == id;
    free(entries);
    return found;
}

static void check_file(struct checking *c, const struct catalog_entry *entries, uint32_t count, const char *name) {
    struct catalog_entry key;
    size_t len = strlen(name);
    entry_set_path(&key, name);
    if (len > 8 && strcmp(name + len - 8, ".parquet") == 0 &&
        !(count && bsearch(&key, entries, count, sizeof key, entry_by_path))) {
        /* A running server may have entered it since. */
        struct catalog_entry *now = NULL;
        uint32_t now_count = 0;
        uint64_t sealed;
        bool listed = catalog_read(c->catalog, &now, &now_count, &sealed, NULL) != 0;
        for (uint32_t i = 0; i < now_count && !listed; i++) listed = strcmp(now[i].path, name) == 0;
        free(now);
        char path[PATH_BYTES];
        snprintf(path, sizeof path, "%s/%s", c->dir, name);
        if (!listed && access(path, F_OK) == 0) problem(c, name, "is not in the catalog: its spans are not shown");
    }
}

static void check_files(struct checking *c, const struct catalog_entry *entries, uint32_t count) {
    char spans[PATH_BYTES];
    snprintf(spans, sizeof spans, "%s/spans", c->dir);
    DIR *days = opendir(spans);
    for (struct dirent *day; days && (day = readdir(days));) {
        char dir[PATH_BYTES + 300], name[600];
        if (day->d_name[0] == '.') continue;
        snprintf(dir, sizeof dir, "%s/%s", spans, day->d_name);
        DIR *files = opendir(dir);
        for (struct dirent *file; files && (file = readdir(files));) {
            snprintf(name, sizeof name, "spans/%s/%s", day->d_name, file->d_name);
            check_file(c, entries, count, name);
        }
        if (files) closedir(files);
    }
    if (days) closedir(days);
}

static int count_payload(void *ctx, struct slice payload, struct error *err) {
    struct payload_reader reader;
    struct span span;
    uint64_t *spans = ctx;
    int code = payload_open(&reader, payload, err);
    while (!code && !(code = payload_next(&reader, &span, err))) ++*spans;
    return code == VT_ENOTFOUND ? 0 : code;
}

/* WAL files that are not sealed, or of traces that wait (carry.c) the one that is valid. */
static void check_wals(struct checking *c, const char *name, uint64_t sealed, bool waiting) {
    char dir[PATH_BYTES], path[512], text[200];
    uint64_t *numbers;
    snprintf(dir, sizeof dir, "%s/%s", c->dir, name);
    int count = wal_list(dir, &numbers, NULL);
    for (int i = 0; i < count; i++) {
        struct wal_found found;
        struct error err = {0};
        if (waiting ? numbers[i] != sealed : numbers[i] <= sealed) continue;
        wal_path(dir, numbers[i], path, sizeof path);
        int code = wal_recover(dir, numbers[i], true, count_payload, &c->out->wal_spans, &found, &err);
        if (code == VT_ENOTFOUND) continue; /* sealed meanwhile */
        if (code) problem(c, path + strlen(c->dir) + 1, err.message);
        snprintf(text, sizeof text, "%llu bytes in its middle are damaged", (unsigned long long)found.damaged_bytes);
        if (found.damaged_bytes) problem(c, path + strlen(c->dir) + 1, text);
    }
    free(numbers);
}

/* An index that is broken is made again by the server; that nothing is lost is said with it. */
static void check_indexes(struct checking *c) {
    char dir[PATH_BYTES], path[PATH_BYTES + 300], text[700];
    snprintf(dir, sizeof dir, "%s/index", c->dir);
    DIR *files = opendir(dir);
    for (struct dirent *file; files && (file = readdir(files));) {
        struct trace_index *index = NULL;
        struct error err = {0};
        size_t len = strlen(file->d_name);
        if (len < 8 || strcmp(file->d_name + len - 7, ".traces") != 0) continue;
        snprintf(path, sizeof path, "%s/%s", dir, file->d_name);
        int code = trace_index_open(&index, path, &err);
        if (!code) code = trace_index_check(index, &err);
        trace_index_unref(index);
        snprintf(text, sizeof text, "%.500s; no span is lost: remove it, and a running server makes it again",
                 err.message);
        if (code && code != VT_ENOTFOUND) problem(c, path + strlen(c->dir) + 1, text);
    }
    if (files) closedir(files);
}

static void tell_aside(void *ctx, const char *path, const char *reason) {
    struct checking *c = ctx;
    char text[700];
    snprintf(text, sizeof text, "was set aside: %s", reason ? reason : "");
    problem(c, path, text);
}

int store_check(const char *dir, store_problem *each, void *ctx, struct store_checked *out, struct error *err) {
    struct store_checked own;
    struct checking c = {.dir = dir, .each = each, .ctx = ctx, .out = out ? out : &own};
    struct catalog_entry *entries = NULL;
    char path[PATH_BYTES];
    uint32_t count;
    uint64_t sealed;
    *c.out = (struct store_checked){0};
    snprintf(path, sizeof path, "%s/catalog.sqlite", dir);
    int code = catalog_open(&c.catalog, path, true, err);
    if (!code) code = catalog_read(c.catalog, &entries, &count, &sealed, err);
    if (!code) {
        if (count) qsort(entries, count, sizeof *entries, entry_by_path);
        for (uint32_t i = 0; i < count; i++) {
            snprintf(path, sizeof path, "%s/%s", dir, entries[i].path);
            if (access(path, F_OK) == 0 || still_listed(&c, entries[i].id)) check_segment(&c, &entries[i]);
        }
        check_files(&c, entries, count);
        check_indexes(&c);
        check_wals(&c, "wal", sealed, false);
        check_wals(&c, "wal/carried", sealed, true);
        code = catalog_set_aside(c.catalog, tell_aside, &c, err);
    }
    free(entries);
    catalog_close(c.catalog);
    return code;
}
