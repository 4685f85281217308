/* What a trace carries beside its ids: W3C tracestate and baggage. Constant once made, shared by count of references;
 * found again by a number while anyone holds it, so that vt_context stays a plain value. */
#ifndef SDK_CARRIED_H
#define SDK_CARRIED_H

#include <stdint.h>

enum { TRACESTATE_MAX = 512, BAGGAGE_MAX = 8192, BAGGAGE_PAIRS_MAX = 64 };

struct carried {
    uint64_t number; /* vt_context.carried */
    uint32_t refs;   /* under the lock of carried.c */
    uint32_t bucket;
    struct carried *next;   /* in its bucket */
    const char *tracestate; /* "" when there is none */
    const char *baggage;    /* as in the header; "" when there is none */
};

/* A new one, with one reference; NULL when both are empty or there is no memory. */
struct carried *carried_new(const char *tracestate, const char *baggage);
struct carried *carried_hold(struct carried *carried); /* one more reference; NULL gives NULL */
void carried_drop(struct carried *carried);            /* NULL is fine */
/* By number, with a reference; NULL when nobody holds it any more. */
struct carried *carried_find(uint64_t number);
/* Around fork. */
void carried_lock(void);
void carried_unlock(void);

#endif
