/* The service behind gRPC: TraceService, LogsService and MetricsService, each with its Export, on the same way in as
 * HTTP's. */
#include "serve/grpc.h"

#include "serve/server.h"

#include <stdlib.h>

enum { RETRY_MS = 1000 };

static const struct {
    const char *path;
    enum intake_signal signal;
} methods[] = {
    {"/opentelemetry.proto.collector.trace.v1.TraceService/Export", INTAKE_TRACES},
    {"/opentelemetry.proto.collector.logs.v1.LogsService/Export", INTAKE_LOGS},
    {"/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", INTAKE_METRICS},
};

static enum rpc_code admit(void *ctx, struct grpc_call *call, const char **words) {
    struct server *server = ((struct grpc_export *)ctx)->server;
    struct credentials credentials = {.authorization = slice_of(call->authorization),
                                      .api_key = slice_of(call->api_key)};
    struct key key;
    const char *hint;
    enum verdict verdict = admission_check(&server->admission, &credentials, SCOPE_INGEST, &key);
    *words = verdict_words(verdict, &hint);
    if (verdict != ADMITTED) return verdict == SCOPE_TOO_SMALL ? RPC_PERMISSION_DENIED : RPC_UNAUTHENTICATED;
    memcpy(call->project, key.project, sizeof call->project);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(call->path, methods[i].path) == 0) {
            call->signal = (int)methods[i].signal;
            return RPC_OK;
        }
    *words = "there is no such method: Export of OpenTelemetry's TraceService, LogsService and MetricsService (v1) are "
             "there";
    return RPC_UNIMPLEMENTED;
}

/* A call on its way through the store. Not part of the call, whose stream may end meanwhile. */
struct passage {
    struct loop_task task;
    struct turn turn;
    uint64_t bytes; /* of its batch on its way to the store */
    struct grpc_export *exports;
    struct grpc_call *call;
    struct intake intake;
    int code; /* of the store */
};

static void fail(struct passage *passage, const struct error *err) {
    enum rpc_code code = rpc_code_of_error(err->code);
    intake_note_error(&passage->exports->server->intake, intake_signal_name(passage->intake.signal), err->message);
    grpc_call_fail(passage->call, code, err->message, code == RPC_UNAVAILABLE ? RETRY_MS : 0);
}

/* Answers the call and ends the passage. */
static void arrive(struct passage *passage, const struct error *err) {
    struct intake *in = &passage->intake;
    struct buf out = {0};
    if (err) {
        fail(passage, err);
    } else {
        otlp_put_response(&out, NULL, in->rejected, intake_rejections(in));
        if (out.failed)
            grpc_call_fail(passage->call, RPC_UNAVAILABLE, "no memory for the answer", RETRY_MS);
        else
            grpc_call_answer(passage->call, buf_slice(&out));
    }
    if (in->batch) intake_end(passage->exports->server, in, err ? err->code : 0);
    buf_free(&out);
    free(passage);
}

static struct turns *turns_of(const struct grpc_export *exports) {
    return &exports->server->turns[http_loop_index(exports->loop)];
}

static void on_durable(struct loop_task *task) {
    struct passage *passage = container_of(task, struct passage, task);
    struct grpc_connection *connection = grpc_connection_of(passage->call);
    struct turns *turns = turns_of(passage->exports);
    uint64_t bytes = passage->bytes;
    struct error err;
    passage->exports->under_way--;
    if (passage->code)
        error_set(&err, passage->code,
                  passage->code == VT_EFULL ? "the disk is full" : "the spans could not be written");
    arrive(passage, passage->code ? &err : NULL);
    grpc_connection_wake(connection);
    turns_arrive(turns, bytes);
}

static void done(void *ctx, int code) { /* on the store's writer thread */
    struct passage *passage = ctx;
    passage->code = code;
    loop_post(http_loop_of(passage->exports->loop), &passage->task);
}

/* True when it is on its way to the store, false when it was answered. */
static bool take_in(struct passage *passage) {
    static const char *const encodings[] = {
        [GRPC_IDENTITY] = "", [GRPC_GZIP] = "gzip", [GRPC_DEFLATE] = "deflate", [GRPC_ZSTD] = "zstd"};
    struct grpc_export *exports = passage->exports;
    struct grpc_call *call = passage->call;
    struct intake *in = &passage->intake;
    struct error err;
    struct slice encoding = slice_of(call->compressed ? encodings[call->encoding] : "");
    int code = intake_read(exports->server, in, &call->message, encoding, &err);
    if (!code && in->batch->count) {
        code = intake_store(exports->server, in, done, passage, &passage->bytes, &err);
        exports->under_way += code == 0;
        if (!code) {
            turns_leave(turns_of(exports), passage->bytes);
            return true;
        }
    }
    arrive(passage, code ? &err : NULL);
    return false;
}

static void on_turn(struct turn *turn, bool late) {
    struct passage *passage = container_of(turn, struct passage, turn);
    struct grpc_connection *connection = grpc_connection_of(passage->call);
    struct error err;
    passage->exports->under_way--; /* as one that waited */
    if (!late && take_in(passage)) return;
    if (late) {
        intake_late(passage->exports->server, &passage->intake, &err);
        arrive(passage, &err);
    }
    grpc_connection_wake(connection);
}

static void handle(void *ctx, struct grpc_call *call) {
    struct grpc_export *exports = ctx;
    struct passage *passage = calloc(1, sizeof *passage);
    if (!passage) {
        grpc_call_fail(call, RPC_UNAVAILABLE, "no memory for the call", RETRY_MS);
        return;
    }
    *passage =
        (struct passage){.task.run = on_durable,
                         .exports = exports,
                         .call = call,
                         .turn.come = on_turn,
                         .intake = {.signal = (enum intake_signal)call->signal, .project = slice_of(call->project)}};
    if (turns_take(turns_of(exports), &passage->turn))
        take_in(passage);
    else
        exports->under_way++;
}

static bool take_budget(void *ctx, uint64_t bytes) {
    return http_budget_take(((struct grpc_export *)ctx)->loop, bytes);
}
static void give_budget(void *ctx, uint64_t bytes) {
    http_budget_give(((struct grpc_export *)ctx)->loop, bytes);
}

void grpc_export_init(struct grpc_export *exports, struct server *server, struct http_loop *loop) {
    *exports = (struct grpc_export){.service = {.ctx = exports,
                                                .message_bytes_max = server->options.body_bytes_max,
                                                .admit = admit,
                                                .handle = handle,
                                                .take_budget = take_budget,
                                                .give_budget = give_budget},
                                    .server = server,
                                    .loop = loop};
}
