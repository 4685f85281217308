/* Arenas that are used again and again: memory that one request has got from the kernel serves the next, since getting
 * it anew would cost more than what is done in it. At most SPARE_BYTES_MAX are held. */
#ifndef QUERY_SPARE_H
#define QUERY_SPARE_H

#include "base/arena.h"

enum { SPARE_COUNT = 16, SPARE_BYTES_MAX = 64 << 20 };

struct spare_arenas;

struct spare_arenas *spare_new(void);        /* NULL without memory */
void spare_free(struct spare_arenas *spare); /* NULL is fine */
/* An empty arena with that limit, by preference one that holds memory. Any thread. */
void spare_take(struct spare_arenas *spare, struct arena *arena, size_t limit_bytes);
/* Empties it and keeps or frees its memory; `arena` is as after arena_init. Any thread. */
void spare_give(struct spare_arenas *spare, struct arena *arena);

/* Empties the arena and makes it one block that holds what was needed before, unless that was more than `most` bytes.
 */
void arena_renew(struct arena *arena, size_t most);

#endif
