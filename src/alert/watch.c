/* See watch.h. */
#include "alert/watch.h"

#include <string.h>

static const int64_t TOLERANCE_NS = INT64_C(30000000000);        /* a clock that is slewed, a quick restart */
static const int64_t KEPT_NS = INT64_C(32) * 86400 * 1000000000; /* no window is longer than 31 days */

static void drop_first(struct watch *w) {
    memmove(w->holes, w->holes + 1, --w->hole_count * sizeof *w->holes);
}

static void add_hole(struct watch *w, int64_t from_ns, int64_t to_ns) {
    struct watch_hole *last = w->hole_count ? &w->holes[w->hole_count - 1] : NULL;
    if (last && from_ns <= last->to_ns) {
        last->to_ns = to_ns > last->to_ns ? to_ns : last->to_ns;
        return;
    }
    if (w->hole_count == WATCH_HOLES_MAX) { /* the two oldest become one, which holds more than it need */
        w->holes[1].from_ns = w->holes[0].from_ns;
        drop_first(w);
    }
    w->holes[w->hole_count++] = (struct watch_hole){from_ns, to_ns};
}

/* What lies ahead will be lived through. */
static void cut_future(struct watch *w, int64_t now_ns) {
    while (w->hole_count && w->holes[w->hole_count - 1].from_ns >= now_ns) w->hole_count--;
    if (w->hole_count && w->holes[w->hole_count - 1].to_ns > now_ns) w->holes[w->hole_count - 1].to_ns = now_ns;
}

void watch_look(struct watch *w, int64_t now_ns, int64_t monotonic_ns) {
    int64_t passed_ns = w->monotonic_ns ? monotonic_ns - w->monotonic_ns : 0;
    int64_t unseen_ns = now_ns - w->seen_ns - (w->missed ? 0 : passed_ns);
    cut_future(w, now_ns);
    while (w->hole_count && w->holes[0].to_ns < now_ns - KEPT_NS) drop_first(w);
    if (!w->seen_ns)
        add_hole(w, now_ns - KEPT_NS, now_ns);
    else if (unseen_ns > TOLERANCE_NS || (w->missed && unseen_ns > 0))
        add_hole(w, w->seen_ns, now_ns);
    w->seen_ns = now_ns;
    w->monotonic_ns = monotonic_ns;
    w->missed = false;
}

bool watch_is_partial(const struct watch *w, int64_t now_ns, int64_t window_ns) {
    int64_t start_ns = now_ns - window_ns, unseen_ns = 0;
    for (uint32_t i = 0; i < w->hole_count; i++) {
        int64_t from_ns = w->holes[i].from_ns > start_ns ? w->holes[i].from_ns : start_ns;
        int64_t to_ns = w->holes[i].to_ns < now_ns ? w->holes[i].to_ns : now_ns;
        if (to_ns > from_ns) unseen_ns += to_ns - from_ns;
    }
    return unseen_ns > window_ns / 10;
}
