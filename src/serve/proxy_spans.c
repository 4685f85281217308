/* See proxy.h. The way of the proxy's spans to the store. What the store has no room for waits here, and when that is
 * much, new calls wait too, before they go up: so a span is not lost because calls came faster than they can be
 * written.
 */
#include "serve/proxy_internal.h"
#include "serve/server.h"

#include "base/log.h"
#include "base/timestamp.h"

#include <stdlib.h>

enum {
    SHIP_AFTER_MS = 5,
    SHIP_SPANS = 256,
    SHIP_BYTES = 1 << 20,
    RETRY_MS = 20,         /* the store is full */
    ROOM_BYTES = 16 << 20, /* of spans that wait, a loop: past it no call is begun whose span would join them */
    SCRATCH_KEPT_MAX = 1 << 20,
    WARN_EVERY_MS = 10000
};

/* Spans that go together. */
struct parcel {
    struct loop_task task;
    struct parcel *next;
    struct proxy_loop *at;
    struct intake intake;
    uint64_t bytes;
    int code;
};

static void count(atomic_uint_least64_t *counter, uint64_t by) {
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

static void set_timer(struct proxy_loop *at, struct loop_timer *timer, unsigned ms) {
    loop_timer_set(http_loop_of(at->loop), timer, time_monotonic_ns() + (int64_t)ms * NS_PER_MS);
}

/* --- losses: counted, and told --- */

static void lose(struct proxy_loop *at, unsigned spans, const char *why) {
    int64_t now_ns = time_monotonic_ns();
    count(&at->proxy->spans_lost, spans);
    intake_note_error(&at->server->intake, intake_signal_name(INTAKE_PROXY), why);
    at->lost_untold += spans;
    if (at->warned_ns && now_ns - at->warned_ns < (int64_t)WARN_EVERY_MS * NS_PER_MS) return;
    at->warned_ns = now_ns;
    log_warn("proxy: spans are lost (%u more): %s", at->lost_untold, why);
    at->lost_untold = 0;
}

static void drop_parcel(struct parcel *parcel, int code, const char *why) {
    struct proxy_loop *at = parcel->at;
    if (code) lose(at, parcel->intake.batch->count, why);
    intake_end(at->server, &parcel->intake, code);
    free(parcel);
}

/* --- to the store --- */

static void queue_parcel(struct parcel *parcel) {
    struct proxy_loop *at = parcel->at;
    batch_pack(parcel->intake.batch); /* what made them can go while they wait */
    parcel->bytes = batch_bytes(parcel->intake.batch);
    parcel->next = NULL;
    *at->waiting_last = parcel;
    at->waiting_last = &parcel->next;
    at->waiting_bytes += parcel->bytes;
}

static void on_arrived(struct loop_task *task) {
    struct parcel *parcel = container_of(task, struct parcel, task);
    struct proxy_loop *at = parcel->at;
    at->shipments--;
    if (parcel->code == VT_EFULL)
        queue_parcel(parcel); /* the disk filled up under it: nothing of it was kept */
    else
        drop_parcel(parcel, parcel->code, "the store could not write them");
    if (at->waiting) set_timer(at, &at->ship, at->shipments ? 0 : RETRY_MS);
}

static void on_durable(void *ctx, int code) { /* on the store's writer thread */
    struct parcel *parcel = ctx;
    parcel->code = code;
    loop_post(http_loop_of(parcel->at->loop), &parcel->task);
}

static void close_open(struct proxy_loop *at) {
    struct parcel *parcel = at->open;
    at->open = NULL;
    if (!parcel) return;
    if (parcel->intake.batch->count)
        queue_parcel(parcel);
    else
        drop_parcel(parcel, 0, NULL);
}

/* Sends what waits, as far as there is room for it; nobody sends it again but we. */
static void ship(struct proxy_loop *at) {
    struct error err;
    uint64_t bytes;
    loop_timer_stop(http_loop_of(at->loop), &at->ship);
    close_open(at);
    for (struct parcel *parcel; (parcel = at->waiting);) {
        int code = intake_store(at->server, &parcel->intake, on_durable, parcel, &bytes, &err);
        if (code == VT_EFULL && !at->late) {
            set_timer(at, &at->ship, RETRY_MS);
            break;
        }
        at->waiting = parcel->next;
        if (!at->waiting) at->waiting_last = &at->waiting;
        at->waiting_bytes -= parcel->bytes;
        if (code)
            drop_parcel(parcel, code, err.message);
        else
            at->shipments++;
    }
    if (at->parked) set_timer(at, &at->unpark, 0); /* from the loop, never from inside of who calls here */
}

static void on_ship(struct loop_timer *timer) {
    ship(container_of(timer, struct proxy_loop, ship));
}

/* --- from calls --- */

static bool open_parcel(struct proxy_loop *at) {
    struct error err;
    if (at->open) return true;
    struct parcel *parcel = calloc(1, sizeof *parcel);
    if (!parcel) return false;
    parcel->task.run = on_arrived;
    parcel->at = at;
    parcel->intake.signal = INTAKE_PROXY;
    if (intake_begin(at->server, &parcel->intake, &err)) {
        free(parcel);
        return false;
    }
    at->open = parcel;
    if (!at->waiting) set_timer(at, &at->ship, SHIP_AFTER_MS);
    return true;
}

static void observe(struct proxy_loop *at, struct call *call) {
    call->seen.answer = buf_slice(&call->tap);
    call->seen.tail = buf_slice(&call->tail);
    call->seen.answer_cut = call->answer_bytes > call->tap.len;
    call->seen.request = buf_slice(&call->body);
    call->seen.marks = call->marks;
    count(&at->server->intake.requests[INTAKE_PROXY], 1);
    if (!open_parcel(at)) {
        lose(at, 1, "no memory for them");
        return;
    }
    struct batch *batch = at->open->intake.batch;
    int code = seen_to_span(&call->seen, batch, &at->scratch);
    if (code) lose(at, 1, code == VT_EINVAL ? "a call made no span that can be kept" : "no memory for them");
    at->open->intake.rejected = batch->rejected;
    if (at->scratch.total_bytes > SCRATCH_KEPT_MAX)
        arena_free(&at->scratch);
    else
        arena_reset(&at->scratch);
    if (batch->count < SHIP_SPANS && batch->arena.total_bytes <= SHIP_BYTES) return;
    if (at->waiting)
        close_open(at); /* behind those that wait already */
    else
        ship(at);
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

void call_over(struct call *call) {
    struct proxy_loop *at = call->at;
    if (call->over) return;
    call->over = true;
    call->next = NULL;
    if (!at->over) loop_post(http_loop_of(at->loop), &at->observe);
    *at->over_last = call;
    at->over_last = &call->next;
}

/* --- calls that wait for room --- */

static bool has_room(struct proxy_loop *at) {
    bool room = at->waiting_bytes + (at->open ? at->open->intake.batch->arena.total_bytes : 0) < ROOM_BYTES;
    if (room)
        at->full_since_ns = 0;
    else if (!at->full_since_ns)
        at->full_since_ns = time_monotonic_ns();
    return room;
}

/* A call that goes on without room: refused, or its span is lost. */
static void give_up(struct proxy_loop *at) {
    static const char why[] = "the store does not keep up";
    if (at->server->options.proxy_strict)
        intake_note_error(&at->server->intake, intake_signal_name(INTAKE_PROXY), why);
    else
        lose(at, 1, why);
}

static int64_t wait_ns(const struct proxy_loop *at) {
    return (int64_t)at->server->options.proxy_span_wait_ms * NS_PER_MS;
}

enum room spans_room(struct proxy_loop *at, struct call *call) {
    if (has_room(at)) return ROOM;
    int64_t now_ns = time_monotonic_ns();
    if (at->stopping || now_ns - at->full_since_ns >= wait_ns(at)) { /* nothing moves: no call is held up for that */
        give_up(at);
        return NO_ROOM;
    }
    call->waits = true;
    call->wait_until_ns = now_ns + wait_ns(at);
    call->next = NULL;
    *at->parked_last = call;
    at->parked_last = &call->next;
    count(&at->proxy->waited, 1);
    if (at->parked == call) loop_timer_set(http_loop_of(at->loop), &at->unpark, call->wait_until_ns);
    return WAIT_FOR_ROOM;
}

void spans_unpark(struct call *call) {
    struct proxy_loop *at = call->at;
    struct call **place = &at->parked;
    if (!call->waits) return;
    while (*place != call) place = &(*place)->next;
    *place = call->next;
    if (at->parked_last == &call->next) at->parked_last = place;
    call->waits = false;
}

static void on_unpark(struct loop_timer *timer) {
    struct proxy_loop *at = container_of(timer, struct proxy_loop, unpark);
    for (struct call *call; (call = at->parked);) {
        bool room = has_room(at), late = time_monotonic_ns() >= call->wait_until_ns;
        if (!room && !late) {
            loop_timer_set(http_loop_of(at->loop), timer, call->wait_until_ns);
            return;
        }
        spans_unpark(call);
        if (!room) give_up(at);
        call_go(call, room);
    }
}

/* --- life --- */

void spans_init(struct proxy_loop *at) {
    at->over_last = &at->over;
    at->waiting_last = &at->waiting;
    at->parked_last = &at->parked;
    at->observe.run = on_observe;
    at->ship.due = on_ship;
    at->unpark.due = on_unpark;
}

bool spans_busy(struct proxy_loop *at) {
    ship(at);
    if (at->waiting || at->shipments) return true;
    loop_timer_stop(http_loop_of(at->loop), &at->ship);
    loop_timer_stop(http_loop_of(at->loop), &at->unpark);
    arena_free(&at->scratch);
    return false;
}
