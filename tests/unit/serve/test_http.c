/* The HTTP core over real sockets: routes, bodies and their limits, answers that come later, streams, slow senders, the
 * end. */
#include "client.h"
#include "serve/http.h"

#include "base/timestamp.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct http *http;
static uint16_t port;
static atomic_int gone_count, held_count;
static sem_t go; /* one post lets one held request be answered */

static void echo(struct request *request) {
    struct buf body = request->body;
    memset(&request->body, 0, sizeof request->body);
    request_answer(request, 200, "text/plain", &body);
}

static void say(struct request *request) {
    struct buf body = {0};
    buf_printf(&body, "%.*s|%.*s", (int)request->rest.len, request->rest.ptr, (int)request_query(request, "q").len,
               request_query(request, "q").ptr);
    request_answer(request, 200, "text/plain", &body);
}

struct later {
    struct loop_task task;
    struct request *request;
    pthread_t thread;
};

static void answer_later(struct loop_task *task) {
    struct later *later = container_of(task, struct later, task);
    pthread_detach(later->thread);
    request_answer_static(later->request, 200, "text/plain", SLICE("later"));
}

static void *work(void *arg) {
    struct later *later = arg;
    while (sem_wait(&go) != 0) continue;
    loop_post(http_loop_of(later->request->loop), &later->task);
    return NULL;
}

static void on_gone(struct request *request, void *ctx) {
    atomic_fetch_add(&gone_count, 1);
}

static void hold(struct request *request) {
    struct later *later = arena_calloc(&request->arena, 1, sizeof *later);
    later->request = request;
    later->task.run = answer_later;
    request_hold(request);
    request_on_gone(request, on_gone, NULL);
    atomic_fetch_add(&held_count, 1);
    pthread_create(&later->thread, NULL, work, later);
}

struct count {
    struct stream stream;
    struct loop_timer timer;
    struct request *request;
    int sent;
    bool ready;
};

static void count_due(struct loop_timer *timer) {
    struct count *count = container_of(timer, struct count, timer);
    count->ready = true;
    request_wake(count->request);
}

static ssize_t count_read(struct stream *stream, char *out, size_t size) {
    struct count *count = container_of(stream, struct count, stream);
    if (count->sent == 3) return -1;
    if (!count->ready) {
        loop_timer_set(http_loop_of(count->request->loop), &count->timer, time_monotonic_ns() + 5 * (int64_t)NS_PER_MS);
        return 0;
    }
    count->ready = false;
    return snprintf(out, size, "piece %d;", ++count->sent);
}

static void count_end(struct stream *stream) {
    struct count *count = container_of(stream, struct count, stream);
    loop_timer_stop(http_loop_of(count->request->loop), &count->timer);
}

static void stream(struct request *request) {
    struct count *count = arena_calloc(&request->arena, 1, sizeof *count);
    count->stream = (struct stream){count_read, count_end};
    count->timer.due = count_due;
    count->request = request;
    request_answer_stream(request, 200, "text/plain", -1, &count->stream);
}

static void upgraded(void *ctx, struct http_loop *loop, int fd, struct slice extra,
                     struct MHD_UpgradeResponseHandle *handle) {
    if (write(fd, "hello", 5) != 5) abort();
    http_upgrade_close(loop, handle);
}

static void upgrade(struct request *request) {
    request_add_header(request, "Upgrade", "test");
    request_upgrade(request, upgraded, NULL);
}

static void admit(struct request *request) {
    if (request->route->scope && request_header(request, "X-Key").len == 0)
        request_fail(request, 401, "denied", "give X-Key", "no key");
}

static const struct route routes[] = {{"/echo", METHOD_POST, echo, 0, 0, NULL},
                                      {"/say/*", METHOD_GET, say, 0, 0, NULL},
                                      {"/hold", METHOD_ANY, hold, 0, 0, NULL},
                                      {"/stream", METHOD_GET, stream, 0, 0, NULL},
                                      {"/upgrade", METHOD_GET, upgrade, 0, 0, NULL},
                                      {"/secret", METHOD_ANY, echo, 1, 0, NULL},
                                      {NULL, 0, NULL, 0, 0, NULL}};

enum { PATIENCE_MS = 120000, CONNECTIONS = 50 };

static int start_with(struct http **out, uint16_t *its_port, unsigned timeout_ms) {
    struct error err;
    struct http_config config = {.routes = routes,
                                 .admit = admit,
                                 .threads = 2,
                                 .body_bytes_max = 100000,
                                 .bodies_bytes_max = 1 << 20,
                                 .connections_max = 100,
                                 .connections_per_ip_max = CONNECTIONS,
                                 .header_timeout_ms = timeout_ms,
                                 .body_timeout_ms = timeout_ms,
                                 .idle_timeout_ms = PATIENCE_MS,
                                 .stop_timeout_ms = PATIENCE_MS};
    if (net_parse("127.0.0.1:0", &config.listen, &err) || http_start(out, &config, &err)) return -1;
    *its_port = net_port(&config.listen);
    return 0;
}

static int start(void **state) {
    sem_init(&go, 0, 0);
    return start_with(&http, &port, PATIENCE_MS);
}

static int stop(void **state) {
    http_stop(http);
    return 0;
}

#define HOST "Host: localhost\r\n"

static void ask(const char *request, int status, const char *part) {
    struct buf out = {0};
    assert_int_equal(client_ask(port, request, &out), status);
    if (!strstr(buf_cstr(&out), part)) fail_msg("\"%s\" is not in: %s", part, buf_cstr(&out));
    buf_free(&out);
}

static void routes_by_path_and_method(void **state) {
    ask("GET /say/a/b%20c?q=x%26y HTTP/1.1\r\n" HOST "\r\n", 200, "a/b c|x&y");
    ask("GET /nothing HTTP/1.1\r\n" HOST "\r\n", 404, "{\"error\":{\"code\":\"not_found\"");
    ask("GET /echo HTTP/1.1\r\n" HOST "\r\n", 405, "Allow: POST\r\n");
    ask("DELETE /echo HTTP/1.1\r\n" HOST "\r\n", 405, "\"hint\":\"use POST\"");
}

static void takes_bodies_with_and_without_a_length(void **state) {
    ask("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", 200, "\r\n\r\nhello");
    ask("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", 200,
        "\r\n\r\nhello");
    ask("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 200, "Content-Length: 0");
}

static void refuses_bodies_past_the_limit_with_a_reason(void **state) {
    struct buf request = {0};
    buf_puts(&request, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 200000\r\n\r\n");
    for (int i = 0; i < 20000; i++) buf_puts(&request, "0123456789");
    ask(buf_cstr(&request), 413, "--max-body");
    buf_clear(&request);
    buf_puts(&request, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 20000; i++) buf_puts(&request, "a\r\n0123456789\r\n");
    buf_puts(&request, "0\r\n\r\n");
    ask(buf_cstr(&request), 413, "--max-body");
    buf_free(&request);
    ask("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n", 413,
        "--max-body");
}

static void refuses_before_the_body_and_still_reads_it(void **state) {
    ask("POST /secret HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", 401, "give X-Key");
    ask("POST /secret HTTP/1.1\r\n" HOST "X-Key: k\r\nContent-Length: 5\r\n\r\nhello", 200, "\r\n\r\nhello");
}

static void keeps_connections_for_the_next_request(void **state) {
    struct buf out = {0};
    int fd = client_connect(port);
    for (int i = 0; i < 50; i++) {
        client_send(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello");
        assert_int_equal(client_read(fd, &out), 200);
    }
    sem_post(&go);
    client_send(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\nPOST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi");
    assert_int_equal(client_read(fd, &out), 200);
    assert_non_null(strstr(buf_cstr(&out), "later"));
    if (!strstr(buf_cstr(&out), "\r\n\r\nhi")) assert_int_equal(client_read(fd, &out), 200);
    assert_non_null(strstr(buf_cstr(&out), "\r\n\r\nhi"));
    close(fd);
    buf_free(&out);
}

static bool one_is_held(void) {
    return atomic_load(&held_count) == 1;
}
static bool one_is_gone(void) {
    return atomic_load(&gone_count) == 1;
}
static bool nobody_is_connected(void) {
    struct http_stats stats;
    http_get_stats(http, &stats);
    return stats.connections_open == 0;
}

static void answers_later_from_another_thread(void **state) {
    struct buf out = {0};
    int fd = client_connect(port);
    char byte;
    atomic_store(&held_count, 0);
    client_send(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    client_wait_for(one_is_held);
    ask("GET /say/ HTTP/1.1\r\n" HOST "\r\n", 200, "|"); /* others are answered meanwhile */
    assert_true(recv(fd, &byte, 1, MSG_DONTWAIT) < 0);
    sem_post(&go);
    assert_int_equal(client_read(fd, &out), 200);
    assert_non_null(strstr(buf_cstr(&out), "later"));
    close(fd);
    buf_free(&out);
}

static void tells_when_the_client_of_a_held_request_goes(void **state) {
    int fd = client_connect(port);
    atomic_store(&held_count, 0), atomic_store(&gone_count, 0);
    client_send(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    client_wait_for(one_is_held);
    close(fd);
    client_wait_for(one_is_gone);
    sem_post(&go); /* its answer comes when nobody is there to read it */
    client_wait_for(nobody_is_connected);
    assert_int_equal(atomic_load(&gone_count), 1);
    ask("GET /say/ HTTP/1.1\r\n" HOST "\r\n", 200, "|");
}

static void streams_pieces_as_they_come(void **state) {
    ask("GET /stream HTTP/1.1\r\n" HOST "\r\n", 200, "piece 1;");
    ask("GET /stream HTTP/1.1\r\n" HOST "\r\n", 200, "piece 3;");
}

static void hands_upgraded_sockets_over(void **state) {
    struct buf out = {0};
    char text[6] = "";
    int fd = client_connect(port);
    client_send(fd, "GET /upgrade HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: test\r\n\r\n");
    assert_int_equal(client_read(fd, &out), 101);
    const char *body = strstr(buf_cstr(&out), "\r\n\r\n") + 4;
    if (!*body) {
        assert_int_equal(recv(fd, text, 5, MSG_WAITALL), 5);
        body = text;
    }
    assert_string_equal(body, "hello");
    close(fd);
    buf_free(&out);
}

static bool has_ended(int fd) {
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static struct http *strict; /* waits for nobody long */

static bool three_were_late(void) {
    struct http_stats stats;
    http_get_stats(strict, &stats);
    return stats.timeouts == 3;
}

static void closes_slow_senders(void **state) {
    uint16_t its_port;
    char byte;
    assert_int_equal(start_with(&strict, &its_port, 500), 0);
    int headers = client_connect(its_port), body = client_connect(its_port), half = client_connect(its_port);
    client_send(headers, "GET /say/ HTTP/1.1\r\nHos");
    client_send(body, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 90000\r\n\r\nhel");
    int64_t until_ns = time_monotonic_ns() + (int64_t)PATIENCE_MS * NS_PER_MS;
    while (recv(body, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN && time_monotonic_ns() < until_ns) {
        client_send(body, "x"); /* a byte now and then does not buy more time */
        usleep(50000);
    }
    assert_true(recv(headers, &byte, 1, 0) == 0 || errno != EAGAIN);
    assert_true(recv(body, &byte, 1, 0) == 0 || errno != EAGAIN);
    assert_true(recv(half, &byte, 1, 0) == 0 || errno != EAGAIN);
    client_wait_for(three_were_late);
    http_stop(strict);
    close(headers), close(body), close(half);
}

static int fds[CONNECTIONS + 10];

static bool those_too_many_have_ended(void) {
    int ended = 0;
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) ended += has_ended(fds[i]);
    return ended >= 10;
}

static void bounds_connections_of_one_address(void **state) {
    struct http_stats stats;
    client_wait_for(nobody_is_connected); /* those of tests before */
    http_get_stats(http, &stats);
    uint64_t refused = stats.connections_refused;
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) assert_true((fds[i] = client_connect(port)) >= 0);
    client_wait_for(those_too_many_have_ended);
    http_get_stats(http, &stats);
    assert_int_equal(stats.connections_refused - refused, 10);
    assert_int_equal(stats.connections_open, CONNECTIONS);
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) close(fds[i]);
    client_wait_for(nobody_is_connected);
    http_get_stats(http, &stats);
    assert_int_equal(stats.bodies_bytes, 0);
    ask("GET /say/ HTTP/1.1\r\n" HOST "\r\n", 200, "|");
}

static void refuses_a_port_that_is_taken(void **state) {
    struct http *second = NULL;
    struct error err;
    char address[32];
    struct http_config config = {.routes = routes, .threads = 1, .connections_max = 10};
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    assert_int_equal(net_parse(address, &config.listen, &err), 0);
    assert_int_equal(http_start(&second, &config, &err), VT_EIO);
    assert_non_null(strstr(err.message, address));
    assert_non_null(strstr(err.hint, "another program"));
}

/* Lets the held request be answered once no new connection is taken any more. */
static void *let_go_when_closed(void *arg) {
    int fd;
    while ((fd = client_connect(port)) >= 0) close(fd), usleep(1000);
    sem_post(&go);
    return NULL;
}

static void finishes_what_is_under_way_when_stopped(void **state) {
    struct buf out = {0};
    pthread_t thread;
    int fd = client_connect(port), idle = client_connect(port);
    atomic_store(&held_count, 0);
    client_send(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    client_wait_for(one_is_held);
    assert_int_equal(pthread_create(&thread, NULL, let_go_when_closed, NULL), 0);
    int64_t before_ns = time_monotonic_ns();
    http_stop(http);
    http = NULL;
    assert_true(time_monotonic_ns() - before_ns <
                PATIENCE_MS / 2 * (int64_t)NS_PER_MS); /* it waits for the idle one no longer */
    pthread_join(thread, NULL);
    assert_int_equal(client_read(fd, &out), 200);
    assert_non_null(strstr(buf_cstr(&out), "later"));
    close(fd), close(idle);
    buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_by_path_and_method),
        cmocka_unit_test(takes_bodies_with_and_without_a_length),
        cmocka_unit_test(refuses_bodies_past_the_limit_with_a_reason),
        cmocka_unit_test(refuses_before_the_body_and_still_reads_it),
        cmocka_unit_test(keeps_connections_for_the_next_request),
        cmocka_unit_test(answers_later_from_another_thread),
        cmocka_unit_test(tells_when_the_client_of_a_held_request_goes),
        cmocka_unit_test(streams_pieces_as_they_come),
        cmocka_unit_test(hands_upgraded_sockets_over),
        cmocka_unit_test(closes_slow_senders),
        cmocka_unit_test(bounds_connections_of_one_address),
        cmocka_unit_test(refuses_a_port_that_is_taken),
        cmocka_unit_test(finishes_what_is_under_way_when_stopped),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
