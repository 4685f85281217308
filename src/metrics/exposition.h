/* The lines of Prometheus' text formats (0.0.4 and OpenMetrics 1.0): heads of families, samples, labels, numbers. */
#ifndef METRICS_EXPOSITION_H
#define METRICS_EXPOSITION_H

#include "base/buf.h"

enum { EXPOSITION_NUMBER_MAX = 32 };

/* name="value", escaped, and a comma before it unless `first`; nothing when the value is empty. */
void exposition_put_label(struct buf *out, bool first, const char *name, struct slice value);
/* `out` has room for EXPOSITION_NUMBER_MAX bytes; returns the end. Nine decimals (a nanosecond, a billionth of a
 * dollar) where they say it all but for the dust of adding. */
char *exposition_number(char *out, double value);

/* For families of other parts: `type` is counter, gauge or histogram, and the counter's samples end in _total. `labels`
 * is name, value, …, NULL. */
void prometheus_put_type(struct buf *out, bool openmetrics, const char *family, const char *type, const char *help);
void prometheus_put_sample(struct buf *out, const char *name, const char *const *labels, double value);

#endif
