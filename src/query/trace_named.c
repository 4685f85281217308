/* A trace by any id that it goes under: its own, or the one that a sender gave a span of it. Log lines whose every span
 * has a trace id of its own are put together under one; what they were called is kept as the attribute source.trace_id.
 */
#include "query/blocks.h"
#include "query/filter_internal.h"
#include "query/traces.h"

#include <pthread.h>

struct search {
    pthread_mutex_t lock; /* guards the next two */
    bool found;
    uint8_t id[TRACE_ID_SIZE];
};

enum { ENOUGH = VT_ECANCELLED }; /* ends the scan */

static int take_first(void *ctx, struct block *block, struct error *err) {
    struct search *search = ctx;
    const struct vec *ids = block_column(block, COL_TRACE_ID, err);
    if (!ids) return err->code;
    pthread_mutex_lock(&search->lock);
    if (!search->found) memcpy(search->id, ids->bytes + (size_t)block->rows[0] * TRACE_ID_SIZE, TRACE_ID_SIZE);
    search->found = true;
    pthread_mutex_unlock(&search->lock);
    return ENOUGH;
}

/* Looks at attributes of all time: only for ids that are known no other way. */
static int search_source(struct ask *ask, struct slice text, struct search *search, struct error *err) {
    struct term term = {.type = TERM_TEXT,
                        .field = {.name = "attr",
                                  .source = FIELD_ATTR,
                                  .type = FIELD_TYPE_TEXT,
                                  .scale = 1,
                                  .key = SLICE("source.trace_id")},
                        .text = text};
    struct node node = {.type = NODE_TERM, .term = &term};
    struct filter filter = {.root = &node, .columns = field_columns(&term.field), .reads_json = true};
    struct scan scan = {.filter = &filter, .from_ns = INT64_MIN, .to_ns = INT64_MAX, .each = take_first, .ctx = search};
    pthread_mutex_init(&search->lock, NULL);
    int code = scan_run(ask, &scan, err);
    pthread_mutex_destroy(&search->lock);
    return search->found ? 0 : code;
}

int trace_named(struct ask *ask, struct slice text, uint64_t columns, struct trace **trace, struct error *err) {
    struct search search = {.found = false};
    uint8_t id[1][TRACE_ID_SIZE];
    bool hex = hex_decode(text, id[0], TRACE_ID_SIZE);
    if (!hex) trace_id_of(text, id[0]);
    int code = traces_load(ask, (const uint8_t(*)[TRACE_ID_SIZE])id, 1, columns, trace, err);
    if (!code && !(*trace)->span_count && !hex && text.len) {
        code = search_source(ask, text, &search, err);
        memcpy(id[0], search.id, TRACE_ID_SIZE);
        if (!code && search.found) code = traces_load(ask, (const uint8_t(*)[TRACE_ID_SIZE])id, 1, columns, trace, err);
    }
    if (code || (*trace)->span_count) return code;
    return error_set(err, VT_ENOTFOUND, "there is no trace '%.*s'", text.len < 100 ? (int)text.len : 100, text.ptr);
}
