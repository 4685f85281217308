/* (see rows.h) */
#include "rows.h"

#include "story.h"

#include "base/buf.h"
#include "span/normalise.h"

#include <inttypes.h>
#include <math.h>
#include <sqlite3.h>

/* ---- SQLite ---- */

static void bind_span(sqlite3_stmt *stmt, const struct span *span) {
    for (int c = 0; c < COL_COUNT; c++) {
        enum col col = (enum col)c;
        const struct column *column = &span_columns[c];
        const char *field = (const char *)span + column->offset;
        if (column->type == COL_BYTES) {
            if (!id_is_zero((const uint8_t *)field, column->width))
                sqlite3_bind_blob(stmt, c + 1, field, column->width, SQLITE_STATIC);
        } else if (column->type == COL_INT) {
            if (span_get_int(span, col) != SPAN_NO_INT) sqlite3_bind_int64(stmt, c + 1, span_get_int(span, col));
        } else if (column->type == COL_DOUBLE) {
            if (!isnan(span_get_double(span, col))) sqlite3_bind_double(stmt, c + 1, span_get_double(span, col));
        } else if (span_get_text(span, col).len) {
            sqlite3_bind_text(stmt, c + 1, span_get_text(span, col).ptr, (int)span_get_text(span, col).len,
                              SQLITE_STATIC);
        }
    }
}

int rows_to_sqlite(const char *path, uint64_t spans) {
    sqlite3 *db;
    sqlite3_stmt *stmt;
    struct buf sql = {0};
    struct story story;
    if (sqlite3_open(path, &db)) return 1;
    buf_puts(&sql, "CREATE TABLE spans(");
    for (int c = 0; c < COL_COUNT; c++) buf_printf(&sql, "%s%s", c ? "," : "", span_columns[c].name);
    buf_puts(&sql, ")");
    sqlite3_exec(db, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;", NULL, NULL, NULL);
    sqlite3_exec(db, buf_cstr(&sql), NULL, NULL, NULL);
    sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
    buf_clear(&sql);
    buf_puts(&sql, "INSERT INTO spans VALUES(?");
    for (int c = 1; c < COL_COUNT; c++) buf_puts(&sql, ",?");
    buf_puts(&sql, ")");
    if (sqlite3_prepare_v2(db, buf_cstr(&sql), -1, &stmt, NULL)) return 1;
    story_init(&story, 1, spans, STORY_START_NS, STORY_END_NS);
    for (uint64_t done = 0; done < spans;) {
        struct batch *batch = batch_new();
        story_tell(&story, batch, STORY_BATCH_SPANS);
        batch_finish(batch);
        for (uint32_t i = 0; i < batch->count; i++) {
            bind_span(stmt, &batch->spans[i]);
            sqlite3_step(stmt);
            sqlite3_reset(stmt);
            sqlite3_clear_bindings(stmt);
        }
        done += batch->count;
        batch_unref(batch);
    }
    sqlite3_finalize(stmt);
    int code = sqlite3_exec(db,
                            "CREATE INDEX by_trace ON spans(trace_id); CREATE INDEX by_start ON spans(start_ns); "
                            "CREATE INDEX by_thread ON spans(thread_id); COMMIT",
                            NULL, NULL, NULL);
    sqlite3_close(db);
    buf_free(&sql);
    return code;
}

/* ---- ClickHouse ---- */

/* What TabSeparated wants escaped: backslash, tab, line end, NUL. */
static void put_escaped(struct buf *out, const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        char c = text[i], mark = c == '\\' ? '\\' : c == '\t' ? 't' : c == '\n' ? 'n' : c == 0 ? '0' : 0;
        if (mark) buf_putc(out, '\\');
        buf_putc(out, mark ? mark : c);
    }
}

/* Unknown numbers are \N, unknown texts empty, unknown ids zeros. */
static void put_row(struct buf *out, const struct span *span) {
    for (int c = 0; c < COL_COUNT; c++) {
        enum col col = (enum col)c;
        const struct column *column = &span_columns[c];
        if (c) buf_putc(out, '\t');
        if (column->type == COL_BYTES)
            put_escaped(out, (const char *)span + column->offset, column->width);
        else if (column->type == COL_INT && span_get_int(span, col) != SPAN_NO_INT)
            buf_printf(out, "%" PRId64, span_get_int(span, col));
        else if (column->type == COL_DOUBLE && !isnan(span_get_double(span, col)))
            buf_printf(out, "%.17g", span_get_double(span, col));
        else if (column->type == COL_INT || column->type == COL_DOUBLE)
            buf_puts(out, "\\N");
        else
            put_escaped(out, span_get_text(span, col).ptr, span_get_text(span, col).len);
    }
    buf_putc(out, '\n');
}

int rows_to_tsv(FILE *file, uint64_t spans) {
    struct story story;
    struct buf rows = {0};
    int code = 0;
    story_init(&story, 1, spans, STORY_START_NS, STORY_END_NS);
    for (uint64_t done = 0; done < spans && !code;) {
        struct batch *batch = batch_new();
        story_tell(&story, batch, STORY_BATCH_SPANS);
        batch_finish(batch);
        buf_clear(&rows);
        for (uint32_t i = 0; i < batch->count; i++) put_row(&rows, &batch->spans[i]);
        code = rows.failed || fwrite(rows.ptr, 1, rows.len, file) != rows.len;
        done += batch->count;
        batch_unref(batch);
    }
    buf_free(&rows);
    return code;
}
