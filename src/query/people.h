/* Who was there: the users of a range, and how many of them had been there before. */
#ifndef QUERY_PEOPLE_H
#define QUERY_PEOPLE_H

#include "query/blocks.h"

struct people; /* in the ask's arenas */

struct people_counts {
    double active, returning; /* NaN = not known: there are too many to tell one by one */
};

struct people *people_new(struct ask *ask, struct error *err); /* NULL with VT_ELIMIT */
/* A scan's `each` over the range itself, with what people_new gave as ctx; may run in step with other work on the
 * block.
 */
int people_block(void *people, struct block *block, struct error *err);
/* Looks at the spans that match the ask's filter between back_ns and from_ns, where the range began, and counts. */
int people_count(struct people *people, int64_t back_ns, int64_t from_ns, struct people_counts *counts,
                 struct error *err);

#endif
