/* What http.c (daemons, connections, threads) and request.c (requests and answers) share; nobody else includes this. */
#ifndef SERVE_HTTP_INTERNAL_H
#define SERVE_HTTP_INTERNAL_H

#include "serve/http.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

enum phase { PHASE_HEADERS, PHASE_BODY, PHASE_ANSWER, PHASE_IDLE, PHASE_UPGRADED };

/* One TCP connection. Its loop's thread. */
struct connection {
    struct connection *prev, *next; /* in http_loop.connections */
    struct net_address peer;
    int fd;
    enum phase phase;
    int64_t since_ns; /* when the phase began */
};

struct header {
    struct header *next;
    const char *name, *value;
};

/* A request with what its users need not see. */
struct exchange {
    struct request request;       /* first, so that one is the other */
    struct exchange *prev, *next; /* in http_loop.open; next also in http_loop.spare */
    struct MHD_Connection *mhd;
    struct connection *connection;
    struct MHD_Response *response; /* once answered */
    struct header *headers;        /* for the answer */
    struct stream *stream;
    http_upgraded *upgraded;
    void *upgraded_ctx;
    void (*gone)(struct request *request, void *ctx);
    void *gone_ctx;
    struct loop_watch gone_watch; /* fd -1: not watched */
    uint64_t budget_bytes;        /* its part of http.bodies_bytes */
    unsigned status;
    bool begun;       /* headers were seen */
    bool handled;     /* the handler ran */
    bool held;        /* waits for a later answer */
    bool suspended;   /* libmicrohttpd leaves the connection alone */
    bool cut;         /* the stream must end: the server stops */
    bool handed_over; /* the upgraded socket was given away */
    bool whole;       /* the body ended */
};

struct http_loop {
    struct http *http;
    struct loop *loop;
    struct MHD_Daemon *daemon;
    struct loop_watch watch; /* the daemon's epoll */
    struct loop_hook hook;
    struct loop_timer sweep; /* slow senders */
    struct loop_timer drain; /* while stopping: is all done? */
    struct loop_timer flush; /* upgraded TLS connections that were closed */
    unsigned flushes_left;
    struct loop_task stop;
    int64_t stop_by_ns;
    struct connection *connections;
    struct exchange *open, *spare;
    unsigned spare_count;
    unsigned index;
    bool run_soon; /* something was resumed */
    bool stopping;
    bool started; /* the thread runs */
    pthread_t thread;
    /* Written by this thread alone, read by any. */
    atomic_uint_least64_t requests, body_bytes, connection_total, timeouts, requests_open, answers[6];
};

enum { IP_SLOTS = 4096 };

struct http {
    struct http_config config;
    unsigned loop_count;
    struct http_loop *loops;
    atomic_uint_least64_t bodies_bytes, refused;
    atomic_uint connections_open;
    atomic_uint by_ip[IP_SLOTS]; /* connections by hash of the address: two that collide share a limit */
};

static inline void count_up(atomic_uint_least64_t *counter, uint64_t by) {
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* request.c */
void *exchange_begin(struct http_loop *loop, const char *uri, struct MHD_Connection *mhd,
                     struct connection *connection);
enum MHD_Result exchange_step(struct exchange *ex, const char *url, const char *method, const char *data, size_t *size);
void exchange_end(struct exchange *ex);
void exchange_cut(struct exchange *ex); /* the server stops and will not wait for it */
void exchange_free_spare(struct http_loop *loop);

/* http.c */
void connection_enter(struct connection *connection, enum phase phase);
void flush_upgraded(struct http_loop *loop);

#endif
