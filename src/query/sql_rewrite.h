/* SQL as people write it for BigQuery, turned into what SQLite takes. Plain SQLite passes through as it stands. The
 * text is cut into tokens (so nothing inside a literal, a name or a comment is ever touched) and single tokens are
 * exchanged:
 *
 *     r'(\d+)ms'                         '(\d+)ms'
 *     `shop-1.logs.ai_storefront_traces` ai_storefront_traces
 *     trace.duration                     "trace.duration"      where ai_storefront_traces is read
 *     SAFE_CAST(x AS INT64)              safe_cast(x , 'INT64')
 *     TIMESTAMP_SUB(t, INTERVAL 1 DAY)   TIMESTAMP_SUB(t, interval_ms(1, 'DAY'))
 *     APPROX_QUANTILES(x, 100)[OFFSET(95)]   approx_quantile(x, 100, 95)
 */
#ifndef QUERY_SQL_REWRITE_H
#define QUERY_SQL_REWRITE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

enum { SQL_BYTES_MAX = 128 << 10 };

struct sql_text; /* the tokens of one statement; lives in the arena */

/* Appends the statement for SQLite to `out`. `sql` is borrowed as long as `text` is used.
 * VT_ELIMIT: longer than SQL_BYTES_MAX, or a WITH whose tables use each other so often that SQLite would unfold it
 * without end. VT_EINVAL: something of BigQuery that cannot be said here, with err->column. */
int sql_rewrite(struct slice sql, struct arena *arena, struct buf *out, struct sql_text **text, struct error *err);
/* Whether ai_storefront_traces is read: then texts in double quotes are literals, as in BigQuery. */
bool sql_reads_log_lines(const struct sql_text *text);
/* The character (1-based) of the original that the byte at `offset` of the rewritten text came from. */
int sql_column_of(const struct sql_text *text, size_t offset);

#endif
