/* Spans as DogStatsD metrics: <service>.llm.{requests,errors,tokens,cost,duration,ttft} and
 * .chat.{turns,errors,duration,fallbacks}, the names that the storefront's Datadog monitors are written for, with tags
 * model, provider, operation, status, service. One thread. */
#ifndef METRICS_STATSD_SPANS_H
#define METRICS_STATSD_SPANS_H

#include "base/statsd.h"
#include "span/batch.h"

/* Sends the metrics of a batch; pending lines are flushed at its end. A span that stands for several (sample_rate) is
 * sent with @rate. */
void statsd_put_batch(struct statsd *statsd, const struct batch *batch);

#endif
