/* Pages of spans whose texts lie in copied payloads. */
#include "store/memtable.h"

#include "span/batch.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { PAGE_ROWS = 1024, PAGES_MAX = 4096 };

struct payload {
    struct payload *older;
    char bytes[];
};

struct memtable {
    atomic_int references;
    uint64_t wal;
    atomic_uint rows;      /* published after the row is whole */
    atomic_ullong bytes;
    struct payload *payloads;
    struct batch *scratch; /* for decoding */
    struct span *pages[PAGES_MAX];
};

struct memtable *memtable_new(uint64_t wal_number) {
    struct memtable *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    m->wal = wal_number;
    atomic_init(&m->references, 1);
    if (!(m->scratch = batch_new())) {
        free(m);
        return NULL;
    }
    return m;
}

struct memtable *memtable_ref(struct memtable *m) {
    atomic_fetch_add_explicit(&m->references, 1, memory_order_relaxed);
    return m;
}

void memtable_unref(struct memtable *m) {
    if (!m || atomic_fetch_sub_explicit(&m->references, 1, memory_order_acq_rel) > 1) return;
    for (int i = 0; i < PAGES_MAX && m->pages[i]; i++) free(m->pages[i]);
    while (m->payloads) {
        struct payload *older = m->payloads->older;
        free(m->payloads);
        m->payloads = older;
    }
    batch_unref(m->scratch);
    free(m);
}

uint64_t memtable_wal(const struct memtable *m) { return m->wal; }
uint32_t memtable_rows(const struct memtable *m) { return atomic_load_explicit(&m->rows, memory_order_acquire); }
uint64_t memtable_bytes(const struct memtable *m) { return atomic_load_explicit(&m->bytes, memory_order_relaxed); }
const struct span *memtable_row(const struct memtable *m, uint32_t row) { return &m->pages[row / PAGE_ROWS][row % PAGE_ROWS]; }

static int add_row(struct memtable *m, uint32_t row, const struct span *span, struct error *err) {
    if (row / PAGE_ROWS >= PAGES_MAX) return error_set(err, VT_ELIMIT, "a memtable holds at most %d spans", PAGE_ROWS * PAGES_MAX);
    struct span **page = &m->pages[row / PAGE_ROWS];
    if (!*page && !(*page = malloc(PAGE_ROWS * sizeof **page))) return error_set(err, VT_ENOMEM, "no memory for spans");
    (*page)[row % PAGE_ROWS] = *span;
    return 0;
}

int memtable_add(struct memtable *m, struct slice payload, struct error *err) {
    struct payload *copy = malloc(sizeof *copy + payload.len);
    if (!copy) return error_set(err, VT_ENOMEM, "no memory for %zu bytes of spans", payload.len);
    memcpy(copy->bytes, payload.ptr, payload.len);
    m->scratch->count = 0;
    int code = batch_decode(m->scratch, slice_make(copy->bytes, payload.len), false, err);
    uint32_t rows = memtable_rows(m), first = rows;
    for (uint32_t i = 0; i < m->scratch->count && !code; i++) code = add_row(m, rows++, &m->scratch->spans[i], err);
    if (code) {
        free(copy);
        return code;
    }
    copy->older = m->payloads;
    m->payloads = copy;
    atomic_fetch_add_explicit(&m->bytes, payload.len + (rows - first) * sizeof(struct span), memory_order_relaxed);
    atomic_store_explicit(&m->rows, rows, memory_order_release);
    return 0;
}
