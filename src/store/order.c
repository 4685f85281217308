/* Rows are chained by trace in a hash table, the traces are sorted, and each chain is laid out: no comparison of ids.
 */
#include "store/order.h"

#include "base/id.h"

#include <stdlib.h>

struct trace {
    int64_t start_ns;      /* earliest */
    uint32_t newest, rows; /* head of the chain */
};

struct trace_order {
    int64_t start_ns;
    uint32_t trace;
};

static int by_start(const void *a, const void *b) {
    const struct trace_order *x = a, *y = b;
    if (x->start_ns != y->start_ns) return x->start_ns < y->start_ns ? -1 : 1;
    return x->trace < y->trace ? -1 : 1;
}

static uint64_t hash_id(const uint8_t *id) {
    uint64_t low, high;
    memcpy(&low, id, 8);
    memcpy(&high, id + 8, 8);
    /* Ids may be anything a sender makes up, so they are mixed. */
    uint64_t h = (low ^ (high << 32 | high >> 32)) * UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 32;
    return (h * UINT64_C(0xd6e8feb86659fd93)) ^ (h >> 29);
}

/* Chains rows by trace; returns how many traces there are. next[] links each row to the one before it in its trace. */
static uint32_t chain(const struct row_key *keys, uint32_t count, struct trace *traces, uint32_t *next, uint32_t *slots,
                      uint32_t slot_count) {
    uint32_t trace_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)hash_id(keys[i].trace_id) & (slot_count - 1);
        while (slots[at] && memcmp(keys[traces[slots[at] - 1].newest].trace_id, keys[i].trace_id, TRACE_ID_SIZE) != 0)
            at = (at + 1) & (slot_count - 1);
        if (!slots[at]) {
            traces[trace_count++] = (struct trace){keys[i].start_ns, UINT32_MAX, 0};
            slots[at] = trace_count;
        }
        struct trace *trace = &traces[slots[at] - 1];
        if (keys[i].start_ns < trace->start_ns) trace->start_ns = keys[i].start_ns;
        next[i] = trace->newest;
        trace->newest = i;
        trace->rows++;
    }
    return trace_count;
}

/* For qsort_r: by span id, the newest first, so that the first of equals is the one to keep. */
static int by_span(const void *a, const void *b, void *ctx) {
    const struct row_key *keys = ctx;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    int order = memcmp(keys[x].span_id, keys[y].span_id, SPAN_ID_SIZE);
    return order ? order : x > y ? -1 : x < y;
}

static int by_time(const void *a, const void *b, void *ctx) {
    const struct row_key *keys = ctx;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    if (keys[x].start_ns != keys[y].start_ns) return keys[x].start_ns < keys[y].start_ns ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Drops what is there twice and sorts by time; returns how many are left. */
static uint32_t lay_out(const struct row_key *keys, uint32_t *rows, uint32_t count) {
    uint32_t kept = 0;
    if (count == 1) return 1;
    qsort_r(rows, count, sizeof *rows, by_span, (void *)(uintptr_t)keys);
    for (uint32_t i = 0; i < count; i++)
        if (!i || memcmp(keys[rows[i]].span_id, keys[rows[kept - 1]].span_id, SPAN_ID_SIZE) != 0)
            rows[kept++] = rows[i];
    qsort_r(rows, kept, sizeof *rows, by_time, (void *)(uintptr_t)keys);
    return kept;
}

int64_t order_rows(const struct row_key *keys, uint32_t count, uint32_t *order) {
    uint32_t slot_count = 64;
    while (slot_count < 2 * count) slot_count *= 2;
    uint32_t *slots = calloc(slot_count, sizeof *slots), *next = malloc(count * sizeof *next + 1);
    struct trace *traces = malloc(count * sizeof *traces + 1);
    struct trace_order *sorted = malloc(count * sizeof *sorted + 1);
    int64_t kept = slots && next && traces && sorted ? 0 : VT_ENOMEM;
    if (!kept) {
        uint32_t trace_count = chain(keys, count, traces, next, slots, slot_count);
        for (uint32_t t = 0; t < trace_count; t++) sorted[t] = (struct trace_order){traces[t].start_ns, t};
        qsort(sorted, trace_count, sizeof *sorted, by_start);
        for (uint32_t t = 0; t < trace_count; t++) {
            const struct trace *trace = &traces[sorted[t].trace];
            uint32_t n = 0;
            for (uint32_t row = trace->newest; row != UINT32_MAX; row = next[row]) order[kept + n++] = row;
            kept += lay_out(keys, order + kept, n);
        }
    }
    free(slots);
    free(next);
    free(traces);
    free(sorted);
    return kept;
}
