/* Columns to a Parquet file, a row group after the other, column by column. */
#include "store/attr_index.h"
#include "store/filters.h"
#include "store/parquet_footer.h"
#include "store/segment.h"
#include "store/thrift.h"
#include "store/trace_list.h"

#include <errno.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

enum {
    WRITE_BYTES = 256 << 10,
    GROUPS_MAX = 4096,
    PAGES_MAX = 4096,
    PLAIN_DICTIONARY_MAX = 64,
    PLAIN_DICTIONARY_BYTES = 4096
};

struct page_place {
    int64_t at;
    int32_t bytes;
    uint32_t first_row;
};

/* zstd's level of texts; a negative one is a faster one, 0 leaves all as it is. And whether there is a filter of words
 * and an index of attributes, without which queries read the texts. */
static const struct {
    int level;
    bool indexed;
} efforts[] = {
    [EFFORT_RAW] = {0, false},
    [EFFORT_FAST] = {-5, false},
    [EFFORT_SEALED] = {-1, true},
    [EFFORT_MERGED] = {3, true},
};

struct segment_writer {
    int fd;
    enum segment_effort effort;
    char *path;
    uint64_t at;        /* bytes given out so far */
    struct buf pending; /* not yet written */
    ZSTD_CCtx *zstd;
    struct buf page, packed, head;
    uint32_t *codes; /* PAGE_ROWS_MAX */
    int64_t *ints;
    int64_t *starts;          /* of the row group, ROWGROUP_ROWS: to find its latest end */
    struct page_place *pages; /* of the column, PAGES_MAX */
    uint32_t page_count;
    struct written_group *groups;
    uint32_t group_count, group_capacity;
    struct arena arena; /* of the column */
    struct word_set words;
    struct buf extras; /* page indexes and filters, until their place comes */
    struct buf traces; /* filter of trace ids */
    struct buf attrs;  /* index of attributes */
    bool failed;
    struct error err;
};

static void fail(struct segment_writer *w, int code, const char *what) {
    if (!w->failed) error_set(&w->err, code, "%s: %s", w->path, what);
    w->failed = true;
}

static void fail_io(struct segment_writer *w) {
    fail(w, errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? VT_EFULL : VT_EIO, strerror(errno));
}

/* ---- bytes out ---- */

static void flush(struct segment_writer *w) {
    const char *at = w->pending.ptr;
    size_t left = w->pending.len;
    if (w->pending.failed) fail(w, VT_ENOMEM, "no memory to write it");
    while (left && !w->failed) {
        ssize_t n = write(w->fd, at, left);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            if (!n) errno = ENOSPC;
            fail_io(w);
            break;
        }
        at += n;
        left -= (size_t)n;
    }
    buf_clear(&w->pending);
}

static void put(struct segment_writer *w, const void *data, size_t len) {
    buf_put(&w->pending, data, len);
    w->at += len;
    if (w->pending.len >= WRITE_BYTES) flush(w);
}

static struct slice compress(struct segment_writer *w, struct slice body) {
    size_t bound = ZSTD_compressBound(body.len);
    buf_clear(&w->packed);
    if (!buf_reserve(&w->packed, bound)) return fail(w, VT_ENOMEM, "no memory for a page"), body;
    size_t n =
        ZSTD_compressCCtx(w->zstd, w->packed.ptr, bound, body.ptr ? body.ptr : "", body.len, efforts[w->effort].level);
    if (ZSTD_isError(n)) return fail(w, VT_ENOMEM, ZSTD_getErrorName(n)), body;
    return slice_make(w->packed.ptr, n);
}

static void put_page_header(struct segment_writer *w, enum parquet_page type, uint32_t values,
                            enum parquet_encoding encoding, size_t size, struct slice stored) {
    struct thrift_writer t = {.out = &w->head};
    buf_clear(&w->head);
    thrift_i32(&t, 1, (int32_t)type);
    thrift_i32(&t, 2, (int32_t)size);
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
}

/* Writes header and body of w->page, compressed where the column is. */
static void put_page(struct segment_writer *w, struct written_chunk *chunk, enum parquet_page type, uint32_t first,
                     uint32_t values, enum parquet_encoding encoding) {
    struct slice body = buf_slice(&w->page);
    if (w->page.failed || body.len > INT32_MAX) fail(w, VT_ENOMEM, "no memory for a page");
    struct slice stored = chunk->codec == CODEC_ZSTD && !w->failed ? compress(w, body) : body;
    put_page_header(w, type, values, encoding, body.len, stored);
    if (type == PAGE_DICTIONARY) {
        chunk->dictionary_at = (int64_t)w->at;
    } else {
        if (chunk->data_at < 0) chunk->data_at = (int64_t)w->at;
        chunk->encoding = encoding;
        if (w->page_count < PAGES_MAX)
            w->pages[w->page_count] = (struct page_place){(int64_t)w->at, (int32_t)(w->head.len + stored.len), first};
        w->page_count++;
    }
    put(w, w->head.ptr, w->head.len);
    put(w, stored.ptr, stored.len);
    chunk->uncompressed += (int64_t)(w->head.len + body.len);
    chunk->compressed += (int64_t)(w->head.len + stored.len);
    buf_clear(&w->page);
}

/* ---- columns ---- */

static bool is_known(const struct vec *vec, enum col col, uint32_t i) {
    switch (vec->type) {
    case COL_BYTES: return !id_is_zero(vec->bytes + (size_t)i * span_columns[col].width, span_columns[col].width);
    case COL_INT: return vec->ints[i] != SPAN_NO_INT;
    case COL_DOUBLE: return !isnan(vec->doubles[i]);
    case COL_DICT: return vec->codes[i] != 0;
    case COL_STRING: return vec->text[i].len > 0;
    }
    return false;
}

/* The definition levels of an optional column: 1 = there. */
static void put_levels(struct segment_writer *w, struct written_chunk *chunk, enum col col, const struct vec *vec,
                       uint32_t first, uint32_t count) {
    uint32_t known = 0, length;
    if (!span_columns[col].optional) return;
    for (uint32_t i = 0; i < count; i++) known += w->codes[i] = is_known(vec, col, first + i);
    size_t mark = w->page.len;
    buf_put(&w->page, "\0\0\0\0", 4);
    hybrid_encode(&w->page, w->codes, count, 1);
    if (w->page.failed) return;
    length = (uint32_t)(w->page.len - mark - 4);
    memcpy(w->page.ptr + mark, &length, 4);
    chunk->nulls += count - known;
}

static void put_range(struct written_chunk *chunk, struct slice min, struct slice max) {
    if (min.len > STAT_BYTES || max.len > STAT_BYTES) return;
    memcpy(chunk->min, min.ptr, min.len);
    memcpy(chunk->max, max.ptr, max.len);
    chunk->min_len = (uint8_t)min.len;
    chunk->max_len = (uint8_t)max.len;
    chunk->has_range = true;
}

static void put_bytes(struct segment_writer *w, struct written_chunk *chunk, enum col col, const struct vec *vec,
                      uint32_t first, uint32_t count) {
    size_t width = span_columns[col].width;
    for (uint32_t i = first; i < first + count; i++)
        if (!span_columns[col].optional || is_known(vec, col, i)) buf_put(&w->page, vec->bytes + i * width, width);
    put_page(w, chunk, PAGE_DATA, first, count, ENCODING_PLAIN);
}

static void put_ints(struct segment_writer *w, struct written_chunk *chunk, enum col col, const struct vec *vec,
                     uint32_t first, uint32_t count) {
    uint32_t known = 0;
    int64_t min = INT64_MAX, max = INT64_MIN, old;
    for (uint32_t i = first; i < first + count; i++) {
        int64_t value = vec->ints[i];
        if (value == SPAN_NO_INT && span_columns[col].optional) continue;
        w->ints[known++] = value;
        if (value < min) min = value;
        if (value > max) max = value;
    }
    if (chunk->has_range) {
        memcpy(&old, chunk->min, 8);
        if (old < min) min = old;
        memcpy(&old, chunk->max, 8);
        if (old > max) max = old;
    }
    if (min <= max) put_range(chunk, slice_make(&min, 8), slice_make(&max, 8));
    delta_encode(&w->page, w->ints, known);
    put_page(w, chunk, PAGE_DATA, first, count, ENCODING_DELTA);
}

static void put_doubles(struct segment_writer *w, struct written_chunk *chunk, enum col col, const struct vec *vec,
                        uint32_t first, uint32_t count) {
    double min = (double)INFINITY, max = -(double)INFINITY, old;
    for (uint32_t i = first; i < first + count; i++) {
        if (isnan(vec->doubles[i])) continue;
        buf_put(&w->page, &vec->doubles[i], sizeof(double));
        min = fmin(min, vec->doubles[i]);
        max = fmax(max, vec->doubles[i]);
    }
    if (chunk->has_range) {
        memcpy(&old, chunk->min, 8);
        min = fmin(min, old);
        memcpy(&old, chunk->max, 8);
        max = fmax(max, old);
    }
    /* The format asks for -0 as the least zero and +0 as the greatest. */
    if (min == 0) min = -0.0;
    if (max == 0) max = 0.0;
    if (min <= max) put_range(chunk, slice_make(&min, 8), slice_make(&max, 8));
    put_page(w, chunk, PAGE_DATA, first, count, ENCODING_PLAIN);
}

static int text_order(struct slice a, struct slice b) {
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static void put_text(struct buf *page, struct slice text) {
    uint32_t len = (uint32_t)text.len;
    buf_put(page, &len, sizeof len);
    buf_put_slice(page, text);
}

static void put_strings(struct segment_writer *w, struct written_chunk *chunk, enum col col, const struct vec *vec,
                        uint32_t first, uint32_t count) {
    for (uint32_t i = first; i < first + count; i++)
        if (vec->text[i].len) put_text(&w->page, vec->text[i]);
    put_page(w, chunk, PAGE_DATA, first, count, ENCODING_PLAIN);
}

static void put_codes(struct segment_writer *w, struct written_chunk *chunk, enum col col, const struct vec *vec,
                      uint32_t first, uint32_t count) {
    uint32_t known = 0;
    unsigned width = chunk->distinct > 1 ? 32 - (unsigned)__builtin_clz(chunk->distinct - 1) : 1;
    for (uint32_t i = first; i < first + count; i++)
        if (vec->codes[i]) w->codes[known++] = vec->codes[i] - 1;
    buf_putc(&w->page, (char)width);
    hybrid_encode(&w->page, w->codes, known, width);
    put_page(w, chunk, PAGE_DATA, first, count, ENCODING_RLE_DICTIONARY);
}

/* Numbers the texts that are used from 1, in order of first sight, and writes them; what no row uses is not written. */
static bool put_dictionary(struct segment_writer *w, struct written_chunk *chunk, const struct vec *vec,
                           struct vec *renumbered) {
    uint32_t *map = arena_calloc(&w->arena, vec->dict_count + 1, sizeof *map),
             *codes = arena_alloc(&w->arena, vec->count * sizeof *codes);
    uint32_t distinct = 0;
    struct slice min = {NULL, 0}, max = {NULL, 0};
    if (!map || !codes) return fail(w, VT_ENOMEM, "no memory for a dictionary"), false;
    for (uint32_t i = 0; i < vec->count; i++) {
        uint32_t code = vec->codes[i];
        if (code && !map[code]) {
            struct slice text = vec->dict[code];
            map[code] = ++distinct;
            put_text(&w->page, text);
            if (distinct == 1) min = max = text;
            if (text_order(text, min) < 0) min = text;
            if (text_order(text, max) > 0) max = text;
        }
        codes[i] = map[code];
    }
    /* Codes of a few short texts are read as they lie: every aggregate by model or kind reads them. */
    if (distinct <= PLAIN_DICTIONARY_MAX && w->page.len <= PLAIN_DICTIONARY_BYTES) chunk->codec = CODEC_NONE;
    put_page(w, chunk, PAGE_DICTIONARY, 0, distinct, ENCODING_PLAIN);
    chunk->distinct = distinct;
    if (distinct) put_range(chunk, min, max);
    *renumbered = *vec;
    renumbered->codes = codes;
    return true;
}

/* Spans of a trace stand together, so its id is written once where that saves enough; codes count the runs. */
static bool put_runs(struct segment_writer *w, struct written_chunk *chunk, enum col col, const struct vec *vec,
                     struct vec *coded) {
    size_t width = span_columns[col].width;
    uint32_t *codes = arena_alloc(&w->arena, vec->count * sizeof *codes), runs = 0;
    if (!codes) return fail(w, VT_ENOMEM, "no memory for codes"), false;
    for (uint32_t i = 0; i < vec->count; i++) {
        runs += !i || memcmp(vec->bytes + i * width, vec->bytes + (i - 1) * width, width) != 0;
        codes[i] = runs;
    }
    if (runs > vec->count / 2) return false;
    for (uint32_t i = 0; i < vec->count; i++)
        if (!i || codes[i] != codes[i - 1]) buf_put(&w->page, vec->bytes + i * width, width);
    put_page(w, chunk, PAGE_DICTIONARY, 0, runs, ENCODING_PLAIN);
    chunk->distinct = runs;
    *coded = (struct vec){.type = COL_DICT, .count = vec->count, .codes = codes};
    return true;
}

/* How many rows from `first` make a page. */
static uint32_t page_rows(const struct vec *vec, enum col col, uint32_t first) {
    uint32_t left = vec->count - first, rows = 0;
    if (vec->type == COL_BYTES && !span_columns[col].optional) return left; /* one page: read where it lies */
    if (left > PAGE_ROWS_MAX) left = PAGE_ROWS_MAX;
    if (vec->type != COL_STRING) return left;
    for (size_t bytes = 0; rows < left && (!rows || bytes + vec->text[first + rows].len <= PAGE_TEXT_BYTES); rows++)
        bytes += vec->text[first + rows].len + 4;
    return rows;
}

typedef void put_values(struct segment_writer *, struct written_chunk *, enum col, const struct vec *, uint32_t,
                        uint32_t);
static put_values *const put_by_type[] = {[COL_BYTES] = put_bytes,
                                          [COL_INT] = put_ints,
                                          [COL_DOUBLE] = put_doubles,
                                          [COL_DICT] = put_codes,
                                          [COL_STRING] = put_strings};

/* Costs hardly shrink and are read by every sum; temperatures shrink to nothing. */
static bool packs_well(struct segment_writer *w, const struct vec *vec) {
    enum { LEAST_SAVED = 4 }; /* one part of so many */
    buf_clear(&w->page);
    for (uint32_t i = 0; i < vec->count && i < PAGE_ROWS_MAX; i++)
        if (!isnan(vec->doubles[i])) buf_put(&w->page, &vec->doubles[i], sizeof *vec->doubles);
    size_t plain = w->page.len, packed = w->page.failed ? 0 : compress(w, buf_slice(&w->page)).len;
    buf_clear(&w->page);
    return !plain || packed <= plain - plain / LEAST_SAVED;
}

static void put_column(struct segment_writer *w, struct written_chunk *chunk, enum col col, const struct vec *vec) {
    *chunk = (struct written_chunk){.dictionary_at = -1, .data_at = -1, .codec = CODEC_ZSTD};
    struct vec own = *vec;
    w->page_count = 0;
    /* Random ids do not compress, and packed numbers hardly: as they are they need no copy on the way back. */
    if (vec->type == COL_BYTES || vec->type == COL_INT || !efforts[w->effort].level) chunk->codec = CODEC_NONE;
    if (vec->type == COL_DOUBLE && chunk->codec != CODEC_NONE && !packs_well(w, vec)) chunk->codec = CODEC_NONE;
    if (vec->type == COL_DICT && !put_dictionary(w, chunk, vec, &own)) return;
    if (col == COL_TRACE_ID) put_runs(w, chunk, col, vec, &own);
    for (uint32_t first = 0, rows; first < own.count && !w->failed; first += rows) {
        rows = page_rows(&own, col, first);
        put_levels(w, chunk, col, &own, first, rows);
        put_by_type[own.type](w, chunk, col, &own, first, rows);
    }
}

/* Parquet's OffsetIndex: where each page lies and at which row it begins. Its place is told from the start of the
 * extras. */
static void put_offset_index(struct segment_writer *w, struct written_chunk *chunk) {
    if (w->page_count > PAGES_MAX) return; /* an index only saves time */
    struct thrift_writer t = {.out = &w->extras};
    chunk->index_at = (int64_t)w->extras.len;
    thrift_list(&t, 1, THRIFT_STRUCT, w->page_count);
    for (uint32_t i = 0; i < w->page_count; i++) {
        thrift_item_struct(&t);
        thrift_i64(&t, 1, w->pages[i].at);
        thrift_i32(&t, 2, w->pages[i].bytes);
        thrift_i64(&t, 3, w->pages[i].first_row);
        thrift_end(&t);
    }
    thrift_end(&t);
    chunk->index_bytes = (int32_t)(w->extras.len - (size_t)chunk->index_at);
}

/* What else is made of a column while it is at hand. */
static void look_at(struct segment_writer *w, struct written_group *group, enum col col, const struct vec *vec) {
    switch (col) {
    case COL_TRACE_ID: put_trace_bits(&w->traces, vec->bytes, vec->count); break;
    case COL_START_NS: memcpy(w->starts, vec->ints, vec->count * sizeof *w->starts); break;
    case COL_DURATION_NS:
        for (uint32_t i = 0; i < vec->count; i++) {
            int64_t end;
            if (__builtin_add_overflow(w->starts[i], vec->ints[i], &end)) end = INT64_MAX;
            if (end > group->max_end_ns) group->max_end_ns = end;
        }
        break;
    case COL_PROMPT:
    case COL_COMPLETION:
        for (uint32_t i = 0; i < vec->count && efforts[w->effort].indexed; i++) word_set_add(&w->words, vec->text[i]);
        break;
    case COL_ATTRIBUTES:
        if (efforts[w->effort].indexed && !attr_index_put(&w->attrs, vec, w->zstd, &group->attr_directory_bytes))
            fail(w, VT_ENOMEM, "no memory for an index of attributes");
        break;
    default: break;
    }
}

/* Behind the columns: page indexes, trace filter, word bits, under one checksum; and zeros, so that the pages of a long
 * list of traces, which follows, are pages of the file. */
static void put_extras(struct segment_writer *w, struct written_group *group) {
    static const char zeros[LIST_PAGE];
    struct buf *extras = &w->extras;
    int64_t base = (int64_t)w->at;
    for (int c = 0; c < COL_COUNT; c++) group->chunks[c].index_at += base;
    group->traces_at = base + (int64_t)extras->len;
    group->traces_bytes = (uint32_t)w->traces.len;
    buf_put_slice(extras, buf_slice(&w->traces));
    group->words_at = base + (int64_t)extras->len;
    if (efforts[w->effort].indexed) put_word_bits(extras, &w->words);
    group->words_bytes = (uint32_t)(base + (int64_t)extras->len - group->words_at);
    if (group->trace_count > LIST_PAGE_ITEMS)
        buf_put(extras, zeros, (LIST_PAGE - (w->at + extras->len) % LIST_PAGE) % LIST_PAGE);
    if (extras->failed || w->traces.failed) return fail(w, VT_ENOMEM, "no memory for filters");
    group->extras_at = base;
    group->extras_bytes = (uint32_t)extras->len;
    group->extras_crc = libdeflate_crc32(0, extras->ptr, extras->len);
    put(w, extras->ptr, extras->len);
    buf_clear(extras);
    buf_clear(&w->traces);
    word_set_free(&w->words);
}

/* The list of traces and what is not whole among them, from the columns once more; to w->page. */
static int make_trace_list(struct segment_writer *w, struct written_group *group, const struct row_source *source,
                           uint32_t first, uint32_t count) {
    struct vec columns[COL_COUNT];
    struct trace_list list;
    int code = 0;
    arena_reset(&w->arena);
    for (int i = 0; i < TRACE_COLUMNS && !code; i++)
        code =
            source->read(source->ctx, trace_columns[i], first, count, &w->arena, &columns[trace_columns[i]], &w->err);
    if (code) return code;
    if (!trace_list_make(columns, &w->arena, &list))
        return error_set(&w->err, VT_ENOMEM, "no memory for a list of traces");
    buf_clear(&w->page);
    trace_list_put(&w->page, &list);
    if (w->page.failed) return error_set(&w->err, VT_ENOMEM, "no memory for a list of traces");
    group->trace_count = list.count;
    group->joiners = list.joiners;
    return 0;
}

static void put_lists(struct segment_writer *w, struct written_group *group) {
    group->list_at = (int64_t)w->at;
    group->list_bytes = (uint32_t)w->page.len;
    put(w, w->page.ptr, w->page.len);
    buf_clear(&w->page);
    group->attrs_at = (int64_t)w->at;
    group->attrs_bytes = group->attr_directory_bytes ? (uint32_t)w->attrs.len : 0;
    put(w, w->attrs.ptr, group->attrs_bytes);
    buf_clear(&w->attrs);
}

/* ---- the file ---- */

int segment_writer_open(struct segment_writer **out, const char *path, enum segment_effort effort, struct error *err) {
    struct segment_writer *w = calloc(1, sizeof *w);
    *out = NULL;
    if (!w) return error_set(err, VT_ENOMEM, "no memory to write %s", path);
    w->effort = effort;
    w->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (w->fd < 0) {
        free(w);
        return error_set(err, errno == ENOSPC || errno == EDQUOT ? VT_EFULL : VT_EIO, "%s: %s", path, strerror(errno));
    }
    w->path = strdup(path);
    w->zstd = ZSTD_createCCtx();
    w->codes = malloc(PAGE_ROWS_MAX * sizeof *w->codes);
    w->ints = malloc(PAGE_ROWS_MAX * sizeof *w->ints);
    w->starts = malloc(ROWGROUP_ROWS * sizeof *w->starts);
    w->pages = malloc(PAGES_MAX * sizeof *w->pages);
    if (!w->path || !w->zstd || !w->codes || !w->ints || !w->starts || !w->pages) {
        segment_writer_abort(w);
        unlink(path);
        return error_set(err, VT_ENOMEM, "no memory to write %s", path);
    }
    put(w, "PAR1", 4);
    *out = w;
    return 0;
}

static struct written_group *add_group(struct segment_writer *w) {
    if (w->group_count == w->group_capacity) {
        uint32_t capacity = w->group_capacity ? 2 * w->group_capacity : 1;
        struct written_group *more = capacity <= GROUPS_MAX ? realloc(w->groups, capacity * sizeof *more) : NULL;
        if (!more) return fail(w, VT_ENOMEM, "no memory for a row group"), NULL;
        w->groups = more;
        w->group_capacity = capacity;
    }
    return &w->groups[w->group_count++];
}

int segment_writer_group(struct segment_writer *w, const struct row_source *source, uint32_t first, uint32_t count,
                         struct error *err) {
    struct written_group *group = add_group(w);
    if (group) *group = (struct written_group){.rows = count, .max_end_ns = INT64_MIN};
    for (int c = 0; c < COL_COUNT && !w->failed; c++) {
        struct vec vec;
        arena_reset(&w->arena);
        if (source->read(source->ctx, (enum col)c, first, count, &w->arena, &vec, &w->err)) {
            w->failed = true;
            break;
        }
        put_column(w, &group->chunks[c], (enum col)c, &vec);
        put_offset_index(w, &group->chunks[c]);
        look_at(w, group, (enum col)c, &vec);
    }
    if (!w->failed && make_trace_list(w, group, source, first, count)) w->failed = true;
    if (!w->failed) put_extras(w, group);
    if (!w->failed) put_lists(w, group);
    arena_free(&w->arena);
    if (w->failed && err) *err = w->err;
    return w->failed ? w->err.code : 0;
}

static void release(struct segment_writer *w) {
    if (w->fd >= 0) close(w->fd);
    buf_free(&w->pending);
    buf_free(&w->page);
    buf_free(&w->packed);
    buf_free(&w->head);
    buf_free(&w->extras);
    buf_free(&w->traces);
    buf_free(&w->attrs);
    word_set_free(&w->words);
    arena_free(&w->arena);
    free(w->path);
    free(w->codes);
    free(w->ints);
    free(w->starts);
    free(w->pages);
    free(w->groups);
    ZSTD_freeCCtx(w->zstd);
    free(w);
}

void segment_writer_abort(struct segment_writer *w) {
    if (!w) return;
    if (w->path) unlink(w->path);
    release(w);
}

int segment_writer_finish(struct segment_writer *w, const char *origin, uint64_t *bytes, struct error *err) {
    struct buf footer = {0};
    put_footer(&footer, w->groups, w->group_count, slice_of(origin));
    if (footer.failed) fail(w, VT_ENOMEM, "no memory for the footer");
    uint32_t length = (uint32_t)footer.len, crc = libdeflate_crc32(0, footer.ptr ? footer.ptr : "", footer.len);
    put(w, SEAL_MAGIC, 4);
    put(w, &crc, 4);
    put(w, &length, 4);
    put(w, footer.ptr, footer.len);
    put(w, &length, 4);
    put(w, "PAR1", 4);
    buf_free(&footer);
    flush(w);
    if (!w->failed && fsync(w->fd)) fail_io(w);
    if (close(w->fd)) fail_io(w);
    w->fd = -1;
    *bytes = w->at;
    int code = w->failed ? w->err.code : 0;
    if (code && err) *err = w->err;
    if (code)
        segment_writer_abort(w);
    else
        release(w);
    return code;
}
