/* libvitrine-otlp against a collector: what is sent, how, and what happens when the collector is away. */
#include "sdk_test.h"

#include "collector.h"
#include "vitrine-otlp.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char spool[64];

static int start(void **state) {
    clean_start(state);
    collector_clear();
    collector_start(0);
    setenv("VITRINE_OTLP_RETRY", "5", 1);
    setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "120000", 1); /* a machine may be slow */
    strcpy(spool, "/tmp/vitrine-spool-XXXXXX");
    return mkdtemp(spool) ? 0 : -1;
}

static unsigned spool_files(void) {
    unsigned count = 0;
    DIR *dir = opendir(spool);
    for (struct dirent *file; (file = readdir(dir));) count += *file->d_name != '.';
    closedir(dir);
    return count;
}

static int stop(void **state) {
    vt_shutdown();
    collector_stop();
    DIR *dir = opendir(spool);
    for (struct dirent *file; (file = readdir(dir));)
        if (*file->d_name != '.') unlinkat(dirfd(dir), file->d_name, 0);
    closedir(dir);
    rmdir(spool);
    return 0;
}

static void init(vt_config config) {
    config.service_name = "shop";
    config.console = VT_OFF;
    config.delay_ms = 60000;
    if (!config.otlp_endpoint) config.otlp_endpoint = collector_url();
    int failed = vt_init(&config);
    if (failed) fail_msg("%s", vt_error_message());
}

static void spans(unsigned count) {
    while (count--) vt_span_end(vt_span_start("s"));
}

static vt_stats stats_now(void) {
    vt_stats stats;
    vt_stats_get(&stats);
    return stats;
}

/* What is sent ------------------------------------------------------------------------------------------------------
 */

static const char *get_header(void *carrier, const char *name) {
    if (!strcmp(name, "traceparent")) return "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    return strcmp(name, "tracestate") ? NULL : "v=1";
}

static void spans_arrive_whole(void **state) {
    vt_attr resource = vt_attr_int("pid", 7);
    init((vt_config){
        .service_version = "1.0.0", .resource = &resource, .resource_count = 1, .max_events = 3, .max_attributes = 12});
    vt_context_attach(vt_extract_headers(get_header, NULL));
    vt_span *turn = vt_chat_start("continue_thread", &(vt_chat_turn){.user_id = "u1", .thread_id = "t1"});
    vt_span *call = vt_llm_start(
        "openai.chat", &(vt_llm_call){.provider = "openai", .model = "gpt-4o", .temperature = 0.5, .prompt = "Hi"});
    vt_llm_usage(call, &(vt_usage){.prompt_tokens = 159, .completion_tokens = 237});
    vt_span_set_bool(call, "yes", true);
    vt_span_set_bool(call, "no", false);
    vt_span_set_int(call, "minus", -1);
    vt_span_set_str(call, "empty", "");
    vt_span_set_str(call, "broken",
                    "a\xff"
                    "b");
    vt_span_set_str(call, "one too many", "x");
    vt_span_error(call, "rate limited");
    vt_span_end(call);
    vt_span_event(turn, "two", NULL, 0);
    vt_span_event(turn, "three", NULL, 0);
    vt_span_event(turn, "one too many", NULL, 0);
    vt_span_end(turn);
    vt_context_attach((vt_context){.flags = 0});
    assert_int_equal(vt_flush(60000), 0);
    const struct request *request = collector_request(0);
    assert_string_equal(request->path, "/v1/traces");
    assert_string_equal(request_header(request, "content-type"), "application/x-protobuf");
    assert_string_equal(request_header(request, "content-encoding"), "gzip");
    assert_contains(request_header(request, "user-agent"), "vitrine/");
    assert_string_equal(request_header(request, "expect"), "");
    assert_string_equal(
        request_text(request),
        "resource service.name=\"shop\" service.version=\"1.0.0\" pid=7 telemetry.sdk.name=\"vitrine\" "
        "telemetry.sdk.language=\"c\" "
        "telemetry.sdk.version=\"" VITRINE_VERSION "\"\n"
        " scope vitrine " VITRINE_VERSION "\n"
        "  span trace 1 id 2 state v=1 parent 3 \"openai.chat\" kind 3 llm.vendor=\"openai\" "
        "llm.request.model=\"gpt-4o\" "
        "llm.request.temperature=0.5 prompt.length=2 llm.usage.prompt_tokens=159 llm.usage.completion_tokens=237 "
        "llm.usage.total_tokens=396 "
        "yes=true no=false minus=-1 empty=\"\" broken=\"a\xef\xbf\xbd"
        "b\" dropped-attributes 1\n"
        "    event llm.prompt prompt.preview=\"Hi\" status \"rate limited\" 2 flags 101\n"
        "  span trace 1 id 3 state v=1 parent 4 \"chat.continue_thread\" kind 1 chat.thread_id=\"t1\" "
        "chat.user_id=\"u1\"\n"
        "    event chat.turn.start\n    event two\n    event three dropped-events 2 status 1 flags 301");
    assert_int_equal(stats_now().exported, 2);
}

static void roots_have_no_parent_and_long_values_are_whole(void **state) {
    init((vt_config){.max_value_bytes = 1 << 20});
    char *large = malloc(300001);
    memset(large, 'x', 300000);
    large[300000] = 0;
    vt_span *span = vt_span_start("root");
    vt_span_set_str(span, "large", large);
    vt_span_end(span);
    assert_int_equal(vt_flush(60000), 0);
    const char *text = request_text(collector_request(0));
    assert_contains(text, "span trace 1 id 2 \"root\" kind 1 large=\"xxx");
    assert_contains(text, "xxx\" status 1 flags 1");
    assert_true(strlen(text) > 300000);
    assert_true(collector_request(0)->packed_size < 10000);
    free(large);
}

static void large_batches_are_split(void **state) {
    init((vt_config){.queue_size = 4096, .batch_size = 512, .max_value_bytes = 1 << 20});
    char *large = malloc(200001);
    for (unsigned i = 0; i < 200000; i++) large[i] = (char)('a' + rand() % 26);
    large[200000] = 0;
    for (unsigned i = 0; i < 60; i++) {
        vt_span *span = vt_span_start("s");
        vt_span_set_str(span, "large", large);
        vt_span_end(span);
    }
    assert_int_equal(vt_flush(60000), 0);
    assert_int_equal(collector_spans(), 60);
    assert_in_range(collector_count(), 3, 6);
    for (size_t i = 0; i < collector_count(); i++) assert_true(collector_request(i)->size < (5 << 20));
    free(large);
}

static void without_compression_the_body_is_plain(void **state) {
    setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none", 1);
    init((vt_config){.delay_ms = 0});
    spans(3);
    assert_int_equal(vt_flush(60000), 0);
    assert_string_equal(request_header(collector_request(0), "content-encoding"), "");
    assert_int_equal(collector_request(0)->spans, 3);
}

/* Where to, and with which headers ----------------------------------------------------------------------------------
 */

static void flush_by_environment(void) {
    vt_config config = {.console = VT_OFF, .delay_ms = 60000};
    assert_int_equal(vt_init(&config), 0);
    spans(1);
    assert_int_equal(vt_flush(60000), 0);
    vt_shutdown();
}

static void endpoint_comes_from_the_environment(void **state) {
    static const struct {
        const char *general, *traces, *path; /* with %s for the address */
    } cases[] = {{"%s", NULL, "/v1/traces"},
                 {"%s/", NULL, "/v1/traces"},
                 {"%s/base/", NULL, "/base/v1/traces"},
                 {"%s/v1/traces", NULL, "/v1/traces"},
                 {"http://nowhere.invalid", "%s/as/it/is", "/as/it/is"},
                 {NULL, "%s", "/"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char value[128];
        unsetenv("OTEL_EXPORTER_OTLP_ENDPOINT");
        unsetenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        const char *const names[] = {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"};
        const char *const values[] = {cases[i].general, cases[i].traces};
        for (unsigned k = 0; k < 2; k++) {
            if (!values[k]) continue;
            const char *hole = strstr(values[k], "%s");
            snprintf(value, sizeof value, "%s%s", hole ? collector_url() : "", hole ? hole + 2 : values[k]);
            setenv(names[k], value, 1);
        }
        flush_by_environment();
        assert_string_equal(collector_request(i)->path, cases[i].path);
    }
    unsetenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector_url() + strlen("http://"), 1); /* no scheme */
    flush_by_environment();
    assert_string_equal(collector_request(sizeof cases / sizeof *cases)->path, "/v1/traces");
}

static void headers_come_in_both_forms(void **state) {
    static const char *const forms[] = {"x-honeycomb-team=my%20key%2C1, x-second = two ,",
                                        " {\"x-honeycomb-team\":\"my key,1\",\"x-second\":\"two\"}"};
    for (unsigned i = 0; i < 4; i++) {
        clean_start(NULL);
        setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "120000", 1);
        vt_config config = {.otlp_headers = i < 2 ? forms[i] : NULL};
        if (i >= 2)
            setenv(i == 2 ? "OTEL_EXPORTER_OTLP_HEADERS" : "OTEL_EXPORTER_OTLP_TRACES_HEADERS", forms[i - 2], 1);
        init(config);
        spans(1);
        assert_int_equal(vt_flush(60000), 0);
        vt_shutdown();
        const struct request *request = collector_request(i);
        assert_string_equal(request_header(request, "x-honeycomb-team"), "my key,1");
        assert_string_equal(request_header(request, "x-second"), "two");
    }
}

static void what_makes_no_sense_is_named_without_secrets(void **state) {
    static const struct {
        vt_otlp_config config;
        const char *named;
    } cases[] = {{{.endpoint = "ftp://host"}, "endpoint is \"ftp://host\": it must be http://host:port"},
                 {{.endpoint = "http://"}, "endpoint is"},
                 {{.endpoint = "grpc://user:secret@host:4317"}, "grpc://host:4317"},
                 {{.headers = "secret"}, "headers: a member has no '='"},
                 {{.headers = "a b=secret"}, "headers: a name is empty or holds what no header's may"},
                 {{.headers = "a=sec%0D%0Aret"}, "headers: the value of a holds a control character"},
                 {{.headers = "{\"a\":{\"secret\":1}}"}, "headers: no JSON object of strings"},
                 {{.headers = "{\"a\":\"secret\""}, "headers: no JSON object of strings"},
                 {{.spool_dir = "/proc/nowhere/spool"}, "spool directory /proc/nowhere/spool cannot be made"},
                 {{.spool_dir = "/proc/self/status"}, "spool directory /proc/self/status cannot be used"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vt_exporter exporter;
        char message[256];
        assert_int_equal(vt_otlp_exporter(&cases[i].config, &exporter, message, sizeof message), VT_ERROR_CONFIG);
        assert_contains(message, cases[i].named);
        assert_lacks(message, "secret");
        assert_int_equal(vt_otlp_exporter(&cases[i].config, &exporter, NULL, 0), VT_ERROR_CONFIG);
    }
    char message[64];
    assert_int_equal(vt_otlp_exporter(NULL, NULL, message, sizeof message), VT_ERROR_CONFIG);
    assert_int_equal(vt_init(&(vt_config){.otlp = VT_ON, .otlp_endpoint = "ftp://host"}), VT_ERROR_CONFIG);
    assert_contains(vt_error_message(), "OTLP: endpoint is");
}

/* The file in integrations/ as it is, with the address of a collector of ours in place of Honeycomb's. */
static void honeycomb_environment_file_works_as_it_is(void **state) {
    FILE *file = fopen(SOURCE_ROOT "/integrations/honeycomb/storefront.env", "r");
    char line[512];
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *value = strchr(line, '=');
        if (*line == '#' || !value) continue;
        *value++ = 0;
        setenv(line, value, 1);
    }
    fclose(file);
    assert_string_equal(getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), "https://api.honeycomb.io");
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector_url(), 1);
    vt_config config = {.console_write = sink_write, .delay_ms = 60000};
    assert_int_equal(vt_init(&config), 0);
    vt_span_end(
        vt_llm_start("openai.chat.completions.create", &(vt_llm_call){.provider = "openai", .model = "gpt-4o-mini"}));
    assert_int_equal(vt_flush(60000), 0);
    const struct request *request = collector_request(0);
    assert_string_equal(request->path, "/v1/traces");
    assert_string_equal(request_header(request, "x-honeycomb-team"), "YOUR_API_KEY");
    assert_string_equal(request_header(request, "x-honeycomb-dataset"), "ai-storefront");
    assert_contains(request_text(request), "resource service.name=\"ai-storefront\" service.version=\"1.0.0\"");
    assert_int_equal(sink_lines(), 1); /* OTEL_ENABLE_CONSOLE=true: both */
}

static void headers_that_a_shell_took_the_quotes_from_are_understood(void **state) {
    setenv("OTEL_EXPORTER_OTLP_HEADERS", "{x-honeycomb-team:my%20key,x-honeycomb-dataset: a:b}", 1);
    init((vt_config){.delay_ms = 0});
    spans(1);
    assert_int_equal(vt_flush(60000), 0);
    assert_string_equal(request_header(collector_request(0), "x-honeycomb-team"), "my%20key");
    assert_string_equal(request_header(collector_request(0), "x-honeycomb-dataset"), "a:b");
}

/* Answers -----------------------------------------------------------------------------------------------------------
 */

static void retryable_answers_are_tried_again(void **state) {
    static const struct answer answers[] = {
        {.status = 429}, {.status = 502}, {.status = 503}, {.status = 504}, {.status = -1}};
    collector_answer_next(answers, 5);
    init((vt_config){.delay_ms = 0});
    spans(5);
    for (int i = 0; i < 7 && vt_flush(60000) == VT_ERROR_TIMEOUT; i++) continue; /* not now */
    collector_request(5);
    assert_int_equal(vt_flush(60000), 0);
    assert_int_equal(collector_spans(), 5);
    assert_int_equal(stats_now().dropped_export, 0);
    for (size_t i = 1; i < 6; i++) {
        assert_int_equal(collector_request(i)->size, collector_request(0)->size);
        assert_memory_equal(collector_request(i)->body, collector_request(0)->body, collector_request(0)->size);
    }
}

static void other_answers_drop_the_batch(void **state) {
    static const int statuses[] = {400, 401, 403, 404, 413, 500, 301};
    init((vt_config){.delay_ms = 0});
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        collector_answer_next(&(struct answer){.status = statuses[i]}, 1);
        spans(2);
        assert_int_equal(vt_flush(60000), VT_ERROR_EXPORT);
        assert_int_equal(collector_count(), i + 1);
        assert_int_equal(stats_now().dropped_export, 2 * (i + 1));
    }
    spans(1);
    assert_int_equal(vt_flush(60000), 0);
    assert_int_equal(stats_now().exported, 1);
}

static void retry_after_is_kept_to(void **state) {
    collector_answer_next(&(struct answer){.status = 503, .headers = "Retry-After: 1\r\n"}, 1);
    init((vt_config){.delay_ms = 0});
    spans(1);
    vt_flush(60000);
    assert_true(collector_request(1)->at_ms - collector_request(0)->at_ms >= 500);
    assert_int_equal(vt_flush(60000), 0);
}

/* The waits grow, and no two programs keep step. */
static void waits_grow_between_tries(void **state) {
    setenv("VITRINE_OTLP_RETRY", "20", 1);
    collector_answer((struct answer){.status = 503});
    init((vt_config){.delay_ms = 0});
    spans(1);
    vt_flush(60000);
    /* 20, 40, 80, 160, 320 ms, between half and one and a half of each: 310 ms at least, where waits that do not grow
     * take 150 at most. What a busy machine does to single ones is not looked at. */
    long all = collector_request(5)->at_ms - collector_request(0)->at_ms;
    assert_true(all > 155);
    collector_answer((struct answer){.status = 200});
    assert_int_equal(vt_flush(60000), 0);
}

static void partial_success_is_counted(void **state) {
    /* partial_success { rejected_spans: 2, error_message: "too old" } */
    static const struct answer answer = {.status = 200, .body = SLICE("\x0a\x0b\x08\x02\x12\x07too old")};
    collector_answer_next(&answer, 1);
    init((vt_config){.delay_ms = 0});
    spans(5);
    assert_int_equal(vt_flush(60000), VT_ERROR_EXPORT);
    assert_int_equal(stats_now().exported, 3);
    assert_int_equal(stats_now().dropped_export, 2);
}

static void answers_that_are_no_protobuf_count_as_taken(void **state) {
    static const struct answer answer = {.status = 200, .body = SLICE("{\"partialSuccess\":{}}")};
    collector_answer_next(&answer, 1);
    init((vt_config){.delay_ms = 0});
    spans(5);
    assert_int_equal(vt_flush(60000), 0);
    assert_int_equal(stats_now().exported, 5);
}

static void hanging_collector_is_given_up_on_in_time(void **state) {
    collector_answer_next(&(struct answer){.status = 0}, 1);
    setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1000", 1);
    init((vt_config){.delay_ms = 0});
    spans(1);
    vt_flush(60000); /* fails with the attempt that hangs, unless that had begun before it and the next one went well */
    collector_request(1);
    while (vt_flush(60000)) {
    }
    assert_int_equal(collector_spans() > 0, 1);
}

/* The collector is away -----------------------------------------------------------------------------------------------
 */

static void nothing_is_lost_while_memory_lasts(void **state) {
    int port = atoi(strrchr(collector_url(), ':') + 1);
    init((vt_config){.queue_size = 100});
    collector_stop();
    for (unsigned i = 0; i < 20; i++) {
        spans(50);
        assert_int_equal(vt_flush(60000), VT_ERROR_TIMEOUT);
    }
    assert_int_equal(stats_now().dropped_export + stats_now().dropped_queue, 0);
    collector_start(port);
    while (vt_flush(60000)) {
    }
    assert_int_equal(collector_spans(), 1000);
    assert_int_equal(stats_now().exported, 1000);
}

static void memory_is_bounded_and_the_newest_stay(void **state) {
    int port = atoi(strrchr(collector_url(), ':') + 1);
    setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none", 1);
    init((vt_config){.max_value_bytes = 1 << 20, .queue_size = 64});
    collector_stop();
    char *large = malloc((1 << 20) + 1);
    memset(large, 'x', 1 << 20);
    large[1 << 20] = 0;
    enum { SENT = 40, MEMORY_MIB = 16 };
    for (int i = 0; i < SENT; i++) { /* 40 MiB */
        vt_span *span = vt_span_start("s");
        vt_span_set_str(span, "large", large);
        vt_span_set_int(span, "n", i);
        vt_span_end(span);
        vt_flush(60000);
    }
    uint64_t lost = stats_now().dropped_export;
    assert_in_range(lost, SENT - MEMORY_MIB, SENT - MEMORY_MIB + 2);
    collector_start(port);
    while (vt_flush(60000)) {
    }
    assert_int_equal(collector_spans(), SENT - lost);
    char last[16];
    snprintf(last, sizeof last, " n=%d", SENT - 1);
    assert_contains(request_text(collector_request(collector_count() - 1)), last);
    free(large);
}

/* What VITRINE_DEBUG=1 says from here to stderr_end, which the caller frees. */
static int stderr_saved;
static FILE *stderr_file;
static void stderr_begin(void) {
    setenv("VITRINE_DEBUG", "1", 1);
    stderr_file = tmpfile();
    stderr_saved = dup(STDERR_FILENO);
    dup2(fileno(stderr_file), STDERR_FILENO);
}
static char *stderr_end(void) {
    dup2(stderr_saved, STDERR_FILENO);
    close(stderr_saved);
    char *text = calloc(1, 1 << 20);
    ssize_t got = pread(fileno(stderr_file), text, (1 << 20) - 1, 0);
    assert_true(got >= 0);
    fclose(stderr_file);
    return text;
}

static unsigned count_of(const char *text, const char *part) {
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, part)); at++) count++;
    return count;
}

static void debug_tells_of_an_absence_once(void **state) {
    setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2", 1);
    char url[128];
    snprintf(url, sizeof url, "http://user:hunter2@%s", collector_url() + strlen("http://"));
    stderr_begin();
    init((vt_config){.otlp_endpoint = url});
    collector_answer((struct answer){.status = 503});
    for (unsigned i = 0; i < 30; i++) {
        spans(10);
        vt_flush(60000);
    }
    collector_answer((struct answer){.status = 200});
    while (vt_flush(60000)) {
    }
    collector_answer_next(&(struct answer){.status = 200, .body = SLICE("\x0a\x0b\x08\x02\x12\x07too old")}, 1);
    spans(3);
    vt_flush(60000);
    collector_answer((struct answer){.status = 401});
    for (unsigned i = 0; i < 5; i++) {
        spans(1);
        vt_flush(60000);
    }
    vt_shutdown();
    char *text = stderr_end();
    assert_int_equal(count_of(text, "OTLP to http://127.0.0.1:"), 1);
    assert_int_equal(count_of(text, "does not take spans (HTTP status 503): up to 16384 KiB of them wait in memory"),
                     1);
    assert_int_equal(count_of(text, "takes spans again; 0 were lost meanwhile"), 1);
    assert_int_equal(count_of(text, "the collector rejected 2 spans: too old"), 1);
    assert_int_equal(count_of(text, "refuses spans (HTTP status 401): they are lost"), 1);
    assert_lacks(text, "hunter2");
    free(text);
}

static void protocols_that_are_not_spoken_are_named(void **state) {
    setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", 1);
    setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", 1);
    setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", 1);
    stderr_begin();
    init((vt_config){.delay_ms = 0});
    spans(1);
    int result = vt_flush(60000);
    char *text = stderr_end();
    assert_int_equal(result, 0);
    assert_contains(text, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc is not spoken here: http/protobuf is used");
    assert_contains(text, "OTEL_EXPORTER_OTLP_COMPRESSION=zstd is neither gzip nor none: gzip is used");
    assert_contains(text, "OTEL_EXPORTER_OTLP_TIMEOUT=soon is no whole number");
    free(text);
}

static void environment_without_meaning_leaves_the_lines(void **state) {
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://nowhere", 1);
    stderr_begin();
    vt_config config = {.console_write = sink_write, .synchronous = true};
    int result = vt_init(&config);
    vt_span_end(vt_span_start("s"));
    char *text = stderr_end();
    assert_int_equal(result, 0);
    assert_contains(text, "no span goes out by OTLP: OTEL_EXPORTER_OTLP_ENDPOINT is \"ftp://nowhere\"");
    assert_int_equal(sink_lines(), 1);
    free(text);
}

static void caller_never_waits_for_the_collector(void **state) {
    collector_answer((struct answer){.status = 0});
    init((vt_config){.queue_size = 100, .batch_size = 10, .timeout_ms = 100});
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    spans(20000); /* the sender hangs for two minutes at the first batch */
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(after.tv_sec - before.tv_sec < 60);
    assert_int_equal(stats_now().finished, 20000);
}

/* The spool -----------------------------------------------------------------------------------------------------------
 */

static void spooled_batches_go_out_when_the_collector_is_back_oldest_first(void **state) {
    int port = atoi(strrchr(collector_url(), ':') + 1);
    setenv("VITRINE_OTLP_SPOOL", spool, 1);
    init((vt_config){.queue_size = 100});
    collector_stop();
    for (int i = 0; i < 10; i++) {
        vt_span *span = vt_span_start("s");
        vt_span_set_int(span, "n", i);
        vt_span_end(span);
        assert_int_equal(vt_flush(60000), VT_ERROR_TIMEOUT);
    }
    assert_int_equal(spool_files(), 10);
    collector_start(port);
    while (vt_flush(60000)) {
    }
    assert_int_equal(spool_files(), 0);
    assert_int_equal(collector_count(), 10);
    for (size_t i = 0; i < 10; i++) {
        char wanted[16];
        snprintf(wanted, sizeof wanted, " n=%zu ", i);
        assert_contains(request_text(collector_request(i)), wanted);
    }
    assert_int_equal(stats_now().exported, 10);
}

static void the_next_run_sends_what_the_last_one_could_not(void **state) {
    int port = atoi(strrchr(collector_url(), ':') + 1);
    setenv("VITRINE_OTLP_SPOOL", spool, 1);
    collector_stop();
    for (unsigned run = 0; run < 3; run++) {
        init((vt_config){.delay_ms = 0});
        spans(7);
        vt_shutdown(); /* tries, and keeps */
        assert_int_equal(stats_now().dropped_export, 0);
    }
    assert_int_equal(spool_files(), 3);
    struct stat about;
    char path[400];
    DIR *dir = opendir(spool);
    for (struct dirent *file; (file = readdir(dir));) {
        if (*file->d_name == '.') continue;
        snprintf(path, sizeof path, "%s/%s", spool, file->d_name);
        assert_int_equal(stat(path, &about), 0);
        assert_int_equal(about.st_mode & 0777, 0600); /* prompts are nobody's business */
    }
    closedir(dir);
    collector_start(port);
    init((vt_config){.delay_ms = 0}); /* sends without a span of its own */
    collector_request(2);
    assert_int_equal(vt_flush(60000), 0);
    assert_int_equal(collector_spans(), 21);
    assert_int_equal(spool_files(), 0);
}

static void killed_process_leaves_whole_batches_behind(void **state) {
    needs_threads_after_fork();
    int port = atoi(strrchr(collector_url(), ':') + 1);
    setenv("VITRINE_OTLP_SPOOL", spool, 1);
    collector_stop();
    pid_t pid = fork();
    if (pid == 0) {
        init((vt_config){.delay_ms = 0});
        spans(5);
        vt_flush(60000);
        while (!spool_files()) sleep_ms(1);
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, NULL, 0);
    collector_start(port);
    init((vt_config){.delay_ms = 0});
    collector_request(0);
    assert_int_equal(vt_flush(60000), 0);
    assert_int_equal(collector_spans(), 5);
}

static void write_file(const char *name, const void *bytes, size_t size) {
    char path[400];
    snprintf(path, sizeof path, "%s/%s", spool, name);
    FILE *file = fopen(path, "w");
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static void torn_and_foreign_files_are_not_sent(void **state) {
    int port = atoi(strrchr(collector_url(), ':') + 1);
    setenv("VITRINE_OTLP_SPOOL", spool, 1);
    collector_stop();
    init((vt_config){.delay_ms = 0});
    spans(2);
    vt_shutdown();
    char path[400] = "", bytes[4096];
    DIR *dir = opendir(spool);
    for (struct dirent *file; (file = readdir(dir));)
        if (*file->d_name != '.') snprintf(path, sizeof path, "%s/%s", spool, file->d_name);
    closedir(dir);
    FILE *file = fopen(path, "r");
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    assert_true(size > 40);
    write_file("00000000000000000001-1-0.otlp", bytes, size - 1); /* its end is missing */
    write_file("00000000000000000002-1-0.otlp", bytes, 10);
    write_file("00000000000000000003-1-0.otlp", "", 0);
    bytes[size - 3] ^= 1;
    write_file("00000000000000000004-1-0.otlp", bytes, size); /* one bit fell over */
    bytes[size - 3] ^= 1;
    bytes[0] = 'X';
    write_file("00000000000000000005-1-0.otlp", bytes, size); /* another format */
    write_file("00000000000000000006-1-0.otlp-new", bytes, size);
    write_file("README", "mine", 4);
    collector_start(port);
    init((vt_config){.delay_ms = 0});
    collector_request(0);
    assert_int_equal(vt_flush(60000), 0);
    assert_int_equal(collector_count(), 1);
    assert_int_equal(collector_spans(), 2);
    assert_int_equal(spool_files(), 2); /* what is not ours, or may be another process's just now */
}

static void spool_keeps_to_its_size_and_the_newest(void **state) {
    int port = atoi(strrchr(collector_url(), ':') + 1);
    vt_otlp_config otlp = {
        .endpoint = collector_url(), .spool_dir = spool, .spool_max_bytes = 20000, .no_compression = true};
    vt_exporter exporter;
    assert_int_equal(vt_otlp_exporter(&otlp, &exporter, NULL, 0), 0);
    collector_stop();
    vt_config config = {.exporters = &exporter, .exporter_count = 1, .delay_ms = 60000};
    assert_int_equal(vt_init(&config), 0);
    char text[2001];
    memset(text, 'x', 2000);
    text[2000] = 0;
    for (int i = 0; i < 30; i++) {
        vt_span *span = vt_span_start("s");
        vt_span_set_str(span, "text", text);
        vt_span_set_int(span, "n", i);
        vt_span_end(span);
        vt_flush(60000);
    }
    unsigned kept = spool_files();
    assert_in_range(kept, 7, 9);
    assert_int_equal(stats_now().dropped_export, 30 - kept);
    collector_start(port);
    while (vt_flush(60000)) {
    }
    assert_int_equal(collector_spans(), kept);
    assert_contains(request_text(collector_request(kept - 1)), " n=29 ");
}

static void processes_share_a_spool_and_send_each_batch_once(void **state) {
    needs_malloc_after_fork();
    int port = atoi(strrchr(collector_url(), ':') + 1);
    setenv("VITRINE_OTLP_SPOOL", spool, 1);
    collector_stop();
    enum { PROCESSES = 4, BATCHES = 10 };
    for (unsigned i = 0; i < PROCESSES; i++) {
        if (fork()) continue;
        init((vt_config){.delay_ms = 0});
        for (unsigned k = 0; k < BATCHES; k++) {
            spans(1);
            vt_flush(60000);
        }
        _exit(0);
    }
    while (wait(NULL) > 0) {
    }
    assert_int_equal(spool_files(), PROCESSES * BATCHES);
    collector_start(port);
    for (unsigned i = 0; i < PROCESSES; i++) {
        if (fork()) continue;
        init((vt_config){.delay_ms = 0});
        while (spool_files()) vt_flush(60000);
        _exit(0);
    }
    while (wait(NULL) > 0) {
    }
    assert_int_equal(collector_spans(), PROCESSES * BATCHES);
}

/* Processes -----------------------------------------------------------------------------------------------------------
 */

static void forked_child_sends_its_own_on_its_own_connection(void **state) {
    needs_malloc_after_fork();
    init((vt_config){.delay_ms = 0});
    spans(1);
    assert_int_equal(vt_flush(60000), 0); /* the connection stands */
    vt_span_end(vt_span_start("waits in the parent"));
    for (unsigned i = 0; i < 3; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            vt_span_end(vt_span_start("child"));
            exit(vt_flush(60000) != 0);
        }
        int status;
        waitpid(pid, &status, 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(vt_flush(60000), 0);
    assert_int_equal(collector_spans(), 5);
    unsigned waited = 0, children = 0;
    for (size_t i = 0; i < collector_count(); i++) {
        char *text = request_text(collector_request(i));
        waited += count_of(text, "waits in the parent");
        children += count_of(text, "\"child\"");
    }
    assert_int_equal(waited, 1);
    assert_int_equal(children, 3);
}

static void trace_and_exit(void *ctx) {
    init((vt_config){.delay_ms = 0});
    spans(9);
}

static void exit_sends_what_waits(void **state) {
    needs_threads_after_fork();
    int code;
    free(child_stderr(trace_and_exit, NULL, &code));
    assert_int_equal(code, 0);
    assert_int_equal(collector_spans(), 9);
}

static void exit_without_a_collector_is_quick_and_tells_the_loss(void **state) {
    needs_threads_after_fork();
    collector_stop();
    setenv("VITRINE_DEBUG", "1", 1);
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    int code;
    char *text = child_stderr(trace_and_exit, NULL, &code);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_int_equal(code, 0);
    assert_true(after.tv_sec - before.tv_sec < 60);
    assert_contains(text, "does not take spans");
    assert_contains(text, "the program ends before the collector takes them");
    assert_contains(text, "9 spans finished, 0 exported, 9 dropped");
    free(text);
}

static void exit_is_not_held_by_a_collector_that_hangs(void **state) {
    needs_threads_after_fork();
    collector_answer((struct answer){.status = 0});
    setenv("OTEL_BSP_EXPORT_TIMEOUT", "100", 1);
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    int code;
    free(child_stderr(trace_and_exit, NULL, &code));
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_int_equal(code, 0);
    assert_true(after.tv_sec - before.tv_sec < 60); /* the request itself would take two minutes */
}

static void several_collectors_may_be_served(void **state) {
    vt_exporter exporters[2];
    char url[128];
    snprintf(url, sizeof url, "%s/second", collector_url());
    vt_otlp_config first = {.endpoint = collector_url()}, second = {.endpoint = url, .headers = "api-key=2"};
    assert_int_equal(vt_otlp_exporter(&first, &exporters[0], NULL, 0), 0);
    assert_int_equal(vt_otlp_exporter(&second, &exporters[1], NULL, 0), 0);
    vt_config config = {.exporters = exporters, .exporter_count = 2, .delay_ms = 60000};
    assert_int_equal(vt_init(&config), 0);
    spans(3);
    assert_int_equal(vt_flush(60000), 0);
    assert_int_equal(collector_count(), 2);
    assert_int_equal(collector_spans(), 6);
    bool swapped = strcmp(collector_request(0)->path, "/v1/traces") != 0;
    assert_string_equal(collector_request(swapped)->path, "/v1/traces");
    assert_string_equal(collector_request(!swapped)->path, "/second/v1/traces");
    assert_string_equal(request_header(collector_request(!swapped), "api-key"), "2");
}

#define OTLP_TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        OTLP_TEST(spans_arrive_whole),
        OTLP_TEST(roots_have_no_parent_and_long_values_are_whole),
        OTLP_TEST(large_batches_are_split),
        OTLP_TEST(without_compression_the_body_is_plain),
        OTLP_TEST(endpoint_comes_from_the_environment),
        OTLP_TEST(headers_come_in_both_forms),
        OTLP_TEST(what_makes_no_sense_is_named_without_secrets),
        OTLP_TEST(honeycomb_environment_file_works_as_it_is),
        OTLP_TEST(headers_that_a_shell_took_the_quotes_from_are_understood),
        OTLP_TEST(retryable_answers_are_tried_again),
        OTLP_TEST(other_answers_drop_the_batch),
        OTLP_TEST(retry_after_is_kept_to),
        OTLP_TEST(waits_grow_between_tries),
        OTLP_TEST(partial_success_is_counted),
        OTLP_TEST(answers_that_are_no_protobuf_count_as_taken),
        OTLP_TEST(hanging_collector_is_given_up_on_in_time),
        OTLP_TEST(nothing_is_lost_while_memory_lasts),
        OTLP_TEST(memory_is_bounded_and_the_newest_stay),
        OTLP_TEST(debug_tells_of_an_absence_once),
        OTLP_TEST(protocols_that_are_not_spoken_are_named),
        OTLP_TEST(environment_without_meaning_leaves_the_lines),
        OTLP_TEST(caller_never_waits_for_the_collector),
        OTLP_TEST(spooled_batches_go_out_when_the_collector_is_back_oldest_first),
        OTLP_TEST(the_next_run_sends_what_the_last_one_could_not),
        OTLP_TEST(killed_process_leaves_whole_batches_behind),
        OTLP_TEST(torn_and_foreign_files_are_not_sent),
        OTLP_TEST(spool_keeps_to_its_size_and_the_newest),
        OTLP_TEST(processes_share_a_spool_and_send_each_batch_once),
        OTLP_TEST(forked_child_sends_its_own_on_its_own_connection),
        OTLP_TEST(exit_sends_what_waits),
        OTLP_TEST(exit_without_a_collector_is_quick_and_tells_the_loss),
        OTLP_TEST(exit_is_not_held_by_a_collector_that_hangs),
        OTLP_TEST(several_collectors_may_be_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
