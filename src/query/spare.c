/* A short list of arenas. */
#include "query/spare.h"

#include <pthread.h>
#include <stdlib.h>

struct spare_arenas {
    pthread_mutex_t lock; /* guards the rest */
    struct arena arenas[SPARE_COUNT];
    unsigned count;
    size_t bytes;
};

struct spare_arenas *spare_new(void) {
    struct spare_arenas *spare = calloc(1, sizeof *spare);
    if (spare) pthread_mutex_init(&spare->lock, NULL);
    return spare;
}

void spare_free(struct spare_arenas *spare) {
    if (!spare) return;
    for (unsigned i = 0; i < spare->count; i++) arena_free(&spare->arenas[i]);
    pthread_mutex_destroy(&spare->lock);
    free(spare);
}

void spare_take(struct spare_arenas *spare, struct arena *arena, size_t limit_bytes) {
    arena_init(arena, limit_bytes);
    pthread_mutex_lock(&spare->lock);
    if (spare->count) {
        *arena = spare->arenas[--spare->count];
        arena->limit_bytes = limit_bytes;
        spare->bytes -= arena->total_bytes;
    }
    pthread_mutex_unlock(&spare->lock);
    if (limit_bytes && arena->total_bytes > limit_bytes) arena_free(arena);
}

void spare_give(struct spare_arenas *spare, struct arena *arena) {
    enum { ONE_MAX = SPARE_BYTES_MAX / 2 };
    size_t limit = arena->limit_bytes;
    arena_renew(arena, ONE_MAX);
    pthread_mutex_lock(&spare->lock);
    if (spare->count < SPARE_COUNT && arena->total_bytes && arena->total_bytes <= SPARE_BYTES_MAX - spare->bytes) {
        spare->bytes += arena->total_bytes;
        spare->arenas[spare->count++] = *arena;
        arena_init(arena, limit);
    }
    pthread_mutex_unlock(&spare->lock);
    arena_free(arena);
}

void arena_renew(struct arena *arena, size_t most) {
    size_t used = arena->total_bytes;
    arena_reset(arena);
    if (arena->total_bytes == used || used > most) return;
    arena_free(arena);
    if (arena_alloc(arena, used)) arena_reset(arena);
}
