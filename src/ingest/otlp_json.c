/* OTLP traces as JSON: the protocol's own form and what people write by hand (docs/format.md, "OTLP"). JSON that is
 * broken breaks the request; a member that has no meaning costs its span alone. */
#include "ingest/otlp.h"

#include "base/timestamp.h"
#include "ingest/ids.h"

#include <math.h>

/* ---- AnyValue ---- */

enum { ANY_STRING, ANY_BOOL, ANY_INT, ANY_DOUBLE, ANY_ARRAY, ANY_LIST, ANY_BYTES };

static const struct otlp_key any_keys[] = {
    OTLP_KEY("stringValue", "string_value", ANY_STRING), OTLP_KEY("intValue", "int_value", ANY_INT),
    OTLP_KEY("doubleValue", "double_value", ANY_DOUBLE), OTLP_KEY("boolValue", "bool_value", ANY_BOOL),
    OTLP_KEY("arrayValue", "array_value", ANY_ARRAY),    OTLP_KEY("kvlistValue", "kvlist_value", ANY_LIST),
    OTLP_KEY("bytesValue", "bytes_value", ANY_BYTES),
};
enum { ANY_KEYS = sizeof any_keys / sizeof *any_keys };

static void put_value(struct json_writer *w, const struct value *value) {
    switch (value->type) {
    case VALUE_STRING: json_put_string(w, value->text); break;
    case VALUE_INT: json_put_int(w, value->integer); break;
    case VALUE_DOUBLE: json_put_double(w, value->real); break;
    case VALUE_BOOL: json_put_bool(w, value->integer != 0); break;
    case VALUE_JSON: json_put_raw(w, value->text); break;
    case VALUE_NONE: json_put_null(w); break;
    }
}

static bool read_any(struct raw_build *build, struct json_reader *r, struct value *value, struct arena *arena,
                     unsigned depth);

/* {"values":[…]} of an array or of pairs, or by hand the bare array, as JSON text. */
static bool read_values(struct raw_build *build, struct json_reader *r, struct json_writer *w, bool keyed,
                        struct arena *arena, unsigned depth) {
    struct slice key;
    json_open(w, keyed ? '{' : '[');
    bool wrapped = json_peek(r) == JSON_OBJECT;
    if (wrapped) json_object(r);
    while (!wrapped || json_key(r, &key)) {
        if (json_peek(r) != JSON_ARRAY || (wrapped && !slice_is(key, "values"))) {
            json_skip(r, NULL);
        } else {
            json_array(r);
            while (json_item(r)) {
                struct value value = {.type = VALUE_NONE};
                if (!keyed) {
                    if (read_any(build, r, &value, arena, depth + 1)) put_value(w, &value);
                    continue;
                }
                struct slice name = {NULL, 0}, member;
                if (json_peek(r) != JSON_OBJECT) {
                    json_skip(r, NULL);
                    continue;
                }
                json_object(r);
                while (json_key(r, &member)) {
                    if (slice_is(member, "key") && json_peek(r) == JSON_STRING)
                        json_string(r, &name);
                    else if (slice_is(member, "value"))
                        read_any(build, r, &value, arena, depth + 1);
                    else
                        json_skip(r, NULL);
                }
                json_put_key_slice(w, name);
                put_value(w, &value);
            }
        }
        if (!wrapped) break;
    }
    json_close(w, keyed ? '}' : ']');
    return !json_failed(r);
}

/* Digits, the usual form of a 64-bit number. */
static bool read_digits(struct slice text, struct value *value) {
    bool minus = text.len && *text.ptr == '-';
    int64_t number = 0;
    if (text.len - minus == 0 || text.len - minus > 19) return false;
    for (size_t i = minus; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, text.ptr[i] - '0', &number))
            return false;
    }
    *value = (struct value){.type = VALUE_INT, .integer = minus ? -number : number};
    return true;
}

/* Numbers come as numbers or as text; "NaN" and the infinities are no numbers in JSON. */
static bool read_number(struct json_reader *r, bool integer, struct value *value) {
    if (!value_read_json(r, value)) return false;
    if (value->type != VALUE_STRING || read_digits(value->text, value)) return true;
    struct arena none = {0};
    struct json_reader inner;
    struct json_number number;
    json_reader_init(&inner, value->text, &none);
    bool good = json_peek(&inner) == JSON_NUMBER && json_number(&inner, &number) && json_end(&inner);
    if (!good) {
        bool nan = slice_is(value->text, "NaN"), minus = slice_is(value->text, "-Infinity");
        if (!integer && (nan || minus || slice_is(value->text, "Infinity")))
            *value = (struct value){.type = VALUE_DOUBLE,
                                    .real = nan     ? (double)NAN
                                            : minus ? -(double)INFINITY
                                                    : (double)INFINITY};
        return true; /* as the text that it is */
    }
    if (number.is_int)
        *value = (struct value){.type = VALUE_INT, .integer = number.integer};
    else
        *value = (struct value){.type = VALUE_DOUBLE, .real = number.real};
    return true;
}

static bool read_list(struct raw_build *build, struct json_reader *r, bool keyed, struct value *value,
                      struct arena *arena, unsigned depth) {
    /* The scratch is one: an inner list is made behind the text of the outer one and taken off again. */
    size_t mark = build->text.len;
    struct json_writer w = json_writer_on(&build->text);
    if (!read_values(build, r, &w, keyed, arena, depth) || build->text.failed) return false;
    struct slice made = arena_copy(arena, slice_from(buf_slice(&build->text), mark));
    build->text.len = mark;
    *value = (struct value){.type = VALUE_JSON, .text = made};
    return made.len > 0;
}

static bool read_any(struct raw_build *build, struct json_reader *r, struct value *value, struct arena *arena,
                     unsigned depth) {
    struct slice key;
    int hint = ANY_KEYS - 1;
    *value = (struct value){.type = VALUE_NONE};
    if (depth > VALUE_DEPTH_MAX) {
        raw_build_refuse(build, "attributes: a value is nested deeper than %d", VALUE_DEPTH_MAX);
        return json_skip(r, NULL);
    }
    if (json_peek(r) != JSON_OBJECT) return value_read_json(r, value);
    /* An object whose members are none of ours was written by hand: it is the value. */
    const char *const start = r->at;
    const uint32_t around = r->depth;
    bool known = false, any = false;
    json_object(r);
    while (json_key(r, &key)) {
        int member = otlp_key_find(any_keys, ANY_KEYS, key, &hint);
        any = true;
        if (member < 0) {
            json_skip(r, NULL);
            continue;
        }
        known = true;
        if (member == ANY_ARRAY || member == ANY_LIST)
            read_list(build, r, member == ANY_LIST, value, arena, depth + 1);
        else if (member == ANY_INT || member == ANY_DOUBLE)
            read_number(r, member == ANY_INT, value);
        else
            value_read_json(r, value);
    }
    if (json_failed(r)) return false;
    if (any && !known) {
        r->at = start;
        r->depth = around;
        r->first = false;
        return value_read_json(r, value);
    }
    return true;
}

bool otlp_value_json(struct raw_build *build, struct json_reader *r, struct value *value, struct arena *arena) {
    buf_clear(&build->text);
    return read_any(build, r, value, arena, 1);
}

bool otlp_attrs_json(struct raw_build *build, struct json_reader *r, struct attr_list *list, uint32_t max,
                     const char *what, struct arena *arena) {
    struct slice key, member;
    enum json_type type = json_peek(r);
    if (type == JSON_OBJECT) {
        json_object(r);
        while (json_key(r, &key)) {
            struct value value;
            if (!otlp_value_json(build, r, &value, arena) || value.type == VALUE_NONE) continue;
            struct attr *attr = attr_list_add(build, list, max, what);
            if (attr) *attr = (struct attr){key, value};
        }
        return !json_failed(r);
    }
    if (type != JSON_ARRAY) {
        if (type != JSON_NULL) raw_build_refuse(build, "%s: expected a list of {\"key\",\"value\"} or an object", what);
        return json_skip(r, NULL);
    }
    json_array(r);
    while (json_item(r)) {
        struct attr pair = {.value.type = VALUE_NONE};
        if (json_peek(r) != JSON_OBJECT) {
            raw_build_refuse(build, "%s: expected {\"key\",\"value\"} in the list", what);
            json_skip(r, NULL);
            continue;
        }
        json_object(r);
        while (json_key(r, &member)) {
            if (slice_eq(member, SLICE("key")) && json_peek(r) == JSON_STRING)
                json_string(r, &pair.key);
            else if (slice_eq(member, SLICE("value")))
                otlp_value_json(build, r, &pair.value, arena);
            else
                json_skip(r, NULL);
        }
        struct attr *attr = attr_list_add(build, list, max, what);
        if (attr) *attr = pair;
    }
    return !json_failed(r);
}

/* ---- members of a span ---- */

static const char *const type_names[] = {"nothing", "null",     "true or false", "a number",
                                         "text",    "an array", "an object"};

/* What was found there, for a refusal; the value is passed over. */
static void refuse_type(struct otlp *o, struct json_reader *r, const char *name, const char *wanted) {
    raw_build_refuse(&o->build, "%s: expected %s, found %s", name, wanted, type_names[json_peek(r)]);
    json_skip(r, NULL);
}

static void read_text(struct otlp *o, struct json_reader *r, const char *name, struct slice *text) {
    enum json_type type = json_peek(r);
    if (type == JSON_STRING)
        json_string(r, text);
    else if (type == JSON_NULL)
        json_null(r);
    else
        refuse_type(o, r, name, "text");
}

static struct slice read_id(struct otlp *o, struct json_reader *r, const char *name, uint8_t *id, size_t size) {
    struct slice text = {NULL, 0};
    read_text(o, r, name, &text);
    enum id_form form = id_read(text, true, id, size);
    return form == ID_EXACT || form == ID_NONE ? (struct slice){NULL, 0} : text;
}

/* Nanoseconds as number or digits; by hand also ISO 8601. */
static void read_time(struct otlp *o, struct json_reader *r, const char *name, int64_t *ns) {
    struct value value;
    enum json_type type = json_peek(r);
    if (type == JSON_NULL) {
        json_null(r);
        return;
    }
    if (type != JSON_STRING && type != JSON_NUMBER) {
        refuse_type(o, r, name, "nanoseconds since 1970");
        return;
    }
    if (!read_number(r, true, &value)) return;
    if (value.type == VALUE_INT)
        *ns = value.integer;
    else if (value.type == VALUE_DOUBLE && value.real > -9.2e18 && value.real < 9.2e18)
        *ns = llround(value.real / 1000) * 1000; /* a double of today has no nanoseconds */
    else if (value.type == VALUE_STRING && !value.text.len)
        return;
    else if (value.type != VALUE_STRING)
        raw_build_refuse(&o->build, "%s: expected nanoseconds since 1970, found %.17g, beyond 64 bits", name,
                         value.real);
    else if (!time_parse(value.text, ns))
        raw_build_refuse(&o->build, "%s: expected nanoseconds since 1970, found \"%.*s\"", name,
                         value.text.len > 40 ? 40 : (int)value.text.len, value.text.ptr);
}

/* A number of the protocol, or its name. */
static int read_enum(struct json_reader *r, int (*named)(struct slice)) {
    struct value value;
    if (!read_number(r, true, &value)) return 0;
    if (value.type == VALUE_STRING) return named(value.text);
    return value.type == VALUE_INT && value.integer >= 0 && value.integer <= 5 ? (int)value.integer : 0;
}

static int status_code_named(struct slice word) {
    int status = otlp_status_named(word);
    return status == STATUS_OK ? 1 : status == STATUS_ERROR ? 2 : 0;
}

static void read_status(struct otlp *o, struct json_reader *r, struct raw_span *raw) {
    struct slice key;
    enum json_type type = json_peek(r);
    if (type == JSON_NULL) {
        json_null(r);
    } else if (type == JSON_STRING || type == JSON_NUMBER) {
        raw->status = otlp_status_of((uint64_t)read_enum(r, status_code_named));
    } else if (type != JSON_OBJECT) {
        refuse_type(o, r, "status", "an object");
    } else {
        json_object(r);
        while (json_key(r, &key)) {
            if (slice_is(key, "code"))
                raw->status = otlp_status_of((uint64_t)read_enum(r, status_code_named));
            else if (slice_is(key, "message"))
                read_text(o, r, "status.message", &raw->status_message);
            else
                json_skip(r, NULL);
        }
    }
}

enum { EVENT_TIME, EVENT_NAME, EVENT_ATTRIBUTES };
static const struct otlp_key event_keys[] = {
    OTLP_KEY("timeUnixNano", "time_unix_nano", EVENT_TIME),
    OTLP_KEY("name", "name", EVENT_NAME),
    OTLP_KEY("attributes", "attributes", EVENT_ATTRIBUTES),
};
enum { EVENT_KEYS = sizeof event_keys / sizeof *event_keys };

static void read_events(struct otlp *o, struct json_reader *r) {
    struct slice key;
    enum json_type type = json_peek(r);
    if (type != JSON_ARRAY) {
        if (type == JSON_NULL)
            json_null(r);
        else
            refuse_type(o, r, "events", "an array");
        return;
    }
    json_array(r);
    while (json_item(r)) {
        struct raw_event *event = json_peek(r) == JSON_OBJECT ? raw_build_event(&o->build) : NULL;
        if (!event) {
            raw_build_refuse(&o->build, "events: expected an object, found %s", type_names[json_peek(r)]);
            json_skip(r, NULL);
            continue;
        }
        int hint = EVENT_KEYS - 1;
        json_object(r);
        while (json_key(r, &key)) switch (otlp_key_find(event_keys, EVENT_KEYS, key, &hint)) {
            case EVENT_TIME: read_time(o, r, "events: timeUnixNano", &event->time_ns); break;
            case EVENT_NAME: read_text(o, r, "events: name", &event->name); break;
            case EVENT_ATTRIBUTES:
                otlp_attrs_json(&o->build, r, &o->build.event_attrs, SPAN_EVENT_ATTRS_MAX, "events: attributes",
                                &o->build.arena);
                break;
            default: json_skip(r, NULL);
            }
    }
}

/* ---- a span ---- */

enum {
    SPAN_TRACE_ID,
    SPAN_SPAN_ID,
    SPAN_TRACE_STATE,
    SPAN_PARENT,
    SPAN_NAME,
    SPAN_KIND,
    SPAN_START,
    SPAN_END,
    SPAN_ATTRIBUTES,
    SPAN_EVENTS,
    SPAN_LINKS,
    SPAN_STATUS,
    SPAN_DROPPED
};
static const struct otlp_key span_keys[] = {
    OTLP_KEY("traceId", "trace_id", SPAN_TRACE_ID),
    OTLP_KEY("spanId", "span_id", SPAN_SPAN_ID),
    OTLP_KEY("traceState", "trace_state", SPAN_TRACE_STATE),
    OTLP_KEY("parentSpanId", "parent_span_id", SPAN_PARENT),
    OTLP_KEY("name", "name", SPAN_NAME),
    OTLP_KEY("kind", "kind", SPAN_KIND),
    OTLP_KEY("startTimeUnixNano", "start_time_unix_nano", SPAN_START),
    OTLP_KEY("endTimeUnixNano", "end_time_unix_nano", SPAN_END),
    OTLP_KEY("attributes", "attributes", SPAN_ATTRIBUTES),
    OTLP_KEY("events", "events", SPAN_EVENTS),
    OTLP_KEY("links", "links", SPAN_LINKS),
    OTLP_KEY("status", "status", SPAN_STATUS),
    OTLP_KEY("droppedAttributesCount", "dropped_attributes_count", SPAN_DROPPED),
    OTLP_KEY("droppedEventsCount", "dropped_events_count", SPAN_DROPPED),
    OTLP_KEY("droppedLinksCount", "dropped_links_count", SPAN_DROPPED),
};
enum { SPAN_KEYS = sizeof span_keys / sizeof *span_keys };

static void add_note(struct otlp *o, struct slice key, struct value value) {
    struct attr *attr = attr_list_add(&o->build, &o->build.attrs, SPAN_ATTRS_MAX, "attributes");
    if (attr) *attr = (struct attr){key, value};
}

static void read_dropped(struct otlp *o, struct json_reader *r, const struct otlp_key *key) {
    struct value value;
    if (!read_number(r, true, &value) || value.type != VALUE_INT || value.integer <= 0) return;
    add_note(o, arena_printf(&o->build.arena, "otel.%s", key->snake), value);
}

static void read_links(struct otlp *o, struct json_reader *r, struct raw_span *raw) {
    if (json_peek(r) != JSON_ARRAY)
        json_skip(r, NULL);
    else if (json_skip(r, &raw->links) && slice_is(raw->links, "[]"))
        raw->links.len = 0;
}

static bool read_members(struct otlp *o, struct json_reader *r) {
    struct raw_span raw = {0};
    struct slice key, state = {NULL, 0};
    int hint = SPAN_KEYS - 1;
    if (json_peek(r) != JSON_OBJECT) {
        refuse_type(o, r, "spans", "an object");
        return !json_failed(r) && otlp_span_done(o, &raw) == 0;
    }
    json_object(r);
    while (json_key(r, &key)) switch (otlp_key_find(span_keys, SPAN_KEYS, key, &hint)) {
        case SPAN_TRACE_ID: raw.source_trace_id = read_id(o, r, "traceId", raw.trace_id, TRACE_ID_SIZE); break;
        case SPAN_SPAN_ID: raw.source_span_id = read_id(o, r, "spanId", raw.span_id, SPAN_ID_SIZE); break;
        case SPAN_PARENT: read_id(o, r, "parentSpanId", raw.parent_span_id, SPAN_ID_SIZE); break;
        case SPAN_TRACE_STATE: read_text(o, r, "traceState", &state); break;
        case SPAN_NAME: read_text(o, r, "name", &raw.name); break;
        case SPAN_KIND: raw.otel_kind = read_enum(r, otlp_kind_named); break;
        case SPAN_START: read_time(o, r, "startTimeUnixNano", &raw.start_ns); break;
        case SPAN_END: read_time(o, r, "endTimeUnixNano", &raw.end_ns); break;
        case SPAN_ATTRIBUTES:
            otlp_attrs_json(&o->build, r, &o->build.attrs, SPAN_ATTRS_MAX, "attributes", &o->build.arena);
            break;
        case SPAN_EVENTS: read_events(o, r); break;
        case SPAN_LINKS: read_links(o, r, &raw); break;
        case SPAN_STATUS: read_status(o, r, &raw); break;
        case SPAN_DROPPED: read_dropped(o, r, &span_keys[hint]); break;
        default: json_skip(r, NULL);
        }
    if (json_failed(r)) return false;
    if (state.len) add_note(o, SLICE("otel.trace_state"), (struct value){.type = VALUE_STRING, .text = state});
    return otlp_span_done(o, &raw) == 0;
}

/* What must be unescaped for a span lives as long as it is looked at. */
bool otlp_read_span_json(struct otlp *o, struct json_reader *r) {
    struct arena *around = r->arena;
    o->position++;
    raw_build_reset(&o->build);
    r->arena = &o->build.arena;
    bool good = read_members(o, r);
    r->arena = around;
    return good;
}

/* ---- what is around it ---- */

/* A level of the request: a list of spans or of the level below, which need what else stands in the object (resource,
 * scope) first. Mostly it does stand first; a list that came before it is passed over and read when the object's end
 * has been seen. */
struct level {
    const struct otlp_key *keys;
    int key_count;
    const char *name; /* of the list, for messages */
    bool (*read_about)(struct otlp *o, struct json_reader *r);
    bool (*read_inner)(struct otlp *o, struct json_reader *r);
};
enum { LEVEL_ABOUT, LEVEL_LIST };

static bool read_list_of(struct otlp *o, struct json_reader *r, const struct level *level) {
    enum json_type type = json_peek(r);
    if (type == JSON_NULL) return json_null(r);
    if (type != JSON_ARRAY)
        return json_fail(r, "%s: expected an array, found %s", level->name, type_names[type]), false;
    json_array(r);
    while (json_item(r))
        if (!level->read_inner(o, r)) return false;
    return !json_failed(r);
}

/* Another reader goes over a part of the text again; its mistakes are ours. */
static bool read_again(struct otlp *o, struct json_reader *r, struct slice text, const struct level *level) {
    struct json_reader inner;
    json_reader_init(&inner, text, r->arena);
    inner.start = r->start;
    inner.depth = r->depth;
    bool good = read_list_of(o, &inner, level);
    if (json_failed(&inner) && !json_failed(r)) r->failed = true, r->err = inner.err;
    return good;
}

static bool read_level(struct otlp *o, struct json_reader *r, const struct level *level) {
    struct slice key, waiting = {NULL, 0};
    int hint = level->key_count - 1;
    bool about = false;
    if (json_peek(r) != JSON_OBJECT)
        return json_fail(r, "expected an object with %s, found %s", level->name, type_names[json_peek(r)]), false;
    json_object(r);
    while (json_key(r, &key)) {
        int member = otlp_key_find(level->keys, level->key_count, key, &hint);
        if (member == LEVEL_ABOUT && json_peek(r) == JSON_OBJECT) {
            if (!level->read_about(o, r)) return false;
            about = true;
        } else if (member == LEVEL_LIST && about) {
            if (!otlp_resource_done(o)) return json_fail(r, "no memory"), false;
            if (!read_list_of(o, r, level)) return false;
        } else if (member == LEVEL_LIST && !waiting.len) {
            if (!json_skip(r, &waiting)) return false;
        } else {
            json_skip(r, NULL);
        }
    }
    if (json_failed(r)) return false;
    if (!waiting.len) return true;
    if (!otlp_resource_done(o)) return json_fail(r, "no memory"), false;
    return read_again(o, r, waiting, level);
}

static bool read_attributes_of(struct otlp *o, struct json_reader *r, const char *what) {
    raw_build_reset(&o->build);
    otlp_attrs_json(&o->build, r, &o->resource_attrs, SPAN_ATTRS_MAX, what, o->lasting);
    if (o->build.refused.code) json_fail(r, "%s", o->build.refused.message);
    return !json_failed(r);
}

static bool read_resource(struct otlp *o, struct json_reader *r) {
    struct slice key;
    json_object(r);
    while (json_key(r, &key)) {
        if (slice_is(key, "attributes"))
            read_attributes_of(o, r, "resource attributes");
        else
            json_skip(r, NULL);
    }
    return !json_failed(r);
}

static bool read_scope(struct otlp *o, struct json_reader *r) {
    struct slice key;
    json_object(r);
    while (json_key(r, &key)) {
        bool text = json_peek(r) == JSON_STRING;
        if (text && slice_is(key, "name"))
            json_string(r, &o->resource.scope_name);
        else if (text && slice_is(key, "version"))
            json_string(r, &o->resource.scope_version);
        else if (slice_is(key, "attributes"))
            read_attributes_of(o, r, "scope attributes");
        else
            json_skip(r, NULL);
    }
    return !json_failed(r);
}

static const struct otlp_key scope_keys[] = {
    OTLP_KEY("scope", "instrumentation_library", LEVEL_ABOUT), OTLP_KEY("spans", "spans", LEVEL_LIST),
    OTLP_KEY("logRecords", "log_records", LEVEL_LIST),
    OTLP_KEY("instrumentationLibrary", "instrumentationLibrary", LEVEL_ABOUT), /* before OTLP 0.15 */
};
static bool read_item(struct otlp *o, struct json_reader *r) {
    return o->read_json(o, r);
}
static const struct level scope_level = {scope_keys, sizeof scope_keys / sizeof *scope_keys, "spans", read_scope,
                                         read_item};

static bool read_scope_spans(struct otlp *o, struct json_reader *r) {
    uint32_t around = o->resource_attrs.count;
    o->resource.scope_name = o->resource.scope_version = (struct slice){NULL, 0};
    bool good = read_level(o, r, &scope_level) && (!o->scope_done || o->scope_done(o) == 0);
    o->resource_attrs.count = around;
    return good;
}

static const struct otlp_key resource_keys[] = {
    OTLP_KEY("resource", "resource", LEVEL_ABOUT),
    OTLP_KEY("scopeSpans", "scope_spans", LEVEL_LIST),
    OTLP_KEY("scopeLogs", "scope_logs", LEVEL_LIST),
    OTLP_KEY("instrumentationLibrarySpans", "instrumentation_library_spans", LEVEL_LIST),
};
static const struct level resource_level = {resource_keys, sizeof resource_keys / sizeof *resource_keys, "scopeSpans",
                                            read_resource, read_scope_spans};

static bool read_resource_spans(struct otlp *o, struct json_reader *r) {
    o->resource_attrs.count = 0;
    return read_level(o, r, &resource_level);
}

static int broken(struct otlp *o, const struct json_reader *r) {
    int code = r->err.code == VT_ELIMIT || r->err.code == VT_ENOMEM ? r->err.code : VT_EINVAL;
    error_set(o->err, code, "%s, after %u items", r->err.message, o->position);
    return error_hint(o->err, "the body must be an %s of OTLP 1.x in JSON: {\"%s\":[…]}", o->request_name,
                      o->request_key);
}

int otlp_walk_json(struct otlp *o, struct slice body) {
    struct json_reader r;
    struct slice key, other = {NULL, 0};
    const struct level request_level = {NULL, 0, o->request_key, NULL, read_resource_spans};
    bool known = false, good = true;
    json_reader_init(&r, body, o->lasting);
    if (json_peek(&r) == JSON_OBJECT && json_object(&r))
        while (good && json_key(&r, &key)) {
            if (slice_is(key, o->request_key) || slice_is(key, o->request_snake)) {
                good = read_list_of(o, &r, &request_level);
                known = true;
            } else {
                other = key;
                good = json_skip(&r, NULL);
            }
        }
    else
        json_fail(&r, "expected an object, found %s", type_names[json_peek(&r)]);
    if (o->code) return o->code;
    if (!json_end(&r)) return broken(o, &r);
    if (!known && other.len) {
        json_fail(&r, "expected the key \"%s\", found \"%.*s\"", o->request_key, other.len > 40 ? 40 : (int)other.len,
                  other.ptr);
        return broken(o, &r);
    }
    return 0;
}
