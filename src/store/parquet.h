/* Apache Parquet, the part that we write: numbers of the format (parquet.thrift, format version 2.10), and the encodings that
 * writer and reader share. */
#ifndef STORE_PARQUET_H
#define STORE_PARQUET_H

#include "base/buf.h"

enum parquet_type { PARQUET_INT64 = 2, PARQUET_DOUBLE = 5, PARQUET_BYTE_ARRAY = 6, PARQUET_FIXED = 7 };
enum parquet_encoding { ENCODING_PLAIN = 0, ENCODING_RLE = 3, ENCODING_DELTA = 5, ENCODING_RLE_DICTIONARY = 8 };
enum parquet_codec { CODEC_NONE = 0, CODEC_ZSTD = 6 };
enum parquet_page { PAGE_DATA = 0, PAGE_DICTIONARY = 2 };

enum { ROWGROUP_ROWS = 65536, ROWGROUP_TEXT_BYTES = 48 << 20, PAGE_BYTES = 1 << 20, SEGMENT_SCHEMA = 1 };

/* Split-block Bloom filter as Parquet defines it (256-bit blocks, eight salts), hashes by XXH64 seed 0. */
enum { BLOOM_BLOCK_BYTES = 32 };
uint32_t bloom_bytes_for(uint32_t distinct); /* about 1 % false hits */
void bloom_add(uint8_t *bits, uint32_t bytes, uint64_t hash);
bool bloom_has(const uint8_t *bits, uint32_t bytes, uint64_t hash);

/* DELTA_BINARY_PACKED. decode: false when the bytes are no such encoding of exactly `count` values; bytes past `end` up to 8 are
 * read, so they must be readable. */
void delta_encode(struct buf *out, const int64_t *values, uint32_t count);
bool delta_decode(const uint8_t *at, const uint8_t *end, int64_t *values, uint32_t count);
/* The RLE / bit-packed hybrid, for levels and dictionary codes. Same reading rule. */
void hybrid_encode(struct buf *out, const uint32_t *values, uint32_t count, unsigned width);
bool hybrid_decode(const uint8_t *at, const uint8_t *end, uint32_t *values, uint32_t count, unsigned width);

#endif
