/* What a thread that traces owns: its stack of current contexts, free slots and buffers, queue, clock and counts. */
#ifndef SDK_THREAD_H
#define SDK_THREAD_H

#include "sdk/queue.h"
#include "sdk/slot.h"
#include "vitrine.h"

/* A place on a thread's stack: a span it started, or a context it attached. */
struct scope {
    uintptr_t handle;        /* 0: attached */
    struct carried *carried; /* a reference, or NULL */
    vt_context context;
};

/* Each is written by its thread alone and summed by vt_stats_get. */
enum count {
    COUNT_STARTED,
    COUNT_UNSAMPLED,
    COUNT_FINISHED,
    COUNT_ENDED, /* also unsampled ones */
    COUNT_DROPPED_QUEUE,
    COUNT_DROPPED_MEMORY,
    COUNT_DROPPED_ATTRS,
    COUNT_DROPPED_EVENTS,
    COUNT_TRUNCATED,
    COUNT_END
};

enum { SPARE_CLASSES = 6, SPARE_LEAST = 4096, SPARE_KEEP = 2 };

struct thread {
    struct thread *next; /* in the list of all; constant but for removal */
    struct scope *stack; /* innermost last */
    uint32_t depth, stack_cap;
    struct slot_list slots;
    struct queue queue;
    struct wall_clock clock;
    struct carried *extracted;              /* by the last vt_extract_headers: held until the next */
    struct masker *masker;                  /* NULL until a secret is met */
    char *spare[SPARE_CLASSES][SPARE_KEEP]; /* buffers of 4, 16, 64, 256 KiB, 1, 4 MiB for spans that grow */
    _Atomic bool gone;                      /* its thread has ended: the exporter frees it when the queue is empty */
    _Atomic uint64_t counts[COUNT_END];
    struct scope first_scopes[16];
};

extern _Thread_local struct thread *thread_this __attribute__((tls_model("initial-exec")));
struct thread *thread_new(void); /* NULL: no memory */

static inline struct thread *thread_self(void) {
    struct thread *self = thread_this;
    return __builtin_expect(self != NULL, 1) ? self : thread_new();
}

static inline void thread_count(struct thread *thread, enum count which, uint64_t more) {
    uint64_t before = atomic_load_explicit(&thread->counts[which], memory_order_relaxed);
    atomic_store_explicit(&thread->counts[which], before + more, memory_order_relaxed);
}

/* A buffer of at least `need` bytes, and its size in *capacity; NULL: no memory. Given back by thread_spare_give. */
char *thread_spare_take(struct thread *thread, uint32_t need, uint32_t *capacity);
void thread_spare_give(struct thread *thread, char *buffer, uint32_t capacity);

/* Exporter: the first of all threads. Others are reached by next; threads that come later are met the next time. */
struct thread *thread_first(void);
/* Exporter: frees those that have ended and whose queues are empty. */
void thread_sweep(void);
/* When no exporter runs: threads that end are freed at once, with what waits in their queues. */
void thread_exporter_runs(bool runs);
/* Sums of living and past threads. */
void thread_sums(uint64_t counts[COUNT_END]);
uint64_t thread_bytes(void);
/* Around fork. In the child the calling thread alone is left, and all queues are empty. */
void thread_lock(void);
void thread_unlock(void);
void thread_forked(void);

#endif
