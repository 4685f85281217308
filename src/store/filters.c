/* Filters are made while the columns pass by. */
#include "store/filters.h"

#include "store/parquet.h"

#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { WORDS_MAX = 1 << 19, FIRST_CAPACITY = 1 << 14 };

/* ---- words ---- */

enum { BLOCK = 64, SHORT_WORD = 16 };

/* `at` has SHORT_WORD readable bytes. Most words take two loads and no loop. */
static uint64_t hash_word(const char *at, size_t len) {
    uint64_t low, high = 0;
    if (len > SHORT_WORD) return XXH3_64bits(at, len);
    memcpy(&low, at, 8);
    if (len > 8)
        memcpy(&high, at + 8, 8), high &= UINT64_MAX >> (8 * (16 - len));
    else
        low &= UINT64_MAX >> (8 * (8 - len));
    uint64_t h = (low ^ len * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ h >> 32 ^ high) * UINT64_C(0x94d049bb133111eb);
    h = (h ^ h >> 29) * UINT64_C(0xd6e8feb86659fd93);
    h ^= h >> 32;
    return h ? h : 1;
}

uint64_t word_hash(struct slice word) {
    char padded[SHORT_WORD] = {0};
    if (!word.len) return 1;
    if (word.len > SHORT_WORD) return hash_word(word.ptr, word.len);
    memcpy(padded, word.ptr, word.len);
    return hash_word(padded, word.len);
}

/* Lower-cases BLOCK bytes as words.h says and tells which of them belong to words. */
#ifdef __SSE2__
static uint64_t lower_block(const char *from, char *to) {
    uint64_t mask = 0;
    for (int i = 0; i < BLOCK / 16; i++) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(from + 16 * i));
        __m128i upper = _mm_sub_epi8(v, _mm_set1_epi8('A'));
        upper = _mm_cmpeq_epi8(_mm_min_epu8(upper, _mm_set1_epi8(25)), upper);
        v = _mm_or_si128(v, _mm_and_si128(upper, _mm_set1_epi8(0x20)));
        _mm_storeu_si128((__m128i *)(void *)(to + 16 * i), v);
        __m128i letter = _mm_sub_epi8(v, _mm_set1_epi8('a')), digit = _mm_sub_epi8(v, _mm_set1_epi8('0'));
        letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter);
        digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit);
        /* Bytes from 0x80 on have the bit that movemask takes. */
        mask |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(letter, digit), v)) << (16 * i);
    }
    return mask;
}
#else
static uint64_t lower_block(const char *from, char *to) {
    uint64_t mask = 0;
    for (int i = 0; i < BLOCK; i++) {
        unsigned char c = (unsigned char)from[i];
        if (c >= 'A' && c <= 'Z') c |= 0x20;
        to[i] = (char)c;
        mask |= (uint64_t)((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80) << i;
    }
    return mask;
}
#endif

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

static void add_hash(struct word_set *set, uint64_t hash) {
    if (2 * set->count >= set->capacity && (set->count >= WORDS_MAX || !grow(set))) {
        set->too_many = true;
        return;
    }
    uint32_t at = (uint32_t)hash & (set->capacity - 1);
    while (set->hashes[at] && set->hashes[at] != hash) at = (at + 1) & (set->capacity - 1);
    set->count += set->hashes[at] != hash;
    set->hashes[at] = hash;
}

/* A word behind a backslash may be one of plain text (C:\new) or follow an escape of JSON (first\nsecond): both are
 * noted. */
static void add_word(struct word_set *set, const char *text, const char *word, size_t len) {
    bool escaped = word > text && word[-1] == '\\' && len >= 2 && len < WORD_MAX;
    if (set->too_many) return;
    add_hash(set, hash_word(word, len < WORD_MAX ? len : WORD_MAX));
    if (!escaped) return;
    if (!set->too_many) add_hash(set, hash_word(word + 1, len - 1));
    if (word[0] == 'u' && len > 5 && !set->too_many) add_hash(set, hash_word(word + 5, len - 5)); /* \u001b */
}

void word_set_add(struct word_set *set, struct slice text) {
    buf_clear(&set->lower);
    if (set->too_many || !text.len) return;
    if (!buf_reserve(&set->lower, text.len + 2 * BLOCK)) {
        set->too_many = true;
        return;
    }
    char *lower = set->lower.ptr;
    uint64_t before = 0; /* whether the last byte of the block before belonged to a word */
    size_t start = SIZE_MAX;
    for (size_t at = 0; at < text.len; at += BLOCK) {
        char last[BLOCK] = {0};
        size_t left = text.len - at;
        if (left < BLOCK) memcpy(last, text.ptr + at, left);
        uint64_t mask = lower_block(left < BLOCK ? last : text.ptr + at, lower + at);
        for (uint64_t edges = mask ^ (mask << 1 | before); edges; edges &= edges - 1) {
            size_t edge = at + (size_t)__builtin_ctzll(edges);
            if (start == SIZE_MAX)
                start = edge;
            else
                add_word(set, lower, lower + start, edge - start), start = SIZE_MAX;
        }
        before = mask >> 63;
    }
    if (start != SIZE_MAX) add_word(set, lower, lower + start, text.len - start);
}

void word_set_free(struct word_set *set) {
    free(set->hashes);
    buf_free(&set->lower);
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
        distinct += i == 0 ||
                    memcmp(ids + (size_t)i * TRACE_ID_SIZE, ids + (size_t)(i - 1) * TRACE_ID_SIZE, TRACE_ID_SIZE) != 0;
    uint32_t bytes = bloom_bytes_for(distinct);
    uint8_t *bits = put_room(out, bytes);
    for (uint32_t i = 0; bits && i < count; i++)
        bloom_add(bits, bytes, XXH64(ids + (size_t)i * TRACE_ID_SIZE, TRACE_ID_SIZE, 0));
}
