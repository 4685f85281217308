/* What the two ways of running a scan share: blocks.c, where threads hand themselves row groups, and steps.c, where one
 * thread asks for them. */
#ifndef QUERY_BLOCKS_INTERNAL_H
#define QUERY_BLOCKS_INTERNAL_H

#include "query/blocks.h"

struct scan_run {
    struct ask *ask;
    const struct scan *scan;
    atomic_ullong ranges[WORKERS_MAX]; /* row groups to hand out: the next one << 32 | the end */
    unsigned range_count;
    const uint8_t *places; /* where the scan's traces may be, by row group (enum trace_place); NULL = not known */
    atomic_llong floor_ns; /* see block_raise_floor */
    atomic_bool ended;     /* some thread met an error */
    atomic_int code;       /* the first one's; its text is in err */
    struct error err;
};

/* Asks the indexes of traces, when the scan is of traces. */
void scan_find_traces(struct scan_run *run);

/* A row group of the snapshot, and what the weave knows of it. */
struct place {
    const struct rowgroup *group;
    const struct mend *mend;
    const struct group_index *index;
    uint32_t number;
};
struct place place_at(const struct ask *ask, uint32_t number);
/* False only when it is certain that nothing in the row group matches. */
bool scan_wants(const struct scan_run *run, const struct place *place);
void block_set_place(struct block *block, const struct place *place);
/* Fills block->rows and block->count: rows of the block's row group that match. */
int block_select(struct block *block, struct error *err);

#endif
