/* OTLP over gRPC (HTTP/2, known beforehand or by TLS) on a port of its own, on the loops of HTTP. A connection stays
 * on the loop that took it. */
#ifndef SERVE_GRPC_H
#define SERVE_GRPC_H

#include "serve/grpc_session.h"
#include "serve/http.h"

struct grpc; /* opaque */
struct server;

struct grpc_config {
    struct server *server;
    unsigned loops;
    unsigned header_timeout_ms, body_timeout_ms;
    const char *tls_cert, *tls_key; /* PEM texts; NULL: without TLS */
};

/* One loop's calls: the service of its sessions. grpc_export.c. */
struct grpc_export {
    struct grpc_service service;
    struct server *server;
    struct http_loop *loop;
    unsigned under_way; /* calls whose batch the store has */
};

struct grpc_stats {
    uint64_t connections;
    unsigned connections_open;
};

/* Listens, a socket for each loop; the PEM texts are not needed after. *address gets the port that port 0 became. */
int grpc_open(struct grpc **grpc, struct net_address *address, const struct grpc_config *config, struct error *err);
void grpc_free(struct grpc *grpc); /* after the loops have ended; NULL is fine */

/* On each loop's thread, as http_config calls them. NULL is fine. */
void grpc_loop_started(struct grpc *grpc, struct http_loop *loop);
void grpc_loop_stopping(struct grpc *grpc, struct http_loop *loop);
bool grpc_loop_busy(struct grpc *grpc, struct http_loop *loop, bool late);

/* For a call that is answered outside of its own events: its connection, to be remembered before and woken after (NULL
 * is fine). */
struct grpc_connection *grpc_connection_of(const struct grpc_call *call);
void grpc_connection_wake(struct grpc_connection *connection);
void grpc_get_stats(const struct grpc *grpc, struct grpc_stats *stats); /* any thread */

void grpc_export_init(struct grpc_export *exports, struct server *server, struct http_loop *loop);

#endif
