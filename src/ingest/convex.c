/* A Convex log stream: the trace lines that functions print, and the functions' executions around them
 * (docs/convex.md). Events as Convex documents them, and those of streams set up before May 2024. */
#include "ingest/ingest.h"

#include "base/timestamp.h"
#include "ingest/log_line.h"
#include "span/normalise.h"

#include <math.h>
#include <stdlib.h>

enum topic { TOPIC_OTHER, TOPIC_VERIFICATION, TOPIC_CONSOLE, TOPIC_EXECUTION };
enum { NOTES_MAX = 32, EVENT_DEPTH_MAX = 2 };

struct event {
    enum topic topic;
    int64_t time_ms; /* 0 = not given */
    bool bad_time;
    struct slice message, error, status;
    struct slice path, type, request_id;
    double execution_ms; /* NaN = not given */
    bool truncated;
    struct slice service;
    struct attr notes[NOTES_MAX]; /* attributes of the spans that come of it */
    uint32_t note_count;
};

struct stream {
    struct convex_decode *options;
    struct log_line line;
    struct arena arena; /* for the event under way */
    struct buf text;    /* a message without its quotes */
    int64_t now_ms;
};

/* ---- members ---- */

static void note(struct event *e, struct slice key, struct value value) {
    bool empty = value.type == VALUE_NONE || (value.type == VALUE_STRING && !value.text.len);
    if (!empty && e->note_count < NOTES_MAX) e->notes[e->note_count++] = (struct attr){key, value};
}

static void note_text(struct event *e, struct slice key, struct slice text) {
    note(e, key, (struct value){.type = VALUE_STRING, .text = text});
}

static void read_text(struct json_reader *r, struct slice *text) {
    if (json_peek(r) == JSON_STRING)
        json_string(r, text);
    else
        json_skip(r, NULL);
}

static double read_number(struct json_reader *r) {
    struct value value;
    if (!value_read_json(r, &value)) return (double)NAN;
    return value.type == VALUE_INT ? (double)value.integer : value.type == VALUE_DOUBLE ? value.real : (double)NAN;
}

static enum topic topic_named(struct slice word) {
    static const struct {
        const char *word;
        enum topic topic;
    } topics[] = {
        {"console", TOPIC_CONSOLE},  {"function_execution", TOPIC_EXECUTION}, {"verification", TOPIC_VERIFICATION},
        {"_console", TOPIC_CONSOLE}, {"_execution_record", TOPIC_EXECUTION},  {"_verification", TOPIC_VERIFICATION}};
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++)
        if (slice_is(word, topics[i].word)) return topics[i].topic;
    return TOPIC_OTHER;
}

enum member {
    M_TOPIC,
    M_TIME,
    M_MESSAGE,
    M_FUNCTION,
    M_PATH,
    M_TYPE,
    M_REQUEST,
    M_CACHED,
    M_EXECUTION_MS,
    M_STATUS,
    M_ERROR,
    M_TRUNCATED,
    M_USAGE,
    M_CONVEX,
    M_DATA,
    M_NOTE
};
static const struct {
    const char *name;
    enum member member;
} members[] = {
    {"topic", M_TOPIC},
    {"timestamp", M_TIME},
    {"message", M_MESSAGE},
    {"function", M_FUNCTION},
    {"execution_time_ms", M_EXECUTION_MS},
    {"status", M_STATUS},
    {"error_message", M_ERROR},
    {"is_truncated", M_TRUNCATED},
    {"usage", M_USAGE},
    {"convex", M_CONVEX},
    {"data", M_DATA},
    {"log_level", M_NOTE},
    {"mutation_retry_count", M_NOTE},
    {"mutation_queue_length", M_NOTE},
    {"occ_info", M_NOTE},
    {"scheduler_info", M_NOTE},
    {"_topic", M_TOPIC},
    {"_timestamp", M_TIME},
    {"_functionPath", M_PATH},
    {"_functionType", M_TYPE},
    {"_functionCached", M_CACHED},
    {"executionTimeMs", M_EXECUTION_MS},
    {"reason", M_ERROR},
    {"databaseReadBytes", M_NOTE},
    {"databaseWriteBytes", M_NOTE},
    {"storageReadBytes", M_NOTE},
    {"storageWriteBytes", M_NOTE},
};
static const struct {
    const char *name;
    enum member member;
} function_members[] = {{"path", M_PATH}, {"type", M_TYPE}, {"request_id", M_REQUEST}, {"cached", M_CACHED}};

static int member_named(struct slice key) {
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (slice_is(key, members[i].name)) return (int)members[i].member;
    return -1;
}

static int function_member_named(struct slice key) {
    for (size_t i = 0; i < sizeof function_members / sizeof *function_members; i++)
        if (slice_is(key, function_members[i].name)) return (int)function_members[i].member;
    return -1;
}

/* {"a":1} becomes the notes "convex.<prefix>a": 1. */
static void read_notes(struct stream *s, struct json_reader *r, struct event *e, const char *prefix) {
    struct slice key;
    struct value value;
    if (json_peek(r) != JSON_OBJECT) {
        json_skip(r, NULL);
        return;
    }
    json_object(r);
    while (json_key(r, &key)) {
        if (!value_read_json(r, &value)) return;
        if (!*prefix && slice_is(key, "project_slug") && value.type == VALUE_STRING) e->service = value.text;
        note(e, arena_printf(&s->arena, "convex.%s%.*s", prefix, key.len > 100 ? 100 : (int)key.len, key.ptr), value);
    }
}

static void read_event(struct stream *s, struct json_reader *r, struct event *e, unsigned depth);

static void read_function(struct stream *s, struct json_reader *r, struct event *e) {
    struct slice key;
    if (json_peek(r) != JSON_OBJECT) {
        json_skip(r, NULL);
        return;
    }
    json_object(r);
    while (json_key(r, &key)) switch (function_member_named(key)) {
        case M_PATH: read_text(r, &e->path); break;
        case M_TYPE: read_text(r, &e->type); break;
        case M_REQUEST: read_text(r, &e->request_id); break;
        case M_CACHED: {
            struct value cached;
            if (value_read_json(r, &cached)) note(e, SLICE("convex.function.cached"), cached);
            break;
        }
        default: json_skip(r, NULL);
        }
}

static void read_member(struct stream *s, struct json_reader *r, struct event *e, struct slice key, unsigned depth) {
    struct slice text = {NULL, 0};
    struct value value;
    double number;
    bool flag;
    switch (member_named(key)) {
    case M_TOPIC:
        read_text(r, &text);
        e->topic = topic_named(text);
        break;
    case M_TIME:
        number = read_number(r);
        if (number > 0 && number < 9e12)
            e->time_ms = (int64_t)number;
        else
            e->bad_time = true;
        break;
    case M_MESSAGE: read_text(r, &e->message); break;
    case M_FUNCTION: read_function(s, r, e); break;
    case M_PATH: read_text(r, &e->path); break;
    case M_TYPE: read_text(r, &e->type); break;
    case M_CACHED:
        if (value_read_json(r, &value)) note(e, SLICE("convex.function.cached"), value);
        break;
    case M_EXECUTION_MS: e->execution_ms = read_number(r); break;
    case M_STATUS: read_text(r, &e->status); break;
    case M_ERROR: read_text(r, &e->error); break;
    case M_TRUNCATED:
        if (json_peek(r) == JSON_BOOL && json_bool(r, &flag))
            e->truncated = flag;
        else
            json_skip(r, NULL);
        break;
    case M_USAGE: read_notes(s, r, e, "usage."); break;
    case M_CONVEX: read_notes(s, r, e, ""); break;
    case M_DATA: /* as the stream to Axiom wraps it */
        if (json_peek(r) == JSON_OBJECT && depth < EVENT_DEPTH_MAX)
            read_event(s, r, e, depth + 1);
        else
            json_skip(r, NULL);
        break;
    case M_NOTE:
        if (value_read_json(r, &value)) note(e, arena_printf(&s->arena, "convex.%.*s", (int)key.len, key.ptr), value);
        break;
    default: json_skip(r, NULL);
    }
}

static void read_event(struct stream *s, struct json_reader *r, struct event *e, unsigned depth) {
    struct slice key;
    json_object(r);
    while (json_key(r, &key)) read_member(s, r, e, key, depth);
}

/* ---- messages ---- */

/* One escape of a printed string, as object-inspect writes them. */
static size_t put_unescaped(struct buf *out, struct slice rest) {
    static const char from[] = "ntrbf0", to[] = "\n\t\r\b\f\0";
    unsigned byte;
    char c = rest.len > 1 ? rest.ptr[1] : 0;
    const char *known = c ? strchr(from, c) : NULL;
    if (rest.len < 2) return buf_putc(out, '\\'), 1;
    if (known) return buf_putc(out, to[known - from]), 2;
    uint8_t value;
    if (c == 'x' && rest.len >= 4 && hex_decode(slice_make(rest.ptr + 2, 2), &value, 1))
        return byte = value, buf_putc(out, (char)byte), 4;
    return buf_putc(out, c), 2;
}

/* console.log's arguments: texts come quoted and escaped, with spaces between ("'🔍 TRACE: {\n…}'"), other things as
 * they are. */
static void put_unquoted(struct buf *out, struct slice message) {
    while (message.len) {
        char quote = *message.ptr;
        if (quote != '\'' && quote != '"' && quote != '`') {
            const char *space = memchr(message.ptr, ' ', message.len);
            size_t len = space ? (size_t)(space - message.ptr) + 1 : message.len;
            buf_put(out, message.ptr, len);
            message = slice_from(message, len);
            continue;
        }
        message = slice_from(message, 1);
        while (message.len && *message.ptr != quote) {
            size_t used = 1;
            if (*message.ptr == '\\')
                used = put_unescaped(out, message);
            else
                buf_putc(out, *message.ptr);
            message = slice_from(message, used);
        }
        message = slice_from(message, 1);
        if (message.len && *message.ptr == ' ') buf_putc(out, ' '), message = slice_from(message, 1);
    }
}

static bool is_quoted(struct slice message) {
    return message.len > 1 && (*message.ptr == '\'' || *message.ptr == '`' || *message.ptr == '"');
}

static bool looks_like_trace(struct slice text) {
    return slice_find(text, SLICE("spanId")) || slice_find(text, SLICE("TRACE: {")) ||
           slice_find(text, SLICE("\"trace\""));
}

/* "[LOG] '…'" of old streams. */
static struct slice without_level(struct slice message) {
    static const char *const levels[] = {"[LOG] ", "[INFO] ", "[DEBUG] ", "[WARN] ", "[ERROR] "};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (slice_starts(message, slice_of(levels[i]))) return slice_from(message, strlen(levels[i]));
    return message;
}

/* ---- spans ---- */

struct ids {
    uint8_t trace[TRACE_ID_SIZE], span[SPAN_ID_SIZE];
};

/* All of a request is one trace, an execution in it is known by its function: so lines and executions find each other
 * whatever comes first. Without a request's id an execution stands alone. */
static bool ids_of(struct stream *s, const struct event *e, struct ids *ids) {
    struct slice own = e->request_id.len
                           ? arena_printf(&s->arena, "convex %.*s %.*s", (int)e->request_id.len, e->request_id.ptr,
                                          (int)e->path.len, e->path.ptr ? e->path.ptr : "")
                           : arena_printf(&s->arena, "convex %.*s %lld", (int)e->path.len,
                                          e->path.ptr ? e->path.ptr : "", (long long)e->time_ms);
    if (!own.len) return false;
    id_from_text(own, ids->span, SPAN_ID_SIZE);
    id_from_text(e->request_id.len ? e->request_id : own, ids->trace, TRACE_ID_SIZE);
    return true;
}

static void finish_notes(struct event *e) {
    note_text(e, SLICE("convex.function.path"), e->path);
    note_text(e, SLICE("convex.function.type"), e->type);
    note_text(e, SLICE("convex.request_id"), e->request_id);
}

static int take_console(struct stream *s, struct event *e, struct error *err) {
    struct log_line *line = &s->line;
    struct batch *batch = line->batch;
    const uint32_t before = batch->count, rejected = batch->rejected, reasons = batch->rejection_count;
    struct slice message = without_level(e->message);
    struct ids ids;
    buf_clear(&s->text);
    if (is_quoted(message)) {
        put_unquoted(&s->text, message);
        if (s->text.failed) return error_set(err, VT_ENOMEM, "no memory for a message");
        message = buf_slice(&s->text);
    }
    finish_notes(e);
    bool tied = e->request_id.len && ids_of(s, e, &ids);
    line->extra = e->notes;
    line->extra_count = e->note_count;
    line->trace_id = tied ? ids.trace : NULL;
    line->parent_id = tied ? ids.span : NULL;
    int code = log_text_read(line, message, e->time_ms * NS_PER_MS, err);
    if (code) return code;
    if (e->truncated) s->options->truncated++;
    if (e->truncated && batch->count == before && looks_like_trace(message)) {
        batch->rejected = rejected;
        batch->rejection_count = reasons;
        batch_reject(batch, line->position,
                     "event %u: Convex cut the message off after %zu bytes (is_truncated): its trace is lost; print "
                     "less, for instance previews instead of texts",
                     line->position, e->message.len);
    }
    s->options->accepted += batch->count > before;
    s->options->ignored += batch->count == before && batch->rejected == rejected;
    return 0;
}

static int take_execution(struct stream *s, struct event *e, struct error *err) {
    struct batch *batch = s->line.batch;
    struct raw_span raw = {.source = SOURCE_CONVEX, .name = e->path, .resource = &s->line.resource};
    struct ids ids;
    double ms = e->execution_ms >= 0 && e->execution_ms < 1e12 ? e->execution_ms : 0;
    if (!e->path.len) {
        batch_reject(batch, s->line.position, "event %u: function.path is missing", s->line.position);
        return 0;
    }
    if (!ids_of(s, e, &ids)) return error_set(err, VT_ENOMEM, "no memory for an event");
    memcpy(raw.trace_id, ids.trace, TRACE_ID_SIZE);
    memcpy(raw.span_id, ids.span, SPAN_ID_SIZE);
    raw.end_ns = e->time_ms * NS_PER_MS; /* it is told when it has ended */
    raw.start_ns = raw.end_ns - llround(ms * NS_PER_MS);
    raw.status = slice_is(e->status, "failure") || e->error.len ? STATUS_ERROR
                 : slice_is(e->status, "success")               ? STATUS_OK
                                                                : STATUS_UNSET;
    raw.status_message = e->error;
    finish_notes(e);
    note_text(e, SLICE("service.name"), e->service);
    raw.attrs = e->notes;
    raw.attr_count = e->note_count;
    int code = normalise(batch, &raw, s->line.position);
    if (code == VT_ENOMEM) return error_set(err, code, "no memory for an event");
    if (code == VT_ELIMIT) return error_set(err, code, "the request has more than %d spans", BATCH_SPANS_MAX);
    s->options->accepted += code == 0;
    return 0;
}

static int take_event(struct stream *s, struct event *e, struct error *err) {
    struct convex_decode *options = s->options;
    struct batch *batch = s->line.batch;
    if (e->topic == TOPIC_VERIFICATION) {
        options->verification = true;
        return 0;
    }
    if (e->topic == TOPIC_OTHER) {
        options->ignored++;
        return 0;
    }
    if (!e->time_ms) {
        batch_reject(batch, s->line.position, "event %u: timestamp: expected Unix milliseconds", s->line.position);
        return 0;
    }
    int64_t skew = e->time_ms > s->now_ms ? e->time_ms - s->now_ms : s->now_ms - e->time_ms;
    if (options->max_skew_ms > 0 && skew > options->max_skew_ms) {
        batch_reject(batch, s->line.position,
                     "event %u: its timestamp is %lld s from now, more than the %lld s that are allowed",
                     s->line.position, (long long)(skew / 1000), (long long)(options->max_skew_ms / 1000));
        return 0;
    }
    return e->topic == TOPIC_CONSOLE ? take_console(s, e, err) : take_execution(s, e, err);
}

/* ---- the body ---- */

/* The event that the reader stands before. 0 also when it has no meaning; then the batch has the reason. */
static int next_event(struct stream *s, struct json_reader *r, struct error *err) {
    struct event event = {.execution_ms = (double)NAN};
    arena_reset(&s->arena);
    s->line.position = ++s->options->events;
    if (json_peek(r) != JSON_OBJECT) {
        if (json_skip(r, NULL))
            batch_reject(s->line.batch, s->line.position, "event %u: expected an object", s->line.position);
        return 0;
    }
    read_event(s, r, &event, 0);
    return json_failed(r) ? 0 : take_event(s, &event, err);
}

static int broken(struct stream *s, const struct json_reader *r, struct error *err) {
    error_set(err, r->err.code == VT_ELIMIT ? VT_ELIMIT : VT_EINVAL, "%s, in event %u", r->err.message,
              s->options->events);
    return error_hint(err, "the body must be a JSON array of events, or one event a line");
}

static int decode_array(struct stream *s, struct slice body, struct error *err) {
    struct json_reader r;
    int code = 0;
    json_reader_init(&r, body, &s->arena);
    json_array(&r);
    while (!code && json_item(&r)) code = next_event(s, &r, err);
    if (code) return code;
    return json_end(&r) ? 0 : broken(s, &r, err);
}

/* Events one behind the other, mostly one a line. One that is broken costs its line; when none can be read the body is
 * none of ours. */
static int decode_lines(struct stream *s, struct slice body, struct error *err) {
    struct json_reader r;
    uint32_t bad = 0;
    int code = 0;
    for (size_t at = 0; at < body.len && !code;) {
        struct slice rest = slice_from(body, at);
        json_reader_init(&r, rest, &s->arena);
        if (json_peek(&r) == JSON_ERROR && r.at >= r.end) break; /* only white space is left */
        rest = slice_from(rest, json_offset(&r));
        at += json_offset(&r);
        code = next_event(s, &r, err);
        if (!json_failed(&r)) {
            at = (size_t)(r.at - body.ptr);
            continue;
        }
        const char *stop = memchr(rest.ptr, '\n', rest.len);
        at = stop ? (size_t)(stop - body.ptr) : body.len;
        if (++bad == s->options->events && at >= body.len) return broken(s, &r, err);
        batch_reject(s->line.batch, s->line.position, "event %u: %s", s->line.position, r.err.message);
    }
    return code;
}

int convex_decode(struct batch *batch, struct slice body, struct convex_decode *options, struct error *err) {
    struct stream s = {.options = options};
    options->events = options->accepted = options->ignored = options->truncated = 0;
    options->verification = false;
    s.line = (struct log_line){.batch = batch, .source = SOURCE_CONVEX, .resource.project = options->project};
    s.now_ms = (options->now_ns ? options->now_ns : time_now_ns()) / NS_PER_MS;
    struct json_reader r;
    json_reader_init(&r, body, &s.arena);
    int code = json_peek(&r) == JSON_ARRAY ? decode_array(&s, body, err) : decode_lines(&s, body, err);
    log_line_free(&s.line);
    arena_free(&s.arena);
    buf_free(&s.text);
    return code;
}
