/* A gRPC session from its first frame on: HTTP/2 framing, HPACK'd headers, the message's prefix, and calls that are
 * answered at once, later, or after their connection has gone. Input: a byte that says how, then frames. */
#include "serve/grpc_session.h"

#include <stdio.h>
#include <stdlib.h>

enum { HELD_MAX = 256, MESSAGE_BYTES_MAX = 1 << 20 };

static struct grpc_call *held[HELD_MAX];
static unsigned held_count, how;
static uint64_t budget, begun, over_count;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

static enum rpc_code admit(void *ctx, struct grpc_call *call, const char **words) {
    *words = "not like this: 100 %";
    return how & 1 && call->authorization[0] ? RPC_UNAUTHENTICATED : RPC_OK;
}

static void handle(void *ctx, struct grpc_call *call) {
    begun++;
    must(call->message.len == call->message_len && call->message.len <= MESSAGE_BYTES_MAX, "a message is whole");
    if (how & 2 && held_count < HELD_MAX)
        held[held_count++] = call;
    else if (how & 4)
        grpc_call_fail(call, RPC_UNAVAILABLE, "later\n%", 1500);
    else
        grpc_call_answer(call, buf_slice(&call->message));
}

static bool take_budget(void *ctx, uint64_t bytes) {
    if (budget + bytes > 4 * MESSAGE_BYTES_MAX) return false;
    budget += bytes;
    return true;
}

static void give_budget(void *ctx, uint64_t bytes) {
    must(bytes <= budget, "no more is given back than was taken");
    budget -= bytes;
}

static void over(void *ctx, struct grpc_call *call) {
    over_count += call->handled;
}

static void answer_held(void) {
    while (held_count) {
        struct grpc_call *call = held[--held_count];
        if (held_count % 2)
            grpc_call_fail(call, RPC_INTERNAL, "no", 0);
        else
            grpc_call_answer(call, SLICE("yes"));
    }
}

static bool drain(struct grpc_session *session) {
    const uint8_t *out;
    ssize_t len;
    while ((len = grpc_session_send(session, &out)) > 0) continue;
    return len == 0 && !grpc_session_is_over(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    static const uint8_t settings[9] = {0, 0, 0, 4};
    const struct grpc_service service = {NULL, MESSAGE_BYTES_MAX, admit, handle, take_budget, give_budget, over};
    if (size == 0) return 0;
    how = data[0];
    struct grpc_session *session = grpc_session_new(&service, NULL);
    must(session != NULL, "a session begins");
    bool goes = drain(session);
    if (!(how & 8)) {
        goes = goes && grpc_session_recv(session, (const uint8_t *)preface, sizeof preface - 1);
        goes = goes && grpc_session_recv(session, settings, sizeof settings) && drain(session);
    }
    size_t step = how & 16 ? 7 : 4096;
    for (size_t at = 1; at < size && goes; at += step) {
        goes = grpc_session_recv(session, data + at, size - at < step ? size - at : step);
        goes = drain(session) && goes;
        if (how & 32) answer_held();
    }
    if (how & 64) grpc_session_shut(session);
    if (how & 128) grpc_session_tick(session, INT64_MAX / 2, 1, 1);
    drain(session);
    if (!(how & 32) && how & 64) answer_held();
    grpc_session_free(session);
    answer_held();
    must(budget == 0, "all memory is given back");
    must(begun == over_count, "every call comes to its end");
    return 0;
}
