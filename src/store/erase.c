/* Deletion of one user, thread or trace: everything is sealed first, then each segment that holds such rows is written
 * anew without them. What is to go is noted in the catalog before the first is touched, so a crash in between does not
 * leave half. */
#include "store/store_internal.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

/* Trace ids by open addressing. */
struct trace_set {
    uint8_t (*ids)[TRACE_ID_SIZE];
    bool *used;
    uint32_t count, capacity;
};

static uint32_t slot_of(const struct trace_set *set, const uint8_t *id) {
    uint64_t low, high;
    memcpy(&low, id, 8);
    memcpy(&high, id + 8, 8);
    uint64_t h = (low ^ (high << 32 | high >> 32)) * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t at = (uint32_t)(h >> 32) & (set->capacity - 1);
    while (set->used[at] && memcmp(set->ids[at], id, TRACE_ID_SIZE) != 0) at = (at + 1) & (set->capacity - 1);
    return at;
}

static bool set_has(const struct trace_set *set, const uint8_t *id) {
    return set->count && set->used[slot_of(set, id)];
}

static void set_free(struct trace_set *set) {
    free(set->ids);
    free(set->used);
    *set = (struct trace_set){0};
}

static bool set_add(struct trace_set *set, const uint8_t *id) {
    if (2 * set->count >= set->capacity) {
        struct trace_set more = {.capacity = set->capacity ? 2 * set->capacity : 256};
        more.ids = malloc(more.capacity * sizeof *more.ids);
        more.used = calloc(more.capacity, sizeof *more.used);
        for (uint32_t i = 0; more.ids && more.used && i < set->capacity; i++)
            if (set->used[i]) set_add(&more, set->ids[i]);
        bool whole = more.ids && more.used;
        if (whole)
            set_free(set), *set = more;
        else
            set_free(&more);
        if (!whole) return false;
    }
    uint32_t at = slot_of(set, id);
    if (set->used[at]) return true;
    memcpy(set->ids[at], id, TRACE_ID_SIZE);
    set->used[at] = true;
    set->count++;
    return true;
}

/* ---- what matches ---- */

struct erasing {
    struct store *store;
    enum col col;         /* COL_USER_ID, COL_THREAD_ID, COL_TRACE_ID */
    struct slice value;   /* of user or thread */
    struct slice project; /* empty = all */
    struct trace_set traces;
};

/* The code of a text in a dictionary column, or UINT32_MAX. The empty text has code 0. */
static uint32_t code_of(const struct vec *vec, struct slice text) {
    for (uint32_t i = 0; i < vec->dict_count; i++)
        if (slice_eq(vec->dict[i], text)) return i;
    return UINT32_MAX;
}

struct columns {
    struct vec traces, values, projects;
    uint32_t value, project; /* codes */
};

static int read_columns(const struct erasing *e, const struct segment *segment, uint32_t group, struct arena *arena,
                        struct columns *c, struct error *err) {
    int code = segment_read(segment, group, COL_TRACE_ID, arena, &c->traces, err);
    if (!code && e->value.len && !(code = segment_read(segment, group, e->col, arena, &c->values, err)))
        c->value = code_of(&c->values, e->value);
    if (!code && e->project.len && !(code = segment_read(segment, group, COL_PROJECT, arena, &c->projects, err)))
        c->project = code_of(&c->projects, e->project);
    if (code == VT_ECORRUPT && err) set_segment_aside(e->store, segment, err);
    return code;
}

/* The traces in which the user or thread is named. */
static int collect_traces(struct erasing *e, const struct segment *segment, struct error *err) {
    int code = 0;
    for (uint32_t g = 0; g < segment_rowgroups(segment) && !code; g++) {
        struct arena arena = {0};
        struct columns c;
        if (!segment_may_have_value(segment, g, e->col, e->value)) continue;
        code = read_columns(e, segment, g, &arena, &c, err);
        for (uint32_t i = 0; !code && i < c.traces.count; i++) {
            if (c.values.codes[i] != c.value || (e->project.len && c.projects.codes[i] != c.project)) continue;
            if (!set_add(&e->traces, c.traces.bytes + (size_t)i * TRACE_ID_SIZE))
                code = error_set(err, VT_ENOMEM, "no memory for the traces to delete");
        }
        arena_free(&arena);
    }
    return code;
}

/* In such a trace, what names the user or thread goes, and what names none: the calls of a turn mostly leave it out. */
static bool goes(const struct erasing *e, const struct columns *c, uint32_t row) {
    if (!set_has(&e->traces, c->traces.bytes + (size_t)row * TRACE_ID_SIZE)) return false;
    if (e->project.len && c->projects.codes[row] != c->project) return false;
    return !e->value.len || c->values.codes[row] == c->value || c->values.codes[row] == 0;
}

/* ---- a segment anew ---- */

static int rewrite(struct erasing *e, struct segment *segment, const uint32_t *kept, uint32_t kept_count,
                   struct error *err) {
    struct store *s = e->store;
    struct merged_rows rows = {.segments = &segment,
                               .segment_count = 1,
                               .order = kept,
                               .rows = (uint32_t)segment_rows(segment),
                               .stop = &s->closing};
    struct row_source source = {&rows, merged_read};
    struct segment_writer *writer;
    struct fresh fresh;
    char origin[48];
    if (!kept_count) return segments_replace(s, NULL, 0, &segment, 1, NULL, err);
    snprintf(origin, sizeof origin, "segments %llu", (unsigned long long)segment_id(segment));
    int code = fresh_begin(s, segment_min_start_ns(segment), MERGE_LEVEL, &fresh, &writer, err);
    if (code) return code;
    uint32_t step = rows_per_group(rows.rows, segment_text_bytes(segment));
    for (uint32_t first = 0; first < kept_count && !code; first += step)
        code = segment_writer_group(writer, &source, first, kept_count - first < step ? kept_count - first : step, err);
    if (code) {
        segment_writer_abort(writer);
        return code;
    }
    if ((code = fresh_finish(s, &fresh, writer, origin, err))) return code;
    if ((code = segments_replace(s, &fresh, 1, &segment, 1, NULL, err))) fresh_discard(&fresh);
    return code;
}

static int erase_from(struct erasing *e, struct segment *segment, uint64_t *deleted, struct error *err) {
    uint32_t total = (uint32_t)segment_rows(segment), kept_count = 0, row = 0;
    uint32_t *kept = malloc(total * sizeof *kept + 1);
    int code = kept ? 0 : error_set(err, VT_ENOMEM, "no memory for the rows of %s", segment_path(segment));
    for (uint32_t g = 0; g < segment_rowgroups(segment) && !code; g++) {
        struct arena arena = {0};
        struct columns c = {0};
        code = read_columns(e, segment, g, &arena, &c, err);
        for (uint32_t i = 0; !code && i < c.traces.count; i++, row++)
            if (!goes(e, &c, i)) kept[kept_count++] = row;
        arena_free(&arena);
    }
    if (!code && kept_count < total && !(code = rewrite(e, segment, kept, kept_count, err)))
        *deleted += total - kept_count;
    free(kept);
    return code;
}

/* One that was set aside meanwhile, or is broken, is not answered from any more; its file is named in the log. */
static bool goes_on(int code) {
    return !code || code == VT_ECORRUPT || code == VT_ECANCELLED;
}

static int each_segment(struct erasing *e, int (*step)(struct erasing *, struct segment *, uint64_t *, struct error *),
                        uint64_t *deleted, struct error *err) {
    uint32_t count;
    struct segment **segments = segments_list(e->store, &count);
    int code = segments ? 0 : error_set(err, VT_ENOMEM, "no memory for the list of segments");
    for (uint32_t i = 0; i < count && goes_on(code); i++) {
        if (atomic_load(&e->store->closing))
            code = error_set(err, VT_EIO, "the store is closing; the deletion goes on at the next start");
        else
            code = step(e, segments[i], deleted, err);
    }
    segments_unref(segments, count);
    return goes_on(code) ? 0 : code;
}

static int collect_step(struct erasing *e, struct segment *segment, uint64_t *deleted, struct error *err) {
    (void)deleted;
    return collect_traces(e, segment, err);
}

/* ---- the whole ---- */

static int note(struct erasing *e, struct deletion *d, struct error *err) {
    uint8_t *ids = malloc((size_t)e->traces.count * TRACE_ID_SIZE + 1), *at = ids;
    *d = (struct deletion){.column = (int)e->col,
                           .value = strndup(e->value.len ? e->value.ptr : "", e->value.len),
                           .project = strndup(e->project.len ? e->project.ptr : "", e->project.len),
                           .traces = ids,
                           .trace_bytes = (uint64_t)e->traces.count * TRACE_ID_SIZE};
    if (!ids || !d->value || !d->project) return error_set(err, VT_ENOMEM, "no memory to note the deletion");
    for (uint32_t i = 0; i < e->traces.capacity; i++)
        if (e->traces.used[i]) memcpy(at, e->traces.ids[i], TRACE_ID_SIZE), at += TRACE_ID_SIZE;
    return catalog_begin_deletion(e->store->catalog, d, err);
}

static int erase_noted(struct erasing *e, struct error *err, uint64_t *deleted) {
    struct deletion d;
    int code = note(e, &d, err);
    if (!code) code = each_segment(e, erase_from, deleted, err);
    if (!code) code = catalog_end_deletion(e->store->catalog, d.id, err);
    deletion_free(&d);
    return code;
}

static int prepare(struct erasing *e, const struct store_delete *what, struct error *err) {
    int given = (what->user_id.len > 0) + (what->thread_id.len > 0) + (what->trace_id != NULL);
    if (given != 1)
        return error_set(err, VT_EINVAL, "a deletion names one of user, thread and trace, not %d of them", given);
    e->project = what->project;
    e->col = what->trace_id ? COL_TRACE_ID : what->user_id.len ? COL_USER_ID : COL_THREAD_ID;
    e->value = what->user_id.len ? what->user_id : what->thread_id;
    return what->trace_id && !set_add(&e->traces, what->trace_id) ? error_set(err, VT_ENOMEM, "no memory to delete")
                                                                  : 0;
}

int store_delete(struct store *s, const struct store_delete *what, uint64_t *deleted, struct error *err) {
    struct erasing e = {.store = s};
    uint64_t count = 0;
    *deleted = 0;
    int code = prepare(&e, what, err);
    if (!code) code = store_seal(s, err); /* from here on, all that was acknowledged is in segments */
    if (!code) {
        pthread_mutex_lock(&s->keeping); /* no merge carries rows past us */
        if (e.value.len) code = each_segment(&e, collect_step, &count, err);
        if (!code && e.traces.count) code = erase_noted(&e, err, &count);
        pthread_mutex_unlock(&s->keeping);
    }
    *deleted = count;
    set_free(&e.traces);
    pthread_mutex_lock(&s->lock);
    uint64_t aside = s->set_aside;
    pthread_mutex_unlock(&s->lock);
    if (!code && aside)
        log_warn("%llu segments were set aside; nothing is deleted from their files (*.corrupt): remove them when they "
                 "must not be kept",
                 (unsigned long long)aside);
    return code;
}

void resume_deletions(struct store *s) {
    struct deletion d;
    while (!atomic_load(&s->closing) && catalog_open_deletion(s->catalog, &d)) {
        struct erasing e = {
            .store = s, .col = (enum col)d.column, .value = slice_of(d.value), .project = slice_of(d.project)};
        struct error err = {0};
        uint64_t count = 0;
        bool whole = true;
        for (uint64_t at = 0; at + TRACE_ID_SIZE <= d.trace_bytes && whole; at += TRACE_ID_SIZE)
            whole = set_add(&e.traces, (const uint8_t *)d.traces + at);
        int code =
            whole ? each_segment(&e, erase_from, &count, &err) : error_set(&err, VT_ENOMEM, "no memory to delete");
        if (!code) code = catalog_end_deletion(s->catalog, d.id, &err);
        if (code)
            log_error("a deletion that was cut short cannot be ended yet: %s", err.message);
        else
            log_info("a deletion that was cut short is ended: %llu spans", (unsigned long long)count);
        set_free(&e.traces);
        deletion_free(&d);
        if (code) return;
    }
}
