/* Retention. By age: a segment goes when its newest span is past it; one that straddles the line stays until the whole
 * of it is past (at most a day longer). By bytes: the oldest day goes whole, and of the last day the oldest segments.
 */
#include "store/store_internal.h"

#include "base/log.h"
#include "base/timestamp.h"

#include <stdlib.h>

#define DAY_NS ((int64_t)86400 * NS_PER_S)

int64_t store_oldest_allowed_ns(const struct store *s) {
    return s->options.retention_ns ? time_now_ns() - s->options.retention_ns : 0;
}

static int oldest_first(const void *a, const void *b) {
    const struct segment *x = *(const struct segment *const *)a, *y = *(const struct segment *const *)b;
    int64_t days[2] = {segment_min_start_ns(x) / DAY_NS, segment_min_start_ns(y) / DAY_NS};
    if (days[0] != days[1]) return days[0] < days[1] ? -1 : 1;
    if (segment_max_start_ns(x) != segment_max_start_ns(y))
        return segment_max_start_ns(x) < segment_max_start_ns(y) ? -1 : 1;
    return segment_id(x) < segment_id(y) ? -1 : 1;
}

/* How many of the oldest must go so that the rest is within the limit. */
static uint32_t past_bytes(struct segment *const *segments, uint32_t count, uint64_t limit) {
    uint64_t total = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) total += segment_bytes(segments[i]);
    while (n < count && total > limit) {
        int64_t day = segment_min_start_ns(segments[n]) / DAY_NS;
        bool last_day = segment_min_start_ns(segments[count - 1]) / DAY_NS == day;
        do total -= segment_bytes(segments[n++]);
        while (n < count && !last_day && segment_min_start_ns(segments[n]) / DAY_NS == day);
    }
    return n;
}

/* Moves those that are past their age to the front; returns how many. */
static uint32_t past_age(struct segment **segments, uint32_t count, int64_t oldest_ns) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (segment_max_start_ns(segments[i]) >= oldest_ns) continue;
        struct segment *swap = segments[n];
        segments[n++] = segments[i];
        segments[i] = swap;
    }
    return n;
}

static void drop(struct store *s, struct segment *const *segments, uint32_t count, const char *why) {
    struct error err = {0};
    uint64_t rows = 0, bytes = 0;
    if (!count) return;
    for (uint32_t i = 0; i < count; i++) rows += segment_rows(segments[i]), bytes += segment_bytes(segments[i]);
    int code = segments_replace(s, NULL, 0, segments, count, NULL, &err);
    if (code)
        log_error("retention: %s", err.message);
    else
        log_info("retention (%s): %llu spans in %u segments dropped, %llu bytes", why, (unsigned long long)rows, count,
                 (unsigned long long)bytes);
}

void retire_segments(struct store *s) {
    uint32_t count, n;
    if (!s->options.retention_ns && !s->options.retention_bytes) return;
    struct segment **segments = segments_list(s, &count);
    if (!segments) return;
    if (s->options.retention_ns && (n = past_age(segments, count, store_oldest_allowed_ns(s)))) {
        drop(s, segments, n, "age");
        for (uint32_t i = 0; i < n; i++) segment_unref(segments[i]);
        memmove(segments, segments + n, (count - n) * sizeof *segments);
        count -= n;
    }
    if (s->options.retention_bytes && count) {
        qsort(segments, count, sizeof *segments, oldest_first);
        drop(s, segments, past_bytes(segments, count, s->options.retention_bytes), "bytes");
    }
    segments_unref(segments, count);
}
