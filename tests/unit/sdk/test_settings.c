/* Configuration: every variable, what wins over what, values without meaning, and what VITRINE_DEBUG=1 says. */
#include "sdk_test.h"

#include <stdlib.h>
#include <string.h>

static void attributes_of_a_span_are(const char *wanted) {
    vt_span_end(vt_span_start("s"));
    const char *at = strstr(sink_raw(sink_lines() - 1), "\"attributes\":");
    assert_non_null(at);
    assert_string_equal(at, wanted);
}

static void init_without_name(void) {
    vt_config config = {.console_write = sink_write, .synchronous = true};
    assert_int_equal(vt_init(&config), 0);
}

static void service_without_a_name_is_unknown(void **state) {
    init_without_name();
    attributes_of_a_span_are("\"attributes\":{\"service.name\":\"unknown_service\"}}");
}

static void resource_comes_from_the_environment(void **state) {
    setenv("OTEL_SERVICE_NAME", "ai-storefront", 1);
    setenv("OTEL_SERVICE_VERSION", "1.0.0", 1);
    setenv("NODE_ENV", "production", 1);
    setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,host.name= h1 ,a%2Cb=c%3Dd,broken,=x,k=v=w,last=", 1);
    init_without_name();
    attributes_of_a_span_are("\"attributes\":{\"service.name\":\"ai-storefront\",\"service.version\":\"1.0.0\","
                             "\"deployment.environment\":\"production\","
                             "\"host.name\":\"h1\",\"a,b\":\"c=d\",\"k\":\"v=w\"}}");
}

static void service_name_may_stand_in_the_resource_attributes(void **state) {
    setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=from-resource,service.version=2", 1);
    init_without_name();
    attributes_of_a_span_are("\"attributes\":{\"service.name\":\"from-resource\",\"service.version\":\"2\"}}");
}

static void fields_win_over_the_environment(void **state) {
    setenv("OTEL_SERVICE_NAME", "env", 1);
    setenv("OTEL_SERVICE_VERSION", "env", 1);
    setenv("NODE_ENV", "env", 1);
    setenv("OTEL_RESOURCE_ATTRIBUTES", "k=env,only=env", 1);
    vt_attr attr = vt_attr_str("k", "field");
    vt_config config = {.service_name = "field",
                        .service_version = "field",
                        .environment = "field",
                        .resource = &attr,
                        .resource_count = 1,
                        .console_write = sink_write,
                        .synchronous = true};
    assert_int_equal(vt_init(&config), 0);
    attributes_of_a_span_are("\"attributes\":{\"service.name\":\"field\",\"service.version\":\"field\",\"deployment."
                             "environment\":\"field\",\"k\":\"field\",\"only\":\"env\"}}");
}

static void odd_resource_attributes_are_left_out(void **state) {
    vt_attr attrs[] = {vt_attr_int("service.name", 5), {.key = "odd", .type = 77}, vt_attr_str(NULL, "x"),
                       vt_attr_str("", "x"),           vt_attr_str("none", NULL),  vt_attr_bool("yes", true)};
    vt_config config = {.console_write = sink_write, .synchronous = true, .resource = attrs, .resource_count = 6};
    assert_int_equal(vt_init(&config), 0);
    attributes_of_a_span_are("\"attributes\":{\"service.name\":\"unknown_service\",\"yes\":true}}");
}

static void at_most_64_resource_attributes_are_kept(void **state) {
    char list[2048] = "";
    for (unsigned i = 0; i < 100; i++) sprintf(list + strlen(list), "k%u=v,", i);
    setenv("OTEL_RESOURCE_ATTRIBUTES", list, 1);
    sink_init();
    vt_span_end(vt_span_start("s"));
    assert_true(sink_has("\"k62\":"));
    assert_false(sink_has("\"k63\":"));
}

/* What goes where -------------------------------------------------------------------------------------------------- */

static int exported;
static int count_spans(void *ctx, const vt_attr *resource, size_t resource_count, const vt_finished *spans,
                       size_t count) {
    exported += (int)count;
    return 0;
}

static void trace_by_environment(void *ctx) {
    vt_config config = {.synchronous = true};
    vt_exporter exporter = {.export_spans = count_spans};
    if (ctx) config.exporters = &exporter, config.exporter_count = 1;
    vt_init(&config);
    vt_span_end(vt_span_start("one"));
    vt_shutdown();
}

static void assert_prints(const char *enable, const char *exporter, bool other_exporter, bool prints) {
    enable ? setenv("OTEL_ENABLE_CONSOLE", enable, 1) : unsetenv("OTEL_ENABLE_CONSOLE");
    exporter ? setenv("OTEL_TRACES_EXPORTER", exporter, 1) : unsetenv("OTEL_TRACES_EXPORTER");
    char *text = child_stdout(trace_by_environment, other_exporter ? &exported : NULL, NULL);
    if ((strstr(text, "\"operation\":\"one\"") != NULL) != prints)
        fail_msg("console %s, exporter %s: \"%s\"", enable, exporter, text);
    free(text);
}

static void lines_go_to_stdout_when_nothing_else_takes_them_or_when_asked_for(void **state) {
    assert_prints(NULL, NULL, false, true);
    assert_prints("false", NULL, false, false);
    assert_prints("0", NULL, false, false);
    assert_prints("nonsense", NULL, false, false);
    assert_prints(NULL, NULL, true, false);
    assert_prints("true", NULL, true, true);
    assert_prints("1", NULL, true, true);
    assert_prints("TRUE", NULL, true, true);
    assert_prints(NULL, "console", true, true);
    assert_prints(NULL, "console,otlp", true, true);
    assert_prints(NULL, "none", false, false);
}

static void lines_go_to_a_file_whole_and_between_the_applications_own(void **state) {
    FILE *file = tmpfile();
    vt_config config = {.console_file = file, .synchronous = true};
    assert_int_equal(vt_init(&config), 0);
    fputs("before\n", file);
    vt_span_end(vt_span_start("one"));
    fputs("after\n", file);
    vt_shutdown();
    rewind(file);
    char line[1024];
    assert_non_null(fgets(line, sizeof line, file));
    assert_string_equal(line, "before\n");
    assert_non_null(fgets(line, sizeof line, file));
    assert_contains(line, "\"operation\":\"one\"");
    assert_non_null(fgets(line, sizeof line, file));
    assert_string_equal(line, "after\n");
    assert_null(fgets(line, sizeof line, file));
    fclose(file);
    char *memory = NULL;
    size_t size;
    file = open_memstream(&memory, &size); /* a stream without a descriptor */
    config.console_file = file;
    assert_int_equal(vt_init(&config), 0);
    vt_span_end(vt_span_start("two"));
    vt_shutdown();
    assert_contains(memory, "\"operation\":\"two\"");
    fclose(file);
    free(memory);
}

static void disabled_by_the_environment_traces_nothing(void **state) {
    setenv("OTEL_SDK_DISABLED", "true", 1);
    vt_config config = sink_config();
    assert_int_equal(vt_init(&config), 0);
    assert_null(vt_span_start("s"));
    assert_string_equal(vt_error_message(), "");
    vt_shutdown();
    setenv("OTEL_SDK_DISABLED", "false", 1);
    assert_int_equal(vt_init(&config), 0);
    vt_span *span = vt_span_start("s");
    assert_non_null(span);
    vt_span_end(span);
}

/* Fields without meaning fail ----------------------------------------------------------------------------------------
 */

static int freed;
static uint64_t count_free(void *ctx, uint32_t timeout_ms) {
    freed++;
    return 0;
}

static void fields_without_meaning_are_named(void **state) {
    vt_exporter no_export = {.shutdown = count_free}, fine = {.export_spans = count_spans, .shutdown = count_free};
    vt_exporter many[20];
    for (unsigned i = 0; i < 20; i++) many[i] = fine;
    const struct {
        vt_config config;
        const char *named;
        int freed;
    } cases[] = {{{.sampler = (vt_sampler)77}, "vt_config.sampler is 77", 0},
                 {{.sampler = VT_SAMPLER_RATIO, .sampler_ratio = 1.5},
                  "vt_config.sampler_ratio is 1.5: it must lie between 0 and 1",
                  0},
                 {{.sampler = VT_SAMPLER_RATIO, .sampler_ratio = -1}, "vt_config.sampler_ratio is -1", 0},
                 {{.capture = (vt_capture)9}, "vt_config.capture is 9", 0},
                 {{.console = (vt_switch)5}, "vt_config.console", 0},
                 {{.statsd_address = "host:99999"}, "vt_config.statsd_address is \"host:99999\"", 0},
                 {{.statsd_address = "[::1"}, "vt_config.statsd_address", 0},
                 {{.statsd_address = "h", .statsd_rate = 2}, "vt_config.statsd_rate is 2", 0},
                 {{.resource_count = 1}, "vt_config.resource_count is 1 but .resource is NULL", 0},
                 {{.exporter_count = 1}, "vt_config.exporter_count is 1 but .exporters is NULL", 0},
                 {{.exporters = &no_export, .exporter_count = 1}, "vt_config.exporters[0].export_spans is NULL", 1},
                 {{.exporters = many, .exporter_count = 20}, "vt_config.exporter_count is 20: at most", 20}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        freed = 0;
        assert_int_equal(vt_init(&cases[i].config), VT_ERROR_CONFIG);
        assert_contains(vt_error_message(), cases[i].named);
        assert_int_equal(freed, cases[i].freed); /* each is shut down once, also when vt_init fails */
        assert_null(vt_span_start("s"));
    }
    sink_init(); /* and the application may try again */
    assert_string_equal(vt_error_message(), "");
}

/* Variables without meaning are passed over and named
 * ------------------------------------------------------------------ */

static void init_from_environment(void *ctx) {
    setenv("VITRINE_DEBUG", "1", 1);
    setenv("OTEL_ENABLE_CONSOLE", "false", 1);
    vt_init(NULL);
    vt_span_end(vt_span_start("s"));
}

static void variables_without_meaning_are_named_and_passed_over(void **state) {
    static const char *const cases[][3] = {
        {"OTEL_TRACES_SAMPLER", "sometimes",
         "OTEL_TRACES_SAMPLER=sometimes is unknown (always_on, always_off, traceidratio, parentbased_always_on, "
         "parentbased_always_off, parentbased_traceidratio): parentbased_always_on is used"},
        {"OTEL_TRACES_SAMPLER_ARG", "2", "OTEL_TRACES_SAMPLER_ARG=2 does not lie between 0 and 1"},
        {"OTEL_TRACES_SAMPLER_ARG", "half", "OTEL_TRACES_SAMPLER_ARG=half"},
        {"OTEL_TRACES_SAMPLER_ARG", "nan", "OTEL_TRACES_SAMPLER_ARG=nan"},
        {"VITRINE_CAPTURE", "all", "VITRINE_CAPTURE=all is unknown (full, preview, none): preview is used"},
        {"OTEL_BSP_MAX_QUEUE_SIZE", "-5", "OTEL_BSP_MAX_QUEUE_SIZE=-5 is no whole number of at least 1: 2048 is used"},
        {"OTEL_BSP_MAX_QUEUE_SIZE", "999999999", "OTEL_BSP_MAX_QUEUE_SIZE: 999999999 is more than 16777216"},
        {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0",
         "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=0 is no whole number of at least 1: 512 is used"},
        {"OTEL_BSP_SCHEDULE_DELAY", "5s", "OTEL_BSP_SCHEDULE_DELAY=5s"},
        {"OTEL_BSP_EXPORT_TIMEOUT", "99999999999", "OTEL_BSP_EXPORT_TIMEOUT=99999999999"},
        {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "x", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=x"},
        {"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "1.5", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT=1.5"},
        {"OTEL_SPAN_EVENT_COUNT_LIMIT", " ", "OTEL_SPAN_EVENT_COUNT_LIMIT= "},
        {"OTEL_ENABLE_OTLP", "maybe", "OTEL_ENABLE_OTLP=maybe is neither true nor false: taken as false"},
        {"OTEL_PROPAGATORS", "jaeger", "OTEL_PROPAGATORS: \"jaeger\" is unknown: left out"},
        {"OTEL_RESOURCE_ATTRIBUTES", "novalue", "OTEL_RESOURCE_ATTRIBUTES: \"novalue\" has no '=': left out"},
        {"VITRINE_STATSD", "host:port", "VITRINE_STATSD=host:port is neither host nor host:port"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv(cases[i][0], cases[i][1], 1);
        int code;
        char *text = child_stderr(init_from_environment, NULL, &code);
        assert_int_equal(code, 0);
        assert_contains(text, cases[i][2]);
        assert_contains(text, "1 spans finished"); /* tracing runs */
        free(text);
        unsetenv(cases[i][0]);
    }
}

static void debug_says_what_is_configured_without_secrets(void **state) {
    setenv("OTEL_SERVICE_NAME", "ai-storefront", 1);
    setenv("OTEL_RESOURCE_ATTRIBUTES", "host.name=h1", 1);
    setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio", 1);
    setenv("OTEL_TRACES_SAMPLER_ARG", "0.25", 1);
    setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2", 1);
    char *text = child_stderr(init_from_environment, NULL, NULL);
    assert_contains(text, "vitrine: libvitrine ");
    assert_contains(text, "service \"ai-storefront\"");
    assert_contains(text, "resource host.name=\"h1\"");
    assert_contains(text, "sampler parentbased_traceidratio");
    assert_contains(text, "sampler ratio 0.25");
    assert_contains(text, "capture preview");
    assert_contains(text, "limits 128 attributes, 128 events, 262144 bytes a value");
    assert_contains(text, "queue 2048 spans, batches of 512, at most 5000 ms late");
    assert_contains(text, "no exporter: spans go nowhere");
    assert_lacks(text, "hunter2");
    free(text);
    setenv("OTEL_TRACES_SAMPLER", "always_off", 1);
    text = child_stderr(init_from_environment, NULL, NULL);
    assert_contains(text, "always_off: no span will be exported");
    free(text);
    setenv("OTEL_SDK_DISABLED", "true", 1);
    text = child_stderr(init_from_environment, NULL, NULL);
    assert_contains(text, "OTEL_SDK_DISABLED=true: nothing is traced");
    free(text);
}

static void init_badly(void *ctx) {
    setenv("VITRINE_DEBUG", "1", 1);
    vt_init(&(vt_config){.capture = (vt_capture)9});
}

static void quiet_without_debug(void *ctx) {
    setenv("OTEL_TRACES_SAMPLER", "sometimes", 1);
    vt_init(&(vt_config){.capture = (vt_capture)9});
    vt_init(&(vt_config){.console_write = sink_write, .queue_size = 1});
    for (int i = 0; i < 1000; i++) vt_span_end(vt_span_start("s"));
}

static void debug_says_why_tracing_stays_off_and_nothing_is_said_without_it(void **state) {
    char *text = child_stderr(init_badly, NULL, NULL);
    assert_contains(text, "vitrine: tracing stays off: vt_config.capture is 9");
    free(text);
    text = child_stderr(quiet_without_debug, NULL, NULL);
    assert_string_equal(text, "");
    free(text);
}

static void limits_come_from_the_environment(void **state) {
    setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2", 1);
    setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3", 1);
    setenv("OTEL_SPAN_EVENT_COUNT_LIMIT", "1", 1);
    sink_init();
    vt_span *span = vt_span_start("s");
    for (int i = 0; i < 3; i++) {
        char key[2] = {(char)('a' + i), 0};
        vt_span_set_str(span, key, "12345");
        vt_span_event(span, key, NULL, 0);
    }
    vt_span_end(span);
    assert_contains(sink_line(0), "\"a\":\"123\",\"b\":\"123\"},\"events\":[{\"name\":\"a\",\"timestamp\":MS}]}");
    vt_shutdown();
    clean_start(NULL);
    setenv("OTEL_ATTRIBUTE_COUNT_LIMIT", "1", 1); /* the general ones */
    setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4", 1);
    sink_init();
    span = vt_span_start("s");
    vt_span_set_str(span, "a", "12345");
    vt_span_set_str(span, "b", "12345");
    vt_span_end(span);
    assert_contains(sink_line(0), "\"a\":\"1234\"}}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(service_without_a_name_is_unknown),
        TEST(resource_comes_from_the_environment),
        TEST(service_name_may_stand_in_the_resource_attributes),
        TEST(fields_win_over_the_environment),
        TEST(odd_resource_attributes_are_left_out),
        TEST(at_most_64_resource_attributes_are_kept),
        TEST(lines_go_to_stdout_when_nothing_else_takes_them_or_when_asked_for),
        TEST(lines_go_to_a_file_whole_and_between_the_applications_own),
        TEST(disabled_by_the_environment_traces_nothing),
        TEST(fields_without_meaning_are_named),
        TEST(variables_without_meaning_are_named_and_passed_over),
        TEST(debug_says_what_is_configured_without_secrets),
        TEST(debug_says_why_tracing_stays_off_and_nothing_is_said_without_it),
        TEST(limits_come_from_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
