/* Threads keep short lists of free slots; a common list under a mutex evens out where one thread starts spans and
 * another ends them. */
#include "sdk/slot.h"

#include <pthread.h>
#include <stdlib.h>

_Atomic(char *) slot_chunks[SLOT_MAX / SLOT_CHUNK];

enum { LIST_KEEP = 2 * SLOT_CHUNK };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the two below */
static struct slot_list common;
static uint32_t chunk_count;

void slot_lock(void) {
    pthread_mutex_lock(&lock);
}
void slot_unlock(void) {
    pthread_mutex_unlock(&lock);
}

static void push(struct slot_list *list, struct span *span) {
    span->next_free = list->first;
    list->first = span->number + 1;
    list->count++;
}

static struct span *pop(struct slot_list *list) {
    uint32_t number = list->first - 1;
    char *chunk = atomic_load_explicit(&slot_chunks[number / SLOT_CHUNK], memory_order_relaxed);
    struct span *span = slot_at(chunk, number);
    list->first = span->next_free;
    list->count--;
    return span;
}

static void move(struct slot_list *from, struct slot_list *to, uint32_t most) {
    while (from->first && most--) push(to, pop(from));
}

static void add_chunk(struct slot_list *list) {
    if (chunk_count == SLOT_MAX / SLOT_CHUNK) return;
    char *chunk = aligned_alloc(64, (size_t)SLOT_CHUNK * SLOT_BYTES);
    if (!chunk) return;
    atomic_store_explicit(&slot_chunks[chunk_count], chunk, memory_order_release);
    for (uint32_t i = SLOT_CHUNK; i-- > 0;) {
        struct span *span = slot_at(chunk, i);
        memset(span, 0, sizeof *span);
        span->number = chunk_count * SLOT_CHUNK + i;
        push(list, span);
    }
    chunk_count++;
}

struct span *slot_take(struct slot_list *list) {
    if (__builtin_expect(!list->first, 0)) {
        pthread_mutex_lock(&lock);
        move(&common, list, SLOT_CHUNK);
        if (!list->first) add_chunk(list);
        pthread_mutex_unlock(&lock);
        if (!list->first) return NULL;
    }
    struct span *span = pop(list);
    span->uses = (span->uses + 1) & (UINTPTR_MAX >> SLOT_BITS);
    if (!span->uses) span->uses = 1;
    span->data = span->inside;
    span->capacity = SLOT_INSIDE_BYTES;
    atomic_store_explicit(&span->handle, span->uses << SLOT_BITS | span->number, memory_order_relaxed);
    return span;
}

void slot_give(struct slot_list *list, struct span *span) {
    atomic_store_explicit(&span->handle, 0, memory_order_relaxed);
    push(list, span);
    if (__builtin_expect(list->count > LIST_KEEP, 0)) {
        pthread_mutex_lock(&lock);
        move(list, &common, LIST_KEEP / 2);
        pthread_mutex_unlock(&lock);
    }
}

void slot_give_all(struct slot_list *list) {
    pthread_mutex_lock(&lock);
    move(list, &common, UINT32_MAX);
    pthread_mutex_unlock(&lock);
}

uint64_t slot_bytes(void) {
    pthread_mutex_lock(&lock);
    uint64_t bytes = (uint64_t)chunk_count * SLOT_CHUNK * SLOT_BYTES;
    pthread_mutex_unlock(&lock);
    return bytes;
}
