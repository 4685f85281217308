/* What measure.c and blocks.c share: a window asked for as a whole, or put together from parts of it. */
#ifndef ALERT_MEASURE_INTERNAL_H
#define ALERT_MEASURE_INTERNAL_H

#include "alert/measure.h"

enum {
    PARTS_MAX = 10000 /* groups of a part: all of them, or it is of no use */
};

/* Points of a series, folded as they come. */
struct fold {
    double sum, min, max, last;
    double weight; /* over how many spans an average goes */
    uint32_t count;
    int64_t last_ms; /* of a total: of its last point, whether or not there was something in it */
};
void fold_merge(struct fold *fold, const struct fold *more);
/* What the monitor compares. `merged`: of parts of the window, else of the window as a whole. */
double fold_value(const struct fold *fold, const struct monitor_query *query, int64_t now_ns, bool merged);

struct part {
    struct slice group;
    struct fold fold;
};

struct range {
    int64_t from_ms, to_ms; /* the second one is not within */
    bool service_only;      /* how many spans the service sent at all */
    bool mergeable;         /* its folds will be merged with others */
};
/* One question. `parts` holds PARTS_MAX; texts live in the arena. */
int measure_range(const struct asker *asker, const struct monitor_query *query, const struct range *range,
                  struct arena *arena, struct part *parts, uint32_t *count, struct error *err);

/* Less is worse (< and <=): the smallest groups matter. */
bool measure_smallest(const struct monitor_query *query);
bool measure_is_whole(const struct monitor_query *query); /* one value over all spans, not one over points */
bool measure_merges(const struct monitor_query *query);   /* the window's value follows from those of its parts */

/* By blocks that are remembered; VT_EUNSUPPORTED when the window is too short for it or there are too many groups. */
int measure_by_blocks(const struct asker *asker, const struct monitor_query *query, struct monitor_memory *memory,
                      int64_t now_ns, struct arena *arena, struct part *parts, struct reading *readings,
                      uint32_t *count, struct error *err);

#endif
