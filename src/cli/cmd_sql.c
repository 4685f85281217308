/* `vitrine sql`: whole SQL over the spans. */
#include "cli/commands.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

enum { SQL_BYTES_MAX = 1 << 20 };

struct sql_args {
    struct shared_args shared;
    const char *file;
};

/* The statement: the words, a file, or what comes in by a pipe. */
static int read_statement(struct cli *cli, struct buf *sql, struct error *err) {
    const struct sql_args *args = cli->args;
    char piece[4096];
    size_t n;
    if (cli->word_count && strcmp(cli->words[0], "-") != 0) {
        buf_put_slice(sql, cli_words(cli, 0));
        return 0;
    }
    if (!args->file && !cli->word_count && isatty(STDIN_FILENO)) {
        error_set(err, VT_EINVAL, "sql: the statement is missing");
        return error_hint(err, "vitrine sql \"SELECT model, count(*) FROM spans GROUP BY model\"");
    }
    FILE *in = args->file ? fopen(args->file, "re") : stdin;
    if (!in) return error_set(err, VT_EIO, "%s: %s", args->file, strerror(errno));
    sql->limit_bytes = SQL_BYTES_MAX;
    while ((n = fread(piece, 1, sizeof piece, in)) > 0) buf_put(sql, piece, n);
    if (in != stdin) fclose(in);
    return sql->failed ? error_set(err, VT_ELIMIT, "sql: a statement has at most %d bytes", SQL_BYTES_MAX) : 0;
}

static bool is_numeric(const struct doc *rows, uint32_t column) {
    bool numbers = false;
    for (const struct doc *row = doc_first(rows); row; row = row->next) {
        const struct doc *cell = doc_at(row, column);
        if (!cell || cell->type == JSON_NULL) continue;
        if (cell->type != JSON_NUMBER) return false;
        numbers = true;
    }
    return numbers;
}

static void put_csv(struct cli *cli, const struct doc *columns, const struct doc *rows) {
    struct buf *out = &cli->out.buf;
    for (const struct doc *name = doc_first(columns); name; name = name->next) {
        csv_put(out, name->text);
        buf_puts(out, name->next ? "," : "\n");
    }
    for (const struct doc *row = doc_first(rows); row; row = row->next)
        for (const struct doc *cell = row->first; cell; cell = cell->next) {
            shape_put_csv(out, cell);
            buf_puts(out, cell->next ? "," : "\n");
        }
}

static int put_table(struct cli *cli, const struct doc *columns, const struct doc *rows, struct error *err) {
    struct table_column heads[TABLE_COLUMNS_MAX];
    struct buf title = {0};
    uint32_t count = columns && columns->count < TABLE_COLUMNS_MAX ? columns->count : TABLE_COLUMNS_MAX, i = 0;
    for (const struct doc *name = doc_first(columns); name && i < count; name = name->next, i++) {
        buf_clear(&title);
        text_clean(&title, name->text, false);
        struct slice copy = arena_copy(cli->arena, buf_slice(&title));
        heads[i] = (struct table_column){copy.ptr ? copy.ptr : "", is_numeric(rows, i), 8, 0};
    }
    buf_free(&title);
    struct table *table = table_new(cli->arena, heads, count);
    if (!table) return error_set(err, VT_EIO, "the answer has no columns");
    for (const struct doc *row = doc_first(rows); row; row = row->next)
        for (i = 0; i < count; i++) {
            const struct doc *cell = doc_at(row, i);
            bool nothing = !cell || cell->type == JSON_NULL;
            table_put(table, nothing ? STYLE_DIM : STYLE_PLAIN, nothing ? SLICE("NULL") : cell->text);
        }
    return table_print(table, &cli->out, 0, err);
}

static int run(struct cli *cli) {
    const struct sql_args *args = cli->args;
    struct buf sql = {0}, body = {0};
    struct error err = {0};
    struct slice json;
    const struct doc *answer;
    int status;
    if (read_statement(cli, &sql, &err)) {
        buf_free(&sql);
        return err.code == VT_EINVAL ? cli_usage(cli, &err) : cli_fail(cli, &err);
    }
    struct json_writer w = json_writer_on(&body);
    json_open(&w, '{');
    json_put_key(&w, "sql");
    json_put_string(&w, buf_slice(&sql));
    json_put_key(&w, "limit");
    json_put_int(&w, args->shared.limit);
    json_close(&w, '}');
    struct slice text = arena_copy(cli->arena, buf_slice(&sql));
    status = show_ask(
        cli, &(struct source_request){.method = "POST", .path = SLICE("/api/v1/sql"), .body = buf_slice(&body)},
        text.ptr, &json, &answer);
    buf_free(&sql);
    buf_free(&body);
    if (status) return status;
    const struct doc *columns = doc_get(answer, "columns"), *rows = doc_get(answer, "rows");
    if (args->shared.json)
        show_json(cli, json);
    else if (args->shared.csv)
        put_csv(cli, columns, rows);
    else if (put_table(cli, columns, rows, &err))
        return cli_fail(cli, &err);
    if (doc_true(answer, "truncated"))
        term_printf(&cli->err, "Only the first %u rows; --limit asks for more.\n", args->shared.limit);
    else if (cli->out.tty && !args->shared.json && !args->shared.csv) {
        struct buf line = {0};
        say_count(&line, rows ? rows->count : 0);
        buf_puts(&line, rows && rows->count == 1 ? " row \xc2\xb7 " : " rows \xc2\xb7 ");
        say_ms(&line, doc_number(answer, "elapsed_ms"));
        term_stylef(&cli->out, STYLE_DIM, "\n%s\n", buf_cstr(&line));
        buf_free(&line);
    }
    return EXIT_FINE;
}

static void defaults(void *args) {
    shared_defaults(args);
    ((struct shared_args *)args)->limit = 1000;
}

static const struct option options[] = {{.name = "file",
                                         .letter = 'f',
                                         .kind = &option_text,
                                         .value = "FILE",
                                         .offset = offsetof(struct sql_args, file),
                                         .help = "holds the statement"},
                                        {.name = "limit",
                                         .letter = 'n',
                                         .kind = &option_unsigned,
                                         .offset = offsetof(struct sql_args, shared.limit),
                                         .least = 1,
                                         .most = 100000,
                                         .fallback = "1000",
                                         .help = "that many rows at most"},
                                        {0}};
static const struct option_group group = {"Statement", options};

const struct command command_sql = {
    .name = "sql",
    .words = "[STATEMENT]",
    .summary = "ask in SQL",
    .about = "One read-only statement, in SQLite's dialect with p95() and the like; without words it is read from "
             "--file or standard input. "
             "Tables: spans, traces, threads, scores, ai_storefront_traces.",
    .examples = "vitrine sql \"SELECT model, count(*), p95(duration_ms) FROM spans GROUP BY model\"\n"
                "vitrine sql --csv -f report.sql > report.csv\n",
    .groups = (const struct option_group *const[]){&group, &group_table, &group_source, &group_config, NULL},
    .args_size = sizeof(struct sql_args),
    .words_max = 1000,
    .defaults = defaults,
    .run = run,
};
