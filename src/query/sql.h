/* SQL over the spans: one read-only statement, bounded in time, rows, memory and temporary space (docs/sql.md). */
#ifndef QUERY_SQL_H
#define QUERY_SQL_H

#include "query/engine.h"

enum { SQL_ROWS_DEFAULT = 1000, SQL_ROWS_MAX = 100000 };

/* Runs the statement and puts the members "columns", "rows" and "truncated" of the answer. At most `limit` rows.
 * VT_EINVAL: it has no meaning or is none that is taken (err->column says where, when that is known); VT_ELIMIT,
 * VT_ETIMEOUT, VT_ECANCELLED, VT_ENOMEM as for every request. */
int sql_run(struct ask *ask, struct slice sql, uint32_t limit, struct json_writer *w, struct error *err);

#endif
