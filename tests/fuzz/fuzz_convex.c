/* Convex log streams. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct batch *batch = fuzz_batch();
    struct convex_decode options = {.now_ns = batch->now_ns};
    struct slice body = slice_make(data, size);
    convex_decode(batch, body, &options, NULL);
    must(options.ignored <= options.events && options.accepted <= options.events, "no more events than there are");
    convex_signature_ok(SLICE("key"), body, body);
    check_batch(batch);
    return 0;
}
