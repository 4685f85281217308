/* OTLP requests of an AI storefront's LLM spans, about 1 KB each: traces of one turn and three calls, words that people
 * use, users and threads of very different size. Built once; bodies_renew gives all spans of one new ids and times, so
 * that no span is ever sent twice. */
#ifndef BENCH_INGEST_BODIES_H
#define BENCH_INGEST_BODIES_H

#include "base/buf.h"

struct body {
    struct buf bytes;
    uint32_t span_count;
    uint32_t *places; /* of each span: offsets of trace id, span id, parent id (0 = none), start, end */
};

enum { PLACES = 5, SPANS_PER_TRACE = 4 };

void body_build(struct body *body, uint64_t seed, uint32_t spans); /* spans: a multiple of SPANS_PER_TRACE */
/* `first`: number of the first trace, never used twice; traces start step_ns after each other. */
void body_renew(struct body *body, uint64_t first, int64_t start_ns, int64_t step_ns);
void body_free(struct body *body);

#endif
