/* OTLP traces as protobuf, walked in place: messages are looked at where they lie, texts are borrowed from the body.
 * What is broken outside of a span breaks the request; what is broken within costs that span alone. */
#include "ingest/otlp.h"

#include "base/base64.h"
#include "base/pb.h"
#include "ingest/ids.h"

/* ---- AnyValue ---- */

static bool write_value(struct json_writer *w, struct slice bytes, unsigned depth);

static void write_base64(struct buf *out, struct slice bytes) {
    if (!bytes.len || !buf_reserve(out, BASE64_SIZE(bytes.len))) return;
    out->len += base64_encode(pb_bytes(bytes), bytes.len, out->ptr + out->len);
}

/* ArrayValue and KeyValueList: field 1, again and again. */
static bool write_list(struct json_writer *w, struct slice bytes, bool keyed, unsigned depth) {
    const uint8_t *at = pb_bytes(bytes), *end = at + bytes.len;
    struct pb_field field;
    int code;
    if (depth > VALUE_DEPTH_MAX) return false;
    json_open(w, keyed ? '{' : '[');
    while ((code = pb_step(&at, end, &field)) > 0) {
        if (field.number != 1 || field.wire != PB_BYTES) continue;
        if (!keyed) {
            if (!write_value(w, field.bytes, depth + 1)) return false;
            continue;
        }
        struct slice key = {NULL, 0}, value = {NULL, 0};
        const uint8_t *pair = pb_bytes(field.bytes), *pair_end = pair + field.bytes.len;
        while ((code = pb_step(&pair, pair_end, &field)) > 0) {
            if (field.wire != PB_BYTES) continue;
            if (field.number == 1)
                key = field.bytes;
            else if (field.number == 2)
                value = field.bytes;
        }
        if (code < 0) return false;
        json_put_key_slice(w, key);
        if (!write_value(w, value, depth + 1)) return false;
    }
    json_close(w, keyed ? '}' : ']');
    return code == 0;
}

/* The oneof of an AnyValue: its last member counts. Number 0: none is set. False: broken. */
static bool value_field(struct slice bytes, struct pb_field *member) {
    const uint8_t *at = pb_bytes(bytes), *end = at + bytes.len;
    static const enum pb_wire wires[] = {0, PB_BYTES, PB_VARINT, PB_VARINT, PB_FIXED64, PB_BYTES, PB_BYTES, PB_BYTES};
    struct pb_field field;
    int code;
    member->number = 0;
    while ((code = pb_step(&at, end, &field)) > 0)
        if (field.number < sizeof wires / sizeof *wires && field.wire == wires[field.number]) *member = field;
    return code == 0;
}

static double double_of(uint64_t bits) {
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static bool write_value(struct json_writer *w, struct slice bytes, unsigned depth) {
    struct pb_field member;
    if (!value_field(bytes, &member)) return false;
    switch (member.number) {
    case 1: json_put_string(w, member.bytes); break;
    case 2: json_put_bool(w, member.integer != 0); break;
    case 3: json_put_int(w, (int64_t)member.integer); break;
    case 4: json_put_double(w, double_of(member.integer)); break;
    case 5:
    case 6: return write_list(w, member.bytes, member.number == 6, depth);
    case 7: {
        struct buf text = {0};
        write_base64(&text, member.bytes);
        json_put_string(w, buf_slice(&text));
        buf_free(&text);
        break;
    }
    default: json_put_null(w);
    }
    return true;
}

/* The byte that begins a field whose number is below 16. */
#define TAG(number, wire) ((number) << 3 | (wire))

/* A value that stands alone in its message, as all but lists do; false: look again, slowly. Members are set one by one:
 * gcc clears a whole struct by `rep stos`, which costs more than the rest of it. */
static inline bool read_plain_value(const uint8_t *at, const uint8_t *end, struct value *value) {
    uint64_t number = 0;
    if (end - at < 2) return false;
    uint8_t tag = *at++;
    if (tag == TAG(4, PB_FIXED64)) {
        if (end - at != 8) return false;
        memcpy(&number, at, 8);
        value->type = VALUE_DOUBLE;
        value->real = double_of(number);
        return true;
    }
    if (pb_varint_step(&at, end, &number) < 0) return false;
    switch (tag) {
    case TAG(1, PB_BYTES):
        value->type = VALUE_STRING;
        value->text = slice_make(at, number);
        return number == (size_t)(end - at);
    case TAG(2, PB_VARINT):
        value->type = VALUE_BOOL;
        value->integer = number != 0;
        return at == end;
    case TAG(3, PB_VARINT):
        value->type = VALUE_INT;
        value->integer = (int64_t)number;
        return at == end;
    default: return false;
    }
}

/* A KeyValue as every sender writes it, its key of less than 128 bytes before a plain value, and nothing else; false:
 * look again, slowly. */
static inline bool read_plain_attr(struct slice bytes, struct attr *attr) {
    const uint8_t *at = pb_bytes(bytes), *end = at + bytes.len;
    uint64_t len;
    if (bytes.len < 6 || at[0] != TAG(1, PB_BYTES) || at[1] > bytes.len - 4 || at[1] >= 0x80) return false;
    attr->key = slice_make(at + 2, at[1]);
    at += 2 + at[1];
    if (*at++ != TAG(2, PB_BYTES) || pb_varint_step(&at, end, &len) < 0 || len != (size_t)(end - at)) return false;
    return read_plain_value(at, end, &attr->value);
}

void otlp_value_protobuf(struct raw_build *build, struct slice bytes, struct value *value, struct arena *arena) {
    struct pb_field member;
    *value = (struct value){.type = VALUE_NONE};
    if (!value_field(bytes, &member)) {
        raw_build_refuse(build, "attributes: a value is broken or cut off");
        return;
    }
    switch (member.number) {
    case 1: *value = (struct value){.type = VALUE_STRING, .text = member.bytes}; break;
    case 2: *value = (struct value){.type = VALUE_BOOL, .integer = member.integer != 0}; break;
    case 3: *value = (struct value){.type = VALUE_INT, .integer = (int64_t)member.integer}; break;
    case 4: *value = (struct value){.type = VALUE_DOUBLE, .real = double_of(member.integer)}; break;
    case 5:
    case 6: {
        buf_clear(&build->text);
        struct json_writer w = json_writer_on(&build->text);
        if (write_list(&w, member.bytes, member.number == 6, 1))
            *value = (struct value){.type = VALUE_JSON, .text = raw_build_text(build, arena)};
        else
            raw_build_refuse(build, "attributes: a list is broken, or nested deeper than %d", VALUE_DEPTH_MAX);
        break;
    }
    case 7:
        buf_clear(&build->text);
        write_base64(&build->text, member.bytes);
        *value = (struct value){.type = VALUE_STRING, .text = raw_build_text(build, arena)};
        break;
    default: break;
    }
}

void otlp_attr_protobuf(struct raw_build *build, struct slice bytes, struct attr_list *list, uint32_t max,
                        const char *what, struct arena *arena) {
    const uint8_t *at = pb_bytes(bytes), *end = at + bytes.len;
    struct attr *attr = attr_list_add(build, list, max, what);
    struct pb_field field;
    int code;
    if (!attr || read_plain_attr(bytes, attr)) return;
    *attr = (struct attr){.value.type = VALUE_NONE};
    while ((code = pb_step(&at, end, &field)) > 0) {
        if (field.wire != PB_BYTES) continue;
        if (field.number == 1)
            attr->key = field.bytes;
        else if (field.number == 2)
            otlp_value_protobuf(build, field.bytes, &attr->value, arena);
    }
    if (code < 0) raw_build_refuse(build, "%s: %s", what, pb_mistakes[-code]);
}

/* ---- a span ---- */

static int64_t time_of(uint64_t ns) {
    return ns > INT64_MAX ? INT64_MAX : (int64_t)ns;
}

/* Ids are bytes; their hex, which some write here too, is taken. */
static void read_id(struct raw_build *build, struct slice bytes, uint8_t *id, size_t size, const char *what) {
    if (__builtin_expect(bytes.len == size, 1))
        memcpy(id, bytes.ptr, size);
    else if (bytes.len && !hex_decode(bytes, id, size))
        raw_build_refuse(build, "%s has %zu bytes; expected %zu", what, bytes.len, size);
}

static void read_event(struct otlp *o, struct slice bytes) {
    const uint8_t *at = pb_bytes(bytes), *end = at + bytes.len;
    struct raw_event *event = raw_build_event(&o->build);
    struct pb_field field;
    int code;
    if (!event) return;
    while ((code = pb_step(&at, end, &field)) > 0) {
        if (field.number == 1 && field.wire == PB_FIXED64)
            event->time_ns = time_of(field.integer);
        else if (field.number == 2 && field.wire == PB_BYTES)
            event->name = field.bytes;
        else if (field.number == 3 && field.wire == PB_BYTES)
            otlp_attr_protobuf(&o->build, field.bytes, &o->build.event_attrs, SPAN_EVENT_ATTRS_MAX,
                               "events: attributes", &o->build.arena);
    }
    if (code < 0) raw_build_refuse(&o->build, "events: %s", pb_mistakes[-code]);
}

static bool write_link(struct json_writer *w, struct slice bytes) {
    const uint8_t *at = pb_bytes(bytes), *end = at + bytes.len;
    struct pb_field field;
    char hex[2 * TRACE_ID_SIZE];
    bool attributes = false;
    int code;
    json_open(w, '{');
    while ((code = pb_step(&at, end, &field)) > 0) {
        size_t size = field.number == 1 ? TRACE_ID_SIZE : field.number == 2 ? SPAN_ID_SIZE : 0;
        if (!size || field.wire != PB_BYTES || field.bytes.len != size) continue;
        hex_encode(pb_bytes(field.bytes), size, hex);
        json_put_key(w, field.number == 1 ? "trace_id" : "span_id");
        json_put_string(w, slice_make(hex, 2 * size));
    }
    at = pb_bytes(bytes);
    while (code >= 0 && (code = pb_step(&at, end, &field)) > 0) {
        if (field.number != 4 || field.wire != PB_BYTES) continue;
        struct slice key = {NULL, 0}, value = {NULL, 0};
        const uint8_t *pair = pb_bytes(field.bytes), *pair_end = pair + field.bytes.len;
        while ((code = pb_step(&pair, pair_end, &field)) > 0)
            if (field.wire == PB_BYTES) *(field.number == 1 ? &key : &value) = field.bytes;
        if (code < 0) break;
        if (!attributes) json_put_key(w, "attributes"), json_open(w, '{');
        attributes = true;
        json_put_key_slice(w, key);
        if (!write_value(w, value, 1)) return false;
    }
    if (attributes) json_close(w, '}');
    json_close(w, '}');
    return code >= 0;
}

/* Rare, so the span is walked once more for them. */
static void read_links(struct otlp *o, struct slice bytes, struct raw_span *raw) {
    const uint8_t *at = pb_bytes(bytes), *end = at + bytes.len;
    struct pb_field field;
    buf_clear(&o->build.text);
    struct json_writer w = json_writer_on(&o->build.text);
    json_open(&w, '[');
    while (pb_step(&at, end, &field) > 0)
        if (field.number == 13 && field.wire == PB_BYTES && !write_link(&w, field.bytes))
            raw_build_refuse(&o->build, "links: a link is broken");
    json_close(&w, ']');
    raw->links = raw_build_text(&o->build, &o->build.arena);
}

static void read_status(struct otlp *o, struct slice bytes, struct raw_span *raw) {
    const uint8_t *at = pb_bytes(bytes), *end = at + bytes.len;
    struct pb_field field;
    int code;
    while ((code = pb_step(&at, end, &field)) > 0) {
        if (field.number == 2 && field.wire == PB_BYTES)
            raw->status_message = field.bytes;
        else if (field.number == 3 && field.wire == PB_VARINT)
            raw->status = otlp_status_of(field.integer);
    }
    if (code < 0) raw_build_refuse(&o->build, "status: %s", pb_mistakes[-code]);
}

/* What the fields of a span are on the wire; another type there is a mistake of the sender. */
static const struct {
    const char *name;
    enum pb_wire wire;
} span_fields[] = {{"", 0},
                   {"trace_id", PB_BYTES},
                   {"span_id", PB_BYTES},
                   {"trace_state", PB_BYTES},
                   {"parent_span_id", PB_BYTES},
                   {"name", PB_BYTES},
                   {"kind", PB_VARINT},
                   {"start_time_unix_nano", PB_FIXED64},
                   {"end_time_unix_nano", PB_FIXED64},
                   {"attributes", PB_BYTES},
                   {"dropped_attributes_count", PB_VARINT},
                   {"events", PB_BYTES},
                   {"dropped_events_count", PB_VARINT},
                   {"links", PB_BYTES},
                   {"dropped_links_count", PB_VARINT},
                   {"status", PB_BYTES},
                   {"flags", PB_FIXED32}};
static const char *const wire_names[] = {"a varint", "a 64-bit field", "bytes", "", "", "a 32-bit field"};

static void add_note(struct raw_build *build, struct slice key, struct value value) {
    struct attr *attr = attr_list_add(build, &build->attrs, SPAN_ATTRS_MAX, "attributes");
    if (attr) *attr = (struct attr){key, value};
}

static void add_count(struct raw_build *build, const struct pb_field *field) {
    struct slice key = field->number == 10   ? SLICE("otel.dropped_attributes_count")
                       : field->number == 12 ? SLICE("otel.dropped_events_count")
                                             : SLICE("otel.dropped_links_count");
    if (field->integer)
        add_note(build, key, (struct value){.type = VALUE_INT, .integer = (int64_t)(uint32_t)field->integer});
}

int otlp_read_span_protobuf(struct otlp *o, struct slice bytes) {
    const uint8_t *at = pb_bytes(bytes), *end = at + bytes.len;
    struct raw_build *build = &o->build;
    struct raw_span raw = {0};
    struct pb_field field;
    bool links = false;
    int code;
    o->position++;
    raw_build_reset(build);
    while ((code = pb_step(&at, end, &field)) > 0) {
        if (field.number >= sizeof span_fields / sizeof *span_fields) continue;
        if (__builtin_expect(field.wire != span_fields[field.number].wire, 0)) {
            raw_build_refuse(build, "%s: expected %s, found %s", span_fields[field.number].name,
                             wire_names[span_fields[field.number].wire], wire_names[field.wire]);
            continue;
        }
        switch (field.number) {
        case 1: read_id(build, field.bytes, raw.trace_id, TRACE_ID_SIZE, "trace_id"); break;
        case 2: read_id(build, field.bytes, raw.span_id, SPAN_ID_SIZE, "span_id"); break;
        case 3:
            if (field.bytes.len)
                add_note(build, SLICE("otel.trace_state"), (struct value){.type = VALUE_STRING, .text = field.bytes});
            break;
        case 4: read_id(build, field.bytes, raw.parent_span_id, SPAN_ID_SIZE, "parent_span_id"); break;
        case 5: raw.name = field.bytes; break;
        case 6: raw.otel_kind = field.integer <= 5 ? (int)field.integer : 0; break;
        case 7: raw.start_ns = time_of(field.integer); break;
        case 8: raw.end_ns = time_of(field.integer); break;
        case 9:
            otlp_attr_protobuf(build, field.bytes, &build->attrs, SPAN_ATTRS_MAX, "attributes", &build->arena);
            break;
        case 10:
        case 12:
        case 14: add_count(build, &field); break;
        case 11: read_event(o, field.bytes); break;
        case 13: links = true; break;
        case 15: read_status(o, field.bytes, &raw); break;
        default: break;
        }
    }
    if (code < 0)
        raw_build_refuse(build, "byte %zu of the span: %s", (size_t)(at - pb_bytes(bytes)), pb_mistakes[-code]);
    if (links) read_links(o, bytes, &raw);
    return otlp_span_done(o, &raw);
}

/* ---- what is around it ---- */

static int broken(struct otlp *o, const char *where, int code) {
    error_set(o->err, VT_EINVAL, "%s: %s, after %u items", where, pb_mistakes[-code], o->position);
    return error_hint(o->err,
                      "the body must be an %s of OTLP 1.x in protobuf; JSON needs Content-Type: application/json",
                      o->request_name);
}

static int read_resource(struct otlp *o, struct slice bytes) {
    const uint8_t *at = pb_bytes(bytes), *end = at + bytes.len;
    struct pb_field field;
    int code;
    while ((code = pb_step(&at, end, &field)) > 0)
        if (field.number == 1 && field.wire == PB_BYTES)
            otlp_attr_protobuf(&o->build, field.bytes, &o->resource_attrs, SPAN_ATTRS_MAX, "resource attributes",
                               o->lasting);
    return code < 0 ? broken(o, "Resource", code) : 0;
}

static int read_scope(struct otlp *o, struct slice bytes) {
    const uint8_t *at = pb_bytes(bytes), *end = at + bytes.len;
    struct pb_field field;
    int code;
    while ((code = pb_step(&at, end, &field)) > 0) {
        if (field.wire != PB_BYTES) continue;
        if (field.number == 1)
            o->resource.scope_name = field.bytes;
        else if (field.number == 2)
            o->resource.scope_version = field.bytes;
        else if (field.number == 3)
            otlp_attr_protobuf(&o->build, field.bytes, &o->resource_attrs, SPAN_ATTRS_MAX, "scope attributes",
                               o->lasting);
    }
    return code < 0 ? broken(o, "InstrumentationScope", code) : 0;
}

/* Walks a message twice: fields may stand in any order, but spans need what is around them first. */
static int read_around(struct otlp *o, struct slice bytes, const char *name,
                       int (*read_about)(struct otlp *, struct slice), int (*read_inner)(struct otlp *, struct slice)) {
    struct pb_field field;
    const uint8_t *const start = pb_bytes(bytes), *const end = start + bytes.len, *at = start;
    int code, result = 0;
    raw_build_reset(&o->build);
    while ((code = pb_step(&at, end, &field)) > 0)
        if (field.number == 1 && field.wire == PB_BYTES && (result = read_about(o, field.bytes))) return result;
    if (code < 0) return broken(o, name, code);
    if (o->build.refused.code) return error_set(o->err, VT_EINVAL, "%s", o->build.refused.message);
    if (!otlp_resource_done(o)) return error_set(o->err, VT_ENOMEM, "no memory for the request");
    at = start;
    while (pb_step(&at, end, &field) > 0)
        if (field.number == 2 && field.wire == PB_BYTES && (result = read_inner(o, field.bytes))) return result;
    return 0;
}

static int read_scope_spans(struct otlp *o, struct slice bytes) {
    uint32_t around = o->resource_attrs.count; /* the scope's own come behind the resource's, for its spans alone */
    o->resource.scope_name = o->resource.scope_version = (struct slice){NULL, 0};
    int code = read_around(o, bytes, "a scope", read_scope, o->read_protobuf);
    if (!code && o->scope_done) code = o->scope_done(o);
    o->resource_attrs.count = around;
    return code;
}

static int read_resource_spans(struct otlp *o, struct slice bytes) {
    o->resource_attrs.count = 0;
    return read_around(o, bytes, "a resource", read_resource, read_scope_spans);
}

int otlp_walk_protobuf(struct otlp *o, struct slice body) {
    const uint8_t *at = pb_bytes(body), *end = at + body.len;
    struct pb_field field;
    int code, result;
    while ((code = pb_step(&at, end, &field)) > 0)
        if (field.number == 1 && field.wire == PB_BYTES && (result = read_resource_spans(o, field.bytes)))
            return result;
    return code < 0 ? broken(o, o->request_name, code) : 0;
}
