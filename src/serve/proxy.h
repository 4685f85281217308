/* /proxy/NAME/…: calls to LLM providers pass through here, unchanged, and leave a span behind. A call stays on the loop
 * that took it: libmicrohttpd on the one side, libcurl (proxy/transfer.h) on the other, in one epoll. What passes is
 * copied, within bounds, and read when the call is over (proxy/seen.h); the spans of some milliseconds go to the store
 * together. While the store does not keep up, calls wait before they go up, for --proxy-span-wait at most; then they go
 * without a span, which is counted, or are refused (--proxy-strict). */
#ifndef SERVE_PROXY_H
#define SERVE_PROXY_H

#include "base/error.h"
#include "serve/http.h"

struct proxy; /* opaque */
struct server;

/* Reads the upstreams from the server's options; VT_EINVAL says which one has no meaning. */
int proxy_open(struct proxy **proxy, struct server *server, struct error *err);
void proxy_free(struct proxy *proxy); /* after the loops have ended. NULL is fine, here and below */

/* On each loop's thread. */
void proxy_loop_started(struct proxy *proxy, struct http_loop *loop);
void proxy_loop_stopping(struct proxy *proxy, struct http_loop *loop);
bool proxy_loop_busy(struct proxy *proxy, struct http_loop *loop, bool late);

request_handler proxy_handle;

struct proxy_stats {
    uint64_t calls, refused, failed; /* failed: no whole answer came from upstream */
    uint64_t waited;                 /* for room for their span */
    uint64_t spans_lost;             /* could not be stored, or had no meaning */
    uint64_t calls_open;
};
void proxy_get_stats(const struct proxy *proxy, struct proxy_stats *stats); /* any thread */

#endif
