/* Until src/ingest and src/span have these: each says that it is not there yet. Weak, so that theirs win. */
#include "ingest/ingest.h"
#include "span/mask.h"
#include "span/prices.h"

#define ABSENT __attribute__((weak))

ABSENT int otlp_logs_decode_protobuf(struct batch *batch, struct slice body, struct slice project, uint64_t *ignored, struct error *err) {
    return error_set(err, VT_EUNSUPPORTED, "this build does not take OTLP logs");
}
ABSENT int otlp_logs_decode_json(struct batch *batch, struct slice body, struct slice project, uint64_t *ignored, struct error *err) {
    return error_set(err, VT_EUNSUPPORTED, "this build does not take OTLP logs");
}
ABSENT int otlp_metrics_count_protobuf(struct slice body, uint64_t *points, struct error *err) {
    return error_set(err, VT_EUNSUPPORTED, "this build does not take OTLP metrics");
}
ABSENT int otlp_metrics_count_json(struct slice body, uint64_t *points, struct error *err) {
    return error_set(err, VT_EUNSUPPORTED, "this build does not take OTLP metrics");
}
ABSENT int convex_decode(struct batch *batch, struct slice body, struct convex_decode *options, struct error *err) {
    return error_set(err, VT_EUNSUPPORTED, "this build does not take Convex log streams");
}
ABSENT bool convex_signature_ok(struct slice secret, struct slice body, struct slice header) { return false; }
ABSENT int prices_load(struct prices **prices, const char *path, struct error *err) {
    *prices = NULL;
    return path ? error_set(err, VT_EUNSUPPORTED, "this build has no prices") : 0;
}
ABSENT void prices_free(struct prices *prices) {}
ABSENT const struct price *prices_each(const struct prices *prices, size_t *at) { return NULL; }
ABSENT int mask_load(struct mask **mask, const char *spec, struct error *err) {
    *mask = NULL;
    return spec ? error_set(err, VT_EUNSUPPORTED, "this build can not mask") : 0;
}
ABSENT void mask_free(struct mask *mask) {}
ABSENT void mask_describe(const struct mask *mask, struct buf *out) {}
