/* Snapshots: the segments and memtables of one moment, and reading their columns. */
#include "store/store_internal.h"

#include "store/scan.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { SOURCES_OF_MEMORY = SEALING_MAX + 1 };

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
    uint32_t group_count;
};

static void add_memory(struct snapshot *snap, struct memtable *m) {
    uint32_t rows = memtable_rows(m), i = snap->memory_count;
    if (!rows) return;
    snap->memory[i] = (struct memory_source){memtable_ref(m), rows};
    snap->memory_groups[i] = (struct rowgroup){.rows = rows, .min_start_ns = INT64_MAX, .max_start_ns = INT64_MIN, .max_end_ns = INT64_MIN,
                                               .source = &snap->memory[i], .index = i};
    snap->memory_count++;
}

static void measure_memory(struct rowgroup *group, const struct memory_source *source) {
    for (uint32_t i = 0; i < source->rows; i++) {
        const struct span *span = memtable_row(source->memtable, i);
        if (span->start_ns < group->min_start_ns) group->min_start_ns = span->start_ns;
        if (span->start_ns > group->max_start_ns) group->max_start_ns = span->start_ns;
        if (span->start_ns + span->duration_ns > group->max_end_ns) group->max_end_ns = span->start_ns + span->duration_ns;
    }
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
    for (uint32_t i = 0; held && i < s->segment_count; i++) snap->segments[snap->segment_count++] = segment_ref(s->segments[i]);
    for (uint32_t i = 0; held && i < s->sealing_count; i++) add_memory(snap, s->sealing[i]);
    if (held) add_memory(snap, s->active);
    pthread_mutex_unlock(&s->lock);
    uint32_t total = snap->memory_count;
    for (uint32_t i = 0; i < snap->segment_count; i++) total += segment_rowgroups(snap->segments[i]);
    if (!held || !(snap->groups = malloc((total + 1) * sizeof *snap->groups))) {
        snapshot_free(snap);
        return NULL;
    }
    for (uint32_t i = 0; i < snap->memory_count; i++) {
        measure_memory(&snap->memory_groups[i], &snap->memory[i]);
        snap->groups[snap->group_count++] = &snap->memory_groups[i];
    }
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
    free(snap->groups);
    free(snap);
}

uint32_t snapshot_count(const struct snapshot *snap) { return snap->group_count; }
const struct rowgroup *snapshot_rowgroup(const struct snapshot *snap, uint32_t i) { return snap->groups[i]; }

/* ---- columns of a memtable ---- */

static int memory_dict(const struct memory_source *m, enum col col, struct arena *arena, struct vec *out, struct error *err) {
    uint32_t slots = 64;
    while (slots < 2 * (m->rows + 1)) slots *= 2;
    uint32_t *codes = arena_alloc(arena, m->rows * sizeof *codes), *table = arena_calloc(arena, slots, sizeof *table);
    struct slice *dict = arena_alloc(arena, ((size_t)m->rows + 1) * sizeof *dict);
    if (!codes || !table || !dict) return error_set(err, VT_ENOMEM, "no memory for column %s", span_columns[col].name);
    uint32_t count = 1;
    dict[0] = (struct slice){NULL, 0};
    for (uint32_t i = 0; i < m->rows; i++) {
        struct slice text = span_get_text(memtable_row(m->memtable, i), col);
        if (!text.len) {
            codes[i] = 0;
            continue;
        }
        uint32_t at = (uint32_t)XXH3_64bits(text.ptr, text.len) & (slots - 1);
        while (table[at] && !slice_eq(dict[table[at]], text)) at = (at + 1) & (slots - 1);
        if (!table[at]) {
            dict[count] = text;
            table[at] = count++;
        }
        codes[i] = table[at];
    }
    out->codes = codes;
    out->dict = dict;
    out->dict_count = count;
    return 0;
}

static int memory_read(const struct memory_source *m, enum col col, struct arena *arena, struct vec *out, struct error *err) {
    const struct column *c = &span_columns[col];
    *out = (struct vec){.type = c->type, .count = m->rows};
    if (c->type == COL_DICT) return memory_dict(m, col, arena, out, err);
    size_t width = c->type == COL_BYTES ? c->width : c->type == COL_STRING ? sizeof(struct slice) : 8;
    char *values = arena_alloc(arena, m->rows * width);
    if (!values) return error_set(err, VT_ENOMEM, "no memory for column %s", c->name);
    for (uint32_t i = 0; i < m->rows; i++) memcpy(values + i * width, (const char *)memtable_row(m->memtable, i) + c->offset, width);
    switch (c->type) {
    case COL_BYTES: out->bytes = (const uint8_t *)values; break;
    case COL_INT: out->ints = (const int64_t *)(const void *)values; break;
    case COL_DOUBLE: out->doubles = (const double *)(const void *)values; break;
    default: out->text = (const struct slice *)(const void *)values; break;
    }
    return 0;
}

int rowgroup_read(const struct rowgroup *group, enum col col, struct arena *arena, struct vec *out, struct error *err) {
    if (!group->segment) return memory_read(group->source, col, arena, out, err);
    return segment_read(group->source, group->index, col, arena, out, err);
}

int rowgroup_read_rows(const struct rowgroup *group, enum col col, const uint32_t *rows, uint32_t row_count, struct arena *arena,
                       struct slice *out, struct error *err) {
    const struct memory_source *m = group->source;
    struct vec vec;
    int code = 0;
    if (!group->segment) {
        for (uint32_t i = 0; i < row_count; i++) out[i] = span_get_text(memtable_row(m->memtable, rows[i]), col);
        return 0;
    }
    if (span_columns[col].type == COL_STRING) return segment_read_rows(group->source, group->index, col, rows, row_count, arena, out, err);
    if ((code = rowgroup_read(group, col, arena, &vec, err))) return code;
    for (uint32_t i = 0; i < row_count; i++) out[i] = vec.dict[vec.codes[rows[i]]];
    return 0;
}

int rowgroup_read_span(const struct rowgroup *group, uint32_t row, struct arena *arena, struct span *out, struct error *err) {
    const struct memory_source *m = group->source;
    if (!group->segment) {
        *out = *memtable_row(m->memtable, row);
        return 0;
    }
    for (int c = 0; c < COL_COUNT; c++) {
        const struct column *column = &span_columns[c];
        char *field = (char *)out + column->offset;
        struct vec vec;
        int code;
        if (c >= COL_TEXT_FIRST) {
            if ((code = rowgroup_read_rows(group, (enum col)c, &row, 1, arena, (struct slice *)(void *)field, err))) return code;
            continue;
        }
        if ((code = rowgroup_read(group, (enum col)c, arena, &vec, err))) return code;
        if (vec.type == COL_BYTES) memcpy(field, vec.bytes + (size_t)row * column->width, column->width);
        else memcpy(field, vec.type == COL_INT ? (const void *)&vec.ints[row] : (const void *)&vec.doubles[row], 8);
    }
    return 0;
}

bool rowgroup_may_have_trace(const struct rowgroup *group, const uint8_t trace_id[TRACE_ID_SIZE]) {
    return !group->segment || segment_may_have_trace(group->source, group->index, trace_id);
}

bool rowgroup_may_have_word(const struct rowgroup *group, struct slice word) {
    return !group->segment || segment_may_have_word(group->source, group->index, word);
}

bool rowgroup_may_have_value(const struct rowgroup *group, enum col col, struct slice value) {
    return !group->segment || segment_may_have_value(group->source, group->index, col, value);
}

/* ---- figures ---- */

void store_get_stats(struct store *s, struct store_stats *out) {
    *out = (struct store_stats){.spans_appended = atomic_load(&s->appended), .batches_appended = atomic_load(&s->batches),
                                .fsyncs = atomic_load(&s->fsyncs), .oldest_ns = SPAN_NO_INT, .newest_ns = SPAN_NO_INT, .disk_full = atomic_load(&s->disk_full)};
    pthread_mutex_lock(&s->queue_lock);
    out->queue_batches = s->queued;
    out->queue_bytes = s->queued_bytes;
    out->refused = s->refused;
    pthread_mutex_unlock(&s->queue_lock);
    struct snapshot *snap = store_snapshot(s);
    for (uint32_t i = 0; snap && i < snap->group_count; i++) {
        const struct rowgroup *g = snap->groups[i];
        out->spans_total += g->rows;
        if (!g->segment) out->memtable_rows += g->rows;
        if (out->oldest_ns == SPAN_NO_INT || g->min_start_ns < out->oldest_ns) out->oldest_ns = g->min_start_ns;
        if (out->newest_ns == SPAN_NO_INT || g->max_start_ns > out->newest_ns) out->newest_ns = g->max_start_ns;
    }
    for (uint32_t i = 0; snap && i < snap->memory_count; i++) out->memtable_bytes += memtable_bytes(snap->memory[i].memtable);
    for (uint32_t i = 0; snap && i < snap->segment_count; i++) out->segment_bytes += segment_bytes(snap->segments[i]);
    out->segments = snap ? snap->segment_count : 0;
    snapshot_free(snap);
    pthread_mutex_lock(&s->lock);
    out->merges = s->merges;
    out->segments_set_aside = s->set_aside;
    out->wal_bytes = s->wal.bytes;
    pthread_mutex_unlock(&s->lock);
}
