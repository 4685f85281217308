/* The newest traces of which a span matches. A trace stands at the start of its first matching span, so that a page
 * does not shift when more of its spans come in; the scan ends when no row group that is left can hold a newer one. */
#include "query/blocks.h"
#include "query/traces.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct candidate {
    int64_t start_ns;
    uint8_t trace_id[TRACE_ID_SIZE];
};

struct listing {
    pthread_mutex_t lock;   /* guards best, count */
    struct candidate *best; /* newest first */
    uint32_t count, limit;  /* one more than is shown, to know whether there is more */
    struct candidate after; /* the cursor: only traces behind it */
    bool has_after;
};

/* Newest first, then by id. */
static int order(const struct candidate *a, const struct candidate *b) {
    if (a->start_ns != b->start_ns) return a->start_ns > b->start_ns ? -1 : 1;
    return memcmp(a->trace_id, b->trace_id, TRACE_ID_SIZE);
}

static void take_out(struct listing *l, uint32_t at) {
    memmove(&l->best[at], &l->best[at + 1], (--l->count - at) * sizeof *l->best);
}

/* Under the lock. A trace that is there already stands at its earlier start. */
static void offer(struct listing *l, struct candidate c) {
    for (uint32_t i = 0; i < l->count; i++) {
        if (memcmp(l->best[i].trace_id, c.trace_id, TRACE_ID_SIZE) != 0) continue;
        if (l->best[i].start_ns <= c.start_ns) return;
        take_out(l, i);
        break;
    }
    uint32_t at = l->count;
    while (at > 0 && order(&c, &l->best[at - 1]) < 0) at--;
    if (at == l->limit) return;
    if (l->count == l->limit) l->count--;
    memmove(&l->best[at + 1], &l->best[at], (l->count++ - at) * sizeof *l->best);
    l->best[at] = c;
}

/* One candidate a trace of the block, in any order; returns how many. Rows of a trace follow each other in segments;
 * rows of memory are sorted by trace here. */
static int by_trace(const void *a, const void *b) {
    const struct candidate *x = a, *y = b;
    int ids = memcmp(x->trace_id, y->trace_id, TRACE_ID_SIZE);
    return ids ? ids : x->start_ns < y->start_ns ? -1 : x->start_ns > y->start_ns;
}

static uint32_t traces_of(const struct block *block, const struct vec *ids, const struct vec *starts,
                          struct candidate *out) {
    uint32_t count = 0;
    bool together = block->group->sorted_by_trace && !block->mend;
    for (uint32_t i = 0; i < block->count; i++) {
        const uint8_t *id = ids->bytes + (size_t)block->rows[i] * TRACE_ID_SIZE;
        int64_t start = starts->ints[block->rows[i]];
        if (together && count && memcmp(out[count - 1].trace_id, id, TRACE_ID_SIZE) == 0) {
            if (start < out[count - 1].start_ns) out[count - 1].start_ns = start;
            continue;
        }
        out[count].start_ns = start;
        memcpy(out[count++].trace_id, id, TRACE_ID_SIZE);
    }
    if (together) return count;
    uint32_t kept = 0;
    qsort(out, count, sizeof *out, by_trace);
    for (uint32_t i = 0; i < count; i++)
        if (!kept || memcmp(out[kept - 1].trace_id, out[i].trace_id, TRACE_ID_SIZE) != 0) out[kept++] = out[i];
    return kept;
}

static int list_block(void *ctx, struct block *block, struct error *err) {
    struct listing *l = ctx;
    const struct vec *ids = block_column(block, COL_TRACE_ID, err),
                     *starts = ids ? block_column(block, COL_START_NS, err) : NULL;
    struct candidate *found = arena_alloc(&block->arena, block->count * sizeof *found);
    if (!starts) return err->code;
    if (!found) return error_set(err, VT_ELIMIT, "the request needs more memory than one may hold");
    uint32_t count = traces_of(block, ids, starts, found);
    pthread_mutex_lock(&l->lock);
    /* The newest stand last in a segment; from there most that follow are older than what is held. */
    for (uint32_t i = count; i-- > 0;) {
        if (l->has_after && order(&found[i], &l->after) <= 0) continue;
        offer(l, found[i]);
    }
    if (l->count == l->limit) block_raise_floor(block, l->best[l->limit - 1].start_ns);
    pthread_mutex_unlock(&l->lock);
    return 0;
}

static int read_cursor(struct ask *ask, struct listing *l, struct error *err) {
    unsigned long long ns;
    char hex[TRACE_ID_HEX + 1], rest, text[80];
    if (!ask->cursor.len) return 0;
    snprintf(text, sizeof text, "%.*s", ask->cursor.len < 79 ? (int)ask->cursor.len : 79, ask->cursor.ptr);
    if (sscanf(text, "%16llx-%32[0-9a-f]%c", &ns, hex, &rest) != 2 || ns > INT64_MAX ||
        !hex_decode(slice_of(hex), l->after.trace_id, TRACE_ID_SIZE)) {
        error_set(err, VT_EINVAL, "cursor: expected what the answer before gave as 'next', found '%.60s'", text);
        return error_hint(err, "leave it out for the first page");
    }
    l->after.start_ns = (int64_t)ns;
    l->has_after = true;
    return 0;
}

static void put_next(const struct listing *l, uint32_t shown, struct json_writer *w) {
    char hex[TRACE_ID_HEX], text[80];
    if (shown >= l->count) return;
    const struct candidate *last = &l->best[shown - 1];
    hex_encode(last->trace_id, TRACE_ID_SIZE, hex);
    int len = snprintf(text, sizeof text, "%llx-%.32s", (unsigned long long)last->start_ns, hex);
    json_put_key(w, "next");
    json_put_string(w, slice_make(text, (size_t)len));
}

/* Within a page traces stand by their own start, which is what people see; pages follow each other by first matching
 * spans. A trace whose segment was found corrupt meanwhile has no root. */
static int by_root(const void *a, const void *b) {
    const struct trace *x = a, *y = b;
    if (!x->root || !y->root) return !x->root - !y->root;
    if (x->root->start_ns != y->root->start_ns) return x->root->start_ns > y->root->start_ns ? -1 : 1;
    return memcmp(x->trace_id, y->trace_id, TRACE_ID_SIZE);
}

int traces_list(struct ask *ask, struct json_writer *w, struct error *err) {
    struct listing l = {.limit = ask->limit + 1};
    struct scan scan = {
        .filter = ask->filter, .from_ns = ask->from_ns, .to_ns = ask->to_ns, .each = list_block, .ctx = &l};
    struct trace *traces;
    uint32_t shown;
    int code = read_cursor(ask, &l, err);
    if (code) return code;
    if (!(l.best = ask_alloc(ask, l.limit + 1, sizeof *l.best, err))) return err->code;
    /* Spans behind the cursor are all that is needed: a trace's first matching span decides. */
    if (l.has_after && l.after.start_ns < scan.to_ns) scan.to_ns = l.after.start_ns + 1;
    pthread_mutex_init(&l.lock, NULL);
    code = scan_run(ask, &scan, err);
    pthread_mutex_destroy(&l.lock);
    if (code) return code;
    shown = l.count < ask->limit ? l.count : ask->limit;
    uint8_t(*ids)[TRACE_ID_SIZE] = ask_alloc(ask, shown, TRACE_ID_SIZE, err);
    if (!ids) return err->code;
    for (uint32_t i = 0; i < shown; i++) memcpy(ids[i], l.best[i].trace_id, TRACE_ID_SIZE);
    if ((code = traces_load(ask, (const uint8_t(*)[TRACE_ID_SIZE])ids, shown, TRACE_SUMMARY, &traces, err)))
        return code;
    qsort(traces, shown, sizeof *traces, by_root);
    json_open(w, '{');
    json_put_key(w, "traces");
    json_open(w, '[');
    for (uint32_t i = 0; i < shown; i++) {
        if (!traces[i].span_count) continue; /* its segment was found corrupt meanwhile */
        json_open(w, '{');
        trace_put_summary(&traces[i], w);
        json_close(w, '}');
    }
    json_close(w, ']');
    put_next(&l, shown, w);
    ask_put_tail(ask, w);
    json_close(w, '}');
    return 0;
}
