/* Parents, cycles, and usage that is told twice. */
#include "span/tree.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* ---- finding a span by its id ---- */

struct index {
    int32_t *slots; /* index of a span, -1 = free */
    uint32_t mask;
    struct span *const *spans;
};

static bool joins(const struct span *span) {
    return span->flags & SPAN_JOIN_BY_PARENT;
}

/* Ids are not always drawn by chance: some count upwards, and some are chosen to fall on one slot. The seed is where
 * the index lies, which nobody outside can know. */
static uint32_t id_hash(const struct index *index, const uint8_t *trace_id, const uint8_t *span_id) {
    uint8_t key[TRACE_ID_SIZE + SPAN_ID_SIZE] = {0};
    if (trace_id) memcpy(key, trace_id, TRACE_ID_SIZE);
    memcpy(key + TRACE_ID_SIZE, span_id, SPAN_ID_SIZE);
    return (uint32_t)XXH3_64bits_withSeed(key, sizeof key, (uintptr_t)index->slots);
}

/* The order in which one of two spans with the same id, or of a cycle, comes first. */
static int precedence(const struct span *a, const struct span *b) {
    if (a->start_ns != b->start_ns) return a->start_ns < b->start_ns ? -1 : 1;
    int ids = memcmp(a->span_id, b->span_id, SPAN_ID_SIZE);
    if (ids) return ids;
    if (a->duration_ns != b->duration_ns) return a->duration_ns > b->duration_ns ? -1 : 1;
    return memcmp(a->parent_span_id, b->parent_span_id, SPAN_ID_SIZE);
}

/* The slot of the span with that id, or the free slot where it belongs. trace_id NULL: among spans that join by parent.
 */
static int32_t *index_slot(const struct index *index, const uint8_t *trace_id, const uint8_t *span_id) {
    for (uint32_t at = id_hash(index, trace_id, span_id) & index->mask;; at = (at + 1) & index->mask) {
        int32_t *slot = &index->slots[at];
        if (*slot < 0) return slot;
        const struct span *span = index->spans[*slot];
        if (joins(span) == !trace_id && memcmp(span->span_id, span_id, SPAN_ID_SIZE) == 0 &&
            (!trace_id || memcmp(span->trace_id, trace_id, TRACE_ID_SIZE) == 0))
            return slot;
    }
}

static bool index_build(struct index *index, struct span *const *spans, uint32_t n, struct arena *arena) {
    uint32_t size = 16;
    while (size < n * 2) size *= 2;
    *index = (struct index){arena_alloc(arena, size * sizeof *index->slots), size - 1, spans};
    if (!index->slots) return false;
    memset(index->slots, 0xff, size * sizeof *index->slots);
    for (uint32_t i = 0; i < n; i++) {
        int32_t *slot = index_slot(index, joins(spans[i]) ? NULL : spans[i]->trace_id, spans[i]->span_id);
        if (*slot < 0 || precedence(spans[i], spans[*slot]) < 0) *slot = (int32_t)i;
    }
    return true;
}

/* ---- parents ---- */

/* Walks up from each span; who is met again in the same walk stands on a cycle, which is opened at its first span. */
static bool cycles_open(struct span *const *spans, uint32_t n, struct arena *arena, int32_t *parent) {
    uint32_t *walk = arena_calloc(arena, n ? n : 1, sizeof *walk);
    if (!walk) return false;
    for (uint32_t i = 0; i < n; i++) {
        int32_t at = (int32_t)i;
        while (at >= 0 && !walk[at]) walk[at] = i + 1, at = parent[at];
        if (at < 0 || walk[at] != i + 1) continue;
        int32_t first = at;
        for (int32_t on = parent[at]; on != at; on = parent[on])
            if (precedence(spans[on], spans[first]) < 0) first = on;
        parent[first] = TREE_NO_PARENT;
    }
    return true;
}

bool tree_parents(struct span *const *spans, uint32_t n, struct arena *arena, int32_t *parent) {
    struct index index;
    if (n > INT32_MAX / 2 || !index_build(&index, spans, n, arena)) return false;
    for (uint32_t i = 0; i < n; i++) {
        const struct span *span = spans[i];
        parent[i] = TREE_NO_PARENT;
        if (id_is_zero(span->parent_span_id, SPAN_ID_SIZE)) continue;
        int32_t found = *index_slot(&index, joins(span) ? NULL : span->trace_id, span->parent_span_id);
        if (found >= 0) parent[i] = found;
    }
    return cycles_open(spans, n, arena, parent);
}

/* ---- usage told twice ---- */

static bool usage_reported(const struct span *span) {
    if (span->flags & SPAN_USAGE_ESTIMATED) return false;
    return span->tokens_input != SPAN_NO_INT || span->tokens_output != SPAN_NO_INT || !isnan(span->cost_usd);
}

/* Whether an ancestor reports usage that is counted. `known` keeps what was found on the way up: 0 not yet, 1 no, 2
 * yes. */
static bool reported_above(struct span *const *spans, const int32_t *parent, const bool *below, uint8_t *known,
                           uint32_t i) {
    uint8_t found = 1;
    for (int32_t at = (int32_t)i; at >= 0; at = parent[at]) {
        if (known[at]) {
            found = known[at];
            break;
        }
        int32_t up = parent[at];
        if (up >= 0 && usage_reported(spans[up]) && !below[up]) {
            found = 2;
            break;
        }
    }
    for (int32_t at = (int32_t)i; at >= 0 && !known[at]; at = parent[at]) {
        known[at] = found;
        if (parent[at] >= 0 && usage_reported(spans[parent[at]]) && !below[parent[at]]) break;
    }
    return found == 2;
}

bool usage_restated_find(struct span *const *spans, const int32_t *parent, uint32_t n, struct arena *arena,
                         bool *found) {
    bool *below = arena_calloc(arena, n ? n : 1, sizeof *below); /* a descendant reports usage */
    uint8_t *known = arena_calloc(arena, n ? n : 1, sizeof *known);
    if (!below || !known) return false;
    for (uint32_t i = 0; i < n; i++)
        if (usage_reported(spans[i]))
            for (int32_t up = parent[i]; up >= 0 && !below[up]; up = parent[up]) below[up] = true;
    for (uint32_t i = 0; i < n; i++) {
        found[i] = usage_reported(spans[i]) && below[i];
        if (spans[i]->flags & SPAN_USAGE_ESTIMATED) found[i] = reported_above(spans, parent, below, known, i);
    }
    return true;
}

bool usage_restated_mark(struct span *const *spans, uint32_t n, struct arena *arena) {
    int32_t *parent = arena_alloc(arena, (n ? n : 1) * sizeof *parent);
    bool *found = arena_calloc(arena, n ? n : 1, sizeof *found);
    if (!parent || !found || !tree_parents(spans, n, arena, parent) ||
        !usage_restated_find(spans, parent, n, arena, found))
        return false;
    for (uint32_t i = 0; i < n; i++)
        spans[i]->flags =
            found[i] ? spans[i]->flags | SPAN_USAGE_RESTATED : spans[i]->flags & ~(int64_t)SPAN_USAGE_RESTATED;
    return true;
}
