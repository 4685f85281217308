/* Indexes of traces: made when there are segments enough, right about every trace, and harmless when they are stale,
 * torn or lie. */
#include "kit.h"

#include "store/segment.h"
#include "store/trace_index.h"
#include "store/trace_list.h"

#include <glob.h>
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEGMENTS = 17, ROWS = 90 };

static char found_path[200];

static uint32_t files(const char *pattern) {
    char path[200];
    glob_t found;
    snprintf(path, sizeof path, "%s/%s", dir, pattern);
    uint32_t count = glob(path, 0, NULL, &found) ? 0 : (uint32_t)found.gl_pathc;
    if (count) snprintf(found_path, sizeof found_path, "%s", found.gl_pathv[count - 1]);
    globfree(&found);
    return count;
}

static bool has_index(void) {
    return files("index/*.traces") > 0;
}

/* Segments of whole traces: the n-th holds spans n * ROWS and on. */
static void fill_segments(uint32_t first, uint32_t count) {
    for (uint32_t i = first; i < first + count; i++) {
        append(i * ROWS, ROWS);
        assert_int_equal(store_seal(store, NULL), 0);
    }
}

static int start_filled(void **state) {
    if (start(state)) return -1;
    options.no_merging = true;
    options.hurry = STORE_HURRY_NEVER;
    reopen();
    fill_segments(0, SEGMENTS);
    wait_for(has_index);
    /* A first one may have been made before the last segment was sealed; opened anew all that is there is used. */
    reopen();
    return 0;
}

struct told {
    uint32_t absent, likely, unknown;
    bool right; /* where its spans are is never said to be without it */
};

static bool group_has(const struct rowgroup *group, const uint8_t *id) {
    struct arena arena = {0};
    struct vec ids;
    bool has = false;
    assert_int_equal(rowgroup_read(group, COL_TRACE_ID, &arena, &ids, NULL), 0);
    for (uint32_t row = 0; row < ids.count && !has; row++)
        has = memcmp(ids.bytes + (size_t)row * TRACE_ID_SIZE, id, TRACE_ID_SIZE) == 0;
    arena_free(&arena);
    return has;
}

static struct told ask(const uint8_t *id) {
    struct snapshot *snap = store_snapshot(store);
    uint32_t count = snapshot_count(snap);
    uint8_t *places = malloc(count + 1);
    struct told told = {.right = true};
    snapshot_find_traces(snap, (const uint8_t(*)[TRACE_ID_SIZE])id, 1, places);
    for (uint32_t i = 0; i < count; i++) {
        told.absent += places[i] == TRACE_ABSENT;
        told.likely += places[i] == TRACE_LIKELY;
        told.unknown += places[i] == TRACE_UNKNOWN;
        if (places[i] == TRACE_ABSENT && group_has(snapshot_rowgroup(snap, i), id)) told.right = false;
    }
    free(places);
    snapshot_free(snap);
    return told;
}

static void id_of(uint32_t n, uint8_t id[TRACE_ID_SIZE]) {
    struct arena arena = {0};
    struct span span;
    span_init(&span);
    fill(&span, n, &arena);
    memcpy(id, span.trace_id, TRACE_ID_SIZE);
    arena_free(&arena);
}

static struct told ask_span(uint32_t n) {
    uint8_t id[TRACE_ID_SIZE];
    id_of(n, id);
    return ask(id);
}

static void index_leads_to_every_trace(void **state) {
    for (uint32_t n = 0; n < SEGMENTS * ROWS; n += 7) {
        struct told told = ask_span(n);
        assert_true(told.right);
        assert_true(told.absent >= SEGMENTS - 3); /* two of hundreds of traces hardly share 24 bits */
        assert_true(told.likely + told.unknown >= 1);
    }
    uint8_t other[TRACE_ID_SIZE];
    memset(other, 0xee, sizeof other);
    assert_int_equal(ask(other).likely, 0);
}

static void segments_that_came_since_are_unknown(void **state) {
    uint32_t before = ask_span(0).unknown;
    fill_segments(SEGMENTS, 1);
    struct told told = ask_span(SEGMENTS * ROWS);
    assert_true(told.right);
    assert_int_equal(told.unknown, before + 1);
}

static void write_at(const char *path, long at, const void *bytes, size_t count) {
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    fclose(file);
}

static long size_of(const char *path) {
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    fclose(file);
    return size;
}

/* Whatever byte of it is another: it is passed over, or is right all the same. */
static void flipped_bits_never_hide_a_trace(void **state) {
    assert_true(has_index());
    char path[200], copy[220];
    snprintf(path, sizeof path, "%s", found_path);
    snprintf(copy, sizeof copy, "%s/kept", dir);
    shell("cp %s $D/kept", path);
    long size = size_of(path);
    store_close(store);
    options.read_only = true; /* so that it stays as it is made here */
    for (long at = 0; at < size; at += at < 1200 ? 13 : at < LIST_PAGE ? 977 : 41) {
        uint8_t byte = 0;
        shell("cp $D/kept %s", path);
        FILE *file = fopen(copy, "r");
        assert_true(file && fseek(file, at, SEEK_SET) == 0 && fread(&byte, 1, 1, file) == 1);
        fclose(file);
        byte ^= (uint8_t)(1u << at % 8);
        write_at(path, at, &byte, 1);
        open_store();
        for (uint32_t n = 0; n < SEGMENTS * ROWS; n += 181) assert_true(ask_span(n).right);
        store_close(store);
    }
    for (long cut = 0; cut < size; cut += 701) {
        shell("cp $D/kept %s", path);
        assert_int_equal(truncate(path, cut), 0);
        open_store();
        struct told told = ask_span(5);
        assert_true(told.right);
        store_close(store);
    }
    options.read_only = false;
    open_store();
}

static void broken_index_is_told_and_made_again(void **state) {
    assert_true(has_index());
    char path[200];
    snprintf(path, sizeof path, "%s", found_path);
    struct store_checked checked;
    assert_int_equal(store_check(dir, NULL, NULL, &checked, NULL), 0);
    assert_int_equal(checked.problems, 0);
    store_close(store);
    uint8_t junk[4] = {1, 2, 3, 4};
    write_at(path, 30, junk, sizeof junk); /* the head */
    assert_int_equal(store_check(dir, NULL, NULL, &checked, NULL), 0);
    assert_int_equal(checked.problems, 1);
    open_store();
    wait_for(has_index);
    reopen();
    assert_int_equal(store_check(dir, NULL, NULL, &checked, NULL), 0);
    assert_int_equal(checked.problems, 0);
    struct told told = ask_span(5);
    assert_true(told.right && told.absent >= SEGMENTS - 3);
    expect(SEGMENTS * ROWS, 50);
}

/* A file of the same name that is not the one the index was made of, as after a lost catalog. */
static void index_of_another_segment_is_not_believed(void **state) {
    assert_true(has_index());
    struct trace_index *index;
    uint32_t count;
    assert_int_equal(trace_index_open(&index, found_path, NULL), 0);
    struct trace_index_segment entry = trace_index_segments(index, &count)[0];
    glob_t found;
    char pattern[200];
    struct segment *segment;
    snprintf(pattern, sizeof pattern, "%s/spans/*/%012llu.parquet", dir, (unsigned long long)entry.id);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_int_equal(segment_open(&segment, found.gl_pathv[0], entry.id, NULL), 0);
    assert_true(trace_index_is_of(&entry, segment));
    for (int field = 0; field < 4; field++) {
        struct trace_index_segment other = entry;
        if (field == 0) other.id++;
        if (field == 1) other.rows++;
        if (field == 2) other.bytes++;
        if (field == 3) other.seal++;
        assert_false(trace_index_is_of(&other, segment));
    }
    segment_unref(segment);
    globfree(&found);
    trace_index_unref(index);
}

static void erased_traces_leave_the_index(void **state) {
    uint8_t id[TRACE_ID_SIZE];
    uint64_t deleted;
    assert_true(has_index());
    id_of(31, id);
    struct store_delete what = {.trace_id = id};
    assert_true(ask(id).likely >= 1);
    assert_int_equal(store_delete(store, &what, &deleted, NULL), 0);
    assert_true(deleted > 0);
    /* What indexes there are now do not say that it is anywhere, nor do they after the keeper came by and a start. */
    assert_int_equal(ask(id).likely, 0);
    fill_segments(SEGMENTS, 17);
    wait_for(has_index);
    assert_int_equal(ask(id).likely, 0);
    reopen();
    assert_int_equal(ask(id).likely, 0);
    assert_true(ask_span(SEGMENTS * ROWS + 1).right);
}

static void stale_index_goes_at_a_start(void **state) {
    assert_true(has_index());
    char path[200];
    snprintf(path, sizeof path, "%s", found_path);
    shell("cp %s $D/old", path);
    uint8_t id[TRACE_ID_SIZE];
    uint64_t deleted;
    id_of(31, id);
    struct store_delete what = {.trace_id = id};
    assert_int_equal(store_delete(store, &what, &deleted, NULL), 0);
    store_close(store);
    shell("cp $D/old $D/index/000000009999.traces");
    shell("touch $D/index/000000009998.traces.tmp");
    open_store();
    assert_int_equal(files("index/000000009999.traces"), 0);
    assert_int_equal(files("index/000000009998.traces.tmp"), 0); /* the keeper may be writing one of its own */
    assert_int_equal(ask(id).likely, 0);
}

/* ---- pages ---- */

static void seek_finds_the_first_that_is_not_below(void **state) {
    enum { COUNT = 5 * LIST_PAGE_ITEMS + 17 };
    static uint32_t items[COUNT];
    struct buf pages = {0};
    for (int kind = 0; kind < 3; kind++) { /* even; all alike; most at the end */
        for (uint32_t i = 0; i < COUNT; i++)
            items[i] = kind == 0   ? (uint32_t)((uint64_t)i * UINT32_MAX / COUNT)
                       : kind == 1 ? 77
                       : i < 9     ? i
                                   : UINT32_MAX - COUNT + i / 2;
        buf_clear(&pages);
        list_pages_put(&pages, items, COUNT);
        for (uint32_t i = 0; i < COUNT; i += 3)
            for (int off = -1; off <= 1; off++) {
                uint32_t item = items[i] + (uint32_t)off, at = 0;
                bool broken;
                while (at < COUNT && items[at] < item) at++;
                assert_int_equal(list_pages_seek((const uint8_t *)pages.ptr, COUNT, item, &broken), at);
                assert_false(broken);
                if (kind) break;
            }
    }
    bool broken;
    assert_int_equal(list_pages_seek((const uint8_t *)pages.ptr, 0, 5, &broken), 0);
    for (size_t at = 4; at < pages.len; at += LIST_PAGE) pages.ptr[at] ^= 1;
    list_pages_seek((const uint8_t *)pages.ptr, COUNT, 5, &broken);
    assert_true(broken);
    buf_free(&pages);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seek_finds_the_first_that_is_not_below),
        cmocka_unit_test_setup_teardown(index_leads_to_every_trace, start_filled, stop),
        cmocka_unit_test_setup_teardown(segments_that_came_since_are_unknown, start_filled, stop),
        cmocka_unit_test_setup_teardown(flipped_bits_never_hide_a_trace, start_filled, stop),
        cmocka_unit_test_setup_teardown(broken_index_is_told_and_made_again, start_filled, stop),
        cmocka_unit_test_setup_teardown(index_of_another_segment_is_not_believed, start_filled, stop),
        cmocka_unit_test_setup_teardown(erased_traces_leave_the_index, start_filled, stop),
        cmocka_unit_test_setup_teardown(stale_index_goes_at_a_start, start_filled, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
