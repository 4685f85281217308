/* Time. A moment is a text "2026-11-23T18:59:51.722Z" (so that moments compare as texts, as `start` and `timestamp` do)
 * or a number of Unix milliseconds; functions take both. */
#include "base/timestamp.h"
#include "query/sql_functions.h"
#include "query/when.h"

#include <math.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

static const double MS_MAX = 9.2e12;

/* Also "2026-11-23 18:59:51 UTC" and "…+00", as BigQuery prints them. */
static bool text_moment(struct slice text, int64_t *ms) {
    int64_t ns;
    if (slice_ends(text, SLICE(" UTC"))) text.len -= 4;
    if (!time_parse(text, &ns)) return false;
    *ms = ns / NS_PER_MS - (ns % NS_PER_MS < 0);
    return true;
}

/* False: NULL, or an error is set. */
static bool moment_of(sqlite3_context *c, sqlite3_value *value, int64_t *ms) {
    double number;
    switch (sqlite3_value_type(value)) {
    case SQLITE_NULL: return false;
    case SQLITE_TEXT: {
        struct slice text = sql_text_of(value);
        if (text_moment(text, ms)) return true;
        sql_fail(c, "'%.*s' is no time; expected one as 2026-11-23T18:59:51Z or Unix milliseconds",
                 text.len < 60 ? (int)text.len : 60, text.ptr);
        return false;
    }
    default:
        number = sqlite3_value_double(value);
        *ms = fabs(number) < MS_MAX ? (int64_t)floor(number) : 0;
        if (fabs(number) < MS_MAX) return true;
        sql_fail(c, "%g is no time; expected Unix milliseconds", number);
        return false;
    }
}

static void give_moment(sqlite3_context *c, int64_t ms) {
    char text[TIME_TEXT_MAX];
    if (ms > (int64_t)MS_MAX || ms < -(int64_t)MS_MAX)
        sql_fail(c, "the time is out of range");
    else
        sql_give_text(c, slice_make(text, time_format(ms * NS_PER_MS, 3, text)));
}

static void give_date(sqlite3_context *c, int64_t ms) {
    char text[TIME_TEXT_MAX];
    if (ms > (int64_t)MS_MAX || ms < -(int64_t)MS_MAX)
        sql_fail(c, "the date is out of range");
    else
        time_format(ms * NS_PER_MS, 3, text), sql_give_text(c, slice_make(text, 10));
}

/* ---- units ---- */

enum unit { UNIT_FIXED, UNIT_WEEK, UNIT_MONTH, UNIT_QUARTER, UNIT_YEAR };
static const struct unit_row {
    const char *name;
    enum unit unit;
    int64_t ms;
} units[] = {{"MILLISECOND", UNIT_FIXED, 1},    {"SECOND", UNIT_FIXED, 1000},
             {"MINUTE", UNIT_FIXED, 60000},     {"HOUR", UNIT_FIXED, 3600000},
             {"DAY", UNIT_FIXED, 86400000},     {"WEEK", UNIT_WEEK, 604800000},
             {"ISOWEEK", UNIT_WEEK, 604800000}, {"MONTH", UNIT_MONTH, 0},
             {"QUARTER", UNIT_QUARTER, 0},      {"YEAR", UNIT_YEAR, 0}};

static const struct unit_row *unit_of(sqlite3_context *c, sqlite3_value *value) {
    const char *name = (const char *)sqlite3_value_text(value);
    for (size_t i = 0; name && i < sizeof units / sizeof *units; i++)
        if (strcasecmp(name, units[i].name) == 0) return &units[i];
    sql_fail(c,
             "there is no unit '%.40s'; expected MILLISECOND, SECOND, MINUTE, HOUR, DAY, WEEK, MONTH, QUARTER or YEAR",
             name ? name : "NULL");
    return NULL;
}

static int64_t floor_to(int64_t ms, int64_t step) {
    int64_t rest = ms % step;
    return ms - rest - (rest < 0 ? step : 0);
}

static struct tm civil(int64_t ms) {
    struct tm tm;
    time_t seconds = (time_t)(floor_to(ms, 1000) / 1000);
    gmtime_r(&seconds, &tm);
    return tm;
}

static int64_t truncated(int64_t ms, const struct unit_row *unit) {
    enum { SUNDAY_OFFSET_MS = 3 * 86400000, MONDAY_OFFSET_MS = 4 * 86400000 }; /* 1970-01-01 was a Thursday */
    struct tm tm = civil(ms), first = {.tm_year = tm.tm_year, .tm_mday = 1};
    switch (unit->unit) {
    case UNIT_WEEK: {
        int64_t offset = unit->name[0] == 'I' ? SUNDAY_OFFSET_MS : MONDAY_OFFSET_MS;
        return floor_to(ms + offset, unit->ms) - offset;
    }
    case UNIT_MONTH: first.tm_mon = tm.tm_mon; break;
    case UNIT_QUARTER: first.tm_mon = tm.tm_mon / 3 * 3; break;
    case UNIT_YEAR: break;
    default: return floor_to(ms, unit->ms);
    }
    return (int64_t)timegm(&first) * 1000;
}

/* ---- functions ---- */

static int64_t now_ms(sqlite3_context *c) {
    return *(const int64_t *)sqlite3_user_data(c) / NS_PER_MS;
}
static void call_now_ms(sqlite3_context *c, int argc, sqlite3_value **args) {
    sqlite3_result_int64(c, now_ms(c));
}
static void call_now_timestamp(sqlite3_context *c, int argc, sqlite3_value **args) {
    give_moment(c, now_ms(c));
}
static void call_now_date(sqlite3_context *c, int argc, sqlite3_value **args) {
    give_date(c, now_ms(c));
}

/* time_bucket('5m', t): where t's step begins, in t's own form. */
static void call_time_bucket(sqlite3_context *c, int argc, sqlite3_value **args) {
    int64_t step_ns, ms;
    if (sql_is_null(args[0]) || !moment_of(c, args[1], &ms)) return;
    if (!duration_parse(sql_text_of(args[0]), NS_PER_MS, &step_ns) || step_ns < NS_PER_MS) {
        sql_fail(c, "time_bucket: '%.40s' is no step; expected one as '1m', '1h', '1d'",
                 (const char *)sqlite3_value_text(args[0]));
        return;
    }
    ms = floor_to(ms, step_ns / NS_PER_MS);
    if (sqlite3_value_type(args[1]) == SQLITE_TEXT)
        give_moment(c, ms);
    else
        sqlite3_result_int64(c, ms);
}

static void call_timestamp(sqlite3_context *c, int argc, sqlite3_value **args) {
    int64_t ms;
    if (moment_of(c, args[0], &ms)) give_moment(c, ms);
}

static void call_interval_ms(sqlite3_context *c, int argc, sqlite3_value **args) {
    const struct unit_row *unit = unit_of(c, args[1]);
    if (!unit || sql_is_null(args[0])) return;
    double ms = sqlite3_value_double(args[0]) * (double)unit->ms;
    if (!unit->ms)
        sql_fail(c, "INTERVAL: a %s has no fixed length; write days", unit->name);
    else if (fabs(ms) > MS_MAX)
        sql_fail(c, "INTERVAL: it is too long");
    else
        sqlite3_result_int64(c, (int64_t)ms);
}

static void shift(sqlite3_context *c, sqlite3_value **args, int sign, bool date) {
    int64_t ms;
    double by = sqlite3_value_double(args[1]);
    if (sql_is_null(args[1]) || !moment_of(c, args[0], &ms)) return;
    if (fabs(by) > MS_MAX)
        sql_fail(c, "the interval is too long");
    else if (date)
        give_date(c, ms + sign * (int64_t)by);
    else
        give_moment(c, ms + sign * (int64_t)by);
}
static void call_timestamp_add(sqlite3_context *c, int argc, sqlite3_value **args) {
    shift(c, args, 1, false);
}
static void call_timestamp_sub(sqlite3_context *c, int argc, sqlite3_value **args) {
    shift(c, args, -1, false);
}
static void call_date_add(sqlite3_context *c, int argc, sqlite3_value **args) {
    shift(c, args, 1, true);
}
static void call_date_sub(sqlite3_context *c, int argc, sqlite3_value **args) {
    shift(c, args, -1, true);
}

static void trunc_to(sqlite3_context *c, sqlite3_value **args, bool date) {
    int64_t ms;
    const struct unit_row *unit = unit_of(c, args[1]);
    if (!unit || !moment_of(c, args[0], &ms)) return;
    if (date)
        give_date(c, truncated(ms, unit));
    else
        give_moment(c, truncated(ms, unit));
}
static void call_timestamp_trunc(sqlite3_context *c, int argc, sqlite3_value **args) {
    trunc_to(c, args, false);
}
static void call_date_trunc(sqlite3_context *c, int argc, sqlite3_value **args) {
    trunc_to(c, args, true);
}

/* Whole units from the second to the first. */
static void call_diff(sqlite3_context *c, int argc, sqlite3_value **args) {
    int64_t later, earlier;
    const struct unit_row *unit = unit_of(c, args[2]);
    if (!unit || !moment_of(c, args[0], &later) || !moment_of(c, args[1], &earlier)) return;
    if (unit->ms) {
        sqlite3_result_int64(c, (later - earlier) / unit->ms);
        return;
    }
    struct tm a = civil(later), b = civil(earlier);
    int months = (a.tm_year - b.tm_year) * 12 + a.tm_mon - b.tm_mon;
    sqlite3_result_int(c, unit->unit == UNIT_YEAR      ? a.tm_year - b.tm_year
                          : unit->unit == UNIT_QUARTER ? months / 3
                                                       : months);
}

static void call_extract(sqlite3_context *c, int argc, sqlite3_value **args) {
    int64_t ms;
    const char *part = (const char *)sqlite3_value_text(args[0]);
    if (!part || !moment_of(c, args[1], &ms)) return;
    struct tm tm = civil(ms);
    const struct {
        const char *name;
        int value;
    } parts[] = {{"YEAR", tm.tm_year + 1900},   {"QUARTER", tm.tm_mon / 3 + 1},
                 {"MONTH", tm.tm_mon + 1},      {"DAY", tm.tm_mday},
                 {"HOUR", tm.tm_hour},          {"MINUTE", tm.tm_min},
                 {"SECOND", tm.tm_sec},         {"DAYOFWEEK", tm.tm_wday + 1},
                 {"DAYOFYEAR", tm.tm_yday + 1}, {"MILLISECOND", (int)(ms - floor_to(ms, 1000))}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcasecmp(part, parts[i].name) == 0) {
            sqlite3_result_int(c, parts[i].value);
            return;
        }
    sql_fail(c, "EXTRACT: there is no part '%.40s' of a time", part);
}

static void call_unix_ms(sqlite3_context *c, int argc, sqlite3_value **args) {
    int64_t ms;
    if (moment_of(c, args[0], &ms)) sqlite3_result_int64(c, ms);
}
static void call_unix_s(sqlite3_context *c, int argc, sqlite3_value **args) {
    int64_t ms;
    if (moment_of(c, args[0], &ms)) sqlite3_result_int64(c, floor_to(ms, 1000) / 1000);
}
static void call_timestamp_seconds(sqlite3_context *c, int argc, sqlite3_value **args) {
    if (!sql_is_null(args[0]))
        give_moment(c, (int64_t)fmax(fmin(sqlite3_value_double(args[0]) * 1000, 2 * MS_MAX), -2 * MS_MAX));
}

static void call_format_timestamp(sqlite3_context *c, int argc, sqlite3_value **args) {
    int64_t ms;
    char text[256];
    const char *format = (const char *)sqlite3_value_text(args[0]);
    if (!format || !moment_of(c, args[1], &ms)) return;
    struct tm tm = civil(ms);
    size_t len = strlen(format) < 100 ? strftime(text, sizeof text, format, &tm) : 0;
    if (!len && *format)
        sql_fail(c, "FORMAT_TIMESTAMP: the format is too long");
    else
        sql_give_text(c, slice_make(text, len));
}

static const struct sql_function functions[] = {
    {.name = "now_ms", .args = 0, .call = call_now_ms},
    {.name = "now_timestamp", .args = 0, .call = call_now_timestamp},
    {.name = "now_date", .args = 0, .call = call_now_date},
    {.name = "time_bucket", .args = 2, .call = call_time_bucket},
    {.name = "timestamp", .args = 1, .call = call_timestamp},
    {.name = "interval_ms", .args = 2, .call = call_interval_ms},
    {.name = "timestamp_add", .args = 2, .call = call_timestamp_add},
    {.name = "timestamp_sub", .args = 2, .call = call_timestamp_sub},
    {.name = "date_add", .args = 2, .call = call_date_add},
    {.name = "date_sub", .args = 2, .call = call_date_sub},
    {.name = "timestamp_trunc", .args = 2, .call = call_timestamp_trunc},
    {.name = "datetime_trunc", .args = 2, .call = call_timestamp_trunc},
    {.name = "date_trunc", .args = 2, .call = call_date_trunc},
    {.name = "timestamp_diff", .args = 3, .call = call_diff},
    {.name = "datetime_diff", .args = 3, .call = call_diff},
    {.name = "date_diff", .args = 3, .call = call_diff},
    {.name = "extract", .args = 2, .call = call_extract},
    {.name = "unix_millis", .args = 1, .call = call_unix_ms},
    {.name = "unix_seconds", .args = 1, .call = call_unix_s},
    {.name = "timestamp_millis", .args = 1, .call = call_timestamp},
    {.name = "timestamp_seconds", .args = 1, .call = call_timestamp_seconds},
    {.name = "format_timestamp", .args = 2, .call = call_format_timestamp},
    {.name = "format_date", .args = 2, .call = call_format_timestamp},
};

int sql_functions_time_add(sqlite3 *db, const int64_t *now_ns) {
    return sql_functions_register(db, functions, sizeof functions / sizeof *functions, now_ns);
}
