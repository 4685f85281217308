/* Live viewers: GET /api/v1/live, a WebSocket on which each durable span that matches the viewer's filter comes as one
 * JSON message (docs/live.md). A viewer belongs to the loop that took its connection. Batches come from the store's
 * writer through a short queue a loop, so a viewer never holds the writer up: who can't keep up loses spans and is told
 * how many. */
#ifndef SERVE_LIVE_H
#define SERVE_LIVE_H

#include "serve/http.h"
#include "span/batch.h"

struct live; /* opaque */

enum {
    LIVE_SPANS_PER_S = 5000, /* that one viewer is sent; more can't be read by anyone, and would cost the senders */
    LIVE_QUEUED_MAX = 2048,  /* spans that wait for one viewer */
    LIVE_QUEUED_BYTES_MAX = 4 << 20,   /* the same in bytes */
    LIVE_MESSAGE_BYTES_MAX = 80 << 10, /* from a viewer */
    LIVE_MESSAGES_PER_S = 10,          /* from a viewer: past it the connection is closed (1008) */
    LIVE_PING_MS = 20000,              /* a viewer that has said nothing for three of them is gone */
};

struct live *live_new(unsigned loops, unsigned clients_max); /* NULL when memory ran out */
void live_free(struct live *live);                           /* after the loops have ended; NULL is fine */

/* On the loop's thread, as http_config calls them. */
void live_loop_started(struct live *live, struct http_loop *loop);
void live_loop_stopping(struct live *live, struct http_loop *loop);
/* The store's watch (ctx is the live): any one thread. */
void live_watch(void *ctx, struct batch *batch);
/* Handler of GET /api/v1/live?q=. */
void live_handle(struct request *request);

struct live_stats {
    unsigned clients;
    uint64_t sent, dropped; /* spans */
};
void live_get_stats(const struct live *live, struct live_stats *stats); /* any thread */

#endif
