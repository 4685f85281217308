/* From many dialects to one record: reads the attributes that a sender's SDK uses (dialect.c's table, WIRE.md §4) and
 * fills the canonical span. Unknown attributes are kept, never dropped. */
#ifndef SPAN_NORMALISE_H
#define SPAN_NORMALISE_H

#include "span/batch.h"
#include "span/raw.h"

/* Adds `raw` to the batch in canonical form; all texts are copied into the batch's arena. What has no meaning (an id of
 * zeros, a start of 0, a time more than a day in the future) is counted with batch_reject under `position` and
 * VT_EINVAL is returned; the batch stays usable. An end before the start becomes a duration of 0 and the attribute
 * vitrine.end_before_start_ms. Only VT_ENOMEM and VT_ELIMIT mean that going on is of no use. Any thread (batch belongs
 * to the caller). */
int normalise(struct batch *batch, const struct raw_span *raw, uint32_t position);

/* The same for a span that has its canonical form already (an export that comes back): only checked, masked, priced,
 * and its texts copied. */
int normalise_canonical(struct batch *batch, const struct span *span, uint32_t position);

/* After all spans of a request were added: gives spans with SPAN_JOIN_BY_PARENT the trace of their topmost known
 * ancestor (see docs/format.md, "Trace ids of log lines"), inherits user, thread and turn downward within a trace.
 * Cycles, missing parents and duplicates are taken as they are. */
void batch_finish(struct batch *batch);

#endif
