/* How many different values there are: exact up to DISTINCT_EXACT (a set of 64-bit hashes), beyond that a HyperLogLog
 * of 32,768 registers with Ertl's estimator: a standard error of 1.04 / √32768 = 0.57 %, so the answer is within 2 % in
 * 999 of 1,000 cases. Two of them merge into what one would have been. */
#ifndef QUERY_DISTINCT_H
#define QUERY_DISTINCT_H

#include "base/arena.h"

enum { DISTINCT_EXACT = 24576, DISTINCT_BITS = 15 };

struct distinct {
    uint64_t *slots; /* hashes, 0 = free; NULL before the first and after it went over to registers */
    uint32_t count, capacity;
    uint8_t *registers;
};

/* `hash` must be well mixed. A zeroed struct is empty. False when memory ran out. */
bool distinct_add(struct distinct *distinct, uint64_t hash, struct arena *arena);
bool distinct_merge(struct distinct *into, const struct distinct *from, struct arena *arena);
double distinct_count(const struct distinct *distinct);

#endif
