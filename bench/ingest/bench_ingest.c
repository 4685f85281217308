/* HTTP to durable: sends OTLP protobuf requests to a server over keep-alive connections, from one thread, and measures
 * what came back. Every span is sent once (see bodies.h).
 *
 *     bench_ingest HOST PORT CONNECTIONS SECONDS [SPANS_PER_REQUEST] [SERVER_PID]
 *
 * One line: connections, spans a second, p50 and p99 of a request, refusals (503), and of the server: CPU and peak RSS.
 */
#include "load.h"

#include "base/timestamp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { ANSWER_BYTES = 4096 };

struct connection {
    int fd;
    struct body *body; /* under way; a body belongs to one connection */
    char head[256];
    size_t head_bytes, sent, answer_bytes;
    char answer[ANSWER_BYTES];
    int64_t since_ns;
    bool writing;
};

static struct connection connections[LOAD_CONNECTIONS_MAX];
static int epoll;

static void watch(struct connection *c, bool writing) {
    struct epoll_event event = {.events = writing ? EPOLLOUT : EPOLLIN, .data.ptr = c};
    if (c->writing != writing && epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event)) load_stop("epoll");
    c->writing = writing;
}

static void begin(struct connection *c, bool again) {
    if (!again) c->body = load_take();
    c->head_bytes = (size_t)snprintf(c->head, sizeof c->head,
                                     "POST /v1/traces HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
                                     "application/x-protobuf\r\nContent-Length: %zu\r\n\r\n",
                                     c->body->bytes.len);
    c->sent = c->answer_bytes = 0;
    c->since_ns = time_monotonic_ns();
    watch(c, true);
}

static void go_on_sending(struct connection *c) {
    size_t whole = c->head_bytes + c->body->bytes.len;
    while (c->sent < whole) {
        bool head = c->sent < c->head_bytes;
        const char *from = head ? c->head + c->sent : c->body->bytes.ptr + (c->sent - c->head_bytes);
        ssize_t n =
            send(c->fd, from, head ? c->head_bytes - c->sent : whole - c->sent, MSG_NOSIGNAL | (head ? MSG_MORE : 0));
        if (n < 0 && errno == EAGAIN) return;
        if (n < 0) load_stop("send");
        c->sent += (size_t)n;
    }
    watch(c, false);
}

/* The status, once the answer is whole; 0 before. */
static int read_answer(struct connection *c) {
    ssize_t n = recv(c->fd, c->answer + c->answer_bytes, ANSWER_BYTES - 1 - c->answer_bytes, 0);
    if (n < 0 && errno == EAGAIN) return 0;
    if (n <= 0) load_stop("the server closed a connection");
    c->answer_bytes += (size_t)n;
    c->answer[c->answer_bytes] = 0;
    char *end = strstr(c->answer, "\r\n\r\n"), *length = strcasestr(c->answer, "content-length:");
    if (!end || (length && c->answer_bytes < (size_t)(end + 4 - c->answer) + strtoul(length + 15, NULL, 10))) return 0;
    return atoi(c->answer + 9);
}

static void receive(struct connection *c, bool more) {
    int status = read_answer(c);
    if (!status) return;
    if (status == 200) {
        load_answered(c->body, c->since_ns);
        c->body = NULL;
    } else if (status == 503 || status == 429) {
        load_refused();
    } else {
        fprintf(stderr, "%s\n", c->answer);
        exit(1);
    }
    if (more)
        begin(c, status != 200);
    else
        watch(c, false);
}

int main(int argc, char **argv) {
    struct load_args args;
    if (!load_args_read(&args, argc, argv)) return 2;
    epoll = epoll_create1(0);
    load_begin(&args);
    for (int i = 0; i < args.connections; i++) {
        struct connection *c = &connections[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        c->fd = load_dial(&args);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event)) load_stop("epoll");
        begin(c, false);
    }
    for (bool more = true; more;) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll, events, 64, 100);
        more = load_goes_on();
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c->body) continue;
            if (c->writing)
                go_on_sending(c);
            else
                receive(c, more);
        }
    }
    load_print(&args);
    return 0;
}
