/* `vitrine tail`: spans as they come. By WebSocket from a server; where there is none (a directory, an old server) by
 * asking again every second. */
#include "cli/commands.h"
#include "cli/show.h"
#include "cli/talk.h"
#include "cli/text.h"
#include "cli/websocket.h"

#include "base/timestamp.h"
#include "query/filter.h"
#include "span/span_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    WAIT_MS = 1000,
    RETRY_MS_FIRST = 500,
    RETRY_MS_MOST = 5000,
    POLL_MS = 1000,
    OVERLAP_MS = 30000, /* spans that end late began before those seen already */
    SEEN_SLOTS = 1 << 16,
    NAME_LEAST = 24,
    NAME_MOST = 48
};

struct tail_args {
    struct shared_args shared;
    unsigned count;
    bool poll;
};

struct tail {
    struct cli *cli;
    struct slice filter;
    struct shape_context shape;
    size_t name_width, time_width; /* of those so far */
    unsigned shown;
    bool done, json;
    int code; /* of a failure that came as a message */
    struct error err;
    /* polling */
    struct filter *parsed;
    uint64_t *seen[2]; /* two generations of span ids: the older one is forgotten when the newer is full */
    size_t seen_count;
};

/* ---- one span ---- */

static void right_cell(struct term *out, enum style style, struct buf *text, size_t width) {
    size_t used = text_width(buf_slice(text));
    term_spaces(out, used < width ? width - used : 0);
    term_style(out, style, buf_cstr(text));
    term_puts(out, "  ");
    buf_clear(text);
}

/* What it said, in short: its error, else what was answered, else what was asked. */
static enum style said(const struct doc *span, struct buf *out) {
    struct slice error = doc_text(span, "error");
    if (error.len) {
        buf_put_slice(out, error);
        return STYLE_BAD;
    }
    const struct doc *content = doc_get(span, "completion");
    if (!content) content = doc_get(span, "prompt");
    if (content && content->type == JSON_ARRAY) {
        const struct doc *last = content->first;
        while (last && last->next) last = last->next;
        talk_text(out, last);
    } else
        talk_text(out, content);
    return STYLE_DIM;
}

static void put_line(struct tail *t, const struct doc *span) {
    struct term *out = &t->cli->out;
    struct buf text = {0}, clean = {0};
    struct slice status = doc_text(span, "status"), model = doc_text(span, "model");
    bool bad = slice_is(status, "ERROR"), good = slice_is(status, "OK");
    say_time(&text, time_of(doc_get(span, "start")), &t->shape);
    if (text_width(buf_slice(&text)) > t->time_width) t->time_width = text_width(buf_slice(&text));
    size_t time = text_width(buf_slice(&text));
    term_style(out, STYLE_DIM, buf_cstr(&text));
    buf_clear(&text);
    term_spaces(out, t->time_width - time + 1);
    term_style(out, bad ? STYLE_BAD : good ? STYLE_GOOD : STYLE_DIM, bad ? "\xe2\x9c\x97 " : "\xe2\x97\x8f ");
    text_clean(&clean, doc_text(span, "operation"), false);
    size_t operation = text_width(buf_slice(&clean));
    if (model.len) {
        buf_putc(&clean, ' ');
        text_clean(&clean, model, false);
    }
    size_t width = text_width(buf_slice(&clean)), most = out->width ? out->width * 2 / 5 : NAME_MOST;
    if (most < NAME_LEAST) most = NAME_LEAST;
    if (width > t->name_width) t->name_width = width < most ? width : most;
    if (t->name_width > most) t->name_width = most;
    text_put_cut(&text, buf_slice(&clean), t->name_width);
    struct slice name = text_fit(buf_slice(&text), operation);
    enum style kind = shape_kind_style(doc_text(span, "kind"));
    term_puts(out, term_on(out, kind));
    buf_put_slice(&out->buf, name);
    term_puts(out, term_off(out, kind));
    term_style(out, STYLE_DIM, buf_cstr(&text) + name.len);
    width = text_width(buf_slice(&text));
    term_spaces(out, t->name_width - width + 2);
    buf_clear(&text);
    say_ms(&text, doc_number(span, "duration_ms"));
    right_cell(out, STYLE_PLAIN, &text, 9);
    double in = doc_number(span, "tokens.input"), output = doc_number(span, "tokens.output");
    if (!isnan(in) || !isnan(output)) {
        say_short(&text, in);
        buf_puts(&text, "\xe2\x86\x92");
        say_short(&text, output);
    }
    right_cell(out, STYLE_PLAIN, &text, 11);
    say_usd(&text, doc_number(span, "cost_usd"));
    right_cell(out, STYLE_PLAIN, &text, 8);
    struct slice id = doc_text(span, "trace_id");
    term_text(out, STYLE_DIM, slice_make(id.ptr, id.len < 8 ? id.len : 8));
    size_t used = t->time_width + 1 + 2 + t->name_width + 2 + 11 + 13 + 10 + 8 + 2;
    enum style style = said(span, &text);
    buf_clear(&clean);
    text_clean(&clean, buf_slice(&text), false);
    if (clean.len && (!out->width || out->width > used + 8)) {
        term_puts(out, "  ");
        term_puts(out, term_on(out, style));
        text_put_cut(&out->buf, buf_slice(&clean), out->width ? out->width - used : SIZE_MAX / 2);
        term_puts(out, term_off(out, style));
    }
    term_puts(out, "\n");
    buf_free(&text);
    buf_free(&clean);
}

static void show_span(struct tail *t, const struct doc *span, struct slice json) {
    const struct tail_args *args = t->cli->args;
    struct error ignored;
    if (t->done) return;
    if (t->json) {
        buf_put_slice(&t->cli->out.buf, json);
        buf_putc(&t->cli->out.buf, '\n');
    } else
        put_line(t, span);
    if (args->count && ++t->shown >= args->count) t->done = true;
    if (t->cli->out.buf.len > 1 << 16 && term_flush(&t->cli->out, &ignored)) t->done = true;
}

static void remark(struct tail *t, enum style style, const char *text) {
    struct error ignored;
    term_flush(&t->cli->out, &ignored);
    term_style(&t->cli->err, style, text);
    term_puts(&t->cli->err, "\n");
    term_flush(&t->cli->err, &ignored);
}

/* ---- live ---- */

static void on_message(void *ctx, struct slice message) {
    struct tail *t = ctx;
    struct arena arena = {0};
    struct doc *doc;
    struct error ignored;
    char text[100];
    if (t->done || doc_parse(message, &arena, &doc, &ignored)) goto out;
    const struct doc *error = doc_get(doc, "error");
    double dropped = doc_number(doc, "dropped");
    if (doc_text(doc, "span_id").len)
        show_span(t, doc, message);
    else if (!isnan(dropped)) {
        snprintf(text, sizeof text, "(%.0f spans are not shown: they came faster than they could be sent)", dropped);
        remark(t, STYLE_WARN, text);
    } else if (error && error->type == JSON_OBJECT) {
        struct slice words = doc_text(error, "message");
        t->code = error_set(&t->err, VT_EINVAL, "%.*s", (int)words.len, words.ptr ? words.ptr : "");
        double column = doc_number(error, "column");
        if (column > 0) t->err.column = (int)column;
        t->done = true;
    }
out:
    arena_free(&arena);
}

static void sleep_ms(unsigned ms) {
    struct timespec time = {ms / 1000, (long)(ms % 1000) * NS_PER_MS};
    nanosleep(&time, NULL);
}

/* VT_EUNSUPPORTED: the server has no WebSocket. */
static int follow(struct tail *t, const struct client_options *options) {
    struct websocket *socket = NULL;
    struct buf query = {0};
    struct error lost;
    unsigned wait = RETRY_MS_FIRST;
    query_add(&query, "q", t->filter);
    int code = websocket_open(&socket, options, "/api/v1/live", buf_slice(&query), &t->err);
    while (!code && !t->done) {
        if (!websocket_wait(socket, WAIT_MS, on_message, t, &lost)) {
            wait = RETRY_MS_FIRST;
            term_measure(&t->cli->out);
            if ((code = term_flush(&t->cli->out, &t->err))) break;
            continue;
        }
        websocket_close(socket);
        socket = NULL;
        if (t->done) break;
        remark(t, STYLE_WARN, "(connection lost; trying again)");
        do {
            sleep_ms(wait);
            if ((wait *= 2) > RETRY_MS_MOST) wait = RETRY_MS_MOST;
            code = websocket_open(&socket, options, "/api/v1/live", buf_slice(&query), &t->err);
        } while (code == VT_EIO || code == VT_ETIMEOUT || code == VT_EFULL);
        if (!code) remark(t, STYLE_DIM, "(connected again)");
    }
    websocket_close(socket);
    buf_free(&query);
    return code ? code : t->code;
}

/* ---- by asking again ---- */

/* True the first time. */
static bool is_new(struct tail *t, uint64_t id) {
    if (!id) id = UINT64_MAX; /* zero is an empty place */
    for (int generation = 0; generation < 2; generation++)
        for (size_t i = id % SEEN_SLOTS; t->seen[generation][i]; i = (i + 1) % SEEN_SLOTS)
            if (t->seen[generation][i] == id) return false;
    if (t->seen_count == SEEN_SLOTS / 2) {
        uint64_t *old = t->seen[1];
        t->seen[1] = t->seen[0];
        t->seen[0] = memset(old, 0, SEEN_SLOTS * sizeof *old);
        t->seen_count = 0;
    }
    size_t i = id % SEEN_SLOTS;
    while (t->seen[0][i]) i = (i + 1) % SEEN_SLOTS;
    t->seen[0][i] = id;
    t->seen_count++;
    return true;
}

static bool matches(struct tail *t, struct slice json, struct arena *arena) {
    struct json_reader r;
    struct span span;
    if (filter_is_empty(t->parsed)) return true;
    span_init(&span);
    json_reader_init(&r, json, arena);
    return span_read_json(&r, &span) && filter_matches(t->parsed, &span);
}

static int ask(struct source *source, struct slice path, struct slice query, struct arena *arena, struct doc **doc,
               struct error *err) {
    struct buf out = {0};
    int code = source_call(source, &(struct source_request){.path = path, .query = query}, &out, err);
    if (!code) code = doc_parse(arena_copy(arena, buf_slice(&out)), arena, doc, err);
    buf_free(&out);
    return code;
}

/* When it ended, in Unix nanoseconds. */
static int64_t end_of(const struct doc *span) {
    double ms = doc_number(span, "duration_ms");
    return time_of(doc_get(span, "start")) + (isnan(ms) ? 0 : (int64_t)(ms * 1e6));
}

/* One look: spans of the traces since `from_ms` that were not shown; those that ended before `after_ns` are only noted.
 */
static int look(struct tail *t, struct source *source, int64_t from_ms, int64_t after_ns) {
    struct arena arena = {0};
    struct buf query = {0};
    struct doc *list, *trace;
    char from[24];
    snprintf(from, sizeof from, "%lld", (long long)from_ms);
    query_add(&query, "q", t->filter);
    query_add(&query, "from", slice_of(from));
    query_add(&query, "limit", SLICE("200"));
    int code = ask(source, SLICE("/api/v1/traces"), buf_slice(&query), &arena, &list, &t->err);
    const struct doc *traces = code ? NULL : doc_get(list, "traces");
    for (uint32_t i = traces ? traces->count : 0; i-- > 0 && !code && !t->done;) { /* oldest first */
        struct slice path =
            arena_printf(&arena, "/api/v1/traces/%.*s", (int)doc_text(doc_at(traces, i), "trace_id").len,
                         doc_text(doc_at(traces, i), "trace_id").ptr);
        code = ask(source, path, (struct slice){NULL, 0}, &arena, &trace, &t->err);
        for (const struct doc *span = code ? NULL : doc_first(doc_get(trace, "spans")); span; span = span->next) {
            struct slice id = doc_text(span, "span_id");
            char text[17] = "";
            memcpy(text, id.ptr, id.len < 16 ? id.len : 16);
            if (!is_new(t, strtoull(text, NULL, 16)) || end_of(span) < after_ns || !matches(t, span->text, &arena))
                continue;
            show_span(t, span, span->text);
        }
    }
    buf_free(&query);
    arena_free(&arena);
    return code;
}

static int poll_for_more(struct tail *t) {
    int code = filter_parse(t->filter, t->cli->arena, &t->parsed, &t->err);
    t->seen[0] = calloc(SEEN_SLOTS, sizeof **t->seen);
    t->seen[1] = calloc(SEEN_SLOTS, sizeof **t->seen);
    if (!code && (!t->seen[0] || !t->seen[1])) code = error_set(&t->err, VT_ENOMEM, "no memory");
    int64_t begun_ns = time_now_ns();
    for (bool first = true, lost = false; !code && !t->done; first = false) {
        struct source *source;
        /* A directory is opened anew each time: what was opened is a picture of that moment. */
        int now = source_open(&source, t->cli, &t->err);
        if (!now) now = look(t, source, time_now_ns() / NS_PER_MS - OVERLAP_MS, first ? begun_ns : 0);
        source_close(source);
        if (now && (first || (now != VT_EIO && now != VT_ETIMEOUT && now != VT_EFULL)))
            code = now;
        else if (now && !lost)
            remark(t, STYLE_WARN, "(connection lost; trying again)");
        else if (!now && lost)
            remark(t, STYLE_DIM, "(connected again)");
        lost = now != 0;
        term_measure(&t->cli->out);
        if (!code) code = term_flush(&t->cli->out, &t->err);
        if (!code && !t->done) sleep_ms(POLL_MS);
    }
    free(t->seen[0]);
    free(t->seen[1]);
    return code;
}

/* ---- the command ---- */

static int run(struct cli *cli) {
    const struct tail_args *args = cli->args;
    struct tail t = {.cli = cli, .filter = cli_words(cli, 0), .json = args->shared.json || !cli->out.tty};
    struct client_options options;
    struct source *source;
    show_context(cli, &t.shape);
    int code = source_open(&source, cli, &t.err);
    bool live = !code && source_client(source) && !args->poll;
    source_close(source);
    source_client_options(cli, &options);
    if (!code && live) code = follow(&t, &options);
    if (!code && !live)
        code = poll_for_more(&t);
    else if (code == VT_EUNSUPPORTED && live)
        code = poll_for_more(&t);
    return code ? cli_fail_at(cli, &t.err, t.filter.ptr) : EXIT_FINE;
}

static const struct option options_own[] = {
    {.name = "count",
     .letter = 'n',
     .kind = &option_unsigned,
     .offset = offsetof(struct tail_args, count),
     .help = "end after that many spans"},
    {.name = "json",
     .kind = &option_flag,
     .offset = offsetof(struct tail_args, shared.json),
     .help = "one JSON object a line, as it is where the output is no terminal"},
    {.name = "poll",
     .kind = &option_flag,
     .offset = offsetof(struct tail_args, poll),
     .help = "ask every second, instead of a WebSocket"},
    {.name = "utc",
     .kind = &option_flag,
     .offset = offsetof(struct tail_args, shared.utc),
     .flags = OPTION_CONFIG,
     .help = "times in UTC, not in local time"},
    {0}};
static const struct option_group group = {"What is shown", options_own};

const struct command command_tail = {
    .name = "tail",
    .words = "[FILTER]",
    .summary = "spans as they come, those that match",
    .about = "Follows a server until it is stopped with Ctrl-C, and connects again when the server was away.",
    .examples = "vitrine tail status:error\nvitrine tail kind:llm duration:\">2s\"\nvitrine tail --json model:gpt-4o | "
                "jq .cost_usd\n",
    .groups = (const struct option_group *const[]){&group, &group_source, &group_config, NULL},
    .args_size = sizeof(struct tail_args),
    .words_max = 1000,
    .defaults = shared_defaults,
    .run = run,
};
