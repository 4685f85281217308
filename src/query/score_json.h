/* Scores in answers: of one trace, put where they belong. */
#ifndef QUERY_SCORE_JSON_H
#define QUERY_SCORE_JSON_H

#include "query/engine.h"
#include "query/scores.h"

struct score_list {
    struct score *scores;
    uint32_t count;
};

/* All scores of a trace, in the ask's arena. */
int score_list_load(struct ask *ask, const uint8_t trace_id[TRACE_ID_SIZE], struct score_list *list, struct error *err);
/* "scores":[…] of a span, or (span_id NULL) of the trace itself; nothing when there are none. */
void score_list_put(const struct score_list *list, const uint8_t *span_id, struct json_writer *w);

#endif
