/* Pages of spans whose texts lie in copied payloads. The memory comes from the kernel in slabs. Those of a memtable
 * that is sealed serve the next one, since fresh memory costs more than what is written into it; memtable_trim gives
 * them back, so that a burst leaves nothing behind. */
#include "store/memtable.h"

#include "span/batch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { PAGE_ROWS = 1024, PAGES_MAX = 4096, SLAB_BYTES = 1 << 20, SPARE_SLABS_MAX = 32 };

struct slab {
    struct slab *older;
    size_t size, used;
};

struct memtable {
    atomic_int references;
    uint64_t name, wal;
    atomic_uint rows; /* published after the row is whole */
    atomic_ullong bytes;
    atomic_llong min_start_ns, max_start_ns, max_end_ns;
    struct slab *slabs;
    struct span *pages[PAGES_MAX];
};

static atomic_ullong names;

static pthread_mutex_t spare_lock = PTHREAD_MUTEX_INITIALIZER; /* over the next two */
static struct slab *spare;                                     /* each of SLAB_BYTES */
static unsigned spare_count;

static struct slab *spare_take(void) {
    pthread_mutex_lock(&spare_lock);
    struct slab *slab = spare;
    if (slab) spare = slab->older, spare_count--;
    pthread_mutex_unlock(&spare_lock);
    return slab;
}

static bool spare_put(struct slab *slab) {
    pthread_mutex_lock(&spare_lock);
    bool taken = slab->size == SLAB_BYTES && spare_count < SPARE_SLABS_MAX;
    if (taken) slab->older = spare, spare = slab, spare_count++;
    pthread_mutex_unlock(&spare_lock);
    return taken;
}

void memtable_trim(void) {
    for (struct slab *slab; (slab = spare_take());) munmap(slab, slab->size);
}

struct memtable *memtable_new(uint64_t wal_number) {
    struct memtable *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    m->wal = wal_number;
    m->name = atomic_fetch_add(&names, 1) + 1;
    atomic_init(&m->references, 1);
    atomic_init(&m->min_start_ns, INT64_MAX);
    atomic_init(&m->max_start_ns, INT64_MIN);
    atomic_init(&m->max_end_ns, INT64_MIN);
    return m;
}

struct memtable *memtable_ref(struct memtable *m) {
    atomic_fetch_add_explicit(&m->references, 1, memory_order_relaxed);
    return m;
}

void memtable_unref(struct memtable *m) {
    if (!m || atomic_fetch_sub_explicit(&m->references, 1, memory_order_acq_rel) > 1) return;
    for (struct slab *slab = m->slabs, *older; slab; slab = older) {
        older = slab->older;
        if (!spare_put(slab)) munmap(slab, slab->size);
    }
    free(m);
}

uint64_t memtable_name(const struct memtable *m) {
    return m->name;
}
uint64_t memtable_wal(const struct memtable *m) {
    return m->wal;
}
void memtable_set_wal(struct memtable *m, uint64_t number) {
    m->wal = number;
}
uint32_t memtable_rows(const struct memtable *m) {
    return atomic_load_explicit(&m->rows, memory_order_acquire);
}
uint64_t memtable_bytes(const struct memtable *m) {
    return atomic_load_explicit(&m->bytes, memory_order_relaxed);
}
const struct span *memtable_row(const struct memtable *m, uint32_t row) {
    return &m->pages[row / PAGE_ROWS][row % PAGE_ROWS];
}

struct memtable_range memtable_range(const struct memtable *m) {
    return (struct memtable_range){atomic_load_explicit(&m->min_start_ns, memory_order_relaxed),
                                   atomic_load_explicit(&m->max_start_ns, memory_order_relaxed),
                                   atomic_load_explicit(&m->max_end_ns, memory_order_relaxed)};
}

static void *take(struct memtable *m, size_t size) {
    size = (size + 15) & ~(size_t)15;
    struct slab *slab = m->slabs;
    if (!slab || slab->size - slab->used < size) {
        size_t whole = size + sizeof *slab > SLAB_BYTES / 2 ? (size + sizeof *slab + 4095) & ~(size_t)4095 : SLAB_BYTES;
        struct slab *fresh = whole == SLAB_BYTES ? spare_take() : NULL;
        if (!fresh) fresh = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (fresh == MAP_FAILED) return NULL;
        fresh->size = whole;
        fresh->used = (sizeof *fresh + 15) & ~(size_t)15;
        /* A slab made to measure goes behind the one that still has room. */
        bool behind = slab && whole != SLAB_BYTES;
        fresh->older = behind ? slab->older : slab;
        if (behind)
            slab->older = fresh;
        else
            m->slabs = fresh;
        slab = fresh;
    }
    void *at = (char *)slab + slab->used;
    slab->used += size;
    return at;
}

static struct span *row_place(struct memtable *m, uint32_t row, struct error *err) {
    if (row / PAGE_ROWS >= PAGES_MAX) {
        error_set(err, VT_ELIMIT, "a memtable holds at most %d spans", PAGE_ROWS * PAGES_MAX);
        return NULL;
    }
    struct span **page = &m->pages[row / PAGE_ROWS];
    if (!*page && !(*page = take(m, PAGE_ROWS * sizeof **page))) {
        error_set(err, VT_ENOMEM, "no memory for spans");
        return NULL;
    }
    return &(*page)[row % PAGE_ROWS];
}

/* Only the writer widens the range, so a plain load and store will do. */
static void widen(struct memtable *m, const struct span *span) {
    int64_t end;
    if (__builtin_add_overflow(span->start_ns, span->duration_ns, &end)) end = INT64_MAX;
    if (span->start_ns < atomic_load_explicit(&m->min_start_ns, memory_order_relaxed))
        atomic_store_explicit(&m->min_start_ns, span->start_ns, memory_order_relaxed);
    if (span->start_ns > atomic_load_explicit(&m->max_start_ns, memory_order_relaxed))
        atomic_store_explicit(&m->max_start_ns, span->start_ns, memory_order_relaxed);
    if (end > atomic_load_explicit(&m->max_end_ns, memory_order_relaxed))
        atomic_store_explicit(&m->max_end_ns, end, memory_order_relaxed);
}

int memtable_add(struct memtable *m, struct slice payload, struct error *err) {
    struct payload_reader reader;
    char *copy = take(m, payload.len);
    if (!copy) return error_set(err, VT_ENOMEM, "no memory for %zu bytes of spans", payload.len);
    memcpy(copy, payload.ptr, payload.len);
    int code = payload_open(&reader, slice_make(copy, payload.len), err);
    uint32_t first = memtable_rows(m), rows = first;
    while (!code && reader.left) {
        struct span *span = row_place(m, rows, err);
        if (!span) return err ? err->code : VT_ENOMEM;
        if ((code = payload_next(&reader, span, err))) break;
        widen(m, span);
        rows++;
    }
    if (code) return code;
    atomic_fetch_add_explicit(&m->bytes, payload.len + (rows - first) * sizeof(struct span), memory_order_relaxed);
    atomic_store_explicit(&m->rows, rows, memory_order_release);
    return 0;
}
