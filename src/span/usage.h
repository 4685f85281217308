/* Token counts: the two ways of counting made one (docs/format.md, "Tokens"). Canonical: input holds cached and
 * cache_write, output holds reasoning. Pure functions; any thread. */
#ifndef SPAN_USAGE_H
#define SPAN_USAGE_H

#include "span/dialect.h"
#include "span/span.h"

/* As the sender gave them; SPAN_NO_INT = not given. */
struct usage {
    int64_t input, output, total, cached, cache_write, reasoning;
    enum dialect dialect;  /* of the attribute that gave the input */
    bool inclusive;        /* the sender proved that input holds the cached parts */
    bool disjoint;         /* named buckets that do not overlap unless the total says otherwise (Langfuse) */
    struct slice provider; /* canonical name; empty = not known */
    struct slice model;
};

static inline struct usage usage_none(void) {
    return (struct usage){SPAN_NO_INT,   SPAN_NO_INT, SPAN_NO_INT, SPAN_NO_INT, SPAN_NO_INT, SPAN_NO_INT,
                          DIALECT_GENAI, false,       false,       {NULL, 0},   {NULL, 0}};
}
static inline bool usage_given(const struct usage *usage) {
    return usage->input != SPAN_NO_INT || usage->output != SPAN_NO_INT || usage->total != SPAN_NO_INT;
}
/* Writes the span's five token fields. Negative counts and counts beyond 2^53 are taken as not given. */
void usage_to_span(struct usage usage, struct span *span);

enum { ESTIMATE_BYTES_PER_TOKEN = 4 };
/* What a text may have cost where the sender gave no usage: its bytes / 4, rounded up. */
static inline int64_t usage_estimate(struct slice text) {
    return (int64_t)((text.len + ESTIMATE_BYTES_PER_TOKEN - 1) / ESTIMATE_BYTES_PER_TOKEN);
}

#endif
