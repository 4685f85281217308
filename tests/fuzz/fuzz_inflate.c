/* Compressed bodies; the first byte chooses the encoding. */
#include "fuzz.h"

#include "ingest/inflate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const encodings[] = {"gzip", "deflate", "zstd", "identity"};
    enum { LIMIT = 1 << 20 };
    struct buf out = {0};
    struct error err = {0};
    if (!size) return 0;
    int code = body_inflate(slice_make(data + 1, size - 1), slice_of(encodings[data[0] & 3]), LIMIT, &out, &err);
    must(out.len <= LIMIT, "the limit is kept");
    must(code == 0 || err.message[0], "a refusal says why");
    buf_free(&out);
    return 0;
}
