/* Numbers for keys, groups and points. */
#include "query/agg_internal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

bool table_next(const struct number_table *table, uint64_t hash, size_t *at, uint32_t *number) {
    if (!table->capacity) return false;
    size_t mask = table->capacity - 1;
    *at = *at == SIZE_MAX ? hash & mask : (*at + 1) & mask;
    for (; table->slots[*at]; *at = (*at + 1) & mask) {
        *number = table->slots[*at] - 1;
        if (table->hashes[*number] == hash) return true;
    }
    return false;
}

static void put(uint32_t *slots, uint32_t capacity, uint64_t hash, uint32_t number) {
    size_t at = hash & (capacity - 1);
    while (slots[at]) at = (at + 1) & (capacity - 1);
    slots[at] = number + 1;
}

bool table_add(struct number_table *table, uint64_t hash, struct arena *arena) {
    if (table->count * 2 >= table->capacity) {
        uint32_t capacity = table->capacity ? 4 * table->capacity : 64;
        uint32_t *slots = arena_calloc(arena, capacity, sizeof *slots);
        uint64_t *hashes = arena_alloc(arena, capacity / 2 * sizeof *hashes);
        if (!slots || !hashes) return false;
        if (table->count) memcpy(hashes, table->hashes, table->count * sizeof *hashes);
        for (uint32_t i = 0; i < table->count; i++) put(slots, capacity, hashes[i], i);
        table->slots = slots;
        table->hashes = hashes;
        table->capacity = capacity;
    }
    table->hashes[table->count] = hash;
    put(table->slots, table->capacity, hash, table->count++);
    return true;
}

/* A number's bits do not fill the word: mixed, so that both ends of the hash are good. */
static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

uint64_t key_hash(const struct agg_key *key) {
    uint64_t bits;
    double number = key->number == 0 ? 0 : key->number; /* -0 is 0 */
    if (key->type == AGG_KEY_TEXT) return XXH3_64bits(key->text.ptr, key->text.len);
    memcpy(&bits, &number, 8);
    return key->type == AGG_KEY_NONE ? 1 : mix(bits + (uint64_t)key->type);
}

static bool key_eq(const struct agg_key *a, const struct agg_key *b) {
    if (a->type != b->type) return false;
    return a->type == AGG_KEY_NONE || (a->type == AGG_KEY_TEXT ? slice_eq(a->text, b->text) : a->number == b->number);
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
    uint64_t hash = key_hash(key);
    size_t at = SIZE_MAX;
    uint32_t number;
    while (table_next(&list->table, hash, &at, &number))
        if (key_eq(&list->keys[number], key)) return number;
    struct agg_key *keys = grown(list->keys, list->table.count, &list->capacity, sizeof *keys, arena);
    if (!keys) return UINT32_MAX;
    list->keys = keys;
    number = list->table.count;
    keys[number] = *key;
    if (copy && key->type == AGG_KEY_TEXT && !(keys[number].text = arena_copy(arena, key->text)).ptr) return UINT32_MAX;
    return table_add(&list->table, hash, arena) ? number : UINT32_MAX;
}

static uint32_t worker_group(struct agg_worker *worker, const struct agg_tuple *tuple) {
    size_t size = worker->plan->spec->group_by_count * sizeof *tuple->keys, at = SIZE_MAX;
    uint64_t hash = size ? XXH3_64bits(tuple->keys, size) : 0;
    uint32_t number;
    while (table_next(&worker->group_table, hash, &at, &number))
        if (memcmp(worker->groups[number].keys, tuple->keys, size) == 0) return number;
    struct agg_tuple *groups = grown(worker->groups, worker->group_table.count, &worker->group_capacity, sizeof *groups, worker->arena);
    if (!groups) return UINT32_MAX;
    worker->groups = groups;
    number = worker->group_table.count;
    memcpy(groups[number].keys, tuple->keys, size);
    return table_add(&worker->group_table, hash, worker->arena) ? number : UINT32_MAX;
}

static struct agg_cell *new_cells(const struct agg_plan *plan, struct arena *arena) {
    struct agg_cell *cells = arena_calloc(arena, plan->slot_count + 1, sizeof *cells);
    for (uint32_t s = 0; cells && s < plan->slot_count; s++) {
        if (plan->slots[s].kind == SLOT_MIN) cells[s].a = (double)INFINITY;
        if (plan->slots[s].kind == SLOT_MAX) cells[s].a = -(double)INFINITY;
    }
    return cells;
}

uint32_t worker_point(struct agg_worker *worker, const struct agg_tuple *tuple, int64_t bucket) {
    uint32_t number, group = worker_group(worker, tuple);
    if (group == UINT32_MAX) return group;
    uint64_t hash = mix((uint64_t)bucket * UINT64_C(0x9e3779b97f4a7c15) + group);
    size_t at = SIZE_MAX;
    while (table_next(&worker->point_table, hash, &at, &number))
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
    return table_add(&worker->point_table, hash, worker->arena) ? count : UINT32_MAX;
}
