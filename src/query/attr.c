/* One attribute out of a JSON object, without reading what is not asked for: a key is looked for as bytes first and only then
 * the object is walked, since most spans do not have most attributes. */
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
        if (*at == '{' || *at == '[') depth++;
        else if (*at == '}' || *at == ']') {
            if (--depth <= 0) return depth < 0 ? at : at + 1;
        } else if (*at == ',' && !depth) return at;
        at++;
    }
    return at;
}

static const char *skip_space(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')) at++;
    return at;
}

static bool read_value(struct slice raw, struct arena *arena, struct attr_value *out) {
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

bool attr_find(struct slice json, struct slice key, struct arena *arena, struct attr_value *out) {
    char stack[256];
    struct buf quoted = {.ptr = stack, .cap = sizeof stack, .limit_bytes = sizeof stack};
    struct slice raw;
    out->type = ATTR_NONE;
    if (json.len < key.len + 4 || key.len > sizeof stack / 8) return false;
    buf_putc(&quoted, '"');
    json_escape(&quoted, key);
    buf_putc(&quoted, '"');
    if (quoted.failed || !memmem(json.ptr, json.len, quoted.ptr, quoted.len)) return false;
    return find_raw(json, buf_slice(&quoted), &raw) && read_value(raw, arena, out);
}

bool attr_find_either(struct slice attributes, struct slice resource, struct slice key, struct arena *arena,
                      struct attr_value *out) {
    return attr_find(attributes, key, arena, out) || attr_find(resource, key, arena, out);
}
