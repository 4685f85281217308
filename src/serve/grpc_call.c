/* One gRPC call (gRPC over HTTP/2, as its protocol text has it): headers, one message behind a prefix of five bytes,
 * and the answer with its status in trailers. */
#include "serve/grpc_call.h"

#include "base/base64.h"
#include "base/timestamp.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { PREFIX_BYTES = 5, RETRY_MS = 1000, STATUS_MESSAGE_MAX = 1024 };

static const char *const encodings[] = {
    [GRPC_IDENTITY] = "identity", [GRPC_GZIP] = "gzip", [GRPC_DEFLATE] = "deflate", [GRPC_ZSTD] = "zstd"};

void grpc_call_free(struct grpc_call *call) {
    const struct grpc_service *service = call->service;
    if (call->budget_bytes && service->give_budget) service->give_budget(service->ctx, call->budget_bytes);
    if (service->over) service->over(service->ctx, call);
    buf_free(&call->message);
    buf_free(&call->out);
    explicit_bzero(call->authorization, sizeof call->authorization);
    explicit_bzero(call->api_key, sizeof call->api_key);
    free(call);
}

/* --- headers --- */

static void copy(char *out, size_t size, struct slice value) {
    if (value.len >= size) value.len = 0; /* too long to be anything that is known here */
    if (value.len) memcpy(out, value.ptr, value.len);
    out[value.len] = 0;
}

static enum grpc_encoding encoding_of(struct slice name) {
    for (int i = 0; i < GRPC_UNKNOWN_ENCODING; i++)
        if (slice_is(name, encodings[i])) return (enum grpc_encoding)i;
    return GRPC_UNKNOWN_ENCODING;
}

void grpc_call_header(struct grpc_call *call, struct slice name, struct slice value) {
    if (slice_is(name, ":method"))
        call->is_post = slice_is(value, "POST");
    else if (slice_is(name, ":path"))
        copy(call->path, sizeof call->path, value);
    else if (slice_is(name, "content-type"))
        call->is_grpc = slice_is(value, "application/grpc") || slice_is(value, "application/grpc+proto") ||
                        slice_starts(value, SLICE("application/grpc;"));
    else if (slice_is(name, "grpc-encoding")) {
        call->encoding = encoding_of(value);
        if (call->encoding == GRPC_UNKNOWN_ENCODING) copy(call->unknown_encoding, sizeof call->unknown_encoding, value);
    } else if (slice_is(name, "authorization"))
        copy(call->authorization, sizeof call->authorization, value);
    else if (slice_is(name, "x-api-key") || slice_is(name, "api-key") || slice_is(name, "x-honeycomb-team"))
        copy(call->api_key, sizeof call->api_key, value);
}

/* What is no gRPC at all is told so in HTTP's words. */
static void refuse_http(struct grpc_call *call, const char *status) {
    const nghttp2_nv headers[] = {
        {(uint8_t *)(uintptr_t) ":status", (uint8_t *)(uintptr_t)status, 7, 3, NGHTTP2_NV_FLAG_NONE}};
    call->refused = call->answered = true;
    nghttp2_submit_response(call->session->ng, call->stream, headers, 1, NULL);
}

void grpc_call_begin(struct grpc_call *call) {
    const char *words = NULL;
    if (!call->is_post)
        refuse_http(call, "405");
    else if (!call->is_grpc)
        refuse_http(call, "415");
    else {
        enum rpc_code code = call->service->admit(call->service->ctx, call, &words);
        if (code) grpc_call_refuse(call, code, words, 0);
    }
}

/* --- the message --- */

static void check_prefix(struct grpc_call *call) {
    uint32_t len = (uint32_t)call->prefix[1] << 24 | (uint32_t)call->prefix[2] << 16 | (uint32_t)call->prefix[3] << 8 |
                   call->prefix[4];
    const struct grpc_service *service = call->service;
    char words[160];
    call->message_len = len;
    call->compressed = call->prefix[0] != 0;
    if (call->prefix[0] > 1)
        grpc_call_refuse(call, RPC_INVALID_ARGUMENT, "the message's first byte must be 0 or 1 (compressed)", 0);
    else if (call->compressed && call->encoding == GRPC_UNKNOWN_ENCODING) {
        snprintf(words, sizeof words, "grpc-encoding %s is not known; gzip, deflate, zstd and identity are",
                 call->unknown_encoding);
        grpc_call_refuse(call, RPC_UNIMPLEMENTED, words, 0);
    } else if (call->compressed && call->encoding == GRPC_IDENTITY)
        grpc_call_refuse(call, RPC_INVALID_ARGUMENT,
                         "the message says that it is compressed, grpc-encoding does not say how", 0);
    else if (len > service->message_bytes_max) {
        snprintf(words, sizeof words,
                 "the message has %u bytes, %llu are taken; send smaller batches or raise --max-body", len,
                 (unsigned long long)service->message_bytes_max);
        grpc_call_refuse(call, RPC_INVALID_ARGUMENT, words, 0); /* sent again, it would be as large */
    }
}

/* Room for what is left of the message, in steps, so that a large announcement alone takes no memory. */
static bool make_room(struct grpc_call *call, size_t len) {
    const struct grpc_service *service = call->service;
    size_t need = call->message.len + len, grown = call->message.cap * 2;
    if (need <= call->message.cap) return true;
    if (grown < need) grown = need;
    if (grown > call->message_len) grown = call->message_len;
    size_t more = grown - call->message.cap;
    if (service->take_budget && !service->take_budget(service->ctx, more)) return false;
    call->budget_bytes += more;
    return buf_reserve(&call->message, grown - call->message.len);
}

void grpc_call_data(struct grpc_call *call, const uint8_t *data, size_t len) {
    while (len && !call->refused && call->prefix_len < PREFIX_BYTES) {
        call->prefix[call->prefix_len++] = *data++;
        len--;
        if (call->prefix_len == PREFIX_BYTES) check_prefix(call);
    }
    if (!len || call->refused) return; /* read and dropped */
    if (len > call->message_len - call->message.len)
        grpc_call_refuse(call, RPC_INVALID_ARGUMENT, "there is more than one message in the call", 0);
    else if (!make_room(call, len))
        grpc_call_refuse(call, RPC_UNAVAILABLE, "the calls under way hold all the memory that messages may take",
                         RETRY_MS);
    else
        buf_put(&call->message, data, len);
}

void grpc_call_end(struct grpc_call *call) {
    call->ended = true;
    if (call->refused || call->handled) return;
    if (call->prefix_len < PREFIX_BYTES || call->message.len < call->message_len) {
        grpc_call_refuse(call, RPC_INVALID_ARGUMENT, "the message is cut off", 0);
        return;
    }
    call->handled = true;
    call->service->handle(call->service->ctx, call);
}

/* --- the answer --- */

static nghttp2_nv pair(const char *name, struct slice value) {
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value.ptr, strlen(name), value.len,
                        NGHTTP2_NV_FLAG_NONE};
}

static ssize_t read_answer(nghttp2_session *ng, int32_t stream, uint8_t *data, size_t size, uint32_t *flags,
                           nghttp2_data_source *source, void *user) {
    struct grpc_call *call = source->ptr;
    size_t len = call->out.len - call->out_at;
    if (len > size) len = size;
    memcpy(data, call->out.ptr + call->out_at, len);
    call->out_at += len;
    if (call->out_at == call->out.len) {
        const nghttp2_nv trailers[] = {pair("grpc-status", SLICE("0"))};
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (nghttp2_submit_trailer(ng, stream, trailers, 1) != 0) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return (ssize_t)len;
}

#define ACCEPTED "identity,gzip,deflate,zstd"

void grpc_call_answer(struct grpc_call *call, struct slice message) {
    const nghttp2_nv headers[] = {pair(":status", SLICE("200")), pair("content-type", SLICE("application/grpc")),
                                  pair("grpc-accept-encoding", SLICE(ACCEPTED))};
    call->answered = true;
    if (!call->session) {
        grpc_call_free(call);
        return;
    }
    buf_putc(&call->out, 0);
    for (int shift = 24; shift >= 0; shift -= 8) buf_putc(&call->out, (char)(message.len >> shift));
    buf_put_slice(&call->out, message);
    const nghttp2_data_provider provider = {{.ptr = call}, read_answer};
    if (call->out.failed || nghttp2_submit_response(call->session->ng, call->stream, headers, 3, &provider) != 0)
        nghttp2_submit_rst_stream(call->session->ng, NGHTTP2_FLAG_NONE, call->stream, NGHTTP2_INTERNAL_ERROR);
}

/* grpc-message is percent-encoded: all but printable ASCII, and '%'. */
static struct slice percent_encode(const char *text, char *out, size_t size) {
    static const char digits[] = "0123456789ABCDEF";
    size_t len = 0;
    for (; *text && len + 3 < size; text++) {
        unsigned char c = (unsigned char)*text;
        if (c >= ' ' && c < 0x7f && c != '%')
            out[len++] = (char)c;
        else
            out[len++] = '%', out[len++] = digits[c >> 4], out[len++] = digits[c & 15];
    }
    return slice_make(out, len);
}

static void send_status(struct grpc_call *call, enum rpc_code code, const char *message, unsigned retry_ms) {
    char number[8], words[STATUS_MESSAGE_MAX];
    struct buf status = {0}, text = {0};
    snprintf(number, sizeof number, "%d", (int)code);
    otlp_put_status(&status, false, code, slice_of(message), retry_ms);
    nghttp2_nv headers[6];
    size_t count = 0;
    headers[count++] = pair(":status", SLICE("200"));
    headers[count++] = pair("content-type", SLICE("application/grpc"));
    headers[count++] = pair("grpc-status", slice_of(number));
    headers[count++] = pair("grpc-message", percent_encode(message, words, sizeof words));
    headers[count++] = pair("grpc-accept-encoding", SLICE(ACCEPTED));
    if (!status.failed && buf_reserve(&text, BASE64_SIZE(status.len))) {
        text.len = base64_encode((const uint8_t *)status.ptr, status.len, text.ptr);
        while (text.len && text.ptr[text.len - 1] == '=') text.len--;
        headers[count++] = pair("grpc-status-details-bin", buf_slice(&text));
    }
    call->answered = true;
    if (nghttp2_submit_response(call->session->ng, call->stream, headers, count, NULL) != 0)
        nghttp2_submit_rst_stream(call->session->ng, NGHTTP2_FLAG_NONE, call->stream, NGHTTP2_INTERNAL_ERROR);
    buf_free(&status);
    buf_free(&text);
}

void grpc_call_refuse(struct grpc_call *call, enum rpc_code code, const char *message, unsigned retry_ms) {
    if (call->refused) return;
    call->refused = true;
    send_status(call, code, message, retry_ms);
    if (call->budget_bytes && call->service->give_budget)
        call->service->give_budget(call->service->ctx, call->budget_bytes);
    call->budget_bytes = 0;
    buf_free(&call->message);
}

void grpc_call_fail(struct grpc_call *call, enum rpc_code code, const char *message, unsigned retry_ms) {
    if (call->session)
        send_status(call, code, message, retry_ms);
    else {
        call->answered = true;
        grpc_call_free(call);
    }
}
