/* Stepping through a scan. */
#include "query/steps.h"

#include "query/blocks_internal.h"
#include "query/mend.h"

#include <stdlib.h>

struct steps {
    struct scan_run run; /* floor and ends are not used */
    struct scan scan;
    bool oldest_first;
    uint32_t *order;       /* numbers of row groups; NULL = as the snapshot has them */
    uint32_t next, count;  /* into order */
    struct stepped *spare; /* a closed block, kept for its memory */
    struct stepped *first; /* blocks that are open */
    uint32_t open;         /* how many */
};

struct stepped {
    struct block block; /* first */
    struct steps *steps;
    struct stepped *next, **link; /* among the open ones */
};

enum { BLOCKS_OPEN_MAX = 256, BLOCK_BYTES_LEAST = 1 << 20 };

static _Thread_local const struct snapshot *sorted_snapshot;
static int oldest_first(const void *a, const void *b) {
    int64_t x = snapshot_rowgroup(sorted_snapshot, *(const uint32_t *)a)->min_start_ns;
    int64_t y = snapshot_rowgroup(sorted_snapshot, *(const uint32_t *)b)->min_start_ns;
    return x < y ? -1 : x > y;
}

struct steps *steps_open(struct ask *ask, const struct scan *scan, bool by_oldest, struct error *err) {
    struct steps *steps = calloc(1, sizeof *steps);
    if (!steps) goto no_memory;
    steps->scan = *scan;
    steps->run = (struct scan_run){.ask = ask, .scan = &steps->scan};
    atomic_init(&steps->run.floor_ns, INT64_MIN);
    steps->count = snapshot_count(ask->snapshot);
    steps->oldest_first = by_oldest;
    if (!by_oldest) return steps;
    if (!(steps->order = malloc((steps->count + 1) * sizeof *steps->order))) goto no_memory;
    for (uint32_t i = 0; i < steps->count; i++) steps->order[i] = i;
    sorted_snapshot = ask->snapshot;
    qsort(steps->order, steps->count, sizeof *steps->order, oldest_first);
    return steps;
no_memory:
    steps_close(steps);
    error_set(err, VT_ENOMEM, "no memory for a scan");
    return NULL;
}

static void stepped_free(struct stepped *stepped) {
    if (!stepped) return;
    arena_free(&stepped->block.arena);
    free(stepped);
}

void steps_close(struct steps *steps) {
    if (!steps) return;
    stepped_free(steps->spare);
    free(steps->order);
    free(steps);
}

void block_close(struct block *block) {
    struct stepped *stepped = (struct stepped *)(void *)block;
    if (!stepped) return;
    struct steps *steps = stepped->steps;
    steps->open--;
    *stepped->link = stepped->next;
    if (stepped->next) stepped->next->link = stepped->link;
    if (steps->spare)
        stepped_free(stepped);
    else
        steps->spare = stepped;
}

static const struct rowgroup *group_at(const struct steps *steps, uint32_t i, uint32_t *number) {
    *number = steps->order ? steps->order[i] : i;
    return snapshot_rowgroup(steps->run.ask->snapshot, *number);
}

int64_t steps_bound(const struct steps *steps) {
    uint32_t number;
    if (steps->next == steps->count) return steps->oldest_first ? INT64_MAX : INT64_MIN;
    const struct rowgroup *group = group_at(steps, steps->next, &number);
    return steps->oldest_first ? group->min_start_ns : group->max_start_ns;
}

size_t steps_held_bytes(const struct steps *steps) {
    size_t held = 0;
    for (const struct stepped *stepped = steps->first; stepped; stepped = stepped->next)
        held += stepped->block.arena.total_bytes;
    return held;
}

static struct stepped *open_block(struct steps *steps, struct error *err) {
    struct stepped *stepped = steps->spare ? steps->spare : calloc(1, sizeof *stepped);
    if (!stepped) error_set(err, VT_ENOMEM, "no memory for a block of spans");
    if (stepped && steps->open == BLOCKS_OPEN_MAX) {
        error_set(err, VT_ELIMIT, "over %d row groups overlap in time: they cannot be read in order of time at once",
                  BLOCKS_OPEN_MAX);
        if (stepped != steps->spare) free(stepped);
        return NULL;
    }
    if (!stepped) return NULL;
    if (stepped == steps->spare) steps->spare = NULL;
    struct arena arena = stepped->block.arena;
    *stepped = (struct stepped){.block = {.ask = steps->run.ask, .run = &steps->run, .arena = arena}, .steps = steps};
    arena_reset(&stepped->block.arena);
    /* What the others hold is taken; they were given no more than was left then. */
    uint64_t all = steps->run.ask->engine->options.memory_bytes, held = steps_held_bytes(steps);
    stepped->block.arena.limit_bytes = held + BLOCK_BYTES_LEAST < all ? all - held : BLOCK_BYTES_LEAST;
    stepped->next = steps->first;
    stepped->link = &steps->first;
    if (stepped->next) stepped->next->link = &stepped->next;
    steps->first = stepped;
    steps->open++;
    return stepped;
}

/* *block stays NULL when nothing matches or the segment is corrupt: it is named and set aside, the rest answers. */
static int select_group(struct steps *steps, uint32_t number, struct block **block, struct error *err) {
    struct place place = place_at(steps->run.ask, number);
    if (!scan_wants(&steps->run, &place)) return 0;
    struct stepped *stepped = open_block(steps, err);
    if (!stepped) return err->code;
    block_set_place(&stepped->block, &place);
    int code = block_select(&stepped->block, err);
    if (!code && stepped->block.count)
        *block = &stepped->block;
    else
        block_close(&stepped->block);
    return code == VT_ECORRUPT ? 0 : code;
}

int steps_next(struct steps *steps, struct block **block, struct error *err) {
    struct ask *ask = steps->run.ask;
    int code = 0;
    *block = NULL;
    while (!code && !*block && steps->next < steps->count) {
        uint32_t number;
        if ((code = ask_check(ask, err))) break;
        group_at(steps, steps->next++, &number);
        code = select_group(steps, number, block, err);
    }
    return code;
}

int steps_group(struct steps *steps, uint32_t number, struct block **block, struct error *err) {
    *block = NULL;
    int code = ask_check(steps->run.ask, err);
    return code ? code : select_group(steps, number, block, err);
}

bool steps_may_have_trace(const struct steps *steps, uint32_t number, const uint8_t trace_id[TRACE_ID_SIZE]) {
    struct place place = place_at(steps->run.ask, number);
    return (place.mend && place.mend->traces) || rowgroup_may_have_trace(place.group, trace_id);
}
