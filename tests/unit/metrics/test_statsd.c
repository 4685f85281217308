/* Datagrams as a real UDP listener receives them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "metrics/statsd_spans.h"
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listener;
static struct statsd statsd;
static struct batch *batch;
static char lines[2000][512];
static size_t line_count;

static int start(void **state) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    char text[64];
    struct timeval wait = {60, 0};
    listener = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(listener, (struct sockaddr *)&address, size) || getsockname(listener, (struct sockaddr *)&address, &size))
        return -1;
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    snprintf(text, sizeof text, "127.0.0.1:%d", ntohs(address.sin_port));
    batch = batch_new();
    line_count = 0;
    return statsd_open(&statsd, text, false, NULL);
}

static int stop(void **state) {
    statsd_close(&statsd);
    close(listener);
    batch_unref(batch);
    return 0;
}

/* Takes one packet; false: none is there, after a minute when `must`. */
static bool take_packet(bool must) {
    char packet[65536], *line;
    ssize_t len = recv(listener, packet, sizeof packet - 1, must ? 0 : MSG_DONTWAIT);
    if (len <= 0) return false;
    assert_true(len <= STATSD_PACKET_MAX);
    packet[len] = 0;
    for (char *rest = packet; (line = strsep(&rest, "\n"));) snprintf(lines[line_count++], sizeof *lines, "%s", line);
    return true;
}

/* Takes packets until there are so many lines, and those that are there besides. */
static void receive(size_t count) {
    while (line_count < count && take_packet(true)) continue;
    while (take_packet(false)) continue;
}

static bool received(const char *wanted) {
    for (size_t i = 0; i < line_count; i++)
        if (strcmp(lines[i], wanted) == 0) return true;
    return false;
}

static void spans_become_the_storefronts_metrics(void **state) {
    struct span *call = batch_add(batch);
    call->kind = KIND_LLM, call->status = STATUS_ERROR, call->duration_ns = 4283000000, call->tokens_input = 100,
    call->tokens_output = 50;
    call->cost_usd = 0.5;
    *span_text(call, COL_SERVICE) = SLICE("ai-storefront");
    *span_text(call, COL_MODEL) = SLICE("a|b,c d");
    struct span *turn = batch_add(batch);
    turn->kind = KIND_TURN, turn->status = STATUS_OK, turn->duration_ns = 5000000, turn->sample_rate = 0.25;
    *span_text(turn, COL_SERVICE) = SLICE("ai-storefront");
    statsd_put_batch(&statsd, batch);
    receive(8);
    assert_true(received("ai_storefront.llm.requests:1|c|#service:ai-storefront,model:a_b_c_d,status:ERROR"));
    assert_true(received("ai_storefront.llm.duration:4283|d|#service:ai-storefront,model:a_b_c_d,status:ERROR"));
    assert_true(received("ai_storefront.llm.errors:1|c|#service:ai-storefront,model:a_b_c_d,status:ERROR"));
    assert_true(received("ai_storefront.llm.tokens:150|c|#service:ai-storefront,model:a_b_c_d,status:ERROR"));
    assert_true(received("ai_storefront.llm.cost:0.5|c|#service:ai-storefront,model:a_b_c_d,status:ERROR"));
    assert_true(received("ai_storefront.chat.turns:1|c|@0.25|#service:ai-storefront,status:OK"));
    assert_true(received("ai_storefront.chat.fallbacks:1|c|@0.25|#service:ai-storefront,status:OK"));
    assert_int_equal(line_count, 8);
}

static void packets_stay_within_the_limit_and_lines_whole(void **state) {
    char name[64];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "metric.%d", i);
        statsd_put(&statsd, slice_of(name), i, "g", 1, NULL, 0);
    }
    statsd_flush(&statsd);
    receive(500);
    assert_int_equal(line_count, 500);
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "metric.%d:%d|g", i, i);
        assert_true(received(name));
    }
    assert_true(statsd.packets < 10);
}

static void line_too_long_for_any_packet_is_dropped_and_counted(void **state) {
    char name[2000];
    memset(name, 'x', sizeof name);
    statsd_put(&statsd, slice_make(name, sizeof name), 1, "c", 1, NULL, 0);
    statsd_flush(&statsd);
    assert_true(statsd.dropped == 1 && statsd.packets == 0);
}

static void bad_addresses_are_refused(void **state) {
    static const char *const bad[] = {"", "localhost", ":8125", "127.0.0.1:port", "unix:///nowhere/at/all"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct statsd s;
        struct error err = {0};
        assert_true(statsd_open(&s, bad[i], false, &err) < 0);
        assert_non_null(strstr(err.message, "StatsD"));
    }
}

static int bind_unix(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void send_gauge(struct statsd *s, const char *name) {
    statsd_put(s, slice_of(name), 1, "g", 1, NULL, 0);
    statsd_flush(s);
}

static void assert_gets(int fd, const char *wanted) {
    char packet[2000];
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, 20000), 1);
    ssize_t len = recv(fd, packet, sizeof packet - 1, 0);
    assert_true(len > 0);
    packet[len] = 0;
    assert_string_equal(packet, wanted);
}

static void unix_listener_may_come_late_go_and_come_back(void **state) {
    char dir[] = "/tmp/vt-statsd-XXXXXX", path[64], address[80];
    struct statsd s;
    struct error err = {0};
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/statsd.sock", dir);
    snprintf(address, sizeof address, "unix://%s", path);
    if (statsd_open(&s, address, false, &err)) fail_msg("%s", err.message);
    send_gauge(&s, "early");
    assert_int_equal(s.dropped, 1);
    for (int i = 0; i < 3; i++) {
        int fd = bind_unix(path);
        send_gauge(&s, "first");
        assert_gets(fd, "first:1|g");
        send_gauge(&s, "second");
        assert_gets(fd, "second:1|g");
        close(fd);
        send_gauge(&s, "nobody"); /* the file is there, its listener is not */
        unlink(path);
        send_gauge(&s, "nobody");
    }
    assert_int_equal(s.packets, 6);
    assert_int_equal(s.dropped, 7);
    statsd_close(&s);
    rmdir(dir);
}

static void listener_that_does_not_read_blocks_nobody(void **state) {
    char dir[] = "/tmp/vt-statsd-XXXXXX", path[64], address[80];
    struct statsd s;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/statsd.sock", dir);
    snprintf(address, sizeof address, "unix://%s", path);
    int fd = bind_unix(path);
    assert_int_equal(statsd_open(&s, address, false, NULL), 0);
    for (int i = 0; i < 10000; i++) send_gauge(&s, "many"); /* returns at all: nothing blocks */
    assert_true(s.packets > 0 && s.dropped > 0 && s.packets + s.dropped == 10000);
    assert_gets(fd, "many:1|g");
    send_gauge(&s, "again");
    statsd_close(&s);
    close(fd);
    unlink(path);
    rmdir(dir);
}

static void udp_listener_may_go_and_come_back(void **state) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    for (int i = 0; i < 3; i++) {
        close(listener);
        for (int k = 0; k < 5; k++) send_gauge(&statsd, "nobody");
        listener = socket(AF_INET, SOCK_DGRAM, 0);
        assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
        send_gauge(&statsd, "first"); /* the very first one arrives, whatever became of those before */
        assert_gets(listener, "first:1|g");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(spans_become_the_storefronts_metrics, start, stop),
        cmocka_unit_test_setup_teardown(packets_stay_within_the_limit_and_lines_whole, start, stop),
        cmocka_unit_test_setup_teardown(line_too_long_for_any_packet_is_dropped_and_counted, start, stop),
        cmocka_unit_test_setup_teardown(udp_listener_may_go_and_come_back, start, stop),
        cmocka_unit_test(unix_listener_may_come_late_go_and_come_back),
        cmocka_unit_test(listener_that_does_not_read_blocks_nobody),
        cmocka_unit_test(bad_addresses_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
