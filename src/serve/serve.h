/* `vitrine serve`: the store, the loops that speak HTTP, the query threads, live viewers, and their orderly end.
 *
 *     struct serve_options options;
 *     serve_options_init(&options);
 *     options.store.dir = "/var/lib/vitrine";
 *     if (serve_run(&options, &err)) …
 *
 * Texts in the options are borrowed and must outlive the server. */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include "base/error.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct serve_options {
    const char *listen;         /* --listen host:port; [::1]:4318 for IPv6, port 0 = any free one */
    const char *grpc;           /* --grpc host:port; NULL or "" = no gRPC */
    struct store_options store; /* --data and the like */

    unsigned threads;                /* --threads: loops; 0 = one a core */
    uint64_t body_bytes_max;         /* --max-body: of a request as it comes over the wire */
    uint64_t inflated_bytes_max;     /* --max-inflated: of the same, unpacked */
    uint64_t bodies_bytes_max;       /* --max-bodies: of all requests under way together; past it 503 */
    unsigned connections_max;        /* --max-connections */
    unsigned connections_per_ip_max; /* --max-connections-per-ip; 0 = no limit, which is the default on loopback */
    unsigned header_timeout_ms;      /* --header-timeout: from connecting to the end of the headers */
    unsigned body_timeout_ms;        /* --body-timeout: from the headers to the end of the body */
    unsigned idle_timeout_ms;        /* --idle-timeout: between two requests of a connection */
    unsigned stop_timeout_ms;        /* --stop-timeout: what is under way at SIGTERM may take this long */

    unsigned query_threads;    /* --query-threads; 0 = half the cores, at least 2 */
    unsigned query_queue;      /* --query-queue: requests that may wait for them; past it 503 */
    unsigned query_timeout_ms; /* --query-timeout */
    unsigned live_clients_max; /* --max-live */

    bool require_key;          /* --require-key: also on loopback */
    bool insecure;             /* --insecure: beyond loopback without keys */
    const char *tls_cert;      /* --tls-cert FILE, PEM; with tls_key */
    const char *tls_key;       /* --tls-key FILE, PEM */
    const char *hosts;         /* --host NAME,…: further names that a loopback server may be called by */
    const char *cors_origins;  /* --cors ORIGIN,… or *: pages of these origins may send OTLP; NULL = none */
    const char *convex_secret; /* --convex-secret: of the log stream's signature; NULL = signatures are not asked for */
    unsigned convex_skew_ms;   /* --convex-max-skew: events further off than this are refused; 0 = none are */

    const char *mask;        /* --mask: rules ("email,card,apikey") or a YAML file; NULL = nothing is masked */
    const char *sample;      /* --sample: rules or a YAML file (sampling.h); NULL = all traces are kept */
    unsigned sample_wait_ms; /* --sample-wait: traces whose root has not ended are decided after so long a silence */
    const char *prices;      /* --prices FILE: laid over the prices that are built in */
    const char *const *upstreams; /* --upstream name=url, for /proxy/name/… */
    size_t upstream_count;
    unsigned proxy_calls_max;          /* --proxy-calls: under way at once; past it 503 */
    unsigned proxy_connect_timeout_ms; /* --proxy-connect-timeout */
    unsigned proxy_timeout_ms;         /* --proxy-timeout: without a byte from upstream */
    unsigned proxy_span_wait_ms;       /* --proxy-span-wait: a call waits so long for room for its span */
    bool proxy_strict;                 /* --proxy-strict: a call whose span cannot be kept is refused */
    const char *alerts;                /* --alerts FILE: monitors to run; NULL = none */
    const char *statsd;                /* --statsd HOST:PORT: metrics of spans go there; NULL = none */
    bool statsd_plain;                 /* --statsd-plain: no tags, for servers that are not DogStatsD */
    const char *const *forwards;       /* --forward KIND=WHERE (forward/forward.h) */
    size_t forward_count;
    const char *const *pushes; /* --push KIND=URL (push.h): metrics go there */
    size_t push_count;
    unsigned push_interval_ms; /* --push-interval */
    const char *config_path;   /* where the YAML came from, for messages; may be NULL */
};

/* The defaults, which are safe: loopback, nothing beyond it. */
void serve_options_init(struct serve_options *options);

/* Serves until SIGTERM or SIGINT, then stops accepting, finishes what is under way, makes it durable and returns 0.
 * A second signal ends the process at once with status 1. Blocks those signals in all its threads. Prints with log_info
 * "listening on http://127.0.0.1:4318", one line for each address, and "ready" once it answers.
 * VT_EINVAL: an option has no meaning; VT_EDENIED: it would serve beyond loopback without keys; VT_EIO: address in use,
 * … */
int serve_run(const struct serve_options *options, struct error *err);

/* The same in two steps, without signals: for tests and programs that do more than serve. */
struct server;
int serve_start(struct server **server, const struct serve_options *options, struct error *err);
void serve_stop(struct server *server);                /* waits for what is under way; NULL is fine */
uint16_t serve_port(const struct server *server);      /* of HTTP, when port 0 was asked for */
uint16_t serve_grpc_port(const struct server *server); /* of gRPC; 0 = there is none */

#endif
