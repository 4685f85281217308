/* HTTP to durable: sends OTLP protobuf requests to a server over keep-alive connections, from one thread, and measures
 * what came back. Every span is sent once (see bodies.h).
 *
 *     bench_ingest HOST PORT CONNECTIONS SECONDS [SPANS_PER_REQUEST] [SERVER_PID]
 *
 * One line: connections, spans a second, p50 and p99 of a request, refusals (503), and of the server: CPU and peak RSS.
 */
#include "bodies.h"

#include "base/timestamp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BODIES_MAX = 128, CONNECTIONS_MAX = 256, SAMPLES_MAX = 1 << 22, ANSWER_BYTES = 4096 };

struct connection {
    int fd;
    struct body *body; /* under way; a body belongs to one connection */
    char head[256];
    size_t head_bytes, sent, answer_bytes;
    char answer[ANSWER_BYTES];
    int64_t since_ns;
    bool writing;
};

static struct body bodies[BODIES_MAX];
static bool taken[BODIES_MAX];
static struct connection connections[CONNECTIONS_MAX];
static uint32_t *samples_us;
static uint64_t sample_count, spans_sent, refused, next_trace;
static uint32_t body_count, next_body;
static int epoll;

static void stop(const char *what) {
    fprintf(stderr, "bench_ingest: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct body *take_body(void) {
    while (taken[next_body]) next_body = (next_body + 1) % body_count;
    taken[next_body] = true;
    struct body *body = &bodies[next_body];
    next_body = (next_body + 1) % body_count;
    body_renew(body, next_trace, time_now_ns(), 10000);
    next_trace += body->span_count;
    return body;
}

static void watch(struct connection *c, bool writing) {
    struct epoll_event event = {.events = writing ? EPOLLOUT : EPOLLIN, .data.ptr = c};
    if (c->writing != writing && epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event)) stop("epoll");
    c->writing = writing;
}

static void begin(struct connection *c, bool again) {
    if (!again) c->body = take_body();
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
        if (n < 0) stop("send");
        c->sent += (size_t)n;
    }
    watch(c, false);
}

/* The status, once the answer is whole; 0 before. */
static int read_answer(struct connection *c) {
    ssize_t n = recv(c->fd, c->answer + c->answer_bytes, ANSWER_BYTES - 1 - c->answer_bytes, 0);
    if (n < 0 && errno == EAGAIN) return 0;
    if (n <= 0) stop("the server closed a connection");
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
        if (sample_count < SAMPLES_MAX)
            samples_us[sample_count++] = (uint32_t)((time_monotonic_ns() - c->since_ns) / 1000);
        spans_sent += c->body->span_count;
        taken[c->body - bodies] = false;
        c->body = NULL;
    } else if (status == 503 || status == 429) {
        refused++;
    } else {
        fprintf(stderr, "%s\n", c->answer);
        exit(1);
    }
    if (more)
        begin(c, status != 200);
    else
        watch(c, false);
}

static void dial(struct connection *c, const char *host, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, host, &to.sin_addr);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to)) stop("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event)) stop("epoll");
}

static double server_cpu(int pid) {
    char path[64], text[1024] = "";
    unsigned long user = 0, kernel = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = pid ? fopen(path, "r") : NULL;
    if (file && fgets(text, sizeof text, file))
        sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel);
    if (file) fclose(file);
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

static double server_peak_mb(int pid) {
    char path[64], line[256];
    double kb = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = pid ? fopen(path, "r") : NULL;
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, "VmHWM:", 6)) kb = strtod(line + 6, NULL);
    if (file) fclose(file);
    return kb / 1024;
}

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* For other load generators (grpc.sh): one body, in a file. */
static int write_body(uint32_t spans, const char *path) {
    struct body body;
    FILE *file = fopen(path, "wb");
    if (!file || spans < SPANS_PER_TRACE || spans % SPANS_PER_TRACE) return 2;
    body_build(&body, 1, spans);
    body_renew(&body, 1, time_now_ns(), 1000000);
    bool whole = fwrite(body.bytes.ptr, 1, body.bytes.len, file) == body.bytes.len;
    body_free(&body);
    return fclose(file) == 0 && whole ? 0 : 1;
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "body") == 0) return write_body((uint32_t)atoi(argv[2]), argv[3]);
    if (argc < 5)
        return fprintf(stderr, "bench_ingest HOST PORT CONNECTIONS SECONDS [SPANS_PER_REQUEST] [SERVER_PID]\n"), 2;
    int count = atoi(argv[3]), pid = argc > 6 ? atoi(argv[6]) : 0;
    double seconds = strtod(argv[4], NULL);
    uint32_t spans = argc > 5 ? (uint32_t)atoi(argv[5]) : 128, bytes = 0;
    if (count < 1 || count > CONNECTIONS_MAX || spans < SPANS_PER_TRACE || spans % SPANS_PER_TRACE) return 2;
    body_count = count + 8 > 64 ? (uint32_t)count + 8 : 64;
    if (body_count > BODIES_MAX) body_count = BODIES_MAX;
    if ((uint32_t)count > body_count) return 2;
    for (uint32_t i = 0; i < body_count; i++)
        body_build(&bodies[i], i + 1, spans), bytes += (uint32_t)bodies[i].bytes.len;
    samples_us = malloc(SAMPLES_MAX * sizeof *samples_us);
    next_trace = (uint64_t)time_now_ns();
    epoll = epoll_create1(0);
    for (int i = 0; i < count; i++) dial(&connections[i], argv[1], atoi(argv[2])), begin(&connections[i], false);
    double cpu = server_cpu(pid);
    int64_t start = time_monotonic_ns(), end = start + (int64_t)(seconds * 1e9);
    for (bool more = true; more;) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll, events, 64, 100);
        more = time_monotonic_ns() < end;
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c->body) continue;
            if (c->writing)
                go_on_sending(c);
            else
                receive(c, more);
        }
    }
    double took = (double)(time_monotonic_ns() - start) * 1e-9, used = server_cpu(pid) - cpu;
    qsort(samples_us, sample_count, sizeof *samples_us, by_size);
    printf("%3d connections: %8.0f spans/s (%u B a span, %u spans a request), p50 %.1f ms, p99 %.1f ms, %llu refused",
           count, (double)spans_sent / took, bytes / body_count / spans, spans,
           sample_count ? samples_us[sample_count / 2] / 1e3 : 0,
           sample_count ? samples_us[sample_count * 99 / 100] / 1e3 : 0, (unsigned long long)refused);
    if (pid)
        printf("; server: %.2f us CPU a span, peak RSS %.0f MB", used * 1e6 / (double)spans_sent, server_peak_mb(pid));
    printf("\n");
    return 0;
}
