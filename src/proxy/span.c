/* From a call as it was seen to its span, in the names of OpenTelemetry's GenAI conventions. */
#include "proxy/said.h"

#include "base/timestamp.h"
#include "ingest/inflate.h"
#include "span/normalise.h"

#include <stdio.h>
#include <strings.h>

enum {
    ATTRS_MAX = 40 + ASKED_PARAMETERS_MAX + SEEN_PROPERTIES_MAX,
    INFLATED_MAX = 16 << 20,
    ERROR_TEXT_MAX = 2048,
    PREVIEW_BYTES = 16 << 10
};

static const struct {
    const char *operation;
} apis[] = {[API_NONE] = {"call"},
            [API_CHAT] = {"chat"},
            [API_COMPLETIONS] = {"text_completion"},
            [API_RESPONSES] = {"chat"},
            [API_EMBEDDINGS] = {"embeddings"},
            [API_MESSAGES] = {"chat"},
            [API_GENERATE] = {"generate_content"},
            [API_EMBED] = {"embeddings"}};

static const struct {
    const char *type, *words;
} ends[] = {[SEEN_WHOLE] = {NULL, NULL},
            [SEEN_UNREACHABLE] = {"upstream_unreachable", "upstream cannot be reached"},
            [SEEN_TIMED_OUT] = {"upstream_timeout", "upstream did not answer in time"},
            [SEEN_CUT] = {"upstream_closed", "upstream broke off its answer"},
            [SEEN_CLIENT_GONE] = {"client_closed", "the client went before the answer was whole"}};

struct making {
    const struct seen *seen;
    enum seen_api api;
    struct arena *arena;
    struct asked asked;
    struct answered answered;
    struct attr attrs[ATTRS_MAX];
    uint32_t attr_count;
    bool streamed, unread;
};

static void put(struct making *m, const char *key, struct value value) {
    if (m->attr_count < ATTRS_MAX) m->attrs[m->attr_count++] = (struct attr){slice_of(key), value};
}

static void put_text(struct making *m, const char *key, struct slice text) {
    if (text.len) put(m, key, (struct value){.type = VALUE_STRING, .text = text});
}

static void put_json(struct making *m, const char *key, struct slice json) {
    if (json.len) put(m, key, (struct value){.type = VALUE_JSON, .text = json});
}

static void put_int(struct making *m, const char *key, int64_t number) {
    if (number != NOT_SAID) put(m, key, (struct value){.type = VALUE_INT, .integer = number});
}

static void put_true(struct making *m, const char *key, bool holds) {
    if (holds) put(m, key, (struct value){.type = VALUE_BOOL, .integer = 1});
}

/* --- bodies --- */

/* The body as it was meant; empty when it is packed in a way that we don't unpack, or in one that broke. */
static struct slice unpacked(struct making *m, struct slice body, struct slice encoding, struct buf *out) {
    if (!body.len || !encoding.len) return body;
    if (body_inflate(body, encoding, INFLATED_MAX, out, NULL) != 0) {
        m->unread = true;
        return (struct slice){NULL, 0};
    }
    return out->ptr ? buf_slice(out) : body;
}

static bool type_is(struct slice type, const char *wanted) {
    return type.len >= strlen(wanted) && strncasecmp(type.ptr, wanted, strlen(wanted)) == 0;
}

/* The end of a stream begins within an event: what comes before the first blank line is left out. */
static struct slice whole_events(struct slice tail) {
    const char *lf = slice_find(tail, SLICE("\n\n")), *crlf = slice_find(tail, SLICE("\r\n\r\n"));
    const char *at = crlf && (!lf || crlf < lf) ? crlf + 4 : lf ? lf + 2 : NULL;
    return at ? slice_from(tail, (size_t)(at - tail.ptr)) : (struct slice){NULL, 0};
}

static void read_answer(struct making *m, struct slice body) {
    const struct seen *seen = m->seen;
    m->streamed = type_is(seen->answer_type, "text/event-stream");
    if (m->streamed) {
        answered_read_stream(&m->answered, m->api, body, 0);
        if (seen->answer_cut) answered_read_stream(&m->answered, m->api, whole_events(seen->tail), seen->answer.len);
        if (!m->answered.ended) m->answered.says.len = 0;
    } else {
        answered_read(&m->answered, m->api, body, seen->status >= 400);
        if (seen->answer_cut) answered_read_tail(&m->answered, seen->tail);
    }
}

/* --- what was said --- */

/* Lists of the Responses API hold, beside messages and calls of functions, items that say nothing to a reader
 * (reasoning that is encrypted, references). */
static bool item_is_known(struct slice item, struct arena *arena) {
    struct json_reader r;
    struct slice key, type = {NULL, 0};
    bool role = false;
    json_reader_init(&r, item, arena);
    if (json_peek(&r) != JSON_OBJECT || !json_object(&r)) return false;
    while (json_key(&r, &key)) {
        role |= slice_is(key, "role");
        if (slice_is(key, "type"))
            type = json_text(&r);
        else
            json_skip(&r, NULL);
    }
    return role || slice_is(type, "function_call") || slice_is(type, "function_call_output");
}

static struct slice known_items(struct slice list, struct arena *arena) {
    struct json_reader r;
    struct slice item;
    struct buf out = {0};
    uint32_t count = 0;
    json_reader_init(&r, list, arena);
    if (json_peek(&r) != JSON_ARRAY) return list;
    json_array(&r);
    while (json_item(&r)) {
        if (!json_skip(&r, &item) || !item_is_known(item, arena)) continue;
        buf_putc(&out, count++ ? ',' : '[');
        buf_put_slice(&out, item);
    }
    buf_putc(&out, ']');
    struct slice text = count && !out.failed ? arena_copy(arena, buf_slice(&out)) : (struct slice){NULL, 0};
    buf_free(&out);
    return text;
}

/* A JSON string as text, anything else as it stands. */
static struct slice plain(struct slice json, struct arena *arena) {
    struct json_reader r;
    struct slice text;
    if (!json.len || *json.ptr != '"') return json;
    json_reader_init(&r, json, arena);
    return json_string(&r, &text) ? text : json;
}

static void put_prompt(struct making *m) {
    struct slice prompt = m->asked.prompt, system = m->asked.system;
    bool text = prompt.len && *prompt.ptr == '"';
    if (m->api == API_RESPONSES && text)
        prompt = arena_printf(m->arena, "[{\"role\":\"user\",\"content\":%.*s}]", (int)prompt.len, prompt.ptr);
    else if (m->api == API_RESPONSES)
        prompt = known_items(prompt, m->arena);
    if (prompt.len > SEEN_BODY_MAX) {
        prompt = slice_make(prompt.ptr, PREVIEW_BYTES);
        put_true(m, "vitrine.truncated", !m->seen->answer_cut);
    }
    put_text(m, "gen_ai.system_instructions", plain(system, m->arena));
    put_text(m, "gen_ai.input.messages", plain(prompt, m->arena));
}

static bool one_text(const struct answered *answered) {
    return answered->part_count == 1 && answered->parts[0].kind == PART_TEXT;
}

static void put_completion(struct making *m) {
    struct slice says = m->answered.says;
    if (m->api == API_RESPONSES && says.len) says = known_items(says, m->arena);
    if (!says.len && m->api == API_COMPLETIONS && one_text(&m->answered))
        says = arena_copy(m->arena, buf_slice(&m->answered.parts[0].text));
    if (!says.len) says = parts_write(&m->answered);
    put_text(m, "gen_ai.output.messages", says);
}

static void put_finish_reasons(struct making *m) {
    struct buf out = {0};
    struct json_writer w = json_writer_on(&out);
    uint32_t count = 0;
    json_open(&w, '[');
    for (uint32_t i = 0; i < m->answered.choice_count; i++)
        if (m->answered.finish[i].len) json_put_string(&w, m->answered.finish[i]), count++;
    json_close(&w, ']');
    if (count) put_json(m, "gen_ai.response.finish_reasons", arena_copy(m->arena, buf_slice(&out)));
    buf_free(&out);
}

/* Anthropic counts what its cache read and wrote apart from the input. Who reads the span knows that of Anthropic
 * itself; of others who speak its language it is added up here. */
static void put_tokens(struct making *m) {
    struct token_counts t = m->answered.tokens;
    struct slice provider = m->seen->upstream->provider;
    bool known = slice_is(provider, "anthropic") || slice_is(provider, "bedrock");
    if (m->api == API_MESSAGES && !known && t.input != NOT_SAID)
        t.input += (t.cached > 0 ? t.cached : 0) + (t.cache_write > 0 ? t.cache_write : 0);
    /* Gemini counts what the model thought, and what its tools brought, apart from the rest. */
    if (m->api == API_GENERATE && t.reasoning > 0) t.output = (t.output > 0 ? t.output : 0) + t.reasoning;
    if (t.tool_input > 0) t.input = (t.input > 0 ? t.input : 0) + t.tool_input;
    put_int(m, "gen_ai.usage.input_tokens", t.input);
    put_int(m, "gen_ai.usage.output_tokens", t.output);
    put_int(m, "gen_ai.usage.total_tokens", t.total);
    put_int(m, "gen_ai.usage.cache_read.input_tokens", t.cached);
    put_int(m, "gen_ai.usage.cache_creation.input_tokens", t.cache_write);
    put_int(m, "gen_ai.usage.reasoning.output_tokens", t.reasoning);
}

static void put_first_token(struct making *m) {
    if (!m->answered.first_bytes || m->seen->answer_encoding.len) return;
    for (uint32_t i = 0; i < m->seen->mark_count; i++) {
        if (m->seen->marks[i].bytes < m->answered.first_bytes) continue;
        put(m, "gen_ai.response.time_to_first_chunk",
            (struct value){.type = VALUE_DOUBLE, .real = (double)m->seen->marks[i].after_ns / NS_PER_S});
        return;
    }
}

/* --- how it ended --- */

/* The key of a provider that the text goes on with. */
static struct slice secret_at(const struct seen *seen, struct slice text) {
    for (uint32_t i = 0; i < seen->secret_count; i++)
        if (seen->secrets[i].len && slice_starts(text, seen->secrets[i])) return seen->secrets[i];
    return (struct slice){NULL, 0};
}

/* Some say in their errors which key was wrong. */
static struct slice without_secrets(struct making *m, struct slice text) {
    struct buf out = {0};
    while (text.len && out.len < ERROR_TEXT_MAX) {
        struct slice secret = secret_at(m->seen, text);
        if (secret.len)
            buf_puts(&out, "[key]");
        else
            buf_putc(&out, *text.ptr);
        text = slice_from(text, secret.len ? secret.len : 1);
    }
    text = out.len && !out.failed ? arena_copy(m->arena, buf_slice(&out)) : (struct slice){NULL, 0};
    buf_free(&out);
    return text;
}

/* False when it went well. */
static bool put_error(struct making *m, struct slice *message) {
    const struct seen *seen = m->seen;
    bool failed = seen->status >= 400 || m->answered.error.len;
    if (failed) {
        *message = without_secrets(m, m->answered.error);
        if (!message->len) *message = arena_printf(m->arena, "HTTP %u", seen->status);
        put_text(m, "error.type",
                 m->answered.error_type.len ? without_secrets(m, m->answered.error_type)
                                            : arena_printf(m->arena, "%u", seen->status));
        return true;
    }
    /* Some go, or cut the connection, as soon as the last event is there. */
    if (seen->end == SEEN_WHOLE || (m->streamed && m->answered.ended)) return false;
    *message = slice_of(ends[seen->end].words);
    if (seen->words.len)
        *message = arena_printf(m->arena, "%s: %.*s", ends[seen->end].words, (int)seen->words.len, seen->words.ptr);
    *message = without_secrets(m, *message);
    put_text(m, "error.type", slice_of(ends[seen->end].type));
    return true;
}

/* --- the span --- */

static void put_who(struct making *m) {
    const struct seen *seen = m->seen;
    put_text(m, "service.name", seen->service);
    put_text(m, "user.id", seen->user.len ? seen->user : m->asked.user);
    put_text(m, "gen_ai.conversation.id", seen->thread.len ? seen->thread : m->asked.thread);
    for (uint32_t i = 0; i < seen->property_count; i++) {
        struct slice key =
            arena_printf(m->arena, "property.%.*s", (int)seen->properties[i].name.len, seen->properties[i].name.ptr);
        if (key.len) put_text(m, key.ptr, seen->properties[i].value);
    }
}

static void put_call(struct making *m) {
    const struct seen *seen = m->seen;
    put_text(m, "gen_ai.operation.name", slice_of(apis[m->api].operation));
    put_text(m, "gen_ai.provider.name", seen->upstream->provider);
    put_text(m, "gen_ai.request.model", m->asked.model);
    put_text(m, "gen_ai.response.model", m->answered.model);
    put_text(m, "gen_ai.response.id", m->answered.id);
    put_true(m, "gen_ai.request.stream", m->asked.stream);
    put_text(m, "proxy.upstream", seen->upstream->name);
    put_text(m, "server.address", seen->upstream->host);
    put_int(m, "server.port", seen->upstream->port ? seen->upstream->port : NOT_SAID);
    put_text(m, "url.path", seen->path.len > SEEN_TEXT_MAX ? slice_make(seen->path.ptr, SEEN_TEXT_MAX) : seen->path);
    put_int(m, "http.response.status_code", seen->status ? (int64_t)seen->status : NOT_SAID);
    put_text(m, "http.response.header.x-request-id", seen->request_id);
    put_true(m, "vitrine.truncated", seen->answer_cut);
    put_true(m, "vitrine.unread", m->unread);
    for (uint32_t i = 0; i < m->asked.parameter_count; i++)
        if (m->attr_count < ATTRS_MAX) m->attrs[m->attr_count++] = m->asked.parameters[i];
}

static int make(struct making *m, struct batch *batch) {
    const struct seen *seen = m->seen;
    struct slice message = {NULL, 0};
    struct raw_resource resource = {.project = arena_copy(&batch->arena, seen->project)};
    struct raw_span raw = {.source = SOURCE_PROXY, .otel_kind = 3, .resource = &resource, .status = STATUS_OK};
    put_call(m);
    put_who(m);
    put_prompt(m);
    put_completion(m);
    put_finish_reasons(m);
    put_tokens(m);
    put_first_token(m);
    if (put_error(m, &message)) raw.status = STATUS_ERROR;
    struct slice model = m->asked.model.len ? m->asked.model : m->answered.model;
    if (model.len > SEEN_TEXT_MAX) model.len = SEEN_TEXT_MAX;
    raw.name = model.len ? arena_printf(m->arena, "%s %.*s", apis[m->api].operation, (int)model.len, model.ptr)
                         : slice_of(apis[m->api].operation);
    memcpy(raw.trace_id, seen->trace_id, TRACE_ID_SIZE);
    memcpy(raw.span_id, seen->span_id, SPAN_ID_SIZE);
    memcpy(raw.parent_span_id, seen->parent_span_id, SPAN_ID_SIZE);
    raw.status_message = message;
    raw.start_ns = seen->start_ns;
    raw.end_ns = seen->start_ns + seen->duration_ns;
    raw.attrs = m->attrs;
    raw.attr_count = m->attr_count;
    return normalise(batch, &raw, 1);
}

int seen_to_span(const struct seen *seen, struct batch *batch, struct arena *scratch) {
    struct buf request = {0}, answer = {0};
    struct making *m = arena_calloc(scratch, 1, sizeof *m);
    if (!m) return VT_ENOMEM;
    m->seen = seen;
    m->arena = scratch;
    m->api = seen_api_of(seen->path);
    answered_init(&m->answered, scratch);
    m->answered.api = m->api;
    asked_read(&m->asked, m->api, unpacked(m, seen->request, seen->request_encoding, &request), scratch);
    if (m->api == API_GENERATE || m->api == API_EMBED) {
        m->asked.model = seen_model_of(seen->path);
        m->asked.stream = seen_path_streams(seen->path);
    }
    read_answer(m, unpacked(m, seen->answer, seen->answer_encoding, &answer));
    int code = make(m, batch);
    answered_free(&m->answered);
    buf_free(&request);
    buf_free(&answer);
    return code;
}
