/* Conversations, for their list and for SQL. */
#ifndef QUERY_THREADS_H
#define QUERY_THREADS_H

#include "query/numbers.h"

enum { THREAD_MODELS_MAX = 16 };

struct thread_range {
    const struct filter *filter; /* NULL = every span */
    int64_t from_ns, to_ns;
};

/* Everything is in the ask's arena. */
struct thread_list {
    struct agg_result *result;
    struct ranked *ranked; /* one for each thread, in order */
    uint32_t count;
};
/* All, the newest first, with their numbers. */
int threads_find(struct ask *ask, const struct thread_range *range, struct thread_list *list, struct error *err);

struct thread_row {
    struct slice thread_id, user_id; /* the user who has most of its spans */
    struct numbers numbers;
    struct slice models[THREAD_MODELS_MAX]; /* most used first */
    uint32_t model_count;
};
/* Some of the list; with `parts` also who and what took part, which takes a scan of its own. */
int threads_rows(struct ask *ask, const struct thread_range *range, const struct thread_list *list, uint32_t from,
                 uint32_t count, bool parts, struct thread_row **rows, struct error *err);

#endif
