/* Corrections of single rows: what a trace that arrived in pieces says once it is put together (weave.h). */
#ifndef QUERY_MEND_H
#define QUERY_MEND_H

#include "span/span.h"

enum { MEND_TEXTS = 3 };

/* What row `row` of a row group should say. */
struct mend_row {
    uint32_t row;
    bool moved; /* trace_id is not what is stored */
    bool drop;  /* the same span stands elsewhere, too: this one is not shown */
    int64_t flags;
    uint8_t trace_id[TRACE_ID_SIZE];
    struct slice text[MEND_TEXTS]; /* user_id, thread_id, turn_id */
};

/* All corrections of one row group, by row. */
struct mend {
    const struct mend_row *rows;
    uint32_t count;
    bool drops, traces; /* some row is dropped; changes its trace */
};

#endif
