/* The span metrics as OTLP (opentelemetry-proto 1.x, ExportMetricsServiceRequest): one resource a service, cumulative
 * from the start, explicit bounds, exemplars with trace ids. Names: gen_ai.client.operation.duration,
 * gen_ai.client.token.usage and gen_ai.server.time_to_first_token as the GenAI semantic conventions have them, and
 * <service>.llm.{requests,errors,tokens,cost_usd,duration,ttft}, <service>.chat.{turns,errors,fallbacks,duration},
 * which Prometheus turns into the very names that /metrics has. */
#ifndef METRICS_OTLP_METRICS_H
#define METRICS_OTLP_METRICS_H

#include "metrics/prometheus.h"

/* Unix times. Counts of spans that stand for several are rounded, as OTLP counts in whole numbers. Nothing is appended
 * when there is nothing to tell. Any thread. */
void otlp_metrics_write(struct prometheus *prometheus, int64_t start_ns, int64_t now_ns, struct buf *out);

#endif
