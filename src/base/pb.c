/* Protocol Buffers on the wire. */
#include "base/pb.h"

enum { PADDED_LENGTH = 5 }; /* bytes of a varint that holds any 32-bit length */

void pb_reader_init(struct pb_reader *r, struct slice bytes) {
    r->start = r->at = (const uint8_t *)(bytes.ptr ? bytes.ptr : "");
    r->end = r->start + bytes.len;
    r->failed = false;
    r->err.code = 0;
}

const char *const pb_mistakes[] = {"",
                                   "a varint is cut off",
                                   "a varint is longer than 10 bytes",
                                   "a field number is out of range",
                                   "a 64-bit field is cut off",
                                   "a 32-bit field is cut off",
                                   "a field is longer than what is left of its message",
                                   "a field has a wire type that is not taken (groups are not)"};

bool pb_next(struct pb_reader *r, struct pb_field *field) {
    if (r->failed) return false;
    int code = pb_step(&r->at, r->end, field);
    if (code >= 0) return code > 0;
    error_set(&r->err, VT_EINVAL, "byte %zu: %s", (size_t)(r->at - r->start), pb_mistakes[-code]);
    r->failed = true;
    return false;
}

void pb_put_varint(struct buf *out, uint64_t value) {
    uint8_t bytes[10];
    size_t len = 0;
    while (value >= 0x80) bytes[len++] = (uint8_t)(value | 0x80), value >>= 7;
    bytes[len++] = (uint8_t)value;
    buf_put(out, bytes, len);
}

void pb_put_tag(struct buf *out, uint32_t number, enum pb_wire wire) {
    pb_put_varint(out, (uint64_t)number << 3 | wire);
}

void pb_put_uint(struct buf *out, uint32_t number, uint64_t value) {
    if (!value) return;
    pb_put_tag(out, number, PB_VARINT);
    pb_put_varint(out, value);
}

void pb_put_fixed64(struct buf *out, uint32_t number, uint64_t value) {
    pb_put_tag(out, number, PB_FIXED64);
    buf_put(out, &value, sizeof value);
}

void pb_put_double(struct buf *out, uint32_t number, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    pb_put_fixed64(out, number, bits);
}

void pb_put_bytes(struct buf *out, uint32_t number, struct slice bytes) {
    pb_put_tag(out, number, PB_BYTES);
    pb_put_varint(out, bytes.len);
    buf_put_slice(out, bytes);
}

size_t pb_begin(struct buf *out, uint32_t number) {
    static const char room[PADDED_LENGTH];
    pb_put_tag(out, number, PB_BYTES);
    buf_put(out, room, sizeof room);
    return out->len;
}

void pb_end(struct buf *out, size_t mark) {
    if (out->failed) return;
    size_t len = out->len - mark;
    char *at = out->ptr + mark - PADDED_LENGTH;
    for (int i = 0; i < PADDED_LENGTH; i++, len >>= 7)
        at[i] = (char)((len & 0x7f) | (i < PADDED_LENGTH - 1 ? 0x80 : 0));
}
