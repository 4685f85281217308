/* Which group a row belongs to: fields are combined one after the other, each step giving the rows dense numbers again,
 * so that small tables are enough and texts are looked at once for each group of a block, not for each row. */
#include "query/agg_internal.h"

#include <assert.h>

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

/* Steps of time as codes; `codes` stays NULL when all rows are in one. */
struct steps_of_time {
    uint32_t *codes, count;
    int64_t first;
};

/* Rows come about in order of time, so the step of the row before is mostly right. */
static int time_codes(struct block *block, int64_t interval, struct steps_of_time *steps, struct error *err) {
    *steps = (struct steps_of_time){.count = 1, .first = floor_div(block->group->min_start_ns, interval)};
    if (floor_div(block->group->max_start_ns, interval) == steps->first) return 0;
    const struct vec *starts = block_column(block, COL_START_NS, err);
    if (!starts) return err->code;
    if (!(steps->codes = arena_alloc(&block->arena, block->group->rows * sizeof *steps->codes))) return no_memory(err);
    int64_t least = INT64_MAX, most = INT64_MIN;
    for (uint32_t i = 0; i < block->count; i++) {
        int64_t start = starts->ints[block->rows[i]];
        least = start < least ? start : least;
        most = start > most ? start : most;
    }
    steps->first = floor_div(least, interval);
    int64_t count = floor_div(most, interval) - steps->first + 1, low = 1, high = 0;
    uint32_t code = 0;
    if (count > UINT32_MAX / 2)
        return error_set(err, VT_ELIMIT, "interval: the range has too many steps; take a longer interval");
    for (uint32_t i = 0; i < block->count; i++) {
        int64_t start = starts->ints[block->rows[i]];
        if (start < low || start >= high) {
            int64_t bucket = floor_div(start, interval);
            code = (uint32_t)(bucket - steps->first);
            low = bucket * interval;
            high = low + interval;
        }
        steps->codes[block->rows[i]] = code;
    }
    steps->count = (uint32_t)count;
    return 0;
}

/* ---- numbers of rows ---- */

enum { PARTS_MAX = GROUP_BY_MAX + 1, DIRECT_LEAST = 4096, DIRECT_SHARE = 4 };

/* Codes that together make a row's group. */
struct parts {
    const uint32_t *codes[PARTS_MAX];
    uint32_t counts[PARTS_MAX], count;
};

/* How many places there are for combinations, when they are few enough to have one each; else 0. */
static uint32_t direct_places(const struct parts *parts, uint32_t rows) {
    uint64_t places = 1, most = (uint64_t)rows * DIRECT_SHARE;
    if (most < DIRECT_LEAST) most = DIRECT_LEAST;
    for (uint32_t p = 0; p < parts->count; p++)
        if ((places *= parts->counts[p]) > most) return 0;
    return (uint32_t)places;
}

/* Each combination of codes is its own number: one pass, no table. */
static bool combine_places(struct block *block, const struct parts *parts, struct dense *dense) {
    if (parts->count == 1) { /* the codes as they are */
        dense->of_row = (uint32_t *)(uintptr_t)parts->codes[0];
        return true;
    }
    uint32_t *out = arena_alloc(&block->arena, block->group->rows * sizeof *out), n = block->count;
    const uint32_t *rows = block->rows;
    if (!out) return false;
    dense->of_row = out;
    for (uint32_t i = 0; i < n && parts->count == 2; i++)
        out[rows[i]] = parts->codes[0][rows[i]] * parts->counts[1] + parts->codes[1][rows[i]];
    for (uint32_t i = 0; i < n && parts->count != 2; i++) {
        uint32_t number = 0;
        for (uint32_t p = 0; p < parts->count; p++) number = number * parts->counts[p] + parts->codes[p][rows[i]];
        out[rows[i]] = number;
    }
    return true;
}

static bool sample_places(struct block *block, struct dense *dense, uint32_t places) {
    if (!(dense->sample = arena_alloc(&block->arena, ((size_t)places + 1) * sizeof *dense->sample))) return false;
    memset(dense->sample, 0xff, (size_t)places * sizeof *dense->sample);
    for (uint32_t i = 0; i < block->count; i++) dense->sample[dense->of_row[block->rows[i]]] = block->rows[i];
    dense->count = places;
    return true;
}

static bool number_rows(struct block *block, const struct parts *parts, struct dense *dense) {
    uint32_t places = direct_places(parts, block->count);
    if (places && parts->count) return combine_places(block, parts, dense) && sample_places(block, dense, places);
    if (!(dense->of_row = arena_calloc(&block->arena, block->group->rows, sizeof *dense->of_row))) return false;
    dense->count = 1;
    dense->sample = block->rows;
    for (uint32_t p = 0; p < parts->count; p++)
        if (!combine(block, dense, parts->codes[p], parts->counts[p])) return false;
    return true;
}

int agg_number_rows(struct block *block, const uint32_t *const *codes, const uint32_t *counts, uint32_t count,
                    struct dense_rows *out, struct error *err) {
    struct parts parts = {.count = count};
    struct dense dense = {0};
    assert(count <= PARTS_MAX);
    for (uint32_t p = 0; p < count; p++) parts.codes[p] = codes[p], parts.counts[p] = counts[p];
    if (!number_rows(block, &parts, &dense)) return no_memory(err);
    *out = (struct dense_rows){dense.of_row, dense.sample, dense.count};
    return 0;
}

/* ---- which points they are ---- */

/* The tables of many groups do not fit the caches: what comes soon is fetched while others are looked up. */
enum { AHEAD = 12 };

static bool find_texts(struct agg_worker *worker, uint32_t f, const struct block_codes *codes, const uint32_t *samples,
                       uint32_t count, uint64_t *hashes, struct agg_tuple *tuples) {
    struct key_list *list = &worker->keys[f];
    for (uint32_t g = 0; g < count; g++) hashes[g] = codes_hash(codes, codes->codes[samples[g]]);
    for (uint32_t g = 0; g < count; g++) {
        if (g + AHEAD < count && list->table.capacity)
            __builtin_prefetch(&list->table.slots[hashes[g + AHEAD] & (list->table.capacity - 1)]);
        struct agg_key key = codes_key(codes, codes->codes[samples[g]]);
        tuples[g].keys[f] = key_number_hashed(list, &key, hashes[g], true, worker->arena);
        if (tuples[g].keys[f] == UINT32_MAX) return false;
    }
    return true;
}

static bool find_numbers(struct agg_worker *worker, uint32_t f, const struct block_codes *codes,
                         const uint32_t *samples, uint32_t count, struct agg_tuple *tuples) {
    struct number_map *map = &worker->known[f];
    if (!known_grow(map, codebook_count(codes->book), worker->arena)) return false;
    for (uint32_t g = 0; g < count; g++) {
        uint32_t number = codes->numbers[codes->codes[samples[g]]];
        tuples[g].keys[f] = known_number(&worker->keys[f], map, codes->book, number, worker->arena);
        if (tuples[g].keys[f] == UINT32_MAX) return false;
    }
    return true;
}

/* One field that a book numbers, no steps: a number leads straight to its cells. They are many and lie anywhere, so
 * they are fetched on the way to being added to. */
static int resolve_numbers(struct agg_worker *worker, struct block *block, const struct dense *dense,
                           const struct block_codes *field, struct block_groups *groups, struct error *err) {
    struct number_map *map = &worker->known[0];
    bool as_they_are = dense->of_row == field->codes;
    uint32_t count = 0;
    *groups = (struct block_groups){.of_row = dense->of_row, .count = dense->count};
    groups->cells = arena_calloc(&block->arena, (size_t)dense->count + 1, sizeof *groups->cells);
    groups->present = arena_alloc(&block->arena, ((size_t)dense->count + 1) * sizeof *groups->present);
    if (!groups->cells || !groups->present || !known_grow(map, codebook_count(field->book), worker->arena))
        return no_memory(err);
    for (uint32_t g = 0; g < dense->count; g++) {
        if (dense->sample[g] == UINT32_MAX) continue;
        uint32_t number = field->numbers[as_they_are ? g : field->codes[dense->sample[g]]];
        struct agg_cell **cells = &map->cells[number];
        if (!*cells) {
            struct agg_tuple tuple = {{known_number(&worker->keys[0], map, field->book, number, worker->arena)}};
            uint32_t point = tuple.keys[0] == UINT32_MAX ? UINT32_MAX : worker_point(worker, &tuple, 0);
            if (point == UINT32_MAX) return no_memory(err);
            *cells = worker->cells[point];
        }
        __builtin_prefetch(*cells, 1);
        groups->cells[g] = *cells;
        groups->present[count++] = g;
    }
    groups->present_count = count;
    return 0;
}

/* The worker's points for the block's groups, by the keys of a row of each. */
static int resolve(struct agg_worker *worker, struct block *block, const struct dense *dense,
                   const struct block_codes *fields, const struct steps_of_time *steps, struct block_groups *groups,
                   struct error *err) {
    uint32_t field_count = worker->plan->spec->group_by_count, count = 0;
    if (field_count == 1 && fields->numbers && !worker->plan->spec->interval_ns)
        return resolve_numbers(worker, block, dense, fields, groups, err);
    size_t room = dense->count < block->count ? dense->count : block->count;
    groups->of_row = dense->of_row;
    groups->count = dense->count;
    groups->cells = arena_calloc(&block->arena, (size_t)dense->count + 1, sizeof *groups->cells);
    groups->present = arena_alloc(&block->arena, (room + 1) * sizeof *groups->present);
    uint32_t *samples = arena_alloc(&block->arena, (room + 1) * sizeof *samples);
    struct agg_tuple *tuples = arena_alloc(&block->arena, (room + 1) * sizeof *tuples);
    uint64_t *hashes = arena_alloc(&block->arena, (room + 1) * sizeof *hashes);
    if (!groups->cells || !groups->present || !samples || !tuples || !hashes) return no_memory(err);
    for (uint32_t g = 0; g < dense->count; g++) {
        if (dense->sample[g] == UINT32_MAX) continue;
        samples[count] = dense->sample[g];
        groups->present[count++] = g;
    }
    groups->present_count = count;
    for (uint32_t f = 0; f < field_count; f++) {
        bool done = fields[f].numbers ? find_numbers(worker, f, &fields[f], samples, count, tuples)
                                      : find_texts(worker, f, &fields[f], samples, count, hashes, tuples);
        if (!done) return no_memory(err);
    }
    bool timed = worker->plan->spec->interval_ns != 0;
    for (uint32_t g = 0; g < count; g++) {
        int64_t bucket = timed ? steps->first + (steps->codes ? steps->codes[samples[g]] : 0) : 0;
        uint32_t point = worker_point(worker, &tuples[g], bucket);
        if (point == UINT32_MAX) return no_memory(err);
        groups->cells[groups->present[g]] = worker->cells[point];
    }
    return 0;
}

int agg_group_rows(struct agg_worker *worker, struct block *block, struct block_groups *groups, struct error *err) {
    const struct agg_spec *spec = worker->plan->spec;
    struct block_codes fields[GROUP_BY_MAX];
    struct steps_of_time steps = {0};
    struct dense dense = {0};
    struct parts parts = {0};
    int code = 0;
    for (uint32_t f = 0; f < spec->group_by_count; f++) {
        if ((code = block_field_codes(block, &spec->group_by[f], block->rows, block->count, &fields[f], err)))
            return code;
        parts.codes[parts.count] = fields[f].codes;
        parts.counts[parts.count++] = fields[f].count;
    }
    if (spec->interval_ns && (code = time_codes(block, spec->interval_ns, &steps, err))) return code;
    if (steps.codes) {
        parts.codes[parts.count] = steps.codes;
        parts.counts[parts.count++] = steps.count;
    }
    if (!number_rows(block, &parts, &dense)) return no_memory(err);
    return resolve(worker, block, &dense, fields, &steps, groups, err);
}
