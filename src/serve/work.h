/* Routes whose answer may take long or wait for a disk: the request is put on hold, a thread of the pool works for it,
 * and its loop answers. A client that goes cancels the work. */
#ifndef SERVE_WORK_H
#define SERVE_WORK_H

#include "query/api.h"
#include "serve/http.h"
#include "serve/workers.h"

struct server;
struct work;

/* Writes the answer (JSON, or what work->type says) into work->out. On error err is filled and `out` is dropped.
 * Runs on a thread of the pool. */
typedef int work_call(struct server *server, struct work *work, struct error *err);

struct work {
    struct workers_job job;
    struct loop_task task;
    struct request *request; /* the loop's: the pool reads none of it */
    struct server *server;
    work_call *call;
    struct api_request ask; /* what came, in the form of the data's own door */
    struct slice rest;      /* what the route's "{id}" took, unescaped */
    int scopes;             /* of the key that asks */
    int cancel;             /* becomes 1 when the client has gone */
    bool gzip;              /* the client takes it */
    bool gzipped;           /* `out` is; a call that packs by itself sets it */
    bool openmetrics;       /* for /metrics */
    const char *type;       /* of the answer */
    struct buf out;
    struct error err;
    int code;
};

/* The request in the form of the data's own door; borrowed from the request. */
void work_ask(const struct request *request, struct api_request *ask);
/* 503: the pool is full. */
void work_refuse(struct request *request);

/* Handler of the HTTP core; the route's row (routes.h) names the call. */
void work_handle(struct request *request);

#endif
