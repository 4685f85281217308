/* The memory of open spans: slots that are never given back to the system, so that a handle to a span that has ended
 * can be told from a live one. A handle is the slot's number below, a count of its uses above; never a pointer. */
#ifndef SDK_SLOT_H
#define SDK_SLOT_H

#include "sdk/clock.h"
#include "sdk/record.h"

#include <stdatomic.h>

struct thread;
struct carried;

enum {
    SLOT_BITS = 20, /* a million open spans at most */
    SLOT_CHUNK = 64,
    SLOT_MAX = 1 << SLOT_BITS,
    SLOT_BYTES = 896, /* of a span: holds eight attributes and two events without growing */
};

struct span {
    _Atomic uintptr_t handle; /* 0: not open */
    uint32_t number;
    uint32_t next_free; /* number + 1; 0: end of the list */
    uintptr_t uses;
    struct ticks start;
    struct carried *carried; /* tracestate and baggage it holds a reference to, or NULL */
    char *data;              /* inside, or a buffer of thread.h's when it has grown */
    uint32_t capacity;
    bool recording;       /* false: only its ids matter */
    bool distinct;        /* attributes are kept without repeats, since the limit was met once */
    bool chat;            /* a turn: adds chat.turn.complete */
    bool first_token;     /* was told */
    struct record record; /* last but the bytes it describes: the two leave in one copy */
    char inside[];
};

enum { SLOT_INSIDE_BYTES = SLOT_BYTES - (int)sizeof(struct span) };

struct slot_list {
    uint32_t first; /* number + 1; 0: empty */
    uint32_t count;
};

extern _Atomic(char *) slot_chunks[SLOT_MAX / SLOT_CHUNK];

static inline struct span *slot_at(char *chunk, uint32_t number) {
    return (struct span *)(void *)(chunk + (size_t)(number % SLOT_CHUNK) * SLOT_BYTES);
}

/* The open span that a handle names, or NULL. Any value may be asked for. */
static inline struct span *slot_find(const void *handle_in) {
    uintptr_t handle = (uintptr_t)handle_in;
    if (!handle) return NULL;
    uint32_t number = (uint32_t)(handle & (SLOT_MAX - 1));
    char *chunk = atomic_load_explicit(&slot_chunks[number / SLOT_CHUNK], memory_order_acquire);
    if (__builtin_expect(!chunk, 0)) return NULL;
    struct span *span = slot_at(chunk, number);
    return atomic_load_explicit(&span->handle, memory_order_relaxed) == handle ? span : NULL;
}

/* Opens a slot from the list, which is filled when empty; NULL when no more can be had. */
struct span *slot_take(struct slot_list *list);
/* Closes: the handle is void from now on. */
void slot_give(struct slot_list *list, struct span *span);
void slot_give_all(struct slot_list *list); /* to other threads */
uint64_t slot_bytes(void);                  /* held by all slots */
/* Around fork. */
void slot_lock(void);
void slot_unlock(void);

#endif
