/* One attribute out of a JSON object, without reading what is not asked for: a key is looked for as bytes first and
 * only then the object is walked, since most spans do not have most attributes. */
#include "base/json.h"
#include "base/json_scan.h"
#include "query/field.h"

/* Values that need no reader: texts without escapes, small whole numbers, true and false. */
static bool read_plain(struct slice raw, struct attr_value *out) {
    out->text = raw;
    if (raw.len >= 2 && *raw.ptr == '"') {
        out->type = ATTR_TEXT;
        out->text = slice_make(raw.ptr + 1, raw.len - 2);
        return !memchr(raw.ptr, '\\', raw.len);
    }
    if (slice_is(raw, "true") || slice_is(raw, "false")) {
        out->type = ATTR_BOOL;
        out->boolean = *raw.ptr == 't';
        return true;
    }
    int64_t number = 0;
    if (!raw.len || raw.len > 15) return false;
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.ptr[i] < '0' || raw.ptr[i] > '9') return false;
        number = number * 10 + (raw.ptr[i] - '0');
    }
    out->type = ATTR_NUMBER;
    out->number = (double)number;
    return true;
}

bool attr_read(struct slice raw, struct arena *arena, struct attr_value *out) {
    out->type = ATTR_NONE;
    if (read_plain(raw, out)) return true;
    struct json_reader r;
    struct json_number number;
    json_reader_init(&r, raw, arena);
    out->text = raw;
    switch (json_peek(&r)) {
    case JSON_STRING: out->type = ATTR_TEXT; return json_string(&r, &out->text);
    case JSON_NUMBER:
        out->type = ATTR_NUMBER;
        if (!json_number(&r, &number)) return false;
        out->number = number.real;
        return true;
    case JSON_BOOL: out->type = ATTR_BOOL; return json_bool(&r, &out->boolean);
    case JSON_ARRAY:
    case JSON_OBJECT: out->type = ATTR_JSON; return true;
    default: out->type = ATTR_NONE; return false;
    }
}

/* The raw text of the value behind `quoted` (the key with its quotes, escaped) at the top level. */
static bool find_raw(struct slice json, struct slice quoted, struct slice *raw) {
    struct json_scan scan;
    struct slice key;
    json_scan_init(&scan, json);
    while (json_scan_next(&scan, &key, raw))
        if (slice_eq(key, quoted)) return true;
    return false;
}

/* The same where the key at `found` is certain to be one of the top level: nothing is nested before it. A quote that is
 * not escaped, then ':', makes it a key and no value. False: look properly. */
static bool find_flat(struct slice json, const char *found, size_t quoted_len, struct slice *raw) {
    const char *end = json.ptr + json.len;
    size_t before = (size_t)(found - json.ptr);
    if (before < 1 || found[-1] == '\\' || memchr(json.ptr + 1, '{', before - 1) ||
        memchr(json.ptr + 1, '[', before - 1))
        return false;
    const char *at = json_skip_space(found + quoted_len, end);
    if (at >= end || *at != ':') return false;
    const char *value = json_skip_space(at + 1, end), *value_end = json_skip_value(value, end);
    if (!value_end) return false;
    while (value_end > value &&
           (value_end[-1] == ' ' || value_end[-1] == '\n' || value_end[-1] == '\t' || value_end[-1] == '\r'))
        value_end--;
    *raw = slice_make(value, (size_t)(value_end - value));
    return true;
}

bool attr_quote(struct slice key, struct buf *out) {
    if (key.len > ATTR_KEY_MAX) return false;
    buf_putc(out, '"');
    json_escape(out, key);
    buf_putc(out, '"');
    return !out->failed;
}

bool attr_find(struct slice json, struct slice key, struct arena *arena, struct attr_value *out) {
    char stack[ATTR_QUOTED_MAX];
    struct buf quoted = {.ptr = stack, .cap = sizeof stack, .limit_bytes = sizeof stack};
    struct slice raw;
    out->type = ATTR_NONE;
    if (json.len < key.len + 4 || !attr_quote(key, &quoted)) return false;
    const char *found = memmem(json.ptr, json.len, quoted.ptr, quoted.len);
    if (!found) return false;
    if (find_flat(json, found, quoted.len, &raw)) return attr_read(raw, arena, out);
    return find_raw(json, buf_slice(&quoted), &raw) && attr_read(raw, arena, out);
}

bool attr_find_either(struct slice attributes, struct slice resource, struct slice key, struct arena *arena,
                      struct attr_value *out) {
    return attr_find(attributes, key, arena, out) || attr_find(resource, key, arena, out);
}
