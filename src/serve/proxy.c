/* See proxy.h. Loops, limits, and the way of the spans to the store. */
#include "serve/proxy_internal.h"
#include "serve/server.h"

#include "base/log.h"
#include "base/timestamp.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SHIP_AFTER_MS = 5,
    SHIP_SPANS = 256,
    SHIP_BYTES = 1 << 20,
    RETRY_MS = 20, /* the store is full */
    GIVE_UP_MS = 30000,
    WAITING_BYTES_MAX = 32 << 20, /* spans that wait for it, a loop */
    CONNECTIONS_KEPT = 256,
    BUFFERED_MAX = 256 << 10,
    SPARE_ARENA_MAX = 64 << 10,
    SCRATCH_KEPT_MAX = 1 << 20,
    BUFFER_KEPT_MAX = 16 << 10
};

static struct proxy_loop *on_loop(struct proxy *proxy, const struct http_loop *loop) {
    return &proxy->loops[http_loop_index(loop)];
}

static void count(atomic_uint_least64_t *counter, uint64_t by) {
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* --- spans to the store --- */

struct shipment {
    struct loop_task task;
    struct proxy_loop *at;
    struct intake intake;
    int code;
};

static void ship_later(struct proxy_loop *at, unsigned ms) {
    loop_timer_set(http_loop_of(at->loop), &at->ship, time_monotonic_ns() + (int64_t)ms * NS_PER_MS);
}

static void lose(struct proxy_loop *at, struct intake *intake, const char *why) {
    count(&at->proxy->spans_lost, intake->batch->count);
    intake_note_error(&at->server->intake, intake_signal_name(INTAKE_PROXY), why);
    log_warn("proxy: %u spans are lost: %s", intake->batch->count, why);
}

static void on_arrived(struct loop_task *task) {
    struct shipment *shipment = container_of(task, struct shipment, task);
    struct proxy_loop *at = shipment->at;
    if (shipment->code) lose(at, &shipment->intake, "the store could not write them");
    intake_end(at->server, &shipment->intake, shipment->code);
    free(shipment);
    at->shipments--;
}

static void done(void *ctx, int code) { /* on the store's writer thread */
    struct shipment *shipment = ctx;
    shipment->code = code;
    loop_post(http_loop_of(shipment->at->loop), &shipment->task);
}

/* True when it is off our hands: on its way, or lost for good. */
static bool send_off(struct proxy_loop *at, struct intake *intake, bool patient) {
    struct error err;
    uint64_t bytes;
    int code = intake->batch->count ? error_set(&err, VT_ENOMEM, "no memory for them") : 0;
    struct shipment *shipment = code ? calloc(1, sizeof *shipment) : NULL;
    if (shipment) {
        *shipment = (struct shipment){.task.run = on_arrived, .at = at, .intake = *intake};
        code = intake_store(at->server, &shipment->intake, done, shipment, &bytes, &err);
        if (!code) {
            intake->batch = NULL;
            at->shipments++;
            return true;
        }
        free(shipment);
    }
    if (code && patient) return false;
    if (code) lose(at, intake, err.message);
    intake_end(at->server, intake, code);
    return true;
}

/* What the store has no room for now waits, as nobody sends it again but we; what comes meanwhile gathers behind it. */
static void ship(struct proxy_loop *at) {
    bool patient = time_monotonic_ns() - at->refused_ns < (int64_t)GIVE_UP_MS * NS_PER_MS && !at->stopping;
    loop_timer_stop(http_loop_of(at->loop), &at->ship);
    if (at->refused.batch && !send_off(at, &at->refused, patient)) {
        ship_later(at, RETRY_MS);
        return;
    }
    if (!at->intake.batch || send_off(at, &at->intake, !at->stopping)) return;
    at->refused = at->intake;
    at->refused_ns = time_monotonic_ns();
    at->intake.batch = NULL;
    ship_later(at, RETRY_MS);
}

static void on_ship(struct loop_timer *timer) {
    ship(container_of(timer, struct proxy_loop, ship));
}

static bool open_batch(struct proxy_loop *at) {
    struct error err;
    if (at->intake.batch) return true;
    at->intake = (struct intake){.signal = INTAKE_PROXY};
    if (intake_begin(at->server, &at->intake, &err)) return false;
    if (!at->refused.batch) ship_later(at, SHIP_AFTER_MS);
    return true;
}

static void observe(struct proxy_loop *at, struct call *call) {
    struct batch *batch;
    call->seen.answer = buf_slice(&call->tap);
    call->seen.tail = buf_slice(&call->tail);
    call->seen.answer_cut = call->answer_bytes > call->tap.len;
    call->seen.request = buf_slice(&call->body);
    call->seen.marks = call->marks;
    count(&at->server->intake.requests[INTAKE_PROXY], 1);
    if (!open_batch(at)) {
        count(&at->proxy->spans_lost, 1);
        return;
    }
    batch = at->intake.batch;
    if (batch->arena.total_bytes > WAITING_BYTES_MAX) { /* the store takes nothing, for long */
        count(&at->proxy->spans_lost, 1);
        return;
    }
    if (seen_to_span(&call->seen, batch, &at->scratch) != 0) count(&at->proxy->spans_lost, 1);
    at->intake.rejected = batch->rejected;
    if (at->scratch.total_bytes > SCRATCH_KEPT_MAX)
        arena_free(&at->scratch);
    else
        arena_reset(&at->scratch);
    if (!at->refused.batch && (batch->count >= SHIP_SPANS || batch->arena.total_bytes > SHIP_BYTES)) ship(at);
}

static void on_observe(struct loop_task *task) {
    struct proxy_loop *at = container_of(task, struct proxy_loop, observe);
    struct call *call = at->over;
    at->over = NULL;
    at->over_last = &at->over;
    for (struct call *next; call; call = next) {
        next = call->next;
        if (call->observed) observe(at, call);
        call_free(call);
    }
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

void call_over(struct call *call) {
    struct proxy_loop *at = call->at;
    if (call->over) return;
    call->over = true;
    call->next = NULL;
    if (!at->over) loop_post(http_loop_of(at->loop), &at->observe);
    *at->over_last = call;
    at->over_last = &call->next;
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
    at->over_last = &at->over;
    at->observe.run = on_observe;
    at->ship.due = on_ship;
    at->transfers = transfers_new(http_loop_of(loop), &config, &err);
    if (!at->transfers) log_error("proxy: %s", err.message);
}

void proxy_loop_stopping(struct proxy *proxy, struct http_loop *loop) {
    if (proxy) on_loop(proxy, loop)->stopping = true;
}

/* When nothing is left of this loop it is taken down, since the loop may end right after. */
bool proxy_loop_busy(struct proxy *proxy, struct http_loop *loop) {
    if (!proxy) return false;
    struct proxy_loop *at = on_loop(proxy, loop);
    if (at->calls) return true;
    ship(at);
    if (at->shipments) return true;
    loop_timer_stop(http_loop_of(loop), &at->ship);
    transfers_free(at->transfers);
    at->transfers = NULL;
    arena_free(&at->scratch);
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
    stats->spans_lost = atomic_load(&proxy->spans_lost);
    stats->calls_open = atomic_load(&proxy->calls_open);
}
