/* `vitrine services`: who calls whom. */
#include "cli/commands.h"
#include "cli/show.h"
#include "cli/text.h"

#include <math.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { BAR_WIDTH = 12 };

static const struct show_column service_columns[] = {
    {"SERVICE", "service", SHAPE_TEXT, 12, 0}, {"SPANS", "spans", SHAPE_COUNT, 0, 0},
    {"ERRORS", "errors", SHAPE_BAD, 0, 0},     {"ERROR RATE", "error_rate", SHAPE_BADSHARE, 0, 2},
    {"SPANS/S", "rate", SHAPE_COUNT, 0, 1},    {"P95", "p95_ms", SHAPE_MS, 0, 0}};
static const struct show_column call_columns[] = {{"FROM", "from", SHAPE_TEXT, 10, 0},
                                                  {"TO", "to", SHAPE_TEXT, 10, 0},
                                                  {"CALLS", "count", SHAPE_COUNT, 0, 0},
                                                  {"ERRORS", "errors", SHAPE_BAD, 0, 0},
                                                  {"ERROR RATE", "error_rate", SHAPE_BADSHARE, 0, 2},
                                                  {"CALLS/S", "rate", SHAPE_COUNT, 0, 1},
                                                  {"P50", "p50_ms", SHAPE_MS, 0, 0},
                                                  {"P95", "p95_ms", SHAPE_MS, 0, 0}};

/* web ──▶ ai-storefront ──▶ openai: a tree from the services that nobody calls. */
struct map {
    struct cli *cli;
    const struct doc *calls;
    double most;
};

static bool is_called(const struct doc *calls, struct slice service) {
    for (const struct doc *call = doc_first(calls); call; call = call->next)
        if (slice_eq(doc_text(call, "to"), service) && !slice_eq(doc_text(call, "from"), service)) return true;
    return false;
}

static bool on_way(const struct slice *way, size_t depth, struct slice service) {
    for (size_t i = 0; i < depth; i++)
        if (slice_eq(way[i], service)) return true;
    return false;
}

enum { DEPTH_MAX = 12 };

/* "└─▶ openai  ███  12 calls, p95 1.2 s, 1 error"; what does not fit the terminal is left out from the middle. */
static void put_call(const struct map *m, const struct doc *call, bool last, const struct buf *prefix) {
    struct term *out = &m->cli->out;
    struct buf name = {0}, count = {0}, p95 = {0}, failed = {0}, bar = {0};
    double calls = doc_number(call, "count"), errors = doc_number(call, "errors");
    text_clean(&name, doc_text(call, "to"), false);
    say_count(&count, calls);
    buf_puts(&count, calls == 1 ? " call" : " calls");
    buf_puts(&p95, ", p95 ");
    say_ms(&p95, doc_number(call, "p95_ms"));
    if (errors > 0) {
        buf_puts(&failed, ", ");
        say_count(&failed, errors);
        buf_puts(&failed, errors == 1 ? " error" : " errors");
    }
    size_t room = out->width ? out->width : SIZE_MAX / 2,
           used = text_width(buf_slice(prefix)) + 4 + 2 + count.len + failed.len;
    size_t names = text_width(buf_slice(&name)), most = room > used + 8 ? room - used : 8;
    if (names > most) names = most;
    used += names;
    bool with_p95 = !isnan(doc_number(call, "p95_ms")) && used + text_width(buf_slice(&p95)) <= room;
    if (with_p95) used += text_width(buf_slice(&p95));
    bool with_bar = used + BAR_WIDTH + 1 <= room;
    buf_put_slice(&out->buf, buf_slice(prefix));
    term_style(out, STYLE_DIM,
               last ? "\xe2\x94\x94\xe2\x94\x80\xe2\x96\xb6 " : "\xe2\x94\x9c\xe2\x94\x80\xe2\x96\xb6 ");
    term_puts(out, term_on(out, STYLE_BOLD));
    text_put_cut(&out->buf, buf_slice(&name), names);
    term_puts(out, term_off(out, STYLE_BOLD));
    term_puts(out, "  ");
    if (with_bar) {
        say_bar(&bar, calls / m->most, BAR_WIDTH);
        term_style(out, STYLE_CALL, buf_cstr(&bar));
        term_puts(out, " ");
    }
    term_puts(out, buf_cstr(&count));
    if (with_p95) term_puts(out, buf_cstr(&p95));
    term_style(out, STYLE_BAD, buf_cstr(&failed));
    term_puts(out, "\n");
    struct buf *all[] = {&name, &count, &p95, &failed, &bar};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buf_free(all[i]);
}

static void put_callees(const struct map *m, struct slice *way, size_t depth, struct buf *prefix) {
    struct slice from = way[depth - 1];
    uint32_t left = 0;
    for (const struct doc *call = doc_first(m->calls); call; call = call->next)
        left += slice_eq(doc_text(call, "from"), from);
    for (const struct doc *call = doc_first(m->calls); call; call = call->next) {
        if (!slice_eq(doc_text(call, "from"), from)) continue;
        bool last = --left == 0;
        struct slice to = doc_text(call, "to");
        put_call(m, call, last, prefix);
        if (depth == DEPTH_MAX || on_way(way, depth, to)) continue;
        size_t kept = prefix->len;
        buf_puts(prefix, last ? "   " : "\xe2\x94\x82  ");
        way[depth] = to;
        put_callees(m, way, depth + 1, prefix);
        prefix->len = kept;
    }
}

static void put_map(struct cli *cli, const struct doc *services, const struct doc *calls) {
    struct map m = {cli, calls, 1};
    struct slice way[DEPTH_MAX + 1];
    struct buf prefix = {0};
    for (const struct doc *call = doc_first(calls); call; call = call->next)
        m.most = fmax(m.most, doc_number(call, "count"));
    for (const struct doc *service = doc_first(services); service; service = service->next) {
        way[0] = doc_text(service, "service");
        if (is_called(calls, way[0])) continue;
        term_text(&cli->out, STYLE_BOLD, way[0]);
        term_puts(&cli->out, "\n");
        put_callees(&m, way, 1, &prefix);
    }
    buf_free(&prefix);
    term_puts(&cli->out, "\n");
}

static int run(struct cli *cli) {
    const struct shared_args *args = cli->args;
    struct slice json, filter = cli_words(cli, 0);
    const struct doc *answer;
    struct buf query = {0};
    struct error err = {0};
    shared_query(cli, &query, filter);
    int status = show_ask(cli, &(struct source_request){.path = SLICE("/api/v1/services"), .query = buf_slice(&query)},
                          filter.ptr, &json, &answer);
    buf_free(&query);
    if (status) return status;
    const struct doc *services = doc_get(answer, "services"), *calls = doc_get(answer, "calls");
    if (args->json)
        show_json(cli, json);
    else if (args->csv)
        return show_rows(cli, calls, call_columns, COUNT(call_columns), &err) ? cli_fail(cli, &err) : EXIT_FINE;
    else if (!doc_first(services))
        show_none(cli, "services", filter.ptr);
    else {
        if (cli->out.tty && doc_first(calls)) put_map(cli, services, calls);
        if (show_rows(cli, services, service_columns, COUNT(service_columns), &err)) return cli_fail(cli, &err);
        if (cli->out.tty || !doc_first(calls)) return EXIT_FINE;
        term_puts(&cli->out, "\n");
        if (show_rows(cli, calls, call_columns, COUNT(call_columns), &err)) return cli_fail(cli, &err);
    }
    return EXIT_FINE;
}

const struct command command_services = {
    .name = "services",
    .words = "[FILTER]",
    .summary = "the service map: who calls whom, how often, how well",
    .about = "Calls are spans whose parent belongs to another service; LLM providers are the leaves. --csv writes the "
             "calls.",
    .groups = (const struct option_group *const[]){&group_range, &group_table, &group_source, &group_config, NULL},
    .args_size = sizeof(struct shared_args),
    .words_max = 1000,
    .defaults = shared_defaults,
    .run = run,
};
