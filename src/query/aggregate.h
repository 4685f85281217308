/* Aggregates: numbers of the spans that match, by groups and steps of time. One scan, any number of columns, each with
 * a condition of its own if need be:
 *
 *     struct agg_column columns[3];
 *     agg_column_parse(SLICE("p95(duration_ms)"), &columns[0], err);      // what a JSON query or a monitor writes
 *     columns[1] = (struct agg_column){.op = AGG_ERRORS, .where = llm_calls};
 *     …
 *     struct agg_spec spec = {.filter = ask->filter, .from_ns = ask->from_ns, .to_ns = ask->to_ns, .columns = columns,
 *                             .column_count = 3, .group_by = &model, .group_by_count = 1, .interval_ns = minute};
 *     struct agg_result *result;
 *     if ((code = aggregate(ask, &spec, &result, err))) return code;
 *     for (uint32_t g = 0; g < result->group_count; g++) use(result->groups[g].keys[0], agg_total(result, g, 0));
 *
 * Counts and sums are weighted: a span that was sampled at 1/10 counts ten times. Tokens and cost are not counted on
 * spans whose descendants report them too. What is not known is left out of every aggregate of it. */
#ifndef QUERY_AGGREGATE_H
#define QUERY_AGGREGATE_H

#include "query/engine.h"

enum { GROUP_BY_MAX = 8, AGG_COLUMNS_MAX = 64, AGG_GROUPS_MAX = 1 << 20 };

enum agg_op {
    AGG_COUNT,      /* spans */
    AGG_RATE,       /* spans a second of the range, in a point: of the interval */
    AGG_ERRORS,     /* spans with status ERROR */
    AGG_ERROR_RATE, /* errors / spans; NaN of none */
    AGG_SUM,        /* from here on: of a field. NaN when none of the spans knows it (SUM: too) */
    AGG_AVG,
    AGG_MIN,
    AGG_MAX,
    AGG_PERCENTILE, /* sketch.h: within 1 % of the exact value */
    AGG_HISTOGRAM,  /* agg_histogram */
    AGG_DISTINCT    /* distinct.h: exact to 24,576 values a group, then within 2 %; 0 when none is known */
};

struct agg_column {
    enum agg_op op;
    struct field field;         /* AGG_SUM and below */
    double quantile;            /* AGG_PERCENTILE: 0 … 1 */
    const struct filter *where; /* only spans that match this too; NULL = all */
};

/* "count", "error_rate", "sum(cost_usd)", "p99.9(duration_ms)", "distinct(attr.region)". The field's key is borrowed
 * from text. */
int agg_column_parse(struct slice text, struct agg_column *column, struct error *err);

struct agg_spec {
    const struct filter *filter; /* NULL = every span */
    int64_t from_ns, to_ns;
    const struct agg_column *columns;
    uint32_t column_count;
    const struct field *group_by;
    uint32_t group_by_count; /* 0: one group, also when nothing matches */
    int64_t interval_ns;     /* points at multiples of it; 0 = one point at from_ns */
};

struct agg_key {
    enum { AGG_KEY_NONE, AGG_KEY_TEXT, AGG_KEY_NUMBER, AGG_KEY_BOOL } type; /* NONE: not known */
    struct slice text;
    double number; /* in the unit in which the field is shown; BOOL: 0 or 1 */
};

struct agg_point {
    int64_t start_ns;
    uint32_t state; /* aggregate.c's */
};

struct agg_group {
    const struct agg_key *keys;        /* group_by_count of them */
    uint32_t first_point, point_count; /* in agg_result.points, by time */
};

struct agg_cell; /* agg_internal.h */

/* Lives in the ask's arena. Groups stand in no order. */
struct agg_result {
    const struct agg_spec *spec;
    struct agg_group *groups;
    uint32_t group_count;
    struct agg_point *points;
    uint32_t point_count;
    struct agg_cell *cells;
    const uint32_t *slots; /* which of a point's cells a column reads */
    uint32_t slot_count;
    struct arena *arena;
};

/* VT_ELIMIT when the groups pass AGG_GROUPS_MAX or the request's memory. `spec` and what it points to must outlive the
 * result. */
int aggregate(struct ask *ask, const struct agg_spec *spec, struct agg_result **result, struct error *err);

/* Several at once over one scan: all have the filter and the range of the first. */
int aggregate_many(struct ask *ask, const struct agg_spec *specs, uint32_t count, struct agg_result **results,
                   struct error *err);
/* The same, with something else that looks at the same scan: `each` and `known` are as in struct scan (blocks.h).
 * `also` may be NULL. */
struct block;
struct agg_also {
    int (*each)(void *ctx, struct block *block, struct error *err);
    int (*known)(void *ctx, struct block *block, struct error *err);
    void *ctx;
};
int aggregate_with(struct ask *ask, const struct agg_spec *specs, uint32_t count, struct agg_result **results,
                   const struct agg_also *also, struct error *err);

/* A coarser result from a finer one, without another scan: `coarse` has the columns of fine->spec (the same array), its
 * interval or none, and groups by the fields that stand at the places `keep` of the finer group_by. */
int agg_rollup(struct ask *ask, const struct agg_result *fine, const struct agg_spec *coarse, const uint32_t *keep,
               struct agg_result **result, struct error *err);

/* A point's value; NaN = not known (histograms: use agg_put_value). */
double agg_value(const struct agg_result *result, const struct agg_point *point, uint32_t column);
/* A whole group's value, its points taken together. */
double agg_total(const struct agg_result *result, uint32_t group, uint32_t column);
/* A point's value as JSON: null, a number (whole ones without a point), or a list of [low, high, count]. */
void agg_put_value(const struct agg_result *result, const struct agg_point *point, uint32_t column,
                   struct json_writer *w);
/* The value that a parsed column of that name would have: null or a number. */
void agg_put_number(double value, struct json_writer *w);
/* One key as the JSON value it is; not AGG_KEY_NONE. */
void agg_put_key(const struct agg_key *key, struct json_writer *w);
/* A group's keys as an object: {"model":"gpt-4o"}. */
void agg_put_keys(const struct agg_result *result, uint32_t group, struct json_writer *w);

/* Sorts the group numbers 0 … group_count-1 into `order` by a column (NaN last, equal ones by keys), and returns how
 * many of them `limit` leaves. */
uint32_t agg_top(const struct agg_result *result, uint32_t column, bool ascending, uint32_t limit, uint32_t *order);

#endif
