/* When nobody watched: the server was not there, the machine slept, or its clock was set forward. Spans of such a time
 * may be missing, so a window that holds much of it says too little. Pure bookkeeping; one thread.
 *
 * A wall clock that moves as the monotonic one does was watched, however long an evaluation took. Clocks that go back
 * make no hole: what is lived through again is watched again. */
#ifndef ALERT_WATCH_H
#define ALERT_WATCH_H

#include <stdbool.h>
#include <stdint.h>

enum { WATCH_HOLES_MAX = 16 };

struct watch_hole {
    int64_t from_ns, to_ns; /* Unix time; to is not within */
};

struct watch {
    struct watch_hole holes[WATCH_HOLES_MAX]; /* oldest first */
    uint32_t hole_count;
    int64_t seen_ns;      /* Unix time of the last look; 0 = never looked */
    int64_t monotonic_ns; /* of the same moment; 0 = another process looked */
    bool missed;          /* nothing could be asked at the last look */
};

/* A look at both clocks. What lies between it and the look before is a hole, or was watched. */
void watch_look(struct watch *watch, int64_t now_ns, int64_t monotonic_ns);
/* More than a tenth of [now − window, now) was not watched. */
bool watch_is_partial(const struct watch *watch, int64_t now_ns, int64_t window_ns);

#endif
