/* What segment.c (footer, life, filters) and parquet_read.c (pages) share. */
#ifndef STORE_SEGMENT_INTERNAL_H
#define STORE_SEGMENT_INTERNAL_H

#include "store/parquet.h"
#include "store/segment.h"

#include <stdatomic.h>

struct chunk {
    int64_t at, bytes; /* first page (dictionary or data), all pages */
    int64_t values, uncompressed;
    int64_t min, max; /* COL_INT, when has_range */
    enum parquet_codec codec;
    bool has_range, has_dictionary, there;
    int64_t index_at;
    uint32_t index_bytes;
};

struct group {
    struct rowgroup shown;
    struct chunk chunks[COL_COUNT];
    int64_t traces_at, words_at, extras_at; /* extras: page indexes, trace filter, word bits */
    uint32_t traces_bytes, words_bytes, extras_bytes, extras_crc;
    /* Whether a column's checksums (the last: the extras') were found right; set once, by any thread. */
    atomic_bool checked[COL_COUNT + 1];
};

struct segment {
    atomic_int references;
    uint64_t id, bytes, rows;
    int64_t opened_ns;
    const uint8_t *map;
    struct group *groups;
    uint32_t group_count;
    struct store *owner;
    char *path, *origin;
};

/* Walks the pages of a chunk and compares checksums. */
int chunk_check(const struct segment *segment, const struct group *group, enum col col, struct error *err);

/* Compares the checksum of page indexes and filters, at the first use. */
bool extras_are_right(const struct segment *segment, const struct group *group);

#endif
