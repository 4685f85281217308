/* `vitrine demo`: a fake model, a server and the example storefront, a few conversations, and what is to be seen of
 * them. */
#include "cli/child.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "cli/talk.h"
#include "cli/waterfall.h"

#include "base/log.h"
#include "base/timestamp.h"
#include "serve/serve.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { TALK_WIDTH = 8, LISTEN_MS = 5000, PLAY_MS = 120000, SETTLE_TRIES = 50, SETTLE_STEP_MS = 100 };

struct demo_args {
    struct shared_args shared;
    const char *listen, *dir;
    bool keep;
};

struct demo {
    struct cli *cli;
    struct server *server;
    struct client *client;
    struct child model, shop;
    char *temporary; /* directory to take away; NULL = the user's own */
    char url[64];
};

/* ---- starting ---- */

static void headline(struct demo *d, const char *text) {
    struct error ignored;
    term_puts(&d->cli->out, "\n");
    term_style(&d->cli->out, STYLE_HEAD, text);
    term_puts(&d->cli->out, "\n");
    term_flush(&d->cli->out, &ignored);
}

static int start_server(struct demo *d, struct error *err) {
    const struct demo_args *args = d->cli->args;
    struct serve_options options;
    serve_options_init(&options);
    options.grpc = NULL;
    options.listen = args->listen ? args->listen : "127.0.0.1:4318";
    options.store.dir = args->dir;
    if (!args->dir) {
        const char *base = getenv("TMPDIR");
        if (asprintf(&d->temporary, "%s/vitrine-demo-XXXXXX", base && *base ? base : "/tmp") < 0) d->temporary = NULL;
        if (!d->temporary || !mkdtemp(d->temporary))
            return error_set(err, VT_EIO, "no temporary directory: %s", strerror(errno));
        options.store.dir = d->temporary;
    }
    int code = make_parents(options.store.dir, err);
    if (!code) code = serve_start(&d->server, &options, err);
    if (code == VT_EIO && !args->listen) { /* the usual port is taken: any other will do */
        options.listen = "127.0.0.1:0";
        code = serve_start(&d->server, &options, err);
    }
    if (code) return code;
    snprintf(d->url, sizeof d->url, "http://127.0.0.1:%u", serve_port(d->server));
    return client_open(&d->client, &(struct client_options){.url = d->url, .timeout_ms = 30000}, err);
}

/* The model says where it listens in its first line. */
static int start_model(struct demo *d, char *base_url, size_t size, struct error *err) {
    static const char *const nothing[] = {NULL};
    const char *path = child_find("fake_llm", d->cli->arena);
    struct buf said[2] = {{0}};
    bool open = true;
    if (!path) {
        error_set(err, VT_ENOTFOUND, "the program fake_llm is not there");
        return error_hint(err, "build it with `ninja -C build` (it needs libjansson-dev), or install the examples");
    }
    const char *argv[] = {path, "--listen", "127.0.0.1:0", "--behave", "ttft_ms=60, chunk_ms=6", NULL};
    int code = child_start(&d->model, argv, nothing, CHILD_OUTPUT, err);
    int64_t until = time_monotonic_ns() + (int64_t)LISTEN_MS * NS_PER_MS;
    const char *url = NULL;
    while (!code && open && !url && time_monotonic_ns() < until) {
        open = child_read(&d->model, said, 200);
        const char *found = strstr(buf_cstr(&said[0]), "http://");
        if (found && strchr(found, '\n')) url = found;
    }
    if (url) snprintf(base_url, size, "%.*s/v1", 7 + (int)strcspn(url + 7, " \r\n/"), url);
    buf_free(&said[0]);
    if (!code && !url) code = error_set(err, VT_EIO, "%s did not start", path);
    return code;
}

static struct slice next_line(struct slice *text) {
    const char *end = text->len ? memchr(text->ptr, '\n', text->len) : NULL;
    struct slice line = slice_make(text->ptr, end ? (size_t)(end - text->ptr) : text->len);
    *text = slice_from(*text, line.len + 1);
    return line;
}

/* What shoppers and shop say, as far as it is whole: "ada     Which …", "   shop For …", further lines of the shop's
 * answer. A shopper's line is known by the shop's behind it, so the last line waits for the next unless `last`. */
static void show_talk(struct demo *d, struct buf *said, bool last) {
    static const struct slice shop = {"   shop ", 8};
    struct term *out = &d->cli->out;
    struct slice rest = buf_slice(said), line, ahead;
    struct error ignored;
    while (rest.len) {
        struct slice from = rest;
        bool whole = memchr(rest.ptr, '\n', rest.len) != NULL;
        line = next_line(&rest);
        if (!last && (!whole || !rest.len || !memchr(rest.ptr, '\n', rest.len))) {
            rest = from;
            break;
        }
        ahead = rest;
        bool answer = slice_starts(line, shop), asks = slice_starts(next_line(&ahead), shop);
        const char *blank = asks ? memchr(line.ptr, ' ', line.len) : NULL;
        struct talk_label label = {answer ? SLICE("shop") : SLICE(""), STYLE_ACCENT, TALK_WIDTH, "", 0};
        if (answer)
            line = slice_from(line, shop.len);
        else if (blank) {
            label.name = slice_make(line.ptr, (size_t)(blank - line.ptr));
            label.style = STYLE_BOLD;
            line = slice_from(line, label.name.len);
            while (line.len && line.ptr[0] == ' ') line = slice_from(line, 1);
        }
        if (line.len)
            talk_labelled(out, &label, STYLE_PLAIN, line, 0);
        else
            term_puts(out, "\n");
    }
    size_t left = rest.len;
    if (left) memmove(said->ptr, rest.ptr, left);
    said->len = left;
    term_flush(out, &ignored);
}

static int play(struct demo *d, const char *base_url, struct error *err) {
    const char *path = child_find("storefront", d->cli->arena);
    struct error ignored;
    struct buf texts[2] = {{0}}; /* the second: what is said */
    bool open = true;
    if (!path) {
        error_set(err, VT_ENOTFOUND, "the program storefront is not there");
        return error_hint(err, "build it with `ninja -C build` (it needs libjansson-dev), or install the examples");
    }
    const char *environment[] = {arena_printf(d->cli->arena, "OPENAI_BASE_URL=%s", base_url).ptr, "OPENAI_API_KEY=demo",
                                 arena_printf(d->cli->arena, "OTEL_EXPORTER_OTLP_ENDPOINT=%s", d->url).ptr,
                                 "OTEL_BSP_SCHEDULE_DELAY=200", NULL};
    const char *argv[] = {path, "--script", NULL};
    term_flush(&d->cli->out, &ignored);
    int code = child_start(&d->shop, argv, environment, CHILD_ERRORS, err);
    int64_t until = time_monotonic_ns() + (int64_t)PLAY_MS * NS_PER_MS;
    while (!code && open && time_monotonic_ns() < until) {
        open = child_read(&d->shop, texts, 200);
        show_talk(d, &texts[1], !open);
    }
    if (!code && open) code = error_set(err, VT_ETIMEOUT, "the storefront did not come to its end");
    int status = code ? 0 : child_wait(&d->shop);
    if (status) code = error_set(err, VT_EIO, "the storefront ended with status %d", status);
    buf_free(&texts[1]);
    return code;
}

/* ---- showing ---- */

static int get(struct demo *d, const char *path, const char *query, struct doc **doc, struct error *err) {
    struct client_answer answer;
    const struct client_request request = {.method = "GET", .path = path, .query = slice_of(query)};
    int code = client_send(d->client, &request, &answer, err);
    if (!code && answer.status != 200) code = client_error(d->client, &answer, err);
    if (!code) code = doc_parse(arena_copy(d->cli->arena, buf_slice(&answer.body)), d->cli->arena, doc, err);
    buf_free(&answer.body);
    return code;
}

/* Spans come in batches: waits until two looks see the same. */
static int settled_traces(struct demo *d, struct doc **traces, struct error *err) {
    uint32_t before = 0;
    int code = 0;
    for (int i = 0; i < SETTLE_TRIES && !code; i++) {
        double spans = 0;
        if ((code = get(d, "/api/v1/traces", "limit=1000", traces, err))) break;
        for (const struct doc *t = doc_first(doc_get(*traces, "traces")); t; t = t->next)
            spans += doc_number(t, "span_count");
        if (spans > 0 && (uint32_t)spans == before) break;
        before = (uint32_t)spans;
        nanosleep(&(struct timespec){0, (long)SETTLE_STEP_MS * NS_PER_MS}, NULL);
    }
    return code;
}

/* The one that has most to tell: a fallback with the most spans, else the most spans. */
static const struct doc *pick(const struct doc *traces) {
    const struct doc *best = NULL;
    double most = -1;
    for (const struct doc *t = doc_first(traces); t; t = t->next) {
        double weight = doc_number(t, "span_count") + (doc_true(t, "fallback") ? 1000 : 0);
        if (weight > most) most = weight, best = t;
    }
    return best;
}

static int show_traces(struct demo *d, const struct doc **shown, struct error *err) {
    static const struct show_column columns[] = {
        {"TIME", "start", SHAPE_TIME, 0, 0},           {"TRACE", "trace_id", SHAPE_ID, 0, 0},
        {"OPERATION", "operation", SHAPE_TEXT, 16, 0}, {"STATUS", "status", SHAPE_STATUS, 0, 0},
        {"DURATION", "duration_ms", SHAPE_MS, 0, 0},   {"CALLS", "llm_calls", SHAPE_COUNT, 0, 3},
        {"TOKENS", "tokens.total", SHAPE_COUNT, 0, 0}, {"COST", "cost_usd", SHAPE_USD, 0, 0},
        {"USER", "user_id", SHAPE_TEXT, 6, 2},         {"FALLBACK", "fallback", SHAPE_FLAG, 0, 1},
        {"ERROR", "error", SHAPE_ERROR, 12, 4}};
    struct doc *traces, *trace;
    struct shape_context shape;
    char path[80];
    int code = settled_traces(d, &traces, err);
    if (code) return code;
    const struct doc *rows = doc_get(traces, "traces"), *best = pick(rows);
    if (!best) {
        error_set(err, VT_ENOTFOUND, "the conversations left no trace");
        return error_hint(err, "libvitrine-otlp must be built (or installed) with the storefront: `ninja -C build`");
    }
    headline(d, "What was traced");
    if ((code = show_rows(d->cli, rows, columns, sizeof columns / sizeof *columns, err))) return code;
    headline(d, doc_true(best, "fallback") ? "One of them: a model failed, the shopper got an answer" : "One of them");
    struct slice id = doc_text(best, "trace_id");
    snprintf(path, sizeof path, "/api/v1/traces/%.*s", (int)id.len, id.ptr);
    if ((code = get(d, path, "", &trace, err))) return code;
    show_context(d->cli, &shape);
    waterfall_put(&d->cli->out, trace, &(struct waterfall_options){&shape, false});
    *shown = best;
    return 0;
}

static void say_next(struct demo *d, const struct doc *best, bool stays) {
    const struct demo_args *args = d->cli->args;
    struct term *out = &d->cli->out;
    struct slice id = doc_text(best, "trace_id"), thread = doc_text(best, "thread_id");
    const char *where = !stays && args->dir ? arena_printf(d->cli->arena, " --data %s", args->dir).ptr
                        : strcmp(d->url, SOURCE_URL_DEFAULT) == 0
                            ? ""
                            : arena_printf(d->cli->arena, " --url %s", d->url).ptr;
    const struct {
        bool shown;
        const char *command, *what;
    } next[] = {
        {stays, d->url, "the page"},
        {stays || args->dir, arena_printf(d->cli->arena, "vitrine trace %.8s%s --full", id.ptr, where).ptr,
         "this trace, every word of it"},
        {(stays || args->dir) && thread.len,
         arena_printf(d->cli->arena, "vitrine thread %.*s%s", (int)thread.len, thread.ptr, where).ptr,
         "its conversation"},
        {stays || args->dir, arena_printf(d->cli->arena, "vitrine overview%s", where).ptr,
         "latency, errors, tokens, cost"},
        {stays, arena_printf(d->cli->arena, "vitrine tail%s", where).ptr, "spans as they come"},
        {!stays, "vitrine demo --keep", "the same, and the server stays: with the page, and for the other commands"},
        {true, "vitrine serve", "your own: point any OpenTelemetry SDK at http://127.0.0.1:4318"},
    };
    size_t widest = 0;
    headline(d, "Where to look next");
    for (size_t i = 0; i < sizeof next / sizeof *next; i++)
        if (next[i].shown && strlen(next[i].command) > widest) widest = strlen(next[i].command);
    for (size_t i = 0; i < sizeof next / sizeof *next; i++) {
        if (!next[i].shown) continue;
        term_puts(out, "  ");
        term_text(out, STYLE_ACCENT, slice_of(next[i].command));
        term_spaces(out, widest - strlen(next[i].command));
        term_stylef(out, STYLE_DIM, "  %s", next[i].what);
        term_puts(out, "\n");
    }
}

static void wait_for_end(struct demo *d, const sigset_t *signals) {
    struct error ignored;
    int got;
    term_style(&d->cli->out, STYLE_DIM, "\nThe server stays until Ctrl-C.\n");
    term_flush(&d->cli->out, &ignored);
    sigwait(signals, &got);
    term_puts(&d->cli->out, "\n");
}

static int forget(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
    return remove(path);
}

static int run(struct cli *cli) {
    const struct demo_args *args = cli->args;
    struct demo d = {.cli = cli};
    struct error err = {0};
    char base_url[96] = "";
    const struct doc *best = NULL;
    sigset_t signals, before;
    bool stays = args->keep || cli->out.tty;
    /* Taken by sigwait at the end; before that Ctrl-C still ends the conversations at once, since the children get it
     * too. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, &before);
    log_set_level(LOG_LEVEL_ERROR);
    headline(&d, "A storefront talks to its shoppers (the model is a fake, its failures are real)");
    int code = start_server(&d, &err);
    if (!code) code = start_model(&d, base_url, sizeof base_url, &err);
    if (!code) code = play(&d, base_url, &err);
    if (!code) code = show_traces(&d, &best, &err);
    if (!code) say_next(&d, best, stays);
    child_stop(&d.shop);
    child_stop(&d.model);
    if (!code && stays) wait_for_end(&d, &signals);
    int status = code ? cli_fail(cli, &err) : EXIT_FINE;
    client_close(d.client);
    serve_stop(d.server);
    if (d.temporary) nftw(d.temporary, forget, 16, FTW_DEPTH | FTW_PHYS);
    free(d.temporary);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

#define AT(member) offsetof(struct demo_args, member)
static const struct option options[] = {{.name = "data",
                                         .kind = &option_text,
                                         .value = "DIR",
                                         .offset = AT(dir),
                                         .fallback = "a temporary one",
                                         .help = "where the spans are kept"},
                                        {.name = "listen",
                                         .kind = &option_text,
                                         .value = "HOST:PORT",
                                         .offset = AT(listen),
                                         .fallback = "127.0.0.1:4318, or a free port",
                                         .help = "address of the server"},
                                        {.name = "keep",
                                         .kind = &option_flag,
                                         .offset = AT(keep),
                                         .fallback = "on a terminal",
                                         .help = "keep the server running until Ctrl-C"},
                                        {.name = "utc",
                                         .kind = &option_flag,
                                         .offset = AT(shared.utc),
                                         .flags = OPTION_CONFIG,
                                         .help = "times in UTC, not in local time"},
                                        {0}};
static const struct option_group group = {"Where it plays", options};

const struct command command_demo = {
    .name = "demo",
    .words = "",
    .summary = "everything at once: a storefront, its traces, where to look",
    .about = "Starts a fake model, a server and the example storefront, plays a few conversations (a rate limit, an "
             "outage and a broken stream among "
             "them), and shows what was traced. On a terminal the server then stays until Ctrl-C.",
    .examples = "vitrine demo\nvitrine demo --data ./demo --keep\n",
    .groups = (const struct option_group *const[]){&group, &group_config, NULL},
    .args_size = sizeof(struct demo_args),
    .defaults = shared_defaults,
    .run = run,
};
