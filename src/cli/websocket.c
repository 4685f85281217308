/* A WebSocket to a server. */
#include "cli/websocket.h"

#include "base/base64.h"
#include "base/timestamp.h"

#include <curl/curl.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <wslay/wslay.h>

enum { HANDSHAKE_MS = 5000, HEAD_BYTES_MAX = 64 << 10, SILENCE_MS = 65000, KEY_BYTES = 16 };

struct websocket {
    CURL *curl;
    int fd;
    wslay_event_context_ptr frames;
    struct buf head; /* of the handshake's answer; what is behind its end are frames */
    size_t head_used;
    int64_t heard_ns;
    void (*each)(void *ctx, struct slice message);
    void *ctx;
    bool ended;
};

/* ---- bytes ---- */

static bool wait_for(struct websocket *s, short events, unsigned timeout_ms) {
    struct pollfd poll_fd = {s->fd, events, 0};
    return poll(&poll_fd, 1, (int)timeout_ms) > 0;
}

static ssize_t take(struct websocket *s, uint8_t *to, size_t len, bool *again) {
    size_t n = 0;
    *again = false;
    if (s->head_used < s->head.len) { /* came with the handshake */
        n = s->head.len - s->head_used < len ? s->head.len - s->head_used : len;
        memcpy(to, s->head.ptr + s->head_used, n);
        s->head_used += n;
        return (ssize_t)n;
    }
    CURLcode code = curl_easy_recv(s->curl, to, len, &n);
    *again = code == CURLE_AGAIN;
    if (code != CURLE_OK || n == 0) return -1;
    s->heard_ns = time_monotonic_ns();
    return (ssize_t)n;
}

static ssize_t on_recv(wslay_event_context_ptr frames, uint8_t *to, size_t len, int flags, void *ctx) {
    struct websocket *s = ctx;
    bool again;
    ssize_t n = take(s, to, len, &again);
    if (n > 0) return n;
    if (!again) s->ended = true;
    wslay_event_set_error(frames, again ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t on_send(wslay_event_context_ptr frames, const uint8_t *data, size_t len, int flags, void *ctx) {
    struct websocket *s = ctx;
    size_t n = 0;
    CURLcode code = curl_easy_send(s->curl, data, len, &n);
    if (code == CURLE_OK) return (ssize_t)n;
    if (code != CURLE_AGAIN) s->ended = true;
    wslay_event_set_error(frames, code == CURLE_AGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static int on_mask(wslay_event_context_ptr frames, uint8_t *to, size_t len, void *ctx) {
    return RAND_bytes(to, (int)len) == 1 ? 0 : -1;
}

static void on_message(wslay_event_context_ptr frames, const struct wslay_event_on_msg_recv_arg *arg, void *ctx) {
    struct websocket *s = ctx;
    if (arg->opcode == WSLAY_TEXT_FRAME)
        s->each(s->ctx, slice_make(arg->msg, arg->msg_length));
    else if (arg->opcode == WSLAY_CONNECTION_CLOSE)
        s->ended = true;
}

/* ---- the handshake ---- */

static int connect_to(struct websocket *s, const struct client_options *options, const char *url, struct error *err) {
    char detail[CURL_ERROR_SIZE] = "";
    if (!(s->curl = curl_easy_init())) return error_set(err, VT_ENOMEM, "no memory");
    curl_easy_setopt(s->curl, CURLOPT_URL, url);
    curl_easy_setopt(s->curl, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(s->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)HANDSHAKE_MS);
    curl_easy_setopt(s->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(s->curl, CURLOPT_SSL_ENABLE_ALPN, 0L);
    curl_easy_setopt(s->curl, CURLOPT_ERRORBUFFER, detail);
    if (options->cacert) curl_easy_setopt(s->curl, CURLOPT_CAINFO, options->cacert);
    if (client_is_loopback(options->url)) curl_easy_setopt(s->curl, CURLOPT_PROXY, "");
    CURLcode result = curl_easy_perform(s->curl);
    curl_easy_setopt(s->curl, CURLOPT_ERRORBUFFER, NULL);
    curl_socket_t fd = -1;
    if (result == CURLE_OK) result = curl_easy_getinfo(s->curl, CURLINFO_ACTIVESOCKET, &fd);
    if (result != CURLE_OK) return client_explain(options, (int)result, detail, err);
    s->fd = (int)fd;
    return 0;
}

static int send_all(struct websocket *s, struct slice bytes, struct error *err) {
    int64_t until = time_monotonic_ns() + (int64_t)HANDSHAKE_MS * NS_PER_MS;
    while (bytes.len) {
        size_t n = 0;
        CURLcode code = curl_easy_send(s->curl, bytes.ptr, bytes.len, &n);
        if (code == CURLE_AGAIN && time_monotonic_ns() < until)
            wait_for(s, POLLOUT, 100);
        else if (code != CURLE_OK)
            return error_set(err, VT_EIO, "the connection broke: %s", curl_easy_strerror(code));
        bytes = slice_from(bytes, n);
    }
    return 0;
}

/* Bytes of the answer up to `whole` of them are there, or an empty line when whole is 0. */
static int read_answer(struct websocket *s, size_t whole, struct error *err) {
    int64_t until = time_monotonic_ns() + (int64_t)HANDSHAKE_MS * NS_PER_MS;
    for (;;) {
        char *end = s->head.len ? memmem(s->head.ptr, s->head.len, "\r\n\r\n", 4) : NULL;
        if (whole ? s->head.len >= whole : end != NULL) {
            if (!whole) s->head_used = (size_t)(end - s->head.ptr) + 4;
            return 0;
        }
        size_t n = 0;
        if (s->head.len > HEAD_BYTES_MAX || !buf_reserve(&s->head, 4096))
            return error_set(err, VT_EIO, "the server's answer is too long");
        CURLcode code = curl_easy_recv(s->curl, s->head.ptr + s->head.len, 4096, &n);
        if (code == CURLE_AGAIN) {
            if (time_monotonic_ns() > until) return error_set(err, VT_ETIMEOUT, "the server did not answer");
            wait_for(s, POLLIN, 100);
        } else if (code != CURLE_OK || !n)
            return error_set(err, VT_EIO, "the server broke the connection off");
        s->head.len += n;
    }
}

/* The value of a header of the answer; empty when it is not there. */
static struct slice header(const struct websocket *s, const char *name) {
    struct slice rest = slice_make(s->head.ptr, s->head_used);
    size_t name_len = strlen(name);
    while (rest.len) {
        const char *end = memmem(rest.ptr, rest.len, "\r\n", 2);
        size_t len = end ? (size_t)(end - rest.ptr) : rest.len;
        if (len > name_len && rest.ptr[name_len] == ':' && strncasecmp(rest.ptr, name, name_len) == 0) {
            struct slice value = slice_make(rest.ptr + name_len + 1, len - name_len - 1);
            while (value.len && value.ptr[0] == ' ') value = slice_from(value, 1);
            while (value.len && value.ptr[value.len - 1] == ' ') value.len--;
            return value;
        }
        rest = slice_from(rest, len + 2);
    }
    return (struct slice){NULL, 0};
}

/* The server answered with something else than 101: its own words. */
static int refused(struct websocket *s, const struct client_options *options, int status, struct error *err) {
    struct client *client;
    struct client_answer answer = {.status = status};
    size_t len = (size_t)strtoul(header(s, "Content-Length").len ? header(s, "Content-Length").ptr : "0", NULL, 10);
    size_t from = s->head_used;
    int code = len < HEAD_BYTES_MAX ? read_answer(s, from + len, err) : 0;
    if (!code) buf_put(&answer.body, s->head.ptr + from, s->head.len - from < len ? s->head.len - from : len);
    code = client_open(&client, options, err);
    if (!code) {
        code = client_error(client, &answer, err);
        if (status == 404 || status == 405 || status == 426 || status == 501 || status / 100 == 2)
            code = err->code = VT_EUNSUPPORTED;
        client_close(client);
    }
    buf_free(&answer.body);
    return code;
}

static int shake_hands(struct websocket *s, const struct client_options *options, const char *host, const char *path,
                       struct slice query, struct error *err) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t random[KEY_BYTES], digest[SHA_DIGEST_LENGTH];
    char key[BASE64_SIZE(KEY_BYTES)], expected[BASE64_SIZE(SHA_DIGEST_LENGTH)], joined[sizeof key + sizeof guid];
    struct buf request = {0};
    if (RAND_bytes(random, KEY_BYTES) != 1) return error_set(err, VT_EIO, "no random numbers");
    base64_encode(random, KEY_BYTES, key);
    buf_printf(&request,
               "GET %s%s%.*s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: "
               "Upgrade\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: %.*s\r\nUser-Agent: vitrine/" VITRINE_VERSION "\r\n",
               path, query.len ? "?" : "", (int)query.len, query.len ? query.ptr : "", host, (int)sizeof key, key);
    if (options->key && !strpbrk(options->key, "\r\n"))
        buf_printf(&request, "Authorization: Bearer %s\r\n", options->key);
    buf_puts(&request, "\r\n");
    int code = request.failed ? error_set(err, VT_ENOMEM, "no memory") : send_all(s, buf_slice(&request), err);
    buf_free(&request);
    if (!code) code = read_answer(s, 0, err);
    if (code) return code;
    int status = s->head.len > 12 && !memcmp(s->head.ptr, "HTTP/1.", 7) ? atoi(s->head.ptr + 9) : 0;
    if (!status) return error_set(err, VT_EIO, "what listens at %s does not speak HTTP", options->url);
    if (status != 101) return refused(s, options, status, err);
    memcpy(joined, key, sizeof key);
    memcpy(joined + sizeof key, guid, sizeof guid);
    SHA1((const unsigned char *)joined, sizeof joined - 1, digest);
    base64_encode(digest, sizeof digest, expected);
    if (!slice_eq(header(s, "Sec-WebSocket-Accept"), slice_make(expected, sizeof expected)))
        return error_set(err, VT_EUNSUPPORTED, "%s speaks no WebSocket", options->url);
    return 0;
}

int websocket_open(struct websocket **socket, const struct client_options *options, const char *path,
                   struct slice query, struct error *err) {
    static const struct wslay_event_callbacks callbacks = {.recv_callback = on_recv,
                                                           .send_callback = on_send,
                                                           .genmask_callback = on_mask,
                                                           .on_msg_recv_callback = on_message};
    struct websocket *s = calloc(1, sizeof *s);
    struct buf whole = {0};
    *socket = NULL;
    if (!s) return error_set(err, VT_ENOMEM, "no memory");
    s->fd = -1;
    /* "http://host:port/prefix" into "host:port" and "/prefix/api/v1/live". */
    const char *host = strstr(options->url, "://");
    host = host ? host + 3 : options->url;
    size_t host_len = strcspn(host, "/?#");
    const char *prefix = host + host_len;
    size_t prefix_len = *prefix == '/' ? strcspn(prefix, "?#") : 0;
    while (prefix_len && prefix[prefix_len - 1] == '/') prefix_len--;
    char *name = strndup(host, host_len);
    buf_printf(&whole, "%.*s%s", (int)prefix_len, prefix, path);
    int code = name ? connect_to(s, options, options->url, err) : error_set(err, VT_ENOMEM, "no memory");
    if (!code) code = shake_hands(s, options, name, buf_cstr(&whole), query, err);
    if (!code && wslay_event_context_client_init(&s->frames, &callbacks, s) != 0)
        code = error_set(err, VT_ENOMEM, "no memory");
    if (!code) wslay_event_config_set_max_recv_msg_length(s->frames, WEBSOCKET_MESSAGE_MAX);
    s->heard_ns = time_monotonic_ns();
    free(name);
    buf_free(&whole);
    if (code)
        websocket_close(s);
    else
        *socket = s;
    return code;
}

void websocket_close(struct websocket *s) {
    if (!s) return;
    if (s->frames) {
        if (!s->ended && wslay_event_queue_close(s->frames, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0) == 0)
            wslay_event_send(s->frames);
        wslay_event_context_free(s->frames);
    }
    if (s->curl) curl_easy_cleanup(s->curl);
    buf_free(&s->head);
    free(s);
}

int websocket_wait(struct websocket *s, unsigned timeout_ms, void (*each)(void *ctx, struct slice message), void *ctx,
                   struct error *err) {
    s->each = each;
    s->ctx = ctx;
    if (s->head_used >= s->head.len) {
        /* TLS may hold bytes that the socket no longer shows: look before waiting. */
        if (wslay_event_recv(s->frames) != 0) s->ended = true;
        if (!s->ended) wait_for(s, (short)(POLLIN | (wslay_event_want_write(s->frames) ? POLLOUT : 0)), timeout_ms);
    }
    if (!s->ended && wslay_event_recv(s->frames) != 0) s->ended = true;
    if (wslay_event_want_write(s->frames) && wslay_event_send(s->frames) != 0) s->ended = true;
    if (s->ended) return error_set(err, VT_EIO, "the server ended the connection");
    if (time_monotonic_ns() - s->heard_ns > (int64_t)SILENCE_MS * NS_PER_MS)
        return error_set(err, VT_EIO, "nothing was heard of the server for a minute");
    return 0;
}
