/* What scores say of models: the mean of each kind of score by the model that answered, and what those traces cost. */
#ifndef QUERY_SCORED_H
#define QUERY_SCORED_H

#include "query/engine.h"

struct scored_row {
    struct slice name, model; /* model: empty = not known */
    uint32_t count;
    double sum;
    uint32_t cost_count; /* scores whose trace has a cost */
    double cost_sum;
};

enum { SCORED_MAX = 20000 };

/* Of the scores that were given within the ask's range, at most SCORED_MAX, to traces with spans that match its filter.
 * Sorted by name, then by count. In the ask's arena. */
int scored_rows(struct ask *ask, struct scored_row **rows, uint32_t *count, struct error *err);

#endif
