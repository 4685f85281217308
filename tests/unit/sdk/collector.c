/* See collector.h. */
#include "sdk_test.h"

#include "collector.h"

#include "base/buf.h"
#include "base/pb.h"

#include <arpa/inet.h>
#include <libdeflate.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REQUESTS_MAX = 4096, CONNECTIONS_MAX = 64, UNPACKED_MAX = 64 << 20, WAIT_MS = 60000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static struct request requests[REQUESTS_MAX];
static size_t request_count;
static uint32_t taken_spans;
static struct answer usual, next[64];
static size_t next_count, next_at;
static int listening = -1, reserved = -1, connections[CONNECTIONS_MAX];
static pthread_t acceptor, workers[CONNECTIONS_MAX];
static size_t worker_count;
static char url[64];

static long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Requests ----------------------------------------------------------------------------------------------------------
 */

const char *request_header(const struct request *request, const char *name) {
    static _Thread_local char value[1024];
    size_t len = strlen(name);
    for (const char *line = request->headers; line && *line;
         line = strstr(line, "\r\n") ? strstr(line, "\r\n") + 2 : NULL) {
        if (strncasecmp(line, name, len) != 0 || line[len] != ':') continue;
        const char *from = line + len + 1;
        from += strspn(from, " ");
        snprintf(value, sizeof value, "%.*s", (int)strcspn(from, "\r"), from);
        return value;
    }
    return "";
}

static uint32_t count_fields(struct slice message, uint32_t depth, uint32_t *bad) {
    static const uint32_t path[] = {1, 2, 2}; /* resource spans, scope spans, spans */
    struct pb_reader r;
    struct pb_field f;
    uint32_t count = 0;
    pb_reader_init(&r, message);
    while (pb_next(&r, &f))
        if (f.number == path[depth] && f.wire == PB_BYTES)
            count += depth == 2 ? 1 : count_fields(f.bytes, depth + 1, bad);
    *bad += r.failed;
    return count;
}

static void unpack(struct request *request, const char *body, size_t size) {
    request->packed_size = size;
    bool gzip = !strcmp(request_header(request, "content-encoding"), "gzip");
    if (gzip &&
        size >= 4) { /* its last four bytes say how long it was: room for that much, not for the most that may come */
        const unsigned char *tail = (const unsigned char *)body + size - 4;
        size_t room = tail[0] | (size_t)tail[1] << 8 | (size_t)tail[2] << 16 | (size_t)tail[3] << 24;
        struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
        request->body = malloc(room + 1);
        if (room > UNPACKED_MAX || libdeflate_gzip_decompress(d, body, size, request->body, room, &request->size))
            request->size = 0;
        libdeflate_free_decompressor(d);
    } else {
        request->body = malloc(size + 1);
        memcpy(request->body, body, size);
        request->size = size;
    }
    uint32_t bad = 0;
    request->spans = count_fields(slice_make(request->body, request->size), 0, &bad);
    if (bad) request->spans = 0;
}

static struct answer take(struct request *request) {
    pthread_mutex_lock(&lock);
    struct answer answer = next_at < next_count ? next[next_at++] : usual;
    request->at_ms = now_ms();
    if (request_count < REQUESTS_MAX) requests[request_count++] = *request;
    if (answer.status == 200) taken_spans += request->spans;
    pthread_mutex_unlock(&lock);
    return answer;
}

/* False: the connection is over. */
static bool serve_one(int fd, struct buf *in) {
    char *end = NULL;
    buf_clear(in);
    while (!end) {
        if (!buf_reserve(in, 65536)) return false;
        ssize_t got = recv(fd, in->ptr + in->len, 65535, 0);
        if (got <= 0) return false;
        in->len += (size_t)got;
        in->ptr[in->len] = 0;
        end = memmem(in->ptr, in->len, "\r\n\r\n", 4);
    }
    struct request request = {.spans = 0};
    char *line_end = strstr(in->ptr, "\r\n");
    if (sscanf(in->ptr, "POST %255s HTTP/1.1", request.path) != 1) return false;
    snprintf(request.headers, sizeof request.headers, "%.*s", (int)(end + 2 - (line_end + 2)), line_end + 2);
    size_t head = (size_t)(end + 4 - in->ptr), size = strtoul(request_header(&request, "content-length"), NULL, 10);
    while (in->len < head + size) {
        if (!buf_reserve(in, head + size - in->len)) return false;
        ssize_t got = recv(fd, in->ptr + in->len, head + size - in->len, 0);
        if (got <= 0) return false;
        in->len += (size_t)got;
    }
    unpack(&request, in->ptr + head, size);
    struct answer answer = take(&request);
    if (answer.status == 0) {
        char byte;
        return recv(fd, &byte, 1, 0) > 0; /* until the other side goes */
    }
    if (answer.status < 0) return false;
    char text[1024];
    int len = snprintf(text, sizeof text,
                       "HTTP/1.1 %d X\r\nContent-Type: application/x-protobuf\r\nContent-Length: %zu\r\n%s\r\n",
                       answer.status, answer.body.len, answer.headers ? answer.headers : "");
    return send(fd, text, (size_t)len, MSG_NOSIGNAL) == len &&
           (!answer.body.len || send(fd, answer.body.ptr, answer.body.len, MSG_NOSIGNAL) > 0);
}

static void *serve(void *ctx) {
    int fd = *(int *)ctx;
    struct buf in = {0};
    while (serve_one(fd, &in)) {
    }
    buf_free(&in);
    shutdown(fd, SHUT_RDWR);
    return NULL;
}

static void *accept_all(void *ctx) {
    for (;;) {
        int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0 || worker_count == CONNECTIONS_MAX) return NULL;
        connections[worker_count] = fd;
        pthread_create(&workers[worker_count], NULL, serve, &connections[worker_count]);
        worker_count++;
    }
}

/* The collector -----------------------------------------------------------------------------------------------------
 */

int collector_start(int port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    socklen_t size = sizeof address;
    int yes = 1;
    if (!port) { /* bound and never listening: connections are refused, and nobody else is given the port */
        if (reserved >= 0) close(reserved);
        reserved = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(reserved, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        assert_int_equal(bind(reserved, (struct sockaddr *)&address, size), 0);
        assert_int_equal(getsockname(reserved, (struct sockaddr *)&address, &size), 0);
    }
    listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    assert_int_equal(bind(listening, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listening, 64), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%d", ntohs(address.sin_port));
    usual = (struct answer){.status = 200};
    next_at = next_count = 0;
    worker_count = 0;
    pthread_create(&acceptor, NULL, accept_all, NULL);
    return ntohs(address.sin_port);
}

void collector_stop(void) {
    if (listening < 0) return;
    shutdown(listening, SHUT_RDWR);
    pthread_join(acceptor, NULL);
    close(listening);
    listening = -1;
    for (size_t i = 0; i < worker_count; i++) {
        shutdown(connections[i], SHUT_RDWR);
        pthread_join(workers[i], NULL);
        close(connections[i]);
    }
}

void collector_clear(void) {
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < request_count; i++) free(requests[i].body);
    request_count = 0;
    taken_spans = 0;
    pthread_mutex_unlock(&lock);
}

const char *collector_url(void) {
    return url;
}

void collector_answer(struct answer answer) {
    pthread_mutex_lock(&lock);
    usual = answer;
    pthread_mutex_unlock(&lock);
}

void collector_answer_next(const struct answer *answers, size_t count) {
    pthread_mutex_lock(&lock);
    memcpy(next, answers, count * sizeof *answers);
    next_at = 0;
    next_count = count;
    pthread_mutex_unlock(&lock);
}

size_t collector_count(void) {
    pthread_mutex_lock(&lock);
    size_t count = request_count;
    pthread_mutex_unlock(&lock);
    return count;
}

uint32_t collector_spans(void) {
    pthread_mutex_lock(&lock);
    uint32_t count = taken_spans;
    pthread_mutex_unlock(&lock);
    return count;
}

const struct request *collector_request(size_t n) {
    for (long until = now_ms() + WAIT_MS; collector_count() <= n; sleep_ms(2))
        if (now_ms() > until) fail_msg("request %zu did not come", n);
    return &requests[n];
}

/* A request as text -------------------------------------------------------------------------------------------------
 */

struct text {
    struct buf out;
    char ids[64][17]; /* bytes and length, in the order of their appearance */
    size_t id_count;
};

static size_t id_number(struct text *t, struct slice id) {
    char key[17] = {0};
    assert_true(id.len == 8 || id.len == 16);
    memcpy(key, id.ptr, id.len);
    key[16] = (char)id.len;
    for (size_t i = 0; i < t->id_count; i++)
        if (!memcmp(t->ids[i], key, sizeof key)) return i + 1;
    memcpy(t->ids[t->id_count], key, sizeof key);
    return ++t->id_count;
}

static void put_value(struct text *t, struct slice value) {
    struct pb_reader r;
    struct pb_field f;
    double real;
    pb_reader_init(&r, value);
    assert_true(pb_next(&r, &f));
    switch (f.number) {
    case 1: buf_printf(&t->out, "\"%.*s\"", (int)f.bytes.len, f.bytes.ptr); break;
    case 2: buf_puts(&t->out, f.integer ? "true" : "false"); break;
    case 3: buf_printf(&t->out, "%lld", (long long)f.integer); break;
    case 4:
        memcpy(&real, &f.integer, 8);
        buf_printf(&t->out, "%g", real);
        break;
    default: fail_msg("AnyValue holds field %u", f.number);
    }
    assert_false(pb_next(&r, &f) || r.failed);
}

static void put_pair(struct text *t, struct slice pair) {
    struct pb_reader r;
    struct pb_field f;
    pb_reader_init(&r, pair);
    assert_true(pb_next(&r, &f) && f.number == 1);
    buf_printf(&t->out, " %.*s=", (int)f.bytes.len, f.bytes.ptr);
    assert_true(pb_next(&r, &f) && f.number == 2);
    put_value(t, f.bytes);
    assert_false(pb_next(&r, &f) || r.failed);
}

static void put_event(struct text *t, struct slice event) {
    struct pb_reader r;
    struct pb_field f;
    buf_puts(&t->out, "\n    event");
    pb_reader_init(&r, event);
    while (pb_next(&r, &f)) switch (f.number) {
        case 1: assert_int_equal(f.wire, PB_FIXED64); break;
        case 2: buf_printf(&t->out, " %.*s", (int)f.bytes.len, f.bytes.ptr); break;
        case 3: put_pair(t, f.bytes); break;
        default: fail_msg("event holds field %u", f.number);
        }
    assert_false(r.failed);
}

static void put_status(struct text *t, struct slice status) {
    struct pb_reader r;
    struct pb_field f;
    buf_puts(&t->out, " status");
    pb_reader_init(&r, status);
    while (pb_next(&r, &f))
        if (f.number == 2)
            buf_printf(&t->out, " \"%.*s\"", (int)f.bytes.len, f.bytes.ptr);
        else
            buf_printf(&t->out, " %llu", (unsigned long long)f.integer);
}

static void put_span(struct text *t, struct slice span) {
    struct pb_reader r;
    struct pb_field f;
    uint64_t start = 0, end = 0;
    buf_puts(&t->out, "\n  span");
    pb_reader_init(&r, span);
    while (pb_next(&r, &f)) switch (f.number) {
        case 1: buf_printf(&t->out, " trace %zu", id_number(t, f.bytes)); break;
        case 2: buf_printf(&t->out, " id %zu", id_number(t, f.bytes)); break;
        case 3: buf_printf(&t->out, " state %.*s", (int)f.bytes.len, f.bytes.ptr); break;
        case 4: buf_printf(&t->out, " parent %zu", id_number(t, f.bytes)); break;
        case 5: buf_printf(&t->out, " \"%.*s\"", (int)f.bytes.len, f.bytes.ptr); break;
        case 6: buf_printf(&t->out, " kind %llu", (unsigned long long)f.integer); break;
        case 7: start = f.integer; break;
        case 8: end = f.integer; break;
        case 9: put_pair(t, f.bytes); break;
        case 10: buf_printf(&t->out, " dropped-attributes %llu", (unsigned long long)f.integer); break;
        case 11: put_event(t, f.bytes); break;
        case 12: buf_printf(&t->out, " dropped-events %llu", (unsigned long long)f.integer); break;
        case 15: put_status(t, f.bytes); break;
        case 16: buf_printf(&t->out, " flags %llx", (unsigned long long)f.integer); break;
        default: fail_msg("span holds field %u", f.number);
        }
    assert_false(r.failed);
    assert_true(end >= start && start > UINT64_C(1700000000) * 1000000000);
}

static void put_inside(struct text *t, struct slice message, int depth) {
    struct pb_reader r;
    struct pb_field f;
    pb_reader_init(&r, message);
    while (pb_next(&r, &f)) {
        if (depth == 0)
            put_inside(t, f.bytes, 1); /* resource spans */
        else if (depth == 1 && f.number == 1)
            buf_puts(&t->out, "resource"), put_inside(t, f.bytes, 10);
        else if (depth == 1)
            put_inside(t, f.bytes, 2); /* scope spans */
        else if (depth == 2 && f.number == 1)
            buf_puts(&t->out, "\n scope"), put_inside(t, f.bytes, 11);
        else if (depth == 2)
            put_span(t, f.bytes);
        else if (depth == 10)
            put_pair(t, f.bytes);
        else
            buf_printf(&t->out, " %.*s", (int)f.bytes.len, f.bytes.ptr); /* the scope's name and version */
    }
    assert_false(r.failed);
}

char *request_text(const struct request *request) {
    static struct text t;
    t.id_count = 0;
    buf_clear(&t.out);
    put_inside(&t, slice_make(request->body, request->size), 0);
    return (char *)(uintptr_t)buf_cstr(&t.out);
}
