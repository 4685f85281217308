/* Percentiles without keeping the values: weights in buckets whose borders are given by the first bits of a double.
 *
 * A bucket is one exponent and the first 6 bits of the mantissa: 64 buckets from each power of two to the next, each at
 * most 1/64 = 1.57 % wide. A percentile is answered by the middle of its bucket, so it is off by at most 1/128 = 0.79 %
 * of the exact value (the smallest value that at least that share of the spans does not exceed). Finding the bucket is
 * a shift of the double's bits, no logarithm. Two sketches merge by adding their buckets, which changes nothing of the
 * above. */
#ifndef QUERY_SKETCH_H
#define QUERY_SKETCH_H

#include "base/arena.h"

#include <math.h>

enum { SKETCH_BITS = 6, SKETCH_LEAST_EXPONENT = 1023 - 64 }; /* below 2^-64 all is zero */

struct sketch {
    int32_t low;    /* bucket of weights[0] */
    uint32_t count; /* buckets held */
    double *weights;
    bool summed; /* weights are those of all buckets up to each: sketch_sum */
    double total, min, max;
};

void sketch_init(struct sketch *sketch);
/* Negative values have negative buckets, zero has 0. */
static inline int32_t sketch_bucket(double value) {
    uint64_t bits;
    memcpy(&bits, &value, 8);
    int32_t bucket = (int32_t)(bits << 1 >> (53 - SKETCH_BITS)) - (SKETCH_LEAST_EXPONENT << SKETCH_BITS) + 1;
    if (bucket < 0) bucket = 0;
    return bits >> 63 ? -bucket : bucket;
}
/* Room for the bucket; false when memory ran out. */
bool sketch_grow(struct sketch *sketch, int32_t bucket, struct arena *arena);
/* Room for the buckets that `like` uses, which saves growing step by step; false when memory ran out. */
bool sketch_reserve(struct sketch *sketch, const struct sketch *like, struct arena *arena);
/* NaN is not added. */
static inline bool sketch_add(struct sketch *sketch, double value, double weight, struct arena *arena) {
    int32_t bucket = sketch_bucket(value);
    if ((uint32_t)(bucket - sketch->low) >= sketch->count && !sketch_grow(sketch, bucket, arena)) return false;
    sketch->weights[bucket - sketch->low] += weight;
    sketch->total += weight;
    if (value < sketch->min) sketch->min = value;
    if (value > sketch->max) sketch->max = value;
    return true;
}
bool sketch_merge(struct sketch *into, const struct sketch *from, struct arena *arena);
/* Makes questions a binary search; nothing may be added after. */
void sketch_sum(struct sketch *sketch);
/* Of one bucket, summed or not. */
double sketch_weight(const struct sketch *sketch, uint32_t i);
/* quantile 0 … 1; NaN of nothing. 0 and 1 are exact. */
double sketch_quantile(const struct sketch *sketch, double quantile);
/* The borders of a bucket: low ≤ |value| < high. */
double sketch_border(int32_t bucket);

#endif
