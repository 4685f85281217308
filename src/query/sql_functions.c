/* Registering, and the small functions that need no file of their own. */
#include "query/sql_functions.h"

#include "base/timestamp.h"
#include "query/when.h"

#include <math.h>
#include <stdio.h>
#include <strings.h>

void sql_fail(sqlite3_context *c, const char *format, ...) {
    char message[300];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    sqlite3_result_error(c, message, -1);
}

int sql_functions_register(sqlite3 *db, const struct sql_function *functions, size_t count, const void *ctx) {
    int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, code = SQLITE_OK;
    for (size_t i = 0; i < count && code == SQLITE_OK; i++) {
        const struct sql_function *f = &functions[i];
        code = sqlite3_create_function_v2(db, f->name, f->args, flags, (void *)(uintptr_t)ctx, f->call, f->step,
                                          f->final, NULL);
    }
    return code;
}

/* ---- conditions and numbers ---- */

static void call_if(sqlite3_context *c, int argc, sqlite3_value **args) {
    sqlite3_result_value(c, args[sqlite3_value_double(args[0]) != 0 ? 1 : 2]);
}

static void call_safe_divide(sqlite3_context *c, int argc, sqlite3_value **args) {
    double below = sqlite3_value_double(args[1]);
    if (!sql_is_null(args[0]) && !sql_is_null(args[1]) && below != 0)
        sqlite3_result_double(c, sqlite3_value_double(args[0]) / below);
}

static void call_div(sqlite3_context *c, int argc, sqlite3_value **args) {
    int64_t above = sqlite3_value_int64(args[0]), below = sqlite3_value_int64(args[1]);
    if (sql_is_null(args[0]) || sql_is_null(args[1])) return;
    if (below == 0)
        sql_fail(c, "DIV: division by zero");
    else if (below == -1)
        sqlite3_result_double(c, -(double)above); /* the least integer has no opposite */
    else
        sqlite3_result_int64(c, above / below);
}

static bool is_integer_text(struct slice text) {
    size_t i = text.len && (text.ptr[0] == '-' || text.ptr[0] == '+');
    if (i == text.len) return false;
    while (i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9') i++;
    return i == text.len;
}

static void cast_number(sqlite3_context *c, sqlite3_value *value, bool whole) {
    double number = sqlite3_value_double(value);
    if (sqlite3_value_type(value) == SQLITE_TEXT) {
        struct slice text = sql_text_of(value);
        if (whole ? !is_integer_text(text) : !number_parse(text, &number)) return;
        if (whole) {
            sqlite3_result_int64(c, sqlite3_value_int64(value));
            return;
        }
    }
    if (!whole)
        sqlite3_result_double(c, number);
    else if (sqlite3_value_type(value) == SQLITE_INTEGER)
        sqlite3_result_value(c, value);
    else if (fabs(number) < 9.2e18)
        sqlite3_result_int64(c, llround(number));
}

static void cast_bool(sqlite3_context *c, sqlite3_value *value) {
    const char *text = (const char *)sqlite3_value_text(value);
    if (sqlite3_value_type(value) == SQLITE_INTEGER)
        sqlite3_result_int(c, sqlite3_value_int64(value) != 0);
    else if (text && strcasecmp(text, "true") == 0)
        sqlite3_result_int(c, 1);
    else if (text && strcasecmp(text, "false") == 0)
        sqlite3_result_int(c, 0);
}

/* NULL where the value has no such meaning. */
static void call_safe_cast(sqlite3_context *c, int argc, sqlite3_value **args) {
    const char *type = (const char *)sqlite3_value_text(args[1]);
    if (sql_is_null(args[0]) || !type) return;
    if (strcasecmp(type, "INT64") == 0 || strcasecmp(type, "INTEGER") == 0 || strcasecmp(type, "INT") == 0)
        cast_number(c, args[0], true);
    else if (strcasecmp(type, "FLOAT64") == 0 || strcasecmp(type, "NUMERIC") == 0 || strcasecmp(type, "REAL") == 0)
        cast_number(c, args[0], false);
    else if (strcasecmp(type, "BOOL") == 0 || strcasecmp(type, "BOOLEAN") == 0)
        cast_bool(c, args[0]);
    else if (strcasecmp(type, "STRING") == 0 || strcasecmp(type, "TEXT") == 0)
        sql_give_text(c, sql_text_of(args[0]));
    else
        sql_fail(c, "SAFE_CAST: no type %.40s; INT64, FLOAT64, NUMERIC, BOOL, STRING, TIMESTAMP, DATE are known", type);
}

/* ---- small aggregates ---- */

static void step_countif(sqlite3_context *c, int argc, sqlite3_value **args) {
    int64_t *count = sqlite3_aggregate_context(c, sizeof *count);
    if (count) *count += sqlite3_value_double(args[0]) != 0;
}
static void final_countif(sqlite3_context *c) {
    const int64_t *count = sqlite3_aggregate_context(c, 0);
    sqlite3_result_int64(c, count ? *count : 0);
}

static void step_any_value(sqlite3_context *c, int argc, sqlite3_value **args) {
    sqlite3_value **kept = sqlite3_aggregate_context(c, sizeof *kept);
    if (kept && !*kept && !sql_is_null(args[0])) *kept = sqlite3_value_dup(args[0]);
}
static void final_any_value(sqlite3_context *c) {
    sqlite3_value **kept = sqlite3_aggregate_context(c, 0);
    if (!kept || !*kept) return;
    sqlite3_result_value(c, *kept);
    sqlite3_value_free(*kept);
}

static const struct sql_function functions[] = {
    {.name = "if", .args = 3, .call = call_if},
    {.name = "safe_divide", .args = 2, .call = call_safe_divide},
    {.name = "div", .args = 2, .call = call_div},
    {.name = "safe_cast", .args = 2, .call = call_safe_cast},
    {.name = "countif", .args = 1, .step = step_countif, .final = final_countif},
    {.name = "any_value", .args = 1, .step = step_any_value, .final = final_any_value},
};

int sql_functions_add(sqlite3 *db, const int64_t *now_ns) {
    int code = sql_functions_register(db, functions, sizeof functions / sizeof *functions, NULL);
    if (code == SQLITE_OK) code = sql_functions_text_add(db);
    if (code == SQLITE_OK) code = sql_functions_time_add(db, now_ns);
    if (code == SQLITE_OK) code = sql_functions_sketch_add(db);
    return code;
}
