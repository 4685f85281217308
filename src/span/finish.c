/* A batch put together: traces of log lines, what children take from their parents, usage told twice. */
#include "span/normalise.h"
#include "span/tree.h"

/* The trace of a log line's tree is named after its root's span id, so that a child whose parent has not arrived yet gets the
 * same trace as the parent will. */
static void trace_of_root(const uint8_t *root_span_id, uint8_t *trace_id) {
    id_from_text(slice_make(root_span_id, SPAN_ID_SIZE), trace_id, TRACE_ID_SIZE);
}

static void take_from_parent(struct span *span, const struct span *parent) {
    static const enum col inherited[] = {COL_USER_ID, COL_THREAD_ID, COL_TURN_ID};
    for (size_t i = 0; i < sizeof inherited / sizeof *inherited; i++) {
        struct slice *text = span_text(span, inherited[i]);
        if (!text->len) *text = span_get_text(parent, inherited[i]);
    }
}

/* Fills `order` with all indices, parents before children. */
static void order_by_depth(const int32_t *parent, uint32_t n, uint32_t *order, bool *placed) {
    uint32_t done = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t from = done;
        for (int32_t at = (int32_t)i; at >= 0 && !placed[at]; at = parent[at]) placed[at] = true, order[done++] = (uint32_t)at;
        for (uint32_t a = from, b = done; a + 1 < b; a++, b--) {
            uint32_t swap = order[a];
            order[a] = order[b - 1];
            order[b - 1] = swap;
        }
    }
}

void batch_finish(struct batch *batch) {
    uint32_t n = batch->count;
    struct arena arena = {0};
    struct span **spans = arena_alloc(&arena, (n + 1) * sizeof *spans);
    int32_t *parent = arena_alloc(&arena, (n + 1) * sizeof *parent);
    uint32_t *order = arena_alloc(&arena, (n + 1) * sizeof *order);
    bool *placed = arena_calloc(&arena, n + 1, sizeof *placed);
    for (uint32_t i = 0; spans && i < n; i++) spans[i] = &batch->spans[i];
    if (!spans || !parent || !order || !placed || !tree_parents(spans, n, &arena, parent)) goto out;
    order_by_depth(parent, n, order, placed);
    for (uint32_t o = 0; o < n; o++) {
        struct span *span = spans[order[o]];
        const struct span *up = parent[order[o]] >= 0 ? spans[parent[order[o]]] : NULL;
        if (span->flags & SPAN_JOIN_BY_PARENT) {
            bool root = id_is_zero(span->parent_span_id, SPAN_ID_SIZE);
            if (up) memcpy(span->trace_id, up->trace_id, TRACE_ID_SIZE);
            else trace_of_root(root ? span->span_id : span->parent_span_id, span->trace_id);
        }
        if (up) take_from_parent(span, up);
    }
    usage_restated_mark(spans, n, &arena);
out:
    arena_free(&arena);
}
