/* What a writer knows of its row groups, and the footer made of it. */
#ifndef STORE_PARQUET_FOOTER_H
#define STORE_PARQUET_FOOTER_H

#include "span/span.h"
#include "store/parquet.h"

enum { STAT_BYTES = 64 }; /* longer texts are left out of statistics */

struct written_chunk {              /* a column of a row group */
    int64_t dictionary_at, data_at; /* -1 = none */
    int64_t compressed, uncompressed, nulls;
    int64_t index_at; /* of its OffsetIndex */
    int32_t index_bytes;
    uint32_t distinct; /* 0 = not known */
    enum parquet_encoding encoding;
    enum parquet_codec codec;
    uint8_t min[STAT_BYTES], max[STAT_BYTES];
    uint8_t min_len, max_len;
    bool has_range;
};

struct written_group {
    uint32_t rows;
    struct written_chunk chunks[COL_COUNT];
    int64_t traces_at, words_at, max_end_ns; /* bits of the filters */
    uint32_t traces_bytes, words_bytes;
    int64_t extras_at; /* page indexes, trace filter, word bits: they lie together */
    uint32_t extras_bytes, extras_crc;
    int64_t list_at, attrs_at; /* trace_list.h, attr_index.h; bytes 0 = none */
    uint32_t list_bytes, trace_count, attrs_bytes, attr_directory_bytes;
    bool joiners; /* as in struct rowgroup */
};

void put_footer(struct buf *out, const struct written_group *groups, uint32_t group_count, struct slice origin);

#endif
