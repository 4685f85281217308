/* The trace log line: one finished span as one line of JSON. */
#ifndef SDK_LINE_H
#define SDK_LINE_H

#include "base/buf.h"
#include "vitrine.h"

/* What lines of one service share. Zeroed is valid. */
struct line_writer {
    const vt_attr *resource; /* whose text stands in head */
    struct buf head;         /* the resource's attributes as JSON members, each with a comma behind */
    uint64_t key_sizes;      /* bit n: the resource has a key of n bytes (from 63 up: bit 63) */
    int64_t second;          /* whose text stands in clock */
    char clock[32];          /* "2026-11-23T18:59:51." */
    char digits[32];         /* the same as a number */
    size_t digits_len;
};

void line_writer_free(struct line_writer *writer);
/* Adds the span's line, newline included. A span's attribute takes the place of the resource's of that name. */
void line_put(struct line_writer *writer, struct buf *out, const vt_attr *resource, size_t resource_count,
              const vt_finished *span);

#endif
