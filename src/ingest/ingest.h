/* The door: bytes of a request in, spans in a batch out. Each decoder takes the whole body, keeps what has meaning and
 * says of the rest which span or line, which field, and what was expected (batch_reject). They return 0 also when all
 * was rejected; a negative code only when the body as a whole cannot be read (the answer is then 400, 413 or 415). No
 * decoder keeps anything of `body` beyond the batch unless it says so: texts are copied into the batch's arena or
 * borrowed from `body`, which must outlive the batch. Any thread; the batch belongs to the caller. */
#ifndef INGEST_INGEST_H
#define INGEST_INGEST_H

#include "base/error.h"
#include "span/batch.h"

enum { BODY_BYTES_MAX = 16 << 20, INFLATED_BYTES_MAX = 64 << 20 }; /* defaults of --max-body and --max-inflated */

/* ExportTraceServiceRequest, OTLP 1.x, strict or by hand (docs/format.md, "OTLP"). `project` is of the key that sent
 * it, may be empty. Positions in rejections are ordinals of spans. VT_ELIMIT: more than BATCH_SPANS_MAX spans, or
 * nested too deep (413). */
int otlp_decode_protobuf(struct batch *batch, struct slice body, struct slice project, struct error *err);
int otlp_decode_json(struct batch *batch, struct slice body, struct slice project, struct error *err);

/* ExportLogsServiceRequest: GenAI events of OpenTelemetry's logs (event names "gen_ai.…"). Events of one span that
 * stand together become one span of kind other, a child of the span that they name, with prompt and completion from
 * what they say; its id is derived from them, so that a request sent twice is kept once. Other records are passed over
 * and counted in *ignored (may be NULL). */
int otlp_logs_decode_protobuf(struct batch *batch, struct slice body, struct slice project, uint64_t *ignored,
                              struct error *err);
int otlp_logs_decode_json(struct batch *batch, struct slice body, struct slice project, uint64_t *ignored,
                          struct error *err);

/* ExportMetricsServiceRequest: how many data points it holds, for a polite partial success; none is kept. */
int otlp_metrics_count_protobuf(struct slice body, uint64_t *points, struct error *err);
int otlp_metrics_count_json(struct slice body, uint64_t *points, struct error *err);

/* Trace log lines (docs/format.md): JSON lines, one JSON array, or console text with pretty-printed objects between
 * other lines. Takes also what `vitrine export --format ndjson` writes, and lines that hold an OTLP JSON request each.
 * Positions in rejections are line numbers. Lines that are no trace are passed over and counted in `ignored`.
 * An object cut off at the end is left for the next call when `more` says that more may come, otherwise it is rejected
 * with its line. To go on, call again with the bytes from `used` on and first_line += lines; so an array may come in
 * pieces, too. VT_ELIMIT: the batch is full. What it holds is good and `used` says how far it reaches: go on there with
 * a new batch. */
struct log_decode {
    struct slice project;
    uint32_t first_line; /* number of the body's first line, 1-based; 0 counts as 1 */
    bool more;
    size_t used;      /* out: bytes that were taken */
    uint32_t lines;   /* out: line breaks in the bytes used */
    uint32_t ignored; /* out: other lines, blank ones not counted */
};
int log_decode(struct batch *batch, struct slice body, struct log_decode *options, struct error *err);

/* A Convex log stream's POST: an array or lines of events (docs/convex.md). Positions in rejections are ordinals of
 * events. */
struct convex_decode {
    struct slice project;
    int64_t now_ns;      /* 0: the clock's */
    int64_t max_skew_ms; /* events further from now are refused; 0 = all are taken */
    uint32_t events;     /* out: events seen */
    uint32_t accepted;   /* out: console lines and executions that became spans */
    uint32_t ignored;    /* out: events without a trace */
    uint32_t truncated;  /* out: console lines that Convex had cut; those with a trace are rejected with a reason */
    bool verification;   /* out: an event of topic "verification" was there */
};
int convex_decode(struct batch *batch, struct slice body, struct convex_decode *options, struct error *err);
/* Whether `header` (x-webhook-signature: "sha256=" and hex) signs `body` under `secret`: HMAC-SHA256, compared in
 * constant time. */
bool convex_signature_ok(struct slice secret, struct slice body, struct slice header);

#endif
