/* What a piece of work costs, of this thread's own CPU time: what else the machine does meanwhile does not count. */
#ifndef BENCH_CPU_TIME_H
#define BENCH_CPU_TIME_H

#include "base/timestamp.h"

#include <stdlib.h>
#include <time.h>

enum { RUNS = 7 };

static inline int64_t cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static inline int by_size(const void *a, const void *b) {
    return *(const double *)a > *(const double *)b ? 1 : -1;
}

/* Nanoseconds of one round, the median of RUNS runs of run_ms each. */
static inline double measure_cpu(void (*work)(void), int run_ms) {
    double runs[RUNS];
    work();
    for (int r = 0; r < RUNS; r++) {
        int64_t start = cpu_ns(), now = start;
        unsigned rounds = 0;
        for (; now - start < run_ms * (int64_t)NS_PER_MS; rounds++) work(), now = cpu_ns();
        runs[r] = (double)(now - start) / rounds;
    }
    qsort(runs, RUNS, sizeof *runs, by_size);
    return runs[RUNS / 2];
}

#endif
