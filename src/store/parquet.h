/* Apache Parquet, the part that we write: numbers of the format (parquet.thrift, format version 2.10), and the
 * encodings that writer and reader share. */
#ifndef STORE_PARQUET_H
#define STORE_PARQUET_H

#include "base/buf.h"

enum parquet_type { PARQUET_INT64 = 2, PARQUET_DOUBLE = 5, PARQUET_BYTE_ARRAY = 6, PARQUET_FIXED = 7 };
enum parquet_encoding { ENCODING_PLAIN = 0, ENCODING_RLE = 3, ENCODING_DELTA = 5, ENCODING_RLE_DICTIONARY = 8 };
enum parquet_codec { CODEC_NONE = 0, CODEC_ZSTD = 6 };
enum parquet_page { PAGE_DATA = 0, PAGE_DICTIONARY = 2 };

enum {
    ROWGROUP_ROWS = 65536,          /* at most */
    ROWGROUP_TEXT_BYTES = 20 << 20, /* of one text column: what a reader of the column must hold */
    PAGE_ROWS_MAX = 8192,           /* reading a few rows decodes one page, not the column */
    PAGE_TEXT_BYTES = 128 << 10
};
/* Schema of a segment, "major.minor" in its footer. A newer minor only adds columns, which older programs skip; a newer
 * major changes what is there, and is refused. */
enum { SEGMENT_MAJOR = 1, SEGMENT_MINOR = 0 };
/* Before the footer: magic, crc32 of the footer, its length. Parquet leaves it alone, since nothing points there. */
#define SEAL_MAGIC "vtr1"
enum { FOOTER_SEAL_BYTES = 12 };

/* Split-block Bloom filter as Parquet defines it (256-bit blocks, eight salts); trace ids by XXH64 seed 0, words by
 * word_hash. */
enum { BLOOM_BLOCK_BYTES = 32 };
uint32_t bloom_bytes_for(uint32_t distinct); /* about 1 % false hits */
void bloom_add(uint8_t *bits, uint32_t bytes, uint64_t hash);
bool bloom_has(const uint8_t *bits, uint32_t bytes, uint64_t hash);

/* DELTA_BINARY_PACKED. decode: false when the bytes are no such encoding of exactly `count` values; bytes past `end` up
 * to 8 are read, so they must be readable. */
void delta_encode(struct buf *out, const int64_t *values, uint32_t count);
bool delta_decode(const uint8_t *at, const uint8_t *end, int64_t *values, uint32_t count);
/* The RLE / bit-packed hybrid, for levels and dictionary codes. Same reading rule. */
void hybrid_encode(struct buf *out, const uint32_t *values, uint32_t count, unsigned width);
bool hybrid_decode(const uint8_t *at, const uint8_t *end, uint32_t *values, uint32_t count, unsigned width);

#endif
