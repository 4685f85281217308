/* The benchmark's data: one request of LLM spans in protobuf and JSON, and single spans as each SDK writes them. */
#ifndef BENCH_DATA_H
#define BENCH_DATA_H

#include "base/buf.h"
#include "span/raw.h"

enum { SPANS = 500 };

void data_protobuf(struct buf *out);
void data_json(struct buf *out);

struct dialect_sample {
    const char *sdk, *name, *attributes; /* a JSON object */
};
extern const struct dialect_sample dialect_samples[];
extern const int dialect_sample_count;

#endif
