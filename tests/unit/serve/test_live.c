/* Live viewers over real WebSockets: the handshake, filters, losses that are told, pings, and what viewers may not do.
 */
#include "server_test.h"

#include "base/timestamp.h"

#include <sys/socket.h>

#define JSON "Content-Type: application/json\r\n"
#define SHAKE                                                                                                          \
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "                    \
    "dGhlIHNhbXBsZSBub25jZQ==\r\n"

static struct test_server t;
static struct buf out, body;

static int start(void **state) {
    test_server_init(&t);
    t.options.live_clients_max = 4;
    test_server_start(&t);
    return 0;
}

static int stop(void **state) {
    test_server_free(&t);
    buf_free(&out);
    buf_free(&body);
    return 0;
}

static int read_exactly(int fd, void *data, size_t len) {
    return recv(fd, data, len, MSG_WAITALL) == (ssize_t)len ? 0 : -1;
}

/* Opens a viewer; reads the handshake byte by byte so that no frame behind it is lost. */
static int watch(const char *query, int expected) {
    struct buf request = {0};
    int fd = client_connect(t.port);
    buf_printf(&request,
               "GET /api/v1/live%s HTTP/1.1\r\n" HOST SHAKE "Sec-WebSocket-Protocol: vitrine.live, other\r\n\r\n",
               query);
    client_send(fd, buf_cstr(&request));
    buf_free(&request);
    buf_clear(&out);
    char c;
    while (!(out.len >= 4 && memcmp(out.ptr + out.len - 4, "\r\n\r\n", 4) == 0) && recv(fd, &c, 1, 0) == 1)
        buf_putc(&out, c);
    if (atoi(buf_cstr(&out) + 9) != expected) fail_msg("%s", out.ptr);
    return fd;
}

struct frame {
    unsigned opcode;
    bool fin;
    size_t len;
};

static void put_message(struct buf *bytes, unsigned opcode, struct slice text) {
    static const uint8_t mask[4] = {1, 2, 3, 4};
    uint8_t frame[10] = {(uint8_t)(0x80 | opcode)};
    size_t at = 2;
    if (text.len < 126)
        frame[1] = (uint8_t)(0x80 | text.len);
    else if (text.len < 65536)
        frame[1] = 0x80 | 126, frame[at++] = (uint8_t)(text.len >> 8), frame[at++] = (uint8_t)text.len;
    else {
        frame[1] = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8) frame[at++] = (uint8_t)(text.len >> shift);
    }
    buf_put(bytes, frame, at);
    buf_put(bytes, mask, sizeof mask);
    for (size_t i = 0; i < text.len; i++) buf_putc(bytes, (char)(text.ptr[i] ^ mask[i % 4]));
}

/* All at once, so that the rate is beyond what is allowed however slow the machine is. */
static void say_many(int fd, unsigned count, struct slice text) {
    struct buf bytes = {0};
    while (count--) put_message(&bytes, 1, text);
    send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
    buf_free(&bytes);
}

static void say(int fd, unsigned opcode, struct slice text) {
    struct buf bytes = {0};
    put_message(&bytes, opcode, text);
    send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
    buf_free(&bytes);
}

static struct frame next_of_all(int fd) {
    uint8_t head[2], length[8];
    struct frame f = {.opcode = 16};
    buf_clear(&body);
    if (read_exactly(fd, head, 2)) return f;
    f.opcode = head[0] & 15;
    f.fin = head[0] & 0x80;
    f.len = head[1] & 0x7f;
    assert_false(head[1] & 0x80); /* servers do not mask */
    unsigned wide = f.len == 126 ? 2 : f.len == 127 ? 8 : 0;
    if (wide) {
        assert_int_equal(read_exactly(fd, length, wide), 0);
        f.len = 0;
        for (unsigned i = 0; i < wide; i++) f.len = f.len << 8 | length[i];
    }
    assert_true(buf_reserve(&body, f.len + 1));
    assert_int_equal(f.len ? read_exactly(fd, body.ptr, f.len) : 0, 0);
    body.len = f.len;
    buf_cstr(&body);
    return f;
}

/* The next frame; its content is in body. Opcode 16: the connection has ended. Pings, of which there is one every 20 s,
 * are answered and passed over. */
static struct frame next(int fd) {
    for (;;) {
        struct frame f = next_of_all(fd);
        if (f.opcode != 9) return f;
        say(fd, 10, buf_slice(&body));
    }
}

static void send_line(const char *operation) {
    struct buf line = {0}, answer = {0};
    put_line(&line, "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", operation);
    assert_int_equal(post_bytes(t.port, "/ingest/logs", "", buf_slice(&line), &answer), 200);
    buf_free(&line);
    buf_free(&answer);
}

static void shows_spans_as_they_come(void **state) {
    int fd = watch("", 101);
    assert_has(&out, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"); /* RFC 6455 §1.3 */
    assert_has(&out, "Sec-WebSocket-Protocol: vitrine.live\r\n");
    send_line("chat.hello");
    struct frame f = next(fd);
    assert_int_equal(f.opcode, 1);
    assert_true(f.fin);
    assert_has(&body, "{\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"span_id\":\"00f067aa0ba902b7\"");
    assert_has(&body, "\"operation\":\"chat.hello\"");
    close(fd);
}

static void shows_each_viewer_what_it_asked_for(void **state) {
    int all = watch("", 101), some = watch("?q=operation:wanted", 101);
    send_line("other");
    send_line("wanted");
    next(all);
    assert_has(&body, "\"operation\":\"other\"");
    next(some);
    assert_has(&body, "\"operation\":\"wanted\"");
    say(some, 1, SLICE("{\"q\":\"operation:other\"}"));
    say(some, 9, SLICE("mark")); /* once the pong is there, the filter is in force */
    assert_int_equal(next(some).opcode, 10);
    assert_has(&body, "mark");
    send_line("wanted");
    send_line("other");
    next(some);
    assert_has(&body, "\"operation\":\"other\"");
    close(all), close(some);
}

static void explains_what_it_does_not_understand(void **state) {
    int fd = watch("", 101);
    say(fd, 1, SLICE("{\"q\":\"status:bad\"}"));
    next(fd);
    assert_has(&body, "{\"error\":{\"code\":\"invalid\"");
    assert_has(&body, "\"column\":8");
    say(fd, 1, SLICE("hello"));
    next(fd);
    assert_has(&body, "{\"error\":");
    say(fd, 1, SLICE("{\"a\":1}"));
    next(fd);
    assert_has(&body, "expected {\\\"q\\\":");
    send_line("still.here");
    next(fd);
    assert_has(&body, "still.here");
    close(fd);
    close(watch("?q=status:bad", 400));
}

static void refuses_what_is_no_websocket(void **state) {
    assert_int_equal(get(t.port, "/api/v1/live", "", &out), 426);
    assert_int_equal(get(t.port, "/api/v1/live",
                         "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: "
                         "dGhlIHNhbXBsZSBub25jZQ==\r\n",
                         &out),
                     426);
    assert_int_equal(
        get(t.port, "/api/v1/live",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n", &out),
        426);
}

static unsigned viewers(void) {
    assert_int_equal(get(t.port, "/api/v1/status", "", &out), 200);
    const char *at = strstr(buf_cstr(&out), "\"live_clients\":");
    return at ? (unsigned)atoi(at + 15) : 999;
}

static void wait_for_viewers(unsigned count) {
    for (int i = 0; i < 6000 && viewers() != count; i++) usleep(10000);
    assert_int_equal(viewers(), count);
}

static void bounds_viewers_and_forgets_those_who_left(void **state) {
    int fds[4];
    wait_for_viewers(0);
    for (int i = 0; i < 4; i++) fds[i] = watch("", 101);
    wait_for_viewers(4);
    close(watch("", 503));
    assert_has(&out, "Retry-After");
    close(fds[0]); /* without a word */
    say(fds[1], 8,
        SLICE("\x03\xe8"
              "bye"));
    assert_int_equal(next(fds[1]).opcode, 8); /* its own words come back */
    assert_int_equal(next(fds[1]).opcode, 16);
    wait_for_viewers(2);
    close(watch("", 101));
    for (int i = 1; i < 4; i++) close(fds[i]);
    wait_for_viewers(0);
}

static void closes_on_those_who_break_the_rules(void **state) {
    int fd = watch("", 101);
    send(fd, "\x81\x02hi", 4, MSG_NOSIGNAL); /* not masked */
    assert_int_equal(next(fd).opcode, 8);
    close(fd);
    fd = watch("", 101);
    char *huge = calloc(1, 200000);
    say(fd, 1, slice_make(huge, 200000));
    free(huge);
    assert_int_equal(next(fd).opcode, 8);
    assert_int_equal((uint8_t)body.ptr[0] << 8 | (uint8_t)body.ptr[1], 1009);
    close(fd);
    fd = watch("", 101);
    say_many(fd, 200, SLICE("{\"q\":\"\"}"));
    assert_int_equal(next(fd).opcode, 8);
    assert_int_equal((uint8_t)body.ptr[0] << 8 | (uint8_t)body.ptr[1], 1008);
    close(fd);
}

static uint64_t lost(void) {
    assert_int_equal(get(t.port, "/metrics", "", &out), 200);
    const char *at = strstr(buf_cstr(&out), "\nvitrine_live_spans_dropped_total ");
    assert_non_null(at);
    return strtoull(strchr(at + 1, ' '), NULL, 10);
}

static void tells_slow_viewers_what_they_lost(void **state) {
    struct buf spans = {0}, answer = {0};
    uint64_t seen = 0, dropped = 0, total = 0, before = lost();
    int fd = watch("?q=service:flood", 101);
    /* Nobody reads meanwhile: however much room the system gives to what is on its way, it is full at some time. */
    for (unsigned i = 0; i < 8 || (i < 200 && lost() == before); i++) {
        buf_clear(&spans);
        put_otlp(&spans, 2000, 1000 + i, "flood");
        assert_int_equal(
            post_bytes(t.port, "/v1/traces", "Content-Type: application/x-protobuf\r\n", buf_slice(&spans), &answer),
            200);
        total += 2000;
    }
    while (seen + dropped < total && next(fd).opcode == 1) {
        if (strncmp(body.ptr, "{\"dropped\":", 11) == 0)
            dropped += strtoull(body.ptr + 11, NULL, 10);
        else
            seen++;
    }
    assert_int_equal(seen + dropped, total);
    assert_true(dropped > 0);
    assert_true(seen > 0);
    close(fd);
    buf_free(&spans);
    buf_free(&answer);
}

static void says_goodbye_when_the_server_stops(void **state) {
    int fd = watch("", 101);
    test_server_stop(&t);
    assert_int_equal(next(fd).opcode, 8);
    assert_int_equal((uint8_t)body.ptr[0] << 8 | (uint8_t)body.ptr[1], 1001);
    assert_int_equal(next(fd).opcode, 16);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_spans_as_they_come),
        cmocka_unit_test(shows_each_viewer_what_it_asked_for),
        cmocka_unit_test(explains_what_it_does_not_understand),
        cmocka_unit_test(refuses_what_is_no_websocket),
        cmocka_unit_test(bounds_viewers_and_forgets_those_who_left),
        cmocka_unit_test(closes_on_those_who_break_the_rules),
        cmocka_unit_test(tells_slow_viewers_what_they_lost),
        cmocka_unit_test(says_goodbye_when_the_server_stops),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
