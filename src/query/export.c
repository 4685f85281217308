/* Exports: a scan that is stepped through, rows in pieces. */
#include "query/export.h"

#include "base/timestamp.h"
#include "query/block_spans.h"
#include "query/export_internal.h"
#include "span/span_json.h"

#include <stdlib.h>

enum { PIECE_ROWS = 256, CHUNK_BYTES = 256 << 10 };

/* ---- life ---- */

static int read_format(struct export *e, struct error *err) {
    static const char *const formats[] = {"ndjson", "csv", NULL};
    return ask_param_word(&e->ask, "format", formats, &e->format, err);
}

/* What the ask reads from stays with the export. */
static int keep_request(struct export *e, const struct api_request *request, struct error *err) {
    e->request = *request;
    e->request.query = arena_copy(&e->texts, request->query);
    e->request.project = arena_copy(&e->texts, request->project);
    e->request.deadline_ns = 0;
    if (!e->request.query.ptr || !e->request.project.ptr) return error_set(err, VT_ENOMEM, "no memory for an export");
    return 0;
}

int export_open(struct export **out, struct engine *engine, const struct api_request *request, struct error *err) {
    struct export *e = calloc(1, sizeof *e);
    *out = NULL;
    if (!e) return error_set(err, VT_ENOMEM, "no memory for an export");
    int code = keep_request(e, request, err);
    ask_init(&e->ask, engine, &e->request);
    arena_init(&e->arena, engine->options.memory_bytes);
    if (!code) code = ask_begin(&e->ask, TAKES_RANGE | TAKES_FILTER, err);
    if (!code) code = read_format(e, err);
    if (!code) {
        struct scan scan = {.filter = e->ask.filter, .from_ns = e->ask.from_ns, .to_ns = e->ask.to_ns};
        for (uint32_t i = 0; i < snapshot_count(e->ask.snapshot); i++)
            e->total += snapshot_rowgroup(e->ask.snapshot, i)->rows;
        e->steps = steps_open(&e->ask, &scan, true, err);
        code = e->steps ? 0 : err ? err->code : VT_ENOMEM;
    }
    if (code) {
        export_free(e);
        return code;
    }
    *out = e;
    return 0;
}

void export_free(struct export *e) {
    if (!e) return;
    block_close(e->block);
    steps_close(e->steps);
    ask_end(&e->ask);
    arena_free(&e->arena);
    arena_free(&e->texts);
    free(e);
}

const char *export_content_type(const struct export *e) {
    return e->format == EXPORT_CSV ? "text/csv; charset=utf-8" : "application/x-ndjson";
}

void export_get_progress(const struct export *e, struct export_progress *progress) {
    *progress = (struct export_progress){e->rows, atomic_load(&e->ask.scanned), e->total};
}

/* ---- rows ---- */

int export_read(struct export *e, uint32_t max, struct span **spans, uint32_t *count, struct error *err) {
    *count = 0;
    arena_reset(&e->arena);
    while (!e->block || e->at == e->block->count) {
        block_close(e->block);
        e->at = 0;
        int code = steps_next(e->steps, &e->block, err);
        if (code || !e->block) return code;
    }
    uint32_t n = e->block->count - e->at < max ? e->block->count - e->at : max;
    if (!(*spans = arena_alloc(&e->arena, n * sizeof **spans)))
        return error_set(err, VT_ENOMEM, "no memory for %u spans", n);
    int code = block_spans(e->block, e->block->rows + e->at, n, &e->arena, *spans, err);
    if (code == VT_ECORRUPT) { /* it is named and set aside; the rest goes out */
        e->at = e->block->count;
        return export_read(e, max, spans, count, err);
    }
    if (code) return code;
    e->at += n;
    e->rows += n;
    *count = n;
    return 0;
}

/* ---- csv (RFC 4180) ---- */

static void put_cell(struct buf *out, struct slice text) {
    bool quote = false;
    for (size_t i = 0; i < text.len && !quote; i++)
        quote = text.ptr[i] == ',' || text.ptr[i] == '"' || text.ptr[i] == '\n' || text.ptr[i] == '\r';
    if (!quote) {
        buf_put_slice(out, text);
        return;
    }
    buf_putc(out, '"');
    for (size_t from = 0; from < text.len;) {
        const char *mark = memchr(text.ptr + from, '"', text.len - from);
        size_t end = mark ? (size_t)(mark - text.ptr) + 1 : text.len;
        buf_put(out, text.ptr + from, end - from);
        if (mark) buf_putc(out, '"');
        from = end;
    }
    buf_putc(out, '"');
}

static void put_csv_number(struct buf *out, double value) {
    struct json_writer w = json_writer_on(out);
    if (!isnan(value)) json_put_double(&w, value);
}

static void put_csv_id(struct buf *out, const uint8_t *id, size_t size) {
    char hex[TRACE_ID_HEX];
    hex_encode(id, size, hex);
    if (!id_is_zero(id, size)) buf_put(out, hex, 2 * size);
}

enum cell { CELL_PLAIN, CELL_START, CELL_MS, CELL_KIND, CELL_STATUS };
static const struct csv_column {
    const char *name;
    enum col col;
    enum cell cell;
} csv_columns[] = {{"trace_id", COL_TRACE_ID, CELL_PLAIN},
                   {"span_id", COL_SPAN_ID, CELL_PLAIN},
                   {"parent_span_id", COL_PARENT_SPAN_ID, CELL_PLAIN},
                   {"start", COL_START_NS, CELL_START},
                   {"duration_ms", COL_DURATION_NS, CELL_MS},
                   {"operation", COL_OPERATION, CELL_PLAIN},
                   {"kind", COL_KIND, CELL_KIND},
                   {"status", COL_STATUS, CELL_STATUS},
                   {"error", COL_ERROR, CELL_PLAIN},
                   {"service", COL_SERVICE, CELL_PLAIN},
                   {"project", COL_PROJECT, CELL_PLAIN},
                   {"provider", COL_PROVIDER, CELL_PLAIN},
                   {"model", COL_MODEL, CELL_PLAIN},
                   {"tokens_input", COL_TOKENS_INPUT, CELL_PLAIN},
                   {"tokens_output", COL_TOKENS_OUTPUT, CELL_PLAIN},
                   {"tokens_cached", COL_TOKENS_CACHED, CELL_PLAIN},
                   {"tokens_cache_write", COL_TOKENS_CACHE_WRITE, CELL_PLAIN},
                   {"tokens_reasoning", COL_TOKENS_REASONING, CELL_PLAIN},
                   {"cost_usd", COL_COST_USD, CELL_PLAIN},
                   {"temperature", COL_TEMPERATURE, CELL_PLAIN},
                   {"ttft_ms", COL_TTFT_NS, CELL_MS},
                   {"finish_reason", COL_FINISH_REASON, CELL_PLAIN},
                   {"sample_rate", COL_SAMPLE_RATE, CELL_PLAIN},
                   {"user_id", COL_USER_ID, CELL_PLAIN},
                   {"thread_id", COL_THREAD_ID, CELL_PLAIN},
                   {"turn_id", COL_TURN_ID, CELL_PLAIN},
                   {"prompt", COL_PROMPT, CELL_PLAIN},
                   {"completion", COL_COMPLETION, CELL_PLAIN},
                   {"attributes", COL_ATTRIBUTES, CELL_PLAIN},
                   {"events", COL_EVENTS, CELL_PLAIN},
                   {"resource", COL_RESOURCE, CELL_PLAIN},
                   {"flags", COL_FLAGS, CELL_PLAIN}};
enum { CSV_COLUMNS = sizeof csv_columns / sizeof *csv_columns };

static const char *word_of(const char *const *words, int64_t count, int64_t value) {
    return words[value >= 0 && value < count ? value : 0];
}

static void put_csv_cell(struct buf *out, const struct csv_column *c, const struct span *span) {
    const struct column *column = &span_columns[c->col];
    int64_t whole = column->type == COL_INT ? span_get_int(span, c->col) : 0;
    char time[TIME_TEXT_MAX];
    if (whole == SPAN_NO_INT) return;
    switch (c->cell) {
    case CELL_START: buf_put(out, time, time_format(whole, whole % NS_PER_US ? 9 : 6, time)); return;
    case CELL_MS: put_csv_number(out, (double)whole / NS_PER_MS); return;
    case CELL_KIND: buf_puts(out, word_of(span_kind_names, KIND_COUNT, whole)); return;
    case CELL_STATUS: buf_puts(out, word_of(span_status_names, STATUS_COUNT, whole)); return;
    default: break;
    }
    switch (column->type) {
    case COL_BYTES: put_csv_id(out, (const uint8_t *)span + column->offset, column->width); break;
    case COL_INT: buf_printf(out, "%lld", (long long)whole); break;
    case COL_DOUBLE: put_csv_number(out, span_get_double(span, c->col)); break;
    default: put_cell(out, span_get_text(span, c->col)); break;
    }
}

static void put_csv(struct buf *out, const struct span *span) {
    for (int i = 0; i < CSV_COLUMNS; i++) {
        if (i) buf_putc(out, ',');
        put_csv_cell(out, &csv_columns[i], span);
    }
    buf_puts(out, "\r\n");
}

static void put_csv_header(struct buf *out) {
    for (int i = 0; i < CSV_COLUMNS; i++) buf_printf(out, "%s%s", i ? "," : "", csv_columns[i].name);
    buf_puts(out, "\r\n");
}

/* ---- pieces ---- */

int export_next(struct export *e, struct buf *chunk, struct error *err) {
    size_t before = chunk->len;
    struct span *spans;
    uint32_t count;
    int code = 0;
    e->ask.deadline_ns = time_monotonic_ns() + (int64_t)e->ask.engine->options.timeout_ms * NS_PER_MS;
    if (e->format == EXPORT_CSV && !e->begun) put_csv_header(chunk);
    e->begun = true;
    while (!code && !chunk->failed && chunk->len - before < CHUNK_BYTES) {
        if ((code = export_read(e, PIECE_ROWS, &spans, &count, err)) || !count) break;
        for (uint32_t i = 0; i < count; i++) {
            struct json_writer w = json_writer_on(chunk);
            if (e->format == EXPORT_CSV)
                put_csv(chunk, &spans[i]);
            else
                span_put_json(&w, &spans[i]), buf_putc(chunk, '\n');
        }
    }
    if (!code && chunk->failed) code = error_set(err, VT_ENOMEM, "no memory for a piece of the export");
    if (code) chunk->len = before, chunk->failed = false;
    return code;
}
