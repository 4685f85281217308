/* Contexts as headers: W3C Trace Context (Recommendation of 23 November 2021), W3C Baggage, B3 single and multiple. */
#include "base/id.h"
#include "sdk/carried.h"
#include "sdk/pipeline.h"
#include "sdk/span.h"

#include <stdlib.h>
#include <strings.h>

enum { TRACEPARENT_SIZE = 55, B3_MAX = 64 };

static _Atomic unsigned chosen = VT_PROPAGATE_TRACECONTEXT | VT_PROPAGATE_BAGGAGE;

void propagate_choose(unsigned propagators) {
    atomic_store(&chosen, propagators);
}

static bool is_somewhere(const vt_context *context) {
    return !id_is_zero(context->trace_id, TRACE_ID_SIZE) && !id_is_zero(context->span_id, SPAN_ID_SIZE);
}

/* traceparent ------------------------------------------------------------------------------------------------------ */

static void write_traceparent(const vt_context *context, char *out) {
    memcpy(out, "00-", 3);
    hex_encode(context->trace_id, TRACE_ID_SIZE, out + 3);
    out[35] = '-';
    hex_encode(context->span_id, SPAN_ID_SIZE, out + 36);
    memcpy(out + 52, context->flags & 1 ? "-01" : "-00", 4);
}

static bool is_lower_hex(const char *text, size_t len) {
    return strspn(text, "0123456789abcdef") >= len;
}

static bool read_traceparent(const char *text, vt_context *context) {
    *context = (vt_context){{0}, {0}, 0, 1, {0}, 0};
    size_t len = text ? strnlen(text, 512) : 0;
    while (len && (*text == ' ' || *text == '\t')) text++, len--;
    while (len && (text[len - 1] == ' ' || text[len - 1] == '\t')) len--;
    uint8_t version, flags;
    if (len < TRACEPARENT_SIZE || !is_lower_hex(text, 2) || text[2] != '-' || !is_lower_hex(text + 3, 32) ||
        text[35] != '-' || !is_lower_hex(text + 36, 16) || text[52] != '-' || !is_lower_hex(text + 53, 2))
        return false;
    hex_decode(slice_make(text, 2), &version, 1);
    hex_decode(slice_make(text + 53, 2), &flags, 1);
    /* A later version may say more, behind another dash. */
    if (version == 0xFF || (version == 0 && len != TRACEPARENT_SIZE) ||
        (len > TRACEPARENT_SIZE && text[TRACEPARENT_SIZE] != '-'))
        return false;
    hex_decode(slice_make(text + 3, 32), context->trace_id, TRACE_ID_SIZE);
    hex_decode(slice_make(text + 36, 16), context->span_id, SPAN_ID_SIZE);
    context->flags = flags & 1;
    return is_somewhere(context);
}

size_t vt_inject(char *traceparent, size_t size) {
    if (!traceparent || !size) return 0;
    vt_context context = vt_context_current();
    *traceparent = 0;
    if (size <= TRACEPARENT_SIZE || !is_somewhere(&context)) return 0;
    write_traceparent(&context, traceparent);
    return TRACEPARENT_SIZE;
}

vt_span *vt_span_start_remote(const char *operation, const char *traceparent) {
    const struct limits *limits = limits_now();
    struct thread *self = limits && !pipeline_exporting ? thread_self() : NULL;
    if (!self) return NULL;
    struct scope parent = {0};
    bool known = read_traceparent(traceparent, &parent.context);
    return span_handle(span_open(self, limits, SLICE(""), operation, known ? &parent : NULL, VT_KIND_SERVER));
}

/* B3 --------------------------------------------------------------------------------------------------------------- */

static bool read_b3_ids(struct slice trace, struct slice span, vt_context *context) {
    uint8_t *trace_id = context->trace_id;
    /* 64-bit trace ids stand in the low half. */
    bool fine = trace.len == 16 ? hex_decode(trace, trace_id + 8, 8) : hex_decode(trace, trace_id, TRACE_ID_SIZE);
    return fine && hex_decode(span, context->span_id, SPAN_ID_SIZE) && is_somewhere(context);
}

/* Sampling that is left to us is taken as yes. */
static uint8_t b3_flags(struct slice sampled) {
    return !(slice_is(sampled, "0") || slice_is(sampled, "false"));
}

static bool read_b3(const char *text, vt_context *context) {
    *context = (vt_context){{0}, {0}, 0, 1, {0}, 0};
    if (!text) return false;
    struct slice parts[3] = {{0}};
    for (unsigned i = 0; i < 3 && text; i++) {
        const char *dash = strchrnul(text, '-');
        parts[i] = slice_make(text, (size_t)(dash - text));
        text = *dash ? dash + 1 : NULL;
    }
    context->flags = b3_flags(parts[2]);
    return read_b3_ids(parts[0], parts[1], context);
}

typedef const char *(*get_fn)(void *carrier, const char *name);

static bool read_b3_multi(get_fn get, void *carrier, vt_context *context) {
    char trace[33], span[17];
    *context = (vt_context){{0}, {0}, 0, 1, {0}, 0};
    /* A value holds until the next is asked for. */
    const char *text = get(carrier, "x-b3-traceid");
    if (!text || strlen(text) >= sizeof trace) return false;
    strcpy(trace, text);
    text = get(carrier, "x-b3-spanid");
    if (!text || strlen(text) >= sizeof span) return false;
    strcpy(span, text);
    text = get(carrier, "x-b3-flags");
    bool debug = text && !strcmp(text, "1");
    text = get(carrier, "x-b3-sampled");
    context->flags = debug || b3_flags(slice_of(text));
    return read_b3_ids(slice_of(trace), slice_of(span), context);
}

/* tracestate and baggage ------------------------------------------------------------------------------------------- */

/* A header of members between commas, cut after its last whole member that fits; "" when it has a byte that no header
 * may have. */
static void read_list(const char *text, size_t max_bytes, unsigned max_members, char *out) {
    size_t len = 0, whole = 0;
    unsigned members = 0;
    *out = 0;
    if (!text) return;
    while (*text == ' ' || *text == '\t') text++;
    for (;; len++) {
        unsigned char c = (unsigned char)text[len];
        if (c == ',' || c == 0) {
            whole = len;
            if (c == 0 || ++members == max_members) break;
        }
        if ((c < ' ' && c != '\t') || c >= 0x7F) return;
        if (len == max_bytes) break;
    }
    memcpy(out, text, whole);
    out[whole] = 0;
}

static bool is_token(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static struct slice trimmed(struct slice text) {
    while (text.len && (*text.ptr == ' ' || *text.ptr == '\t')) text.ptr++, text.len--;
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) text.len--;
    return text;
}

/* Takes the next member, its key and its value without properties. False at the end. */
static bool next_pair(const char **at, struct slice *member, struct slice *key, struct slice *value) {
    while (**at) {
        const char *end = strchrnul(*at, ',');
        *member = trimmed(slice_make(*at, (size_t)(end - *at)));
        *at = *end ? end + 1 : end;
        const char *equals = member->len ? memchr(member->ptr, '=', member->len) : NULL;
        if (!equals) continue;
        *key = trimmed(slice_make(member->ptr, (size_t)(equals - member->ptr)));
        *value = slice_from(*member, (size_t)(equals + 1 - member->ptr));
        const char *properties = value->len ? memchr(value->ptr, ';', value->len) : NULL;
        if (properties) value->len = (size_t)(properties - value->ptr);
        *value = trimmed(*value);
        return true;
    }
    return false;
}

size_t vt_baggage_get(const char *key, char *value, size_t size) {
    if (value && size) *value = 0;
    struct scope *scope = thread_this ? scope_current(thread_this) : NULL;
    if (!scope || !scope->carried || !key || !value || !size) return 0;
    const char *at = scope->carried->baggage;
    struct slice member, name, text;
    while (next_pair(&at, &member, &name, &text)) {
        if (!slice_is(name, key)) continue;
        char decoded[BAGGAGE_MAX + 1];
        memcpy(decoded, text.ptr, text.len);
        struct slice cut = utf8_cut(slice_make(decoded, percent_decode(decoded, text.len)), size - 1);
        memcpy(value, cut.ptr, cut.len);
        value[cut.len] = 0;
        return cut.len;
    }
    return 0;
}

/* "key=value" with what baggage may not hold as %XX; 0 when it does not fit. */
static size_t write_pair(char *out, size_t size, const char *key, const char *value) {
    static const char hex[] = "0123456789ABCDEF";
    size_t len = strlen(key);
    if (len + 1 >= size) return 0;
    memcpy(out, key, len);
    out[len++] = '=';
    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;
        if (len + 3 >= size) return 0;
        if (c > ' ' && c < 0x7F && !strchr("\",;\\%", c)) {
            out[len++] = (char)c;
        } else {
            out[len++] = '%';
            out[len++] = hex[c >> 4];
            out[len++] = hex[c & 15];
        }
    }
    return len;
}

/* The list without key, and with the pair at its end if value is given. False: past a limit. */
static bool change_baggage(const char *before, const char *key, const char *value, char *out) {
    size_t len = 0, pairs = 0;
    struct slice member, name, text;
    while (next_pair(&before, &member, &name, &text)) {
        if (slice_is(name, key)) continue;
        if (len) out[len++] = ',';
        memcpy(out + len, member.ptr, member.len);
        len += member.len;
        pairs++;
    }
    if (value) {
        if (pairs == BAGGAGE_PAIRS_MAX || len + 1 >= BAGGAGE_MAX) return false;
        if (len) out[len++] = ',';
        size_t more = write_pair(out + len, BAGGAGE_MAX - len, key, value);
        if (!more) return false;
        len += more;
    }
    out[len] = 0;
    return true;
}

void vt_baggage_set(const char *key, const char *value) {
    struct thread *self = limits_now() && key && *key ? thread_self() : NULL;
    if (!self) return;
    for (const char *c = key; *c; c++)
        if (!is_token((unsigned char)*c)) return;
    struct scope *scope = scope_current(self);
    if (!scope && !(scope = scope_push(self))) return;
    char changed[BAGGAGE_MAX + 1];
    const char *before = scope->carried ? scope->carried->baggage : "";
    const char *state = scope->carried ? scope->carried->tracestate : "";
    if (!change_baggage(before, key, value, changed)) {
        debug_line("baggage \"%s\" is left out: at most %d pairs and %d bytes", key, BAGGAGE_PAIRS_MAX, BAGGAGE_MAX);
        return;
    }
    struct carried *carried = carried_new(state, changed);
    struct span *span = slot_find((void *)scope->handle);
    if (span) {
        carried_drop(span->carried);
        span->carried = carried_hold(carried);
    }
    carried_drop(scope->carried);
    scope->carried = carried;
    scope->context.carried = carried ? carried->number : 0;
}

/* All headers ------------------------------------------------------------------------------------------------------ */

void vt_inject_headers(void (*set)(void *carrier, const char *name, const char *value), void *carrier) {
    struct scope *scope = thread_this && set ? scope_current(thread_this) : NULL;
    if (!scope) return;
    unsigned bits = atomic_load(&chosen);
    const vt_context context = scope->context;
    /* set may trace, and move or change the stack. */
    struct carried *carried = carried_hold(scope->carried);
    char text[B3_MAX + 8], trace[33] = "", span[17] = "";
    if (is_somewhere(&context)) {
        hex_encode(context.trace_id, TRACE_ID_SIZE, trace);
        hex_encode(context.span_id, SPAN_ID_SIZE, span);
        trace[32] = span[16] = 0;
        const char *sampled = context.flags & 1 ? "1" : "0";
        if (bits & VT_PROPAGATE_TRACECONTEXT) {
            write_traceparent(&context, text);
            set(carrier, "traceparent", text);
            if (carried && *carried->tracestate) set(carrier, "tracestate", carried->tracestate);
        }
        if (bits & VT_PROPAGATE_B3) {
            snprintf(text, sizeof text, "%s-%s-%s", trace, span, sampled);
            set(carrier, "b3", text);
        }
        if (bits & VT_PROPAGATE_B3_MULTI) {
            set(carrier, "x-b3-traceid", trace);
            set(carrier, "x-b3-spanid", span);
            set(carrier, "x-b3-sampled", sampled);
        }
    }
    if ((bits & VT_PROPAGATE_BAGGAGE) && carried && *carried->baggage) set(carrier, "baggage", carried->baggage);
    carried_drop(carried);
}

vt_context vt_extract_headers(get_fn get, void *carrier) {
    vt_context context = {{0}, {0}, 0, 0, {0}, 0};
    struct thread *self = limits_now() && get ? thread_self() : NULL;
    if (!self) return context;
    unsigned bits = atomic_load(&chosen);
    char state[TRACESTATE_MAX + 1] = "", baggage[BAGGAGE_MAX + 1] = "";
    bool found = false;
    if (bits & VT_PROPAGATE_TRACECONTEXT) {
        found = read_traceparent(get(carrier, "traceparent"), &context);
        if (found) read_list(get(carrier, "tracestate"), TRACESTATE_MAX, 32, state);
    }
    if (!found && (bits & VT_PROPAGATE_B3)) found = read_b3(get(carrier, "b3"), &context);
    if (!found && (bits & VT_PROPAGATE_B3_MULTI)) found = read_b3_multi(get, carrier, &context);
    if (!found) context = (vt_context){{0}, {0}, 0, 0, {0}, 0};
    if (bits & VT_PROPAGATE_BAGGAGE) read_list(get(carrier, "baggage"), BAGGAGE_MAX, BAGGAGE_PAIRS_MAX, baggage);
    /* Nobody else holds it until it is attached. */
    carried_drop(self->extracted);
    self->extracted = carried_new(state, baggage);
    context.carried = self->extracted ? self->extracted->number : 0;
    return context;
}
