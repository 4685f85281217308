/* Runs on the exporting thread. Attributes are most of a span: their lengths are known beforehand, so they are written
 * in one go; the messages around them get theirs filled in afterwards. */
#include "sdk/otlp_encode.h"

#include "base/format.h"
#include "base/id.h"
#include "base/pb.h"
#include "base/utf8.h"

enum { STATUS_CODE_OK = 1, STATUS_CODE_ERROR = 2, FLAG_HAS_REMOTE = 1 << 8, FLAG_IS_REMOTE = 1 << 9 };

/* Text --------------------------------------------------------------------------------------------------------------
 */

static bool is_utf8(struct slice text) {
    const uint8_t *at = (const uint8_t *)text.ptr, *end = at + text.len;
    while (at < end) {
        uint64_t eight;
        if (end - at >= 8 && (memcpy(&eight, at, 8), !(eight & UINT64_C(0x8080808080808080)))) {
            at += 8;
            continue;
        }
        size_t len = utf8_length(at, (size_t)(end - at));
        if (!len) return false;
        at += len;
    }
    return true;
}

/* A protobuf string must be UTF-8, or decoders refuse the whole request. Valid until the next call. */
static struct slice as_utf8(struct otlp_encoder *e, struct slice text) {
    if (__builtin_expect(is_utf8(text), 1)) return text;
    buf_clear(&e->scratch);
    const uint8_t *at = (const uint8_t *)text.ptr, *end = at + text.len;
    while (at < end) {
        size_t len = utf8_length(at, (size_t)(end - at));
        buf_put(&e->scratch, len ? (const char *)at : UTF8_REPLACEMENT, len ? len : sizeof UTF8_REPLACEMENT - 1);
        at += len ? len : 1;
    }
    if (e->scratch.failed) e->out.failed = true;
    return buf_slice(&e->scratch);
}

static void put_text(struct otlp_encoder *e, uint32_t number, struct slice text) {
    if (text.len) pb_put_bytes(&e->out, number, as_utf8(e, text));
}

/* Attributes --------------------------------------------------------------------------------------------------------
 */

static size_t varint_size(uint64_t value) {
    size_t size = 1;
    while (value >= 0x80) size++, value >>= 7;
    return size;
}

static char *write_varint(char *at, uint64_t value) {
    while (value >= 0x80) *at++ = (char)(value | 0x80), value >>= 7;
    *at++ = (char)value;
    return at;
}

static char *write_tag(char *at, uint32_t number, enum pb_wire wire) {
    return write_varint(at, number << 3 | (uint32_t)wire);
}

static char *write_bytes(char *at, uint32_t number, struct slice bytes) {
    at = write_varint(write_tag(at, number, PB_BYTES), bytes.len);
    memcpy(at, bytes.ptr, bytes.len);
    return at + bytes.len;
}

/* AnyValue: 1 string, 2 bool, 3 int64, 4 double. */
static size_t value_size(const vt_attr *attr, size_t text_len) {
    switch (attr->type) {
    case VT_STRING: return 1 + varint_size(text_len) + text_len;
    case VT_INT: return 1 + varint_size((uint64_t)attr->value.integer);
    case VT_DOUBLE: return 1 + 8;
    default: return 1 + 1;
    }
}

static char *write_value(char *at, const vt_attr *attr, struct slice text) {
    switch (attr->type) {
    case VT_STRING: return write_bytes(at, 1, text);
    case VT_INT: return write_varint(write_tag(at, 3, PB_VARINT), (uint64_t)attr->value.integer);
    case VT_DOUBLE: at = write_tag(at, 4, PB_FIXED64); return memcpy(at, &attr->value.real, 8), at + 8;
    default: at = write_tag(at, 2, PB_VARINT); return write_varint(at, attr->value.boolean);
    }
}

/* KeyValue: 1 key, 2 AnyValue. */
static void put_attr(struct otlp_encoder *e, uint32_t number, const vt_attr *attr) {
    enum { HEADS = 64 }; /* tags and lengths of three levels */
    struct slice key = slice_make(attr->key, attr->key_size), text = {NULL, 0};
    bool key_fine = is_utf8(key);
    struct buf own = {0}; /* only where both are broken */
    if (!key_fine) {
        buf_put_slice(&own, as_utf8(e, key));
        key = buf_slice(&own);
    }
    if (attr->type == VT_STRING) text = as_utf8(e, slice_make(attr->value.string, attr->value_size));
    size_t value = value_size(attr, text.len);
    size_t pair = 1 + varint_size(key.len) + key.len + 1 + varint_size(value) + value;
    if (buf_reserve(&e->out, pair + HEADS)) {
        char *at = e->out.ptr + e->out.len;
        at = write_varint(write_tag(at, number, PB_BYTES), pair);
        at = write_bytes(at, 1, key);
        at = write_varint(write_tag(at, 2, PB_BYTES), value);
        at = write_value(at, attr, text);
        e->out.len = (size_t)(at - e->out.ptr);
    }
    if (own.failed) e->out.failed = true;
    buf_free(&own);
}

static void put_attrs(struct otlp_encoder *e, uint32_t number, const vt_attr *attrs, size_t count) {
    for (size_t i = 0; i < count; i++) put_attr(e, number, &attrs[i]);
}

/* Messages ----------------------------------------------------------------------------------------------------------
 */

static vt_attr text_attr(const char *key, const char *value) {
    vt_attr attr = vt_attr_str(key, value);
    attr.key_size = (uint16_t)strlen(key);
    attr.value_size = (uint32_t)strlen(value);
    return attr;
}

void otlp_begin(struct otlp_encoder *e, const vt_attr *resource, size_t resource_count) {
    buf_clear(&e->out);
    e->spans = 0;
    e->resource_end = pb_begin(&e->out, 1);
    size_t mark = pb_begin(&e->out, 1);
    put_attrs(e, 1, resource, resource_count);
    const vt_attr about[] = {text_attr("telemetry.sdk.name", "vitrine"), text_attr("telemetry.sdk.language", "c"),
                             text_attr("telemetry.sdk.version", VITRINE_VERSION)};
    put_attrs(e, 1, about, sizeof about / sizeof *about);
    pb_end(&e->out, mark);
    e->scope_end = pb_begin(&e->out, 2);
    mark = pb_begin(&e->out, 1);
    pb_put_bytes(&e->out, 1, SLICE("vitrine"));
    pb_put_bytes(&e->out, 2, SLICE("" VITRINE_VERSION));
    pb_end(&e->out, mark);
}

void otlp_end(struct otlp_encoder *e) {
    pb_end(&e->out, e->scope_end);
    pb_end(&e->out, e->resource_end);
}

static void put_event(struct otlp_encoder *e, const vt_event *event) {
    size_t mark = pb_begin(&e->out, 11);
    pb_put_fixed64(&e->out, 1, (uint64_t)event->time_ns);
    put_text(e, 2, slice_make(event->name, event->name_size));
    put_attrs(e, 3, event->attrs, event->attr_count);
    pb_end(&e->out, mark);
}

static void put_status(struct otlp_encoder *e, const vt_finished *span) {
    size_t mark = pb_begin(&e->out, 15);
    if (span->error) put_text(e, 2, slice_make(span->error, span->error_size));
    pb_put_uint(&e->out, 3, span->failed ? STATUS_CODE_ERROR : STATUS_CODE_OK);
    pb_end(&e->out, mark);
}

static void put_fixed32(struct buf *out, uint32_t number, uint32_t value) {
    pb_put_tag(out, number, PB_FIXED32);
    buf_put(out, &value, sizeof value);
}

void otlp_put(struct otlp_encoder *e, const vt_finished *span) {
    size_t mark = pb_begin(&e->out, 2);
    bool root = id_is_zero(span->parent_span_id, sizeof span->parent_span_id);
    pb_put_bytes(&e->out, 1, slice_make(span->trace_id, sizeof span->trace_id));
    pb_put_bytes(&e->out, 2, slice_make(span->span_id, sizeof span->span_id));
    if (span->tracestate) put_text(e, 3, slice_of(span->tracestate));
    if (!root) pb_put_bytes(&e->out, 4, slice_make(span->parent_span_id, sizeof span->parent_span_id));
    put_text(e, 5, slice_make(span->operation, span->operation_size));
    pb_put_uint(&e->out, 6, span->kind);
    pb_put_fixed64(&e->out, 7, (uint64_t)span->start_ns);
    pb_put_fixed64(&e->out, 8, (uint64_t)span->end_ns);
    put_attrs(e, 9, span->attrs, span->attr_count);
    pb_put_uint(&e->out, 10, span->dropped_attrs);
    for (uint32_t i = 0; i < span->event_count; i++) put_event(e, &span->events[i]);
    pb_put_uint(&e->out, 12, span->dropped_events);
    put_status(e, span);
    uint32_t remote = root ? 0 : FLAG_HAS_REMOTE | (span->remote_parent ? FLAG_IS_REMOTE : 0u);
    put_fixed32(&e->out, 16, span->flags | remote);
    pb_end(&e->out, mark);
    e->spans++;
}

void otlp_encoder_free(struct otlp_encoder *e) {
    buf_free(&e->out);
    buf_free(&e->scratch);
}

/* The answer --------------------------------------------------------------------------------------------------------
 */

bool otlp_read_answer(struct slice body, uint64_t *rejected, struct slice *message) {
    struct pb_reader r, inner;
    struct pb_field f;
    *rejected = 0;
    *message = SLICE("");
    pb_reader_init(&r, body);
    while (pb_next(&r, &f)) {
        if (f.number != 1 || f.wire != PB_BYTES) continue;
        pb_reader_init(&inner, f.bytes);
        while (pb_next(&inner, &f)) {
            if (f.number == 1 && f.wire == PB_VARINT) *rejected = f.integer;
            if (f.number == 2 && f.wire == PB_BYTES) *message = f.bytes;
        }
        if (inner.failed) return false;
    }
    return !r.failed;
}
