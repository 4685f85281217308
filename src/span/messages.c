/* Prompts and completions of every SDK in one shape. */
#include "span/messages.h"

#include "base/json.h"

#include <stdlib.h>

void value_write_json(struct json_writer *w, const struct value *value) {
    switch (value->type) {
    case VALUE_STRING: json_put_string(w, value->text); break;
    case VALUE_INT: json_put_int(w, value->integer); break;
    case VALUE_DOUBLE: json_put_double(w, value->real); break;
    case VALUE_BOOL: json_put_bool(w, value->integer != 0); break;
    case VALUE_JSON: json_put_raw(w, value->text); break;
    case VALUE_NONE: json_put_null(w); break;
    }
}

/* ---- tool calls ---- */

struct tool_call {
    struct slice id, name;
    struct slice arguments; /* text, or JSON when raw */
    bool raw;
};

static bool is_null(struct slice json) {
    return slice_is(json, "null");
}

/* A string as it is, anything else as its JSON text. */
static struct slice take_text(struct json_reader *r, bool *raw) {
    struct slice text = {NULL, 0};
    if (raw) *raw = json_peek(r) != JSON_STRING;
    if (json_peek(r) == JSON_STRING)
        json_string(r, &text);
    else if (json_skip(r, &text) && is_null(text))
        text.len = 0;
    return text;
}

/* Whether the key is one of the names, a list that NULL ends. */
static bool is_any(struct slice key, const char *const *names) {
    for (; *names; names++)
        if (slice_is(key, *names)) return true;
    return false;
}

static const char *const call_ids[] = {"id", "toolCallId", "call_id", "tool_call_id", NULL};
static const char *const call_names[] = {"name", "toolName", NULL};
static const char *const call_arguments[] = {"arguments", "args", "input", NULL};
static const char *const call_bodies[] = {"function", "tool_call", "functionCall", "function_call", NULL};

static void read_tool_call(struct json_reader *r, struct tool_call *call) {
    struct slice key;
    if (json_peek(r) != JSON_OBJECT) {
        json_skip(r, NULL);
        return;
    }
    json_object(r);
    while (json_key(r, &key)) {
        if (is_any(key, call_bodies))
            read_tool_call(r, call);
        else if (is_any(key, call_ids))
            call->id = take_text(r, NULL);
        else if (is_any(key, call_names))
            call->name = take_text(r, NULL);
        else if (is_any(key, call_arguments))
            call->arguments = take_text(r, &call->raw);
        else
            json_skip(r, NULL);
    }
}

static void write_tool_call(struct json_writer *w, const struct tool_call *call) {
    json_open(w, '{');
    if (call->id.len) json_put_key(w, "id"), json_put_string(w, call->id);
    json_put_key(w, "type"), json_put_cstr(w, "function");
    json_put_key(w, "function");
    json_open(w, '{');
    json_put_key(w, "name"), json_put_string(w, call->name);
    json_put_key(w, "arguments"), json_put_string(w, call->arguments);
    json_close(w, '}');
    json_close(w, '}');
}

static void write_tool_calls(struct json_writer *w, struct json_reader *r) {
    json_open(w, '[');
    json_array(r);
    while (json_item(r)) {
        struct tool_call call = {0};
        read_tool_call(r, &call);
        write_tool_call(w, &call);
    }
    json_close(w, ']');
}

/* ---- parts ---- */

enum part_kind { PART_TEXT, PART_TOOL_CALL, PART_TOOL_RESULT, PART_OTHER };

static const struct {
    const char *type;
    enum part_kind kind;
} part_kinds[] = {
    {"text", PART_TEXT},
    {"input_text", PART_TEXT},
    {"output_text", PART_TEXT},
    {"tool_call", PART_TOOL_CALL},
    {"tool-call", PART_TOOL_CALL},
    {"tool_use", PART_TOOL_CALL},
    {"function_call", PART_TOOL_CALL},
    {"tool_call_response", PART_TOOL_RESULT},
    {"tool-result", PART_TOOL_RESULT},
    {"tool_result", PART_TOOL_RESULT},
};

struct part {
    enum part_kind kind;
    struct slice json; /* the part as it stands */
    struct slice text; /* PART_TEXT, PART_TOOL_RESULT */
    struct slice id;   /* PART_TOOL_RESULT */
};

/* {"type","text"|"content"|…}; a bare string is text; Gemini's {"text"} has no type. */
static void read_part(struct json_reader *r, struct part *part) {
    *part = (struct part){.kind = PART_OTHER};
    enum json_type form = json_peek(r);
    if (form == JSON_STRING) {
        part->kind = PART_TEXT;
        json_string(r, &part->text);
        return;
    }
    if (form != JSON_OBJECT) {
        json_skip(r, &part->json);
        return;
    }
    struct slice key, type = {NULL, 0};
    bool has_text = false;
    const char *start = r->at;
    json_object(r);
    while (json_key(r, &key)) {
        if (slice_is(key, "type"))
            type = take_text(r, NULL);
        else if (slice_is(key, "text"))
            part->text = take_text(r, NULL), has_text = true;
        else if (slice_is(key, "content") || slice_is(key, "result") || slice_is(key, "response") ||
                 slice_is(key, "output"))
            part->text = take_text(r, NULL);
        else if (is_any(key, call_ids) || slice_is(key, "tool_use_id"))
            part->id = take_text(r, NULL);
        else if (slice_is(key, "functionCall"))
            part->kind = PART_TOOL_CALL, json_skip(r, NULL);
        else
            json_skip(r, NULL);
    }
    part->json = slice_make(start, (size_t)(r->at - start));
    if (!type.len && has_text) part->kind = PART_TEXT;
    for (size_t i = 0; i < sizeof part_kinds / sizeof *part_kinds; i++)
        if (slice_is(type, part_kinds[i].type)) part->kind = part_kinds[i].kind;
}

struct parts {
    struct part *list;
    uint32_t count, capacity;
    uint32_t of[PART_OTHER + 1]; /* how many of each kind */
};

static bool read_parts(struct json_reader *r, struct parts *parts) {
    *parts = (struct parts){0};
    json_array(r);
    while (json_item(r)) {
        if (parts->count == parts->capacity) {
            uint32_t capacity = parts->capacity ? parts->capacity * 2 : 8;
            struct part *list = arena_alloc(r->arena, capacity * sizeof *list);
            if (!list) return false;
            if (parts->count) memcpy(list, parts->list, parts->count * sizeof *list);
            parts->list = list;
            parts->capacity = capacity;
        }
        struct part *part = &parts->list[parts->count++];
        read_part(r, part);
        parts->of[part->kind]++;
    }
    return !json_failed(r);
}

/* Text parts joined by line breaks. */
static void write_joined(struct json_writer *w, const struct parts *parts, enum part_kind kind) {
    bool first = true;
    json_put_raw(w, SLICE("\""));
    for (uint32_t i = 0; i < parts->count; i++) {
        if (parts->list[i].kind != kind) continue;
        if (!first) buf_puts(w->out, "\\n");
        if (parts->list[i].text.len) json_escape(w->out, parts->list[i].text);
        first = false;
    }
    buf_putc(w->out, '"');
}

/* "content" of only text is a string; with other things in it an array, each as it was sent. Calls of tools go beside
 * it. */
static void write_parts(struct json_writer *w, const struct parts *parts, struct arena *arena) {
    if (parts->of[PART_OTHER] || (parts->of[PART_TOOL_RESULT] && parts->of[PART_TEXT])) {
        json_put_key(w, "content");
        json_open(w, '[');
        for (uint32_t i = 0; i < parts->count; i++) {
            const struct part *part = &parts->list[i];
            if (part->kind == PART_TOOL_CALL) continue;
            if (part->json.len) {
                json_put_raw(w, part->json);
                continue;
            }
            json_open(w, '{');
            json_put_key(w, "type"), json_put_cstr(w, "text");
            json_put_key(w, "text"), json_put_string(w, part->text);
            json_close(w, '}');
        }
        json_close(w, ']');
    } else if (parts->of[PART_TOOL_RESULT]) {
        json_put_key(w, "content");
        write_joined(w, parts, PART_TOOL_RESULT);
        for (uint32_t i = 0; i < parts->count && parts->of[PART_TOOL_RESULT] == 1; i++)
            if (parts->list[i].id.len && parts->list[i].kind == PART_TOOL_RESULT)
                json_put_key(w, "tool_call_id"), json_put_string(w, parts->list[i].id);
    } else if (parts->of[PART_TEXT] || !parts->of[PART_TOOL_CALL]) {
        json_put_key(w, "content");
        write_joined(w, parts, PART_TEXT);
    }
    if (!parts->of[PART_TOOL_CALL]) return;
    json_put_key(w, "tool_calls");
    json_open(w, '[');
    for (uint32_t i = 0; i < parts->count; i++) {
        if (parts->list[i].kind != PART_TOOL_CALL) continue;
        struct tool_call call = {0};
        struct json_reader r;
        json_reader_init(&r, parts->list[i].json, arena);
        read_tool_call(&r, &call);
        write_tool_call(w, &call);
    }
    json_close(w, ']');
}

/* ---- messages ---- */

struct message {
    struct slice role, type;
    struct slice content, parts, tool_calls; /* JSON as it stands */
    struct slice json;                       /* all of it */
    bool others;                             /* there are fields that have no place here */
};

static const char *const message_calls[] = {"tool_calls", "toolCalls", NULL};

/* The object that the reader stands before; false when it is none. */
static bool read_message(struct json_reader *r, struct message *message) {
    struct slice key;
    *message = (struct message){0};
    if (json_peek(r) != JSON_OBJECT) return false;
    const char *start = r->at;
    json_object(r);
    while (json_key(r, &key)) {
        if (slice_is(key, "role"))
            message->role = take_text(r, NULL);
        else if (slice_is(key, "content"))
            json_skip(r, &message->content);
        else if (slice_is(key, "parts"))
            json_skip(r, &message->parts);
        else if (is_any(key, message_calls))
            json_skip(r, &message->tool_calls);
        else if (message->others = true, slice_is(key, "type"))
            message->type = take_text(r, NULL);
        else
            json_skip(r, NULL);
    }
    message->json = slice_make(start, (size_t)(r->at - start));
    return !json_failed(r);
}

/* What is left of a message besides the fields with a place of their own. */
static void write_other_fields(struct json_writer *w, struct slice json, struct arena *arena) {
    struct json_reader r;
    struct slice key, raw;
    json_reader_init(&r, json, arena);
    json_object(&r);
    while (json_key(&r, &key)) {
        bool placed =
            slice_is(key, "role") || slice_is(key, "content") || slice_is(key, "parts") || is_any(key, message_calls);
        if (!json_skip(&r, &raw) || placed || is_null(raw)) continue;
        json_put_key_slice(w, key);
        json_put_raw(w, raw);
    }
}

static bool starts(struct slice json, char c) {
    return json.len && *json.ptr == c;
}

static bool write_content(struct json_writer *w, struct slice list, struct arena *arena) {
    struct json_reader r;
    struct parts parts;
    json_reader_init(&r, list, arena);
    if (!read_parts(&r, &parts)) return false;
    write_parts(w, &parts, arena);
    return true;
}

/* An item without a role: OpenAI's Responses API lists calls and their results beside the messages. */
static bool write_loose_item(struct json_writer *w, const struct message *message, struct arena *arena) {
    const char *role;
    struct json_reader r;
    struct parts parts = {.count = 1};
    struct part part;
    json_reader_init(&r, message->json, arena);
    read_part(&r, &part);
    if (slice_is(message->type, "function_call_output")) part.kind = PART_TOOL_RESULT;
    if (part.kind == PART_TOOL_CALL)
        role = "assistant";
    else if (part.kind == PART_TOOL_RESULT)
        role = "tool";
    else
        return false;
    parts.list = &part;
    parts.of[part.kind] = 1;
    json_open(w, '{');
    json_put_key(w, "role"), json_put_cstr(w, role);
    write_parts(w, &parts, arena);
    json_close(w, '}');
    return true;
}

/* The one that the reader stands before. `role`: for one that names none; may be NULL. */
static bool write_message(struct json_writer *w, struct json_reader *reader, const char *role) {
    struct arena *arena = reader->arena;
    struct message message;
    if (!read_message(reader, &message)) return false;
    bool content = message.content.len || message.parts.len || message.tool_calls.len;
    if (!message.role.len && role && content) message.role = slice_of(role);
    if (!message.role.len) return write_loose_item(w, &message, arena);
    json_open(w, '{');
    json_put_key(w, "role"), json_put_string(w, message.role);
    struct slice list = message.parts.len ? message.parts : message.content;
    if (starts(list, '[')) {
        if (!write_content(w, list, arena)) return false;
    } else if (list.len) {
        json_put_key(w, "content"), json_put_raw(w, list);
    }
    if (starts(message.tool_calls, '[')) {
        struct json_reader r;
        json_reader_init(&r, message.tool_calls, arena);
        json_put_key(w, "tool_calls");
        write_tool_calls(w, &r);
        if (json_failed(&r)) return false;
    }
    if (message.others) write_other_fields(w, message.json, arena);
    json_close(w, '}');
    return true;
}

/* ---- lists ---- */

static void write_system(struct json_writer *w, struct slice system, struct arena *arena) {
    if (!system.len) return;
    struct buf *out = w->out;
    size_t mark = out->len;
    bool comma = w->comma;
    json_open(w, '{');
    json_put_key(w, "role"), json_put_cstr(w, "system");
    bool parts = starts(system, '[') && write_content(w, system, arena);
    if (!parts) { /* no list of parts after all: text */
        out->len = mark;
        w->comma = comma;
        json_open(w, '{');
        json_put_key(w, "role"), json_put_cstr(w, "system");
        json_put_key(w, "content"), json_put_string(w, system);
    }
    json_close(w, '}');
}

/* Items of the array that the reader stands before. */
static bool write_items(struct json_writer *w, struct json_reader *r, const char *role) {
    uint32_t count = 0;
    json_array(r);
    while (json_item(r)) {
        if (!write_message(w, r, role)) return false;
        count++;
    }
    return !json_failed(r) && count > 0;
}

/* OpenAI's answer: [{"index","message":{…},"finish_reason"}]. */
static bool write_choices(struct json_writer *w, struct json_reader *r) {
    uint32_t count = 0;
    json_array(r);
    while (json_item(r)) {
        struct slice key;
        if (json_peek(r) != JSON_OBJECT) return false;
        json_object(r);
        while (json_key(r, &key)) {
            if (!slice_is(key, "message"))
                json_skip(r, NULL);
            else if (write_message(w, r, "assistant"))
                count++;
            else
                return false;
        }
    }
    return !json_failed(r) && count > 0;
}

static const char *const list_keys[] = {"messages", "contents", NULL};
static const char *const prompt_keys[] = {"prompt", "input", NULL};
static const char *const system_keys[] = {"system", "instructions", NULL};

/* {"messages":[…]}, {"system","prompt"}, {"choices":[…]}, {"input":…} of a request or an answer, or one message. */
static bool write_body(struct json_writer *w, struct slice json, struct slice system, const char *role,
                       struct arena *arena) {
    struct json_reader r;
    struct slice key, list = {NULL, 0}, prompt = {NULL, 0}, choices = {NULL, 0};
    bool has_role = false;
    json_reader_init(&r, json, arena);
    json_object(&r);
    while (json_key(&r, &key)) {
        if (is_any(key, system_keys))
            system = take_text(&r, NULL);
        else if (is_any(key, list_keys))
            json_skip(&r, &list);
        else if (is_any(key, prompt_keys))
            json_skip(&r, &prompt);
        else if (slice_is(key, "choices"))
            json_skip(&r, &choices);
        else
            has_role |= slice_is(key, "role"), json_skip(&r, NULL);
    }
    if (json_failed(&r)) return false;
    if (!starts(list, '[') && starts(prompt, '[')) list = prompt;
    if (has_role) {
        write_system(w, system, arena);
        json_reader_init(&r, json, arena);
        return write_message(w, &r, role);
    }
    if (starts(choices, '[')) {
        json_reader_init(&r, choices, arena);
        return write_choices(w, &r);
    }
    if (starts(list, '[')) {
        write_system(w, system, arena);
        json_reader_init(&r, list, arena);
        return write_items(w, &r, role);
    }
    if (!starts(prompt, '"')) return false;
    write_system(w, system, arena);
    json_open(w, '{');
    json_put_key(w, "role"), json_put_cstr(w, "user");
    json_put_key(w, "content"), json_put_raw(w, prompt);
    json_close(w, '}');
    return true;
}

bool messages_from_json(struct buf *out, struct slice text, struct slice system, const char *role,
                        struct arena *arena) {
    struct json_reader r;
    struct json_writer w = json_writer_on(out);
    size_t mark = out->len;
    json_reader_init(&r, text, arena);
    enum json_type type = json_peek(&r);
    if (type != JSON_ARRAY && type != JSON_OBJECT && !(system.len && text.len)) return false;
    json_open(&w, '[');
    bool done = false;
    if (type == JSON_ARRAY) {
        write_system(&w, system, arena);
        done = write_items(&w, &r, NULL) && json_end(&r);
    } else if (type == JSON_OBJECT) {
        struct slice body;
        done = json_skip(&r, &body) && json_end(&r) && write_body(&w, body, system, role, arena);
    }
    json_close(&w, ']');
    if (!done) out->len = mark;
    return done;
}

bool messages_from_tool_calls(struct buf *out, struct slice text, struct slice calls, struct arena *arena) {
    struct json_reader r;
    struct json_writer w = json_writer_on(out);
    size_t mark = out->len;
    json_reader_init(&r, calls, arena);
    if (json_peek(&r) != JSON_ARRAY) return false;
    json_open(&w, '[');
    json_open(&w, '{');
    json_put_key(&w, "role"), json_put_cstr(&w, "assistant");
    if (text.len) json_put_key(&w, "content"), json_put_string(&w, text);
    json_put_key(&w, "tool_calls");
    write_tool_calls(&w, &r);
    json_close(&w, '}');
    json_close(&w, ']');
    if (!json_failed(&r)) return true;
    out->len = mark;
    return false;
}

/* ---- flattened lists ---- */

static int piece_order(const void *a, const void *b) {
    const struct message_piece *x = a, *y = b;
    if (x->message != y->message) return x->message < y->message ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* "tool_calls.3.tool_call.function.name" → 3 and "name"; false when the rest is no such piece. */
static bool piece_in_list(struct slice rest, const char *list, uint32_t *number, struct slice *name) {
    struct slice prefix = slice_of(list);
    if (!slice_starts(rest, prefix)) return false;
    size_t at = prefix.len;
    *number = 0;
    while (at < rest.len && at < prefix.len + 5 && rest.ptr[at] >= '0' && rest.ptr[at] <= '9')
        *number = *number * 10 + (uint32_t)(rest.ptr[at++] - '0');
    if (at == prefix.len || at >= rest.len || rest.ptr[at] != '.') return false;
    *name = slice_from(rest, at + 1);
    for (size_t i = name->len; i > 0; i--)
        if (name->ptr[i - 1] == '.') {
            *name = slice_from(*name, i);
            break;
        }
    return true;
}

static struct slice value_as_text(const struct value *value, struct arena *arena) {
    if (value->type == VALUE_STRING || value->type == VALUE_JSON) return value->text;
    if (value->type == VALUE_INT) return arena_printf(arena, "%lld", (long long)value->integer);
    if (value->type == VALUE_BOOL) return value->integer ? SLICE("true") : SLICE("false");
    return arena_printf(arena, "%.17g", value->type == VALUE_DOUBLE ? value->real : 0.0);
}

static void write_piece_calls(struct json_writer *w, const struct message_piece *pieces, uint32_t count,
                              struct arena *arena) {
    uint32_t number, last = 0;
    struct slice name;
    bool any = false;
    for (uint32_t i = 0; i < count; i++)
        if (piece_in_list(pieces[i].rest, "tool_calls.", &number, &name))
            any = true, last = number > last ? number : last;
    if (!any) return;
    json_put_key(w, "tool_calls");
    json_open(w, '[');
    for (uint32_t call_number = 0; call_number <= last && call_number < 256; call_number++) {
        struct tool_call call = {0};
        bool found = false;
        for (uint32_t i = 0; i < count; i++) {
            if (!piece_in_list(pieces[i].rest, "tool_calls.", &number, &name) || number != call_number) continue;
            found = true;
            if (is_any(name, call_ids))
                call.id = value_as_text(pieces[i].value, arena);
            else if (is_any(name, call_names))
                call.name = value_as_text(pieces[i].value, arena);
            else if (is_any(name, call_arguments))
                call.arguments = value_as_text(pieces[i].value, arena);
        }
        if (found) write_tool_call(w, &call);
    }
    json_close(w, ']');
}

/* OpenInference's "contents.0.message_content.text": the texts, joined. False when there is none. */
static bool write_piece_contents(struct json_writer *w, const struct message_piece *pieces, uint32_t count) {
    uint32_t number;
    struct slice name;
    bool any = false;
    for (uint32_t i = 0; i < count; i++) {
        if (!piece_in_list(pieces[i].rest, "contents.", &number, &name) || !slice_is(name, "text") ||
            pieces[i].value->type != VALUE_STRING)
            continue;
        if (!any)
            json_put_key(w, "content"), json_put_raw(w, SLICE("\""));
        else
            buf_puts(w->out, "\\n");
        json_escape(w->out, pieces[i].value->text);
        any = true;
    }
    if (any) buf_putc(w->out, '"');
    return any;
}

static void write_content_value(struct json_writer *w, const struct value *value, struct arena *arena) {
    size_t mark = w->out->len;
    bool comma = w->comma;
    /* OpenLLMetry sends lists of parts as JSON text. */
    if (value->type == VALUE_STRING && starts(value->text, '[')) {
        struct json_reader check;
        json_reader_init(&check, value->text, arena);
        struct parts parts;
        if (read_parts(&check, &parts) && json_end(&check) && parts.count && !parts.of[PART_OTHER]) {
            write_parts(w, &parts, arena);
            return;
        }
        w->out->len = mark;
        w->comma = comma;
    }
    json_put_key(w, "content");
    value_write_json(w, value);
}

static void write_piece_message(struct json_writer *w, const struct message_piece *pieces, uint32_t count,
                                struct arena *arena) {
    uint32_t number;
    struct slice name;
    bool content = false;
    json_open(w, '{');
    for (uint32_t i = 0; i < count; i++)
        if (slice_is(pieces[i].rest, "role")) {
            json_put_key(w, "role");
            value_write_json(w, pieces[i].value);
            break;
        }
    for (uint32_t i = 0; i < count && !content; i++)
        if (slice_is(pieces[i].rest, "content")) content = true, write_content_value(w, pieces[i].value, arena);
    if (!content) write_piece_contents(w, pieces, count);
    write_piece_calls(w, pieces, count, arena);
    for (uint32_t i = 0; i < count; i++) {
        struct slice rest = pieces[i].rest;
        bool text_part = piece_in_list(rest, "contents.", &number, &name) &&
                         (slice_is(name, "text") || slice_is(name, "type")) && !content;
        if (slice_is(rest, "role") || slice_is(rest, "content") || text_part ||
            piece_in_list(rest, "tool_calls.", &number, &name))
            continue;
        json_put_key_slice(w, rest);
        value_write_json(w, pieces[i].value);
    }
    json_close(w, '}');
}

void messages_from_pieces(struct buf *out, struct message_piece *pieces, uint32_t count, struct slice system,
                          struct arena *arena) {
    struct json_writer w = json_writer_on(out);
    bool sorted = true;
    for (uint32_t i = 0; i < count; i++) {
        pieces[i].order = i;
        sorted = sorted && (i == 0 || pieces[i - 1].message <= pieces[i].message);
    }
    if (!sorted) qsort(pieces, count, sizeof *pieces, piece_order);
    json_open(&w, '[');
    write_system(&w, system, arena);
    for (uint32_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && pieces[to].message == pieces[from].message;) to++;
        write_piece_message(&w, pieces + from, to - from, arena);
    }
    json_close(&w, ']');
}
