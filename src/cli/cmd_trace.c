/* `vitrine trace` and `vitrine thread`: one of each, whole. */
#include "cli/commands.h"
#include "cli/show.h"
#include "cli/talk.h"
#include "cli/text.h"
#include "cli/waterfall.h"

#include <math.h>
#include <stdio.h>

enum { PREFIX_LEAST = 4, PREFIX_PAGES = 20 };

struct one_args {
    struct shared_args shared;
    bool whole;
};

static const struct option one_options[] = {{.name = "full",
                                             .kind = &option_flag,
                                             .offset = offsetof(struct one_args, whole),
                                             .help = "everything: whole messages, all events, attributes"},
                                            {0}};
static const struct option_group one_group = {"What is shown", one_options};
static const struct option_group *const one_groups[] = {&one_group, &group_output, &group_source, &group_config, NULL};

/* ---- finding a trace ---- */

static bool is_prefix(struct slice word) {
    if (word.len < PREFIX_LEAST || word.len >= 32) return false;
    for (size_t i = 0; i < word.len; i++)
        if (!strchr("0123456789abcdef", word.ptr[i])) return false;
    return true;
}

/* The id of the newest trace, or of the only one that begins with `prefix`. */
static int search(struct cli *cli, struct source *source, struct slice prefix, struct slice *id, struct error *err) {
    struct slice cursor = {NULL, 0}, json;
    const struct doc *answer;
    unsigned found = 0;
    for (int page = 0; page < PREFIX_PAGES; page++) {
        struct buf query = {0};
        query_add(&query, "from", SLICE("0"));
        query_add(&query, "limit", prefix.len ? SLICE("1000") : SLICE("1"));
        query_add(&query, "cursor", cursor);
        int code = show_call(cli, source,
                             &(struct source_request){.path = SLICE("/api/v1/traces"), .query = buf_slice(&query)},
                             &json, &answer, err);
        buf_free(&query);
        if (code) return code;
        for (const struct doc *trace = doc_first(doc_get(answer, "traces")); trace; trace = trace->next) {
            struct slice each = doc_text(trace, "trace_id");
            if (!slice_starts(each, prefix)) continue;
            *id = each;
            if (!prefix.len) return 0;
            if (found++) {
                error_set(err, VT_EINVAL, "more than one trace begins with %.*s", (int)prefix.len, prefix.ptr);
                return error_hint(err, "give more of its id");
            }
        }
        cursor = doc_text(answer, "next");
        if (!cursor.len) break;
    }
    if (found) return 0;
    if (prefix.len) return error_set(err, VT_ENOTFOUND, "there is no trace %.*s", (int)prefix.len, prefix.ptr);
    return error_set(err, VT_ENOTFOUND, "there are no traces yet");
}

/* The id in the form in which the sender wrote it, where every span of a log had a trace of its own: it is an attribute
 * now. */
static int search_source(struct cli *cli, struct source *source, struct slice id, struct slice *found,
                         struct error *err) {
    struct buf query = {0}, filter = {0};
    struct slice json;
    const struct doc *answer;
    if (memchr(id.ptr, '"', id.len) || memchr(id.ptr, '\\', id.len)) return VT_ENOTFOUND;
    buf_printf(&filter, "attr.source.trace_id:\"%.*s\"", (int)id.len, id.ptr);
    query_add(&query, "q", buf_slice(&filter));
    query_add(&query, "from", SLICE("0"));
    query_add(&query, "limit", SLICE("1"));
    struct error ignored;
    int code =
        show_call(cli, source, &(struct source_request){.path = SLICE("/api/v1/traces"), .query = buf_slice(&query)},
                  &json, &answer, &ignored);
    *found = code ? *found : doc_text(doc_first(doc_get(answer, "traces")), "trace_id");
    buf_free(&filter);
    buf_free(&query);
    return code || !found->len ? VT_ENOTFOUND : 0;
}

static int get_trace(struct cli *cli, struct source *source, struct slice id, struct slice *json,
                     const struct doc **trace, struct error *err) {
    struct buf path = {0};
    buf_puts(&path, "/api/v1/traces/");
    percent_encode(&path, id);
    int code = show_call(cli, source, &(struct source_request){.path = buf_slice(&path)}, json, trace, err);
    buf_free(&path);
    return code;
}

static int run_trace(struct cli *cli) {
    const struct one_args *args = cli->args;
    struct source *source;
    struct error err = {0};
    struct slice id = slice_of(cli->words[0]), found = {NULL, 0}, json = {NULL, 0};
    const struct doc *trace = NULL;
    int code = source_open(&source, cli, &err);
    if (!code && slice_is(id, "last")) code = search(cli, source, (struct slice){NULL, 0}, &id, &err);
    if (!code) code = get_trace(cli, source, id, &json, &trace, &err);
    if (source && code == VT_ENOTFOUND && is_prefix(id) && !search(cli, source, id, &found, &err))
        code = get_trace(cli, source, found, &json, &trace, &err);
    if (source && code == VT_ENOTFOUND && !search_source(cli, source, id, &found, &err))
        code = get_trace(cli, source, found, &json, &trace, &err);
    source_close(source);
    if (code == VT_ENOTFOUND && !err.hint[0]) error_hint(&err, "`vitrine traces` lists the newest");
    if (code) return cli_fail_at(cli, &err, NULL);
    if (args->shared.json)
        show_json(cli, json);
    else {
        struct shape_context shape;
        show_context(cli, &shape);
        waterfall_put(&cli->out, trace, &(struct waterfall_options){&shape, args->whole});
    }
    return EXIT_FINE;
}

const struct command command_trace = {
    .name = "trace",
    .words = "ID",
    .summary = "one trace as a tree with bars: times, tokens, cost, errors",
    .about =
        "ID is a trace's id, its beginning, the id in the form in which the sender wrote it, or `last` for the newest.",
    .examples = "vitrine trace last\nvitrine trace 5b8efff7 --full\n",
    .groups = one_groups,
    .args_size = sizeof(struct one_args),
    .words_min = 1,
    .words_max = 1,
    .defaults = shared_defaults,
    .run = run_trace,
};

/* ---- a thread ---- */

enum { TIME_COLUMN = 17 };

static void put_facts(struct term *out, const struct doc *of, const char *turns) {
    struct buf text = {0};
    double errors = doc_number(of, "errors"), fallbacks = doc_number(of, "fallbacks"),
           tokens = doc_number(of, "tokens.total");
    if (turns && !isnan(doc_number(of, turns))) {
        say_count(&text, doc_number(of, turns));
        buf_puts(&text, doc_number(of, turns) == 1 ? " turn" : " turns");
    }
    if (!isnan(doc_number(of, "duration_ms"))) say_ms(&text, doc_number(of, "duration_ms"));
    const struct doc *models = doc_get(of, "models");
    for (const struct doc *model = doc_first(models); model; model = model->next) {
        buf_puts(&text, model == models->first ? " \xc2\xb7 " : ", ");
        text_clean(&text, model->text, false);
    }
    if (!isnan(tokens)) {
        buf_puts(&text, " \xc2\xb7 ");
        say_count(&text, tokens);
        buf_puts(&text, " tokens");
    }
    if (!isnan(doc_number(of, "cost_usd"))) {
        buf_puts(&text, " \xc2\xb7 ");
        say_usd(&text, doc_number(of, "cost_usd"));
    }
    term_style(out, STYLE_DIM, buf_cstr(&text));
    if (errors > 0) term_stylef(out, STYLE_BAD, " \xc2\xb7 %.0f %s", errors, errors == 1 ? "error" : "errors");
    if (fallbacks > 0)
        term_stylef(out, STYLE_WARN, " \xc2\xb7 %.0f %s", fallbacks, fallbacks == 1 ? "fallback" : "fallbacks");
    if (doc_true(of, "fallback")) term_style(out, STYLE_WARN, " \xc2\xb7 fallback");
    buf_free(&text);
}

static void put_calls(struct term *out, const struct doc *turn, bool whole) {
    struct buf text = {0};
    for (const struct doc *call = doc_first(doc_get(turn, "calls")); call; call = call->next) {
        bool bad = slice_is(doc_text(call, "status"), "ERROR");
        struct slice model = doc_text(call, "model"), error = doc_text(call, "error");
        if (!whole && !bad) continue;
        buf_clear(&text);
        term_spaces(out, TIME_COLUMN);
        term_style(out, bad ? STYLE_BAD : STYLE_GOOD, bad ? "\xe2\x9c\x97 " : "\xe2\x97\x8f ");
        buf_put_slice(&text, doc_text(call, "operation"));
        if (model.len) buf_printf(&text, " %.*s", (int)model.len, model.ptr);
        buf_puts(&text, "  ");
        say_ms(&text, doc_number(call, "duration_ms"));
        if (error.len) buf_printf(&text, "  %.*s", (int)error.len, error.ptr);
        term_text(out, bad ? STYLE_BAD : STYLE_DIM, buf_slice(&text));
        term_puts(out, "\n");
    }
    buf_free(&text);
}

static void put_turn(struct cli *cli, const struct doc *turn, const struct shape_context *shape) {
    const struct one_args *args = cli->args;
    struct term *out = &cli->out;
    struct buf time = {0};
    struct slice input = doc_text(turn, "input"), output = doc_text(turn, "output"), error = doc_text(turn, "error");
    size_t lines = args->whole ? 0 : 12;
    say_time(&time, time_of(doc_get(turn, "start")), shape);
    term_puts(out, "\n");
    size_t width = text_width(buf_slice(&time));
    term_style(out, STYLE_DIM, buf_cstr(&time));
    term_spaces(out, width < TIME_COLUMN ? TIME_COLUMN - width : 1);
    put_facts(out, turn, NULL);
    struct slice id = doc_text(turn, "trace_id");
    term_stylef(out, STYLE_DIM, " \xc2\xb7 trace ");
    term_text(out, STYLE_ACCENT, slice_make(id.ptr, out->tty && id.len > 8 ? 8 : id.len));
    term_puts(out, "\n");
    if (input.len)
        talk_labelled(out, &(struct talk_label){SLICE("  user"), STYLE_BOLD, TIME_COLUMN, "", 0}, STYLE_PLAIN, input,
                      lines);
    put_calls(out, turn, args->whole);
    if (output.len)
        talk_labelled(out, &(struct talk_label){SLICE("  assistant"), STYLE_ACCENT, TIME_COLUMN, "", 0}, STYLE_PLAIN,
                      output, lines);
    if (error.len) term_paragraph(out, STYLE_BAD, error, TIME_COLUMN, NULL, lines);
    for (const struct doc *score = doc_first(doc_get(turn, "scores")); score; score = score->next) {
        const struct doc *value = doc_get(score, "value");
        struct slice name = doc_text(score, "name"), comment = doc_text(score, "comment");
        term_spaces(out, TIME_COLUMN);
        term_style(out, STYLE_WARN, "\xe2\x98\x85 ");
        term_text(out, STYLE_WARN, name);
        term_puts(out, " ");
        if (value) term_text(out, STYLE_WARN, value->text);
        if (comment.len) {
            term_puts(out, "  ");
            term_text(out, STYLE_PLAIN, comment);
        }
        term_puts(out, "\n");
    }
    buf_free(&time);
}

static int run_thread(struct cli *cli) {
    const struct one_args *args = cli->args;
    struct buf path = {0};
    struct slice json;
    const struct doc *thread;
    struct shape_context shape;
    buf_puts(&path, "/api/v1/threads/");
    percent_encode(&path, slice_of(cli->words[0]));
    int status = show_ask(cli, &(struct source_request){.path = buf_slice(&path)}, NULL, &json, &thread);
    buf_free(&path);
    if (status) return status;
    if (args->shared.json) {
        show_json(cli, json);
        return EXIT_FINE;
    }
    show_context(cli, &shape);
    term_text(&cli->out, STYLE_BOLD, doc_text(thread, "thread_id"));
    if (doc_text(thread, "user_id").len) {
        term_style(&cli->out, STYLE_DIM, " \xc2\xb7 user ");
        term_text(&cli->out, STYLE_PLAIN, doc_text(thread, "user_id"));
    }
    term_style(&cli->out, STYLE_DIM, " \xc2\xb7 ");
    put_facts(&cli->out, thread, "turn_count");
    term_puts(&cli->out, "\n");
    for (const struct doc *turn = doc_first(doc_get(thread, "turns")); turn; turn = turn->next)
        put_turn(cli, turn, &shape);
    return EXIT_FINE;
}

const struct command command_thread = {
    .name = "thread",
    .words = "ID",
    .summary = "one conversation: what was said, how long it took, what it cost",
    .examples = "vitrine thread thread-0\nvitrine thread thread-0 --full  # with every call and whole messages\n",
    .groups = one_groups,
    .args_size = sizeof(struct one_args),
    .words_min = 1,
    .words_max = 1,
    .defaults = shared_defaults,
    .run = run_thread,
};
