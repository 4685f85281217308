/* The event loop: epoll, a binary heap of timers, and a lock-free inbox with an eventfd that wakes the sleeper. */
#include "base/loop.h"

#include "base/timestamp.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { EVENTS_AT_ONCE = 64, SLEEP_MAX_MS = 60000 };

struct loop {
    int epoll_fd, wake_fd;
    struct loop_watch wake_watch;
    _Atomic(struct loop_task *) inbox; /* newest first; other threads push, the loop takes all at once */
    atomic_bool stopping;
    struct loop_hook *hooks;
    struct loop_timer **heap; /* earliest first, 1-based: heap[0] is not used */
    size_t timer_count, timer_capacity;
    struct epoll_event events[EVENTS_AT_ONCE]; /* fetched and not yet handed out */
    int event_at, event_count;
};

static void wake(struct loop *loop) {
    uint64_t one = 1;
    /* It can only fail with EAGAIN, when the counter is full: then the loop is awake anyway. */
    while (write(loop->wake_fd, &one, sizeof one) < 0 && errno == EINTR) continue;
}

static void run_tasks(struct loop *loop) {
    struct loop_task *newest = atomic_exchange_explicit(&loop->inbox, NULL, memory_order_acquire), *oldest = NULL;
    while (newest) {
        struct loop_task *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct loop_task *task = oldest;
        oldest = task->next;
        task->run(task);
    }
}

static void on_wake(struct loop_watch *watch, uint32_t events) {
    uint64_t count;
    while (read(watch->fd, &count, sizeof count) < 0 && errno == EINTR) continue;
    run_tasks(container_of(watch, struct loop, wake_watch));
}

struct loop *loop_new(struct error *err) {
    struct loop *loop = calloc(1, sizeof *loop);
    if (!loop) {
        error_set(err, VT_ENOMEM, "no memory for an event loop");
        return NULL;
    }
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->wake_watch.ready = on_wake;
    if (loop->epoll_fd < 0 || loop->wake_fd < 0)
        error_set(err, VT_EIO, "cannot open an event loop: %s", strerror(errno));
    else if (loop_watch_add(loop, &loop->wake_watch, loop->wake_fd, EPOLLIN, err) == 0)
        return loop;
    loop_free(loop);
    return NULL;
}

void loop_free(struct loop *loop) {
    if (!loop) return;
    while (atomic_load(&loop->inbox)) run_tasks(loop);
    if (loop->epoll_fd >= 0) close(loop->epoll_fd);
    if (loop->wake_fd >= 0) close(loop->wake_fd);
    free(loop->heap);
    free(loop);
}

void loop_post(struct loop *loop, struct loop_task *task) {
    struct loop_task *head = atomic_load_explicit(&loop->inbox, memory_order_relaxed);
    do task->next = head;
    while (
        !atomic_compare_exchange_weak_explicit(&loop->inbox, &head, task, memory_order_release, memory_order_relaxed));
    if (!head) wake(loop); /* otherwise whoever put the first one in has woken it */
}

void loop_stop(struct loop *loop) {
    atomic_store(&loop->stopping, true);
    wake(loop);
}

int loop_watch_add(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events, struct error *err) {
    struct epoll_event event = {.events = events, .data.ptr = watch};
    watch->fd = fd;
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0) return 0;
    return error_set(err, VT_EIO, "cannot watch descriptor %d: %s", fd, strerror(errno));
}

void loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = watch};
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
}

void loop_watch_remove(struct loop *loop, struct loop_watch *watch) {
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    for (int i = loop->event_at; i < loop->event_count; i++)
        if (loop->events[i].data.ptr == watch) loop->events[i].data.ptr = NULL;
}

static void heap_put(struct loop *loop, size_t place, struct loop_timer *timer) {
    loop->heap[place] = timer;
    timer->place = place;
}

/* Moves the timer to where it belongs, up or down from `place`, which is free. */
static void heap_settle(struct loop *loop, size_t place, struct loop_timer *timer) {
    for (; place > 1 && loop->heap[place / 2]->at_ns > timer->at_ns; place /= 2)
        heap_put(loop, place, loop->heap[place / 2]);
    for (size_t child; (child = place * 2) <= loop->timer_count; place = child) {
        if (child < loop->timer_count && loop->heap[child + 1]->at_ns < loop->heap[child]->at_ns) child++;
        if (loop->heap[child]->at_ns >= timer->at_ns) break;
        heap_put(loop, place, loop->heap[child]);
    }
    heap_put(loop, place, timer);
}

bool loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t at_ns) {
    if (!timer->place) {
        if (loop->timer_count + 1 >= loop->timer_capacity) {
            size_t capacity = loop->timer_capacity ? loop->timer_capacity * 2 : 16;
            struct loop_timer **heap = realloc(loop->heap, capacity * sizeof *heap);
            if (!heap) return false;
            loop->heap = heap;
            loop->timer_capacity = capacity;
        }
        timer->place = ++loop->timer_count;
    }
    timer->at_ns = at_ns;
    heap_settle(loop, timer->place, timer);
    return true;
}

void loop_timer_stop(struct loop *loop, struct loop_timer *timer) {
    size_t place = timer->place;
    if (!place) return;
    timer->place = 0;
    struct loop_timer *last = loop->heap[loop->timer_count--];
    if (last != timer) heap_settle(loop, place, last);
}

void loop_hook_add(struct loop *loop, struct loop_hook *hook) {
    hook->next = loop->hooks;
    loop->hooks = hook;
}

/* For how long no timer is due, in ms. */
static int until_timer_ms(const struct loop *loop) {
    if (!loop->timer_count) return SLEEP_MAX_MS;
    int64_t wait_ns = loop->heap[1]->at_ns - time_monotonic_ns();
    if (wait_ns <= 0) return 0;
    /* Rounded up: waking a little early would only make the loop spin until the time has come. */
    int64_t wait_ms = (wait_ns + NS_PER_MS - 1) / NS_PER_MS;
    return wait_ms < SLEEP_MAX_MS ? (int)wait_ms : SLEEP_MAX_MS;
}

static int sleep_ms(struct loop *loop) {
    int shortest = SLEEP_MAX_MS;
    while (loop->timer_count && loop->heap[1]->at_ns <= time_monotonic_ns()) {
        struct loop_timer *timer = loop->heap[1];
        loop_timer_stop(loop, timer);
        timer->due(timer);
    }
    for (struct loop_hook *hook = loop->hooks; hook; hook = hook->next) {
        int ms = hook->before_sleep(hook);
        if (ms >= 0 && ms < shortest) shortest = ms;
    }
    int timer_ms = until_timer_ms(loop); /* only now: hooks set timers too */
    return timer_ms < shortest ? timer_ms : shortest;
}

void loop_run(struct loop *loop) {
    while (!atomic_load_explicit(&loop->stopping, memory_order_relaxed)) {
        int count = epoll_wait(loop->epoll_fd, loop->events, EVENTS_AT_ONCE, sleep_ms(loop));
        loop->event_count = count > 0 ? count : 0;
        for (loop->event_at = 0; loop->event_at < loop->event_count;) {
            struct epoll_event *event = &loop->events[loop->event_at++];
            struct loop_watch *watch = event->data.ptr;
            if (watch) watch->ready(watch, event->events);
        }
    }
}
