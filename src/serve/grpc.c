/* See grpc.h: sockets, and the sweep that ends what is slow or gone. */
#include "serve/grpc.h"

#include "base/log.h"
#include "base/timestamp.h"
#include "serve/grpc_tls.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 64 << 10, READS_AT_ONCE = 8, SWEEP_MS = 1000, WRITE_PATIENCE_MS = 30000 };

struct grpc_connection {
    struct grpc_connection *prev, *next;
    struct grpc_loop *owner;
    struct grpc_session *session;
    struct tls_link *tls; /* NULL: without TLS */
    struct net_address peer;
    struct loop_watch watch;
    uint32_t events;
    const uint8_t *pending; /* libnghttp2's, until it is asked for more */
    size_t pending_len;
    int64_t stuck_ns; /* since when nothing could be written; 0 = not */
    bool closing;     /* no more reading: send what is left, then close */
};

struct grpc_loop {
    struct grpc *grpc;
    struct http_loop *http; /* NULL: not running */
    struct loop_watch accept;
    struct loop_timer sweep;
    struct grpc_connection *connections;
    int fd;
    struct grpc_export exports;
    uint8_t data[READ_BYTES]; /* what was just read, of any connection */
};

struct grpc {
    struct grpc_config config;
    atomic_uint connections_open;
    atomic_uint_least64_t connections;
    struct tls_server *tls;
    struct grpc_loop *loops;
};

static struct loop *loop_of(const struct grpc_connection *c) {
    return http_loop_of(c->owner->http);
}

static void close_connection(struct grpc_connection *c) {
    struct grpc_loop *owner = c->owner;
    *(c->prev ? &c->prev->next : &owner->connections) = c->next;
    if (c->next) c->next->prev = c->prev;
    loop_watch_remove(loop_of(c), &c->watch);
    tls_link_free(c->tls);
    close(c->watch.fd);
    grpc_session_free(c->session);
    http_peer_drop(owner->http, &c->peer.any);
    atomic_fetch_sub(&owner->grpc->connections_open, 1);
    free(c);
}

static ssize_t receive(struct grpc_connection *c, void *data, size_t len) {
    return c->tls ? tls_link_recv(c->tls, data, len) : recv(c->watch.fd, data, len, MSG_DONTWAIT);
}

static ssize_t transmit(struct grpc_connection *c, const void *data, size_t len) {
    return c->tls ? tls_link_send(c->tls, data, len) : send(c->watch.fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* TLS has begun and is not done: nothing can be read or written yet. */
static bool is_greeting(const struct grpc_connection *c) {
    return c->tls && !tls_link_is_greeted(c->tls);
}

/* Writes what can be written; false when the connection broke. */
static bool flush(struct grpc_connection *c) {
    while (!is_greeting(c)) {
        if (!c->pending_len) {
            ssize_t len = grpc_session_send(c->session, &c->pending);
            if (len < 0) return false;
            if (len == 0) return true;
            c->pending_len = (size_t)len;
        }
        ssize_t sent = transmit(c, c->pending, c->pending_len);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) {
            if (!c->stuck_ns) c->stuck_ns = time_monotonic_ns();
            return true;
        }
        if (sent <= 0) return false;
        c->stuck_ns = 0;
        c->pending += sent;
        c->pending_len -= (size_t)sent;
    }
    return true;
}

/* After anything happened; the connection may be gone after. */
static void settle(struct grpc_connection *c, bool good) {
    if (good) good = flush(c);
    if (!good || (!c->pending_len && (c->closing || grpc_session_is_over(c->session)))) {
        close_connection(c);
        return;
    }
    /* Who does not read our answers is not read either. */
    uint32_t events = c->pending_len || (is_greeting(c) && tls_link_waits_to_write(c->tls)) ? EPOLLOUT : EPOLLIN;
    if (events != c->events) loop_watch_change(loop_of(c), &c->watch, events);
    c->events = events;
}

static void on_ready(struct loop_watch *watch, uint32_t events) {
    struct grpc_connection *c = container_of(watch, struct grpc_connection, watch);
    uint8_t *data = c->owner->data;
    bool good = true;
    if (is_greeting(c)) {
        good = tls_link_greet(c->tls);
        if (!good || is_greeting(c)) {
            settle(c, good);
            return;
        }
    }
    for (int i = 0; i < READS_AT_ONCE && events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !c->closing; i++) {
        ssize_t len = receive(c, data, READ_BYTES);
        if (len < 0 && errno == EINTR) continue;
        if (len < 0 && errno == EAGAIN) break;
        if (len <= 0)
            good = false; /* nobody is there to read an answer */
        else if (!grpc_session_recv(c->session, data, (size_t)len))
            c->closing = true;
        if (!good || (len < READ_BYTES && !c->tls)) break; /* of TLS a record comes at a time */
    }
    settle(c, good);
}

/* --- new ones --- */

static void open_connection(struct grpc_loop *owner, int fd, const struct net_address *peer) {
    struct grpc_connection *c = calloc(1, sizeof *c);
    struct error err;
    int one = 1;
    if (!c) goto failed;
    c->owner = owner;
    c->peer = *peer;
    c->watch.ready = on_ready;
    c->events = EPOLLIN;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (owner->grpc->tls && !(c->tls = tls_link_new(owner->grpc->tls, fd))) goto failed;
    if (!(c->session = grpc_session_new(&owner->exports.service, c))) goto failed;
    if (loop_watch_add(http_loop_of(owner->http), &c->watch, fd, EPOLLIN, &err)) goto failed;
    c->next = owner->connections;
    if (owner->connections) owner->connections->prev = c;
    owner->connections = c;
    atomic_fetch_add(&owner->grpc->connections_open, 1);
    atomic_fetch_add(&owner->grpc->connections, 1);
    settle(c, true); /* our settings go first */
    return;
failed:
    if (c) grpc_session_free(c->session), tls_link_free(c->tls);
    free(c);
    close(fd);
    http_peer_drop(owner->http, &peer->any);
}

static void on_accept(struct loop_watch *watch, uint32_t events) {
    struct grpc_loop *owner = container_of(watch, struct grpc_loop, accept);
    for (int i = 0; i < 32; i++) {
        struct net_address peer = {.len = sizeof peer.v6};
        int fd = accept4(watch->fd, &peer.any, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return; /* EAGAIN, or one that has gone already; without descriptors the sweep makes room */
        if (http_peer_take(owner->http, &peer.any))
            open_connection(owner, fd, &peer);
        else
            close(fd);
    }
}

/* --- each second --- */

static void on_sweep(struct loop_timer *timer) {
    struct grpc_loop *owner = container_of(timer, struct grpc_loop, sweep);
    const struct grpc_config *config = &owner->grpc->config;
    int64_t now_ns = time_monotonic_ns();
    for (struct grpc_connection *c = owner->connections, *next; c; c = next) {
        next = c->next;
        bool good = grpc_session_tick(c->session, now_ns, config->header_timeout_ms, config->body_timeout_ms);
        if (c->stuck_ns && now_ns - c->stuck_ns > (int64_t)WRITE_PATIENCE_MS * NS_PER_MS) good = false;
        settle(c, good);
    }
    loop_timer_set(http_loop_of(owner->http), timer, now_ns + (int64_t)SWEEP_MS * NS_PER_MS);
}

struct grpc_connection *grpc_connection_of(const struct grpc_call *call) {
    return call->session ? grpc_session_owner(call->session) : NULL;
}

void grpc_connection_wake(struct grpc_connection *connection) {
    if (connection) settle(connection, true);
}

/* --- life --- */

int grpc_open(struct grpc **out, struct net_address *address, const struct grpc_config *config, struct error *err) {
    struct grpc *grpc = calloc(1, sizeof *grpc);
    if (grpc) grpc->loops = calloc(config->loops, sizeof *grpc->loops);
    if (!grpc || !grpc->loops) {
        free(grpc);
        return error_set(err, VT_ENOMEM, "no memory for gRPC");
    }
    grpc->config = *config;
    for (unsigned i = 0; i < config->loops; i++) grpc->loops[i].fd = -1;
    int code = config->tls_cert ? tls_server_new(&grpc->tls, config->tls_cert, config->tls_key, err) : 0;
    grpc->config.tls_cert = grpc->config.tls_key = NULL;
    for (unsigned i = 0; i < config->loops && !code; i++) {
        grpc->loops[i].grpc = grpc;
        code = net_listen(address, true, i == 0, &grpc->loops[i].fd, err);
    }
    if (code)
        grpc_free(grpc);
    else
        *out = grpc;
    return code;
}

void grpc_free(struct grpc *grpc) {
    if (!grpc) return;
    for (unsigned i = 0; i < grpc->config.loops; i++)
        if (grpc->loops[i].fd >= 0) close(grpc->loops[i].fd);
    tls_server_free(grpc->tls);
    free(grpc->loops);
    free(grpc);
}

void grpc_loop_started(struct grpc *grpc, struct http_loop *loop) {
    if (!grpc) return;
    struct grpc_loop *owner = &grpc->loops[http_loop_index(loop)];
    struct error err;
    owner->http = loop;
    owner->accept.ready = on_accept;
    owner->sweep.due = on_sweep;
    grpc_export_init(&owner->exports, owner->grpc->config.server, loop);
    if (loop_watch_add(http_loop_of(loop), &owner->accept, owner->fd, EPOLLIN, &err))
        log_error("grpc: %s", err.message);
    loop_timer_set(http_loop_of(loop), &owner->sweep, time_monotonic_ns() + (int64_t)SWEEP_MS * NS_PER_MS);
}

void grpc_loop_stopping(struct grpc *grpc, struct http_loop *loop) {
    if (!grpc) return;
    struct grpc_loop *owner = &grpc->loops[http_loop_index(loop)];
    loop_timer_stop(http_loop_of(loop), &owner->sweep);
    loop_watch_remove(http_loop_of(loop), &owner->accept);
    close(owner->fd);
    owner->fd = -1;
    for (struct grpc_connection *c = owner->connections, *next; c; c = next) {
        next = c->next;
        grpc_session_shut(c->session);
        settle(c, true);
    }
}

bool grpc_loop_busy(struct grpc *grpc, struct http_loop *loop, bool late) {
    if (!grpc) return false;
    struct grpc_loop *owner = &grpc->loops[http_loop_index(loop)];
    for (struct grpc_connection *c = owner->connections, *next; c; c = next) {
        next = c->next;
        if (late || grpc_session_calls(c->session) == 0) close_connection(c);
    }
    return owner->connections != NULL || owner->exports.under_way > 0;
}

void grpc_get_stats(const struct grpc *grpc, struct grpc_stats *stats) {
    *stats = (struct grpc_stats){.connections = atomic_load(&grpc->connections),
                                 .connections_open = atomic_load(&grpc->connections_open)};
}
