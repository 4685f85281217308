/* Showing answers. */
#include "cli/show.h"

#include "base/timestamp.h"
#include "cli/table.h"
#include "cli/text.h"

#include <math.h>
#include <stdio.h>

enum { PAGE_ROWS = 1000 };

void show_context(struct cli *cli, struct shape_context *context) {
    const struct shared_args *args = cli->args;
    *context = (struct shape_context){args->utc, cli->out.tty, time_now_ns()};
}

/* ---- JSON ---- */

/* Characters that JSON lets stand but a terminal may obey (C1 controls, DEL, bidirectional overrides) go out as
 * escapes. */
static void put_json_text(struct term *out, struct slice text) {
    struct buf clean = {0};
    text_clean(&clean, text, true);
    buf_put_slice(&out->buf, buf_slice(&clean));
    buf_free(&clean);
}

static void put_json(struct term *out, const struct doc *doc, size_t depth) {
    struct buf quoted = {0};
    if (doc->key.ptr && depth) {
        buf_putc(&quoted, '"');
        json_escape(&quoted, doc->key);
        buf_putc(&quoted, '"');
        term_puts(out, term_on(out, STYLE_ACCENT));
        put_json_text(out, buf_slice(&quoted));
        term_puts(out, term_off(out, STYLE_ACCENT));
        term_puts(out, ": ");
        buf_clear(&quoted);
    }
    bool object = doc->type == JSON_OBJECT;
    if (doc->type == JSON_STRING) {
        buf_putc(&quoted, '"');
        json_escape(&quoted, doc->text);
        buf_putc(&quoted, '"');
        term_puts(out, term_on(out, STYLE_GOOD));
        put_json_text(out, buf_slice(&quoted));
        term_puts(out, term_off(out, STYLE_GOOD));
    } else if (!object && doc->type != JSON_ARRAY) {
        buf_put_slice(&out->buf, doc->text);
    } else if (!doc->first) {
        term_puts(out, object ? "{}" : "[]");
    } else {
        term_puts(out, object ? "{\n" : "[\n");
        for (const struct doc *each = doc->first; each; each = each->next) {
            term_spaces(out, 2 * (depth + 1));
            put_json(out, each, depth + 1);
            term_puts(out, each->next ? ",\n" : "\n");
        }
        term_spaces(out, 2 * depth);
        term_puts(out, object ? "}" : "]");
    }
    buf_free(&quoted);
}

void show_json(struct cli *cli, struct slice json) {
    struct doc *doc;
    struct error ignored;
    if (cli->out.tty && !doc_parse(json, cli->arena, &doc, &ignored))
        put_json(&cli->out, doc, 0);
    else
        buf_put_slice(&cli->out.buf, json);
    term_puts(&cli->out, "\n");
}

void show_none(struct cli *cli, const char *noun, const char *filter) {
    const struct shared_args *args = cli->args;
    term_printf(&cli->err, "No %s", noun);
    if (filter && *filter) {
        struct buf clean = {0};
        text_clean(&clean, slice_of(filter), false);
        term_printf(&cli->err, " match %s", buf_cstr(&clean));
        buf_free(&clean);
    }
    if (option_named(cli->command->groups, SLICE("from")))
        term_printf(&cli->err,
                    args->from ? " between %s and %s" : " in the last 24 hours (--from -30d looks further back)",
                    args->from ? args->from : "", args->to ? args->to : "now");
    term_puts(&cli->err, ".\n");
}

/* ---- rows ---- */

static void show_csv(struct cli *cli, const struct doc *rows, const struct show_column *columns, size_t count) {
    struct buf *out = &cli->out.buf;
    for (size_t c = 0; c < count; c++) {
        if (c) buf_putc(out, ',');
        csv_put(out, slice_of(columns[c].path));
    }
    buf_puts(out, "\n");
    for (const struct doc *row = doc_first(rows); row; row = row->next) {
        for (size_t c = 0; c < count; c++) {
            if (c) buf_putc(out, ',');
            shape_put_csv(out, doc_get(row, columns[c].path));
        }
        buf_puts(out, "\n");
    }
}

int show_rows(struct cli *cli, const struct doc *rows, const struct show_column *columns, size_t count,
              struct error *err) {
    const struct shared_args *args = cli->args;
    struct table_column heads[TABLE_COLUMNS_MAX];
    struct shape_context context;
    struct buf text = {0};
    size_t shown = 0;
    if (args->csv) {
        show_csv(cli, rows, columns, count);
        return 0;
    }
    show_context(cli, &context);
    for (size_t c = 0; c < count && shown < TABLE_COLUMNS_MAX; c++)
        if (columns[c].title)
            heads[shown++] = (struct table_column){columns[c].title, shape_is_number(columns[c].shape),
                                                   columns[c].least, columns[c].rank};
    struct table *table = table_new(cli->arena, heads, shown);
    if (!table) return error_set(err, VT_ENOMEM, "no memory for the table");
    for (const struct doc *row = doc_first(rows); row; row = row->next)
        for (size_t c = 0; c < count; c++) {
            if (!columns[c].title) continue;
            buf_clear(&text);
            enum style style =
                shape_put(&text, columns[c].shape, doc_get(row, columns[c].path), columns[c].title, &context);
            table_put(table, style, buf_slice(&text));
        }
    buf_free(&text);
    return table_print(table, &cli->out, 0, err);
}

/* ---- asking ---- */

int show_call(struct cli *cli, struct source *source, const struct source_request *request, struct slice *json,
              const struct doc **doc, struct error *err) {
    struct buf answer = {0};
    struct doc *parsed = NULL;
    int code = source_call(source, request, &answer, err);
    if (!code) {
        *json = arena_copy(cli->arena, buf_slice(&answer));
        if (!json->ptr) code = error_set(err, VT_ENOMEM, "no memory for the answer");
    }
    buf_free(&answer);
    if (!code && doc && (code = doc_parse(*json, cli->arena, &parsed, err)))
        error_set(err, code = VT_EIO, "%s answered with something that is no JSON", source_name(source));
    if (doc) *doc = parsed;
    return code;
}

int show_ask(struct cli *cli, const struct source_request *request, const char *filter, struct slice *json,
             const struct doc **doc) {
    struct source *source;
    struct error err = {0};
    int code = source_open(&source, cli, &err);
    if (!code) code = show_call(cli, source, request, json, doc, &err);
    source_close(source);
    return code ? cli_fail_at(cli, &err, filter) : EXIT_FINE;
}

static void say_summary(struct cli *cli, const struct listing *listing, const struct doc *answer, size_t rows,
                        bool more) {
    struct term *out = &cli->out;
    struct buf text = {0};
    double scanned = doc_number(answer, "scanned"), elapsed = doc_number(answer, "elapsed_ms");
    if (!out->tty) return;
    say_count(&text, (double)rows);
    buf_printf(&text, " %s", listing->noun);
    if (more) buf_puts(&text, ", and there are more: --limit");
    if (!isnan(scanned)) {
        buf_puts(&text, " \xc2\xb7 ");
        say_count(&text, scanned);
        buf_puts(&text, scanned == 1 ? " span looked at" : " spans looked at");
    }
    if (!isnan(elapsed)) {
        buf_puts(&text, " \xc2\xb7 ");
        say_ms(&text, elapsed);
    }
    term_puts(out, "\n");
    term_style(out, STYLE_DIM, buf_cstr(&text));
    term_puts(out, "\n");
    buf_free(&text);
}

/* Pages of rows, put behind each other. */
struct pages {
    struct doc rows;
    struct doc **last;
    struct buf json; /* the rows as they came, with commas */
    const struct doc *answer;
    struct slice first; /* the first page's whole answer */
    bool more;
};

static int read_pages(struct cli *cli, struct source *source, const struct listing *listing, const char *path,
                      struct buf *query, struct pages *p, struct error *err) {
    const struct shared_args *args = cli->args;
    struct slice cursor = {NULL, 0};
    size_t base = query->len;
    p->rows.type = JSON_ARRAY;
    p->last = &p->rows.first;
    do {
        struct slice json;
        unsigned left = args->limit - p->rows.count;
        query->len = base;
        if (option_named(cli->command->groups, SLICE("limit"))) {
            char number[16];
            snprintf(number, sizeof number, "%u", left < PAGE_ROWS ? left : PAGE_ROWS);
            query_add(query, "limit", slice_of(number));
        }
        query_add(query, "cursor", cursor);
        const struct source_request request = {.path = slice_of(path), .query = buf_slice(query)};
        int code = show_call(cli, source, &request, &json, &p->answer, err);
        if (code) return code;
        if (!p->first.len) p->first = json;
        const struct doc *array = doc_get(p->answer, listing->array);
        if (!array || array->type != JSON_ARRAY)
            return error_set(err, VT_EIO, "%s: the answer has no list of %s", source_name(source), listing->noun);
        if (array->count) {
            *p->last = array->first;
            for (struct doc *each = array->first; each; each = each->next) {
                if (p->json.len) buf_putc(&p->json, ',');
                if (each->type == JSON_OBJECT || each->type == JSON_ARRAY) buf_put_slice(&p->json, each->text);
                p->last = &each->next;
                p->rows.count++;
            }
        }
        cursor = doc_text(p->answer, "next");
        p->more = cursor.len > 0 || doc_true(p->answer, "truncated");
        if (!array->count) break;
    } while (listing->pages && cursor.len && p->rows.count < args->limit);
    return 0;
}

int show_listing(struct cli *cli, const struct listing *listing, const char *path, struct buf *query,
                 const char *filter) {
    const struct shared_args *args = cli->args;
    struct source *source;
    struct error err = {0};
    struct pages pages = {0};
    int code = source_open(&source, cli, &err), status = EXIT_FINE;
    if (!code) code = read_pages(cli, source, listing, path, query, &pages, &err);
    source_close(source);
    if (code)
        status = cli_fail_at(cli, &err, filter);
    else if (args->json && pages.rows.count <= PAGE_ROWS)
        show_json(cli, pages.first);
    else if (args->json) {
        buf_printf(&cli->out.buf, "{\"%s\":[", listing->array);
        buf_put_slice(&cli->out.buf, buf_slice(&pages.json));
        buf_puts(&cli->out.buf, "]}\n");
    } else if (!pages.rows.count && !args->csv)
        show_none(cli, listing->noun, filter);
    else if (show_rows(cli, &pages.rows, listing->columns, listing->count, &err))
        status = cli_fail(cli, &err);
    else if (!args->csv)
        say_summary(cli, listing, pages.answer, pages.rows.count, pages.more);
    buf_free(&pages.json);
    buf_free(query);
    return status;
}
