/* What tokens cost: a table of public prices that is built in (docs/prices.md), with the user's own file over it.
 * Read-only once loaded; any thread. */
#ifndef SPAN_PRICES_H
#define SPAN_PRICES_H

#include "base/error.h"
#include "span/span.h"

struct prices; /* opaque */

struct price {
    const char *provider;   /* canonical ("openai"); "" = any */
    const char *model;      /* pattern, '*' stands for any text; letters of either case */
    const char *valid_from; /* "2025-08-07"; "" = since ever */
    const char *source;     /* "built-in", or the path of the user's file */
    int64_t valid_from_ns;  /* INT64_MIN = since ever */
    double input, cached, cache_write,
        output; /* US dollars per million tokens; cached and cache_write NaN = as input */
};

/* The table that is built in, with the file at `path` (YAML, docs/prices.md; NULL = none) over it. Free with
 * prices_free. VT_EINVAL: the file has a mistake; the message names line and key. VT_EIO: it cannot be read. */
int prices_load(struct prices **prices, const char *path, struct error *err);
void prices_free(struct prices *prices); /* NULL is fine */

/* What the span's tokens cost, by provider, model and the day it started. False when the table does not know the model
 * or the span has no tokens. Of several prices that fit: the user's before those built in, a pattern that says more
 * before one that says less, the latest that was valid then. */
bool prices_cost(const struct prices *prices, const struct span *span, double *usd);
/* The price that prices_cost goes by; NULL when there is none. */
const struct price *prices_find(const struct prices *prices, struct slice provider, struct slice model, int64_t at_ns);

/* The same for span after span of a batch: what was found for a model is kept. Zeroed it is empty; its texts are
 * borrowed from the spans, so it lives no longer than they. One thread. */
enum { PRICES_CACHED = 8 };
struct prices_cache {
    struct prices_known {
        struct slice provider, model;
        int64_t from_ns, until_ns; /* starts for which it holds */
        const struct price *price; /* NULL: none fits */
        bool used;
    } known[PRICES_CACHED];
    unsigned next;
};
bool prices_cost_cached(const struct prices *prices, struct prices_cache *cache, const struct span *span, double *usd);

/* A model's name, as it is, is one of those that a pattern means: '*' stands for any text, letters of either case. */
bool prices_model_matches(const char *pattern, struct slice model);
/* Two tables say the same. */
bool prices_equal(const struct prices *a, const struct prices *b);

/* The day of which the prices that are built in are: "2025-11-24". */
const char *prices_as_of(void);

/* All of them: for (size_t i = 0; (price = prices_each(prices, &i));) */
const struct price *prices_each(const struct prices *prices, size_t *at);

#endif
