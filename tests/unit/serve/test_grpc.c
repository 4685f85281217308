/* gRPC over real sockets, with libnghttp2 as the client: what is sent is durable, what is wrong is told by gRPC's own
 * codes, and who plays games with HTTP/2 is shown the door while others are served on. */
#include "server_test.h"

#include "serve/keys.h"

#include <errno.h>
#include <libdeflate.h>
#include <nghttp2/nghttp2.h>
#include <sys/socket.h>

#define TRACES "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

static struct test_server t;
static struct buf out, body;

/* One call of the client and what came back. */
struct call {
    struct slice message; /* with its prefix */
    size_t sent;
    struct buf answer, text;
    char status[8], http_status[8], details[512];
    bool closed;
    uint32_t error_code;
};

static int start(void **state) {
    test_server_init(&t);
    t.options.grpc = "127.0.0.1:0";
    t.options.body_bytes_max = 1 << 20;
    test_server_start(&t);
    return 0;
}

static int stop(void **state) {
    test_server_free(&t);
    buf_free(&out);
    buf_free(&body);
    return 0;
}

/* --- the client --- */

static ssize_t on_send(nghttp2_session *ng, const uint8_t *data, size_t len, int flags, void *user) {
    ssize_t sent = send(*(int *)user, data, len, MSG_NOSIGNAL);
    return sent < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : sent;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t len, uint8_t flags, void *user) {
    struct call *call = nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id);
    const char *key = (const char *)name;
    if (strcmp(key, "grpc-status") == 0) snprintf(call->status, sizeof call->status, "%s", value);
    if (strcmp(key, ":status") == 0) snprintf(call->http_status, sizeof call->http_status, "%s", value);
    if (strcmp(key, "grpc-message") == 0) buf_put(&call->text, value, len);
    if (strcmp(key, "grpc-status-details-bin") == 0) snprintf(call->details, sizeof call->details, "%s", value);
    return 0;
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t stream, const uint8_t *data, size_t len, void *user) {
    struct call *call = nghttp2_session_get_stream_user_data(ng, stream);
    buf_put(&call->answer, data, len);
    return 0;
}

static int on_close(nghttp2_session *ng, int32_t stream, uint32_t code, void *user) {
    struct call *call = nghttp2_session_get_stream_user_data(ng, stream);
    call->closed = true;
    call->error_code = code;
    return 0;
}

static ssize_t read_body(nghttp2_session *ng, int32_t stream, uint8_t *data, size_t size, uint32_t *flags,
                         nghttp2_data_source *source, void *user) {
    struct call *call = source->ptr;
    size_t len = call->message.len - call->sent;
    if (len > size) len = size;
    memcpy(data, call->message.ptr + call->sent, len);
    call->sent += len;
    if (call->sent == call->message.len) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)len;
}

struct connection {
    int fd;
    nghttp2_session *ng;
};

static void connect_to(struct connection *c, uint16_t port) {
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    c->fd = client_connect(port);
    assert_true(c->fd >= 0);
    nghttp2_session_client_new(&c->ng, callbacks, &c->fd);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(c->ng, NGHTTP2_FLAG_NONE, NULL, 0);
}

static void disconnect(struct connection *c) {
    nghttp2_session_del(c->ng);
    close(c->fd);
}

static int32_t submit(struct connection *c, struct call *call, const char *path, const char *name, const char *value) {
#define PAIR(n, v)                                                                                                     \
    { (uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v), strlen(n), strlen(v), NGHTTP2_NV_FLAG_NONE }
    const nghttp2_nv headers[] = {PAIR(":method", "POST"),
                                  PAIR(":scheme", "http"),
                                  PAIR(":path", path),
                                  PAIR(":authority", "localhost"),
                                  PAIR("content-type", "application/grpc"),
                                  PAIR("te", "trailers"),
                                  PAIR(name ? name : "x", value ? value : "y")};
    const nghttp2_data_provider provider = {{.ptr = call}, read_body};
    return nghttp2_submit_request(c->ng, NULL, headers, 7, &provider, call);
}

/* Until all calls have ended; false when the connection did first. */
static bool run(struct connection *c, struct call *calls, size_t count) {
    uint8_t data[16384];
    for (;;) {
        if (nghttp2_session_send(c->ng) != 0) return false;
        size_t open = 0;
        for (size_t i = 0; i < count; i++) open += !calls[i].closed;
        if (!open) return true;
        ssize_t len = recv(c->fd, data, sizeof data, 0);
        if (len <= 0 || nghttp2_session_mem_recv(c->ng, data, (size_t)len) < 0) return false;
    }
}

static void reset(struct call *call) {
    buf_free(&call->answer);
    buf_free(&call->text);
    memset(call, 0, sizeof *call);
}

static struct buf framed(struct slice message, int compressed) {
    struct buf frame = {0};
    buf_putc(&frame, (char)compressed);
    for (int shift = 24; shift >= 0; shift -= 8) buf_putc(&frame, (char)(message.len >> shift));
    buf_put_slice(&frame, message);
    return frame;
}

/* One call on a connection of its own. */
static void ask(uint16_t port, struct call *call, const char *path, struct slice frame, const char *name,
                const char *value) {
    struct connection c;
    memset(call, 0, sizeof *call);
    call->message = frame;
    connect_to(&c, port);
    assert_true(submit(&c, call, path, name, value) > 0);
    assert_true(run(&c, call, 1));
    disconnect(&c);
}

static void expect(struct call *call, const char *status) {
    if (strcmp(call->status, status) != 0)
        fail_msg("grpc-status %s, expected %s: %s", call->status, status, buf_cstr(&call->text));
}

static bool is_stored(const char *trace_id) {
    char path[96];
    snprintf(path, sizeof path, "/api/v1/traces/%s", trace_id);
    return get(t.port, path, "", &out) == 200;
}

/* --- what is right --- */

static void takes_spans_and_finds_them_again(void **state) {
    struct call call;
    buf_clear(&body);
    put_otlp(&body, 3, 1, "shop");
    struct buf frame = framed(buf_slice(&body), 0);
    ask(t.grpc_port, &call, TRACES, buf_slice(&frame), NULL, NULL);
    expect(&call, "0");
    assert_string_equal(call.http_status, "200");
    assert_int_equal(call.answer.len, 5); /* an empty message */
    assert_true(is_stored("0102030400010708090a0b0000000f10"));
    buf_free(&frame);
    reset(&call);
}

static void takes_gzip(void **state) {
    struct call call;
    char packed[8192];
    struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(6);
    buf_clear(&body);
    put_otlp(&body, 3, 2, "shop");
    size_t len = libdeflate_gzip_compress(compressor, body.ptr, body.len, packed, sizeof packed);
    libdeflate_free_compressor(compressor);
    struct buf frame = framed(slice_make(packed, len), 1);
    ask(t.grpc_port, &call, TRACES, buf_slice(&frame), "grpc-encoding", "gzip");
    expect(&call, "0");
    assert_true(is_stored("0102030400020708090a0b0000000f10"));
    reset(&call);
    ask(t.grpc_port, &call, TRACES, buf_slice(&frame), "grpc-encoding", "snappy");
    expect(&call, "12");
    reset(&call);
    ask(t.grpc_port, &call, TRACES, buf_slice(&frame), NULL, NULL);
    expect(&call, "3");
    buf_free(&frame);
    reset(&call);
}

static void serves_many_calls_of_one_connection(void **state) {
    static struct call calls[150]; /* more than streams are allowed at once */
    struct connection c;
    struct buf frames[150];
    connect_to(&c, t.grpc_port);
    for (unsigned i = 0; i < 150; i++) {
        buf_clear(&body);
        put_otlp(&body, 200, 500 + i, "many");
        frames[i] = framed(buf_slice(&body), 0);
        memset(&calls[i], 0, sizeof calls[i]);
        calls[i].message = buf_slice(&frames[i]);
        assert_true(submit(&c, &calls[i], TRACES, NULL, NULL) > 0);
    }
    assert_true(run(&c, calls, 150));
    for (unsigned i = 0; i < 150; i++) {
        expect(&calls[i], "0");
        reset(&calls[i]);
        buf_free(&frames[i]);
    }
    disconnect(&c);
    assert_int_equal(post(t.port, "/api/v1/query", "", "{\"where\":\"service:many\",\"select\":[\"count\"]}", &out),
                     200);
    assert_has(&out, ",30000]");
}

/* --- what is wrong, told by its code --- */

static void tells_what_is_wrong(void **state) {
    struct call call;
    struct buf junk = framed(SLICE("\xff\xff\xff\xff"), 0), empty = framed(SLICE(""), 0), huge = framed(SLICE(""), 0);
    ask(t.grpc_port, &call, TRACES, buf_slice(&empty), NULL, NULL);
    expect(&call, "0"); /* a request without spans is a request */
    reset(&call);
    ask(t.grpc_port, &call, TRACES, buf_slice(&junk), NULL, NULL);
    expect(&call, "3");
    assert_true(call.text.len > 0);
    assert_memory_equal(call.details, "CAM", 3); /* google.rpc.Status {1: 3, … */
    reset(&call);
    ask(t.grpc_port, &call, TRACES, SLICE("\0\0\0"), NULL, NULL);
    expect(&call, "3");
    reset(&call);
    ask(t.grpc_port, &call, TRACES, SLICE("\0\0\0\0\0trailing"), NULL, NULL);
    expect(&call, "3");
    reset(&call);
    memcpy(huge.ptr, "\0\x7f\xff\xff\xff", 5); /* 2 GB are announced */
    ask(t.grpc_port, &call, TRACES, buf_slice(&huge), NULL, NULL);
    expect(&call, "3");
    assert_non_null(strstr(buf_cstr(&call.text), "--max-body"));
    reset(&call);
    ask(t.grpc_port, &call, "/opentelemetry.proto.collector.trace.v1.TraceService/Import", buf_slice(&empty), NULL,
        NULL);
    expect(&call, "12");
    reset(&call);
    ask(t.grpc_port, &call, TRACES, buf_slice(&empty), "authorization", "Bearer vt_abcdefgh_wrong");
    expect(&call, "16");
    reset(&call);
    buf_free(&junk), buf_free(&empty), buf_free(&huge);
}

static void asks_for_a_key_and_its_scope(void **state) {
    struct test_server keyed;
    struct store *store = NULL;
    struct keys *keys = NULL;
    struct error err;
    struct call call;
    char send_key[KEY_TEXT_MAX], read_key[KEY_TEXT_MAX], bearer[80];
    struct buf empty = framed(SLICE(""), 0);
    test_server_init(&keyed);
    assert_int_equal(store_open(&store, &(struct store_options){.dir = keyed.dir}, &err), 0);
    assert_int_equal(keys_open(&keys, store_catalog_path(store), &err), 0);
    store_close(store);
    assert_int_equal(keys_add(keys, "s", "", SCOPE_INGEST, send_key, NULL, &err), 0);
    assert_int_equal(keys_add(keys, "r", "", SCOPE_READ, read_key, NULL, &err), 0);
    keys_close(keys);
    keyed.options.grpc = "127.0.0.1:0";
    keyed.options.require_key = true;
    test_server_start(&keyed);
    ask(keyed.grpc_port, &call, TRACES, buf_slice(&empty), NULL, NULL);
    expect(&call, "16");
    reset(&call);
    ask(keyed.grpc_port, &call, TRACES, buf_slice(&empty), "x-api-key", read_key);
    expect(&call, "7");
    reset(&call);
    snprintf(bearer, sizeof bearer, "Bearer %s", send_key);
    ask(keyed.grpc_port, &call, TRACES, buf_slice(&empty), "authorization", bearer);
    expect(&call, "0");
    reset(&call);
    buf_free(&empty);
    test_server_free(&keyed);
}

static void says_no_in_http_to_what_is_no_grpc(void **state) {
    struct connection c;
    struct call call = {0};
    const nghttp2_nv headers[] = {PAIR(":method", "GET"), PAIR(":scheme", "http"), PAIR(":path", "/"),
                                  PAIR(":authority", "localhost")};
    connect_to(&c, t.grpc_port);
    assert_true(nghttp2_submit_request(c.ng, NULL, headers, 4, NULL, &call) > 0);
    assert_true(run(&c, &call, 1));
    assert_string_equal(call.http_status, "405");
    disconnect(&c);
    int fd = client_connect(t.grpc_port); /* HTTP/1.1 on the wrong port */
    client_send(fd, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    char bytes[256];
    while (recv(fd, bytes, sizeof bytes, 0) > 0) continue;
    close(fd);
}

/* --- games --- */

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define SETTINGS "\0\0\0\4\0\0\0\0\0"

static int preface(void) { /* of the server that is not hasty: only its rules end these */
    int fd = client_connect(t.grpc_port);
    assert_true(send(fd, PREFACE, sizeof PREFACE - 1, MSG_NOSIGNAL) > 0);
    assert_true(send(fd, SETTINGS, sizeof SETTINGS - 1, MSG_NOSIGNAL) > 0);
    return fd;
}

static void put_frame(struct buf *frames, unsigned type, unsigned flags, uint32_t stream, struct slice payload) {
    char head[9] = {(char)(payload.len >> 16), (char)(payload.len >> 8), (char)payload.len,   (char)type,  (char)flags,
                    (char)(stream >> 24),      (char)(stream >> 16),     (char)(stream >> 8), (char)stream};
    buf_put(frames, head, 9);
    buf_put_slice(frames, payload);
}

/* Sends it all and reads to the end; true when the server closed the connection in time. */
static bool is_thrown_out(int fd, const struct buf *frames) {
    char bytes[4096];
    for (size_t at = 0; at < frames->len;) {
        ssize_t sent = send(fd, frames->ptr + at, frames->len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0)
            at += (size_t)sent;
        else if (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) == 0)
            break;
        else if (sent < 0 && errno != EAGAIN)
            break;
        else
            usleep(100);
    }
    ssize_t len;
    while ((len = recv(fd, bytes, sizeof bytes, 0)) > 0) continue;
    bool out_of_time = len < 0 && errno == EAGAIN;
    close(fd);
    return !out_of_time;
}

/* ":method: POST", ":scheme: http", ":path: /", by the static table. */
#define SMALL_HEADERS "\x83\x86\x84"

static void throws_out_rapid_resets(void **state) {
    struct buf frames = {0};
    for (uint32_t stream = 1; stream < 20001; stream += 2) {
        put_frame(&frames, 1, 4, stream, SLICE(SMALL_HEADERS));
        put_frame(&frames, 3, 0, stream, SLICE("\0\0\0\x08"));
    }
    assert_true(is_thrown_out(preface(), &frames));
    buf_free(&frames);
}

static void throws_out_endless_headers(void **state) {
    struct buf frames = {0};
    char piece[1024];
    memset(piece, 0, sizeof piece);
    put_frame(&frames, 1, 0, 1, SLICE(SMALL_HEADERS));                       /* no END_HEADERS */
    for (int i = 0; i < 100000; i++) put_frame(&frames, 9, 0, 1, SLICE("")); /* empty CONTINUATIONs */
    assert_true(is_thrown_out(preface(), &frames));
    buf_clear(&frames);
    put_frame(&frames, 1, 0, 1, SLICE(SMALL_HEADERS));
    /* "x: aaa…" of 1,000 bytes, not indexed, again and again */
    memcpy(piece, "\0\1x\x7f\xe9\6", 6);
    memset(piece + 6, 'a', 1000);
    for (int i = 0; i < 2000; i++) put_frame(&frames, 9, 0, 1, slice_make(piece, 1006));
    assert_true(is_thrown_out(preface(), &frames));
    buf_free(&frames);
}

static void throws_out_floods_of_small_frames(void **state) {
    static const struct {
        unsigned type;
        struct slice payload;
    } kinds[] = {{6, {"12345678", 8}}, {4, {"", 0}}, {8, {"\0\0\0\1", 4}}, {2, {"\0\0\0\3\1", 5}}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct buf frames = {0};
        for (int i = 0; i < 20000; i++)
            put_frame(&frames, kinds[k].type, 0, kinds[k].type == 2 ? 1 : 0, kinds[k].payload);
        if (!is_thrown_out(preface(), &frames)) fail_msg("frames of type %u may come without end", kinds[k].type);
        buf_free(&frames);
    }
}

/* A server that waits for nobody long. */
static void start_hasty(struct test_server *hasty) {
    test_server_init(hasty);
    hasty->options.grpc = "127.0.0.1:0";
    hasty->options.header_timeout_ms = 300;
    hasty->options.body_timeout_ms = 600;
    test_server_start(hasty);
}

/* A call without its message, and another after it on the same connection; that one's status, "" when there was none.
 */
static void call_after_a_late_one(uint16_t port, char status[8]) {
    struct connection c;
    struct call call = {0}, other = {0};
    const nghttp2_nv headers[] = {PAIR(":method", "POST"), PAIR(":scheme", "http"), PAIR(":path", TRACES),
                                  PAIR(":authority", "localhost"), PAIR("content-type", "application/grpc")};
    struct buf empty = framed(SLICE(""), 0);
    status[0] = 0;
    connect_to(&c, port);
    if (nghttp2_submit_headers(c.ng, NGHTTP2_FLAG_NONE, -1, NULL, headers, 5, &call) > 0 && run(&c, &call, 1)) {
        expect(&call, "4");
        other.message = buf_slice(&empty);
        assert_true(submit(&c, &other, TRACES, NULL, NULL) > 0);
        if (run(&c, &other, 1)) snprintf(status, 8, "%s", other.status);
    }
    reset(&call);
    reset(&other);
    disconnect(&c);
    buf_free(&empty);
}

static void gives_up_on_slow_and_silent_senders(void **state) {
    struct test_server hasty;
    struct buf none = {0};
    char status[8] = "";
    start_hasty(&hasty);
    assert_true(is_thrown_out(client_connect(hasty.grpc_port), &none)); /* says nothing at all */
    /* A machine that does not come to us for half a second makes us a slow sender too; not each time. */
    for (int i = 0; i < 50 && strcmp(status, "0") != 0; i++) call_after_a_late_one(hasty.grpc_port, status);
    assert_string_equal(status, "0");
    test_server_free(&hasty);
}

/* A sender that opens no window for its answers does not keep them, or their memory, for ever. */
static void does_not_wait_for_windows_that_never_open(void **state) {
    struct test_server hasty;
    struct connection c;
    struct call call = {0};
    const nghttp2_settings_entry shut[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0}};
    struct buf empty = framed(SLICE(""), 0);
    bool ended = false;
    start_hasty(&hasty);
    for (int i = 0; i < 50 && !ended; i++) { /* as above */
        reset(&call);
        call.message = buf_slice(&empty);
        connect_to(&c, hasty.grpc_port);
        nghttp2_submit_settings(c.ng, NGHTTP2_FLAG_NONE, shut, 1);
        assert_true(submit(&c, &call, TRACES, NULL, NULL) > 0);
        ended = run(&c, &call, 1) && strcmp(call.status, "4") != 0;
        disconnect(&c);
    }
    assert_true(ended);
    assert_int_equal(call.error_code, NGHTTP2_CANCEL);
    reset(&call);
    buf_free(&empty);
    test_server_free(&hasty);
}

static bool holds_no_bodies(void) {
    assert_int_equal(get(t.port, "/api/v1/status", "", &out), 200);
    return strstr(buf_cstr(&out), "\"bodies_bytes\":0,") != NULL;
}

static void serves_others_after_all_that(void **state) {
    takes_spans_and_finds_them_again(state);
    client_wait_for(holds_no_bodies);
}

static void finishes_calls_when_it_stops(void **state) {
    struct connection c;
    struct call call = {0};
    buf_clear(&body);
    put_otlp(&body, 1000, 77, "last");
    struct buf frame = framed(buf_slice(&body), 0);
    connect_to(&c, t.grpc_port);
    call.message = buf_slice(&frame);
    assert_true(submit(&c, &call, TRACES, NULL, NULL) > 0);
    assert_true(run(&c, &call, 1));
    expect(&call, "0");
    test_server_stop(&t);
    char bytes[64];
    while (recv(c.fd, bytes, sizeof bytes, 0) > 0) continue; /* GOAWAY, and the end */
    test_server_start(&t);
    assert_true(is_stored("01020304004d0708090a0b0000000f10"));
    reset(&call);
    disconnect(&c);
    buf_free(&frame);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_spans_and_finds_them_again),
        cmocka_unit_test(takes_gzip),
        cmocka_unit_test(serves_many_calls_of_one_connection),
        cmocka_unit_test(tells_what_is_wrong),
        cmocka_unit_test(asks_for_a_key_and_its_scope),
        cmocka_unit_test(says_no_in_http_to_what_is_no_grpc),
        cmocka_unit_test(throws_out_rapid_resets),
        cmocka_unit_test(throws_out_endless_headers),
        cmocka_unit_test(throws_out_floods_of_small_frames),
        cmocka_unit_test(gives_up_on_slow_and_silent_senders),
        cmocka_unit_test(does_not_wait_for_windows_that_never_open),
        cmocka_unit_test(serves_others_after_all_that),
        cmocka_unit_test(finishes_calls_when_it_stops),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
