/* OTLP logs: GenAI events, which some SDKs send apart from their spans. */
#include "ingest/ingest.h"

#include "base/pb.h"
#include "ingest/ids.h"
#include "ingest/otlp.h"
#include "span/normalise.h"

#include <math.h>

/* A record as it is read, and the span that the records of one span become. */
struct record {
    uint8_t trace_id[TRACE_ID_SIZE], span_id[SPAN_ID_SIZE];
    int64_t time_ns, observed_ns;
    struct slice name;
    struct value body;
};

struct logs {
    uint64_t ignored;
    bool open; /* a group is under way in the build */
    uint8_t trace_id[TRACE_ID_SIZE], span_id[SPAN_ID_SIZE];
    int64_t start_ns, end_ns;
};

/* ---- groups ---- */

static int close_group(struct otlp *o) {
    struct logs *logs = o->ctx;
    if (!logs->open) return 0;
    logs->open = false;
    struct raw_span raw = {
        .name = SLICE("gen_ai.events"), .content_event = true, .start_ns = logs->start_ns, .end_ns = logs->end_ns};
    struct attr *kind = attr_list_add(&o->build, &o->build.attrs, SPAN_ATTRS_MAX, "attributes");
    if (kind) *kind = (struct attr){SLICE("vitrine.kind"), {.type = VALUE_STRING, .text = SLICE("other")}};
    struct slice seed = arena_printf(&o->build.arena, "%lld %u %.*s", (long long)logs->start_ns, o->build.event_count,
                                     o->build.event_count ? (int)(o->build.events[0].name.len & 0xff) : 0,
                                     o->build.event_count ? o->build.events[0].name.ptr : "");
    char parts[TRACE_ID_SIZE + SPAN_ID_SIZE + 400];
    size_t len = seed.len < 400 ? seed.len : 400;
    memcpy(parts, logs->trace_id, TRACE_ID_SIZE);
    memcpy(parts + TRACE_ID_SIZE, logs->span_id, SPAN_ID_SIZE);
    if (len) memcpy(parts + TRACE_ID_SIZE + SPAN_ID_SIZE, seed.ptr, len);
    struct slice own = slice_make(parts, TRACE_ID_SIZE + SPAN_ID_SIZE + len);
    id_from_text(own, raw.span_id, SPAN_ID_SIZE);
    memcpy(raw.parent_span_id, logs->span_id, SPAN_ID_SIZE);
    memcpy(raw.trace_id, logs->trace_id, TRACE_ID_SIZE);
    if (id_is_zero(raw.trace_id, TRACE_ID_SIZE)) id_from_text(own, raw.trace_id, TRACE_ID_SIZE);
    return otlp_span_done(o, &raw);
}

/* Opens a new group unless the record belongs to the one under way. */
static int open_group(struct otlp *o, const struct record *record) {
    struct logs *logs = o->ctx;
    bool same = logs->open && memcmp(logs->trace_id, record->trace_id, TRACE_ID_SIZE) == 0 &&
                memcmp(logs->span_id, record->span_id, SPAN_ID_SIZE) == 0;
    if (same) {
        if (record->time_ns < logs->start_ns) logs->start_ns = record->time_ns;
        if (record->time_ns > logs->end_ns) logs->end_ns = record->time_ns;
        return 0;
    }
    int code = close_group(o);
    if (code) return code;
    raw_build_reset(&o->build);
    memcpy(logs->trace_id, record->trace_id, TRACE_ID_SIZE);
    memcpy(logs->span_id, record->span_id, SPAN_ID_SIZE);
    logs->start_ns = logs->end_ns = record->time_ns;
    logs->open = true;
    return 0;
}

static void add_event_attr(struct otlp *o, struct slice key, struct value value) {
    struct attr *attr = attr_list_add(&o->build, &o->build.event_attrs, SPAN_EVENT_ATTRS_MAX, "attributes");
    if (attr) *attr = (struct attr){key, value};
}

/* What stood in the body: its members, those of a "message" in it too; a text is the content. */
static void add_body(struct otlp *o, const struct value *body) {
    struct json_reader r;
    struct slice key;
    struct value value;
    if (body->type != VALUE_JSON || !body->text.len || *body->text.ptr != '{') {
        if (body->type != VALUE_NONE) add_event_attr(o, SLICE("gen_ai.event.content"), *body);
        return;
    }
    json_reader_init(&r, body->text, &o->build.arena);
    json_object(&r);
    for (bool inner = false;; inner = true) {
        struct slice message = {NULL, 0};
        while (json_key(&r, &key)) {
            if (!value_read_json(&r, &value)) return;
            bool object = value.type == VALUE_JSON && value.text.len && *value.text.ptr == '{';
            if (!inner && slice_is(key, "message") && object)
                message = value.text;
            else
                add_event_attr(o, key, value);
        }
        if (!message.len) return;
        json_reader_init(&r, message, &o->build.arena);
        json_object(&r);
    }
}

/* The name is said already. */
static void drop_event_name(struct attr_list *list, uint32_t from) {
    uint32_t kept = from;
    for (uint32_t i = from; i < list->count; i++)
        if (!slice_is(list->items[i].key, "event.name")) list->items[kept++] = list->items[i];
    list->count = kept;
}

static bool is_genai(const struct record *record) {
    return slice_starts(record->name, SLICE("gen_ai."));
}

/* ---- protobuf ---- */

enum {
    LOG_TIME = 1,
    LOG_BODY = 5,
    LOG_ATTRIBUTES = 6,
    LOG_TRACE = 9,
    LOG_SPAN = 10,
    LOG_OBSERVED = 11,
    LOG_EVENT = 12
};

static void copy_id(uint8_t *id, size_t size, struct slice bytes) {
    if (bytes.len == size) memcpy(id, bytes.ptr, size);
}

/* The value of an attribute when it is text. */
static struct slice attr_text(struct slice bytes, struct slice wanted) {
    const uint8_t *at = pb_bytes(bytes), *end = at + bytes.len;
    struct slice key = {NULL, 0}, text = {NULL, 0};
    struct pb_field field = {0};
    while (pb_step(&at, end, &field) > 0) {
        if (field.wire != PB_BYTES) continue;
        if (field.number == 1) key = field.bytes;
        if (field.number != 2) continue;
        const uint8_t *any = pb_bytes(field.bytes), *any_end = any + field.bytes.len;
        while (pb_step(&any, any_end, &field) > 0)
            if (field.number == 1 && field.wire == PB_BYTES) text = field.bytes;
    }
    return slice_eq(key, wanted) ? text : (struct slice){NULL, 0};
}

static int read_record_protobuf(struct otlp *o, struct slice bytes) {
    const uint8_t *const start = pb_bytes(bytes), *const end = start + bytes.len, *at = start;
    struct logs *logs = o->ctx;
    struct record record = {.body.type = VALUE_NONE};
    struct slice body = {NULL, 0};
    struct pb_field field = {0};
    int code;
    o->position++;
    while ((code = pb_step(&at, end, &field)) > 0) {
        if (field.number == LOG_TIME && field.wire == PB_FIXED64) record.time_ns = (int64_t)field.integer;
        if (field.number == LOG_OBSERVED && field.wire == PB_FIXED64) record.observed_ns = (int64_t)field.integer;
        if (field.wire != PB_BYTES) continue;
        if (field.number == LOG_TRACE) copy_id(record.trace_id, TRACE_ID_SIZE, field.bytes);
        if (field.number == LOG_SPAN) copy_id(record.span_id, SPAN_ID_SIZE, field.bytes);
        if (field.number == LOG_BODY) body = field.bytes;
        if (field.number == LOG_EVENT && field.bytes.len) record.name = field.bytes;
        if (field.number == LOG_ATTRIBUTES && !record.name.len)
            record.name = attr_text(field.bytes, SLICE("event.name"));
    }
    if (code < 0) {
        if (o->batch) batch_reject(o->batch, o->position, "log record %u: %s", o->position, pb_mistakes[-code]);
        return 0;
    }
    if (!is_genai(&record)) {
        logs->ignored++;
        return 0;
    }
    if (!record.time_ns) record.time_ns = record.observed_ns;
    if ((code = open_group(o, &record))) return code;
    struct raw_event *event = raw_build_event(&o->build);
    if (!event) return 0;
    event->name = record.name;
    event->time_ns = record.time_ns;
    otlp_value_protobuf(&o->build, body, &record.body, &o->build.arena);
    add_body(o, &record.body);
    uint32_t before = o->build.event_attrs.count;
    for (at = start; pb_step(&at, end, &field) > 0;)
        if (field.number == LOG_ATTRIBUTES && field.wire == PB_BYTES)
            otlp_attr_protobuf(&o->build, field.bytes, &o->build.event_attrs, SPAN_EVENT_ATTRS_MAX, "attributes",
                               &o->build.arena);
    drop_event_name(&o->build.event_attrs, before);
    return 0;
}

/* ---- JSON ---- */

static const struct otlp_key record_keys[] = {
    OTLP_KEY("timeUnixNano", "time_unix_nano", LOG_TIME),
    OTLP_KEY("observedTimeUnixNano", "observed_time_unix_nano", LOG_OBSERVED),
    OTLP_KEY("body", "body", LOG_BODY),
    OTLP_KEY("attributes", "attributes", LOG_ATTRIBUTES),
    OTLP_KEY("traceId", "trace_id", LOG_TRACE),
    OTLP_KEY("spanId", "span_id", LOG_SPAN),
    OTLP_KEY("eventName", "event_name", LOG_EVENT),
};
enum { RECORD_KEYS = sizeof record_keys / sizeof *record_keys };

static int64_t time_of_value(const struct value *value) {
    if (value->type == VALUE_INT) return value->integer;
    if (value->type == VALUE_DOUBLE && value->real > 0 && value->real < 9.2e18)
        return llround(value->real / 1000) * 1000;
    int64_t ns = 0;
    if (value->type == VALUE_STRING)
        for (size_t i = 0; i < value->text.len && value->text.ptr[i] >= '0' && value->text.ptr[i] <= '9'; i++)
            if (__builtin_mul_overflow(ns, 10, &ns) || __builtin_add_overflow(ns, value->text.ptr[i] - '0', &ns))
                return INT64_MAX;
    return ns;
}

/* Attributes come after the record's place is known, so the record is gone over twice: what it is, then what it says.
 */
static void read_record_members(struct otlp *o, struct json_reader *r, struct record *record, bool attributes) {
    struct slice key, text;
    struct value value;
    int hint = RECORD_KEYS - 1;
    struct attr_list *list = &o->build.event_attrs;
    json_object(r);
    while (json_key(r, &key)) {
        int member = otlp_key_find(record_keys, RECORD_KEYS, key, &hint);
        if (member == LOG_ATTRIBUTES) {
            uint32_t before = list->count;
            otlp_attrs_json(&o->build, r, list, SPAN_EVENT_ATTRS_MAX, "attributes", &o->build.arena);
            for (uint32_t i = before; i < list->count && !record->name.len; i++)
                if (slice_is(list->items[i].key, "event.name") && list->items[i].value.type == VALUE_STRING)
                    record->name = list->items[i].value.text;
            if (attributes)
                drop_event_name(list, before);
            else
                list->count = before;
        } else if (member == LOG_BODY && attributes) {
            otlp_value_json(&o->build, r, &record->body, &o->build.arena);
            add_body(o, &record->body);
        } else if (member == LOG_TIME || member == LOG_OBSERVED) {
            if (value_read_json(r, &value))
                *(member == LOG_TIME ? &record->time_ns : &record->observed_ns) = time_of_value(&value);
        } else if ((member == LOG_TRACE || member == LOG_SPAN || member == LOG_EVENT) && json_peek(r) == JSON_STRING) {
            if (!json_string(r, &text)) return;
            if (member == LOG_EVENT && text.len) record->name = text;
            if (member == LOG_TRACE) id_read(text, true, record->trace_id, TRACE_ID_SIZE);
            if (member == LOG_SPAN) id_read(text, true, record->span_id, SPAN_ID_SIZE);
        } else {
            json_skip(r, NULL);
        }
    }
}

static bool read_record_json(struct otlp *o, struct json_reader *r) {
    struct logs *logs = o->ctx;
    struct record record = {.body.type = VALUE_NONE};
    struct slice object;
    o->position++;
    if (!json_skip(r, &object)) return false;
    if (*object.ptr != '{') {
        if (o->batch) batch_reject(o->batch, o->position, "log record %u: expected an object", o->position);
        return true;
    }
    /* The first look makes nothing that must stay: a group may end with it. */
    struct arena first = {0};
    struct json_reader look;
    json_reader_init(&look, object, &first);
    struct error refused = o->build.refused;
    read_record_members(o, &look, &record, false);
    o->build.refused = refused;
    if (!is_genai(&record)) {
        logs->ignored++;
        arena_free(&first);
        return true;
    }
    if (!record.time_ns) record.time_ns = record.observed_ns;
    bool good = open_group(o, &record) == 0;
    arena_free(&first);
    struct raw_event *event = good ? raw_build_event(&o->build) : NULL;
    if (!event) return good;
    size_t place = (size_t)(event - o->build.events);
    record.name = (struct slice){NULL, 0};
    int64_t time_ns = record.time_ns;
    json_reader_init(&look, object, &o->build.arena);
    read_record_members(o, &look, &record, true);
    o->build.events[place].name = record.name;
    o->build.events[place].time_ns = time_ns;
    return true;
}

/* ---- the door ---- */

static int decode(struct batch *batch, struct slice body, struct slice project, bool json, uint64_t *ignored,
                  struct error *err) {
    struct logs logs = {0};
    struct otlp o;
    otlp_init(&o, batch, project, err);
    o.ctx = &logs;
    o.read_protobuf = read_record_protobuf;
    o.read_json = read_record_json;
    o.scope_done = close_group;
    o.request_name = "ExportLogsServiceRequest";
    o.request_key = "resourceLogs";
    o.request_snake = "resource_logs";
    int code = json ? otlp_walk_json(&o, body) : otlp_walk_protobuf(&o, body);
    if (ignored) *ignored = logs.ignored;
    otlp_free(&o);
    return code;
}

int otlp_logs_decode_protobuf(struct batch *batch, struct slice body, struct slice project, uint64_t *ignored,
                              struct error *err) {
    return decode(batch, body, project, false, ignored, err);
}

int otlp_logs_decode_json(struct batch *batch, struct slice body, struct slice project, uint64_t *ignored,
                          struct error *err) {
    return decode(batch, body, project, true, ignored, err);
}
