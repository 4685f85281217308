/* Numbers for keys, groups and points. */
#include "query/agg_internal.h"

#include <pthread.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* A slot holds the upper half of the hash beside the number, so that a look touches one cache line. */
bool table_next(const struct number_table *table, uint64_t hash, size_t *at, uint32_t *number) {
    if (!table->capacity) return false;
    size_t mask = table->capacity - 1;
    *at = *at == SIZE_MAX ? hash & mask : (*at + 1) & mask;
    for (; table->slots[*at].number; *at = (*at + 1) & mask) {
        *number = table->slots[*at].number - 1;
        if (table->slots[*at].upper == (uint32_t)(hash >> 32)) return true;
    }
    return false;
}

static void put(struct number_slot *slots, uint32_t capacity, uint64_t hash, uint32_t number) {
    size_t at = hash & (capacity - 1);
    while (slots[at].number) at = (at + 1) & (capacity - 1);
    slots[at] = (struct number_slot){(uint32_t)(hash >> 32), number + 1};
}

static bool room_for_hash(struct number_table *table, struct arena *arena) {
    if (table->count < table->hash_capacity) return true;
    uint32_t capacity = table->hash_capacity ? 4 * table->hash_capacity : 32;
    uint64_t *hashes = arena_alloc(arena, capacity * sizeof *hashes);
    if (!hashes) return false;
    if (table->count) memcpy(hashes, table->hashes, table->count * sizeof *hashes);
    table->hashes = hashes;
    table->hash_capacity = capacity;
    return true;
}

/* Slots for one number more than there are. */
static bool room_for_slot(struct number_table *table, struct arena *arena) {
    uint32_t capacity = table->capacity ? table->capacity : 64;
    while (table->count >= capacity / 2) capacity *= 4;
    if (capacity == table->capacity) return true;
    struct number_slot *slots = arena_calloc(arena, capacity, sizeof *slots);
    if (!slots) return false;
    for (uint32_t i = 0; i < table->settled; i++) put(slots, capacity, table->hashes[i], i);
    table->slots = slots;
    table->capacity = capacity;
    return true;
}

bool table_append(struct number_table *table, uint64_t hash, struct arena *arena) {
    if (!room_for_hash(table, arena)) return false;
    table->hashes[table->count++] = hash;
    return true;
}

bool table_settle(struct number_table *table, struct arena *arena) {
    if (table->settled == table->count) return true;
    if (!room_for_slot(table, arena)) return false;
    for (; table->settled < table->count; table->settled++)
        put(table->slots, table->capacity, table->hashes[table->settled], table->settled);
    return true;
}

bool table_add(struct number_table *table, uint64_t hash, struct arena *arena) {
    if (table->count >= table->capacity / 2 && !room_for_slot(table, arena)) return false;
    return table_append(table, hash, arena) && table_settle(table, arena);
}

/* A number's bits do not fill the word: mixed, so that both ends of the hash are good. */
static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

/* Keys are told apart by 64 bits of hash alone: of a million different ones two are taken for one in 1 of 37 million
 * requests, and as the seed is drawn at start nobody can choose keys that are. */
static uint64_t seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;
static void draw_seed(void) {
    seed = random_u64();
}

uint64_t key_hash(const struct agg_key *key) {
    pthread_once(&seed_once, draw_seed);
    uint64_t bits;
    double number = key->number == 0 ? 0 : key->number; /* -0 is 0 */
    if (key->type == AGG_KEY_TEXT) return XXH3_64bits_withSeed(key->text.ptr, key->text.len, seed);
    memcpy(&bits, &number, 8);
    return key->type == AGG_KEY_NONE ? 1 : mix(bits + (uint64_t)key->type);
}

/* Room for one more of an array; NULL when memory ran out. */
static void *grown(void *old, uint32_t count, uint32_t *capacity, size_t size, struct arena *arena) {
    if (count < *capacity) return old;
    uint32_t more = *capacity ? 2 * *capacity : 32;
    void *memory = arena_alloc(arena, more * size);
    if (!memory) return NULL;
    if (count) memcpy(memory, old, count * size);
    *capacity = more;
    return memory;
}

uint32_t key_number(struct key_list *list, const struct agg_key *key, bool copy, struct arena *arena) {
    return key_number_hashed(list, key, key_hash(key), copy, arena);
}

uint32_t key_number_hashed(struct key_list *list, const struct agg_key *key, uint64_t hash, bool copy,
                           struct arena *arena) {
    size_t at = SIZE_MAX;
    uint32_t number;
    if (!table_settle(&list->table, arena)) return UINT32_MAX;
    list->looked_up = true;
    while (table_next(&list->table, hash, &at, &number))
        if (list->table.hashes[number] == hash) return number;
    struct agg_key *keys = grown(list->keys, list->table.count, &list->capacity, sizeof *keys, arena);
    if (!keys) return UINT32_MAX;
    list->keys = keys;
    number = list->table.count;
    keys[number] = *key;
    if (copy && key->type == AGG_KEY_TEXT && !(keys[number].text = arena_copy(arena, key->text)).ptr) return UINT32_MAX;
    return table_add(&list->table, hash, arena) ? number : UINT32_MAX;
}

bool known_grow(struct number_map *map, uint32_t count, struct arena *arena) {
    if (count <= map->count) return true;
    count += count / 4;
    uint32_t *keys = arena_calloc(arena, count, sizeof *keys);
    struct agg_cell **cells = arena_calloc(arena, count, sizeof *cells);
    if (!keys || !cells) return false;
    if (map->count) memcpy(keys, map->keys, map->count * sizeof *keys);
    if (map->count) memcpy(cells, map->cells, map->count * sizeof *cells);
    *map = (struct number_map){keys, cells, count};
    return true;
}

/* The ask holds the book, so texts need not be copied. */
uint32_t known_number(struct key_list *list, struct number_map *map, const struct codebook *book, uint32_t number,
                      struct arena *arena) {
    if (map->keys[number]) return map->keys[number] - 1;
    struct slice text = codebook_text(book, number);
    struct agg_key key = {text.len ? AGG_KEY_TEXT : AGG_KEY_NONE, text, 0};
    uint64_t hash = codebook_hash(book, number);
    uint32_t own = list->table.count;
    if (list->looked_up) {
        own = key_number_hashed(list, &key, hash, false, arena);
    } else {
        struct agg_key *keys = grown(list->keys, own, &list->capacity, sizeof *keys, arena);
        if (!keys || !table_append(&list->table, hash, arena)) return UINT32_MAX;
        list->keys = keys;
        keys[own] = key;
    }
    if (own != UINT32_MAX) map->keys[number] = own + 1;
    return own;
}

static uint32_t worker_group(struct agg_worker *worker, const struct agg_tuple *tuple) {
    uint32_t fields = worker->plan->spec->group_by_count;
    size_t size = fields * sizeof *tuple->keys, at = SIZE_MAX;
    /* One field: its keys are numbered as the groups are. */
    if (size == sizeof *tuple->keys && tuple->keys[0] < worker->group_table.count) return tuple->keys[0];
    uint64_t hash = size > sizeof *tuple->keys ? XXH3_64bits(tuple->keys, size) : 0;
    uint32_t number;
    while (size != sizeof *tuple->keys && table_next(&worker->group_table, hash, &at, &number))
        if (memcmp(worker_keys(worker, number), tuple->keys, size) == 0) return number;
    uint32_t *groups = grown(worker->groups, worker->group_table.count, &worker->group_capacity, size, worker->arena);
    if (!groups) return UINT32_MAX;
    worker->groups = groups;
    number = worker->group_table.count;
    memcpy(groups + (size_t)number * fields, tuple->keys, size);
    if (size != sizeof *tuple->keys) return table_add(&worker->group_table, hash, worker->arena) ? number : UINT32_MAX;
    worker->group_table.count++;
    return number;
}

static struct agg_cell *new_cells(const struct agg_plan *plan, struct arena *arena) {
    struct agg_cell *cells = arena_calloc(arena, plan->slot_count ? plan->slot_count : 1, sizeof *cells);
    for (uint32_t s = 0; cells && s < plan->slot_count; s++) {
        if (plan->slots[s].kind == SLOT_MIN) cells[s].a = (double)INFINITY;
        if (plan->slots[s].kind == SLOT_MAX) cells[s].a = -(double)INFINITY;
    }
    return cells;
}

uint32_t worker_point(struct agg_worker *worker, const struct agg_tuple *tuple, int64_t bucket) {
    uint32_t number, group = worker_group(worker, tuple);
    if (group == UINT32_MAX) return group;
    bool steps = worker->plan->spec->interval_ns != 0; /* else a group's number is its point's */
    if (!steps && group < worker->point_table.count) return group;
    uint64_t hash = mix((uint64_t)bucket * UINT64_C(0x9e3779b97f4a7c15) + group);
    size_t at = SIZE_MAX;
    while (steps && table_next(&worker->point_table, hash, &at, &number))
        if (worker->points[number].group == group && worker->points[number].bucket == bucket) return number;
    uint32_t capacity = worker->point_capacity, count = worker->point_table.count;
    struct agg_place *points = grown(worker->points, count, &capacity, sizeof *points, worker->arena);
    struct agg_cell **cells = grown(worker->cells, count, &worker->point_capacity, sizeof *cells, worker->arena);
    struct agg_cell *own = new_cells(worker->plan, worker->arena);
    if (!points || !cells || !own || count >= AGG_GROUPS_MAX) return UINT32_MAX;
    worker->points = points;
    worker->cells = cells;
    points[count] = (struct agg_place){group, bucket};
    cells[count] = own;
    if (!steps) return worker->point_table.count++;
    return table_add(&worker->point_table, hash, worker->arena) ? count : UINT32_MAX;
}
