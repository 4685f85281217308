/* The conversations that were spoken in last, without looking at all of them. */
#ifndef QUERY_THREADS_NEWEST_H
#define QUERY_THREADS_NEWEST_H

#include "query/threads.h"

/* At least the first `count` conversations behind `after` (NULL: of all) in the order of rank_order by the start of
 * their last span, and perhaps some before it, ranked. All in the ask's arenas. */
int newest_threads(struct ask *ask, const struct thread_range *range, const struct ranked *after, uint32_t count,
                   struct ranked_list *list, struct error *err);

#endif
