/* gzip for text whose lines are much alike, as those of /metrics are: each line is told by what differs from the one
 * before. Several times faster than a compressor that must search, and never wrong: what a line looks like decides only
 * how small it gets. One gzip member, fixed Huffman codes (RFC 1951, 1952), so everything that reads gzip reads it.
 * Not thread-safe. */
#ifndef METRICS_LINE_GZIP_H
#define METRICS_LINE_GZIP_H

#include "base/buf.h"

struct deflate_code {
    uint16_t bits; /* as they go into the stream, the first one lowest */
    uint8_t count;
};

struct line_gzip {
    struct buf *out;
    uint64_t bits; /* not written yet, `count` of them */
    unsigned count;
    uint32_t crc, length; /* of the text so far */
    struct deflate_code literals[256], lengths[259];
    uint8_t distances[30]; /* codes of five bits */
};

/* Appends to `out`, which must stay where it is until the end. */
void line_gzip_begin(struct line_gzip *gzip, struct buf *out);
/* The next piece; it is best cut after a newline. Borrowed for the call. */
void line_gzip_put(struct line_gzip *gzip, struct slice text);
/* out->failed says that memory ran out on the way. */
void line_gzip_end(struct line_gzip *gzip);

#endif
