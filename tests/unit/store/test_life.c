/* The life of data: merging, retention, deletion, checks, and what a start makes of a directory that was tampered with.
 */
#include "kit.h"

#include "store/parquet.h"
#include "store/segment.h"
#include "store/thrift.h"
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DAY_NS ((int64_t)86400 * NS_PER_S)

static void seal(void) {
    struct error err = {0};
    if (store_seal(store, &err)) fail_msg("%s", err.message);
}

static bool merged(void) {
    return stats().segments == 1;
}
static bool merged_once(void) {
    return stats().merges >= 1;
}

static void small_segments_of_a_day_become_one(void **state) {
    for (uint32_t n = 0; n < 2400; n += 300) append(n, 300), seal();
    wait_for(merged);
    expect(2400, 7);
    shell("test $(ls $D/spans/*/*.parquet | wc -l) = 1");
    reopen();
    expect(2400, 7);
}

static void spans_sent_twice_become_one_when_segments_are_merged(void **state) {
    for (int i = 0; i < 8; i++) append(0, 300), seal();
    wait_for(merged_once);
    wait_for(merged);
    expect(300, 7);
}

static bool filters_tell_words_apart(void) {
    struct snapshot *snap = store_snapshot(store);
    bool all = true;
    for (uint32_t g = 0; g < snapshot_count(snap); g++) {
        assert_true(rowgroup_may_have_word(snapshot_rowgroup(snap, g), SLICE("prompt")));
        all &= !rowgroup_may_have_word(snapshot_rowgroup(snap, g), SLICE("neverseen"));
    }
    snapshot_free(snap);
    return all;
}

/* Sealed with little work they have no filter of words; merging, they get one. */
static void what_was_sealed_in_a_hurry_is_made_anew(void **state) {
    store_close(store);
    options.hurry = STORE_HURRY_SEALS;
    options.no_merging = true;
    open_store();
    for (uint32_t n = 0; n < 2400; n += 300) append(n, 300), seal();
    uint64_t bytes = stats().segment_bytes;
    assert_false(filters_tell_words_apart());
    expect(2400, 7);
    store_close(store);
    options.no_merging = false;
    open_store();
    wait_for(merged);
    assert_int_equal(stats().segments, 1);
    assert_true(stats().segment_bytes < bytes / 2);
    assert_true(filters_tell_words_apart());
    expect(2400, 7);
}

static bool made_anew(void) {
    return stats().merges == 1;
}

static void hurried_segment_too_large_to_merge_is_made_anew_by_itself(void **state) {
    store_close(store);
    options.hurry = STORE_HURRY_SEALS;
    options.seal_bytes = 1 << 30;
    open_store();
    for (uint32_t n = 0; n < 36000; n += 3000) append(n, 3000);
    seal();
    wait_for(made_anew);
    assert_true(filters_tell_words_apart());
    expect(36000, 997);
    assert_int_equal(stats().merge_backlog, 0); /* and once is enough */
}

static bool nothing_waits(void) {
    return stats().merge_backlog == 0;
}

/* A load that goes on all day, too fast for its seals to pack: what waits is packed in time all the same. */
static void what_waits_is_packed_though_spans_never_cease(void **state) {
    store_close(store);
    options.hurry = STORE_HURRY_ALWAYS;
    options.pack_within_ms = 1;
    open_store();
    for (int round = 0; round < 3; round++) {
        for (uint32_t n = 0; n < 2400; n += 300) append((uint32_t)round * 2400 + n, 300), seal();
        wait_for(nothing_waits);
    }
    assert_true(stats().segments < 24);
    expect(7200, 7);
}

static void snapshot_outlives_a_merge(void **state) {
    for (uint32_t n = 0; n < 700; n += 100) append(n, 100), seal();
    struct snapshot *snap = store_snapshot(store);
    append(700, 100);
    seal();
    wait_for(merged_once);
    uint32_t rows = 0;
    for (uint32_t g = 0; g < snapshot_count(snap); g++) {
        struct arena arena = {0};
        struct vec prompts;
        assert_int_equal(rowgroup_read(snapshot_rowgroup(snap, g), COL_PROMPT, &arena, &prompts, NULL), 0);
        rows += prompts.count;
        arena_free(&arena);
    }
    assert_int_equal(rows, 700);
    snapshot_free(snap);
}

static bool not_user_3(uint32_t n) {
    return n / 30 != 3;
}

static void deleted_user_is_gone_from_memory_wal_and_segments(void **state) {
    append(0, 100);
    seal();
    append(100, 100);
    uint64_t deleted;
    struct error err = {0};
    if (store_delete(store, &(struct store_delete){.user_id = SLICE("user 3")}, &deleted, &err))
        fail_msg("%s", err.message);
    assert_int_equal(deleted, 30);
    expect_those(200, not_user_3, 1);
    shell("! cat $D/wal/* $D/catalog* | grep -aq 'user 3'");
    for (uint32_t g = 0; g < 1; g++) {
        struct snapshot *snap = store_snapshot(store);
        for (uint32_t i = 0; i < snapshot_count(snap); i++)
            assert_false(rowgroup_may_have_value(snapshot_rowgroup(snap, i), COL_USER_ID,
                                                 SLICE("user 3"))); /* not in a dictionary either */
        snapshot_free(snap);
    }
    reopen();
    expect_those(200, not_user_3, 1);
    assert_int_equal(store_delete(store, &(struct store_delete){.user_id = SLICE("user 3")}, &deleted, &err), 0);
    assert_int_equal(deleted, 0);
}

static bool not_trace_of_50(uint32_t n) {
    return n / 3 != 50 / 3;
}

static void deleted_trace_is_gone(void **state) {
    struct arena arena = {0};
    struct span span;
    uint64_t deleted;
    struct error err = {0};
    span_init(&span);
    fill(&span, 50, &arena);
    append(0, 200);
    if (store_delete(store, &(struct store_delete){.trace_id = span.trace_id}, &deleted, &err))
        fail_msg("%s", err.message);
    assert_int_equal(deleted, 3);
    expect_those(200, not_trace_of_50, 1);
    arena_free(&arena);
}

static void deletion_that_names_nothing_or_too_much_is_refused(void **state) {
    uint64_t deleted;
    struct error err = {0};
    assert_int_equal(store_delete(store, &(struct store_delete){0}, &deleted, &err), VT_EINVAL);
    assert_int_equal(
        store_delete(store, &(struct store_delete){.user_id = SLICE("a"), .thread_id = SLICE("b")}, &deleted, &err),
        VT_EINVAL);
}

/* A span of the day `days_ago`, in a trace of its own. */
static void append_old(uint32_t n, int days_ago) {
    struct batch *batch = batch_new();
    struct error err = {0};
    struct span *span = batch_add(batch);
    fill(span, 3 * n, &batch->arena);
    span->start_ns = time_now_ns() - days_ago * DAY_NS;
    if (store_append_wait(store, batch, &err)) fail_msg("%s", err.message);
    batch_unref(batch);
}

static bool five_are_left(void) {
    return stats().spans_total == 5;
}

static void retention_by_age_drops_what_is_past_it(void **state) {
    for (uint32_t n = 0; n < 10; n++) append_old(n, (int)n);
    seal();
    assert_int_equal(stats().segments, 10);
    assert_int_equal(store_oldest_allowed_ns(store), 0);
    options.retention_ns = 5 * DAY_NS - DAY_NS / 2;
    reopen();
    wait_for(five_are_left);
    assert_true(stats().oldest_ns >= store_oldest_allowed_ns(store));
    assert_true(store_oldest_allowed_ns(store) > time_now_ns() - 5 * DAY_NS);
    shell("test $(ls -d $D/spans/* | wc -l) -le 10 && test $(ls $D/spans/*/*.parquet | wc -l) = 5");
}

static bool within_bytes(void) {
    return stats().segment_bytes <= options.retention_bytes;
}

static void retention_by_bytes_drops_the_oldest_days(void **state) {
    for (uint32_t n = 0; n < 10; n++) append_old(n, (int)n);
    seal();
    options.retention_bytes = stats().segment_bytes / 2;
    reopen();
    wait_for(within_bytes);
    int64_t left = (int64_t)stats().spans_total;
    assert_true(left >= 3 && left <= 7);
    assert_true(stats().oldest_ns > time_now_ns() - left * DAY_NS && stats().newest_ns > time_now_ns() - DAY_NS);
}

static char problems[4096];
static void note_problem(void *ctx, const char *path, const char *message) {
    size_t at = strlen(problems);
    (void)ctx;
    snprintf(problems + at, sizeof problems - at, "%s: %s\n", path, message);
}

static struct store_checked check(void) {
    struct store_checked checked;
    struct error err = {0};
    problems[0] = 0;
    if (store_check(dir, note_problem, NULL, &checked, &err)) fail_msg("%s", err.message);
    return checked;
}

static void check_names_what_is_wrong(void **state) {
    append(0, 300);
    seal();
    append(300, 300);
    seal();
    append(600, 10);
    struct store_checked checked = check(); /* beside the running store */
    assert_int_equal(checked.problems, 0);
    assert_int_equal(checked.spans, 600);
    assert_int_equal(checked.wal_spans, 10);
    shell("f=$(ls $D/spans/*/*.parquet | head -1); printf 'X' | dd of=$f bs=1 seek=4000 conv=notrunc 2>/dev/null; cp "
          "$f $D/spans/2026-11-23/000000000099.parquet");
    checked = check();
    assert_int_equal(checked.problems, 2);
    assert_int_equal(checked.spans, 300);
    assert_non_null(strstr(problems, "000000000001.parquet: "));
    assert_non_null(strstr(problems, "checksum"));
    assert_non_null(strstr(problems, "000000000099.parquet: is not in the catalog"));
}

/* Whatever byte of a segment is wrong: every span that is still answered is right, and a segment that is not is named.
 */
static void flipped_byte_is_found_wherever_it_is(void **state) {
    char path[128], command[400];
    append(0, 300);
    seal();
    append(300, 300);
    seal();
    store_close(store);
    snprintf(command, sizeof command, "ls %s/spans/*/*1.parquet", dir);
    FILE *pipe = popen(command, "r");
    assert_non_null(fgets(path, sizeof path, pipe));
    pclose(pipe);
    path[strcspn(path, "\n")] = 0;
    FILE *file = fopen(path, "r+");
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    shell("cp -r $D $D.kept");
    for (long at = 0; at < size; at += 1 + size / 70) {
        shell("rm -rf $D/* && cp -r $D.kept/* $D/");
        file = freopen(path, "r+", file);
        fseek(file, at, SEEK_SET);
        int byte = fgetc(file);
        fseek(file, at, SEEK_SET);
        fputc(byte ^ 1 << at % 8, file);
        fflush(file);
        open_store();
        /* Touch everything, as queries would; what is broken is set aside then. */
        struct snapshot *snap = store_snapshot(store);
        for (uint32_t g = 0; g < snapshot_count(snap); g++) {
            struct arena arena = {0};
            struct vec vec;
            for (int c = 0; c < COL_COUNT; c++)
                rowgroup_read(snapshot_rowgroup(snap, g), (enum col)c, &arena, &vec, NULL);
            struct trace_list list;
            struct attr_codes attribute;
            rowgroup_may_have_word(snapshot_rowgroup(snap, g), SLICE("prompt"));
            rowgroup_trace_list(snapshot_rowgroup(snap, g), &arena, &list, NULL);
            rowgroup_attribute(snapshot_rowgroup(snap, g), SLICE("\"any\""), &arena, &attribute, NULL);
            arena_free(&arena);
        }
        snapshot_free(snap);
        struct store_stats now = stats();
        if (now.segments_set_aside != 1 || now.spans_total != 300)
            fail_msg("byte %ld of %ld is wrong and nobody noticed", at, size);
        store_close(store);
        shell("ls $D/spans/*/*.parquet.corrupt >/dev/null");
        open_store(); /* named once, counted from then on, passed over */
        assert_int_equal(stats().segments_set_aside, 1);
        assert_int_equal(stats().spans_total, 300);
        store_close(store);
    }
    fclose(file);
    shell("rm -rf $D.kept");
    open_store();
}

static void lost_catalog_is_made_anew(void **state) {
    for (uint32_t n = 0; n < 2400; n += 300) append(n, 300), seal();
    wait_for(merged);
    append(2400, 50);
    seal();
    append(2450, 50);
    store_close(store);
    shell("rm $D/catalog.sqlite*");
    open_store();
    expect(2500, 11);
}

static void file_that_the_catalog_does_not_know_is_left_alone(void **state) {
    append(0, 50);
    seal();
    store_close(store);
    shell("cd $D/spans/*/ && cp *1.parquet 000000000077.parquet && cp *1.parquet 000000000078.parquet.tmp");
    open_store();
    expect(50, 7);
    shell("cd $D/spans/*/ && test -e 000000000077.parquet && test ! -e 000000000078.parquet.tmp");
}

static void many_wal_files_are_sealed_oldest_first(void **state) {
    append(0, 10);
    store_close(store);
    /* As many as a stuck sealer may leave behind, each with spans of its own. */
    for (uint32_t i = 1; i < 40; i++) {
        open_store();
        append(10 * i, 10);
        store_close(store);
        shell("cp $(ls $D/wal/*.wal | tail -1) $D/kept.%u", i);
        shell("test -e $D/kept.0 || cp $(ls $D/wal/*.wal | head -1) $D/kept.0");
    }
    options.seal_bytes = 1; /* each file a memtable */
    open_store();
    expect(400, 7);
    store_close(store);
    open_store();
    expect(400, 7);
}

static void damage_in_the_middle_of_a_wal_costs_that_batch_alone(void **state) {
    for (uint32_t n = 0; n < 100; n += 10) append(n, 10);
    store_close(store);
    shell("f=$(ls $D/wal/*.wal); s=$(stat -c %%s $f); printf 'XXXX' | dd of=$f bs=1 seek=$((s/2)) conv=notrunc "
          "2>/dev/null");
    assert_int_equal(check().problems, 1);
    open_store();
    assert_int_equal(stats().spans_total, 90);
    shell("test $(cat $D/wal/*.wal.corrupt | wc -c) -gt 1000");
}

/* Cut anywhere, a WAL gives the whole batches before the cut, and the store goes on from there. */
static void wal_torn_anywhere_keeps_what_is_whole(void **state) {
    char path[128];
    long ends[9] = {0};
    snprintf(path, sizeof path, "%s/wal/%020d.wal", dir, 1);
    for (uint32_t n = 0; n < 8; n++) {
        append(3 * n, 3);
        ends[n + 1] = (long)stats().wal_bytes;
    }
    store_close(store);
    shell("cp -r $D $D.kept");
    for (long cut = 0; cut <= ends[8]; cut += 1 + ends[8] / 70) {
        uint32_t whole = 0;
        shell("rm -rf $D/* && cp -r $D.kept/* $D/");
        assert_int_equal(truncate(path, cut), 0);
        while (whole < 8 && ends[whole + 1] <= cut) whole++;
        open_store();
        expect(3 * whole, 1);
        append(3 * whole, 3);
        reopen();
        expect(3 * whole + 3, 1);
        store_close(store);
    }
    shell("rm -rf $D.kept");
    open_store();
}

/* A file system of a few MB, where the kernel lets us have one. */
static void full_disk_refuses_spans_answers_and_recovers(void **state) {
    char command[200];
    struct error err = {0};
    store_close(store);
    store = NULL;
    snprintf(command, sizeof command, "mount -t tmpfs -o size=24m none %s 2>/dev/null", dir);
    if (system(command)) {
        open_store();
        print_message("skipped: no file system can be mounted here (it takes root)\n");
        skip();
    }
    options.seal_bytes = 1 << 20;
    open_store();
    uint32_t count = 0;
    shell("head -c 15000000 /dev/urandom > $D/ballast");
    int code = 0;
    while (!code && count < 100000) {
        struct batch *batch = batch_new();
        for (uint32_t n = count; n < count + 100; n++) fill(batch_add(batch), n, &batch->arena);
        code = store_append_wait(store, batch, &err);
        batch_unref(batch);
        if (!code) count += 100;
    }
    assert_int_equal(code, VT_EFULL);
    assert_true(stats().disk_full && strlen(err.message));
    expect(count, 101);
    reopen(); /* a start on a full disk answers too */
    expect(count, 101);
    shell("rm $D/ballast");
    for (int i = 0; i < 6000; i++) {
        struct batch *batch = batch_new();
        for (uint32_t n = count; n < count + 100; n++) fill(batch_add(batch), n, &batch->arena);
        code = store_append_wait(store, batch, &err);
        batch_unref(batch);
        if (!code) break;
        usleep(10000);
    }
    assert_int_equal(code, 0);
    expect(count + 100, 101);
    store_close(store);
    shell("umount $D");
    options.seal_bytes = 0;
    open_store();
}

/* Rewrites the schema note in a segment's footer, checksum included. */
static void set_schema(const char *version) {
    char path[128], command[200];
    snprintf(command, sizeof command, "ls %s/spans/*/*.parquet", dir);
    FILE *pipe = popen(command, "r");
    assert_non_null(fgets(path, sizeof path, pipe));
    pclose(pipe);
    path[strcspn(path, "\n")] = 0;
    static char bytes[1 << 20];
    FILE *file = fopen(path, "r+");
    size_t size = fread(bytes, 1, sizeof bytes, file);
    uint32_t length;
    memcpy(&length, bytes + size - 8, 4);
    char *footer = bytes + size - 8 - length, *at = memmem(footer, length, "vitrine.schema", 14);
    assert_non_null(at);
    memcpy(at + 16, version, 3); /* field header and length stand between */
    uint32_t crc = libdeflate_crc32(0, footer, length);
    memcpy(footer - 8, &crc, 4);
    rewind(file);
    fwrite(bytes, 1, size, file);
    fclose(file);
}

static void newer_minor_is_read_and_newer_major_refused(void **state) {
    struct error err = {0};
    append(0, 50);
    seal();
    store_close(store);
    set_schema("1.7");
    open_store();
    expect(50, 7);
    store_close(store);
    set_schema("2.0");
    options.dir = dir;
    assert_int_equal(store_open(&store, &options, &err), VT_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "2.0"));
    assert_non_null(strstr(err.hint, "newer"));
    set_schema("1.0");
    open_store();
    expect(50, 7);
}

static int no_columns[] = {COL_TTFT_NS, COL_MODEL, COL_PROMPT, COL_COST_USD, COL_PARENT_SPAN_ID};

/* A segment that lacks columns (an older version wrote it) and has one that we do not know: its names are changed in
 * the footer. */
static void columns_may_be_missing_or_unknown(void **state) {
    char path[128], command[200];
    append(0, 50);
    seal();
    store_close(store);
    snprintf(command, sizeof command, "ls %s/spans/*/*.parquet", dir);
    FILE *pipe = popen(command, "r");
    assert_non_null(fgets(path, sizeof path, pipe));
    pclose(pipe);
    path[strcspn(path, "\n")] = 0;
    static char bytes[1 << 20];
    FILE *file = fopen(path, "r+");
    size_t size = fread(bytes, 1, sizeof bytes, file);
    uint32_t length;
    memcpy(&length, bytes + size - 8, 4);
    char *footer = bytes + size - 8 - length;
    for (size_t i = 0; i < sizeof no_columns / sizeof *no_columns; i++) {
        const char *name = span_columns[no_columns[i]].name;
        char *at = memmem(footer, length, name, strlen(name)); /* the schema's comes first */
        assert_non_null(at);
        *at = 'X';
    }
    uint32_t crc = libdeflate_crc32(0, footer, length);
    memcpy(footer - 8, &crc, 4);
    rewind(file);
    fwrite(bytes, 1, size, file);
    fclose(file);
    open_store();
    struct snapshot *snap = store_snapshot(store);
    struct arena arena = {0};
    struct span span;
    assert_int_equal(snapshot_count(snap), 1);
    for (uint32_t row = 0; row < 50; row++) {
        struct error err = {0};
        if (rowgroup_read_span(snapshot_rowgroup(snap, 0), row, &arena, &span, &err)) fail_msg("%s", err.message);
        assert_true(span.ttft_ns == SPAN_NO_INT && isnan(span.cost_usd) && !span_get_text(&span, COL_MODEL).len &&
                    !span_get_text(&span, COL_PROMPT).len);
        assert_true(id_is_zero(span.parent_span_id, SPAN_ID_SIZE) && !id_is_zero(span.span_id, SPAN_ID_SIZE));
        struct vec vec;
        assert_int_equal(rowgroup_read(snapshot_rowgroup(snap, 0), COL_MODEL, &arena, &vec, &err), 0);
        assert_int_equal(vec.dict[vec.codes[row]].len, 0);
    }
    arena_free(&arena);
    snapshot_free(snap);
}

static void reader_beside_a_server_that_seals_and_merges_sees_each_span_once(void **state) {
    for (uint32_t n = 0; n < 3000; n += 50) {
        append(n, 50);
        if (n % 100 == 0) seal();
        if (n % 250) continue;
        struct store *own = store, *reader;
        struct error err = {0};
        if (store_open(&reader, &(struct store_options){.dir = dir, .read_only = true}, &err))
            fail_msg("%s", err.message);
        store = reader;
        expect(n + 50, 97);
        store_close(reader);
        store = own;
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(small_segments_of_a_day_become_one),
        TEST(spans_sent_twice_become_one_when_segments_are_merged),
        TEST(what_was_sealed_in_a_hurry_is_made_anew),
        TEST(hurried_segment_too_large_to_merge_is_made_anew_by_itself),
        TEST(what_waits_is_packed_though_spans_never_cease),
        TEST(snapshot_outlives_a_merge),
        TEST(deleted_user_is_gone_from_memory_wal_and_segments),
        TEST(deleted_trace_is_gone),
        TEST(deletion_that_names_nothing_or_too_much_is_refused),
        TEST(retention_by_age_drops_what_is_past_it),
        TEST(retention_by_bytes_drops_the_oldest_days),
        TEST(check_names_what_is_wrong),
        TEST(flipped_byte_is_found_wherever_it_is),
        TEST(lost_catalog_is_made_anew),
        TEST(file_that_the_catalog_does_not_know_is_left_alone),
        TEST(many_wal_files_are_sealed_oldest_first),
        TEST(damage_in_the_middle_of_a_wal_costs_that_batch_alone),
        TEST(wal_torn_anywhere_keeps_what_is_whole),
        TEST(full_disk_refuses_spans_answers_and_recovers),
        TEST(newer_minor_is_read_and_newer_major_refused),
        TEST(columns_may_be_missing_or_unknown),
        TEST(reader_beside_a_server_that_seals_and_merges_sees_each_span_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
