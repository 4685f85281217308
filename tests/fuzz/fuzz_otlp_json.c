/* OTLP traces in JSON. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct batch *batch = fuzz_batch();
    struct error err = {0};
    int code = otlp_decode_json(batch, slice_make(data, size), SLICE("p"), &err);
    must(code == 0 || err.message[0], "a refusal says why");
    check_batch(batch);
    return 0;
}
