/* One call through the proxy: the request out, the answer back as it comes, and what is noted of both. */
#include "serve/proxy_internal.h"
#include "serve/server.h"

#include "base/log.h"
#include "base/timestamp.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { TAIL_BYTES = 64 << 10, TAP_STEP_BYTES = 8 << 10 };

static const char PREFIX[] = "/proxy/";

static bool is_any(const char *name, const char *const *names) {
    for (; *names; names++)
        if (strcasecmp(name, *names) == 0) return true;
    return false;
}

/* RFC 9110, 7.6.1: they are of one connection and end with it. */
static const char *const hop_by_hop[] = {"connection", "keep-alive", "proxy-connection",  "te",
                                         "trailer",    "upgrade",    "transfer-encoding", NULL};

/* Named by a Connection header, whose value is `list`. */
static bool is_listed(const char *list, const char *name) {
    return *list && list_has(list, slice_of(name));
}

/* --- what is noted of the answer --- */

static void note_mark(struct call *call) {
    int64_t after_ns = time_monotonic_ns() - call->began_ns;
    if (!call->marks) call->marks = arena_alloc(&call->arena, MARKS_MAX * sizeof *call->marks);
    if (!call->marks) return;
    uint32_t n = call->seen.mark_count;
    if (n == MARKS_MAX) { /* half as many, each for twice as much */
        for (n = 0; n < MARKS_MAX / 2; n++) call->marks[n] = call->marks[2 * n + 1];
    }
    call->marks[n] = (struct seen_mark){call->tap.len, after_ns};
    call->seen.mark_count = n + 1;
}

/* The memory of taps is part of that of all bodies: where it has run out the call goes on, and less is kept of it. */
static bool may_tap(struct call *call, size_t bytes) {
    size_t need = call->tap.len + bytes;
    if (call->tap_full || need > SEEN_BODY_MAX) return false;
    while (need > call->budget_bytes) {
        if (!http_budget_take(call->at->loop, TAP_STEP_BYTES)) return false;
        call->budget_bytes += TAP_STEP_BYTES;
    }
    return true;
}

static void note_tail(struct call *call, struct slice piece) {
    if (piece.len > TAIL_BYTES) piece = slice_from(piece, piece.len - TAIL_BYTES);
    if (call->tail.len + piece.len > (size_t)2 * TAIL_BYTES) {
        memmove(call->tail.ptr, call->tail.ptr + call->tail.len - TAIL_BYTES, TAIL_BYTES);
        call->tail.len = TAIL_BYTES;
    }
    buf_put_slice(&call->tail, piece);
}

static void on_seen(struct transfer *transfer, struct slice piece) {
    struct call *call = container_of(transfer, struct call, transfer);
    call->answer_bytes += piece.len;
    if (!may_tap(call, piece.len)) {
        call->tap_full = true;
        note_tail(call, piece);
        return;
    }
    buf_put_slice(&call->tap, piece);
    if (call->tap.failed) {
        buf_free(&call->tap);
        call->tap_full = true;
    } else if (transfer->length < 0) {
        note_mark(call);
    }
}

static void note_headers(struct call *call) {
    static const char *const ids[] = {"x-request-id", "request-id", "apim-request-id", NULL};
    struct seen *seen = &call->seen;
    seen->status = call->transfer.status;
    for (const struct transfer_header *header = call->transfer.headers; header; header = header->next) {
        if (strcasecmp(header->name, "content-type") == 0) seen->answer_type = slice_of(header->value);
        if (strcasecmp(header->name, "content-encoding") == 0) seen->answer_encoding = slice_of(header->value);
        if (is_any(header->name, ids) && strlen(header->value) < 200) seen->request_id = slice_of(header->value);
    }
}

/* Once: the first that is said of its end is what happened. */
static void note_end(struct call *call, enum seen_end end, const char *words) {
    if (call->seen.duration_ns) return;
    int64_t duration_ns = time_monotonic_ns() - call->began_ns;
    call->seen.duration_ns = duration_ns > 0 ? duration_ns : 1;
    call->seen.end = end;
    call->seen.words = words && *words ? arena_copy(&call->arena, slice_of(words)) : (struct slice){NULL, 0};
    if (end != SEEN_WHOLE && end != SEEN_CLIENT_GONE)
        atomic_fetch_add_explicit(&call->at->proxy->failed, 1, memory_order_relaxed);
}

static void note_transfer_end(struct call *call) {
    static const enum seen_end ends[] = {[TRANSFER_DONE] = SEEN_WHOLE,
                                         [TRANSFER_NO_CONNECTION] = SEEN_UNREACHABLE,
                                         [TRANSFER_TIMED_OUT] = SEEN_TIMED_OUT,
                                         [TRANSFER_CUT] = SEEN_CUT};
    if (call->transfer.end != TRANSFER_RUNS) note_end(call, ends[call->transfer.end], call->transfer.words);
}

/* --- the answer down --- */

static void on_gone(struct request *request, void *ctx) {
    struct call *call = ctx;
    if (call->over) return;
    note_end(call, SEEN_CLIENT_GONE, NULL);
    spans_unpark(call);
    transfer_drop(&call->transfer);
    if (call->answered) {
        call->broken = true;
        request_wake(request); /* which ends the stream, and the call with it */
        return;
    }
    call->request = NULL;
    request_fail(request, 503, "cancelled", NULL, "the call was given up before upstream had answered");
    call_over(call);
}

static ssize_t on_read(struct stream *stream, char *out, size_t size) {
    struct call *call = container_of(stream, struct call, stream);
    if (call->broken) return -2;
    size_t count = transfer_take(&call->transfer, out, size);
    if (count) return (ssize_t)count;
    if (call->transfer.end == TRANSFER_RUNS) return 0;
    return call->transfer.end == TRANSFER_DONE ? -1 : -2;
}

static void on_end(struct stream *stream) {
    struct call *call = container_of(stream, struct call, stream);
    note_transfer_end(call);
    note_end(call, SEEN_CLIENT_GONE, NULL);
    transfer_drop(&call->transfer);
    call->request = NULL;
    call_over(call);
}

static void pass_headers(struct call *call) {
    const struct transfer_header *header;
    const char *connection = "";
    for (header = call->transfer.headers; header; header = header->next)
        if (strcasecmp(header->name, "connection") == 0) connection = header->value;
    for (header = call->transfer.headers; header; header = header->next)
        if (!is_any(header->name, hop_by_hop) && strcasecmp(header->name, "content-length") != 0 &&
            !is_listed(connection, header->name))
            request_add_header(call->request, header->name, header->value);
}

static void answer(struct call *call) {
    struct request *request = call->request;
    struct transfer *transfer = &call->transfer;
    note_headers(call);
    pass_headers(call);
    if (call->unrecorded) request_add_header(request, "X-Vitrine-Span", "lost");
    call->answered = true;
    if (transfer->end == TRANSFER_DONE && strcmp(request->verb, "HEAD") != 0) {
        struct buf body;
        transfer_take_all(transfer, &body);
        call->request = NULL;
        request_answer(request, transfer->status, NULL, &body);
        call_over(call);
        return;
    }
    call->stream = (struct stream){on_read, on_end};
    request_answer_stream(request, transfer->status, NULL, transfer->length, &call->stream);
}

static void fail(struct call *call) {
    struct request *request = call->request;
    const char *name = call->seen.upstream->name.ptr, *words = call->transfer.words;
    call->request = NULL;
    call->answered = true;
    if (call->transfer.end == TRANSFER_TIMED_OUT)
        request_fail(request, 504, "upstream_timeout",
                     "--proxy-timeout and --proxy-connect-timeout say how long it may take",
                     "upstream %s did not answer in time: %s", name, words);
    else if (call->transfer.end == TRANSFER_NO_CONNECTION)
        request_fail(request, 502, "upstream_unreachable", "check the address given with --upstream, and the network",
                     "upstream %s cannot be reached: %s", name, words);
    else
        request_fail(request, 502, "upstream_broken", NULL, "upstream %s gave no answer: %s", name, words);
    log_debug("proxy: %s: %s", name, words);
    call_over(call);
}

static void on_news(struct transfer *transfer) {
    struct call *call = container_of(transfer, struct call, transfer);
    note_transfer_end(call);
    if (call->over || !call->request) return;
    if (call->answered)
        request_wake(call->request);
    else if (transfer->has_headers)
        answer(call);
    else if (transfer->end != TRANSFER_RUNS)
        fail(call);
}

/* --- the request up --- */

struct passing {
    struct call *call;
    const char *connection;
    bool has_type, has_agent, has_accept, good;
};

static void pass_header(void *ctx, const char *name, const char *value) {
    static const char *const ours[] = {"host", "content-length", "expect", "accept-encoding", "proxy-authorization",
                                       NULL};
    struct passing *p = ctx;
    struct call *call = p->call;
    bool is_parent = strcasecmp(name, "traceparent") == 0;
    if (seen_take_header(&call->seen, slice_of(name), slice_of(value), &call->arena)) return;
    if (is_any(name, hop_by_hop) || is_any(name, ours) || is_listed(p->connection, name)) return;
    if (is_parent && !id_is_zero(call->seen.parent_span_id, SPAN_ID_SIZE)) return; /* ours takes its place */
    p->has_type |= strcasecmp(name, "content-type") == 0;
    p->has_accept |= strcasecmp(name, "accept") == 0;
    p->good &= transfer_add_header(&call->transfer, name, value);
}

static bool pass_request(struct call *call) {
    struct request *request = call->request;
    struct transfer *transfer = &call->transfer;
    char parent[TRACEPARENT_TEXT_MAX];
    struct slice connection = request_header(request, "Connection");
    struct passing p = {.call = call, .connection = connection.len ? connection.ptr : "", .good = true};
    request_each_header(request, pass_header, &p);
    seen_keep_secret(&call->seen, request_query(request, "key"), &call->arena);
    seen_place(&call->seen);
    bool child = !id_is_zero(call->seen.parent_span_id, SPAN_ID_SIZE);
    if (child) p.good &= transfer_add_header(transfer, "traceparent", seen_traceparent(&call->seen, parent));
    p.good &= transfer_add_header(transfer, "Accept-Encoding", "identity"); /* so that the answer can be read */
    p.good &= transfer_add_header(transfer, "Expect", NULL);
    if (!p.has_type) p.good &= transfer_add_header(transfer, "Content-Type", NULL);
    if (!p.has_accept) p.good &= transfer_add_header(transfer, "Accept", NULL);
    return p.good;
}

static void refuse_unknown(struct request *request, const struct proxy *proxy) {
    char list[160] = "";
    for (size_t i = 0; proxy && i < proxy->upstreams.count; i++) {
        size_t len = strlen(list);
        snprintf(list + len, sizeof list - len, "%s%s",
                 len ? ", " : "; there are: ", proxy->upstreams.list[i].name.ptr);
    }
    char hint[256];
    snprintf(hint, sizeof hint, "vitrine serve --upstream NAME=https://host names one%s", list);
    struct slice shown = request->rest;
    const char *slash = shown.len ? memchr(shown.ptr, '/', shown.len) : NULL;
    if (slash) shown.len = (size_t)(slash - shown.ptr);
    request_fail(request, 404, "not_found", hint, "there is no upstream \"%.*s\"",
                 (int)(shown.len > 100 ? 100 : shown.len), shown.len ? shown.ptr : "");
}

static void refuse_busy(struct request *request) {
    request_add_header(request, "Retry-After", "1");
    request_fail(request, 503, "full", "call again after Retry-After; --proxy-calls sets the bound",
                 "too many calls to upstreams are under way");
}

static void refuse_unrecorded(struct request *request) {
    request_add_header(request, "Retry-After", "1");
    request_fail(request, 503, "full", "call again after Retry-After; without --proxy-strict it would pass unrecorded",
                 "the store does not keep up: there is no room for the span of this call");
}

void call_go(struct call *call, bool room) {
    struct request *request = call->request;
    struct error err;
    bool strict = call->at->server->options.proxy_strict;
    if (!room && !strict) {
        call->observed = false;
        call->unrecorded = true;
        call->transfer.seen = NULL;
    }
    if ((room || !strict) && transfer_start(call->at->transfers, &call->transfer, &err) == 0) return;
    call->request = NULL;
    call->observed = false;
    if (!room && strict)
        refuse_unrecorded(request);
    else
        refuse_busy(request);
    atomic_fetch_add_explicit(&call->at->proxy->refused, 1, memory_order_relaxed);
    call_over(call);
}

static void begin(struct call *call, struct request *request, const struct upstream *upstream, struct slice rest) {
    struct transfer *transfer = &call->transfer;
    const char *question = rest.len ? memchr(rest.ptr, '?', rest.len) : NULL;
    call->request = request;
    call->body = request->body; /* it may be needed when the request is gone */
    request->body = (struct buf){0};
    call->began_ns = request->began_ns;
    call->observed = request->method == METHOD_POST && seen_api_of(rest) != API_NONE;
    call->seen.upstream = upstream;
    call->seen.start_ns = time_now_ns() - (time_monotonic_ns() - call->began_ns);
    call->seen.project = arena_copy(&call->arena, request->project);
    call->seen.path =
        arena_copy(&call->arena, slice_make(rest.ptr, question ? (size_t)(question - rest.ptr) : rest.len));
    *transfer = (struct transfer){
        .url = arena_printf(&call->arena, "%s%.*s", upstream->url, (int)rest.len, rest.len ? rest.ptr : "").ptr,
        .method = arena_copy(&call->arena, slice_of(request->verb)).ptr,
        .body = buf_slice(&call->body),
        .loopback = upstream->loopback,
        .arena = &call->arena,
        .idle_timeout_ms = call->at->server->options.proxy_timeout_ms,
        .news = on_news,
        .seen = call->observed ? on_seen : NULL};
    if (!transfer->url || !transfer->method || !pass_request(call)) {
        call_free(call);
        refuse_busy(request);
        return;
    }
    request_hold(request);
    request_on_gone(request, on_gone, call);
    enum room room = call->observed ? spans_room(call->at, call) : ROOM;
    if (room != WAIT_FOR_ROOM) call_go(call, room == ROOM);
}

void proxy_handle(struct request *request) {
    struct proxy *proxy = server_of(request)->proxy;
    struct slice rest, target = request->target, prefix = slice_make(PREFIX, sizeof PREFIX - 1);
    const struct upstream *upstream = proxy && slice_starts(target, prefix)
                                          ? upstream_of(&proxy->upstreams, slice_from(target, prefix.len), &rest)
                                          : NULL;
    if (!upstream) {
        refuse_unknown(request, proxy);
        return;
    }
    if (path_climbs(rest)) {
        request_fail(request, 400, "invalid", NULL, "the path of a call may not hold \"..\"");
        return;
    }
    struct proxy_loop *at = &proxy->loops[http_loop_index(request->loop)];
    struct call *call = at->transfers ? call_new(at) : NULL;
    if (call)
        begin(call, request, upstream, rest);
    else
        refuse_busy(request);
}
