/* Snapshots: the segments and memtables of one moment, and reading their columns. */
#include "store/trace_indexes.h"

#include "store/columns.h"

#include <stdlib.h>

enum { SOURCES_OF_MEMORY = SEALING_ROOM + 2 };

/* A memtable as a row group. Its address is told from a segment's by rowgroup.segment being 0. */
struct memory_source {
    struct memtable *memtable;
    uint32_t rows;
};

struct snapshot {
    struct store *store;
    struct memory_source memory[SOURCES_OF_MEMORY];
    struct rowgroup memory_groups[SOURCES_OF_MEMORY];
    uint32_t memory_count;
    struct segment **segments;
    uint32_t segment_count;
    const struct rowgroup **groups; /* newest first */
    struct trace_indexes *indexes;  /* NULL = none */
    uint32_t group_count;
};

static void add_memory(struct snapshot *snap, struct memtable *m) {
    uint32_t rows = memtable_rows(m), i = snap->memory_count;
    if (!rows) return;
    struct memtable_range range = memtable_range(m); /* of these rows and perhaps some that came since */
    snap->memory[i] = (struct memory_source){memtable_ref(m), rows};
    snap->memory_groups[i] = (struct rowgroup){.rows = rows,
                                               .min_start_ns = range.min_start_ns,
                                               .max_start_ns = range.max_start_ns,
                                               .max_end_ns = range.max_end_ns,
                                               .joiners = true,
                                               .memtable = memtable_name(m),
                                               .source = &snap->memory[i],
                                               .index = i};
    snap->memory_count++;
}

static int newest_first(const void *a, const void *b) {
    const struct rowgroup *x = *(const struct rowgroup *const *)a, *y = *(const struct rowgroup *const *)b;
    return x->max_start_ns > y->max_start_ns ? -1 : x->max_start_ns < y->max_start_ns;
}

struct snapshot *store_snapshot(struct store *s) {
    struct snapshot *snap = calloc(1, sizeof *snap);
    if (!snap) return NULL;
    snap->store = s;
    pthread_mutex_lock(&s->lock);
    bool held = (snap->segments = malloc((s->segment_count + 1) * sizeof *snap->segments)) != NULL;
    for (uint32_t i = 0; held && i < s->segment_count; i++)
        snap->segments[snap->segment_count++] = segment_ref(s->segments[i]);
    for (uint32_t i = 0; held && i < s->sealing_count; i++) add_memory(snap, s->sealing[i]);
    if (held && s->carried) add_memory(snap, s->carried);
    if (held) add_memory(snap, s->active);
    snap->indexes = trace_indexes_ref(s->indexes);
    pthread_mutex_unlock(&s->lock);
    uint32_t total = snap->memory_count;
    for (uint32_t i = 0; i < snap->segment_count; i++) total += segment_rowgroups(snap->segments[i]);
    if (!held || !(snap->groups = malloc((total + 1) * sizeof *snap->groups))) {
        snapshot_free(snap);
        return NULL;
    }
    for (uint32_t i = 0; i < snap->memory_count; i++) snap->groups[snap->group_count++] = &snap->memory_groups[i];
    for (uint32_t i = 0; i < snap->segment_count; i++)
        for (uint32_t g = 0; g < segment_rowgroups(snap->segments[i]); g++)
            snap->groups[snap->group_count++] = segment_rowgroup(snap->segments[i], g);
    qsort(snap->groups, snap->group_count, sizeof *snap->groups, newest_first);
    return snap;
}

void snapshot_free(struct snapshot *snap) {
    if (!snap) return;
    for (uint32_t i = 0; i < snap->memory_count; i++) memtable_unref(snap->memory[i].memtable);
    for (uint32_t i = 0; i < snap->segment_count; i++) segment_unref(snap->segments[i]);
    free(snap->segments);
    trace_indexes_unref(snap->indexes);
    free(snap->groups);
    free(snap);
}

uint32_t snapshot_count(const struct snapshot *snap) {
    return snap->group_count;
}
const struct rowgroup *snapshot_rowgroup(const struct snapshot *snap, uint32_t i) {
    return snap->groups[i];
}

/* ---- traces ---- */

/* For a few ids each index is told first what it will be asked, so that the disk is waited for once. */
void snapshot_find_traces(const struct snapshot *snap, const uint8_t (*ids)[TRACE_ID_SIZE], uint32_t count,
                          uint8_t *places) {
    enum { FEW = 4 };
    uint32_t index_count = trace_indexes_count(snap->indexes), index, number;
    struct trace_index_found *found = index_count ? calloc(index_count, sizeof *found) : NULL;
    memset(places, TRACE_UNKNOWN, snap->group_count);
    if (!found) return;
    for (uint32_t i = 0; i < index_count && count <= FEW; i++)
        for (uint32_t t = 0; t < count; t++) trace_index_expect(trace_indexes_at(snap->indexes, i), ids[t]);
    for (uint32_t i = 0; i < index_count; i++)
        for (uint32_t t = 0; t < count; t++)
            if (!trace_index_find(trace_indexes_at(snap->indexes, i), ids[t], &found[i])) break;
    for (uint32_t i = 0; i < snap->group_count; i++) {
        uint64_t segment = snap->groups[i]->segment;
        if (!segment || !trace_indexes_place(snap->indexes, segment, &index, &number)) continue;
        if (trace_index_is_broken(trace_indexes_at(snap->indexes, index))) continue;
        places[i] = found[index].bits[number / 64] >> number % 64 & 1 ? TRACE_LIKELY : TRACE_ABSENT;
    }
    free(found);
}

/* ---- columns ---- */

static int memory_read(const struct memory_source *m, enum col col, struct arena *arena, struct vec *out,
                       struct error *err) {
    const struct span **rows = malloc(m->rows * sizeof *rows);
    if (!rows) return error_set(err, VT_ENOMEM, "no memory for column %s", span_columns[col].name);
    for (uint32_t i = 0; i < m->rows; i++) rows[i] = memtable_row(m->memtable, i);
    int code = rows_column(rows, m->rows, col, arena, out, err);
    free(rows);
    return code;
}

const struct span *rowgroup_memory_row(const struct rowgroup *group, uint32_t row) {
    const struct memory_source *m = group->source;
    return memtable_row(m->memtable, row);
}

/* A broken segment is set aside by whoever meets it. */
static int met(const struct rowgroup *group, int code, const struct error *err) {
    const struct segment *segment = group->source;
    if (code == VT_ECORRUPT && segment_owner(segment)) set_segment_aside(segment_owner(segment), segment, err);
    return code;
}

static int tell(struct error *err, const struct error *own, int code) {
    if (code && err) *err = *own;
    return code;
}

int rowgroup_read(const struct rowgroup *group, enum col col, struct arena *arena, struct vec *out, struct error *err) {
    struct error own = {0};
    if (!group->segment) return memory_read(group->source, col, arena, out, err);
    int code = segment_read(group->source, group->index, col, arena, out, &own);
    return tell(err, &own, met(group, code, &own));
}

int rowgroup_read_codes(const struct rowgroup *group, enum col col, struct arena *arena, struct vec *out,
                        struct error *err) {
    struct error own = {0};
    if (!group->segment) return memory_read(group->source, col, arena, out, err);
    int code = segment_read_codes(group->source, group->index, col, arena, out, &own);
    return tell(err, &own, met(group, code, &own));
}

bool rowgroup_is_unknown(const struct rowgroup *group, enum col col) {
    return group->segment && segment_is_unknown(group->source, group->index, col);
}

int rowgroup_read_dictionary(const struct rowgroup *group, enum col col, struct arena *arena, const struct slice **dict,
                             uint32_t *count, struct error *err) {
    struct error own = {0};
    struct vec vec;
    *count = 0;
    if (!group->segment) return 0;
    int code = segment_read_dictionary(group->source, group->index, col, arena, &vec, &own);
    if (!code) *dict = vec.dict, *count = vec.dict_count;
    return tell(err, &own, met(group, code, &own));
}

/* Fields of rows of a segment, `stride` bytes apart. */
static int read_fields(const struct rowgroup *group, enum col col, const uint32_t *rows, uint32_t row_count,
                       struct arena *arena, void *out, size_t stride, struct error *err) {
    struct error own = {0};
    int code = segment_read_fields(group->source, group->index, col, rows, row_count, arena, out, stride, &own);
    return tell(err, &own, met(group, code, &own));
}

int rowgroup_read_rows(const struct rowgroup *group, enum col col, const uint32_t *rows, uint32_t row_count,
                       struct arena *arena, struct slice *out, struct error *err) {
    const struct memory_source *m = group->source;
    if (group->segment) return read_fields(group, col, rows, row_count, arena, out, sizeof *out, err);
    for (uint32_t i = 0; i < row_count; i++) out[i] = span_get_text(memtable_row(m->memtable, rows[i]), col);
    return 0;
}

int rowgroup_read_span_columns(const struct rowgroup *group, const uint32_t *rows, uint32_t row_count, uint64_t columns,
                               struct arena *arena, struct span *out, struct error *err) {
    const struct memory_source *m = group->source;
    int code = 0;
    for (uint32_t i = 0; i < row_count && !group->segment; i++) out[i] = *memtable_row(m->memtable, rows[i]);
    uint64_t small = columns & ~((uint64_t)1 << COL_PROMPT | (uint64_t)1 << COL_COMPLETION |
                                 (uint64_t)1 << COL_ATTRIBUTES | (uint64_t)1 << COL_EVENTS);
    if (row_count) rowgroup_expect(group, small);
    for (int c = 0; c < COL_COUNT && group->segment && row_count && !code; c++)
        if (columns & (uint64_t)1 << c)
            code = read_fields(group, (enum col)c, rows, row_count, arena, (char *)out + span_columns[c].offset,
                               sizeof *out, err);
    return code;
}

int rowgroup_read_spans(const struct rowgroup *group, const uint32_t *rows, uint32_t row_count, struct arena *arena,
                        struct span *out, struct error *err) {
    return rowgroup_read_span_columns(group, rows, row_count, UINT64_MAX, arena, out, err);
}

int rowgroup_read_span(const struct rowgroup *group, uint32_t row, struct arena *arena, struct span *out,
                       struct error *err) {
    return rowgroup_read_spans(group, &row, 1, arena, out, err);
}

void rowgroup_expect(const struct rowgroup *group, uint64_t columns) {
    if (group->segment) segment_expect_columns(group->source, group->index, columns);
}

void rowgroup_expect_trace(const struct rowgroup *group, const uint8_t trace_id[TRACE_ID_SIZE]) {
    if (group->segment) segment_expect_trace(group->source, group->index, trace_id);
}

void rowgroup_expect_trace_rows(const struct rowgroup *group, const uint8_t trace_id[TRACE_ID_SIZE]) {
    if (group->segment) segment_expect_trace_rows(group->source, group->index, trace_id);
}

void rowgroup_expect_trace_list(const struct rowgroup *group) {
    if (group->segment) segment_expect_trace_list(group->source, group->index);
}

int rowgroup_trace_list(const struct rowgroup *group, struct arena *arena, struct trace_list *list, struct error *err) {
    struct error own = {0};
    if (!group->segment) return error_set(err, VT_ENOTFOUND, "memory has no list of traces");
    int code = segment_trace_list(group->source, group->index, arena, list, &own);
    return tell(err, &own, met(group, code, &own));
}

int rowgroup_attribute(const struct rowgroup *group, struct slice key, struct arena *arena, struct attr_codes *out,
                       struct error *err) {
    struct error own = {0};
    *out = (struct attr_codes){0};
    if (!group->segment) return 0;
    int code = segment_attribute(group->source, group->index, key, arena, out, &own);
    return tell(err, &own, met(group, code, &own));
}

/* What a filter says, which is yes when its bytes are broken. */
static bool filter_says(const struct rowgroup *group, bool may, bool broken) {
    struct error err;
    if (!broken) return may;
    met(group,
        error_set(&err, VT_ECORRUPT, "row group %u: page index and filters do not match their checksum", group->index),
        &err);
    return true;
}

bool rowgroup_may_have_trace(const struct rowgroup *group, const uint8_t trace_id[TRACE_ID_SIZE]) {
    bool broken = false;
    if (!group->segment) return true;
    bool may = segment_may_have_trace(group->source, group->index, trace_id, &broken);
    return filter_says(group, may, broken);
}

int rowgroup_trace_rows(const struct rowgroup *group, const uint8_t trace_id[TRACE_ID_SIZE], uint32_t *first,
                        uint32_t *rows, struct error *err) {
    struct error own = {0};
    bool broken;
    if (!group->segment || segment_trace_rows(group->source, group->index, trace_id, first, rows, &broken))
        return error_set(err, VT_ENOTFOUND, "it has no list of traces");
    if (!broken) return 0;
    error_set(&own, VT_ECORRUPT, "row group %u: the list of traces does not match its checksum", group->index);
    return tell(err, &own, met(group, VT_ECORRUPT, &own));
}

bool rowgroup_may_have_word(const struct rowgroup *group, struct slice word) {
    bool broken = false;
    if (!group->segment) return true;
    bool may = segment_may_have_word(group->source, group->index, word, &broken);
    return filter_says(group, may, broken);
}

bool rowgroup_may_have_value(const struct rowgroup *group, enum col col, struct slice value) {
    return !group->segment || segment_may_have_value(group->source, group->index, col, value);
}

/* ---- figures ---- */

void store_get_stats(struct store *s, struct store_stats *out) {
    *out = (struct store_stats){.spans_appended = atomic_load(&s->appended),
                                .batches_appended = atomic_load(&s->batches),
                                .fsyncs = atomic_load(&s->fsyncs),
                                .sampled_out = atomic_load(&s->sampled_out),
                                .decided_early = atomic_load(&s->decided_early),
                                .oldest_ns = SPAN_NO_INT,
                                .newest_ns = SPAN_NO_INT,
                                .disk_full = atomic_load(&s->disk_full)};
    pthread_mutex_lock(&s->queue_lock);
    out->queue_batches = s->queued;
    out->queue_bytes = s->queued_bytes;
    out->refused = s->refused;
    pthread_mutex_unlock(&s->queue_lock);
    out->merge_backlog = merge_backlog(s);
    struct snapshot *snap = store_snapshot(s);
    for (uint32_t i = 0; snap && i < snap->group_count; i++) {
        const struct rowgroup *g = snap->groups[i];
        out->spans_total += g->rows;
        if (!g->segment) out->memtable_rows += g->rows;
        if (out->oldest_ns == SPAN_NO_INT || g->min_start_ns < out->oldest_ns) out->oldest_ns = g->min_start_ns;
        if (out->newest_ns == SPAN_NO_INT || g->max_start_ns > out->newest_ns) out->newest_ns = g->max_start_ns;
    }
    for (uint32_t i = 0; snap && i < snap->memory_count; i++)
        out->memtable_bytes += memtable_bytes(snap->memory[i].memtable);
    for (uint32_t i = 0; snap && i < snap->segment_count; i++) out->segment_bytes += segment_bytes(snap->segments[i]);
    out->segments = snap ? snap->segment_count : 0;
    snapshot_free(snap);
    pthread_mutex_lock(&s->lock);
    out->merges = s->merges;
    out->carried_rows = s->carried ? memtable_rows(s->carried) : 0;
    out->segments_set_aside = s->set_aside;
    out->wal_bytes = atomic_load(&s->wal_bytes);
    pthread_mutex_unlock(&s->lock);
}
