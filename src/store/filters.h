/* Filters of a row group: which trace ids and which words of prompts and completions may be in it. */
#ifndef STORE_FILTERS_H
#define STORE_FILTERS_H

#include "base/buf.h"
#include "store/scan.h"
#include "store/words.h"

/* Words seen so far, as hashes. A zeroed one is empty. */
struct word_set {
    uint64_t *hashes; /* open addressing; 0 = free */
    uint32_t count, capacity;
    bool too_many;    /* a filter would say yes to all, or memory ran out */
    struct buf lower; /* the text at hand, lower-cased */
};
void word_set_add(struct word_set *set, struct slice text);
void word_set_free(struct word_set *set);
uint64_t word_hash(struct slice word); /* lower-cased as words.h says */

/* Appends the bits of a Bloom filter; nothing when there is none to make. Parquet's metadata does not name it:
 * DuckDB 1.5 takes such a filter over binary ids wrongly, those of its own files too, and would find no trace. */
void put_word_bits(struct buf *out, const struct word_set *set);
void put_trace_bits(struct buf *out, const uint8_t *ids, uint32_t count); /* equal ids stand together */

#endif
