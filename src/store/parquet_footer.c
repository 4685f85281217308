/* FileMetaData of parquet.thrift. */
#include "store/parquet_footer.h"

#include "store/thrift.h"

#include <stdio.h>

static const enum parquet_type types[] = {[COL_BYTES] = PARQUET_FIXED,
                                          [COL_INT] = PARQUET_INT64,
                                          [COL_DOUBLE] = PARQUET_DOUBLE,
                                          [COL_DICT] = PARQUET_BYTE_ARRAY,
                                          [COL_STRING] = PARQUET_BYTE_ARRAY};

static bool is_text(enum col col) {
    return span_columns[col].type == COL_DICT || span_columns[col].type == COL_STRING;
}

static void put_logical_type(struct thrift_writer *t, enum col col) {
    if (!is_text(col) && col != COL_START_NS) return;
    thrift_struct(t, 10);
    thrift_struct(t, is_text(col) ? 1 : 8); /* STRING, TIMESTAMP */
    if (col == COL_START_NS) {
        thrift_bool(t, 1, true); /* in UTC */
        thrift_struct(t, 2);
        thrift_struct(t, 3); /* NANOS */
        thrift_end(t);
        thrift_end(t);
    }
    thrift_end(t);
    thrift_end(t);
}

static void put_schema(struct thrift_writer *t) {
    thrift_list(t, 2, THRIFT_STRUCT, COL_COUNT + 1);
    thrift_item_struct(t);
    thrift_binary(t, 4, SLICE("span"));
    thrift_i32(t, 5, COL_COUNT);
    thrift_end(t);
    for (int i = 0; i < COL_COUNT; i++) {
        const struct column *c = &span_columns[i];
        thrift_item_struct(t);
        thrift_i32(t, 1, (int32_t)types[c->type]);
        if (c->type == COL_BYTES) thrift_i32(t, 2, c->width);
        thrift_i32(t, 3, c->optional);
        thrift_binary(t, 4, slice_of(c->name));
        if (is_text((enum col)i)) thrift_i32(t, 6, 0); /* converted type UTF8 */
        put_logical_type(t, (enum col)i);
        thrift_end(t);
    }
}

static void put_statistics(struct thrift_writer *t, const struct written_chunk *chunk) {
    thrift_struct(t, 12);
    thrift_i64(t, 3, chunk->nulls);
    if (chunk->distinct) thrift_i64(t, 4, chunk->distinct);
    if (chunk->has_range) {
        thrift_binary(t, 5, slice_make(chunk->max, chunk->max_len));
        thrift_binary(t, 6, slice_make(chunk->min, chunk->min_len));
    }
    thrift_end(t);
}

static void put_chunk(struct thrift_writer *t, const struct written_group *group, enum col col) {
    const struct written_chunk *chunk = &group->chunks[col];
    thrift_item_struct(t);
    thrift_i64(t, 2, chunk->dictionary_at >= 0 ? chunk->dictionary_at : chunk->data_at);
    thrift_struct(t, 3);
    thrift_i32(t, 1, (int32_t)types[span_columns[col].type]);
    thrift_list(t, 2, THRIFT_I32, 3);
    thrift_item_i32(t, ENCODING_PLAIN);
    thrift_item_i32(t, ENCODING_RLE);
    thrift_item_i32(t, (int32_t)chunk->encoding);
    thrift_list(t, 3, THRIFT_BINARY, 1);
    thrift_item_binary(t, slice_of(span_columns[col].name));
    thrift_i32(t, 4, (int32_t)chunk->codec);
    thrift_i64(t, 5, group->rows);
    thrift_i64(t, 6, chunk->uncompressed);
    thrift_i64(t, 7, chunk->compressed);
    thrift_i64(t, 9, chunk->data_at);
    if (chunk->dictionary_at >= 0) thrift_i64(t, 11, chunk->dictionary_at);
    put_statistics(t, chunk);
    thrift_end(t);
    if (chunk->index_bytes) {
        thrift_i64(t, 4, chunk->index_at);
        thrift_i32(t, 5, chunk->index_bytes);
    }
    thrift_end(t);
}

static void put_key_value(struct thrift_writer *t, const char *key, struct slice value) {
    thrift_item_struct(t);
    thrift_binary(t, 1, slice_of(key));
    thrift_binary(t, 2, value);
    thrift_end(t);
}

/* The order in which min and max are meant: that of the type, for each column. */
static void put_column_orders(struct thrift_writer *t) {
    thrift_list(t, 7, THRIFT_STRUCT, COL_COUNT);
    for (int i = 0; i < COL_COUNT; i++) {
        thrift_item_struct(t);
        thrift_struct(t, 1);
        thrift_end(t);
        thrift_end(t);
    }
}

void put_footer(struct buf *out, const struct written_group *groups, uint32_t group_count, struct slice origin) {
    struct buf notes = {0};
    struct thrift_writer t = {.out = out};
    char version[32];
    uint64_t rows = 0;
    for (uint32_t g = 0; g < group_count; g++) rows += groups[g].rows;
    thrift_i32(&t, 1, 2);
    put_schema(&t);
    thrift_i64(&t, 3, (int64_t)rows);
    thrift_list(&t, 4, THRIFT_STRUCT, group_count);
    for (uint32_t g = 0; g < group_count; g++) {
        const struct written_group *group = &groups[g];
        int64_t bytes = 0;
        thrift_item_struct(&t);
        thrift_list(&t, 1, THRIFT_STRUCT, COL_COUNT);
        for (int c = 0; c < COL_COUNT; c++) put_chunk(&t, group, (enum col)c), bytes += group->chunks[c].uncompressed;
        thrift_i64(&t, 2, bytes);
        thrift_i64(&t, 3, group->rows);
        thrift_end(&t);
        /* What Parquet has no place for: when the last span of a row group ended, filters, a checksum of what is no
         * page, the list of traces, the index of attributes. Older programs stop reading where they know no more. */
        buf_printf(&notes, "%lld:%lld:%u:%lld:%u:%lld:%u:%u:%lld:%u:%u:%lld:%u:%u:%d,", (long long)group->max_end_ns,
                   (long long)group->traces_at, group->traces_bytes, (long long)group->words_at, group->words_bytes,
                   (long long)group->extras_at, group->extras_bytes, group->extras_crc, (long long)group->list_at,
                   group->list_bytes, group->trace_count, (long long)group->attrs_at, group->attrs_bytes,
                   group->attr_directory_bytes, group->joiners);
    }
    snprintf(version, sizeof version, "%d.%d", SEGMENT_MAJOR, SEGMENT_MINOR);
    thrift_list(&t, 5, THRIFT_STRUCT, 3);
    put_key_value(&t, "vitrine.schema", slice_of(version));
    put_key_value(&t, "vitrine.groups", buf_slice(&notes));
    put_key_value(&t, "vitrine.origin", origin);
    thrift_binary(&t, 6, SLICE("vitrine " VITRINE_VERSION));
    put_column_orders(&t);
    thrift_end(&t);
    if (notes.failed) out->failed = true;
    buf_free(&notes);
}
