/* A target of forwarding, parsed: where, with which headers, in which form. Read-only once parsed; any thread. */
#ifndef FORWARD_TARGET_H
#define FORWARD_TARGET_H

#include "base/error.h"
#include "span/batch.h"

enum { TARGET_HEADERS_MAX = 8, TARGET_HEADER_SIZE = 1024 };

struct target {
    char kind[16];
    char url[1024];
    char headers[TARGET_HEADERS_MAX][TARGET_HEADER_SIZE]; /* "name: value"; secret */
    unsigned header_count;
    const char *content_type;
    uint32_t spans_max; /* of one request */
    void (*encode)(const struct span *spans, uint32_t count, struct buf *out);
};

int target_parse(const char *text, struct target *target, struct error *err);

/* The bodies. */
void encode_otlp(const struct span *spans, uint32_t count, struct buf *out);     /* ExportTraceServiceRequest */
void encode_datadog(const struct span *spans, uint32_t count, struct buf *out);  /* array of logs */
void encode_newrelic(const struct span *spans, uint32_t count, struct buf *out); /* [{"common","logs"}] */

#endif
