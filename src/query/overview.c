/* GET /api/v1/overview: how the storefront does. One scan gives the numbers of now, their trend, models and providers;
 * a second one looks back for people who were there before; `compare=1` takes the same two for the time before. */
#include "query/numbers.h"
#include "query/scored.h"

#include <stdlib.h>

enum { STEPS_DEFAULT = 60, STEPS_MAX = 5000, MODELS_SHOWN = 100, RETURNING_DAYS = 7 };

/* Columns of the overview's own, behind those of enum number. */
enum { O_P50 = NUMBER_SHARED, O_P95, O_P99, O_TTFT_P50, O_TTFT_P95, O_ERROR_RATE, O_USERS, O_TALK_COST, O_COUNT };
/* Columns of models; providers have the first few. */
enum {
    M_CALLS,
    M_ERRORS,
    M_ERROR_RATE,
    M_COST,
    M_P95,
    M_OF_PROVIDERS,
    M_P50 = M_OF_PROVIDERS,
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

/* As they follow O_P50. */
static const struct {
    const char *name;
    int of_model;
} latencies[] = {
    {"p50_ms", M_P50}, {"p95_ms", M_P95}, {"p99_ms", M_P99}, {"ttft_p50_ms", M_TTFT_P50}, {"ttft_p95_ms", M_TTFT_P95}};

struct overview {
    struct ask *ask;
    struct number_filters filters;
    struct filter *talk; /* spans of conversations */
    struct agg_column columns[O_COUNT], model_columns[M_COUNT], people_columns[2], traces_column;
    struct field by_model[2], user;
    int64_t interval_ns;
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
    struct agg_column all[NUMBER_COUNT];
    numbers_columns(&o->filters, all);
    memcpy(o->columns, all, NUMBER_SHARED * sizeof *all);
    o->people_columns[0] = all[NUMBER_FIRST];
    o->people_columns[1] = all[NUMBER_LAST];
    o->traces_column = all[NUMBER_TRACES];
    o->columns[O_P50] = percentile(0.5, "duration_ms", llm);
    o->columns[O_P95] = percentile(0.95, "duration_ms", llm);
    o->columns[O_P99] = percentile(0.99, "duration_ms", llm);
    o->columns[O_TTFT_P50] = percentile(0.5, "ttft_ms", llm);
    o->columns[O_TTFT_P95] = percentile(0.95, "ttft_ms", llm);
    o->columns[O_ERROR_RATE] = number_column(AGG_ERROR_RATE, NULL, llm);
    o->columns[O_USERS] = number_column(AGG_DISTINCT, "user_id", NULL);
    o->columns[O_TALK_COST] = number_column(AGG_SUM, "cost_usd", o->talk);
    o->model_columns[M_CALLS] = o->columns[NUMBER_CALLS];
    o->model_columns[M_ERRORS] = o->columns[NUMBER_ERRORS];
    o->model_columns[M_ERROR_RATE] = o->columns[O_ERROR_RATE];
    o->model_columns[M_COST] = o->columns[NUMBER_COST];
    for (int i = 0; i < 5; i++) {
        o->model_columns[latencies[i].of_model] = o->columns[O_P50 + i];
        o->model_columns[M_INPUT + i] = o->columns[NUMBER_INPUT + i];
    }
    field_named(SLICE("model"), false, &o->by_model[0], NULL);
    field_named(SLICE("provider"), false, &o->by_model[1], NULL);
    field_named(SLICE("user_id"), false, &o->user, NULL);
    return 0;
}

/* ---- people ---- */

struct people {
    double active, returning; /* NaN = not known: there are too many to tell one by one */
};

/* One group a person over the range and the time before it: first seen before the range and last seen in it = came
 * back. */
static int count_people(struct overview *o, int64_t from_ns, int64_t to_ns, struct people *people, struct error *err) {
    static const int64_t DAY_NS = 86400 * INT64_C(1000000000);
    int64_t back = to_ns - from_ns > RETURNING_DAYS * DAY_NS ? to_ns - from_ns : RETURNING_DAYS * DAY_NS;
    struct agg_spec spec = {.filter = o->ask->filter,
                            .from_ns = from_ns - back,
                            .to_ns = to_ns,
                            .columns = o->people_columns,
                            .column_count = 2,
                            .group_by = &o->user,
                            .group_by_count = 1};
    struct agg_result *result;
    int code = aggregate(o->ask, &spec, &result, err);
    *people = (struct people){(double)NAN, (double)NAN};
    if (code == VT_ELIMIT) return 0;
    if (code) return code;
    double from_ms = (double)from_ns / 1e6;
    *people = (struct people){0, 0};
    for (uint32_t g = 0; g < result->group_count; g++) {
        if (result->groups[g].keys[0].type == AGG_KEY_NONE || agg_total(result, g, 1) < from_ms) continue;
        people->active++;
        people->returning += agg_total(result, g, 0) < from_ms;
    }
    return 0;
}

/* ---- the numbers of a range ---- */

static void put_numbers(const double *n, const struct people *people, struct json_writer *w) {
    double turns = n[NUMBER_TURN_SPANS], threads = n[NUMBER_THREADS];
    json_open(w, '{');
    put_count(w, "llm_calls", n[NUMBER_CALLS]);
    put_count(w, "errors", n[NUMBER_ERRORS]);
    put_number(w, "error_rate", n[O_ERROR_RATE]);
    for (int i = 0; i < 5; i++) put_number(w, latencies[i].name, n[O_P50 + i]);
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

/* Group 0, or what nothing adds up to. */
static void values_of(const struct agg_result *result, const struct agg_point *point, double n[O_COUNT]) {
    for (uint32_t c = 0; c < O_COUNT; c++) {
        if (point)
            n[c] = agg_value(result, point, c);
        else if (result->group_count)
            n[c] = agg_total(result, 0, c);
        else
            n[c] = result->spec->columns[c].op <= AGG_ERRORS || result->spec->columns[c].op == AGG_DISTINCT
                       ? 0
                       : (double)NAN;
    }
}

/* Where nobody sends turns, each trace of a conversation is one: then they are counted in a scan of their own. */
static int count_traces(struct overview *o, const struct agg_spec *spec, const double *n, struct agg_result **traces,
                        struct error *err) {
    *traces = NULL;
    if (n[NUMBER_TURN_SPANS] > 0 || !(n[NUMBER_THREADS] > 0)) return 0;
    struct agg_spec *own = ask_alloc(o->ask, 1, sizeof *own, err);
    if (!own) return err->code;
    *own = *spec;
    own->columns = &o->traces_column;
    own->column_count = 1;
    return aggregate(o->ask, own, traces, err);
}

static int put_previous(struct overview *o, struct json_writer *w, struct error *err) {
    struct ask *ask = o->ask;
    int64_t from = ask->from_ns - (ask->to_ns - ask->from_ns);
    struct agg_spec spec = {
        .filter = ask->filter, .from_ns = from, .to_ns = ask->from_ns, .columns = o->columns, .column_count = O_COUNT};
    struct agg_result *result;
    struct agg_result *traces;
    struct people people;
    double n[O_COUNT];
    int code = aggregate(ask, &spec, &result, err);
    if (!code) code = count_people(o, from, ask->from_ns, &people, err);
    if (code) return code;
    values_of(result, NULL, n);
    if ((code = count_traces(o, &spec, n, &traces, err))) return code;
    if (traces) n[NUMBER_TURN_SPANS] = agg_total(traces, 0, 0);
    json_put_key(w, "previous");
    put_numbers(n, &people, w);
    return 0;
}

/* ---- the trend ---- */

static void put_trend(const struct agg_result *result, const struct agg_result *traces, struct json_writer *w) {
    static const struct {
        const char *name;
        int column;
    } columns[] = {{"llm_calls", NUMBER_CALLS},
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
    json_put_key(w, "columns");
    json_open(w, '[');
    for (int c = 0; c < COLUMNS; c++) json_put_cstr(w, columns[c].name);
    json_close(w, ']');
    json_put_key(w, "points");
    json_open(w, '[');
    for (uint32_t p = 0; result->group_count && p < result->groups[0].point_count; p++) {
        const struct agg_point *point = &result->points[result->groups[0].first_point + p];
        double n[O_COUNT];
        values_of(result, point, n);
        if (traces)
            n[NUMBER_TURN_SPANS] = agg_value(traces, &traces->points[traces->groups[0].first_point + p],
                                             0); /* the same points: the same spans made them */
        json_open(w, '[');
        json_put_int(w, point->start_ns / 1000000);
        for (int c = 0; c < COLUMNS; c++) agg_put_number(n[columns[c].column], w);
        json_close(w, ']');
    }
    json_close(w, ']');
    json_close(w, '}');
}

/* ---- models and providers ---- */

static void put_latencies(const struct agg_result *result, uint32_t group, struct json_writer *w) {
    for (int i = 0; i < 5; i++)
        put_number(w, latencies[i].name, agg_total(result, group, (uint32_t)latencies[i].of_model));
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

static int read_parameters(struct overview *o, bool *compare, struct error *err) {
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
    *compare = ask_param(ask, "compare", &text) && text.len && !slice_is(text, "0") && !slice_is(text, "false");
    return 0;
}

int overview_get(struct ask *ask, struct json_writer *w, struct error *err) {
    struct overview *o = ask_alloc(ask, 1, sizeof *o, err);
    struct agg_result *results[3], *traces;
    struct people people;
    double now[O_COUNT];
    bool compare = false;
    if (!o) return err->code;
    int code = prepare(ask, o, err);
    if (!code) code = read_parameters(o, &compare, err);
    if (code) return code;
    struct agg_spec common = {.filter = ask->filter, .from_ns = ask->from_ns, .to_ns = ask->to_ns},
                    specs[3] = {common, common, common};
    specs[0].columns = o->columns, specs[0].column_count = O_COUNT, specs[0].interval_ns = o->interval_ns;
    specs[1].columns = specs[2].columns = o->model_columns, specs[1].column_count = M_COUNT,
    specs[2].column_count = M_OF_PROVIDERS;
    specs[1].group_by = o->by_model, specs[1].group_by_count = 2;
    specs[2].group_by = &o->by_model[1], specs[2].group_by_count = 1;
    if ((code = aggregate_many(ask, specs, 3, results, err)) ||
        (code = count_people(o, ask->from_ns, ask->to_ns, &people, err)))
        return code;
    values_of(results[0], NULL, now);
    if ((code = count_traces(o, &specs[0], now, &traces, err))) return code;
    if (traces) now[NUMBER_TURN_SPANS] = agg_total(traces, 0, 0);
    json_open(w, '{');
    json_put_key(w, "from_ms"), json_put_int(w, ask->from_ns / 1000000);
    json_put_key(w, "to_ms"), json_put_int(w, ask->to_ns / 1000000);
    json_put_key(w, "interval_ms"), json_put_int(w, o->interval_ns / 1000000);
    json_put_key(w, "now");
    put_numbers(now, &people, w);
    if (compare) code = put_previous(o, w, err);
    put_trend(results[0], traces, w);
    if (!code) code = put_models(o, results[1], now, w, err);
    if (!code) code = put_providers(o, results[2], w, err);
    if (!code) code = put_scores(o, w, err);
    ask_put_tail(ask, w);
    json_close(w, '}');
    return code;
}
