/* Traces that carry something are few against those that do not, so one mutex does. */
#include "sdk/carried.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 256 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards everything here */
static struct carried *buckets[BUCKETS];
static uint64_t last_number;

void carried_lock(void) {
    pthread_mutex_lock(&lock);
}
void carried_unlock(void) {
    pthread_mutex_unlock(&lock);
}

struct carried *carried_new(const char *tracestate, const char *baggage) {
    size_t state_size = strlen(tracestate) + 1, baggage_size = strlen(baggage) + 1;
    if (state_size == 1 && baggage_size == 1) return NULL;
    struct carried *carried = malloc(sizeof *carried + state_size + baggage_size);
    if (!carried) return NULL;
    char *texts = (char *)(carried + 1);
    carried->tracestate = memcpy(texts, tracestate, state_size);
    carried->baggage = memcpy(texts + state_size, baggage, baggage_size);
    carried->refs = 1;
    pthread_mutex_lock(&lock);
    carried->number = ++last_number;
    carried->bucket = (uint32_t)(carried->number % BUCKETS);
    carried->next = buckets[carried->bucket];
    buckets[carried->bucket] = carried;
    pthread_mutex_unlock(&lock);
    return carried;
}

struct carried *carried_hold(struct carried *carried) {
    if (!carried) return NULL;
    pthread_mutex_lock(&lock);
    carried->refs++;
    pthread_mutex_unlock(&lock);
    return carried;
}

void carried_drop(struct carried *carried) {
    if (!carried) return;
    pthread_mutex_lock(&lock);
    bool last = --carried->refs == 0;
    if (last) {
        struct carried **at = &buckets[carried->bucket];
        while (*at != carried) at = &(*at)->next;
        *at = carried->next;
    }
    pthread_mutex_unlock(&lock);
    if (last) free(carried);
}

struct carried *carried_find(uint64_t number) {
    if (!number) return NULL;
    pthread_mutex_lock(&lock);
    struct carried *carried = buckets[number % BUCKETS];
    while (carried && carried->number != number) carried = carried->next;
    if (carried) carried->refs++;
    pthread_mutex_unlock(&lock);
    return carried;
}
