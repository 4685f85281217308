/* From many dialects to one record: reads the attributes that a sender's SDK uses (dialect.c's table, WIRE.md §4) and fills
 * the canonical span. Unknown attributes are kept, never dropped. */
#ifndef SPAN_NORMALISE_H
#define SPAN_NORMALISE_H

#include "span/batch.h"
#include "span/raw.h"

/* Adds `raw` to the batch in canonical form. What has no meaning (no ids, end before start by more than clock skew allows,
 * …) is counted with batch_reject under `position` and VT_EINVAL is returned; the batch stays usable.
 * Only VT_ENOMEM and VT_ELIMIT mean that going on is of no use. Any thread (batch belongs to the caller). */
int normalise(struct batch *batch, const struct raw_span *raw, uint32_t position);

/* After all spans of a request were added: gives spans with SPAN_JOIN_BY_PARENT the trace of their topmost known ancestor
 * (see docs/format.md, "Trace ids of log lines"), inherits user, thread and turn downward within a trace. Cycles, missing
 * parents and duplicates are taken as they are. */
void batch_finish(struct batch *batch);

#endif
