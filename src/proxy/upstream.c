/* See upstream.h. */
#include "proxy/upstream.h"

#include "span/dialect.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

/* Hosts of providers; a name that begins with a dot is the end of one. */
static const struct {
    const char *host, *provider;
} hosts[] = {
    {"api.openai.com", "openai"},
    {"api.anthropic.com", "anthropic"},
    {".openai.azure.com", "azure"},
    {".cognitiveservices.azure.com", "azure"},
    {".services.ai.azure.com", "azure"},
    {"generativelanguage.googleapis.com", "google"},
    {"aiplatform.googleapis.com", "vertex"},
    {"-aiplatform.googleapis.com", "vertex"},
    {".amazonaws.com", "bedrock"},
    {"api.mistral.ai", "mistral"},
    {"api.groq.com", "groq"},
    {"api.deepseek.com", "deepseek"},
    {"api.x.ai", "xai"},
    {"api.together.xyz", "together"},
    {"api.together.ai", "together"},
    {"api.fireworks.ai", "fireworks"},
    {"api.cerebras.ai", "cerebras"},
    {"api.perplexity.ai", "perplexity"},
    {"api.cohere.com", "cohere"},
    {"api.cohere.ai", "cohere"},
    {"openrouter.ai", "openrouter"},
};

static struct slice provider_of(struct slice host, struct slice name) {
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct slice known = slice_of(hosts[i].host);
        bool whole = isalpha((unsigned char)*known.ptr);
        if (host.len < known.len || (whole && host.len != known.len)) continue;
        if (strncasecmp(host.ptr + host.len - known.len, known.ptr, known.len) == 0) return slice_of(hosts[i].provider);
    }
    return dialect_provider(name);
}

static int refuse(struct error *err, const char *text, const char *why) {
    /* A password before the "@" must not be shown. */
    const char *at = strchr(text, '@'), *host = strstr(text, "//");
    size_t shown = !at ? strlen(text) : host && host < at ? (size_t)(host - text) + 2 : 0;
    error_set(err, VT_EINVAL, "--upstream \"%.*s%s\": %s", (int)(shown > 200 ? 200 : shown), text, at ? "…" : "", why);
    return error_hint(err, "for example --upstream openai=https://api.openai.com");
}

static bool name_is_good(struct slice name) {
    if (!name.len || name.len > UPSTREAM_NAME_MAX || name.ptr[0] == '.') return false;
    for (size_t i = 0; i < name.len; i++)
        if (!isalnum((unsigned char)name.ptr[i]) && !memchr("-_.", name.ptr[i], 3)) return false;
    return true;
}

static bool is_loopback(struct slice host) {
    return slice_is(host, "localhost") || slice_is(host, "[::1]") || slice_starts(host, SLICE("127."));
}

/* host[:port]; false when it is none. */
static bool read_authority(struct slice text, struct upstream *upstream) {
    size_t end = 0;
    if (text.len && *text.ptr == '[') {
        const char *close = memchr(text.ptr, ']', text.len);
        if (!close) return false;
        end = (size_t)(close - text.ptr) + 1;
    } else {
        while (end < text.len && text.ptr[end] != ':') end++;
    }
    upstream->host = slice_make(text.ptr, end);
    struct slice port = slice_from(text, end);
    if (!end || (port.len && (port.len < 2 || port.len > 6 || *port.ptr != ':'))) return false;
    for (size_t i = 1; i < port.len; i++) {
        if (!isdigit((unsigned char)port.ptr[i])) return false;
        upstream->port = upstream->port * 10 + (port.ptr[i] - '0');
    }
    return port.len ? upstream->port > 0 && upstream->port < 65536 : true;
}

static int read_one(struct upstreams *all, const char *text, struct arena *arena, struct error *err) {
    const char *equals = strchr(text, '=');
    struct upstream *upstream = &all->list[all->count];
    *upstream = (struct upstream){.name = arena_copy(arena, slice_make(text, equals ? (size_t)(equals - text) : 0))};
    if (!equals || !name_is_good(upstream->name))
        return refuse(err, text, "expected NAME=URL, the name of letters, digits, \"-\", \"_\" and \".\"");
    for (size_t i = 0; i < all->count; i++)
        if (slice_eq(all->list[i].name, upstream->name)) return refuse(err, text, "this name was given before");
    struct slice url = arena_copy(arena, slice_of(equals + 1));
    if (!url.ptr) return error_set(err, VT_ENOMEM, "no memory for the upstreams");
    size_t scheme = strncasecmp(url.ptr, "http://", 7) == 0 ? 7 : strncasecmp(url.ptr, "https://", 8) == 0 ? 8 : 0;
    if (!scheme) return refuse(err, text, "its address must begin with http:// or https://");
    for (size_t i = 0; i < url.len; i++)
        if ((unsigned char)url.ptr[i] <= ' ' || strchr("\"<>\\^`{|}\x7f", url.ptr[i]))
            return refuse(err, text, "its address has a character that none may have");
    if (strpbrk(url.ptr, "?#")) return refuse(err, text, "its address may have no \"?\" and no \"#\"");
    struct slice rest = slice_from(url, scheme);
    const char *slash = rest.len ? memchr(rest.ptr, '/', rest.len) : NULL;
    struct slice authority = slice_make(rest.ptr, slash ? (size_t)(slash - rest.ptr) : rest.len);
    if (memchr(authority.ptr ? authority.ptr : "", '@', authority.len))
        return refuse(err, text, "keys come with each request, not in the address");
    if (!read_authority(authority, upstream)) return refuse(err, text, "its address has no host, or no good port");
    while (url.ptr[url.len - 1] == '/') ((char *)(uintptr_t)url.ptr)[--url.len] = 0;
    upstream->url = url.ptr;
    upstream->provider = provider_of(upstream->host, upstream->name);
    upstream->loopback = is_loopback(upstream->host);
    all->count++;
    return 0;
}

int upstreams_read(struct upstreams *all, const char *const *texts, size_t count, struct arena *arena,
                   struct error *err) {
    *all = (struct upstreams){0};
    if (count > UPSTREAMS_MAX) return error_set(err, VT_ELIMIT, "--upstream: at most %d", UPSTREAMS_MAX);
    all->list = arena_calloc(arena, count + 1, sizeof *all->list);
    if (!all->list) return error_set(err, VT_ENOMEM, "no memory for the upstreams");
    int code = 0;
    for (size_t i = 0; i < count && !code; i++) code = read_one(all, texts[i], arena, err);
    return code;
}

const struct upstream *upstream_of(const struct upstreams *all, struct slice path, struct slice *rest) {
    size_t end = 0;
    while (end < path.len && path.ptr[end] != '/' && path.ptr[end] != '?') end++;
    for (size_t i = 0; i < all->count; i++)
        if (slice_eq(all->list[i].name, slice_make(path.ptr, end))) {
            *rest = slice_from(path, end);
            return &all->list[i];
        }
    return NULL;
}

/* One character of the path, percent-encoded or not; moves on. */
static char next_char(struct slice *path) {
    if (path->len >= 3 && *path->ptr == '%' && path->ptr[1] == '2' && (path->ptr[2] | 0x20) == 'e') {
        *path = slice_from(*path, 3);
        return '.';
    }
    if (path->len >= 3 && *path->ptr == '%' &&
        ((path->ptr[1] == '2' && (path->ptr[2] | 0x20) == 'f') ||
         (path->ptr[1] == '5' && (path->ptr[2] | 0x20) == 'c'))) {
        *path = slice_from(*path, 3);
        return '/';
    }
    char c = *path->ptr == '\\' ? '/' : *path->ptr;
    *path = slice_from(*path, 1);
    return c;
}

bool path_climbs(struct slice path) {
    unsigned dots = 0;
    bool only_dots = true;
    while (path.len && *path.ptr != '?') {
        char c = next_char(&path);
        if (c == '/') {
            if (only_dots && dots == 2) return true;
            dots = 0, only_dots = true;
        } else if (c == '.') {
            dots++;
        } else {
            only_dots = false;
        }
    }
    return only_dots && dots == 2;
}
