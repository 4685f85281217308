/* One attribute of a block's rows by the index of its row group, without a look at the JSON in which it stands. */
#ifndef QUERY_BLOCK_ATTR_H
#define QUERY_BLOCK_ATTR_H

#include "query/blocks.h"

struct block_attr {
    const uint32_t *codes;           /* by row, of `rows` alone; NULL: there is no index, read the texts */
    const struct attr_value *values; /* by code: of the span, else of its resource; ATTR_NONE = not known */
    uint32_t count;
};
/* All of it lives in the block. */
int block_attr(struct block *block, struct slice key, const uint32_t *rows, uint32_t count, struct block_attr *out,
               struct error *err);

#endif
