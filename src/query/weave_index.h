/* What the weave keeps of a segment's row group beside: where each trace is, and, once somebody asked, which users and
 * threads there are. About two bytes a span; saves reading a column of ids or a dictionary for one of them. Shared by
 * reference count; any thread. */
#ifndef QUERY_WEAVE_INDEX_H
#define QUERY_WEAVE_INDEX_H

#include "store/scan.h"

struct group_index;

/* A copy of the list's hashes and places. NULL without memory. */
struct group_index *group_index_new(const struct trace_list *list);
struct group_index *group_index_ref(struct group_index *index); /* NULL is fine */
void group_index_unref(struct group_index *index);

/* The rows of a trace: *first and the number returned, 0 = none. Another trace's rows may be given, once in 250,000
 * groups. */
uint32_t group_index_rows(const struct group_index *index, const uint8_t *trace_id, uint32_t *first);
/* The traces' hashes, ascending, and the first row of the i-th. */
const uint32_t *group_index_hashes(const struct group_index *index, uint32_t *count);
uint32_t group_index_row(const struct group_index *index, uint32_t i);
/* What codebook.h remembers of the group. */
struct code_map;
_Atomic(struct code_map *) *group_index_map(const struct group_index *index, int which);
void code_map_free(struct code_map *map); /* codebook.c; NULL is fine */
/* False only when no row has this user (thread). Other columns: true. The first question reads the group's dictionary.
 */
bool group_index_may_have(const struct group_index *index, const struct rowgroup *group, enum col col,
                          struct slice text);

#endif
