/* HTTP/1.1: libmicrohttpd on our event loops. Each loop thread has a daemon and a listening socket of its own on a
 * shared port; a request never changes its thread. Routes are a table; a handler runs on the loop's thread and either
 * answers at once or says request_hold and answers later, from a task on the same loop (loop_post), while other threads
 * work for it.
 *
 * Everything about a request belongs to its loop's thread. A request lives until its answer was sent or its client
 * went; a request on hold lives at least until it is answered, whatever happens to the client. */
#ifndef SERVE_HTTP_H
#define SERVE_HTTP_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/loop.h"
#include "base/net.h"

#include <sys/types.h>

struct http;      /* all loops together */
struct http_loop; /* one thread */
struct request;
struct MHD_UpgradeResponseHandle;

enum http_method {
    METHOD_GET = 1, /* HEAD comes as GET; what it must not send is not sent */
    METHOD_POST = 2,
    METHOD_PUT = 4,
    METHOD_DELETE = 8,
    METHOD_PATCH = 16,
    METHOD_OPTIONS = 32,
    METHOD_ANY = 63
};

typedef void request_handler(struct request *request);

struct route {
    const char *path;         /* exact; a "*" at its end takes any rest */
    unsigned methods;         /* enum http_method, or-ed */
    request_handler *handler; /* the whole body is there */
    int scope;                /* what a caller needs, for `admit`; the caller's own numbering */
    unsigned flags;           /* the caller's own */
    const void *data;         /* the caller's own */
};

struct request {
    struct http_loop *loop;
    const struct route *route;
    enum http_method method;
    const char *verb;     /* the method as it stands in the request line */
    struct slice path;    /* unescaped, without the query */
    struct slice target;  /* as it stands in the request line, query included */
    struct slice rest;    /* what the route's "*" took */
    struct buf body;      /* a handler may take it: copy the struct and zero this one */
    struct arena arena;   /* lives as long as the request */
    int64_t began_ns;     /* time_monotonic_ns */
    struct slice project; /* of the key that asks, set by `admit`; empty = default */
    int scopes;           /* of that key, set by `admit` */
};

struct http_failure {
    unsigned status;
    const char *code, *message, *hint; /* hint may be NULL */
    int column;                        /* 0 = none */
};

struct http_config {
    const struct route *routes; /* ends with a NULL path */
    void *ctx;                  /* of http_ctx */
    /* Runs when the headers are there, before the body is read. Answers (request_fail) to refuse. May be NULL. */
    void (*admit)(struct request *request);
    /* Adds headers that every answer carries; may be NULL. */
    void (*decorate)(struct request *request);
    /* Writes the body of a failed request and returns its content type; NULL (also as the answer): {"error":{…}}. Runs
     * for what the HTTP core itself refuses, too. */
    const char *(*put_failure)(struct request *request, const struct http_failure *failure, struct buf *out);
    void (*loop_started)(struct http_loop *loop);  /* on each loop's thread; may be NULL */
    void (*loop_stopping)(struct http_loop *loop); /* the same, before its daemon ends: let go of upgraded sockets */
    /* While stopping: true as long as other work of this loop is under way; asked again every few milliseconds. `late`:
     * the time to wait is over, end what can be ended. May be NULL. */
    bool (*loop_busy)(struct http_loop *loop, bool late);
    struct net_address listen; /* http_start puts the port in that port 0 became */
    unsigned threads;
    uint64_t body_bytes_max, bodies_bytes_max;
    unsigned connections_max, connections_per_ip_max;
    unsigned header_timeout_ms, body_timeout_ms, idle_timeout_ms, stop_timeout_ms;
    const char *tls_cert, *tls_key; /* PEM texts, or NULL */
};

struct http_stats {
    uint64_t requests, connections, connections_refused, timeouts;
    uint64_t body_bytes;   /* read from the network since the start */
    uint64_t bodies_bytes; /* held now */
    uint64_t connections_open, requests_open;
    uint64_t answers[6]; /* by hundreds of the status */
};

/* Starts the threads. config is copied; what it points to must outlive the server. */
int http_start(struct http **http, struct http_config *config, struct error *err);
/* Stops accepting, waits for the requests under way at most stop_timeout_ms, ends the threads. NULL is fine. */
void http_stop(struct http *http);
void http_get_stats(const struct http *http, struct http_stats *stats);

void *http_ctx(const struct http_loop *loop);
struct loop *http_loop_of(const struct http_loop *loop);
unsigned http_loop_index(const struct http_loop *loop);
bool http_is_tls(const struct http_loop *loop);

/* For other protocols on the same loops: the limits on connections and on the memory of bodies are shared. False =
 * full. */
bool http_peer_take(struct http_loop *loop, const struct sockaddr *peer);
void http_peer_drop(struct http_loop *loop, const struct sockaddr *peer);
bool http_budget_take(struct http_loop *loop, uint64_t bytes);
void http_budget_give(struct http_loop *loop, uint64_t bytes);

/* What came. Empty slices for what is not there; texts live as long as the request. */
struct slice request_header(const struct request *request, const char *name);
struct slice request_query(const struct request *request, const char *name); /* unescaped */
/* Calls `each` for every parameter of the query. */
void request_each_query(const struct request *request, void (*each)(void *ctx, const char *name, const char *value),
                        void *ctx);
void request_each_header(const struct request *request, void (*each)(void *ctx, const char *name, const char *value),
                         void *ctx);
/* The client unpacks gzip (Accept-Encoding). */
bool request_takes_gzip(const struct request *request);
const struct net_address *request_peer(const struct request *request);
int request_socket(const struct request *request);

/* Answers. Exactly one of these for a request; those after the first are ignored. */
void request_answer(struct request *request, unsigned status, const char *type,
                    struct buf *body); /* takes the buffer */
void request_answer_static(struct request *request, unsigned status, const char *type,
                           struct slice body); /* outlives all */
/* {"error":{"code","message","hint"}}; hint may be NULL. */
void request_fail(struct request *request, unsigned status, const char *code, const char *hint, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
void request_fail_error(struct request *request, const struct error *err); /* status by its code */
void request_fail_as(struct request *request, unsigned status, const struct error *err);
unsigned http_status_of(int error_code);
void http_error_body(struct buf *out, const char *code, const char *message, const char *hint, int column);
/* For the answer that follows. Both are copied. */
void request_add_header(struct request *request, const char *name, const char *value);
bool request_is_answered(const struct request *request);

/* The handler returns without an answer; one of the answers above follows later on the loop's thread. */
void request_hold(struct request *request);
/* While on hold, and while a stream goes out: `gone` is called once on the loop's thread when the client closes. The
 * request must still be answered. */
void request_on_gone(struct request *request, void (*gone)(struct request *request, void *ctx), void *ctx);

/* A body in pieces. `read` fills `out` and returns how many bytes; 0 = nothing yet, request_wake follows; -1 = the end;
 * -2 = broken, the connection is cut. `end` is called once, when the answer is through or the client went. */
struct stream {
    ssize_t (*read)(struct stream *stream, char *out, size_t size);
    void (*end)(struct stream *stream);
};
void request_answer_stream(struct request *request, unsigned status, const char *type, int64_t length,
                           struct stream *stream);
void request_wake(struct request *request);

/* 101: the socket is given to `upgraded` on the loop's thread, once the answer was sent. `extra` are bytes that were
 * read already. It ends with http_upgrade_close. If the client went before, `upgraded` is called with fd -1 and no
 * handle. The request is gone when `upgraded` returns. */
typedef void http_upgraded(void *ctx, struct http_loop *loop, int fd, struct slice extra,
                           struct MHD_UpgradeResponseHandle *handle);
void request_upgrade(struct request *request, http_upgraded *upgraded, void *ctx);
void http_upgrade_close(struct http_loop *loop, struct MHD_UpgradeResponseHandle *handle);

#endif
