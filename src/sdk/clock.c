/* Finds out whether the time-stamp counter is invariant, and what a tick is worth, by watching it against
 * CLOCK_MONOTONIC while the program runs: starting costs nothing, and until the first 20 ms are over clock_gettime
 * serves. */
#include "sdk/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

_Atomic uint64_t clock_tsc_mult;

enum {
    BASELINE_FIRST_NS = 20 * NS_PER_MS, /* the worth of a tick is then known to some millionths */
    TRIES = 4
};
static const int64_t BASELINE_LAST_NS = INT64_C(10) * NS_PER_S; /* … and here to some thousand-millionths */

static pthread_once_t looked = PTHREAD_ONCE_INIT;
static bool tsc_usable;
static uint64_t first_tsc; /* the beginning of the baseline, written once */
static int64_t first_ns;

#if defined(__x86_64__)
/* The kernel checks the counter against other clocks and between cores: it is good if the kernel uses it itself. */
static bool kernel_trusts_tsc(void) {
    char name[8] = {0};
    int file = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    ssize_t size = read(file, name, sizeof name - 1);
    close(file);
    return size == 4 && memcmp(name, "tsc\n", 4) == 0;
}

static bool tsc_invariant(void) {
    unsigned a, b, c, d;
    enum { ADVANCED_POWER = 0x80000007, INVARIANT_BIT = 1 << 8 };
    return __get_cpuid((unsigned)ADVANCED_POWER, &a, &b, &c, &d) && (d & INVARIANT_BIT);
}
#endif

static void look(void) {
#if defined(__x86_64__)
    const char *off = getenv("VITRINE_CLOCK"); /* "system" keeps to clock_gettime */
    tsc_usable = tsc_invariant() && kernel_trusts_tsc() && !(off && !strcmp(off, "system"));
    first_tsc = clock_count(true);
#endif
    first_ns = time_monotonic_ns();
}

void clock_start(void) {
    pthread_once(&looked, look);
}

static void refine(uint64_t tsc) {
    int64_t baseline_ns = time_monotonic_ns() - first_ns;
    if (baseline_ns < BASELINE_FIRST_NS || tsc <= first_tsc) return;
    if (baseline_ns > BASELINE_LAST_NS && atomic_load_explicit(&clock_tsc_mult, memory_order_relaxed)) return;
    uint64_t mult = (uint64_t)(((unsigned __int128)(uint64_t)baseline_ns << CLOCK_MULT_NS_SHIFT) / (tsc - first_tsc));
    /* One is the mark of nanoseconds, and a counter slower than 1 MHz or faster than 1 THz is none. */
    if (mult == CLOCK_MULT_NS) mult++;
    if (mult < CLOCK_MULT_NS / 1000 || mult > CLOCK_MULT_NS * 1000) return;
    atomic_store_explicit(&clock_tsc_mult, mult, memory_order_relaxed);
}

void clock_anchor(struct wall_clock *clock, struct ticks now) {
    clock_start();
    bool tsc = now.mult != CLOCK_MULT_NS;
    if (tsc_usable) refine(clock_count(true));
    /* Read wall time between two counts; an interruption between them shows and is tried again. */
    uint64_t best = UINT64_MAX;
    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t before = clock_count(tsc);
        int64_t wall_ns = time_now_ns();
        uint64_t width = clock_count(tsc) - before;
        if (width >= best) continue;
        best = width;
        clock->anchor_ticks = before + width / 2;
        clock->anchor_ns = wall_ns;
        if (width < 400) break;
    }
    clock->mult = now.mult;
}
