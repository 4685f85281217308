/* The whole server over real sockets: what is sent is answered as OTLP asks, is durable, and is found again. */
#include "server_test.h"

#include "base/timestamp.h"

#include <libdeflate.h>

#define PROTOBUF "Content-Type: application/x-protobuf\r\n"
#define JSON "Content-Type: application/json\r\n"
#define CONVEX_SIGNATURE "f16eed6737d0cc9abe010d16639064008244bd291776c393ce7d8fc75f9b8a0e"
#define TRACE_1 "0102030400010708090a0b0000000f10" /* of put_otlp with seed 1, span 0 */

enum { SCRIPT_BYTES = 316 };

static struct test_server t;
static struct buf out, body;

static int start(void **state) {
    test_server_init(&t);
    test_server_start(&t);
    return 0;
}

static int stop(void **state) {
    test_server_free(&t);
    buf_free(&out);
    buf_free(&body);
    return 0;
}

static void expect(int status, int expected) {
    if (status != expected) fail_msg("%d, expected %d: %.1000s", status, expected, buf_cstr(&out));
}

static void takes_otlp_protobuf_and_finds_it_again(void **state) {
    buf_clear(&body);
    put_otlp(&body, 3, 1, "shop");
    expect(post_bytes(t.port, "/v1/traces", PROTOBUF, buf_slice(&body), &out), 200);
    assert_has(&out, "Content-Type: application/x-protobuf\r\n");
    assert_int_equal(body_of(&out).len, 0); /* an empty message: all was taken */
    expect(get(t.port, "/api/v1/traces/" TRACE_1, "", &out), 200);
    assert_has(&out, "\"model\":\"gpt-4o\"");
    assert_has(&out, "\"service\":\"shop\"");
}

static void takes_the_paths_of_other_sdks(void **state) {
    static const char *const paths[] = {"/api/public/otel/v1/traces", "/otel/v1/traces", "/v1/private/otel/v1/traces"};
    for (unsigned i = 0; i < 3; i++) {
        buf_clear(&body);
        put_otlp(&body, 1, 100 + i, "other");
        expect(post_bytes(t.port, paths[i], PROTOBUF "Authorization: Basic cGstMTpzay0y\r\n", buf_slice(&body), &out),
               200);
    }
    expect(get(t.port, "/api/v1/traces?q=service:other", "", &out), 200);
    assert_has(&out, "0102030400640708090a0b0000000f10");
    assert_has(&out, "0102030400660708090a0b0000000f10");
}

static void takes_gzip_and_refuses_what_it_does_not_know(void **state) {
    struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(6);
    char packed[4096];
    buf_clear(&body);
    put_otlp(&body, 3, 2, "packed");
    size_t len = libdeflate_gzip_compress(compressor, body.ptr, body.len, packed, sizeof packed);
    libdeflate_free_compressor(compressor);
    expect(post_bytes(t.port, "/v1/traces", PROTOBUF "Content-Encoding: gzip\r\n", slice_make(packed, len), &out), 200);
    expect(get(t.port, "/api/v1/traces?q=service:packed", "", &out), 200);
    assert_has(&out, "0102030400020708090a0b0000000f10");
    expect(post_bytes(t.port, "/v1/traces", PROTOBUF "Content-Encoding: gzip\r\n", slice_make(packed, len / 2), &out),
           400);
    expect(post_bytes(t.port, "/v1/traces", PROTOBUF "Content-Encoding: br\r\n", slice_make(packed, len), &out), 415);
    assert_has(&out, "br");
    expect(post_bytes(t.port, "/v1/traces", "Content-Type: text/plain\r\n", buf_slice(&body), &out), 415);
}

static void refuses_bombs_while_they_unpack(void **state) {
    struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(6);
    size_t size = 80 << 20;
    char *zeros = calloc(1, size), *packed = malloc(size / 100);
    size_t len = libdeflate_gzip_compress(compressor, zeros, size, packed, size / 100);
    libdeflate_free_compressor(compressor);
    assert_true(len > 0);
    expect(post_bytes(t.port, "/v1/traces", PROTOBUF "Content-Encoding: gzip\r\n", slice_make(packed, len), &out), 413);
    free(zeros);
    free(packed);
}

static void answers_in_the_encoding_of_the_question(void **state) {
    expect(post(t.port, "/v1/traces", JSON, "{\"resourceSpans\":[]}", &out), 200);
    assert_has(&out, "Content-Type: application/json\r\n");
    assert_has(&out, "\r\n\r\n{}");
    expect(post(t.port, "/v1/traces", JSON, "{\"resourceSpans\":[{]}", &out), 400);
    assert_has(&out, "{\"code\":3,\"message\":\"");
    expect(post(t.port, "/v1/traces", PROTOBUF, "\xff\xff\xff\xff", &out), 400);
    assert_has(&out, "Content-Type: application/x-protobuf\r\n");
    assert_has(&out, "\r\n\r\n\b\003\022"); /* google.rpc.Status {1: INVALID_ARGUMENT, 2: …} */
}

static void says_which_spans_were_refused_and_keeps_the_rest(void **state) {
    struct buf json = {0};
    buf_printf(&json,
               "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":["
               "{\"traceId\":\"5b8efff798038103d269b633813fc60c\",\"spanId\":\"eee19b7ec3c1b174\",\"name\":\"good\","
               "\"startTimeUnixNano\":\"%lld\",\"endTimeUnixNano\":\"%lld\"},"
               "{\"traceId\":\"00000000000000000000000000000000\",\"spanId\":\"eee19b7ec3c1b175\",\"name\":\"bad\","
               "\"startTimeUnixNano\":\"%lld\",\"endTimeUnixNano\":\"%lld\"}]}]}]}",
               (long long)time_now_ns(), (long long)time_now_ns(), (long long)time_now_ns(), (long long)time_now_ns());
    expect(post_bytes(t.port, "/v1/traces", JSON, buf_slice(&json), &out), 200);
    assert_has(&out, "{\"partialSuccess\":{\"rejectedSpans\":\"1\",\"errorMessage\":\"1 refused; span 2: ");
    expect(get(t.port, "/api/v1/traces/5b8efff798038103d269b633813fc60c", "", &out), 200);
    assert_has(&out, "\"operation\":\"good\"");
    buf_free(&json);
}

static void takes_log_lines_and_counts_what_is_none(void **state) {
    buf_clear(&body);
    put_line(&body, "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "openai.chat");
    buf_puts(&body, "this is no trace\n");
    buf_puts(&body, "{\"timestamp\":\"never\",\"trace\":{\"traceId\":\"x\",\"spanId\":\"y\",\"operation\":\"o\","
                    "\"duration\":\"1ms\"}}\n");
    expect(post_bytes(t.port, "/ingest/logs", "", buf_slice(&body), &out), 200);
    assert_has(&out, "{\"accepted\":1,\"rejected\":1,\"ignored\":1,\"errors\":[{\"line\":3,\"message\":\"");
    expect(get(t.port, "/api/v1/traces/4bf92f3577b34da6a3ce929d0e0e4736", "", &out), 200);
}

static void tells_that_metrics_are_not_kept(void **state) {
    expect(post(t.port, "/v1/metrics", JSON,
                "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"name\":\"m\",\"gauge\":{\"dataPoints\":[{"
                "\"asInt\":\"1\"},{\"asInt\":\"2\"}]}}]}]}]}",
                &out),
           200);
    assert_has(&out, "\"rejectedDataPoints\":\"2\"");
}

static void asks_convex_for_its_signature_without_a_hint(void **state) {
    struct test_server signing;
    test_server_init(&signing);
    signing.options.convex_secret = "s3cret";
    test_server_start(&signing);
    const char *event = "[{\"topic\":\"verification\",\"timestamp\":1,\"message\":\"hello\"}]";
    expect(post(signing.port, "/ingest/convex", JSON, event, &out), 401);
    assert_has_not(&out, "hint");
    expect(post(signing.port, "/ingest/convex", JSON "x-webhook-signature: sha256=00\r\n", event, &out), 401);
    /* printf '%s' '[…]' | openssl dgst -sha256 -hmac s3cret */
    expect(
        post(signing.port, "/ingest/convex", JSON "x-webhook-signature: sha256=" CONVEX_SIGNATURE "\r\n", event, &out),
        200);
    test_server_free(&signing);
}

static void finds_everything_after_a_restart(void **state) {
    buf_clear(&body);
    put_otlp(&body, 200, 7, "restart");
    expect(post_bytes(t.port, "/v1/traces", PROTOBUF, buf_slice(&body), &out), 200);
    test_server_stop(&t);
    test_server_start(&t);
    expect(post(t.port, "/api/v1/query", JSON, "{\"where\":\"service:restart\",\"select\":[\"count\"]}", &out), 200);
    assert_has(&out, ",200]");
}

static void exports_all_spans_piece_by_piece(void **state) {
    for (unsigned i = 0; i < 5; i++) {
        buf_clear(&body);
        put_otlp(&body, 2000, 900 + i, "export");
        expect(post_bytes(t.port, "/v1/traces", PROTOBUF, buf_slice(&body), &out), 200);
    }
    expect(get(t.port, "/api/v1/export?q=service:export", "", &out), 200);
    assert_has(&out, "Content-Type: application/x-ndjson");
    unsigned lines = 0;
    for (const char *at = buf_cstr(&out); (at = strstr(at, "\"operation\":\"chat gpt-4o\"")); at++) lines++;
    assert_int_equal(lines, 10000);
    expect(get(t.port, "/api/v1/export?format=parchment", "", &out), 400);
    for (int i = 0; i < 5; i++) { /* readers that go in the midst */
        int fd = client_connect(t.port);
        client_send(fd, "GET /api/v1/export HTTP/1.1\r\n" HOST "\r\n");
        if (i % 2) usleep(5000);
        close(fd);
    }
    expect(get(t.port, "/healthz", "", &out), 200);
}

static struct test_server small;

static bool holds(const char *bodies_bytes) {
    expect(get(small.port, "/api/v1/status", "", &out), 200);
    return strstr(buf_cstr(&out), bodies_bytes) != NULL;
}
static bool holds_one(void) {
    return holds("\"bodies_bytes\":90000,");
}
static bool holds_none(void) {
    return holds("\"bodies_bytes\":0,");
}

static void takes_no_more_bodies_than_it_may_hold(void **state) {
    test_server_init(&small);
    small.options.body_bytes_max = small.options.bodies_bytes_max = 100000;
    test_server_start(&small);
    int fd = client_connect(small.port); /* holds 90,000 bytes of room, and does not fill it */
    client_send(fd, "POST /v1/traces HTTP/1.1\r\n" HOST PROTOBUF "Content-Length: 90000\r\n\r\n");
    client_wait_for(holds_one);
    buf_clear(&body);
    put_otlp(&body, 100, 3, "later");
    expect(post_bytes(small.port, "/v1/traces", PROTOBUF, buf_slice(&body), &out), 503);
    assert_has(&out, "Retry-After: 1\r\n");
    assert_has(&out, "\r\n\r\n\b\016\022"); /* google.rpc.Status {1: UNAVAILABLE, … */
    close(fd);
    client_wait_for(holds_none);
    expect(post_bytes(small.port, "/v1/traces", PROTOBUF, buf_slice(&body), &out), 200);
    test_server_free(&small);
}

static void deletes_what_names_a_user(void **state) {
    const char *line = "{\"timestamp\":\"%s\",\"message\":\"TRACE: "
                       "a\",\"trace\":{\"traceId\":\"t-%s\",\"spanId\":\"s-%s\",\"operation\":\"a\","
                       "\"duration\":\"1ms\",\"status\":\"OK\"},\"attributes\":{\"user.id\":\"%s\"}}\n";
    char time[TIME_TEXT_MAX + 1] = "";
    time_format(time_now_ns(), 3, time);
    buf_clear(&body);
    buf_printf(&body, line, time, "gone", "gone", "gone");
    buf_printf(&body, line, time, "here", "here", "here");
    expect(post_bytes(t.port, "/ingest/logs", "", buf_slice(&body), &out), 200);
    expect(post(t.port, "/api/v1/delete", JSON, "{}", &out), 400);
    expect(post(t.port, "/api/v1/delete", JSON, "{\"user_id\":\"gone\",\"trace_id\":\"x\"}", &out), 400);
    expect(post(t.port, "/api/v1/delete", JSON, "{\"user\":\"gone\"}", &out), 400);
    expect(post(t.port, "/api/v1/delete", JSON, "{\"user_id\":\"gone\"}", &out), 200);
    assert_has(&out, "{\"spans\":1,\"scores\":0}");
    expect(get(t.port, "/api/v1/traces?q=user:gone", "", &out), 200);
    assert_has_not(&out, "\"user_id\":\"gone\"");
    expect(get(t.port, "/api/v1/traces?q=user:here", "", &out), 200);
    assert_has(&out, "\"user_id\":\"here\"");
}

static void says_how_it_is(void **state) {
    expect(get(t.port, "/healthz", "", &out), 200);
    expect(get(t.port, "/readyz", "", &out), 200);
    assert_has(&out, "{\"status\":\"ready\"}");
}

static void answers_unknown_paths_and_methods_with_what_there_is(void **state) {
    expect(get(t.port, "/api/v1/nothing", "", &out), 404);
    assert_has(&out, "\"code\":\"not_found\"");
    expect(get(t.port, "/v1/traces", "", &out), 405);
    assert_has(&out, "Allow: POST");
    expect(post(t.port, "/api/v1/traces", JSON, "{}", &out), 405);
    expect(post(t.port, "/nothing", JSON, "{}", &out), 404);
    expect(get(t.port, "/api/v1/traces?q=status:bad", "", &out), 400);
    assert_has(&out, "\"column\":8");
}

static void gives_the_page_for_its_own_routes_only(void **state) {
    expect(get(t.port, "/", "", &out), 200);
    assert_has(&out, "Content-Type: text/html");
    assert_has(&out, "Content-Security-Policy: default-src 'none'");
    assert_has(&out, "X-Content-Type-Options: nosniff");
    assert_has(&out, "\r\n\r\n<!doctype html><title>the page</title>");
    assert_has(&out, "Cache-Control: no-cache\r\n");
    expect(get(t.port, "/users/a.b%40example.com", "", &out), 200);
    assert_has(&out, "<!doctype html>");
    expect(get(t.port, "/gone-1234.js", "", &out), 404);
    assert_has_not(&out, "<!doctype html>");
}

static void lets_browsers_keep_what_is_named_by_its_content(void **state) {
    expect(get(t.port, "/app-2222.js", "Accept-Encoding: br, gzip\r\n", &out), 200);
    assert_has(&out, "Content-Encoding: gzip\r\n");
    assert_has(&out, "immutable");
    assert_has(&out, "ETag: \"2222\"\r\n");
    expect(get(t.port, "/app-2222.js", "Accept-Encoding: gzip;q=0\r\n", &out), 200);
    assert_has_not(&out, "Content-Encoding");
    assert_int_equal(body_of(&out).len, SCRIPT_BYTES);
    expect(get(t.port, "/app-2222.js", "If-None-Match: \"1\", \"2222\"\r\n", &out), 304);
}

static void survives_what_is_no_http(void **state) {
    static const char *const wrong[] = {"GARBAGE\r\n\r\n",
                                        "GET / HTTP/9.9\r\n\r\n",
                                        "POST /v1/traces HTTP/1.1\r\n" HOST "Content-Length: -5\r\n\r\n",
                                        "POST /v1/traces HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
                                        "GET /%00%ff HTTP/1.1\r\n" HOST "\r\n",
                                        "\r\n\r\n\r\n",
                                        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int fd = client_connect(t.port);
        client_send(fd, wrong[i]);
        client_send(fd, "\r\n\r\n");
        close(fd);
    }
    struct buf long_header = {0};
    buf_puts(&long_header, "GET / HTTP/1.1\r\n" HOST "X: ");
    for (int i = 0; i < 100000; i++) buf_putc(&long_header, 'a');
    buf_puts(&long_header, "\r\n\r\n");
    int status = client_ask(t.port, buf_cstr(&long_header), &out);
    assert_true(status == 0 || (status >= 400 && status < 500));
    buf_free(&long_header);
    expect(get(t.port, "/healthz", "", &out), 200);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_otlp_protobuf_and_finds_it_again),
        cmocka_unit_test(takes_the_paths_of_other_sdks),
        cmocka_unit_test(takes_gzip_and_refuses_what_it_does_not_know),
        cmocka_unit_test(refuses_bombs_while_they_unpack),
        cmocka_unit_test(answers_in_the_encoding_of_the_question),
        cmocka_unit_test(says_which_spans_were_refused_and_keeps_the_rest),
        cmocka_unit_test(takes_log_lines_and_counts_what_is_none),
        cmocka_unit_test(tells_that_metrics_are_not_kept),
        cmocka_unit_test(asks_convex_for_its_signature_without_a_hint),
        cmocka_unit_test(finds_everything_after_a_restart),
        cmocka_unit_test(exports_all_spans_piece_by_piece),
        cmocka_unit_test(takes_no_more_bodies_than_it_may_hold),
        cmocka_unit_test(deletes_what_names_a_user),
        cmocka_unit_test(says_how_it_is),
        cmocka_unit_test(answers_unknown_paths_and_methods_with_what_there_is),
        cmocka_unit_test(gives_the_page_for_its_own_routes_only),
        cmocka_unit_test(lets_browsers_keep_what_is_named_by_its_content),
        cmocka_unit_test(survives_what_is_no_http),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
