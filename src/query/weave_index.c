/* Sorted hashes. */
#include "query/weave_index.h"

#include <stdatomic.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { RUN_BITS = 8, RUN_MAX = (1 << RUN_BITS) - 1 };

struct entry {
    uint32_t hash, place; /* place of a trace: row << 8 | rows; more rows than fit are several entries */
};

struct group_index {
    atomic_int references;
    uint32_t trace_count, user_count, thread_count;
    uint32_t *hashes; /* of traces, then of users, then of threads; each sorted */
    uint32_t *places; /* of the traces */
};

static uint32_t hash_of(const void *bytes, size_t len) {
    return (uint32_t)XXH3_64bits(bytes, len);
}

/* By hash, three passes of 11 bits; stable, so that rows stay in order. */
static void sort_entries(struct entry *entries, struct entry *spare, uint32_t count) {
    for (unsigned shift = 0; shift < 33; shift += 11) {
        uint32_t starts[2049] = {0};
        for (uint32_t i = 0; i < count; i++) starts[(entries[i].hash >> shift & 2047) + 1]++;
        for (uint32_t b = 1; b < 2049; b++) starts[b] += starts[b - 1];
        for (uint32_t i = 0; i < count; i++) spare[starts[entries[i].hash >> shift & 2047]++] = entries[i];
        struct entry *swap = entries;
        entries = spare;
        spare = swap;
    }
    memcpy(spare, entries, count * sizeof *spare); /* three swaps: the result lies in the other one */
}

static uint32_t list_traces(const struct vec *traces, struct entry *out) {
    uint32_t count = 0;
    for (uint32_t row = 0, end; row < traces->count; row = end) {
        const uint8_t *id = traces->bytes + (size_t)row * TRACE_ID_SIZE;
        for (end = row + 1; end < traces->count && end - row < RUN_MAX &&
                            memcmp(traces->bytes + (size_t)end * TRACE_ID_SIZE, id, TRACE_ID_SIZE) == 0;)
            end++;
        out[count++] = (struct entry){hash_of(id, TRACE_ID_SIZE), row << RUN_BITS | (end - row)};
    }
    return count;
}

static uint32_t list_texts(const struct vec *texts, struct entry *out) {
    uint32_t count = 0;
    for (uint32_t code = 0; code < texts->dict_count; code++)
        if (texts->dict[code].len)
            out[count++] = (struct entry){hash_of(texts->dict[code].ptr, texts->dict[code].len), 0};
    return count;
}

struct group_index *group_index_new(const struct vec *traces, const struct vec *users, const struct vec *threads) {
    uint32_t most = traces->count;
    if (users->dict_count > most) most = users->dict_count;
    if (threads->dict_count > most) most = threads->dict_count;
    if (traces->count >= 1u << (32 - RUN_BITS)) return NULL;
    struct entry *entries = malloc(2 * ((size_t)most + 1) * sizeof *entries);
    uint32_t *all = malloc(((size_t)traces->count + users->dict_count + threads->dict_count + 1) * sizeof *all);
    struct group_index *index = calloc(1, sizeof *index);
    uint32_t used = 0;
    if (!entries || !all || !index) goto fail;
    atomic_init(&index->references, 1);
    for (int part = 0; part < 3; part++) {
        uint32_t n = part == 0 ? list_traces(traces, entries) : list_texts(part == 1 ? users : threads, entries);
        sort_entries(entries, entries + most + 1, n);
        for (uint32_t i = 0; i < n; i++) all[used + i] = entries[i].hash;
        if (part == 0) {
            if (!(index->places = malloc((n + 1) * sizeof *index->places))) goto fail;
            for (uint32_t i = 0; i < n; i++) index->places[i] = entries[i].place;
        }
        *(part == 0 ? &index->trace_count : part == 1 ? &index->user_count : &index->thread_count) = n;
        used += n;
    }
    index->hashes = realloc(all, (used + 1) * sizeof *all);
    if (!index->hashes) index->hashes = all;
    free(entries);
    return index;
fail:
    free(entries);
    free(all);
    free(index ? index->places : NULL);
    free(index);
    return NULL;
}

struct group_index *group_index_ref(struct group_index *index) {
    if (index) atomic_fetch_add(&index->references, 1);
    return index;
}

void group_index_unref(struct group_index *index) {
    if (!index || atomic_fetch_sub(&index->references, 1) > 1) return;
    free(index->hashes);
    free(index->places);
    free(index);
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
    uint32_t hash = hash_of(trace_id, TRACE_ID_SIZE), at = lower_bound(index->hashes, index->trace_count, hash),
             rows = 0;
    for (; at < index->trace_count && index->hashes[at] == hash; at++) {
        uint32_t row = index->places[at] >> RUN_BITS;
        if (!rows) *first = row;
        rows =
            row - *first + (index->places[at] & RUN_MAX); /* those between belong to others; who reads checks the ids */
    }
    return rows;
}

bool group_index_may_have(const struct group_index *index, enum col col, struct slice text) {
    if ((col != COL_USER_ID && col != COL_THREAD_ID) || !text.len) return true;
    uint32_t skip = index->trace_count + (col == COL_USER_ID ? 0 : index->user_count);
    uint32_t count = col == COL_USER_ID ? index->user_count : index->thread_count, hash = hash_of(text.ptr, text.len);
    uint32_t at = lower_bound(index->hashes + skip, count, hash);
    return at < count && index->hashes[skip + at] == hash;
}
