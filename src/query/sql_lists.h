/* Tables of the SQL front that are put together when a statement reads them: their rows are loaded as the scan of the
 * table begins, piece by piece where there may be many. */
#ifndef QUERY_SQL_LISTS_H
#define QUERY_SQL_LISTS_H

#include "query/sql_internal.h"

/* One reading of a table. Loaders keep what they need in `arena`, which lives until the reading ends. */
struct sql_list {
    struct sql_session *session;
    struct arena arena;
    const void *rows;
    uint32_t row_count;
    bool more;        /* another piece may follow */
    uint64_t used;    /* columns that the statement reads: bit 1 << column */
    int64_t position; /* the loader's own, 0 at first */
    void *state;      /* the loader's own, NULL at first */
    /* Conditions of the WHERE, as far as the table asked for them. */
    struct slice keys[2];   /* of the columns marked key 1 and 2; empty = no condition */
    int64_t from_ms, to_ms; /* of the column marked as the time, both included */
    bool nothing;           /* no row can match */
};

struct sql_list_column {
    const char *name, *type;
    char key; /* 1, 2: equality goes to keys[key - 1]; 't': a time in ms, ranges go to from_ms and to_ms */
};
struct sql_list_table {
    const char *name;
    const struct sql_list_column *columns;
    int column_count;
    double rows; /* about how many there are, for the planner */
    /* Loads the next piece into list->rows; false with the session's error set. */
    bool (*load)(struct sql_list *list);
    void (*show)(const struct sql_list *list, uint32_t row, int column, sqlite3_context *c);
};
/* For show functions: NULL for what is empty or not known. */
void sql_give_slice(sqlite3_context *c, struct slice text);
void sql_give_id(sqlite3_context *c, const uint8_t *id, size_t size);
void sql_give_whole(sqlite3_context *c, int64_t value); /* SPAN_NO_INT = not known */
void sql_give_number(sqlite3_context *c, double value); /* NaN = not known */
void sql_give_time(sqlite3_context *c, int64_t ns);

extern const struct sql_list_table sql_scores_table, sql_traces_table, sql_threads_table;

#endif
