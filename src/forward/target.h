/* A target of forwarding, parsed: where, with which headers, in which form. Read-only once parsed; any thread. */
#ifndef FORWARD_TARGET_H
#define FORWARD_TARGET_H

#include "base/error.h"
#include "span/batch.h"

enum { TARGET_HEADERS_MAX = 8, TARGET_HEADER_SIZE = 1024 };

enum target_use { TARGET_SPANS, TARGET_METRICS }; /* --forward, --push */

struct target {
    char kind[16];
    char url[1024];
    char headers[TARGET_HEADERS_MAX][TARGET_HEADER_SIZE]; /* "name: value"; secret */
    unsigned header_count;
    const char *content_type, *encoding;
    const char *fixed_header;      /* one more that the protocol wants; NULL = none */
    uint32_t spans_max, bytes_max; /* of one request, unpacked */
    long timeout_ms;               /* of one; 0 = 30 s */
    /* NULL for metrics. */
    void (*encode)(const struct span *spans, uint32_t count, struct buf *out);
    void (*cut)(struct slice body, uint32_t from, uint32_t to, struct buf *out); /* of an encoded body, some spans */
};

int target_parse(const char *text, enum target_use use, struct target *target, struct error *err);
/* Adds the headers of OTEL_EXPORTER_OTLP_METRICS_HEADERS, else OTEL_EXPORTER_OTLP_HEADERS: name=value,… with
 * percent-encoded values, or a JSON object. Headers that the target has already stay as they are. */
int target_add_env_headers(struct target *target, struct error *err);

/* The bodies: written, and the spans from (inclusive) to (exclusive) of one. */
void encode_otlp(const struct span *spans, uint32_t count, struct buf *out);     /* ExportTraceServiceRequest */
void encode_datadog(const struct span *spans, uint32_t count, struct buf *out);  /* array of logs */
void encode_newrelic(const struct span *spans, uint32_t count, struct buf *out); /* [{"common","logs"}] */
void cut_otlp(struct slice body, uint32_t from, uint32_t to, struct buf *out);
void cut_datadog(struct slice body, uint32_t from, uint32_t to, struct buf *out);
void cut_newrelic(struct slice body, uint32_t from, uint32_t to, struct buf *out);

#endif
