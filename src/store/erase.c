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
    uint64_t deleted; /* spans */
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
static int collect_traces(void *ctx, struct segment *segment, struct error *err) {
    struct erasing *e = ctx;
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

/* ---- without them ---- */

static int erase_from(void *ctx, struct segment *segment, struct error *err) {
    struct erasing *e = ctx;
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
    const struct rewrite how = {.kept = kept, .kept_count = kept_count};
    if (!code && kept_count < total && !(code = segment_rewrite(e->store, segment, &how, err)))
        e->deleted += total - kept_count;
    free(kept);
    return code;
}

static int each_segment(struct erasing *e, segment_step *step, struct error *err) {
    return segments_each(e->store, step, e, "the deletion goes on at the next start", err);
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

static int erase_noted(struct erasing *e, struct error *err) {
    struct deletion d;
    int code = note(e, &d, err);
    if (!code) code = each_segment(e, erase_from, err);
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
    *deleted = 0;
    int code = prepare(&e, what, err);
    if (!code) code = store_seal(s, err); /* from here on, all that was acknowledged is in segments */
    if (!code) {
        keeping_lock(s); /* no merge carries rows past us */
        if (e.value.len) code = each_segment(&e, collect_traces, err);
        if (!code && e.traces.count) code = erase_noted(&e, err);
        pthread_mutex_unlock(&s->keeping);
    }
    *deleted = e.deleted;
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
        bool whole = true;
        for (uint64_t at = 0; at + TRACE_ID_SIZE <= d.trace_bytes && whole; at += TRACE_ID_SIZE)
            whole = set_add(&e.traces, (const uint8_t *)d.traces + at);
        int code = whole ? each_segment(&e, erase_from, &err) : error_set(&err, VT_ENOMEM, "no memory to delete");
        if (!code) code = catalog_end_deletion(s->catalog, d.id, &err);
        if (code)
            log_error("a deletion that was cut short cannot be ended yet: %s", err.message);
        else
            log_info("a deletion that was cut short is ended: %llu spans", (unsigned long long)e.deleted);
        set_free(&e.traces);
        deletion_free(&d);
        if (code) return;
    }
}
