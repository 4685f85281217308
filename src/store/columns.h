/* Rows turned into columns: what the sealer writes and what a snapshot shows of a memtable. And dictionaries of texts.
 */
#ifndef STORE_COLUMNS_H
#define STORE_COLUMNS_H

#include "base/arena.h"
#include "base/error.h"
#include "store/scan.h"

/* Distinct texts, by open addressing; code 0 is the empty text ("not known"). A zeroed one is empty. */
struct dictionary {
    struct slice *texts; /* by code; borrowed texts */
    uint32_t *slots;     /* code, 0 = free */
    uint32_t count, text_capacity, slot_count;
};
/* The code of a text, which is added when it is new. UINT32_MAX when memory ran out. */
uint32_t dictionary_code(struct dictionary *d, struct slice text);
void dictionary_free(struct dictionary *d);

/* Bytes of one value of a column's vector, and a vector of `count` values at `memory` (which it is to hold; codes for
 * COL_DICT). */
size_t column_value_bytes(enum col col);
void vec_use(struct vec *vec, enum col col, uint32_t count, void *memory);

/* Column `col` of rows[0 … count-1]. Vectors live in the arena, texts stay where the spans have them. */
int rows_column(const struct span *const *rows, uint32_t count, enum col col, struct arena *arena, struct vec *out,
                struct error *err);

#endif
