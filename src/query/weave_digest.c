/* Looking at a row group that is new: traces that do not fit together in it, traces that are in others, too, and
 * parents and children that are not here. */
#include "query/weave_internal.h"

#include "span/settle.h"
#include "store/trace_list.h"

#include <stdlib.h>

static const int64_t SLACK_NS = INT64_C(60000000000);

static bool overlap(const struct digest *a, const struct digest *b) {
    return a->from_ns <= b->to_ns + SLACK_NS && b->from_ns <= a->to_ns + SLACK_NS;
}

static bool may_have(const struct look *look, uint32_t i, const uint8_t *trace_id) {
    const struct digest *digest = look->digests[i];
    uint32_t first;
    if (digest->memory) return id_map_find(&digest->memory->traces, trace_id) != NONE;
    if (digest->index) return group_index_rows(digest->index, trace_id, &first) > 0;
    return rowgroup_may_have_trace(snapshot_rowgroup(look->snapshot, i), trace_id);
}

/* The other groups that were looked at before: those near in time come first. */
static void list_others(struct look *look, uint32_t own) {
    uint32_t near = 0, all = 0;
    for (int far = 0; far < 2; far++) {
        for (uint32_t i = 0; i < look->count; i++)
            if (i != own && look->digests[i]->done && overlap(look->digests[own], look->digests[i]) != far)
                look->others[all++] = i;
        if (!far) near = all;
    }
    look->near_count = near;
    look->other_count = all;
}

/* The other groups that may hold spans of a trace, near in time or (`far`) anywhere; segments that are new in this look
 * are left to digest_wanted then. */
static void meet_groups(struct look *look, uint32_t own, const uint8_t *trace_id, bool far) {
    for (uint32_t o = far ? look->near_count : 0; o < (far ? look->other_count : look->near_count); o++) {
        const struct digest *other = look->digests[look->others[o]];
        if (far && !other->memory && other->born == look->weave->looks) continue;
        if (!may_have(look, look->others[o], trace_id)) continue;
        suspect(look, trace_id, look->digests[own]->key);
        suspect(look, trace_id, look->digests[look->others[o]]->key);
    }
}

/* ---- segments ---- */

/* From the columns, for files that have no list or a cut one. */
static int make_list(const struct rowgroup *group, struct arena *arena, struct trace_list *list, struct error *err) {
    struct vec columns[COL_COUNT];
    int code = 0;
    for (int i = 0; i < TRACE_COLUMNS && !code; i++)
        code = rowgroup_read(group, trace_columns[i], arena, &columns[trace_columns[i]], err);
    if (code) return code;
    return trace_list_make(columns, arena, list) ? 0 : error_set(err, VT_ENOMEM, "no memory to look at traces");
}

static int read_list(const struct rowgroup *group, struct arena *arena, struct trace_list *list, struct error *err) {
    int code = rowgroup_trace_list(group, arena, list, err);
    bool cut = !code && (list->unsettled_count > TRACE_NOTES_MAX || list->seeking_count > TRACE_NOTES_MAX);
    return code == VT_ENOTFOUND || cut ? make_list(group, arena, list, err) : code;
}

/* Ids at some rows (ascending), in the arena. */
static int read_ids(const struct rowgroup *group, const uint32_t *rows, uint32_t count, struct arena *arena,
                    struct span **out, struct error *err) {
    static const uint64_t ids =
        (uint64_t)1 << COL_TRACE_ID | (uint64_t)1 << COL_SPAN_ID | (uint64_t)1 << COL_PARENT_SPAN_ID;
    *out = arena_calloc(arena, (size_t)count + 1, sizeof **out);
    if (!*out) return error_set(err, VT_ENOMEM, "no memory to look at traces");
    return count ? rowgroup_read_span_columns(group, rows, count, ids, arena, *out, err) : 0;
}

static int note_list(struct look *look, uint32_t own, const struct trace_list *list, struct arena *arena,
                     struct error *err) {
    const struct rowgroup *group = snapshot_rowgroup(look->snapshot, own);
    struct digest *digest = look->digests[own];
    uint32_t dangling = list->dangling_count < FAR_MAX ? list->dangling_count : FAR_MAX;
    struct span *spans;
    int code = read_ids(group, list->unsettled, list->unsettled_count, arena, &spans, err);
    for (uint32_t i = 0; i < list->unsettled_count && !code; i++) suspect(look, spans[i].trace_id, digest->key);
    if (!code) code = read_ids(group, list->dangling, dangling, arena, &spans, err);
    for (uint32_t i = 0; i < dangling && !code; i++) {
        want(look, spans[i].trace_id, spans[i].trace_id, digest->key);
        meet_groups(look, own, spans[i].trace_id, true);
    }
    if (!code) code = read_ids(group, list->seeking, list->seeking_count, arena, &spans, err);
    for (uint32_t i = 0; i < list->seeking_count && !code; i++)
        seek(look, spans[i].parent_span_id, spans[i].trace_id, digest->key);
    return code;
}

static int by_number(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Traces of `own` at some rows are in the other group too. */
static int suspect_rows(struct look *look, uint32_t own, uint32_t *rows, uint32_t count, const uint64_t *other,
                        struct error *err) {
    struct arena arena = {0};
    struct span *spans;
    if (count) qsort(rows, count, sizeof *rows, by_number);
    int code = read_ids(snapshot_rowgroup(look->snapshot, own), rows, count, &arena, &spans, err);
    for (uint32_t i = 0; i < count && !code; i++) {
        suspect(look, spans[i].trace_id, look->digests[own]->key);
        if (other) suspect(look, spans[i].trace_id, *other);
    }
    arena_free(&arena);
    return code;
}

static uint32_t first_at_least(const uint32_t *hashes, uint32_t count, uint32_t hash) {
    uint32_t low = 0;
    while (low < count) {
        uint32_t middle = low + (count - low) / 2;
        if (hashes[middle] < hash)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

/* Two lists of hashes side by side, without a branch that depends on which is less; their lower and upper halves at the
 * same time, since each step waits for the one before. */
static int meet_segment(struct look *look, uint32_t own, uint32_t other, uint32_t *rows, struct error *err) {
    enum { HALF = INT32_MAX };
    uint32_t own_count, other_count, count = 0;
    const struct group_index *index = look->digests[own]->index;
    const uint32_t *a = group_index_hashes(index, &own_count);
    const uint32_t *b = group_index_hashes(look->digests[other]->index, &other_count);
    uint32_t i = 0, j = 0, i_end = first_at_least(a, own_count, HALF), j_end = first_at_least(b, other_count, HALF);
    uint32_t k = i_end, l = j_end;
    while (i < i_end && j < j_end && k < own_count && l < other_count) {
        uint32_t x = a[i], y = b[j], z = a[k], u = b[l];
        if (x == y) rows[count++] = group_index_row(index, i);
        if (z == u) rows[count++] = group_index_row(index, k);
        i += x <= y;
        j += y < x;
        k += z <= u;
        l += u < z;
    }
    while (i < i_end && j < j_end) {
        uint32_t x = a[i], y = b[j];
        if (x == y) rows[count++] = group_index_row(index, i);
        i += x <= y;
        j += y < x;
    }
    while (k < own_count && l < other_count) {
        uint32_t z = a[k], u = b[l];
        if (z == u) rows[count++] = group_index_row(index, k);
        k += z <= u;
        l += u < z;
    }
    return count ? suspect_rows(look, own, rows, count, &look->digests[other]->key, err) : 0;
}

static void meet_memory(struct look *look, uint32_t own, uint32_t other) {
    const struct id_map *traces = &look->digests[other]->memory->traces;
    uint32_t first;
    for (uint32_t t = 0; t < traces->count; t++) {
        if (!group_index_rows(look->digests[own]->index, traces->ids[t], &first)) continue;
        suspect(look, traces->ids[t], look->digests[own]->key);
        suspect(look, traces->ids[t], look->digests[other]->key);
    }
}

/* Spans of log lines that somebody waits for. */
static int meet_joiners(struct look *look, uint32_t own, struct error *err) {
    const struct rowgroup *group = snapshot_rowgroup(look->snapshot, own);
    struct arena arena = {0};
    struct vec spans, traces, flags;
    int code = rowgroup_read(group, COL_SPAN_ID, &arena, &spans, err);
    if (!code) code = rowgroup_read(group, COL_TRACE_ID, &arena, &traces, err);
    if (!code) code = rowgroup_read(group, COL_FLAGS, &arena, &flags, err);
    for (uint32_t row = 0; row < group->rows && !code; row++) {
        uint8_t key[TRACE_ID_SIZE];
        if (!(flags.ints[row] & SPAN_JOIN_BY_PARENT)) continue;
        span_key(spans.bytes + (size_t)row * SPAN_ID_SIZE, key);
        meet_wanted(look, key, traces.bytes + (size_t)row * TRACE_ID_SIZE, look->digests[own]->key);
    }
    arena_free(&arena);
    return code;
}

int digest_segment(struct look *look, uint32_t own, struct error *err) {
    const struct rowgroup *group = snapshot_rowgroup(look->snapshot, own);
    struct digest *digest = look->digests[own];
    struct arena arena = {0};
    struct trace_list list = {0};
    list_others(look, own);
    int code = read_list(group, &arena, &list, err);
    uint32_t *rows = code ? NULL : arena_alloc(&arena, ((size_t)list.count + 1) * sizeof *rows);
    if (!code && (!rows || !(digest->index = group_index_new(&list))))
        code = error_set(err, VT_ENOMEM, "no memory to look at traces");
    digest->joiners = list.joiners;
    digest->born = look->weave->looks;
    if (!code && digest->joiners && look->weave->wanted_count) code = meet_joiners(look, own, err);
    if (!code) code = note_list(look, own, &list, &arena, err);
    for (uint32_t o = 0; o < look->near_count && !code; o++) {
        const struct digest *other = look->digests[look->others[o]];
        if (other->memory)
            meet_memory(look, own, look->others[o]);
        else if (other->index)
            code = meet_segment(look, own, look->others[o], rows, err);
    }
    arena_free(&arena);
    digest->done = true;
    return code;
}

int digest_wanted(struct look *look, uint32_t own, struct error *err) {
    const struct weave *w = look->weave;
    const struct digest *digest = look->digests[own];
    uint32_t count = 0, found = 0;
    if (!digest->index || !w->wanted_count) return 0;
    const uint32_t *hashes = group_index_hashes(digest->index, &count);
    uint32_t *rows = malloc(((size_t)count + 1) * sizeof *rows);
    if (!rows) return error_set(err, VT_ENOMEM, "no memory to look at traces");
    for (uint32_t i = 0; i < count; i++)
        if (id_map_has_hash(&w->wanted_ids, hashes[i])) rows[found++] = group_index_row(digest->index, i);
    struct arena arena = {0};
    struct span *spans;
    if (found) qsort(rows, found, sizeof *rows, by_number);
    int code = read_ids(snapshot_rowgroup(look->snapshot, own), rows, found, &arena, &spans, err);
    for (uint32_t i = 0; i < found && !code; i++) meet_wanted(look, spans[i].trace_id, spans[i].trace_id, digest->key);
    arena_free(&arena);
    free(rows);
    return code;
}

/* ---- memtables ---- */

static bool grow(uint32_t **array, uint32_t needed_count, uint32_t *capacity) {
    if (needed_count <= *capacity) return true;
    uint32_t more = *capacity ? 2 * *capacity : 1024;
    while (more < needed_count) more *= 2;
    uint32_t *memory = realloc(*array, more * sizeof *memory);
    if (!memory) return false;
    *array = memory;
    *capacity = more;
    return true;
}

void memory_rows_free(struct memory_rows *m) {
    if (!m) return;
    id_map_free(&m->traces);
    id_map_free(&m->joiners);
    free(m->last);
    free(m->before);
    free(m->joiner_rows);
    free(m);
}

static bool add_row(struct memory_rows *m, const struct span *span, uint32_t row) {
    bool fresh;
    uint32_t trace = id_map_put(&m->traces, span->trace_id, &fresh);
    if (trace == NONE || !grow(&m->last, trace + 1, &m->last_capacity) ||
        !grow(&m->before, row + 1, &m->before_capacity))
        return false;
    m->before[row] = fresh ? NONE : m->last[trace];
    m->last[trace] = row;
    return true;
}

static bool add_joiner(struct look *look, uint32_t own, const struct span *span, uint32_t row) {
    struct digest *digest = look->digests[own];
    struct memory_rows *m = digest->memory;
    uint8_t key[TRACE_ID_SIZE];
    bool fresh;
    digest->joiners = true;
    span_key(span->span_id, key);
    uint32_t joiner = id_map_put(&m->joiners, key, &fresh);
    if (joiner == NONE || !grow(&m->joiner_rows, joiner + 1, &m->joiner_capacity)) return false;
    m->joiner_rows[joiner] = row;
    meet_wanted(look, key, span->trace_id, digest->key);
    if (!id_is_zero(span->parent_span_id, SPAN_ID_SIZE)) seek(look, span->parent_span_id, span->trace_id, digest->key);
    return true;
}

enum { CHAIN_MAX = 512 };

/* Whether the rows of a trace do not fit together, or one is there twice. Long ones are taken as if they did not. */
static bool chain_unsettled(const struct rowgroup *group, const struct memory_rows *m, uint32_t trace,
                            struct arena *scratch) {
    const struct span *rows[CHAIN_MAX];
    uint32_t n = 0;
    for (uint32_t row = m->last[trace]; row != NONE; row = m->before[row]) {
        if (n == CHAIN_MAX) return true;
        rows[n++] = rowgroup_memory_row(group, row);
    }
    if (n == 1) return false;
    for (uint32_t i = 0; i < n && n < 16; i++)
        for (uint32_t j = 0; j < i; j++)
            if (memcmp(rows[i]->span_id, rows[j]->span_id, SPAN_ID_SIZE) == 0) return true;
    if (n >= 16) return true;
    arena_reset(scratch);
    struct settled *settled = arena_alloc(scratch, n * sizeof *settled);
    if (!settled || !spans_settle(rows, n, scratch, settled)) return true;
    for (uint32_t i = 0; i < n; i++)
        if (settled_differs(rows, settled, i)) return true;
    return false;
}

void digest_memory(struct look *look, uint32_t own) {
    const struct rowgroup *group = snapshot_rowgroup(look->snapshot, own);
    struct digest *digest = look->digests[own];
    struct memory_rows *m = digest->memory;
    struct arena scratch = {0};
    uint32_t from = m->rows;
    list_others(look, own);
    for (uint32_t row = from; row < group->rows && !look->failed; row++) {
        const struct span *span = rowgroup_memory_row(group, row);
        if (!add_row(m, span, row) || (span->flags & SPAN_JOIN_BY_PARENT && !add_joiner(look, own, span, row)))
            look->failed = true;
    }
    for (uint32_t row = from; row < group->rows && !look->failed; row++) {
        const struct span *span = rowgroup_memory_row(group, row);
        uint32_t trace = id_map_find(&m->traces, span->trace_id);
        if (m->last[trace] != row) continue; /* its last row speaks for it */
        meet_wanted(look, span->trace_id, span->trace_id, digest->key);
        bool known = id_map_find(&look->weave->node_ids, span->trace_id) != NONE;
        if (known || chain_unsettled(group, m, trace, &scratch)) suspect(look, span->trace_id, digest->key);
        meet_groups(look, own, span->trace_id, false);
    }
    m->rows = group->rows;
    digest->done = true;
    arena_free(&scratch);
}

/* ---- parents of log lines ---- */

static void found_parent(struct look *look, uint32_t sought, const uint8_t *trace_id, uint64_t group) {
    for (uint32_t s = look->sought_first[sought]; s != NONE; s = look->sought[s].next)
        if (memcmp(look->sought[s].trace_id, trace_id, TRACE_ID_SIZE) != 0)
            suspect_union(look, look->sought[s].trace_id, look->sought[s].group, trace_id, group);
}

static void look_in_segment(struct look *look, uint32_t i) {
    const struct rowgroup *group = snapshot_rowgroup(look->snapshot, i);
    struct arena arena = {0};
    struct vec spans, traces, flags;
    if (rowgroup_read(group, COL_SPAN_ID, &arena, &spans, NULL) ||
        rowgroup_read(group, COL_TRACE_ID, &arena, &traces, NULL) ||
        rowgroup_read(group, COL_FLAGS, &arena, &flags, NULL)) {
        arena_free(&arena);
        return;
    }
    for (uint32_t row = 0; row < group->rows; row++) {
        uint8_t key[TRACE_ID_SIZE];
        if (!(flags.ints[row] & SPAN_JOIN_BY_PARENT)) continue;
        span_key(spans.bytes + (size_t)row * SPAN_ID_SIZE, key);
        uint32_t sought = id_map_find(&look->sought_ids, key);
        if (sought != NONE)
            found_parent(look, sought, traces.bytes + (size_t)row * TRACE_ID_SIZE, look->digests[i]->key);
    }
    arena_free(&arena);
}

/* Parents that are not in their child's own group: looked for where log lines are, in one pass each. Those that have
 * not come yet stay wanted. */
void look_for_parents(struct look *look) {
    for (uint32_t i = 0; i < look->count && look->sought_ids.count; i++) {
        const struct digest *digest = look->digests[i];
        if (!digest->joiners) continue;
        if (!digest->memory) {
            look_in_segment(look, i);
            continue;
        }
        for (uint32_t s = 0; s < look->sought_ids.count; s++) {
            uint32_t joiner = id_map_find(&digest->memory->joiners, look->sought_ids.ids[s]);
            if (joiner == NONE) continue;
            const struct span *span =
                rowgroup_memory_row(snapshot_rowgroup(look->snapshot, i), digest->memory->joiner_rows[joiner]);
            found_parent(look, s, span->trace_id, digest->key);
        }
    }
    for (uint32_t s = 0; s < look->sought_ids.count; s++)
        for (uint32_t w = look->sought_first[s]; w != NONE; w = look->sought[w].next)
            want(look, look->sought_ids.ids[s], look->sought[w].trace_id, look->sought[w].group);
}
