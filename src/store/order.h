/* The order of rows in a segment: traces stand together, in the order in which they began; within a trace by start. */
#ifndef STORE_ORDER_H
#define STORE_ORDER_H

#include "base/error.h"

#include <stdint.h>

struct row_key {
    const uint8_t *trace_id, *span_id;
    int64_t start_ns;
};

/* Fills order[] with indices of keys[]; a span that is there twice (same trace and span id) is kept once, as it came
 * last. Returns how many are kept, or VT_ENOMEM. */
int64_t order_rows(const struct row_key *keys, uint32_t count, uint32_t *order);

#endif
