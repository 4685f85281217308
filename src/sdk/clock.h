/* The time of spans: wall time at the start, and a monotonic count of ticks for what passes within a span, so that a
 * clock set while a span is open never makes its duration wrong. Ticks are the time-stamp counter where it is invariant
 * and the kernel trusts it, else nanoseconds of CLOCK_MONOTONIC. Ticks of two threads may be compared. */
#ifndef SDK_CLOCK_H
#define SDK_CLOCK_H

#include "base/timestamp.h"

#include <stdatomic.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

/* 2^32 × nanoseconds per tick of the counter; 0 while it is unknown: then ticks are nanoseconds. */
extern _Atomic uint64_t clock_tsc_mult;

/* A thread's bridge from ticks to wall time, renewed some times a second. Zeroed is valid. */
struct wall_clock {
    uint64_t anchor_ticks;
    int64_t anchor_ns; /* wall time at anchor_ticks */
    uint64_t mult;     /* what the ticks were worth when it was set */
};

/* A reading: ticks, and what a tick is worth. Later readings of the same span use the same unit. */
struct ticks {
    uint64_t count;
    uint64_t mult; /* 2^32 × nanoseconds */
};

enum { CLOCK_WINDOW_TICKS = 1 << 28 }; /* an anchor's life: about a tenth of a second */

void clock_start(void); /* looks once whether the counter may be used; cheap when called again */
void clock_anchor(struct wall_clock *clock, struct ticks now);

static inline uint64_t clock_count(bool tsc) {
#if defined(__x86_64__)
    if (tsc) return __rdtsc();
#endif
    return (uint64_t)time_monotonic_ns();
}

enum { CLOCK_MULT_NS_SHIFT = 32 };
#define CLOCK_MULT_NS (UINT64_C(1) << CLOCK_MULT_NS_SHIFT)

static inline struct ticks clock_ticks(void) {
    uint64_t mult = atomic_load_explicit(&clock_tsc_mult, memory_order_relaxed);
    return mult ? (struct ticks){clock_count(true), mult} : (struct ticks){clock_count(false), CLOCK_MULT_NS};
}

/* Nanoseconds since an earlier reading; 0 when the counter went back. */
static inline int64_t clock_elapsed_ns(struct ticks since) {
    int64_t delta = (int64_t)(clock_count(since.mult != CLOCK_MULT_NS) - since.count);
    return delta <= 0 ? 0 : (int64_t)((unsigned __int128)(uint64_t)delta * since.mult >> CLOCK_MULT_NS_SHIFT);
}

/* Wall time of a reading taken now. */
static inline int64_t clock_wall_ns(struct wall_clock *clock, struct ticks now) {
    uint64_t delta = now.count - clock->anchor_ticks;
    if (__builtin_expect(delta > CLOCK_WINDOW_TICKS || clock->mult != now.mult, 0)) {
        clock_anchor(clock, now);
        return clock->anchor_ns;
    }
    return clock->anchor_ns + (int64_t)((unsigned __int128)delta * now.mult >> CLOCK_MULT_NS_SHIFT);
}

#endif
