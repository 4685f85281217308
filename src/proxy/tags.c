/* Which API a path is of, and what the headers of a request say about who asks and where the call belongs. */
#include "proxy/seen.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

enum seen_api seen_api_of(struct slice path) {
    static const struct {
        const char *end;
        enum seen_api api;
    } table[] = {{"/chat/completions", API_CHAT},
                 {"/completions", API_COMPLETIONS},
                 {"/responses", API_RESPONSES},
                 {"/embeddings", API_EMBEDDINGS},
                 {"/v1/messages", API_MESSAGES},
                 {":generateContent", API_GENERATE},
                 {":streamGenerateContent", API_GENERATE},
                 {":embedContent", API_EMBED},
                 {":batchEmbedContents", API_EMBED}};
    const char *question = path.len ? memchr(path.ptr, '?', path.len) : NULL;
    if (question) path.len = (size_t)(question - path.ptr);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (slice_ends(path, slice_of(table[i].end))) return table[i].api;
    return API_NONE;
}

struct slice seen_model_of(struct slice path) {
    const char *colon = path.len ? memrchr(path.ptr, ':', path.len) : NULL;
    if (!colon) return (struct slice){NULL, 0};
    path.len = (size_t)(colon - path.ptr);
    const char *slash = path.len ? memrchr(path.ptr, '/', path.len) : NULL;
    return slash ? slice_from(path, (size_t)(slash - path.ptr) + 1) : path;
}

bool seen_path_streams(struct slice path) {
    return slice_ends(path, SLICE(":streamGenerateContent"));
}

static bool is_named(struct slice name, const char *wanted) {
    return name.len == strlen(wanted) && strncasecmp(name.ptr, wanted, name.len) == 0;
}

static bool begins(struct slice name, const char *wanted) {
    size_t len = strlen(wanted);
    return name.len >= len && strncasecmp(name.ptr, wanted, len) == 0;
}

static struct slice keep(struct slice value, struct arena *arena) {
    if (value.len > SEEN_TEXT_MAX) value.len = SEEN_TEXT_MAX;
    return value.len ? arena_copy(arena, value) : (struct slice){NULL, 0};
}

static void keep_property(struct seen *seen, struct slice name, struct slice value, struct arena *arena) {
    if (!name.len || seen->property_count == SEEN_PROPERTIES_MAX) return;
    struct seen_property *property = &seen->properties[seen->property_count];
    *property = (struct seen_property){keep(name, arena), keep(value, arena)};
    /* Names of headers come in any case; attributes are told apart by it. */
    for (size_t i = 0; i < property->name.len; i++)
        ((char *)(uintptr_t)property->name.ptr)[i] = (char)tolower((unsigned char)property->name.ptr[i]);
    seen->property_count++;
}

void seen_keep_secret(struct seen *seen, struct slice value, struct arena *arena) {
    if (seen->secret_count == SEEN_SECRETS_MAX || value.len < 8) return;
    seen->secrets[seen->secret_count++] = arena_copy(arena, value);
}

/* "Bearer KEY" holds a KEY. */
static void keep_authorization(struct seen *seen, struct slice value, struct arena *arena) {
    const char *space = value.len ? memchr(value.ptr, ' ', value.len) : NULL;
    seen_keep_secret(seen, space ? slice_from(value, (size_t)(space - value.ptr) + 1) : value, arena);
}

static void read_traceparent(struct seen *seen, struct slice value) {
    uint8_t version, flags, trace_id[TRACE_ID_SIZE], parent[SPAN_ID_SIZE];
    if (value.len < 55 || value.ptr[2] != '-' || value.ptr[35] != '-' || value.ptr[52] != '-') return;
    if (!hex_decode(slice_make(value.ptr, 2), &version, 1) || version == 0xff) return;
    if (version == 0 ? value.len != 55 : value.len > 55 && value.ptr[55] != '-') return;
    if (!hex_decode(slice_make(value.ptr + 3, 32), trace_id, TRACE_ID_SIZE) ||
        !hex_decode(slice_make(value.ptr + 36, 16), parent, SPAN_ID_SIZE) ||
        !hex_decode(slice_make(value.ptr + 53, 2), &flags, 1))
        return;
    if (id_is_zero(trace_id, TRACE_ID_SIZE) || id_is_zero(parent, SPAN_ID_SIZE)) return;
    memcpy(seen->trace_id, trace_id, TRACE_ID_SIZE);
    memcpy(seen->parent_span_id, parent, SPAN_ID_SIZE);
    seen->trace_flags = flags;
}

static struct slice unescape(struct slice text, struct arena *arena) {
    struct slice copy = keep(text, arena);
    char *out = (char *)(uintptr_t)copy.ptr;
    size_t len = 0;
    for (size_t i = 0; i < copy.len; i++) {
        uint8_t byte;
        if (copy.ptr[i] == '%' && i + 2 < copy.len && hex_decode(slice_make(copy.ptr + i + 1, 2), &byte, 1)) {
            out[len++] = (char)byte;
            i += 2;
        } else {
            out[len++] = copy.ptr[i];
        }
    }
    copy.len = len;
    return copy;
}

static struct slice trim(struct slice text) {
    while (text.len && (*text.ptr == ' ' || *text.ptr == '\t')) text = slice_from(text, 1);
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) text.len--;
    return text;
}

/* "user.id=u%201;meta=1,thread.id=t": what the headers of our own say comes before. */
static void read_baggage(struct seen *seen, struct slice list, struct arena *arena) {
    static const char *const users[] = {"user.id", "enduser.id"}, *const threads[] = {"thread.id", "session.id",
                                                                                      "gen_ai.conversation.id"};
    while (list.len) {
        const char *comma = memchr(list.ptr, ',', list.len);
        struct slice pair = slice_make(list.ptr, comma ? (size_t)(comma - list.ptr) : list.len);
        list = slice_from(list, pair.len + 1);
        const char *semicolon = pair.len ? memchr(pair.ptr, ';', pair.len) : NULL;
        if (semicolon) pair.len = (size_t)(semicolon - pair.ptr);
        const char *equals = pair.len ? memchr(pair.ptr, '=', pair.len) : NULL;
        if (!equals) continue;
        struct slice name = trim(slice_make(pair.ptr, (size_t)(equals - pair.ptr)));
        struct slice value = trim(slice_from(pair, (size_t)(equals - pair.ptr) + 1));
        for (size_t i = 0; i < sizeof users / sizeof *users; i++)
            if (slice_is(name, users[i]) && !seen->user.len) seen->user = unescape(value, arena);
        for (size_t i = 0; i < sizeof threads / sizeof *threads; i++)
            if (slice_is(name, threads[i]) && !seen->thread.len) seen->thread = unescape(value, arena);
    }
}

bool seen_take_header(struct seen *seen, struct slice name, struct slice value, struct arena *arena) {
    static const char *const keys[] = {"x-api-key", "api-key", "x-goog-api-key", "ocp-apim-subscription-key"};
    value = trim(value);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (is_named(name, keys[i])) seen_keep_secret(seen, value, arena);
    if (is_named(name, "authorization")) keep_authorization(seen, value, arena);
    if (is_named(name, "traceparent")) read_traceparent(seen, value);
    if (is_named(name, "baggage")) read_baggage(seen, value, arena);
    if (is_named(name, "content-encoding")) seen->request_encoding = keep(value, arena);
    if (is_named(name, "x-vitrine-user") || is_named(name, "helicone-user-id"))
        seen->user = keep(value, arena);
    else if (is_named(name, "x-vitrine-thread") || is_named(name, "helicone-session-id"))
        seen->thread = keep(value, arena);
    else if (is_named(name, "x-vitrine-service"))
        seen->service = keep(value, arena);
    else if (begins(name, "x-vitrine-property-"))
        keep_property(seen, slice_from(name, sizeof "x-vitrine-property-" - 1), value, arena);
    else if (begins(name, "helicone-property-"))
        keep_property(seen, slice_from(name, sizeof "helicone-property-" - 1), value, arena);
    return begins(name, "x-vitrine-") || begins(name, "helicone-");
}

void seen_place(struct seen *seen) {
    if (id_is_zero(seen->trace_id, TRACE_ID_SIZE)) {
        id_random_span(seen->trace_id, seen->span_id);
        seen->trace_flags = 1;
    } else {
        id_random_span(NULL, seen->span_id);
    }
}

const char *seen_traceparent(const struct seen *seen, char out[TRACEPARENT_TEXT_MAX]) {
    memcpy(out, "00-", 3);
    hex_encode(seen->trace_id, TRACE_ID_SIZE, out + 3);
    out[35] = '-';
    hex_encode(seen->span_id, SPAN_ID_SIZE, out + 36);
    snprintf(out + 52, 4, "-%02x", seen->trace_flags);
    return out;
}
