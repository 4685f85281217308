/* A segment's footer and its columns. Files are read through a mapping; nothing in them is trusted. */
#include "store/parquet.h"
#include "store/segment.h"
#include "store/thrift.h"
#include "store/words.h"

#include <errno.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { GROUPS_MAX = 4096, FILE_TAIL = 8, PAGE_MAX = 1 << 30 };

struct chunk {
    int64_t at, bytes;      /* first page (dictionary or data), all pages */
    int64_t values;
    int64_t min, max;       /* COL_INT, when has_range */
    enum parquet_codec codec;
    bool has_range, there;
    int64_t bloom_at;
    uint32_t bloom_bytes;
};

struct group {
    struct rowgroup shown;
    struct chunk chunks[COL_COUNT];
    int64_t words_at;
    uint32_t words_bytes;
};

struct segment {
    atomic_int references;
    atomic_bool dropped;
    uint64_t id, bytes, rows;
    const uint8_t *map;
    struct group *groups;
    uint32_t group_count;
    char path[];
};

/* ---- footer ---- */

struct footer {
    struct segment *s;
    int columns[256]; /* the file's leaf columns → ours, -1 = unknown */
    bool optional[256];
    uint32_t column_count;
    struct slice group_notes;
};

static void read_schema_element(struct thrift_reader *r, struct footer *f, uint32_t index) {
    struct thrift_field field;
    struct slice name = {NULL, 0};
    int64_t type = -1, width = 0, repetition = 0;
    thrift_enter(r);
    while (thrift_next(r, &field)) {
        if (field.id == 1) type = thrift_read_int(r);
        else if (field.id == 2) width = thrift_read_int(r);
        else if (field.id == 3) repetition = thrift_read_int(r);
        else if (field.id == 4) name = thrift_read_binary(r);
        else thrift_skip(r, field.type);
    }
    if (index == 0 || index > 256) return; /* the root */
    static const int64_t types[] = {PARQUET_FIXED, PARQUET_INT64, PARQUET_DOUBLE, PARQUET_BYTE_ARRAY, PARQUET_BYTE_ARRAY};
    int col = span_column_named(name);
    bool fits = col >= 0 && types[span_columns[col].type] == type && (type != PARQUET_FIXED || width == span_columns[col].width) && repetition <= 1;
    f->columns[index - 1] = fits ? col : -1;
    f->optional[index - 1] = repetition == 1;
    f->column_count = index;
}

static void read_statistics(struct thrift_reader *r, struct chunk *chunk) {
    struct thrift_field field;
    struct slice max = {NULL, 0}, min = {NULL, 0};
    thrift_enter(r);
    while (thrift_next(r, &field)) {
        if (field.id == 5) max = thrift_read_binary(r);
        else if (field.id == 6) min = thrift_read_binary(r);
        else thrift_skip(r, field.type);
    }
    if (max.len != 8 || min.len != 8) return;
    memcpy(&chunk->max, max.ptr, 8);
    memcpy(&chunk->min, min.ptr, 8);
    chunk->has_range = true;
}

static void read_chunk_meta(struct thrift_reader *r, struct chunk *chunk) {
    struct thrift_field field;
    int64_t data_at = -1, dictionary_at = -1;
    thrift_enter(r);
    while (thrift_next(r, &field)) {
        switch (field.id) {
        case 4: chunk->codec = (enum parquet_codec)thrift_read_int(r); break;
        case 5: chunk->values = thrift_read_int(r); break;
        case 7: chunk->bytes = thrift_read_int(r); break;
        case 9: data_at = thrift_read_int(r); break;
        case 11: dictionary_at = thrift_read_int(r); break;
        case 12: read_statistics(r, chunk); break;
        case 14: chunk->bloom_at = thrift_read_int(r); break;
        case 15: chunk->bloom_bytes = (uint32_t)thrift_read_int(r); break;
        default: thrift_skip(r, field.type);
        }
    }
    chunk->at = dictionary_at >= 0 ? dictionary_at : data_at;
    chunk->there = true;
}

static bool chunk_fits(const struct segment *s, const struct chunk *c, int64_t rows) {
    int64_t end = (int64_t)s->bytes - FILE_TAIL;
    bool bloom = !c->bloom_bytes || (c->bloom_at >= 4 && c->bloom_at <= end - (int64_t)c->bloom_bytes);
    return c->at >= 4 && c->bytes > 0 && c->bytes <= end && c->at <= end - c->bytes && c->values == rows && bloom &&
           (c->codec == CODEC_NONE || c->codec == CODEC_ZSTD);
}

static bool read_group(struct thrift_reader *r, struct footer *f, struct group *group) {
    struct thrift_field field;
    enum thrift_type of;
    int64_t rows = -1;
    struct chunk ignored;
    thrift_enter(r);
    while (thrift_next(r, &field)) {
        if (field.id == 3) {
            rows = thrift_read_int(r);
        } else if (field.id == 1 && field.type == THRIFT_LIST) {
            uint32_t count = thrift_read_list(r, &of);
            if (count > f->column_count) return false;
            for (uint32_t i = 0; i < count && !r->failed; i++) {
                struct thrift_field inner;
                struct chunk *chunk = f->columns[i] >= 0 ? &group->chunks[f->columns[i]] : &ignored;
                *chunk = (struct chunk){0};
                thrift_enter(r);
                while (thrift_next(r, &inner)) {
                    if (inner.id == 3) read_chunk_meta(r, chunk);
                    else thrift_skip(r, inner.type);
                }
            }
        } else {
            thrift_skip(r, field.type);
        }
    }
    if (r->failed || rows < 1 || rows > 1 << 24) return false;
    for (int c = 0; c < COL_COUNT; c++) {
        if (!group->chunks[c].there && !span_columns[c].optional && c != COL_FLAGS) return false;
        if (group->chunks[c].there && !chunk_fits(f->s, &group->chunks[c], rows)) return false;
    }
    const struct chunk *start = &group->chunks[COL_START_NS];
    group->shown = (struct rowgroup){.rows = (uint32_t)rows, .min_start_ns = start->has_range ? start->min : INT64_MIN,
                                     .max_start_ns = start->has_range ? start->max : INT64_MAX, .max_end_ns = INT64_MAX, .segment = f->s->id,
                                     .sorted_by_trace = true, .source = f->s};
    return true;
}

static void read_key_value(struct thrift_reader *r, struct footer *f) {
    struct thrift_field field;
    struct slice key = {NULL, 0}, value = {NULL, 0};
    thrift_enter(r);
    while (thrift_next(r, &field)) {
        if (field.id == 1) key = thrift_read_binary(r);
        else if (field.id == 2) value = thrift_read_binary(r);
        else thrift_skip(r, field.type);
    }
    if (slice_is(key, "vitrine.groups")) f->group_notes = value;
}

/* "words_at:words_bytes:max_end_ns," a row group. */
static void read_notes(struct footer *f) {
    char *text = malloc(f->group_notes.len + 1), *at = text;
    if (!text) return;
    if (f->group_notes.len) memcpy(text, f->group_notes.ptr, f->group_notes.len);
    text[f->group_notes.len] = 0;
    for (uint32_t g = 0; g < f->s->group_count; g++) {
        long long words_at, max_end;
        unsigned words_bytes;
        if (sscanf(at, "%lld:%u:%lld,", &words_at, &words_bytes, &max_end) != 3 || !(at = strchr(at, ','))) break;
        at++;
        f->s->groups[g].shown.max_end_ns = max_end;
        bool fits = words_bytes && words_bytes % BLOOM_BLOCK_BYTES == 0 && words_at >= 4 && words_bytes <= f->s->bytes &&
                    (uint64_t)words_at <= f->s->bytes - words_bytes;
        f->s->groups[g].words_at = fits ? words_at : 0;
        f->s->groups[g].words_bytes = fits ? words_bytes : 0;
    }
    free(text);
}

static bool read_footer(struct segment *s, struct slice bytes) {
    struct thrift_reader r;
    struct thrift_field field;
    struct footer f = {.s = s};
    enum thrift_type of;
    thrift_reader_init(&r, bytes);
    while (thrift_next(&r, &field)) {
        if (field.id == 2 && field.type == THRIFT_LIST) {
            uint32_t count = thrift_read_list(&r, &of);
            if (count > 257) return false;
            for (uint32_t i = 0; i < count && !r.failed; i++) read_schema_element(&r, &f, i);
        } else if (field.id == 4 && field.type == THRIFT_LIST) {
            uint32_t count = thrift_read_list(&r, &of);
            if (count > GROUPS_MAX || s->groups || !(s->groups = calloc(count + 1, sizeof *s->groups))) return false;
            for (uint32_t i = 0; i < count; i++) {
                if (!read_group(&r, &f, &s->groups[i])) return false;
                s->groups[i].shown.index = i;
                s->rows += s->groups[i].shown.rows;
                s->group_count++;
            }
        } else if (field.id == 5 && field.type == THRIFT_LIST) {
            for (uint32_t n = thrift_read_list(&r, &of); n && !r.failed; n--) read_key_value(&r, &f);
        } else {
            thrift_skip(&r, field.type);
        }
    }
    if (r.failed) return false;
    read_notes(&f);
    return true;
}

int segment_open(struct segment **out, const char *path, uint64_t id, struct error *err) {
    struct stat info;
    *out = NULL;
    struct segment *s = calloc(1, sizeof *s + strlen(path) + 1);
    if (!s) return error_set(err, VT_ENOMEM, "no memory for %s", path);
    memcpy(s->path, path, strlen(path));
    atomic_init(&s->references, 1);
    s->id = id;
    int fd = open(path, O_RDONLY | O_CLOEXEC), code = 0;
    if (fd < 0 || fstat(fd, &info)) code = error_set(err, errno == ENOENT ? VT_ENOTFOUND : VT_EIO, "%s: %s", path, strerror(errno));
    else if (info.st_size < 4 + FILE_TAIL) code = error_set(err, VT_ECORRUPT, "%s has %lld bytes and is no Parquet file", path, (long long)info.st_size);
    if (!code) {
        s->bytes = (uint64_t)info.st_size;
        void *map = mmap(NULL, s->bytes, PROT_READ, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED) code = error_set(err, VT_EIO, "%s: %s", path, strerror(errno));
        else s->map = map;
    }
    if (fd >= 0) close(fd);
    if (!code) {
        const uint8_t *tail = s->map + s->bytes - FILE_TAIL;
        uint32_t length;
        memcpy(&length, tail, 4);
        if (memcmp(s->map, "PAR1", 4) != 0 || memcmp(tail + 4, "PAR1", 4) != 0 || length > s->bytes - FILE_TAIL - 4 ||
            !read_footer(s, slice_make(tail - length, length)))
            code = error_set(err, VT_ECORRUPT, "%s: the footer is broken", path);
    }
    if (code) {
        segment_unref(s);
        return code;
    }
    *out = s;
    return 0;
}

struct segment *segment_ref(struct segment *s) {
    atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed);
    return s;
}

void segment_unref(struct segment *s) {
    if (!s || atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) > 1) return;
    if (s->map) munmap((void *)(uintptr_t)s->map, s->bytes);
    if (atomic_load(&s->dropped)) unlink(s->path);
    free(s->groups);
    free(s);
}

void segment_drop(struct segment *s) { atomic_store(&s->dropped, true); }
const char *segment_path(const struct segment *s) { return s->path; }
uint64_t segment_id(const struct segment *s) { return s->id; }
uint64_t segment_bytes(const struct segment *s) { return s->bytes; }
uint64_t segment_rows(const struct segment *s) { return s->rows; }
uint32_t segment_rowgroups(const struct segment *s) { return s->group_count; }
const struct rowgroup *segment_rowgroup(const struct segment *s, uint32_t i) { return &s->groups[i].shown; }

/* ---- pages ---- */

struct page {
    enum parquet_page type;
    enum parquet_encoding encoding;
    uint32_t values;
    struct slice stored; /* in the file */
    uint32_t size;       /* once inflated */
    uint32_t crc;
    bool has_crc;
};

struct page_reader {
    const struct segment *s;
    const struct chunk *chunk;
    enum col col;
    struct arena *arena;
    const uint8_t *at, *end;
    struct error *err;
};

static int corrupt(struct page_reader *r, const char *what) {
    return error_set(r->err, VT_ECORRUPT, "%s, column %s: %s", r->s->path, span_columns[r->col].name, what);
}

static bool read_page_header(struct page_reader *r, struct page *page) {
    struct thrift_reader t;
    struct thrift_field field;
    int64_t size = -1, stored = -1, values = -1;
    thrift_reader_init(&t, slice_make(r->at, (size_t)(r->end - r->at)));
    *page = (struct page){0};
    while (thrift_next(&t, &field)) {
        switch (field.id) {
        case 1: page->type = (enum parquet_page)thrift_read_int(&t); break;
        case 2: size = thrift_read_int(&t); break;
        case 3: stored = thrift_read_int(&t); break;
        case 4: page->crc = (uint32_t)thrift_read_int(&t), page->has_crc = true; break;
        case 5:
        case 7:
            thrift_enter(&t);
            while (thrift_next(&t, &field)) {
                if (field.id == 1) values = thrift_read_int(&t);
                else if (field.id == 2) page->encoding = (enum parquet_encoding)thrift_read_int(&t);
                else thrift_skip(&t, field.type);
            }
            break;
        default: thrift_skip(&t, field.type);
        }
    }
    if (t.failed || size < 0 || size > PAGE_MAX || stored < 0 || stored > t.end - t.at || values < 0 || values > 1 << 24) return false;
    page->size = (uint32_t)size;
    page->values = (uint32_t)values;
    page->stored = slice_make(t.at, (size_t)stored);
    r->at = t.at + stored;
    return true;
}

static pthread_key_t zstd_key;
static pthread_once_t zstd_once = PTHREAD_ONCE_INIT;
static void free_zstd(void *context) { ZSTD_freeDCtx(context); }
static void make_zstd_key(void) { pthread_key_create(&zstd_key, free_zstd); }

/* One decompression context a thread. */
static ZSTD_DCtx *zstd_context(void) {
    pthread_once(&zstd_once, make_zstd_key);
    ZSTD_DCtx *context = pthread_getspecific(zstd_key);
    if (!context && (context = ZSTD_createDCtx())) pthread_setspecific(zstd_key, context);
    return context;
}

/* The page's bytes, inflated; eight readable bytes follow them. */
static int page_body(struct page_reader *r, const struct page *page, struct slice *body) {
    if (r->chunk->codec == CODEC_NONE) {
        /* The footer follows the last page, so there is always something behind. */
        *body = page->stored;
        return 0;
    }
    char *out = arena_alloc(r->arena, (size_t)page->size + 16);
    ZSTD_DCtx *context = zstd_context();
    if (!out || !context) return error_set(r->err, VT_ENOMEM, "no memory for a page of %u bytes", page->size);
    size_t n = ZSTD_decompressDCtx(context, out, page->size, page->stored.ptr, page->stored.len);
    if (ZSTD_isError(n) || n != page->size) return corrupt(r, "a page does not inflate");
    memset(out + n, 0, 16);
    *body = slice_make(out, n);
    return 0;
}

/* Takes the definition levels off the front. `levels` (of page->values) or NULL when all are there. *known = how many are. */
static int page_levels(struct page_reader *r, const struct page *page, struct slice *body, const uint32_t **levels, uint32_t *known) {
    *levels = NULL;
    *known = page->values;
    if (!span_columns[r->col].optional) return 0;
    uint32_t length, *out;
    if (body->len < 4) return corrupt(r, "levels are cut off");
    memcpy(&length, body->ptr, 4);
    if (length > body->len - 4) return corrupt(r, "levels are cut off");
    const uint8_t *at = (const uint8_t *)body->ptr + 4;
    *body = slice_from(*body, 4 + (size_t)length);
    if (!body->ptr) *body = slice_make(at + length, 0);
    if (!(out = arena_alloc(r->arena, page->values * sizeof *out + 16))) return error_set(r->err, VT_ENOMEM, "no memory for levels");
    if (!hybrid_decode(at, at + length, out, page->values, 1)) return corrupt(r, "levels are broken");
    uint32_t count = 0;
    for (uint32_t i = 0; i < page->values; i++) count += out[i];
    *known = count;
    if (count < page->values) *levels = out;
    return 0;
}

/* ---- values ---- */

static int read_bytes(struct page_reader *r, const struct page *page, struct slice body, const uint32_t *levels, uint32_t known, struct vec *out, uint32_t at) {
    size_t width = span_columns[r->col].width;
    if (page->encoding != ENCODING_PLAIN || body.len != known * width) return corrupt(r, "a page of ids is of the wrong size");
    if (!levels && at == 0 && page->values == out->count) { /* straight from the mapped file */
        out->bytes = (const uint8_t *)body.ptr;
        return 0;
    }
    uint8_t *to = (uint8_t *)(uintptr_t)out->bytes;
    const char *from = body.ptr;
    for (uint32_t i = 0; i < page->values; i++) {
        if (levels && !levels[i]) {
            memset(to + (at + i) * width, 0, width);
        } else {
            memcpy(to + (at + i) * width, from, width);
            from += width;
        }
    }
    return 0;
}

static int read_ints(struct page_reader *r, const struct page *page, struct slice body, const uint32_t *levels, uint32_t known, struct vec *out, uint32_t at) {
    int64_t *to = (int64_t *)(uintptr_t)out->ints + at;
    if (page->encoding != ENCODING_DELTA || !delta_decode((const uint8_t *)body.ptr, (const uint8_t *)body.ptr + body.len, to, known))
        return corrupt(r, "a page of numbers is broken");
    /* From the back, so that values move apart in place. */
    for (uint32_t i = page->values, from = known; levels && i-- > 0;) to[i] = levels[i] ? to[--from] : SPAN_NO_INT;
    return 0;
}

static int read_doubles(struct page_reader *r, const struct page *page, struct slice body, const uint32_t *levels, uint32_t known, struct vec *out, uint32_t at) {
    double *to = (double *)(uintptr_t)out->doubles + at;
    if (page->encoding != ENCODING_PLAIN || body.len != known * sizeof *to) return corrupt(r, "a page of numbers is of the wrong size");
    if (known) memcpy(to, body.ptr, body.len);
    for (uint32_t i = page->values, from = known; levels && i-- > 0;) to[i] = levels[i] ? to[--from] : (double)NAN;
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

static int read_strings(struct page_reader *r, const struct page *page, struct slice body, const uint32_t *levels, uint32_t known, struct vec *out, uint32_t at) {
    struct slice *to = (struct slice *)(uintptr_t)out->text + at;
    (void)known;
    if (page->encoding != ENCODING_PLAIN) return corrupt(r, "a page of text has another encoding");
    for (uint32_t i = 0; i < page->values; i++) {
        to[i] = (struct slice){NULL, 0};
        if ((!levels || levels[i]) && !take_text(&body, &to[i])) return corrupt(r, "a text is cut off");
    }
    return 0;
}

/* Code 0 is ours for "not known" where the column has such rows: the dictionary moves up by one. */
static int read_dictionary(struct page_reader *r, const struct page *page, struct vec *out) {
    struct slice body;
    int code = page_body(r, page, &body);
    if (code) return code;
    struct slice *dict = arena_alloc(r->arena, ((size_t)page->values + 1) * sizeof *dict);
    if (!dict) return error_set(r->err, VT_ENOMEM, "no memory for a dictionary");
    dict[0] = (struct slice){NULL, 0};
    for (uint32_t i = 0; i < page->values; i++)
        if (!take_text(&body, &dict[i + 1])) return corrupt(r, "the dictionary is cut off");
    out->dict = dict;
    out->dict_count = page->values + 1;
    return 0;
}

static int read_codes(struct page_reader *r, const struct page *page, struct slice body, const uint32_t *levels, uint32_t known, struct vec *out, uint32_t at) {
    uint32_t *to = (uint32_t *)(uintptr_t)out->codes + at;
    if (page->encoding != ENCODING_RLE_DICTIONARY || !out->dict || !body.len) return corrupt(r, "codes come without a dictionary");
    unsigned width = (unsigned char)*body.ptr;
    const uint8_t *from = (const uint8_t *)body.ptr + 1;
    if (known && !hybrid_decode(from, from + body.len - 1, to, known, width)) return corrupt(r, "codes are broken");
    for (uint32_t i = 0; i < known; i++)
        if (++to[i] >= out->dict_count) return corrupt(r, "a code is beyond its dictionary");
    for (uint32_t i = page->values, last = known; levels && i-- > 0;) to[i] = levels[i] ? to[--last] : 0;
    return 0;
}

typedef int read_values(struct page_reader *, const struct page *, struct slice, const uint32_t *, uint32_t, struct vec *, uint32_t);
static read_values *const readers[] = {[COL_BYTES] = read_bytes, [COL_INT] = read_ints, [COL_DOUBLE] = read_doubles, [COL_DICT] = read_codes, [COL_STRING] = read_strings};

/* Room for the values; "not known" all over when the file does not have the column. */
static int prepare(struct arena *arena, enum col col, uint32_t rows, bool there, struct vec *out, struct error *err) {
    static const size_t sizes[] = {[COL_INT] = 8, [COL_DOUBLE] = 8, [COL_DICT] = 4, [COL_STRING] = sizeof(struct slice)};
    enum col_type type = span_columns[col].type;
    size_t size = type == COL_BYTES ? span_columns[col].width : sizes[type];
    void *memory = arena_alloc(arena, (size_t)rows * size + 16);
    *out = (struct vec){.type = type, .count = rows};
    if (!memory) return error_set(err, VT_ENOMEM, "no memory for column %s", span_columns[col].name);
    if (!there) memset(memory, 0, (size_t)rows * size);
    switch (type) {
    case COL_BYTES: out->bytes = memory; break;
    case COL_INT: out->ints = memory; break;
    case COL_DOUBLE: out->doubles = memory; break;
    case COL_STRING: out->text = memory; break;
    case COL_DICT: {
        static const struct slice none = {NULL, 0};
        out->codes = memory;
        if (!there) out->dict = &none, out->dict_count = 1;
        break;
    }
    }
    for (uint32_t i = 0; !there && i < rows && span_columns[col].optional; i++) {
        if (type == COL_INT) ((int64_t *)memory)[i] = SPAN_NO_INT;
        if (type == COL_DOUBLE) ((double *)memory)[i] = (double)NAN;
    }
    return 0;
}

int segment_read(const struct segment *s, uint32_t index, enum col col, struct arena *arena, struct vec *out, struct error *err) {
    const struct group *group = &s->groups[index];
    const struct chunk *chunk = &group->chunks[col];
    struct page_reader r = {.s = s, .chunk = chunk, .col = col, .arena = arena, .err = err};
    struct page page;
    uint32_t done = 0;
    int code = prepare(arena, col, group->shown.rows, chunk->there, out, err);
    if (code || !chunk->there) return code;
    r.at = s->map + chunk->at;
    r.end = r.at + chunk->bytes;
    while (!code && r.at < r.end) {
        struct slice body;
        const uint32_t *levels;
        uint32_t known;
        if (!read_page_header(&r, &page)) return corrupt(&r, "a page header is broken");
        if (page.type == PAGE_DICTIONARY) {
            code = out->type == COL_DICT ? read_dictionary(&r, &page, out) : corrupt(&r, "a dictionary stands where none belongs");
            continue;
        }
        if (page.type != PAGE_DATA || page.values > out->count - done) return corrupt(&r, "a page has more rows than its row group");
        if ((code = page_body(&r, &page, &body)) || (code = page_levels(&r, &page, &body, &levels, &known))) return code;
        code = readers[out->type](&r, &page, body, levels, known, out, done);
        done += page.values;
    }
    return !code && done != out->count ? corrupt(&r, "rows are missing") : code;
}

int segment_read_rows(const struct segment *s, uint32_t index, enum col col, const uint32_t *rows, uint32_t row_count, struct arena *arena,
                      struct slice *out, struct error *err) {
    const struct group *group = &s->groups[index];
    const struct chunk *chunk = &group->chunks[col];
    struct page_reader r = {.s = s, .chunk = chunk, .col = col, .arena = arena, .err = err, .at = s->map + chunk->at};
    struct page page;
    uint32_t first = 0, next = 0;
    for (uint32_t i = 0; i < row_count; i++) out[i] = (struct slice){NULL, 0};
    if (!chunk->there) return 0;
    r.end = r.at + chunk->bytes;
    for (; next < row_count && r.at < r.end; first += page.values) {
        const uint32_t *levels;
        struct slice body, *texts;
        uint32_t known;
        int code;
        if (!read_page_header(&r, &page) || page.type != PAGE_DATA) return corrupt(&r, "a page header is broken");
        if (rows[next] - first >= page.values) continue;
        if ((code = page_body(&r, &page, &body)) || (code = page_levels(&r, &page, &body, &levels, &known))) return code;
        if (!(texts = arena_alloc(arena, page.values * sizeof *texts))) return error_set(err, VT_ENOMEM, "no memory for texts");
        struct vec vec = {.type = COL_STRING, .count = page.values, .text = texts};
        if ((code = read_strings(&r, &page, body, levels, known, &vec, 0))) return code;
        for (; next < row_count && rows[next] - first < page.values; next++) out[next] = texts[rows[next] - first];
    }
    return next < row_count ? corrupt(&r, "rows are missing") : 0;
}

/* ---- filters and checks ---- */

bool segment_may_have_value(const struct segment *s, uint32_t index, enum col col, struct slice value) {
    const struct chunk *chunk = &s->groups[index].chunks[col];
    struct arena arena = {0};
    struct page_reader r = {.s = s, .chunk = chunk, .col = col, .arena = &arena, .at = s->map + chunk->at};
    struct vec dict = {.type = COL_DICT};
    struct page page;
    bool found = false;
    if (!chunk->there) return !value.len;
    if (!value.len || span_columns[col].type != COL_DICT) return true;
    r.end = r.at + chunk->bytes;
    if (!read_page_header(&r, &page) || page.type != PAGE_DICTIONARY || read_dictionary(&r, &page, &dict)) found = true;
    for (uint32_t i = 1; i < dict.dict_count && !found; i++) found = slice_eq(dict.dict[i], value);
    arena_free(&arena);
    return found;
}

bool segment_may_have_trace(const struct segment *s, uint32_t index, const uint8_t *trace_id) {
    const struct chunk *chunk = &s->groups[index].chunks[COL_TRACE_ID];
    struct thrift_reader t;
    struct thrift_field field;
    int64_t bytes = 0;
    if (!chunk->bloom_bytes) return true;
    thrift_reader_init(&t, slice_make(s->map + chunk->bloom_at, chunk->bloom_bytes));
    while (thrift_next(&t, &field)) {
        if (field.id == 1) bytes = thrift_read_int(&t);
        else thrift_skip(&t, field.type);
    }
    if (t.failed || bytes <= 0 || bytes % BLOOM_BLOCK_BYTES || bytes > t.end - t.at) return true;
    return bloom_has(t.at, (uint32_t)bytes, XXH64(trace_id, TRACE_ID_SIZE, 0));
}

bool segment_may_have_word(const struct segment *s, uint32_t index, struct slice word) {
    const struct group *group = &s->groups[index];
    if (!group->words_bytes) return true;
    return bloom_has(s->map + group->words_at, group->words_bytes, XXH64(word.ptr, word.len < WORD_MAX ? word.len : WORD_MAX, 0));
}

int segment_check(const struct segment *s, struct error *err) {
    for (uint32_t g = 0; g < s->group_count; g++)
        for (int c = 0; c < COL_COUNT; c++) {
            const struct chunk *chunk = &s->groups[g].chunks[c];
            struct page_reader r = {.s = s, .chunk = chunk, .col = (enum col)c, .err = err, .at = s->map + chunk->at};
            struct page page;
            r.end = r.at + (chunk->there ? chunk->bytes : 0);
            while (r.at < r.end) {
                if (!read_page_header(&r, &page)) return corrupt(&r, "a page header is broken");
                if (page.has_crc && libdeflate_crc32(0, page.stored.ptr, page.stored.len) != page.crc)
                    return corrupt(&r, "a page does not match its checksum");
            }
        }
    return 0;
}
