/* Traces of log lines, what children take from their parents, usage told twice, and fallbacks. */
#include "span/settle.h"

#include "span/tree.h"

const enum col settled_cols[SETTLED_TEXTS] = {COL_USER_ID, COL_THREAD_ID, COL_TURN_ID};
const enum col settled_contents[SETTLED_CONTENTS] = {COL_PROMPT, COL_COMPLETION};

/* Fills `order` with all indices, parents before children. */
static void order_by_depth(const struct settled *all, uint32_t n, uint32_t *order, bool *placed) {
    uint32_t done = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t from = done;
        for (int32_t at = (int32_t)i; at >= 0 && !placed[at]; at = all[at].parent)
            placed[at] = true, order[done++] = (uint32_t)at;
        for (uint32_t a = from, b = done; a + 1 < b; a++, b--) {
            uint32_t swap = order[a];
            order[a] = order[b - 1];
            order[b - 1] = swap;
        }
    }
}

/* The trace of a log line's tree is named after its root's span id, so that a child whose parent has not arrived yet
 * gets the same trace as the parent will. */
static void settle_trace(const struct span *span, const struct settled *up, struct settled *out) {
    memcpy(out->trace_id, span->trace_id, TRACE_ID_SIZE);
    if (!(span->flags & SPAN_JOIN_BY_PARENT)) return;
    bool root = id_is_zero(span->parent_span_id, SPAN_ID_SIZE);
    if (up)
        memcpy(out->trace_id, up->trace_id, TRACE_ID_SIZE);
    else
        id_from_text(slice_make(root ? span->span_id : span->parent_span_id, SPAN_ID_SIZE), out->trace_id,
                     TRACE_ID_SIZE);
}

/* `walked`: zeroed, one a span. Each step up is made once, however many calls failed below it. */
static void mark_fallbacks(const struct span *const *spans, uint32_t n, struct settled *all, bool *walked) {
    for (uint32_t i = 0; i < n; i++) all[i].flags &= ~(int64_t)SPAN_FALLBACK;
    for (uint32_t i = 0; i < n; i++) {
        if (spans[i]->kind != KIND_LLM || spans[i]->status != STATUS_ERROR) continue;
        for (int32_t up = all[i].parent; up >= 0 && !walked[up]; up = all[up].parent) {
            walked[up] = true;
            if (spans[up]->kind == KIND_TURN && spans[up]->status != STATUS_ERROR) all[up].flags |= SPAN_FALLBACK;
        }
    }
}

static bool is_before(const struct span *a, const struct span *b) {
    return a->start_ns != b->start_ns ? a->start_ns < b->start_ns : memcmp(a->span_id, b->span_id, SPAN_ID_SIZE) < 0;
}

/* Some SDKs tell of contents in log events, which come apart from the spans: what the span itself says wins, then the
 * earliest event. */
static void settle_contents(const struct span *const *spans, uint32_t n, struct settled *all) {
    for (uint32_t i = 0; i < n; i++)
        for (int c = 0; c < SETTLED_CONTENTS; c++) all[i].content_of[c] = i;
    for (uint32_t i = 0; i < n; i++) {
        int32_t up = all[i].parent;
        if (!(spans[i]->flags & SPAN_CONTENT_EVENT) || up < 0) continue;
        for (int c = 0; c < SETTLED_CONTENTS; c++) {
            uint32_t *of = &all[up].content_of[c];
            if (span_get_text(spans[up], settled_contents[c]).len || !span_get_text(spans[i], settled_contents[c]).len)
                continue;
            if (*of == (uint32_t)up || is_before(spans[i], spans[*of])) *of = i;
        }
    }
}

bool spans_settle(const struct span *const *spans, uint32_t n, struct arena *arena, struct settled *out) {
    uint32_t *order = arena_alloc(arena, ((size_t)n + 1) * sizeof *order);
    int32_t *parent = arena_alloc(arena, ((size_t)n + 1) * sizeof *parent);
    bool *marks = arena_calloc(arena, (size_t)n + 1, sizeof *marks);
    struct span *const *all = (struct span *const *)(uintptr_t)spans; /* tree.h does not change them either */
    if (!order || !parent || !marks || !tree_parents(all, n, arena, parent)) return false;
    for (uint32_t i = 0; i < n; i++) out[i].parent = parent[i];
    order_by_depth(out, n, order, marks);
    for (uint32_t o = 0; o < n; o++) {
        uint32_t i = order[o];
        const struct settled *up = parent[i] >= 0 ? &out[parent[i]] : NULL;
        settle_trace(spans[i], up, &out[i]);
        for (int t = 0; t < SETTLED_TEXTS; t++)
            out[i].text_of[t] = up && !span_get_text(spans[i], settled_cols[t]).len ? up->text_of[t] : i;
    }
    if (!usage_restated_find(all, parent, n, arena, marks)) return false;
    for (uint32_t i = 0; i < n; i++)
        out[i].flags =
            marks[i] ? spans[i]->flags | SPAN_USAGE_RESTATED : spans[i]->flags & ~(int64_t)SPAN_USAGE_RESTATED;
    memset(marks, 0, n * sizeof *marks);
    mark_fallbacks(spans, n, out, marks);
    settle_contents(spans, n, out);
    return true;
}

bool settled_differs(const struct span *const *spans, const struct settled *all, uint32_t i) {
    const struct span *span = spans[i];
    if (all[i].flags != span->flags || memcmp(all[i].trace_id, span->trace_id, TRACE_ID_SIZE) != 0) return true;
    for (int t = 0; t < SETTLED_TEXTS; t++)
        if (!slice_eq(span_get_text(span, settled_cols[t]), span_get_text(spans[all[i].text_of[t]], settled_cols[t])))
            return true;
    for (int c = 0; c < SETTLED_CONTENTS; c++)
        if (all[i].content_of[c] != i) return true;
    return false;
}

void settled_apply(const struct span *const *spans, const struct settled *all, uint32_t i, struct span *span) {
    memcpy(span->trace_id, all[i].trace_id, TRACE_ID_SIZE);
    span->flags = all[i].flags;
    for (int t = 0; t < SETTLED_TEXTS; t++)
        *span_text(span, settled_cols[t]) = span_get_text(spans[all[i].text_of[t]], settled_cols[t]);
    for (int c = 0; c < SETTLED_CONTENTS; c++)
        *span_text(span, settled_contents[c]) = span_get_text(spans[all[i].content_of[c]], settled_contents[c]);
}

bool spans_settle_rows(const struct span **rows, uint32_t n, struct arena *arena) {
    struct arena scratch = {0};
    struct settled *all = arena_alloc(&scratch, ((size_t)n + 1) * sizeof *all);
    struct span **changed = arena_calloc(&scratch, (size_t)n + 1, sizeof *changed);
    bool done = all && changed && spans_settle(rows, n, &scratch, all);
    for (uint32_t i = 0; i < n && done; i++) {
        if (!settled_differs(rows, all, i)) continue;
        if (!(changed[i] = arena_alloc(arena, sizeof **changed)))
            done = false;
        else
            *changed[i] = *rows[i], settled_apply(rows, all, i, changed[i]);
    }
    for (uint32_t i = 0; i < n && done; i++)
        if (changed[i]) rows[i] = changed[i];
    arena_free(&scratch);
    return done;
}
