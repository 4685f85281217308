/* Bump allocation in blocks that double from 4 KiB to 1 MiB. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct arena_block {
    struct arena_block *older;
    size_t size; /* of the whole block, header included */
};

enum { BLOCK_MIN = 4096, BLOCK_MAX = 1 << 20 };

void arena_init(struct arena *arena, size_t limit_bytes) {
    memset(arena, 0, sizeof *arena);
    arena->limit_bytes = limit_bytes;
}

static void use_block(struct arena *arena, struct arena_block *block) {
    arena->head = block;
    arena->next = (char *)(block + 1);
    arena->end = (char *)block + block->size;
}

void *arena_alloc_slow(struct arena *arena, size_t size, size_t align) {
    if (size > SIZE_MAX / 2) return NULL;
    size_t want = arena->head ? arena->head->size * 2 : BLOCK_MIN;
    if (want > BLOCK_MAX) want = BLOCK_MAX;
    size_t need = sizeof(struct arena_block) + size + align;
    if (want < need) want = need;
    if (arena->limit_bytes && want > arena->limit_bytes - arena->total_bytes) want = need;
    if (arena->limit_bytes && want > arena->limit_bytes - arena->total_bytes) return NULL;
    struct arena_block *block = malloc(want);
    if (!block) return NULL;
    block->older = arena->head;
    block->size = want;
    arena->total_bytes += want;
    use_block(arena, block);
    uintptr_t at = ((uintptr_t)arena->next + (align - 1)) & ~(uintptr_t)(align - 1);
    arena->next = (char *)at + size;
    return (void *)at;
}

static void free_from(struct arena_block *block) {
    while (block) {
        struct arena_block *older = block->older;
        free(block);
        block = older;
    }
}

void arena_free(struct arena *arena) {
    size_t limit = arena->limit_bytes;
    free_from(arena->head);
    arena_init(arena, limit);
}

void arena_reset(struct arena *arena) {
    struct arena_block *keep = arena->head;
    if (!keep) return;
    free_from(keep->older);
    keep->older = NULL;
    arena->total_bytes = keep->size;
    use_block(arena, keep);
}

void *arena_calloc(struct arena *arena, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) return NULL;
    void *memory = arena_alloc(arena, bytes);
    return memory ? memset(memory, 0, bytes) : NULL;
}

struct slice arena_copy(struct arena *arena, struct slice text) {
    char *copy = arena_alloc_aligned(arena, text.len + 1, 1);
    if (!copy) return (struct slice){NULL, 0};
    if (text.len) memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    return slice_make(copy, text.len);
}

struct slice arena_printf(struct arena *arena, const char *format, ...) {
    char stack[512];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(stack, sizeof stack, format, args);
    va_end(args);
    struct slice out = {NULL, 0};
    if (length >= 0 && (size_t)length < sizeof stack) {
        out = arena_copy(arena, slice_make(stack, (size_t)length));
    } else if (length >= 0) {
        char *text = arena_alloc_aligned(arena, (size_t)length + 1, 1);
        if (text) {
            vsnprintf(text, (size_t)length + 1, format, again);
            out = slice_make(text, (size_t)length);
        }
    }
    va_end(again);
    return out;
}
