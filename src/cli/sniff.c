/* What a file holds, and where its records end. */
#include "cli/sniff.h"

#include "base/pb.h"

static const char *const names[FORM_COUNT] = {"trace log lines", "OTLP JSON", "OTLP protobuf",
                                              "OTLP protobuf with lengths", "Convex log stream"};
const char *const form_words[] = {"lines", "otlp-json", "otlp-proto", "otlp-proto-framed", "convex", NULL};

const char *form_name(enum form form) {
    return names[form];
}

/* As much of it as is there walks as ResourceSpans{1: Resource, 2: ScopeSpans*, 3: schema_url}. */
static bool is_resource_spans(struct slice bytes, bool cut) {
    struct pb_reader r;
    struct pb_field field;
    bool any = false;
    pb_reader_init(&r, bytes);
    while (pb_next(&r, &field)) {
        if (field.number < 1 || field.number > 3 || field.wire != PB_BYTES) return false;
        any = true;
    }
    return r.failed ? cut : any;
}

static bool is_protobuf(struct slice head) {
    size_t at = 0, more, count = 0;
    struct slice record;
    if (!head.len || (unsigned char)head.ptr[0] != 0x0a) return false;
    while (at < head.len && next_pb_record(head, &at, &record, &more)) {
        struct pb_reader r;
        struct pb_field field;
        pb_reader_init(&r, record);
        if (!pb_next(&r, &field) || !is_resource_spans(field.bytes, false)) return false;
        count++;
    }
    if (at == head.len) return count > 0;
    if (!more) return false; /* another field follows: text that begins with an empty line */
    /* The last one goes on behind the head: what is there of it must walk, and its length must make sense. */
    size_t skip = at + 1;
    while (skip < head.len && (head.ptr[skip] & 0x80)) skip++;
    struct slice rest = slice_from(head, skip + 1);
    return more < (1u << 30) &&
           (count || (rest.len && (rest.ptr[0] == 0x0a || rest.ptr[0] == 0x12) && is_resource_spans(rest, true)));
}

static uint32_t big_endian(const char *p) {
    const unsigned char *u = (const unsigned char *)p;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

static bool is_framed(struct slice head) {
    if (head.len < 6 || (unsigned char)head.ptr[4] != 0x0a) return false;
    uint32_t len = big_endian(head.ptr);
    struct slice body = slice_from(head, 4);
    if (len < 2 || len > (64u << 20)) return false;
    if (body.len > len) body.len = len;
    return is_protobuf(body);
}

/* The keys of an object that begins at text[at], until one of `wanted` (a list ending in NULL) is met at its top level.
 */
static const char *first_key_among(struct slice text, const char *const *wanted) {
    size_t at = 0;
    int depth = 0;
    bool key = false;
    for (; at < text.len; at++) {
        char c = text.ptr[at];
        if (c == '{' || c == '[')
            depth++, key = c == '{';
        else if (c == '}' || c == ']') {
            if (--depth == 0) return NULL;
        } else if (c == ',')
            key = depth == 1;
        else if (c == ':')
            key = false;
        else if (c == '"') {
            size_t from = ++at;
            while (at < text.len && text.ptr[at] != '"') at += text.ptr[at] == '\\' ? 2 : 1;
            struct slice name = slice_make(text.ptr + from, at < text.len ? at - from : 0);
            for (const char *const *w = wanted; key && depth == 1 && *w; w++)
                if (slice_is(name, *w)) return *w;
        }
    }
    return NULL;
}

enum form sniff(struct slice head) {
    static const char *const otlp[] = {"resourceSpans",
                                       "resource_spans",
                                       "resourceLogs",
                                       "resource_logs",
                                       "resourceMetrics",
                                       "resource_metrics",
                                       NULL};
    static const char *const convex[] = {"topic", "_topic", NULL};
    if (is_protobuf(head)) return FORM_OTLP_PROTOBUF;
    if (is_framed(head)) return FORM_OTLP_FRAMED;
    size_t at = 0;
    if (slice_starts(head, SLICE("\xef\xbb\xbf"))) at = 3;
    while (at < head.len && head.ptr[at] && strchr(" \t\r\n[", head.ptr[at])) at++;
    struct slice object = slice_from(head, at);
    if (!object.len || object.ptr[0] != '{') return FORM_LINES;
    if (first_key_among(object, otlp)) return FORM_OTLP_JSON;
    return first_key_among(object, convex) ? FORM_CONVEX : FORM_LINES;
}

bool next_json_value(struct slice text, size_t *at, bool inside, struct slice *value) {
    size_t i = *at, start;
    int depth = 0;
    bool quoted = false;
    *value = (struct slice){NULL, 0};
    if (i == 0 && slice_starts(text, SLICE("\xef\xbb\xbf"))) i = 3;
    while (i < text.len && text.ptr[i] && strchr(inside ? " \t\r\n,[]" : " \t\r\n,", text.ptr[i])) i++;
    *at = start = i;
    for (; i < text.len; i++) {
        char c = text.ptr[i];
        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"')
            quoted = true;
        else if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        /* A value that is no object ends with its line. */
        bool over = depth <= 0 && !quoted && (c == '}' || c == ']' || c == '\n');
        if (!over) continue;
        *value = slice_make(text.ptr + start, i + 1 - start);
        *at = i + 1;
        return true;
    }
    return false;
}

bool next_pb_record(struct slice text, size_t *at, struct slice *record, size_t *more) {
    size_t i = *at;
    uint64_t len = 0;
    *more = 1;
    if (i >= text.len) return false;
    if ((unsigned char)text.ptr[i] != 0x0a) {
        *more = 0;
        return false;
    }
    for (unsigned shift = 0; shift < 35; shift += 7) {
        if (++i >= text.len) return false;
        unsigned char c = (unsigned char)text.ptr[i];
        len |= (uint64_t)(c & 0x7f) << shift;
        if (c & 0x80) continue;
        i++;
        if (len > text.len - i) {
            *more = (size_t)len - (text.len - i);
            return false;
        }
        *record = slice_make(text.ptr + *at, i + (size_t)len - *at);
        *at = i + (size_t)len;
        return true;
    }
    *more = 0;
    return false;
}
