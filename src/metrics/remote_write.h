/* Prometheus remote write 1.0: what /metrics says (text 0.0.4), as WriteRequest messages. It is made from that text, so
 * the two cannot differ. */
#ifndef METRICS_REMOTE_WRITE_H
#define METRICS_REMOTE_WRITE_H

#include "base/buf.h"

/* Appends a TimeSeries for each sample of `text` (whole lines), at Unix time `now_ms`, with the label job="vitrine".
 * Returns how many. */
uint32_t remote_write_put(struct slice text, int64_t now_ms, struct buf *out);

/* Snappy's block format, as the protocol demands it, of literals alone: valid, and not smaller. A library for it is one
 * more dependency of the process, for messages that go out a few times a minute. */
void snappy_put_literals(struct slice body, struct buf *out);

#endif
