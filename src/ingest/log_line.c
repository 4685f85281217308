/* A trace line: {"timestamp","level","message","trace":{…},"attributes":{…},"events":[…]}, an exported span, or an OTLP
 * request. */
#include "ingest/log_line.h"

#include "base/timestamp.h"
#include "ingest/ids.h"
#include "ingest/ingest.h"
#include "span/normalise.h"
#include "span/span_json.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

struct trace_line {
    struct raw_span raw;
    struct slice trace_id, span_id, parent_id; /* as given */
    struct slice message, level, error, inner;
    int64_t time_ns;     /* 0 = not given */
    int64_t duration_ns; /* -1 = not given */
    bool trace;          /* a "trace" object with an id in it was there */
    bool otlp;
    bool export_id, export_trace, export_start; /* members of an exported span */
    bool log;                                   /* `message` is Docker's "log" */
    enum log_stream stream;
    bool bad_time, bad_duration;
    struct slice bad; /* what stood there */
};

/* ---- scalars ---- */

/* A text, or a number as its text. */
static bool read_scalar(struct json_reader *r, struct slice *text) {
    switch (json_peek(r)) {
    case JSON_STRING: return json_string(r, text);
    case JSON_NUMBER: return json_skip(r, text);
    default: return json_skip(r, NULL);
    }
}

static bool number_of(struct slice text, double *number, size_t *used) {
    char copy[40], *end;
    size_t len = text.len < sizeof copy - 1 ? text.len : sizeof copy - 1;
    if (len) memcpy(copy, text.ptr, len);
    copy[len] = 0;
    if (!len || !(copy[0] == '-' || copy[0] == '.' || (copy[0] >= '0' && copy[0] <= '9'))) return false;
    *number = strtod(copy, &end);
    *used = (size_t)(end - copy);
    return end != copy && isfinite(*number);
}

/* Unix time as number or digits, in seconds, milliseconds, microseconds or nanoseconds: 11 digits of seconds reach to
 * the year 5138, so the number's size tells its unit. Or ISO 8601. */
static bool time_of_text(struct slice text, int64_t *ns) {
    double number;
    size_t used;
    if (time_parse(text, ns)) return true;
    if (!number_of(text, &number, &used) || used != text.len || number <= 0) return false;
    double scale = number < 1e11 ? 1e9 : number < 1e14 ? 1e6 : number < 1e17 ? 1e3 : 1;
    /* Whole microseconds: a double has no more digits for today. */
    if (number * scale >= 9.2e18) return false;
    *ns = scale >= 1e6 ? llround(number * (scale / 1e3)) * 1000 : (int64_t)(number * scale);
    return true;
}

/* "4283ms", 4283, "1.5s", "250us", "2m": milliseconds where no unit stands. */
static bool duration_of_text(struct slice text, int64_t *ns) {
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"", 1e6},          {"ms", 1e6}, {"s", 1e9},  {"us", 1e3},   {"\xc2\xb5s", 1e3},
                 {"\xce\xbcs", 1e3}, {"ns", 1},   {"m", 60e9}, {"min", 60e9}, {"h", 3600e9}};
    double number;
    size_t used;
    if (!number_of(text, &number, &used) || number < 0) return false;
    struct slice unit = slice_from(text, used);
    while (unit.len && *unit.ptr == ' ') unit = slice_from(unit, 1);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (!slice_is(unit, units[i].unit) || number * units[i].ns > 9e18) continue;
        *ns = llround(number * units[i].ns);
        return true;
    }
    return false;
}

/* ---- members ---- */

enum member {
    LINE_TIME,
    LINE_LEVEL,
    LINE_MESSAGE,
    LINE_LOG,
    LINE_STREAM,
    LINE_TRACE_OBJECT,
    LINE_ATTRIBUTES,
    LINE_EVENTS,
    LINE_RESOURCE,
    LINE_OTLP,
    LINE_EXPORT_TRACE,
    LINE_EXPORT_SPAN,
    LINE_EXPORT_START,
    TRACE_TRACE_ID,
    TRACE_SPAN,
    TRACE_PARENT,
    TRACE_OPERATION,
    TRACE_DURATION,
    TRACE_STATUS,
    TRACE_ERROR,
    TRACE_START
};

struct name {
    const char *name;
    enum member member;
};

/* The storefront's names first, then those of the usual loggers and log shippers. */
static const struct name line_names[] = {
    {"timestamp", LINE_TIME},
    {"level", LINE_LEVEL},
    {"message", LINE_MESSAGE},
    {"trace", LINE_TRACE_OBJECT},
    {"attributes", LINE_ATTRIBUTES},
    {"events", LINE_EVENTS},
    {"resource", LINE_RESOURCE},
    {"resourceSpans", LINE_OTLP},
    {"resource_spans", LINE_OTLP},
    {"trace_id", LINE_EXPORT_TRACE},
    {"span_id", LINE_EXPORT_SPAN},
    {"start", LINE_EXPORT_START},
    {"time", LINE_TIME},
    {"@timestamp", LINE_TIME},
    {"ts", LINE_TIME},
    {"msg", LINE_MESSAGE},
    {"log", LINE_LOG},
    {"stream", LINE_STREAM},
    {"line", LINE_MESSAGE},
    {"textPayload", LINE_MESSAGE},
    {"MESSAGE", LINE_MESSAGE},
    {"severity", LINE_LEVEL},
};
static const struct name trace_names[] = {
    {"traceId", TRACE_TRACE_ID},      {"spanId", TRACE_SPAN},          {"parentSpanId", TRACE_PARENT},
    {"operation", TRACE_OPERATION},   {"duration", TRACE_DURATION},    {"status", TRACE_STATUS},
    {"error", TRACE_ERROR},           {"trace_id", TRACE_TRACE_ID},    {"span_id", TRACE_SPAN},
    {"parent_span_id", TRACE_PARENT}, {"parentId", TRACE_PARENT},      {"name", TRACE_OPERATION},
    {"durationMs", TRACE_DURATION},   {"duration_ms", TRACE_DURATION}, {"startTime", TRACE_START},
    {"start", TRACE_START},
};

static int member_named(const struct name *names, size_t count, struct slice key) {
    for (size_t i = 0; i < count; i++)
        if (slice_is(key, names[i].name)) return (int)names[i].member;
    return -1;
}

static void read_time(struct json_reader *r, struct trace_line *t) {
    struct slice text = {NULL, 0};
    if (!read_scalar(r, &text) || !text.len || t->time_ns) return;
    if (!time_of_text(text, &t->time_ns)) t->bad_time = true, t->bad = text;
}

/* {"message":"…"} or text. */
static void read_error(struct json_reader *r, struct slice *error) {
    struct slice key;
    if (json_peek(r) != JSON_OBJECT) {
        read_scalar(r, error);
        return;
    }
    json_object(r);
    while (json_key(r, &key)) {
        if (slice_is(key, "message"))
            read_scalar(r, error);
        else
            json_skip(r, NULL);
    }
}

static void read_status(struct json_reader *r, struct trace_line *t) {
    struct slice text = {NULL, 0};
    read_scalar(r, &text);
    int status = span_status_named(text);
    if (status >= 0)
        t->raw.status = status;
    else if (slice_is(text, "SUCCESS") || slice_is(text, "success") || slice_is(text, "1"))
        t->raw.status = STATUS_OK;
    else if (text.len && !slice_is(text, "0"))
        t->raw.status = STATUS_ERROR;
}

static void read_trace(struct json_reader *r, struct trace_line *t) {
    struct slice key, text = {NULL, 0};
    json_object(r);
    while (json_key(r, &key)) switch (member_named(trace_names, sizeof trace_names / sizeof *trace_names, key)) {
        case TRACE_TRACE_ID: read_scalar(r, &t->trace_id); break;
        case TRACE_SPAN: read_scalar(r, &t->span_id); break;
        case TRACE_PARENT: read_scalar(r, &t->parent_id); break;
        case TRACE_OPERATION: read_scalar(r, &t->raw.name); break;
        case TRACE_STATUS: read_status(r, t); break;
        case TRACE_ERROR: read_error(r, &t->error); break;
        case TRACE_START: read_time(r, t); break;
        case TRACE_DURATION:
            text.len = 0;
            if (read_scalar(r, &text) && text.len && !duration_of_text(text, &t->duration_ns))
                t->bad_duration = true, t->bad = text;
            break;
        default: json_skip(r, NULL);
        }
    t->trace |= t->trace_id.len || t->span_id.len;
}

static void read_event(struct log_line *line, struct json_reader *r) {
    struct slice key, text = {NULL, 0};
    struct raw_event *event = json_peek(r) == JSON_OBJECT ? raw_build_event(&line->build) : NULL;
    if (!event) {
        json_skip(r, NULL);
        return;
    }
    json_object(r);
    while (json_key(r, &key)) {
        if (slice_is(key, "name"))
            read_scalar(r, &event->name);
        else if (slice_is(key, "timestamp") || slice_is(key, "time")) {
            if (read_scalar(r, &text)) time_of_text(text, &event->time_ns);
        } else if (slice_is(key, "attributes"))
            attrs_read_json(r, &line->build, &line->build.event_attrs, SPAN_EVENT_ATTRS_MAX, "events: attributes");
        else
            json_skip(r, NULL);
    }
}

static void read_events(struct log_line *line, struct json_reader *r) {
    if (json_peek(r) != JSON_ARRAY) {
        json_skip(r, NULL);
        return;
    }
    json_array(r);
    while (json_item(r)) read_event(line, r);
}

static void read_line(struct log_line *line, struct json_reader *r, struct trace_line *t) {
    struct slice key, text;
    json_object(r);
    while (json_key(r, &key)) switch (member_named(line_names, sizeof line_names / sizeof *line_names, key)) {
        case LINE_TIME: read_time(r, t); break;
        case LINE_LEVEL: read_scalar(r, &t->level); break;
        case LINE_MESSAGE:
        case LINE_LOG:
            text.len = 0;
            if (!read_scalar(r, &text) || !text.len) break;
            t->message = text;
            t->log = slice_is(key, "log");
            break;
        case LINE_STREAM:
            text.len = 0;
            if (!read_scalar(r, &text)) break;
            t->stream = slice_is(text, "stdout") ? STREAM_OUT : slice_is(text, "stderr") ? STREAM_ERR : STREAM_NONE;
            break;
        case LINE_TRACE_OBJECT:
            if (json_peek(r) == JSON_OBJECT)
                read_trace(r, t);
            else
                json_skip(r, NULL);
            break;
        case LINE_ATTRIBUTES: attrs_read_json(r, &line->build, &line->build.attrs, SPAN_ATTRS_MAX, "attributes"); break;
        case LINE_EVENTS: read_events(line, r); break;
        case LINE_OTLP: t->otlp = true, json_skip(r, NULL); break;
        case LINE_EXPORT_TRACE: t->export_trace = true, json_skip(r, NULL); break;
        case LINE_EXPORT_SPAN: t->export_id = true, json_skip(r, NULL); break;
        case LINE_EXPORT_START: t->export_start = true, json_skip(r, NULL); break;
        default: json_skip(r, NULL);
        }
}

/* ---- the span ---- */

static int64_t earliest_event(const struct raw_build *build) {
    int64_t first = 0;
    for (uint32_t i = 0; i < build->event_count; i++)
        if (build->events[i].time_ns > 0 && (!first || build->events[i].time_ns < first))
            first = build->events[i].time_ns;
    return first;
}

static void set_times(struct log_line *line, struct trace_line *t) {
    struct raw_build *build = &line->build;
    if (t->bad_time)
        raw_build_refuse(build, "timestamp: expected ISO 8601 or Unix time, found \"%.*s\"",
                         t->bad.len > 40 ? 40 : (int)t->bad.len, t->bad.ptr);
    if (t->bad_duration)
        raw_build_refuse(build, "trace.duration: expected milliseconds as \"12ms\" or 12, found \"%.*s\"",
                         t->bad.len > 40 ? 40 : (int)t->bad.len, t->bad.ptr);
    int64_t duration = t->duration_ns > 0 ? t->duration_ns : 0;
    if (!t->time_ns) t->time_ns = earliest_event(build);
    if (!t->time_ns && line->printed_ns > duration) t->time_ns = line->printed_ns - duration;
    if (!t->time_ns) raw_build_refuse(build, "timestamp is missing; expected the start as ISO 8601 or Unix time in ms");
    t->raw.start_ns = t->time_ns;
    if (__builtin_add_overflow(t->time_ns, duration, &t->raw.end_ns)) t->raw.end_ns = INT64_MAX;
}

/* Ids of another form than hex: the sender gives every span a trace of its own, and only the parent's id ties them. */
static void set_ids(struct log_line *line, struct trace_line *t) {
    struct raw_span *raw = &t->raw;
    enum id_form trace = id_read(t->trace_id, false, raw->trace_id, TRACE_ID_SIZE),
                 span = id_read(t->span_id, false, raw->span_id, SPAN_ID_SIZE);
    id_read(t->parent_id, false, raw->parent_span_id, SPAN_ID_SIZE);
    if (span == ID_NONE) raw_build_refuse(&line->build, "trace.spanId is missing");
    if (trace == ID_NONE) id_from_text(t->span_id, raw->trace_id, TRACE_ID_SIZE);
    if (trace == ID_SHORT || trace == ID_HASHED) raw->source_trace_id = t->trace_id;
    if (span == ID_HASHED) raw->source_span_id = t->span_id;
    raw->join_by_parent = trace == ID_HASHED || trace == ID_NONE;
    if (!raw->join_by_parent || !line->trace_id) return;
    /* What is around the line knows its trace better. */
    raw->join_by_parent = false;
    memcpy(raw->trace_id, line->trace_id, TRACE_ID_SIZE);
    if (line->parent_id && id_is_zero(raw->parent_span_id, SPAN_ID_SIZE))
        memcpy(raw->parent_span_id, line->parent_id, SPAN_ID_SIZE);
}

static bool is_level_error(struct slice level) {
    return level.len == 5 && strncasecmp(level.ptr, "ERROR", 5) == 0;
}

static int take_span(struct log_line *line, struct trace_line *t) {
    struct raw_build *build = &line->build;
    struct raw_span *raw = &t->raw;
    set_ids(line, t);
    set_times(line, t);
    if (!raw->name.len && slice_starts(t->message, SLICE("TRACE: ")))
        raw->name = slice_from(t->message, sizeof "TRACE: " - 1);
    if (raw->status == STATUS_UNSET && (t->error.len || is_level_error(t->level))) raw->status = STATUS_ERROR;
    raw->status_message = t->error;
    if (build->refused.code) {
        struct slice shown = raw->name.len > 80 ? slice_make(raw->name.ptr, 80) : raw->name;
        batch_reject(line->batch, line->position, "span \"%.*s\": %s", (int)shown.len, shown.len ? shown.ptr : "",
                     build->refused.message);
        return LINE_TRACE;
    }
    for (uint32_t i = 0; i < line->extra_count; i++) {
        struct attr *attr = attr_list_add(build, &build->attrs, SPAN_ATTRS_MAX + line->extra_count, "attributes");
        if (attr) *attr = line->extra[i];
    }
    raw_build_finish(build, raw);
    raw->source = line->source;
    raw->resource = &line->resource;
    int code = normalise(line->batch, raw, line->position);
    line->took = code == 0;
    return code == VT_ENOMEM || code == VT_ELIMIT ? code : LINE_TRACE;
}

static int take_export(struct log_line *line, struct slice object) {
    struct json_reader r;
    struct span span;
    json_reader_init(&r, object, &line->build.arena);
    if (!span_read_json(&r, &span)) {
        batch_reject(line->batch, line->position, "exported span: %s", r.err.message);
        return LINE_TRACE;
    }
    if (line->resource.project.len) *span_text(&span, COL_PROJECT) = line->resource.project;
    int code = normalise_canonical(line->batch, &span, line->position);
    line->took = code == 0;
    return code == VT_ENOMEM || code == VT_ELIMIT ? code : LINE_TRACE;
}

/* A line of an OTLP file. It goes in whole or, when the batch is too full for it, not at all. */
static int take_otlp(struct log_line *line, struct slice object) {
    struct batch *batch = line->batch;
    struct error err = {0};
    const uint32_t before = batch->count, rejected = batch->rejected, reasons = batch->rejection_count;
    int code = otlp_decode_json(batch, object, line->resource.project, &err);
    if (code == VT_ELIMIT && before) {
        batch->count = before;
        batch->rejected = rejected;
        batch->rejection_count = reasons;
        return VT_ELIMIT;
    }
    if (code == VT_ENOMEM) return code;
    if (code) batch_reject(batch, line->position, "OTLP: %s", err.message);
    for (uint32_t i = reasons; i < batch->rejection_count; i++) batch->rejections[i].position = line->position;
    line->took = batch->count > before;
    return LINE_TRACE;
}

static bool may_hold_traces(struct slice text) {
    return text.len > 20 && memchr(text.ptr, '{', text.len) &&
           (slice_find(text, SLICE("\"spanId\"")) || slice_find(text, SLICE("\"span_id\"")));
}

static int end_all(struct log_line *line, int code) {
    if (code == VT_ENOMEM)
        error_set(&line->err, code, "line %u: no memory", line->position);
    else
        error_set(&line->err, code, "the batch is full: %u spans", line->batch->count);
    return code;
}

/* What the object says, before any of it is taken. LINE_OTHER stands for any that could be read. */
static int read_object(struct log_line *line, struct slice text, struct trace_line *t) {
    struct json_reader r;
    *t = (struct trace_line){.duration_ns = -1};
    raw_build_reset(&line->build);
    json_reader_init(&r, text, &line->build.arena);
    line->took = line->cut_off = line->tried_trace = false;
    line->inner_ns = 0;
    line->stream = STREAM_NONE;
    read_line(line, &r, t);
    line->length = json_offset(&r);
    if (json_failed(&r)) {
        line->err = r.err;
        if (r.err.code == VT_ENOMEM) return end_all(line, VT_ENOMEM);
        line->cut_off = r.at >= r.end;
        line->tried_trace = t->trace;
        return LINE_BROKEN;
    }
    if (t->log && t->stream && !t->trace && !t->otlp && !t->export_trace) {
        line->stream = t->stream;
        line->piece = t->message;
        line->piece_ns = t->time_ns;
    }
    return LINE_OTHER;
}

int log_piece_read(struct log_line *line, struct slice text) {
    struct trace_line t;
    return read_object(line, text, &t);
}

int log_line_read(struct log_line *line, struct slice text) {
    struct trace_line t;
    int result = read_object(line, text, &t);
    if (result != LINE_OTHER) return result;
    struct slice object = slice_make(text.ptr, line->length);
    if (t.trace)
        result = take_span(line, &t);
    else if (t.otlp)
        result = take_otlp(line, object);
    else if (t.export_id && t.export_trace && t.export_start)
        result = take_export(line, object);
    else if (may_hold_traces(t.message)) {
        line->inner = t.message;
        line->inner_ns = t.time_ns;
        return LINE_WRAPPED;
    }
    return result < 0 ? end_all(line, result) : result;
}

void log_line_free(struct log_line *line) {
    raw_build_free(&line->build);
}
