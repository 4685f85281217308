/* What sealed row groups add to aggregates that are asked again and again: a page that is opened, refreshed or left
 * open asks the same of the same spans, while only the newest and the oldest change. A row group that lies wholly
 * within the range adds the same whatever the range, so its part is kept by what was asked, and added instead of being
 * read.
 *
 * Bounded: PARTIALS_BYTES_MAX together. What was used within the last seconds is not thrown out for something new, so
 * that a scan over more row groups than there is room for keeps some rather than none. Any thread. */
#ifndef QUERY_PARTIALS_H
#define QUERY_PARTIALS_H

#include "query/agg_internal.h"
#include "query/mend.h"

/* PARTIAL_POINTS_MAX: groups by user or conversation would fill the room for themselves alone. */
enum { PARTIAL_POINTS_MAX = 2048, PARTIALS_BYTES_MAX = 64 << 20, PARTIAL_BYTES_MAX = 1 << 20 };

struct partials; /* the engine's */
struct partial;  /* one row group's part of one question; does not change */

struct partials *partials_new(void);           /* NULL without memory */
void partials_free(struct partials *partials); /* NULL is fine */

/* What was asked, as a number; 0 = nothing that may be kept (it speaks of "now", or was not written as a filter). */
uint64_t partial_question(const struct ask *ask, const struct agg_spec *specs, uint32_t count);
/* The same for something else that is found by the ask's filter alone. */
uint64_t partial_question_named(const struct ask *ask, const struct filter *filter, const char *name);

struct partial_key {
    uint64_t question, segment, mends;
    uint32_t index;
};
/* False when the row group's part is not kept: it is in memory, or reaches beyond the range, or the question is 0. */
bool partial_key_of(uint64_t question, const struct rowgroup *group, const struct mend *mend, int64_t from_ns,
                    int64_t to_ns, struct partial_key *key);

/* A reference, to be given back with partial_unref; NULL = not kept. */
struct partial *partials_find(struct partials *partials, const struct partial_key *key);
/* Takes over the reference to `partial` (NULL is fine). */
void partials_put(struct partials *partials, const struct partial_key *key, struct partial *partial);
void partial_unref(struct partial *partial);

/* A copy of what these workers (one for each spec) hold; NULL when it is too large to be kept, or without memory. */
struct partial *partial_of_workers(struct agg_worker *const *workers, uint32_t count);
/* Adds it to workers of the same specs; false when their memory ran out. */
bool partial_add(const struct partial *partial, struct agg_worker *const *workers);
/* A list of hashes instead. */
struct partial *partial_of_hashes(const uint64_t *hashes, uint32_t count);
const uint64_t *partial_hashes(const struct partial *partial, uint32_t *count);

#endif
