/* One request to a target, over libcurl. */
#ifndef FORWARD_POST_H
#define FORWARD_POST_H

#include "forward/target.h"

#include <curl/curl.h>

enum post_result {
    POST_TAKEN,
    POST_LATER, /* it may take the same later */
    POST_NEVER
};

/* The target's headers, and what the body is. The caller frees them (curl_slist_free_all). */
struct curl_slist *target_headers(const struct target *target);
/* Blocks up to 30 s. *wait_ms becomes what the target asks for in Retry-After, or 0; `why` what was wrong. One thread a
 * handle. */
enum post_result target_post(CURL *curl, const struct target *target, struct curl_slist *headers, struct slice body,
                             long *wait_ms, char *why, size_t why_size);

#endif
