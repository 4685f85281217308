/* Prometheus: counters and histograms kept while spans come in, and their text (0.0.4 and OpenMetrics 1.0).
 *
 * Families: gen_ai_client_token_usage and gen_ai_client_operation_duration_seconds (OpenTelemetry GenAI semantic
 * conventions, with their advised buckets), gen_ai_server_time_to_first_token_seconds; and for each service, with - as
 * _: <service>_llm_{requests,errors,tokens,cost_usd}_total, _llm_{duration,ttft}_seconds,
 * _chat_{turns,errors,fallbacks}_total, _chat_duration_seconds. Labels: service, provider, model, operation, status
 * (and type of token).
 *
 * Cardinality is bounded: past `series_max` combinations of labels everything new is counted on one series of its
 * service whose provider, model and operation are "overflow"; past that many services too, the service is "overflow".
 * Tokens and cost of spans whose usage a descendant restates are not counted (SPAN_USAGE_RESTATED within the batch).
 * A span that stands for several (sample_rate) counts as several. */
#ifndef METRICS_PROMETHEUS_H
#define METRICS_PROMETHEUS_H

#include "base/buf.h"
#include "span/batch.h"

struct prometheus;

enum { PROMETHEUS_SERIES_DEFAULT = 1000 };

struct prometheus *prometheus_new(uint32_t series_max); /* 0 = default; NULL when memory ran out */
void prometheus_free(struct prometheus *p);
/* Any thread; takes one lock a batch. */
void prometheus_observe(struct prometheus *p, const struct batch *batch);

/* Where the text goes. `drain` is called whenever a piece of about PROMETHEUS_PIECE bytes has gathered, with nothing
 * locked: it takes `text` and clears it. NULL: all of it gathers in `text`. */
struct prometheus_sink {
    struct buf text;
    void (*drain)(struct prometheus_sink *sink);
};
enum { PROMETHEUS_PIECE = 64 << 10 };

/* Writes the families; what remains in sink->text is the caller's to take. OpenMetrics adds exemplars with trace ids;
 * the caller writes "# EOF" after its last family. Any thread. */
void prometheus_write(struct prometheus *p, bool openmetrics, struct prometheus_sink *sink);

#endif
