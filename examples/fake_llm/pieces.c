/* JSON of the providers' answers (OpenAI API reference and Anthropic API reference, as of 2026). */
#include "pieces.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PIECE_BYTES = 24, EMBEDDING_SIZE = 256, EMBEDDING_MAX = 3072, EMBEDDING_INPUTS_MAX = 2048 };

static const char *model_of(const json_t *request) {
    const char *model = json_string_value(json_object_get(request, "model"));
    return model ? model : "fake-model";
}

static void new_id(const char *prefix, char out[48]) {
    static atomic_ulong next;
    snprintf(out, 48, "%s%010lx%06lx", prefix, (unsigned long)time(NULL), atomic_fetch_add(&next, 1) + 1);
}

static char *dump(json_t *value) {
    char *text = json_dumps(value, JSON_COMPACT);
    json_decref(value);
    return text;
}

static const char *finish_reason(const struct reply *reply) {
    return reply->tool[0] ? "tool_calls" : reply->cut_by_length ? "length" : "stop";
}

static json_t *chat_usage(const struct reply *reply) {
    return json_pack("{s:I,s:I,s:I,s:{s:I,s:i},s:{s:I,s:i}}", "prompt_tokens", (json_int_t)reply->input_tokens,
                     "completion_tokens", (json_int_t)reply->output_tokens, "total_tokens",
                     (json_int_t)(reply->input_tokens + reply->output_tokens), "prompt_tokens_details", "cached_tokens",
                     (json_int_t)reply->cached_tokens, "audio_tokens", 0, "completion_tokens_details",
                     "reasoning_tokens", (json_int_t)reply->reasoning_tokens, "audio_tokens", 0);
}

/* ---- OpenAI: chat completions ---- */

static json_t *tool_call(const struct reply *reply, const char *id) {
    return json_pack("{s:s,s:s,s:{s:s,s:s}}", "id", id, "type", "function", "function", "name", reply->tool,
                     "arguments", reply->arguments);
}

char *chat_body(const json_t *request, const struct reply *reply) {
    char id[48], call[48];
    new_id("chatcmpl-", id);
    new_id("call_", call);
    json_t *message = json_pack("{s:s,s:n}", "role", "assistant", "refusal");
    if (reply->tool[0]) {
        json_object_set_new(message, "content", json_null());
        json_object_set_new(message, "tool_calls", json_pack("[o]", tool_call(reply, call)));
    } else {
        json_object_set_new(message, "content", json_string(reply->text));
    }
    return dump(json_pack("{s:s,s:s,s:I,s:s,s:[{s:i,s:o,s:n,s:s}],s:o,s:s}", "id", id, "object", "chat.completion",
                          "created", (json_int_t)time(NULL), "model", model_of(request), "choices", "index", 0,
                          "message", message, "logprobs", "finish_reason", finish_reason(reply), "usage",
                          chat_usage(reply), "system_fingerprint", "fp_fake"));
}

static void add_text(struct pieces *out, char *text, bool says) {
    if (out->count == out->capacity) {
        size_t capacity = out->capacity ? out->capacity * 2 : 64;
        struct piece *list = realloc(out->list, capacity * sizeof *list);
        if (!list) {
            free(text);
            return;
        }
        out->list = list;
        out->capacity = capacity;
    }
    if (text) out->list[out->count++] = (struct piece){text, says};
}

static void add_piece(struct pieces *out, const char *event, json_t *data, bool says) {
    char *json = dump(data), *text = NULL;
    if ((event ? asprintf(&text, "event: %s\ndata: %s\n\n", event, json) : asprintf(&text, "data: %s\n\n", json)) < 0)
        text = NULL;
    free(json);
    add_text(out, text, says);
}

void pieces_free(struct pieces *pieces) {
    for (size_t i = 0; i < pieces->count; i++) free(pieces->list[i].text);
    free(pieces->list);
    *pieces = (struct pieces){0};
}

/* The next part of a text, cut at a code point, as a JSON string. */
static json_t *next_part(const char **text) {
    size_t len = strlen(*text) < PIECE_BYTES ? strlen(*text) : PIECE_BYTES;
    while (len > 0 && ((unsigned char)(*text)[len] & 0xc0) == 0x80) len--;
    json_t *part = json_stringn(*text, len);
    *text += len;
    return part;
}

static void add_chunk(struct pieces *out, const json_t *request, const char *id, json_t *delta, const char *finish,
                      json_t *usage, bool says) {
    json_t *choices =
        delta ? json_pack("[{s:i,s:o,s:s?}]", "index", 0, "delta", delta, "finish_reason", finish) : json_array();
    json_t *chunk = json_pack("{s:s,s:s,s:I,s:s,s:o}", "id", id, "object", "chat.completion.chunk", "created",
                              (json_int_t)time(NULL), "model", model_of(request), "choices", choices);
    if (usage) json_object_set_new(chunk, "usage", usage);
    add_piece(out, NULL, chunk, says);
}

void chat_pieces(const json_t *request, const struct reply *reply, bool usage, struct pieces *out) {
    char id[48], call[48];
    new_id("chatcmpl-", id);
    new_id("call_", call);
    add_chunk(out, request, id, json_pack("{s:s,s:s}", "role", "assistant", "content", ""), NULL, NULL, false);
    if (reply->tool[0]) {
        add_chunk(out, request, id,
                  json_pack("{s:[{s:i,s:s,s:s,s:{s:s,s:s}}]}", "tool_calls", "index", 0, "id", call, "type", "function",
                            "function", "name", reply->tool, "arguments", ""),
                  NULL, NULL, true);
        for (const char *rest = reply->arguments; *rest;)
            add_chunk(
                out, request, id,
                json_pack("{s:[{s:i,s:{s:o}}]}", "tool_calls", "index", 0, "function", "arguments", next_part(&rest)),
                NULL, NULL, true);
    }
    for (const char *rest = reply->text; *rest;)
        add_chunk(out, request, id, json_pack("{s:o}", "content", next_part(&rest)), NULL, NULL, true);
    add_chunk(out, request, id, json_object(), finish_reason(reply), NULL, false);
    if (usage) add_chunk(out, request, id, NULL, NULL, chat_usage(reply), false);
    add_text(out, strdup("data: [DONE]\n\n"), false);
}

/* ---- OpenAI: responses ---- */

static json_t *response_object(const json_t *request, const struct reply *reply, const char *id, const char *status,
                               bool whole) {
    json_t *output = json_array();
    if (whole && reply->tool[0])
        json_array_append_new(output, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "type", "function_call", "id", "fc_1",
                                                "call_id", "call_1", "name", reply->tool, "arguments", reply->arguments,
                                                "status", "completed"));
    else if (whole)
        json_array_append_new(output, json_pack("{s:s,s:s,s:s,s:s,s:[{s:s,s:s,s:[]}]}", "type", "message", "id",
                                                "msg_1", "role", "assistant", "status", "completed", "content", "type",
                                                "output_text", "text", reply->text, "annotations"));
    json_t *usage = whole ? json_pack("{s:I,s:{s:I},s:I,s:{s:I},s:I}", "input_tokens", (json_int_t)reply->input_tokens,
                                      "input_tokens_details", "cached_tokens", (json_int_t)reply->cached_tokens,
                                      "output_tokens", (json_int_t)reply->output_tokens, "output_tokens_details",
                                      "reasoning_tokens", (json_int_t)reply->reasoning_tokens, "total_tokens",
                                      (json_int_t)(reply->input_tokens + reply->output_tokens))
                          : json_null();
    return json_pack("{s:s,s:s,s:I,s:s,s:s,s:o,s:o,s:n,s:b,s:s,s:[]}", "id", id, "object", "response", "created_at",
                     (json_int_t)time(NULL), "status", status, "model", model_of(request), "output", output, "usage",
                     usage, "error", "parallel_tool_calls", 1, "tool_choice", "auto", "tools");
}

char *responses_body(const json_t *request, const struct reply *reply) {
    char id[48];
    new_id("resp_", id);
    return dump(response_object(request, reply, id, "completed", true));
}

void responses_pieces(const json_t *request, const struct reply *reply, struct pieces *out) {
    char id[48];
    new_id("resp_", id);
    json_int_t n = 0;
    add_piece(out, "response.created",
              json_pack("{s:s,s:I,s:o}", "type", "response.created", "sequence_number", n++, "response",
                        response_object(request, reply, id, "in_progress", false)),
              false);
    for (const char *rest = reply->text; *rest;)
        add_piece(out, "response.output_text.delta",
                  json_pack("{s:s,s:I,s:s,s:i,s:i,s:o}", "type", "response.output_text.delta", "sequence_number", n++,
                            "item_id", "msg_1", "output_index", 0, "content_index", 0, "delta", next_part(&rest)),
                  true);
    add_piece(out, "response.completed",
              json_pack("{s:s,s:I,s:o}", "type", "response.completed", "sequence_number", n, "response",
                        response_object(request, reply, id, "completed", true)),
              false);
}

/* ---- Anthropic: messages. input_tokens leaves out what came from the cache ---- */

static json_t *messages_usage(const struct reply *reply, long output_tokens) {
    return json_pack("{s:I,s:I,s:i,s:I}", "input_tokens", (json_int_t)(reply->input_tokens - reply->cached_tokens),
                     "cache_read_input_tokens", (json_int_t)reply->cached_tokens, "cache_creation_input_tokens", 0,
                     "output_tokens", (json_int_t)output_tokens);
}

static const char *stop_reason(const struct reply *reply) {
    return reply->tool[0] ? "tool_use" : reply->cut_by_length ? "max_tokens" : "end_turn";
}

static json_t *message_object(const json_t *request, const char *id, json_t *content, const char *stop, json_t *usage) {
    return json_pack("{s:s,s:s,s:s,s:s,s:o,s:s?,s:n,s:o}", "id", id, "type", "message", "role", "assistant", "model",
                     model_of(request), "content", content, "stop_reason", stop, "stop_sequence", "usage", usage);
}

char *messages_body(const json_t *request, const struct reply *reply) {
    char id[48];
    new_id("msg_", id);
    json_t *content = json_array();
    if (reply->tool[0]) {
        json_t *input = json_loads(reply->arguments, 0, NULL);
        json_array_append_new(content, json_pack("{s:s,s:s,s:s,s:o}", "type", "tool_use", "id", "toolu_1", "name",
                                                 reply->tool, "input", input));
    } else {
        json_array_append_new(content, json_pack("{s:s,s:s}", "type", "text", "text", reply->text));
    }
    return dump(message_object(request, id, content, stop_reason(reply), messages_usage(reply, reply->output_tokens)));
}

void messages_pieces(const json_t *request, const struct reply *reply, struct pieces *out) {
    char id[48];
    new_id("msg_", id);
    bool tool = reply->tool[0];
    add_piece(out, "message_start",
              json_pack("{s:s,s:o}", "type", "message_start", "message",
                        message_object(request, id, json_array(), NULL, messages_usage(reply, 1))),
              false);
    json_t *block =
        tool ? json_pack("{s:s,s:s,s:s,s:{}}", "type", "tool_use", "id", "toolu_1", "name", reply->tool, "input")
             : json_pack("{s:s,s:s}", "type", "text", "text", "");
    add_piece(out, "content_block_start",
              json_pack("{s:s,s:i,s:o}", "type", "content_block_start", "index", 0, "content_block", block), false);
    add_piece(out, "ping", json_pack("{s:s}", "type", "ping"), false);
    for (const char *rest = tool ? reply->arguments : reply->text; *rest;) {
        json_t *part = next_part(&rest);
        json_t *delta = tool ? json_pack("{s:s,s:o}", "type", "input_json_delta", "partial_json", part)
                             : json_pack("{s:s,s:o}", "type", "text_delta", "text", part);
        add_piece(out, "content_block_delta",
                  json_pack("{s:s,s:i,s:o}", "type", "content_block_delta", "index", 0, "delta", delta), true);
    }
    add_piece(out, "content_block_stop", json_pack("{s:s,s:i}", "type", "content_block_stop", "index", 0), false);
    add_piece(out, "message_delta",
              json_pack("{s:s,s:{s:s,s:n},s:{s:I}}", "type", "message_delta", "delta", "stop_reason",
                        stop_reason(reply), "stop_sequence", "usage", "output_tokens",
                        (json_int_t)reply->output_tokens),
              false);
    add_piece(out, "message_stop", json_pack("{s:s}", "type", "message_stop"), false);
}

/* ---- the rest ---- */

static json_t *vector_json(const float *vector, size_t size, bool base64) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (!base64) {
        json_t *list = json_array();
        for (size_t i = 0; i < size; i++) json_array_append_new(list, json_real((double)vector[i]));
        return list;
    }
    const unsigned char *bytes = (const unsigned char *)vector;
    size_t len = size * sizeof *vector, n = 0;
    char *text = malloc(len * 4 / 3 + 8);
    if (!text) return json_null();
    for (size_t i = 0; i < len; i += 3) {
        unsigned long v = (unsigned long)bytes[i] << 16 | (i + 1 < len ? (unsigned long)bytes[i + 1] << 8 : 0) |
                          (i + 2 < len ? bytes[i + 2] : 0);
        text[n++] = digits[v >> 18 & 63];
        text[n++] = digits[v >> 12 & 63];
        text[n++] = i + 1 < len ? digits[v >> 6 & 63] : '=';
        text[n++] = i + 2 < len ? digits[v & 63] : '=';
    }
    json_t *out = json_stringn(text, n);
    free(text);
    return out;
}

char *embeddings_body(const json_t *request) {
    const json_t *input = json_object_get(request, "input");
    const char *format = json_string_value(json_object_get(request, "encoding_format"));
    json_int_t asked = json_integer_value(json_object_get(request, "dimensions"));
    size_t size = asked > 0 && asked <= EMBEDDING_MAX ? (size_t)asked : EMBEDDING_SIZE;
    size_t count = json_is_array(input) ? json_array_size(input) : json_is_string(input) ? 1 : 0;
    if (!count || count > EMBEDDING_INPUTS_MAX) return NULL;
    float vector[EMBEDDING_MAX];
    long tokens = 0;
    json_t *data = json_array();
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_is_array(input) ? json_array_get(input, i) : input);
        if (!text) text = "";
        tokens += count_tokens(text);
        embed(text, vector, size);
        json_array_append_new(data,
                              json_pack("{s:s,s:I,s:o}", "object", "embedding", "index", (json_int_t)i, "embedding",
                                        vector_json(vector, size, format && strcmp(format, "base64") == 0)));
    }
    return dump(json_pack("{s:s,s:o,s:s,s:{s:I,s:I}}", "object", "list", "data", data, "model", model_of(request),
                          "usage", "prompt_tokens", (json_int_t)tokens, "total_tokens", (json_int_t)tokens));
}

char *models_body(void) {
    static const char *const models[] = {"gpt-4o",  "gpt-4o-mini",       "gpt-5-mini",
                                         "o4-mini", "claude-sonnet-4-5", "text-embedding-3-small"};
    json_t *data = json_array();
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        json_array_append_new(data, json_pack("{s:s,s:s,s:i,s:s}", "id", models[i], "object", "model", "created",
                                              1700000000, "owned_by", "fake"));
    return dump(json_pack("{s:s,s:o}", "object", "list", "data", data));
}

char *error_body(enum dialect dialect, long status, const char *message) {
    const char *type = status == 429   ? "rate_limit_error"
                       : status == 401 ? "authentication_error"
                       : status < 500  ? "invalid_request_error"
                                       : "server_error";
    if (dialect == DIALECT_ANTHROPIC)
        return dump(json_pack("{s:s,s:{s:s,s:s}}", "type", "error", "error", "type", type, "message", message));
    return dump(json_pack("{s:{s:s,s:s,s:n,s:s?}}", "error", "message", message, "type", type, "param", "code",
                          status == 429 ? "rate_limit_exceeded" : NULL));
}
