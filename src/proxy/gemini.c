/* Gemini's own API: generateContent and streamGenerateContent, whose answers and pieces of a stream look the same. */
#include "proxy/said.h"

#include <ctype.h>

static struct slice lower(struct slice text, struct arena *arena) {
    struct slice copy = text.len ? arena_copy(arena, text) : text;
    for (size_t i = 0; i < copy.len; i++) ((char *)(uintptr_t)copy.ptr)[i] = (char)tolower((unsigned char)copy.ptr[i]);
    return copy;
}

static uint32_t calls_of(const struct answered *answered, uint32_t choice) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < answered->part_count; i++)
        count += answered->parts[i].kind == PART_TOOL && answered->parts[i].choice == choice;
    return count;
}

/* {"name","args","id"}: whole, also in a stream. */
static void read_call(struct answered *answered, struct json_reader *r, uint32_t choice) {
    struct slice key, id = {NULL, 0}, name = {NULL, 0}, arguments = SLICE("{}");
    if (!object_enter(r)) return;
    while (json_key(r, &key))
        if (slice_is(key, "name"))
            name = json_text(r);
        else if (slice_is(key, "id"))
            id = json_text(r);
        else if (slice_is(key, "args"))
            arguments = json_raw(r);
        else
            json_skip(r, NULL);
    struct part *part = part_at(answered, PART_TOOL, choice, calls_of(answered, choice));
    if (!part) return;
    part->id = id, part->name = name;
    buf_put_slice(&part->text, arguments);
}

/* {"text","thought"} or {"functionCall"}. */
static void read_part(struct answered *answered, struct json_reader *r, uint32_t choice) {
    struct slice key, text = {NULL, 0};
    bool thought = false;
    if (!object_enter(r)) return;
    while (json_key(r, &key))
        if (slice_is(key, "text"))
            text = json_text(r);
        else if (slice_is(key, "thought"))
            thought = slice_is(json_raw(r), "true");
        else if (slice_is(key, "functionCall"))
            read_call(answered, r, choice);
        else
            json_skip(r, NULL);
    part_add(answered, thought ? PART_REASONING : PART_TEXT, choice, 0, text);
}

static void read_content(struct answered *answered, struct json_reader *r, uint32_t choice) {
    struct slice key;
    if (!object_enter(r)) return;
    while (json_key(r, &key)) {
        if (!slice_is(key, "parts") || json_peek(r) != JSON_ARRAY) {
            json_skip(r, NULL);
            continue;
        }
        json_array(r);
        while (json_item(r)) read_part(answered, r, choice);
    }
}

/* The index may stand behind the content. */
static void read_candidate(struct answered *answered, struct json_reader *r, uint32_t choice) {
    struct slice key, content = {NULL, 0}, reason = {NULL, 0}, index = {NULL, 0};
    if (!object_enter(r)) return;
    while (json_key(r, &key))
        if (slice_is(key, "content"))
            content = json_raw(r);
        else if (slice_is(key, "finishReason"))
            reason = json_text(r);
        else if (slice_is(key, "index"))
            index = json_raw(r);
        else
            json_skip(r, NULL);
    if (index.len == 1 && *index.ptr >= '0' && *index.ptr <= '9') choice = (uint32_t)(*index.ptr - '0');
    if (content.len) {
        struct json_reader inner;
        json_reader_init(&inner, content, answered->arena);
        read_content(answered, &inner, choice);
    }
    finish_set(answered, choice, lower(reason, answered->arena));
    answered->ended |= reason.len > 0;
}

/* What was asked may not be answered: {"blockReason"}. */
static void read_feedback(struct answered *answered, struct json_reader *r) {
    struct slice key;
    if (!object_enter(r)) return;
    while (json_key(r, &key))
        if (slice_is(key, "blockReason"))
            finish_set(answered, 0, lower(json_text(r), answered->arena));
        else
            json_skip(r, NULL);
}

void generated_read(struct answered *answered, struct json_reader *r) {
    struct slice key;
    while (json_key(r, &key)) {
        if (slice_is(key, "responseId")) {
            answered->id = json_text(r);
        } else if (slice_is(key, "modelVersion")) {
            answered->model = json_text(r);
        } else if (slice_is(key, "usageMetadata")) {
            tokens_read(r, &answered->tokens);
        } else if (slice_is(key, "error")) {
            error_read(r, answered);
        } else if (slice_is(key, "promptFeedback")) {
            read_feedback(answered, r);
        } else if (slice_is(key, "candidates") && json_peek(r) == JSON_ARRAY) {
            json_array(r);
            for (uint32_t number = 0; json_item(r); number++) read_candidate(answered, r, number);
        } else {
            json_skip(r, NULL);
        }
    }
}

void generated_read_whole(struct answered *answered, struct slice body) {
    struct json_reader r;
    json_reader_init(&r, body, answered->arena);
    if (json_peek(&r) == JSON_OBJECT && json_object(&r)) {
        generated_read(answered, &r);
    } else if (json_peek(&r) == JSON_ARRAY && json_array(&r)) {
        while (json_item(&r)) {
            if (object_enter(&r)) generated_read(answered, &r);
            if (!answered->first_bytes && answered_has_content(answered))
                answered->first_bytes = (size_t)(r.at - body.ptr);
        }
    }
}
