/* Attributes of a row group as columns of their own, beside the JSON in which they stand: for each frequent key of few
 * values a dictionary and a code a row. They lie where other readers of Parquet do not look, since a file's columns
 * must be those of every other file. What is in no index is read from the JSON.
 *
 * In the file: a directory under a CRC-32, naming every key that some row has (as far as they are few); then a section
 * a key, packed by zstd, under the CRC-32 that the directory says. */
#ifndef STORE_ATTR_INDEX_H
#define STORE_ATTR_INDEX_H

#include "base/buf.h"
#include "store/scan.h"

#include <zstd.h>

enum {
    ATTR_KEYS_MAX = 32,     /* indexed */
    ATTR_NAMES_MAX = 256,   /* known by name */
    ATTR_VALUES_MAX = 4096, /* different ones of a key */
    ATTR_DICTIONARY_BYTES = 64 << 10,
    ATTR_RARE = 256 /* a key that fewer rows have than one in so many is not indexed */
};

/* Appends directory and sections for the texts (JSON objects) of the rows; *directory_bytes = 0 when there is nothing
 * to say. False when memory ran out. */
bool attr_index_put(struct buf *out, const struct vec *attributes, ZSTD_CCtx *zstd, uint32_t *directory_bytes);

/* The codes of a key, in the arena. `key` as it stands in the JSON, with quotes. `at` has `bytes` readable ones. False
 * when bytes are broken, or memory ran out (*no_memory). */
bool attr_index_read(const uint8_t *at, size_t bytes, size_t directory_bytes, uint32_t rows, struct slice key,
                     struct arena *arena, struct attr_codes *out, bool *no_memory);
/* Compares all checksums. */
bool attr_index_check(const uint8_t *at, size_t bytes, size_t directory_bytes);

#endif
