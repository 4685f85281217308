/* See intake.h. Runs on the loops (and their gRPC streams): nothing here waits. */
#include "serve/server.h"

#include "base/timestamp.h"
#include "ingest/inflate.h"
#include "ingest/ingest.h"

#include <stdio.h>

static const struct {
    const char *name, *rejected;
} signals[INTAKE_SIGNALS] = {
    [INTAKE_TRACES] = {"otlp traces", "rejectedSpans"},
    [INTAKE_LOGS] = {"otlp logs", "rejectedLogRecords"},
    [INTAKE_METRICS] = {"otlp metrics", "rejectedDataPoints"},
    [INTAKE_LINES] = {"log lines", "rejected"},
    [INTAKE_CONVEX] = {"convex", "rejected"},
    [INTAKE_PROXY] = {"proxy", "rejected"},
};

const char *intake_signal_name(enum intake_signal signal) {
    return signals[signal].name;
}
const char *intake_rejected_name(enum intake_signal signal) {
    return signals[signal].rejected;
}

/* --- decoding, by signal --- */

static int decode_lines(struct intake *in, struct slice body, struct error *err) {
    struct log_decode options = {.project = in->project, .first_line = 1};
    int code = log_decode(in->batch, body, &options, err);
    in->ignored = options.ignored;
    return code;
}

static int decode_convex(struct server *server, struct intake *in, struct slice body, struct error *err) {
    struct convex_decode options = {.project = in->project, .max_skew_ms = server->options.convex_skew_ms};
    int code = convex_decode(in->batch, body, &options, err);
    in->ignored = options.ignored;
    return code;
}

static int decode_logs(struct intake *in, struct slice body, struct error *err) {
    uint64_t ignored = 0;
    int code = in->json ? otlp_logs_decode_json(in->batch, body, in->project, &ignored, err)
                        : otlp_logs_decode_protobuf(in->batch, body, in->project, &ignored, err);
    in->ignored = ignored < UINT32_MAX ? (uint32_t)ignored : UINT32_MAX;
    return code;
}

static int decode(struct server *server, struct intake *in, struct slice body, struct error *err) {
    switch (in->signal) {
    case INTAKE_TRACES:
        return in->json ? otlp_decode_json(in->batch, body, in->project, err)
                        : otlp_decode_protobuf(in->batch, body, in->project, err);
    case INTAKE_LOGS: return decode_logs(in, body, err);
    case INTAKE_METRICS:
        return in->json ? otlp_metrics_count_json(body, &in->rejected, err)
                        : otlp_metrics_count_protobuf(body, &in->rejected, err);
    case INTAKE_LINES: return decode_lines(in, body, err);
    case INTAKE_CONVEX: return decode_convex(server, in, body, err);
    default: return error_set(err, VT_EUNSUPPORTED, "there is no such signal");
    }
}

int intake_begin(struct server *server, struct intake *in, struct error *err) {
    if (!(in->batch = batch_new())) return error_set(err, VT_ENOMEM, "no memory for a batch");
    in->batch->prices = price_list_get(&server->prices);
    in->batch->mask = server->mask;
    in->batch->oldest_ns = store_oldest_allowed_ns(server->store);
    return 0;
}

int intake_read(struct server *server, struct intake *in, struct buf *body, struct slice encoding, struct error *err) {
    struct buf unpacked = {0};
    struct slice text = buf_slice(body);
    int code = body_inflate(text, encoding, server->options.inflated_bytes_max, &unpacked, err);
    in->batch = NULL;
    if (code) goto out;
    if (unpacked.ptr) {
        buf_free(body);
        text = buf_slice(&unpacked);
    }
    if ((code = intake_begin(server, in, err))) goto out;
    /* The key may be gone before the last viewer of the batch is. */
    in->project = arena_copy(&in->batch->arena, in->project);
    batch_keep(in->batch, unpacked.ptr ? &unpacked : body);
    code = decode(server, in, text, err);
    if (!code) in->rejected += in->batch->rejected;
out:
    buf_free(&unpacked);
    buf_free(body);
    atomic_fetch_add_explicit(&server->intake.requests[in->signal], 1, memory_order_relaxed);
    if (!code) return 0;
    atomic_fetch_add_explicit(&server->intake.failed, 1, memory_order_relaxed);
    intake_note_error(&server->intake, intake_signal_name(in->signal), err->message);
    batch_unref(in->batch);
    in->batch = NULL;
    return code;
}

int intake_store(struct server *server, struct intake *in, store_done *done, void *ctx, uint64_t *bytes,
                 struct error *err) {
    batch_pack(in->batch);
    *bytes = batch_bytes(in->batch);
    return store_append(server->store, in->batch, done, ctx, err);
}

int intake_late(struct server *server, struct intake *in, struct error *err) {
    atomic_fetch_add_explicit(&server->intake.requests[in->signal], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&server->intake.refused, 1, memory_order_relaxed);
    error_set(err, VT_EFULL, "the store does not keep up: too many batches wait to be written");
    error_hint(err, "send it again later; a faster disk helps");
    intake_note_error(&server->intake, intake_signal_name(in->signal), err->message);
    return err->code;
}

void intake_end(struct server *server, struct intake *in, int code) {
    struct intake_stats *stats = &server->intake;
    if (code) {
        atomic_fetch_add_explicit(&stats->refused, 1, memory_order_relaxed);
    } else {
        atomic_fetch_add_explicit(&stats->accepted, in->batch->count, memory_order_relaxed);
        if (in->batch->count) prometheus_observe(server->prometheus, in->batch);
        if (in->rejected) {
            struct slice message = intake_rejections(in);
            char text[sizeof stats->error_message];
            snprintf(text, sizeof text, "%.*s", (int)(message.len < sizeof text ? message.len : sizeof text - 1),
                     message.ptr ? message.ptr : "");
            atomic_fetch_add_explicit(&stats->rejected, in->rejected, memory_order_relaxed);
            if (in->signal != INTAKE_METRICS) intake_note_error(stats, intake_signal_name(in->signal), text);
        }
    }
    batch_unref(in->batch);
    in->batch = NULL;
}

struct slice intake_rejections(struct intake *in) {
    static const char *const units[INTAKE_SIGNALS] = {[INTAKE_TRACES] = "span",
                                                      [INTAKE_LOGS] = "log record",
                                                      [INTAKE_LINES] = "line",
                                                      [INTAKE_CONVEX] = "event",
                                                      [INTAKE_PROXY] = "call"};
    const struct batch *batch = in->batch;
    if (in->signal == INTAKE_METRICS)
        return in->rejected ? SLICE("metrics are not kept: Vitrine makes its own from spans (GET /metrics); set "
                                    "OTEL_METRICS_EXPORTER=none")
                            : (struct slice){0};
    if (!batch->rejected) return (struct slice){0};
    struct buf out = {.limit_bytes = 4096};
    buf_printf(&out, "%u refused", batch->rejected);
    for (uint32_t i = 0; i < batch->rejection_count && i < 5; i++)
        buf_printf(&out, "; %s %u: %.*s", units[in->signal], batch->rejections[i].position,
                   (int)batch->rejections[i].message.len, batch->rejections[i].message.ptr);
    if (batch->rejected > 5) buf_printf(&out, "; and %u more", batch->rejected - 5);
    struct slice text = arena_copy(&in->batch->arena, buf_slice(&out));
    buf_free(&out);
    return text.ptr ? text : SLICE("some were refused");
}

/* --- counting --- */

void intake_stats_init(struct intake_stats *stats) {
    pthread_mutex_init(&stats->lock, NULL);
}

void intake_note_error(struct intake_stats *stats, const char *source, const char *message) {
    pthread_mutex_lock(&stats->lock);
    stats->error_ns = time_now_ns();
    snprintf(stats->error_source, sizeof stats->error_source, "%s", source);
    snprintf(stats->error_message, sizeof stats->error_message, "%s", message);
    pthread_mutex_unlock(&stats->lock);
}

void intake_tick(struct intake_stats *stats) {
    pthread_mutex_lock(&stats->lock);
    stats->accepted_at[stats->seconds++ % INTAKE_RATE_SECONDS] = atomic_load(&stats->accepted);
    pthread_mutex_unlock(&stats->lock);
}

double intake_spans_per_s(struct intake_stats *stats) {
    pthread_mutex_lock(&stats->lock);
    unsigned known = stats->seconds < INTAKE_RATE_SECONDS ? stats->seconds : INTAKE_RATE_SECONDS;
    uint64_t oldest = known ? stats->accepted_at[(stats->seconds - known) % INTAKE_RATE_SECONDS] : 0;
    double rate = known ? (double)(atomic_load(&stats->accepted) - oldest) / known : 0;
    pthread_mutex_unlock(&stats->lock);
    return rate;
}
