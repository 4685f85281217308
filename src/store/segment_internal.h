/* What segment.c (footer, life, filters) and parquet_read.c (pages) share. */
#ifndef STORE_SEGMENT_INTERNAL_H
#define STORE_SEGMENT_INTERNAL_H

#include "store/parquet.h"
#include "store/segment.h"

#include <stdatomic.h>

struct chunk {
    int64_t at, bytes; /* first page (dictionary or data), all pages */
    int64_t values, uncompressed;
    int64_t nulls;    /* -1 = not said */
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
    int64_t list_at, attrs_at; /* trace_list.h, attr_index.h; bytes 0 = none, in older files */
    uint32_t list_bytes, trace_count, attrs_bytes, attr_directory_bytes;
    /* Whether a column's checksums (the last: the extras') were found right; set once, by any thread. */
    atomic_bool checked[COL_COUNT + 1];
    atomic_uint expected[COL_COUNT]; /* when a column was asked for last, in seconds: see chunk_expect */
};

struct segment {
    atomic_int references;
    uint64_t id, bytes, rows;
    uint32_t seal; /* the footer's checksum */
    int64_t opened_ns;
    const uint8_t *map;
    struct group *groups;
    uint32_t group_count;
    struct store *owner;
    char *path, *origin;
};

/* Mapped files are read page by page where they are touched, since the kernel's own guess would read the megabytes
 * between. So whoever goes to read tells what it will need, all of which then comes at once. */
void segment_expect(const struct segment *segment, int64_t at, int64_t bytes);
/* All of a column, unless that was said in the last seconds. */
void chunk_expect(const struct segment *segment, const struct group *group, enum col col);
enum { CHUNK_SMALL_BYTES = 512 << 10 }; /* of larger ones, single pages are worth it */

/* Walks the pages of a chunk and compares checksums. */
int chunk_check(const struct segment *segment, const struct group *group, enum col col, struct error *err);

/* Compares the checksum of page indexes and filters, at the first use. */
bool extras_are_right(const struct segment *segment, const struct group *group);

#endif
