/* Made-up spans of an AI storefront, the same for every engine: chat turns with LLM calls, tools and retrievals under
 * them, users and threads of very different size, latencies with a long tail, prompts of words that people use. Seeded:
 * the same seed and number give the same spans. */
#ifndef BENCH_QUERY_STORY_H
#define BENCH_QUERY_STORY_H

#include "span/batch.h"

enum { STORY_BATCH_SPANS = 2000 };
#define STORY_START_NS INT64_C(1795392000000000000) /* 2026-11-23 */
#define STORY_END_NS INT64_C(1795478400000000000)

struct story {
    uint64_t state;  /* of the random numbers */
    int64_t now_ns;  /* start of the next turn */
    int64_t step_ns; /* mean time between turns */
    uint64_t turns;
};

/* `spans` of them are to fill the time from start_ns to end_ns. */
void story_init(struct story *story, uint64_t seed, uint64_t spans, int64_t start_ns, int64_t end_ns);
/* Adds whole turns to the batch until it has at least `count` spans. */
void story_tell(struct story *story, struct batch *batch, uint32_t count);

#endif
