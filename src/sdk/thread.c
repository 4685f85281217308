/* The list of threads. A thread enters it at its first span and leaves it, after its end, when its queue is read. */
#include "sdk/thread.h"

#include "sdk/carried.h"
#include "sdk/mask.h"

#include <pthread.h>
#include <stdlib.h>

_Thread_local struct thread *thread_this __attribute__((tls_model("initial-exec")));

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the four below */
static struct thread *first;
static uint32_t thread_total;
static uint64_t past[COUNT_END]; /* counts of threads that are gone */
static bool exporter_runs;

static pthread_key_t key; /* its destructor tells that a thread ends */
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool key_made;

void thread_lock(void) {
    pthread_mutex_lock(&lock);
}
void thread_unlock(void) {
    pthread_mutex_unlock(&lock);
}

static uint32_t spare_size(unsigned class) {
    return (uint32_t)SPARE_LEAST << 2 * class;
}

char *thread_spare_take(struct thread *thread, uint32_t need, uint32_t *capacity) {
    unsigned class = 0;
    while (class < SPARE_CLASSES && spare_size(class) < need) class ++;
    if (class == SPARE_CLASSES) {
        *capacity = need;
        return malloc(need);
    }
    *capacity = spare_size(class);
    for (unsigned i = 0; i < SPARE_KEEP; i++) {
        char *buffer = thread->spare[class][i];
        if (!buffer) continue;
        thread->spare[class][i] = NULL;
        return buffer;
    }
    return malloc(*capacity);
}

void thread_spare_give(struct thread *thread, char *buffer, uint32_t capacity) {
    /* The largest are rare: one of each class above 64 KiB is enough. */
    for (unsigned class = 0; class < SPARE_CLASSES; class ++)
        if (spare_size(class) == capacity)
            for (unsigned i = 0; i < (class < 3 ? SPARE_KEEP : 1); i++)
                if (!thread->spare[class][i]) {
                    thread->spare[class][i] = buffer;
                    return;
                }
    free(buffer);
}

/* Lock held, and the thread is out of the list. */
static void thread_free(struct thread *thread) {
    for (unsigned i = 0; i < COUNT_END; i++) past[i] += atomic_load(&thread->counts[i]);
    past[COUNT_DROPPED_QUEUE] += queue_drop(&thread->queue);
    for (uint32_t i = 0; i < thread->depth; i++) carried_drop(thread->stack[i].carried);
    carried_drop(thread->extracted);
    for (unsigned class = 0; class < SPARE_CLASSES; class ++)
        for (unsigned i = 0; i < SPARE_KEEP; i++) free(thread->spare[class][i]);
    masker_free(thread->masker);
    if (thread->stack != thread->first_scopes) free(thread->stack);
    free(thread);
    thread_total--;
}

static void unlink_thread(struct thread *thread) {
    struct thread **at = &first;
    while (*at != thread) at = &(*at)->next;
    *at = thread->next;
}

static void thread_ends(void *value) {
    struct thread *thread = value;
    thread_this = NULL;
    slot_give_all(&thread->slots);
    queue_return_lot(&thread->queue);
    pthread_mutex_lock(&lock);
    if (exporter_runs) {
        atomic_store(&thread->gone, true);
    } else {
        unlink_thread(thread);
        thread_free(thread);
    }
    pthread_mutex_unlock(&lock);
}

static void make_key(void) {
    key_made = pthread_key_create(&key, thread_ends) == 0;
}

struct thread *thread_new(void) {
    pthread_once(&key_once, make_key);
    struct thread *thread = aligned_alloc(64, (sizeof *thread + 63) & ~(size_t)63);
    if (!thread || !key_made || pthread_setspecific(key, thread) != 0) {
        free(thread);
        return NULL;
    }
    memset(thread, 0, sizeof *thread);
    thread->stack = thread->first_scopes;
    thread->stack_cap = sizeof thread->first_scopes / sizeof *thread->first_scopes;
    pthread_mutex_lock(&lock);
    thread->next = first;
    first = thread;
    thread_total++;
    pthread_mutex_unlock(&lock);
    return thread_this = thread;
}

struct thread *thread_first(void) {
    pthread_mutex_lock(&lock);
    struct thread *thread = first;
    pthread_mutex_unlock(&lock);
    return thread;
}

static bool is_read(struct thread *thread) {
    struct block *block = atomic_load(&thread->queue.first);
    return !block || (block->read == atomic_load(&block->written) && !atomic_load(&block->next));
}

void thread_sweep(void) {
    pthread_mutex_lock(&lock);
    for (struct thread **at = &first; *at;) {
        struct thread *thread = *at;
        if (atomic_load(&thread->gone) && is_read(thread)) {
            *at = thread->next;
            thread_free(thread);
        } else {
            at = &thread->next;
        }
    }
    pthread_mutex_unlock(&lock);
}

void thread_exporter_runs(bool runs) {
    pthread_mutex_lock(&lock);
    exporter_runs = runs;
    for (struct thread **at = &first; !runs && *at;) {
        struct thread *thread = *at;
        if (atomic_load(&thread->gone)) {
            *at = thread->next;
            thread_free(thread);
        } else {
            at = &thread->next;
        }
    }
    pthread_mutex_unlock(&lock);
}

void thread_sums(uint64_t counts[COUNT_END]) {
    pthread_mutex_lock(&lock);
    memcpy(counts, past, sizeof past);
    for (struct thread *thread = first; thread; thread = thread->next)
        for (unsigned i = 0; i < COUNT_END; i++)
            counts[i] += atomic_load_explicit(&thread->counts[i], memory_order_relaxed);
    pthread_mutex_unlock(&lock);
}

uint64_t thread_bytes(void) {
    pthread_mutex_lock(&lock);
    uint64_t bytes = (uint64_t)thread_total * sizeof(struct thread);
    pthread_mutex_unlock(&lock);
    return bytes;
}

void thread_forked(void) {
    /* The other threads exist in the parent alone. Their slots and buffers stay behind, since we cannot know in what
     * state the fork met them; their blocks hold spans that the parent exports. */
    struct thread *self = thread_this;
    for (struct thread *thread = first, *next; thread; thread = next) {
        next = thread->next;
        queue_drop(&thread->queue);
        if (thread == self) continue;
        for (unsigned i = 0; i < COUNT_END; i++) past[i] += atomic_load(&thread->counts[i]);
        free(thread);
        thread_total--;
    }
    first = self;
    if (self) self->next = NULL;
    exporter_runs = false;
    queue_reset();
}
