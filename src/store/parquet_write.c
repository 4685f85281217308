/* Spans to a Parquet file, a row group after the other, column by column. */
#include "store/parquet.h"
#include "store/segment.h"
#include "store/thrift.h"
#include "store/words.h"

#include <errno.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { ZSTD_LEVEL = 1, WRITE_BYTES = 1 << 20, GROUPS_MAX = 4096, WORDS_MAX = 1 << 17 };

struct chunk { /* a column of a row group, as the footer tells of it */
    int64_t dictionary_at, data_at, compressed, uncompressed, nulls;
    int64_t min, max;     /* COL_INT */
    enum parquet_encoding encoding;
    enum parquet_codec codec;
};

struct group {
    uint32_t rows;
    struct chunk chunks[COL_COUNT];
    int64_t bloom_at, words_at, max_end_ns;
    uint32_t bloom_bytes, words_bytes;
};

struct writer {
    int fd;
    const char *path;
    uint64_t at;        /* bytes given out so far */
    struct buf pending; /* not yet written */
    ZSTD_CCtx *zstd;
    struct buf page, packed, head;
    uint32_t *codes;    /* ROWGROUP_ROWS */
    int64_t *ints;
    struct group *groups;
    uint32_t group_count;
    bool failed;
    struct error *err;
};

/* ---- bytes out ---- */

static void flush(struct writer *w) {
    const char *at = w->pending.ptr;
    size_t left = w->pending.len;
    if (w->pending.failed && !w->failed) w->failed = true, error_set(w->err, VT_ENOMEM, "no memory to write %s", w->path);
    while (left && !w->failed) {
        ssize_t n = write(w->fd, at, left);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            w->failed = true;
            error_set(w->err, errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? VT_EFULL : VT_EIO, "%s: %s", w->path, strerror(errno));
            break;
        }
        at += n;
        left -= (size_t)n;
    }
    buf_clear(&w->pending);
}

static void put(struct writer *w, const void *data, size_t len) {
    buf_put(&w->pending, data, len);
    w->at += len;
    if (w->pending.len >= WRITE_BYTES) flush(w);
}

/* Compresses w->page (where that helps), writes header and body. */
static void put_page(struct writer *w, struct chunk *chunk, enum parquet_page type, uint32_t values, enum parquet_encoding encoding) {
    struct slice body = buf_slice(&w->page);
    if (chunk->codec == CODEC_ZSTD) {
        buf_clear(&w->packed);
        size_t bound = ZSTD_compressBound(body.len);
        if (!buf_reserve(&w->packed, bound)) {
            w->page.failed = true;
        } else {
            size_t n = ZSTD_compressCCtx(w->zstd, w->packed.ptr, bound, body.ptr ? body.ptr : "", body.len, ZSTD_LEVEL);
            if (ZSTD_isError(n)) w->page.failed = true;
            else w->packed.len = n;
        }
    }
    struct slice stored = chunk->codec == CODEC_ZSTD ? buf_slice(&w->packed) : body;
    if (w->page.failed && !w->failed) w->failed = true, error_set(w->err, VT_ENOMEM, "no memory for a page of %s", w->path);
    buf_clear(&w->head);
    struct thrift_writer t = {.out = &w->head};
    thrift_i32(&t, 1, (int32_t)type);
    thrift_i32(&t, 2, (int32_t)body.len);
    thrift_i32(&t, 3, (int32_t)stored.len);
    thrift_i32(&t, 4, (int32_t)libdeflate_crc32(0, stored.ptr ? stored.ptr : "", stored.len));
    thrift_struct(&t, type == PAGE_DATA ? 5 : 7);
    thrift_i32(&t, 1, (int32_t)values);
    thrift_i32(&t, 2, (int32_t)encoding);
    if (type == PAGE_DATA) {
        thrift_i32(&t, 3, ENCODING_RLE);
        thrift_i32(&t, 4, ENCODING_RLE);
    }
    thrift_end(&t);
    thrift_end(&t);
    if (type == PAGE_DATA && chunk->data_at < 0) chunk->data_at = (int64_t)w->at;
    if (type == PAGE_DICTIONARY) chunk->dictionary_at = (int64_t)w->at;
    put(w, w->head.ptr, w->head.len);
    put(w, stored.ptr, stored.len);
    chunk->uncompressed += (int64_t)(w->head.len + body.len);
    chunk->compressed += (int64_t)(w->head.len + stored.len);
    buf_clear(&w->page);
}

/* ---- columns ---- */

static bool is_known(const struct span *span, enum col col) {
    const struct column *c = &span_columns[col];
    switch (c->type) {
    case COL_BYTES: return !id_is_zero((const uint8_t *)span + c->offset, c->width);
    case COL_INT: return span_get_int(span, col) != SPAN_NO_INT;
    case COL_DOUBLE: return !isnan(span_get_double(span, col));
    case COL_DICT:
    case COL_STRING: return span_get_text(span, col).len > 0;
    }
    return false;
}

/* The definition levels of an optional column: 1 = there. Returns how many are. */
static uint32_t put_levels(struct writer *w, struct chunk *chunk, enum col col, const struct span *const *rows, uint32_t count) {
    uint32_t known = count, length;
    if (!span_columns[col].optional) return known;
    known = 0;
    for (uint32_t i = 0; i < count; i++) known += w->codes[i] = is_known(rows[i], col);
    size_t mark = w->page.len;
    buf_put(&w->page, "\0\0\0\0", 4);
    hybrid_encode(&w->page, w->codes, count, 1);
    if (w->page.failed) return 0;
    length = (uint32_t)(w->page.len - mark - 4);
    memcpy(w->page.ptr + mark, &length, 4);
    chunk->nulls += count - known;
    return known;
}

static void put_bytes_column(struct writer *w, struct chunk *chunk, enum col col, const struct span *const *rows, uint32_t count) {
    const struct column *c = &span_columns[col];
    put_levels(w, chunk, col, rows, count);
    for (uint32_t i = 0; i < count; i++)
        if (!c->optional || is_known(rows[i], col)) buf_put(&w->page, (const char *)rows[i] + c->offset, c->width);
    put_page(w, chunk, PAGE_DATA, count, ENCODING_PLAIN);
}

static void put_int_column(struct writer *w, struct chunk *chunk, enum col col, const struct span *const *rows, uint32_t count) {
    uint32_t known = 0;
    put_levels(w, chunk, col, rows, count);
    for (uint32_t i = 0; i < count; i++) {
        int64_t value = span_get_int(rows[i], col);
        if (value == SPAN_NO_INT) continue;
        w->ints[known++] = value;
        if (value < chunk->min) chunk->min = value;
        if (value > chunk->max) chunk->max = value;
    }
    chunk->encoding = ENCODING_DELTA;
    delta_encode(&w->page, w->ints, known);
    put_page(w, chunk, PAGE_DATA, count, ENCODING_DELTA);
}

static void put_double_column(struct writer *w, struct chunk *chunk, enum col col, const struct span *const *rows, uint32_t count) {
    put_levels(w, chunk, col, rows, count);
    for (uint32_t i = 0; i < count; i++) {
        double value = span_get_double(rows[i], col);
        if (!isnan(value)) buf_put(&w->page, &value, sizeof value);
    }
    put_page(w, chunk, PAGE_DATA, count, ENCODING_PLAIN);
}

static void put_text(struct buf *page, struct slice text) {
    uint32_t len = (uint32_t)text.len;
    buf_put(page, &len, sizeof len);
    buf_put_slice(page, text);
}

static void put_string_column(struct writer *w, struct chunk *chunk, enum col col, const struct span *const *rows, uint32_t count) {
    for (uint32_t start = 0, end; start < count; start = end) {
        size_t bytes = 0;
        for (end = start; end < count && (end == start || bytes < PAGE_BYTES); end++) bytes += span_get_text(rows[end], col).len + 4;
        put_levels(w, chunk, col, rows + start, end - start);
        for (uint32_t i = start; i < end; i++)
            if (span_get_text(rows[i], col).len) put_text(&w->page, span_get_text(rows[i], col));
        put_page(w, chunk, PAGE_DATA, end - start, ENCODING_PLAIN);
    }
}

/* Distinct texts of a column, in order of first sight, by open addressing. */
struct dictionary {
    struct slice *texts;
    uint32_t *slots; /* index + 1 */
    uint32_t count, slot_count;
};

static uint32_t dictionary_code(struct dictionary *d, struct slice text) {
    uint32_t at = (uint32_t)XXH3_64bits(text.ptr, text.len) & (d->slot_count - 1);
    for (; d->slots[at]; at = (at + 1) & (d->slot_count - 1))
        if (slice_eq(d->texts[d->slots[at] - 1], text)) return d->slots[at] - 1;
    d->texts[d->count] = text;
    d->slots[at] = ++d->count;
    return d->count - 1;
}

static void put_dict_column(struct writer *w, struct chunk *chunk, enum col col, const struct span *const *rows, uint32_t count) {
    struct dictionary d = {.slot_count = 4 * ROWGROUP_ROWS};
    d.texts = malloc(count * sizeof *d.texts);
    d.slots = calloc(d.slot_count, sizeof *d.slots);
    uint32_t *codes = malloc(count * sizeof *codes), known = 0;
    if (d.texts && d.slots && codes) {
        for (uint32_t i = 0; i < count; i++) {
            struct slice text = span_get_text(rows[i], col);
            if (text.len) codes[known++] = dictionary_code(&d, text);
        }
        for (uint32_t i = 0; i < d.count; i++) put_text(&w->page, d.texts[i]);
        put_page(w, chunk, PAGE_DICTIONARY, d.count, ENCODING_PLAIN);
        put_levels(w, chunk, col, rows, count);
        unsigned width = d.count > 1 ? 32 - (unsigned)__builtin_clz(d.count - 1) : 1;
        buf_putc(&w->page, (char)width);
        hybrid_encode(&w->page, codes, known, width);
        chunk->encoding = ENCODING_RLE_DICTIONARY;
        put_page(w, chunk, PAGE_DATA, count, ENCODING_RLE_DICTIONARY);
    } else {
        w->failed = true;
        error_set(w->err, VT_ENOMEM, "no memory for the dictionary of %s", span_columns[col].name);
    }
    free(d.texts);
    free(d.slots);
    free(codes);
}

static void put_column(struct writer *w, struct chunk *chunk, enum col col, const struct span *const *rows, uint32_t count) {
    *chunk = (struct chunk){.dictionary_at = -1, .data_at = -1, .min = INT64_MAX, .max = INT64_MIN, .encoding = ENCODING_PLAIN, .codec = CODEC_ZSTD};
    /* Random ids do not compress, and packed numbers hardly: as they are they need no copy on the way back. */
    if (span_columns[col].type == COL_BYTES || span_columns[col].type == COL_INT) chunk->codec = CODEC_NONE;
    switch (span_columns[col].type) {
    case COL_BYTES: put_bytes_column(w, chunk, col, rows, count); break;
    case COL_INT: put_int_column(w, chunk, col, rows, count); break;
    case COL_DOUBLE: put_double_column(w, chunk, col, rows, count); break;
    case COL_DICT: put_dict_column(w, chunk, col, rows, count); break;
    case COL_STRING: put_string_column(w, chunk, col, rows, count); break;
    }
}

/* ---- filters ---- */

static void put_bloom_head(struct writer *w, uint32_t bytes) {
    buf_clear(&w->head);
    struct thrift_writer t = {.out = &w->head};
    thrift_i32(&t, 1, (int32_t)bytes);
    for (int16_t id = 2; id <= 4; id++) { /* split block, XXH64, not compressed */
        thrift_struct(&t, id);
        thrift_struct(&t, 1);
        thrift_end(&t);
        thrift_end(&t);
    }
    thrift_end(&t);
    put(w, w->head.ptr, w->head.len);
}

static void put_trace_filter(struct writer *w, struct group *group, const struct span *const *rows, uint32_t count) {
    uint32_t distinct = 0, bytes;
    for (uint32_t i = 0; i < count; i++) distinct += i == 0 || memcmp(rows[i]->trace_id, rows[i - 1]->trace_id, TRACE_ID_SIZE) != 0;
    bytes = bloom_bytes_for(distinct);
    uint8_t *bits = calloc(1, bytes);
    if (!bits) return; /* a filter only saves time */
    for (uint32_t i = 0; i < count; i++) bloom_add(bits, bytes, XXH64(rows[i]->trace_id, TRACE_ID_SIZE, 0));
    group->bloom_at = (int64_t)w->at;
    put_bloom_head(w, bytes);
    put(w, bits, bytes);
    group->bloom_bytes = (uint32_t)(w->at - (uint64_t)group->bloom_at);
    free(bits);
}

static void add_word(uint64_t *hashes, uint32_t *count, const char *word, size_t len) {
    uint64_t hash = XXH64(word, len, 0);
    uint32_t at = (uint32_t)hash & (2 * WORDS_MAX - 1);
    if (*count >= WORDS_MAX) return;
    while (hashes[at] && hashes[at] != hash) at = (at + 1) & (2 * WORDS_MAX - 1);
    *count += hashes[at] != hash;
    hashes[at] = hash;
}

/* A word behind a backslash may be one of plain text (C:\new) or follow an escape of JSON (first\nsecond): both are noted. */
static void collect_words(uint64_t *hashes, uint32_t *count, struct slice text) {
    char word[WORD_MAX];
    const char *start = text.ptr;
    size_t len;
    while ((len = word_next(&text, word))) {
        add_word(hashes, count, word, len);
        bool whole = len < WORD_MAX && text.ptr - len > start;
        if (!whole || len < 2 || text.ptr[-(ptrdiff_t)len - 1] != '\\') continue;
        add_word(hashes, count, word + 1, len - 1);
        if (word[0] == 'u' && len > 5) add_word(hashes, count, word + 5, len - 5); /* \u001b */
    }
}

/* Too many words make a filter that says yes to all: then there is none. */
static void put_word_filter(struct writer *w, struct group *group, const struct span *const *rows, uint32_t count) {
    uint64_t *hashes = calloc(2 * WORDS_MAX, sizeof *hashes);
    uint32_t words = 0;
    for (uint32_t i = 0; hashes && i < count; i++) {
        collect_words(hashes, &words, span_get_text(rows[i], COL_PROMPT));
        collect_words(hashes, &words, span_get_text(rows[i], COL_COMPLETION));
    }
    uint32_t bytes = bloom_bytes_for(words);
    uint8_t *bits = hashes && words < WORDS_MAX ? calloc(1, bytes) : NULL;
    for (uint32_t i = 0; bits && i < 2 * WORDS_MAX; i++)
        if (hashes[i]) bloom_add(bits, bytes, hashes[i]);
    if (bits) {
        group->words_at = (int64_t)w->at;
        group->words_bytes = bytes;
        put(w, bits, bytes);
    }
    free(bits);
    free(hashes);
}

/* ---- footer ---- */

static void put_schema(struct thrift_writer *t) {
    static const enum parquet_type types[] = {[COL_BYTES] = PARQUET_FIXED, [COL_INT] = PARQUET_INT64, [COL_DOUBLE] = PARQUET_DOUBLE,
                                              [COL_DICT] = PARQUET_BYTE_ARRAY, [COL_STRING] = PARQUET_BYTE_ARRAY};
    thrift_list(t, 2, THRIFT_STRUCT, COL_COUNT + 1);
    thrift_item_struct(t);
    thrift_binary(t, 4, SLICE("span"));
    thrift_i32(t, 5, COL_COUNT);
    thrift_end(t);
    for (int i = 0; i < COL_COUNT; i++) {
        const struct column *c = &span_columns[i];
        bool text = c->type == COL_DICT || c->type == COL_STRING;
        thrift_item_struct(t);
        thrift_i32(t, 1, (int32_t)types[c->type]);
        if (c->type == COL_BYTES) thrift_i32(t, 2, c->width);
        thrift_i32(t, 3, c->optional);
        thrift_binary(t, 4, slice_of(c->name));
        if (text) thrift_i32(t, 6, 0); /* converted type UTF8 */
        if (text || i == COL_START_NS) {
            thrift_struct(t, 10);
            thrift_struct(t, text ? 1 : 8); /* STRING, TIMESTAMP */
            if (!text) {
                thrift_bool(t, 1, true); /* in UTC */
                thrift_struct(t, 2);
                thrift_struct(t, 3); /* NANOS */
                thrift_end(t);
                thrift_end(t);
            }
            thrift_end(t);
            thrift_end(t);
        }
        thrift_end(t);
    }
}

static void put_chunk(struct thrift_writer *t, const struct group *group, enum col col) {
    static const enum parquet_type types[] = {PARQUET_FIXED, PARQUET_INT64, PARQUET_DOUBLE, PARQUET_BYTE_ARRAY, PARQUET_BYTE_ARRAY};
    const struct chunk *chunk = &group->chunks[col];
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
    thrift_struct(t, 12);
    thrift_i64(t, 3, chunk->nulls);
    if (chunk->min <= chunk->max) {
        thrift_binary(t, 5, slice_make(&chunk->max, 8));
        thrift_binary(t, 6, slice_make(&chunk->min, 8));
    }
    thrift_end(t);
    if (col == COL_TRACE_ID && group->bloom_bytes) {
        thrift_i64(t, 14, group->bloom_at);
        thrift_i32(t, 15, (int32_t)group->bloom_bytes);
    }
    thrift_end(t);
    thrift_end(t);
}

static void put_key_value(struct thrift_writer *t, const char *key, struct slice value) {
    thrift_item_struct(t);
    thrift_binary(t, 1, slice_of(key));
    thrift_binary(t, 2, value);
    thrift_end(t);
}

static void put_footer(struct writer *w, uint64_t rows) {
    struct buf groups = {0};
    char version[16];
    buf_clear(&w->page);
    struct thrift_writer t = {.out = &w->page};
    thrift_i32(&t, 1, 2);
    put_schema(&t);
    thrift_i64(&t, 3, (int64_t)rows);
    thrift_list(&t, 4, THRIFT_STRUCT, w->group_count);
    for (uint32_t g = 0; g < w->group_count; g++) {
        int64_t bytes = 0;
        thrift_item_struct(&t);
        thrift_list(&t, 1, THRIFT_STRUCT, COL_COUNT);
        for (int c = 0; c < COL_COUNT; c++) put_chunk(&t, &w->groups[g], (enum col)c), bytes += w->groups[g].chunks[c].uncompressed;
        thrift_i64(&t, 2, bytes);
        thrift_i64(&t, 3, w->groups[g].rows);
        thrift_end(&t);
        /* What Parquet has no place for: word filters and when the last span of a row group ended. */
        buf_printf(&groups, "%lld:%u:%lld,", (long long)w->groups[g].words_at, w->groups[g].words_bytes, (long long)w->groups[g].max_end_ns);
    }
    snprintf(version, sizeof version, "%d", SEGMENT_SCHEMA);
    thrift_list(&t, 5, THRIFT_STRUCT, 2);
    put_key_value(&t, "vitrine.schema", slice_of(version));
    put_key_value(&t, "vitrine.groups", buf_slice(&groups));
    thrift_binary(&t, 6, SLICE("vitrine " VITRINE_VERSION));
    thrift_end(&t);
    uint32_t length = (uint32_t)w->page.len;
    if (w->page.failed || groups.failed) w->failed = true, error_set(w->err, VT_ENOMEM, "no memory for the footer of %s", w->path);
    put(w, w->page.ptr, w->page.len);
    put(w, &length, sizeof length);
    put(w, "PAR1", 4);
    buf_free(&groups);
}

/* ---- the file ---- */

static uint32_t group_end(const struct span *const *rows, uint32_t start, uint32_t count) {
    size_t bytes = 0;
    uint32_t end = start;
    while (end < count && end - start < ROWGROUP_ROWS && (end == start || bytes < ROWGROUP_TEXT_BYTES)) {
        for (int t = 0; t < COL_TEXT_COUNT; t++) bytes += rows[end]->text[t].len;
        end++;
    }
    return end;
}

static void put_group(struct writer *w, const struct span *const *rows, uint32_t count) {
    struct group *group = &w->groups[w->group_count++];
    *group = (struct group){.rows = count, .max_end_ns = INT64_MIN};
    for (uint32_t i = 0; i < count; i++)
        if (rows[i]->start_ns + rows[i]->duration_ns > group->max_end_ns) group->max_end_ns = rows[i]->start_ns + rows[i]->duration_ns;
    for (int c = 0; c < COL_COUNT && !w->failed; c++) put_column(w, &group->chunks[c], (enum col)c, rows, count);
    put_trace_filter(w, group, rows, count);
    put_word_filter(w, group, rows, count);
}

int segment_write(const char *path, const struct span *const *rows, uint32_t row_count, uint64_t *bytes, struct error *err) {
    struct error local = {0};
    struct writer w = {.path = path, .err = err ? err : &local, .zstd = ZSTD_createCCtx()};
    w.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (w.fd < 0) {
        ZSTD_freeCCtx(w.zstd);
        return error_set(err, VT_EIO, "%s: %s", path, strerror(errno));
    }
    w.codes = malloc(ROWGROUP_ROWS * sizeof *w.codes);
    w.ints = malloc(ROWGROUP_ROWS * sizeof *w.ints);
    w.groups = malloc(GROUPS_MAX * sizeof *w.groups);
    if (!w.codes || !w.ints || !w.groups || !w.zstd) w.failed = true, error_set(w.err, VT_ENOMEM, "no memory to write %s", path);
    put(&w, "PAR1", 4);
    for (uint32_t start = 0, end; start < row_count && !w.failed && w.group_count < GROUPS_MAX; start = end) {
        end = group_end(rows, start, row_count);
        put_group(&w, rows + start, end - start);
    }
    if (!w.failed) put_footer(&w, row_count);
    flush(&w);
    if (!w.failed && fsync(w.fd)) w.failed = true, error_set(w.err, VT_EIO, "%s: %s", path, strerror(errno));
    if (close(w.fd) && !w.failed) w.failed = true, error_set(w.err, VT_EIO, "%s: %s", path, strerror(errno));
    *bytes = w.at;
    buf_free(&w.pending);
    buf_free(&w.page);
    buf_free(&w.packed);
    buf_free(&w.head);
    free(w.codes);
    free(w.ints);
    free(w.groups);
    ZSTD_freeCCtx(w.zstd);
    if (w.failed) unlink(path);
    return w.failed ? w.err->code : 0;
}
