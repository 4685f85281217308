/* OTLP logs and metrics in both encodings; the first byte chooses. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct batch *batch = fuzz_batch();
    struct slice body = slice_make(size ? data + 1 : data, size ? size - 1 : 0);
    uint64_t count = 0;
    switch (size ? data[0] & 3 : 0) {
    case 0: otlp_logs_decode_protobuf(batch, body, (struct slice){NULL, 0}, &count, NULL); break;
    case 1: otlp_logs_decode_json(batch, body, (struct slice){NULL, 0}, &count, NULL); break;
    case 2: otlp_metrics_count_protobuf(body, &count, NULL); break;
    default: otlp_metrics_count_json(body, &count, NULL);
    }
    must(count <= size, "no more is counted than there is");
    check_batch(batch);
    return 0;
}
