/* One viewer: a WebSocket (libwslay) on a socket that was HTTP before. All of it belongs to its loop's thread. */
#ifndef SERVE_LIVE_CLIENT_H
#define SERVE_LIVE_CLIENT_H

#include "query/filter.h"
#include "serve/http.h"
#include "serve/live.h"

#include <wslay/wslay.h>

/* A message, written once for all viewers of a loop that get it. */
struct frame {
    unsigned references; /* of one thread */
    size_t len;
    char text[];
};

struct frame *frame_new(struct slice text); /* one reference; NULL when memory ran out */
void frame_drop(struct frame *frame);       /* NULL is fine */

enum { CLIENT_OUT_BYTES = 16 << 10 };

struct live_client {
    struct live_client *prev, *next; /* in its loop's list */
    struct http_loop *loop;
    struct MHD_UpgradeResponseHandle *handle;
    void (*ended)(struct live_client *client); /* takes it out of the list; it is freed after */
    void *owner;                               /* of `ended` */
    wslay_event_context_ptr ws;
    struct loop_watch watch;
    struct loop_timer timer; /* the next ping, or the next word about losses */
    struct arena arena;      /* the filter */
    struct filter *filter;
    char project[64]; /* "" = all */
    struct buf extra; /* bytes that came with the handshake */
    size_t extra_at;
    struct frame *queue[LIVE_QUEUED_MAX]; /* a ring */
    unsigned queue_at, queue_count;
    size_t queue_bytes;
    uint64_t dropped; /* spans lost since the viewer was told */
    int64_t told_ns, heard_ns, pinged_ns;
    double allowance; /* spans that may be sent now */
    int64_t allowance_ns;
    double message_allowance; /* messages that may come now */
    int64_t message_ns;
    size_t out_at, out_len;
    char out[CLIENT_OUT_BYTES]; /* frames on their way to the socket */
    uint32_t events;            /* watched for */
    bool broken;
};

/* Takes the socket over; `q` was checked. NULL when memory ran out (the socket is not closed then). */
struct live_client *live_client_open(struct http_loop *loop, int fd, struct slice extra,
                                     struct MHD_UpgradeResponseHandle *handle, struct slice q, struct slice project);
/* False when the viewer's filter or project leaves the span out. */
bool live_client_wants(const struct live_client *client, const struct span *span);
/* Whether one more span may be queued for it now; counts the loss if not. */
bool live_client_has_room(struct live_client *client, int64_t now_ns);
void live_client_queue(struct live_client *client, struct frame *frame); /* takes a reference of its own */
/* Writes what can be written. May end the client: do not touch it after. */
void live_client_pump(struct live_client *client);
/* Says goodbye (1001) and ends it. */
void live_client_close(struct live_client *client);

#endif
