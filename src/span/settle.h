/* Spans put together: what each one's place in its trace says of it. A pure function of the set of spans, so that it
 * makes no difference in which order, in how many batches and how often they came: at ingest (a batch), when a memtable
 * is sealed, and when traces that lie in several places are read. */
#ifndef SPAN_SETTLE_H
#define SPAN_SETTLE_H

#include "base/arena.h"
#include "span/span.h"

enum { SETTLED_TEXTS = 3, SETTLED_CONTENTS = 2 };
extern const enum col settled_cols[SETTLED_TEXTS]; /* user, thread, turn: what children take from their parents */
extern const enum col
    settled_contents[SETTLED_CONTENTS]; /* prompt, completion: what calls take from log events about them */

struct settled {
    uint8_t trace_id[TRACE_ID_SIZE]; /* of a log line: its topmost known ancestor's */
    int32_t parent;                  /* index among the spans, or TREE_NO_PARENT */
    int64_t flags; /* SPAN_USAGE_RESTATED and SPAN_FALLBACK as they should be; the others as they are */
    uint32_t text_of[SETTLED_TEXTS]; /* which span's user, thread and turn it has: its own or its nearest ancestor's
                                        that says one */
    uint32_t content_of[SETTLED_CONTENTS]; /* which span's prompt and completion: its own or those of its earliest
                                              content event */
};

/* Fills out[0 … n-1]. The spans are not changed. False when memory ran out. */
bool spans_settle(const struct span *const *spans, uint32_t n, struct arena *arena, struct settled *out);
/* Whether span i is not yet as it should be. */
bool settled_differs(const struct span *const *spans, const struct settled *all, uint32_t i);
/* Writes to `span` (span i or a copy of it) what all[i] says; texts are borrowed from the other spans. */
void settled_apply(const struct span *const *spans, const struct settled *all, uint32_t i, struct span *span);
/* All of it for spans that must not change: rows[i] becomes a changed copy in `arena` where something differs. What it
 * needs on the way is gone when it returns. False when memory ran out. */
bool spans_settle_rows(const struct span **rows, uint32_t n, struct arena *arena);

#endif
