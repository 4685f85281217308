/* What the weave keeps of a segment's row group beside: where each trace is, and which users and threads there are.
 * About two bytes a span; saves reading a column of ids or a dictionary for one of them. Immutable once made, shared by
 * reference count. */
#ifndef QUERY_WEAVE_INDEX_H
#define QUERY_WEAVE_INDEX_H

#include "store/scan.h"

struct group_index;

/* From the columns of trace ids, users and threads. NULL without memory: then there is no index. */
struct group_index *group_index_new(const struct vec *traces, const struct vec *users, const struct vec *threads);
struct group_index *group_index_ref(struct group_index *index); /* NULL is fine */
void group_index_unref(struct group_index *index);

/* The rows of a trace: *first and the number returned, 0 = none. Another trace's rows may be given, once in 250,000
 * groups. */
uint32_t group_index_rows(const struct group_index *index, const uint8_t *trace_id, uint32_t *first);
/* False only when no row has this user (thread). Other columns: true. */
bool group_index_may_have(const struct group_index *index, enum col col, struct slice text);

#endif
