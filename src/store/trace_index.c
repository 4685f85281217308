/* Making and asking an index of traces. */
#include "store/trace_index.h"

#include "base/log.h"
#include "store/trace_list.h"

#include <errno.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VERSION = 1, NUMBER_BITS = 8, NUMBER_MASK = (1 << NUMBER_BITS) - 1, GROUPS_MAX = 4096, PARTS = 256 };
static const char MAGIC[4] = {'v', 't', 't', 'i'};

struct head {
    char magic[4];
    uint32_t version, segment_count, item_count;
    uint32_t crc; /* of the head with 0 here, and of the segments behind it */
    uint32_t none;
};

struct trace_index {
    atomic_int references;
    atomic_bool broken;
    char *path;
    const uint8_t *map, *items;
    size_t bytes;
    uint32_t segment_count, item_count;
    struct trace_index_segment segments[TRACE_INDEX_SEGMENTS];
};

static size_t head_bytes(uint32_t segment_count) {
    size_t bytes = sizeof(struct head) + segment_count * sizeof(struct trace_index_segment);
    return (bytes + LIST_PAGE - 1) / LIST_PAGE * LIST_PAGE;
}

static uint32_t head_crc(struct head head, const struct trace_index_segment *segments) {
    head.crc = 0;
    uint32_t crc = libdeflate_crc32(0, &head, sizeof head);
    return libdeflate_crc32(crc, segments, head.segment_count * sizeof *segments);
}

bool trace_index_is_of(const struct trace_index_segment *entry, const struct segment *segment) {
    return entry->id == segment_id(segment) && entry->rows == segment_rows(segment) &&
           entry->bytes == segment_bytes(segment) && entry->seal == segment_seal(segment);
}

bool trace_index_can_hold(const struct segment *segment) {
    uint32_t count, groups = segment_rowgroups(segment);
    bool can = groups && groups <= GROUPS_MAX;
    for (uint32_t g = 0; g < groups && can; g++) can = segment_trace_hashes(segment, g, &count) != NULL;
    return can;
}

/* ---- making ---- */

/* A list of hashes that is read from its beginning to its end. */
struct cursor {
    const struct segment *segment;
    const uint8_t *at;
    uint32_t count, next, number;
};

struct making {
    struct cursor *cursors;
    uint32_t cursor_count;
    uint32_t *items, *spare; /* of one part of all hashes */
    uint32_t count, capacity;
    uint32_t page[LIST_PAGE_ITEMS]; /* of the file */
    uint32_t page_count, item_count;
    FILE *file;
    const struct segment *broken;
};

static bool make_cursors(struct making *m, struct segment *const *segments, uint32_t count) {
    uint32_t total = 0;
    for (uint32_t i = 0; i < count; i++) total += segment_rowgroups(segments[i]);
    if (!(m->cursors = calloc(total + 1, sizeof *m->cursors))) return false;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t g = 0; g < segment_rowgroups(segments[i]); g++) {
            struct cursor *c = &m->cursors[m->cursor_count++];
            *c = (struct cursor){.segment = segments[i], .number = i};
            c->at = segment_trace_hashes(segments[i], g, &c->count);
            segment_expect_trace_list(segments[i], g);
        }
    return true;
}

static bool add_item(struct making *m, uint32_t item) {
    if (m->count == m->capacity) {
        uint32_t capacity = m->capacity ? 2 * m->capacity : 4096;
        uint32_t *items = realloc(m->items, capacity * sizeof *items);
        if (items) m->items = items;
        uint32_t *spare = items ? realloc(m->spare, capacity * sizeof *spare) : NULL;
        if (!spare) return false;
        m->spare = spare;
        m->capacity = capacity;
    }
    m->items[m->count++] = item;
    return true;
}

/* What the cursor has of the part of hashes that begin with this byte. VT_ECORRUPT without a message. */
static int take_part(struct making *m, struct cursor *c, uint32_t part) {
    for (; c->next < c->count; c->next++) {
        if (c->next % LIST_PAGE_ITEMS == 0 && !list_page_is_right(c->at, c->count, c->next)) return VT_ECORRUPT;
        uint32_t hash = list_item(c->at, c->next);
        if (hash >> 24 > part) break;
        if (!add_item(m, (hash & ~(uint32_t)NUMBER_MASK) | c->number)) return VT_ENOMEM;
    }
    return 0;
}

/* The highest byte is the same in all of a part, and the lowest, of the segment, is in order already. */
static void sort_part(struct making *m) {
    for (unsigned shift = 8; shift < 24; shift += 8) {
        uint32_t starts[257] = {0};
        for (uint32_t i = 0; i < m->count; i++) starts[(m->items[i] >> shift & 255) + 1]++;
        for (uint32_t b = 1; b < 257; b++) starts[b] += starts[b - 1];
        for (uint32_t i = 0; i < m->count; i++) m->spare[starts[m->items[i] >> shift & 255]++] = m->items[i];
        uint32_t *swap = m->items;
        m->items = m->spare;
        m->spare = swap;
    }
}

static bool put_page(struct making *m) {
    struct buf page = {0};
    list_pages_put(&page, m->page, m->page_count);
    bool done = !page.failed && fwrite(page.ptr, 1, page.len, m->file) == page.len;
    buf_free(&page);
    m->page_count = 0;
    return done;
}

static bool put_part(struct making *m) {
    for (uint32_t i = 0; i < m->count; i++) {
        if (i && m->items[i] == m->items[i - 1]) continue;
        m->page[m->page_count++] = m->items[i];
        m->item_count++;
        if (m->page_count == LIST_PAGE_ITEMS && !put_page(m)) return false;
    }
    return true;
}

static bool put_head(struct making *m, struct segment *const *segments, uint32_t count) {
    struct trace_index_segment entries[TRACE_INDEX_SEGMENTS] = {0};
    struct head head = {.version = VERSION, .segment_count = count, .item_count = m->item_count};
    memcpy(head.magic, MAGIC, sizeof head.magic);
    for (uint32_t i = 0; i < count; i++)
        entries[i] = (struct trace_index_segment){.id = segment_id(segments[i]),
                                                  .rows = segment_rows(segments[i]),
                                                  .bytes = segment_bytes(segments[i]),
                                                  .seal = segment_seal(segments[i])};
    head.crc = head_crc(head, entries);
    return fseek(m->file, 0, SEEK_SET) == 0 && fwrite(&head, sizeof head, 1, m->file) == 1 &&
           fwrite(entries, sizeof *entries, count, m->file) == count;
}

static int make_parts(struct making *m, const atomic_bool *stop, struct error *err) {
    for (uint32_t part = 0; part < PARTS; part++) {
        if (stop && atomic_load(stop)) return error_set(err, VT_ECANCELLED, "the store is closing");
        m->count = 0;
        for (uint32_t i = 0; i < m->cursor_count; i++) {
            int code = take_part(m, &m->cursors[i], part);
            if (code == VT_ENOMEM) return error_set(err, VT_ENOMEM, "no memory for an index of traces");
            if (!code) continue;
            m->broken = m->cursors[i].segment;
            return error_set(err, code, "%s: the list of traces does not match its checksum", segment_path(m->broken));
        }
        sort_part(m);
        if (!put_part(m)) return VT_EIO;
    }
    return m->page_count && !put_page(m) ? VT_EIO : 0;
}

static FILE *create(const char *path) {
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (fd >= 0 && !file) close(fd);
    return file;
}

static int sync_dir_of(const char *path) {
    char dir[600];
    snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(path, '/') - path), path);
    int fd = open(dir, O_RDONLY | O_CLOEXEC), failed = fd < 0 || fsync(fd);
    if (fd >= 0) close(fd);
    return failed;
}

int trace_index_write(const char *path, struct segment *const *segments, uint32_t count, const atomic_bool *stop,
                      const struct segment **broken, struct error *err) {
    char aside[600];
    struct making *m = calloc(1, sizeof *m);
    *broken = NULL;
    snprintf(aside, sizeof aside, "%s.tmp", path);
    if (!m || !make_cursors(m, segments, count)) {
        free(m);
        return error_set(err, VT_ENOMEM, "no memory for an index of traces");
    }
    int code = (m->file = create(aside)) && !fseek(m->file, (long)head_bytes(count), SEEK_SET) ? 0 : VT_EIO;
    if (!code) code = make_parts(m, stop, err);
    if (!code && (!put_head(m, segments, count) || fflush(m->file) || fsync(fileno(m->file)))) code = VT_EIO;
    if (m->file && fclose(m->file) && !code) code = VT_EIO;
    if (!code && (rename(aside, path) || sync_dir_of(path))) code = VT_EIO;
    if (code == VT_EIO) code = error_set(err, errno == ENOSPC ? VT_EFULL : VT_EIO, "%s: %s", aside, strerror(errno));
    if (code) unlink(aside);
    *broken = m->broken;
    free(m->cursors);
    free(m->items);
    free(m->spare);
    free(m);
    return code;
}

/* ---- reading ---- */

static int read_head(struct trace_index *x, struct error *err) {
    struct head head = {0};
    if (x->bytes >= LIST_PAGE) memcpy(&head, x->map, sizeof head);
    if (x->bytes < LIST_PAGE || memcmp(head.magic, MAGIC, sizeof head.magic) != 0 || head.version != VERSION ||
        !head.segment_count || head.segment_count > TRACE_INDEX_SEGMENTS || head.none ||
        x->bytes != head_bytes(head.segment_count) + trace_list_bytes(head.item_count))
        return error_set(err, VT_ECORRUPT, "%s is no index of traces of this version, or is cut off", x->path);
    memcpy(x->segments, x->map + sizeof head, head.segment_count * sizeof *x->segments);
    if (head_crc(head, x->segments) != head.crc)
        return error_set(err, VT_ECORRUPT, "%s: the head does not match its checksum", x->path);
    x->segment_count = head.segment_count;
    x->item_count = head.item_count;
    x->items = x->map + head_bytes(head.segment_count);
    return 0;
}

int trace_index_open(struct trace_index **out, const char *path, struct error *err) {
    struct stat info;
    struct trace_index *x = calloc(1, sizeof *x);
    *out = NULL;
    if (!x || !(x->path = strdup(path))) {
        free(x);
        return error_set(err, VT_ENOMEM, "no memory for %s", path);
    }
    atomic_init(&x->references, 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC), code = 0;
    if (fd < 0 || fstat(fd, &info)) {
        code = error_set(err, errno == ENOENT ? VT_ENOTFOUND : VT_EIO, "%s: %s", path, strerror(errno));
    } else if (info.st_size > 0) {
        void *map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED)
            code = error_set(err, VT_EIO, "%s: %s", path, strerror(errno));
        else
            x->map = map, x->bytes = (size_t)info.st_size, madvise(map, x->bytes, MADV_RANDOM);
    }
    if (fd >= 0) close(fd);
    if (!code) code = read_head(x, err);
    if (code)
        trace_index_unref(x);
    else
        *out = x;
    return code;
}

struct trace_index *trace_index_ref(struct trace_index *x) {
    atomic_fetch_add_explicit(&x->references, 1, memory_order_relaxed);
    return x;
}

void trace_index_unref(struct trace_index *x) {
    if (!x || atomic_fetch_sub_explicit(&x->references, 1, memory_order_acq_rel) > 1) return;
    if (x->map) munmap((void *)(uintptr_t)x->map, x->bytes);
    free(x->path);
    free(x);
}

void trace_index_drop(const struct trace_index *x) {
    unlink(x->path);
}

const char *trace_index_path(const struct trace_index *x) {
    return x->path;
}

const struct trace_index_segment *trace_index_segments(const struct trace_index *x, uint32_t *count) {
    *count = x->segment_count;
    return x->segments;
}

/* Items lie evenly, but not quite: in the middle of three million, the place is off by a page or two. */
void trace_index_expect(const struct trace_index *x, const uint8_t *trace_id) {
    enum { AROUND = 2 };
    if (!x->item_count) return;
    size_t page = (size_t)(x->items - x->map) + (size_t)trace_list_guess(x->item_count, trace_hash(trace_id));
    size_t from = page - (page >= AROUND * LIST_PAGE ? AROUND * LIST_PAGE : page), bytes = (2 * AROUND + 1) * LIST_PAGE;
    madvise((void *)(uintptr_t)(x->map + from), bytes < x->bytes - from ? bytes : x->bytes - from, MADV_WILLNEED);
}

bool trace_index_is_broken(const struct trace_index *x) {
    return atomic_load_explicit(&x->broken, memory_order_relaxed);
}

static bool is_broken(struct trace_index *x) {
    if (!atomic_exchange(&x->broken, true))
        log_warn("%s is broken and made again: a page does not match its checksum", x->path);
    return false;
}

bool trace_index_find(struct trace_index *x, const uint8_t *trace_id, struct trace_index_found *found) {
    uint32_t wanted = trace_hash(trace_id) & ~(uint32_t)NUMBER_MASK;
    bool broken = false;
    if (trace_index_is_broken(x)) return false;
    uint32_t i = list_pages_seek(x->items, x->item_count, wanted, &broken), first = i;
    if (broken) return is_broken(x);
    for (; i < x->item_count; i++) {
        if ((i == first || i % LIST_PAGE_ITEMS == 0) && !list_page_is_right(x->items, x->item_count, i))
            return is_broken(x);
        uint32_t item = list_item(x->items, i), number = item & NUMBER_MASK;
        if ((item & ~(uint32_t)NUMBER_MASK) != wanted) break;
        if (number >= x->segment_count) return is_broken(x);
        found->bits[number / 64] |= UINT64_C(1) << number % 64;
    }
    return true;
}

int trace_index_check(const struct trace_index *x, struct error *err) {
    uint32_t before = 0;
    for (uint32_t i = 0; i < x->item_count; i++) {
        if (i % LIST_PAGE_ITEMS == 0 && !list_page_is_right(x->items, x->item_count, i))
            return error_set(err, VT_ECORRUPT, "a page does not match its checksum");
        uint32_t item = list_item(x->items, i);
        if ((i && item <= before) || (item & NUMBER_MASK) >= x->segment_count)
            return error_set(err, VT_ECORRUPT, "what it holds is not in order");
        before = item;
    }
    return 0;
}
