/* Row groups come newest first. Once as many conversations as are wanted are known to have ended after all that is left
 * to read, nothing that is left can stand before them. A conversation that was met is kept with its latest start, so
 * that its older spans do not bring it up again. */
#include "query/threads_newest.h"

#include "query/agg_internal.h"

#include "base/timestamp.h"

#include <pthread.h>
#include <stdlib.h>

struct newest {
    pthread_mutex_t lock; /* guards the rest */
    struct arena *arena;
    struct key_list keys;
    int64_t *last_ns; /* by key */
    uint32_t capacity;
    int64_t *scratch; /* as many */
    const struct ranked *after;
    uint32_t wanted;
    double scale; /* of nanoseconds to what is shown */
};

static bool make_room(struct newest *n) {
    uint32_t count = n->keys.table.count;
    if (count < n->capacity) return true;
    uint32_t capacity = n->capacity ? 2 * n->capacity : 4096;
    int64_t *last_ns = arena_alloc(n->arena, capacity * sizeof *last_ns);
    n->scratch = arena_alloc(n->arena, capacity * sizeof *n->scratch);
    if (!last_ns || !n->scratch) return false;
    if (count) memcpy(last_ns, n->last_ns, count * sizeof *last_ns);
    n->last_ns = last_ns;
    n->capacity = capacity;
    return true;
}

static bool meet(struct newest *n, struct slice thread, int64_t start_ns) {
    const struct agg_key key = {AGG_KEY_TEXT, thread, 0};
    if (!make_room(n)) return false;
    uint32_t before = n->keys.table.count, number = key_number(&n->keys, &key, true, n->arena);
    if (number == UINT32_MAX) return false;
    if (number == before || start_ns > n->last_ns[number]) n->last_ns[number] = start_ns;
    return true;
}

static struct ranked ranked_of(const struct newest *n, uint32_t i) {
    return (struct ranked){(double)n->last_ns[i] * n->scale, n->keys.keys[i].text, i};
}

/* The value that `rank` others exceed, by halving what may hold it. */
static int64_t nth_greatest(int64_t *values, uint32_t count, uint32_t rank) {
    uint32_t low = 0, high = count - 1;
    while (low < high) {
        int64_t pivot = values[low + (high - low) / 2];
        uint32_t i = low, j = high;
        for (;;) {
            while (values[i] > pivot) i++;
            while (values[j] < pivot) j--;
            if (i >= j) break;
            int64_t swap = values[i];
            values[i++] = values[j];
            values[j--] = swap;
        }
        if (rank <= j)
            high = j;
        else
            low = j + 1;
    }
    return values[rank];
}

/* Nothing that starts before the last of those wanted is of use any more; doubles of milliseconds keep a quarter of a
 * microsecond, so the bound has some slack. */
static void raise_floor(struct newest *n, struct block *block) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < n->keys.table.count; i++) {
        struct ranked one = ranked_of(n, i);
        if (!n->after || rank_order(&one, n->after) > 0) n->scratch[count++] = n->last_ns[i];
    }
    if (count >= n->wanted) block_raise_floor(block, nth_greatest(n->scratch, count, n->wanted - 1) - NS_PER_US);
}

static int newest_block(void *ctx, struct block *block, struct error *err) {
    struct newest *n = ctx;
    const struct vec *threads = block_column(block, COL_THREAD_ID, err),
                     *starts = threads ? block_column(block, COL_START_NS, err) : NULL;
    if (!starts) return err->code;
    int64_t *last_ns = arena_alloc(&block->arena, (threads->dict_count + 1) * sizeof *last_ns);
    bool good = last_ns != NULL;
    for (uint32_t code = 0; good && code < threads->dict_count; code++) last_ns[code] = INT64_MIN;
    for (uint32_t i = 0; good && i < block->count; i++) {
        uint32_t row = block->rows[i], code = threads->codes[row];
        if (starts->ints[row] > last_ns[code]) last_ns[code] = starts->ints[row];
    }
    pthread_mutex_lock(&n->lock);
    for (uint32_t code = 0; good && code < threads->dict_count; code++)
        if (threads->dict[code].len && last_ns[code] != INT64_MIN) good = meet(n, threads->dict[code], last_ns[code]);
    if (good) raise_floor(n, block);
    pthread_mutex_unlock(&n->lock);
    return good ? 0 : error_set(err, VT_ELIMIT, "the conversations need more memory than one request may hold");
}

int newest_threads(struct ask *ask, const struct thread_range *range, const struct ranked *after, uint32_t count,
                   struct ranked_list *list, struct error *err) {
    struct newest n = {.arena = ask_new_arena(ask, err), .after = after, .wanted = count};
    struct scan scan = {
        .filter = range->filter, .from_ns = range->from_ns, .to_ns = range->to_ns, .each = newest_block, .ctx = &n};
    if (!n.arena) return err->code;
    n.scale = number_column(AGG_MAX, "start", NULL).field.scale;
    pthread_mutex_init(&n.lock, NULL);
    int code = scan_run(ask, &scan, err);
    pthread_mutex_destroy(&n.lock);
    if (code) return code;
    list->count = n.keys.table.count;
    if (!(list->ranked = ask_alloc(ask, list->count, sizeof *list->ranked, err))) return err->code;
    for (uint32_t i = 0; i < list->count; i++) list->ranked[i] = ranked_of(&n, i);
    rank(list->ranked, list->count);
    return 0;
}
