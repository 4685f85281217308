/* See otlp_answer.h. Field numbers are of opentelemetry-proto 1.x (the three responses share them) and google/rpc. */
#include "serve/otlp_answer.h"

#include "base/error.h"
#include "base/json.h"
#include "base/pb.h"

#include <stdio.h>

enum { RESPONSE_PARTIAL_SUCCESS = 1, PARTIAL_REJECTED = 1, PARTIAL_MESSAGE = 2 };
enum { STATUS_CODE = 1, STATUS_MESSAGE = 2, STATUS_DETAILS = 3, ANY_TYPE_URL = 1, ANY_VALUE = 2 };
enum { RETRY_INFO_DELAY = 1, DURATION_SECONDS = 1, DURATION_NANOS = 2 };

#define RETRY_INFO_TYPE "type.googleapis.com/google.rpc.RetryInfo"

struct code_pair {
    int from;
    enum rpc_code to;
};

static enum rpc_code look_up(const struct code_pair *table, size_t count, int from, enum rpc_code otherwise) {
    for (size_t i = 0; i < count; i++)
        if (table[i].from == from) return table[i].to;
    return otherwise;
}

enum rpc_code rpc_code_of_http(unsigned status) {
    static const struct code_pair table[] = {
        {400, RPC_INVALID_ARGUMENT}, {401, RPC_UNAUTHENTICATED},  {403, RPC_PERMISSION_DENIED},
        {404, RPC_NOT_FOUND},        {405, RPC_UNIMPLEMENTED},    {413, RPC_RESOURCE_EXHAUSTED},
        {415, RPC_INVALID_ARGUMENT}, {422, RPC_INVALID_ARGUMENT}, {429, RPC_RESOURCE_EXHAUSTED},
        {503, RPC_UNAVAILABLE},      {504, RPC_DEADLINE_EXCEEDED}};
    return look_up(table, sizeof table / sizeof *table, (int)status, RPC_INTERNAL);
}

enum rpc_code rpc_code_of_error(int code) {
    static const struct code_pair table[] = {{VT_EINVAL, RPC_INVALID_ARGUMENT},    {VT_ELIMIT, RPC_INVALID_ARGUMENT},
                                             {VT_ENOMEM, RPC_UNAVAILABLE},         {VT_EFULL, RPC_UNAVAILABLE},
                                             {VT_ECANCELLED, RPC_UNAVAILABLE},     {VT_ENOTFOUND, RPC_NOT_FOUND},
                                             {VT_EDENIED, RPC_PERMISSION_DENIED},  {VT_ETIMEOUT, RPC_DEADLINE_EXCEEDED},
                                             {VT_EUNSUPPORTED, RPC_UNIMPLEMENTED}, {VT_EIO, RPC_INTERNAL}};
    return look_up(table, sizeof table / sizeof *table, code, RPC_INTERNAL);
}

static void put_response_json(struct buf *out, const char *name, uint64_t rejected, struct slice message) {
    struct json_writer w = json_writer_on(out);
    json_open(&w, '{');
    if (rejected || message.len) {
        char count[24];
        int len = snprintf(count, sizeof count, "%llu", (unsigned long long)rejected);
        json_put_key(&w, "partialSuccess");
        json_open(&w, '{');
        json_put_key(&w, name);
        json_put_string(&w, slice_make(count, (size_t)len)); /* protobuf's JSON writes 64-bit numbers as strings */
        json_put_key(&w, "errorMessage");
        json_put_string(&w, message);
        json_close(&w, '}');
    }
    json_close(&w, '}');
}

void otlp_put_response(struct buf *out, const char *json_name, uint64_t rejected, struct slice message) {
    if (json_name) {
        put_response_json(out, json_name, rejected, message);
        return;
    }
    if (!rejected && !message.len) return;
    size_t mark = pb_begin(out, RESPONSE_PARTIAL_SUCCESS);
    pb_put_uint(out, PARTIAL_REJECTED, rejected);
    pb_put_bytes(out, PARTIAL_MESSAGE, message);
    pb_end(out, mark);
}

static void put_status_json(struct buf *out, enum rpc_code code, struct slice message, unsigned retry_ms) {
    struct json_writer w = json_writer_on(out);
    json_open(&w, '{');
    json_put_key(&w, "code");
    json_put_int(&w, code);
    json_put_key(&w, "message");
    json_put_string(&w, message);
    if (retry_ms) {
        char delay[24];
        snprintf(delay, sizeof delay, "%u.%03us", retry_ms / 1000, retry_ms % 1000);
        json_put_key(&w, "details");
        json_open(&w, '[');
        json_open(&w, '{');
        json_put_key(&w, "@type");
        json_put_cstr(&w, RETRY_INFO_TYPE);
        json_put_key(&w, "retryDelay");
        json_put_cstr(&w, delay);
        json_close(&w, '}');
        json_close(&w, ']');
    }
    json_close(&w, '}');
}

void otlp_put_status(struct buf *out, bool json, enum rpc_code code, struct slice message, unsigned retry_ms) {
    if (json) {
        put_status_json(out, code, message, retry_ms);
        return;
    }
    pb_put_uint(out, STATUS_CODE, (uint64_t)code);
    pb_put_bytes(out, STATUS_MESSAGE, message);
    if (!retry_ms) return;
    size_t any = pb_begin(out, STATUS_DETAILS);
    pb_put_bytes(out, ANY_TYPE_URL, SLICE(RETRY_INFO_TYPE));
    size_t info = pb_begin(out, ANY_VALUE), delay = pb_begin(out, RETRY_INFO_DELAY);
    pb_put_uint(out, DURATION_SECONDS, retry_ms / 1000);
    pb_put_uint(out, DURATION_NANOS, (uint64_t)(retry_ms % 1000) * 1000000);
    pb_end(out, delay);
    pb_end(out, info);
    pb_end(out, any);
}
