/* GET /metrics: what spans say (src/metrics), and what Vitrine says of itself and its process. */
#include "serve/handlers.h"

#include "base/timestamp.h"
#include "metrics/exposition.h"
#include "metrics/line_gzip.h"
#include "serve/server.h"

#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

struct sheet {
    struct buf *out;
    bool openmetrics;
};

static void put_one(const struct sheet *sheet, const char *family, const char *type, const char *help, double value) {
    char name[96];
    prometheus_put_type(sheet->out, sheet->openmetrics, family, type, help);
    snprintf(name, sizeof name, "%s%s", family, strcmp(type, "counter") == 0 ? "_total" : "");
    prometheus_put_sample(sheet->out, name, NULL, value);
}

static void gauge(const struct sheet *sheet, const char *family, const char *help, double value) {
    put_one(sheet, family, "gauge", help, value);
}

static void counter(const struct sheet *sheet, const char *family, const char *help, uint64_t value) {
    put_one(sheet, family, "counter", help, (double)value);
}

static void put_store(const struct sheet *sheet, struct store *store) {
    struct store_stats s;
    store_get_stats(store, &s);
    gauge(sheet, "vitrine_store_spans", "Spans in the store.", (double)s.spans_total);
    gauge(sheet, "vitrine_store_segments", "Parquet files.", (double)s.segments);
    gauge(sheet, "vitrine_store_segment_bytes", "Bytes of the Parquet files.", (double)s.segment_bytes);
    gauge(sheet, "vitrine_store_wal_bytes", "Bytes of the write-ahead log that is written now.", (double)s.wal_bytes);
    gauge(sheet, "vitrine_store_memtable_rows", "Spans in memory that are not in a Parquet file yet.",
          (double)s.memtable_rows);
    gauge(sheet, "vitrine_store_memtable_bytes", "Bytes of the same.", (double)s.memtable_bytes);
    gauge(sheet, "vitrine_store_queue_batches", "Batches that wait to be written.", (double)s.queue_batches);
    gauge(sheet, "vitrine_store_queue_bytes", "Bytes of the same.", (double)s.queue_bytes);
    gauge(sheet, "vitrine_store_disk_full", "1 while new spans are refused because the disk is full.",
          s.disk_full ? 1 : 0);
    gauge(sheet, "vitrine_store_segments_set_aside", "Parquet files that were found damaged.",
          (double)s.segments_set_aside);
    counter(sheet, "vitrine_store_spans_appended", "Spans made durable since the start.", s.spans_appended);
    counter(sheet, "vitrine_store_batches_appended", "Batches made durable since the start.", s.batches_appended);
    counter(sheet, "vitrine_store_fsyncs", "Syncs of the write-ahead log; one serves all batches that wait.", s.fsyncs);
    counter(sheet, "vitrine_store_refused", "Batches refused because the queue or the disk was full.", s.refused);
    gauge(sheet, "vitrine_store_merge_backlog", "Parquet files that were sealed in a hurry and wait to be packed.",
          (double)s.merge_backlog);
    counter(sheet, "vitrine_store_merges", "Merges of small Parquet files.", s.merges);
    counter(sheet, "vitrine_store_spans_sampled_out", "Spans that tail sampling let go.", s.sampled_out);
    gauge(sheet, "vitrine_store_spans_carried", "Spans of traces under way that tail sampling decides later.",
          (double)s.carried_rows);
    counter(sheet, "vitrine_store_traces_decided_early", "Traces under way that tail sampling had no room to wait for.",
            s.decided_early);
}

static void put_intake(const struct sheet *sheet, const struct intake_stats *s) {
    prometheus_put_type(sheet->out, sheet->openmetrics, "vitrine_ingest_requests", "counter",
                        "Requests that brought spans, by signal.");
    for (int i = 0; i < INTAKE_SIGNALS; i++) {
        const char *labels[] = {"signal", intake_signal_name((enum intake_signal)i), NULL};
        prometheus_put_sample(sheet->out, "vitrine_ingest_requests_total", labels,
                              (double)atomic_load(&s->requests[i]));
    }
    counter(sheet, "vitrine_ingest_spans_accepted", "Spans taken in and durable.", atomic_load(&s->accepted));
    counter(sheet, "vitrine_ingest_spans_rejected", "Spans (lines, data points) refused because they had no meaning.",
            atomic_load(&s->rejected));
    counter(sheet, "vitrine_ingest_requests_failed", "Requests whose body could not be read.", atomic_load(&s->failed));
    counter(sheet, "vitrine_ingest_requests_refused", "Requests told to come again (queue or disk full).",
            atomic_load(&s->refused));
}

static void put_proxy(const struct sheet *sheet, const struct proxy *proxy) {
    struct proxy_stats s;
    if (!proxy) return;
    proxy_get_stats(proxy, &s);
    counter(sheet, "vitrine_proxy_calls", "Calls passed on to upstreams since the start.", s.calls);
    counter(sheet, "vitrine_proxy_calls_failed", "Calls that upstream did not answer, or not to the end.", s.failed);
    counter(sheet, "vitrine_proxy_calls_refused", "Calls refused: too many under way, or no room for the span.",
            s.refused);
    counter(sheet, "vitrine_proxy_calls_waited", "Calls that waited until there was room for their span.", s.waited);
    counter(sheet, "vitrine_proxy_spans_lost", "Calls whose span could not be made or stored.", s.spans_lost);
    gauge(sheet, "vitrine_proxy_calls_open", "Calls under way now.", (double)s.calls_open);
}

static void put_http(const struct sheet *sheet, const struct http *http) {
    static const char *const classes[] = {NULL, "1xx", "2xx", "3xx", "4xx", "5xx"};
    struct http_stats s;
    http_get_stats(http, &s);
    counter(sheet, "vitrine_http_requests", "HTTP requests since the start.", s.requests);
    counter(sheet, "vitrine_http_connections", "Connections since the start.", s.connections);
    counter(sheet, "vitrine_http_connections_refused", "Connections refused by the limits.", s.connections_refused);
    counter(sheet, "vitrine_http_timeouts", "Connections closed because their sender was too slow.", s.timeouts);
    counter(sheet, "vitrine_http_body_bytes", "Bytes of bodies read.", s.body_bytes);
    gauge(sheet, "vitrine_http_connections_open", "Connections open now.", (double)s.connections_open);
    gauge(sheet, "vitrine_http_requests_open", "Requests under way now.", (double)s.requests_open);
    gauge(sheet, "vitrine_http_bodies_bytes", "Bytes of bodies held now.", (double)s.bodies_bytes);
    prometheus_put_type(sheet->out, sheet->openmetrics, "vitrine_http_answers", "counter",
                        "Answers by the class of their status.");
    for (int i = 1; i < 6; i++) {
        const char *labels[] = {"class", classes[i], NULL};
        prometheus_put_sample(sheet->out, "vitrine_http_answers_total", labels, (double)s.answers[i]);
    }
}

static void put_rest(const struct sheet *sheet, struct server *server) {
    struct workers_stats w;
    struct live_stats l;
    workers_get_stats(server->workers, &w);
    live_get_stats(server->live, &l);
    gauge(sheet, "vitrine_query_waiting", "Questions that wait for a thread.", w.waiting);
    gauge(sheet, "vitrine_query_busy", "Threads that work on a question.", w.busy);
    counter(sheet, "vitrine_query_done", "Questions answered.", w.done);
    counter(sheet, "vitrine_query_refused", "Questions refused because too many waited.", w.refused);
    if (server->grpc) {
        struct grpc_stats g;
        grpc_get_stats(server->grpc, &g);
        counter(sheet, "vitrine_grpc_connections", "gRPC connections since the start.", g.connections);
        gauge(sheet, "vitrine_grpc_connections_open", "gRPC connections open now.", g.connections_open);
    }
    gauge(sheet, "vitrine_live_clients", "Live viewers.", l.clients);
    counter(sheet, "vitrine_live_spans_sent", "Spans sent to live viewers.", l.sent);
    counter(sheet, "vitrine_live_spans_dropped", "Spans that live viewers were too slow for.", l.dropped);
    const char *labels[] = {"version", VITRINE_VERSION, NULL};
    prometheus_put_type(sheet->out, sheet->openmetrics, "vitrine_build_info", "gauge", "The version that runs.");
    prometheus_put_sample(sheet->out, "vitrine_build_info", labels, 1);
}

/* What goes onward, by target: "otlp-1", "datadog-2". */
static void put_forwards(const struct sheet *sheet, const struct outlets *outlets) {
    static const struct {
        const char *family, *type, *help;
        size_t at; /* of a uint64_t within forward_stats */
    } families[] = {
        {"vitrine_forward_spans_queued", "counter", "Spans written to the queue of a target.",
         offsetof(struct forward_stats, spans_queued)},
        {"vitrine_forward_requests_sent", "counter", "Requests that a target took.",
         offsetof(struct forward_stats, requests_sent)},
        {"vitrine_forward_requests_refused", "counter", "Requests that a target will never take.",
         offsetof(struct forward_stats, requests_refused)},
        {"vitrine_forward_spans_dropped", "counter",
         "Spans lost to a target: it refused them, or neither memory nor queue had room.",
         offsetof(struct forward_stats, spans_dropped)},
        {"vitrine_forward_queue_bytes", "gauge", "Bytes that wait on disk for a target.",
         offsetof(struct forward_stats, queue_bytes)},
    };
    struct forward_stats stats[FORWARDS_MAX];
    for (size_t i = 0; i < outlets->forward_count; i++) forward_get_stats(outlets->forwards[i], &stats[i]);
    for (size_t f = 0; outlets->forward_count && f < sizeof families / sizeof *families; f++) {
        char name[96];
        snprintf(name, sizeof name, "%s%s", families[f].family,
                 strcmp(families[f].type, "counter") == 0 ? "_total" : "");
        prometheus_put_type(sheet->out, sheet->openmetrics, families[f].family, families[f].type, families[f].help);
        for (size_t i = 0; i < outlets->forward_count; i++) {
            const char *labels[] = {"target", stats[i].name, NULL};
            uint64_t value;
            memcpy(&value, (const char *)&stats[i] + families[f].at, sizeof value);
            prometheus_put_sample(sheet->out, name, labels, (double)value);
        }
    }
}

static void put_pushes(const struct sheet *sheet, const struct server *server) {
    struct push_stats stats[PUSHES_MAX];
    for (size_t i = 0; i < server->push_count; i++) push_get_stats(server->pushes[i], &stats[i]);
    for (int failed = 0; server->push_count && failed < 2; failed++) {
        const char *family = failed ? "vitrine_push_requests_failed" : "vitrine_push_requests_sent";
        char name[64];
        snprintf(name, sizeof name, "%s_total", family);
        prometheus_put_type(sheet->out, sheet->openmetrics, family, "counter",
                            failed ? "Requests with metrics that a target did not take."
                                   : "Requests with metrics that a target took.");
        for (size_t i = 0; i < server->push_count; i++) {
            const char *labels[] = {"target", stats[i].name, NULL};
            prometheus_put_sample(sheet->out, name, labels, (double)(failed ? stats[i].failed : stats[i].sent));
        }
    }
}

static double open_descriptors(void) {
    DIR *dir = opendir("/proc/self/fd");
    double count = -3; /* ".", ".." and the one that looks */
    if (!dir) return 0;
    while (readdir(dir)) count++;
    closedir(dir);
    return count;
}

/* Names as every Prometheus client library has them. */
static void put_process(const struct sheet *sheet, int64_t started_ns) {
    unsigned long long total = 0, resident = 0;
    struct rusage usage;
    struct rlimit files;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file) {
        if (fscanf(file, "%llu %llu", &total, &resident) != 2) total = resident = 0;
        fclose(file);
    }
    double page = (double)sysconf(_SC_PAGESIZE), cpu_s = 0;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        cpu_s = (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
                (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    put_one(sheet, "process_cpu_seconds", "counter", "Total user and system CPU time spent in seconds.", cpu_s);
    gauge(sheet, "process_resident_memory_bytes", "Resident memory size in bytes.", (double)resident * page);
    gauge(sheet, "process_virtual_memory_bytes", "Virtual memory size in bytes.", (double)total * page);
    gauge(sheet, "process_open_fds", "Number of open file descriptors.", open_descriptors());
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        gauge(sheet, "process_max_fds", "Maximum number of open file descriptors.", (double)files.rlim_cur);
    gauge(sheet, "process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
          (double)started_ns / NS_PER_S);
}

/* Packed piece by piece as it is written: the text is large and much of a kind, and most who scrape take gzip. */
struct packing {
    struct prometheus_sink sink;
    struct line_gzip gzip;
};

static void pack_piece(struct prometheus_sink *sink) {
    struct packing *packing = container_of(sink, struct packing, sink);
    line_gzip_put(&packing->gzip, buf_slice(&sink->text));
    bool failed = sink->text.failed;
    buf_clear(&sink->text);
    sink->text.failed = failed;
}

void metrics_put(struct server *server, bool openmetrics, struct prometheus_sink *sink) {
    struct sheet sheet = {&sink->text, openmetrics};
    prometheus_write(server->prometheus, openmetrics, sink);
    put_store(&sheet, server->store);
    put_intake(&sheet, &server->intake);
    put_proxy(&sheet, server->proxy);
    put_http(&sheet, server->http);
    put_rest(&sheet, server);
    put_forwards(&sheet, &server->outlets);
    put_pushes(&sheet, server);
    put_process(&sheet, server->started_ns);
    if (openmetrics) buf_puts(&sink->text, "# EOF\n");
}

int answer_metrics(struct server *server, struct work *work, struct error *err) {
    struct packing packing = {.sink = {.drain = work->gzip ? pack_piece : NULL}};
    struct buf *text = &packing.sink.text;
    work->type = work->openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                   : "text/plain; version=0.0.4; charset=utf-8";
    if (work->gzip) line_gzip_begin(&packing.gzip, &work->out);
    metrics_put(server, work->openmetrics, &packing.sink);
    bool failed = text->failed;
    if (work->gzip) {
        pack_piece(&packing.sink);
        line_gzip_end(&packing.gzip);
        work->gzipped = true;
        buf_free(text);
    } else {
        work->out = *text;
    }
    return failed || work->out.failed ? error_set(err, VT_ENOMEM, "no memory for the metrics") : 0;
}
