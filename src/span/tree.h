/* Spans put together by their parents: within a batch at ingest, within a trace when it is sealed or read. All of it is
 * a pure function of the set of spans: their order changes nothing. Cycles, missing parents and duplicates are taken as
 * they are. */
#ifndef SPAN_TREE_H
#define SPAN_TREE_H

#include "base/arena.h"
#include "span/span.h"

enum { TREE_NO_PARENT = -1 };

/* parent[i] becomes the index of span i's parent among the n spans, or TREE_NO_PARENT. A parent is looked for in the
 * same trace; spans with SPAN_JOIN_BY_PARENT look among all such spans, whatever their trace. Of several spans with one
 * id the one that starts first is the parent. In a cycle the span that starts first (then: the smallest id) counts as
 * its root, so following parents always ends. False when memory ran out. */
bool tree_parents(struct span *const *spans, uint32_t n, struct arena *arena, int32_t *parent);

/* For the spans of one trace (more than one does no harm), with parents as above: found[i] says whether span i wants
 * SPAN_USAGE_RESTATED. It does when it reports usage (tokens or a cost) while a descendant reports usage too, and when
 * its usage is an estimate while an ancestor reports usage. Sums leave out what has the flag. False when memory ran
 * out. */
bool usage_restated_find(struct span *const *spans, const int32_t *parent, uint32_t n, struct arena *arena,
                         bool *found);
/* The same, set or cleared on each span. */
bool usage_restated_mark(struct span *const *spans, uint32_t n, struct arena *arena);

#endif
