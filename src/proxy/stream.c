/* Streamed answers: server-sent events, and what the pieces in them make up. */
#include "proxy/said.h"

/* --- events --- */

struct events {
    struct slice text;
    size_t at; /* next byte */
    struct arena *arena;
};

static struct slice next_line(struct events *events) {
    struct slice rest = slice_from(events->text, events->at);
    const char *end = rest.len ? memchr(rest.ptr, '\n', rest.len) : NULL;
    size_t len = end ? (size_t)(end - rest.ptr) : rest.len;
    events->at += end ? len + 1 : len;
    if (len && rest.ptr[len - 1] == '\r') len--;
    return slice_make(rest.ptr, len);
}

static struct slice join(struct events *events, struct slice a, struct slice b) {
    return arena_printf(events->arena, "%.*s\n%.*s", (int)a.len, a.ptr, (int)b.len, b.ptr);
}

/* The data of the next event that has any; false at the end. What a blank line does not end is not whole and no event.
 */
static bool next_event(struct events *events, struct slice *data) {
    *data = (struct slice){NULL, 0};
    while (events->at < events->text.len) {
        struct slice line = next_line(events);
        if (!line.len) {
            if (data->len) return true;
            continue;
        }
        if (!slice_starts(line, SLICE("data:"))) continue;
        line = slice_from(line, 5);
        if (line.len && *line.ptr == ' ') line = slice_from(line, 1);
        *data = data->len ? join(events, *data, line) : line;
    }
    return false;
}

/* --- OpenAI: chat and completions --- */

static uint32_t small_number(struct json_reader *r) {
    struct json_number number;
    if (json_peek(r) != JSON_NUMBER) {
        json_skip(r, NULL);
        return 0;
    }
    return json_number(r, &number) && number.real >= 0 && number.real < 1e6 ? (uint32_t)number.real : 0;
}

/* [{"index":0,"id","function":{"name","arguments"}}] */
static void read_tool_deltas(struct answered *answered, struct json_reader *r, uint32_t choice) {
    struct slice key;
    if (json_peek(r) != JSON_ARRAY) {
        json_skip(r, NULL);
        return;
    }
    json_array(r);
    while (json_item(r)) {
        struct slice id = {NULL, 0}, name = {NULL, 0}, arguments = {NULL, 0};
        uint32_t index = 0;
        if (!object_enter(r)) continue;
        while (json_key(r, &key)) {
            if (slice_is(key, "index")) {
                index = small_number(r);
            } else if (slice_is(key, "id")) {
                id = json_text(r);
            } else if (slice_is(key, "function") && json_peek(r) == JSON_OBJECT) {
                json_object(r);
                while (json_key(r, &key))
                    if (slice_is(key, "name"))
                        name = json_text(r);
                    else if (slice_is(key, "arguments"))
                        arguments = json_text(r);
                    else
                        json_skip(r, NULL);
            } else {
                json_skip(r, NULL);
            }
        }
        struct part *part = part_at(answered, PART_TOOL, choice, index);
        if (!part) continue;
        if (id.len) part->id = id;
        if (name.len) part->name = name;
        buf_put_slice(&part->text, arguments);
    }
}

static void read_delta(struct answered *answered, struct json_reader *r, uint32_t choice) {
    struct slice key;
    if (!object_enter(r)) return;
    while (json_key(r, &key)) {
        if (slice_is(key, "content") || slice_is(key, "refusal"))
            part_add(answered, PART_TEXT, choice, 0, json_text(r));
        else if (slice_is(key, "reasoning_content") || slice_is(key, "reasoning"))
            part_add(answered, PART_REASONING, choice, 0, json_text(r));
        else if (slice_is(key, "tool_calls"))
            read_tool_deltas(answered, r, choice);
        else
            json_skip(r, NULL);
    }
}

/* The number of a choice comes before what belongs to it, or else it is the first. */
static void read_chunk_choice(struct answered *answered, struct json_reader *r) {
    struct slice key;
    uint32_t choice = 0;
    if (!object_enter(r)) return;
    while (json_key(r, &key)) {
        if (slice_is(key, "index"))
            choice = small_number(r);
        else if (slice_is(key, "delta"))
            read_delta(answered, r, choice);
        else if (slice_is(key, "text"))
            part_add(answered, PART_TEXT, choice, 0, json_text(r));
        else if (slice_is(key, "finish_reason"))
            finish_set(answered, choice, json_text(r));
        else
            json_skip(r, NULL);
    }
}

static void read_chunk(struct answered *answered, struct json_reader *r) {
    struct slice key;
    while (json_key(r, &key)) {
        if (slice_is(key, "id"))
            answered->id = json_text(r);
        else if (slice_is(key, "model"))
            answered->model = json_text(r);
        else if (slice_is(key, "usage"))
            tokens_read(r, &answered->tokens);
        else if (slice_is(key, "error"))
            error_read(r, answered);
        else if (slice_is(key, "choices") && json_peek(r) == JSON_ARRAY) {
            json_array(r);
            while (json_item(r)) read_chunk_choice(answered, r);
        } else
            json_skip(r, NULL);
    }
}

/* --- OpenAI: responses --- */

/* Names of a call that is to come, {"type":"function_call","call_id","name"}. */
static void read_item(struct answered *answered, struct slice item, uint32_t index) {
    struct json_reader r;
    struct slice key, type = {NULL, 0}, id = {NULL, 0}, name = {NULL, 0};
    json_reader_init(&r, item, answered->arena);
    if (json_peek(&r) != JSON_OBJECT || !json_object(&r)) return;
    while (json_key(&r, &key))
        if (slice_is(key, "type"))
            type = json_text(&r);
        else if (slice_is(key, "call_id"))
            id = json_text(&r);
        else if (slice_is(key, "name"))
            name = json_text(&r);
        else
            json_skip(&r, NULL);
    struct part *part = slice_is(type, "function_call") ? part_at(answered, PART_TOOL, 0, index) : NULL;
    if (part) part->id = id, part->name = name;
}

static void read_response_event(struct answered *answered, struct json_reader *r) {
    struct slice key, type = {NULL, 0}, delta = {NULL, 0}, response = {NULL, 0}, item = {NULL, 0}, message = {NULL, 0},
                      code = {NULL, 0};
    uint32_t index = 0;
    while (json_key(r, &key)) {
        if (slice_is(key, "type"))
            type = json_text(r);
        else if (slice_is(key, "delta"))
            delta = json_text(r);
        else if (slice_is(key, "response"))
            response = json_raw(r);
        else if (slice_is(key, "item"))
            item = json_raw(r);
        else if (slice_is(key, "output_index"))
            index = small_number(r);
        else if (slice_is(key, "message"))
            message = json_text(r);
        else if (slice_is(key, "code"))
            code = json_text(r);
        else
            json_skip(r, NULL);
    }
    if (slice_is(type, "response.output_text.delta") || slice_is(type, "response.refusal.delta"))
        part_add(answered, PART_TEXT, 0, index, delta);
    else if (slice_is(type, "response.function_call_arguments.delta"))
        part_add(answered, PART_TOOL, 0, index, delta);
    else if (slice_is(type, "response.reasoning_summary_text.delta"))
        part_add(answered, PART_REASONING, 0, index, delta);
    else if (slice_is(type, "response.output_item.added"))
        read_item(answered, item, index);
    else if (slice_is(type, "error"))
        answered->error = message.len ? message : SLICE("an error"), answered->error_type = code;
    if (!response.len) return;
    answered->ended = slice_is(type, "response.completed") || slice_is(type, "response.incomplete") ||
                      slice_is(type, "response.failed");
    answered_read(answered, API_RESPONSES, response, false);
}

/* --- Anthropic --- */

static void read_block(struct answered *answered, struct slice block, uint32_t index) {
    struct json_reader r;
    struct slice key, type = {NULL, 0}, id = {NULL, 0}, name = {NULL, 0}, text = {NULL, 0};
    json_reader_init(&r, block, answered->arena);
    if (json_peek(&r) != JSON_OBJECT || !json_object(&r)) return;
    while (json_key(&r, &key))
        if (slice_is(key, "type"))
            type = json_text(&r);
        else if (slice_is(key, "id"))
            id = json_text(&r);
        else if (slice_is(key, "name"))
            name = json_text(&r);
        else if (slice_is(key, "text"))
            text = json_text(&r);
        else
            json_skip(&r, NULL);
    if (slice_is(type, "text")) part_add(answered, PART_TEXT, 0, index, text);
    struct part *part = slice_is(type, "tool_use") ? part_at(answered, PART_TOOL, 0, index) : NULL;
    if (part) part->id = id, part->name = name;
}

static void read_block_delta(struct answered *answered, struct slice delta, uint32_t index) {
    static const struct {
        const char *key;
        enum part_kind kind;
    } texts[] = {{"text", PART_TEXT}, {"thinking", PART_REASONING}, {"partial_json", PART_TOOL}};
    struct json_reader r;
    struct slice key;
    json_reader_init(&r, delta, answered->arena);
    if (json_peek(&r) != JSON_OBJECT || !json_object(&r)) return;
    while (json_key(&r, &key)) {
        size_t i = 0;
        while (i < sizeof texts / sizeof *texts && !slice_is(key, texts[i].key)) i++;
        if (i < sizeof texts / sizeof *texts)
            part_add(answered, texts[i].kind, 0, index, json_text(&r));
        else if (slice_is(key, "stop_reason"))
            finish_set(answered, 0, json_text(&r));
        else
            json_skip(&r, NULL);
    }
}

static void read_message_event(struct answered *answered, struct json_reader *r) {
    struct slice key, type = {NULL, 0}, message = {NULL, 0}, block = {NULL, 0}, delta = {NULL, 0};
    uint32_t index = 0;
    while (json_key(r, &key)) {
        if (slice_is(key, "type"))
            type = json_text(r);
        else if (slice_is(key, "message"))
            message = json_raw(r);
        else if (slice_is(key, "content_block"))
            block = json_raw(r);
        else if (slice_is(key, "delta"))
            delta = json_raw(r);
        else if (slice_is(key, "index"))
            index = small_number(r);
        else if (slice_is(key, "usage"))
            tokens_read(r, &answered->tokens);
        else if (slice_is(key, "error"))
            error_read(r, answered);
        else
            json_skip(r, NULL);
    }
    if (message.len) answered_read(answered, API_MESSAGES, message, false);
    if (slice_is(type, "message_start")) answered->says.len = 0; /* its content is empty, the blocks follow */
    if (block.len) read_block(answered, block, index);
    if (delta.len) read_block_delta(answered, delta, index);
    answered->ended |= slice_is(type, "message_stop");
}

/* --- the stream --- */

void answered_read_stream(struct answered *answered, enum seen_api api, struct slice text, size_t at) {
    struct events events = {.text = text, .arena = answered->arena};
    struct slice data;
    while (next_event(&events, &data)) {
        struct json_reader r;
        if (slice_is(data, "[DONE]")) {
            answered->ended = true;
            continue;
        }
        json_reader_init(&r, data, answered->arena);
        if (json_peek(&r) != JSON_OBJECT || !json_object(&r)) continue;
        if (api == API_RESPONSES)
            read_response_event(answered, &r);
        else if (api == API_MESSAGES)
            read_message_event(answered, &r);
        else if (api == API_GENERATE)
            generated_read(answered, &r);
        else
            read_chunk(answered, &r);
        if (!answered->first_bytes && answered_has_content(answered)) answered->first_bytes = at + events.at;
    }
}
