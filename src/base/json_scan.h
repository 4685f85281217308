/* Members of a JSON object that was checked on its way in, without reading what they say: brackets and quotes are
 * counted, nothing more. Texts that are no JSON give some answer or false, never a byte beyond their end. */
#ifndef BASE_JSON_SCAN_H
#define BASE_JSON_SCAN_H

#include "base/slice.h"

struct json_scan {
    const char *at, *end;
    bool failed; /* it is no object, or is cut off */
};

static inline const char *json_skip_space(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')) at++;
    return at;
}
/* Past a string whose opening quote is at `at`; NULL when it does not end. */
const char *json_skip_string(const char *at, const char *end);
/* Past any value; NULL when it does not end. */
const char *json_skip_value(const char *at, const char *end);

void json_scan_init(struct json_scan *scan, struct slice object);
/* The next member: its key as it is written, with its quotes, and its value as it is written. False at the end. */
bool json_scan_next(struct json_scan *scan, struct slice *key, struct slice *value);

#endif
