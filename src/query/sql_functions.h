/* The functions of our SQL beside SQLite's own: percentiles, patterns, JSON paths, time, and what BigQuery's people are
 * used to (docs/sql.md). LIKE and GLOB are replaced by ones whose work is bounded by pattern × text. */
#ifndef QUERY_SQL_FUNCTIONS_H
#define QUERY_SQL_FUNCTIONS_H

#include "base/slice.h"

#include <sqlite3.h>

/* `now_ns` is what all clocks of one statement show; it must outlive the connection. An SQLite code. */
int sql_functions_add(sqlite3 *db, const int64_t *now_ns);
/* Shared by the files that implement them. */
int sql_functions_text_add(sqlite3 *db);
int sql_functions_time_add(sqlite3 *db, const int64_t *now_ns);
int sql_functions_sketch_add(sqlite3 *db);

/* A row of a table of functions. */
struct sql_function {
    const char *name;
    int args;                                               /* -1 = any */
    void (*call)(sqlite3_context *, int, sqlite3_value **); /* NULL: an aggregate */
    void (*step)(sqlite3_context *, int, sqlite3_value **);
    void (*final)(sqlite3_context *);
};
int sql_functions_register(sqlite3 *db, const struct sql_function *functions, size_t count, const void *ctx);

/* The value's text as it stands there; empty for NULL. */
static inline struct slice sql_text_of(sqlite3_value *value) {
    const void *text = sqlite3_value_text(value);
    return slice_make(text, text ? (size_t)sqlite3_value_bytes(value) : 0);
}
static inline int sql_is_null(sqlite3_value *value) {
    return sqlite3_value_type(value) == SQLITE_NULL;
}
static inline void sql_give_text(sqlite3_context *c, struct slice text) {
    sqlite3_result_text64(c, text.len ? text.ptr : "", text.len, SQLITE_TRANSIENT, SQLITE_UTF8);
}
void sql_fail(sqlite3_context *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
