/* Traces by id over indexes of traces: as whole with one as without, also when the index lies, and just after a start
 * as later on. */
#include "ask.h"

#include "store/trace_list.h"

#include <glob.h>
#include <libdeflate.h>
#include <unistd.h>

enum { SEGMENTS = 20, TRACES = 12 };
static const int64_t BASE_NS = INT64_C(1795460000000000000);

static void add_span(struct batch *batch, uint64_t trace, uint64_t id, uint64_t parent) {
    struct span *span = batch_add(batch);
    memcpy(span->trace_id, &trace, sizeof trace);
    memcpy(span->span_id, &id, sizeof id);
    memcpy(span->parent_span_id, &parent, sizeof parent);
    span->start_ns = BASE_NS + (int64_t)trace * NS_PER_S + (int64_t)(id % 16);
    span->duration_ns = NS_PER_MS;
    *span_text(span, COL_PROMPT) = SLICE("Which jacket fits?");
}

/* Segment s holds traces of its own, two spans each, and a late span of a trace of the segment before. */
static void fill(struct fixture *f) {
    for (uint64_t s = 0; s < SEGMENTS; s++) {
        struct batch *batch = batch_new();
        for (uint64_t n = s * TRACES + 1; n <= (s + 1) * TRACES; n++) {
            add_span(batch, n, n * 16 + 1, 0);
            add_span(batch, n, n * 16 + 2, n * 16 + 1);
        }
        if (s) add_span(batch, s * TRACES, s * TRACES * 16 + 3, s * TRACES * 16 + 1);
        fixture_append(f, batch);
        fixture_seal(f);
    }
}

static bool find_index(const struct fixture *f, char path[200]) {
    char pattern[100];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/index/*.traces", f->dir);
    bool any = glob(pattern, 0, NULL, &found) == 0;
    if (any) snprintf(path, 200, "%s", found.gl_pathv[0]);
    globfree(&found);
    return any;
}

static void wait_for_index(const struct fixture *f, char path[200]) {
    int64_t deadline = time_monotonic_ns() + (int64_t)60 * NS_PER_S;
    while (!find_index(f, path)) {
        if (time_monotonic_ns() > deadline) fail_msg("no index of traces was made");
        usleep(10000);
    }
}

static void expect_all_whole(struct fixture *f) {
    char target[100];
    for (uint64_t n = 1; n <= SEGMENTS * TRACES; n++) {
        const uint8_t *at = (const uint8_t *)&n;
        snprintf(target, sizeof target, "/api/v1/traces/%02x%02x%02x%02x%024x", at[0], at[1], at[2], at[3], 0);
        fixture_get(f, target);
        bool late = n % TRACES == 0 && n < SEGMENTS * TRACES;
        assert_int_equal(count_parts(f->answer.ptr, "\"span_id\""), late ? 3 : 2);
    }
    assert_int_equal(fixture_ask(f, "/api/v1/traces/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", NULL, NULL), VT_ENOTFOUND);
}

static void reopen(struct fixture *f) {
    fixture_close(f);
    fixture_open(f);
}

static void traces_are_whole_with_an_index_and_without(void **state) {
    struct fixture *f = *state;
    char path[200], command[300];
    fill(f);
    wait_for_index(f, path);
    expect_all_whole(f);
    reopen(f);
    expect_all_whole(f);
    fixture_close(f);
    snprintf(command, sizeof command, "rm -r %s/index", f->dir);
    assert_int_equal(system(command), 0);
    fixture_open(f);
    expect_all_whole(f);
}

/* All checksums are right, and no trace is where it is. */
static void make_it_lie(const char *path) {
    uint32_t head[4], page[1 + LIST_PAGE_ITEMS];
    FILE *file = fopen(path, "r+");
    assert_true(file && fread(head, sizeof head, 1, file) == 1);
    uint32_t count = head[3];
    assert_in_range(count, 1, LIST_PAGE_ITEMS);
    for (uint32_t i = 0; i < count; i++) page[1 + i] = UINT32_MAX - 255;
    page[0] = libdeflate_crc32(0, page + 1, count * sizeof *page);
    assert_int_equal(fseek(file, -(long)trace_list_bytes(count), SEEK_END), 0);
    assert_int_equal(fwrite(page, sizeof *page, 1 + count, file), 1 + count);
    fclose(file);
}

static void index_that_lies_hides_no_trace(void **state) {
    struct fixture *f = *state;
    char path[200], target[100];
    fill(f);
    wait_for_index(f, path);
    fixture_close(f);
    make_it_lie(path);
    for (unsigned n = 1; n <= TRACES * 3; n++) { /* each as the first question of an engine, and once more */
        fixture_open(f);
        snprintf(target, sizeof target, "/api/v1/traces/%02x%030x", n, 0);
        for (int again = 0; again < 2; again++) assert_true(count_parts(fixture_get(f, target), "\"span_id\"") >= 1);
        fixture_close(f);
    }
    fixture_open(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(traces_are_whole_with_an_index_and_without, fixture_start, fixture_stop),
        cmocka_unit_test_setup_teardown(index_that_lies_hides_no_trace, fixture_start, fixture_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
