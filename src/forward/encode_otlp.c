/* Spans as OTLP (opentelemetry-proto 1.x, ExportTraceServiceRequest). What the sender wrote goes on as it was. What is
 * known beside it, prompt and completion, cost, and what the sender has other names for, goes under GenAI names:
 * whoever receives it need know no other dialect. */
#include "forward/target.h"

#include "base/json.h"
#include "base/pb.h"
#include "base/timestamp.h"

#include <stdio.h>

enum { JSON_VALUE_DEPTH = 16 };

static void put_string_value(struct buf *out, uint32_t field, struct slice text) {
    size_t value = pb_begin(out, field);
    pb_put_bytes(out, 1, text);
    pb_end(out, value);
}

/* AnyValue under `field`. */
static void put_any(struct buf *out, uint32_t field, struct json_reader *r, unsigned depth) {
    struct slice text, key;
    struct json_number number;
    bool truth;
    size_t value = pb_begin(out, field), list;
    switch (depth ? json_peek(r) : JSON_ERROR) {
    case JSON_STRING:
        if (json_string(r, &text)) pb_put_bytes(out, 1, text);
        break;
    case JSON_BOOL:
        if (json_bool(r, &truth)) pb_put_tag(out, 2, PB_VARINT), pb_put_varint(out, truth);
        break;
    case JSON_NUMBER:
        if (!json_number(r, &number)) break;
        if (number.is_int)
            pb_put_tag(out, 3, PB_VARINT), pb_put_varint(out, (uint64_t)number.integer);
        else
            pb_put_double(out, 4, number.real);
        break;
    case JSON_ARRAY:
        list = pb_begin(out, 5);
        json_array(r);
        while (json_item(r)) put_any(out, 1, r, depth - 1);
        pb_end(out, list);
        break;
    case JSON_OBJECT:
        list = pb_begin(out, 6);
        json_object(r);
        while (json_key(r, &key)) {
            size_t pair = pb_begin(out, 1);
            pb_put_bytes(out, 1, key);
            put_any(out, 2, r, depth - 1);
            pb_end(out, pair);
        }
        pb_end(out, list);
        break;
    default:
        if (json_skip(r, &text) && !slice_is(text, "null")) pb_put_bytes(out, 1, text); /* too deep: as it is written */
    }
    pb_end(out, value);
}

/* The members of a JSON object as KeyValues under `field`. */
static void put_attributes(struct buf *out, uint32_t field, struct json_reader *r) {
    struct slice key;
    if (!json_object(r)) return;
    while (json_key(r, &key)) {
        size_t pair = pb_begin(out, field);
        pb_put_bytes(out, 1, key);
        put_any(out, 2, r, JSON_VALUE_DEPTH);
        pb_end(out, pair);
    }
}

static void put_attribute(struct buf *out, uint32_t field, const char *key, struct slice text) {
    if (!text.len) return;
    size_t pair = pb_begin(out, field);
    pb_put_bytes(out, 1, slice_of(key));
    put_string_value(out, 2, text);
    pb_end(out, pair);
}

static void put_event(struct buf *out, struct json_reader *r) {
    struct slice key, name = {NULL, 0};
    struct json_number at = {0};
    size_t event = pb_begin(out, 11);
    if (json_object(r))
        while (json_key(r, &key)) {
            if (slice_is(key, "name"))
                json_string(r, &name);
            else if (slice_is(key, "timestamp"))
                json_number(r, &at);
            else if (slice_is(key, "attributes"))
                put_attributes(out, 3, r);
            else
                json_skip(r, NULL);
        }
    pb_put_fixed64(out, 1, (uint64_t)(at.is_int ? at.integer * NS_PER_MS : (int64_t)(at.real * NS_PER_MS)));
    pb_put_bytes(out, 2, name);
    pb_end(out, event);
}

static void put_json_text(const struct span *span, enum col col, struct buf *out, struct arena *arena) {
    struct json_reader r;
    json_reader_init(&r, span_get_text(span, col), arena);
    if (col == COL_ATTRIBUTES)
        put_attributes(out, 9, &r);
    else if (json_array(&r))
        while (json_item(&r)) put_event(out, &r);
}

/* ---- GenAI names ---- */

/* A name that the sender used itself is left to it. */
static bool is_said(const struct span *span, const char *key) {
    struct slice said = span_get_text(span, COL_ATTRIBUTES);
    char quoted[64];
    int len = snprintf(quoted, sizeof quoted, "\"%s\":", key);
    return said.len && memmem(said.ptr, said.len, quoted, (size_t)len);
}

static void put_known_text(struct buf *out, const struct span *span, const char *key, struct slice text) {
    if (text.len && !is_said(span, key)) put_attribute(out, 9, key, text);
}

static void put_known_int(struct buf *out, const struct span *span, const char *key, int64_t number) {
    if (number == SPAN_NO_INT || is_said(span, key)) return;
    size_t pair = pb_begin(out, 9), value;
    pb_put_bytes(out, 1, slice_of(key));
    value = pb_begin(out, 2);
    pb_put_tag(out, 3, PB_VARINT), pb_put_varint(out, (uint64_t)number);
    pb_end(out, value);
    pb_end(out, pair);
}

static void put_known_double(struct buf *out, const struct span *span, const char *key, double number) {
    if (isnan(number) || is_said(span, key)) return;
    size_t pair = pb_begin(out, 9), value;
    pb_put_bytes(out, 1, slice_of(key));
    value = pb_begin(out, 2);
    pb_put_double(out, 4, number);
    pb_end(out, value);
    pb_end(out, pair);
}

/* Ours hold their parts. Where there are parts, only with OpenAI, which counts so itself, does every receiver read them
 * so: others would add the cached tokens once more. */
static bool counts_are_plain(const struct span *span) {
    bool parts = span->tokens_cached > 0 || span->tokens_cache_write > 0 || span->tokens_reasoning > 0;
    return !(span->flags & SPAN_USAGE_ESTIMATED) && (!parts || (slice_is(span_get_text(span, COL_PROVIDER), "openai") &&
                                                                !is_said(span, "langfuse.observation.usage_details")));
}

static void put_genai(struct buf *out, const struct span *span) {
    static const char *const operations[KIND_COUNT] = {[KIND_LLM] = "chat",
                                                       [KIND_EMBEDDING] = "embeddings",
                                                       [KIND_TOOL] = "execute_tool",
                                                       [KIND_AGENT] = "invoke_agent"};
    static const struct {
        const char *key;
        enum col col;
    } texts[] = {{"gen_ai.provider.name", COL_PROVIDER},    {"gen_ai.request.model", COL_MODEL},
                 {"gen_ai.conversation.id", COL_THREAD_ID}, {"user.id", COL_USER_ID},
                 {"gen_ai.input.messages", COL_PROMPT},     {"gen_ai.output.messages", COL_COMPLETION}};
    const char *operation = span->kind >= 0 && span->kind < KIND_COUNT ? operations[span->kind] : NULL;
    if (operation) put_known_text(out, span, "gen_ai.operation.name", slice_of(operation));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        put_known_text(out, span, texts[i].key, span_get_text(span, texts[i].col));
    if (counts_are_plain(span)) {
        put_known_int(out, span, "gen_ai.usage.input_tokens", span->tokens_input);
        put_known_int(out, span, "gen_ai.usage.output_tokens", span->tokens_output);
    }
    put_known_double(out, span, "llm.cost.total", span->cost_usd);
}

/* ---- spans ---- */

static void put_span(struct buf *out, const struct span *span, struct arena *arena) {
    size_t at = pb_begin(out, 2);
    pb_put_bytes(out, 1, slice_make(span->trace_id, TRACE_ID_SIZE));
    pb_put_bytes(out, 2, slice_make(span->span_id, SPAN_ID_SIZE));
    if (!id_is_zero(span->parent_span_id, SPAN_ID_SIZE))
        pb_put_bytes(out, 4, slice_make(span->parent_span_id, SPAN_ID_SIZE));
    pb_put_bytes(out, 5, span_get_text(span, COL_OPERATION));
    pb_put_uint(out, 6, span->kind == KIND_LLM || span->kind == KIND_EMBEDDING ? 3 : 1);
    pb_put_fixed64(out, 7, (uint64_t)span->start_ns);
    pb_put_fixed64(out, 8, (uint64_t)(span->start_ns + span->duration_ns));
    if (span_get_text(span, COL_ATTRIBUTES).len) put_json_text(span, COL_ATTRIBUTES, out, arena);
    put_genai(out, span);
    if (span_get_text(span, COL_EVENTS).len) put_json_text(span, COL_EVENTS, out, arena);
    size_t status = pb_begin(out, 15);
    if (span_get_text(span, COL_ERROR).len) pb_put_bytes(out, 2, span_get_text(span, COL_ERROR));
    pb_put_uint(out, 3, (uint64_t)span->status);
    pb_end(out, status);
    pb_end(out, at);
}

static bool same_sender(const struct span *a, const struct span *b) {
    return slice_eq(span_get_text(a, COL_RESOURCE), span_get_text(b, COL_RESOURCE)) &&
           slice_eq(span_get_text(a, COL_SERVICE), span_get_text(b, COL_SERVICE));
}

void encode_otlp(const struct span *spans, uint32_t count, struct buf *out) {
    struct arena arena = {0};
    for (uint32_t i = 0; i < count;) {
        struct json_reader r;
        size_t group = pb_begin(out, 1), resource = pb_begin(out, 1), scope;
        struct slice said = span_get_text(&spans[i], COL_RESOURCE);
        json_reader_init(&r, said, &arena);
        if (said.len) put_attributes(out, 1, &r);
        if (!said.len || !memmem(said.ptr, said.len, "\"service.name\"", 14))
            put_attribute(out, 1, "service.name", span_get_text(&spans[i], COL_SERVICE));
        pb_end(out, resource);
        scope = pb_begin(out, 2);
        const struct span *first = &spans[i];
        for (; i < count && same_sender(first, &spans[i]); i++) {
            put_span(out, &spans[i], &arena);
            arena_reset(&arena);
        }
        pb_end(out, scope);
        pb_end(out, group);
    }
    arena_free(&arena);
}
