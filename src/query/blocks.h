/* Scans: row groups of the ask's snapshot, as blocks with the rows that matched and columns that are read when asked
 * for.
 *
 *     struct scan scan = {.filter = ask->filter, .from_ns = ask->from_ns, .to_ns = ask->to_ns, .each = my_block, .ctx =
 * &mine}; int code = scan_run(ask, &scan, err);
 *
 *     static int my_block(void *ctx, struct block *block, struct error *err) {
 *         const struct vec *models = block_column(block, COL_MODEL, err);
 *         if (!models) return err->code;
 *         for (uint32_t i = 0; i < block->count; i++) use(models->dict[models->codes[block->rows[i]]]);
 *         return 0;
 *     }
 *
 * Row groups are skipped by time, trace bloom, dictionaries and word blooms before anything of them is read. Only spans
 * of the request's project are seen. Columns are shown mended: traces that arrived in pieces have their trace ids,
 * users, threads, turns and flags (restated usage, fallback) as if they had come at once, and a span that is stored
 * twice is seen once. */
#ifndef QUERY_BLOCKS_H
#define QUERY_BLOCKS_H

#include "query/engine.h"

struct block {
    struct ask *ask;
    const struct rowgroup *group;
    unsigned worker;    /* 0 … WORKERS_MAX-1: which of the scan's threads this is; index of per-thread state */
    struct arena arena; /* the block's: everything in it is gone when `each` returns */
    uint32_t *rows;     /* rows that matched, ascending; `each` may narrow them */
    uint32_t count;
    /* blocks.c's own */
    struct scan_run *run;
    uint64_t read; /* columns that are in vecs: bit 1 << COL_… */
    uint64_t bare; /* those of which there are only codes */
    struct vec vecs[COL_COUNT];
    const struct mend *mend;         /* corrections of this row group; NULL = none */
    const struct group_index *index; /* where its traces are; NULL = not known */
    uint32_t **spare;                /* selection vectors not in use */
    uint32_t spare_count, spare_capacity;
};

/* Called for each block with matching rows; from several threads at once, but one at a time for each worker number.
 * Columns should all be read before per-thread state is changed: when one is corrupt (VT_ECORRUPT), returning that code
 * makes the scan go on without this row group. Any other code ends the scan. */
typedef int scan_each(void *ctx, struct block *block, struct error *err);

struct scan {
    const struct filter *filter;            /* NULL = every span */
    int64_t from_ns, to_ns;                 /* from ≤ start < to */
    const uint8_t (*traces)[TRACE_ID_SIZE]; /* only spans of these traces; NULL = all */
    uint32_t trace_count;
    bool all_places;  /* traces are looked for in every row group, whatever indexes of traces say */
    unsigned workers; /* at most so many threads; 0 = as many as the engine has */
    bool apart; /* each thread begins in a stretch of its own, so that what lies near in time mostly goes to one */
    scan_each *each;
    void *ctx;
    /* Asked before a row group is read, with nothing but its place and worker in the block: 1 = it is answered for
     * already, 0 = it is to be read, negative = an error that ends the scan. NULL: all are read. */
    scan_each *known;
    scan_each *none; /* called in place of `each` when no row matched; NULL: nothing is */
};
/* Row groups come newest first (by their latest start), unless `apart`. */
int scan_run(struct ask *ask, const struct scan *scan, struct error *err);
/* How many threads a scan may use: worker numbers are below it. */
unsigned scan_workers(const struct ask *ask);

/* Spans that start before `floor_ns` are of no use any more: row groups that hold only such ones are skipped from here
 * on. The floor only rises. Any worker. */
void block_raise_floor(struct block *block, int64_t floor_ns);
int64_t block_floor(const struct block *block);

/* The whole column of the row group; NULL with the error in err. Read once, kept for the block. For COL_STRING prefer
 * block_texts unless most rows are wanted. */
const struct vec *block_column(struct block *block, enum col col, struct error *err);
/* The codes of a COL_DICT column; `dict` may be NULL. For who knows the texts by other ways. */
const struct vec *block_codes(struct block *block, enum col col, struct error *err);
/* Texts of any text column at some rows (ascending); out has row_count places, texts live in the block. */
int block_texts(struct block *block, enum col col, const uint32_t *rows, uint32_t row_count, struct slice *out,
                struct error *err);
/* 1 / sample_rate of each row of the row group, or NULL in *weights when all are 1. */
int block_weights(struct block *block, const double **weights, struct error *err);
/* A vector of group->rows places for row numbers; give it back when done (or leave it to the block's end). */
uint32_t *block_take_rows(struct block *block, struct error *err);
void block_give_rows(struct block *block, uint32_t *rows);
/* Applies the row's corrections to a span that was read by other ways. */
void block_mend_span(const struct block *block, uint32_t row, struct span *span);
/* A whole span, its texts in any arena. */
int block_span(struct block *block, uint32_t row, struct arena *arena, struct span *out, struct error *err);

/* filter_scan.c. Of `in` (ascending row numbers) those that match go to `out` (may be `in` itself); *kept = how many.
 */
int filter_select(const struct filter *filter, struct block *block, const uint32_t *in, uint32_t count, uint32_t *out,
                  uint32_t *kept, struct error *err);
/* False only when it is certain that no row of the row group matches. `index` may be NULL. */
bool filter_may_match(const struct filter *filter, const struct rowgroup *group, const struct group_index *index);

#endif
