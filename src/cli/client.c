/* HTTP to a Vitrine server. */
#include "cli/client.h"

#include "base/json.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { ANSWER_BYTES_MAX = 256 << 20, CONNECT_MS = 5000, PROBE_MS = 1000 };

struct client {
    CURL *curl;
    char *url; /* no slash at its end */
    char *authorization;
    struct client_options options;
};

struct transfer {
    const struct client_request *request;
    struct client_answer *answer;
    CURL *curl;
    bool refused; /* the sink wanted no more */
};

static bool is_loopback(CURLU *url) {
    char *host = NULL;
    bool loopback = false;
    if (curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK)
        loopback = !strcasecmp(host, "localhost") || !strncmp(host, "127.", 4) || !strcmp(host, "[::1]");
    curl_free(host);
    return loopback;
}

/* False when it is no http or https URL. */
static bool check_url(const char *text, bool *loopback) {
    CURLU *url = curl_url();
    char *scheme = NULL;
    bool good = url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
                curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                (!strcasecmp(scheme, "http") || !strcasecmp(scheme, "https"));
    *loopback = good && is_loopback(url);
    curl_free(scheme);
    curl_url_cleanup(url);
    return good;
}

bool client_is_loopback(const char *url) {
    bool loopback;
    check_url(url, &loopback);
    return loopback;
}

int client_open(struct client **client, const struct client_options *options, struct error *err) {
    bool loopback;
    *client = NULL;
    if (!check_url(options->url, &loopback)) {
        error_set(err, VT_EINVAL, "\"%s\" is no address of a server", options->url);
        return error_hint(err, "expected something like http://127.0.0.1:4318");
    }
    struct client *c = calloc(1, sizeof *c);
    if (!c) return error_set(err, VT_ENOMEM, "no memory");
    c->options = *options;
    c->curl = curl_easy_init();
    c->url = strdup(options->url);
    if (options->key && asprintf(&c->authorization, "Authorization: Bearer %s", options->key) < 0)
        c->authorization = NULL;
    if (!c->curl || !c->url || (options->key && !c->authorization)) {
        client_close(c);
        return error_set(err, VT_ENOMEM, "no memory");
    }
    for (size_t len = strlen(c->url); len && c->url[len - 1] == '/'; len--) c->url[len - 1] = 0;
    curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, (long)options->timeout_ms);
    curl_easy_setopt(c->curl, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "vitrine/" VITRINE_VERSION);
    if (loopback) curl_easy_setopt(c->curl, CURLOPT_PROXY, ""); /* whatever http_proxy says */
    if (options->cacert) curl_easy_setopt(c->curl, CURLOPT_CAINFO, options->cacert);
    *client = c;
    return 0;
}

void client_close(struct client *client) {
    if (!client) return;
    curl_easy_cleanup(client->curl);
    free(client->url);
    free(client->authorization);
    free(client);
}

const char *client_url(const struct client *client) {
    return client->url;
}

static size_t take_body(char *data, size_t size, size_t count, void *ctx) {
    struct transfer *t = ctx;
    long status = 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    if (t->request->sink && status == 200) {
        t->refused = !t->request->sink(t->request->ctx, slice_make(data, size * count));
        return t->refused ? 0 : size * count;
    }
    buf_put(&t->answer->body, data, size * count);
    return t->answer->body.failed ? 0 : size * count;
}

int client_explain(const struct client_options *options, int code, const char *detail, struct error *err) {
    const char *url = options->url;
    const char *words = *detail ? detail : curl_easy_strerror((CURLcode)code);
    switch (code) {
    case CURLE_COULDNT_CONNECT:
        error_set(err, VT_EIO, "nothing listens at %s", url);
        return error_hint(err, "start it with `vitrine serve`, or name another with --url");
    case CURLE_COULDNT_RESOLVE_HOST:
        error_set(err, VT_EIO, "%s: this host is not known", url);
        return error_hint(err, "check --url");
    case CURLE_OPERATION_TIMEDOUT:
        error_set(err, VT_ETIMEOUT, "%s did not answer within %u ms", url, options->timeout_ms);
        return error_hint(err, "narrow the time with --from, or allow more with --timeout");
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        error_set(err, VT_EIO, "%s: its certificate is not trusted: %s", url, words);
        return error_hint(err, "name the certificate that signed it with --cacert FILE");
    case CURLE_SSL_CONNECT_ERROR:
        error_set(err, VT_EIO, "%s: no TLS there: %s", url, words);
        return error_hint(err, "a server without --tls-cert speaks http://, not https://");
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        error_set(err, VT_EIO, "%s broke the connection off: %s", url, words);
        return error_hint(err, "a server with --tls-cert speaks https://, not http://");
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        error_set(err, VT_EIO, "what listens at %s does not speak HTTP", url);
        return error_hint(err, "check --url");
    default: return error_set(err, VT_EIO, "%s: %s", url, words);
    }
}

int client_send(struct client *c, const struct client_request *request, struct client_answer *answer,
                struct error *err) {
    struct transfer t = {.request = request, .answer = answer, .curl = c->curl};
    struct curl_slist *headers = NULL;
    struct buf url = {0};
    char line[128], detail[CURL_ERROR_SIZE] = "";
    bool post = strcmp(request->method, "GET") != 0;
    *answer = (struct client_answer){.body.limit_bytes = ANSWER_BYTES_MAX};
    buf_printf(&url, "%s%s%s%.*s", c->url, request->path, request->query.len ? "?" : "", (int)request->query.len,
               request->query.len ? request->query.ptr : "");
    snprintf(line, sizeof line, "Content-Type: %s", request->content_type ? request->content_type : "application/json");
    if (c->authorization) headers = curl_slist_append(headers, c->authorization);
    if (post) headers = curl_slist_append(headers, line);
    if (post) headers = curl_slist_append(headers, "Expect:");
    if (request->content_encoding) {
        snprintf(line, sizeof line, "Content-Encoding: %s", request->content_encoding);
        headers = curl_slist_append(headers, line);
    }
    curl_easy_setopt(c->curl, CURLOPT_URL, buf_cstr(&url));
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, &t);
    curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
    if (post) {
        curl_easy_setopt(c->curl, CURLOPT_POST, 1L);
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, request->body.len ? request->body.ptr : "");
    }
    curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, request->method);
    /* A download may take longer than an answer, as long as it moves. */
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, request->sink ? 0L : (long)c->options.timeout_ms);
    curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_LIMIT, request->sink ? 1L : 0L);
    curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_TIME, request->sink ? (long)c->options.timeout_ms / 1000 + 1 : 0L);
    CURLcode code = curl_easy_perform(c->curl);
    long status = 0;
    curl_off_t retry = 0;
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(c->curl, CURLINFO_RETRY_AFTER, &retry);
    answer->status = (int)status;
    answer->retry_after_s = retry > 0 && retry < 3600 ? (unsigned)retry : 0;
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, NULL);
    curl_slist_free_all(headers);
    buf_free(&url);
    if (code == CURLE_OK) return 0;
    if (t.refused) return error_set(err, VT_ECANCELLED, "the output was refused");
    if (answer->body.failed)
        return error_set(err, VT_ELIMIT, "%s answered more than %d MiB", c->url, ANSWER_BYTES_MAX >> 20);
    return client_explain(&c->options, (int)code, detail, err);
}

/* Reads {"error":{"code","message","hint","column"}} into err; false when the body is something else. */
static bool read_error(struct slice body, struct arena *arena, struct error *err) {
    struct json_reader r;
    struct slice key, value;
    int64_t column = 0;
    json_reader_init(&r, body, arena);
    if (!json_object(&r) || !json_key(&r, &key) || !slice_is(key, "error") || !json_object(&r)) return false;
    err->message[0] = err->hint[0] = 0;
    while (json_key(&r, &key)) {
        bool message = slice_is(key, "message"), hint = slice_is(key, "hint");
        if ((message || hint) && json_peek(&r) == JSON_STRING && json_string(&r, &value))
            snprintf(message ? err->message : err->hint, message ? sizeof err->message : sizeof err->hint, "%.*s",
                     (int)value.len, value.ptr);
        else if (slice_is(key, "column") && json_peek(&r) == JSON_NUMBER && json_int64(&r, &column))
            err->column = (int)column;
        else
            json_skip(&r, NULL);
    }
    return err->message[0] != 0;
}

int client_error(const struct client *c, const struct client_answer *answer, struct error *err) {
    static const struct {
        int status, code;
    } codes[] = {{400, VT_EINVAL},       {401, VT_EDENIED}, {403, VT_EDENIED},      {404, VT_ENOTFOUND},
                 {405, VT_EUNSUPPORTED}, {413, VT_ELIMIT},  {415, VT_EUNSUPPORTED}, {422, VT_ELIMIT},
                 {429, VT_EFULL},        {503, VT_EFULL},   {504, VT_ETIMEOUT}};
    struct arena arena = {0};
    int code = VT_EIO;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].status == answer->status) code = codes[i].code;
    struct error read = {0};
    bool ours = read_error(buf_slice(&answer->body), &arena, &read);
    arena_free(&arena);
    if (!ours) error_set(&read, code, "%s answered with status %d", c->url, answer->status);
    read.code = code;
    if (answer->status == 401)
        error_hint(&read, "give a key with VITRINE_KEY or --key; `vitrine keys add NAME` makes one");
    if (!read.hint[0] && answer->status == 404 && !ours) error_hint(&read, "is this a vitrine server?");
    if (err) *err = read;
    return code;
}

bool client_reaches(const struct client_options *options) {
    bool loopback;
    CURL *curl = check_url(options->url, &loopback) ? curl_easy_init() : NULL;
    if (!curl) return false;
    curl_easy_setopt(curl, CURLOPT_URL, options->url);
    curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)PROBE_MS);
    if (loopback) curl_easy_setopt(curl, CURLOPT_PROXY, "");
    if (options->cacert) curl_easy_setopt(curl, CURLOPT_CAINFO, options->cacert);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    return code != CURLE_COULDNT_CONNECT && code != CURLE_COULDNT_RESOLVE_HOST && code != CURLE_OPERATION_TIMEDOUT;
}

void percent_encode(struct buf *out, struct slice text) {
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (isalnum(c) || (c && strchr("-._~", c)))
            buf_putc(out, (char)c);
        else
            buf_put(out, (const char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
    }
}

void query_add(struct buf *query, const char *name, struct slice value) {
    if (!value.len) return;
    if (query->len) buf_putc(query, '&');
    buf_puts(query, name);
    buf_putc(query, '=');
    percent_encode(query, value);
}
