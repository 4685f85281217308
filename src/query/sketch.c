/* Sketches of distributions. */
#include "query/sketch.h"

void sketch_init(struct sketch *sketch) {
    *sketch = (struct sketch){.min = (double)INFINITY, .max = -(double)INFINITY};
}

bool sketch_grow(struct sketch *s, int32_t bucket, struct arena *arena) {
    enum { ROOM = 16 };
    int32_t low = bucket - ROOM / 2, high = bucket + ROOM / 2;
    if (s->count) {
        /* Room on the side where values come, a quarter of what is held, so that growing stays rare. */
        int32_t more = (int32_t)s->count / 4 + ROOM;
        low = bucket < s->low ? bucket - more : s->low;
        high = bucket >= s->low + (int32_t)s->count ? bucket + more : s->low + (int32_t)s->count;
    }
    double *weights = arena_calloc(arena, (size_t)(high - low), sizeof *weights);
    if (!weights) return false;
    if (s->count) memcpy(weights + (s->low - low), s->weights, s->count * sizeof *weights);
    s->weights = weights;
    s->low = low;
    s->count = (uint32_t)(high - low);
    return true;
}

bool sketch_reserve(struct sketch *s, const struct sketch *like, struct arena *arena) {
    uint32_t first = 0, end = like->count;
    while (first < end && like->weights[first] == 0) first++;
    while (end > first && like->weights[end - 1] == 0) end--;
    if (first == end) return true;
    if (!(s->weights = arena_calloc(arena, end - first, sizeof *s->weights))) return false;
    s->low = like->low + (int32_t)first;
    s->count = end - first;
    return true;
}

bool sketch_merge(struct sketch *into, const struct sketch *from, struct arena *arena) {
    if (!from->count) return true;
    int32_t last = from->low + (int32_t)from->count - 1;
    if (!into->count || from->low < into->low)
        if (!sketch_grow(into, from->low, arena)) return false;
    if (last >= into->low + (int32_t)into->count && !sketch_grow(into, last, arena)) return false;
    double *to = into->weights + (from->low - into->low);
    if (!from->summed)
        for (uint32_t i = 0; i < from->count; i++) to[i] += from->weights[i];
    else
        for (uint32_t i = 0; i < from->count; i++) to[i] += sketch_weight(from, i);
    into->total += from->total;
    if (from->min < into->min) into->min = from->min;
    if (from->max > into->max) into->max = from->max;
    return true;
}

double sketch_border(int32_t bucket) {
    double value;
    if (bucket <= 0) return bucket ? -sketch_border(-bucket + 1) : 0;
    uint64_t bits = (uint64_t)(bucket - 1 + (SKETCH_LEAST_EXPONENT << SKETCH_BITS)) << (52 - SKETCH_BITS);
    memcpy(&value, &bits, 8);
    return value;
}

static double middle(int32_t bucket) {
    if (!bucket) return 0;
    if (bucket < 0) return -middle(-bucket);
    return (sketch_border(bucket) + sketch_border(bucket + 1)) / 2;
}

void sketch_sum(struct sketch *s) {
    if (s->summed) return;
    double below = 0;
    for (uint32_t i = 0; i < s->count; i++) s->weights[i] = below += s->weights[i];
    s->summed = true;
}

double sketch_weight(const struct sketch *s, uint32_t i) {
    return s->summed && i ? s->weights[i] - s->weights[i - 1] : s->weights[i];
}

/* The first bucket up to which the weights reach the rank. */
static uint32_t bucket_at(const struct sketch *s, double rank) {
    uint32_t low = 0, high = s->count - 1;
    double below = 0;
    for (uint32_t i = 0; i < high && !s->summed; i++)
        if ((below += s->weights[i]) >= rank) return i;
    while (s->summed && low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (s->weights[mid] < rank)
            low = mid + 1;
        else
            high = mid;
    }
    return high;
}

double sketch_quantile(const struct sketch *s, double quantile) {
    if (!(s->total > 0)) return (double)NAN;
    if (quantile <= 0) return s->min;
    if (quantile >= 1) return s->max;
    /* A little less, since q × n of whole weights should not pass the rank by rounding. */
    double value = middle(s->low + (int32_t)bucket_at(s, quantile * s->total * (1 - 1e-12)));
    return value < s->min ? s->min : value > s->max ? s->max : value;
}
