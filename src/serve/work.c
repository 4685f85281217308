/* See work.h. */
#include "serve/work.h"

#include "serve/routes.h"
#include "serve/server.h"

#include <libdeflate.h>

enum { GZIP_FROM_BYTES = 2048, GZIP_LEVEL = 1 };

/* Packs the answer when that is worth it; leaves it as it is when anything fails. */
static void pack(struct work *work) {
    if (!work->gzip || work->gzipped || work->out.failed || work->out.len < GZIP_FROM_BYTES) return;
    struct buf packed = {0};
    struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(GZIP_LEVEL);
    if (compressor && buf_reserve(&packed, libdeflate_gzip_compress_bound(compressor, work->out.len)))
        packed.len = libdeflate_gzip_compress(compressor, work->out.ptr, work->out.len, packed.ptr, packed.cap);
    libdeflate_free_compressor(compressor);
    if (packed.len) {
        struct buf plain = work->out;
        work->out = packed;
        packed = plain;
        work->gzipped = true;
    }
    buf_free(&packed);
}

static void answer(struct loop_task *task) {
    struct work *work = container_of(task, struct work, task);
    struct request *request = work->request;
    if (work->code) {
        buf_free(&work->out);
        request_fail_as(request, (unsigned)api_status(work->code), &work->err);
        return;
    }
    if (work->gzipped) request_add_header(request, "Content-Encoding", "gzip");
    request_add_header(request, "Vary", "Accept-Encoding");
    request_add_header(request, "Cache-Control", "no-store");
    request_answer(request, 200, work->type, &work->out);
}

static void run(struct workers_job *job) { /* on a thread of the pool */
    struct work *work = container_of(job, struct work, job);
    work->code = __atomic_load_n(&work->cancel, __ATOMIC_RELAXED)
                     ? error_set(&work->err, VT_ECANCELLED, "the client has gone")
                     : work->call(work->server, work, &work->err);
    if (!work->code) pack(work);
    loop_post(http_loop_of(work->request->loop), &work->task);
}

static void on_gone(struct request *request, void *ctx) {
    struct work *work = ctx;
    __atomic_store_n(&work->cancel, 1, __ATOMIC_RELAXED);
}

void work_ask(const struct request *request, struct api_request *ask) {
    const char *question = request->target.len ? memchr(request->target.ptr, '?', request->target.len) : NULL;
    size_t path_len = question ? (size_t)(question - request->target.ptr) : request->target.len;
    *ask = (struct api_request){
        .method = request->method == METHOD_GET      ? SLICE("GET")
                  : request->method == METHOD_DELETE ? SLICE("DELETE")
                                                     : SLICE("POST"),
        .path = slice_make(request->target.ptr, path_len),
        .query = question ? slice_from(request->target, path_len + 1) : (struct slice){0},
        .body = buf_slice(&request->body),
        .project = request->project,
    };
}

void work_refuse(struct request *request) {
    request_add_header(request, "Retry-After", "1");
    request_fail(request, 503, "full", "ask again after Retry-After; --query-queue and --query-threads set the bounds",
                 "too many questions wait for an answer");
}

void work_handle(struct request *request) {
    struct server *server = server_of(request);
    const struct row *row = request->route->data;
    struct work *work = arena_calloc(&request->arena, 1, sizeof *work);
    if (!work) {
        request_fail(request, 503, "out_of_memory", NULL, "no memory for the request");
        return;
    }
    work->job.run = run;
    work->task.run = answer;
    work->request = request;
    work->server = server;
    work->call = row->call;
    work->rest = request->rest;
    work->scopes = request->scopes;
    work->type = "application/json";
    work->gzip = request_takes_gzip(request);
    struct slice accept = request_header(request, "Accept");
    work->openmetrics = accept.len && memmem(accept.ptr, accept.len, "application/openmetrics-text", 28) != NULL;
    work_ask(request, &work->ask);
    work->ask.cancel = &work->cancel;
    if (!workers_add(row->flags & ROUTE_QUICK ? server->housekeepers : server->workers, &work->job)) {
        work_refuse(request);
        return;
    }
    request_hold(request);
    request_on_gone(request, on_gone, work);
}
