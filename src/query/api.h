/* The one door to the data: everything under /api/v1 that reads or scores spans. HTTP routes, the command line on a
 * data directory and tests all ask here, so they all get the same answers. Names and shapes are in docs/api.md.
 *
 *     struct engine *engine;
 *     engine_open(&engine, store, NULL, &err);
 *     struct api_request request = {.method = SLICE("GET"), .path = SLICE("/api/v1/traces"), .query =
 * SLICE("q=status:error")}; if (api_call(engine, &request, &json, &err)) api_put_error(&json, &err);
 */
#ifndef QUERY_API_H
#define QUERY_API_H

#include "base/buf.h"
#include "base/error.h"
#include "store/store.h"

struct engine;

struct engine_options {
    unsigned threads;      /* threads of one scan, the caller's included; 0 = one a core, at most 8 */
    uint64_t memory_bytes; /* that one request may hold; 0 = 256 MiB */
    unsigned timeout_ms;   /* of a request without a deadline of its own; 0 = 30,000 */
};

/* `store` is borrowed and must outlive the engine; `options` may be NULL. Scores are kept in the store's catalog file.
 */
int engine_open(struct engine **engine, struct store *store, const struct engine_options *options, struct error *err);
void engine_free(struct engine *engine); /* no call may be under way; NULL is fine */

struct api_request {
    struct slice method;  /* "GET", "POST" */
    struct slice path;    /* "/api/v1/traces/ab12…", percent-encoded as it came */
    struct slice query;   /* what follows '?', percent-encoded; may be empty */
    struct slice body;    /* JSON of a POST */
    struct slice project; /* what the key that asks may see; empty = all */
    const int *cancel;    /* becomes non-zero (atomically) when the client has gone; may be NULL */
    int64_t deadline_ns;  /* of time_monotonic_ns; 0 = the engine's timeout from now */
};

/* Appends the answer's JSON to `out`. Any thread, any number at once. On error `out` is as it was.
 * VT_EINVAL: a parameter or filter has no meaning (400); VT_ENOTFOUND: no such path or thing (404); VT_EUNSUPPORTED:
 * the path is known, but not with this method (405); VT_ELIMIT: the request or its work passes a limit (422);
 * VT_ETIMEOUT (504); VT_ECANCELLED (499); VT_ENOMEM (503); VT_EIO, VT_ECORRUPT (500). */
int api_call(struct engine *engine, const struct api_request *request, struct buf *out, struct error *err);
/* {"error":{"code","message","hint","column"}}, as every failed request answers. */
void api_put_error(struct buf *out, const struct error *err);
/* The HTTP status for a VT_E… code. */
int api_status(int code);

/* What there is, for routing and for the description of the API; ends with an entry whose method is NULL.
 * "{…}" in a pattern stands for one segment of the path. */
struct api_route {
    const char *method, *pattern, *summary;
};
extern const struct api_route api_routes[];

#endif
