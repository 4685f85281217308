/* See kit.h. */
#include "kit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char dir[64];
struct store *store;
struct store_options options;

void open_store(void) {
    options.dir = dir;
    if (!options.seal_after_ms) options.seal_after_ms = 600000;
    struct error err = {0};
    if (store_open(&store, &options, &err)) fail_msg("%s", err.message);
}

int start(void **state) {
    options = (struct store_options){0};
    snprintf(dir, sizeof dir, "/tmp/vitrine-store-XXXXXX");
    if (!mkdtemp(dir)) return -1;
    open_store();
    return 0;
}

int stop(void **state) {
    char command[128];
    store_close(store);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

/* Span n, with fields that depend on n alone; every third of a field is not known. */
void fill(struct span *span, uint32_t n, struct arena *arena) {
    unsigned seed = n * 2654435761u + 1;
    uint64_t trace = n / 3 + 1, id = n + 1;
    memcpy(span->trace_id, &trace, 8);
    memcpy(span->span_id, &id, 8);
    /* A parent that never comes: sealing would otherwise give users and threads on to children. */
    if (n % 3) memcpy(span->parent_span_id, &(uint64_t){UINT64_C(1) << 40 | (n - n % 3 + 1)}, 8);
    span->start_ns = INT64_C(1795460000000000000) + (int64_t)n * 1000003;
    span->duration_ns = rand_r(&seed) % 1000000000;
    for (int c = COL_TTFT_NS; c <= COL_TOKENS_REASONING; c++)
        if (rand_r(&seed) % 3) *(int64_t *)(void *)((char *)span + span_columns[c].offset) = rand_r(&seed) % 5000;
    if (rand_r(&seed) % 3) span->cost_usd = rand_r(&seed) / 1e9;
    if (rand_r(&seed) % 3) span->temperature = 0.7;
    span->kind = rand_r(&seed) % KIND_COUNT;
    span->status = rand_r(&seed) % STATUS_COUNT;
    for (int c = COL_TEXT_FIRST; c < COL_COUNT; c++)
        if (rand_r(&seed) % 3 && c != COL_USER_ID)
            *span_text(span, (enum col)c) =
                arena_printf(arena, "%s %d %*s", span_columns[c].name, rand_r(&seed) % (c < COL_USER_ID ? 5 : 100000),
                             rand_r(&seed) % 300, "x");
    if (n % 3 != 1)
        *span_text(span, COL_USER_ID) =
            arena_printf(arena, "user %u", n / 30); /* the middle one of a trace says none */
}

static struct batch *batch_of(uint32_t first, uint32_t count) {
    struct batch *batch = batch_new();
    for (uint32_t n = first; n < first + count; n++) fill(batch_add(batch), n, &batch->arena);
    return batch;
}

void append(uint32_t first, uint32_t count) {
    struct batch *batch = batch_of(first, count);
    struct error err = {0};
    if (store_append_wait(store, batch, &err)) fail_msg("%s", err.message);
    batch_unref(batch);
}

static void compare(const struct span *a, const struct span *b) {
    assert_memory_equal(a, b, offsetof(struct span, ttft_ns));
    for (int c = COL_TTFT_NS; c < COL_TEXT_FIRST; c++) {
        if (span_columns[c].type == COL_INT)
            assert_int_equal(span_get_int(a, (enum col)c), span_get_int(b, (enum col)c));
        else
            assert_true(isnan(span_get_double(a, (enum col)c))
                            ? isnan(span_get_double(b, (enum col)c))
                            : span_get_double(a, (enum col)c) == span_get_double(b, (enum col)c));
    }
    for (int c = COL_TEXT_FIRST; c < COL_COUNT; c++)
        if (!slice_eq(span_get_text(a, (enum col)c), span_get_text(b, (enum col)c)))
            fail_msg("%s: %.*s, expected %.*s", span_columns[c].name, (int)span_get_text(b, (enum col)c).len,
                     span_get_text(b, (enum col)c).ptr, (int)span_get_text(a, (enum col)c).len,
                     span_get_text(a, (enum col)c).ptr);
}

void expect_those(uint32_t count, bool (*wanted_n)(uint32_t n), uint32_t step) {
    struct snapshot *snap = store_snapshot(store);
    uint8_t *seen = calloc(count + 1, 1);
    uint32_t total = 0;
    for (uint32_t g = 0; g < snapshot_count(snap); g++) {
        const struct rowgroup *group = snapshot_rowgroup(snap, g);
        struct arena arena = {0};
        struct vec ids, starts;
        struct error err = {0};
        if (rowgroup_read(group, COL_SPAN_ID, &arena, &ids, &err) ||
            rowgroup_read(group, COL_START_NS, &arena, &starts, &err))
            fail_msg("%s", err.message);
        for (uint32_t i = 0; i < group->rows; i++) {
            uint64_t id;
            memcpy(&id, ids.bytes + (size_t)i * 8, 8);
            assert_true(id >= 1 && id <= count);
            if (wanted_n && !wanted_n((uint32_t)id - 1))
                fail_msg("span %llu is there and should not be", (unsigned long long)id);
            if (seen[id - 1]++) fail_msg("span %llu is there twice", (unsigned long long)id);
            assert_true(starts.ints[i] >= group->min_start_ns && starts.ints[i] <= group->max_start_ns);
            total++;
            if ((id - 1) % step) continue;
            struct arena own = {0};
            struct span wanted, got;
            span_init(&wanted);
            fill(&wanted, (uint32_t)id - 1, &own);
            if (rowgroup_read_span(group, i, &own, &got, &err)) fail_msg("%s", err.message);
            compare(&wanted, &got);
            assert_true(rowgroup_may_have_trace(group, got.trace_id));
            arena_free(&own);
        }
        arena_free(&arena);
    }
    uint32_t expected = 0;
    for (uint32_t n = 0; n < count; n++) expected += !wanted_n || wanted_n(n);
    assert_int_equal(total, expected);
    free(seen);
    snapshot_free(snap);
}

void expect(uint32_t count, uint32_t step) {
    expect_those(count, NULL, step);
}

void reopen(void) {
    store_close(store);
    open_store();
}

void shell(const char *format, ...) {
    char command[1024];
    int at = snprintf(command, sizeof command, "D=%s; ", dir);
    va_list args;
    va_start(args, format);
    vsnprintf(command + at, sizeof command - (size_t)at, format, args);
    va_end(args);
    if (system(command)) fail_msg("%s", command);
}

struct store_stats stats(void) {
    struct store_stats out;
    store_get_stats(store, &out);
    return out;
}

void wait_for(bool (*done)(void)) {
    for (int i = 0; i < 24000 && !done(); i++) usleep(5000);
    assert_true(done());
}
