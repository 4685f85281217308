/* Walking objects by brackets and quotes. */
#include "base/json_scan.h"

const char *json_skip_string(const char *at, const char *end) {
    for (at++; at < end; at++) {
        if (*at == '"') return at + 1;
        if (*at == '\\') at++;
    }
    return NULL;
}

const char *json_skip_value(const char *at, const char *end) {
    int depth = 0;
    while (at && at < end) {
        if (*at == '"') {
            at = json_skip_string(at, end);
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

void json_scan_init(struct json_scan *scan, struct slice object) {
    const char *end = object.ptr + object.len, *at = object.len ? json_skip_space(object.ptr, end) : end;
    *scan = (struct json_scan){.at = at, .end = end};
    if (at >= end || *at != '{')
        scan->failed = true;
    else
        scan->at = json_skip_space(at + 1, end);
}

bool json_scan_next(struct json_scan *scan, struct slice *key, struct slice *value) {
    const char *at = scan->at, *end = scan->end;
    if (scan->failed) return false;
    if (at >= end || *at != '"') {
        scan->failed = at >= end || *at != '}';
        return false;
    }
    const char *key_end = json_skip_string(at, end);
    const char *colon = key_end ? json_skip_space(key_end, end) : end;
    scan->failed = true;
    if (colon >= end || *colon != ':') return false;
    const char *from = json_skip_space(colon + 1, end), *to = json_skip_value(from, end);
    if (!to || from >= end) return false;
    *key = slice_make(at, (size_t)(key_end - at));
    const char *last = to;
    while (last > from && (last[-1] == ' ' || last[-1] == '\n' || last[-1] == '\t' || last[-1] == '\r')) last--;
    *value = slice_make(from, (size_t)(last - from));
    at = json_skip_space(to, end);
    if (at < end && *at == ',') at = json_skip_space(at + 1, end);
    scan->at = at;
    scan->failed = false;
    return true;
}
