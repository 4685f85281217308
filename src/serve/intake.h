/* From a request's body to a durable batch, whatever it came by: HTTP and gRPC both go through here, so both unpack,
 * decode, mask, price, count and refuse alike. */
#ifndef SERVE_INTAKE_H
#define SERVE_INTAKE_H

#include "base/buf.h"
#include "base/error.h"
#include "span/batch.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

struct server;

enum intake_signal {
    INTAKE_TRACES,
    INTAKE_LOGS,
    INTAKE_METRICS,
    INTAKE_LINES,
    INTAKE_CONVEX,
    INTAKE_PROXY,
    INTAKE_SIGNALS
};

struct intake {
    enum intake_signal signal;
    bool json;            /* OTLP as JSON, else protobuf */
    struct slice project; /* of the key */
    struct batch *batch;  /* one reference, from intake_read on */
    uint32_t ignored;     /* out: lines or events that are no trace */
    uint64_t rejected;    /* out: what was refused, data points of metrics included */
};

/* An empty batch into in->batch, which masks and prices as the server does. VT_ENOMEM. */
int intake_begin(struct server *server, struct intake *in, struct error *err);
/* Takes `body` (it is empty after), unpacks it as `encoding` says and decodes it into in->batch. Fails only where the
 * body as a whole has no meaning; the error is counted and kept for the status. Any thread. */
int intake_read(struct server *server, struct intake *in, struct buf *body, struct slice encoding, struct error *err);
/* Hands the batch to the store; `done` runs on the store's writer thread. VT_EFULL: try again later, done is not
 * called. An empty batch must not come here. *bytes: memory that it holds until then. */
int intake_store(struct server *server, struct intake *in, store_done *done, void *ctx, uint64_t *bytes,
                 struct error *err);
/* Counts one that waited too long for its turn (turns.h), instead of reading it; says why in `err`. */
int intake_late(struct server *server, struct intake *in, struct error *err);
/* Counts what became of it; call it once for every intake that was read, with the code of the store (0 when nothing was
 * to be stored). Then drops the batch. */
void intake_end(struct server *server, struct intake *in, int code);

/* "3 of 10 spans: span 2: trace_id …; span 5: …" for an answer; empty when nothing was rejected. Lives as long as the
 * batch. */
struct slice intake_rejections(struct intake *in);
const char *intake_signal_name(enum intake_signal signal);
/* JSON name of the count of what was rejected, in OTLP's answers. */
const char *intake_rejected_name(enum intake_signal signal);

enum { INTAKE_RATE_SECONDS = 10 };

/* Any thread. */
struct intake_stats {
    atomic_uint_least64_t requests[INTAKE_SIGNALS], accepted, rejected, refused, failed;
    pthread_mutex_t lock; /* over all below */
    int64_t error_ns;     /* Unix time of the last error; 0 = none */
    char error_source[32], error_message[512];
    uint64_t accepted_at[INTAKE_RATE_SECONDS]; /* `accepted` at each of the last seconds; see intake_tick */
    unsigned seconds;
};

void intake_stats_init(struct intake_stats *stats);
void intake_note_error(struct intake_stats *stats, const char *source, const char *message);
void intake_tick(struct intake_stats *stats);          /* each second */
double intake_spans_per_s(struct intake_stats *stats); /* over the last seconds */

#endif
