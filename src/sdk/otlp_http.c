/* libcurl's easy interface, on the sender's thread. A progress function ends requests when the program does. */
#include "sdk/otlp_http.h"

#include "base/timestamp.h"
#include "sdk/otlp_encode.h"

#include <curl/curl.h>
#include <stdio.h>
#include <unistd.h>

enum { ANSWER_MAX = 64 * 1024, CONNECT_TIMEOUT_MS = 10000, RETRY_AFTER_MAX_S = 300, MESSAGE_SHOWN = 160 };

void otlp_http_init(struct otlp_http *http, const struct otlp_settings *settings) {
    memset(http, 0, sizeof *http);
    http->settings = settings;
    http->answer.limit_bytes = ANSWER_MAX;
}

/* Callbacks ---------------------------------------------------------------------------------------------------------
 */

static size_t take_answer(char *data, size_t size, size_t count, void *ctx) {
    struct otlp_http *http = ctx;
    buf_put(&http->answer, data, size * count); /* past the limit: the rest is of no interest */
    return size * count;
}

static int watch_time(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    const struct otlp_http *http = ctx;
    int64_t give_up_ns = atomic_load(&http->give_up_ns);
    return give_up_ns && time_monotonic_ns() >= give_up_ns;
}

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address) {
    struct otlp_http *http = ctx;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    for (unsigned i = 0; fd > 0 && i < OTLP_SOCKETS; i++)
        if (!http->sockets[i]) {
            http->sockets[i] = fd;
            break;
        }
    return fd;
}

static int close_socket(void *ctx, curl_socket_t fd) {
    struct otlp_http *http = ctx;
    for (unsigned i = 0; i < OTLP_SOCKETS; i++)
        if (http->sockets[i] == fd) http->sockets[i] = 0;
    return close(fd);
}

/* Requests ----------------------------------------------------------------------------------------------------------
 */

static struct curl_slist *make_headers(const struct otlp_settings *s, bool gzip) {
    struct curl_slist *list = NULL, *longer;
    const char *const ours[] = {"Content-Type: application/x-protobuf",
                                "Expect:", gzip ? "Content-Encoding: gzip" : NULL};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (ours[i] && (longer = curl_slist_append(list, ours[i]))) list = longer;
    for (size_t i = 0; i < s->header_count; i++)
        if ((longer = curl_slist_append(list, s->headers[i]))) list = longer;
    return list;
}

#define SET(option, value) curl_easy_setopt(http->curl, CURLOPT_##option, value)

static bool make_curl(struct otlp_http *http) {
    const struct otlp_settings *s = http->settings;
    if (http->curl) return true;
    if (!(http->curl = curl_easy_init())) return false;
    http->headers = make_headers(s, false);
    http->headers_gzip = make_headers(s, true);
    SET(URL, s->url);
    SET(POST, 1L);
    SET(USERAGENT, "vitrine/" VITRINE_VERSION);
    SET(NOSIGNAL, 1L);
    SET(PROTOCOLS_STR, "http,https");
    SET(TIMEOUT_MS, (long)s->timeout_ms);
    SET(CONNECTTIMEOUT_MS, (long)(s->timeout_ms < CONNECT_TIMEOUT_MS ? s->timeout_ms : CONNECT_TIMEOUT_MS));
    SET(QUICK_EXIT, 1L); /* do not wait for a name look-up that hangs */
    SET(WRITEFUNCTION, take_answer);
    SET(WRITEDATA, http);
    SET(NOPROGRESS, 0L);
    SET(XFERINFOFUNCTION, watch_time);
    SET(XFERINFODATA, http);
    SET(OPENSOCKETFUNCTION, open_socket);
    SET(OPENSOCKETDATA, http);
    SET(CLOSESOCKETFUNCTION, close_socket);
    SET(CLOSESOCKETDATA, http);
    if (s->certificate) SET(CAINFO, s->certificate);
    if (s->client_certificate) SET(SSLCERT, s->client_certificate);
    if (s->client_key) SET(SSLKEY, s->client_key);
    return true;
}

static bool is_retryable(long status) {
    return status == 429 || status == 502 || status == 503 || status == 504;
}

static enum otlp_verdict judge(struct otlp_http *http) {
    long status = 0;
    curl_off_t after_s = 0;
    curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(http->curl, CURLINFO_RETRY_AFTER, &after_s);
    struct slice message;
    bool readable = otlp_read_answer(buf_slice(&http->answer), &http->rejected, &message);
    int shown = message.len < MESSAGE_SHOWN ? (int)message.len : MESSAGE_SHOWN;
    if (status >= 200 && status < 300) {
        if (readable && (http->rejected || message.len))
            snprintf(http->why, sizeof http->why, "the collector rejected %llu spans: %.*s",
                     (unsigned long long)http->rejected, shown, message.ptr);
        if (!readable) http->rejected = 0;
        return OTLP_TAKEN;
    }
    http->rejected = 0;
    snprintf(http->why, sizeof http->why, "HTTP status %ld", status);
    if (!is_retryable(status)) return OTLP_REFUSED;
    if (after_s > RETRY_AFTER_MAX_S) after_s = RETRY_AFTER_MAX_S;
    http->retry_after_ms = after_s > 0 ? (uint32_t)after_s * 1000 : 0;
    return OTLP_LATER;
}

/* gzip's first two bytes; a request in the clear begins with the tag of its first field. */
static bool is_gzip(struct slice body) {
    return body.len > 2 && !memcmp(body.ptr, "\x1f\x8b", 2);
}

enum otlp_verdict otlp_http_post(struct otlp_http *http, struct slice body) {
    http->rejected = 0;
    http->retry_after_ms = 0;
    http->why[0] = 0;
    buf_clear(&http->answer);
    if (!make_curl(http)) {
        snprintf(http->why, sizeof http->why, "no memory");
        return OTLP_LATER;
    }
    SET(HTTPHEADER, is_gzip(body) ? http->headers_gzip : http->headers);
    SET(POSTFIELDS, body.ptr);
    SET(POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    CURLcode code = curl_easy_perform(http->curl);
    if (code == CURLE_OK) return judge(http);
    snprintf(http->why, sizeof http->why, "%s", curl_easy_strerror(code));
    return OTLP_LATER;
}

void otlp_http_free(struct otlp_http *http) {
    if (http->curl) curl_easy_cleanup(http->curl);
    curl_slist_free_all(http->headers);
    curl_slist_free_all(http->headers_gzip);
    buf_free(&http->answer);
    http->curl = NULL;
}

void otlp_http_forked(struct otlp_http *http) {
    /* The handle is left behind: ending it would say goodbye on the parent's connections. */
    for (unsigned i = 0; i < OTLP_SOCKETS; i++)
        if (http->sockets[i]) close(http->sockets[i]);
    otlp_http_init(http, http->settings);
}
