/* `vitrine overview`: how the storefront does, at a glance. */
#include "cli/commands.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/text.h"

#include <math.h>
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { SHARE_WIDTH = 12, SPARK_MOST = 40, SPARK_LEAST = 12, NAME_WIDTH = 22, VALUE_WIDTH = 11, DELTA_WIDTH = 9 };

struct overview_args {
    struct shared_args shared;
    bool compare;
    const char *interval;
};

/* One line of the head: a number, its change, its trend. */
struct metric {
    const char *section; /* a heading before it */
    const char *name;
    const char *path; /* in `now` and `previous` */
    enum shape shape;
    const char *trend; /* column of the trend; NULL = none */
    int better;        /* 1: more is better, -1: less is better, 0: neither */
};
static const struct metric metrics[] = {
    {"LLM calls", "calls", "llm_calls", SHAPE_COUNT, "llm_calls", 0},
    {NULL, "error rate", "error_rate", SHAPE_BADSHARE, "error_rate", -1},
    {NULL, "latency p50", "p50_ms", SHAPE_MS, "p50_ms", -1},
    {NULL, "latency p95", "p95_ms", SHAPE_MS, "p95_ms", -1},
    {NULL, "latency p99", "p99_ms", SHAPE_MS, NULL, -1},
    {NULL, "first token p50", "ttft_p50_ms", SHAPE_MS, "ttft_p50_ms", -1},
    {NULL, "first token p95", "ttft_p95_ms", SHAPE_MS, NULL, -1},
    {"Chat quality", "turns", "turns", SHAPE_COUNT, "turns", 0},
    {NULL, "conversations", "threads", SHAPE_COUNT, "threads", 0},
    {NULL, "turns a conversation", "turns_per_thread", SHAPE_COUNT, NULL, 0},
    {NULL, "active users", "active_users", SHAPE_COUNT, "active_users", 1},
    {NULL, "returning users", "returning_users", SHAPE_COUNT, NULL, 1},
    {NULL, "fallback rate", "fallback_rate", SHAPE_BADSHARE, "fallbacks", -1},
    {"Tokens and cost", "tokens in", "tokens.input", SHAPE_COUNT, "tokens.input", 0},
    {NULL, "tokens out", "tokens.output", SHAPE_COUNT, "tokens.output", 0},
    {NULL, "tokens cached", "tokens.cached", SHAPE_COUNT, "tokens.cached", 1},
    {NULL, "cost", "cost_usd", SHAPE_USD, "cost_usd", -1},
    {NULL, "cost a conversation", "cost_per_thread_usd", SHAPE_USD, NULL, -1},
    {NULL, "cost a turn", "cost_per_turn_usd", SHAPE_USD, NULL, -1},
};

static const struct show_column model_columns[] = {
    {"MODEL", "model", SHAPE_TEXT, 12, 0},
    {NULL, "provider", SHAPE_TEXT, 0, 0},
    {"CALLS", "calls", SHAPE_COUNT, 0, 0},
    {"SHARE", "share", SHAPE_PERCENT, 0, 5},
    {"ERRORS", "error_rate", SHAPE_BADSHARE, 0, 1},
    {NULL, "errors", SHAPE_COUNT, 0, 0},
    {"P50", "p50_ms", SHAPE_MS, 0, 2},
    {"P95", "p95_ms", SHAPE_MS, 0, 0},
    {"P99", "p99_ms", SHAPE_MS, 0, 6},
    {"FIRST TOKEN P50", "ttft_p50_ms", SHAPE_MS, 0, 7},
    {"TOKENS IN", "tokens.input", SHAPE_COUNT, 0, 4},
    {"OUT", "tokens.output", SHAPE_COUNT, 0, 3},
    {"COST", "cost_usd", SHAPE_USD, 0, 0},
    {NULL, "cost_share", SHAPE_PERCENT, 0, 0},
};
static const struct show_column provider_columns[] = {
    {"PROVIDER", "provider", SHAPE_TEXT, 12, 0}, {"CALLS", "calls", SHAPE_COUNT, 0, 0},
    {"ERRORS", "errors", SHAPE_BAD, 0, 3},       {"ERROR RATE", "error_rate", SHAPE_BADSHARE, 0, 1},
    {"P95", "p95_ms", SHAPE_MS, 0, 2},           {"COST", "cost_usd", SHAPE_USD, 0, 0}};
static const struct show_column score_columns[] = {{"SCORE", "name", SHAPE_TEXT, 8, 0},
                                                   {"MODEL", "model", SHAPE_TEXT, 8, 0},
                                                   {"COUNT", "count", SHAPE_COUNT, 0, 2},
                                                   {"AVERAGE", "avg", SHAPE_COUNT, 0, 0},
                                                   {"COST A TRACE", "cost_usd", SHAPE_USD, 0, 1}};

/* "▲ 12 %", red or green when that is better or worse. */
static enum style put_change(struct buf *out, double now, double before, int better) {
    if (isnan(now) || isnan(before) || before == 0) return STYLE_PLAIN;
    double change = now / before - 1;
    if (fabs(change) < 0.005) {
        buf_puts(out, "=");
        return STYLE_DIM;
    }
    buf_puts(out, change > 0 ? "+" : "-");
    buf_printf(out, fabs(change) < 9.995 ? "%.0f %%" : ">%.0f %%", fmin(fabs(change), 9.99) * 100);
    return better == 0 ? STYLE_DIM : (change > 0) == (better > 0) ? STYLE_GOOD : STYLE_BAD;
}

/* The values of one trend, summed or averaged into at most `most` of them. */
static size_t read_trend(const struct doc *trend, const char *name, double *values, size_t most) {
    uint32_t column = 1, points;
    const struct doc *columns = doc_get(trend, "columns"), *rows = doc_get(trend, "points");
    const struct doc *each = doc_first(columns);
    for (; each && !slice_is(each->text, name); each = each->next) column++;
    if (!each || !rows || !(points = rows->count)) return 0;
    size_t count = points < most ? points : most, i = 0;
    double sums[SPARK_MOST] = {0}, known[SPARK_MOST] = {0};
    for (const struct doc *row = rows->first; row; row = row->next, i++) {
        const struct doc *cell = doc_at(row, column);
        if (!cell || isnan(cell->number)) continue;
        sums[i * count / points] += cell->number;
        known[i * count / points]++;
    }
    for (size_t k = 0; k < count; k++) values[k] = known[k] > 0 ? sums[k] / known[k] : (double)NAN;
    return count;
}

static void put_metric(struct cli *cli, const struct doc *answer, const struct metric *m,
                       const struct shape_context *shape) {
    struct term *out = &cli->out;
    const struct doc *now = doc_get(doc_get(answer, "now"), m->path),
                     *before = doc_get(doc_get(answer, "previous"), m->path);
    struct buf text = {0};
    double values[SPARK_MOST];
    if (!now || now->type == JSON_NULL) return;
    term_printf(out, "  %-*s", NAME_WIDTH, m->name);
    enum style style = shape_put(&text, m->shape, now, "", shape);
    size_t width = text_width(buf_slice(&text));
    term_spaces(out, width < VALUE_WIDTH ? VALUE_WIDTH - width : 0);
    term_style(out, style == STYLE_BAD ? STYLE_BAD : STYLE_BOLD, buf_cstr(&text));
    buf_clear(&text);
    bool room_for_change = !out->width || out->width >= 2 + NAME_WIDTH + VALUE_WIDTH + DELTA_WIDTH;
    if (doc_get(answer, "previous") && room_for_change) {
        style = put_change(&text, now->number, before ? before->number : (double)NAN, m->better);
        width = text_width(buf_slice(&text));
        term_spaces(out, width < DELTA_WIDTH ? DELTA_WIDTH - width : 1);
        term_style(out, style, buf_cstr(&text));
        buf_clear(&text);
    }
    size_t used = 2 + NAME_WIDTH + VALUE_WIDTH + DELTA_WIDTH + 2;
    size_t room = !out->width                       ? SPARK_MOST
                  : out->width < used + SPARK_LEAST ? 0
                  : out->width - used < SPARK_MOST  ? out->width - used
                                                    : SPARK_MOST;
    size_t count = m->trend && room ? read_trend(doc_get(answer, "trend"), m->trend, values, room) : 0;
    if (count > 1) {
        say_spark(&text, values, count);
        term_puts(out, "  ");
        term_style(out, m->better < 0 ? STYLE_WARN : STYLE_ACCENT, buf_cstr(&text));
    }
    term_puts(out, "\n");
    buf_free(&text);
}

static int put_section(struct cli *cli, const char *title, const struct doc *rows, const struct show_column *columns,
                       size_t count, struct error *err) {
    if (!doc_first(rows)) return 0;
    term_puts(&cli->out, "\n");
    term_style(&cli->out, STYLE_HEAD, title);
    term_puts(&cli->out, "\n");
    return show_rows(cli, rows, columns, count, err);
}

static int put_people(struct cli *cli, const struct doc *answer, struct error *err) {
    struct term *out = &cli->out;
    struct shape_context shape;
    struct buf text = {0};
    show_context(cli, &shape);
    say_time(&text, (int64_t)(doc_number(answer, "from_ms") * 1e6), &shape);
    buf_puts(&text, " to ");
    say_time(&text, (int64_t)(doc_number(answer, "to_ms") * 1e6), &shape);
    term_style(out, STYLE_DIM, buf_cstr(&text));
    if (doc_get(answer, "previous") && (!out->width || out->width > 60))
        term_style(out, STYLE_DIM, ", beside the time before");
    term_puts(out, "\n");
    buf_free(&text);
    for (size_t i = 0; i < COUNT(metrics); i++) {
        if (metrics[i].section) {
            term_puts(out, "\n");
            term_style(out, STYLE_HEAD, metrics[i].section);
            term_puts(out, "\n");
        }
        put_metric(cli, answer, &metrics[i], &shape);
    }
    int code = put_section(cli, "Models", doc_get(answer, "models"), model_columns, COUNT(model_columns), err);
    if (!code)
        code =
            put_section(cli, "Providers", doc_get(answer, "providers"), provider_columns, COUNT(provider_columns), err);
    if (!code) code = put_section(cli, "Scores", doc_get(answer, "scores"), score_columns, COUNT(score_columns), err);
    return code;
}

static int run(struct cli *cli) {
    const struct overview_args *args = cli->args;
    struct buf query = {0};
    struct slice json, filter = cli_words(cli, 0);
    const struct doc *answer;
    struct error err = {0};
    shared_query(cli, &query, filter);
    query_add(&query, "interval", slice_of(args->interval));
    query_add(&query, "compare", args->compare ? SLICE("1") : (struct slice){NULL, 0});
    int status = show_ask(cli, &(struct source_request){.path = SLICE("/api/v1/overview"), .query = buf_slice(&query)},
                          filter.ptr, &json, &answer);
    buf_free(&query);
    if (status) return status;
    int code = 0;
    if (args->shared.json)
        show_json(cli, json);
    else if (args->shared.csv)
        code = show_rows(cli, doc_get(answer, "models"), model_columns, COUNT(model_columns), &err);
    else
        code = put_people(cli, answer, &err);
    bool empty = doc_number(answer, "now.llm_calls") == 0 && doc_number(answer, "now.turns") == 0;
    if (!code && empty && !args->shared.json && !args->shared.csv)
        show_none(cli, "LLM calls or chat turns", filter.ptr);
    return code ? cli_fail(cli, &err) : EXIT_FINE;
}

static void defaults(void *target) {
    struct overview_args *args = target;
    shared_defaults(args);
    args->compare = true;
}

static const struct option options[] = {{.name = "compare",
                                         .kind = &option_flag,
                                         .offset = offsetof(struct overview_args, compare),
                                         .fallback = "yes",
                                         .help = "beside the same time before; --no-compare leaves it out"},
                                        {.name = "interval",
                                         .kind = &option_text,
                                         .value = "TIME",
                                         .offset = offsetof(struct overview_args, interval),
                                         .fallback = "about 60 steps",
                                         .help = "step of the trends: 1m, 1h, 1d"},
                                        {0}};
static const struct option_group group = {"What is shown", options};

const struct command command_overview = {
    .name = "overview",
    .words = "[FILTER]",
    .summary = "latency, errors, chat quality, tokens and cost at a glance",
    .about = "--csv writes the table of models.",
    .examples = "vitrine overview --from -7d\nvitrine overview service:ai-storefront --from -1h\n",
    .groups =
        (const struct option_group *const[]){&group, &group_range, &group_table, &group_source, &group_config, NULL},
    .args_size = sizeof(struct overview_args),
    .words_max = 1000,
    .defaults = defaults,
    .run = run,
};
