/* The server's insides, shared by the files of src/serve that make it up; nobody else includes this.
 *
 * Threads: the loops (http.h), the pool that may block (workers.h), the store's own. What stands here is set by
 * serve_start before the loops run and only read after, but for what says otherwise. */
#ifndef SERVE_SERVER_H
#define SERVE_SERVER_H

#include "alert/alerts.h"
#include "metrics/prometheus.h"
#include "query/api.h"
#include "serve/admit.h"
#include "serve/grpc.h"
#include "serve/http.h"
#include "serve/intake.h"
#include "serve/keys.h"
#include "serve/live.h"
#include "serve/outlets.h"
#include "serve/push.h"
#include "serve/price_list.h"
#include "serve/proxy.h"
#include "serve/sampling.h"
#include "serve/serve.h"
#include "serve/turns.h"
#include "serve/workers.h"
#include "span/mask.h"

#include <stdatomic.h>

struct server {
    struct serve_options options;
    struct http_config http_config;
    const struct row *rows; /* routes.h */
    struct arena arena;     /* what is made once at the start: the table of routes, texts of files */
    struct store *store;
    struct engine *engine;
    struct keys *keys;
    struct price_list prices;
    struct mask *mask;
    struct sampling *sampling; /* the store's sealer; NULL: all traces are kept */
    struct prometheus *prometheus;
    struct workers *workers;      /* for queries */
    struct workers *housekeepers; /* one, for what is quick and must not wait for queries */
    struct live *live;
    struct outlets outlets; /* the store's writer thread */
    struct push *pushes[PUSHES_MAX];
    size_t push_count;
    _Atomic(struct alerts *) alerts; /* NULL until the server listens */
    struct grpc *grpc;               /* NULL: not asked for */
    struct net_address grpc_address;
    struct proxy *proxy; /* NULL: no upstreams */
    struct http *http;
    struct admission admission;
    struct intake_stats intake; /* any thread */
    struct workers_job tick;    /* every second, in the pool: see serve.c */
    atomic_bool tick_waits;
    struct loop *tick_loop;       /* the first one */
    struct loop_timer tick_timer; /* its */
    struct turns *turns;          /* by loop, each of its own thread */
    unsigned *exports_under_way;  /* by loop, each of its own thread: the loop must not end before them */
    int64_t started_ns;           /* Unix time */
    atomic_bool stopping;
    atomic_bool disk_full; /* as of the last tick */
};

static inline struct server *server_on(const struct http_loop *loop) {
    return http_ctx(loop);
}
static inline struct server *server_of(const struct request *request) {
    return server_on(request->loop);
}

#endif
