/* Grouping before SQLite does. A SELECT of aggregates over spans is answered from a table that has one row for all
 * spans of a row group that agree in the columns that matter, with their counts, sums and sketches beside it:
 *
 *     SELECT model, count(*), avg(duration_ms) FROM spans WHERE kind = 'llm' GROUP BY model
 *
 * becomes
 *
 *     SELECT model, "~count"("~n"), "~avg"("~0", "~1") FROM "~spans0" AS spans WHERE kind = 'llm' GROUP BY model
 *
 * All but the reading of spans stays SQLite's own: its WHERE, GROUP BY, HAVING, ORDER BY and expressions run over some
 * hundred rows in place of a million. Whatever is not surely the same that way is left as it was written. */
#ifndef QUERY_SQL_GROUP_H
#define QUERY_SQL_GROUP_H

#include "query/sketch.h"
#include "query/sql_internal.h"
#include "query/sql_tokens.h"

enum { GROUP_KEYS_MAX = 8, GROUP_TIMES_MAX = 4, GROUP_MEASURES_MAX = 48, GROUP_PLANS_MAX = 16 };

/* What a column of numbers of the table holds, of the spans that a row stands for. NULL when none knows the value, but
 * counts, which are 0. */
enum measure_kind { MEASURE_COUNT, MEASURE_SUM, MEASURE_MIN, MEASURE_MAX, MEASURE_SKETCH };
struct measure {
    enum measure_kind kind;
    int column; /* of spans */
};

/* A time in steps: where the step begins that start_ms lies in. */
struct group_time {
    int64_t step_ms;
    bool text; /* as ISO text, else as Unix milliseconds */
};

/* A table: the columns of spans, "~n", "~t0" …, "~0" …. */
struct group_plan {
    char name[16];
    uint64_t keys; /* columns of spans in which all spans of a row agree: bit 1 << column. No others are shown */
    struct group_time times[GROUP_TIMES_MAX];
    struct measure measures[GROUP_MEASURES_MAX];
    int key_count, time_count, measure_count;
};
struct group_plans {
    struct group_plan plans[GROUP_PLANS_MAX];
    int count;
};

/* Rewrites what can be of a statement that was read already (sql_rewrite.h); `out` is whole only when plans->count is
 * not 0. VT_ENOMEM. */
int sql_group_rewrite(struct slice sql, struct arena *arena, struct group_plans *plans, struct buf *out,
                      struct error *err);

/* A block's rows put together: block->rows becomes one row of each group. In the block's arena. */
struct grouped {
    const struct group_plan *plan;
    uint32_t count;
    int64_t *counts;           /* spans of each group */
    struct group_sums *groups; /* by measure, then group */
};
/* VT_ELIMIT, VT_ECORRUPT; VT_EFULL: a sum does not fit into 64 bits, SQLite shall see it itself. */
int sql_group_block(const struct group_plan *plan, struct block *block, struct grouped *out, struct error *err);
/* Column `i` behind those of spans, of group `g` whose row is `row`. False with the error set. */
bool sql_group_show(const struct grouped *grouped, struct sql_row *row, int i, uint32_t g, sqlite3_context *c);
/* "CREATE TABLE x(…)": the columns of spans, and the plan's. */
void sql_group_put_declaration(const struct group_plan *plan, struct buf *out);
/* Whether spans may be grouped by the column; whether its values can be summed. */
bool sql_group_is_key(const struct sql_column *column);
bool sql_group_is_number(const struct sql_column *column);

/* The functions that put parts together: "~count", "~avg", "~p" …. An SQLite code. */
int sql_group_functions_add(sqlite3 *db);
/* A sketch as bytes and back. False: no memory, or no such bytes. */
bool sql_sketch_write(const struct sketch *sketch, struct buf *out);
bool sql_sketch_merge(struct sketch *into, struct slice bytes, struct arena *arena);

#endif
