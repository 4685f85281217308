/* One table of users for each of a scan's threads: a user's hash, and when it was seen. A block's dictionary says who
 * is in it, so that texts are looked at once for each user of a block, not for each span. */
#include "query/people.h"

#include "query/agg_internal.h"
#include "query/partials.h"

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
    int64_t back_ns, from_ns, to_ns;
    uint64_t question; /* partials.h */
    struct crowd crowds[WORKERS_MAX];
    bool too_many; /* of any crowd; only ever becomes true */
};

struct people *people_new(struct ask *ask, int64_t back_ns, int64_t from_ns, int64_t to_ns, struct error *err) {
    struct people *people = ask_alloc(ask, 1, sizeof *people, err);
    if (!people) return NULL;
    *people = (struct people){.ask = ask,
                              .back_ns = back_ns,
                              .from_ns = from_ns,
                              .to_ns = to_ns,
                              .question = partial_question_named(ask, ask->filter, "people")};
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

static bool key_of(const struct people *people, const struct block *block, uint8_t when, struct partial_key *key) {
    bool before = when == BEFORE;
    return partial_key_of(people->question, block->group, block->mend, before ? people->back_ns : people->from_ns,
                          before ? people->from_ns : people->to_ns, key);
}

static void take_hashes(struct people *people, unsigned worker, const uint64_t *hashes, uint32_t count, uint8_t when) {
    for (uint32_t i = 0; i < count; i++) {
        if (see(&people->crowds[worker], hashes[i], when)) continue;
        __atomic_store_n(&people->too_many, true, __ATOMIC_RELAXED);
        return;
    }
}

static int take_block(struct people *people, struct block *block, uint8_t when, struct error *err) {
    const struct vec *users = block_column(block, COL_USER_ID, err);
    struct partial_key key;
    uint32_t count = 0;
    if (!users) return err->code;
    if (__atomic_load_n(&people->too_many, __ATOMIC_RELAXED)) return 0;
    uint8_t *there = arena_calloc(&block->arena, users->dict_count + 1, 1);
    uint64_t *hashes = arena_alloc(&block->arena, (users->dict_count + 1) * sizeof *hashes);
    if (!there || !hashes) return error_set(err, VT_ELIMIT, "the request needs more memory than one may hold");
    for (uint32_t i = 0; i < block->count; i++) there[users->codes[block->rows[i]]] = 1;
    for (uint32_t code = 0; code < users->dict_count; code++) {
        if (!there[code] || !users->dict[code].len) continue;
        struct agg_key user = {AGG_KEY_TEXT, users->dict[code], 0};
        hashes[count++] = key_hash(&user) | 1;
    }
    if (key_of(people, block, when, &key))
        partials_put(people->ask->engine->partials, &key, partial_of_hashes(hashes, count));
    take_hashes(people, block->worker, hashes, count, when);
    return 0;
}

/* 1 when the block's users are known from before. */
static int take_known(struct people *people, struct block *block, uint8_t when) {
    struct partial_key key;
    struct partial *partial =
        key_of(people, block, when, &key) ? partials_find(people->ask->engine->partials, &key) : NULL;
    if (!partial) return 0;
    uint32_t count;
    const uint64_t *hashes = partial_hashes(partial, &count);
    take_hashes(people, block->worker, hashes, count, when);
    partial_unref(partial);
    return 1;
}

static int block_in_range(void *people, struct block *block, struct error *err) {
    return take_block(people, block, IN_RANGE, err);
}
static int known_in_range(void *people, struct block *block, struct error *err) {
    (void)err;
    return take_known(people, block, IN_RANGE);
}
static int block_before(void *people, struct block *block, struct error *err) {
    return take_block(people, block, BEFORE, err);
}
static int known_before(void *people, struct block *block, struct error *err) {
    (void)err;
    return take_known(people, block, BEFORE);
}

struct agg_also people_also(struct people *people) {
    return (struct agg_also){block_in_range, known_in_range, people};
}

int people_count(struct people *people, struct people_counts *counts, struct error *err) {
    struct scan scan = {.filter = people->ask->filter,
                        .from_ns = people->back_ns,
                        .to_ns = people->from_ns,
                        .each = block_before,
                        .none = block_before,
                        .known = known_before,
                        .ctx = people};
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
