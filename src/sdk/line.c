/* Formats with one check of room a text, not one a byte: this runs once for each span there is. */
#include "sdk/line.h"

#include "base/format.h"
#include "base/id.h"
#include "base/timestamp.h"

/* Room that covers the fixed words and numbers between two texts. */
enum { BETWEEN = 512 };

static char *room(struct buf *out, char *at, size_t text_len) {
    if (at) out->len = (size_t)(at - out->ptr);
    return buf_reserve(out, text_len * FORMAT_ESCAPE_MAX + BETWEEN) ? out->ptr + out->len : NULL;
}

#define PUT(at, literal) (memcpy(at, literal, sizeof(literal) - 1), (at) + sizeof(literal) - 1)

static inline char *put_quoted(char *at, const char *text, size_t len) {
    *at++ = '"';
    at = format_escaped(at, slice_make(text, len));
    *at++ = '"';
    return at;
}

/* "key":value, with the comma behind. NULL: no memory. */
static char *put_attr(struct buf *out, char *at, const vt_attr *attr) {
    size_t text_len = attr->key_size + (attr->type == VT_STRING ? (size_t)attr->value_size : 0);
    if (!(at = room(out, at, text_len))) return NULL;
    at = put_quoted(at, attr->key, attr->key_size);
    *at++ = ':';
    switch (attr->type) {
    case VT_STRING: at = put_quoted(at, attr->value.string, attr->value_size); break;
    case VT_INT: at = format_int(at, attr->value.integer); break;
    case VT_DOUBLE: at = format_double(at, attr->value.real); break;
    default: at = attr->value.boolean ? PUT(at, "true") : PUT(at, "false"); break;
    }
    *at++ = ',';
    return at;
}

static char *put_attrs(struct buf *out, char *at, const vt_attr *attrs, size_t count) {
    for (size_t i = 0; i < count && at; i++) at = put_attr(out, at, &attrs[i]);
    return at;
}

/* The texts of the second in which ns lies: most times of a span share it with the last one's. Returns the rest in ms.
 */
static unsigned find_second(struct line_writer *writer, int64_t ns) {
    int64_t second = ns / NS_PER_S;
    if (second != writer->second || !writer->clock[0]) {
        time_format(second * NS_PER_S, 3, writer->clock);
        writer->digits_len = (size_t)(format_int(writer->digits, second) - writer->digits);
        writer->second = second;
    }
    return (unsigned)(ns % NS_PER_S / NS_PER_MS);
}

static inline char *put_three(char *at, unsigned value) {
    at[0] = (char)('0' + value / 100);
    at[1] = (char)('0' + value / 10 % 10);
    at[2] = (char)('0' + value % 10);
    return at + 3;
}

static char *put_time(struct line_writer *writer, char *at, int64_t ns) {
    enum { TO_SECOND = 20 };
    unsigned ms = find_second(writer, ns);
    memcpy(at, writer->clock, TO_SECOND);
    at = put_three(at + TO_SECOND, ms);
    *at++ = 'Z';
    return at;
}

static char *put_unix_ms(struct line_writer *writer, char *at, int64_t ns) {
    if (ns < NS_PER_S) return format_int(at, ns / NS_PER_MS);
    unsigned ms = find_second(writer, ns);
    memcpy(at, writer->digits, sizeof writer->digits); /* a constant number of bytes: room is there */
    return put_three(at + writer->digits_len, ms);
}

static char *put_id(char *at, const uint8_t *id, size_t size) {
    *at++ = '"';
    hex_encode(id, size, at);
    at += 2 * size;
    *at++ = '"';
    return at;
}

static uint64_t size_bit(size_t size) {
    return UINT64_C(1) << (size < 63 ? size : 63);
}

static void learn_resource(struct line_writer *writer, const vt_attr *resource, size_t count) {
    buf_clear(&writer->head);
    char *at = room(&writer->head, NULL, 0);
    if (at) at = put_attrs(&writer->head, at, resource, count);
    if (at) writer->head.len = (size_t)(at - writer->head.ptr);
    writer->key_sizes = 0;
    for (size_t i = 0; i < count; i++) writer->key_sizes |= size_bit(resource[i].key_size);
    writer->resource = resource;
}

static bool is_own(const vt_finished *span, const vt_attr *attr) {
    for (uint32_t i = 0; i < span->attr_count; i++)
        if (span->attrs[i].key_size == attr->key_size && !memcmp(span->attrs[i].key, attr->key, attr->key_size))
            return true;
    return false;
}

static bool may_repeat(const struct line_writer *writer, const vt_finished *span) {
    uint64_t sizes = 0;
    for (uint32_t i = 0; i < span->attr_count; i++) sizes |= size_bit(span->attrs[i].key_size);
    return (sizes & writer->key_sizes) != 0;
}

static char *put_resource(struct line_writer *writer, struct buf *out, char *at, const vt_attr *resource, size_t count,
                          const vt_finished *span) {
    bool repeats = false;
    if (may_repeat(writer, span))
        for (size_t i = 0; i < count && !repeats; i++) repeats = is_own(span, &resource[i]);
    if (repeats) {
        for (size_t i = 0; i < count && at; i++)
            if (!is_own(span, &resource[i])) at = put_attr(out, at, &resource[i]);
        return at;
    }
    if (!(at = room(out, at, writer->head.len))) return NULL;
    memcpy(at, writer->head.ptr, writer->head.len);
    return at + writer->head.len;
}

static char *put_events(struct line_writer *writer, struct buf *out, char *at, const vt_finished *span) {
    at = PUT(at, ",\"events\":[");
    for (uint32_t i = 0; i < span->event_count; i++) {
        const vt_event *event = &span->events[i];
        if (!(at = room(out, at, event->name_size))) return NULL;
        if (i) *at++ = ',';
        at = PUT(at, "{\"name\":");
        at = put_quoted(at, event->name, event->name_size);
        at = PUT(at, ",\"timestamp\":");
        at = put_unix_ms(writer, at, event->time_ns);
        if (event->attr_count) {
            at = PUT(at, ",\"attributes\":{");
            if (!(at = put_attrs(out, at, event->attrs, event->attr_count))) return NULL;
            at[-1] = '}';
        }
        *at++ = '}';
    }
    if (!(at = room(out, at, 0))) return NULL;
    *at++ = ']';
    return at;
}

/* The line up to "attributes". */
static char *put_head(struct line_writer *writer, char *at, const vt_finished *span) {
    at = PUT(at, "{\"timestamp\":\"");
    at = put_time(writer, at, span->start_ns);
    at = span->failed ? PUT(at, "\",\"level\":\"ERROR\",\"message\":\"TRACE: ")
                      : PUT(at, "\",\"level\":\"INFO\",\"message\":\"TRACE: ");
    const char *operation = at;
    at = format_escaped(at, slice_make(span->operation, span->operation_size));
    size_t operation_len = (size_t)(at - operation);
    at = PUT(at, "\",\"trace\":{\"traceId\":");
    at = put_id(at, span->trace_id, sizeof span->trace_id);
    at = PUT(at, ",\"spanId\":");
    at = put_id(at, span->span_id, sizeof span->span_id);
    if (!id_is_zero(span->parent_span_id, sizeof span->parent_span_id)) {
        at = PUT(at, ",\"parentSpanId\":");
        at = put_id(at, span->parent_span_id, sizeof span->parent_span_id);
    }
    at = PUT(at, ",\"operation\":\"");
    memcpy(at, operation, operation_len);
    at += operation_len;
    at = PUT(at, "\",\"duration\":\"");
    at = format_int(at, (span->end_ns - span->start_ns) / NS_PER_MS);
    at = span->failed ? PUT(at, "ms\",\"status\":\"ERROR\"") : PUT(at, "ms\",\"status\":\"OK\"");
    if (span->error) {
        at = PUT(at, ",\"error\":");
        at = put_quoted(at, span->error, span->error_size);
    }
    *at++ = '}';
    return at;
}

void line_put(struct line_writer *writer, struct buf *out, const vt_attr *resource, size_t resource_count,
              const vt_finished *span) {
    if (writer->resource != resource) learn_resource(writer, resource, resource_count);
    size_t before = out->len;
    char *at = room(out, NULL, 2 * (size_t)span->operation_size + span->error_size);
    if (!at) goto out;
    at = put_head(writer, at, span);
    at = PUT(at, ",\"attributes\":{");
    const char *open = at;
    size_t open_len = (size_t)(open - out->ptr);
    if (!(at = put_resource(writer, out, at, resource, resource_count, span))) goto out;
    if (!(at = put_attrs(out, at, span->attrs, span->attr_count))) goto out;
    if (!(at = room(out, at, 0))) goto out;
    if ((size_t)(at - out->ptr) > open_len)
        at[-1] = '}';
    else
        at -= sizeof ",\"attributes\":{" - 1; /* nothing to say */
    if (span->event_count && !(at = put_events(writer, out, at, span))) goto out;
    *at++ = '}';
    *at++ = '\n';
    out->len = (size_t)(at - out->ptr);
    return;
out:
    out->len = before; /* a line is whole or not there */
}

void line_writer_free(struct line_writer *writer) {
    buf_free(&writer->head);
    *writer = (struct line_writer){0};
}
