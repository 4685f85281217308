/* Filters are made while the columns pass by. */
#include "store/filters.h"

#include "store/parquet.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { WORDS_MAX = 1 << 19, FIRST_CAPACITY = 1 << 14 };

uint64_t word_hash(struct slice word) {
    uint64_t hash = XXH3_64bits(word.ptr, word.len);
    return hash ? hash : 1;
}

static bool grow(struct word_set *set) {
    uint32_t capacity = set->capacity ? 4 * set->capacity : FIRST_CAPACITY;
    uint64_t *hashes = calloc(capacity, sizeof *hashes);
    if (!hashes) return false;
    for (uint32_t i = 0; i < set->capacity; i++) {
        if (!set->hashes[i]) continue;
        uint32_t at = (uint32_t)set->hashes[i] & (capacity - 1);
        while (hashes[at]) at = (at + 1) & (capacity - 1);
        hashes[at] = set->hashes[i];
    }
    free(set->hashes);
    set->hashes = hashes;
    set->capacity = capacity;
    return true;
}

static void add_word(struct word_set *set, const char *word, size_t len) {
    if (2 * set->count >= set->capacity && (set->count >= WORDS_MAX || !grow(set))) {
        set->too_many = true;
        return;
    }
    uint64_t hash = word_hash(slice_make(word, len));
    uint32_t at = (uint32_t)hash & (set->capacity - 1);
    while (set->hashes[at] && set->hashes[at] != hash) at = (at + 1) & (set->capacity - 1);
    set->count += set->hashes[at] != hash;
    set->hashes[at] = hash;
}

/* A word behind a backslash may be one of plain text (C:\new) or follow an escape of JSON (first\nsecond): both are noted. */
void word_set_add(struct word_set *set, struct slice text) {
    char word[WORD_MAX];
    const char *start = text.ptr;
    size_t len;
    while (!set->too_many && (len = word_next(&text, word))) {
        add_word(set, word, len);
        bool whole = len < WORD_MAX && text.ptr - len > start;
        if (!whole || len < 2 || text.ptr[-(ptrdiff_t)len - 1] != '\\' || set->too_many) continue;
        add_word(set, word + 1, len - 1);
        if (word[0] == 'u' && len > 5 && !set->too_many) add_word(set, word + 5, len - 5); /* \u001b */
    }
}

void word_set_free(struct word_set *set) {
    free(set->hashes);
    *set = (struct word_set){0};
}

/* Zeroed room for the bits, which is at buf's end until more is put; NULL without memory. */
static uint8_t *put_room(struct buf *out, uint32_t bytes) {
    if (!buf_reserve(out, bytes)) return NULL;
    uint8_t *bits = (uint8_t *)out->ptr + out->len;
    memset(bits, 0, bytes);
    out->len += bytes;
    return bits;
}

void put_word_bits(struct buf *out, const struct word_set *set) {
    uint32_t bytes = bloom_bytes_for(set->count);
    uint8_t *bits = set->too_many ? NULL : put_room(out, bytes);
    for (uint32_t i = 0; bits && i < set->capacity; i++)
        if (set->hashes[i]) bloom_add(bits, bytes, set->hashes[i]);
}

void put_trace_bits(struct buf *out, const uint8_t *ids, uint32_t count) {
    uint32_t distinct = 0;
    for (uint32_t i = 0; i < count; i++)
        distinct += i == 0 || memcmp(ids + (size_t)i * TRACE_ID_SIZE, ids + (size_t)(i - 1) * TRACE_ID_SIZE, TRACE_ID_SIZE) != 0;
    uint32_t bytes = bloom_bytes_for(distinct);
    uint8_t *bits = put_room(out, bytes);
    for (uint32_t i = 0; bits && i < count; i++) bloom_add(bits, bytes, XXH64(ids + (size_t)i * TRACE_ID_SIZE, TRACE_ID_SIZE, 0));
}
