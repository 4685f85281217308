/* Scores: what people and evaluators said about traces and spans. A small table of its own in the catalog's SQLite
 * file, so that scores live beside the immutable segments and leave with the traces they speak of. Any thread (one lock
 * inside). */
#ifndef QUERY_SCORES_H
#define QUERY_SCORES_H

#include "base/arena.h"
#include "base/error.h"
#include "base/id.h"
#include "store/scan.h"

enum { SCORE_NAME_MAX = 200, SCORE_COMMENT_MAX = 16 << 10, SCORE_USER_MAX = 512 };

struct scores;

struct score {
    int64_t id;
    uint8_t trace_id[TRACE_ID_SIZE];
    uint8_t span_id[SPAN_ID_SIZE]; /* zeros: it speaks of the whole trace */
    int64_t time_ns;               /* when it was given (last) */
    double value;
    struct slice name, comment, user_id; /* comment and user_id may be empty */
    struct slice project;                /* of the trace; empty = the default one */
};

/* `read_only`: a file without scores, or without the table, reads as one with none, and nothing can be put. */
int scores_open(struct scores **scores, const char *catalog_path, bool read_only, struct error *err);
void scores_free(struct scores *scores); /* NULL is fine */

/* Keeps it durably; the same name from the same user on the same thing is replaced and keeps its id. `score->id` is not
 * read. VT_EINVAL names the field that is too long or has no meaning; VT_EUNSUPPORTED when opened read-only. */
int scores_put(struct scores *scores, const struct score *score, int64_t *id, struct error *err);

/* Which scores. Zeroed: all. */
struct score_query {
    const uint8_t *trace_id; /* NULL = of any trace */
    struct slice name;       /* empty = of any name */
    struct slice project;    /* empty = of any project */
    int64_t from_ns, to_ns;  /* when they were given; to_ns 0 = no end */
    int64_t after_id;        /* those with a greater id, for reading page by page */
    uint32_t limit;          /* 0 = 10,000 */
};
/* In order of id; the list and its texts are in `arena`. */
int scores_list(struct scores *scores, const struct score_query *query, struct arena *arena, struct score **list,
                uint32_t *count, struct error *err);

/* Takes away what goes with a deletion (empty fields do not count): all of a user, all of a trace; with a project only
 * there. */
struct score_forget {
    struct slice user_id;
    const uint8_t *trace_id; /* may be NULL */
    struct slice project;
};
int scores_forget(struct scores *scores, const struct score_forget *what, uint64_t *deleted, struct error *err);
/* Takes away the scores of traces that are no longer in the store (deleted with their user or thread, or past
 * retention). */
int scores_sweep(struct scores *scores, struct store *store, uint64_t *deleted, struct error *err);

#endif
