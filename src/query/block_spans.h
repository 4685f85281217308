/* Rows of a block as whole spans: for who wants every column of many rows, which block_span would decode a row at a
 * time. */
#ifndef QUERY_BLOCK_SPANS_H
#define QUERY_BLOCK_SPANS_H

#include "query/blocks.h"

/* Fills `out` with `count` rows (ascending). Long texts are in `arena`, short ones (of dictionaries) and turn ids in
 * the block. */
int block_spans(struct block *block, const uint32_t *rows, uint32_t count, struct arena *arena, struct span *out,
                struct error *err);

#endif
