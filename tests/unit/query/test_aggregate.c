/* Aggregates against numbers that were worked out here, span by span, and what the sketches promise. */
#include "ask.h"

#include "query/distinct.h"
#include "query/sketch.h"

#include <math.h>

static const int64_t BASE_NS = INT64_C(1795460400000000000); /* 2026-11-23T19:00:00Z */
enum { SPANS = 6000 };

/* What span n says; the test works out all answers from these. */
static unsigned model_of(unsigned n) {
    return n % 5 == 4 ? 9 : n % 5;
} /* 9 = not known */
static double duration_ms_of(unsigned n) {
    return 1 + (n * 7919u) % 10007 / 3.0;
}
static bool failed(unsigned n) {
    return n % 7 == 0;
}
static bool restated(unsigned n) {
    return n % 11 == 0;
}
static double weight_of(unsigned n) {
    return n % 13 == 0 ? 4 : 1;
}
static int64_t minute_of(unsigned n) {
    return n / 100;
}

static void add(struct batch *batch, unsigned n) {
    struct span *span = batch_add(batch);
    uint64_t id = n + 1;
    memcpy(span->span_id, &id, 8);
    /* The span behind a restated one is its child, and reports the usage. */
    uint64_t parent = n && restated(n - 1) ? n : 0, trace = parent ? parent : id;
    memcpy(span->trace_id, &trace, 8);
    memcpy(span->parent_span_id, &parent, 8);
    span->start_ns = BASE_NS + minute_of(n) * 60 * NS_PER_S + n % 100 * NS_PER_MS;
    span->duration_ns = (int64_t)llround(duration_ms_of(n) * NS_PER_MS);
    span->status = failed(n) ? STATUS_ERROR : STATUS_OK;
    span->kind = n % 2 ? KIND_LLM : KIND_TOOL;
    span->cost_usd = n % 17 ? 0.5 : (double)NAN;
    span->tokens_input = n % 19 ? n % 1000 : SPAN_NO_INT;
    span->tokens_output = n % 23 ? 10 : SPAN_NO_INT;
    span->sample_rate = weight_of(n) > 1 ? 1 / weight_of(n) : (double)NAN;
    if (model_of(n) < 9) *span_text(span, COL_MODEL) = arena_printf(&batch->arena, "m%u", model_of(n));
    *span_text(span, COL_USER_ID) = arena_printf(&batch->arena, "u%u", n % 700);
    *span_text(span, COL_ATTRIBUTES) = arena_printf(&batch->arena, "{\"region\":\"r%u\",\"tries\":%u,\"beta\":%s}",
                                                    n % 3, n % 4, n % 2 ? "true" : "false");
    *span_text(span, COL_RESOURCE) = n % 2 ? SLICE("{\"host\":\"a\"}") : SLICE("{\"host\":\"b\"}");
    *span_text(span, COL_TURN_ID) = arena_printf(&batch->arena, "t%u", n % 50);
}

/* Two thirds sealed, the rest in memory. */
static int start(void **state) {
    if (fixture_start(state)) return -1;
    struct fixture *f = *state;
    for (unsigned from = 0; from < SPANS; from += 1000) {
        struct batch *batch = batch_new();
        for (unsigned n = from; n < from + 1000; n++) add(batch, n);
        fixture_append(f, batch);
        if (from == 1000 || from == 3000) fixture_seal(f);
    }
    return 0;
}

/* The k-th number of the first point of series `group` ("" = the only one). */
static double value_at(struct fixture *f, const char *group, unsigned k) {
    char start[200];
    snprintf(start, sizeof start, "{\"group\":{%s},\"points\":[[", group);
    const char *at = strstr(f->answer.ptr, start);
    if (!at) fail_msg("no group %s in %s", group, f->answer.ptr);
    at += strlen(start);
    for (; k; k--) at = strchr(at, ',') + 1;
    return *at == 'n' ? (double)NAN : strtod(at, NULL);
}

#define RANGE "\"from\":\"2026-11-23\",\"to\":\"2026-11-25\""

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The smallest value that `share` of the weight does not exceed. */
static double exact_percentile(double share, int model) {
    static double values[4 * SPANS];
    unsigned count = 0;
    for (unsigned n = 0; n < SPANS; n++)
        for (int w = 0; (model < 0 || (int)model_of(n) == model) && w < (int)weight_of(n); w++)
            values[count++] = (double)llround(duration_ms_of(n) * NS_PER_MS) / NS_PER_MS;
    qsort(values, count, sizeof *values, by_value);
    unsigned rank = (unsigned)ceil(share * count - 1e-9);
    return values[rank ? rank - 1 : 0];
}

static void expect_near(double got, double wanted, double share) {
    if (!(fabs(got - wanted) <= share * fabs(wanted) + 1e-12)) fail_msg("%.17g is not %.17g", got, wanted);
}

static void whole_range_in_one_group(void **state) {
    struct fixture *f = *state;
    double count = 0, errors = 0, cost = 0, tokens = 0, known = 0, least = INFINITY, most = 0;
    for (unsigned n = 0; n < SPANS; n++) {
        double w = weight_of(n);
        count += w;
        errors += failed(n) ? w : 0;
        cost += !restated(n) && n % 17 ? 0.5 * w : 0;
        if (!restated(n) && (n % 19 || n % 23)) tokens += ((n % 19 ? n % 1000 : 0) + (n % 23 ? 10 : 0)) * w, known += w;
        double d = (double)llround(duration_ms_of(n) * NS_PER_MS) / NS_PER_MS;
        if (d < least) least = d;
        if (d > most) most = d;
    }
    fixture_post(f, "/api/v1/query",
                 "{" RANGE ",\"select\":[\"count\",\"errors\",\"error_rate\",\"sum(cost_usd)\",\"sum(tokens.total)\","
                 "\"avg(tokens)\",\"min(duration_ms)\",\"max(duration)\","
                 "\"p0(duration_ms)\",\"p100(duration_ms)\",\"distinct(user_id)\",\"distinct(attr.tries)\",\"rate\","
                 "\"distinct(thread)\",\"avg(ttft_ms)\",\"distinct(turn)\"]}");
    expect_near(value_at(f, "", 1), count, 0);
    expect_near(value_at(f, "", 2), errors, 0);
    expect_near(value_at(f, "", 3), errors / count, 1e-12);
    expect_near(value_at(f, "", 4), cost, 1e-12);
    expect_near(value_at(f, "", 5), tokens, 1e-12);
    expect_near(value_at(f, "", 6), tokens / known, 1e-12);
    expect_near(value_at(f, "", 7), least, 1e-12);
    expect_near(value_at(f, "", 8), most, 1e-12);
    expect_near(value_at(f, "", 9), least, 1e-12);
    expect_near(value_at(f, "", 10), most, 1e-12);
    expect_near(value_at(f, "", 11), 700, 0);
    expect_near(value_at(f, "", 12), 4, 0);
    expect_near(value_at(f, "", 13), count / (2 * 86400), 1e-12);
    expect_near(value_at(f, "", 14), 0, 0);
    assert_true(isnan(value_at(f, "", 15)));
    expect_near(value_at(f, "", 16), 50, 0);
    expect_part(f, "\"columns\":[\"count\",\"errors\"");
    expect_part(f, "\"scanned\":6000");
}

static void percentiles_are_within_one_percent(void **state) {
    struct fixture *f = *state;
    static const double shares[] = {0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999};
    fixture_post(f, "/api/v1/query",
                 "{" RANGE ",\"select\":[\"p1(duration_ms)\",\"p10(duration_ms)\",\"p25(duration_ms)\",\"p50(duration_"
                 "ms)\",\"p75(duration_ms)\",\"p90(duration_ms)\","
                 "\"p95(duration_ms)\",\"p99(duration_ms)\",\"p99.9(duration_ms)\"],\"group_by\":[\"model\"]}");
    for (int m = 0; m < 4; m++)
        for (unsigned p = 0; p < 9; p++) {
            char group[20];
            snprintf(group, sizeof group, "\"model\":\"m%d\"", m);
            expect_near(value_at(f, group, p + 1), exact_percentile(shares[p], m), 0.01);
        }
    for (unsigned p = 0; p < 9; p++)
        expect_near(value_at(f, "", p + 1), exact_percentile(shares[p], 9), 0.01); /* the model is not known */
}

static void groups_by_fields_and_attributes(void **state) {
    struct fixture *f = *state;
    double counts[5][3] = {{0}}, host = 0;
    for (unsigned n = 0; n < SPANS; n++) {
        counts[model_of(n) == 9 ? 4 : model_of(n)][n % 3] += weight_of(n);
        if (n % 2) host += weight_of(n);
    }
    fixture_post(f, "/api/v1/query", "{" RANGE ",\"select\":[\"count\"],\"group_by\":[\"model\",\"attr.region\"]}");
    assert_int_equal(count_parts(f->answer.ptr, "\"group\""), 15);
    for (int m = 0; m < 5; m++)
        for (int r = 0; r < 3; r++) {
            char group[60];
            if (m == 4)
                snprintf(group, sizeof group, "\"region\":\"r%d\"", r);
            else
                snprintf(group, sizeof group, "\"model\":\"m%d\",\"region\":\"r%d\"", m, r);
            expect_near(value_at(f, group, 1), counts[m][r], 0);
        }
    fixture_post(f, "/api/v1/query",
                 "{" RANGE ",\"select\":[\"count\"],\"group_by\":[\"beta\",\"host\",\"kind\",\"tries\"]}");
    expect_part(f, "{\"group\":{\"beta\":true,\"host\":\"a\",\"kind\":\"llm\",\"tries\":3}");
    expect_part(f, "{\"group\":{\"beta\":false,\"host\":\"b\",\"kind\":\"tool\",\"tries\":0}");
    assert_int_equal(count_parts(f->answer.ptr, "\"group\""), 4);
    fixture_post(f, "/api/v1/query",
                 "{" RANGE ",\"select\":[\"count\"],\"group_by\":[\"host\"],\"where\":\"attr.beta:true\"}");
    expect_near(value_at(f, "\"host\":\"a\"", 1), host, 0);
    assert_int_equal(count_parts(f->answer.ptr, "\"group\""), 1);
}

static void steps_of_time_stand_at_multiples(void **state) {
    struct fixture *f = *state;
    char part[120];
    double hour[2] = {0};
    fixture_post(f, "/api/v1/query",
                 "{" RANGE ",\"select\":[\"count\",\"rate\"],\"interval\":\"1m\",\"where\":\"model:m1\"}");
    assert_int_equal(count_parts(f->answer.ptr, ",["), 59);
    for (int m = 0; m < 60; m += 13) {
        double count = 0;
        for (unsigned n = (unsigned)m * 100; n < (unsigned)m * 100 + 100; n++)
            count += model_of(n) == 1 ? weight_of(n) : 0;
        snprintf(part, sizeof part, "[%lld,%g,", (long long)(BASE_NS / NS_PER_MS + m * 60000), count);
        expect_part(f, part);
    }
    expect_part(f, "\"interval_ms\":60000");
    /* A range that begins within a step: the step begins before it and only counts what is inside. */
    for (unsigned n = 0; n < SPANS; n++) hour[minute_of(n) >= 30] += minute_of(n) >= 15 ? weight_of(n) : 0;
    fixture_post(f, "/api/v1/query",
                 "{\"from\":1795461300000,\"to\":\"2026-11-25\",\"select\":[\"count\",\"rate\"],\"interval\":\"30m\"}");
    snprintf(part, sizeof part, "[[1795460400000,%.17g,", hour[0]);
    expect_part(f, part);
    snprintf(part, sizeof part, ",[1795462200000,%.17g,", hour[1]);
    expect_part(f, part);
    expect_near(value_at(f, "", 2), hour[0] / 900, 1e-12);
}

static void largest_groups_come_first(void **state) {
    struct fixture *f = *state;
    fixture_post(f, "/api/v1/query",
                 "{" RANGE
                 ",\"select\":[\"count\"],\"group_by\":[\"user_id\"],\"limit\":3,\"order_by\":\"max(tokens.input)\"}");
    assert_int_equal(count_parts(f->answer.ptr, "\"group\""), 3);
    expect_part(f, "\"truncated\":true");
    expect_part(f, "\"columns\":[\"count\"]");
    fixture_post(f, "/api/v1/query",
                 "{" RANGE
                 ",\"select\":[\"count\"],\"group_by\":[\"model\"],\"order\":\"asc\",\"where\":\"-model:m0\"}");
    double before = 0;
    for (const char *at = f->answer.ptr; (at = strstr(at, "\"points\":[["));) {
        at = strchr(at, ',') + 1;
        double count = strtod(at, NULL);
        assert_true(count >= before);
        before = count;
    }
    expect_no_part(f, "truncated");
}

static void nothing_found_is_one_empty_series(void **state) {
    struct fixture *f = *state;
    fixture_post(f, "/api/v1/query",
                 "{\"from\":0,\"to\":1000,\"select\":[\"count\",\"avg(cost_usd)\",\"p50(duration_ms)\",\"error_rate\","
                 "\"distinct(user)\"]}");
    expect_part(f, "{\"series\":[{\"group\":{},\"points\":[[0,0,null,null,null,0]]}]");
    fixture_post(f, "/api/v1/query",
                 "{" RANGE ",\"select\":[\"count\"],\"group_by\":[\"model\"],\"where\":\"model:none\"}");
    expect_part(f, "{\"series\":[],");
    fixture_post(f, "/api/v1/query", "{" RANGE ",\"select\":[\"count\"],\"interval\":\"1h\",\"where\":\"model:none\"}");
    expect_part(f, "{\"series\":[{\"group\":{},\"points\":[]}]");
}

static void histogram_bars_hold_all_spans(void **state) {
    struct fixture *f = *state;
    double count = 0, low, high, n, before = 0;
    int bars = 0, used;
    fixture_post(f, "/api/v1/query", "{" RANGE ",\"select\":[\"histogram(duration_ms)\"]}");
    const char *at = strstr(f->answer.ptr, ",[[") + 2;
    while (sscanf(at, "[%lf,%lf,%lf]%n", &low, &high, &n, &used) == 3) {
        assert_true(low < high && low >= before);
        before = high;
        count += n;
        bars++;
        at += used + 1;
    }
    assert_true(bars > 10 && bars <= 65);
    double all = 0;
    for (unsigned i = 0; i < SPANS; i++) all += weight_of(i);
    expect_near(count, all, 0);
}

static void facets_count_values(void **state) {
    struct fixture *f = *state;
    fixture_get(f, "/api/v1/facets?from=2026-11-23&to=2026-11-25&fields=model,status,region&q=kind:llm");
    expect_part(f, "{\"field\":\"model\",\"values\":[{\"value\":\"m");
    expect_part(f, "\"missing\":");
    expect_part(f, "{\"field\":\"region\",\"values\":[{\"value\":\"r");
    assert_int_equal(count_parts(f->answer.ptr, "\"value\":\"m"), 4);
    fixture_get(f, "/api/v1/facets?from=2026-11-23&to=2026-11-25&fields=user_id&limit=5");
    assert_int_equal(count_parts(f->answer.ptr, "\"value\""), 5);
    expect_part(f, "\"more\":true");
}

static void bad_bodies_say_what_was_expected(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *body, *says;
        int code;
    } cases[] = {
        {"", "the body: expected a JSON object", VT_EINVAL},
        {"{", "the body", VT_EINVAL},
        {"[]", "the body: expected a JSON object", VT_EINVAL},
        {"{}", "select: expected at least one", VT_EINVAL},
        {"{\"select\":[]}", "select: expected at least one", VT_EINVAL},
        {"{\"select\":[\"count\"],\"from\":\"x\"}", "from: expected a moment", VT_EINVAL},
        {"{\"select\":[\"p101(duration)\"]}", "expected an aggregate", VT_EINVAL},
        {"{\"select\":[\"sum\"]}", "needs a field", VT_EINVAL},
        {"{\"select\":[\"sum(model)\"]}", "needs a number", VT_EINVAL},
        {"{\"select\":[\"sum(modle)\"]}", "no field 'modle'", VT_EINVAL},
        {"{\"select\":[\"count(x)\"]}", "takes no field", VT_EINVAL},
        {"{\"select\":[\"sum(cost\"]}", "lacks the ')'", VT_EINVAL},
        {"{\"select\":[\"count\"],\"where\":\"status:bad\"}", "where: column 8", VT_EINVAL},
        {"{\"select\":[\"count\"],\"interval\":\"1ms\"}", "interval: expected a time from 1s to 30d", VT_EINVAL},
        {"{\"select\":[\"count\"],\"limit\":0}", "limit", VT_EINVAL},
        {"{\"select\":[\"count\"],\"limit\":10001}", "limit", VT_EINVAL},
        {"{\"select\":[\"count\"],\"groupby\":[]}", "no member 'groupby'", VT_EINVAL},
        {"{\"select\":[\"count\"],\"order_by\":\"x\"}", "order_by: expected an aggregate", VT_EINVAL},
        {"{\"select\":[\"count\"],\"order\":\"up\"}", "order: expected asc or desc", VT_EINVAL},
        {"{\"select\":[\"count\"],\"group_by\":[\"\"]}", "group_by", VT_EINVAL},
        {"{\"select\":[\"count\"],\"group_by\":\"model\"}", "group_by: expected a list", VT_EINVAL},
        {"{\"select\":[\"count\"],\"group_by\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"]}", "more than 8",
         VT_ELIMIT},
        {"{\"select\":[\"count\"]} x", "the body", VT_EINVAL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int code = fixture_ask(f, "/api/v1/query", cases[i].body, NULL);
        if (code != cases[i].code || !strstr(f->answer.ptr, cases[i].says))
            fail_msg("%s: %d %s", cases[i].body, code, f->answer.ptr);
    }
    char *deep = malloc(1000001);
    memset(deep, '[', 1000000);
    deep[1000000] = 0;
    assert_int_equal(fixture_ask(f, "/api/v1/query", deep, NULL), VT_EINVAL);
    free(deep);
}

static void sketches_merge_and_keep_their_promise(void **state) {
    struct arena arena = {0};
    struct sketch all, half[2];
    unsigned seed = 7;
    for (int scale = -12; scale <= 12; scale += 3) {
        double values[2001];
        sketch_init(&all), sketch_init(&half[0]), sketch_init(&half[1]);
        for (int i = 0; i < 2001; i++) {
            values[i] = (rand_r(&seed) % 5 ? 1 : -1) * pow(10, scale) * exp(rand_r(&seed) % 1000 / 100.0);
            assert_true(sketch_add(&all, values[i], 1, &arena) && sketch_add(&half[i % 2], values[i], 1, &arena));
        }
        assert_true(sketch_merge(&half[0], &half[1], &arena));
        qsort(values, 2001, sizeof *values, by_value);
        for (int p = 0; p <= 100; p++) {
            double exact = values[p ? (int)ceil(p * 2001 / 100.0 - 1e-9) - 1 : 0];
            expect_near(sketch_quantile(&all, p / 100.0), exact, 0.0079);
            assert_true(sketch_quantile(&all, p / 100.0) == sketch_quantile(&half[0], p / 100.0));
        }
    }
    sketch_init(&all);
    assert_true(isnan(sketch_quantile(&all, 0.5)));
    assert_true(sketch_add(&all, 0, 1, &arena) && sketch_quantile(&all, 0.5) == 0);
    arena_free(&arena);
}

static uint64_t scrambled(uint64_t x) {
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void distinct_is_exact_and_then_close(void **state) {
    for (uint64_t n = 1; n < 3000000; n = n * 3 + 1) {
        struct arena arena = {0};
        struct distinct whole = {0}, parts[2] = {{0}, {0}};
        for (uint64_t i = 1; i <= n; i++)
            assert_true(distinct_add(&whole, scrambled(i), &arena) &&
                        distinct_add(&parts[i % 2], scrambled(i), &arena) &&
                        distinct_add(&parts[0], scrambled(i / 2 + 1), &arena));
        assert_true(distinct_merge(&parts[0], &parts[1], &arena));
        double share = n <= DISTINCT_EXACT ? 0 : 0.02;
        expect_near(distinct_count(&whole), (double)n, share);
        expect_near(distinct_count(&parts[0]), (double)n, share);
        arena_free(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_range_in_one_group, start, fixture_stop),
        cmocka_unit_test_setup_teardown(percentiles_are_within_one_percent, start, fixture_stop),
        cmocka_unit_test_setup_teardown(groups_by_fields_and_attributes, start, fixture_stop),
        cmocka_unit_test_setup_teardown(steps_of_time_stand_at_multiples, start, fixture_stop),
        cmocka_unit_test_setup_teardown(largest_groups_come_first, start, fixture_stop),
        cmocka_unit_test_setup_teardown(nothing_found_is_one_empty_series, start, fixture_stop),
        cmocka_unit_test_setup_teardown(histogram_bars_hold_all_spans, start, fixture_stop),
        cmocka_unit_test_setup_teardown(facets_count_values, start, fixture_stop),
        cmocka_unit_test_setup_teardown(bad_bodies_say_what_was_expected, start, fixture_stop),
        cmocka_unit_test(sketches_merge_and_keep_their_promise),
        cmocka_unit_test(distinct_is_exact_and_then_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
