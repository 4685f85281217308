/* The server's life: what is opened in which order, the second's tick, and the orderly end. */
#include "serve/server.h"

#include "base/log.h"
#include "base/timestamp.h"
#include "serve/ingest_routes.h"
#include "serve/options.h"
#include "serve/routes.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TICK_MS = 1000, QUICK_QUEUE = 64, SERIES_MAX = PROMETHEUS_SERIES_DEFAULT };

/* --- each second --- */

/* Not on a loop, since keys and statistics may wait for a disk or a lock. */
static void tick(struct workers_job *job) {
    struct server *server = container_of(job, struct server, tick);
    struct store_stats stats;
    intake_tick(&server->intake);
    keys_refresh(server->keys);
    store_get_stats(server->store, &stats);
    atomic_store(&server->disk_full, stats.disk_full);
    atomic_store(&server->tick_waits, false);
}

static void on_tick(struct loop_timer *timer) {
    struct server *server = container_of(timer, struct server, tick_timer);
    loop_timer_set(server->tick_loop, timer, time_monotonic_ns() + (int64_t)TICK_MS * NS_PER_MS);
    if (atomic_exchange(&server->tick_waits, true)) return;
    if (!workers_add(server->housekeepers, &server->tick)) atomic_store(&server->tick_waits, false);
}

static void loop_started(struct http_loop *loop) {
    struct server *server = server_on(loop);
    /* A fourth of the queue for all loops together, which keeps the disk busy: a request whose turn has come finds
     * room.
     */
    turns_init(&server->turns[http_loop_index(loop)], http_loop_of(loop),
               store_queue_bytes_max(server->store) / 4 / server->options.threads);
    live_loop_started(server->live, loop);
    grpc_loop_started(server->grpc, loop);
    proxy_loop_started(server->proxy, loop);
    if (http_loop_index(loop) != 0) return;
    server->tick_loop = http_loop_of(loop);
    server->tick_timer.due = on_tick;
    loop_timer_set(server->tick_loop, &server->tick_timer, time_monotonic_ns());
}

static void loop_stopping(struct http_loop *loop) {
    struct server *server = server_on(loop);
    live_loop_stopping(server->live, loop);
    grpc_loop_stopping(server->grpc, loop);
    proxy_loop_stopping(server->proxy, loop);
    if (http_loop_index(loop) == 0) loop_timer_stop(server->tick_loop, &server->tick_timer);
}

static bool loop_busy(struct http_loop *loop, bool late) {
    struct server *server = server_on(loop);
    bool grpc = grpc_loop_busy(server->grpc, loop, late), proxy = proxy_loop_busy(server->proxy, loop, late);
    return grpc || proxy || server->exports_under_way[http_loop_index(loop)] > 0;
}

/* --- the start --- */

static int open_sampling(struct server *server, struct error *err) {
    struct serve_options *options = &server->options;
    char catalog[PATH_MAX];
    snprintf(catalog, sizeof catalog, "%s/catalog.sqlite", options->store.dir); /* the store has no name for it yet */
    int code = sampling_load(&server->sampling, options->sample, catalog, err);
    if (code || !server->sampling) return code;
    sampling_set_wait(server->sampling, options->sample_wait_ms);
    options->store.keep = sampling_keep;
    options->store.keep_ctx = server->sampling;
    return 0;
}

static int open_pushes(struct server *server, struct error *err) {
    const struct serve_options *options = &server->options;
    if (options->push_count > PUSHES_MAX) return error_set(err, VT_ELIMIT, "--push: at most %d targets", PUSHES_MAX);
    for (size_t i = 0; i < options->push_count; i++) {
        unsigned place = 1; /* among those of its kind */
        for (size_t k = 0; k < i; k++)
            place += options->pushes[k][0] == options->pushes[i][0]; /* which tells them apart */
        int code = push_open(&server->pushes[i], options->pushes[i], place, options->push_interval_ms, err);
        if (code) return code;
        server->push_count++;
    }
    return 0;
}

static int start_pushes(struct server *server, struct error *err) {
    int code = 0;
    for (size_t i = 0; i < server->push_count && !code; i++) code = push_start(server->pushes[i], server, err);
    return code;
}

static int open_data(struct server *server, struct error *err) {
    const struct serve_options *options = &server->options;
    struct engine_options engine = {.timeout_ms = options->query_timeout_ms};
    int code = open_sampling(server, err); /* first: a start may find much to seal */
    if (!code) code = store_open(&server->store, &options->store, err);
    if (!code) code = keys_open(&server->keys, store_catalog_path(server->store), err);
    if (!code) code = price_list_open(&server->prices, options->prices, err);
    if (!code) code = mask_load(&server->mask, options->mask, err);
    if (!code) code = engine_open(&server->engine, server->store, &engine, err);
    if (!code && !(server->live = live_new(options->threads, options->live_clients_max)))
        code = error_set(err, VT_ENOMEM, "no memory for live viewers");
    if (!code) code = outlets_open(&server->outlets, options, server->live, err);
    if (!code) store_set_watch(server->store, outlets_watch, &server->outlets);
    if (!code && !(server->prometheus = prometheus_new(SERIES_MAX)))
        code = error_set(err, VT_ENOMEM, "no memory for metrics");
    if (!code) code = open_pushes(server, err);
    return code;
}

static bool has_grpc(const struct server *server) {
    return server->options.grpc && *server->options.grpc;
}

static int open_grpc(struct server *server, struct error *err) {
    struct grpc_config config = {server,
                                 server->options.threads,
                                 server->options.header_timeout_ms,
                                 server->options.body_timeout_ms,
                                 server->http_config.tls_cert,
                                 server->http_config.tls_key};
    return has_grpc(server) ? grpc_open(&server->grpc, &server->grpc_address, &config, err) : 0;
}

static int set_admission(struct server *server, struct error *err) {
    const struct serve_options *options = &server->options;
    bool loopback = net_is_loopback(&server->http_config.listen);
    bool open = !loopback || (has_grpc(server) && !net_is_loopback(&server->grpc_address));
    server->admission = (struct admission){.keys = server->keys,
                                           .key_required = options->require_key || (open && !options->insecure),
                                           .hosts_guarded = loopback,
                                           .hosts = options->hosts,
                                           .cors_origins = options->cors_origins,
                                           .signature_required = options->convex_secret && *options->convex_secret};
    if (open && !options->insecure && keys_count(server->keys) == 0) {
        error_set(err, VT_EDENIED, "%s can be reached from other machines, and there is no key yet",
                  loopback ? options->grpc : options->listen);
        return error_hint(err,
                          "make one with `vitrine keys add NAME --data %.100s`, or say --insecure to let everybody in",
                          options->store.dir);
    }
    if (open && options->insecure) log_warn("--insecure: whoever reaches this server may read and send everything");
    if (options->require_key && keys_count(server->keys) == 0)
        log_warn("a key is required and there is none yet: `vitrine keys add NAME --data %s` makes one",
                 options->store.dir);
    return 0;
}

static int read_tls(struct server *server, struct error *err) {
    struct buf cert = {0}, key = {0};
    int code = 0;
    if (!server->options.tls_cert) return 0;
    code = options_read_pem(server->options.tls_cert, &cert, err);
    if (!code) code = options_read_pem(server->options.tls_key, &key, err);
    if (!code) {
        server->http_config.tls_cert = arena_copy(&server->arena, buf_slice(&cert)).ptr;
        server->http_config.tls_key = arena_copy(&server->arena, buf_slice(&key)).ptr;
        if (!server->http_config.tls_cert || !server->http_config.tls_key)
            code = error_set(err, VT_ENOMEM, "no memory for the certificate");
    }
    if (key.ptr) explicit_bzero(key.ptr, key.len);
    buf_free(&cert);
    buf_free(&key);
    return code;
}

static int set_http(struct server *server, struct error *err) {
    const struct serve_options *options = &server->options;
    struct http_config *config = &server->http_config;
    *config = (struct http_config){
        .ctx = server,
        .admit = admit_request,
        .decorate = admit_decorate,
        .put_failure = receive_put_failure,
        .loop_started = loop_started,
        .loop_stopping = loop_stopping,
        .loop_busy = loop_busy,
        .threads = options->threads,
        .body_bytes_max = options->body_bytes_max,
        .bodies_bytes_max = options->bodies_bytes_max,
        .connections_max = options->connections_max,
        .connections_per_ip_max = options->connections_per_ip_max,
        .header_timeout_ms = options->header_timeout_ms,
        .body_timeout_ms = options->body_timeout_ms,
        .idle_timeout_ms = options->idle_timeout_ms,
        .stop_timeout_ms = options->stop_timeout_ms,
    };
    server->rows = routes_rows(&server->arena);
    server->exports_under_way = arena_calloc(&server->arena, options->threads, sizeof *server->exports_under_way);
    server->turns = arena_calloc(&server->arena, options->threads, sizeof *server->turns);
    config->routes =
        server->rows && server->exports_under_way && server->turns ? routes_build(server->rows, &server->arena) : NULL;
    if (!config->routes) return error_set(err, VT_ENOMEM, "no memory for the routes");
    int code = net_parse(options->listen, &config->listen, err);
    if (!code && has_grpc(server)) code = net_parse(options->grpc, &server->grpc_address, err);
    return code;
}

/* Once the address is known, since notices link to the page. A request for alerts may come first: see answer_alerts. */
static int open_alerts(struct server *server, struct error *err) {
    char address[NET_TEXT_MAX], url[NET_TEXT_MAX + 16];
    snprintf(url, sizeof url, "%s://%s", server->http_config.tls_cert ? "https" : "http",
             net_format(&server->http_config.listen, address));
    struct alerts_options options = {
        .file = server->options.alerts, .catalog_path = store_catalog_path(server->store), .page_url = url};
    struct alerts *alerts;
    struct asker asker = asker_of_engine(server->engine);
    int code = alerts_open(&alerts, &asker, &options, err);
    if (!code) atomic_store(&server->alerts, alerts);
    return code;
}

int serve_start(struct server **out, const struct serve_options *options, struct error *err) {
    struct server *server = calloc(1, sizeof *server);
    if (!server) return error_set(err, VT_ENOMEM, "no memory for the server");
    server->options = *options;
    server->started_ns = time_now_ns();
    server->tick.run = tick;
    intake_stats_init(&server->intake);
    int code = options_check(&server->options, err);
    if (!code) code = set_http(server, err);
    if (!code) code = read_tls(server, err);
    if (!code) code = open_data(server, err);
    if (!code) code = set_admission(server, err);
    if (!code)
        code = workers_start(&server->workers, "vt-query", server->options.query_threads, server->options.query_queue,
                             err);
    if (!code) code = workers_start(&server->housekeepers, "vt-keeper", 1, QUICK_QUEUE, err);
    if (!code) code = open_grpc(server, err);
    if (!code && server->options.upstream_count) code = proxy_open(&server->proxy, server, err);
    if (!code) code = http_start(&server->http, &server->http_config, err);
    if (!code) code = open_alerts(server, err);
    if (!code) code = start_pushes(server, err);
    if (code)
        serve_stop(server);
    else
        *out = server;
    return code;
}

/* --- the end --- */

void serve_stop(struct server *server) {
    if (!server) return;
    atomic_store(&server->stopping, true);
    for (size_t i = 0; i < server->push_count; i++) push_end(server->pushes[i]);
    http_stop(server->http); /* waits for what is on hold, so the pool and the store must still run */
    grpc_free(server->grpc);
    proxy_free(server->proxy);
    workers_stop(server->workers);
    workers_stop(server->housekeepers);
    alerts_close(server->alerts);
    engine_free(server->engine);
    keys_close(server->keys);
    store_close(server->store);
    outlets_close(&server->outlets);
    for (size_t i = 0; i < server->push_count; i++) push_free(server->pushes[i]);
    live_free(server->live);
    price_list_close(&server->prices);
    mask_free(server->mask);
    sampling_free(server->sampling);
    prometheus_free(server->prometheus);
    arena_free(&server->arena);
    free(server);
}

uint16_t serve_port(const struct server *server) {
    return net_port(&server->http_config.listen);
}
uint16_t serve_grpc_port(const struct server *server) {
    return server->grpc ? net_port(&server->grpc_address) : 0;
}

static void end_at_once(int signal_number) {
    _exit(1);
}

/* Until the first signal; the next one ends the process whatever happens. */
static void wait_for_signal(const sigset_t *signals) {
    int number;
    while (sigwait(signals, &number) != 0) continue;
    struct sigaction action = {.sa_handler = end_at_once};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, signals, NULL);
    log_info("%s: finishing what is under way (a second one ends at once)", number == SIGINT ? "SIGINT" : "SIGTERM");
}

int serve_run(const struct serve_options *options, struct error *err) {
    struct server *server = NULL;
    char address[NET_TEXT_MAX];
    sigset_t signals, before;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, &before);
    signal(SIGPIPE, SIG_IGN);
    int code = serve_start(&server, options, err);
    if (!code) {
        log_info("listening on %s://%s", server->http_config.tls_cert ? "https" : "http",
                 net_format(&server->http_config.listen, address));
        if (server->grpc)
            log_info("listening on %s://%s", server->http_config.tls_cert ? "grpcs" : "grpc",
                     net_format(&server->grpc_address, address));
        log_info("ready");
        wait_for_signal(&signals);
        serve_stop(server);
        log_info("stopped");
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}
