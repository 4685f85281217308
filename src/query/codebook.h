/* Numbers that all row groups share for the texts of a column of many (users, conversations): what a group's
 * dictionary numbers from 0 for itself is numbered here once, and each group remembers which of its codes is which
 * number. Aggregates then count by numbers, and a dictionary is unpacked once and not at every question.
 *
 * A book takes texts until it holds CODEBOOK_BYTES_MAX; groups that do not fit are read by their own dictionaries, and
 * a while later a fresh book takes its place. Any thread. */
#ifndef QUERY_CODEBOOK_H
#define QUERY_CODEBOOK_H

#include "query/weave_index.h"

enum { CODEBOOK_COLUMNS = 2, CODEBOOK_BYTES_MAX = 64 << 20, CODEBOOK_RENEW_S = 600 };

struct codebooks; /* the engine's: one for each column that has one */
struct codebook;

struct codebooks *codebooks_new(size_t bytes_max); /* NULL without memory */
void codebooks_free(struct codebooks *books);      /* NULL is fine; references that are left hold theirs */
/* Which of them is a column's; -1 = none. */
int codebook_of(enum col col);
/* A reference to the book of today; NULL without memory. */
struct codebook *codebook_take(struct codebooks *books, int which);
void codebook_release(struct codebook *book); /* NULL is fine */

/* The numbers of a group's codes, by code; code 0, "not known", has number 0 as every group's has. NULL: cannot be had,
 * go by the dictionary. Lives as long as the index. */
const uint32_t *codebook_numbers(struct codebook *book, const struct group_index *index, const struct rowgroup *group,
                                 enum col col, uint32_t *count);
/* Of a number that codebook_numbers gave. The text lives as long as the book. */
struct slice codebook_text(const struct codebook *book, uint32_t number);
uint64_t codebook_hash(const struct codebook *book, uint32_t number); /* key_hash of the text */
/* Numbers are below this; it grows. */
uint32_t codebook_count(const struct codebook *book);
size_t codebook_bytes(const struct codebook *book); /* maps included */

#endif
