/* Finished spans as OTLP (opentelemetry-proto 1.3, trace/v1, collector/trace/v1): ExportTraceServiceRequest in
 * protobuf. */
#ifndef SDK_OTLP_ENCODE_H
#define SDK_OTLP_ENCODE_H

#include "base/buf.h"
#include "vitrine.h"

/* A request under way. Zeroed is valid. One thread. */
struct otlp_encoder {
    struct buf out;      /* the request's bytes, whole after otlp_end */
    struct buf scratch;  /* for text that is no UTF-8 */
    uint32_t spans;      /* in out */
    size_t resource_end; /* marks of messages that otlp_end closes */
    size_t scope_end;
};

void otlp_begin(struct otlp_encoder *encoder, const vt_attr *resource, size_t resource_count);
void otlp_put(struct otlp_encoder *encoder, const vt_finished *span);
void otlp_end(struct otlp_encoder *encoder); /* out.failed: no memory */
void otlp_encoder_free(struct otlp_encoder *encoder);

/* Reads the collector's answer (ExportTraceServiceResponse). False: it is none. Both are 0 and "" when all was taken.
 */
bool otlp_read_answer(struct slice body, uint64_t *rejected, struct slice *message);

#endif
