/* Looking at a row group that is new: traces that do not fit together in it, traces that are in others, too, and
 * parents and children that are not here. */
#include "query/weave_internal.h"

#include "span/settle.h"

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

/* The other groups that may hold spans of a trace, near in time or (`far`) anywhere. */
static void meet_groups(struct look *look, uint32_t own, const uint8_t *trace_id, bool far) {
    for (uint32_t o = 0; o < (far ? look->other_count : look->near_count); o++) {
        if (!may_have(look, look->others[o], trace_id)) continue;
        suspect(look, trace_id, look->digests[own]->key);
        suspect(look, trace_id, look->digests[look->others[o]]->key);
    }
}

/* ---- segments ---- */

struct columns {
    struct vec v[COL_COUNT];
};

static const enum col needed[] = {COL_TRACE_ID, COL_SPAN_ID, COL_PARENT_SPAN_ID, COL_FLAGS,
                                  COL_KIND,     COL_STATUS,  COL_TOKENS_INPUT,   COL_TOKENS_OUTPUT,
                                  COL_COST_USD, COL_USER_ID, COL_THREAD_ID,      COL_TURN_ID};

static const uint8_t *id_at(const struct columns *c, enum col col, uint32_t row) {
    return c->v[col].bytes + (size_t)row * span_columns[col].width;
}

static bool has_parent(const struct columns *c, uint32_t row) {
    uint64_t id;
    memcpy(&id, id_at(c, COL_PARENT_SPAN_ID, row), 8);
    return id != 0;
}

enum { RUN_MAX = 64, NO_ROW = -1 };

static bool reports(const struct columns *c, uint32_t row) {
    if (c->v[COL_FLAGS].ints[row] & SPAN_USAGE_ESTIMATED) return false;
    return c->v[COL_TOKENS_INPUT].ints[row] != SPAN_NO_INT || c->v[COL_TOKENS_OUTPUT].ints[row] != SPAN_NO_INT ||
           !isnan(c->v[COL_COST_USD].doubles[row]);
}

/* Whether what row `up` says as an ancestor is not known to row `row` yet. */
static bool pair_unsettled(const struct columns *c, uint32_t row, uint32_t up, bool direct) {
    const int64_t *flags = c->v[COL_FLAGS].ints;
    if (direct && ((!c->v[COL_USER_ID].codes[row] && c->v[COL_USER_ID].codes[up]) ||
                   (!c->v[COL_THREAD_ID].codes[row] && c->v[COL_THREAD_ID].codes[up]) ||
                   (!c->v[COL_TURN_ID].text[row].len && c->v[COL_TURN_ID].text[up].len)))
        return true;
    if (reports(c, row) && reports(c, up) && !(flags[up] & SPAN_USAGE_RESTATED)) return true;
    if (flags[row] & SPAN_USAGE_ESTIMATED && reports(c, up) && !(flags[up] & SPAN_USAGE_RESTATED) &&
        !(flags[row] & SPAN_USAGE_RESTATED))
        return true;
    return c->v[COL_KIND].ints[row] == KIND_LLM && c->v[COL_STATUS].ints[row] == STATUS_ERROR &&
           c->v[COL_KIND].ints[up] == KIND_TURN && c->v[COL_STATUS].ints[up] != STATUS_ERROR &&
           !(flags[up] & SPAN_FALLBACK);
}

/* The rows of one trace, first … end-1. Long ones are looked at as a whole without a check. */
static bool run_unsettled(const struct columns *c, uint32_t first, uint32_t end, int *parent) {
    if (end - first > RUN_MAX) return true;
    for (uint32_t i = first; i < end; i++) {
        parent[i - first] = NO_ROW;
        if (!has_parent(c, i)) continue;
        for (uint32_t p = first; p < end && parent[i - first] == NO_ROW; p++)
            if (p != i && memcmp(id_at(c, COL_SPAN_ID, p), id_at(c, COL_PARENT_SPAN_ID, i), SPAN_ID_SIZE) == 0)
                parent[i - first] = (int)(p - first);
    }
    for (uint32_t i = first; i < end; i++) {
        int up = parent[i - first];
        for (unsigned steps = 0; up != NO_ROW && steps < RUN_MAX; steps++, up = parent[up])
            if (pair_unsettled(c, i, first + (uint32_t)up, steps == 0)) return true;
    }
    return false;
}

static bool run_has(const struct columns *c, uint32_t first, uint32_t end, const uint8_t *span_id) {
    for (uint32_t p = first; p < end; p++)
        if (memcmp(id_at(c, COL_SPAN_ID, p), span_id, SPAN_ID_SIZE) == 0) return true;
    return false;
}

static void note_run(struct look *look, uint32_t own, const struct columns *c, uint32_t first, uint32_t end,
                     uint32_t *far) {
    struct digest *digest = look->digests[own];
    const uint8_t *trace_id = id_at(c, COL_TRACE_ID, first);
    int parent[RUN_MAX];
    if (end - first > 1 && run_unsettled(c, first, end, parent)) suspect(look, trace_id, digest->key);
    meet_wanted(look, trace_id, trace_id, digest->key);
    bool dangling = false;
    for (uint32_t i = first; i < end; i++) {
        uint8_t key[TRACE_ID_SIZE];
        bool joiner = c->v[COL_FLAGS].ints[i] & SPAN_JOIN_BY_PARENT;
        if (joiner) {
            digest->joiners = true;
            span_key(id_at(c, COL_SPAN_ID, i), key);
            meet_wanted(look, key, trace_id, digest->key);
        }
        const uint8_t *up = id_at(c, COL_PARENT_SPAN_ID, i);
        if (!has_parent(c, i) || run_has(c, first, end, up)) continue;
        if (joiner)
            seek(look, up, trace_id, digest->key);
        else
            dangling = true;
    }
    bool goes_far = dangling && *far < FAR_MAX;
    if (goes_far) {
        ++*far;
        want(look, trace_id, trace_id, digest->key);
    }
    meet_groups(look, own, trace_id, goes_far);
}

int digest_segment(struct look *look, uint32_t own, struct error *err) {
    const struct rowgroup *group = snapshot_rowgroup(look->snapshot, own);
    struct arena arena = {0};
    struct columns c;
    uint32_t far = 0;
    int code = 0;
    list_others(look, own);
    for (size_t i = 0; i < sizeof needed / sizeof *needed && !code; i++)
        code = rowgroup_read(group, needed[i], &arena, &c.v[needed[i]], err);
    for (uint32_t first = 0, end; first < group->rows && !code; first = end) {
        for (end = first + 1; end < group->rows &&
                              memcmp(id_at(&c, COL_TRACE_ID, end), id_at(&c, COL_TRACE_ID, first), TRACE_ID_SIZE) == 0;)
            end++;
        note_run(look, own, &c, first, end, &far);
    }
    if (!code) look->digests[own]->index = group_index_new(&c.v[COL_TRACE_ID], &c.v[COL_USER_ID], &c.v[COL_THREAD_ID]);
    arena_free(&arena);
    look->digests[own]->done = true;
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
