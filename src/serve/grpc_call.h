/* What grpc_session.c (connections) and grpc_call.c (calls) share; nobody else includes this. */
#ifndef SERVE_GRPC_CALL_H
#define SERVE_GRPC_CALL_H

#include "serve/grpc_session.h"

#include <nghttp2/nghttp2.h>

struct allowance {
    double left, max, per_s;
    int64_t at_ns;
};

struct grpc_session {
    nghttp2_session *ng;
    const struct grpc_service *service;
    void *owner;
    struct grpc_call *calls; /* streams that are open */
    unsigned call_count;
    int64_t began_ns, heard_ns;
    int64_t ping_ns; /* when the ping that is not answered yet was sent; 0 = none */
    struct allowance resets, controls;
    size_t unfinished; /* bytes since the last whole frame or piece of data */
    bool greeted;      /* the sender's settings came */
    bool doomed;       /* told to go away */
};

void grpc_call_header(struct grpc_call *call, struct slice name, struct slice value);
void grpc_call_begin(struct grpc_call *call); /* the headers are there */
void grpc_call_data(struct grpc_call *call, const uint8_t *data, size_t len);
void grpc_call_end(struct grpc_call *call); /* the sender has said all */
/* Answers a call that was never handled; it is freed when its stream ends. */
void grpc_call_refuse(struct grpc_call *call, enum rpc_code code, const char *message, unsigned retry_ms);
void grpc_call_free(struct grpc_call *call);

#endif
