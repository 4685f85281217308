/* Traces that lie in more than one place: late spans, batches that cut a trace in two, log lines whose parent came in
 * another batch, spans that were sent twice. The weave finds them and says, row by row, what the whole trace makes of
 * them, so that a scan sees every trace as if it had come at once. It is kept by the engine and brought up to date with
 * each snapshot: only row groups that are new are looked at. */
#ifndef QUERY_WEAVE_H
#define QUERY_WEAVE_H

#include "query/mend.h"
#include "store/scan.h"

struct weave;
struct weave_view; /* the corrections for one snapshot */

struct weave *weave_new(void);        /* NULL without memory */
void weave_free(struct weave *weave); /* no view may be left; NULL is fine */
/* Looks at all that is in the store now on a thread of its own, so that the first request need not. Once; ended by
 * weave_free. */
void weave_warm(struct weave *weave, struct store *store);

/* The corrections for `snapshot`; *view is NULL when there are none. Any thread. VT_ENOMEM. */
int weave_look(struct weave *weave, const struct snapshot *snapshot, struct weave_view **view, struct error *err);
/* True when the first look is still under way and whoever takes whole traces with all their spans can do without it,
 * since no span of the snapshot is joined to its trace by its parent alone. Any thread. */
bool weave_is_needless(struct weave *weave, const struct snapshot *snapshot);
void weave_view_free(struct weave_view *view); /* NULL is fine */
/* Those of the snapshot's row group i; NULL = none. `view` may be NULL. */
const struct mend *weave_mend(const struct weave_view *view, uint32_t i);
/* What it keeps of row group i beside (weave_index.h); NULL = nothing. `view` may be NULL. */
const struct group_index *weave_index(const struct weave_view *view, uint32_t i);

#endif
