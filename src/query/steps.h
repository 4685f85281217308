/* A scan that one thread steps through, block by block, for who cannot be called back: SQL cursors and exports. */
#ifndef QUERY_STEPS_H
#define QUERY_STEPS_H

#include "query/blocks.h"

struct steps;

/* `scan` is copied (each, ctx and workers are not read), what it points to must outlive the steps. Row groups come by
 * their latest start, newest first, or by their earliest, oldest first. NULL with VT_ENOMEM in err. */
struct steps *steps_open(struct ask *ask, const struct scan *scan, bool oldest_first, struct error *err);
/* No block may be open. NULL is fine. */
void steps_close(struct steps *steps);
/* The next block with matching rows; NULL at the end. The caller closes it; several may be open at once, while their
 * memory together stays within the request's. Fails as ask_check does. */
int steps_next(struct steps *steps, struct block **block, struct error *err);
void block_close(struct block *block); /* NULL is fine */
/* Row group `number` of the snapshot, whatever came before; NULL when nothing in it matches. For who looks single
 * traces up. */
int steps_group(struct steps *steps, uint32_t number, struct block **block, struct error *err);
/* False only when it is certain that row group `number` has no span of the trace. */
bool steps_may_have_trace(const struct steps *steps, uint32_t number, const uint8_t trace_id[TRACE_ID_SIZE]);
/* Memory that open blocks hold. */
size_t steps_held_bytes(const struct steps *steps);
/* No row of a block that is still to come starts later (oldest first: earlier) than this. */
int64_t steps_bound(const struct steps *steps);

#endif
