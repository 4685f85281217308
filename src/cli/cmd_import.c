/* `vitrine import`: files of any form that is known, into a data directory or to a server. */
#include "cli/commands.h"
#include "cli/deliver.h"
#include "cli/progress.h"
#include "cli/shape.h"
#include "cli/source.h"
#include "cli/unpack.h"

#include "base/json.h"

#include <stdio.h>

enum {
    CHUNK_BYTES = 4 << 20,
    VALUE_BYTES_MAX = 256 << 20, /* one record: an OTLP request of a file */
    REASONS_SHOWN = 20           /* of each file */
};

struct import_args {
    struct shared_args shared;
    const char *prices, *mask, *project;
    int form; /* enum form + 1, 0 = by its beginning */
};

/* One file on its way. */
struct import {
    struct cli *cli;
    struct delivery *delivery;
    struct unpack *unpack;
    struct progress progress;
    const char *name;
    enum form form;
    struct buf data; /* what was read; taken up to `at` */
    size_t at;
    bool end;         /* of the file */
    bool gone;        /* nothing can be put any more */
    uint64_t records; /* spans or events before the chunk, for their ordinals */
    uint64_t accepted, rejected, ignored;
    uint64_t reasons;   /* shown */
    struct buf *errors; /* JSON of --json; the members of a list */
};

/* ---- what was refused ---- */

static void on_refused(void *ctx, uint32_t position, struct slice message) {
    static const char *const units[FORM_COUNT] = {"line", "span", "span", "span", "event"};
    struct import *m = ctx;
    struct error ignored;
    const struct import_args *args = m->cli->args;
    uint64_t where = position && m->form != FORM_LINES ? m->records + position : position;
    if (m->reasons++ >= REASONS_SHOWN) return;
    if (args->shared.json) {
        struct json_writer w = json_writer_on(m->errors);
        w.comma = m->errors->len > 0;
        json_open(&w, '{');
        json_put_key(&w, "file");
        json_put_cstr(&w, m->name);
        if (where) json_put_key(&w, units[m->form]), json_put_int(&w, (int64_t)where);
        json_put_key(&w, "message");
        json_put_string(&w, message);
        json_close(&w, '}');
        return;
    }
    progress_clear(&m->progress);
    term_text(&m->cli->err, STYLE_PLAIN, slice_of(m->name));
    if (where && m->form == FORM_LINES)
        term_printf(&m->cli->err, ":%llu", (unsigned long long)where);
    else if (where)
        term_printf(&m->cli->err, ": %s %llu", units[m->form], (unsigned long long)where);
    term_puts(&m->cli->err, ": ");
    term_text(&m->cli->err, STYLE_BAD, message);
    term_puts(&m->cli->err, "\n");
    term_flush(&m->cli->err, &ignored);
}

static int put(struct import *m, struct chunk *c, struct error *err) {
    c->form = m->form;
    c->refused = on_refused;
    c->ctx = m;
    int code = delivery_put(m->delivery, c, err);
    m->gone = code != 0;
    m->accepted += c->accepted;
    m->rejected += c->rejected;
    m->ignored += c->ignored;
    m->records += c->accepted + c->rejected;
    progress_show(&m->progress, unpack_done(m->unpack), unpack_total(m->unpack), m->accepted);
    return code;
}

/* ---- reading ---- */

/* Forgets what was taken and reads on, at least as much again as is waiting, so that a long record is not looked at too
 * often. */
static int read_on(struct import *m, size_t least, struct error *err) {
    size_t left = m->data.len - m->at;
    if (m->at) memmove(m->data.ptr, m->data.ptr + m->at, left);
    m->data.len = left;
    m->at = 0;
    if (left < least)
        least -= left;
    else
        least = left;
    return unpack_read(m->unpack, &m->data, least < SNIFF_BYTES ? SNIFF_BYTES : least, &m->end, err);
}

static struct slice waiting(const struct import *m) {
    return slice_from(buf_slice(&m->data), m->at);
}

static int import_lines(struct import *m, struct error *err) {
    uint32_t line = 1;
    int code = 0;
    for (bool hungry = true; !code;) {
        if (!m->end && (hungry || waiting(m).len < CHUNK_BYTES) && (code = read_on(m, CHUNK_BYTES, err))) break;
        struct chunk c = {.body = waiting(m), .more = !m->end, .first_line = line};
        if (!c.body.len && m->end) break;
        if (c.body.len >= VALUE_BYTES_MAX) c.more = false; /* no object is that long: have it refused */
        if ((code = put(m, &c, err))) break;
        m->at += c.used;
        line += c.lines;
        hungry = c.used == 0;
        if (hungry && m->end) break; /* nothing more can be made of the rest */
    }
    return code;
}

/* Records put into one body between `open` and `close`, until it is large enough to go. */
struct gathering {
    struct buf body;
    const char *open, *close;
    bool logs;
};

static int flush(struct import *m, struct gathering *g, struct error *err) {
    if (!g->body.len) return 0;
    buf_puts(&g->body, g->close);
    struct chunk c = {.body = buf_slice(&g->body), .logs = g->logs};
    int code = g->body.failed ? error_set(err, VT_ENOMEM, "no memory for a chunk") : put(m, &c, err);
    buf_clear(&g->body);
    return code;
}

static int gather(struct import *m, struct gathering *g, struct slice record, struct error *err) {
    int code = 0;
    if (g->body.len && g->body.len + record.len > CHUNK_BYTES && (code = flush(m, g, err))) return code;
    if (!g->body.len)
        buf_puts(&g->body, g->open);
    else if (*g->close)
        buf_putc(&g->body, ',');
    buf_put_slice(&g->body, record);
    return 0;
}

/* The lists of one OTLP request, taken apart. */
static int gather_otlp(struct import *m, struct gathering *g, struct slice value, struct error *err) {
    static const struct {
        const char *key;
        bool logs;
        const char *open;
    } lists[] = {{"resourceSpans", false, "{\"resourceSpans\":["},
                 {"resource_spans", false, "{\"resourceSpans\":["},
                 {"resourceLogs", true, "{\"resourceLogs\":["},
                 {"resource_logs", true, "{\"resourceLogs\":["}};
    struct arena arena = {0};
    struct json_reader r;
    struct slice key, raw;
    int code = 0;
    json_reader_init(&r, value, &arena);
    if (json_object(&r))
        while (!code && json_key(&r, &key)) {
            size_t i = 0;
            while (i < 4 && !slice_is(key, lists[i].key)) i++;
            if (i == 4) {
                if (slice_is(key, "resourceMetrics") || slice_is(key, "resource_metrics")) m->ignored++;
                json_skip(&r, NULL);
                continue;
            }
            if (g->logs != lists[i].logs) code = flush(m, g, err);
            g->logs = lists[i].logs;
            g->open = lists[i].open;
            if (json_array(&r))
                while (!code && json_item(&r) && json_skip(&r, &raw)) code = gather(m, g, raw, err);
        }
    if (json_failed(&r)) {
        m->rejected++;
        on_refused(m, 0, slice_of(r.err.message));
    }
    arena_free(&arena);
    return code;
}

static int import_values(struct import *m, struct error *err) {
    struct gathering g = {.open = m->form == FORM_CONVEX ? "[" : "{\"resourceSpans\":[",
                          .close = m->form == FORM_CONVEX ? "]" : "]}"};
    struct slice value;
    int code = 0;
    while (!code) {
        struct slice text = waiting(m);
        size_t at = 0;
        if (next_json_value(text, &at, true, &value)) {
            code = m->form == FORM_CONVEX ? gather(m, &g, value, err) : gather_otlp(m, &g, value, err);
            m->at += at;
            continue;
        }
        m->at += at;
        if (m->end || text.len - at >= VALUE_BYTES_MAX) {
            if (at < text.len) {
                m->rejected++;
                on_refused(m, 0,
                           m->end ? SLICE("the last record is cut off") : SLICE("a record is longer than 256 MiB"));
            }
            break;
        }
        code = read_on(m, CHUNK_BYTES, err);
    }
    if (!code) code = flush(m, &g, err);
    buf_free(&g.body);
    return code;
}

static int import_records(struct import *m, struct error *err) {
    struct gathering g = {.open = "", .close = ""};
    struct slice record;
    size_t frame = 0; /* bytes left of the framed message */
    int code = 0;
    while (!code) {
        size_t at = 0, more = 1;
        struct slice text = waiting(m);
        if (m->form == FORM_OTLP_FRAMED && !frame && text.len >= 4) {
            const unsigned char *p = (const unsigned char *)text.ptr;
            frame = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
            m->at += 4;
            continue;
        }
        bool may_read = m->form == FORM_OTLP_PROTOBUF || frame;
        if (may_read && next_pb_record(text, &at, &record, &more) && (m->form == FORM_OTLP_PROTOBUF || at <= frame)) {
            if (frame) frame -= at;
            m->at += at;
            code = gather(m, &g, record, err);
            continue;
        }
        bool broken = may_read && text.len && (!more || more > VALUE_BYTES_MAX || at > 0);
        if (m->end || broken) {
            if (text.len || frame) {
                m->rejected++;
                on_refused(m, 0,
                           broken ? SLICE("this is no ExportTraceServiceRequest from here on")
                                  : SLICE("the last record is cut off"));
            }
            break;
        }
        code = read_on(m, text.len + more > CHUNK_BYTES ? text.len + more : CHUNK_BYTES, err);
    }
    if (!code) code = flush(m, &g, err);
    buf_free(&g.body);
    return code;
}

static int import_file(struct import *m, int form, struct error *err) {
    int code = unpack_open(&m->unpack, m->name, err);
    struct error read = {0};
    if (code) return code;
    progress_start(&m->progress, m->cli, m->name, "spans");
    code = unpack_read(m->unpack, &m->data, SNIFF_BYTES, &m->end, &read);
    m->form = form ? (enum form)(form - 1) : sniff(buf_slice(&m->data));
    if (!code)
        code = m->form == FORM_LINES                                    ? import_lines(m, &read)
               : m->form < FORM_OTLP_PROTOBUF || m->form == FORM_CONVEX ? import_values(m, &read)
                                                                        : import_records(m, &read);
    progress_clear(&m->progress);
    if (code) *err = read;
    unpack_close(m->unpack);
    buf_free(&m->data);
    return code;
}

/* ---- the command ---- */

static void say_file(struct import *m) {
    struct term *out = &m->cli->out;
    struct buf text = {0};
    double seconds = progress_seconds(&m->progress);
    say_count(&text, (double)m->accepted);
    buf_puts(&text, m->accepted == 1 ? " span from " : " spans from ");
    term_style(out, STYLE_BOLD, buf_cstr(&text));
    term_text(out, STYLE_PLAIN, slice_of(strcmp(m->name, "-") == 0 ? "standard input" : m->name));
    buf_clear(&text);
    buf_printf(&text, " (%s) in ", form_name(m->form));
    say_ms(&text, seconds * 1000);
    if (m->accepted > 10000 && seconds > 0) {
        buf_puts(&text, ", ");
        say_count(&text, (double)(uint64_t)((double)m->accepted / seconds));
        buf_puts(&text, " a second");
    }
    if (m->ignored) {
        buf_puts(&text, "; ");
        say_count(&text, (double)m->ignored);
        buf_puts(&text, m->form == FORM_LINES ? m->ignored == 1 ? " other line" : " other lines"
                        : m->ignored == 1     ? " other record"
                                              : " other records");
    }
    term_style(out, STYLE_DIM, buf_cstr(&text));
    if (m->rejected) {
        buf_clear(&text);
        buf_puts(&text, "; ");
        say_count(&text, (double)m->rejected);
        buf_puts(&text, " refused");
        term_style(out, STYLE_BAD, buf_cstr(&text));
    }
    term_puts(out, "\n");
    buf_free(&text);
    if (m->reasons > REASONS_SHOWN)
        term_printf(&m->cli->err, "%s: … and %llu more\n", m->name, (unsigned long long)(m->reasons - REASONS_SHOWN));
}

/* Into the directory, unless a server is named. A directory that a server has open is reached through that server. */
static int open_delivery(struct cli *cli, struct delivery **delivery, struct error *err) {
    const struct import_args *args = cli->args;
    struct delivery_options options = {
        .prices = args->prices, .mask = args->mask, .project = args->project, .dir = source_data_dir(cli)};
    enum option_origin url = option_origin(cli->parse, "url"), data = option_origin(cli->parse, "data");
    if (url == ORIGIN_WORDS && data == ORIGIN_WORDS)
        return error_set(err, VT_EINVAL, "--url and --data name two places; give one");
    if (url > ORIGIN_DEFAULT && url >= data) {
        source_client_options(cli, &options.server);
        return delivery_open(delivery, &options, err);
    }
    int code = make_parents(options.dir, err);
    if (!code) code = delivery_open(delivery, &options, err);
    if (code != VT_EIO || !strstr(err->message, "in use") || data == ORIGIN_WORDS) return code;
    struct error problem = *err;
    source_client_options(cli, &options.server);
    if (!client_reaches(&options.server) || delivery_open(delivery, &options, err)) {
        *err = problem;
        return problem.code;
    }
    term_printf(&cli->err, "%s is open in a server: sending to %s\n", options.dir, options.server.url);
    return 0;
}

static void put_json(struct cli *cli, const struct import *all, const struct buf *errors) {
    struct json_writer w = json_writer_on(&cli->out.buf);
    json_open(&w, '{');
    json_put_key(&w, "accepted");
    json_put_int(&w, (int64_t)all->accepted);
    json_put_key(&w, "rejected");
    json_put_int(&w, (int64_t)all->rejected);
    json_put_key(&w, "ignored");
    json_put_int(&w, (int64_t)all->ignored);
    json_put_key(&w, "errors");
    json_open(&w, '[');
    if (errors->len) json_put_raw(&w, buf_slice(errors));
    json_close(&w, ']');
    json_close(&w, '}');
    buf_putc(&cli->out.buf, '\n');
}

static int run(struct cli *cli) {
    const struct import_args *args = cli->args;
    struct delivery *delivery;
    struct error err = {0}, ignored;
    struct buf errors = {0};
    struct import all = {0};
    int status = EXIT_FINE;
    if (open_delivery(cli, &delivery, &err)) return err.code == VT_EINVAL ? cli_usage(cli, &err) : cli_fail(cli, &err);
    for (size_t i = 0; i < cli->word_count; i++) {
        struct import m = {.cli = cli, .delivery = delivery, .name = cli->words[i], .errors = &errors};
        int code = import_file(&m, args->form, &err);
        if (!code) code = delivery_finish(delivery, &err);
        if (!args->shared.json && (m.accepted || m.rejected || !code)) say_file(&m);
        term_flush(&cli->out, &ignored);
        all.accepted += m.accepted;
        all.rejected += m.rejected;
        all.ignored += m.ignored;
        if (code) status = cli_fail(cli, &err);
        if (m.rejected) status = EXIT_FAILED;
        bool nothing = !code && !m.accepted && !m.rejected && m.ignored;
        if (nothing) {
            error_set(&err, VT_EINVAL, "%s holds no traces that are known here", m.name);
            error_hint(&err, "known are: trace log lines (JSON or console text), OTLP (JSON or protobuf), Convex log "
                             "streams, exported spans");
            status = cli_fail(cli, &err);
        }
        if (m.gone) break; /* a file that cannot be read is no reason to leave the others, this is */
    }
    delivery_close(delivery);
    if (args->shared.json) put_json(cli, &all, &errors);
    buf_free(&errors);
    return status;
}

#define AT(member) offsetof(struct import_args, member)

static int set_form(void *target, const char *text, const struct option *option, struct arena *arena,
                    struct error *err) {
    int form;
    int code = option_choice.set(&form, text, option, arena, err);
    if (!code) *(int *)target = form + 1;
    return code;
}
static const struct option_kind option_form = {"WORD", set_form, false};

static const struct option options[] = {
    {.name = "format",
     .kind = &option_form,
     .value = "FORM",
     .choices = form_words,
     .offset = AT(form),
     .fallback = "found out",
     .help = "lines, otlp-json, otlp-proto, otlp-proto-framed or convex"},
    {.name = "project",
     .kind = &option_text,
     .value = "NAME",
     .offset = AT(project),
     .help = "project of spans that name none"},
    {.name = "prices",
     .kind = &option_text,
     .value = "FILE",
     .offset = AT(prices),
     .flags = OPTION_CONFIG,
     .help = "prices of models, laid over those that are built in"},
    {.name = "mask",
     .kind = &option_text,
     .value = "RULES",
     .offset = AT(mask),
     .flags = OPTION_CONFIG,
     .help = "email, phone, card, apikey or a YAML file: taken out before anything is stored"},
    {.name = "json", .kind = &option_flag, .offset = AT(shared.json), .help = "what was taken and refused, as JSON"},
    {0}};
static const struct option_group group = {"How files are read", options};

const struct command command_import = {
    .name = "import",
    .words = "FILE…|-",
    .summary = "read files of traces: logs, OTLP, Convex, exports",
    .about = "Takes trace log lines (JSON lines, an array, or the console's text with other lines between), OTLP "
             "requests (JSON or protobuf, "
             "one or many in a file), Convex log stream events and what `vitrine export` writes; also compressed with "
             "gzip or zstd. What a "
             "file holds is found out.\n\n"
             "Without --url the spans go into the data directory. What cannot be kept is named with its line, the rest "
             "is kept, and the exit "
             "status is 1.",
    .examples = "vitrine import app.log\nvitrine import traces/*.json.gz --url http://127.0.0.1:4318\n"
                "kubectl logs storefront | vitrine import -  # whatever else the log holds\n",
    .groups = (const struct option_group *const[]){&group, &group_source, &group_config, NULL},
    .args_size = sizeof(struct import_args),
    .words_min = 1,
    .words_max = 1000000,
    .defaults = shared_defaults,
    .run = run,
};
