/* The keeper: a thread of low priority that merges small segments, enforces retention and ends deletions that were cut
 * short. */
#include "store/store_internal.h"

#include "base/log.h"
#include "base/timestamp.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

enum { NICENESS = 10, LOOK_EVERY_S = 5 };

struct rest {
    uint64_t appended; /* when it was looked at last */
    bool used;         /* something was done since memory was given back */
};

/* After a burst, memory that malloc holds on to goes back: an idle server is small. */
static void give_memory_back(struct store *s, struct rest *rest) {
    uint64_t appended = atomic_load(&s->appended);
    if (appended == rest->appended && rest->used) {
        memtable_trim();
#ifdef __GLIBC__
        malloc_trim(0);
#endif
        rest->used = false;
    }
    rest->used |= appended != rest->appended;
    rest->appended = appended;
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
    struct rest rest = {.used = true}; /* a start leaves something behind too */
    do {
        give_memory_back(s, &rest);
        pthread_mutex_lock(&s->keeping);
        retire_segments(s);
        pthread_mutex_unlock(&s->keeping);
        for (bool more = true; more && !s->options.no_merging && !atomic_load(&s->closing);) {
            pthread_mutex_lock(&s->keeping);
            more = merge_once(s);
            rest.used |= more;
            pthread_mutex_unlock(&s->keeping);
        }
    } while (wait_for_work(s));
    return NULL;
}
