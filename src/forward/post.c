/* See post.h. */
#include "forward/post.h"

#include "base/pb.h"

#include <ctype.h>
#include <stdio.h>

enum { SEND_TIMEOUT_MS = 30000, RETRY_AFTER_MAX_S = 3600, ANSWER_MAX = 4096 };

/* The beginning of what was answered; the rest is passed over. */
struct body {
    char bytes[ANSWER_MAX];
    size_t len;
};

static size_t keep_answer(char *data, size_t size, size_t count, void *ctx) {
    struct body *body = ctx;
    size_t room = sizeof body->bytes - body->len, len = size * count;
    memcpy(body->bytes + body->len, data, len < room ? len : room);
    body->len += len < room ? len : room;
    return len;
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

/* What a target says goes into our log: in one line, of visible characters. */
static void put_said(struct post_answer *answer, struct slice said) {
    size_t at = strlen(answer->why);
    if (!said.len) return;
    at += (size_t)snprintf(answer->why + at, sizeof answer->why - at, ": ");
    for (size_t i = 0; i < said.len && at < sizeof answer->why - 1; i++)
        answer->why[at++] = isprint((unsigned char)said.ptr[i]) ? said.ptr[i] : ' ';
    answer->why[at < sizeof answer->why ? at : sizeof answer->why - 1] = 0;
}

/* ExportTraceServiceResponse{1: partial_success{1: rejected_spans, 2: error_message}} */
static void read_partial_success(struct slice body, struct post_answer *answer) {
    struct pb_reader r, partial;
    struct pb_field field;
    struct slice said = {NULL, 0};
    pb_reader_init(&r, body);
    while (pb_next(&r, &field)) {
        if (field.number != 1 || field.wire != PB_BYTES) continue;
        pb_reader_init(&partial, field.bytes);
        while (pb_next(&partial, &field)) {
            if (field.number == 1 && field.wire == PB_VARINT) answer->rejected = field.integer;
            if (field.number == 2 && field.wire == PB_BYTES) said = field.bytes;
        }
    }
    if (!answer->rejected) return;
    snprintf(answer->why, sizeof answer->why, "it took a part");
    put_said(answer, said);
}

enum post_result target_post(CURL *curl, const struct target *t, struct curl_slist *headers, struct slice packed,
                             struct post_answer *answer) {
    struct body body = {.len = 0};
    const char *type = NULL;
    long status = 0;
    curl_off_t retry_after = 0;
    *answer = (struct post_answer){0};
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, t->url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, t->timeout_ms ? t->timeout_ms : (long)SEND_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "vitrine/" VITRINE_VERSION);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)packed.len);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, packed.ptr);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    CURLcode result = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after);
    curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
    if (retry_after > RETRY_AFTER_MAX_S) retry_after = RETRY_AFTER_MAX_S;
    answer->wait_ms = retry_after > 0 ? (long)retry_after * 1000 : 0;
    struct slice said = slice_make(body.bytes, body.len);
    bool protobuf = type && strncmp(type, "application/x-protobuf", 22) == 0;
    if (status == 413) { /* also where it closed the connection on the rest of the body */
        snprintf(answer->why, sizeof answer->why, "it answered 413");
        return POST_TOO_LARGE;
    }
    if (result != CURLE_OK) {
        snprintf(answer->why, sizeof answer->why, "%s", curl_easy_strerror(result));
        return POST_LATER;
    }
    if (status >= 200 && status < 300) {
        if (protobuf && body.len < sizeof body.bytes) read_partial_success(said, answer);
        return POST_TAKEN;
    }
    snprintf(answer->why, sizeof answer->why, "it answered %ld", status);
    /* A key that is wrong today may be mended tomorrow: only what the target will never take is let go. */
    if (status != 400 && status != 422) return POST_LATER;
    if (!protobuf) put_said(answer, said);
    return POST_NEVER;
}
