/* Traces looked up one after the other, as joins do: row groups that hold some stay open, with their columns and an
 * index by trace, so that the next look costs next to nothing. Shared by the cursors of a table. */
#ifndef QUERY_SQL_LOOKUP_H
#define QUERY_SQL_LOOKUP_H

#include "query/steps.h"

struct lookup;

struct lookup *lookup_new(struct ask *ask, struct error *err); /* NULL with the error set */
void lookup_free(struct lookup *lookup);                       /* nothing found may be held; NULL is fine */

/* Rows of one trace in one row group. */
struct found {
    struct block *block;
    uint32_t *rows; /* ascending; the caller frees it */
    uint32_t count;
};
uint32_t lookup_groups(const struct lookup *lookup);
/* The trace's rows in row group `number`; found->count 0 when there are none. What was found keeps the block open until
 * it is let go. */
int lookup_find(struct lookup *lookup, uint32_t number, const uint8_t trace_id[TRACE_ID_SIZE], struct found *found,
                struct error *err);
void lookup_let_go(struct lookup *lookup, struct found *found);

#endif
