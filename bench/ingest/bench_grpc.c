/* gRPC to durable: the same spans as bench_ingest, by OTLP's TraceService/Export over prior-knowledge HTTP/2, one call
 * at a time on each connection.
 *
 *     bench_grpc HOST PORT CONNECTIONS SECONDS [SPANS_PER_REQUEST] [SERVER_PID]
 */
#include "load.h"

#include "base/timestamp.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { FRAME_HEAD = 5, GRPC_OK = 0, GRPC_EXHAUSTED = 8, GRPC_UNAVAILABLE = 14, READ_BYTES = 1 << 14 };

struct connection {
    int fd, http_status, grpc_status;
    nghttp2_session *session;
    struct body *body;
    uint8_t head[FRAME_HEAD]; /* "not packed", length */
    size_t given;             /* bytes of head and body that nghttp2 has taken */
    int64_t since_ns;
    const uint8_t *out; /* what the socket has not taken yet; nghttp2's until its next turn */
    size_t out_bytes;
    bool writing;
};

static struct connection connections[LOAD_CONNECTIONS_MAX];
static int epoll;

static ssize_t give_body(nghttp2_session *session, int32_t stream, uint8_t *to, size_t room, uint32_t *flags,
                         nghttp2_data_source *source, void *ctx) {
    struct connection *c = source->ptr;
    size_t done = 0, whole = FRAME_HEAD + c->body->bytes.len;
    while (done < room && c->given < FRAME_HEAD) to[done++] = c->head[c->given++];
    size_t part = whole - c->given < room - done ? whole - c->given : room - done;
    memcpy(to + done, c->body->bytes.ptr + (c->given - FRAME_HEAD), part);
    c->given += part;
    if (c->given == whole) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)(done + part);
}

#define HEADER(name, value)                                                                                            \
    { (uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), sizeof(name) - 1, sizeof(value) - 1, 0 }

static void begin(struct connection *c, bool again) {
    static const nghttp2_nv headers[] = {
        HEADER(":method", "POST"),
        HEADER(":scheme", "http"),
        HEADER(":path", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
        HEADER(":authority", "127.0.0.1"),
        HEADER("content-type", "application/grpc"),
        HEADER("te", "trailers"),
    };
    if (!again) c->body = load_take();
    uint32_t length = (uint32_t)c->body->bytes.len;
    for (int i = 0; i < 4; i++) c->head[1 + i] = (uint8_t)(length >> (24 - 8 * i));
    c->given = 0;
    c->http_status = c->grpc_status = -1;
    c->since_ns = time_monotonic_ns();
    nghttp2_data_provider from = {.source.ptr = c, .read_callback = give_body};
    if (nghttp2_submit_request(c->session, NULL, headers, sizeof headers / sizeof *headers, &from, NULL) < 0)
        load_stop("no new stream");
}

static int take_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                       const uint8_t *value, size_t len, uint8_t flags, void *ctx) {
    struct connection *c = ctx;
    struct slice key = slice_make((const char *)name, name_len);
    int number = 0;
    for (size_t i = 0; i < len && value[i] >= '0' && value[i] <= '9'; i++) number = number * 10 + (value[i] - '0');
    if (slice_is(key, ":status")) c->http_status = number;
    if (slice_is(key, "grpc-status")) c->grpc_status = number;
    return 0;
}

static int end_stream(nghttp2_session *session, int32_t stream, uint32_t code, void *ctx) {
    struct connection *c = ctx;
    bool refused = c->grpc_status == GRPC_EXHAUSTED || c->grpc_status == GRPC_UNAVAILABLE;
    if (code || c->http_status != 200 || (c->grpc_status != GRPC_OK && !refused)) {
        fprintf(stderr, "bench_grpc: HTTP/2 error %u, status %d, grpc-status %d\n", code, c->http_status,
                c->grpc_status);
        exit(1);
    }
    if (refused)
        load_refused();
    else
        load_answered(c->body, c->since_ns), c->body = NULL;
    if (load_goes_on()) begin(c, refused);
    return 0;
}

/* Until nghttp2 has nothing more to say or the socket is full. */
static void write_out(struct connection *c) {
    bool full = false;
    while (!full) {
        ssize_t n = c->out_bytes ? (ssize_t)c->out_bytes : nghttp2_session_mem_send(c->session, &c->out);
        if (n < 0) load_stop(nghttp2_strerror((int)n));
        if (!n) break;
        c->out_bytes = (size_t)n;
        n = send(c->fd, c->out, c->out_bytes, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) load_stop("send");
        full = n < 0;
        if (n > 0) c->out += n, c->out_bytes -= (size_t)n;
    }
    struct epoll_event event = {.events = EPOLLIN | (full ? EPOLLOUT : 0u), .data.ptr = c};
    if (c->writing != full && epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event)) load_stop("epoll");
    c->writing = full;
}

static void read_in(struct connection *c) {
    uint8_t bytes[READ_BYTES];
    ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) load_stop("the server closed a connection");
    n = nghttp2_session_mem_recv(c->session, bytes, (size_t)n);
    if (n < 0) load_stop(nghttp2_strerror((int)n));
}

static void connect_one(struct connection *c, const struct load_args *args, nghttp2_session_callbacks *callbacks) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    c->fd = load_dial(args);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event)) load_stop("epoll");
    if (nghttp2_session_client_new(&c->session, callbacks, c) ||
        nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, NULL, 0))
        load_stop("no session");
    begin(c, false);
    write_out(c);
}

int main(int argc, char **argv) {
    struct load_args args;
    nghttp2_session_callbacks *callbacks;
    if (!load_args_read(&args, argc, argv)) return 2;
    epoll = epoll_create1(0);
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, take_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, end_stream);
    load_begin(&args);
    for (int i = 0; i < args.connections; i++) connect_one(&connections[i], &args, callbacks);
    while (load_goes_on()) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll, events, 64, 100);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & ~(uint32_t)EPOLLOUT) read_in(c);
            write_out(c);
        }
    }
    load_print(&args);
    nghttp2_session_callbacks_del(callbacks);
    return 0;
}
