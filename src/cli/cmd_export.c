/* `vitrine export`: spans as JSON lines, CSV or Parquet, as many as there are, in bounded memory. */
#include "cli/commands.h"
#include "cli/deliver.h"
#include "cli/progress.h"
#include "cli/show.h"
#include "cli/text.h"

#include "query/export.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum format { NDJSON, CSV, PARQUET };

struct export_args {
    struct shared_args shared;
    const char *output;
    int format;
};

/* One export on its way. */
struct job {
    struct cli *cli;
    struct progress progress;
    struct buf query;  /* q, from, to */
    const char *path;  /* where it ends up; NULL = standard output */
    const char *aside; /* what it is written to until it is whole; NULL = standard output */
    int fd;            /* of aside */
    uint64_t bytes, lines;
    struct error err;
    int code;
    /* a server's spans on their way into a Parquet file */
    struct delivery *delivery;
    struct buf rest; /* the line that is not whole yet */
};

/* ---- where it goes ---- */

static bool is_off(struct job *j, int code) {
    if (code && !j->code) j->code = code;
    return j->code != 0;
}

static bool put(void *ctx, struct slice piece) {
    struct job *j = ctx;
    for (size_t i = 0; i < piece.len; i++) j->lines += piece.ptr[i] == '\n';
    j->bytes += piece.len;
    if (!j->aside) {
        struct term *out = &j->cli->out;
        if (out->tty)
            text_clean(&out->buf, piece, true);
        else
            buf_put_slice(&out->buf, piece);
        if (is_off(j, term_flush(out, &j->err))) return false;
    } else
        for (size_t at = 0; at < piece.len;) {
            ssize_t n = write(j->fd, piece.ptr + at, piece.len - at);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return !is_off(j, error_set(&j->err, VT_EIO, "%s: %s", j->aside, strerror(errno)));
            at += (size_t)n;
        }
    if (j->aside) progress_show(&j->progress, j->bytes, 0, j->lines);
    return true;
}

static int open_output(struct job *j, const char *path, struct error *err) {
    j->path = path;
    j->fd = -1;
    if (!path) return 0;
    j->aside = arena_printf(j->cli->arena, "%s.partial", path).ptr;
    j->fd = open(j->aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return j->fd < 0 ? error_set(err, VT_EIO, "%s: %s", j->aside, strerror(errno)) : 0;
}

/* Under its own name only when it is whole and on the disk. */
static int close_output(struct job *j, int code) {
    if (!j->aside) return code;
    if (j->fd >= 0) {
        if (!code && fsync(j->fd) != 0 && errno != EINVAL)
            code = error_set(&j->err, VT_EIO, "%s: %s", j->aside, strerror(errno));
        close(j->fd);
    }
    if (!code && rename(j->aside, j->path) != 0) code = error_set(&j->err, VT_EIO, "%s: %s", j->path, strerror(errno));
    if (code) unlink(j->aside);
    return code;
}

/* ---- where it comes from ---- */

static int from_server(struct job *j, struct client *client, const char *format) {
    struct client_answer answer;
    struct buf query = {0};
    buf_put_slice(&query, buf_slice(&j->query));
    query_add(&query, "format", slice_of(format));
    const struct client_request request = {
        .method = "GET", .path = "/api/v1/export", .query = buf_slice(&query), .sink = put, .ctx = j};
    int code = client_send(client, &request, &answer, &j->err);
    if (j->code)
        code = j->code; /* of the sink, which knows why */
    else if (!code && answer.status != 200)
        code = client_error(client, &answer, &j->err);
    buf_free(&answer.body);
    buf_free(&query);
    return code;
}

static int from_directory(struct job *j, struct engine *engine, const char *format) {
    struct export *export = NULL;
    struct buf query = {0}, chunk = {0};
    struct export_progress progress = {0};
    buf_put_slice(&query, buf_slice(&j->query));
    query_add(&query, "format", slice_of(format));
    int code = export_open(
        &export, engine,
        &(struct api_request){.method = SLICE("GET"), .path = SLICE("/api/v1/export"), .query = buf_slice(&query)},
        &j->err);
    while (!code && !(code = export_next(export, &chunk, &j->err)) && chunk.len) {
        if (!put(j, buf_slice(&chunk))) code = j->code;
        buf_clear(&chunk);
    }
    if (export) export_get_progress(export, &progress);
    j->lines = progress.rows;
    export_free(export);
    buf_free(&chunk);
    buf_free(&query);
    return code;
}

static int write_text(struct job *j, struct source *source, const char *format) {
    int code = source_client(source) ? from_server(j, source_client(source), format)
                                     : from_directory(j, source_engine(source), format);
    if (source_client(source) && strcmp(format, "csv") == 0 && j->lines) j->lines--; /* the line of names */
    return code;
}

/* ---- Parquet ---- */

static bool on_rows(void *ctx, const struct export_progress *progress) {
    struct job *j = ctx;
    progress_show(&j->progress, progress->scanned, progress->total, progress->rows);
    return true;
}

static int write_parquet(struct job *j, struct engine *engine, struct slice query) {
    uint64_t rows = 0;
    const struct api_request request = {.method = SLICE("GET"), .path = SLICE("/api/v1/export"), .query = query};
    int code = export_parquet(engine, &request, j->aside, on_rows, j, &rows, &j->err);
    j->lines = rows;
    return code;
}

static void on_refused(void *ctx, uint32_t position, struct slice message) {
    struct job *j = ctx;
    is_off(j, error_set(&j->err, VT_EIO, "the server sent a span that cannot be read: %.*s", (int)message.len,
                        message.ptr));
}

static bool deliver(struct job *j, struct slice lines) {
    struct chunk c = {.form = FORM_LINES, .body = lines, .first_line = 1, .refused = on_refused, .ctx = j};
    while (c.body.len) {
        if (is_off(j, delivery_put(j->delivery, &c, &j->err)) || !c.used) break;
        c.body = slice_from(c.body, c.used);
    }
    return !j->code;
}

/* Whole lines of what comes go into the store aside. */
static bool put_aside(void *ctx, struct slice piece) {
    struct job *j = ctx;
    const char *end = memrchr(piece.ptr, '\n', piece.len);
    size_t whole = end ? (size_t)(end - piece.ptr) + 1 : 0;
    j->bytes += piece.len;
    progress_show(&j->progress, j->bytes, 0, 0);
    if (!whole) {
        buf_put_slice(&j->rest, piece);
        return true;
    }
    buf_put(&j->rest, piece.ptr, whole);
    if (j->rest.len >= 1 << 20 && !deliver(j, buf_slice(&j->rest))) return false;
    if (j->rest.len >= 1 << 20) buf_clear(&j->rest);
    buf_put_slice(&j->rest, slice_from(piece, whole));
    return true;
}

static int forget(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
    return remove(path);
}

/* A server streams text only: its spans go into a store of their own beside the output, and from there into the file.
 */
static int parquet_from_server(struct job *j, struct client *client) {
    char *dir = NULL;
    struct client_answer answer;
    struct store *store = NULL;
    struct engine *engine = NULL;
    if (asprintf(&dir, "%s.XXXXXX", j->aside) < 0) dir = NULL;
    if (!dir || !mkdtemp(dir)) {
        int code = error_set(&j->err, VT_EIO, "no temporary directory beside %s: %s", j->path, strerror(errno));
        free(dir);
        return code;
    }
    int code = delivery_open(&j->delivery, &(struct delivery_options){.dir = dir}, &j->err);
    if (!code) {
        const struct client_request request = {
            .method = "GET", .path = "/api/v1/export", .query = buf_slice(&j->query), .sink = put_aside, .ctx = j};
        code = client_send(client, &request, &answer, &j->err);
        if (j->code)
            code = j->code;
        else if (!code && answer.status != 200)
            code = client_error(client, &answer, &j->err);
        buf_free(&answer.body);
    }
    if (!code && !deliver(j, buf_slice(&j->rest))) code = j->code;
    if (!code) code = delivery_finish(j->delivery, &j->err);
    delivery_close(j->delivery);
    if (!code) code = store_open(&store, &(struct store_options){.dir = dir, .read_only = true}, &j->err);
    if (!code) code = engine_open(&engine, store, NULL, &j->err);
    if (!code) code = write_parquet(j, engine, SLICE("from=0&to=4102444800000"));
    engine_free(engine);
    store_close(store);
    nftw(dir, forget, 16, FTW_DEPTH | FTW_PHYS);
    free(dir);
    buf_free(&j->rest);
    return code;
}

/* ---- the command ---- */

static void say_done(struct job *j) {
    struct buf text = {0};
    if (!j->path) return;
    say_count(&text, (double)j->lines);
    buf_printf(&text, j->lines == 1 ? " span in " : " spans in ");
    term_style(&j->cli->err, STYLE_BOLD, buf_cstr(&text));
    term_text(&j->cli->err, STYLE_PLAIN, slice_of(j->path));
    buf_clear(&text);
    buf_puts(&text, " after ");
    say_ms(&text, progress_seconds(&j->progress) * 1000);
    term_style(&j->cli->err, STYLE_DIM, buf_cstr(&text));
    term_puts(&j->cli->err, "\n");
    buf_free(&text);
}

static int run(struct cli *cli) {
    static const char *const names[] = {"ndjson", "csv"};
    const struct export_args *args = cli->args;
    struct slice filter = cli_words(cli, 0);
    struct job j = {.cli = cli};
    struct source *source = NULL;
    struct error err = {0};
    if (args->format == PARQUET && !args->output) {
        error_set(&err, VT_EINVAL, "export: a Parquet file needs a name");
        error_hint(&err, "vitrine export --format parquet -o spans.parquet");
        return cli_usage(cli, &err);
    }
    shared_query(cli, &j.query, filter);
    if (!args->shared.from) query_add(&j.query, "from", SLICE("0")); /* everything, unless told otherwise */
    progress_start(&j.progress, cli, args->output ? args->output : "", "spans");
    int code = source_open(&source, cli, &j.err);
    if (!code) code = open_output(&j, args->output, &j.err);
    if (!code && args->format != PARQUET)
        code = write_text(&j, source, names[args->format]);
    else if (!code)
        code = source_client(source) ? parquet_from_server(&j, source_client(source))
                                     : write_parquet(&j, source_engine(source), buf_slice(&j.query));
    code = close_output(&j, code);
    source_close(source);
    buf_free(&j.query);
    progress_clear(&j.progress);
    if (code) return cli_fail_at(cli, &j.err, filter.ptr);
    say_done(&j);
    return EXIT_FINE;
}

#define AT(member) offsetof(struct export_args, member)
static const char *const formats[] = {"ndjson", "csv", "parquet", NULL};
static const struct option options[] = {{.name = "format",
                                         .letter = 'f',
                                         .kind = &option_choice,
                                         .value = "ndjson|csv|parquet",
                                         .choices = formats,
                                         .offset = AT(format),
                                         .fallback = "ndjson",
                                         .help = "JSON lines (which `vitrine import` takes back), CSV or Parquet"},
                                        {.name = "output",
                                         .letter = 'o',
                                         .kind = &option_text,
                                         .value = "FILE",
                                         .offset = AT(output),
                                         .fallback = "standard output",
                                         .help = "where to; the name appears when the file is whole"},
                                        {.name = "from",
                                         .kind = &option_text,
                                         .value = "TIME",
                                         .offset = AT(shared.from),
                                         .fallback = "all",
                                         .help = "earliest start: -1h, 2026-11-23T18:00:00Z or Unix milliseconds"},
                                        {.name = "to",
                                         .kind = &option_text,
                                         .value = "TIME",
                                         .offset = AT(shared.to),
                                         .fallback = "now",
                                         .help = "latest start"},
                                        {0}};
static const struct option_group group = {"What is written", options};

const struct command command_export = {
    .name = "export",
    .words = "[FILTER]",
    .summary = "spans as JSON lines, CSV or Parquet",
    .about = "Writes the spans that match, all of them unless --from says otherwise. The data directory itself holds "
             "Parquet files, too: "
             "DuckDB, ClickHouse, Spark or pandas read spans/*/*.parquet as they are.",
    .examples = "vitrine export -o spans.ndjson\nvitrine export model:gpt-4o --from -7d --format csv > week.csv\n"
                "vitrine export --format parquet -o spans.parquet\n",
    .groups = (const struct option_group *const[]){&group, &group_source, &group_config, NULL},
    .args_size = sizeof(struct export_args),
    .words_max = 1000,
    .defaults = shared_defaults,
    .run = run,
};
