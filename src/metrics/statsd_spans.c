/* One line a metric and span. */
#include "metrics/statsd_spans.h"

#include "metrics/dashboards.h"

#include <math.h>
#include <stdio.h>

enum { NAME_MAX_BYTES = 192 };

static void put(struct statsd *s, const char *prefix, const char *metric, double value, const char *type, double rate,
                const struct statsd_tag *tags, size_t count) {
    char name[NAME_MAX_BYTES];
    int len = snprintf(name, sizeof name, "%s.%s", prefix, metric);
    if (len > 0 && (size_t)len < sizeof name)
        statsd_put(s, slice_make(name, (size_t)len), value, type, rate, tags, count);
}

static double tokens_of(const struct span *span) {
    double in = span->tokens_input == SPAN_NO_INT ? 0 : (double)span->tokens_input;
    return in + (span->tokens_output == SPAN_NO_INT ? 0 : (double)span->tokens_output);
}

static void put_call(struct statsd *s, const char *prefix, const struct span *span, double rate,
                     const struct statsd_tag *tags, size_t count) {
    put(s, prefix, "llm.requests", 1, "c", rate, tags, count);
    put(s, prefix, "llm.duration", (double)span->duration_ns / 1e6, "d", rate, tags, count);
    if (span->status == STATUS_ERROR) put(s, prefix, "llm.errors", 1, "c", rate, tags, count);
    if (span->ttft_ns != SPAN_NO_INT) put(s, prefix, "llm.ttft", (double)span->ttft_ns / 1e6, "d", rate, tags, count);
    if (span->flags & SPAN_USAGE_RESTATED) return;
    if (tokens_of(span) > 0) put(s, prefix, "llm.tokens", tokens_of(span), "c", rate, tags, count);
    if (!isnan(span->cost_usd)) put(s, prefix, "llm.cost", span->cost_usd, "c", rate, tags, count);
}

/* A fallback is told where the failed call and its turn come in one batch, which is how every exporter of ours sends
 * them. */
static bool fell_back(const struct batch *batch, const struct span *turn) {
    if (turn->status == STATUS_ERROR) return false;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct span *span = &batch->spans[i];
        if (span->kind == KIND_LLM && span->status == STATUS_ERROR &&
            memcmp(span->trace_id, turn->trace_id, TRACE_ID_SIZE) == 0)
            return true;
    }
    return false;
}

void statsd_put_batch(struct statsd *s, const struct batch *batch) {
    bool any_failed = false;
    for (uint32_t i = 0; i < batch->count; i++)
        any_failed |= batch->spans[i].kind == KIND_LLM && batch->spans[i].status == STATUS_ERROR;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct span *span = &batch->spans[i];
        bool turn = span->kind == KIND_TURN, call = span->kind == KIND_LLM || span->kind == KIND_EMBEDDING;
        if (!turn && !call) continue;
        char prefix[128];
        metric_prefix(span_get_text(span, COL_SERVICE), prefix, sizeof prefix);
        const struct statsd_tag tags[] = {{"service", span_get_text(span, COL_SERVICE)},
                                          {"model", span_get_text(span, COL_MODEL)},
                                          {"provider", span_get_text(span, COL_PROVIDER)},
                                          {"operation", span_get_text(span, COL_OPERATION)},
                                          {"status", slice_of(span_status_names[span->status])}};
        size_t count = sizeof tags / sizeof *tags;
        double rate = span->sample_rate > 0 && span->sample_rate < 1 ? span->sample_rate : 1;
        if (call) {
            put_call(s, prefix, span, rate, tags, count);
            continue;
        }
        put(s, prefix, "chat.turns", 1, "c", rate, tags, count);
        put(s, prefix, "chat.duration", (double)span->duration_ns / 1e6, "d", rate, tags, count);
        if (span->status == STATUS_ERROR) put(s, prefix, "chat.errors", 1, "c", rate, tags, count);
        if (any_failed && fell_back(batch, span)) put(s, prefix, "chat.fallbacks", 1, "c", rate, tags, count);
    }
    statsd_flush(s);
}
