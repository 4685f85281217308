/* Percentiles in SQL by the same sketch as everywhere else, so that all answers agree. */
#include "query/sql_digest.h"

#include <stdlib.h>

/* SQLite keeps a pointer for a group, NULL at first. */
struct digest *sql_digest(sqlite3_context *c) {
    struct digest **kept = sqlite3_aggregate_context(c, sizeof *kept);
    if (kept && !*kept && (*kept = calloc(1, sizeof **kept))) sketch_init(&(*kept)->sketch);
    if (!kept || !*kept) sqlite3_result_error_nomem(c);
    return kept ? *kept : NULL;
}

void sql_digest_fail(sqlite3_context *c, struct digest *digest) {
    digest->failed = true;
    sqlite3_result_error_nomem(c);
}

static void add(sqlite3_context *c, sqlite3_value *value, double quantile) {
    int type = sqlite3_value_type(value);
    if (type == SQLITE_NULL) return;
    struct digest *digest = sql_digest(c);
    if (!digest) return;
    digest->quantile = quantile;
    if (!sketch_add(&digest->sketch, sqlite3_value_double(value), 1, &digest->arena)) sql_digest_fail(c, digest);
}

void sql_digest_final(sqlite3_context *c) {
    struct digest **kept = sqlite3_aggregate_context(c, 0), *digest = kept ? *kept : NULL;
    if (!digest) return;
    double value = sketch_quantile(&digest->sketch, digest->quantile);
    if (!isnan(value) && !digest->failed) sqlite3_result_double(c, value);
    arena_free(&digest->arena);
    free(digest);
    *kept = NULL;
}

static void step_p50(sqlite3_context *c, int argc, sqlite3_value **args) {
    add(c, args[0], 0.5);
}
static void step_p90(sqlite3_context *c, int argc, sqlite3_value **args) {
    add(c, args[0], 0.9);
}
static void step_p95(sqlite3_context *c, int argc, sqlite3_value **args) {
    add(c, args[0], 0.95);
}
static void step_p99(sqlite3_context *c, int argc, sqlite3_value **args) {
    add(c, args[0], 0.99);
}

/* percentile(x, 99.9) */
static void step_percentile(sqlite3_context *c, int argc, sqlite3_value **args) {
    double percent = sqlite3_value_double(args[1]);
    if (!(percent >= 0 && percent <= 100) || sqlite3_value_type(args[1]) == SQLITE_NULL)
        sql_fail(c, "percentile: expected a number from 0 to 100 as second argument");
    else
        add(c, args[0], percent / 100);
}

/* approx_quantile(x, 100, 95): border 95 of 100 equal parts. */
static void step_quantile(sqlite3_context *c, int argc, sqlite3_value **args) {
    double parts = sqlite3_value_double(args[1]), part = sqlite3_value_double(args[2]);
    if (!(parts >= 1 && part >= 0 && part <= parts))
        sql_fail(c, "APPROX_QUANTILES: expected a place from 0 to the number of parts");
    else
        add(c, args[0], part / parts);
}

static const struct sql_function functions[] = {
    {.name = "p50", .args = 1, .step = step_p50, .final = sql_digest_final},
    {.name = "p90", .args = 1, .step = step_p90, .final = sql_digest_final},
    {.name = "p95", .args = 1, .step = step_p95, .final = sql_digest_final},
    {.name = "p99", .args = 1, .step = step_p99, .final = sql_digest_final},
    {.name = "percentile", .args = 2, .step = step_percentile, .final = sql_digest_final},
    {.name = "approx_quantile", .args = 3, .step = step_quantile, .final = sql_digest_final},
};

int sql_functions_sketch_add(sqlite3 *db) {
    return sql_functions_register(db, functions, sizeof functions / sizeof *functions, NULL);
}
