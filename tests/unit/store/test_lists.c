/* The list of traces and the index of attributes: what they say, and that no wrong byte of them is believed. */
#include "kit.h"

#include "store/attr_index.h"
#include "store/columns.h"
#include "store/trace_list.h"

#include <stdlib.h>
#include <zstd.h>

enum { ROWS = 6000 };
static struct span spans[ROWS];
static const struct span *rows[ROWS];
static struct arena texts;

/* Traces of one to four spans; the first is the parent of the others. */
static void make_traces(void) {
    for (uint32_t i = 0, trace = 0, n = 0; i < ROWS; i++, n--) {
        if (!n) trace++, n = 1 + trace % 4;
        struct span *span = &spans[i];
        span_init(span);
        uint64_t parts[2] = {trace * UINT64_C(0x9e3779b97f4a7c15), trace}, id = i + 1;
        memcpy(span->trace_id, parts, TRACE_ID_SIZE);
        memcpy(span->span_id, &id, SPAN_ID_SIZE);
        if (i && memcmp(spans[i - 1].trace_id, span->trace_id, TRACE_ID_SIZE) == 0)
            memcpy(span->parent_span_id, spans[i - 1].span_id, SPAN_ID_SIZE);
        span->kind = KIND_TOOL;
        span->status = STATUS_OK;
        span->flags = 0;
        rows[i] = span;
    }
}

static void make_list(struct arena *arena, struct trace_list *list) {
    struct vec columns[COL_COUNT];
    for (int i = 0; i < TRACE_COLUMNS; i++)
        assert_int_equal(rows_column(rows, ROWS, trace_columns[i], arena, &columns[trace_columns[i]], NULL), 0);
    assert_true(trace_list_make(columns, arena, list));
}

static void list_finds_each_trace_and_what_is_not_whole(void **state) {
    struct arena arena = {0};
    struct trace_list list, again;
    struct buf out = {0};
    make_traces();
    make_list(&arena, &list);
    assert_int_equal(list.unsettled_count + list.dangling_count + list.seeking_count, 0);
    assert_false(list.joiners);
    /* A user that its child does not name; a parent that is not here; a log line whose parent is not. */
    uint32_t child = 0, lone = 0, line = 0;
    for (uint32_t i = 100; !line; i++) {
        bool has = !id_is_zero(spans[i].parent_span_id, SPAN_ID_SIZE);
        if (has && !child)
            child = i, *span_text(&spans[i - 1], COL_USER_ID) = SLICE("u"), i += 20;
        else if (!has && child && !lone)
            lone = i, memset(spans[i].parent_span_id, 7, SPAN_ID_SIZE), i += 20;
        else if (!has && lone)
            line = i, memset(spans[i].parent_span_id, 8, SPAN_ID_SIZE), spans[i].flags = SPAN_JOIN_BY_PARENT;
    }
    make_list(&arena, &list);
    trace_list_put(&out, &list);
    assert_int_equal(trace_list_read((uint8_t *)out.ptr, out.len, list.count, ROWS, &arena, &again), 0);
    assert_int_equal(again.unsettled_count, 1);
    assert_memory_equal(spans[again.unsettled[0]].trace_id, spans[child].trace_id, TRACE_ID_SIZE);
    assert_int_equal(again.dangling_count, 1);
    assert_int_equal(again.dangling[0], lone);
    assert_int_equal(again.seeking_count, 1);
    assert_int_equal(again.seeking[0], line);
    assert_true(again.joiners);
    assert_memory_equal(list.places, again.places, list.count * sizeof *list.places);
    bool broken;
    for (uint32_t i = 0; i < ROWS; i++)
        assert_true(trace_list_has((uint8_t *)out.ptr, list.count, trace_hash(spans[i].trace_id), &broken));
    uint32_t wrong = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t id[2] = {i, UINT64_MAX};
        wrong += trace_list_has((uint8_t *)out.ptr, list.count, trace_hash((uint8_t *)id), &broken);
    }
    assert_true(wrong < 3);
    buf_free(&out);
    arena_free(&arena);
}

static void list_of_few_hashes_that_lie_together_is_searched_right(void **state) {
    enum { COUNT = 5000 };
    uint32_t *hashes = malloc(2 * COUNT * sizeof *hashes);
    struct buf out = {0};
    bool broken;
    for (uint32_t i = 0; i < COUNT; i++) hashes[i] = 1000 + 2 * i, hashes[COUNT + i] = i << RUN_BITS | 1;
    struct trace_list list = {.count = COUNT, .hashes = hashes, .places = hashes + COUNT};
    trace_list_put(&out, &list);
    for (uint32_t hash = 0; hash < 1100 + 2 * COUNT; hash++) {
        bool there = hash >= 1000 && hash < 1000 + 2 * COUNT && !(hash & 1);
        assert_int_equal(trace_list_has((uint8_t *)out.ptr, COUNT, hash, &broken), there);
    }
    assert_false(trace_list_has((uint8_t *)out.ptr, COUNT, UINT32_MAX, &broken));
    assert_false(trace_list_has((uint8_t *)out.ptr, 0, 5, &broken));
    buf_free(&out);
    free(hashes);
}

static void wrong_byte_of_a_list_is_noticed(void **state) {
    struct arena arena = {0};
    struct trace_list list, again;
    struct buf out = {0};
    make_traces();
    make_list(&arena, &list);
    trace_list_put(&out, &list);
    for (size_t at = 0; at < out.len; at += 1 + out.len / 500) {
        out.ptr[at] ^= 4;
        assert_int_equal(trace_list_read((uint8_t *)out.ptr, out.len, list.count, ROWS, &arena, &again), VT_ECORRUPT);
        out.ptr[at] ^= 4;
    }
    for (size_t len = 0; len < out.len; len += 1 + out.len / 50)
        assert_int_equal(trace_list_read((uint8_t *)out.ptr, len, list.count, ROWS, &arena, &again), VT_ECORRUPT);
    buf_free(&out);
    arena_free(&arena);
}

/* ---- attributes ---- */

static struct slice attributes_of(uint32_t row) {
    if (row % 5 == 4) return (struct slice){NULL, 0};
    return arena_printf(&texts,
                        "{\"region\":\"eu-%u\" , \"nested\":{\"region\":\"%u\"},\"id\":\"%u\",\"n\":%u%s,\"region\":1}",
                        row % 3, row, row, row % 500, row % 2 ? ",\"odd\":true" : "");
}

static void put_index(struct buf *out, uint32_t *directory, struct slice (*of)(uint32_t)) {
    struct arena arena = {0};
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    for (uint32_t i = 0; i < ROWS; i++) {
        span_init(&spans[i]);
        *span_text(&spans[i], COL_ATTRIBUTES) = of(i);
        rows[i] = &spans[i];
    }
    struct vec vec;
    assert_int_equal(rows_column(rows, ROWS, COL_ATTRIBUTES, &arena, &vec, NULL), 0);
    assert_true(attr_index_put(out, &vec, zstd, directory));
    ZSTD_freeCCtx(zstd);
    arena_free(&arena);
}

static struct slice value_at(const struct attr_codes *codes, uint32_t row) {
    return codes->dict[codes->codes8 ? codes->codes8[row] : codes->codes16[row]];
}

static void index_holds_frequent_keys_of_few_values(void **state) {
    struct arena arena = {0};
    struct attr_codes region, n, odd, id, none;
    struct buf out = {0};
    uint32_t directory;
    bool no_memory;
    put_index(&out, &directory, attributes_of);
    const uint8_t *at = (const uint8_t *)out.ptr;
    assert_true(attr_index_read(at, out.len, directory, ROWS, SLICE("\"region\""), &arena, &region, &no_memory));
    assert_true(attr_index_read(at, out.len, directory, ROWS, SLICE("\"n\""), &arena, &n, &no_memory));
    assert_true(attr_index_read(at, out.len, directory, ROWS, SLICE("\"odd\""), &arena, &odd, &no_memory));
    assert_true(attr_index_read(at, out.len, directory, ROWS, SLICE("\"id\""), &arena, &id, &no_memory));
    assert_true(attr_index_read(at, out.len, directory, ROWS, SLICE("\"none\""), &arena, &none, &no_memory));
    assert_non_null(region.codes8);
    assert_non_null(n.codes16);
    assert_true(!id.codes8 && !id.codes16 && !id.absent); /* of too many values: read it from the text */
    assert_true(none.absent);
    for (uint32_t i = 0; i < ROWS; i++) {
        bool there = i % 5 != 4;
        struct slice text = value_at(&region, i);
        assert_true(there ? slice_eq(text, arena_printf(&texts, "\"eu-%u\"", i % 3)) : !text.len);
        assert_true(there ? slice_eq(value_at(&n, i), arena_printf(&texts, "%u", i % 500)) : !value_at(&n, i).len);
        assert_true(there && i % 2 ? slice_is(value_at(&odd, i), "true") : !value_at(&odd, i).len);
    }
    buf_free(&out);
    arena_free(&arena);
}

static struct slice broken_text(uint32_t row) {
    return row == 77 ? SLICE("no object") : attributes_of(row);
}

static void text_that_is_no_object_leaves_all_to_the_reader(void **state) {
    struct buf out = {0};
    uint32_t directory = 1;
    put_index(&out, &directory, broken_text);
    assert_int_equal(directory, 0);
    buf_free(&out);
}

static void wrong_byte_of_an_index_is_noticed(void **state) {
    struct buf out = {0};
    uint32_t directory;
    put_index(&out, &directory, attributes_of);
    assert_true(attr_index_check((uint8_t *)out.ptr, out.len, directory));
    for (size_t at = 0; at < out.len; at += 1 + out.len / 500) {
        out.ptr[at] ^= 16;
        assert_false(attr_index_check((uint8_t *)out.ptr, out.len, directory));
        out.ptr[at] ^= 16;
    }
    buf_free(&out);
}

static int stop_texts(void **state) {
    arena_free(&texts);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list_finds_each_trace_and_what_is_not_whole),
        cmocka_unit_test(list_of_few_hashes_that_lie_together_is_searched_right),
        cmocka_unit_test(wrong_byte_of_a_list_is_noticed),
        cmocka_unit_test(index_holds_frequent_keys_of_few_values),
        cmocka_unit_test(text_that_is_no_object_leaves_all_to_the_reader),
        cmocka_unit_test(wrong_byte_of_an_index_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, stop_texts);
}
