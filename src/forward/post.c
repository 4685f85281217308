/* See post.h. */
#include "forward/post.h"

#include <stdio.h>

enum { SEND_TIMEOUT_MS = 30000 };

static size_t ignore_answer(char *data, size_t size, size_t count, void *ctx) {
    return size * count;
}

struct curl_slist *target_headers(const struct target *t) {
    char type[128], encoding[64];
    snprintf(type, sizeof type, "content-type: %s", t->content_type);
    snprintf(encoding, sizeof encoding, "content-encoding: %s", t->encoding);
    struct curl_slist *headers = curl_slist_append(curl_slist_append(NULL, type), encoding);
    if (t->fixed_header) headers = curl_slist_append(headers, t->fixed_header);
    for (unsigned i = 0; i < t->header_count; i++) headers = curl_slist_append(headers, t->headers[i]);
    return headers;
}

enum post_result target_post(CURL *curl, const struct target *t, struct curl_slist *headers, struct slice body,
                             long *wait_ms, char *why, size_t why_size) {
    long status = 0;
    curl_off_t retry_after = 0;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, t->url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, t->timeout_ms ? t->timeout_ms : (long)SEND_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "vitrine/" VITRINE_VERSION);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.ptr);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore_answer);
    CURLcode result = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after);
    *wait_ms = retry_after > 0 && retry_after <= 3600 ? (long)retry_after * 1000 : 0;
    if (result != CURLE_OK) {
        snprintf(why, why_size, "%s", curl_easy_strerror(result));
        return POST_LATER;
    }
    if (status >= 200 && status < 300) return POST_TAKEN;
    snprintf(why, why_size, "it answered %ld", status);
    /* A key that is wrong today may be mended tomorrow: only what the target will never take is let go. */
    return status == 400 || status == 413 || status == 422 ? POST_NEVER : POST_LATER;
}
