/* Which group a row belongs to: fields are combined one after the other, each step giving the rows dense numbers again,
 * so that small tables are enough and texts are looked at once for each group of a block, not for each row. */
#include "query/agg_internal.h"

static int no_memory(struct error *err) {
    error_set(err, VT_ELIMIT, "the groups need more memory than one request may hold, or are more than %d",
              AGG_GROUPS_MAX);
    return error_hint(err, "group by fewer fields, take a longer interval or a shorter range");
}

/* Rows in dense groups, and a row of each. */
struct dense {
    uint32_t *of_row;
    uint32_t count, capacity;
    uint32_t *sample;
};

static bool add_group(struct dense *dense, uint32_t row, struct arena *arena) {
    if (dense->count == dense->capacity) {
        uint32_t capacity = dense->capacity ? 2 * dense->capacity : 64;
        uint32_t *more = arena_alloc(arena, capacity * sizeof *more);
        if (!more) return false;
        if (dense->count) memcpy(more, dense->sample, dense->count * sizeof *more);
        dense->sample = more;
        dense->capacity = capacity;
    }
    dense->sample[dense->count++] = row;
    return true;
}

enum { DIRECT_MAX = 1 << 18 };

/* (group so far, code) → new group, by a table with a place for each pair. */
static bool combine_direct(struct block *block, const struct dense *from, const uint32_t *codes, uint32_t code_count,
                           struct dense *to) {
    uint32_t *table = arena_calloc(&block->arena, (size_t)from->count * code_count + 1, sizeof *table);
    if (!table) return false;
    for (uint32_t i = 0; i < block->count; i++) {
        uint32_t row = block->rows[i], *place = &table[(size_t)from->of_row[row] * code_count + codes[row]];
        if (!*place) {
            if (!add_group(to, row, &block->arena)) return false;
            *place = to->count;
        }
        to->of_row[row] = *place - 1;
    }
    return true;
}

static bool combine_hashed(struct block *block, const struct dense *from, const uint32_t *codes, struct dense *to) {
    struct number_table table = {0};
    uint32_t *old = arena_alloc(&block->arena, block->group->rows * sizeof *old); /* from->of_row may be to->of_row */
    if (!old) return false;
    for (uint32_t i = 0; i < block->count; i++) old[block->rows[i]] = from->of_row[block->rows[i]];
    for (uint32_t i = 0; i < block->count; i++) {
        uint32_t row = block->rows[i], number;
        uint64_t pair = (uint64_t)old[row] << 32 | codes[row], hash = pair * UINT64_C(0x9e3779b97f4a7c15);
        size_t at = SIZE_MAX;
        hash ^= hash >> 32;
        bool found = false;
        while (!found && table_next(&table, hash, &at, &number)) {
            uint32_t sample = to->sample[number];
            found = old[sample] == old[row] && codes[sample] == codes[row];
        }
        if (!found) {
            number = to->count;
            if (!table_add(&table, hash, &block->arena) || !add_group(to, row, &block->arena)) return false;
        }
        to->of_row[row] = number;
    }
    return true;
}

static bool combine(struct block *block, struct dense *dense, const uint32_t *codes, uint32_t code_count) {
    struct dense next = {.of_row = dense->of_row};
    uint64_t places = (uint64_t)dense->count * code_count;
    bool done = places <= DIRECT_MAX ? combine_direct(block, dense, codes, code_count, &next)
                                     : combine_hashed(block, dense, codes, &next);
    *dense = next;
    return done;
}

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

/* Steps of time as codes. Rows come about in order of time, so the step of the row before is mostly right. */
static int time_codes(struct block *block, int64_t interval, uint32_t *codes, uint32_t *count, int64_t *first,
                      struct error *err) {
    const struct vec *starts = block_column(block, COL_START_NS, err);
    if (!starts) return err->code;
    int64_t least = INT64_MAX, most = INT64_MIN;
    for (uint32_t i = 0; i < block->count; i++) {
        int64_t start = starts->ints[block->rows[i]];
        if (start < least) least = start;
        if (start > most) most = start;
    }
    *first = floor_div(least, interval);
    int64_t steps = floor_div(most, interval) - *first + 1, low = 1, high = 0;
    uint32_t code = 0;
    if (steps > UINT32_MAX / 2)
        return error_set(err, VT_ELIMIT, "interval: the range has too many steps; take a longer interval");
    for (uint32_t i = 0; i < block->count; i++) {
        int64_t start = starts->ints[block->rows[i]];
        if (start < low || start >= high) {
            int64_t bucket = floor_div(start, interval);
            code = (uint32_t)(bucket - *first);
            low = bucket * interval;
            high = low + interval;
        }
        codes[block->rows[i]] = code;
    }
    *count = (uint32_t)steps;
    return 0;
}

/* The worker's points for the block's groups, by the keys of a row of each. */
enum { AHEAD = 12 };

static int resolve(struct agg_worker *worker, struct block *block, const struct dense *dense,
                   const struct block_codes *fields, const uint32_t *times, int64_t first, struct block_groups *groups,
                   struct error *err) {
    uint32_t field_count = worker->plan->spec->group_by_count;
    groups->of_row = dense->of_row;
    groups->count = dense->count;
    groups->cells = arena_alloc(&block->arena, (dense->count + 1) * sizeof *groups->cells);
    if (!groups->cells) return no_memory(err);
    struct agg_tuple *tuples = arena_alloc(&block->arena, (dense->count + 1) * sizeof *tuples);
    uint64_t *hashes = arena_alloc(&block->arena, (dense->count + 1) * sizeof *hashes);
    if (!tuples || !hashes) return no_memory(err);
    for (uint32_t f = 0; f < field_count; f++) {
        struct key_list *list = &worker->keys[f];
        for (uint32_t g = 0; g < dense->count; g++) {
            struct agg_key key = codes_key(&fields[f], fields[f].codes[dense->sample[g]]);
            hashes[g] = key_hash(&key);
        }
        for (uint32_t g = 0; g < dense->count; g++) {
            /* The tables of many groups do not fit the caches: what comes soon is fetched while others are looked up.
             */
            if (g + AHEAD < dense->count && list->table.capacity)
                __builtin_prefetch(&list->table.slots[hashes[g + AHEAD] & (list->table.capacity - 1)]);
            struct agg_key key = codes_key(&fields[f], fields[f].codes[dense->sample[g]]);
            tuples[g].keys[f] = key_number_hashed(list, &key, hashes[g], true, worker->arena);
            if (tuples[g].keys[f] == UINT32_MAX) return no_memory(err);
        }
    }
    for (uint32_t g = 0; g < dense->count; g++) {
        struct agg_tuple tuple = tuples[g];
        uint32_t row = dense->sample[g];
        uint32_t point = worker_point(worker, &tuple, times ? first + times[row] : 0);
        if (point == UINT32_MAX) return no_memory(err);
        groups->cells[g] = worker->cells[point];
    }
    return 0;
}

int agg_group_rows(struct agg_worker *worker, struct block *block, struct block_groups *groups, struct error *err) {
    const struct agg_spec *spec = worker->plan->spec;
    struct block_codes fields[GROUP_BY_MAX];
    struct dense dense = {.count = 1};
    uint32_t *times = NULL, steps = 0, only = block->rows[0];
    int64_t first = 0;
    int code = 0;
    if (!(dense.of_row = arena_calloc(&block->arena, block->group->rows, sizeof *dense.of_row))) return no_memory(err);
    dense.sample = &only;
    for (uint32_t f = 0; f < spec->group_by_count; f++) {
        if ((code = block_field_codes(block, &spec->group_by[f], block->rows, block->count, &fields[f], err)))
            return code;
        if (!combine(block, &dense, fields[f].codes, fields[f].count)) return no_memory(err);
    }
    if (spec->interval_ns) {
        if (!(times = arena_alloc(&block->arena, block->group->rows * sizeof *times))) return no_memory(err);
        if ((code = time_codes(block, spec->interval_ns, times, &steps, &first, err))) return code;
        if (!combine(block, &dense, times, steps)) return no_memory(err);
    }
    return resolve(worker, block, &dense, fields, times, first, groups, err);
}
