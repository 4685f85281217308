/* `vitrine services`: who calls whom. */
#include "cli/commands.h"
#include "cli/show.h"
#include "cli/table.h"

#include <math.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { BAR_WIDTH = 12 };

static const struct show_column service_columns[] = {
    {"SERVICE", "service", SHAPE_TEXT, 12, 0}, {"SPANS", "spans", SHAPE_COUNT, 0, 0},
    {"ERRORS", "errors", SHAPE_BAD, 0, 0},     {"ERROR RATE", "error_rate", SHAPE_BADSHARE, 0, 0},
    {"SPANS/S", "rate", SHAPE_COUNT, 0, 1},    {"P95", "p95_ms", SHAPE_MS, 0, 0}};
static const struct show_column call_columns[] = {{"FROM", "from", SHAPE_TEXT, 10, 0},
                                                  {"TO", "to", SHAPE_TEXT, 10, 0},
                                                  {"CALLS", "count", SHAPE_COUNT, 0, 0},
                                                  {"ERRORS", "errors", SHAPE_BAD, 0, 0},
                                                  {"ERROR RATE", "error_rate", SHAPE_BADSHARE, 0, 0},
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

static void put_callees(const struct map *m, struct slice *way, size_t depth, struct buf *prefix) {
    struct term *out = &m->cli->out;
    struct slice from = way[depth - 1];
    uint32_t left = 0;
    for (const struct doc *call = doc_first(m->calls); call; call = call->next)
        left += slice_eq(doc_text(call, "from"), from);
    for (const struct doc *call = doc_first(m->calls); call; call = call->next) {
        if (!slice_eq(doc_text(call, "from"), from)) continue;
        bool last = --left == 0;
        struct slice to = doc_text(call, "to");
        struct buf text = {0};
        double errors = doc_number(call, "errors");
        buf_put_slice(&out->buf, buf_slice(prefix));
        term_style(out, STYLE_DIM,
                   last ? "\xe2\x94\x94\xe2\x94\x80\xe2\x96\xb6 " : "\xe2\x94\x9c\xe2\x94\x80\xe2\x96\xb6 ");
        term_text(out, STYLE_BOLD, to);
        say_bar(&text, doc_number(call, "count") / m->most, BAR_WIDTH);
        term_puts(out, "  ");
        term_style(out, STYLE_CALL, buf_cstr(&text));
        buf_clear(&text);
        say_count(&text, doc_number(call, "count"));
        buf_puts(&text, doc_number(call, "count") == 1 ? " call" : " calls");
        if (!isnan(doc_number(call, "p95_ms"))) {
            buf_puts(&text, ", p95 ");
            say_ms(&text, doc_number(call, "p95_ms"));
        }
        term_printf(out, " %s", buf_cstr(&text));
        buf_clear(&text);
        if (errors > 0) {
            buf_puts(&text, ", ");
            say_count(&text, errors);
            buf_puts(&text, errors == 1 ? " error" : " errors");
            term_style(out, STYLE_BAD, buf_cstr(&text));
        }
        buf_free(&text);
        term_puts(out, "\n");
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
        term_puts(&cli->err, "No services in that time.\n");
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
