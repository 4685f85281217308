/* See proxy.h. Loops, limits, and the life of calls. */
#include "serve/proxy_internal.h"
#include "serve/server.h"

#include "base/log.h"
#include "base/timestamp.h"

#include <stdio.h>
#include <stdlib.h>

enum { CONNECTIONS_KEPT = 256, BUFFERED_MAX = 256 << 10, SPARE_ARENA_MAX = 64 << 10, BUFFER_KEPT_MAX = 16 << 10 };

static struct proxy_loop *on_loop(struct proxy *proxy, const struct http_loop *loop) {
    return &proxy->loops[http_loop_index(loop)];
}

static void count(atomic_uint_least64_t *counter, uint64_t by) {
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* --- calls --- */

struct call *call_new(struct proxy_loop *at) {
    struct proxy *proxy = at->proxy;
    if (atomic_fetch_add(&proxy->calls_open, 1) >= proxy->server->options.proxy_calls_max) goto refused;
    struct call *call = at->spare;
    if (call) {
        struct arena arena = call->arena;
        struct buf tap = call->tap;
        at->spare = call->next;
        at->spare_count--;
        memset(call, 0, sizeof *call);
        call->arena = arena;
        call->tap = tap;
    } else if (!(call = calloc(1, sizeof *call))) {
        goto refused;
    }
    call->at = at;
    at->calls++;
    count(&proxy->calls, 1);
    return call;
refused:
    atomic_fetch_sub(&proxy->calls_open, 1);
    count(&proxy->refused, 1);
    return NULL;
}

void call_free(struct call *call) {
    struct proxy_loop *at = call->at;
    transfer_drop(&call->transfer);
    buf_free(&call->body);
    buf_free(&call->tail);
    if (call->budget_bytes) http_budget_give(at->loop, call->budget_bytes);
    atomic_fetch_sub(&at->proxy->calls_open, 1);
    at->calls--;
    if (at->spare_count == CALLS_SPARE_MAX || at->stopping) {
        arena_free(&call->arena);
        buf_free(&call->tap);
        free(call);
        return;
    }
    if (call->arena.total_bytes > SPARE_ARENA_MAX)
        arena_free(&call->arena);
    else
        arena_reset(&call->arena);
    if (call->tap.cap > BUFFER_KEPT_MAX) buf_free(&call->tap);
    buf_clear(&call->tap);
    call->next = at->spare;
    at->spare = call;
    at->spare_count++;
}

/* --- life --- */

int proxy_open(struct proxy **out, struct server *server, struct error *err) {
    struct proxy *proxy = calloc(1, sizeof *proxy);
    if (!proxy) return error_set(err, VT_ENOMEM, "no memory for the proxy");
    proxy->server = server;
    proxy->loop_count = server->options.threads;
    proxy->loops = arena_calloc(&proxy->arena, proxy->loop_count, sizeof *proxy->loops);
    int code = proxy->loops ? upstreams_read(&proxy->upstreams, server->options.upstreams,
                                             server->options.upstream_count, &proxy->arena, err)
                            : error_set(err, VT_ENOMEM, "no memory for the proxy");
    if (code)
        proxy_free(proxy);
    else
        *out = proxy;
    return code;
}

void proxy_free(struct proxy *proxy) {
    if (!proxy) return;
    arena_free(&proxy->arena);
    free(proxy);
}

void proxy_loop_started(struct proxy *proxy, struct http_loop *loop) {
    if (!proxy) return;
    struct proxy_loop *at = on_loop(proxy, loop);
    struct error err;
    struct transfers_config config = {proxy->server->options.proxy_connect_timeout_ms, CONNECTIONS_KEPT, BUFFERED_MAX};
    *at = (struct proxy_loop){.proxy = proxy, .server = proxy->server, .loop = loop};
    spans_init(at);
    at->transfers = transfers_new(http_loop_of(loop), &config, &err);
    if (!at->transfers) log_error("proxy: %s", err.message);
}

void proxy_loop_stopping(struct proxy *proxy, struct http_loop *loop) {
    if (proxy) on_loop(proxy, loop)->stopping = true;
}

/* When nothing is left of this loop it is taken down, since the loop may end right after. */
bool proxy_loop_busy(struct proxy *proxy, struct http_loop *loop, bool late) {
    if (!proxy) return false;
    struct proxy_loop *at = on_loop(proxy, loop);
    at->late = late;
    if (at->calls || spans_busy(at)) return true;
    transfers_free(at->transfers);
    at->transfers = NULL;
    for (struct call *call = at->spare, *next; call; call = next) {
        next = call->next;
        arena_free(&call->arena);
        buf_free(&call->tap);
        free(call);
    }
    at->spare = NULL;
    at->spare_count = 0;
    return false;
}

void proxy_get_stats(const struct proxy *proxy, struct proxy_stats *stats) {
    *stats = (struct proxy_stats){0};
    if (!proxy) return;
    stats->calls = atomic_load(&proxy->calls);
    stats->refused = atomic_load(&proxy->refused);
    stats->failed = atomic_load(&proxy->failed);
    stats->waited = atomic_load(&proxy->waited);
    stats->spans_lost = atomic_load(&proxy->spans_lost);
    stats->calls_open = atomic_load(&proxy->calls_open);
}
