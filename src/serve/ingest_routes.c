/* See ingest_routes.h. A request is decoded on its loop, handed to the store, and answered once its batch is durable:
 * the store's writer posts a task back to the loop. */
#include "serve/ingest_routes.h"

#include "base/json.h"
#include "ingest/ingest.h"
#include "serve/otlp_answer.h"
#include "serve/server.h"

#include <strings.h>

enum { RETRY_MS = 1000 };

/* One request on its way; lives in the request's arena. */
struct receipt {
    struct loop_task task;
    struct turn turn;
    uint64_t bytes; /* of its batch on its way to the store */
    struct request *request;
    struct intake intake;
    int code; /* of the store */
};

/* --- encodings --- */

static bool type_is(struct slice type, const char *name) {
    size_t len = strlen(name);
    if (type.len < len || strncasecmp(type.ptr, name, len) != 0) return false;
    return type.len == len || type.ptr[len] == ';' || type.ptr[len] == ' ';
}

static bool is_json(const struct request *request) {
    return type_is(request_header(request, "Content-Type"), "application/json");
}

static bool is_protobuf(const struct request *request) {
    struct slice type = request_header(request, "Content-Type");
    return type_is(type, "application/x-protobuf") || type_is(type, "application/protobuf");
}

static const char *type_of(bool json) {
    return json ? "application/json" : "application/x-protobuf";
}

const char *receive_put_failure(struct request *request, const struct http_failure *failure, struct buf *out) {
    if (!request->route || !(request->route->flags & ROUTE_OTLP)) return NULL;
    bool json = !is_protobuf(request), again = failure->status == 503 || failure->status == 429;
    struct buf text = {0};
    buf_puts(&text, failure->message);
    if (failure->hint && *failure->hint) buf_printf(&text, " (%s)", failure->hint);
    otlp_put_status(out, json, rpc_code_of_http(failure->status), buf_slice(&text), again ? RETRY_MS : 0);
    buf_free(&text);
    return type_of(json);
}

/* --- answers --- */

static void put_lines_answer(struct buf *out, const struct intake *in) {
    const struct batch *batch = in->batch;
    const char *unit = in->signal == INTAKE_LINES ? "line" : "event";
    struct json_writer w = json_writer_on(out);
    json_open(&w, '{');
    json_put_key(&w, "accepted");
    json_put_int(&w, batch->count);
    json_put_key(&w, "rejected");
    json_put_int(&w, batch->rejected);
    json_put_key(&w, "ignored");
    json_put_int(&w, in->ignored);
    json_put_key(&w, "errors");
    json_open(&w, '[');
    for (uint32_t i = 0; i < batch->rejection_count; i++) {
        json_open(&w, '{');
        json_put_key(&w, unit);
        json_put_int(&w, batch->rejections[i].position);
        json_put_key(&w, "message");
        json_put_string(&w, batch->rejections[i].message);
        json_close(&w, '}');
    }
    json_close(&w, ']');
    json_close(&w, '}');
    buf_putc(out, '\n');
}

static void answer_failure(struct request *request, struct error *err) {
    /* 413 tells a sender to send less, which helps against a limit; all else about a body is 400. */
    request_fail_error(request, err);
}

static void answer(struct receipt *receipt) {
    struct request *request = receipt->request;
    struct intake *in = &receipt->intake;
    struct buf out = {0};
    if (receipt->code) {
        struct error err;
        error_set(&err, receipt->code,
                  receipt->code == VT_EFULL ? "the disk is full" : "the spans could not be written");
        error_hint(&err, "send it again later; see `vitrine doctor`");
        intake_note_error(&server_of(request)->intake, intake_signal_name(in->signal), err.message);
        answer_failure(request, &err);
    } else if (request->route->flags & ROUTE_OTLP) {
        otlp_put_response(&out, in->json ? intake_rejected_name(in->signal) : NULL, in->rejected,
                          intake_rejections(in));
        request_answer(request, 200, type_of(in->json), &out);
    } else {
        put_lines_answer(&out, in);
        request_answer(request, 200, "application/json", &out);
    }
    intake_end(server_of(request), in, receipt->code);
}

static struct turns *turns_of(const struct request *request) {
    return &server_of(request)->turns[http_loop_index(request->loop)];
}

static void on_durable(struct loop_task *task) {
    struct receipt *receipt = container_of(task, struct receipt, task);
    struct turns *turns = turns_of(receipt->request);
    uint64_t bytes = receipt->bytes; /* the answer may end the request */
    answer(receipt);
    turns_arrive(turns, bytes);
}

static void done(void *ctx, int code) { /* on the store's writer thread */
    struct receipt *receipt = ctx;
    receipt->code = code;
    loop_post(http_loop_of(receipt->request->loop), &receipt->task);
}

/* --- the way in --- */

static void take_in(struct receipt *receipt) {
    struct request *request = receipt->request;
    struct server *server = server_of(request);
    struct intake *in = &receipt->intake;
    struct error err;
    if (intake_read(server, in, &request->body, request_header(request, "Content-Encoding"), &err)) {
        answer_failure(request, &err);
        return;
    }
    if (in->batch->count == 0) {
        answer(receipt);
        return;
    }
    int code = intake_store(server, in, done, receipt, &receipt->bytes, &err);
    if (!code) {
        turns_leave(turns_of(request), receipt->bytes);
        request_hold(request);
        return;
    }
    intake_end(server, in, code);
    intake_note_error(&server->intake, intake_signal_name(in->signal), err.message);
    answer_failure(request, &err);
}

static void on_turn(struct turn *turn, bool late) {
    struct receipt *receipt = container_of(turn, struct receipt, turn);
    if (!late) {
        take_in(receipt);
        return;
    }
    struct error err;
    intake_late(server_of(receipt->request), &receipt->intake, &err);
    answer_failure(receipt->request, &err);
}

static void receive(struct request *request, enum intake_signal signal, bool json) {
    struct receipt *receipt = arena_calloc(&request->arena, 1, sizeof *receipt);
    if (!receipt) {
        request_add_header(request, "Retry-After", "1");
        request_fail(request, 503, "out_of_memory", NULL, "no memory for the request");
        return;
    }
    receipt->request = request;
    receipt->task.run = on_durable;
    receipt->intake = (struct intake){.signal = signal, .json = json, .project = request->project};
    receipt->turn.come = on_turn;
    if (turns_take(turns_of(request), &receipt->turn))
        take_in(receipt);
    else
        request_hold(request);
}

static void receive_otlp(struct request *request, enum intake_signal signal) {
    bool json = is_json(request);
    if (json || is_protobuf(request)) {
        receive(request, signal, json);
        return;
    }
    struct slice type = request_header(request, "Content-Type");
    request_fail(request, 415, "unsupported", "send application/x-protobuf or application/json",
                 "Content-Type %.*s is not taken here", (int)(type.len > 100 ? 100 : type.len),
                 type.len ? type.ptr : "");
}

void receive_traces(struct request *request) {
    receive_otlp(request, INTAKE_TRACES);
}
void receive_logs(struct request *request) {
    receive_otlp(request, INTAKE_LOGS);
}
void receive_metrics(struct request *request) {
    receive_otlp(request, INTAKE_METRICS);
}
void receive_lines(struct request *request) {
    receive(request, INTAKE_LINES, false);
}

void receive_convex(struct request *request) {
    struct slice secret = slice_of(server_of(request)->options.convex_secret);
    /* No hint: who does not know the secret learns nothing about why. */
    if (secret.len &&
        !convex_signature_ok(secret, buf_slice(&request->body), request_header(request, "x-webhook-signature"))) {
        request_fail(request, 401, "denied", NULL, "not accepted");
        return;
    }
    receive(request, INTAKE_CONVEX, false);
}
