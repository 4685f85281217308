/* The numbers that people, conversations and the overview are told in: LLM calls, turns, tokens, cost, …, as columns of
 * one aggregate, and how they are shown. */
#ifndef QUERY_NUMBERS_H
#define QUERY_NUMBERS_H

#include "query/aggregate.h"

enum number {
    NUMBER_CALLS,     /* LLM calls */
    NUMBER_ERRORS,    /* failed ones of them */
    NUMBER_FALLBACKS, /* turns that succeeded although a call in them failed */
    NUMBER_TURN_SPANS,
    NUMBER_INPUT,
    NUMBER_OUTPUT,
    NUMBER_CACHED,
    NUMBER_CACHE_WRITE,
    NUMBER_REASONING, /* tokens */
    NUMBER_COST,
    NUMBER_THREADS,
    NUMBER_SHARED,                /* how many the overview has, too */
    NUMBER_TOTAL = NUMBER_SHARED, /* tokens */
    NUMBER_FIRST,
    NUMBER_LAST,        /* start, Unix ms */
    NUMBER_TRACES,      /* of conversations */
    NUMBER_TURN_TRACES, /* of conversations, with a turn in them */
    NUMBER_COUNT
};

/* Filters that columns share. In the ask's arena. */
struct number_filters {
    struct filter *llm, *turns, *fallbacks, *threads, *turns_of_threads, *called;
};
int number_filters_make(struct ask *ask, struct number_filters *filters, struct error *err);
/* The columns in the order of enum number. */
void numbers_columns(const struct number_filters *filters, struct agg_column columns[NUMBER_COUNT]);
/* A column by what a query would call it: one of our own, so it cannot fail. */
struct agg_column number_column(enum agg_op op, const char *field, const struct filter *where);

/* Values of one group; NaN = not known. */
struct numbers {
    double of[NUMBER_COUNT];
    double turns; /* turn spans, and traces of conversations that have none */
};
void numbers_of_group(const struct agg_result *result, uint32_t group, struct numbers *numbers);
double share_of(double part, double whole); /* NaN when there is no whole */
/* "tokens":{…} of input, output, cached, cache_write, reasoning; nothing when none is known. */
void put_tokens(const double tokens[5], struct json_writer *w);
void put_ms_time(struct json_writer *w, const char *key, double ms); /* ISO 8601 */

/* Groups in the order in which they are shown. */
struct ranked {
    double value;
    struct slice key;
    uint32_t group;
};
/* Greatest value first, unknown ones last, equal ones by key. */
void rank(struct ranked *list, uint32_t count);
int rank_order(const void *a, const void *b);

/* Lists of users and conversations in two steps: all of them by the one number that orders the list, then the numbers
 * of those that are shown. */
struct number_range {
    const struct filter *filter; /* NULL = every span */
    int64_t from_ns, to_ns;
};
struct ranked_list {
    struct ranked *ranked; /* in order; their groups mean nothing */
    uint32_t count;
};
/* Everything is in the ask's arenas. NUMBER_TURN_SPANS orders by struct numbers' turns. */
int numbers_rank(struct ask *ask, const struct number_range *range, enum col col, enum number by,
                 struct ranked_list *list, struct error *err);
int numbers_of_some(struct ask *ask, const struct number_range *range, enum col col, const struct slice *keys,
                    uint32_t count, struct numbers *numbers, struct error *err);

/* Spans that match `filter` (NULL = all) and have one of these values in a text column. */
int filter_with_any(struct ask *ask, const struct filter *filter, enum col col, const struct slice *values,
                    uint32_t count, struct filter **out, struct error *err);

#endif
