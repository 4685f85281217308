/* What proxy.c (loops, and spans on their way to the store) and proxy_call.c (one call) share. */
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
    struct call *next;       /* among those that are over, or the spare ones */
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
};

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
    struct loop_task observe; /* what is over, once its answer has gone out */
    struct intake intake;     /* spans that wait to go together; batch NULL: none */
    struct loop_timer ship;
    struct intake refused; /* spans that the store had no room for; batch NULL: none */
    int64_t refused_ns;    /* since when, monotonic */
    struct arena scratch;
    bool stopping;
};

struct proxy {
    struct server *server;
    struct upstreams upstreams;
    struct arena arena;
    struct proxy_loop *loops;
    unsigned loop_count;
    atomic_uint calls_open;
    atomic_uint_least64_t calls, refused, failed, spans_lost;
};

/* proxy.c */
struct call *call_new(struct proxy_loop *at); /* NULL: too many, or no memory */
void call_over(struct call *call);            /* its span is made, and it is freed, a moment later */
void call_free(struct call *call);

#endif
