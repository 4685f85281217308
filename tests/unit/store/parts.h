/* Traces that come in parts, the root last: what tests of sampling send. */
#ifndef TEST_STORE_PARTS_H
#define TEST_STORE_PARTS_H

#include "kit.h"

enum { PARTS = 3 }; /* spans of a trace; part 0 is the root */

/* Adds one part of the trace with this number, from 0; its trace id is the number + 1. */
static inline struct span *add_part(struct batch *batch, uint32_t trace, uint32_t part) {
    struct span *span = batch_add(batch);
    uint64_t id = trace + 1, own = (uint64_t)trace * PARTS + part + 1, root = (uint64_t)trace * PARTS + 1;
    memcpy(span->trace_id, &id, sizeof id);
    memcpy(span->span_id, &own, sizeof own);
    if (part) memcpy(span->parent_span_id, &root, sizeof root);
    span->start_ns = INT64_C(1795460000000000000) + trace;
    return span;
}

/* Whole traces stay, those with an odd id at `odd` and the others at `even`; parts without a root wait, and go when
 * they must be decided. */
static inline double keep_whole(const struct span *const *trace, uint32_t count, bool last, double odd, double even) {
    uint64_t id;
    bool root = false;
    for (uint32_t i = 0; i < count; i++) root = root || id_is_zero(trace[i]->parent_span_id, SPAN_ID_SIZE);
    if (!root && !last) return STORE_KEEP_WAIT;
    memcpy(&id, trace[0]->trace_id, sizeof id);
    return count < PARTS ? 0 : id % 2 ? odd : even;
}

#endif
