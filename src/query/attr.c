/* One attribute out of a JSON object, without reading what is not asked for: a key is looked for as bytes first and
 * only then the object is walked, since most spans do not have most attributes. */
#include "base/json.h"
#include "query/field.h"

/* Past a JSON string whose opening quote is at `at`; NULL when it does not end. */
static const char *skip_string(const char *at, const char *end) {
    for (at++; at < end; at++) {
        if (*at == '"') return at + 1;
        if (*at == '\\') at++;
    }
    return NULL;
}

/* Past any value, by brackets and quotes alone: the store holds only JSON that was checked on its way in. */
static const char *skip_value(const char *at, const char *end) {
    int depth = 0;
    while (at && at < end) {
        if (*at == '"') {
            at = skip_string(at, end);
            if (!depth) return at;
            continue;
        }
        if (*at == '{' || *at == '[')
            depth++;
        else if (*at == '}' || *at == ']') {
            if (--depth <= 0) return depth < 0 ? at : at + 1;
        } else if (*at == ',' && !depth)
            return at;
        at++;
    }
    return at;
}

static const char *skip_space(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')) at++;
    return at;
}

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

static bool read_value(struct slice raw, struct arena *arena, struct attr_value *out) {
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
    const char *at = skip_space(json.ptr, json.ptr + json.len), *end = json.ptr + json.len;
    if (at >= end || *at != '{') return false;
    for (at = skip_space(at + 1, end); at && at < end && *at == '"';) {
        const char *key = at, *key_end = skip_string(at, end);
        if (!key_end) return false;
        at = skip_space(key_end, end);
        if (at >= end || *at != ':') return false;
        const char *value = skip_space(at + 1, end), *value_end = skip_value(value, end);
        if (!value_end) return false;
        if (slice_eq(slice_make(key, (size_t)(key_end - key)), quoted)) {
            *raw = slice_make(value, (size_t)(value_end - value));
            return true;
        }
        at = skip_space(value_end, end);
        if (at < end && *at == ',') at = skip_space(at + 1, end);
    }
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
    const char *at = skip_space(found + quoted_len, end);
    if (at >= end || *at != ':') return false;
    const char *value = skip_space(at + 1, end), *value_end = skip_value(value, end);
    if (!value_end) return false;
    while (value_end > value &&
           (value_end[-1] == ' ' || value_end[-1] == '\n' || value_end[-1] == '\t' || value_end[-1] == '\r'))
        value_end--;
    *raw = slice_make(value, (size_t)(value_end - value));
    return true;
}

bool attr_find(struct slice json, struct slice key, struct arena *arena, struct attr_value *out) {
    char stack[256];
    struct buf quoted = {.ptr = stack, .cap = sizeof stack, .limit_bytes = sizeof stack};
    struct slice raw;
    out->type = ATTR_NONE;
    if (json.len < key.len + 4 || key.len > sizeof stack / 8) return false;
    buf_putc(&quoted, '"');
    json_escape(&quoted, key);
    buf_putc(&quoted, '"');
    const char *found = quoted.failed ? NULL : memmem(json.ptr, json.len, quoted.ptr, quoted.len);
    if (!found) return false;
    if (find_flat(json, found, quoted.len, &raw)) return read_value(raw, arena, out);
    return find_raw(json, buf_slice(&quoted), &raw) && read_value(raw, arena, out);
}

bool attr_find_either(struct slice attributes, struct slice resource, struct slice key, struct arena *arena,
                      struct attr_value *out) {
    return attr_find(attributes, key, arena, out) || attr_find(resource, key, arena, out);
}
