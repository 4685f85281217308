/* Who was there: the users of a range, and how many of them had been there before. */
#ifndef QUERY_PEOPLE_H
#define QUERY_PEOPLE_H

#include "query/aggregate.h"
#include "query/blocks.h"

struct people; /* in the ask's arenas */

struct people_counts {
    double active, returning; /* NaN = not known: there are too many to tell one by one */
};

/* For the range from_ns … to_ns and the time before it from back_ns on. NULL with VT_ELIMIT. */
struct people *people_new(struct ask *ask, int64_t back_ns, int64_t from_ns, int64_t to_ns, struct error *err);
/* What looks at the range itself, in step with an aggregation over it. */
struct agg_also people_also(struct people *people);
/* Then looks at the spans before it that match the ask's filter, and counts. */
int people_count(struct people *people, struct people_counts *counts, struct error *err);

#endif
