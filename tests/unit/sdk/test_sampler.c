/* Samplers: which traces are kept, and that the ratio agrees with OpenTelemetry's TraceIdRatioBased. */
#include "sdk_test.h"

#include <stdlib.h>
#include <string.h>

enum { NONE, SAMPLED, UNSAMPLED }; /* the parent */

static bool keeps(int parent) {
    static const char *const headers[] = {NULL, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                                          "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"};
    sink_clear();
    vt_span *span = parent == NONE ? vt_span_start("s") : vt_span_start_remote("s", headers[parent]);
    assert_non_null(span);
    vt_context context = vt_span_context(span);
    vt_span *child = vt_span_start("child"); /* always as the span around it */
    assert_int_equal(vt_span_context(child).flags, context.flags);
    vt_span_end(child);
    vt_span_end(span);
    assert_int_equal(sink_lines(), context.flags ? 2 : 0);
    return context.flags;
}

static void samplers_decide_as_their_names_say(void **state) {
    static const struct {
        const char *name, *arg;
        vt_sampler sampler;
        double ratio;
        bool none, sampled, unsampled; /* kept? */
    } cases[] = {
        {"always_on", NULL, VT_SAMPLER_ON, 0, true, true, true},
        {"always_off", NULL, VT_SAMPLER_OFF, 0, false, false, false},
        {"traceidratio", "1", VT_SAMPLER_RATIO, 1, true, true, true},
        {"traceidratio", "0", VT_SAMPLER_RATIO, 0, false, false, false},
        {"traceidratio", NULL, VT_SAMPLER_RATIO, 1, true, true, true},
        {"parentbased_always_on", NULL, VT_SAMPLER_PARENT_ON, 0, true, true, false},
        {"parentbased_always_off", NULL, VT_SAMPLER_PARENT_OFF, 0, false, true, false},
        {"parentbased_traceidratio", "1", VT_SAMPLER_PARENT_RATIO, 1, true, true, false},
        {"parentbased_traceidratio", "0", VT_SAMPLER_PARENT_RATIO, 0, false, true, false},
        {"", NULL, VT_SAMPLER_DEFAULT, 0, true, true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int by_field = 0; by_field < 2; by_field++) {
            clean_start(NULL);
            vt_config config = sink_config();
            if (by_field) {
                config.sampler = cases[i].sampler;
                config.sampler_ratio = cases[i].ratio;
                setenv("OTEL_TRACES_SAMPLER", "always_off", cases[i].sampler != VT_SAMPLER_DEFAULT);
                if (cases[i].sampler == VT_SAMPLER_DEFAULT) unsetenv("OTEL_TRACES_SAMPLER");
            } else {
                setenv("OTEL_TRACES_SAMPLER", cases[i].name, 1);
                if (cases[i].arg) setenv("OTEL_TRACES_SAMPLER_ARG", cases[i].arg, 1);
            }
            assert_int_equal(vt_init(&config), 0);
            bool none = keeps(NONE), sampled = keeps(SAMPLED), unsampled = keeps(UNSAMPLED);
            if (none != cases[i].none || sampled != cases[i].sampled || unsampled != cases[i].unsampled)
                fail_msg("%s %s: %d %d %d", cases[i].name, cases[i].arg ? cases[i].arg : "", none, sampled, unsampled);
            vt_shutdown();
        }
}

/* OpenTelemetry's rule, as its Go SDK writes it: the upper 63 of the trace id's low 64 bits lie below ratio × 2^63. */
static bool otel_keeps(const char *trace_id, double ratio) {
    uint64_t low = strtoull(trace_id + 16, NULL, 16);
    return ratio >= 1 || low >> 1 < (uint64_t)(ratio * 9223372036854775808.0);
}

static void ratio_agrees_with_opentelemetry(void **state) {
    static const double ratios[] = {0.0001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.999};
    static const char *const edges[] = {"00000000000000000000000000000001", "00000000000000003fffffffffffffff",
                                        "00000000000000004000000000000000", "00000000000000007fffffffffffffff",
                                        "00000000000000008000000000000000", "ffffffffffffffff0000000000000000",
                                        "0000000000000000ffffffffffffffff", "ffffffffffffffffffffffffffffffff"};
    srand48(7);
    for (size_t r = 0; r < sizeof ratios / sizeof *ratios; r++) {
        vt_config config = sink_config();
        config.sampler = VT_SAMPLER_RATIO;
        config.sampler_ratio = ratios[r];
        assert_int_equal(vt_init(&config), 0);
        for (unsigned i = 0; i < 2000; i++) {
            char trace[33], header[56];
            snprintf(trace, sizeof trace, "%08lx%08lx%08lx%08lx", mrand48() & 0xffffffff, mrand48() & 0xffffffff,
                     mrand48() & 0xffffffff, mrand48() & 0xffffffff);
            if (i < sizeof edges / sizeof *edges) strcpy(trace, edges[i]);
            snprintf(header, sizeof header, "00-%s-b7ad6b7169203331-00", trace);
            vt_span *span = vt_span_start_remote("s", header);
            bool kept = vt_span_context(span).flags & 1;
            vt_span_end(span);
            if (kept != otel_keeps(trace, ratios[r])) fail_msg("%s at %g: %d", trace, ratios[r], kept);
        }
        vt_shutdown();
    }
}

static void ratio_keeps_its_share_of_new_traces(void **state) {
    vt_config config = sink_config();
    config.sampler = VT_SAMPLER_PARENT_RATIO;
    config.sampler_ratio = 0.25;
    assert_int_equal(vt_init(&config), 0);
    enum { TRACES = 20000 };
    for (unsigned i = 0; i < TRACES; i++) vt_span_end(vt_span_start("s"));
    vt_stats stats;
    vt_stats_get(&stats);
    /* Ten standard deviations wide: 10 × sqrt(20000 × 0.25 × 0.75) = 612. */
    assert_in_range(stats.finished, TRACES / 4 - 612, TRACES / 4 + 612);
    assert_int_equal(stats.started, TRACES);
    assert_int_equal(stats.unsampled, TRACES - stats.finished);
    assert_int_equal(stats.open, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(samplers_decide_as_their_names_say),
        TEST(ratio_agrees_with_opentelemetry),
        TEST(ratio_keeps_its_share_of_new_traces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
