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

/* One field from *at on, for walkers that keep their own place (the hot path of ingest): 1 a field, 0 the end, and
 * below 0 what is wrong, a place in pb_mistakes. *at moves on only past whole fields. */
enum {
    PB_CUT_VARINT = -1,
    PB_LONG_VARINT = -2,
    PB_BAD_NUMBER = -3,
    PB_CUT_64 = -4,
    PB_CUT_32 = -5,
    PB_CUT_BYTES = -6,
    PB_BAD_WIRE = -7
};
extern const char *const pb_mistakes[]; /* by -code */

static inline const uint8_t *pb_bytes(struct slice bytes) {
    return (const uint8_t *)(bytes.ptr ? bytes.ptr : "");
}

static inline int pb_varint_step(const uint8_t **at, const uint8_t *end, uint64_t *value) {
    const uint8_t *p = *at;
    if (__builtin_expect(p < end && *p < 0x80, 1)) {
        *value = *p;
        *at = p + 1;
        return 1;
    }
    if (end - p >= 2 && p[1] < 0x80) { /* lengths of texts */
        *value = (uint64_t)(p[0] & 0x7f) | (uint64_t)p[1] << 7;
        *at = p + 2;
        return 1;
    }
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (p == end) return PB_CUT_VARINT;
        uint8_t byte = *p++;
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            *at = p;
            return 1;
        }
    }
    return PB_LONG_VARINT;
}

static inline int pb_step(const uint8_t **at, const uint8_t *end, struct pb_field *field) {
    const uint8_t *p = *at;
    uint64_t tag, len;
    int code;
    if (p == end) return 0;
    if ((code = pb_varint_step(&p, end, &tag)) < 0) return code;
    if (__builtin_expect(tag >> 3 == 0 || tag >> 3 > 0x1fffffff, 0)) return PB_BAD_NUMBER;
    field->number = (uint32_t)(tag >> 3);
    field->wire = (enum pb_wire)(tag & 7);
    switch (tag & 7) {
    case PB_BYTES:
        if ((code = pb_varint_step(&p, end, &len)) < 0) return code;
        if (len > (size_t)(end - p)) return PB_CUT_BYTES;
        field->bytes = slice_make(p, len);
        p += len;
        break;
    case PB_VARINT:
        if ((code = pb_varint_step(&p, end, &field->integer)) < 0) return code;
        break;
    case PB_FIXED64:
        if (end - p < 8) return PB_CUT_64;
        memcpy(&field->integer, p, 8);
        p += 8;
        break;
    case PB_FIXED32: {
        uint32_t word;
        if (end - p < 4) return PB_CUT_32;
        memcpy(&word, p, 4);
        field->integer = word;
        p += 4;
        break;
    }
    default: return PB_BAD_WIRE;
    }
    *at = p;
    return 1;
}

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
