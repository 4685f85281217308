/* What the files of the SQL front share: one statement's session, and the tables it sees.
 *
 *     sql.c           the connection and its limits, the statement, its answer
 *     sql_tokens.c    a statement's tokens
 *     sql_rewrite.c   what was written for BigQuery
 *     sql_functions*  functions
 *     sql_group*      SELECTs of aggregates, from spans that are grouped before SQLite sees them
 *     sql_columns.c   spans and ai_storefront_traces: which columns there are and what each shows
 *     sql_spans.c     these two as virtual tables over a scan
 *     sql_lists.c     traces, threads and scores, put together when a statement reads them
 *
 * All of it runs on the thread of the request. */
#ifndef QUERY_SQL_INTERNAL_H
#define QUERY_SQL_INTERNAL_H

#include "query/blocks.h"
#include "query/filter_internal.h"

#include <sqlite3.h>

struct sql_session {
    struct ask *ask;
    struct error err; /* what a table could not do; SQLite knows only that it failed */
    bool abandoned; /* spans that are grouped already cannot answer it (sql_group.h): it is to run as it was written */
    unsigned scans; /* cursors on spans and log lines that are open: each holds a row group */
};
enum { SQL_SCANS_MAX = 16 };

/* Registers the tables of a file. An SQLite code. */
int sql_spans_add(sqlite3 *db, struct sql_session *session);
struct group_plan;
int sql_grouped_add(sqlite3 *db, struct sql_session *session, const struct group_plan *plan);
int sql_lists_add(sqlite3 *db, struct sql_session *session);

/* Takes the session's error into SQLite's. */
int sql_table_failed(sqlite3_vtab *table, const struct sql_session *session);

/* ---- columns of spans ---- */

enum sql_form {
    SQL_ID, /* hex */
    SQL_TEXT,
    SQL_INT,
    SQL_USAGE_INT, /* NULL on spans whose descendants report usage too, so that sums are right */
    SQL_DOUBLE,
    SQL_USAGE_DOUBLE,
    SQL_TOKENS_TOTAL,
    SQL_TOKENS_TOTAL_REPORTED,
    SQL_START_MS, /* whole milliseconds */
    SQL_END_MS,
    SQL_MS,      /* with fractions */
    SQL_TIME_US, /* ISO 8601, microseconds */
    SQL_TIME_MS, /* ISO 8601, milliseconds */
    SQL_KIND,
    SQL_STATUS,
    SQL_FLAG,   /* one bit of COL_FLAGS */
    SQL_WEIGHT, /* how many spans it stands for */
    SQL_LEVEL,  /* what follow are parts of the storefront's log line */
    SQL_MESSAGE,
    SQL_DURATION_TEXT,
    SQL_LOG_STATUS,
    SQL_LOG_ATTRIBUTES
};

struct sql_column {
    const char *name;
    enum sql_form form;
    enum col col; /* what it is read from; SQL_FLAG: the bit */
};
struct sql_column_list {
    const char *table;
    const struct sql_column *columns;
    int count;
};
extern const struct sql_column_list sql_span_columns, sql_log_columns;

/* "CREATE TABLE x(…)" for sqlite3_declare_vtab. */
void sql_put_declaration(const struct sql_column_list *list, struct buf *out);

/* One row that is being shown: columns of a block, and texts that were read for some of its rows. */
struct sql_row {
    struct sql_session *session;
    struct block *block;
    uint32_t row;
    /* Text `col` of this row; false with session->err set. */
    bool (*text)(struct sql_row *row, enum col col, struct slice *out);
    uint64_t moves;     /* how often the cursor has moved: names the row */
    struct buf made;    /* the log line's attributes, which a statement mostly asks for several times … */
    uint64_t made_move; /* … of this row; the cursor frees them */
};
/* False with session->err set. */
bool sql_column_show(struct sql_row *row, const struct sql_column *column, sqlite3_context *c);

/* ---- constraints ---- */

/* A condition of the WHERE that a table is told about. */
struct sql_constraint {
    const struct sql_column *column;
    unsigned char op; /* SQLITE_INDEX_CONSTRAINT_…; IN is EQ with `in` */
    bool in;
    bool exact; /* SQLite does not check it again */
    sqlite3_value *value;
};
/* Whether the scan can make use of such a condition. */
bool sql_constraint_helps(const struct sql_column *column, unsigned char op);
/* Whether it can answer plain conditions on the column exactly, and with this operator. */
bool sql_exact_helps(const struct sql_column *column);
bool sql_exact_op(unsigned char op);
/* The values of the column's own numbers, both included, for which the condition holds; *low > *high: none. False: it
 * cannot be said. Not for columns of doubles. */
bool sql_exact_range(const struct sql_constraint *constraint, int64_t *low, int64_t *high);
/* What the constraints leave of a scan: never fewer rows than they allow, since SQLite checks each row again; with
 * `exact` ones no more either, or the session is abandoned. */
struct sql_bounds {
    struct scan scan; /* from_ns, to_ns, traces, filter */
    struct filter filter;
    bool nothing; /* no row can match */
};
int sql_bounds_of(struct sql_session *session, const struct sql_constraint *constraints, int count, struct arena *arena,
                  struct sql_bounds *bounds);

#endif
