/* Parts made of workers, and added to workers. */
#include "query/partials.h"

#include "query/partials_internal.h"

#include <stdlib.h>

enum { REGISTER_BYTES = 1 << DISTINCT_BITS };

/* Measures when base is NULL, else fills. */
struct room {
    char *base;
    size_t used;
};

static void *take(struct room *room, size_t size) {
    size_t at = (room->used + 7) & ~(size_t)7;
    room->used = at + size;
    return room->base ? room->base + at : NULL;
}

/* ---- freezing ---- */

static void freeze_sketch(const struct sketch *sketch, struct room *room, struct part_cell *cell) {
    uint32_t filled = 0, first = 0, end = sketch->count, inexact = 0;
    const double *weights = sketch->weights;
    while (first < end && weights[first] == 0) first++;
    while (end > first && weights[end - 1] == 0) end--;
    /* No branches from here on: which buckets are empty cannot be foreseen. */
    for (uint32_t i = first; i < end; i++) {
        filled += weights[i] != 0;
        inexact |= (double)(float)weights[i] != weights[i];
    }
    bool floats = !inexact;
    void *data = take(room, filled * ((floats ? sizeof(float) : sizeof(double)) + sizeof(uint16_t)));
    if (!room->base) return;
    uint16_t *numbers = (uint16_t *)(floats ? (void *)((float *)data + filled) : (void *)((double *)data + filled));
    *cell = (struct part_cell){.a = sketch->min,
                               .b = sketch->max,
                               .count = filled,
                               .low = sketch->low + (int32_t)first,
                               .form = floats ? PART_FLOATS : PART_DOUBLES,
                               .data = data};
    for (uint32_t i = first, at = 0; i < end; at += weights[i++] != 0) { /* the last one is not empty */
        if (floats)
            ((float *)data)[at] = (float)weights[i];
        else
            ((double *)data)[at] = weights[i];
        numbers[at] = (uint16_t)(i - first);
    }
}

static void freeze_distinct(const struct distinct *distinct, struct room *room, struct part_cell *cell) {
    uint64_t *hashes = take(room, distinct->registers ? (size_t)REGISTER_BYTES : distinct->count * sizeof *hashes);
    if (!room->base) return;
    *cell = (struct part_cell){
        .form = distinct->registers ? PART_REGISTERS : PART_HASHES, .count = distinct->count, .data = hashes};
    if (distinct->registers) memcpy(hashes, distinct->registers, REGISTER_BYTES);
    for (uint32_t i = 0, at = 0; !distinct->registers && i < distinct->capacity; i++)
        if (distinct->slots[i]) hashes[at++] = distinct->slots[i];
}

static void freeze(const struct agg_worker *worker, struct room *room, struct part *part) {
    const struct agg_plan *plan = worker->plan;
    uint32_t points = worker->point_table.count, fields = plan->spec->group_by_count, slots = plan->slot_count;
    int64_t *buckets = take(room, points * sizeof *buckets);
    struct agg_key *keys = take(room, (size_t)points * fields * sizeof *keys);
    struct part_cell *cells = take(room, (size_t)points * slots * sizeof *cells);
    if (room->base) *part = (struct part){points, fields, slots, buckets, keys, cells};
    for (uint32_t p = 0; p < points; p++) {
        const uint32_t *numbers = worker_keys(worker, worker->points[p].group);
        for (uint32_t f = 0; f < fields; f++) {
            struct agg_key key = worker->keys[f].keys[numbers[f]];
            char *text = key.type == AGG_KEY_TEXT ? take(room, key.text.len) : NULL;
            if (!room->base) continue;
            if (text) key.text.ptr = memcpy(text, key.text.ptr, key.text.len);
            keys[(size_t)p * fields + f] = key;
        }
        if (room->base) buckets[p] = worker->points[p].bucket;
        for (uint32_t s = 0; s < slots; s++) {
            const struct agg_cell *from = &worker->cells[p][s];
            struct part_cell none = {0}, *cell = room->base ? &cells[(size_t)p * slots + s] : &none;
            if (room->base) *cell = (struct part_cell){.a = from->a, .b = from->b};
            if (plan->slots[s].kind == SLOT_SKETCH && from->sketch) freeze_sketch(from->sketch, room, cell);
            if (plan->slots[s].kind == SLOT_DISTINCT && from->distinct) freeze_distinct(from->distinct, room, cell);
        }
    }
}

static bool small_enough(const struct agg_worker *worker) {
    enum { BUCKETS_MAX = UINT16_MAX };
    if (worker->point_table.count > PARTIAL_POINTS_MAX) return false;
    for (uint32_t p = 0; p < worker->point_table.count; p++)
        for (uint32_t s = 0; s < worker->plan->slot_count; s++)
            if (worker->plan->slots[s].kind == SLOT_SKETCH && worker->cells[p][s].sketch &&
                worker->cells[p][s].sketch->count > BUCKETS_MAX)
                return false;
    return (size_t)worker->point_table.count * (worker->plan->slot_count + 1) * sizeof(struct part_cell) <=
           PARTIAL_BYTES_MAX;
}

struct partial *partial_of_workers(struct agg_worker *const *workers, uint32_t count) {
    struct room room = {0};
    struct partial *partial = take(&room, sizeof *partial);
    struct part *parts = take(&room, count * sizeof *parts);
    for (uint32_t i = 0; i < count; i++) {
        if (!small_enough(workers[i])) return NULL;
        freeze(workers[i], &room, NULL);
        if (room.used > PARTIAL_BYTES_MAX) return NULL;
    }
    size_t bytes = room.used;
    if (!(room.base = malloc(bytes))) return NULL;
    room.used = 0;
    partial = take(&room, sizeof *partial);
    parts = take(&room, count * sizeof *parts);
    *partial = (struct partial){.bytes = bytes, .part_count = count, .parts = parts};
    atomic_init(&partial->references, 1);
    for (uint32_t i = 0; i < count; i++) freeze(workers[i], &room, &parts[i]);
    return partial;
}

struct partial *partial_of_hashes(const uint64_t *hashes, uint32_t count) {
    size_t bytes = sizeof(struct partial) + count * sizeof *hashes;
    struct partial *partial = bytes <= PARTIAL_BYTES_MAX ? malloc(bytes) : NULL;
    if (!partial) return NULL;
    *partial = (struct partial){.bytes = bytes, .hash_count = count, .hashes = (uint64_t *)(partial + 1)};
    atomic_init(&partial->references, 1);
    if (count) memcpy(partial->hashes, hashes, count * sizeof *hashes);
    return partial;
}

const uint64_t *partial_hashes(const struct partial *partial, uint32_t *count) {
    *count = partial->hash_count;
    return partial->hashes;
}

/* ---- adding ---- */

static bool add_sketch(struct agg_cell *into, const struct part_cell *cell, struct arena *arena) {
    if (!into->sketch) {
        if (!(into->sketch = arena_alloc(arena, sizeof *into->sketch))) return false;
        sketch_init(into->sketch);
    }
    struct sketch *sketch = into->sketch;
    if (!cell->count) return true;
    bool floats = cell->form == PART_FLOATS;
    const float *singles = cell->data;
    const double *doubles = cell->data;
    const uint16_t *numbers =
        (const uint16_t *)(floats ? (const void *)(singles + cell->count) : (const void *)(doubles + cell->count));
    int32_t last = cell->low + numbers[cell->count - 1];
    if ((!sketch->count || cell->low < sketch->low) && !sketch_grow(sketch, cell->low, arena)) return false;
    if (last >= sketch->low + (int32_t)sketch->count && !sketch_grow(sketch, last, arena)) return false;
    double *weights = sketch->weights + (cell->low - sketch->low);
    for (uint32_t i = 0; i < cell->count; i++) {
        double weight = floats ? (double)singles[i] : doubles[i];
        weights[numbers[i]] += weight;
        sketch->total += weight;
    }
    if (cell->a < sketch->min) sketch->min = cell->a;
    if (cell->b > sketch->max) sketch->max = cell->b;
    return true;
}

static bool add_distinct(struct agg_cell *into, const struct part_cell *cell, struct arena *arena) {
    if (!into->distinct && !(into->distinct = arena_calloc(arena, 1, sizeof *into->distinct))) return false;
    if (cell->form == PART_REGISTERS) {
        struct distinct registers = {.registers = (uint8_t *)(uintptr_t)cell->data}; /* only read */
        return distinct_merge(into->distinct, &registers, arena);
    }
    const uint64_t *hashes = cell->data;
    for (uint32_t i = 0; i < cell->count; i++)
        if (!distinct_add(into->distinct, hashes[i], arena)) return false;
    return true;
}

static bool add_cell(const struct agg_slot *slot, struct agg_cell *into, const struct part_cell *cell,
                     struct arena *arena) {
    if (slot->kind == SLOT_SKETCH) return !cell->data || add_sketch(into, cell, arena);
    if (slot->kind == SLOT_DISTINCT) return !cell->data || add_distinct(into, cell, arena);
    struct agg_cell from = {.a = cell->a, .b = cell->b};
    return cell_merge(slot, into, &from, arena);
}

static bool add_part(const struct part *part, struct agg_worker *worker) {
    for (uint32_t p = 0; p < part->points; p++) {
        struct agg_tuple tuple;
        for (uint32_t f = 0; f < part->fields; f++) {
            tuple.keys[f] =
                key_number(&worker->keys[f], &part->keys[(size_t)p * part->fields + f], true, worker->arena);
            if (tuple.keys[f] == UINT32_MAX) return false;
        }
        uint32_t point = worker_point(worker, &tuple, part->buckets[p]);
        if (point == UINT32_MAX) return false;
        for (uint32_t s = 0; s < part->slots; s++)
            if (!add_cell(&worker->plan->slots[s], &worker->cells[point][s], &part->cells[(size_t)p * part->slots + s],
                          worker->arena))
                return false;
    }
    return true;
}

bool partial_add(const struct partial *partial, struct agg_worker *const *workers) {
    for (uint32_t i = 0; i < partial->part_count; i++)
        if (!add_part(&partial->parts[i], workers[i])) return false;
    return true;
}
