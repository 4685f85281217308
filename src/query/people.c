/* One table of users for each of a scan's threads: a user's hash, and when it was seen. A block's dictionary says who
 * is in it, so that texts are looked at once for each user of a block, not for each span. */
#include "query/people.h"

#include "query/agg_internal.h"

enum { PEOPLE_MAX = 1 << 20, IN_RANGE = 1, BEFORE = 2 };

struct person {
    uint64_t hash; /* 0 = free */
    uint8_t seen;
};

struct crowd {
    struct arena *arena;
    struct person *table;
    uint32_t count, capacity;
};

struct people {
    struct ask *ask;
    struct crowd crowds[WORKERS_MAX];
    bool too_many; /* of any crowd; only ever becomes true */
};

struct people *people_new(struct ask *ask, struct error *err) {
    struct people *people = ask_alloc(ask, 1, sizeof *people, err);
    if (!people) return NULL;
    people->ask = ask;
    for (unsigned i = 0; i < scan_workers(ask); i++)
        if (!(people->crowds[i].arena = ask_new_arena(ask, err))) return NULL;
    return people;
}

static struct person *place_of(struct person *table, uint32_t capacity, uint64_t hash) {
    uint32_t at = (uint32_t)(hash >> 32) & (capacity - 1);
    while (table[at].hash && table[at].hash != hash) at = (at + 1) & (capacity - 1);
    return &table[at];
}

static bool see(struct crowd *crowd, uint64_t hash, uint8_t when) {
    if (crowd->count * 2 >= crowd->capacity) {
        uint32_t capacity = crowd->capacity ? 4 * crowd->capacity : 4096;
        struct person *table = capacity <= 4 * PEOPLE_MAX ? arena_calloc(crowd->arena, capacity, sizeof *table) : NULL;
        if (!table) return false;
        for (uint32_t i = 0; i < crowd->capacity; i++)
            if (crowd->table[i].hash) *place_of(table, capacity, crowd->table[i].hash) = crowd->table[i];
        crowd->table = table;
        crowd->capacity = capacity;
    }
    struct person *person = place_of(crowd->table, crowd->capacity, hash);
    crowd->count += !person->hash;
    person->hash = hash;
    person->seen |= when;
    return true;
}

static int take_block(struct people *people, struct block *block, uint8_t when, struct error *err) {
    struct crowd *crowd = &people->crowds[block->worker];
    const struct vec *users = block_column(block, COL_USER_ID, err);
    if (!users) return err->code;
    if (__atomic_load_n(&people->too_many, __ATOMIC_RELAXED)) return 0;
    uint8_t *there = arena_calloc(&block->arena, users->dict_count + 1, 1);
    if (!there) return error_set(err, VT_ELIMIT, "the request needs more memory than one may hold");
    for (uint32_t i = 0; i < block->count; i++) there[users->codes[block->rows[i]]] = 1;
    for (uint32_t code = 0; code < users->dict_count; code++) {
        if (!there[code] || !users->dict[code].len) continue;
        struct agg_key key = {AGG_KEY_TEXT, users->dict[code], 0};
        if (see(crowd, key_hash(&key) | 1, when)) continue;
        __atomic_store_n(&people->too_many, true, __ATOMIC_RELAXED);
        return 0;
    }
    return 0;
}

int people_block(void *people, struct block *block, struct error *err) {
    return take_block(people, block, IN_RANGE, err);
}

static int block_before(void *people, struct block *block, struct error *err) {
    return take_block(people, block, BEFORE, err);
}

int people_count(struct people *people, int64_t back_ns, int64_t from_ns, struct people_counts *counts,
                 struct error *err) {
    struct scan scan = {
        .filter = people->ask->filter, .from_ns = back_ns, .to_ns = from_ns, .each = block_before, .ctx = people};
    struct crowd *all = &people->crowds[0];
    *counts = (struct people_counts){(double)NAN, (double)NAN};
    int code = scan_run(people->ask, &scan, err);
    if (code || people->too_many) return code;
    for (unsigned w = 1; w < scan_workers(people->ask); w++) {
        const struct crowd *other = &people->crowds[w];
        for (uint32_t i = 0; i < other->capacity; i++)
            if (other->table[i].hash && !see(all, other->table[i].hash, other->table[i].seen)) return 0;
    }
    *counts = (struct people_counts){0, 0};
    for (uint32_t i = 0; i < all->capacity; i++) {
        counts->active += (all->table[i].seen & IN_RANGE) != 0;
        counts->returning += all->table[i].seen == (IN_RANGE | BEFORE);
    }
    return 0;
}
