/* Forwarding against a real HTTP server on a socket: nothing is lost while it is away, and what it gets is what came
 * in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/pb.h"
#include "forward/forward.h"
#include "forward/spool.h"
#include "forward/target.h"
#include <arpa/inet.h>
#include <libdeflate.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { REQUESTS_MAX = 64, HEAD_MAX = 4096, BODY_MAX = 1 << 20 };

/* A server that keeps what it got and answers with `status` until told otherwise. */
static struct server {
    pthread_t thread;
    int fd;
    unsigned port;
    _Atomic int status, count;
    _Atomic bool stop;
    char heads[REQUESTS_MAX][HEAD_MAX];
    char *bodies[REQUESTS_MAX]; /* unpacked */
    size_t sizes[REQUESTS_MAX];
} server;

static char dir[64];

static void keep_request(const char *head, const char *body, size_t len) {
    int n = server.count;
    if (n == REQUESTS_MAX) return;
    struct libdeflate_decompressor *gzip = libdeflate_alloc_decompressor();
    server.bodies[n] = malloc(BODY_MAX);
    if (libdeflate_gzip_decompress(gzip, body, len, server.bodies[n], BODY_MAX, &server.sizes[n])) server.sizes[n] = 0;
    libdeflate_free_decompressor(gzip);
    memcpy(server.heads[n], head, strnlen(head, HEAD_MAX - 1));
    server.count = n + 1;
}

static void serve_one(int fd) {
    static char data[BODY_MAX];
    size_t len = 0, want = 0;
    char *body = NULL;
    while (len < sizeof data - 1 && (!body || (size_t)(data + len - body) < want)) {
        ssize_t n = read(fd, data + len, sizeof data - 1 - len);
        if (n <= 0) return;
        data[len += (size_t)n] = 0;
        if (!body && (body = strstr(data, "\r\n\r\n"))) {
            const char *length = strcasestr(data, "content-length:");
            want = length ? (size_t)atoi(length + 15) : 0;
            *body = 0;
            body += 4;
        }
    }
    int status = server.status;
    if (status == 200) keep_request(data, body, want);
    char answer[128];
    int n = snprintf(answer, sizeof answer, "HTTP/1.1 %d x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", status);
    if (write(fd, answer, (size_t)n) < 0) return;
}

static void *serve_loop(void *ctx) {
    while (!server.stop) {
        if (poll(&(struct pollfd){.fd = server.fd, .events = POLLIN}, 1, 20) <= 0) continue;
        int fd = accept(server.fd, NULL, NULL);
        if (fd < 0) continue;
        serve_one(fd);
        close(fd);
    }
    return NULL;
}

static int start(void **state) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    snprintf(dir, sizeof dir, "/tmp/vitrine-forward-XXXXXX");
    server = (struct server){.fd = socket(AF_INET, SOCK_STREAM, 0), .status = 200};
    if (!mkdtemp(dir) || bind(server.fd, (struct sockaddr *)&address, size) || listen(server.fd, 64) ||
        getsockname(server.fd, (struct sockaddr *)&address, &size))
        return -1;
    server.port = ntohs(address.sin_port);
    return pthread_create(&server.thread, NULL, serve_loop, NULL);
}

static int stop(void **state) {
    char command[128];
    server.stop = true;
    pthread_join(server.thread, NULL);
    close(server.fd);
    for (int i = 0; i < server.count; i++) free(server.bodies[i]);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static struct forward *open_forward(const char *kind, const char *more, uint64_t limit) {
    char target[256];
    struct forward *f;
    struct error err = {0};
    snprintf(target, sizeof target, "%s=http://127.0.0.1:%u%s", kind, server.port, more);
    if (forward_open(&f, target, dir, limit, &err)) fail_msg("%s", err.message);
    return f;
}

static struct batch *some_spans(uint32_t count, uint8_t id) {
    struct batch *batch = batch_new();
    for (uint32_t i = 0; i < count; i++) {
        struct span *span = batch_add(batch);
        span->trace_id[0] = id, span->span_id[0] = id, span->span_id[7] = (uint8_t)(i + 1);
        span->start_ns = INT64_C(1795460391722000000), span->duration_ns = 7000000;
        span->kind = KIND_LLM, span->status = STATUS_ERROR;
        span->tokens_input = 100, span->cost_usd = 0.25;
        *span_text(span, COL_SERVICE) = SLICE("ai-storefront");
        *span_text(span, COL_OPERATION) = SLICE("chat gpt-4o");
        *span_text(span, COL_MODEL) = SLICE("gpt-4o");
        *span_text(span, COL_ERROR) = SLICE("HTTP 429");
        *span_text(span, COL_PROMPT) = SLICE("[{\"role\":\"user\",\"content\":\"rain?\"}]");
        *span_text(span, COL_ATTRIBUTES) =
            SLICE("{\"gen_ai.request.model\":\"gpt-4o\",\"n\":7,\"deep\":{\"a\":[1,true,null,0.5]}}");
        *span_text(span, COL_EVENTS) =
            SLICE("[{\"name\":\"retry\",\"timestamp\":1795460391725.5,\"attributes\":{\"k\":\"v\"}}]");
        *span_text(span, COL_RESOURCE) = SLICE("{\"service.name\":\"ai-storefront\",\"host.name\":\"h\"}");
    }
    return batch;
}

static void put(struct forward *f, uint32_t count, uint8_t id) {
    struct batch *batch = some_spans(count, id);
    forward_put(f, batch);
    batch_unref(batch);
}

static void wait_for(int count) {
    for (int i = 0; i < 6000 && server.count < count; i++) poll(NULL, 0, 10);
    assert_int_equal(server.count, count);
}

static struct slice body_of(int i) {
    return slice_make(server.bodies[i], server.sizes[i]);
}
static bool holds(struct slice text, const char *part) {
    return memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

static void otlp_carries_the_whole_span(void **state) {
    setenv("FORWARD_TEST_KEY", "secret-7", 1);
    struct forward *f = open_forward("otlp", "|x-honeycomb-team: ${FORWARD_TEST_KEY}", 0);
    put(f, 2, 1);
    wait_for(1);
    forward_close(f);
    assert_non_null(strstr(server.heads[0], "POST /v1/traces "));
    assert_non_null(strcasestr(server.heads[0], "x-honeycomb-team: secret-7"));
    assert_non_null(strcasestr(server.heads[0], "application/x-protobuf"));
    static const char *const parts[] = {
        "gen_ai.request.model", "gen_ai.input.messages", "rain?", "HTTP 429", "retry", "host.name", "llm.cost.total"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) assert_true(holds(body_of(0), parts[i]));
    struct pb_reader r; /* one resource, whose spans are well-formed messages */
    struct pb_field field;
    unsigned resources = 0;
    pb_reader_init(&r, body_of(0));
    while (pb_next(&r, &field)) resources++;
    assert_false(r.failed);
    assert_int_equal(resources, 1);
}

/* Of a storefront's span, what OTLP then holds. */
static void encode_storefront(const char *provider, int64_t cached, const char *attributes, struct buf *out) {
    struct batch *batch = some_spans(1, 1);
    struct span *span = batch->spans;
    span->tokens_output = 9, span->tokens_cached = cached;
    *span_text(span, COL_PROVIDER) = slice_of(provider);
    *span_text(span, COL_ATTRIBUTES) = slice_of(attributes);
    buf_clear(out);
    encode_otlp(span, 1, out);
    batch_unref(batch);
}

static unsigned times(struct slice text, const char *part) {
    unsigned count = 0;
    for (const char *at; (at = memmem(text.ptr, text.len, part, strlen(part))); count++)
        text = slice_from(text, (size_t)(at - text.ptr) + 1);
    return count;
}

static void otlp_says_in_genai_names_what_the_sender_said_in_others(void **state) {
    struct buf out = {0};
    encode_storefront("openai", 40, "{\"llm.vendor\":\"openai\",\"llm.request.model\":\"gpt-4o\"}", &out);
    static const char *const names[] = {"gen_ai.operation.name",      "gen_ai.provider.name",
                                        "gen_ai.request.model",       "gen_ai.usage.input_tokens",
                                        "gen_ai.usage.output_tokens", "llm.vendor"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) assert_int_equal(times(buf_slice(&out), names[i]), 1);
    encode_storefront("openai", SPAN_NO_INT, "{\"gen_ai.request.model\":\"gpt-4o\",\"llm.cost.total\":0.25}", &out);
    assert_int_equal(times(buf_slice(&out), "gen_ai.request.model"), 1);
    assert_int_equal(times(buf_slice(&out), "llm.cost.total"), 1);
    /* A receiver that takes Anthropic's input to be without its cached part would count it twice. */
    encode_storefront("anthropic", 40, "{\"llm.usage.prompt_tokens\":60}", &out);
    assert_int_equal(times(buf_slice(&out), "gen_ai.usage.input_tokens"), 0);
    buf_free(&out);
}

static void datadog_logs_link_to_their_trace(void **state) {
    setenv("DD_API_KEY", "dd-key", 1);
    struct forward *f = open_forward("datadog", "", 0);
    put(f, 1, 1);
    wait_for(1);
    forward_close(f);
    assert_non_null(strstr(server.heads[0], "POST /api/v2/logs "));
    assert_non_null(strcasestr(server.heads[0], "dd-api-key: dd-key"));
    static const char *const parts[] = {"\"ddsource\":\"vitrine\"",
                                        "\"dd.trace_id\":\"01000000000000000000000000000000\"",
                                        "\"dd.span_id\":\"72057594037927937\"",
                                        "\"status\":\"error\"",
                                        "\"timestamp\":1795460391722",
                                        "\"ddtags\":\"service:ai-storefront,model:gpt-4o,operation:chat_gpt-4o\""};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!holds(body_of(0), parts[i])) fail_msg("%s is not in %.*s", parts[i], (int)body_of(0).len, body_of(0).ptr);
}

static void newrelic_logs_have_their_envelope(void **state) {
    struct forward *f = open_forward("newrelic", "|Api-Key: nr", 0);
    put(f, 1, 1);
    wait_for(1);
    forward_close(f);
    assert_non_null(strstr(server.heads[0], "POST /log/v1 "));
    assert_true(slice_starts(body_of(0), SLICE("[{\"common\":{\"attributes\":{")));
    assert_true(holds(body_of(0), "\"trace.id\":\"01000000000000000000000000000000\""));
}

static void target_that_was_away_gets_everything_also_after_a_restart(void **state) {
    server.status = 503;
    struct forward *f = open_forward("otlp", "", 0);
    struct forward_stats stats;
    for (uint8_t i = 1; i <= 3; i++) {
        put(f, 10, i);
        for (int k = 0; k < 6000; k++) {
            forward_get_stats(f, &stats);
            if (stats.spans_queued == 10u * i) break;
            poll(NULL, 0, 10);
        }
    }
    assert_int_equal(stats.queue_files, 3);
    assert_int_equal(stats.spans_dropped, 0);
    forward_close(f);
    assert_int_equal(server.count, 0);
    server.status = 200;
    f = open_forward("otlp", "", 0);
    wait_for(3);
    forward_close(f);
}

static void what_a_target_never_takes_does_not_block_the_rest(void **state) {
    server.status = 400;
    struct forward *f = open_forward("otlp", "", 0);
    struct forward_stats stats = {0};
    put(f, 5, 1);
    for (int k = 0; k < 6000 && !stats.requests_refused; k++) poll(NULL, 0, 10), forward_get_stats(f, &stats);
    assert_int_equal(stats.requests_refused, 1);
    assert_int_equal(stats.spans_dropped, 5);
    server.status = 200;
    put(f, 5, 2);
    wait_for(1);
    forward_close(f);
}

static void full_queue_drops_the_oldest_and_counts(void **state) {
    struct spool spool;
    struct error err = {0};
    char block[1000] = {0};
    assert_int_equal(spool_open(&spool, dir, 3500, &err), 0);
    for (uint32_t i = 0; i < 5; i++) assert_int_equal(spool_push(&spool, slice_make(block, sizeof block), 7, &err), 0);
    assert_int_equal(spool.count, 3);
    assert_int_equal(spool.spans_dropped, 14);
    assert_int_equal(spool_oldest(&spool)->number, 3);
    spool_close(&spool);
    assert_int_equal(spool_open(&spool, dir, 3500, &err), 0);
    assert_int_equal(spool.count, 3);
    assert_int_equal(spool.next, 6);
    spool_close(&spool);
}

static void bad_targets_are_named_without_their_secrets(void **state) {
    static const char *const bad[] = {"",
                                      "otlp",
                                      "kafka=x",
                                      "otlp=",
                                      "otlp=ftp://x",
                                      "otlp=http://x|novalue",
                                      "otlp=http://x|a: ${VITRINE_NO_SUCH_VARIABLE}",
                                      "newrelic=us"};
    unsetenv("NEW_RELIC_API_KEY");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct target target;
        struct error err = {0};
        assert_int_equal(target_parse(bad[i], TARGET_SPANS, &target, &err), VT_EINVAL);
        assert_true(err.message[0]);
    }
    struct target target;
    struct error err = {0};
    assert_int_equal(target_parse("datadog=datadoghq.eu|dd-api-key: k", TARGET_SPANS, &target, &err), 0);
    assert_string_equal(target.url, "https://http-intake.logs.datadoghq.eu/api/v2/logs");
    assert_int_equal(target_parse("otlp=collector:4318", TARGET_SPANS, &target, &err), 0);
    assert_string_equal(target.url, "http://collector:4318/v1/traces");
    assert_int_equal(target_parse("newrelic=eu|Api-Key: k", TARGET_SPANS, &target, &err), 0);
    assert_string_equal(target.url, "https://log-api.eu.newrelic.com/log/v1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(otlp_carries_the_whole_span, start, stop),
        cmocka_unit_test(otlp_says_in_genai_names_what_the_sender_said_in_others),
        cmocka_unit_test_setup_teardown(datadog_logs_link_to_their_trace, start, stop),
        cmocka_unit_test_setup_teardown(newrelic_logs_have_their_envelope, start, stop),
        cmocka_unit_test_setup_teardown(target_that_was_away_gets_everything_also_after_a_restart, start, stop),
        cmocka_unit_test_setup_teardown(what_a_target_never_takes_does_not_block_the_rest, start, stop),
        cmocka_unit_test_setup_teardown(full_queue_drops_the_oldest_and_counts, start, stop),
        cmocka_unit_test(bad_targets_are_named_without_their_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
