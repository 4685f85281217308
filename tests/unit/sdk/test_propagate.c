/* Traces across processes: traceparent, tracestate, baggage, B3. */
#include "sdk_test.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"
#define HEADER "00-" TRACE "-" PARENT "-01"

/* A carrier of headers. */
struct headers {
    struct {
        char name[32], value[9000];
    } list[8];
    size_t count;
};
static struct headers out;

static void set(void *carrier, const char *name, const char *value) {
    struct headers *headers = carrier;
    assert_true(headers->count < 8);
    snprintf(headers->list[headers->count].name, 32, "%s", name);
    snprintf(headers->list[headers->count++].value, 9000, "%s", value);
}
static const char *get(void *carrier, const char *name) {
    struct headers *headers = carrier;
    static char value[9001]; /* valid until the next call, and no longer */
    memset(value, '#', sizeof value - 1);
    for (size_t i = 0; i < headers->count; i++)
        if (!strcmp(headers->list[i].name, name)) return strcpy(value, headers->list[i].value);
    return NULL;
}
static const char *out_value(const char *name) {
    for (size_t i = 0; i < out.count; i++)
        if (!strcmp(out.list[i].name, name)) return out.list[i].value;
    return "(none)";
}
static void inject(void) {
    out.count = 0;
    vt_inject_headers(set, &out);
}
static vt_context extract(size_t pairs, ...) {
    struct headers in = {.count = 0};
    va_list args;
    va_start(args, pairs);
    for (size_t i = 0; i < pairs; i++) {
        const char *name = va_arg(args, const char *);
        set(&in, name, va_arg(args, const char *));
    }
    va_end(args);
    return vt_extract_headers(get, &in);
}
static void start_with(unsigned propagators) {
    vt_config config = sink_config();
    config.propagators = propagators;
    assert_int_equal(vt_init(&config), 0);
}

static void inject_writes_the_current_span(void **state) {
    sink_init();
    char header[56];
    memset(header, 'x', sizeof header);
    assert_int_equal(vt_inject(header, sizeof header), 0); /* no span */
    assert_string_equal(header, "");
    vt_span *span = vt_span_start("s");
    assert_int_equal(vt_inject(header, sizeof header), 55);
    char wanted[56] = "00-";
    vt_context context = vt_context_current();
    for (unsigned i = 0; i < 16; i++) sprintf(wanted + 3 + 2 * i, "%02x", context.trace_id[i]);
    strcat(wanted, "-");
    for (unsigned i = 0; i < 8; i++) sprintf(wanted + 36 + 2 * i, "%02x", context.span_id[i]);
    strcat(wanted, "-01");
    assert_string_equal(header, wanted);
    assert_int_equal(vt_inject(header, 55), 0);
    assert_string_equal(header, "");
    assert_int_equal(vt_inject(header, 0), 0);
    assert_int_equal(vt_inject(NULL, 100), 0);
    vt_span_end(span);
}

static void remote_parent_goes_on_in_its_trace(void **state) {
    sink_init();
    vt_span *span = vt_span_start_remote("served", HEADER);
    vt_span_end(vt_span_start("child"));
    vt_span_end(span);
    assert_string_equal(line_value(1, "traceId"), "\"" TRACE "\"");
    assert_string_equal(line_value(1, "parentSpanId"), "\"" PARENT "\"");
    assert_string_equal(line_value(0, "traceId"), "\"" TRACE "\"");
}

static void malformed_traceparent_starts_a_new_trace(void **state) {
    static const char *const bad[] = {NULL,
                                      "",
                                      "00",
                                      "00-" TRACE "-" PARENT,
                                      "00-" TRACE "-" PARENT "-1",
                                      "00-" TRACE "-" PARENT "-0g",
                                      "0-" TRACE "-" PARENT "-01",
                                      "ff-" TRACE "-" PARENT "-01",
                                      "00-" TRACE "-" PARENT "-01-more",
                                      "00-" TRACE "-" PARENT "-01x",
                                      "00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01",
                                      "00-00000000000000000000000000000000-" PARENT "-01",
                                      "00-" TRACE "-0000000000000000-01",
                                      "00_" TRACE "-" PARENT "-01",
                                      "00-" TRACE "_" PARENT "-01",
                                      "00-" TRACE "-" PARENT "_01",
                                      "zz-" TRACE "-" PARENT "-01"};
    sink_init();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        vt_span_end(vt_span_start_remote("served", bad[i]));
        if (strstr(sink_raw(i), "parentSpanId") || strstr(sink_raw(i), TRACE)) fail_msg("case %zu was taken", i);
    }
}

static void traceparent_of_a_later_version_and_white_space_are_taken(void **state) {
    static const char *const good[] = {HEADER, " \t" HEADER " ", "01-" TRACE "-" PARENT "-01",
                                       "cc-" TRACE "-" PARENT "-01-what-comes", "00-" TRACE "-" PARENT "-ff"};
    sink_init();
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        vt_span_end(vt_span_start_remote("served", good[i]));
        assert_string_equal(line_value(i, "parentSpanId"), "\"" PARENT "\"");
    }
}

static void parent_that_is_not_sampled_is_followed_and_passed_on(void **state) {
    sink_init();
    vt_span *span = vt_span_start_remote("served", "00-" TRACE "-" PARENT "-00");
    assert_non_null(span);
    char header[56];
    vt_inject(header, sizeof header);
    assert_true(strncmp(header, "00-" TRACE "-", 36) == 0);
    assert_string_equal(header + 52, "-00");
    vt_span_end(vt_span_start("child"));
    vt_span_end(span);
    assert_int_equal(sink_lines(), 0);
}

static void headers_come_out_as_they_came_in(void **state) {
    sink_init();
    vt_context context =
        extract(3, "traceparent", HEADER, "tracestate", "vendor=1,other=a b", "baggage", "user=u%201, tier=gold;ttl=5");
    assert_int_equal(context.remote, 1);
    vt_context_attach(context);
    vt_span *span = vt_span_start("s");
    inject();
    assert_int_equal(out.count, 3);
    assert_true(!strncmp(out_value("traceparent"), "00-" TRACE "-", 36) &&
                strstr(out_value("traceparent"), PARENT) == NULL);
    assert_string_equal(out_value("tracestate"), "vendor=1,other=a b");
    assert_string_equal(out_value("baggage"), "user=u%201, tier=gold;ttl=5");
    char value[64];
    assert_int_equal(vt_baggage_get("user", value, sizeof value), 3);
    assert_string_equal(value, "u 1");
    assert_int_equal(vt_baggage_get("tier", value, sizeof value), 4);
    assert_string_equal(value, "gold");
    vt_span_end(span);
    vt_context_attach((vt_context){.flags = 0});
    inject();
    assert_int_equal(out.count, 0);
}

static void tracestate_alone_or_broken_is_not_passed_on(void **state) {
    sink_init();
    static char many[700], long_state[700];
    for (unsigned i = 0; i < 40; i++) sprintf(many + strlen(many), "%sk%u=v", i ? "," : "", i);
    memset(long_state, 'x', 600);
    memcpy(long_state, "a=1,b=", 6);
    vt_context_attach(extract(1, "tracestate", "vendor=1"));
    vt_span *span = vt_span_start("s");
    inject();
    assert_string_equal(out_value("tracestate"), "(none)");
    vt_span_end(span);
    static const char *const states[][2] = {{"a=\x01", "(none)"}, {"a=\xff", "(none)"}, {long_state, "a=1"}};
    for (unsigned i = 0; i < 3; i++) {
        vt_context_attach((vt_context){.flags = 0});
        vt_context_attach(extract(2, "traceparent", HEADER, "tracestate", states[i][0]));
        span = vt_span_start("s");
        inject();
        assert_string_equal(out_value("tracestate"), states[i][1]);
        vt_span_end(span);
    }
    vt_context_attach((vt_context){.flags = 0});
    vt_context_attach(extract(2, "traceparent", HEADER, "tracestate", many));
    span = vt_span_start("s");
    inject();
    assert_contains(out_value("tracestate"), "k31=v"); /* 32 members, as W3C has it */
    assert_lacks(out_value("tracestate"), "k32");
    vt_span_end(span);
    vt_context_attach((vt_context){.flags = 0});
}

static void baggage_is_set_changed_removed_and_escaped(void **state) {
    sink_init();
    vt_span *span = vt_span_start("s");
    vt_baggage_set("user", "gr\xc3\xbc\xc3\x9f, \"x\";%");
    vt_baggage_set("tier", "gold");
    vt_baggage_set("bad key", "x");
    vt_baggage_set("", "x");
    vt_baggage_set(NULL, "x");
    inject();
    assert_string_equal(out_value("baggage"), "user=gr%C3%BC%C3%9F%2C%20%22x%22%3B%25,tier=gold");
    char value[64];
    vt_span *child = vt_span_start("child"); /* inherits */
    assert_int_equal(vt_baggage_get("user", value, sizeof value), 13);
    assert_string_equal(value, "gr\xc3\xbc\xc3\x9f, \"x\";%");
    vt_baggage_set("tier", "silver");
    vt_baggage_set("user", NULL);
    inject();
    assert_string_equal(out_value("baggage"), "tier=silver");
    vt_span_end(child); /* … and gives back */
    inject();
    assert_contains(out_value("baggage"), "tier=gold");
    assert_int_equal(vt_baggage_get("tier", value, 3), 2); /* cut */
    assert_string_equal(value, "go");
    assert_int_equal(vt_baggage_get("user", value, 4), 2); /* not within "ü" */
    assert_string_equal(value, "gr");
    assert_int_equal(vt_baggage_get("nothing", value, sizeof value), 0);
    assert_string_equal(value, "");
    assert_int_equal(vt_baggage_get("tier", NULL, 0), 0);
    vt_baggage_set("user", NULL);
    vt_baggage_set("tier", NULL);
    inject();
    assert_string_equal(out_value("baggage"), "(none)");
    vt_span_end(span);
}

static void baggage_keeps_to_its_limits(void **state) {
    sink_init();
    vt_span *span = vt_span_start("s");
    char key[16], value[64];
    static char large[9000];
    for (unsigned i = 0; i < 70; i++) {
        snprintf(key, sizeof key, "k%u", i);
        vt_baggage_set(key, "v");
    }
    assert_int_equal(vt_baggage_get("k63", value, sizeof value), 1);
    assert_int_equal(vt_baggage_get("k64", value, sizeof value), 0);
    memset(large, 'x', sizeof large - 1);
    vt_baggage_set("k0", large);
    assert_int_equal(vt_baggage_get("k0", value, sizeof value), 1); /* as before */
    inject();
    assert_true(strlen(out_value("baggage")) <= 8192);
    vt_span_end(span);
    vt_context_attach((vt_context){.flags = 0});
    /* From outside: the whole pairs that fit. */
    static char header[9000];
    for (unsigned i = 0; i < 800; i++) sprintf(header + strlen(header), "%skey%03u=v", i ? "," : "", i);
    vt_context_attach(extract(1, "baggage", header));
    assert_int_equal(vt_baggage_get("key063", value, sizeof value), 1);
    assert_int_equal(vt_baggage_get("key064", value, sizeof value), 0);
    vt_context_attach((vt_context){.flags = 0});
}

static void *baggage_there(void *ctx) {
    static char value[16];
    vt_context_attach(*(vt_context *)ctx);
    vt_baggage_get("user", value, sizeof value);
    vt_context_attach((vt_context){.flags = 0});
    return value;
}

static void baggage_goes_without_a_trace_and_to_other_threads_with_it(void **state) {
    sink_init();
    char value[16];
    vt_baggage_set("user", "u1"); /* no span is open */
    assert_int_equal(vt_baggage_get("user", value, sizeof value), 2);
    vt_span *span = vt_span_start("s");
    assert_int_equal(vt_baggage_get("user", value, sizeof value), 2);
    vt_context context = vt_context_current();
    pthread_t thread;
    void *got;
    pthread_create(&thread, NULL, baggage_there, &context);
    pthread_join(thread, &got);
    assert_string_equal(got, "u1");
    vt_span_end(span);
    vt_context_attach((vt_context){.flags = 0});
}

static void b3_single_is_written_and_read(void **state) {
    start_with(VT_PROPAGATE_B3);
    vt_context context = extract(1, "b3", TRACE "-" PARENT "-1-aaaaaaaaaaaaaaaa");
    vt_context_attach(context);
    vt_span *span = vt_span_start("s");
    inject();
    assert_int_equal(out.count, 1);
    assert_true(!strncmp(out_value("b3"), TRACE "-", 33) && !strcmp(out_value("b3") + 49, "-1"));
    vt_span_end(span);
    assert_string_equal(line_value(0, "parentSpanId"), "\"" PARENT "\"");
    vt_context_attach((vt_context){.flags = 0});
    static const struct {
        const char *header;
        bool taken, sampled;
    } cases[] = {{"8448eb211c80319c-" PARENT, true, true},
                 {TRACE "-" PARENT "-0", true, false},
                 {TRACE "-" PARENT "-d", true, true},
                 {TRACE "-" PARENT "-false", true, false},
                 {"0", false, false},
                 {TRACE, false, false},
                 {TRACE "-"
                        "short"
                        "-1",
                  false, false},
                 {"-", false, false},
                 {"", false, false},
                 {"00000000000000000000000000000000-" PARENT "-1", false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        context = extract(1, "b3", cases[i].header);
        if (context.remote != cases[i].taken || (context.flags & 1) != cases[i].sampled) fail_msg("case %zu", i);
    }
    context = extract(1, "b3", cases[0].header);
    assert_memory_equal(context.trace_id, "\0\0\0\0\0\0\0\0\x84\x48\xeb\x21\x1c\x80\x31\x9c", 16);
}

static void b3_multi_is_written_and_read(void **state) {
    start_with(VT_PROPAGATE_B3_MULTI);
    vt_context_attach(extract(3, "x-b3-traceid", TRACE, "x-b3-spanid", PARENT, "x-b3-sampled", "1"));
    vt_span *span = vt_span_start("s");
    inject();
    assert_int_equal(out.count, 3);
    assert_string_equal(out_value("x-b3-traceid"), TRACE);
    assert_string_equal(out_value("x-b3-sampled"), "1");
    assert_int_equal(strlen(out_value("x-b3-spanid")), 16);
    vt_span_end(span);
    vt_context_attach((vt_context){.flags = 0});
    assert_int_equal(extract(3, "x-b3-traceid", TRACE, "x-b3-spanid", PARENT, "x-b3-sampled", "0").flags, 0);
    assert_int_equal(
        extract(4, "x-b3-traceid", TRACE, "x-b3-spanid", PARENT, "x-b3-sampled", "0", "x-b3-flags", "1").flags, 1);
    assert_int_equal(extract(2, "x-b3-traceid", TRACE, "x-b3-sampled", "1").remote, 0);
    assert_int_equal(extract(2, "x-b3-traceid", TRACE TRACE, "x-b3-spanid", PARENT).remote, 0);
}

static void propagators_come_from_the_environment(void **state) {
    setenv("OTEL_PROPAGATORS", "b3, b3multi,nonsense", 1);
    sink_init();
    vt_span *span = vt_span_start("s");
    inject();
    assert_int_equal(out.count, 4);
    assert_string_equal(out_value("traceparent"), "(none)");
    vt_span_end(span);
    vt_shutdown();
    setenv("OTEL_PROPAGATORS", "none", 1);
    sink_init();
    span = vt_span_start("s");
    inject();
    assert_int_equal(out.count, 0);
    assert_int_equal(extract(1, "traceparent", HEADER).remote, 0);
    vt_span_end(span);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(inject_writes_the_current_span),
        TEST(remote_parent_goes_on_in_its_trace),
        TEST(malformed_traceparent_starts_a_new_trace),
        TEST(traceparent_of_a_later_version_and_white_space_are_taken),
        TEST(parent_that_is_not_sampled_is_followed_and_passed_on),
        TEST(headers_come_out_as_they_came_in),
        TEST(tracestate_alone_or_broken_is_not_passed_on),
        TEST(baggage_is_set_changed_removed_and_escaped),
        TEST(baggage_keeps_to_its_limits),
        TEST(baggage_goes_without_a_trace_and_to_other_threads_with_it),
        TEST(b3_single_is_written_and_read),
        TEST(b3_multi_is_written_and_read),
        TEST(propagators_come_from_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
