/* How a part lies in memory: one block, in which everything stands one behind the other. */
#ifndef QUERY_PARTIALS_INTERNAL_H
#define QUERY_PARTIALS_INTERNAL_H

#include "query/agg_internal.h"

/* A cell: of a sketch a and b are the least and the greatest value, and data has `count` weights of filled buckets and
 * behind them their numbers above `low`; of distinct values data has the hashes or the registers. */
struct part_cell {
    double a, b;
    uint32_t count;
    int32_t low;
    enum { PART_PLAIN, PART_FLOATS, PART_DOUBLES, PART_HASHES, PART_REGISTERS } form;
    const void *data; /* NULL: nothing */
};

struct part {
    uint32_t points, fields, slots;
    const int64_t *buckets;
    const struct agg_key *keys;    /* fields of them for each point */
    const struct part_cell *cells; /* slots of them for each point */
};

struct partial {
    atomic_uint references;
    size_t bytes;
    uint32_t part_count, hash_count;
    struct part *parts;
    uint64_t *hashes;
};

#endif
