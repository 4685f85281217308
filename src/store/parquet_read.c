/* A segment's columns: pages to vectors. Every page is compared with its checksum before it is believed. */
#include "store/segment_internal.h"

#include "store/columns.h"
#include "store/thrift.h"

#include <libdeflate.h>
#include <pthread.h>
#include <stdlib.h>
#include <zstd.h>

enum { PAGE_MAX = 1 << 30 };

struct page {
    enum parquet_page type;
    enum parquet_encoding encoding;
    uint32_t values;
    struct slice stored; /* in the file */
    uint32_t size;       /* once inflated */
    uint32_t crc;
};

/* What a thread keeps for reading: pages whose bytes nobody points into afterwards are inflated here. */
struct reading {
    ZSTD_DCtx *zstd;
    struct buf body;
    struct buf values;
    uint32_t levels[PAGE_ROWS_MAX], codes[PAGE_ROWS_MAX];
    int64_t known[PAGE_ROWS_MAX + 1]; /* values of a page with gaps, before they move apart */
};

struct page_reader {
    const struct segment *s;
    const struct chunk *chunk;
    enum col col;
    struct arena *arena; /* for what is handed out; NULL when only checking */
    struct reading *own;
    const uint8_t *at, *end;
    bool checked;     /* checksums were compared before */
    bool bare;        /* codes are wanted without their texts */
    struct slice ids; /* dictionary of a COL_BYTES column */
    struct error *err;
};

static pthread_key_t reading_key;
static pthread_once_t reading_once = PTHREAD_ONCE_INIT;

static void free_reading(void *ptr) {
    struct reading *own = ptr;
    ZSTD_freeDCtx(own->zstd);
    buf_free(&own->body);
    buf_free(&own->values);
    free(own);
}

static void make_reading_key(void) {
    pthread_key_create(&reading_key, free_reading);
}

static struct reading *thread_reading(void) {
    pthread_once(&reading_once, make_reading_key);
    struct reading *own = pthread_getspecific(reading_key);
    if (own) return own;
    if (!(own = calloc(1, sizeof *own)) || !(own->zstd = ZSTD_createDCtx())) {
        free(own);
        return NULL;
    }
    pthread_setspecific(reading_key, own);
    return own;
}

static int corrupt(struct page_reader *r, const char *what) {
    return error_set(r->err, VT_ECORRUPT, "%s, column %s: %s", r->s->path, span_columns[r->col].name, what);
}

static int no_memory(struct page_reader *r) {
    return error_set(r->err, VT_ENOMEM, "no memory for column %s", span_columns[r->col].name);
}

static int reader_init(struct page_reader *r, const struct segment *s, const struct group *group, enum col col,
                       struct arena *arena, struct error *err) {
    const struct chunk *chunk = &group->chunks[col];
    *r = (struct page_reader){.s = s, .chunk = chunk, .col = col, .arena = arena, .own = thread_reading(), .err = err};
    r->checked = atomic_load_explicit(&group->checked[col], memory_order_relaxed);
    r->at = s->map + chunk->at;
    r->end = r->at + (chunk->there ? chunk->bytes : 0);
    return r->own ? 0 : no_memory(r);
}

/* ---- pages ---- */

/* -1 for what is no i32 of the four. Bits beyond 32 would be lost in a cast. */
static int64_t read_header_int(struct thrift_reader *t, const struct thrift_field *field) {
    int64_t value = field->id <= 4 && field->type == THRIFT_I32 ? thrift_read_int(t) : -1;
    if (value != (int32_t)value) t->failed = true;
    return value;
}

/* DataPageHeader or DictionaryPageHeader. Returns the fields that were seen, as bits; -1 for one that has no place
 * there. */
static int read_inner_header(struct thrift_reader *t, struct page *page, int64_t *values) {
    struct thrift_field field;
    int seen = 0;
    thrift_enter(t);
    while (thrift_next(t, &field)) {
        int64_t value = read_header_int(t, &field);
        if (field.id == 1)
            *values = value;
        else if (field.id == 2)
            page->encoding = (enum parquet_encoding)value;
        else if (field.id > 4 || value != ENCODING_RLE)
            return -1; /* of levels */
        seen |= 1 << field.id;
    }
    return seen;
}

/* No checksum covers a header, so it must be just as we write it. */
static bool read_page_header(struct page_reader *r, struct page *page) {
    enum { OUTER = 0x1e, DATA_INNER = 0x1e, DICTIONARY_INNER = 0x06 };
    struct thrift_reader t;
    struct thrift_field field;
    int64_t size = -1, stored = -1, values = -1;
    int seen = 0, inner = 0;
    thrift_reader_init(&t, slice_make(r->at, (size_t)(r->end - r->at)));
    *page = (struct page){0};
    while (thrift_next(&t, &field) && inner >= 0) {
        int64_t value = read_header_int(&t, &field);
        switch (field.id) {
        case 1: page->type = (enum parquet_page)value; break;
        case 2: size = value; break;
        case 3: stored = value; break;
        case 4: page->crc = (uint32_t)value; break;
        case 5:
        case 7: inner = field.type == THRIFT_STRUCT && !inner ? read_inner_header(&t, page, &values) : -1; break;
        default: return false;
        }
        seen |= 1 << field.id;
    }
    bool whole = page->type == PAGE_DATA
                     ? seen == (OUTER | 1 << 5) && inner == DATA_INNER
                     : page->type == PAGE_DICTIONARY && seen == (OUTER | 1 << 7) && inner == DICTIONARY_INNER;
    if (!whole || t.failed || size < 0 || size > PAGE_MAX || stored < 0 || stored > t.end - t.at || values < 0 ||
        values > 1 << 24)
        return false;
    if (r->chunk->codec == CODEC_NONE && size != stored) return false;
    page->size = (uint32_t)size;
    page->values = (uint32_t)values;
    page->stored = slice_make(t.at, (size_t)stored);
    r->at = t.at + stored;
    return true;
}

static int check_page(struct page_reader *r, const struct page *page) {
    if (r->checked || libdeflate_crc32(0, page->stored.ptr, page->stored.len) == page->crc) return 0;
    return corrupt(r, "a page does not match its checksum");
}

/* The page's bytes, inflated and checked; eight readable bytes follow them. `lasting`: texts will point into them. */
static int page_body(struct page_reader *r, const struct page *page, bool lasting, struct slice *body) {
    int code = check_page(r, page);
    if (code) return code;
    if (r->chunk->codec == CODEC_NONE) {
        /* The footer follows the last page, so there is always something behind. */
        *body = page->stored;
        return 0;
    }
    char *out = NULL;
    size_t room = (size_t)page->size + 16;
    buf_clear(&r->own->body);
    if (lasting)
        out = arena_alloc_aligned(r->arena, room, 1);
    else if (buf_reserve(&r->own->body, room))
        out = r->own->body.ptr;
    if (!out) return no_memory(r);
    size_t n = ZSTD_decompressDCtx(r->own->zstd, out, page->size, page->stored.ptr, page->stored.len);
    if (ZSTD_isError(n) || n != page->size) return corrupt(r, "a page does not inflate");
    memset(out + n, 0, 16);
    *body = slice_make(out, n);
    return 0;
}

/* One run of the whole page: 1 = all are there, 0 = none; -1 = neither. */
static int uniform_levels(const uint8_t *at, uint32_t length, uint32_t values) {
    uint64_t head = 0;
    unsigned shift = 0;
    const uint8_t *end = at + length;
    for (; at < end && shift < 35; shift += 7) {
        head |= (uint64_t)(*at & 0x7f) << shift;
        if (*at++ < 0x80) break;
    }
    return at < end && !(head & 1) && head >> 1 == values && *at <= 1 ? *at : -1;
}

/* Takes the definition levels off the front. `levels` (of page->values) or NULL when all are there. *known = how many
 * are. */
static int page_levels(struct page_reader *r, const struct page *page, struct slice *body, const uint32_t **levels,
                       uint32_t *known) {
    *levels = NULL;
    *known = page->values;
    if (!span_columns[r->col].optional) return 0;
    uint32_t length, *out = r->own->levels;
    if (body->len < 4) return corrupt(r, "levels are cut off");
    memcpy(&length, body->ptr, 4);
    if (length > body->len - 4) return corrupt(r, "levels are cut off");
    const uint8_t *at = (const uint8_t *)body->ptr + 4;
    *body = slice_make(at + length, body->len - 4 - length);
    int all = uniform_levels(at, length, page->values);
    if (all == 1) return 0;
    if (page->values > PAGE_ROWS_MAX && !(out = arena_alloc(r->arena, page->values * sizeof *out + 16)))
        return no_memory(r);
    if (all == 0)
        memset(out, 0, page->values * sizeof *out);
    else if (!hybrid_decode(at, at + length, out, page->values, 1))
        return corrupt(r, "levels are broken");
    uint32_t count = 0;
    for (uint32_t i = 0; i < page->values; i++) count += out[i];
    *known = count;
    if (count < page->values) *levels = out;
    return 0;
}

/* ---- values ---- */

/* Each reader fills places at … at + page->values - 1 of `out`. */

static int read_coded_bytes(struct page_reader *r, const struct page *page, struct slice body, uint8_t *to) {
    size_t width = span_columns[r->col].width, count = r->ids.len / width;
    uint32_t *codes = r->own->codes;
    if (!body.len || page->values > PAGE_ROWS_MAX || span_columns[r->col].optional)
        return corrupt(r, "codes of ids are of the wrong size");
    const uint8_t *from = (const uint8_t *)body.ptr + 1;
    if (!hybrid_decode(from, from + body.len - 1, codes, page->values, (unsigned char)*body.ptr))
        return corrupt(r, "codes are broken");
    for (uint32_t i = 0; i < page->values; i++) {
        if (codes[i] >= count) return corrupt(r, "a code is beyond its dictionary");
        memcpy(to + i * width, r->ids.ptr + codes[i] * width, width);
    }
    return 0;
}

static int read_bytes(struct page_reader *r, const struct page *page, struct slice body, const uint32_t *levels,
                      uint32_t known, struct vec *out, uint32_t at) {
    size_t width = span_columns[r->col].width;
    if (page->encoding == ENCODING_RLE_DICTIONARY)
        return read_coded_bytes(r, page, body, (uint8_t *)(uintptr_t)out->bytes + at * width);
    if (page->encoding != ENCODING_PLAIN || body.len != known * width)
        return corrupt(r, "a page of ids is of the wrong size");
    if (!levels && r->chunk->codec == CODEC_NONE && at == 0 &&
        page->values == out->count) { /* straight from the mapped file */
        out->bytes = (const uint8_t *)body.ptr;
        return 0;
    }
    uint8_t *to = (uint8_t *)(uintptr_t)out->bytes + at * width;
    const char *from = body.ptr;
    if (!levels) {
        memcpy(to, from, body.len);
        return 0;
    }
    for (uint32_t i = 0; i < page->values; i++, to += width) {
        if (levels[i])
            memcpy(to, from, width), from += width;
        else
            memset(to, 0, width);
    }
    return 0;
}

/* A copy of the values that are there, from where they move apart. */
static uint64_t *gap_room(struct page_reader *r, const struct page *page, const void *values, size_t bytes) {
    uint64_t *room =
        page->values <= PAGE_ROWS_MAX ? (uint64_t *)(void *)r->own->known : arena_alloc(r->arena, bytes + sizeof *room);
    if (room && bytes) memcpy(room, values, bytes);
    return room;
}

/* No branch: which rows say nothing cannot be foreseen. One value behind the last is read. */
static void spread(const uint32_t *levels, uint32_t count, const char *values, uint64_t unknown, uint64_t *to) {
    for (uint32_t i = 0, next = 0; i < count; i++) {
        uint64_t there = -(uint64_t)levels[i], value;
        memcpy(&value, values + (size_t)next * sizeof value, sizeof value);
        to[i] = (value & there) | (unknown & ~there);
        next += levels[i];
    }
}

static int read_ints(struct page_reader *r, const struct page *page, struct slice body, const uint32_t *levels,
                     uint32_t known, struct vec *out, uint32_t at) {
    int64_t *to = (int64_t *)(uintptr_t)out->ints + at;
    if (page->encoding != ENCODING_DELTA ||
        !delta_decode((const uint8_t *)body.ptr, (const uint8_t *)body.ptr + body.len, to, known))
        return corrupt(r, "a page of numbers is broken");
    if (!levels) return 0;
    uint64_t *values = gap_room(r, page, to, known * sizeof *to);
    if (!values) return no_memory(r);
    uint64_t unknown = (uint64_t)SPAN_NO_INT;
    spread(levels, page->values, (const char *)values, unknown, (uint64_t *)(void *)to);
    return 0;
}

static int read_doubles(struct page_reader *r, const struct page *page, struct slice body, const uint32_t *levels,
                        uint32_t known, struct vec *out, uint32_t at) {
    double *to = (double *)(uintptr_t)out->doubles + at;
    if (page->encoding != ENCODING_PLAIN || body.len != known * sizeof *to)
        return corrupt(r, "a page of numbers is of the wrong size");
    if (!levels) {
        if (known) memcpy(to, body.ptr, body.len);
        return 0;
    }
    uint64_t unknown;
    double nan = (double)NAN;
    memcpy(&unknown, &nan, sizeof unknown);
    spread(levels, page->values, body.ptr, unknown, (uint64_t *)(void *)to); /* eight readable bytes follow the page */
    return 0;
}

/* Length-prefixed texts; false when they do not fit. */
static bool take_text(struct slice *body, struct slice *text) {
    uint32_t length;
    if (body->len < 4) return false;
    memcpy(&length, body->ptr, 4);
    if (length > body->len - 4) return false;
    *text = slice_make(body->ptr + 4, length);
    *body = slice_make(body->ptr + 4 + length, body->len - 4 - length);
    return true;
}

static int read_strings(struct page_reader *r, const struct page *page, struct slice body, const uint32_t *levels,
                        uint32_t known, struct vec *out, uint32_t at) {
    struct slice *to = (struct slice *)(uintptr_t)out->text + at;
    (void)known;
    if (page->encoding != ENCODING_PLAIN) return corrupt(r, "a page of text has another encoding");
    for (uint32_t i = 0; i < page->values; i++) {
        to[i] = (struct slice){NULL, 0};
        if ((!levels || levels[i]) && !take_text(&body, &to[i])) return corrupt(r, "a text is cut off");
    }
    return 0;
}

/* Code 0 is ours for "not known", so the file's codes move up by one. */
static int read_dictionary(struct page_reader *r, const struct page *page, struct vec *out) {
    struct slice body;
    int code = r->bare ? check_page(r, page) : page_body(r, page, true, &body);
    if (code) return code;
    if (out->type == COL_BYTES) {
        r->ids = body;
        return body.len == (size_t)page->values * span_columns[r->col].width ? 0
                                                                             : corrupt(r, "the dictionary is cut off");
    }
    out->dict_count = page->values + 1;
    if (r->bare) return 0;
    struct slice *dict = arena_alloc(r->arena, ((size_t)page->values + 1) * sizeof *dict);
    if (!dict) return no_memory(r);
    dict[0] = (struct slice){NULL, 0};
    for (uint32_t i = 0; i < page->values; i++)
        if (!take_text(&body, &dict[i + 1])) return corrupt(r, "the dictionary is cut off");
    out->dict = dict;
    return 0;
}

static int read_codes(struct page_reader *r, const struct page *page, struct slice body, const uint32_t *levels,
                      uint32_t known, struct vec *out, uint32_t at) {
    uint32_t *to = (uint32_t *)(uintptr_t)out->codes + at, most = 0;
    if (page->encoding != ENCODING_RLE_DICTIONARY || !out->dict_count || !body.len)
        return corrupt(r, "codes come without a dictionary");
    unsigned width = (unsigned char)*body.ptr;
    const uint8_t *from = (const uint8_t *)body.ptr + 1;
    uint32_t *codes = levels ? r->own->codes : to;
    if (levels && page->values > PAGE_ROWS_MAX &&
        !(codes = arena_alloc(r->arena, ((size_t)page->values + 1) * sizeof *codes)))
        return no_memory(r);
    if (known && !hybrid_decode(from, from + body.len - 1, codes, known, width)) return corrupt(r, "codes are broken");
    for (uint32_t i = 0; i < known; i++) most = codes[i] > most ? codes[i] : most;
    if (known && most >= out->dict_count - 1) return corrupt(r, "a code is beyond its dictionary");
    if (!levels)
        for (uint32_t i = 0; i < known; i++) to[i]++;
    for (uint32_t i = 0, next = 0; levels && i < page->values; i++) {
        to[i] = (codes[next] + 1) & -levels[i];
        next += levels[i];
    }
    return 0;
}

typedef int read_values(struct page_reader *, const struct page *, struct slice, const uint32_t *, uint32_t,
                        struct vec *, uint32_t);
static read_values *const readers[] = {[COL_BYTES] = read_bytes,
                                       [COL_INT] = read_ints,
                                       [COL_DOUBLE] = read_doubles,
                                       [COL_DICT] = read_codes,
                                       [COL_STRING] = read_strings};

static int read_page(struct page_reader *r, const struct page *page, struct vec *out, uint32_t at) {
    struct slice body;
    const uint32_t *levels;
    uint32_t known;
    int code = page_body(r, page, out->type == COL_STRING, &body);
    if (!code) code = page_levels(r, page, &body, &levels, &known);
    return code ? code : readers[out->type](r, page, body, levels, known, out, at);
}

/* ---- columns ---- */

/* "Not known" all over, for a column that the file does not have. */
static void fill_unknown(struct vec *vec, enum col col, void *room) {
    static const struct slice none = {NULL, 0};
    memset(room, 0, (size_t)vec->count * column_value_bytes(col));
    if (vec->type == COL_DICT) vec->dict = &none, vec->dict_count = 1;
    for (uint32_t i = 0; i < vec->count && span_columns[col].optional; i++) {
        if (vec->type == COL_INT) ((int64_t *)room)[i] = SPAN_NO_INT;
        if (vec->type == COL_DOUBLE) ((double *)room)[i] = (double)NAN;
    }
}

/* A column of one page that lies in the file as a vector does needs no room. */
static bool lies_ready(const struct chunk *chunk, enum col col) {
    return chunk->there && span_columns[col].type == COL_BYTES && !span_columns[col].optional &&
           chunk->codec == CODEC_NONE && !chunk->has_dictionary;
}

static int read_column(const struct segment *s, uint32_t index, enum col col, bool bare, struct arena *arena,
                       struct vec *out, struct error *err) {
    struct group *group = &s->groups[index];
    struct page_reader r;
    struct page page;
    uint32_t rows = group->shown.rows, done = 0;
    int code = reader_init(&r, s, group, col, arena, err);
    if (code) return code;
    r.bare = bare;
    void *room = lies_ready(r.chunk, col) ? NULL : arena_alloc(arena, (size_t)rows * column_value_bytes(col) + 16);
    if (!room && !lies_ready(r.chunk, col)) return no_memory(&r);
    chunk_expect(s, group, col);
    vec_use(out, col, rows, room);
    if (!r.chunk->there) {
        fill_unknown(out, col, room);
        return 0;
    }
    while (!code && r.at < r.end) {
        if (!read_page_header(&r, &page)) return corrupt(&r, "a page header is broken");
        if (page.type == PAGE_DICTIONARY && (out->type == COL_DICT || out->type == COL_BYTES)) {
            code = read_dictionary(&r, &page, out);
            continue;
        }
        if (page.type != PAGE_DATA || page.values > rows - done)
            return corrupt(&r, "a page has more rows than its row group");
        if (!room && (page.values != rows || page.encoding != ENCODING_PLAIN) &&
            !(room = arena_alloc(arena, (size_t)rows * column_value_bytes(col) + 16)))
            return no_memory(&r);
        if (room && out->type == COL_BYTES) out->bytes = room;
        code = read_page(&r, &page, out, done);
        done += page.values;
    }
    if (!code && done != rows) code = corrupt(&r, "rows are missing");
    if (!code && !r.checked) atomic_store_explicit(&group->checked[col], true, memory_order_relaxed);
    return code;
}

int segment_read(const struct segment *s, uint32_t index, enum col col, struct arena *arena, struct vec *out,
                 struct error *err) {
    return read_column(s, index, col, false, arena, out, err);
}

int segment_read_codes(const struct segment *s, uint32_t index, enum col col, struct arena *arena, struct vec *out,
                       struct error *err) {
    return read_column(s, index, col, true, arena, out, err);
}

bool segment_is_unknown(const struct segment *s, uint32_t index, enum col col) {
    const struct chunk *chunk = &s->groups[index].chunks[col];
    return !chunk->there || chunk->nulls == (int64_t)s->groups[index].shown.rows;
}

/* Moves to the page that holds `row`, which lies at or behind the page that begins with row *first; by the OffsetIndex,
 * if there is one. */
static bool skip_pages(struct page_reader *r, const struct group *group, uint32_t row, uint32_t *first) {
    const struct chunk *chunk = r->chunk;
    struct thrift_reader t;
    struct thrift_field field;
    enum thrift_type of;
    if (!chunk->index_bytes) return true;
    if (!extras_are_right(r->s, group)) return false;
    thrift_reader_init(&t, slice_make(r->s->map + chunk->index_at, chunk->index_bytes));
    if (!thrift_next(&t, &field) || field.id != 1 || field.type != THRIFT_LIST) return false;
    for (uint32_t n = thrift_read_list(&t, &of); n && !t.failed; n--) {
        int64_t at = -1, start = -1;
        thrift_enter(&t);
        while (thrift_next(&t, &field)) {
            if (field.id == 1)
                at = thrift_read_int(&t);
            else if (field.id == 3)
                start = thrift_read_int(&t);
            else
                thrift_skip(&t, field.type);
        }
        if (t.failed || at < chunk->at || at >= chunk->at + chunk->bytes || start < 0) return false;
        if (start > row) break;
        r->at = r->s->map + at;
        *first = (uint32_t)start;
    }
    return true;
}

/* The value of place i of a page, as a field of struct span. */
static void give_value(const struct vec *vec, enum col col, uint32_t i, char *to) {
    switch (vec->type) {
    case COL_BYTES: memcpy(to, vec->bytes + (size_t)i * span_columns[col].width, span_columns[col].width); break;
    case COL_INT: memcpy(to, &vec->ints[i], 8); break;
    case COL_DOUBLE: memcpy(to, &vec->doubles[i], 8); break;
    case COL_STRING: memcpy(to, &vec->text[i], sizeof(struct slice)); break;
    case COL_DICT: memcpy(to, &vec->dict[vec->codes[i]], sizeof(struct slice)); break;
    }
}

int segment_read_fields(const struct segment *s, uint32_t index, enum col col, const uint32_t *rows, uint32_t row_count,
                        struct arena *arena, void *out, size_t stride, struct error *err) {
    const struct group *group = &s->groups[index];
    struct page_reader r;
    struct page page;
    struct vec dict = {.type = span_columns[col].type}, vec;
    uint32_t first = 0, next = 0;
    int code = reader_init(&r, s, group, col, arena, err);
    if (code) return code;
    if (!r.chunk->there) {
        char unknown[sizeof(struct slice)];
        vec_use(&vec, col, 1, unknown);
        fill_unknown(&vec, col, unknown);
        for (; next < row_count; next++) give_value(&vec, col, 0, (char *)out + next * stride);
        return 0;
    }
    bool small = r.chunk->bytes <= CHUNK_SMALL_BYTES;
    if (small) chunk_expect(s, group, col);
    if (r.chunk->has_dictionary) {
        if (!read_page_header(&r, &page) || page.type != PAGE_DICTIONARY) return corrupt(&r, "a page header is broken");
        if ((code = read_dictionary(&r, &page, &dict))) return code;
    }
    while (next < row_count) {
        if (rows[next] > first && !skip_pages(&r, group, rows[next], &first))
            return corrupt(&r, "the page index is broken");
        if (r.at >= r.end) return corrupt(&r, "rows are missing");
        if (!read_page_header(&r, &page) || page.type != PAGE_DATA || page.values > group->shown.rows)
            return corrupt(&r, "a page header is broken");
        if (rows[next] < first + page.values) {
            if (!small) segment_expect(s, (const uint8_t *)page.stored.ptr - s->map, (int64_t)page.stored.len);
            buf_clear(&r.own->values);
            if (!buf_reserve(&r.own->values, (size_t)page.values * column_value_bytes(col) + 16)) return no_memory(&r);
            vec_use(&vec, col, page.values, r.own->values.ptr);
            if (vec.type == COL_DICT) vec.dict = dict.dict, vec.dict_count = dict.dict_count;
            if ((code = read_page(&r, &page, &vec, 0))) return code;
        }
        for (; next < row_count && rows[next] - first < page.values; next++)
            give_value(&vec, col, rows[next] - first, (char *)out + next * stride);
        first += page.values;
    }
    return 0;
}

int segment_read_dictionary(const struct segment *s, uint32_t index, enum col col, struct arena *arena, struct vec *out,
                            struct error *err) {
    static const struct slice none = {NULL, 0};
    struct page_reader r;
    struct page page;
    int code = reader_init(&r, s, &s->groups[index], col, arena, err);
    *out = (struct vec){.type = COL_DICT, .dict = &none, .dict_count = 1};
    if (code || !r.chunk->there) return code;
    if (r.chunk->bytes <= CHUNK_SMALL_BYTES) chunk_expect(s, &s->groups[index], col);
    if (!read_page_header(&r, &page) || page.type != PAGE_DICTIONARY) return corrupt(&r, "a page header is broken");
    return read_dictionary(&r, &page, out);
}

bool segment_may_have_value(const struct segment *s, uint32_t index, enum col col, struct slice value) {
    const struct chunk *chunk = &s->groups[index].chunks[col];
    struct arena arena = {0};
    struct page_reader r;
    struct vec dict = {.type = COL_DICT};
    struct page page;
    bool found = false;
    if (!chunk->there) return !value.len;
    if (!value.len || span_columns[col].type != COL_DICT) return true;
    if (chunk->bytes <= CHUNK_SMALL_BYTES) chunk_expect(s, &s->groups[index], col);
    if (reader_init(&r, s, &s->groups[index], col, &arena, NULL) || !read_page_header(&r, &page) ||
        page.type != PAGE_DICTIONARY || read_dictionary(&r, &page, &dict))
        found = true;
    for (uint32_t i = 1; i < dict.dict_count && !found; i++) found = slice_eq(dict.dict[i], value);
    arena_free(&arena);
    return found;
}

int chunk_check(const struct segment *s, const struct group *group, enum col col, struct error *err) {
    struct page_reader r;
    struct page page;
    int code = reader_init(&r, s, group, col, NULL, err);
    r.checked = false;
    while (!code && r.at < r.end)
        code = read_page_header(&r, &page) ? check_page(&r, &page) : corrupt(&r, "a page header is broken");
    return code;
}
