/* Sorted hashes. */
#include "query/weave_index.h"

#include "store/trace_list.h"

#include <stdatomic.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Hashes of the texts of a dictionary, ascending. */
struct text_hashes {
    uint32_t count, hashes[];
};

enum { TEXT_COLUMNS = 2 };

struct group_index {
    atomic_int references;
    _Atomic(struct text_hashes *) texts[TEXT_COLUMNS]; /* users, threads; NULL = not asked for yet */
    _Atomic(struct code_map *) maps[TEXT_COLUMNS];
    uint32_t trace_count;
    uint32_t *places; /* behind the hashes */
    uint32_t hashes[];
};

static uint32_t hash_of(const void *bytes, size_t len) {
    return (uint32_t)XXH3_64bits(bytes, len);
}

struct group_index *group_index_new(const struct trace_list *list) {
    struct group_index *index = malloc(sizeof *index + 2 * (size_t)list->count * sizeof *list->hashes);
    if (!index) return NULL;
    atomic_init(&index->references, 1);
    for (int i = 0; i < TEXT_COLUMNS; i++) atomic_init(&index->texts[i], NULL), atomic_init(&index->maps[i], NULL);
    index->trace_count = list->count;
    index->places = index->hashes + list->count;
    if (!list->count) return index;
    memcpy(index->hashes, list->hashes, list->count * sizeof *index->hashes);
    memcpy(index->places, list->places, list->count * sizeof *index->places);
    return index;
}

struct group_index *group_index_ref(struct group_index *index) {
    if (index) atomic_fetch_add(&index->references, 1);
    return index;
}

void group_index_unref(struct group_index *index) {
    if (!index || atomic_fetch_sub(&index->references, 1) > 1) return;
    for (int i = 0; i < TEXT_COLUMNS; i++)
        free(atomic_load(&index->texts[i])), code_map_free(atomic_load(&index->maps[i]));
    free(index);
}

_Atomic(struct code_map *) *group_index_map(const struct group_index *index, int which) {
    return (_Atomic(struct code_map *) *)(uintptr_t)&index->maps[which];
}

/* The first of `hashes` that is not below. */
static uint32_t lower_bound(const uint32_t *hashes, uint32_t count, uint32_t hash) {
    uint32_t low = 0;
    while (count) {
        uint32_t half = count / 2;
        if (hashes[low + half] < hash)
            low += half + 1, count -= half + 1;
        else
            count = half;
    }
    return low;
}

uint32_t group_index_rows(const struct group_index *index, const uint8_t *trace_id, uint32_t *first) {
    uint32_t hash = trace_hash(trace_id), at = lower_bound(index->hashes, index->trace_count, hash), rows = 0;
    for (; at < index->trace_count && index->hashes[at] == hash; at++) {
        uint32_t row = index->places[at] >> RUN_BITS;
        if (!rows) *first = row;
        rows =
            row - *first + (index->places[at] & RUN_MAX); /* those between belong to others; who reads checks the ids */
    }
    return rows;
}

const uint32_t *group_index_hashes(const struct group_index *index, uint32_t *count) {
    *count = index->trace_count;
    return index->hashes;
}

uint32_t group_index_row(const struct group_index *index, uint32_t i) {
    return index->places[i] >> RUN_BITS;
}

static int by_hash(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* NULL: cannot be had. */
static struct text_hashes *read_texts(const struct rowgroup *group, enum col col) {
    struct arena arena = {0};
    const struct slice *dict;
    struct text_hashes *texts = NULL;
    uint32_t count;
    if (!rowgroup_read_dictionary(group, col, &arena, &dict, &count, NULL) && count)
        texts = malloc(sizeof *texts + count * sizeof *texts->hashes);
    if (texts) texts->count = 0;
    for (uint32_t i = 0; texts && i < count; i++)
        if (dict[i].len) texts->hashes[texts->count++] = hash_of(dict[i].ptr, dict[i].len);
    if (texts && texts->count) qsort(texts->hashes, texts->count, sizeof *texts->hashes, by_hash);
    arena_free(&arena);
    return texts;
}

bool group_index_may_have(const struct group_index *index, const struct rowgroup *group, enum col col,
                          struct slice text) {
    if ((col != COL_USER_ID && col != COL_THREAD_ID) || !text.len) return true;
    _Atomic(struct text_hashes *) *place =
        (_Atomic(struct text_hashes *) *)(uintptr_t)&index->texts[col == COL_THREAD_ID];
    struct text_hashes *texts = atomic_load(place), *none = NULL;
    if (!texts) {
        if (!(texts = read_texts(group, col))) return true;
        if (!atomic_compare_exchange_strong(place, &none, texts)) { /* another was quicker */
            free(texts);
            texts = none;
        }
    }
    uint32_t hash = hash_of(text.ptr, text.len), at = lower_bound(texts->hashes, texts->count, hash);
    return at < texts->count && texts->hashes[at] == hash;
}
