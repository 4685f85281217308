/* Loops, daemons and connections: who may connect, how long a sender may take, and how all of it ends. */
#include "serve/http_internal.h"

#include "base/log.h"
#include "base/timestamp.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    CONNECTION_MEMORY_BYTES = 64 << 10, /* headers, and the pieces in which bodies are read */
    SWEEP_EVERY_MS = 1000,
    DRAIN_EVERY_MS = 10,
    FLUSH_EVERY_MS = 10,
    FLUSHES = 10,
    RUNS_BEFORE_SLEEP = 8
};

/* --- connections --- */

void connection_enter(struct connection *connection, enum phase phase) {
    connection->phase = phase;
    connection->since_ns = time_monotonic_ns();
}

static atomic_uint *ip_slot(struct http *http, const struct sockaddr *address) {
    uint64_t hash =
        address->sa_family == AF_INET6
            ? XXH3_64bits(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 8) /* a /64 is one site */
            : XXH3_64bits(&((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    return &http->by_ip[hash % IP_SLOTS];
}

static bool may_connect(struct http *http, const struct sockaddr *peer) {
    unsigned per_ip = http->config.connections_per_ip_max;
    bool full = atomic_load(&http->connections_open) >= http->config.connections_max;
    if (!full && (!per_ip || atomic_load(ip_slot(http, peer)) < per_ip)) return true;
    count_up(&http->refused, 1);
    return false;
}

/* Counts a connection; false when it is one too many, and is counted all the same. Loops that accept at the same moment
 * may each have seen room for one more: it is by this count that one of them has it. */
static bool count_peer(struct http *http, const struct sockaddr *peer) {
    unsigned per_ip = http->config.connections_per_ip_max;
    bool full = atomic_fetch_add(&http->connections_open, 1) >= http->config.connections_max;
    bool full_of_it = atomic_fetch_add(ip_slot(http, peer), 1) >= per_ip && per_ip;
    if (full || full_of_it) count_up(&http->refused, 1);
    return !full && !full_of_it;
}

bool http_peer_take(struct http_loop *loop, const struct sockaddr *peer) {
    if (!may_connect(loop->http, peer)) return false;
    if (count_peer(loop->http, peer)) return true;
    http_peer_drop(loop, peer);
    return false;
}

void http_peer_drop(struct http_loop *loop, const struct sockaddr *peer) {
    atomic_fetch_sub(&loop->http->connections_open, 1);
    atomic_fetch_sub(ip_slot(loop->http, peer), 1);
}

static enum MHD_Result on_accept(void *cls, const struct sockaddr *address, socklen_t len) {
    return may_connect(((struct http_loop *)cls)->http, address) ? MHD_YES : MHD_NO;
}

static void connection_open(struct http_loop *loop, struct MHD_Connection *mhd, void **context) {
    struct connection *connection = calloc(1, sizeof *connection);
    *context = connection;
    if (!connection) return;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info) {
        connection->peer.len =
            info->client_addr->sa_family == AF_INET6 ? sizeof connection->peer.v6 : sizeof connection->peer.v4;
        memcpy(&connection->peer.any, info->client_addr, connection->peer.len);
    }
    info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    connection->fd = info ? info->connect_fd : -1;
    connection_enter(connection, PHASE_HEADERS);
    connection->next = loop->connections;
    if (loop->connections) loop->connections->prev = connection;
    loop->connections = connection;
    count_up(&loop->connection_total, 1);
    if (!count_peer(loop->http, &connection->peer.any)) shutdown(connection->fd, SHUT_RDWR);
}

static void connection_close(struct http_loop *loop, struct connection *connection) {
    if (!connection) return;
    *(connection->prev ? &connection->prev->next : &loop->connections) = connection->next;
    if (connection->next) connection->next->prev = connection->prev;
    http_peer_drop(loop, &connection->peer.any);
    free(connection);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code) {
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        connection_open(cls, mhd, context);
    else
        connection_close(cls, *context);
}

/* Closes who takes too long to say what they want. Those who are slow to read are libmicrohttpd's to time out. */
static void on_sweep(struct loop_timer *timer) {
    struct http_loop *loop = container_of(timer, struct http_loop, sweep);
    const struct http_config *config = &loop->http->config;
    const unsigned limits_ms[] = {[PHASE_HEADERS] = config->header_timeout_ms,
                                  [PHASE_BODY] = config->body_timeout_ms,
                                  [PHASE_ANSWER] = 0,
                                  [PHASE_IDLE] = config->idle_timeout_ms,
                                  [PHASE_UPGRADED] = 0};
    int64_t now_ns = time_monotonic_ns();
    for (struct connection *connection = loop->connections; connection; connection = connection->next) {
        unsigned limit_ms = limits_ms[connection->phase];
        if (!limit_ms || now_ns - connection->since_ns < (int64_t)limit_ms * NS_PER_MS) continue;
        if (connection->phase != PHASE_IDLE) count_up(&loop->timeouts, 1);
        connection->phase = PHASE_ANSWER;    /* counted once, however late the daemon comes to it */
        shutdown(connection->fd, SHUT_RDWR); /* the daemon sees the end of it and cleans up */
    }
    loop_timer_set(loop->loop, timer, now_ns + (int64_t)SWEEP_EVERY_MS * NS_PER_MS);
}

/* An upgraded TLS connection that is closed has bytes in libmicrohttpd's hands, which takes several runs to be done
 * with it and tells no epoll and no time-out of it. */
static void on_flush(struct loop_timer *timer) {
    struct http_loop *loop = container_of(timer, struct http_loop, flush);
    MHD_run(loop->daemon);
    if (--loop->flushes_left)
        loop_timer_set(loop->loop, timer, time_monotonic_ns() + (int64_t)FLUSH_EVERY_MS * NS_PER_MS);
}

void flush_upgraded(struct http_loop *loop) {
    loop->run_soon = true;
    if (!loop->http->config.tls_cert) return;
    loop->flushes_left = FLUSHES;
    loop->flush.due = on_flush;
    loop_timer_set(loop->loop, &loop->flush, time_monotonic_ns() + (int64_t)FLUSH_EVERY_MS * NS_PER_MS);
}

/* --- libmicrohttpd's callbacks --- */

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *mhd) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct connection *connection = info ? info->socket_context : NULL;
    if (!connection) return NULL;
    connection_enter(connection, PHASE_HEADERS);
    return exchange_begin(cls, uri, mhd, connection);
}

static enum MHD_Result on_access(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                 const char *version, const char *data, size_t *size, void **context) {
    return *context ? exchange_step(*context, url, method, data, size) : MHD_NO;
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code) {
    struct exchange *ex = *context;
    if (!ex) return;
    if (code == MHD_REQUEST_TERMINATED_TIMEOUT_REACHED) count_up(&ex->request.loop->timeouts, 1);
    connection_enter(ex->connection, PHASE_IDLE);
    exchange_end(ex);
    *context = NULL;
}

static void on_log(void *cls, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
static void on_log(void *cls, const char *format, va_list args) {
    char text[256];
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = 0;
    log_debug("http: %s", text);
}

/* --- the loop --- */

static int before_sleep(struct loop_hook *hook) {
    struct http_loop *loop = container_of(hook, struct http_loop, hook);
    /* Connections with bytes that were read and not yet handled show in no epoll: without asking, a lone one would
     * stall. */
    for (int i = 0; i < RUNS_BEFORE_SLEEP; i++) {
        MHD_UNSIGNED_LONG_LONG wait_ms;
        if (!loop->run_soon) {
            if (MHD_get_timeout(loop->daemon, &wait_ms) != MHD_YES) return -1;
            if (wait_ms > 0) return wait_ms < 60000 ? (int)wait_ms : 60000;
        }
        loop->run_soon = false;
        MHD_run(loop->daemon);
    }
    return 0;
}

static void on_ready(struct loop_watch *watch, uint32_t events) {
    struct http_loop *loop = container_of(watch, struct http_loop, watch);
    MHD_run(loop->daemon);
}

static void on_drain(struct loop_timer *timer) {
    struct http_loop *loop = container_of(timer, struct http_loop, drain);
    int64_t now_ns = time_monotonic_ns();
    if (now_ns >= loop->stop_by_ns)
        for (struct exchange *ex = loop->open, *next; ex; ex = next) {
            next = ex->next;
            exchange_cut(ex);
        }
    /* What is on hold cannot be let go: another thread works for it and will answer. The rest ends with its connection.
     */
    bool waits = false;
    for (const struct exchange *ex = loop->open; ex; ex = ex->next)
        waits |= ex->suspended || (now_ns < loop->stop_by_ns && !ex->upgraded);
    if (loop->http->config.loop_busy) waits |= loop->http->config.loop_busy(loop, now_ns >= loop->stop_by_ns);
    if (waits)
        loop_timer_set(loop->loop, timer, now_ns + (int64_t)DRAIN_EVERY_MS * NS_PER_MS);
    else
        loop_stop(loop->loop);
}

static void on_stop(struct loop_task *task) {
    struct http_loop *loop = container_of(task, struct http_loop, stop);
    loop->stopping = true;
    MHD_socket fd = MHD_quiesce_daemon(loop->daemon);
    if (fd != MHD_INVALID_SOCKET) close(fd);
    if (loop->http->config.loop_stopping) loop->http->config.loop_stopping(loop);
    loop->run_soon = true;
    loop->stop_by_ns = time_monotonic_ns() + (int64_t)loop->http->config.stop_timeout_ms * NS_PER_MS;
    loop->drain.due = on_drain;
    loop_timer_set(loop->loop, &loop->drain, 0);
}

static void *loop_main(void *arg) {
    struct http_loop *loop = arg;
    char name[16];
    snprintf(name, sizeof name, "vt-loop-%u", loop->index);
    pthread_setname_np(pthread_self(), name);
    if (loop->http->config.loop_started) loop->http->config.loop_started(loop);
    loop_run(loop->loop);
    MHD_run(loop->daemon); /* closes what was upgraded */
    MHD_stop_daemon(loop->daemon);
    loop->daemon = NULL;
    return NULL;
}

static int loop_open(struct http_loop *loop, struct error *err) {
    struct http_config *config = &loop->http->config;
    int fd = -1;
    if (!(loop->loop = loop_new(err))) return VT_EIO;
    int code = net_listen(&config->listen, true, loop->index == 0, &fd, err);
    if (code) return code;
    unsigned flags = MHD_USE_EPOLL | MHD_USE_TURBO | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)config->tls_cert},
                                   {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)config->tls_key},
                                   {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    if (config->tls_cert) flags |= MHD_USE_TLS;
    loop->daemon = MHD_start_daemon(
        flags, 0, on_accept, loop, on_access, loop, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET,
        fd, MHD_OPTION_NOTIFY_CONNECTION, on_connection, loop, MHD_OPTION_NOTIFY_COMPLETED, on_completed, loop,
        MHD_OPTION_URI_LOG_CALLBACK, on_uri, loop, MHD_OPTION_CONNECTION_LIMIT, config->connections_max + 64,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
        (config->idle_timeout_ms + 999) / 1000, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY,
        config->tls_cert ? tls : none, MHD_OPTION_END);
    if (!loop->daemon) {
        close(fd);
        error_set(err, VT_EIO, "cannot start the HTTP server%s",
                  config->tls_cert ? " with this certificate and key" : "");
        if (config->tls_cert) error_hint(err, "both must be PEM, and the key must be of the certificate");
        return VT_EIO;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(loop->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    loop->watch.ready = on_ready;
    loop->hook.before_sleep = before_sleep;
    loop->sweep.due = on_sweep;
    loop->stop.run = on_stop;
    loop_hook_add(loop->loop, &loop->hook);
    if (!loop_timer_set(loop->loop, &loop->sweep, time_monotonic_ns() + (int64_t)SWEEP_EVERY_MS * NS_PER_MS))
        return error_set(err, VT_ENOMEM, "no memory for a loop");
    return loop_watch_add(loop->loop, &loop->watch, info->epoll_fd, EPOLLIN, err);
}

static void http_free(struct http *http) {
    for (unsigned i = 0; i < http->loop_count; i++) {
        struct http_loop *loop = &http->loops[i];
        if (loop->daemon) MHD_stop_daemon(loop->daemon);
        exchange_free_spare(loop);
        loop_free(loop->loop);
    }
    free(http->loops);
    free(http);
}

int http_start(struct http **out, struct http_config *config, struct error *err) {
    struct http *http = calloc(1, sizeof *http);
    int code = 0;
    if (http) http->loops = calloc(config->threads, sizeof *http->loops);
    if (!http || !http->loops) {
        free(http);
        return error_set(err, VT_ENOMEM, "no memory for %u loops", config->threads);
    }
    http->config = *config;
    http->loop_count = config->threads;
    for (unsigned i = 0; i < http->loop_count && !code; i++) {
        http->loops[i].http = http;
        http->loops[i].index = i;
        code = loop_open(&http->loops[i], err);
    }
    if (code) {
        http_free(http);
        return code;
    }
    config->listen = http->config.listen;
    *out = http;
    for (unsigned i = 0; i < http->loop_count; i++) {
        struct http_loop *loop = &http->loops[i];
        int failed = pthread_create(&loop->thread, NULL, loop_main, loop);
        loop->started = failed == 0;
        if (!failed) continue;
        *out = NULL;
        http_stop(http);
        return error_set(err, VT_EIO, "cannot start a thread: %s", strerror(failed));
    }
    return 0;
}

void http_stop(struct http *http) {
    if (!http) return;
    for (unsigned i = 0; i < http->loop_count; i++)
        if (http->loops[i].started) loop_post(http->loops[i].loop, &http->loops[i].stop);
    for (unsigned i = 0; i < http->loop_count; i++)
        if (http->loops[i].started) pthread_join(http->loops[i].thread, NULL);
    http_free(http);
}

void http_get_stats(const struct http *http, struct http_stats *stats) {
    memset(stats, 0, sizeof *stats);
    for (unsigned i = 0; i < http->loop_count; i++) {
        const struct http_loop *loop = &http->loops[i];
        stats->requests += atomic_load(&loop->requests);
        stats->requests_open += atomic_load(&loop->requests_open);
        stats->body_bytes += atomic_load(&loop->body_bytes);
        stats->connections += atomic_load(&loop->connection_total);
        stats->timeouts += atomic_load(&loop->timeouts);
        for (int s = 0; s < 6; s++) stats->answers[s] += atomic_load(&loop->answers[s]);
    }
    stats->connections_open = atomic_load(&http->connections_open);
    stats->connections_refused = atomic_load(&http->refused);
    stats->bodies_bytes = atomic_load(&http->bodies_bytes);
}

void *http_ctx(const struct http_loop *loop) {
    return loop->http->config.ctx;
}
struct loop *http_loop_of(const struct http_loop *loop) {
    return loop->loop;
}
unsigned http_loop_index(const struct http_loop *loop) {
    return loop->index;
}
bool http_is_tls(const struct http_loop *loop) {
    return loop->http->config.tls_cert != NULL;
}
