/* What tracing costs: nanoseconds of a finished span with eight attributes and two events, on the thread that traces
 * and in all, beside a bare floor (two clocks and a copy of as many bytes). Medians of several runs. bench/sdk/run.sh
 * adds the storefront's own way in Node. */
#include "vitrine.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { RUNS = 15, BURST = 1800, BURSTS = 40, LINE_BYTES = 645 };

/* Allocations, counted by standing before the C library's functions. */
static atomic_ulong allocations;
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
VT_EXPORT void *malloc(size_t size) {
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_malloc(size);
}
VT_EXPORT void *calloc(size_t count, size_t size) {
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_calloc(count, size);
}
VT_EXPORT void *realloc(void *old, size_t size) {
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_realloc(old, size);
}

static int64_t now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count) {
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

/* The span that everything here measures. */
static void one_span(void) {
    vt_span *span = vt_span_start("openai.chat.completions.create");
    vt_span_set_str(span, "llm.vendor", "openai");
    vt_span_set_str(span, "llm.request.model", "gpt-4o-mini");
    vt_span_set_double(span, "llm.request.temperature", 0.7);
    vt_span_set_int(span, "llm.usage.prompt_tokens", 159);
    vt_span_set_int(span, "llm.usage.completion_tokens", 237);
    vt_span_set_str(span, "user.id", "test-user");
    vt_span_set_str(span, "thread.id", "test-thread-123");
    vt_span_set_str(span, "response.finish_reason", "stop");
    vt_attr prompt = vt_attr_str("prompt.preview", "Which jacket fits rainy weather in the north?");
    vt_span_event(span, "llm.prompt", &prompt, 1);
    vt_attr response = vt_attr_str("response.preview", "The red one, since it is lined and waterproof.");
    vt_span_event(span, "llm.response", &response, 1);
    vt_span_end(span);
}

static size_t sink_bytes;
static char sink[1 << 20];

static void to_buffer(void *ctx, const char *lines, size_t size) {
    (void)ctx;
    if (sink_bytes + size > sizeof sink) sink_bytes = 0;
    memcpy(sink + sink_bytes, lines, size);
    sink_bytes += size;
}

static void begin(bool synchronous, const char *otlp) {
    vt_config config = {.service_name = "ai-storefront",
                        .service_version = "1.0.0",
                        .console = otlp ? VT_OFF : VT_ON,
                        .console_write = to_buffer,
                        .otlp = otlp ? VT_ON : VT_OFF,
                        .otlp_endpoint = otlp,
                        .synchronous = synchronous,
                        .queue_size = 2 * 2048, /* a burst of two threads waits in it, so that only callers run */
                        .batch_size = 2 * 2048,
                        .delay_ms = 60000};
    if (vt_init(&config)) {
        fprintf(stderr, "%s\n", vt_error_message());
        exit(1);
    }
}

static double floor_ns(void) {
    static char from[LINE_BYTES], to[BURST][LINE_BYTES];
    int64_t start = now_ns(CLOCK_MONOTONIC), sum = 0;
    for (unsigned i = 0; i < BURST; i++) {
        sum += now_ns(CLOCK_REALTIME);
        memcpy(to[i], from, sizeof from);
        __asm__ volatile("" ::: "memory");
        sum += now_ns(CLOCK_REALTIME);
    }
    __asm__ volatile("" ::"r"(sum));
    return (double)(now_ns(CLOCK_MONOTONIC) - start) / BURST;
}

static double burst_ns(void) {
    int64_t start = now_ns(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < BURST; i++) one_span();
    return (double)(now_ns(CLOCK_MONOTONIC) - start) / BURST;
}

static double median_of(double (*measure)(void), bool flush) {
    double values[RUNS * BURSTS];
    for (unsigned i = 0; i < RUNS * BURSTS; i++) {
        values[i] = measure();
        if (flush) vt_flush(10000);
    }
    return median(values, RUNS * BURSTS);
}

/* Two threads at once: the mean of both, since the slower one counts as well. */
static pthread_barrier_t barrier;
static double thread_values[2][RUNS * BURSTS];

static void *burst_thread(void *ctx) {
    double *values = ctx;
    for (unsigned i = 0; i < RUNS * BURSTS; i++) {
        pthread_barrier_wait(&barrier);
        values[i] = burst_ns();
        pthread_barrier_wait(&barrier);
        if (values == thread_values[0]) vt_flush(10000);
    }
    return NULL;
}

static double two_threads_ns(void) {
    pthread_t threads[2];
    pthread_barrier_init(&barrier, NULL, 2);
    for (unsigned i = 0; i < 2; i++) pthread_create(&threads[i], NULL, burst_thread, thread_values[i]);
    for (unsigned i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
    double one = median(thread_values[0], RUNS * BURSTS), two = median(thread_values[1], RUNS * BURSTS);
    return (one + two) / 2;
}

/* All CPU of the process: caller, background thread, JSON. */
static double cpu_ns(void) {
    int64_t start = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (unsigned i = 0; i < BURST; i++) one_span();
    vt_flush(10000);
    return (double)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - start) / BURST;
}

static double open_span_bytes(void) {
    enum { OPEN = 10000 };
    static vt_span *spans[OPEN];
    vt_stats before, after;
    vt_stats_get(&before);
    for (unsigned i = 0; i < OPEN; i++) {
        spans[i] = vt_span_start("openai.chat.completions.create");
        for (unsigned k = 0; k < 8; k++) {
            static const char *const keys[] = {"llm.vendor", "llm.request.model", "a", "b", "c", "d", "e", "f"};
            vt_span_set_str(spans[i], keys[k], "a value of some length");
        }
    }
    vt_stats_get(&after);
    for (unsigned i = OPEN; i-- > 0;) vt_span_end(spans[i]);
    return (double)(after.memory_bytes - before.memory_bytes) / OPEN;
}

/* A process that takes OTLP requests and throws them away. Returns its id, and its address in url. */
static pid_t start_sink(char *url, size_t size) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listening, (struct sockaddr *)&address, len) || listen(listening, 4) ||
        getsockname(listening, (struct sockaddr *)&address, &len))
        exit(1);
    snprintf(url, size, "http://127.0.0.1:%d", ntohs(address.sin_port));
    pid_t pid = fork();
    if (pid) {
        close(listening);
        return pid;
    }
    static char request[8 << 20];
    for (;;) {
        int fd = accept(listening, NULL, NULL);
        size_t have = 0;
        for (ssize_t got; (got = recv(fd, request + have, sizeof request - 1 - have, 0)) > 0;) {
            have += (size_t)got;
            request[have] = 0;
            const char *body = strstr(request, "\r\n\r\n"), *length = strstr(request, "Content-Length: ");
            if (!body || !length || have < (size_t)(body + 4 - request) + strtoul(length + 16, NULL, 10)) continue;
            static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            if (send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL) < 0) break;
            have = 0;
        }
        close(fd);
    }
}

static void print_machine(void) {
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, "model name", 10)) {
            printf("machine: %s", strchr(line, ':') + 2);
            break;
        }
    if (file) fclose(file);
    printf("data: spans with 8 attributes and 2 events of one attribute each; %u bursts of %u, medians\n",
           RUNS * BURSTS, BURST);
}

static double floor_value;

static void print(const char *name, double ns) {
    printf("%-58s %8.0f ns %8.2f\n", name, ns, ns / floor_value);
}

int main(void) {
    print_machine();
    floor_value = median_of(floor_ns, false);
    printf("%-58s %11s %8s\n", "per finished span", "", "floor = 1");
    print("floor: two clock_gettime and a copy of 645 bytes", floor_value);
    print("tracing off (no-op)", median_of(burst_ns, false));
    begin(false, NULL);
    vt_flush(10000);
    median_of(burst_ns, true); /* warm; the clock learns what a tick is worth */
    unsigned long before = atomic_load(&allocations);
    double one = median_of(burst_ns, true);
    double per_span = (double)(atomic_load(&allocations) - before) / (RUNS * BURSTS * BURST);
    print("caller's thread, background export, 1 thread", one);
    double two = two_threads_ns();
    print("caller's thread, background export, 2 threads", two);
    print("all CPU: caller, background thread, JSON line", median_of(cpu_ns, false));
    vt_stats stats;
    vt_stats_get(&stats);
    double bytes = open_span_bytes();
    vt_shutdown();
    begin(true, NULL);
    print("synchronous: JSON line to a buffer", median_of(burst_ns, false));
    vt_shutdown();
    char url[64];
    pid_t collector = start_sink(url, sizeof url);
    begin(false, url);
    median_of(burst_ns, true);
    print("OTLP: caller's thread", median_of(burst_ns, true));
    print("OTLP, all CPU: caller, protobuf, gzip, HTTP", median_of(cpu_ns, false));
    vt_stats otlp;
    vt_stats_get(&otlp);
    vt_shutdown();
    kill(collector, SIGKILL);
    printf("2 threads / 1 thread: %.2f   bytes per open span: %.0f   allocations per span: %.4f   lost: %llu   "
           "line: %zu bytes\n",
           two / one, bytes, per_span,
           (unsigned long long)(stats.dropped_queue + stats.dropped_export + otlp.dropped_queue + otlp.dropped_export),
           (size_t)(strchr(sink, '\n') - sink + 1));
    if (!otlp.exported) printf("libvitrine-otlp was not found: OTLP was not measured\n");
    return 0;
}
