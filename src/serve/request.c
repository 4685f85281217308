/* The life of one request: headers, body, handler, answer. Runs inside libmicrohttpd's callbacks, on the loop's thread.
 */
#include "serve/http_internal.h"

#include "base/json.h"
#include "base/timestamp.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
    SPARE_MAX = 32,              /* exchanges kept for reuse, a loop */
    SPARE_ARENA_MAX = 64 << 10,  /* an arena that grew past this is given back */
    DRAIN_BYTES_MAX = 64 << 20,  /* of a refused body that are read, so that the sender sees why it was refused */
    BODY_FIRST_BYTES = 16 << 10, /* of a body whose length is not known */
    STREAM_BLOCK_BYTES = 16 << 10
};

static struct exchange *of(const struct request *request) {
    return (struct exchange *)(uintptr_t)request;
}

/* --- beginning and end --- */

void *exchange_begin(struct http_loop *loop, const char *uri, struct MHD_Connection *mhd,
                     struct connection *connection) {
    struct exchange *ex = loop->spare;
    if (ex) {
        loop->spare = ex->next;
        loop->spare_count--;
        struct arena arena = ex->request.arena;
        memset(ex, 0, sizeof *ex);
        ex->request.arena = arena;
    } else if (!(ex = calloc(1, sizeof *ex))) {
        return NULL;
    }
    struct request *request = &ex->request;
    request->loop = loop;
    request->began_ns = time_monotonic_ns();
    request->target = arena_copy(&request->arena, slice_of(uri));
    ex->mhd = mhd;
    ex->connection = connection;
    ex->gone_watch.fd = -1;
    ex->next = loop->open;
    if (loop->open) loop->open->prev = ex;
    loop->open = ex;
    count_up(&loop->requests, 1);
    count_up(&loop->requests_open, 1);
    return ex;
}

static void unwatch(struct exchange *ex) {
    if (ex->gone_watch.fd < 0) return;
    loop_watch_remove(ex->request.loop->loop, &ex->gone_watch);
    ex->gone_watch.fd = -1;
}

void exchange_end(struct exchange *ex) {
    struct http_loop *loop = ex->request.loop;
    unwatch(ex);
    if (ex->stream) ex->stream->end(ex->stream);
    if (ex->upgraded && !ex->handed_over) ex->upgraded(ex->upgraded_ctx, loop, -1, (struct slice){0}, NULL);
    if (ex->response) MHD_destroy_response(ex->response);
    if (ex->budget_bytes) http_budget_give(loop, ex->budget_bytes);
    buf_free(&ex->request.body);
    *(ex->prev ? &ex->prev->next : &loop->open) = ex->next;
    if (ex->next) ex->next->prev = ex->prev;
    atomic_fetch_sub_explicit(&loop->requests_open, 1, memory_order_relaxed);
    if (ex->request.arena.total_bytes > SPARE_ARENA_MAX)
        arena_free(&ex->request.arena);
    else
        arena_reset(&ex->request.arena);
    if (loop->spare_count == SPARE_MAX) {
        arena_free(&ex->request.arena);
        free(ex);
        return;
    }
    ex->next = loop->spare;
    loop->spare = ex;
    loop->spare_count++;
}

void exchange_free_spare(struct http_loop *loop) {
    while (loop->spare) {
        struct exchange *ex = loop->spare;
        loop->spare = ex->next;
        arena_free(&ex->request.arena);
        free(ex);
    }
    loop->spare_count = 0;
}

/* --- routing --- */

static enum http_method method_of(const char *word) {
    static const struct {
        const char *word;
        enum http_method method;
    } methods[] = {{"GET", METHOD_GET},       {"HEAD", METHOD_GET},    {"POST", METHOD_POST},      {"PUT", METHOD_PUT},
                   {"DELETE", METHOD_DELETE}, {"PATCH", METHOD_PATCH}, {"OPTIONS", METHOD_OPTIONS}};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(word, methods[i].word) == 0) return methods[i].method;
    return 0;
}

static bool path_matches(const char *pattern, struct slice path, struct slice *rest) {
    size_t len = strlen(pattern);
    if (len && pattern[len - 1] == '*') {
        if (!slice_starts(path, slice_make(pattern, len - 1))) return false;
        *rest = slice_from(path, len - 1);
        return true;
    }
    *rest = (struct slice){0};
    return slice_eq(path, slice_make(pattern, len));
}

/* "GET, POST" of the methods in the set. */
static void list_methods(unsigned methods, char *out, size_t size) {
    static const char *const words[] = {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"};
    out[0] = 0;
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (methods & (1u << i)) {
            size_t len = strlen(out);
            snprintf(out + len, size - len, "%s%s", len ? ", " : "", words[i]);
        }
}

static void find_route(struct exchange *ex) {
    struct request *request = &ex->request;
    unsigned allowed = 0;
    for (const struct route *route = request->loop->http->config.routes; route->path; route++) {
        /* Where a path is known by its name, a wildcard behind it does not take the methods that are wrong there. */
        if (allowed && route->path[strlen(route->path) - 1] == '*') continue;
        if (!path_matches(route->path, request->path, &request->rest)) continue;
        if (route->methods & request->method) {
            request->route = route;
            return;
        }
        if (strcmp(route->path, "/*") != 0) allowed |= route->methods; /* which says nothing of what is there */
    }
    if (!allowed) {
        request_fail(request, MHD_HTTP_NOT_FOUND, "not_found", "GET /api/openapi.json lists what there is",
                     "there is nothing at %.*s", (int)(request->path.len > 200 ? 200 : request->path.len),
                     request->path.ptr);
        return;
    }
    char list[64], hint[96];
    list_methods(allowed, list, sizeof list);
    snprintf(hint, sizeof hint, "use %s", list);
    request_add_header(request, "Allow", list);
    request_fail(request, MHD_HTTP_METHOD_NOT_ALLOWED, "method_not_allowed", hint, "%.*s does not take this method",
                 (int)(request->path.len > 200 ? 200 : request->path.len), request->path.ptr);
}

/* --- body --- */

bool http_budget_take(struct http_loop *loop, uint64_t bytes) {
    struct http *http = loop->http;
    if (atomic_fetch_add(&http->bodies_bytes, bytes) + bytes <= http->config.bodies_bytes_max) return true;
    atomic_fetch_sub(&http->bodies_bytes, bytes);
    return false;
}

void http_budget_give(struct http_loop *loop, uint64_t bytes) {
    atomic_fetch_sub(&loop->http->bodies_bytes, bytes);
}

static bool take_budget(struct exchange *ex, uint64_t bytes) {
    if (!http_budget_take(ex->request.loop, bytes)) return false;
    ex->budget_bytes += bytes;
    return true;
}

static void refuse_size(struct request *request) {
    request_fail(request, MHD_HTTP_CONTENT_TOO_LARGE, "limit",
                 "send smaller batches (OTEL_BSP_MAX_EXPORT_BATCH_SIZE) or raise --max-body",
                 "the body is larger than the %llu bytes that are taken",
                 (unsigned long long)request->loop->http->config.body_bytes_max);
}

static void refuse_for_now(struct request *request) {
    request_add_header(request, "Retry-After", "1");
    request_fail(request, MHD_HTTP_SERVICE_UNAVAILABLE, "full",
                 "send again after Retry-After; --max-bodies sets the bound",
                 "the requests under way hold all the memory that bodies may take");
}

static void reserve_body(struct exchange *ex, uint64_t size) {
    struct request *request = &ex->request;
    if (size > request->loop->http->config.body_bytes_max)
        refuse_size(request);
    else if (size > request->body.cap &&
             !(take_budget(ex, size - request->body.cap) && buf_reserve(&request->body, size - request->body.len)))
        refuse_for_now(request);
}

static void take_body(struct exchange *ex, const char *data, size_t size) {
    struct request *request = &ex->request;
    count_up(&request->loop->body_bytes, size);
    if (ex->response) return; /* refused already; the rest is read and dropped */
    uint64_t max = request->loop->http->config.body_bytes_max, need = request->body.len + size;
    if (need > request->body.cap) {
        uint64_t grown = request->body.cap ? (uint64_t)request->body.cap * 2 : BODY_FIRST_BYTES;
        reserve_body(ex, need > max ? need : need > grown ? need : grown < max ? grown : max);
    }
    if (!ex->response) buf_put(&request->body, data, size);
}

/* --- the callbacks --- */

static enum MHD_Result send_answer(struct exchange *ex) {
    struct http_loop *loop = ex->request.loop;
    if (!ex->stream) unwatch(ex);
    if (loop->stopping) MHD_add_response_header(ex->response, "Connection", "close");
    connection_enter(ex->connection, ex->upgraded ? PHASE_UPGRADED : PHASE_ANSWER);
    unsigned hundreds = ex->status / 100;
    count_up(&loop->answers[hundreds < 6 ? hundreds : 5], 1);
    return MHD_queue_response(ex->mhd, ex->status, ex->response);
}

static uint64_t announced_length(const struct request *request) {
    struct slice text = request_header(request, "Content-Length");
    uint64_t length = 0;
    for (size_t i = 0; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9' && length < UINT64_MAX / 16; i++)
        length = length * 10 + (uint64_t)(text.ptr[i] - '0');
    return length;
}

static enum MHD_Result begin(struct exchange *ex, const char *url, const char *method) {
    struct request *request = &ex->request;
    const struct http_config *config = &request->loop->http->config;
    ex->begun = true;
    request->method = method_of(method);
    request->verb = arena_copy(&request->arena, slice_of(method)).ptr;
    request->path = arena_copy(&request->arena, slice_of(url));
    connection_enter(ex->connection, PHASE_BODY);
    if (!request->path.ptr || !request->target.ptr || !request->verb) return MHD_NO;
    uint64_t length = announced_length(request);
    find_route(ex);
    if (!ex->response && config->admit) config->admit(request);
    if (!ex->response && length) reserve_body(ex, length);
    /* A refusal waits for the end of the body, or the sender, still writing, would see a reset instead of the reason.
     */
    bool early = length > DRAIN_BYTES_MAX || request_header(request, "Expect").len > 0;
    return ex->response && early ? send_answer(ex) : MHD_YES;
}

enum MHD_Result exchange_step(struct exchange *ex, const char *url, const char *method, const char *data,
                              size_t *size) {
    if (!ex->begun) return begin(ex, url, method);
    if (*size) {
        take_body(ex, data, *size);
        *size = 0;
        return MHD_YES;
    }
    ex->suspended = false;
    if (!ex->handled) {
        ex->handled = true;
        connection_enter(ex->connection, PHASE_ANSWER);
        if (!ex->response) ex->request.route->handler(&ex->request);
    }
    if (ex->response) return send_answer(ex);
    if (!ex->held) {
        request_fail(&ex->request, MHD_HTTP_INTERNAL_SERVER_ERROR, "internal", NULL, "the request was not answered");
        return send_answer(ex);
    }
    ex->suspended = true;
    MHD_suspend_connection(ex->mhd);
    return MHD_YES;
}

/* --- reading what came --- */

struct slice request_header(const struct request *request, const char *name) {
    const char *value = NULL;
    size_t len = 0;
    if (MHD_lookup_connection_value_n(of(request)->mhd, MHD_HEADER_KIND, name, strlen(name), &value, &len) != MHD_YES)
        return (struct slice){0};
    return slice_make(value, len);
}

struct slice request_query(const struct request *request, const char *name) {
    const char *value = NULL;
    size_t len = 0;
    if (MHD_lookup_connection_value_n(of(request)->mhd, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value, &len) !=
        MHD_YES)
        return (struct slice){0};
    return slice_make(value, value ? len : 0);
}

struct each {
    void (*call)(void *ctx, const char *name, const char *value);
    void *ctx;
};

static enum MHD_Result on_each(void *cls, enum MHD_ValueKind kind, const char *name, const char *value) {
    const struct each *each = cls;
    each->call(each->ctx, name, value ? value : "");
    return MHD_YES;
}

void request_each_query(const struct request *request, void (*call)(void *, const char *, const char *), void *ctx) {
    MHD_get_connection_values(of(request)->mhd, MHD_GET_ARGUMENT_KIND, on_each, &(struct each){call, ctx});
}

void request_each_header(const struct request *request, void (*call)(void *, const char *, const char *), void *ctx) {
    MHD_get_connection_values(of(request)->mhd, MHD_HEADER_KIND, on_each, &(struct each){call, ctx});
}

bool request_takes_gzip(const struct request *request) {
    struct slice accepted = request_header(request, "Accept-Encoding");
    const char *at = accepted.len ? memmem(accepted.ptr, accepted.len, "gzip", 4) : NULL;
    if (!at) return false;
    struct slice rest = slice_from(accepted, (size_t)(at - accepted.ptr) + 4);
    return !(slice_starts(rest, SLICE(";q=0")) && (rest.len == 4 || rest.ptr[4] == ',' || rest.ptr[4] == ' '));
}

const struct net_address *request_peer(const struct request *request) {
    return &of(request)->connection->peer;
}
int request_socket(const struct request *request) {
    return of(request)->connection->fd;
}

/* --- answering --- */

void request_add_header(struct request *request, const char *name, const char *value) {
    struct header *header = arena_alloc(&request->arena, sizeof *header);
    struct slice name_copy = arena_copy(&request->arena, slice_of(name));
    struct slice value_copy = arena_copy(&request->arena, slice_of(value));
    if (!header || !name_copy.ptr || !value_copy.ptr) return;
    *header = (struct header){of(request)->headers, name_copy.ptr, value_copy.ptr};
    of(request)->headers = header;
}

bool request_is_answered(const struct request *request) {
    return of(request)->response != NULL;
}

static void answer_with(struct request *request, unsigned status, const char *type, struct MHD_Response *response) {
    struct exchange *ex = of(request);
    const struct http_config *config = &request->loop->http->config;
    if (!response) return; /* no memory: the connection is closed when the handler returns without an answer */
    if (ex->response) {
        MHD_destroy_response(response);
        return;
    }
    ex->response = response;
    ex->status = status;
    if (type) MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (config->decorate) config->decorate(request);
    for (struct header *header = ex->headers; header; header = header->next)
        MHD_add_response_header(response, header->name, header->value);
    if (!ex->suspended) return;
    MHD_resume_connection(ex->mhd);
    request->loop->run_soon = true;
}

void request_answer(struct request *request, unsigned status, const char *type, struct buf *body) {
    struct MHD_Response *response;
    if (body->failed) {
        buf_free(body);
        request_fail(request, MHD_HTTP_SERVICE_UNAVAILABLE, "out_of_memory", NULL, "no memory for the answer");
        return;
    }
    response = MHD_create_response_from_buffer(body->len, body->ptr,
                                               body->ptr ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (response)
        memset(body, 0, sizeof *body);
    else
        buf_free(body);
    answer_with(request, status, type, response);
}

void request_answer_static(struct request *request, unsigned status, const char *type, struct slice body) {
    void *data = (void *)(uintptr_t)body.ptr; /* it is only read, whatever the signature says */
    answer_with(request, status, type, MHD_create_response_from_buffer(body.len, data, MHD_RESPMEM_PERSISTENT));
}

void http_error_body(struct buf *out, const char *code, const char *message, const char *hint, int column) {
    struct json_writer w = json_writer_on(out);
    json_open(&w, '{');
    json_put_key(&w, "error");
    json_open(&w, '{');
    json_put_key(&w, "code");
    json_put_cstr(&w, code);
    json_put_key(&w, "message");
    json_put_cstr(&w, message);
    if (hint && *hint) {
        json_put_key(&w, "hint");
        json_put_cstr(&w, hint);
    }
    if (column > 0) {
        json_put_key(&w, "column");
        json_put_int(&w, column);
    }
    json_close(&w, '}');
    json_close(&w, '}');
    buf_putc(out, '\n');
}

static void fail_with(struct request *request, const struct http_failure *failure) {
    const struct http_config *config = &request->loop->http->config;
    struct buf body = {0};
    const char *type = config->put_failure ? config->put_failure(request, failure, &body) : NULL;
    if (!type) http_error_body(&body, failure->code, failure->message, failure->hint, failure->column);
    if (body.failed) {
        buf_free(&body);
        request_answer_static(request, failure->status, "application/json",
                              SLICE("{\"error\":{\"code\":\"out_of_memory\"}}\n"));
        return;
    }
    request_answer(request, failure->status, type ? type : "application/json", &body);
}

void request_fail(struct request *request, unsigned status, const char *code, const char *hint, const char *format,
                  ...) {
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    fail_with(request, &(struct http_failure){status, code, message, hint, 0});
}

unsigned http_status_of(int error_code) {
    static const struct {
        int code;
        unsigned status;
    } table[] = {{VT_EINVAL, 400},   {VT_ELIMIT, 413},     {VT_ENOMEM, 503},      {VT_EIO, 500},
                 {VT_EFULL, 503},    {VT_ECORRUPT, 500},   {VT_ENOTFOUND, 404},   {VT_EDENIED, 403},
                 {VT_ETIMEOUT, 504}, {VT_ECANCELLED, 503}, {VT_EUNSUPPORTED, 415}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].code == error_code) return table[i].status;
    return 500;
}

void request_fail_as(struct request *request, unsigned status, const struct error *err) {
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE) request_add_header(request, "Retry-After", "1");
    fail_with(request, &(struct http_failure){status, error_name(err->code), err->message, err->hint, err->column});
}

void request_fail_error(struct request *request, const struct error *err) {
    request_fail_as(request, http_status_of(err->code), err);
}

/* --- answering later --- */

void request_hold(struct request *request) {
    of(request)->held = true;
}

static void on_gone(struct loop_watch *watch, uint32_t events) {
    struct exchange *ex = container_of(watch, struct exchange, gone_watch);
    unwatch(ex);
    if (ex->gone && (!ex->response || ex->stream)) ex->gone(&ex->request, ex->gone_ctx);
    ex->gone = NULL;
}

void request_on_gone(struct request *request, void (*gone)(struct request *, void *), void *ctx) {
    struct exchange *ex = of(request);
    ex->gone = gone;
    ex->gone_ctx = ctx;
    ex->gone_watch.ready = on_gone;
    if (loop_watch_add(request->loop->loop, &ex->gone_watch, ex->connection->fd, EPOLLRDHUP, NULL) != 0)
        ex->gone_watch.fd = -1; /* then its deadline must do */
}

void exchange_cut(struct exchange *ex) {
    ex->cut = true;
    if (ex->gone && !ex->response) ex->gone(&ex->request, ex->gone_ctx);
    ex->gone = NULL;
    if (ex->stream) request_wake(&ex->request);
}

/* --- streams --- */

static ssize_t on_read(void *cls, uint64_t position, char *out, size_t size) {
    struct exchange *ex = cls;
    if (ex->cut) return MHD_CONTENT_READER_END_WITH_ERROR;
    ssize_t count = ex->stream->read(ex->stream, out, size);
    if (count > 0) return count;
    if (count < 0) return count == -1 ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
    ex->suspended = true;
    MHD_suspend_connection(ex->mhd);
    return 0;
}

void request_answer_stream(struct request *request, unsigned status, const char *type, int64_t length,
                           struct stream *stream) {
    struct exchange *ex = of(request);
    uint64_t size = length < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)length;
    if (ex->response) {
        stream->end(stream);
        return;
    }
    struct MHD_Response *response = MHD_create_response_from_callback(size, STREAM_BLOCK_BYTES, on_read, ex, NULL);
    ex->stream = stream;
    answer_with(request, status, type, response);
}

void request_wake(struct request *request) {
    struct exchange *ex = of(request);
    if (!ex->suspended || !ex->stream) return;
    ex->suspended = false;
    MHD_resume_connection(ex->mhd);
    request->loop->run_soon = true;
}

/* --- upgrade --- */

static void on_upgrade(void *cls, struct MHD_Connection *mhd, void *con_cls, const char *extra, size_t extra_len,
                       MHD_socket fd, struct MHD_UpgradeResponseHandle *handle) {
    struct exchange *ex = cls;
    ex->handed_over = true;
    ex->upgraded(ex->upgraded_ctx, ex->request.loop, fd, slice_make(extra, extra_len), handle);
}

void request_upgrade(struct request *request, http_upgraded *upgraded, void *ctx) {
    struct exchange *ex = of(request);
    struct MHD_Response *response = ex->response ? NULL : MHD_create_response_for_upgrade(on_upgrade, ex);
    if (!response) {
        upgraded(ctx, request->loop, -1, (struct slice){0}, NULL);
        return;
    }
    ex->upgraded = upgraded;
    ex->upgraded_ctx = ctx;
    answer_with(request, MHD_HTTP_SWITCHING_PROTOCOLS, NULL, response);
}

void http_upgrade_close(struct http_loop *loop, struct MHD_UpgradeResponseHandle *handle) {
    MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
    flush_upgraded(loop);
}
