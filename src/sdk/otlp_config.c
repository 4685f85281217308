/* A field of vt_otlp_config wins over OTEL_EXPORTER_OTLP_TRACES_…, that over OTEL_EXPORTER_OTLP_…, that over the
 * default. */
#include "sdk/otlp_config.h"

#include "base/json.h"
#include "sdk/env.h"

#include <strings.h>

enum {
    TIMEOUT_MS = 10000,
    RETRY_FIRST_MS = 1000,
    RETRY_LAST_MS = 30000,
    HEADER_BYTES_MAX = 16 * 1024,
};
static const uint64_t SPOOL_MAX_BYTES = UINT64_C(64) << 20, MEMORY_MAX_BYTES = UINT64_C(16) << 20;

/* OTEL_EXPORTER_OTLP_TRACES_<name>, else OTEL_EXPORTER_OTLP_<name>. */
static const char *variable(const char *name, const char **which) {
    static _Thread_local char full[64];
    for (unsigned general = 0; general < 2; general++) {
        snprintf(full, sizeof full, "OTEL_EXPORTER_OTLP_%s%s", general ? "" : "TRACES_", name);
        const char *value = env_text(full);
        if (which) *which = full;
        if (value) return value;
    }
    return NULL;
}

static const char *keep(struct otlp_settings *s, struct slice text) {
    return arena_copy(&s->arena, text).ptr;
}

static int no_memory(struct error *err) {
    return error_set(err, VT_ENOMEM, "no memory for the OTLP exporter");
}

/* The endpoint ------------------------------------------------------------------------------------------------------
 */

static struct slice without_slashes(struct slice text) {
    while (text.len && text.ptr[text.len - 1] == '/') text.len--;
    return text;
}

/* The URL without what stands between "//" and "@". */
static const char *without_user(struct otlp_settings *s, struct slice url) {
    const char *host = (const char *)memmem(url.ptr, url.len, "//", 2);
    if (!host) return keep(s, url);
    host += 2;
    size_t authority = strcspn(host, "/?#");
    const char *user_end = memrchr(host, '@', authority);
    if (!user_end) return keep(s, url);
    struct slice rest = slice_from(url, (size_t)(user_end + 1 - url.ptr));
    return arena_printf(&s->arena, "%.*s%.*s", (int)(host - url.ptr), url.ptr, (int)rest.len, rest.ptr).ptr;
}

static int set_endpoint(struct otlp_settings *s, const vt_otlp_config *config, struct error *err) {
    const char *given = config->endpoint && *config->endpoint ? config->endpoint : NULL, *from = "endpoint";
    const char *whole = given ? NULL : env_text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    if (whole) from = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    if (!given && !whole) {
        given = env_text("OTEL_EXPORTER_OTLP_ENDPOINT");
        from = "OTEL_EXPORTER_OTLP_ENDPOINT";
    }
    if (!given && !whole) given = "http://localhost:4318";
    struct slice text = slice_of(whole ? whole : given), path = SLICE("");
    const char *scheme = strstr(text.ptr, "://") ? "" : "http://"; /* "localhost:4318" is meant so */
    if (!whole) {
        text = without_slashes(text);
        if (!slice_ends(text, SLICE("/v1/traces"))) path = SLICE("/v1/traces");
    }
    struct slice url = arena_printf(&s->arena, "%s%.*s%.*s", scheme, (int)text.len, text.ptr, (int)path.len, path.ptr);
    if (!url.ptr) return no_memory(err);
    bool known = !strncasecmp(url.ptr, "http://", 7) || !strncasecmp(url.ptr, "https://", 8);
    const char *host = known ? strchr(url.ptr, ':') + 3 : "";
    if (!known || !*host || strchr("/:?#", *host))
        return error_set(err, VT_EINVAL, "%s is \"%s\": it must be http://host:port or https://host:port", from,
                         without_user(s, text));
    s->url = url.ptr;
    s->told_as = without_user(s, url);
    return s->told_as ? 0 : no_memory(err);
}

/* Headers -----------------------------------------------------------------------------------------------------------
 */

static bool is_token(struct slice name) {
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        bool letter = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!letter && !(c && strchr("!#$%&'*+-.^_`|~", c))) return false;
    }
    return name.len > 0;
}

static int add_header(struct otlp_settings *s, const char *from, struct slice name, struct slice value,
                      struct error *err) {
    if (!is_token(name)) return error_set(err, VT_EINVAL, "%s: a name is empty or holds what no header's may", from);
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7F)
            return error_set(err, VT_EINVAL, "%s: the value of %.*s holds a control character", from,
                             (int)(name.len < 64 ? name.len : 64), name.ptr);
    }
    if (s->header_count == OTLP_HEADERS_MAX)
        return error_set(err, VT_ELIMIT, "%s: more than %d headers", from, OTLP_HEADERS_MAX);
    /* An empty value is sent as such: curl wants a semicolon there. */
    struct slice line = value.len
                            ? arena_printf(&s->arena, "%.*s: %.*s", (int)name.len, name.ptr, (int)value.len, value.ptr)
                            : arena_printf(&s->arena, "%.*s;", (int)name.len, name.ptr);
    if (!line.ptr) return no_memory(err);
    s->headers[s->header_count++] = line.ptr;
    return 0;
}

static struct slice trim(struct slice text) {
    while (text.len && (*text.ptr == ' ' || *text.ptr == '\t')) text.ptr++, text.len--;
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) text.len--;
    return text;
}

/* {"name":"value"}: numbers and booleans stand as they are written. */
static int read_json_headers(struct otlp_settings *s, const char *from, const char *text, struct error *err) {
    struct json_reader r;
    struct slice name, value;
    int failed = 0;
    json_reader_init(&r, slice_of(text), &s->arena);
    if (json_object(&r))
        while (!failed && json_key(&r, &name)) {
            if (json_peek(&r) == JSON_STRING)
                json_string(&r, &value);
            else if (json_peek(&r) == JSON_OBJECT || json_peek(&r) == JSON_ARRAY)
                json_fail(&r, "a header's value must be a string");
            else
                json_skip(&r, &value);
            if (!json_failed(&r)) failed = add_header(s, from, name, trim(value), err);
        }
    if (failed) return failed;
    if (json_end(&r)) return 0;
    return error_set(err, VT_EINVAL, "%s: no JSON object of strings (byte %zu)", from, json_offset(&r));
}

/* name=value,name=value, percent-encoded (W3C Baggage's form); or, where `is` is ':', what a shell leaves of the JSON
 * form when it reads it without quotes around: name:value,name:value, as it stands. */
static int read_listed_headers(struct otlp_settings *s, const char *from, struct slice list, char is,
                               struct error *err) {
    int failed = 0;
    while (list.len && !failed) {
        const char *comma = memchr(list.ptr, ',', list.len);
        struct slice member = trim(slice_make(list.ptr, comma ? (size_t)(comma - list.ptr) : list.len));
        list = slice_from(list, comma ? (size_t)(comma + 1 - list.ptr) : list.len);
        if (!member.len) continue;
        const char *middle = memchr(member.ptr, is, member.len);
        if (!middle)
            return error_set(err, VT_EINVAL, "%s: a member has no '%c'; the form is name=value,name=value", from, is);
        struct slice name = trim(slice_make(member.ptr, (size_t)(middle - member.ptr)));
        struct slice value = trim(slice_from(member, (size_t)(middle + 1 - member.ptr)));
        struct slice copy = arena_copy(&s->arena, value);
        if (!copy.ptr) return no_memory(err);
        if (is == '=') copy.len = percent_decode((char *)(uintptr_t)copy.ptr, copy.len);
        failed = add_header(s, from, name, copy, err);
    }
    return failed;
}

/* The object without its braces when no quote stands in it; an empty slice else. */
static struct slice unquoted_object(const char *text) {
    size_t len = strlen(text);
    while (len && strchr(" \t\r\n", text[len - 1])) len--;
    bool whole = len > 2 && text[0] == '{' && text[len - 1] == '}' && !memchr(text, '"', len);
    return whole ? slice_make(text + 1, len - 2) : SLICE("");
}

static int set_headers(struct otlp_settings *s, const vt_otlp_config *config, struct error *err) {
    const char *from = "headers", *text = config->headers && *config->headers ? config->headers : NULL;
    if (!text) text = variable("HEADERS", &from);
    if (!text) return 0;
    if (strlen(text) > HEADER_BYTES_MAX)
        return error_set(err, VT_ELIMIT, "%s: longer than %d bytes", from, HEADER_BYTES_MAX);
    const char *first = text + strspn(text, " \t\r\n");
    if (*first != '{') return read_listed_headers(s, from, slice_of(first), '=', err);
    struct slice unquoted = unquoted_object(first);
    return unquoted.len ? read_listed_headers(s, from, unquoted, ':', err) : read_json_headers(s, from, first, err);
}

/* The rest ----------------------------------------------------------------------------------------------------------
 */

static int set_files(struct otlp_settings *s, const vt_otlp_config *config, struct error *err) {
    const struct {
        const char *given;
        const char **to;
    } files[] = {
        {config->certificate && *config->certificate ? config->certificate : variable("CERTIFICATE", NULL),
         &s->certificate},
        {variable("CLIENT_CERTIFICATE", NULL), &s->client_certificate},
        {variable("CLIENT_KEY", NULL), &s->client_key},
        {config->spool_dir && *config->spool_dir ? config->spool_dir : env_text("VITRINE_OTLP_SPOOL"), &s->spool_dir},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i].given && !(*files[i].to = keep(s, slice_of(files[i].given)))) return no_memory(err);
    return 0;
}

static bool compresses(const vt_otlp_config *config) {
    if (config->no_compression) return false;
    const char *which, *value = variable("COMPRESSION", &which);
    if (!value || !strcasecmp(value, "gzip")) return true;
    if (strcasecmp(value, "none") != 0) debug_line("%s=%s is neither gzip nor none: gzip is used", which, value);
    return !strcasecmp(value, "none") ? false : true;
}

static void check_protocol(void) {
    const char *which, *value = variable("PROTOCOL", &which);
    if (value && strcmp(value, "http/protobuf") != 0)
        debug_line("%s=%s is not spoken here: http/protobuf is used", which, value);
}

int otlp_settings_read(const vt_otlp_config *config, struct otlp_settings *s, struct error *err) {
    static const vt_otlp_config none;
    if (!config) config = &none;
    memset(s, 0, sizeof *s);
    check_protocol();
    s->compress = compresses(config);
    const char *timeout = NULL;
    variable("TIMEOUT", &timeout);
    s->timeout_ms = config->timeout_ms ? config->timeout_ms : env_uint(timeout, 1, TIMEOUT_MS);
    s->spool_max_bytes = config->spool_max_bytes ? config->spool_max_bytes : SPOOL_MAX_BYTES;
    s->memory_max_bytes = MEMORY_MAX_BYTES;
    s->retry_first_ms = env_uint("VITRINE_OTLP_RETRY", 1, RETRY_FIRST_MS);
    s->retry_last_ms = s->retry_first_ms > RETRY_LAST_MS ? s->retry_first_ms : RETRY_LAST_MS;
    int failed = set_endpoint(s, config, err);
    if (!failed) failed = set_headers(s, config, err);
    if (!failed) failed = set_files(s, config, err);
    return failed;
}

void otlp_settings_free(struct otlp_settings *s) {
    arena_free(&s->arena);
}
