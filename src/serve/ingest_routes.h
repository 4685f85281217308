/* Routes by which spans come over HTTP: OTLP and its aliases, log lines, Convex. Handlers of the HTTP core; route->data
 * of receive_otlp is the signal's name in `otlp_signals`. */
#ifndef SERVE_INGEST_ROUTES_H
#define SERVE_INGEST_ROUTES_H

#include "serve/http.h"

void receive_traces(struct request *request);
void receive_logs(struct request *request);
void receive_metrics(struct request *request);
void receive_lines(struct request *request);
void receive_convex(struct request *request);

/* http_config.put_failure: google.rpc.Status for routes with ROUTE_OTLP, in the encoding of the request. */
const char *receive_put_failure(struct request *request, const struct http_failure *failure, struct buf *out);

#endif
