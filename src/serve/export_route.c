/* GET /api/v1/export: as many spans as there are, streamed. A thread of the pool makes a piece, the loop sends it and
 * asks for the next one when it is through: however slow the reader, one piece is held. */
#include "serve/handlers.h"

#include "base/timestamp.h"
#include "query/export.h"
#include "serve/server.h"

#include <string.h>
#include <stdlib.h>

enum { RETRY_MS = 50 };

struct outflow { /* the loop's, but for what the job works on while `running` */
    struct stream stream;
    struct workers_job job;
    struct loop_task task;   /* the job's news */
    struct loop_timer timer; /* the pool was full: again */
    struct request *request;
    struct server *server;
    struct http_loop *loop;
    struct arena arena; /* a copy of what was asked, since the request may go first */
    struct api_request ask;
    struct export *export;
    struct buf piece;
    size_t piece_at;
    struct error err;
    int code, cancel;
    bool answered;
    bool running; /* a thread has it */
    bool gone;    /* nobody reads any more: the task frees it */
    bool full;    /* the job got no place */
};

static void outflow_free(struct outflow *out) {
    loop_timer_stop(http_loop_of(out->loop), &out->timer);
    export_free(out->export);
    buf_free(&out->piece);
    arena_free(&out->arena);
    free(out);
}

static void run(struct workers_job *job) { /* on a thread of the pool */
    struct outflow *out = container_of(job, struct outflow, job);
    if (!out->export) out->code = export_open(&out->export, out->server->engine, &out->ask, &out->err);
    if (!out->code) out->code = export_next(out->export, &out->piece, &out->err);
    loop_post(http_loop_of(out->loop), &out->task);
}

static bool start_job(struct outflow *out) {
    buf_clear(&out->piece);
    out->piece_at = 0;
    if (!workers_add(out->server->workers, &out->job)) return false;
    out->running = true;
    out->server->exports_under_way[http_loop_index(out->loop)]++;
    return true;
}

static ssize_t on_read(struct stream *stream, char *data, size_t size) {
    struct outflow *out = container_of(stream, struct outflow, stream);
    size_t left = out->piece.len - out->piece_at;
    if (left) {
        if (left > size) left = size;
        memcpy(data, out->piece.ptr + out->piece_at, left);
        out->piece_at += left;
        return (ssize_t)left;
    }
    if (out->running || out->full) return 0;
    if (out->code) return -2; /* cut, so that nobody takes a part for the whole */
    if (out->piece.len == 0) return -1;
    if (!start_job(out)) {
        out->full = true;
        loop_timer_set(http_loop_of(out->loop), &out->timer, time_monotonic_ns() + (int64_t)RETRY_MS * NS_PER_MS);
    }
    return 0;
}

static void on_retry(struct loop_timer *timer) {
    struct outflow *out = container_of(timer, struct outflow, timer);
    out->full = !start_job(out);
    if (out->full) loop_timer_set(http_loop_of(out->loop), timer, time_monotonic_ns() + (int64_t)RETRY_MS * NS_PER_MS);
}

static void on_end(struct stream *stream) {
    struct outflow *out = container_of(stream, struct outflow, stream);
    out->gone = true;
    __atomic_store_n(&out->cancel, 1, __ATOMIC_RELAXED);
    if (!out->running) outflow_free(out);
}

static void on_gone(struct request *request, void *ctx) {
    struct outflow *out = ctx;
    __atomic_store_n(&out->cancel, 1, __ATOMIC_RELAXED);
}

static void on_piece(struct loop_task *task) {
    struct outflow *out = container_of(task, struct outflow, task);
    out->running = false;
    out->server->exports_under_way[http_loop_index(out->loop)]--;
    if (out->gone) {
        outflow_free(out);
    } else if (out->answered) {
        request_wake(out->request);
    } else if (out->code) {
        request_fail_as(out->request, (unsigned)api_status(out->code), &out->err);
        outflow_free(out);
    } else {
        out->answered = true;
        request_add_header(out->request, "Cache-Control", "no-store");
        bool csv = !strncmp(export_content_type(out->export), "text/csv", 8);
        request_add_header(out->request, "Content-Disposition",
                           csv ? "attachment; filename=\"vitrine-spans.csv\""
                               : "attachment; filename=\"vitrine-spans.ndjson\"");
        request_answer_stream(out->request, 200, export_content_type(out->export), -1, &out->stream);
    }
}

void answer_export(struct request *request) {
    struct outflow *out = calloc(1, sizeof *out);
    if (!out) {
        request_fail(request, 503, "out_of_memory", NULL, "no memory for the request");
        return;
    }
    out->stream = (struct stream){on_read, on_end};
    out->job.run = run;
    out->task.run = on_piece;
    out->timer.due = on_retry;
    out->request = request;
    out->server = server_of(request);
    out->loop = request->loop;
    work_ask(request, &out->ask);
    out->ask.path = arena_copy(&out->arena, out->ask.path);
    out->ask.query = arena_copy(&out->arena, out->ask.query);
    out->ask.project = arena_copy(&out->arena, out->ask.project);
    out->ask.body = (struct slice){0};
    out->ask.cancel = &out->cancel;
    if (!start_job(out)) {
        outflow_free(out);
        work_refuse(request);
        return;
    }
    request_hold(request);
    request_on_gone(request, on_gone, out);
}
