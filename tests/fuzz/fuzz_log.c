/* Logs, whole and in two pieces. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice body = slice_make(data, size);
    struct batch *batch = fuzz_batch();
    struct log_decode options = {0};
    must(log_decode(batch, body, &options, NULL) == 0, "a log is always read");
    must(options.used == size, "and to its end");
    uint32_t lines = options.lines;
    check_batch(batch);

    batch = fuzz_batch();
    struct log_decode first = {.first_line = 1, .more = true};
    size_t cut = size / 2;
    must(log_decode(batch, slice_make(data, cut), &first, NULL) == 0 && first.used <= cut, "a piece is read");
    struct log_decode rest = {.first_line = 1 + first.lines};
    must(log_decode(batch, slice_from(body, first.used), &rest, NULL) == 0, "and the rest");
    must(first.lines + rest.lines == lines, "lines are counted once");
    check_batch(batch);
    return 0;
}
