/* The body of an answer that is no stream, and what all answers share: counts of tokens, errors, parts. */
#include "proxy/said.h"

#include <stdlib.h>

void answered_init(struct answered *answered, struct arena *arena) {
    *answered = (struct answered){.arena = arena};
    answered->tokens = (struct token_counts){NOT_SAID, NOT_SAID, NOT_SAID, NOT_SAID, NOT_SAID, NOT_SAID, NOT_SAID};
}

void answered_free(struct answered *answered) {
    for (uint32_t i = 0; i < answered->part_count; i++) buf_free(&answered->parts[i].text);
}

/* --- parts --- */

struct part *part_at(struct answered *answered, enum part_kind kind, uint32_t choice, uint32_t index) {
    for (uint32_t i = answered->part_count; i > 0; i--) {
        struct part *part = &answered->parts[i - 1];
        if (part->kind == kind && part->choice == choice && part->index == index) return part;
    }
    if (answered->part_count == PARTS_MAX || choice >= CHOICES_MAX) return NULL;
    if (answered->part_count == answered->part_capacity) {
        uint32_t capacity = answered->part_capacity ? answered->part_capacity * 2 : 8;
        struct part *parts = arena_alloc(answered->arena, capacity * sizeof *parts);
        if (!parts) return NULL;
        if (answered->part_count) memcpy(parts, answered->parts, answered->part_count * sizeof *parts);
        answered->parts = parts;
        answered->part_capacity = capacity;
    }
    if (choice >= answered->choice_count) answered->choice_count = choice + 1;
    struct part *part = &answered->parts[answered->part_count++];
    *part = (struct part){.kind = kind, .choice = choice, .index = index};
    return part;
}

void part_add(struct answered *answered, enum part_kind kind, uint32_t choice, uint32_t index, struct slice text) {
    struct part *part = text.len ? part_at(answered, kind, choice, index) : NULL;
    if (part) buf_put_slice(&part->text, text);
}

void finish_set(struct answered *answered, uint32_t choice, struct slice reason) {
    if (!reason.len || choice >= CHOICES_MAX) return;
    answered->finish[choice] = reason;
    if (choice >= answered->choice_count) answered->choice_count = choice + 1;
}

static bool has_part(const struct answered *answered, uint32_t choice, enum part_kind kind) {
    for (uint32_t i = 0; i < answered->part_count; i++)
        if (answered->parts[i].choice == choice && answered->parts[i].kind == kind) return true;
    return false;
}

bool answered_has_content(const struct answered *answered) {
    for (uint32_t i = 0; i < answered->part_count; i++)
        if (answered->parts[i].kind != PART_REASONING && answered->parts[i].text.len) return true;
    return false;
}

static void put_texts(struct json_writer *w, const struct answered *answered, uint32_t choice, enum part_kind kind) {
    buf_putc(w->out, '"');
    for (uint32_t i = 0; i < answered->part_count; i++) {
        const struct part *part = &answered->parts[i];
        if (part->choice == choice && part->kind == kind && part->text.len) json_escape(w->out, buf_slice(&part->text));
    }
    buf_putc(w->out, '"');
    w->comma = true;
}

static void put_calls(struct json_writer *w, const struct answered *answered, uint32_t choice) {
    json_put_key(w, "tool_calls");
    json_open(w, '[');
    for (uint32_t i = 0; i < answered->part_count; i++) {
        const struct part *part = &answered->parts[i];
        if (part->choice != choice || part->kind != PART_TOOL) continue;
        json_open(w, '{');
        if (part->id.len) json_put_key(w, "id"), json_put_string(w, part->id);
        json_put_key(w, "type"), json_put_cstr(w, "function");
        json_put_key(w, "function");
        json_open(w, '{');
        json_put_key(w, "name"), json_put_string(w, part->name);
        json_put_key(w, "arguments"), json_put_string(w, buf_slice(&part->text));
        json_close(w, '}');
        json_close(w, '}');
    }
    json_close(w, ']');
}

struct slice parts_write(const struct answered *answered) {
    struct buf out = {0};
    struct json_writer w = json_writer_on(&out);
    if (!answered->part_count) return (struct slice){NULL, 0};
    json_open(&w, '[');
    for (uint32_t choice = 0; choice < answered->choice_count; choice++) {
        bool text = has_part(answered, choice, PART_TEXT), calls = has_part(answered, choice, PART_TOOL),
             reasoning = has_part(answered, choice, PART_REASONING);
        if (!text && !calls && !reasoning) continue;
        json_open(&w, '{');
        json_put_key(&w, "role"), json_put_cstr(&w, "assistant");
        if (text || !calls) json_put_key(&w, "content"), put_texts(&w, answered, choice, PART_TEXT);
        if (reasoning) json_put_key(&w, "reasoning"), put_texts(&w, answered, choice, PART_REASONING);
        if (calls) put_calls(&w, answered, choice);
        json_close(&w, '}');
    }
    json_close(&w, ']');
    struct slice text = out.failed ? (struct slice){NULL, 0} : arena_copy(answered->arena, buf_slice(&out));
    buf_free(&out);
    return text;
}

/* --- tokens --- */

static const struct {
    const char *key;
    size_t offset;
} counts[] = {
    {"prompt_tokens", offsetof(struct token_counts, input)},
    {"input_tokens", offsetof(struct token_counts, input)},
    {"completion_tokens", offsetof(struct token_counts, output)},
    {"output_tokens", offsetof(struct token_counts, output)},
    {"total_tokens", offsetof(struct token_counts, total)},
    {"cached_tokens", offsetof(struct token_counts, cached)},
    {"cache_read_input_tokens", offsetof(struct token_counts, cached)},
    {"prompt_cache_hit_tokens", offsetof(struct token_counts, cached)},
    {"cache_creation_input_tokens", offsetof(struct token_counts, cache_write)},
    {"reasoning_tokens", offsetof(struct token_counts, reasoning)},
    {"promptTokenCount", offsetof(struct token_counts, input)},
    {"toolUsePromptTokenCount", offsetof(struct token_counts, tool_input)},
    {"candidatesTokenCount", offsetof(struct token_counts, output)},
    {"totalTokenCount", offsetof(struct token_counts, total)},
    {"cachedContentTokenCount", offsetof(struct token_counts, cached)},
    {"thoughtsTokenCount", offsetof(struct token_counts, reasoning)},
};

void tokens_read(struct json_reader *r, struct token_counts *tokens) {
    static const char *const details[] = {"prompt_tokens_details", "input_tokens_details", "completion_tokens_details",
                                          "output_tokens_details"};
    struct slice key;
    if (!object_enter(r)) return;
    while (json_key(r, &key)) {
        enum json_type type = json_peek(r);
        bool detail = false;
        for (size_t i = 0; i < sizeof details / sizeof *details; i++) detail |= slice_is(key, details[i]);
        struct json_number number;
        if (type == JSON_OBJECT && detail) {
            tokens_read(r, tokens);
        } else if (type == JSON_NUMBER) {
            if (!json_number(r, &number) || !(number.real >= 0 && number.real < 9e15)) continue;
            for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
                if (slice_is(key, counts[i].key))
                    *(int64_t *)(void *)((char *)tokens + counts[i].offset) = (int64_t)number.real;
        } else {
            json_skip(r, NULL);
        }
    }
}

void answered_read_tail(struct answered *answered, struct slice tail) {
    struct slice word = answered->api == API_GENERATE ? SLICE("\"usageMetadata\"") : SLICE("\"usage\"");
    const char *at = NULL;
    for (struct slice rest = tail; (rest.ptr = slice_find(rest, word));) {
        at = rest.ptr + word.len;
        rest.len = (size_t)(tail.ptr + tail.len - at);
        rest.ptr = at;
    }
    while (at && at < tail.ptr + tail.len && (*at == ' ' || *at == ':' || *at == '\n')) at++;
    if (!at) return;
    struct json_reader r;
    struct token_counts tokens = answered->tokens;
    json_reader_init(&r, slice_make(at, (size_t)(tail.ptr + tail.len - at)), answered->arena);
    tokens_read(&r, &tokens);
    if (!json_failed(&r)) answered->tokens = tokens;
}

/* --- errors --- */

void error_read(struct json_reader *r, struct answered *answered) {
    struct slice key, code = {NULL, 0};
    if (json_peek(r) != JSON_OBJECT) {
        struct slice text = json_text(r);
        if (text.len) answered->error = text;
        return;
    }
    json_object(r);
    while (json_key(r, &key)) {
        if (slice_is(key, "message"))
            answered->error = json_text(r);
        else if (slice_is(key, "type"))
            answered->error_type = json_text(r);
        else if (slice_is(key, "code"))
            code = json_text(r);
        else
            json_skip(r, NULL);
    }
    if (!answered->error_type.len) answered->error_type = code;
    if (!answered->error.len) answered->error = answered->error_type.len ? answered->error_type : SLICE("an error");
}

/* --- whole answers --- */

/* [{"index","message"|"text","finish_reason"}] */
static void read_choices(struct answered *answered, struct slice choices) {
    struct json_reader r;
    struct slice key;
    uint32_t number = 0;
    bool messages = false;
    json_reader_init(&r, choices, answered->arena);
    if (json_peek(&r) != JSON_ARRAY) return;
    json_array(&r);
    for (; json_item(&r); number++) {
        if (!object_enter(&r)) continue;
        while (json_key(&r, &key)) {
            if (slice_is(key, "finish_reason"))
                finish_set(answered, number, json_text(&r));
            else if (slice_is(key, "text"))
                part_add(answered, PART_TEXT, number, 0, json_text(&r));
            else
                messages |= slice_is(key, "message"), json_skip(&r, NULL);
        }
    }
    if (messages && !json_failed(&r))
        answered->says = arena_printf(answered->arena, "{\"choices\":%.*s}", (int)choices.len, choices.ptr);
}

/* Anthropic's parts are those of a message. */
static void read_content(struct answered *answered, struct slice content) {
    if (content.len && *content.ptr == '[')
        answered->says =
            arena_printf(answered->arena, "[{\"role\":\"assistant\",\"content\":%.*s}]", (int)content.len, content.ptr);
}

/* {"reason"} of an answer that was not finished. */
static struct slice read_reason(struct json_reader *r) {
    struct slice key, reason = {NULL, 0};
    if (!object_enter(r)) return reason;
    while (json_key(r, &key))
        if (slice_is(key, "reason"))
            reason = json_text(r);
        else
            json_skip(r, NULL);
    return reason;
}

void answered_read(struct answered *answered, enum seen_api api, struct slice body, bool failed) {
    struct json_reader r;
    struct slice key, said = {NULL, 0}, state = {NULL, 0}, reason = {NULL, 0};
    if (api == API_GENERATE || api == API_EMBED) {
        generated_read_whole(answered, body);
        return;
    }
    json_reader_init(&r, body, answered->arena);
    if (json_peek(&r) != JSON_OBJECT || !json_object(&r)) return;
    while (json_key(&r, &key)) {
        if (slice_is(key, "id"))
            answered->id = json_text(&r);
        else if (slice_is(key, "model"))
            answered->model = json_text(&r);
        else if (slice_is(key, "usage"))
            tokens_read(&r, &answered->tokens);
        else if (slice_is(key, "error"))
            error_read(&r, answered);
        else if (failed && !answered->error.len && (slice_is(key, "message") || slice_is(key, "detail")))
            answered->error = json_text(&r);
        else if (slice_is(key, api == API_RESPONSES ? "output" : api == API_MESSAGES ? "content" : "choices"))
            said = json_raw(&r);
        else if (slice_is(key, "stop_reason"))
            reason = json_text(&r);
        else if (api == API_RESPONSES && slice_is(key, "status"))
            state = json_text(&r);
        else if (slice_is(key, "incomplete_details"))
            reason = read_reason(&r);
        else
            json_skip(&r, NULL);
    }
    if (api == API_RESPONSES) {
        answered->says = said;
        if (!reason.len && slice_is(state, "completed")) reason = SLICE("stop");
    } else if (api == API_MESSAGES) {
        read_content(answered, said);
    } else if (said.len) {
        read_choices(answered, said);
    }
    finish_set(answered, 0, reason);
}
