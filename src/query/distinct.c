/* Sets of hashes that become registers when they grow large. */
#include "query/distinct.h"

#include <math.h>

enum { REGISTERS = 1 << DISTINCT_BITS, RANK_MAX = 64 - DISTINCT_BITS + 1, FIRST_CAPACITY = 16 };

static void put_register(struct distinct *d, uint64_t hash) {
    uint32_t index = (uint32_t)(hash >> (64 - DISTINCT_BITS));
    uint64_t rest = hash << DISTINCT_BITS | (UINT64_C(1) << (DISTINCT_BITS - 1)); /* the mark ends the count of zeros */
    uint8_t rank = (uint8_t)(__builtin_clzll(rest) + 1);
    if (rank > d->registers[index]) d->registers[index] = rank;
}

static bool put_slot(uint64_t *slots, uint32_t capacity, uint64_t hash) {
    uint32_t at = (uint32_t)hash & (capacity - 1);
    while (slots[at] && slots[at] != hash) at = (at + 1) & (capacity - 1);
    bool fresh = !slots[at];
    slots[at] = hash;
    return fresh;
}

static bool to_registers(struct distinct *d, struct arena *arena) {
    if (!(d->registers = arena_calloc(arena, REGISTERS, 1))) return false;
    for (uint32_t i = 0; i < d->capacity; i++)
        if (d->slots[i]) put_register(d, d->slots[i]);
    d->slots = NULL;
    d->capacity = d->count = 0;
    return true;
}

static bool grow(struct distinct *d, struct arena *arena) {
    uint32_t capacity = d->capacity ? 4 * d->capacity : FIRST_CAPACITY;
    if (capacity > 65536) capacity = 65536;
    uint64_t *slots = arena_calloc(arena, capacity, sizeof *slots);
    if (!slots) return false;
    for (uint32_t i = 0; i < d->capacity; i++)
        if (d->slots[i]) put_slot(slots, capacity, d->slots[i]);
    d->slots = slots;
    d->capacity = capacity;
    return true;
}

bool distinct_add(struct distinct *d, uint64_t hash, struct arena *arena) {
    if (!hash) hash = 1;
    if (d->registers) {
        put_register(d, hash);
        return true;
    }
    if (d->count * 2 >= d->capacity && d->capacity < 65536 && !grow(d, arena)) return false;
    d->count += put_slot(d->slots, d->capacity, hash);
    return d->count <= DISTINCT_EXACT || to_registers(d, arena);
}

bool distinct_merge(struct distinct *into, const struct distinct *from, struct arena *arena) {
    for (uint32_t i = 0; i < from->capacity; i++)
        if (from->slots[i] && !distinct_add(into, from->slots[i], arena)) return false;
    if (!from->registers) return true;
    if (!into->registers && !to_registers(into, arena)) return false;
    for (uint32_t i = 0; i < REGISTERS; i++)
        if (from->registers[i] > into->registers[i]) into->registers[i] = from->registers[i];
    return true;
}

/* Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017): no correction tables, right over the
 * whole range. */
static double sigma(double x) {
    double y = 1, z = x, before;
    if (x == 1) return INFINITY;
    do {
        x *= x;
        before = z;
        z += x * y;
        y += y;
    } while (z != before);
    return z;
}

static double tau(double x) {
    if (x == 0 || x == 1) return 0;
    double y = 1, z = 1 - x, before;
    do {
        x = sqrt(x);
        before = z;
        y *= 0.5;
        z -= (1 - x) * (1 - x) * y;
    } while (z != before);
    return z / 3;
}

double distinct_count(const struct distinct *d) {
    uint32_t ranks[RANK_MAX + 2] = {0};
    double m = REGISTERS;
    if (!d->registers) return d->count;
    for (uint32_t i = 0; i < REGISTERS; i++) ranks[d->registers[i]]++;
    double z = m * tau(1 - ranks[RANK_MAX] / m);
    for (int k = RANK_MAX - 1; k >= 1; k--) z = 0.5 * (z + ranks[k]);
    z += m * sigma(ranks[0] / m);
    return round(m * m / (2 * log(2.0)) / z);
}
