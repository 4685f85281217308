/* An arena: allocations that live and die together (a request, a batch, a query).
 * Not thread-safe: one owner at a time. Memory comes in blocks that grow; reset keeps the first block for reuse. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/slice.h"

struct arena_block; /* opaque */

struct arena {
    struct arena_block *head; /* newest block, allocations go here */
    char *next;               /* first free byte of head */
    char *end;                /* one past head's last byte */
    size_t total_bytes;       /* sum of all blocks */
    size_t limit_bytes;       /* arena_alloc returns NULL past this; 0 = none */
};

/* A zeroed struct is a valid, empty arena without limit. */
void arena_init(struct arena *arena, size_t limit_bytes);
void arena_free(struct arena *arena);  /* releases everything; the arena may be used again */
void arena_reset(struct arena *arena); /* forgets everything, keeps one block */
void *arena_alloc_slow(struct arena *arena, size_t size, size_t align);

/* size bytes aligned to align (a power of two), not zeroed; NULL when memory or the limit ran out. */
static inline void *arena_alloc_aligned(struct arena *arena, size_t size, size_t align) {
    uintptr_t at = ((uintptr_t)arena->next + (align - 1)) & ~(uintptr_t)(align - 1);
    if (!arena->next || at > (uintptr_t)arena->end || size > (uintptr_t)arena->end - at)
        return arena_alloc_slow(arena, size, align);
    arena->next = (char *)at + size;
    return (void *)at;
}
static inline void *arena_alloc(struct arena *arena, size_t size) {
    return arena_alloc_aligned(arena, size, 16);
}
void *arena_calloc(struct arena *arena, size_t count, size_t size); /* zeroed, checked for overflow */
/* A copy, with a NUL behind it that is not counted. An empty slice with NULL when memory ran out. */
struct slice arena_copy(struct arena *arena, struct slice text);
struct slice arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
