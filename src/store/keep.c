/* The keeper: a thread of low priority that merges small segments, enforces retention and ends deletions that were cut
 * short. */
#include "store/trace_indexes.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/timestamp.h"

#include <sys/resource.h>
#include <unistd.h>

enum { NICENESS = 10, LOOK_EVERY_S = 5, RESTS_MS = 20, WORKED_MS = 50 };

/* CPU that the process used, in ns: until memory was given back last, and until the last look. */
struct rest {
    int64_t given_ns, looked_ns;
};

/* A process at rest is small: once nothing is done, what work (also a start, or queries) left behind goes back. */
static void give_memory_back(struct rest *rest) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    int64_t now_ns = used.tv_sec * NS_PER_S + used.tv_nsec;
    bool rests = now_ns - rest->looked_ns < (int64_t)RESTS_MS * NS_PER_MS;
    rest->looked_ns = now_ns;
    if (!rests || now_ns - rest->given_ns < (int64_t)WORKED_MS * NS_PER_MS) return;
    memtable_trim();
    memory_give_back();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    rest->given_ns = rest->looked_ns = used.tv_sec * NS_PER_S + used.tv_nsec;
}

void keeping_lock(struct store *s) {
    atomic_fetch_add(&s->asked_for, 1);
    pthread_mutex_lock(&s->keeping);
    atomic_fetch_sub(&s->asked_for, 1);
}

static bool wait_for_work(struct store *s) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LOOK_EVERY_S;
    pthread_mutex_lock(&s->lock);
    int code = 0;
    while (!s->sealer_stop && !s->merge_wanted && !code)
        code = pthread_cond_timedwait(&s->keeper_wake, &s->lock, &until);
    s->merge_wanted = false;
    bool stop = s->sealer_stop;
    pthread_mutex_unlock(&s->lock);
    return !stop;
}

void *keep_loop(void *ctx) {
    struct store *s = ctx;
    pthread_setname_np(pthread_self(), "vt-merge");
    /* On Linux this is the thread's own: ingest and queries come first. */
    setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
    pthread_mutex_lock(&s->keeping);
    resume_deletions(s);
    pthread_mutex_unlock(&s->keeping);
    struct rest rest = {.given_ns = -(int64_t)WORKED_MS * NS_PER_MS}; /* a start leaves something behind too */
    do {
        give_memory_back(&rest);
        pthread_mutex_lock(&s->keeping);
        retire_segments(s);
        pthread_mutex_unlock(&s->keeping);
        for (bool more = true; more && !atomic_load(&s->closing);) {
            pthread_mutex_lock(&s->keeping);
            more = !s->options.no_merging && merge_once(s);
            trace_indexes_keep(s);
            pthread_mutex_unlock(&s->keeping);
        }
    } while (wait_for_work(s));
    return NULL;
}
