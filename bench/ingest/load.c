/* (see load.h) */
#include "load.h"

#include "base/timestamp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BODIES_MIN = 64, BODIES_MAX = LOAD_CONNECTIONS_MAX + 8, SPARE_BODIES = 8, SAMPLES_MAX = 1 << 22 };

static struct body bodies[BODIES_MAX];
static bool taken[BODIES_MAX];
static uint32_t *samples_us;
static uint64_t sample_count, spans_sent, refused, next_trace;
static uint32_t body_count, next_body;
static int64_t started_ns, end_ns;
static double cpu_before_s;

void load_stop(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

bool load_args_read(struct load_args *args, int argc, char **argv) {
    *args = (struct load_args){.spans = 128};
    if (argc >= 5) {
        args->host = argv[1];
        args->port = atoi(argv[2]);
        args->connections = atoi(argv[3]);
        args->seconds = strtod(argv[4], NULL);
        if (argc > 5) args->spans = (uint32_t)atoi(argv[5]);
        if (argc > 6) args->pid = atoi(argv[6]);
        if (args->connections >= 1 && args->connections <= LOAD_CONNECTIONS_MAX && args->spans >= SPANS_PER_TRACE &&
            args->spans % SPANS_PER_TRACE == 0)
            return true;
    }
    fprintf(stderr,
            "usage: %s HOST PORT CONNECTIONS SECONDS [SPANS_PER_REQUEST] [SERVER_PID]\n1 to %d connections, spans a "
            "multiple of %d\n",
            argv[0], LOAD_CONNECTIONS_MAX, SPANS_PER_TRACE);
    return false;
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

void load_begin(const struct load_args *args) {
    uint32_t wanted = (uint32_t)args->connections + SPARE_BODIES;
    body_count = wanted > BODIES_MIN ? wanted : BODIES_MIN;
    for (uint32_t i = 0; i < body_count; i++) body_build(&bodies[i], i + 1, args->spans);
    samples_us = malloc(SAMPLES_MAX * sizeof *samples_us);
    if (!samples_us) load_stop("samples");
    next_trace = (uint64_t)time_now_ns();
    cpu_before_s = server_cpu(args->pid);
    started_ns = time_monotonic_ns();
    end_ns = started_ns + (int64_t)(args->seconds * 1e9);
}

bool load_goes_on(void) {
    return time_monotonic_ns() < end_ns;
}

struct body *load_take(void) {
    while (taken[next_body]) next_body = (next_body + 1) % body_count;
    taken[next_body] = true;
    struct body *body = &bodies[next_body];
    next_body = (next_body + 1) % body_count;
    body_renew(body, next_trace, time_now_ns(), 10000);
    next_trace += body->span_count;
    return body;
}

void load_answered(struct body *body, int64_t since_ns) {
    if (sample_count < SAMPLES_MAX) samples_us[sample_count++] = (uint32_t)((time_monotonic_ns() - since_ns) / 1000);
    spans_sent += body->span_count;
    taken[body - bodies] = false;
}

void load_refused(void) {
    refused++;
}

int load_dial(const struct load_args *args) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)args->port)};
    inet_pton(AF_INET, args->host, &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) load_stop("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

void load_print(const struct load_args *args) {
    double took = (double)(time_monotonic_ns() - started_ns) * 1e-9, used = server_cpu(args->pid) - cpu_before_s;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < body_count; i++) bytes += bodies[i].bytes.len;
    qsort(samples_us, sample_count, sizeof *samples_us, by_size);
    printf("%3d connections: %8.0f spans/s (%llu B a span, %u spans a request), p50 %.1f ms, p99 %.1f ms, %llu refused",
           args->connections, (double)spans_sent / took, (unsigned long long)(bytes / body_count / args->spans),
           args->spans, sample_count ? samples_us[sample_count / 2] / 1e3 : 0,
           sample_count ? samples_us[sample_count * 99 / 100] / 1e3 : 0, (unsigned long long)refused);
    if (args->pid && spans_sent)
        printf("; server: %.2f us CPU a span, peak RSS %.0f MB", used * 1e6 / (double)spans_sent,
               server_peak_mb(args->pid));
    printf("\n");
}
