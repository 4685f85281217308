/* What proxy.c (loops and limits), proxy_call.c (one call) and proxy_spans.c (spans on their way to the store) share.
 */
#ifndef SERVE_PROXY_INTERNAL_H
#define SERVE_PROXY_INTERNAL_H

#include "proxy/seen.h"
#include "proxy/transfer.h"
#include "serve/intake.h"
#include "serve/proxy.h"

#include <stdatomic.h>

enum { MARKS_MAX = 512, CALLS_SPARE_MAX = 32 };

/* One request on its way through. Its loop's thread. */
struct call {
    struct transfer transfer;
    struct stream stream;
    struct proxy_loop *at;
    struct request *request; /* NULL once it was answered whole, or its client went */
    struct call *next;       /* among those that are over, that wait, or the spare ones */
    struct arena arena;
    struct seen seen;
    struct buf body;      /* the request's */
    struct buf tap, tail; /* the answer's beginning, and its end once that is full */
    struct seen_mark *marks;
    uint64_t budget_bytes; /* that the tap holds of the memory of bodies */
    int64_t began_ns;      /* monotonic */
    uint64_t answer_bytes;
    bool observed; /* it is of an API that leaves a span */
    bool tap_full;
    bool answered; /* headers went down */
    bool broken;   /* the client must see that the answer is not whole */
    bool over;
    bool waits;      /* for room for its span, before it goes up */
    bool unrecorded; /* there was none */
    int64_t wait_until_ns;
};

struct parcel; /* proxy_spans.c's */

struct proxy_loop {
    struct proxy *proxy;
    struct server *server;
    struct http_loop *loop;
    struct transfers *transfers; /* NULL: not started, or stopped */
    struct call *spare;
    unsigned spare_count;
    unsigned calls;     /* under way, or not yet observed */
    unsigned shipments; /* batches on their way to the store */
    struct call *over, **over_last;
    struct loop_task observe;               /* what is over, once its answer has gone out */
    struct parcel *open;                    /* gathers spans */
    struct parcel *waiting, **waiting_last; /* full, or refused by the store; they go up in this order */
    uint64_t waiting_bytes;
    int64_t full_since_ns; /* no room since, monotonic; 0 = there is */
    struct loop_timer ship, unpark;
    struct call *parked, **parked_last; /* calls that wait for room, first come first */
    struct arena scratch;
    int64_t warned_ns;
    unsigned lost_untold;
    bool stopping, late;
};

struct proxy {
    struct server *server;
    struct upstreams upstreams;
    struct arena arena;
    struct proxy_loop *loops;
    unsigned loop_count;
    atomic_uint calls_open;
    atomic_uint_least64_t calls, refused, failed, waited, spans_lost;
};

/* proxy.c */
struct call *call_new(struct proxy_loop *at); /* NULL: too many, or no memory */
void call_free(struct call *call);

/* proxy_call.c: a call that waited goes on, with a span of it or without. */
void call_go(struct call *call, bool room);

/* proxy_spans.c */
void spans_init(struct proxy_loop *at);
void call_over(struct call *call); /* its span is made, and it is freed, a moment later */
enum room { ROOM, WAIT_FOR_ROOM, NO_ROOM };
/* Whether there will be room for the span of a call that is about to go up. WAIT_FOR_ROOM: call_go follows, from the
 * loop, unless spans_unpark comes before. NO_ROOM: it was counted as lost, and the call is not to wait. */
enum room spans_room(struct proxy_loop *at, struct call *call);
void spans_unpark(struct call *call); /* a call that does not wait is fine */
bool spans_busy(struct proxy_loop *at);

#endif
