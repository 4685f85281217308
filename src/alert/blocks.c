/* Long windows by blocks. A day of ten million spans is too much to be read every ten seconds, and nearly all of it is
 * the same each time. */
#include "alert/measure_internal.h"

#include "base/timestamp.h"

#include <math.h>
#include <stdlib.h>

enum { BLOCKS = 24, BLOCKS_MAX = BLOCKS + 2, WINDOW_MIN_S = 7200, REST = 360 };

struct block {
    int64_t start_ns; /* 0 = not remembered */
    struct arena arena;
    struct part *parts;
    uint32_t count;
};

struct monitor_memory {
    struct block blocks[BLOCKS_MAX]; /* by their number, modulo */
    int64_t turn;                    /* number of the block that was asked for again last */
    uint32_t rest;                   /* there were too many groups: so many times more it is not tried */
};

struct monitor_memory *monitor_memory_new(void) {
    return calloc(1, sizeof(struct monitor_memory));
}

void monitor_memory_free(struct monitor_memory *memory) {
    for (int i = 0; memory && i < BLOCKS_MAX; i++) arena_free(&memory->blocks[i].arena);
    free(memory);
}

/* Whole minutes, since points of a minute must not be cut. */
static int64_t block_length(const struct monitor_query *q) {
    int64_t minute = (int64_t)60 * NS_PER_S;
    return (q->window_ns / BLOCKS + minute - 1) / minute * minute;
}

/* What is collected from the parts, by group. */
struct sums {
    struct part *parts; /* PARTS_MAX */
    uint32_t count;
    uint32_t *slots; /* open addressing; place in parts + 1 */
    uint32_t slot_count;
};

static uint32_t hash_of(struct slice text) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < text.len; i++) hash = (hash ^ (uint8_t)text.ptr[i]) * 16777619u;
    return hash;
}

/* False past PARTS_MAX groups. */
static bool add(struct sums *s, const struct part *part) {
    uint32_t at = hash_of(part->group) & (s->slot_count - 1);
    for (; s->slots[at]; at = (at + 1) & (s->slot_count - 1))
        if (slice_eq(s->parts[s->slots[at] - 1].group, part->group)) break;
    if (!s->slots[at]) {
        if (s->count == PARTS_MAX) return false;
        s->parts[s->count] = (struct part){.group = part->group};
        s->slots[at] = ++s->count;
    }
    fold_merge(&s->parts[s->slots[at] - 1].fold, &part->fold);
    return true;
}

/* What is being done, to keep argument lists short. */
struct reading_blocks {
    const struct asker *asker;
    const struct monitor_query *query;
    struct part *parts; /* PARTS_MAX, scratch */
    struct sums sums;
    struct error *err;
};

static int ask(struct reading_blocks *b, int64_t from_ms, int64_t to_ms, struct arena *arena, uint32_t *count) {
    struct range range = {.from_ms = from_ms, .to_ms = to_ms, .mergeable = true};
    *count = 0;
    if (from_ms >= to_ms) return 0;
    int code = measure_range(b->asker, b->query, &range, arena, b->parts, count, b->err);
    return !code && *count == PARTS_MAX ? VT_EUNSUPPORTED : code;
}

static int add_range(struct reading_blocks *b, int64_t from_ms, int64_t to_ms, struct arena *arena) {
    uint32_t count;
    int code = ask(b, from_ms, to_ms, arena, &count);
    for (uint32_t i = 0; !code && i < count; i++)
        if (!add(&b->sums, &b->parts[i])) code = VT_EUNSUPPORTED;
    return code;
}

/* Asks for a block and remembers it. The answer's text is not needed, so groups are copied. */
static int read_block(struct reading_blocks *b, struct block *block, int64_t start_ns, int64_t length_ns) {
    struct arena arena = {0};
    int code = ask(b, start_ns / NS_PER_MS, (start_ns + length_ns) / NS_PER_MS, &arena, &block->count);
    block->start_ns = 0;
    arena_reset(&block->arena);
    block->parts = code ? NULL : arena_alloc(&block->arena, block->count * sizeof *block->parts + 1);
    if (!code && !block->parts) code = error_set(b->err, VT_ENOMEM, "no memory for a part of a window");
    for (uint32_t i = 0; !code && i < block->count; i++) {
        block->parts[i] = b->parts[i];
        block->parts[i].group = arena_copy(&block->arena, b->parts[i].group);
        if (block->parts[i].group.len != b->parts[i].group.len)
            code = error_set(b->err, VT_ENOMEM, "no memory for a part of a window");
    }
    if (!code) block->start_ns = start_ns;
    arena_free(&arena);
    return code;
}

static int add_blocks(struct reading_blocks *b, struct monitor_memory *memory, int64_t first, int64_t end,
                      int64_t length_ns) {
    int code = 0;
    memory->turn = memory->turn < first || memory->turn + 1 >= end ? first : memory->turn + 1;
    for (int64_t n = first; n < end && !code; n++) {
        struct block *block = &memory->blocks[n % BLOCKS_MAX];
        if (block->start_ns != n * length_ns || n == memory->turn)
            code = read_block(b, block, n * length_ns, length_ns);
        for (uint32_t i = 0; !code && i < block->count; i++)
            if (!add(&b->sums, &block->parts[i])) code = VT_EUNSUPPORTED;
    }
    return code;
}

/* What was read while the clock stood ahead of now was read too early. */
static void forget_after(struct monitor_memory *memory, int64_t end_ns, int64_t length_ns) {
    for (int i = 0; i < BLOCKS_MAX; i++)
        if (memory->blocks[i].start_ns + length_ns > end_ns) memory->blocks[i].start_ns = 0;
}

static int largest_first(const void *a, const void *b) {
    double x = ((const struct reading *)a)->value, y = ((const struct reading *)b)->value;
    if (isnan(x) || isnan(y)) return isnan(x) - isnan(y);
    return x < y ? 1 : x > y ? -1 : 0;
}

static int smallest_first(const void *a, const void *b) {
    return largest_first(b, a);
}

/* As many as the caller has room for. */
static int to_readings(const struct reading_blocks *b, int64_t now_ns, struct arena *arena, struct reading *readings,
                       uint32_t *count, struct error *err) {
    struct reading *all = arena_alloc(arena, b->sums.count * sizeof *all + 1);
    if (!all) return error_set(err, VT_ENOMEM, "no memory for readings");
    for (uint32_t i = 0; i < b->sums.count; i++)
        all[i] = (struct reading){arena_copy(arena, b->sums.parts[i].group),
                                  fold_value(&b->sums.parts[i].fold, b->query, now_ns, true)};
    qsort(all, b->sums.count, sizeof *all, measure_smallest(b->query) ? smallest_first : largest_first);
    *count = b->sums.count < READINGS_MAX ? b->sums.count : READINGS_MAX;
    memcpy(readings, all, *count * sizeof *all);
    return 0;
}

int measure_by_blocks(const struct asker *asker, const struct monitor_query *q, struct monitor_memory *memory,
                      int64_t now_ns, struct arena *arena, struct part *parts, struct reading *readings,
                      uint32_t *count, struct error *err) {
    struct reading_blocks b = {.asker = asker, .query = q, .parts = parts, .err = err};
    int64_t length_ns = block_length(q), start_ns = now_ns - q->window_ns;
    if (q->window_ns < (int64_t)WINDOW_MIN_S * NS_PER_S || !measure_merges(q) || start_ns <= 0) return VT_EUNSUPPORTED;
    if (memory->rest) {
        memory->rest--;
        return VT_EUNSUPPORTED;
    }
    int64_t first = start_ns / length_ns + 1, end = now_ns / length_ns - 1; /* numbers of the remembered blocks */
    forget_after(memory, end * length_ns, length_ns);
    b.sums.slot_count = 2 * 16384;
    b.sums.slots = arena_calloc(arena, b.sums.slot_count, sizeof *b.sums.slots);
    b.sums.parts = arena_alloc(arena, PARTS_MAX * sizeof *b.sums.parts);
    if (!b.sums.slots || !b.sums.parts) return error_set(err, VT_ENOMEM, "no memory for a window");
    int code = add_range(&b, start_ns / NS_PER_MS, first * length_ns / NS_PER_MS, arena);
    if (!code) code = add_blocks(&b, memory, first, end, length_ns);
    if (!code) code = add_range(&b, end * length_ns / NS_PER_MS, now_ns / NS_PER_MS, arena);
    if (code == VT_EUNSUPPORTED) memory->rest = REST;
    return code ? code : to_readings(&b, now_ns, arena, readings, count, err);
}
