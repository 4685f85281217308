/* GET /api/v1/overview: how the storefront does. One scan gives the numbers of now, their trend, models and providers
 * and the lines of both: they are counted by model, provider and step, and added up from there. A second one looks back
 * for people who were there before; `compare=1` takes the same two for the time before. */
#include "query/numbers.h"
#include "query/people.h"
#include "query/scored.h"

#include <stdlib.h>

enum { STEPS_DEFAULT = 60, STEPS_MAX = 5000, MODELS_SHOWN = 100, LINES_MAX = 8, RETURNING_DAYS = 7 };

/* All numbers of a range: those of enum number, and the overview's own behind them. */
enum { O_P50 = NUMBER_SHARED, O_P95, O_P99, O_TTFT_P50, O_TTFT_P95, O_ERROR_RATE, O_USERS, O_TALK_COST, O_COUNT };
/* What is told by model, too … */
enum {
    M_CALLS,
    M_ERRORS,
    M_ERROR_RATE,
    M_COST,
    M_P50,
    M_P95,
    M_P99,
    M_TTFT_P50,
    M_TTFT_P95,
    M_INPUT,
    M_OUTPUT,
    M_CACHED,
    M_CACHE_WRITE,
    M_REASONING,
    M_COUNT
};
static const int of_models[M_COUNT] = {NUMBER_CALLS,  NUMBER_ERRORS, O_ERROR_RATE,       NUMBER_COST,     O_P50,
                                       O_P95,         O_P99,         O_TTFT_P50,         O_TTFT_P95,      NUMBER_INPUT,
                                       NUMBER_OUTPUT, NUMBER_CACHED, NUMBER_CACHE_WRITE, NUMBER_REASONING};
/* … and what only of all. */
enum { C_FALLBACKS, C_TURNS, C_THREADS, C_USERS, C_TALK_COST, C_COUNT };
static const int of_chat[C_COUNT] = {NUMBER_FALLBACKS, NUMBER_TURN_SPANS, NUMBER_THREADS, O_USERS, O_TALK_COST};

/* As they follow O_P50, and M_P50. */
static const char *const latencies[] = {"p50_ms", "p95_ms", "p99_ms", "ttft_p50_ms", "ttft_p95_ms"};
enum { LATENCIES = sizeof latencies / sizeof *latencies };

struct overview {
    struct ask *ask;
    struct number_filters filters;
    struct filter *talk; /* spans of conversations */
    struct agg_column models[M_COUNT], chat[C_COUNT], traces_column;
    struct field by_model[2]; /* model, provider */
    int64_t interval_ns;
};

/* What was found in a range. Specs stand beside their results, which point to them. */
struct figures {
    struct agg_spec specs[6], traces_spec;
    struct agg_result *fine; /* by model, provider and step; NULL: there are too many of them */
    struct agg_result *all;  /* by step */
    struct agg_result *chat; /* by step: the same points as of `all` */
    struct agg_result *models, *providers;
    struct agg_result *traces; /* of conversations without turns, by step; mostly NULL */
    struct people_counts people;
    double now[O_COUNT];
};

static struct agg_column percentile(double quantile, const char *field, const struct filter *where) {
    struct agg_column column = number_column(AGG_PERCENTILE, field, where);
    column.quantile = quantile;
    return column;
}

static int prepare(struct ask *ask, struct overview *o, struct error *err) {
    o->ask = ask;
    int code = number_filters_make(ask, &o->filters, err);
    if (!code) code = filter_parse(SLICE("has:thread OR has:turn OR kind:turn"), &ask->arena, &o->talk, err);
    if (code) return code;
    const struct filter *llm = o->filters.llm;
    struct agg_column all[NUMBER_COUNT], columns[O_COUNT];
    numbers_columns(&o->filters, all);
    memcpy(columns, all, NUMBER_SHARED * sizeof *all);
    o->traces_column = all[NUMBER_TRACES];
    columns[O_P50] = percentile(0.5, "duration_ms", llm);
    columns[O_P95] = percentile(0.95, "duration_ms", llm);
    columns[O_P99] = percentile(0.99, "duration_ms", llm);
    columns[O_TTFT_P50] = percentile(0.5, "ttft_ms", llm);
    columns[O_TTFT_P95] = percentile(0.95, "ttft_ms", llm);
    columns[O_ERROR_RATE] = number_column(AGG_ERROR_RATE, NULL, llm);
    columns[O_USERS] = number_column(AGG_DISTINCT, "user_id", NULL);
    columns[O_TALK_COST] = number_column(AGG_SUM, "cost_usd", o->talk);
    for (int i = 0; i < M_COUNT; i++) o->models[i] = columns[of_models[i]];
    for (int i = 0; i < C_COUNT; i++) o->chat[i] = columns[of_chat[i]];
    field_named(SLICE("model"), false, &o->by_model[0], NULL);
    field_named(SLICE("provider"), false, &o->by_model[1], NULL);
    return 0;
}

/* ---- the scans ---- */

/* Group 0, or what nothing adds up to. */
static double value_of(const struct agg_result *result, const struct agg_point *point, uint32_t column) {
    enum agg_op op = result->spec->columns[column].op;
    if (point) return agg_value(result, point, column);
    if (result->group_count) return agg_total(result, 0, column);
    return op <= AGG_ERRORS || op == AGG_DISTINCT ? 0 : (double)NAN;
}

/* The numbers of point p, or (-1) of all points together. */
static void values_of(const struct figures *f, int64_t p, double n[O_COUNT]) {
    const struct agg_result *const results[] = {f->all, f->chat};
    const int *const places[] = {of_models, of_chat};
    static const uint32_t counts[] = {M_COUNT, C_COUNT};
    for (int r = 0; r < 2; r++) {
        const struct agg_point *point = p < 0 ? NULL : &results[r]->points[results[r]->groups[0].first_point + p];
        for (uint32_t c = 0; c < counts[r]; c++) n[places[r][c]] = value_of(results[r], point, c);
    }
    if (!f->traces) return;
    n[NUMBER_TURN_SPANS] = p < 0 ? agg_total(f->traces, 0, 0)
                                 : agg_value(f->traces, &f->traces->points[f->traces->groups[0].first_point + p],
                                             0); /* the same points: the same spans made them */
}

/* Where nobody sends turns, each trace of a conversation is one: then they are counted in a scan of their own. */
static int count_traces(struct overview *o, struct figures *f, struct error *err) {
    if (f->now[NUMBER_TURN_SPANS] > 0 || !(f->now[NUMBER_THREADS] > 0)) return 0;
    f->traces_spec = *f->chat->spec;
    f->traces_spec.columns = &o->traces_column;
    f->traces_spec.column_count = 1;
    int code = aggregate(o->ask, &f->traces_spec, &f->traces, err);
    if (!code) values_of(f, -1, f->now);
    return code;
}

enum { S_FINE, S_CHAT, S_ALL, S_MODELS, S_PROVIDERS };

/* One scan by model, provider and step, from which the rest is added up. */
static int scan_fine(struct overview *o, struct figures *f, struct people *people, struct error *err) {
    static const uint32_t keep[] = {0, 1}, provider[] = {1};
    struct agg_result *found[2];
    const struct agg_also also = people_also(people);
    int code = aggregate_with(o->ask, f->specs, 2, found, &also, err);
    if (code) return code;
    f->fine = found[S_FINE];
    f->chat = found[S_CHAT];
    if ((code = agg_rollup(o->ask, f->fine, &f->specs[S_ALL], keep, &f->all, err)) ||
        (code = agg_rollup(o->ask, f->fine, &f->specs[S_MODELS], keep, &f->models, err)))
        return code;
    return agg_rollup(o->ask, f->fine, &f->specs[S_PROVIDERS], provider, &f->providers, err);
}

/* The same where models are so many that each at each step is too much: more work in less memory. */
static int scan_coarse(struct overview *o, struct figures *f, struct people *people, struct error *err) {
    struct agg_result *found[4];
    *err = (struct error){0};
    f->fine = NULL;
    const struct agg_also also = people_also(people);
    int code = aggregate_with(o->ask, &f->specs[S_CHAT], 4, found, &also, err);
    f->chat = found[0], f->all = found[1], f->models = found[2], f->providers = found[3];
    return code;
}

static int find_figures(struct overview *o, int64_t from_ns, int64_t to_ns, int64_t interval_ns, struct figures **out,
                        struct error *err) {
    static const int64_t DAY_NS = 86400 * INT64_C(1000000000);
    int64_t back_ns = to_ns - from_ns > RETURNING_DAYS * DAY_NS ? to_ns - from_ns : RETURNING_DAYS * DAY_NS;
    struct figures *f = *out = ask_alloc(o->ask, 1, sizeof *f, err);
    struct people *people = f ? people_new(o->ask, from_ns - back_ns, from_ns, to_ns, err) : NULL;
    if (!people) return err->code;
    for (int i = S_FINE; i <= S_PROVIDERS; i++)
        f->specs[i] = (struct agg_spec){.filter = o->ask->filter,
                                        .from_ns = from_ns,
                                        .to_ns = to_ns,
                                        .columns = i == S_CHAT ? o->chat : o->models,
                                        .column_count = i == S_CHAT ? C_COUNT : M_COUNT,
                                        .interval_ns = i <= S_ALL ? interval_ns : 0};
    f->specs[S_FINE].group_by = f->specs[S_MODELS].group_by = o->by_model;
    f->specs[S_FINE].group_by_count = f->specs[S_MODELS].group_by_count = 2;
    f->specs[S_PROVIDERS].group_by = &o->by_model[1];
    f->specs[S_PROVIDERS].group_by_count = 1;
    int code = scan_fine(o, f, people, err);
    if (code == VT_ELIMIT) {
        if (!(people = people_new(o->ask, from_ns - back_ns, from_ns, to_ns, err))) return err->code;
        code = scan_coarse(o, f, people, err);
    }
    if (!code) code = people_count(people, &f->people, err);
    if (code) return code;
    values_of(f, -1, f->now);
    return count_traces(o, f, err);
}

/* ---- the numbers of a range ---- */

static void put_numbers(const struct figures *f, struct json_writer *w) {
    const double *n = f->now;
    const struct people_counts *people = &f->people;
    double turns = n[NUMBER_TURN_SPANS], threads = n[NUMBER_THREADS];
    json_open(w, '{');
    put_count(w, "llm_calls", n[NUMBER_CALLS]);
    put_count(w, "errors", n[NUMBER_ERRORS]);
    put_number(w, "error_rate", n[O_ERROR_RATE]);
    for (int i = 0; i < LATENCIES; i++) put_number(w, latencies[i], n[O_P50 + i]);
    put_tokens(&n[NUMBER_INPUT], w);
    put_number(w, "cost_usd", n[NUMBER_COST]);
    put_count(w, "turns", turns);
    put_count(w, "threads", threads);
    put_number(w, "turns_per_thread", share_of(turns, threads));
    put_count(w, "active_users", isnan(people->active) ? n[O_USERS] : people->active);
    if (!isnan(people->active)) {
        put_count(w, "returning_users", people->returning);
        put_count(w, "new_users", people->active - people->returning);
    }
    put_count(w, "fallbacks", n[NUMBER_FALLBACKS]);
    put_number(w, "fallback_rate", share_of(n[NUMBER_FALLBACKS], turns));
    put_number(w, "cost_per_thread_usd", share_of(n[O_TALK_COST], threads));
    put_number(w, "cost_per_turn_usd", share_of(n[O_TALK_COST], turns));
    json_close(w, '}');
}

static int put_previous(struct overview *o, struct json_writer *w, struct error *err) {
    struct ask *ask = o->ask;
    struct figures *f = NULL;
    int code = find_figures(o, ask->from_ns - (ask->to_ns - ask->from_ns), ask->from_ns, 0, &f, err);
    if (code) return code;
    json_put_key(w, "previous");
    put_numbers(f, w);
    return 0;
}

/* ---- trends ---- */

struct trend_column {
    const char *name;
    int column;
};

static void put_column_names(const struct trend_column *columns, uint32_t count, struct json_writer *w) {
    json_put_key(w, "columns");
    json_open(w, '[');
    for (uint32_t c = 0; c < count; c++) json_put_cstr(w, columns[c].name);
    json_close(w, ']');
}

static void put_trend(const struct figures *f, struct json_writer *w) {
    static const struct trend_column columns[] = {{"llm_calls", NUMBER_CALLS},
                                                  {"error_rate", O_ERROR_RATE},
                                                  {"p50_ms", O_P50},
                                                  {"p95_ms", O_P95},
                                                  {"ttft_p50_ms", O_TTFT_P50},
                                                  {"tokens.input", NUMBER_INPUT},
                                                  {"tokens.output", NUMBER_OUTPUT},
                                                  {"tokens.cached", NUMBER_CACHED},
                                                  {"cost_usd", NUMBER_COST},
                                                  {"turns", NUMBER_TURN_SPANS},
                                                  {"threads", NUMBER_THREADS},
                                                  {"active_users", O_USERS},
                                                  {"fallbacks", NUMBER_FALLBACKS}};
    enum { COLUMNS = sizeof columns / sizeof *columns };
    json_put_key(w, "trend");
    json_open(w, '{');
    put_column_names(columns, COLUMNS, w);
    json_put_key(w, "points");
    json_open(w, '[');
    for (uint32_t p = 0; f->all->group_count && p < f->all->groups[0].point_count; p++) {
        double n[O_COUNT];
        values_of(f, p, n);
        json_open(w, '[');
        json_put_int(w, f->all->points[f->all->groups[0].first_point + p].start_ns / 1000000);
        for (int c = 0; c < COLUMNS; c++) agg_put_number(n[columns[c].column], w);
        json_close(w, ']');
    }
    json_close(w, ']');
    json_close(w, '}');
}

/* The lines of the most used models, or providers: what charts are drawn of. */
static int put_lines(struct overview *o, const struct figures *f, const char *name, uint32_t key, struct json_writer *w,
                     struct error *err) {
    static const struct trend_column columns[] = {
        {"llm_calls", M_CALLS}, {"errors", M_ERRORS},      {"p50_ms", M_P50},
        {"p95_ms", M_P95},      {"p99_ms", M_P99},         {"ttft_p50_ms", M_TTFT_P50},
        {"cost_usd", M_COST},   {"tokens.input", M_INPUT}, {"tokens.output", M_OUTPUT}};
    enum { COLUMNS = sizeof columns / sizeof *columns };
    struct agg_spec *spec = ask_alloc(o->ask, 1, sizeof *spec, err);
    struct agg_result *result;
    if (!spec) return err->code;
    *spec = *f->fine->spec;
    spec->group_by = &o->by_model[key];
    spec->group_by_count = 1;
    int code = agg_rollup(o->ask, f->fine, spec, &key, &result, err);
    uint32_t *order = code ? NULL : ask_alloc(o->ask, result->group_count, sizeof *order, err);
    if (!order) return code ? code : err->code;
    uint32_t count = agg_top(result, M_CALLS, false, LINES_MAX, order);
    json_put_key(w, name);
    json_open(w, '{');
    put_column_names(columns, COLUMNS, w);
    json_put_key(w, "series");
    json_open(w, '[');
    for (uint32_t i = 0; i < count; i++) {
        const struct agg_group *group = &result->groups[order[i]];
        if (!(agg_total(result, order[i], M_CALLS) > 0)) continue;
        json_open(w, '{');
        json_put_key(w, "group");
        agg_put_keys(result, order[i], w);
        json_put_key(w, "total");
        json_open(w, '[');
        for (int c = 0; c < COLUMNS; c++) agg_put_number(agg_total(result, order[i], (uint32_t)columns[c].column), w);
        json_close(w, ']');
        json_put_key(w, "points");
        json_open(w, '[');
        for (uint32_t p = 0; p < group->point_count; p++) {
            const struct agg_point *point = &result->points[group->first_point + p];
            if (!(agg_value(result, point, M_CALLS) > 0)) continue;
            json_open(w, '[');
            json_put_int(w, point->start_ns / 1000000);
            for (int c = 0; c < COLUMNS; c++) agg_put_number(agg_value(result, point, (uint32_t)columns[c].column), w);
            json_close(w, ']');
        }
        json_close(w, ']');
        json_close(w, '}');
    }
    json_close(w, ']');
    json_close(w, '}');
    return 0;
}

/* ---- models and providers ---- */

static void put_latencies(const struct agg_result *result, uint32_t group, struct json_writer *w) {
    for (uint32_t i = 0; i < LATENCIES; i++) put_number(w, latencies[i], agg_total(result, group, M_P50 + i));
}

/* Groups with LLM calls or a cost, the most used first. */
static uint32_t rank_groups(const struct agg_result *result, struct ranked *list) {
    uint32_t count = 0;
    for (uint32_t g = 0; g < result->group_count; g++) {
        const struct agg_key *key = &result->groups[g].keys[0];
        double calls = agg_total(result, g, M_CALLS), cost = agg_total(result, g, M_COST);
        if (key->type == AGG_KEY_TEXT && (calls > 0 || cost > 0)) list[count++] = (struct ranked){calls, key->text, g};
    }
    rank(list, count);
    return count < MODELS_SHOWN ? count : MODELS_SHOWN;
}

static int put_models(struct overview *o, const struct agg_result *result, const double *all, struct json_writer *w,
                      struct error *err) {
    struct ranked *list = ask_alloc(o->ask, result->group_count, sizeof *list, err);
    if (!list) return err->code;
    uint32_t count = rank_groups(result, list);
    json_put_key(w, "models");
    json_open(w, '[');
    for (uint32_t i = 0; i < count; i++) {
        uint32_t g = list[i].group;
        double tokens[5], cost = agg_total(result, g, M_COST);
        for (uint32_t t = 0; t < 5; t++) tokens[t] = agg_total(result, g, M_INPUT + t);
        json_open(w, '{');
        put_text(w, "model", list[i].key);
        if (result->groups[g].keys[1].type == AGG_KEY_TEXT) put_text(w, "provider", result->groups[g].keys[1].text);
        put_count(w, "calls", list[i].value);
        put_number(w, "share", share_of(list[i].value, all[NUMBER_CALLS]));
        put_count(w, "errors", agg_total(result, g, M_ERRORS));
        put_number(w, "error_rate", agg_total(result, g, M_ERROR_RATE));
        put_latencies(result, g, w);
        put_tokens(tokens, w);
        put_number(w, "cost_usd", cost);
        put_number(w, "cost_share", share_of(cost, all[NUMBER_COST]));
        json_close(w, '}');
    }
    json_close(w, ']');
    return 0;
}

static int put_providers(struct overview *o, const struct agg_result *result, struct json_writer *w,
                         struct error *err) {
    struct ranked *list = ask_alloc(o->ask, result->group_count, sizeof *list, err);
    if (!list) return err->code;
    uint32_t count = rank_groups(result, list);
    json_put_key(w, "providers");
    json_open(w, '[');
    for (uint32_t i = 0; i < count; i++) {
        uint32_t g = list[i].group;
        json_open(w, '{');
        put_text(w, "provider", list[i].key);
        put_count(w, "calls", list[i].value);
        put_count(w, "errors", agg_total(result, g, M_ERRORS));
        put_number(w, "error_rate", agg_total(result, g, M_ERROR_RATE));
        put_number(w, "p95_ms", agg_total(result, g, M_P95));
        put_number(w, "cost_usd", agg_total(result, g, M_COST));
        json_close(w, '}');
    }
    json_close(w, ']');
    return 0;
}

static int put_scores(struct overview *o, struct json_writer *w, struct error *err) {
    struct scored_row *rows = NULL;
    uint32_t count;
    int code = scored_rows(o->ask, &rows, &count, err);
    if (code) return code;
    json_put_key(w, "scores");
    json_open(w, '[');
    for (uint32_t i = 0; i < count; i++) {
        json_open(w, '{');
        put_text(w, "name", rows[i].name);
        put_text(w, "model", rows[i].model);
        put_count(w, "count", rows[i].count);
        put_number(w, "avg", rows[i].sum / rows[i].count);
        put_number(w, "cost_usd", share_of(rows[i].cost_sum, rows[i].cost_count));
        json_close(w, '}');
    }
    json_close(w, ']');
    return 0;
}

/* ---- all ---- */

struct wishes {
    bool compare; /* with the time before */
    bool lines;   /* of models and providers */
    bool numbers; /* nothing but "now" */
};

static bool ask_flag(struct ask *ask, const char *name) {
    struct slice text;
    return ask_param(ask, name, &text) && text.len && !slice_is(text, "0") && !slice_is(text, "false");
}

static int read_parameters(struct overview *o, struct wishes *wishes, struct error *err) {
    struct ask *ask = o->ask;
    struct slice text;
    o->interval_ns = interval_for(ask->from_ns, ask->to_ns, STEPS_DEFAULT);
    if (ask_param(ask, "interval", &text)) {
        int code = ask_read_interval("interval", text, &o->interval_ns, err);
        if (code) return code;
    }
    if ((ask->to_ns - ask->from_ns) / o->interval_ns > STEPS_MAX) {
        error_set(err, VT_ELIMIT, "interval: the range has over %d steps of it", STEPS_MAX);
        return error_hint(err, "take a longer interval, or leave it out");
    }
    *wishes = (struct wishes){ask_flag(ask, "compare"), ask_flag(ask, "lines"), ask_flag(ask, "numbers")};
    return 0;
}

static int put_rest(struct overview *o, const struct figures *f, const struct wishes *wishes, struct json_writer *w,
                    struct error *err) {
    int code = wishes->compare ? put_previous(o, w, err) : 0;
    put_trend(f, w);
    if (!code) code = put_models(o, f->models, f->now, w, err);
    if (!code) code = put_providers(o, f->providers, w, err);
    if (!code && wishes->lines && f->fine) code = put_lines(o, f, "model_lines", 0, w, err);
    if (!code && wishes->lines && f->fine) code = put_lines(o, f, "provider_lines", 1, w, err);
    if (!code) code = put_scores(o, w, err);
    return code;
}

int overview_get(struct ask *ask, struct json_writer *w, struct error *err) {
    struct overview *o = ask_alloc(ask, 1, sizeof *o, err);
    struct wishes wishes = {0};
    struct figures *f = NULL;
    if (!o) return err->code;
    int code = prepare(ask, o, err);
    if (!code) code = read_parameters(o, &wishes, err);
    if (!code) code = find_figures(o, ask->from_ns, ask->to_ns, wishes.numbers ? 0 : o->interval_ns, &f, err);
    if (code) return code;
    json_open(w, '{');
    json_put_key(w, "from_ms"), json_put_int(w, ask->from_ns / 1000000);
    json_put_key(w, "to_ms"), json_put_int(w, ask->to_ns / 1000000);
    json_put_key(w, "interval_ms"), json_put_int(w, o->interval_ns / 1000000);
    json_put_key(w, "now");
    put_numbers(f, w);
    if (!wishes.numbers) code = put_rest(o, f, &wishes, w, err);
    ask_put_tail(ask, w);
    json_close(w, '}');
    return code;
}
