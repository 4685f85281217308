/* Costs of stored spans computed anew by the present prices (docs/prices.md). What a sender reported
 * (SPAN_COST_REPORTED) stays, and so does the cost of a span that tells no tokens. Any thread. */
#ifndef STORE_REPRICE_H
#define STORE_REPRICE_H

#include "base/arena.h"
#include "span/prices.h"
#include "store/store.h"

struct reprice {
    const struct prices *prices;
    int64_t from_ns, to_ns; /* spans that started in between, `to` left out; to 0 = no bound */
    const char *model;      /* pattern, as in a table of prices; NULL or "" = all */
    struct slice project;   /* only spans of this project; empty = all */
    bool dry_run;           /* only looks; then a store that is open for reading will do */
    /* How far it is; may be NULL. False: stop here. What was computed until then stays. */
    bool (*progress)(void *ctx, uint64_t bytes, uint64_t bytes_total, uint64_t spans);
    void *ctx;
};

struct reprice_sum {
    uint64_t spans;    /* whose cost is computed, or would be if the table knew the model */
    uint64_t changed;  /* of these, whose cost is another now */
    uint64_t uncosted; /* of these, that had no cost */
    uint64_t unpriced; /* of these, that have none now, since their model has no price */
    uint64_t reported; /* beside these: they keep the cost that their sender reported */
    double old_usd, new_usd;
};
struct reprice_model {
    struct slice provider, model;
    struct reprice_sum sum;
};

enum { REPRICE_MODELS_MAX = 1000 };
/* Zeroed it is empty; free with reprice_free, also after an error. */
struct repriced {
    struct arena arena;
    struct reprice_sum total;
    struct reprice_model *models; /* what costs most by the new prices comes first */
    uint32_t model_count;
    bool models_left_out; /* there are more than REPRICE_MODELS_MAX */
    uint64_t segments;    /* that were written anew */
};

/* Everything is sealed first. Then each segment with a cost that changes is written anew and takes the old one's place
 * in one step: after a crash each is either as it was or done, and the same again does the rest. Spans that arrive
 * meanwhile are not looked at: they were priced just now. Waits for merges and deletions, and they for it.
 * VT_ECANCELLED: `progress` said so; VT_EFULL: no room for the new file of a segment; VT_EIO: also when the store
 * closes meanwhile. `out` tells what was done until then. */
int store_reprice(struct store *store, const struct reprice *what, struct repriced *out, struct error *err);
/* What costs most first, after sums were added from elsewhere. */
void reprice_sort(struct repriced *repriced);
void reprice_free(struct repriced *repriced);

#endif
