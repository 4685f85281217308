/* See server_test.h. */
#include "server_test.h"

#include "base/pb.h"
#include "base/timestamp.h"

#include <sys/socket.h>

void test_server_init(struct test_server *t) {
    memset(t, 0, sizeof *t);
    snprintf(t->dir, sizeof t->dir, "/tmp/vt-serve-XXXXXX");
    assert_non_null(mkdtemp(t->dir));
    serve_options_init(&t->options);
    t->options.listen = "127.0.0.1:0";
    t->options.grpc = "";
    t->options.store.dir = t->dir;
    t->options.threads = 2;
    /* A slow machine is no slow sender. */
    t->options.header_timeout_ms = t->options.body_timeout_ms = t->options.idle_timeout_ms = 600000;
    t->options.query_timeout_ms = t->options.stop_timeout_ms = 120000;
}

void test_server_start(struct test_server *t) {
    struct error err = {0};
    if (serve_start(&t->server, &t->options, &err)) fail_msg("%s (%s)", err.message, err.hint);
    t->port = serve_port(t->server);
    t->grpc_port = serve_grpc_port(t->server);
}

void test_server_stop(struct test_server *t) {
    serve_stop(t->server);
    t->server = NULL;
}

void test_server_free(struct test_server *t) {
    char command[128];
    test_server_stop(t);
    snprintf(command, sizeof command, "rm -rf '%s'", t->dir);
    assert_int_equal(system(command), 0);
}

static void send_all(int fd, struct slice bytes) {
    while (bytes.len) {
        ssize_t sent = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (sent <= 0) return;
        bytes = slice_from(bytes, (size_t)sent);
    }
}

int post_bytes(uint16_t port, const char *path, const char *headers, struct slice body, struct buf *out) {
    struct buf request = {0};
    int fd = client_connect(port);
    if (fd < 0) return -1;
    buf_printf(&request, "POST %s HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n%s\r\n", path, body.len, headers);
    buf_put_slice(&request, body);
    send_all(fd, buf_slice(&request));
    int status = client_read(fd, out);
    close(fd);
    buf_free(&request);
    return status;
}

int post(uint16_t port, const char *path, const char *headers, const char *body, struct buf *out) {
    return post_bytes(port, path, headers, slice_of(body), out);
}

int get(uint16_t port, const char *path, const char *headers, struct buf *out) {
    struct buf request = {0};
    buf_printf(&request, "GET %s HTTP/1.1\r\n" HOST "%s\r\n", path, headers);
    int status = client_ask(port, buf_cstr(&request), out);
    buf_free(&request);
    return status;
}

struct slice body_of(struct buf *answer) {
    const char *text = buf_cstr(answer), *body = memmem(text, answer->len, "\r\n\r\n", 4);
    return body ? slice_from(buf_slice(answer), (size_t)(body - text) + 4) : (struct slice){0};
}

void assert_has(struct buf *answer, const char *part) {
    buf_cstr(answer);
    if (!memmem(answer->ptr, answer->len, part, strlen(part))) fail_msg("\"%s\" is not in: %.2000s", part, answer->ptr);
}

void assert_has_not(struct buf *answer, const char *part) {
    buf_cstr(answer);
    if (memmem(answer->ptr, answer->len, part, strlen(part))) fail_msg("\"%s\" is in: %.2000s", part, answer->ptr);
}

static void put_attr(struct buf *out, uint32_t number, const char *key, const char *value) {
    size_t pair = pb_begin(out, number);
    pb_put_bytes(out, 1, slice_of(key));
    size_t any = pb_begin(out, 2);
    pb_put_bytes(out, 1, slice_of(value));
    pb_end(out, any);
    pb_end(out, pair);
}

void put_otlp(struct buf *out, unsigned count, unsigned seed, const char *service) {
    int64_t now_ns = time_now_ns();
    size_t resource_spans = pb_begin(out, 1), resource = pb_begin(out, 1);
    put_attr(out, 1, "service.name", service);
    pb_end(out, resource);
    size_t scope_spans = pb_begin(out, 2);
    for (unsigned i = 0; i < count; i++) {
        uint8_t id[16] = {1,  2, 3,  4,  (uint8_t)(seed >> 8), (uint8_t)seed,     7,
                          8,  9, 10, 11, (uint8_t)(i >> 16),   (uint8_t)(i >> 8), (uint8_t)i,
                          15, 16};
        size_t span = pb_begin(out, 2);
        pb_put_bytes(out, 1, slice_make(id, 16));
        pb_put_bytes(out, 2, slice_make(id + 8, 8));
        pb_put_bytes(out, 5, SLICE("chat gpt-4o"));
        pb_put_fixed64(out, 7, (uint64_t)now_ns - 1000000);
        pb_put_fixed64(out, 8, (uint64_t)now_ns);
        put_attr(out, 9, "gen_ai.request.model", "gpt-4o");
        put_attr(out, 9, "gen_ai.system", "openai");
        pb_end(out, span);
    }
    pb_end(out, scope_spans);
    pb_end(out, resource_spans);
}

void put_line(struct buf *out, const char *trace_id, const char *span_id, const char *operation) {
    char time[TIME_TEXT_MAX];
    size_t len = time_format(time_now_ns(), 3, time);
    buf_printf(out,
               "{\"timestamp\":\"%.*s\",\"level\":\"INFO\",\"message\":\"TRACE: "
               "%s\",\"trace\":{\"traceId\":\"%s\",\"spanId\":\"%s\","
               "\"operation\":\"%s\",\"duration\":\"12ms\",\"status\":\"OK\"},\"attributes\":{\"service.name\":"
               "\"shop\"},\"events\":[]}\n",
               (int)len, time, operation, trace_id, span_id, operation);
}
