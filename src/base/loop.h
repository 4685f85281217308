/* An event loop: one thread, one epoll. It watches descriptors, runs timers, takes tasks from other threads, and asks
 * its hooks before it sleeps (libraries with a clock of their own, such as libmicrohttpd, need that).
 *
 * Everything but loop_post and loop_stop belongs to the loop's thread: the one that calls loop_run, or, before that,
 * the one that sets the loop up. Watches, timers, tasks and hooks are structs of the caller's, usually inside a larger
 * one; they must outlive their registration; callbacks find the struct around them with container_of. Nothing here
 * allocates per event. */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop; /* opaque */

/* From a member to the struct around it: how a callback finds its own. */
#define container_of(member, type, name) ((type *)(void *)((char *)(member)-offsetof(type, name)))

struct loop_watch {
    void (*ready)(struct loop_watch *watch, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLHUP, … */
    int fd;                                                   /* set by loop_watch_add */
};

struct loop_timer {
    void (*due)(struct loop_timer *timer); /* once; set it again to repeat */
    int64_t at_ns;                         /* of time_monotonic_ns; set by loop_timer_set */
    size_t place;                          /* the loop's own: 1-based place in its heap, 0 = not set */
};

struct loop_task {
    void (*run)(struct loop_task *task); /* on the loop's thread; may free the task */
    struct loop_task *next;              /* the loop's own */
};

struct loop_hook {
    /* Before each sleep: does what is due and returns for how many milliseconds the loop may sleep, -1 for any time. */
    int (*before_sleep)(struct loop_hook *hook);
    struct loop_hook *next; /* the loop's own */
};

struct loop *loop_new(struct error *err); /* NULL with VT_EIO or VT_ENOMEM */
void loop_free(struct loop *loop);        /* after loop_run returned; tasks still posted are run first. NULL is fine */

/* Runs until loop_stop. */
void loop_run(struct loop *loop);
/* Any thread, also a signal handler's. The loop finishes what it is at and returns. */
void loop_stop(struct loop *loop);
/* Any thread. Tasks run in the order in which they were posted; the same task must not be posted twice before it ran.
 */
void loop_post(struct loop *loop, struct loop_task *task);

/* events as for epoll(7), EPOLLET included; VT_EIO when the kernel refuses the descriptor. */
int loop_watch_add(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events, struct error *err);
void loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events);
/* No event reaches the watch after this, also none that was already fetched. The descriptor must still be open. */
void loop_watch_remove(struct loop *loop, struct loop_watch *watch);

/* Sets or moves the timer; false when memory ran out (then it is not set). */
bool loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t at_ns);
void loop_timer_stop(struct loop *loop, struct loop_timer *timer);

void loop_hook_add(struct loop *loop, struct loop_hook *hook);

#endif
