/* Times: nanoseconds since the Unix epoch in int64 (until the year 2262), and their texts. */
#ifndef BASE_TIMESTAMP_H
#define BASE_TIMESTAMP_H

#include "base/slice.h"

enum { NS_PER_US = 1000, NS_PER_MS = 1000000, NS_PER_S = 1000000000 };
enum { TIME_TEXT_MAX = 32 };

int64_t time_now_ns(void);       /* CLOCK_REALTIME */
int64_t time_monotonic_ns(void); /* CLOCK_MONOTONIC, for durations and deadlines */
/* "2026-11-23T18:59:51.722Z": digits after the point 3, 6 or 9. out holds TIME_TEXT_MAX; returns the length, no NUL. */
size_t time_format(int64_t ns, unsigned digits, char *out);
/* RFC 3339 / ISO 8601: date, optional time, fraction of any length, 'Z', ±hh:mm or nothing (UTC). False when it is
 * none. */
bool time_parse(struct slice text, int64_t *ns);

#endif
