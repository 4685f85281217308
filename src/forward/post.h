/* One request to a target, over libcurl, and what its answer means. */
#ifndef FORWARD_POST_H
#define FORWARD_POST_H

#include "forward/target.h"

#include <curl/curl.h>

enum post_result {
    POST_TAKEN,
    POST_LATER,     /* it may take the same later */
    POST_TOO_LARGE, /* 413: parts of it, perhaps */
    POST_NEVER
};

struct post_answer {
    long wait_ms;      /* of Retry-After, at most an hour; 0 = not said */
    uint64_t rejected; /* taken, but so many spans of it were not: OTLP's partial success */
    char why[160];     /* what was wrong */
};

/* The target's headers, and what the body is. The caller frees them (curl_slist_free_all). */
struct curl_slist *target_headers(const struct target *target);
/* Blocks up to 30 s. One thread a handle. */
enum post_result target_post(CURL *curl, const struct target *target, struct curl_slist *headers, struct slice body,
                             struct post_answer *answer);

#endif
