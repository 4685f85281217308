/* Calls to upstreams on an event loop: libcurl's multi interface, its sockets and its timer on the loop's own epoll.
 * Connections are kept and used again; certificates are verified; redirects are passed on, not followed.
 *
 * Everything belongs to the loop's thread. A transfer tells of itself by `news`, which comes from the loop alone, never
 * from inside a function of this header: it may start, take from and drop transfers. */
#ifndef PROXY_TRANSFER_H
#define PROXY_TRANSFER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/loop.h"

struct transfers; /* a loop's; opaque */
struct curl_slist;

enum transfer_end {
    TRANSFER_RUNS,
    TRANSFER_DONE,
    TRANSFER_NO_CONNECTION, /* no such name, nobody listens, no TLS, … */
    TRANSFER_TIMED_OUT,     /* not connected in time, or silent for too long */
    TRANSFER_CUT            /* the connection broke, or what came was no HTTP */
};

struct transfer_header {
    struct transfer_header *next;
    const char *name, *value;
};

struct transfer {
    /* Set by the caller before transfer_start; borrowed until the end. */
    const char *url;
    const char *method; /* as it stands in the request line */
    struct slice body;
    bool loopback;            /* no proxy of the environment stands between */
    struct arena *arena;      /* for the headers of the answer */
    unsigned idle_timeout_ms; /* without a byte from upstream */
    void (*news)(struct transfer *transfer);
    /* Every piece of the answer's body as it comes, before it can be taken; may be NULL. It calls nothing of this. */
    void (*seen)(struct transfer *transfer, struct slice piece);

    /* What came; for `news` to read. */
    unsigned status; /* 0: not yet */
    bool has_headers;
    struct transfer_header *headers;
    int64_t length; /* Content-Length, or -1 */
    enum transfer_end end;
    char words[256]; /* why, when it did not end with TRANSFER_DONE */

    /* Its own. */
    struct transfers *all;
    void *curl;
    const char *refused; /* why we ended it ourselves */
    struct curl_slist *sent;
    struct transfer_header **headers_last;
    size_t headers_bytes;
    struct buf data;
    size_t data_at;
    struct loop_timer idle;
    int64_t heard_ns;
    struct transfer *next_news;
    bool has_news, paused;
};

struct transfers_config {
    unsigned connect_timeout_ms;
    unsigned connections_kept; /* idle ones */
    size_t buffered_max;       /* of an answer whose reader is slow: past it upstream has to wait */
};

/* NULL with VT_ENOMEM. */
struct transfers *transfers_new(struct loop *loop, const struct transfers_config *config, struct error *err);
void transfers_free(struct transfers *all); /* after all transfers were dropped. NULL is fine */

/* A header of the request; with a NULL value: none of that name, where libcurl would put one of its own. False without
 * memory. */
bool transfer_add_header(struct transfer *transfer, const char *name, const char *value);
/* On its way; `news` follows. VT_ENOMEM. */
int transfer_start(struct transfers *all, struct transfer *transfer, struct error *err);
/* What came of the body and was not taken yet. */
size_t transfer_waiting(const struct transfer *transfer);
size_t transfer_take(struct transfer *transfer, char *out, size_t size);
/* The whole of what waits, with its memory; `out` must be empty. */
void transfer_take_all(struct transfer *transfer, struct buf *out);
/* Ends it if it runs, and lets go of all that it holds. One that was never started, or zeroed, is fine. */
void transfer_drop(struct transfer *transfer);

#endif
