/* See admit.h. */
#include "serve/server.h"

#include "base/base64.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

static bool same_word(struct slice a, const char *b) {
    return strlen(b) == a.len && strncasecmp(a.ptr, b, a.len) == 0;
}

static struct slice trim(struct slice text) {
    while (text.len && (*text.ptr == ' ' || *text.ptr == '\t')) text.ptr++, text.len--;
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) text.len--;
    return text;
}

/* Takes the next of the words with commas between. */
static bool next_word(struct slice *list, struct slice *word) {
    if (!list->len) return false;
    const char *comma = memchr(list->ptr, ',', list->len);
    size_t len = comma ? (size_t)(comma - list->ptr) : list->len;
    *word = trim(slice_make(list->ptr, len));
    *list = slice_from(*list, len + 1);
    return true;
}

bool list_has(const char *list, struct slice item) {
    struct slice rest = slice_of(list), word;
    while (next_word(&rest, &word))
        if (word.len && word.len == item.len && strncasecmp(word.ptr, item.ptr, item.len) == 0) return true;
    return false;
}

/* --- keys --- */

/* Basic: name:secret. SDKs of Langfuse put the public key first and the secret second; the key may stand in either
 * place. */
static bool check_basic(struct keys *keys, struct slice encoded, struct key *key) {
    uint8_t text[256];
    size_t len = sizeof text;
    if (encoded.len > 320 || !base64_decode(encoded, text, &len)) return false;
    struct slice pair = slice_make(text, len);
    const char *colon = memchr(pair.ptr, ':', pair.len);
    if (!colon) return keys_check(keys, pair, key);
    size_t name_len = (size_t)(colon - pair.ptr);
    return keys_check(keys, slice_from(pair, name_len + 1), key) ||
           keys_check(keys, slice_make(pair.ptr, name_len), key);
}

static bool check_authorization(struct keys *keys, struct slice text, struct key *key) {
    text = trim(text);
    const char *space = text.len ? memchr(text.ptr, ' ', text.len) : NULL;
    if (!space) return keys_check(keys, text, key);
    struct slice scheme = slice_make(text.ptr, (size_t)(space - text.ptr)), rest = trim(slice_from(text, scheme.len));
    if (same_word(scheme, "Basic")) return check_basic(keys, rest, key);
    return same_word(scheme, "Bearer") && keys_check(keys, rest, key);
}

static bool check_protocols(struct keys *keys, struct slice list, struct key *key) {
    struct slice word;
    while (next_word(&list, &word))
        if (slice_starts(word, SLICE("key.")) && keys_check(keys, slice_from(word, 4), key)) return true;
    return false;
}

/* A key of ours that is not good is a mistake worth telling also where none is asked for: its spans would go to another
 * project. */
static bool looks_like_ours(const struct credentials *c) {
    return slice_starts(c->api_key, SLICE("vt_")) || slice_starts(trim(c->authorization), SLICE("vt_")) ||
           slice_starts(trim(c->authorization), SLICE("Bearer vt_"));
}

enum verdict admission_check(const struct admission *admission, const struct credentials *c, int scope,
                             struct key *key) {
    struct keys *keys = admission->keys;
    memset(key, 0, sizeof *key);
    key->scopes = SCOPE_ALL;
    if (!scope) return ADMITTED;
    if ((c->authorization.len && check_authorization(keys, c->authorization, key)) ||
        (c->api_key.len && keys_check(keys, trim(c->api_key), key)) ||
        (c->protocols.len && check_protocols(keys, c->protocols, key)))
        return (key->scopes & (scope | SCOPE_ADMIN)) ? ADMITTED : SCOPE_TOO_SMALL;
    if (admission->key_required)
        return c->authorization.len || c->api_key.len || c->protocols.len ? KEY_UNKNOWN : KEY_MISSING;
    return looks_like_ours(c) ? KEY_UNKNOWN : ADMITTED;
}

const char *verdict_words(enum verdict verdict, const char **hint) {
    static const struct {
        const char *words, *hint;
    } table[] = {
        [ADMITTED] = {"welcome", ""},
        [KEY_MISSING] = {"a key is needed",
                         "send Authorization: Bearer KEY or x-api-key: KEY; `vitrine keys add NAME` makes one"},
        [KEY_UNKNOWN] = {"this key is not good here",
                         "it is mistyped, revoked or of another server; `vitrine keys list` shows those that are good"},
        [SCOPE_TOO_SMALL] = {"this key may not do that", "`vitrine keys add NAME --scopes …` makes one that may: "
                                                         "ingest sends, read asks, admin does both and manages"},
    };
    *hint = table[verdict].hint;
    return table[verdict].words;
}

static struct slice api_key_of(const struct request *request) {
    static const char *const names[] = {"x-api-key", "api-key", "x-honeycomb-team"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct slice value = request_header(request, names[i]);
        if (value.len) return value;
    }
    return (struct slice){0};
}

static struct credentials credentials_of(const struct request *request) {
    if (request->route->flags & ROUTE_PROXY)
        return (struct credentials){.api_key = request_header(request, "x-vitrine-key")};
    return (struct credentials){request_header(request, "Authorization"), api_key_of(request),
                                request_header(request, "Sec-WebSocket-Protocol")};
}

/* A key of ours in the place of the provider's would be handed to the provider. */
static bool guard_key(struct request *request) {
    struct credentials theirs = {.authorization = request_header(request, "Authorization"),
                                 .api_key = api_key_of(request)};
    if (!(request->route->flags & ROUTE_PROXY) || !looks_like_ours(&theirs)) return true;
    request_fail(request, 400, "invalid",
                 "Vitrine's key goes into the header x-vitrine-key; Authorization and x-api-key are the provider's",
                 "a key of Vitrine's stands where the provider's belongs");
    return false;
}

static void admit_key(struct request *request, const struct admission *admission) {
    struct key key;
    const char *hint;
    int scope = request->route->scope;
    if (!guard_key(request)) return;
    if (admission->signature_required && (request->route->flags & ROUTE_SIGNED)) scope = 0;
    struct credentials credentials = credentials_of(request);
    enum verdict verdict = admission_check(admission, &credentials, scope, &key);
    const char *words = verdict_words(verdict, &hint);
    if (verdict == ADMITTED) {
        request->scopes = key.scopes;
        if (key.project[0]) request->project = arena_copy(&request->arena, slice_of(key.project));
    } else if (verdict == SCOPE_TOO_SMALL) {
        request_fail(request, 403, "denied", hint, "%s", words);
    } else if (request->route->flags & ROUTE_PROXY) {
        request_fail(request, 401, "denied",
                     "send Vitrine's key in the header x-vitrine-key; `vitrine keys add NAME` makes one", "%s", words);
    } else {
        request_add_header(request, "WWW-Authenticate", "Bearer realm=\"vitrine\"");
        request_fail(request, 401, "denied", hint, "%s", words);
    }
}

/* --- guards against pages of other origins --- */

static struct slice without_port(struct slice host) {
    if (host.len && host.ptr[0] == '[') {
        const char *end = memchr(host.ptr, ']', host.len);
        return end ? slice_make(host.ptr + 1, (size_t)(end - host.ptr) - 1) : host;
    }
    const char *colon = host.len ? memchr(host.ptr, ':', host.len) : NULL;
    return colon ? slice_make(host.ptr, (size_t)(colon - host.ptr)) : host;
}

bool host_is_local(struct slice host) {
    char text[INET6_ADDRSTRLEN];
    uint8_t address[16];
    struct slice name = without_port(host);
    if (same_word(name, "localhost")) return true;
    if (name.len > 10 && strncasecmp(name.ptr + name.len - 10, ".localhost", 10) == 0) return true;
    if (name.len >= sizeof text) return false;
    memcpy(text, name.ptr, name.len);
    text[name.len] = 0;
    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

/* A page whose name was pointed at 127.0.0.1 after it was loaded still says its own name here. */
static bool guard_host(struct request *request, const struct admission *admission) {
    struct slice host = trim(request_header(request, "Host"));
    if (!admission->hosts_guarded || !host.len || host_is_local(host) || list_has(admission->hosts, without_port(host)))
        return true;
    request_fail(request, 403, "denied", "start the server with --host NAME if it is to be called so",
                 "this server is not called %.*s", (int)(host.len > 200 ? 200 : host.len), host.ptr);
    return false;
}

static bool cors_allows(const struct admission *admission, const struct route *route, struct slice origin) {
    if (!admission->cors_origins || !route || !(route->flags & ROUTE_INGEST)) return false;
    return strcmp(admission->cors_origins, "*") == 0 || list_has(admission->cors_origins, origin);
}

static bool same_origin(struct request *request, const struct admission *admission, struct slice origin) {
    struct slice host = trim(request_header(request, "Host")), authority = origin;
    if (slice_starts(origin, SLICE("http://")))
        authority = slice_from(origin, 7);
    else if (slice_starts(origin, SLICE("https://")))
        authority = slice_from(origin, 8);
    else
        return false;
    return (host.len == authority.len && strncasecmp(host.ptr, authority.ptr, host.len) == 0) ||
           list_has(admission->hosts, without_port(authority));
}

static bool guard_origin(struct request *request, const struct admission *admission) {
    struct slice origin = trim(request_header(request, "Origin"));
    if (!origin.len || same_origin(request, admission, origin) || cors_allows(admission, request->route, origin))
        return true;
    request_fail(request, 403, "denied",
                 request->route->flags & ROUTE_INGEST
                     ? "--cors ORIGIN lets a page of that origin send spans"
                     : "--host NAME tells by which further names this server is called",
                 "pages of %.*s may not ask here", (int)(origin.len > 200 ? 200 : origin.len), origin.ptr);
    return false;
}

void admit_request(struct request *request) {
    const struct admission *admission = &server_of(request)->admission;
    if (guard_host(request, admission) && guard_origin(request, admission) && request->method != METHOD_OPTIONS)
        admit_key(request, admission);
}

/* --- headers of answers --- */

void admit_decorate(struct request *request) {
    const struct admission *admission = &server_of(request)->admission;
    if (request->route && (request->route->flags & ROUTE_PROXY)) return; /* what upstream says, as it says it */
    request_add_header(request, "X-Content-Type-Options", "nosniff");
    if (!admission->cors_origins) return;
    struct slice origin = trim(request_header(request, "Origin"));
    if (!origin.len || !cors_allows(admission, request->route, origin)) return;
    struct slice text = arena_copy(&request->arena, origin);
    if (!text.ptr) return;
    request_add_header(request, "Access-Control-Allow-Origin", text.ptr);
    request_add_header(request, "Access-Control-Expose-Headers", "Retry-After");
    request_add_header(request, "Vary", "Origin");
}

void admit_preflight(struct request *request) {
    struct slice origin = trim(request_header(request, "Origin"));
    if (!cors_allows(&server_of(request)->admission, request->route, origin)) {
        request_add_header(request, "Allow", "POST");
        request_fail(request, 405, "method_not_allowed", "use POST; --cors ORIGIN lets pages send here",
                     "OPTIONS is for pages of other origins");
        return;
    }
    request_add_header(request, "Access-Control-Allow-Methods", "POST");
    request_add_header(request, "Access-Control-Allow-Headers",
                       "authorization, content-encoding, content-type, x-api-key, api-key, x-honeycomb-team, "
                       "traceparent, tracestate, baggage");
    request_add_header(request, "Access-Control-Max-Age", "7200");
    request_answer_static(request, 204, NULL, (struct slice){0});
}
