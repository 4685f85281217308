/* Protocol Buffers on the wire. */
#include "base/pb.h"

enum { PADDED_LENGTH = 5 }; /* bytes of a varint that holds any 32-bit length */

void pb_reader_init(struct pb_reader *r, struct slice bytes) {
    r->start = r->at = (const uint8_t *)(bytes.ptr ? bytes.ptr : "");
    r->end = r->start + bytes.len;
    r->failed = false;
    r->err.code = 0;
}

static bool fail(struct pb_reader *r, const char *what) {
    if (!r->failed) error_set(&r->err, VT_EINVAL, "byte %zu: %s", (size_t)(r->at - r->start), what);
    r->failed = true;
    return false;
}

static inline bool get_varint(struct pb_reader *r, uint64_t *value) {
    if (r->at < r->end && *r->at < 0x80) {
        *value = *r->at++;
        return true;
    }
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (r->at == r->end) return fail(r, "a varint is cut off");
        uint8_t byte = *r->at++;
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return true;
        }
    }
    return fail(r, "a varint is longer than 10 bytes");
}

bool pb_next(struct pb_reader *r, struct pb_field *field) {
    uint64_t tag, len;
    if (r->failed || r->at == r->end || !get_varint(r, &tag)) return false;
    if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff) return fail(r, "a field number is out of range");
    field->number = (uint32_t)(tag >> 3);
    field->wire = (enum pb_wire)(tag & 7);
    size_t left = (size_t)(r->end - r->at);
    switch (tag & 7) {
    case PB_VARINT: return get_varint(r, &field->integer);
    case PB_FIXED64:
        if (left < 8) return fail(r, "a 64-bit field is cut off");
        memcpy(&field->integer, r->at, 8);
        r->at += 8;
        return true;
    case PB_FIXED32: {
        uint32_t word;
        if (left < 4) return fail(r, "a 32-bit field is cut off");
        memcpy(&word, r->at, 4);
        field->integer = word;
        r->at += 4;
        return true;
    }
    case PB_BYTES:
        if (!get_varint(r, &len)) return false;
        if (len > (size_t)(r->end - r->at)) return fail(r, "a field is longer than what is left of its message");
        field->bytes = slice_make(r->at, len);
        r->at += len;
        return true;
    default: return fail(r, "a field has a wire type that is not taken (groups are not)");
    }
}

void pb_put_varint(struct buf *out, uint64_t value) {
    uint8_t bytes[10];
    size_t len = 0;
    while (value >= 0x80) bytes[len++] = (uint8_t)(value | 0x80), value >>= 7;
    bytes[len++] = (uint8_t)value;
    buf_put(out, bytes, len);
}

void pb_put_tag(struct buf *out, uint32_t number, enum pb_wire wire) { pb_put_varint(out, (uint64_t)number << 3 | wire); }

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
    for (int i = 0; i < PADDED_LENGTH; i++, len >>= 7) at[i] = (char)((len & 0x7f) | (i < PADDED_LENGTH - 1 ? 0x80 : 0));
}
