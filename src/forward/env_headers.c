/* OTEL_EXPORTER_OTLP_HEADERS, as the specification has it, and the JSON form that people write. */
#include "forward/target.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

static struct slice trimmed(struct slice text) {
    while (text.len && *text.ptr == ' ') text = slice_from(text, 1);
    while (text.len && text.ptr[text.len - 1] == ' ') text.len--;
    return text;
}

static int digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static void put_decoded(struct buf *out, struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        int high = text.ptr[i] == '%' && i + 2 < text.len ? digit(text.ptr[i + 1]) : -1;
        int low = high >= 0 ? digit(text.ptr[i + 2]) : -1;
        buf_putc(out, low < 0 ? text.ptr[i] : (char)(high << 4 | low));
        if (low >= 0) i += 2;
    }
}

static bool has_header(const struct target *t, struct slice name) {
    for (unsigned i = 0; i < t->header_count; i++)
        if (strncasecmp(t->headers[i], name.ptr, name.len) == 0 && t->headers[i][name.len] == ':') return true;
    return false;
}

static int add(struct target *t, const char *variable, struct slice name, struct slice value, bool encoded,
               struct error *err) {
    struct buf line = {0};
    if (!name.len) return error_set(err, VT_EINVAL, "%s: expected name=value,…", variable);
    if (has_header(t, name)) return 0;
    buf_put_slice(&line, name);
    buf_puts(&line, ": ");
    if (encoded)
        put_decoded(&line, value);
    else
        buf_put_slice(&line, value);
    const char *text = buf_cstr(&line);
    int code = 0;
    if (t->header_count == TARGET_HEADERS_MAX || line.failed || line.len >= TARGET_HEADER_SIZE)
        code = error_set(err, VT_ELIMIT, "%s: more than %d headers, or one that is too long", variable,
                         TARGET_HEADERS_MAX);
    else if (strpbrk(text, "\r\n"))
        code = error_set(err, VT_EINVAL, "%s: a header holds a line break", variable);
    else
        snprintf(t->headers[t->header_count++], TARGET_HEADER_SIZE, "%s", text);
    if (line.ptr) explicit_bzero(line.ptr, line.len);
    buf_free(&line);
    return code;
}

static int add_json(struct target *t, const char *variable, struct slice text, struct error *err) {
    struct arena arena = {0};
    struct json_reader r;
    struct slice name, value;
    int code = 0;
    json_reader_init(&r, text, &arena);
    if (json_object(&r))
        while (!code && json_key(&r, &name))
            if (json_string(&r, &value)) code = add(t, variable, name, value, false, err);
    if (!code && !json_end(&r)) /* its message might show a secret */
        code = error_set(err, VT_EINVAL, "%s: expected name=value,… or a JSON object of texts", variable);
    arena_free(&arena);
    return code;
}

int target_add_env_headers(struct target *t, struct error *err) {
    static const char *const variables[] = {"OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"};
    const char *variable = getenv(variables[0]) && *getenv(variables[0]) ? variables[0] : variables[1];
    const char *set = getenv(variable);
    struct slice rest = trimmed(slice_of(set ? set : ""));
    int code = 0;
    if (rest.len && *rest.ptr == '{') return add_json(t, variable, rest, err);
    while (rest.len && !code) {
        const char *comma = memchr(rest.ptr, ',', rest.len);
        struct slice one = trimmed(slice_make(rest.ptr, comma ? (size_t)(comma - rest.ptr) : rest.len));
        rest = comma ? slice_from(rest, (size_t)(comma - rest.ptr) + 1) : (struct slice){0};
        const char *equals = one.len ? memchr(one.ptr, '=', one.len) : NULL;
        if (!one.len) continue;
        size_t at = equals ? (size_t)(equals - one.ptr) : 0;
        code = add(t, variable, trimmed(slice_make(one.ptr, at)), trimmed(slice_from(one, at + (equals != NULL))), true,
                   err);
    }
    return code;
}
