/* What POST /api/v1/prices/recompute is asked and answers, for the server and for the command line. */
#ifndef QUERY_REPRICE_JSON_H
#define QUERY_REPRICE_JSON_H

#include "base/buf.h"
#include "store/reprice.h"

/* {"from","to","model","dry_run"}, all optional, into `what` (texts in `arena`, the rest is left alone). Times are
 * those of query/when.h; without them all spans are meant. VT_EINVAL names the field. */
int reprice_read(struct slice body, struct arena *arena, struct reprice *what, struct error *err);
/* Moments of that form; `name` is the field that an error names. */
int reprice_time(struct slice text, const char *name, int64_t *ns, struct error *err);
/* {"dry_run","spans","changed","uncosted","unpriced","reported","old_usd","new_usd","segments","models":[…]}; a sum of
 * costs none of which is known is left out. */
void reprice_write(const struct repriced *repriced, bool dry_run, struct buf *out);

#endif
