/* Reads KIND=WHERE|header: value… */
#include "forward/target.h"

#include <stdio.h>
#include <stdlib.h>

static const struct kind {
    const char *name, *content_type;
    void (*encode)(const struct span *, uint32_t, struct buf *);
    uint32_t spans_max;
    const char *path; /* appended to a URL without one */
    const char *key_header,
        *key_env; /* the header that authenticates and the variable that holds its value; NULL = headers alone */
    const char *places[4][2]; /* short names of places and what they stand for */
    const char *place_format; /* any other place without "://" */
} kinds[] = {
    {"otlp", "application/x-protobuf", encode_otlp, 2000, "/v1/traces", NULL, NULL, {{NULL, NULL}}, "http://%s"},
    /* Limits of the log API: 1,000 logs and 5 MB a request. */
    {"datadog",
     "application/json",
     encode_datadog,
     500,
     "/api/v2/logs",
     "DD-API-KEY",
     "DD_API_KEY",
     {{NULL, NULL}},
     "https://http-intake.logs.%s"},
    {"newrelic",
     "application/json",
     encode_newrelic,
     200,
     "/log/v1",
     "Api-Key",
     "NEW_RELIC_API_KEY",
     {{"us", "https://log-api.newrelic.com"}, {"eu", "https://log-api.eu.newrelic.com"}},
     "https://%s"},
};

static const struct kind *kind_named(struct slice name) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (slice_is(name, kinds[i].name)) return &kinds[i];
    return NULL;
}

/* Copies with ${NAME} replaced. */
static int expand(struct slice text, char *out, size_t size, struct error *err) {
    size_t len = 0;
    for (size_t i = 0; i < text.len;) {
        const char *close = i + 1 < text.len && text.ptr[i] == '$' && text.ptr[i + 1] == '{'
                                ? memchr(text.ptr + i, '}', text.len - i)
                                : NULL;
        char name[128];
        if (!close) {
            if (len + 1 >= size) return error_set(err, VT_ELIMIT, "--forward: a header has more than %zu bytes", size);
            out[len++] = text.ptr[i++];
            continue;
        }
        size_t name_len = (size_t)(close - text.ptr) - i - 2;
        snprintf(name, sizeof name, "%.*s", (int)(name_len < sizeof name ? name_len : sizeof name - 1),
                 text.ptr + i + 2);
        const char *value = getenv(name);
        if (!value) return error_set(err, VT_EINVAL, "--forward: the environment has no %s", name);
        int n = snprintf(out + len, size - len, "%s", value);
        if (n < 0 || (size_t)n >= size - len)
            return error_set(err, VT_ELIMIT, "--forward: a header has more than %zu bytes", size);
        len += (size_t)n;
        i += name_len + 3;
    }
    out[len] = 0;
    return strpbrk(out, "\r\n") ? error_set(err, VT_EINVAL, "--forward: a header holds a line break") : 0;
}

static int add_header(struct target *t, struct slice text, struct error *err) {
    while (text.len && *text.ptr == ' ') text = slice_from(text, 1);
    if (t->header_count == TARGET_HEADERS_MAX)
        return error_set(err, VT_ELIMIT, "--forward: more than %d headers", TARGET_HEADERS_MAX);
    if (!memchr(text.ptr, ':', text.len))
        return error_set(err, VT_EINVAL, "--forward: a header is written 'name: value'");
    int code = expand(text, t->headers[t->header_count], TARGET_HEADER_SIZE, err);
    if (!code) t->header_count++;
    return code;
}

static int set_url(struct target *t, const struct kind *kind, struct slice place, struct error *err) {
    char where[512];
    if (!place.len || place.len >= sizeof where)
        return error_set(err, VT_EINVAL, "--forward %s: expected %s=WHERE", kind->name, kind->name);
    memcpy(where, place.ptr, place.len);
    where[place.len] = 0;
    for (size_t i = 0; i < sizeof kind->places / sizeof *kind->places && kind->places[i][0]; i++)
        if (strcmp(where, kind->places[i][0]) == 0) snprintf(where, sizeof where, "%s", kind->places[i][1]);
    if (!strstr(where, "://"))
        snprintf(t->url, sizeof t->url, kind->place_format, where);
    else
        snprintf(t->url, sizeof t->url, "%s", where);
    if (strncmp(t->url, "http://", 7) != 0 && strncmp(t->url, "https://", 8) != 0)
        return error_set(err, VT_EINVAL, "--forward %s: '%s' is no http or https address", kind->name, where);
    const char *path = strchr(strstr(t->url, "://") + 3, '/');
    if (path && !path[1]) t->url[strlen(t->url) - 1] = 0, path = NULL;
    if (!path) snprintf(t->url + strlen(t->url), sizeof t->url - strlen(t->url), "%s", kind->path);
    return 0;
}

int target_parse(const char *text, struct target *t, struct error *err) {
    *t = (struct target){0};
    const char *equals = strchr(text, '=');
    const struct kind *kind = equals ? kind_named(slice_make(text, (size_t)(equals - text))) : NULL;
    if (!kind) {
        error_set(err, VT_EINVAL, "--forward: '%.*s' is no kind of target", equals ? (int)(equals - text) : 20, text);
        return error_hint(err, "write otlp=URL, datadog=SITE or newrelic=us|eu, each with |header: value if need be");
    }
    snprintf(t->kind, sizeof t->kind, "%s", kind->name);
    t->content_type = kind->content_type;
    t->encode = kind->encode;
    t->spans_max = kind->spans_max;
    const char *at = equals + 1, *bar = strchr(at, '|');
    int code = set_url(t, kind, slice_make(at, bar ? (size_t)(bar - at) : strlen(at)), err);
    while (!code && bar) {
        at = bar + 1;
        bar = strchr(at, '|');
        code = add_header(t, slice_make(at, bar ? (size_t)(bar - at) : strlen(at)), err);
    }
    bool has_key = false;
    for (unsigned i = 0; kind->key_header && i < t->header_count; i++)
        has_key |= strncasecmp(t->headers[i], kind->key_header, strlen(kind->key_header)) == 0;
    if (code || !kind->key_header || has_key) return code;
    const char *key = getenv(kind->key_env);
    if (!key || !*key)
        return error_set(err, VT_EINVAL, "--forward %s: no key: set %s in the environment", kind->name, kind->key_env);
    if (t->header_count == TARGET_HEADERS_MAX)
        return error_set(err, VT_ELIMIT, "--forward: more than %d headers", TARGET_HEADERS_MAX);
    snprintf(t->headers[t->header_count++], TARGET_HEADER_SIZE, "%s: %s", kind->key_header, key);
    return strpbrk(key, "\r\n") ? error_set(err, VT_EINVAL, "--forward: %s holds a line break", kind->key_env) : 0;
}
