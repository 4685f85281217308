/* Putting suspect traces together: their spans are fetched from all groups that may have some, settled as one set, and
 * what they should say is noted where it differs from what they do say. */
#include "query/weave_internal.h"

#include "span/settle.h"

#include <stdlib.h>

/* A span without the texts that do not matter here, and where it stands. */
struct light {
    struct span span;
    uint64_t group;
    uint32_t row;
    struct light *next; /* of its class */
};

struct resolving {
    struct look *look;
    struct arena arena; /* the lights */
    uint32_t *dirty;    /* roots */
    uint32_t dirty_count;
    struct light **lists; /* by dirty class */
    uint32_t *counts;
    struct id_map traces; /* of all dirty classes */
    uint32_t *class_of;   /* by trace */
};

/* ---- which ---- */

/* Changes when spans of the class may have come or gone. */
static uint64_t presence(const struct look *look, uint32_t root) {
    const struct weave *w = look->weave;
    uint64_t hash = 1;
    uint32_t at = root;
    do {
        for (uint32_t g = 0; g < w->nodes[at].group_count; g++)
            if (look_group(look, w->nodes[at].groups[g]) != NONE)
                hash += w->nodes[at].groups[g] * UINT64_C(0x9e3779b97f4a7c15);
        at = w->nodes[at].next;
    } while (at != root);
    return hash;
}

static bool add_trace(struct resolving *r, const uint8_t *trace_id, uint32_t class) {
    bool fresh;
    uint32_t number = id_map_put(&r->traces, trace_id, &fresh);
    if (number != NONE) r->class_of[number] = class;
    return number != NONE;
}

static bool list_dirty(struct resolving *r) {
    struct weave *w = r->look->weave;
    uint32_t count = w->node_ids.count;
    r->dirty = arena_alloc(&r->arena, (count + 1) * sizeof *r->dirty);
    r->class_of = arena_alloc(&r->arena, (count + 1) * sizeof *r->class_of);
    if (!r->dirty || !r->class_of) return false;
    for (uint32_t n = 0; n < count; n++) {
        if (node_root(w, n) != n) continue;
        if (!w->nodes[n].dirty && r->look->changed && presence(r->look, n) != w->nodes[n].present)
            w->nodes[n].dirty = true;
        if (!w->nodes[n].dirty) continue;
        uint32_t at = n;
        do {
            if (!add_trace(r, w->node_ids.ids[at], r->dirty_count)) return false;
            at = w->nodes[at].next;
        } while (at != n);
        r->dirty[r->dirty_count++] = n;
    }
    r->lists = arena_calloc(&r->arena, r->dirty_count + 1, sizeof *r->lists);
    r->counts = arena_calloc(&r->arena, r->dirty_count + 1, sizeof *r->counts);
    return r->lists && r->counts;
}

/* ---- fetching ---- */

static struct light *add_light(struct resolving *r, uint32_t class, uint64_t group, uint32_t row) {
    if (r->counts[class] > CLASS_SPANS_MAX) return NULL; /* too large to be put together at every look */
    struct light *light = arena_alloc(&r->arena, sizeof *light);
    if (!light) {
        r->look->failed = true;
        return NULL;
    }
    light->group = group;
    light->row = row;
    light->next = r->lists[class];
    r->lists[class] = light;
    r->counts[class]++;
    return light;
}

static void fetch_memory(struct resolving *r, uint32_t i) {
    const struct rowgroup *group = snapshot_rowgroup(r->look->snapshot, i);
    const struct digest *digest = r->look->digests[i];
    for (uint32_t t = 0; t < r->traces.count; t++) {
        uint32_t trace = id_map_find(&digest->memory->traces, r->traces.ids[t]);
        for (uint32_t row = trace == NONE ? NONE : digest->memory->last[trace]; row != NONE;
             row = digest->memory->before[row]) {
            struct light *light = row < group->rows ? add_light(r, r->class_of[t], digest->key, row) : NULL;
            if (light) light->span = *rowgroup_memory_row(group, row);
        }
    }
}

enum { FEW_ROWS = 4096 };

static int by_number(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static const enum col light_cols[] = {
    COL_SPAN_ID, COL_PARENT_SPAN_ID, COL_START_NS, COL_DURATION_NS, COL_TOKENS_INPUT, COL_TOKENS_OUTPUT, COL_COST_USD,
    COL_KIND,    COL_STATUS,         COL_FLAGS,    COL_USER_ID,     COL_THREAD_ID,    COL_TURN_ID};

static void copy_value(struct resolving *r, struct span *span, enum col col, const struct vec *vec, uint32_t row) {
    char *to = (char *)span + span_columns[col].offset;
    switch (vec->type) {
    case COL_BYTES: memcpy(to, vec->bytes + (size_t)row * span_columns[col].width, span_columns[col].width); break;
    case COL_INT: memcpy(to, &vec->ints[row], 8); break;
    case COL_DOUBLE: memcpy(to, &vec->doubles[row], 8); break;
    case COL_DICT:
        *span_text(span, col) =
            vec->codes[row] ? arena_copy(&r->arena, vec->dict[vec->codes[row]]) : (struct slice){NULL, 0};
        break;
    case COL_STRING:
        *span_text(span, col) = vec->text[row].len ? arena_copy(&r->arena, vec->text[row]) : (struct slice){NULL, 0};
        break;
    }
}

/* Where the index says that the dirty traces are; UINT32_MAX when that is no few rows. */
static uint32_t list_rows(const struct resolving *r, uint32_t i, uint32_t rows[FEW_ROWS]) {
    const struct weave *w = r->look->weave;
    const struct digest *digest = r->look->digests[i];
    uint32_t count = 0, first = 0, kept = 0;
    if (!digest->index) return UINT32_MAX;
    for (uint32_t t = 0; t < r->traces.count; t++) {
        const struct node *node = &w->nodes[id_map_find(&w->node_ids, r->traces.ids[t])];
        uint32_t g = 0;
        while (g < node->group_count && node->groups[g] != digest->key) g++;
        uint32_t n = g < node->group_count ? group_index_rows(digest->index, r->traces.ids[t], &first) : 0;
        if (n > FEW_ROWS - count) return UINT32_MAX;
        for (uint32_t k = 0; k < n; k++) rows[count++] = first + k;
    }
    if (count) qsort(rows, count, sizeof *rows, by_number);
    for (uint32_t k = 0; k < count; k++)
        if (!k || rows[k] != rows[k - 1]) rows[kept++] = rows[k];
    return kept;
}

/* Only the pages that hold them are read. */
static int fetch_rows(struct resolving *r, uint32_t i, const uint32_t *rows, uint32_t count, struct error *err) {
    struct arena scratch = {0};
    uint64_t columns = (uint64_t)1 << COL_TRACE_ID;
    for (size_t c = 0; c < sizeof light_cols / sizeof *light_cols; c++) columns |= (uint64_t)1 << light_cols[c];
    struct span *spans = arena_alloc(&scratch, ((size_t)count + 1) * sizeof *spans);
    if (!spans) return error_set(err, VT_ENOMEM, "no memory to put traces together");
    for (uint32_t k = 0; k < count; k++) span_init(&spans[k]);
    int code = count ? rowgroup_read_span_columns(snapshot_rowgroup(r->look->snapshot, i), rows, count, columns,
                                                  &scratch, spans, err)
                     : 0;
    for (uint32_t k = 0; k < count && !code; k++) {
        uint32_t trace = id_map_find(&r->traces, spans[k].trace_id);
        struct light *light =
            trace == NONE ? NULL : add_light(r, r->class_of[trace], r->look->digests[i]->key, rows[k]);
        if (!light) continue;
        light->span = spans[k];
        for (int t = 0; t < SETTLED_TEXTS; t++) {
            struct slice *text = span_text(&light->span, settled_cols[t]);
            *text = text->len ? arena_copy(&r->arena, *text) : (struct slice){NULL, 0};
        }
    }
    arena_free(&scratch);
    return code;
}

static int fetch_segment(struct resolving *r, uint32_t i, struct error *err) {
    const struct rowgroup *group = snapshot_rowgroup(r->look->snapshot, i);
    struct arena scratch = {0};
    struct vec traces, vec;
    uint32_t few[FEW_ROWS], count = list_rows(r, i, few);
    if (count != UINT32_MAX) return fetch_rows(r, i, few, count, err);
    count = 0;
    int code = rowgroup_read(group, COL_TRACE_ID, &scratch, &traces, err);
    struct light **lights = code ? NULL : arena_alloc(&scratch, group->rows * sizeof *lights);
    for (uint32_t row = 0; lights && row < group->rows; row++) {
        uint32_t trace = id_map_find(&r->traces, traces.bytes + (size_t)row * TRACE_ID_SIZE);
        struct light *light = trace == NONE ? NULL : add_light(r, r->class_of[trace], r->look->digests[i]->key, row);
        if (!light) continue;
        span_init(&light->span);
        memcpy(light->span.trace_id, r->traces.ids[trace], TRACE_ID_SIZE);
        lights[count++] = light;
    }
    for (size_t c = 0; count && c < sizeof light_cols / sizeof *light_cols && !code; c++) {
        if ((code = rowgroup_read(group, light_cols[c], &scratch, &vec, err))) break;
        for (uint32_t l = 0; l < count; l++) copy_value(r, &lights[l]->span, light_cols[c], &vec, lights[l]->row);
    }
    arena_free(&scratch);
    return code;
}

static bool is_named(const struct resolving *r, uint64_t key) {
    const struct weave *w = r->look->weave;
    for (uint32_t t = 0; t < r->traces.count; t++) {
        const struct node *node = &w->nodes[id_map_find(&w->node_ids, r->traces.ids[t])];
        for (uint32_t g = 0; g < node->group_count; g++)
            if (node->groups[g] == key) return true;
    }
    return false;
}

/* ---- settling ---- */

/* The same span next to itself; the one that is shown comes first. */
static int by_id(const void *a, const void *b) {
    const struct light *x = *(const struct light *const *)a, *y = *(const struct light *const *)b;
    int order = memcmp(x->span.span_id, y->span.span_id, SPAN_ID_SIZE);
    bool joins = x->span.flags & y->span.flags & SPAN_JOIN_BY_PARENT;
    if (!order && !joins) order = memcmp(x->span.trace_id, y->span.trace_id, TRACE_ID_SIZE);
    if (!order && x->span.start_ns != y->span.start_ns) order = x->span.start_ns < y->span.start_ns ? -1 : 1;
    if (!order && x->span.duration_ns != y->span.duration_ns)
        order = x->span.duration_ns > y->span.duration_ns ? -1 : 1;
    if (!order && x->group != y->group) order = x->group < y->group ? -1 : 1;
    return order ? order : x->row < y->row ? -1 : x->row > y->row;
}

static bool is_same_span(const struct light *a, const struct light *b) {
    if (memcmp(a->span.span_id, b->span.span_id, SPAN_ID_SIZE) != 0) return false;
    return a->span.flags & b->span.flags & SPAN_JOIN_BY_PARENT ||
           memcmp(a->span.trace_id, b->span.trace_id, TRACE_ID_SIZE) == 0;
}

struct draft {
    struct light *light;
    bool drop;
    const struct settled *settled; /* NULL: dropped */
};

/* One block for the corrections and their texts. */
static bool keep_fixes(struct node *root, const struct draft *drafts, uint32_t count, const struct span *const *spans) {
    size_t bytes = count * sizeof(struct fix);
    for (uint32_t i = 0; i < count; i++)
        for (int t = 0; t < MEND_TEXTS && drafts[i].settled; t++)
            bytes += span_get_text(spans[drafts[i].settled->text_of[t]], settled_cols[t]).len;
    free(root->fixes);
    root->fix_count = 0;
    if (!(root->fixes = count ? malloc(bytes) : NULL)) return !count;
    char *text = (char *)(root->fixes + count);
    for (uint32_t i = 0; i < count; i++) {
        const struct light *light = drafts[i].light;
        struct fix *fix = &root->fixes[root->fix_count++];
        *fix = (struct fix){light->group, {.row = light->row, .drop = drafts[i].drop, .flags = light->span.flags}};
        memcpy(fix->mend.trace_id, light->span.trace_id, TRACE_ID_SIZE);
        if (!drafts[i].settled) continue;
        fix->mend.flags = drafts[i].settled->flags;
        memcpy(fix->mend.trace_id, drafts[i].settled->trace_id, TRACE_ID_SIZE);
        fix->mend.moved = memcmp(fix->mend.trace_id, light->span.trace_id, TRACE_ID_SIZE) != 0;
        for (int t = 0; t < MEND_TEXTS; t++) {
            struct slice from = span_get_text(spans[drafts[i].settled->text_of[t]], settled_cols[t]);
            if (from.len) memcpy(text, from.ptr, from.len);
            fix->mend.text[t] = slice_make(text, from.len);
            text += from.len;
        }
    }
    return true;
}

static bool settle_class(struct resolving *r, uint32_t class) {
    struct node *root = &r->look->weave->nodes[r->dirty[class]];
    uint32_t n = 0, kept = 0, count = 0;
    struct arena scratch = {0};
    uint32_t all = r->counts[class] > CLASS_SPANS_MAX ? 0 : r->counts[class];
    struct light **lights = arena_alloc(&scratch, (all + 1) * sizeof *lights);
    const struct span **spans = arena_alloc(&scratch, (all + 1) * sizeof *spans);
    struct settled *settled = arena_alloc(&scratch, (all + 1) * sizeof *settled);
    struct draft *drafts = arena_alloc(&scratch, (all + 1) * sizeof *drafts);
    bool done = lights && spans && settled && drafts;
    for (struct light *light = r->lists[class]; done && all && light; light = light->next) lights[n++] = light;
    if (done && n) qsort(lights, n, sizeof *lights, by_id);
    for (uint32_t i = 0; done && i < n; i++) {
        if (kept && is_same_span(lights[kept - 1], lights[i])) {
            drafts[count++] = (struct draft){lights[i], true, NULL};
            continue;
        }
        lights[kept] = lights[i];
        spans[kept++] = &lights[i]->span;
    }
    done = done && spans_settle(spans, kept, &scratch, settled);
    for (uint32_t i = 0; done && i < kept; i++)
        if (settled_differs(spans, settled, i)) drafts[count++] = (struct draft){lights[i], false, &settled[i]};
    done = done && keep_fixes(root, drafts, count, spans);
    root->dirty = !done;
    root->present = presence(r->look, r->dirty[class]);
    arena_free(&scratch);
    return done;
}

int resolve_dirty(struct look *look, struct error *err) {
    struct resolving r = {.look = look};
    bool done = list_dirty(&r);
    int code = 0;
    for (uint32_t i = 0; done && r.dirty_count && i < look->count && !code; i++) {
        if (!is_named(&r, look->digests[i]->key)) continue;
        if (look->digests[i]->memory)
            fetch_memory(&r, i);
        else
            code = fetch_segment(&r, i, err);
        if (code == VT_ECORRUPT) code = 0; /* it is set aside */
    }
    for (uint32_t c = 0; done && c < r.dirty_count && !code && !look->failed; c++) done = settle_class(&r, c);
    id_map_free(&r.traces);
    arena_free(&r.arena);
    if (code) return code;
    return done && !look->failed ? 0 : error_set(err, VT_ENOMEM, "no memory to put traces together");
}
