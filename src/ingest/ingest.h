/* The door: bytes of a request in, spans in a batch out. Each decoder takes the whole body, keeps what has meaning and says of
 * the rest which span or line, which field, and what was expected (batch_reject). They return 0 also when all was rejected;
 * a negative code only when the body as a whole cannot be read (the answer is then 400, 413 or 415).
 * No decoder keeps anything of `body` beyond the batch unless it says so: texts are copied into the batch's arena or borrowed
 * from `body`, which must outlive the batch. Any thread; the batch belongs to the caller. */
#ifndef INGEST_INGEST_H
#define INGEST_INGEST_H

#include "base/error.h"
#include "span/batch.h"

enum { BODY_BYTES_MAX = 16 << 20, INFLATED_BYTES_MAX = 64 << 20 }; /* defaults of --max-body and --max-inflated */

/* ExportTraceServiceRequest, OTLP 1.x. `project` is of the key that sent it, may be empty. */
int otlp_decode_protobuf(struct batch *batch, struct slice body, struct slice project, struct error *err);
int otlp_decode_json(struct batch *batch, struct slice body, struct slice project, struct error *err);

/* Trace log lines (WIRE.md §1): JSON lines, one JSON array, or console text with pretty-printed objects between other lines.
 * Positions in rejections are line numbers. Lines that are no trace are passed over and counted in *ignored (may be NULL).
 * `*used` (may be NULL): bytes that were taken; an object cut off at the end is left for the next call when `more` says that
 * more may come, otherwise it is rejected with its line. `first_line` is the number of the body's first line (1-based). */
struct log_decode {
    struct slice project;
    uint32_t first_line;
    bool more;
    size_t used;      /* out */
    uint32_t lines;   /* out: line breaks in the bytes used */
    uint32_t ignored; /* out: other lines */
};
int log_decode(struct batch *batch, struct slice body, struct log_decode *options, struct error *err);

#endif
