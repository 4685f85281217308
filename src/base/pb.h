/* Protocol Buffers wire format (encoding as of proto3): a reader that walks fields in place, a writer into a buffer.
 * The first mistake sticks (failed + err), as in json.h. Nothing is allocated. Not thread-safe. */
#ifndef BASE_PB_H
#define BASE_PB_H

#include "base/buf.h"
#include "base/error.h"

enum pb_wire { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

struct pb_reader {
    const uint8_t *start, *at, *end;
    bool failed;
    struct error err;
};

struct pb_field {
    uint32_t number;
    enum pb_wire wire;
    uint64_t integer;   /* VARINT, FIXED64, FIXED32 */
    struct slice bytes; /* BYTES: borrowed */
};

void pb_reader_init(struct pb_reader *r, struct slice bytes);
/* Next field; false at the end or on a mistake (then r->failed). Groups are refused. */
bool pb_next(struct pb_reader *r, struct pb_field *field);

void pb_put_varint(struct buf *out, uint64_t value);
void pb_put_tag(struct buf *out, uint32_t number, enum pb_wire wire);
void pb_put_uint(struct buf *out, uint32_t number, uint64_t value); /* nothing when value is 0 */
void pb_put_fixed64(struct buf *out, uint32_t number, uint64_t value);
void pb_put_double(struct buf *out, uint32_t number, double value);
void pb_put_bytes(struct buf *out, uint32_t number, struct slice bytes);
/* A nested message: begin returns a mark that end takes; the length is filled in after (5-byte padded varint). */
size_t pb_begin(struct buf *out, uint32_t number);
void pb_end(struct buf *out, size_t mark);

#endif
