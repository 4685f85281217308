/* Reads KIND=WHERE|header: value… */
#include "forward/target.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const flags[] = {[TARGET_SPANS] = "--forward", [TARGET_METRICS] = "--push"};
static const char *const hints[] = {
    [TARGET_SPANS] = "write otlp=URL, datadog=SITE or newrelic=us|eu, each with |header: value if need be",
    [TARGET_METRICS] = "write otlp=URL or prometheus=URL, each with |header: value if need be"};

static const struct kind {
    enum target_use use;
    const char *name, *content_type;
    void (*encode)(const struct span *, uint32_t, struct buf *);
    void (*cut)(struct slice, uint32_t, uint32_t, struct buf *);
    uint32_t spans_max, bytes_max;
    const char *path; /* appended to a URL without one */
    const char *key_header,
        *key_env; /* the header that authenticates and the variable that holds its value; NULL = headers alone */
    const char *places[4][2]; /* short names of places and what they stand for */
    const char *place_format; /* any other place without "://" */
} kinds[] = {
    {TARGET_SPANS,
     "otlp",
     "application/x-protobuf",
     encode_otlp,
     cut_otlp,
     2000,
     8 << 20, /* the OpenTelemetry Collector takes 20 MiB, what stands before it often less */
     "/v1/traces",
     NULL,
     NULL,
     {{NULL, NULL}},
     "http://%s"},
    /* Limits of the log API: 1,000 logs and 5 MB a request. */
    {TARGET_SPANS,
     "datadog",
     "application/json",
     encode_datadog,
     cut_datadog,
     500,
     4500000,
     "/api/v2/logs",
     "DD-API-KEY",
     "DD_API_KEY",
     {{NULL, NULL}},
     "https://http-intake.logs.%s"},
    {TARGET_SPANS,
     "newrelic",
     "application/json",
     encode_newrelic,
     cut_newrelic,
     200,
     3000000, /* 1 MB packed */
     "/log/v1",
     "Api-Key",
     "NEW_RELIC_API_KEY",
     {{"us", "https://log-api.newrelic.com"}, {"eu", "https://log-api.eu.newrelic.com"}},
     "https://%s"},
    {TARGET_METRICS,
     "otlp",
     "application/x-protobuf",
     NULL,
     NULL,
     0,
     0,
     "/v1/metrics",
     NULL,
     NULL,
     {{NULL, NULL}},
     "http://%s"},
    /* Remote write 1.0, as Prometheus, Mimir, Thanos and VictoriaMetrics take it. */
    {TARGET_METRICS,
     "prometheus",
     "application/x-protobuf",
     NULL,
     NULL,
     0,
     0,
     "/api/v1/write",
     NULL,
     NULL,
     {{NULL, NULL}},
     "http://%s"},
};

static const struct kind *kind_named(enum target_use use, struct slice name) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].use == use && slice_is(name, kinds[i].name)) return &kinds[i];
    return NULL;
}

/* Copies with ${NAME} replaced. */
static int expand(const char *flag, struct slice text, char *out, size_t size, struct error *err) {
    size_t len = 0;
    for (size_t i = 0; i < text.len;) {
        const char *close = i + 1 < text.len && text.ptr[i] == '$' && text.ptr[i + 1] == '{'
                                ? memchr(text.ptr + i, '}', text.len - i)
                                : NULL;
        char name[128];
        if (!close) {
            if (len + 1 >= size) return error_set(err, VT_ELIMIT, "%s: a header has more than %zu bytes", flag, size);
            out[len++] = text.ptr[i++];
            continue;
        }
        size_t name_len = (size_t)(close - text.ptr) - i - 2;
        snprintf(name, sizeof name, "%.*s", (int)(name_len < sizeof name ? name_len : sizeof name - 1),
                 text.ptr + i + 2);
        const char *value = getenv(name);
        if (!value) return error_set(err, VT_EINVAL, "%s: the environment has no %s", flag, name);
        int n = snprintf(out + len, size - len, "%s", value);
        if (n < 0 || (size_t)n >= size - len)
            return error_set(err, VT_ELIMIT, "%s: a header has more than %zu bytes", flag, size);
        len += (size_t)n;
        i += name_len + 3;
    }
    out[len] = 0;
    return strpbrk(out, "\r\n") ? error_set(err, VT_EINVAL, "%s: a header holds a line break", flag) : 0;
}

static int add_header(const char *flag, struct target *t, struct slice text, struct error *err) {
    while (text.len && *text.ptr == ' ') text = slice_from(text, 1);
    if (t->header_count == TARGET_HEADERS_MAX)
        return error_set(err, VT_ELIMIT, "%s: more than %d headers", flag, TARGET_HEADERS_MAX);
    if (!memchr(text.ptr, ':', text.len))
        return error_set(err, VT_EINVAL, "%s: a header is written 'name: value'", flag);
    int code = expand(flag, text, t->headers[t->header_count], TARGET_HEADER_SIZE, err);
    if (!code) t->header_count++;
    return code;
}

static int set_url(const char *flag, struct target *t, const struct kind *kind, struct slice place, struct error *err) {
    char where[512];
    if (!place.len || place.len >= sizeof where)
        return error_set(err, VT_EINVAL, "%s %s: expected %s=WHERE", flag, kind->name, kind->name);
    memcpy(where, place.ptr, place.len);
    where[place.len] = 0;
    for (size_t i = 0; i < sizeof kind->places / sizeof *kind->places && kind->places[i][0]; i++)
        if (strcmp(where, kind->places[i][0]) == 0) snprintf(where, sizeof where, "%s", kind->places[i][1]);
    if (!strstr(where, "://"))
        snprintf(t->url, sizeof t->url, kind->place_format, where);
    else
        snprintf(t->url, sizeof t->url, "%s", where);
    if (strncmp(t->url, "http://", 7) != 0 && strncmp(t->url, "https://", 8) != 0)
        return error_set(err, VT_EINVAL, "%s %s: '%s' is no http or https address", flag, kind->name, where);
    const char *path = strchr(strstr(t->url, "://") + 3, '/');
    if (path && !path[1]) t->url[strlen(t->url) - 1] = 0, path = NULL;
    if (!path) snprintf(t->url + strlen(t->url), sizeof t->url - strlen(t->url), "%s", kind->path);
    return 0;
}

int target_parse(const char *text, enum target_use use, struct target *t, struct error *err) {
    *t = (struct target){0};
    const char *equals = strchr(text, '='), *flag = flags[use];
    const struct kind *kind = equals ? kind_named(use, slice_make(text, (size_t)(equals - text))) : NULL;
    if (!kind) {
        error_set(err, VT_EINVAL, "%s: '%.*s' is no kind of target", flag, equals ? (int)(equals - text) : 20, text);
        return error_hint(err, "%s", hints[use]);
    }
    snprintf(t->kind, sizeof t->kind, "%s", kind->name);
    t->content_type = kind->content_type;
    bool remote_write = strcmp(kind->name, "prometheus") == 0;
    t->encoding = remote_write ? "snappy" : "gzip";
    t->fixed_header = remote_write ? "X-Prometheus-Remote-Write-Version: 0.1.0" : NULL;
    t->encode = kind->encode;
    t->cut = kind->cut;
    t->spans_max = kind->spans_max;
    t->bytes_max = kind->bytes_max;
    const char *at = equals + 1, *bar = strchr(at, '|');
    int code = set_url(flag, t, kind, slice_make(at, bar ? (size_t)(bar - at) : strlen(at)), err);
    while (!code && bar) {
        at = bar + 1;
        bar = strchr(at, '|');
        code = add_header(flag, t, slice_make(at, bar ? (size_t)(bar - at) : strlen(at)), err);
    }
    bool has_key = false;
    for (unsigned i = 0; kind->key_header && i < t->header_count; i++)
        has_key |= strncasecmp(t->headers[i], kind->key_header, strlen(kind->key_header)) == 0;
    if (code || !kind->key_header || has_key) return code;
    const char *key = getenv(kind->key_env);
    if (!key || !*key)
        return error_set(err, VT_EINVAL, "%s %s: no key: set %s in the environment", flag, kind->name, kind->key_env);
    if (t->header_count == TARGET_HEADERS_MAX)
        return error_set(err, VT_ELIMIT, "%s: more than %d headers", flag, TARGET_HEADERS_MAX);
    snprintf(t->headers[t->header_count++], TARGET_HEADER_SIZE, "%s: %s", kind->key_header, key);
    return strpbrk(key, "\r\n") ? error_set(err, VT_EINVAL, "%s: %s holds a line break", flag, kind->key_env) : 0;
}
