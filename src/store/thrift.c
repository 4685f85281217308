/* Compact protocol: zigzag varints, field ids as deltas. */
#include "store/thrift.h"

static void put_varint(struct buf *out, uint64_t value) {
    while (value >= 0x80) buf_putc(out, (char)(value | 0x80)), value >>= 7;
    buf_putc(out, (char)value);
}

static void put_zigzag(struct buf *out, int64_t value) {
    put_varint(out, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

static void put_field(struct thrift_writer *w, int16_t id, enum thrift_type type) {
    int delta = id - w->last[w->depth];
    if (delta > 0 && delta <= 15) {
        buf_putc(w->out, (char)(delta << 4 | (int)type));
    } else {
        buf_putc(w->out, (char)type);
        put_zigzag(w->out, id);
    }
    w->last[w->depth] = id;
}

void thrift_i32(struct thrift_writer *w, int16_t id, int32_t value) {
    put_field(w, id, THRIFT_I32);
    put_zigzag(w->out, value);
}

void thrift_i64(struct thrift_writer *w, int16_t id, int64_t value) {
    put_field(w, id, THRIFT_I64);
    put_zigzag(w->out, value);
}

void thrift_bool(struct thrift_writer *w, int16_t id, bool value) {
    put_field(w, id, value ? THRIFT_TRUE : THRIFT_FALSE);
}

void thrift_item_binary(struct thrift_writer *w, struct slice value) {
    put_varint(w->out, value.len);
    buf_put_slice(w->out, value);
}

void thrift_binary(struct thrift_writer *w, int16_t id, struct slice value) {
    put_field(w, id, THRIFT_BINARY);
    thrift_item_binary(w, value);
}

void thrift_item_struct(struct thrift_writer *w) {
    w->last[++w->depth] = 0;
}

void thrift_struct(struct thrift_writer *w, int16_t id) {
    put_field(w, id, THRIFT_STRUCT);
    thrift_item_struct(w);
}

void thrift_list(struct thrift_writer *w, int16_t id, enum thrift_type of, uint32_t count) {
    put_field(w, id, THRIFT_LIST);
    if (count < 15) {
        buf_putc(w->out, (char)(count << 4 | of));
    } else {
        buf_putc(w->out, (char)(0xf0 | of));
        put_varint(w->out, count);
    }
}

void thrift_item_i32(struct thrift_writer *w, int32_t value) {
    put_zigzag(w->out, value);
}

void thrift_end(struct thrift_writer *w) {
    buf_putc(w->out, THRIFT_STOP);
    if (w->depth) w->depth--;
}

void thrift_reader_init(struct thrift_reader *r, struct slice bytes) {
    *r = (struct thrift_reader){.at = (const uint8_t *)(bytes.ptr ? bytes.ptr : "")};
    r->end = r->at + bytes.len;
}

static uint64_t get_varint(struct thrift_reader *r) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (r->at >= r->end) break;
        uint8_t byte = *r->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
    r->failed = true;
    return 0;
}

int64_t thrift_read_int(struct thrift_reader *r) {
    uint64_t value = get_varint(r);
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

bool thrift_next(struct thrift_reader *r, struct thrift_field *field) {
    if (r->failed || r->at >= r->end) return r->failed = true, false;
    uint8_t head = *r->at++;
    if (head == THRIFT_STOP) {
        if (r->depth) r->depth--;
        return false;
    }
    field->type = (enum thrift_type)(head & 15);
    int64_t id = head >> 4 ? r->last[r->depth] + (head >> 4) : thrift_read_int(r);
    if (field->type > THRIFT_STRUCT || id < 0 || id > INT16_MAX || r->failed) return r->failed = true, false;
    field->id = (int16_t)id;
    r->last[r->depth] = field->id;
    return true;
}

void thrift_enter(struct thrift_reader *r) {
    if (r->depth + 1 >= THRIFT_DEPTH_MAX)
        r->failed = true;
    else
        r->last[++r->depth] = 0;
}

struct slice thrift_read_binary(struct thrift_reader *r) {
    uint64_t len = get_varint(r);
    if (r->failed || len > (size_t)(r->end - r->at)) return r->failed = true, (struct slice){NULL, 0};
    struct slice value = slice_make(r->at, len);
    r->at += len;
    return value;
}

uint32_t thrift_read_list(struct thrift_reader *r, enum thrift_type *of) {
    if (r->at >= r->end) return r->failed = true, 0;
    uint8_t head = *r->at++;
    uint64_t count = head >> 4;
    *of = (enum thrift_type)(head & 15);
    if (count == 15) count = get_varint(r);
    /* Every element takes a byte at least, so a longer list is a lie. */
    if (count > (size_t)(r->end - r->at)) return r->failed = true, 0;
    return (uint32_t)count;
}

void thrift_skip(struct thrift_reader *r, enum thrift_type type) {
    struct thrift_field field;
    enum thrift_type of;
    if (r->failed) return;
    switch (type) {
    case THRIFT_TRUE:
    case THRIFT_FALSE: break;
    case THRIFT_I8: r->at < r->end ? (void)r->at++ : (void)(r->failed = true); break;
    case THRIFT_I16:
    case THRIFT_I32:
    case THRIFT_I64: get_varint(r); break;
    case THRIFT_DOUBLE: r->end - r->at >= 8 ? (void)(r->at += 8) : (void)(r->failed = true); break;
    case THRIFT_BINARY: thrift_read_binary(r); break;
    case THRIFT_LIST:
    case THRIFT_SET:
        for (uint32_t n = thrift_read_list(r, &of); n && !r->failed; n--) {
            if (of == THRIFT_TRUE || of == THRIFT_FALSE)
                r->at < r->end ? (void)r->at++ : (void)(r->failed = true);
            else
                thrift_skip(r, of);
        }
        break;
    case THRIFT_STRUCT:
        thrift_enter(r);
        while (!r->failed && thrift_next(r, &field)) thrift_skip(r, field.type);
        break;
    case THRIFT_MAP:
    case THRIFT_STOP: r->failed = true; break;
    }
}
