/* Open row groups by number, the least used closed when they hold too much. */
#include "query/sql_lookup.h"

#include <stdlib.h>

enum { OPEN_MAX = 128 };

/* A row group that was opened. */
struct opened {
    struct block *block; /* NULL: not open */
    uint32_t *slots;     /* place in block->rows + 1 of a trace's last row, 0 = free; in the block's arena */
    uint32_t *previous;  /* place + 1 of the row before of the same slot, by place */
    uint32_t mask;
    uint32_t users; /* found rows that are held */
    uint64_t used;  /* when it was last looked into */
    bool empty;     /* nothing in it can be seen */
};

struct lookup {
    struct ask *ask;
    struct steps *steps;
    struct opened *groups;
    uint32_t count, open;
    uint64_t looks;
    uint32_t *places; /* scratch of lookup_find */
    uint32_t place_capacity;
};

struct lookup *lookup_new(struct ask *ask, struct error *err) {
    struct lookup *l = calloc(1, sizeof *l);
    struct scan everything = {.from_ns = INT64_MIN, .to_ns = INT64_MAX};
    if (l) {
        l->ask = ask;
        l->count = snapshot_count(ask->snapshot);
        l->groups = calloc(l->count + 1, sizeof *l->groups);
        l->steps = steps_open(ask, &everything, false, err);
    }
    if (l && l->groups && l->steps) return l;
    lookup_free(l);
    error_set(err, VT_ENOMEM, "no memory to look traces up");
    return NULL;
}

static void close_group(struct lookup *l, struct opened *group) {
    if (!group->block) return;
    block_close(group->block);
    *group = (struct opened){0};
    l->open--;
}

void lookup_free(struct lookup *l) {
    if (!l) return;
    for (uint32_t i = 0; l->groups && i < l->count; i++) close_group(l, &l->groups[i]);
    steps_close(l->steps);
    free(l->groups);
    free(l->places);
    free(l);
}

uint32_t lookup_groups(const struct lookup *l) {
    return l->count;
}

static void make_room(struct lookup *l) {
    while (l->open && (l->open >= OPEN_MAX || steps_held_bytes(l->steps) > l->ask->engine->options.memory_bytes / 2)) {
        struct opened *least = NULL;
        for (uint32_t i = 0; i < l->count; i++)
            if (l->groups[i].block && !l->groups[i].users && (!least || l->groups[i].used < least->used))
                least = &l->groups[i];
        if (!least) return;
        close_group(l, least);
    }
}

static uint32_t slot_of(const uint8_t *id, uint32_t mask) {
    uint64_t words[2];
    memcpy(words, id, sizeof words);
    words[1] ^= words[1] >> 32; /* ids that count upwards differ in their last bytes alone */
    return (uint32_t)((words[0] ^ words[1] * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9) >> 40) & mask;
}

static int open_group(struct lookup *l, uint32_t number, struct opened *group, struct error *err) {
    uint32_t slots = 1024;
    make_room(l);
    int code = steps_group(l->steps, number, &group->block, err);
    if (code) return code;
    group->empty = !group->block;
    if (group->empty) return 0;
    l->open++;
    struct block *block = group->block;
    const struct vec *ids = block_column(block, COL_TRACE_ID, err);
    while (slots < block->count) slots *= 2;
    if (ids) {
        group->mask = slots - 1;
        group->slots = arena_calloc(&block->arena, slots, sizeof *group->slots);
        group->previous = arena_alloc(&block->arena, block->count * sizeof *group->previous);
    }
    if (!ids || !group->slots || !group->previous) {
        code = ids ? error_set(err, VT_ENOMEM, "no memory to look traces up") : err->code;
        close_group(l, group);
        return code;
    }
    for (uint32_t i = 0; i < block->count; i++) {
        uint32_t *slot = &group->slots[slot_of(ids->bytes + (size_t)block->rows[i] * TRACE_ID_SIZE, group->mask)];
        group->previous[i] = *slot;
        *slot = i + 1;
    }
    return 0;
}

static bool add_place(struct lookup *l, uint32_t count, uint32_t place) {
    if (count == l->place_capacity) {
        uint32_t capacity = count ? 2 * count : 64;
        uint32_t *more = realloc(l->places, capacity * sizeof *more);
        if (!more) return false;
        l->places = more;
        l->place_capacity = capacity;
    }
    l->places[count] = place;
    return true;
}

int lookup_find(struct lookup *l, uint32_t number, const uint8_t trace_id[TRACE_ID_SIZE], struct found *found,
                struct error *err) {
    struct opened *group = &l->groups[number];
    uint32_t count = 0;
    *found = (struct found){0};
    if (group->empty || !steps_may_have_trace(l->steps, number, trace_id)) return 0;
    if (!group->block) {
        int code = open_group(l, number, group, err);
        if (code || group->empty) return code;
    }
    group->used = ++l->looks;
    struct block *block = group->block;
    const struct vec *ids = block_column(block, COL_TRACE_ID, err);
    if (!ids) return err->code;
    for (uint32_t at = group->slots[slot_of(trace_id, group->mask)]; at; at = group->previous[at - 1]) {
        uint32_t row = block->rows[at - 1];
        if (memcmp(ids->bytes + (size_t)row * TRACE_ID_SIZE, trace_id, TRACE_ID_SIZE) == 0 &&
            !add_place(l, count++, row))
            goto no_memory;
    }
    if (!count) return 0;
    if (!(found->rows = malloc(count * sizeof *found->rows))) goto no_memory;
    for (uint32_t i = 0; i < count; i++) found->rows[i] = l->places[count - 1 - i];
    found->count = count;
    found->block = block;
    group->users++;
    return 0;
no_memory:
    return error_set(err, VT_ENOMEM, "no memory to look traces up");
}

void lookup_let_go(struct lookup *l, struct found *found) {
    for (uint32_t i = 0; i < l->count && found->block; i++)
        if (l->groups[i].block == found->block) {
            l->groups[i].users--;
            break;
        }
    free(found->rows);
    *found = (struct found){0};
}
