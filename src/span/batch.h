/* A batch: the spans of one request, on their way to the store. Owns all that its spans point to. One thread at a time,
 * until it is handed to the store; from then on it is read-only and shared by reference count. */
#ifndef SPAN_BATCH_H
#define SPAN_BATCH_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "span/prices.h"
#include "span/raw.h"
#include "span/span.h"

struct mask;

enum { BATCH_SPANS_MAX = 65536, BATCH_BYTES_MAX = 256 << 20 };

/* Why one span of a request was refused, for the answer to the sender. */
struct rejection {
    uint32_t position; /* 1-based: line of a log, or ordinal of the span in an OTLP request */
    struct slice message;
};

/* What normalise keeps of the last resource, since the next span's is mostly the same. */
struct batch_resource {
    struct raw_resource raw;
    const struct attr *attrs; /* copy of raw.attrs; NULL = nothing kept yet */
    struct slice json, service, project;
};

enum { REJECTIONS_KEPT = 20 }; /* the count goes on, the texts stop */

struct batch {
    struct arena arena;
    struct span *spans;
    uint32_t count, capacity;
    uint32_t rejected;
    uint32_t rejection_count; /* ≤ REJECTIONS_KEPT */
    struct rejection rejections[REJECTIONS_KEPT];
    struct buf kept[2]; /* buffers that spans borrow texts from; see batch_keep */
    int64_t now_ns;     /* when normalise first looked; 0 = not yet */
    struct buf scratch; /* normalise's own, kept from span to span */
    struct batch_resource resource;
    const struct prices
        *prices;             /* what tokens cost; NULL = costs are not computed. Borrowed: must outlive the decoding */
    const struct mask *mask; /* what is taken out of texts before anything is stored; NULL = nothing. Borrowed, too */
    struct prices_cache prices_cache;
    int64_t oldest_ns;  /* spans that start before this are refused (retention); 0 = none */
    struct buf payload; /* batch_pack's */
    int references;     /* use batch_ref and batch_unref (atomic) */
};

struct batch *batch_new(void); /* one reference; NULL when memory ran out */
struct batch *batch_ref(struct batch *batch);
void batch_unref(struct batch *batch); /* frees with the last; NULL is fine */
/* Takes over a buffer that the spans' texts point into (a request's body, as it came and unpacked: at most two), so
 * that it lives as long as the batch. `buf` is empty after. */
void batch_keep(struct batch *batch, struct buf *buf);
/* Room for one more span, initialised with span_init; NULL past BATCH_SPANS_MAX or without memory. */
struct span *batch_add(struct batch *batch);
void batch_drop_last(struct batch *batch); /* takes the last one back */
/* Counts a span that was refused and keeps the first REJECTIONS_KEPT reasons. */
void batch_reject(struct batch *batch, uint32_t position, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Encodes the spans into `payload` and lets their texts point there, so that all else that the batch holds can go (but
 * for what was refused, whose reasons stay). Nothing is added after. A payload that failed: no memory; all is as it
 * was. Once is enough. */
void batch_pack(struct batch *batch);
uint64_t batch_bytes(const struct batch *batch); /* memory that it holds */

/* The payload of a WAL record: version byte, count, then each span's fields in the order of span_columns. */
void batch_encode(const struct batch *batch, struct buf *out);
/* Appends the spans of a payload; their texts are borrowed from `payload`, which must outlive the batch, unless `copy`.
 */
int batch_decode(struct batch *batch, struct slice payload, bool copy, struct error *err);

/* The same without a batch, span by span; texts are borrowed from the payload. */
struct payload_reader {
    struct slice rest;
    uint64_t fixed, texts, left; /* left: spans to come */
    uint64_t count;
};
int payload_open(struct payload_reader *reader, struct slice payload, struct error *err);
/* The next span. 0, VT_ENOTFOUND after the last, or VT_ECORRUPT. */
int payload_next(struct payload_reader *reader, struct span *span, struct error *err);

#endif
