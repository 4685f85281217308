/* GET /api/v1/status: how the server is doing, for the page's settings, `vitrine doctor` and people. */
#include "serve/handlers.h"

#include "serve/members.h"
#include "serve/server.h"

#include <stdio.h>
#include <sys/statvfs.h>

static void put_store(struct json_writer *w, struct server *server) {
    struct store_stats s;
    struct statvfs fs;
    store_get_stats(server->store, &s);
    member_open(w, "store", '{');
    member_str(w, "dir", server->options.store.dir);
    member_count(w, "spans_total", s.spans_total);
    member_count(w, "segments", s.segments);
    member_count(w, "segment_bytes", s.segment_bytes);
    member_count(w, "wal_bytes", s.wal_bytes);
    member_count(w, "memtable_rows", s.memtable_rows);
    member_time(w, "oldest", s.oldest_ns);
    member_time(w, "newest", s.newest_ns);
    if (statvfs(server->options.store.dir, &fs) == 0)
        member_count(w, "disk_free_bytes", (uint64_t)fs.f_bavail * fs.f_frsize);
    member_bool(w, "disk_full", s.disk_full);
    member_count(w, "segments_set_aside", s.segments_set_aside);
    member_count(w, "merge_backlog", s.merge_backlog);
    member_count(w, "sampled_out", s.sampled_out);
    member_count(w, "carried", s.carried_rows);
    member_count(w, "decided_early", s.decided_early);
    json_close(w, '}');
    member_open(w, "queues", '{');
    member_count(w, "store_batches", s.queue_batches);
    member_count(w, "store_bytes", s.queue_bytes);
}

static void put_queues(struct json_writer *w, struct server *server) { /* goes on where put_store ended */
    struct workers_stats q;
    struct http_stats h;
    workers_get_stats(server->workers, &q);
    http_get_stats(server->http, &h);
    member_count(w, "query_waiting", q.waiting);
    member_count(w, "query_busy", q.busy);
    member_count(w, "query_threads", q.threads);
    member_count(w, "bodies_bytes", h.bodies_bytes);
    member_count(w, "connections", h.connections_open);
    json_close(w, '}');
}

static void put_ingest(struct json_writer *w, struct intake_stats *s) {
    member_open(w, "ingest", '{');
    member_double(w, "spans_per_s", intake_spans_per_s(s));
    member_count(w, "accepted", atomic_load(&s->accepted));
    member_count(w, "rejected", atomic_load(&s->rejected));
    member_count(w, "refused_requests", atomic_load(&s->refused));
    pthread_mutex_lock(&s->lock);
    if (s->error_ns) {
        member_open(w, "last_error", '{');
        member_time(w, "time", s->error_ns);
        member_str(w, "source", s->error_source);
        member_str(w, "message", s->error_message);
        json_close(w, '}');
    }
    pthread_mutex_unlock(&s->lock);
    json_close(w, '}');
}

static void put_retention(struct json_writer *w, const struct store_options *options) {
    member_open(w, "retention", '{');
    if (options->retention_ns) member_double(w, "age_s", (double)options->retention_ns / NS_PER_S);
    if (options->retention_bytes) member_count(w, "bytes", options->retention_bytes);
    json_close(w, '}');
    member_str(w, "durability", options->async_durability ? "async" : "sync");
}

static void put_addresses(struct json_writer *w, struct server *server) {
    char address[NET_TEXT_MAX], text[NET_TEXT_MAX + 16];
    int len = snprintf(text, sizeof text, "%s://%s", server->http_config.tls_cert ? "https" : "http",
                       net_format(&server->http_config.listen, address));
    member_open(w, "listen", '[');
    json_put_string(w, slice_make(text, (size_t)len));
    json_close(w, ']');
    if (server->grpc) member_str(w, "grpc", net_format(&server->grpc_address, address));
}

/* Names only: an upstream's address may hold a password. */
static void put_upstreams(struct json_writer *w, const struct serve_options *options) {
    member_open(w, "upstreams", '[');
    for (size_t i = 0; i < options->upstream_count; i++) {
        const char *text = options->upstreams[i], *equals = strchr(text, '=');
        json_put_string(w, slice_make(text, equals ? (size_t)(equals - text) : strlen(text)));
    }
    json_close(w, ']');
}

int answer_status(struct server *server, struct work *work, struct error *err) {
    struct json_writer w = json_writer_on(&work->out);
    struct buf masking = {0}, sampling = {0};
    struct live_stats live;
    int64_t now_ns = time_now_ns();
    live_get_stats(server->live, &live);
    if (server->mask) mask_describe(server->mask, &masking);
    if (server->sampling) sampling_describe(server->sampling, &sampling);
    json_open(&w, '{');
    member_str(&w, "version", VITRINE_VERSION);
    member_time(&w, "started", server->started_ns);
    member_int(&w, "uptime_s", (now_ns - server->started_ns) / NS_PER_S);
    put_store(&w, server);
    put_queues(&w, server);
    put_ingest(&w, &server->intake);
    member_count(&w, "live_clients", live.clients);
    put_retention(&w, &server->options.store);
    member_bool(&w, "keys_required", server->admission.key_required);
    put_addresses(&w, server);
    member_text(&w, "masking", buf_slice(&masking));
    member_text(&w, "sampling", buf_slice(&sampling));
    put_upstreams(&w, &server->options);
    outlets_put_status(&server->outlets, &w);
    member_open(&w, "pushes", '[');
    for (size_t i = 0; i < server->push_count; i++) {
        struct push_stats push;
        push_get_stats(server->pushes[i], &push);
        json_open(&w, '{');
        member_str(&w, "name", push.name);
        member_count(&w, "requests_sent", push.sent);
        member_count(&w, "requests_failed", push.failed);
        if (push.problem[0]) member_str(&w, "problem", push.problem);
        json_close(&w, '}');
    }
    json_close(&w, ']');
    json_close(&w, '}');
    buf_putc(&work->out, '\n');
    buf_free(&masking);
    buf_free(&sampling);
    return 0;
}
