/* A segment's footer, life and filters. Files are read through a mapping; nothing in them is trusted. */
#include "store/segment_internal.h"

#include "base/timestamp.h"
#include "store/attr_index.h"
#include "store/filters.h"
#include "store/thrift.h"
#include "store/trace_list.h"

#include <errno.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    EXPECT_AGAIN_S = 10 /* memory may have been taken back since */,
    GROUPS_MAX = 4096,
    FILE_TAIL = 8,
    ROWS_MAX = 1 << 24,
    LEAVES_MAX = 256
};

/* ---- what comes from the disk ---- */

static unsigned expect_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (unsigned)now.tv_sec + EXPECT_AGAIN_S + 1;
}

/* Whether the page was asked for a moment ago, as far as a small table remembers. */
static bool is_expected(const struct segment *s, int64_t at) {
    enum { PLACES = 4096, PAGE_BITS = 12 };
    static atomic_ullong places[PLACES];
    /* A mapping may come where another was: when it was made belongs to the name. */
    unsigned long long number = (uint64_t)at >> PAGE_BITS ^ (uint64_t)s->opened_ns * UINT64_C(0x9e3779b97f4a7c15);
    unsigned now = expect_seconds() / EXPECT_AGAIN_S & 0xff;
    atomic_ullong *place = &places[(number * UINT64_C(0x9e3779b97f4a7c15)) >> 52];
    if (atomic_load_explicit(place, memory_order_relaxed) == (number << 8 | now)) return true;
    atomic_store_explicit(place, number << 8 | now, memory_order_relaxed);
    return false;
}

void segment_expect(const struct segment *s, int64_t at, int64_t bytes) {
    enum { PAGE = 4096, STEP = 1 << 20 }; /* the kernel takes no more at a time on most disks */
    int64_t from = at / PAGE * PAGE, end = at + bytes < (int64_t)s->bytes ? at + bytes : (int64_t)s->bytes;
    if (is_expected(s, from)) return;
    for (; from < end; from += STEP)
        madvise((void *)(uintptr_t)(s->map + from), (size_t)(end - from < STEP ? end - from : STEP), MADV_WILLNEED);
}

void chunk_expect(const struct segment *s, const struct group *group, enum col col) {
    const struct chunk *chunk = &group->chunks[col];
    atomic_uint *expected = (atomic_uint *)(uintptr_t)&group->expected[col];
    unsigned seconds = expect_seconds();
    if (!chunk->there || seconds - atomic_load_explicit(expected, memory_order_relaxed) < EXPECT_AGAIN_S) return;
    atomic_store_explicit(expected, seconds, memory_order_relaxed);
    segment_expect(s, chunk->at, chunk->bytes);
}

void segment_expect_columns(const struct segment *s, uint32_t index, uint64_t columns) {
    columns &= (UINT64_C(1) << COL_COUNT) - 1; /* "all" has bits for columns that are not */
    columns &= (UINT64_C(1) << COL_COUNT) - 1; /* who wants them all says UINT64_MAX */
    for (; columns; columns &= columns - 1) chunk_expect(s, &s->groups[index], (enum col)__builtin_ctzll(columns));
}

void segment_expect_trace(const struct segment *s, uint32_t index, const uint8_t *trace_id) {
    const struct group *group = &s->groups[index];
    if (!group->list_bytes) return;
    int64_t guess = trace_list_guess(group->trace_count, trace_hash(trace_id));
    segment_expect(s, group->list_at + guess, LIST_PAGE);
}

void segment_expect_trace_rows(const struct segment *s, uint32_t index, const uint8_t *trace_id) {
    const struct group *group = &s->groups[index];
    if (!group->list_bytes) return;
    int64_t guess = trace_list_guess(group->trace_count, trace_hash(trace_id));
    segment_expect(s, group->list_at + (int64_t)trace_list_bytes(group->trace_count) + guess, LIST_PAGE);
}

void segment_expect_trace_list(const struct segment *s, uint32_t index) {
    segment_expect(s, s->groups[index].list_at, s->groups[index].list_bytes);
}

/* ---- footer ---- */

struct footer {
    struct segment *s;
    int columns[LEAVES_MAX]; /* the file's leaf columns → ours, -1 = unknown */
    uint32_t column_count;
    struct slice group_notes, version, origin;
};

static void read_schema_element(struct thrift_reader *r, struct footer *f, uint32_t index) {
    static const int64_t types[] = {PARQUET_FIXED, PARQUET_INT64, PARQUET_DOUBLE, PARQUET_BYTE_ARRAY,
                                    PARQUET_BYTE_ARRAY};
    struct thrift_field field;
    struct slice name = {NULL, 0};
    int64_t type = -1, width = 0, repetition = 0;
    thrift_enter(r);
    while (thrift_next(r, &field)) {
        if (field.id == 1)
            type = thrift_read_int(r);
        else if (field.id == 2)
            width = thrift_read_int(r);
        else if (field.id == 3)
            repetition = thrift_read_int(r);
        else if (field.id == 4)
            name = thrift_read_binary(r);
        else
            thrift_skip(r, field.type);
    }
    if (index == 0) return; /* the root */
    int col = span_column_named(name);
    bool fits = col >= 0 && types[span_columns[col].type] == type &&
                (type != PARQUET_FIXED || width == span_columns[col].width) && repetition == span_columns[col].optional;
    f->columns[index - 1] = fits ? col : -1;
    f->column_count = index;
}

static void read_statistics(struct thrift_reader *r, struct chunk *chunk) {
    struct thrift_field field;
    struct slice max = {NULL, 0}, min = {NULL, 0};
    thrift_enter(r);
    while (thrift_next(r, &field)) {
        if (field.id == 3)
            chunk->nulls = thrift_read_int(r);
        else if (field.id == 5)
            max = thrift_read_binary(r);
        else if (field.id == 6)
            min = thrift_read_binary(r);
        else
            thrift_skip(r, field.type);
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
        case 6: chunk->uncompressed = thrift_read_int(r); break;
        case 7: chunk->bytes = thrift_read_int(r); break;
        case 9: data_at = thrift_read_int(r); break;
        case 11: dictionary_at = thrift_read_int(r); break;
        case 12: read_statistics(r, chunk); break;
        default: thrift_skip(r, field.type);
        }
    }
    chunk->at = dictionary_at >= 0 ? dictionary_at : data_at;
    chunk->has_dictionary = dictionary_at >= 0;
    chunk->there = true;
}

static void read_chunk(struct thrift_reader *r, struct chunk *chunk) {
    struct thrift_field field;
    *chunk = (struct chunk){.nulls = -1};
    thrift_enter(r);
    while (thrift_next(r, &field)) {
        if (field.id == 3)
            read_chunk_meta(r, chunk);
        else if (field.id == 4)
            chunk->index_at = thrift_read_int(r);
        else if (field.id == 5)
            chunk->index_bytes = (uint32_t)thrift_read_int(r);
        else
            thrift_skip(r, field.type);
    }
}

/* Whether a piece of the file lies between the magics. */
static bool lies_within(const struct segment *s, int64_t at, int64_t bytes) {
    int64_t end = (int64_t)s->bytes - FILE_TAIL;
    return at >= 4 && bytes >= 0 && bytes <= end && at <= end - bytes;
}

static bool chunk_fits(const struct segment *s, const struct chunk *c, int64_t rows) {
    return c->bytes > 0 && lies_within(s, c->at, c->bytes) && c->values == rows &&
           (!c->index_bytes || lies_within(s, c->index_at, c->index_bytes)) &&
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
            for (uint32_t i = 0; i < count && !r->failed; i++)
                read_chunk(r, f->columns[i] >= 0 ? &group->chunks[f->columns[i]] : &ignored);
        } else {
            thrift_skip(r, field.type);
        }
    }
    if (r->failed || rows < 1 || rows > ROWS_MAX) return false;
    for (int c = 0; c < COL_COUNT; c++) {
        if (!group->chunks[c].there && !span_columns[c].optional && c != COL_FLAGS) return false;
        if (group->chunks[c].there && !chunk_fits(f->s, &group->chunks[c], rows)) return false;
    }
    const struct chunk *start = &group->chunks[COL_START_NS];
    group->shown = (struct rowgroup){.rows = (uint32_t)rows,
                                     .min_start_ns = start->has_range ? start->min : INT64_MIN,
                                     .max_start_ns = start->has_range ? start->max : INT64_MAX,
                                     .max_end_ns = INT64_MAX,
                                     .segment = f->s->id,
                                     .sorted_by_trace = true,
                                     .source = f->s};
    return true;
}

static void read_key_value(struct thrift_reader *r, struct footer *f) {
    struct thrift_field field;
    struct slice key = {NULL, 0}, value = {NULL, 0};
    thrift_enter(r);
    while (thrift_next(r, &field)) {
        if (field.id == 1)
            key = thrift_read_binary(r);
        else if (field.id == 2)
            value = thrift_read_binary(r);
        else
            thrift_skip(r, field.type);
    }
    if (slice_is(key, "vitrine.groups")) f->group_notes = value;
    if (slice_is(key, "vitrine.schema")) f->version = value;
    if (slice_is(key, "vitrine.origin")) f->origin = value;
}

static bool bits_fit(const struct segment *s, int64_t at, uint32_t bytes) {
    return bytes % BLOOM_BLOCK_BYTES == 0 && lies_within(s, at, bytes);
}

static bool list_fits(const struct segment *s, const struct group *g) {
    return !g->list_bytes || (lies_within(s, g->list_at, g->list_bytes) && g->trace_count <= g->shown.rows &&
                              2 * trace_list_bytes(g->trace_count) <= g->list_bytes);
}

static bool attrs_fit(const struct segment *s, const struct group *g) {
    return !g->attrs_bytes ||
           (lies_within(s, g->attrs_at, g->attrs_bytes) && g->attr_directory_bytes <= g->attrs_bytes);
}

/* "max_end_ns:traces_at:traces_bytes:words_at:words_bytes:extras_at:extras_bytes:extras_crc," a row group; newer ones
 * go on before the comma: ":list_at:list_bytes:trace_count:attrs_at:attrs_bytes:attr_directory_bytes:joiners". */
static bool read_notes(struct footer *f) {
    char *text = strndup(f->group_notes.len ? f->group_notes.ptr : "", f->group_notes.len), *at = text;
    uint32_t g = 0;
    for (; text && g < f->s->group_count; g++) {
        struct group *group = &f->s->groups[g];
        long long max_end, traces_at, words_at, extras_at, list_at = 0, attrs_at = 0;
        int joiners = 1; /* older files do not say */
        int found = sscanf(at, "%lld:%lld:%u:%lld:%u:%lld:%u:%u:%lld:%u:%u:%lld:%u:%u:%d", &max_end, &traces_at,
                           &group->traces_bytes, &words_at, &group->words_bytes, &extras_at, &group->extras_bytes,
                           &group->extras_crc, &list_at, &group->list_bytes, &group->trace_count, &attrs_at,
                           &group->attrs_bytes, &group->attr_directory_bytes, &joiners);
        if (found != 8 && found != 15) break;
        if (!(at = strchr(at, ','))) break;
        at++;
        group->shown.max_end_ns = max_end;
        group->traces_at = traces_at;
        group->words_at = words_at;
        group->extras_at = extras_at;
        group->list_at = list_at;
        group->attrs_at = attrs_at;
        group->shown.joiners = joiners != 0;
        if (!bits_fit(f->s, traces_at, group->traces_bytes) || !bits_fit(f->s, words_at, group->words_bytes) ||
            !lies_within(f->s, extras_at, group->extras_bytes) || !list_fits(f->s, group) || !attrs_fit(f->s, group))
            break;
    }
    free(text);
    return g == f->s->group_count;
}

static bool read_groups(struct thrift_reader *r, struct footer *f) {
    struct segment *s = f->s;
    enum thrift_type of;
    uint32_t count = thrift_read_list(r, &of);
    if (count > GROUPS_MAX || s->groups || !(s->groups = calloc(count + 1, sizeof *s->groups))) return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!read_group(r, f, &s->groups[i])) return false;
        s->groups[i].shown.index = i;
        s->rows += s->groups[i].shown.rows;
        s->group_count++;
    }
    return true;
}

static bool read_footer(struct footer *f, struct slice bytes) {
    struct thrift_reader r;
    struct thrift_field field;
    enum thrift_type of;
    thrift_reader_init(&r, bytes);
    while (thrift_next(&r, &field)) {
        if (field.id == 2 && field.type == THRIFT_LIST) {
            uint32_t count = thrift_read_list(&r, &of);
            if (count > LEAVES_MAX + 1) return false;
            for (uint32_t i = 0; i < count && !r.failed; i++) read_schema_element(&r, f, i);
        } else if (field.id == 4 && field.type == THRIFT_LIST) {
            if (!read_groups(&r, f)) return false;
        } else if (field.id == 5 && field.type == THRIFT_LIST) {
            for (uint32_t n = thrift_read_list(&r, &of); n && !r.failed; n--) read_key_value(&r, f);
        } else {
            thrift_skip(&r, field.type);
        }
    }
    return !r.failed;
}

/* Key-value pairs stand behind the row groups in the footer, so the version is looked for first, on its own. */
static void read_version(struct footer *f, struct slice bytes) {
    struct thrift_reader r;
    struct thrift_field field;
    enum thrift_type of;
    thrift_reader_init(&r, bytes);
    while (thrift_next(&r, &field)) {
        if (field.id != 5 || field.type != THRIFT_LIST) {
            thrift_skip(&r, field.type);
            continue;
        }
        for (uint32_t n = thrift_read_list(&r, &of); n && !r.failed; n--) read_key_value(&r, f);
    }
}

static int check_version(const struct footer *f, struct error *err) {
    char text[16] = "";
    int major = 0;
    memcpy(text, f->version.len ? f->version.ptr : "", f->version.len < sizeof text ? f->version.len : sizeof text - 1);
    if (sscanf(text, "%d", &major) != 1 || major < 1)
        return error_set(err, VT_ECORRUPT, "%s is no segment of vitrine: it names no vitrine.schema", f->s->path);
    if (major <= SEGMENT_MAJOR) return 0;
    error_set(err, VT_EUNSUPPORTED, "%s is in segment format %s; this version reads up to %d", f->s->path, text,
              SEGMENT_MAJOR);
    return error_hint(err, "it was written by a newer vitrine: start that one");
}

static int open_footer(struct segment *s, struct error *err) {
    enum { LIKELY_BYTES = 24 << 10 };
    const uint8_t *tail = s->map + s->bytes - FILE_TAIL;
    struct footer f = {.s = s};
    uint32_t length, crc, again;
    segment_expect(s, s->bytes > LIKELY_BYTES ? (int64_t)s->bytes - LIKELY_BYTES : 0, LIKELY_BYTES);
    memcpy(&length, tail, 4);
    if (memcmp(s->map, "PAR1", 4) != 0 || memcmp(tail + 4, "PAR1", 4) != 0)
        return error_set(err, VT_ECORRUPT, "%s does not begin and end as a Parquet file", s->path);
    if (length > s->bytes - FILE_TAIL - 4 - FOOTER_SEAL_BYTES)
        return error_set(err, VT_ECORRUPT, "%s: the footer is longer than the file", s->path);
    const uint8_t *seal = tail - length - FOOTER_SEAL_BYTES;
    struct slice bytes = slice_make(tail - length, length);
    memcpy(&crc, seal + 4, 4);
    memcpy(&again, seal + 8, 4);
    if (memcmp(seal, SEAL_MAGIC, 4) != 0 || again != length || crc != libdeflate_crc32(0, bytes.ptr, length))
        return error_set(err, VT_ECORRUPT, "%s: the footer does not match its checksum", s->path);
    s->seal = crc;
    read_version(&f, bytes);
    int code = check_version(&f, err);
    if (code) return code;
    if (!read_footer(&f, bytes) || !read_notes(&f))
        return error_set(err, VT_ECORRUPT, "%s: the footer is broken", s->path);
    s->origin = strndup(f.origin.len ? f.origin.ptr : "", f.origin.len);
    return s->origin ? 0 : error_set(err, VT_ENOMEM, "no memory for %s", s->path);
}

/* ---- life ---- */

static int map_file(struct segment *s, struct error *err) {
    struct stat info;
    int fd = open(s->path, O_RDONLY | O_CLOEXEC), code = 0;
    if (fd < 0 || fstat(fd, &info)) {
        code = error_set(err, errno == ENOENT ? VT_ENOTFOUND : VT_EIO, "%s: %s", s->path, strerror(errno));
    } else if (info.st_size < 4 + FILE_TAIL + FOOTER_SEAL_BYTES) {
        code =
            error_set(err, VT_ECORRUPT, "%s has %lld bytes and is no Parquet file", s->path, (long long)info.st_size);
    } else {
        void *map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED)
            code = error_set(err, VT_EIO, "%s: %s", s->path, strerror(errno));
        else
            s->map = map, s->bytes = (uint64_t)info.st_size;
        if (!code) madvise(map, s->bytes, MADV_RANDOM);
    }
    if (fd >= 0) close(fd);
    return code;
}

int segment_open(struct segment **out, const char *path, uint64_t id, struct error *err) {
    struct segment *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s || !(s->path = strdup(path))) {
        free(s);
        return error_set(err, VT_ENOMEM, "no memory for %s", path);
    }
    atomic_init(&s->references, 1);
    s->id = id;
    s->opened_ns = time_monotonic_ns();
    int code = map_file(s, err);
    if (!code) code = open_footer(s, err);
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

void segment_unmap_pages(const struct segment *s) {
    madvise((void *)(uintptr_t)s->map, s->bytes, MADV_DONTNEED);
}

void segment_unref(struct segment *s) {
    if (!s || atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) > 1) return;
    if (s->map) munmap((void *)(uintptr_t)s->map, s->bytes);
    free(s->groups);
    free(s->path);
    free(s->origin);
    free(s);
}

void segment_drop(struct segment *s) {
    unlink(s->path);
}

void segment_set_owner(struct segment *s, struct store *owner, const char *path) {
    char *own = path ? strdup(path) : NULL;
    s->owner = owner;
    if (!own) return;
    free(s->path);
    s->path = own;
}

struct store *segment_owner(const struct segment *s) {
    return s->owner;
}
const char *segment_path(const struct segment *s) {
    return s->path;
}
/* Whatever was merged is there to stay, even if it has too many words for a filter. */
bool segment_is_quick(const struct segment *s) {
    return s->group_count && !s->groups[0].words_bytes && strncmp(s->origin, "wal ", 4) == 0;
}
const char *segment_origin(const struct segment *s) {
    return s->origin;
}
uint64_t segment_id(const struct segment *s) {
    return s->id;
}
uint32_t segment_seal(const struct segment *s) {
    return s->seal;
}
uint64_t segment_bytes(const struct segment *s) {
    return s->bytes;
}
uint64_t segment_rows(const struct segment *s) {
    return s->rows;
}
int64_t segment_opened_ns(const struct segment *s) {
    return s->opened_ns;
}
uint32_t segment_rowgroups(const struct segment *s) {
    return s->group_count;
}
const struct rowgroup *segment_rowgroup(const struct segment *s, uint32_t i) {
    return &s->groups[i].shown;
}

uint64_t segment_text_bytes(const struct segment *s) {
    uint64_t most = 0;
    for (int c = COL_TEXT_FIRST; c < COL_COUNT; c++) {
        uint64_t bytes = 0;
        for (uint32_t g = 0; g < s->group_count; g++) bytes += (uint64_t)s->groups[g].chunks[c].uncompressed;
        if (bytes > most) most = bytes;
    }
    return most;
}

int64_t segment_min_start_ns(const struct segment *s) {
    int64_t least = INT64_MAX;
    for (uint32_t g = 0; g < s->group_count; g++)
        if (s->groups[g].shown.min_start_ns < least) least = s->groups[g].shown.min_start_ns;
    return least;
}

int64_t segment_max_start_ns(const struct segment *s) {
    int64_t most = INT64_MIN;
    for (uint32_t g = 0; g < s->group_count; g++)
        if (s->groups[g].shown.max_start_ns > most) most = s->groups[g].shown.max_start_ns;
    return most;
}

/* ---- filters and checks ---- */

bool extras_are_right(const struct segment *s, const struct group *group) {
    atomic_bool *checked = (atomic_bool *)(uintptr_t)&group->checked[COL_COUNT];
    if (atomic_load_explicit(checked, memory_order_relaxed)) return true;
    if (libdeflate_crc32(0, s->map + group->extras_at, group->extras_bytes) != group->extras_crc) return false;
    atomic_store_explicit(checked, true, memory_order_relaxed);
    return true;
}

bool segment_may_have_trace(const struct segment *s, uint32_t index, const uint8_t *trace_id, bool *broken) {
    const struct group *group = &s->groups[index];
    if (group->list_bytes)
        return trace_list_has(s->map + group->list_at, group->trace_count, trace_hash(trace_id), broken);
    if (!group->traces_bytes) return true;
    if ((*broken = !extras_are_right(s, group))) return true;
    return bloom_has(s->map + group->traces_at, group->traces_bytes, XXH64(trace_id, TRACE_ID_SIZE, 0));
}

const uint8_t *segment_trace_hashes(const struct segment *s, uint32_t index, uint32_t *count) {
    const struct group *group = &s->groups[index];
    *count = group->trace_count;
    return group->list_bytes ? s->map + group->list_at : NULL;
}

int segment_trace_rows(const struct segment *s, uint32_t index, const uint8_t *trace_id, uint32_t *first,
                       uint32_t *rows, bool *broken) {
    const struct group *group = &s->groups[index];
    *broken = false;
    if (!group->list_bytes) return VT_ENOTFOUND;
    *rows = trace_list_rows(s->map + group->list_at, group->trace_count, group->shown.rows, trace_hash(trace_id), first,
                            broken);
    return 0;
}

bool segment_may_have_word(const struct segment *s, uint32_t index, struct slice word, bool *broken) {
    const struct group *group = &s->groups[index];
    if (!group->words_bytes) return true;
    if ((*broken = !extras_are_right(s, &s->groups[index]))) return true;
    if (word.len > WORD_MAX) word.len = WORD_MAX;
    return bloom_has(s->map + group->words_at, group->words_bytes, word_hash(word));
}

static int broken_part(const struct segment *s, uint32_t index, const char *part, struct error *err) {
    return error_set(err, VT_ECORRUPT, "%s, row group %u: the %s does not match its checksum", s->path, index, part);
}

int segment_trace_list(const struct segment *s, uint32_t index, struct arena *arena, struct trace_list *list,
                       struct error *err) {
    const struct group *group = &s->groups[index];
    if (!group->list_bytes) return error_set(err, VT_ENOTFOUND, "%s has no list of traces", s->path);
    int code =
        trace_list_read(s->map + group->list_at, group->list_bytes, group->trace_count, group->shown.rows, arena, list);
    if (code == VT_ENOMEM) return error_set(err, code, "no memory for a list of traces");
    return code ? broken_part(s, index, "list of traces", err) : 0;
}

int segment_attribute(const struct segment *s, uint32_t index, struct slice key, struct arena *arena,
                      struct attr_codes *out, struct error *err) {
    const struct group *group = &s->groups[index];
    bool no_memory;
    *out = (struct attr_codes){0};
    if (!group->attr_directory_bytes ||
        attr_index_read(s->map + group->attrs_at, group->attrs_bytes, group->attr_directory_bytes, group->shown.rows,
                        key, arena, out, &no_memory))
        return 0;
    if (no_memory) return error_set(err, VT_ENOMEM, "no memory for an attribute");
    return broken_part(s, index, "index of attributes", err);
}

static int check_lists(const struct segment *s, uint32_t index, struct error *err) {
    const struct group *group = &s->groups[index];
    struct arena arena = {0};
    struct trace_list list;
    int code = group->list_bytes ? segment_trace_list(s, index, &arena, &list, err) : 0;
    arena_free(&arena);
    if (code || !group->attr_directory_bytes) return code;
    bool right = attr_index_check(s->map + group->attrs_at, group->attrs_bytes, group->attr_directory_bytes);
    return right ? 0 : broken_part(s, index, "index of attributes", err);
}

int segment_check(const struct segment *s, struct error *err) {
    for (uint32_t g = 0; g < s->group_count; g++) {
        for (int c = 0; c < COL_COUNT; c++) {
            int code = chunk_check(s, &s->groups[g], (enum col)c, err);
            if (code) return code;
        }
        if (!extras_are_right(s, &s->groups[g]))
            return error_set(err, VT_ECORRUPT, "%s, row group %u: page index and filters do not match their checksum",
                             s->path, g);
        int code = check_lists(s, g, err);
        if (code) return code;
    }
    return 0;
}
