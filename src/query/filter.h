/* The filter language: which spans somebody wants to see (docs/filters.md).
 *
 *     model:gpt-4o status:error duration:>2s -user:u1 (attr.http.status:5* OR has:error) "free words" refund
 *
 * Terms are joined by AND; OR, NOT (or a leading '-') and parentheses work. A parsed filter is read-only and may be
 * used by any number of threads; all of it lives in the arena it was parsed into, but the text it came from is not
 * needed. */
#ifndef QUERY_FILTER_H
#define QUERY_FILTER_H

#include "base/arena.h"
#include "base/error.h"
#include "span/span.h"

enum { FILTER_BYTES_MAX = 64 << 10, FILTER_TERMS_MAX = 1000, FILTER_DEPTH_MAX = 64 };

struct filter; /* opaque */

/* An empty text gives a filter that takes every span. VT_EINVAL: err->column is the character (1-based) of the mistake,
 * the message says what was expected there. VT_ELIMIT: too long, too many terms, nested too deep. */
int filter_parse(struct slice text, struct arena *arena, struct filter **out, struct error *err);

/* For spans that stand alone (live viewers, alerts). What needs the rest of its trace (`fallback:`) does not match
 * here. */
bool filter_matches(const struct filter *filter, const struct span *span);

/* Which columns a scan must read for it: bit 1 << COL_…. */
uint64_t filter_columns(const struct filter *filter);
bool filter_is_empty(const struct filter *filter);     /* takes everything */
bool filter_needs_traces(const struct filter *filter); /* `fallback:` is in it */

#endif
