/* The defaults of `vitrine serve`, and what must hold of its options before anything is opened. */
#include "serve/options.h"

#include "ingest/ingest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PEM_BYTES_MAX = 1 << 20, THREADS_MAX = 256 };

void serve_options_init(struct serve_options *options) {
    *options = (struct serve_options){
        .listen = "127.0.0.1:4318",
        .grpc = "127.0.0.1:4317",
        .body_bytes_max = BODY_BYTES_MAX,
        .inflated_bytes_max = INFLATED_BYTES_MAX,
        .bodies_bytes_max = 64 << 20,
        .connections_max = 4096,
        .header_timeout_ms = 10000,
        .body_timeout_ms = 60000,
        .idle_timeout_ms = 120000,
        .stop_timeout_ms = 10000,
        .query_queue = 256,
        .query_timeout_ms = 30000,
        .live_clients_max = 64,
        .convex_skew_ms = 300000,
        .sample_wait_ms = 120000,
        .push_interval_ms = 60000,
        .proxy_calls_max = 1024,
        .proxy_connect_timeout_ms = 10000,
        .proxy_timeout_ms = 600000,
        .proxy_span_wait_ms = 2000,
    };
}

static unsigned cores(void) {
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > THREADS_MAX ? THREADS_MAX : (unsigned)count;
}

int options_check(struct serve_options *options, struct error *err) {
    if (!options->store.dir || !*options->store.dir) {
        error_set(err, VT_EINVAL, "no data directory is given");
        return error_hint(err, "--data DIR says where spans are kept");
    }
    if (!!options->tls_cert != !!options->tls_key) {
        error_set(err, VT_EINVAL, "--tls-cert and --tls-key belong together");
        return error_hint(err, "give both, as PEM files");
    }
    if (options->threads > THREADS_MAX || options->query_threads > THREADS_MAX)
        return error_set(err, VT_EINVAL, "--threads and --query-threads take at most %d", THREADS_MAX);
    if (!options->body_bytes_max || !options->inflated_bytes_max || !options->connections_max)
        return error_set(err, VT_EINVAL, "--max-body, --max-inflated and --max-connections must be more than 0");
    if (options->push_count && options->push_interval_ms < 1000)
        return error_set(err, VT_EINVAL, "--push-interval must be at least 1s");
    if (options->bodies_bytes_max < options->body_bytes_max) options->bodies_bytes_max = options->body_bytes_max;
    if (!options->threads) options->threads = cores();
    if (!options->query_threads)
        options->query_threads = cores() > 5 ? cores() / 2 : 2; /* one slow query stops nobody */
    if (!options->query_queue) options->query_queue = 1;
    return 0;
}

int options_read_pem(const char *path, struct buf *out, struct error *err) {
    FILE *file = fopen(path, "re");
    char piece[4096];
    size_t count;
    if (!file) return error_set(err, VT_EIO, "cannot read %s: %m", path);
    out->limit_bytes = PEM_BYTES_MAX;
    while ((count = fread(piece, 1, sizeof piece, file)) > 0) buf_put(out, piece, count);
    bool broken = ferror(file) != 0;
    fclose(file);
    if (broken || out->failed) return error_set(err, VT_EIO, "cannot read %s: it is too long or not a file", path);
    buf_cstr(out);
    if (!out->len || !strstr(out->ptr, "-----BEGIN ")) {
        error_set(err, VT_EINVAL, "%s is no PEM file", path);
        return error_hint(err, "it must hold lines such as -----BEGIN CERTIFICATE-----");
    }
    return 0;
}
