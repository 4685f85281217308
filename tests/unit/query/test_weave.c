/* However spans come – in any order, in any batches, twice, sealed or not – what is read of them is the same. Seeded: a
 * case that fails names its number; VITRINE_CASES sets how many are tried. */
#include "ask.h"

#include "base/id.h"

#include <libdeflate.h>

enum { SPANS_MAX = 60, CASES = 60 };

static const int64_t BASE_NS = INT64_C(1795460400000000000);
static unsigned seed;

static unsigned draw(unsigned below) {
    return (unsigned)rand_r(&seed) % below;
}

struct story {
    struct span spans[SPANS_MAX];
    unsigned count;
    struct arena arena;
};

/* A few traces of random shape: some of a tracer, some of log lines that have a trace id each. */
static void tell(struct story *story) {
    unsigned traces = 1 + draw(6);
    story->count = 0;
    for (unsigned t = 0; t < traces; t++) {
        unsigned first = story->count, count = 1 + draw(9);
        bool lines = draw(3) == 0, lost_root = draw(6) == 0;
        for (unsigned n = 0; n < count && story->count < SPANS_MAX; n++) {
            struct span *span = &story->spans[story->count++];
            uint64_t trace = lines ? 1000 + story->count : 1 + t, id = 0x5000 + story->count;
            span_init(span);
            memcpy(span->trace_id, &trace, 8);
            memcpy(span->span_id, &id, 8);
            if (n)
                memcpy(span->parent_span_id, story->spans[first + draw(n)].span_id, 8);
            else if (lost_root)
                memcpy(span->parent_span_id, &(uint64_t){0x9000 + story->count}, 8);
            if (lines) span->flags = SPAN_JOIN_BY_PARENT;
            span->start_ns =
                BASE_NS + (int64_t)t * 3 * NS_PER_S + (int64_t)(n * 50 + draw(40)) * NS_PER_MS + story->count;
            span->duration_ns = (int64_t)(1 + draw(5000)) * NS_PER_MS;
            span->kind = n ? 1 + draw(KIND_COUNT - 1) : KIND_TURN;
            span->status = draw(4) ? STATUS_OK : STATUS_ERROR;
            if (draw(2)) span->tokens_input = 1 + draw(500), span->tokens_output = 1 + draw(500);
            if (draw(3) == 0) span->cost_usd = (1 + draw(100)) / 64.0;
            if (draw(5) == 0 && span->tokens_input != SPAN_NO_INT) span->flags |= SPAN_USAGE_ESTIMATED;
            *span_text(span, COL_SERVICE) = draw(2) ? SLICE("web") : SLICE("shop");
            *span_text(span, COL_OPERATION) = arena_printf(&story->arena, "op%u", draw(5));
            if (draw(3)) *span_text(span, COL_MODEL) = arena_printf(&story->arena, "m%u", draw(3));
            if (draw(4) == 0 || !n) *span_text(span, COL_USER_ID) = arena_printf(&story->arena, "u%u", draw(4));
            if (draw(5) == 0) *span_text(span, COL_THREAD_ID) = arena_printf(&story->arena, "t%u", draw(4));
            if (draw(5) == 0) *span_text(span, COL_TURN_ID) = arena_printf(&story->arena, "turn%u", draw(9));
            *span_text(span, COL_PROMPT) = arena_printf(&story->arena, "word%u of many", draw(7));
        }
    }
}

static void append(struct fixture *f, const struct story *story, const unsigned *order, unsigned count) {
    struct batch *batch = batch_new();
    for (unsigned i = 0; i < count; i++) *batch_add(batch) = story->spans[order[i]];
    batch_finish(batch);
    if (store_append_wait(f->store, batch, &f->err)) fail_msg("%s", f->err.message);
    batch_unref(batch);
}

static void keep(struct fixture *f, struct buf *out) {
    /* Time and effort differ. */
    const char *tail = strstr(f->answer.ptr, "\"scanned\"");
    buf_put(out, f->answer.ptr, tail ? (size_t)(tail - f->answer.ptr) : f->answer.len);
    buf_putc(out, '\n');
}

/* All that can be asked, as one text. */
static void ask_all(struct fixture *f, struct buf *out) {
    static const char *const filters[] = {
        "",      "status:error",      "user:u1",   "thread:t2", "fallback:true", "-fallback:true+kind:turn",
        "word3", "model:m1+-user:u2", "root:true", "turn:turn4"};
    static const char *const queries[] = {
        "\"select\":[\"count\",\"sum(tokens.total)\",\"sum(cost_usd)\",\"errors\",\"distinct(user)\",\"distinct(trace)"
        "\",\"distinct(turn)\",\"max(duration_ms)\"]",
        "\"select\":[\"count\",\"sum(tokens.input)\",\"sum(cost_usd)\"],\"group_by\":[\"user_id\",\"fallback\"]",
        "\"select\":[\"sum(tokens.output)\",\"count\"],\"group_by\":[\"thread_id\",\"turn_id\",\"kind\"],\"interval\":"
        "\"1s\"",
        "\"select\":[\"count\"],\"group_by\":[\"trace_id\"],\"where\":\"has:user\"",
    };
    char target[300], id[40];
    struct buf list = {0};
    buf_clear(out);
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        snprintf(target, sizeof target, "/api/v1/traces?from=2026-11-01&to=2026-12-01&limit=100&q=%s", filters[i]);
        fixture_get(f, target);
        keep(f, out);
        if (!i) buf_put(&list, f->answer.ptr, f->answer.len);
    }
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        char body[400];
        snprintf(body, sizeof body, "{\"from\":\"2026-11-01\",\"to\":\"2026-12-01\",%s}", queries[i]);
        fixture_post(f, "/api/v1/query", body);
        keep(f, out);
    }
    for (const char *at = buf_cstr(&list); (at = strstr(at, "{\"trace_id\":\"")); at += 13) {
        snprintf(id, sizeof id, "%.32s", at + 13);
        snprintf(target, sizeof target, "/api/v1/traces/%s", id);
        fixture_get(f, target);
        keep(f, out);
    }
    buf_free(&list);
}

static void shuffle(unsigned *order, unsigned count) {
    for (unsigned i = count; i > 1; i--) {
        unsigned j = draw(i), swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
}

static void expect_same(const struct buf *wanted, const struct buf *got, unsigned number, const char *when) {
    if (wanted->len == got->len && memcmp(wanted->ptr, got->ptr, got->len) == 0) return;
    size_t at = 0;
    while (at < wanted->len && at < got->len && wanted->ptr[at] == got->ptr[at]) at++;
    size_t from = at > 400 ? at - 400 : 0;
    fail_msg("case %u, %s:\nwanted …%.600s\n   got …%.600s", number, when, wanted->ptr + from, got->ptr + from);
}

static void fixture_clear(struct fixture *f) {
    char command[100];
    fixture_close(f);
    snprintf(command, sizeof command, "rm -rf %s/*", f->dir);
    assert_int_equal(system(command), 0);
    struct store_options options = {.dir = f->dir, .seal_after_ms = 600000, .async_durability = true};
    if (store_open(&f->store, &options, &f->err) || engine_open(&f->engine, f->store, NULL, &f->err))
        fail_msg("%s", f->err.message);
}

/* Takes out of the sealed files what only newer ones have: the fields behind the eighth of vitrine.groups, under a
 * footer's checksum that is right again. */
static void make_old(struct fixture *f) {
    char line[300];
    snprintf(line, sizeof line, "ls %s/spans/*/*.parquet 2>/dev/null", f->dir);
    FILE *list = popen(line, "r");
    while (fgets(line, sizeof line, list)) {
        line[strcspn(line, "\n")] = 0;
        FILE *file = fopen(line, "r+");
        fseek(file, 0, SEEK_END);
        size_t size = (size_t)ftell(file);
        char *bytes = malloc(size);
        rewind(file);
        assert_int_equal(fread(bytes, 1, size, file), size);
        uint32_t length, crc;
        memcpy(&length, bytes + size - 8, 4);
        char *footer = bytes + size - 8 - length, *at = memmem(footer, length, "vitrine.groups", 14);
        assert_non_null(at);
        for (at += 14; at[1] != ':' && at < bytes + size; at++) {
        }
        for (unsigned field = 0; *at != 0x18; at++) { /* up to the next string of Thrift's */
            if (*at == ',') field = 0;
            if (*at == ':') field++;
            if (field >= 8) *at = ' ';
        }
        crc = libdeflate_crc32(0, footer, length);
        memcpy(footer - 8, &crc, 4);
        rewind(file);
        assert_int_equal(fwrite(bytes, 1, size, file), size);
        fclose(file);
        free(bytes);
    }
    pclose(list);
}

/* The first trace of the answers, asked of an engine that has just started and knows nothing yet. */
static void expect_first_trace(struct fixture *f, const struct buf *wanted, unsigned number) {
    char target[80];
    const char *id = memmem(wanted->ptr, wanted->len, "{\"trace_id\":\"", 13);
    if (!id) return;
    snprintf(target, sizeof target, "/api/v1/traces/%.32s", id + 13);
    fixture_get(f, target);
    const char *tail = strstr(f->answer.ptr, "\"scanned\"");
    if (!memmem(wanted->ptr, wanted->len, f->answer.ptr, (size_t)(tail - f->answer.ptr)))
        fail_msg("case %u: after a start %s is %s", number, target, f->answer.ptr);
}

static void one_case(struct fixture *f, unsigned number) {
    struct story story = {.count = 0};
    unsigned order[2 * SPANS_MAX], count;
    struct buf wanted = {0}, got = {0};
    seed = number * 7919 + 1;
    tell(&story);
    for (unsigned i = 0; i < story.count; i++) order[i] = i;
    fixture_clear(f);
    append(f, &story, order, story.count);
    ask_all(f, &wanted);
    fixture_seal(f);
    ask_all(f, &got);
    expect_same(&wanted, &got, number, "at once, sealed");
    fixture_clear(f);
    count = story.count;
    for (unsigned i = 0; i < story.count; i++)
        if (draw(8) == 0) order[count++] = i; /* sent again */
    shuffle(order, count);
    for (unsigned from = 0, n; from < count; from += n) {
        n = 1 + draw(draw(2) ? 4 : 20);
        if (n > count - from) n = count - from;
        append(f, &story, order + from, n);
        if (draw(4) == 0) fixture_seal(f);
        if (draw(4) == 0)
            fixture_get(f, "/api/v1/traces?from=2026-11-01&to=2026-12-01"); /* the weave grows step by step */
    }
    ask_all(f, &got);
    expect_same(&wanted, &got, number, "in pieces");
    fixture_seal(f);
    ask_all(f, &got);
    expect_same(&wanted, &got, number, "in pieces, sealed");
    fixture_close(f);
    fixture_open(f);
    expect_first_trace(f, &wanted, number);
    ask_all(f, &got);
    expect_same(&wanted, &got, number, "in pieces, opened again");
    fixture_close(f);
    make_old(f);
    fixture_open(f);
    ask_all(f, &got);
    expect_same(&wanted, &got, number, "in pieces, from files of an older version");
    buf_free(&wanted);
    buf_free(&got);
    arena_free(&story.arena);
}

static void any_way_of_coming_reads_the_same(void **state) {
    const char *cases = getenv("VITRINE_CASES"), *first = getenv("VITRINE_CASE");
    unsigned from = first ? (unsigned)atoi(first) : 0, to = first ? from + 1 : cases ? (unsigned)atoi(cases) : CASES;
    for (unsigned number = from; number < to; number++) one_case(*state, number);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_way_of_coming_reads_the_same, fixture_start, fixture_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
