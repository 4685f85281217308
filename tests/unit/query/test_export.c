/* Exports: every span that matches goes out once, in each format, and comes back from Parquet as it was. */
#include "ask.h"

#include "query/export.h"
#include "store/segment.h"

#include <unistd.h>

static const int64_t BASE_MS = INT64_C(1795460000000);

static void add(struct fixture *f, uint32_t from, uint32_t to) {
    struct batch *batch = batch_new();
    for (uint32_t n = from; n < to; n++) {
        struct span *span = batch_add(batch);
        memcpy(span->trace_id, &(uint64_t){n / 2 + 1}, 8);
        memcpy(span->span_id, &(uint64_t){n + 1}, 8);
        if (n % 2) memcpy(span->parent_span_id, &(uint64_t){n}, 8);
        span->start_ns = (BASE_MS + n) * NS_PER_MS + 5000;
        span->duration_ns = (int64_t)n * 500000;
        span->kind = n % 2 ? KIND_LLM : KIND_TURN;
        span->status = STATUS_OK;
        span->tokens_input = n;
        *span_text(span, COL_OPERATION) = n % 2 ? SLICE("call") : SLICE("chat.\"x\",\ny");
        *span_text(span, COL_MODEL) = n % 3 ? SLICE("gpt-4o") : SLICE("");
        *span_text(span, COL_PROMPT) = arena_printf(&batch->arena, "question %u", n);
        *span_text(span, COL_ATTRIBUTES) = arena_printf(&batch->arena, "{\"n\":%u}", n);
        *span_text(span, COL_PROJECT) = n < 100 ? SLICE("lab") : SLICE("shop");
    }
    fixture_append(f, batch);
}

static int start(void **state) {
    if (fixture_start(state)) return -1;
    add(*state, 0, 700);
    fixture_seal(*state);
    add(*state, 700, 1400);
    fixture_seal(*state);
    add(*state, 1400, 2000);
    return 0;
}

static void export_all(struct fixture *f, const char *query, const char *project, struct buf *all) {
    char text[200];
    snprintf(text, sizeof text, "%s", query);
    struct api_request request = {.query = slice_of(text), .project = slice_of(project)};
    struct export *export;
    struct buf chunk = {0};
    if (export_open(&export, f->engine, &request, &f->err)) fail_msg("%s", f->err.message);
    memset(text, 'x', sizeof text); /* the request may go away */
    int code;
    while (!(code = export_next(export, &chunk, &f->err)) && chunk.len) {
        assert_true(chunk.len < 1 << 20);
        buf_put_slice(all, buf_slice(&chunk));
        buf_clear(&chunk);
    }
    if (code) fail_msg("%s", f->err.message);
    struct export_progress progress;
    export_get_progress(export, &progress);
    assert_int_equal(progress.total, 2000);
    assert_true(progress.rows <= progress.scanned && progress.scanned <= 2000);
    export_free(export);
    buf_free(&chunk);
    buf_cstr(all);
}

static void every_span_goes_out_once_as_a_line_of_json(void **state) {
    struct fixture *f = *state;
    struct buf all = {0};
    export_all(f, "from=0", NULL, &all);
    assert_int_equal(count_parts(all.ptr, "\n"), 2000);
    for (unsigned n = 0; n < 2000; n += 97) {
        char part[64];
        snprintf(part, sizeof part, "\"prompt\":\"question %u\",\"attributes\":{\"n\":%u}}\n", n, n);
        assert_int_equal(count_parts(all.ptr, part), 1);
    }
    assert_non_null(
        strstr(all.ptr, "{\"trace_id\":\"01000000000000000000000000000000\",\"span_id\":\"0200000000000000\",\"parent_"
                        "span_id\":\"0100000000000000\",\"operation\":\"call\",\"kind\":\"llm\",\"project\":\"lab\","
                        "\"start\":\"2026-11-23T18:53:20.001005Z\",\"duration_ms\":0.5,\"status\":\"OK\",\"model\":"
                        "\"gpt-4o\",\"tokens\":{\"input\":1,"));
    buf_free(&all);
}

static void csv_quotes_what_needs_it(void **state) {
    struct fixture *f = *state;
    struct buf all = {0};
    export_all(f, "from=0&format=csv&to=1795460000003", NULL, &all);
    const char *rows = strstr(all.ptr, "\r\n") + 2;
    assert_int_equal(strncmp(all.ptr, "trace_id,span_id,parent_span_id,start,duration_ms,operation,kind,", 60), 0);
    assert_string_equal(rows,
                        "01000000000000000000000000000000,0100000000000000,,2026-11-23T18:53:20.000005Z,0,\"chat."
                        "\"\"x\"\",\ny\",turn,OK,,,lab,,,0,,,,,,,,,,,,,question 0,,\"{\"\"n\"\":0}\",,,8\r\n"
                        "01000000000000000000000000000000,0200000000000000,0100000000000000,2026-11-23T18:53:20."
                        "001005Z,0.5,call,llm,OK,,,lab,,gpt-4o,1,,,,,,,,,,,,,question 1,,\"{\"\"n\"\":1}\",,,0\r\n"
                        "02000000000000000000000000000000,0300000000000000,,2026-11-23T18:53:20.002005Z,1,\"chat."
                        "\"\"x\"\",\ny\",turn,OK,,,lab,,gpt-4o,2,,,,,,,,,,,,,question 2,,\"{\"\"n\"\":2}\",,,8\r\n");
    buf_free(&all);
}

static void filters_ranges_and_projects_hold(void **state) {
    struct fixture *f = *state;
    struct buf all = {0};
    export_all(f, "from=0&q=kind:llm+has:model&to=1795460000600", NULL, &all);
    assert_int_equal(count_parts(all.ptr, "\n"), 200);
    buf_clear(&all);
    export_all(f, "from=0", "lab", &all);
    assert_int_equal(count_parts(all.ptr, "\n"), 100);
    buf_clear(&all);
    export_all(f, "from=0", "nobody", &all);
    assert_int_equal(all.len, 0);
    buf_free(&all);
}

static void mistakes_are_told_before_anything_goes_out(void **state) {
    struct fixture *f = *state;
    struct export *export;
    static const char *const wrong[] = {"format=xls", "q=status:bad", "from=tomorrow", "from=5&to=4"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct api_request request = {.query = slice_of(wrong[i])};
        assert_int_equal(export_open(&export, f->engine, &request, &f->err), VT_EINVAL);
        assert_null(export);
    }
}

static void an_export_shows_the_store_as_it_was(void **state) {
    struct fixture *f = *state;
    struct api_request request = {.query = SLICE("from=0")};
    struct export *export;
    struct buf all = {0};
    assert_int_equal(export_open(&export, f->engine, &request, &f->err), 0);
    add(f, 2000, 2100);
    fixture_seal(f);
    for (size_t before = 1; all.len != before;) {
        before = all.len;
        assert_int_equal(export_next(export, &all, &f->err), 0);
    }
    export_free(export);
    assert_int_equal(count_parts(buf_cstr(&all), "\n"), 2000);
    buf_free(&all);
}

static bool count_calls(void *ctx, const struct export_progress *progress) {
    return ++*(int *)ctx > 0;
}
static bool stop_at_once(void *ctx, const struct export_progress *progress) {
    return false;
}

static void parquet_holds_the_spans_as_they_were(void **state) {
    struct fixture *f = *state;
    struct api_request request = {.query = SLICE("from=0&q=kind:llm")};
    struct segment *segment;
    struct arena arena = {0};
    struct vec vec;
    char path[100];
    uint64_t rows, seen = 0;
    int calls = 0;
    snprintf(path, sizeof path, "%s/out.parquet", f->dir);
    if (export_parquet(f->engine, &request, path, count_calls, &calls, &rows, &f->err)) fail_msg("%s", f->err.message);
    assert_int_equal(rows, 1000);
    assert_true(calls > 0);
    if (segment_open(&segment, path, 1, &f->err)) fail_msg("%s", f->err.message);
    assert_int_equal(segment_check(segment, &f->err), 0);
    for (uint32_t g = 0; g < segment_rowgroups(segment); g++) {
        assert_int_equal(segment_read(segment, g, COL_PROMPT, &arena, &vec, &f->err), 0);
        for (uint32_t i = 0; i < vec.count; i++) {
            char copy[32];
            snprintf(copy, sizeof copy, "%.*s", (int)vec.text[i].len, vec.text[i].ptr);
            unsigned n = (unsigned)strtoul(copy + 9, NULL, 10);
            assert_int_equal(n % 2, 1);
            seen += n;
        }
    }
    assert_int_equal(seen, 1000 * 1000);
    segment_unref(segment);
    arena_free(&arena);
    assert_int_equal(export_parquet(f->engine, &request, path, stop_at_once, NULL, &rows, &f->err), VT_ECANCELLED);
    assert_int_not_equal(access(path, F_OK), 0);
    request.query = SLICE("from=0&q=model:none");
    assert_int_equal(export_parquet(f->engine, &request, path, NULL, NULL, &rows, &f->err), 0);
    assert_int_equal(rows, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_span_goes_out_once_as_a_line_of_json, start, fixture_stop),
        cmocka_unit_test_setup_teardown(csv_quotes_what_needs_it, start, fixture_stop),
        cmocka_unit_test_setup_teardown(filters_ranges_and_projects_hold, start, fixture_stop),
        cmocka_unit_test_setup_teardown(mistakes_are_told_before_anything_goes_out, start, fixture_stop),
        cmocka_unit_test_setup_teardown(an_export_shows_the_store_as_it_was, start, fixture_stop),
        cmocka_unit_test_setup_teardown(parquet_holds_the_spans_as_they_were, start, fixture_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
