/* LLM spans of about 1.5 KB as the OpenTelemetry conventions have them: 18 attributes, the messages among them, two
 * events. */
#include "data.h"

#include "base/json.h"
#include "base/pb.h"

#include <stdio.h>

/* Words that are drawn by chance, the same in every run: bodies compress as talk does, not as one span repeated. */
static const char *const words[] = {
    "jacket",   "rain",   "mountain", "waterproof", "light",  "pack",   "walk",   "day",     "shell",   "parka",
    "warm",     "size",   "large",    "delivery",   "price",  "return", "colour", "green",   "hood",    "zip",
    "membrane", "down",   "wool",     "trail",      "summer", "winter", "boots",  "refund",  "order",   "stock",
    "maybe",    "please", "which",    "would",      "fit",    "under",  "about",  "between", "without", "carry",
    "heavy",    "storm",  "wind",     "breathable", "seam",   "pocket", "length", "arm"};

static uint32_t draw(uint32_t *state) {
    *state = *state * 1664525 + 1013904223;
    return *state >> 16;
}

/* A message of about `bytes` bytes, as the list in JSON that SDKs send. */
static void talk(struct buf *out, int seed, bool answer, size_t bytes) {
    uint32_t state = (uint32_t)seed * 2654435761u + answer;
    buf_puts(out, answer ? "[{\"role\":\"assistant\",\"parts\":[{\"type\":\"text\",\"content\":\""
                         : "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"");
    for (size_t start = out->len; out->len - start < bytes;) {
        buf_puts(out, words[draw(&state) % (sizeof words / sizeof *words)]);
        buf_puts(out, draw(&state) % 9 ? " " : ", ");
    }
    buf_puts(out, answer ? "\"}],\"finish_reason\":\"stop\"}]" : "\"}]}]");
}

/* key, text; or key, NULL, number. A negative number of tenths is a double. */
static const struct {
    const char *key, *text;
    int64_t number;
} attributes[] = {
    {"gen_ai.operation.name", "chat", 0},
    {"gen_ai.provider.name", "openai", 0},
    {"gen_ai.request.model", "gpt-4o", 0},
    {"gen_ai.response.model", "gpt-4o-2024-08-06", 0},
    {"gen_ai.response.id", "chatcmpl-9J3uIL87gldCFtiIbyaOvTeYBRA3l", 0},
    {"gen_ai.request.max_tokens", NULL, 800},
    {"gen_ai.request.temperature", NULL, -7},
    {"gen_ai.usage.input_tokens", NULL, 159},
    {"gen_ai.usage.output_tokens", NULL, 237},
    {"gen_ai.usage.cache_read.input_tokens", NULL, 128},
    {"gen_ai.conversation.id", "thread-0000017", 0},
    {"user.id", "user-000003", 0},
    {"server.address", "api.openai.com", 0},
    {"server.port", NULL, 443},
    {"http.response.status_code", NULL, 200},
    {"shop.locale", "de-CH", 0},
    {"gen_ai.input.messages", "", 400},
    {"gen_ai.output.messages", "", 250}, /* drawn */
};
enum { ATTRIBUTES = sizeof attributes / sizeof *attributes };
static const char *const resource[][2] = {{"service.name", "ai-storefront"},
                                          {"service.version", "1.0.0"},
                                          {"deployment.environment", "production"},
                                          {"host.name", "web-1"}};
static const uint64_t START_NS = UINT64_C(1795460391722000000);

static void put_attr(struct buf *out, uint32_t field, const char *key, const char *text, int64_t number) {
    size_t attr = pb_begin(out, field);
    pb_put_bytes(out, 1, slice_of(key));
    size_t any = pb_begin(out, 2);
    if (text)
        pb_put_bytes(out, 1, slice_of(text));
    else if (number < 0)
        pb_put_double(out, 4, (double)-number / 10);
    else
        pb_put_tag(out, 3, PB_VARINT), pb_put_varint(out, (uint64_t)number);
    pb_end(out, any);
    pb_end(out, attr);
}

/* The text of an attribute of span i, or NULL when it is a number. */
static const char *text_of(int a, int i) {
    static struct buf drawn;
    if (!attributes[a].text || *attributes[a].text) return attributes[a].text;
    buf_clear(&drawn);
    talk(&drawn, i, a == ATTRIBUTES - 1, (size_t)attributes[a].number);
    return buf_cstr(&drawn);
}

static void ids(int i, uint8_t *trace, uint8_t *span) {
    char text[32];
    snprintf(text, sizeof text, "%d", i / 5);
    id_from_text(slice_of(text), trace, TRACE_ID_SIZE);
    snprintf(text, sizeof text, "span %d", i);
    id_from_text(slice_of(text), span, SPAN_ID_SIZE);
}

static void put_span(struct buf *out, int i) {
    uint8_t trace[TRACE_ID_SIZE], id[SPAN_ID_SIZE];
    size_t span = pb_begin(out, 2);
    ids(i, trace, id);
    pb_put_bytes(out, 1, slice_make(trace, sizeof trace));
    pb_put_bytes(out, 2, slice_make(id, sizeof id));
    pb_put_bytes(out, 4, slice_make(id, sizeof id));
    pb_put_bytes(out, 5, SLICE("chat gpt-4o"));
    pb_put_uint(out, 6, 3);
    pb_put_fixed64(out, 7, START_NS + (uint64_t)i * 1000);
    pb_put_fixed64(out, 8, START_NS + (uint64_t)i * 1000 + 812345678);
    for (int a = 0; a < ATTRIBUTES; a++) put_attr(out, 9, attributes[a].key, text_of(a, i), attributes[a].number);
    for (uint64_t e = 0; e < 2; e++) {
        size_t event = pb_begin(out, 11);
        pb_put_fixed64(out, 1, START_NS + e * 230000000);
        pb_put_bytes(out, 2, e ? SLICE("gen_ai.first_token") : SLICE("retry"));
        put_attr(out, 3, "attempt", NULL, (int64_t)e);
        pb_end(out, event);
    }
    size_t status = pb_begin(out, 15);
    pb_put_uint(out, 3, 1);
    pb_end(out, status);
    pb_end(out, span);
}

void data_protobuf(struct buf *out) {
    size_t around = pb_begin(out, 1), part = pb_begin(out, 1);
    for (size_t i = 0; i < sizeof resource / sizeof *resource; i++) put_attr(out, 1, resource[i][0], resource[i][1], 0);
    pb_end(out, part);
    part = pb_begin(out, 2);
    size_t scope = pb_begin(out, 1);
    pb_put_bytes(out, 1, SLICE("opentelemetry.instrumentation.openai"));
    pb_end(out, scope);
    for (int i = 0; i < SPANS; i++) put_span(out, i);
    pb_end(out, part);
    pb_end(out, around);
}

static void put_json_attr(struct json_writer *w, const char *key, const char *text, int64_t number) {
    char digits[32];
    json_open(w, '{');
    json_put_key(w, "key"), json_put_cstr(w, key);
    json_put_key(w, "value");
    json_open(w, '{');
    snprintf(digits, sizeof digits, "%lld", (long long)number);
    if (text)
        json_put_key(w, "stringValue"), json_put_cstr(w, text);
    else if (number < 0)
        json_put_key(w, "doubleValue"), json_put_double(w, (double)-number / 10);
    else
        json_put_key(w, "intValue"), json_put_cstr(w, digits);
    json_close(w, '}');
    json_close(w, '}');
}

static void put_json_id(struct json_writer *w, const char *key, const uint8_t *id, size_t size) {
    char hex[2 * TRACE_ID_SIZE];
    hex_encode(id, size, hex);
    json_put_key(w, key), json_put_string(w, slice_make(hex, 2 * size));
}

static void put_json_time(struct json_writer *w, const char *key, uint64_t ns) {
    char digits[32];
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)ns);
    json_put_key(w, key), json_put_cstr(w, digits);
}

static void put_json_span(struct json_writer *w, int i) {
    uint8_t trace[TRACE_ID_SIZE], id[SPAN_ID_SIZE];
    ids(i, trace, id);
    json_open(w, '{');
    put_json_id(w, "traceId", trace, sizeof trace);
    put_json_id(w, "spanId", id, sizeof id);
    put_json_id(w, "parentSpanId", id, sizeof id);
    json_put_key(w, "name"), json_put_cstr(w, "chat gpt-4o");
    json_put_key(w, "kind"), json_put_int(w, 3);
    put_json_time(w, "startTimeUnixNano", START_NS + (uint64_t)i * 1000);
    put_json_time(w, "endTimeUnixNano", START_NS + (uint64_t)i * 1000 + 812345678);
    json_put_key(w, "attributes");
    json_open(w, '[');
    for (int a = 0; a < ATTRIBUTES; a++) put_json_attr(w, attributes[a].key, text_of(a, i), attributes[a].number);
    json_close(w, ']');
    json_put_key(w, "events");
    json_open(w, '[');
    for (uint64_t e = 0; e < 2; e++) {
        json_open(w, '{');
        put_json_time(w, "timeUnixNano", START_NS + e * 230000000);
        json_put_key(w, "name"), json_put_cstr(w, e ? "gen_ai.first_token" : "retry");
        json_put_key(w, "attributes");
        json_open(w, '[');
        put_json_attr(w, "attempt", NULL, (int64_t)e);
        json_close(w, ']');
        json_close(w, '}');
    }
    json_close(w, ']');
    json_put_key(w, "status");
    json_open(w, '{');
    json_put_key(w, "code"), json_put_int(w, 1);
    json_close(w, '}');
    json_close(w, '}');
}

void data_json(struct buf *out) {
    struct json_writer w = json_writer_on(out);
    json_open(&w, '{'), json_put_key(&w, "resourceSpans"), json_open(&w, '['), json_open(&w, '{');
    json_put_key(&w, "resource"), json_open(&w, '{'), json_put_key(&w, "attributes"), json_open(&w, '[');
    for (size_t i = 0; i < sizeof resource / sizeof *resource; i++)
        put_json_attr(&w, resource[i][0], resource[i][1], 0);
    json_close(&w, ']'), json_close(&w, '}');
    json_put_key(&w, "scopeSpans"), json_open(&w, '['), json_open(&w, '{');
    json_put_key(&w, "scope"), json_open(&w, '{'), json_put_key(&w, "name"),
        json_put_cstr(&w, "opentelemetry.instrumentation.openai"), json_close(&w, '}');
    json_put_key(&w, "spans"), json_open(&w, '[');
    for (int i = 0; i < SPANS; i++) put_json_span(&w, i);
    json_close(&w, ']');
    json_close(&w, '}'), json_close(&w, ']'), json_close(&w, '}'), json_close(&w, ']'), json_close(&w, '}');
}

#define MESSAGE                                                                                                        \
    "[{\\\"role\\\":\\\"user\\\",\\\"content\\\":\\\"Which jacket fits rainy weather in the mountains, if I walk six " \
    "hours a day?\\\"}]"
const struct dialect_sample dialect_samples[] = {
    {"OpenTelemetry GenAI", "chat gpt-4o",
     "{\"gen_ai.operation.name\":\"chat\",\"gen_ai.provider.name\":\"openai\",\"gen_ai.request.model\":\"gpt-4o\","
     "\"gen_ai.response.model\":\"gpt-4o-2024-08-06\",\"gen_ai.request.temperature\":0.7,"
     "\"gen_ai.usage.input_tokens\":159,\"gen_ai.usage.output_tokens\":237,\"gen_ai.usage.cache_read.input_tokens\":"
     "128,\"gen_ai.response.finish_reasons\":[\"stop\"],\"gen_ai.conversation.id\":\"t1\",\"user.id\":\"u1\","
     "\"gen_ai.input.messages\":\"" MESSAGE "\",\"gen_ai.output.messages\":\"" MESSAGE
     "\",\"server.address\":\"api.openai.com\"}"},
    {"OpenInference", "ChatCompletion",
     "{\"openinference.span.kind\":\"LLM\",\"llm.system\":\"openai\",\"llm.model_name\":\"gpt-4o\",\"llm.token_count."
     "prompt\":159,\"llm.token_count.completion\":237,\"llm.token_count.total\":396,"
     "\"llm.invocation_parameters\":\"{\\\"temperature\\\":0.7}\",\"llm.input_messages.0.message.role\":\"system\","
     "\"llm.input_messages.0.message.content\":\"You sell jackets\","
     "\"llm.input_messages.1.message.role\":\"user\",\"llm.input_messages.1.message.content\":\"Which jacket fits "
     "rainy weather?\",\"llm.output_messages.0.message.role\":\"assistant\","
     "\"llm.output_messages.0.message.content\":\"The Alpine Shell\",\"session.id\":\"t1\",\"user.id\":\"u1\"}"},
    {"OpenLLMetry", "openai.chat",
     "{\"gen_ai.system\":\"OpenAI\",\"llm.request.type\":\"chat\",\"gen_ai.request.model\":\"gpt-4o\",\"gen_ai.prompt."
     "0.role\":\"user\",\"gen_ai.prompt.0.content\":\"Which jacket fits rainy weather?\","
     "\"gen_ai.completion.0.role\":\"assistant\",\"gen_ai.completion.0.content\":\"The Alpine "
     "Shell\",\"gen_ai.completion.0.finish_reason\":\"stop\",\"llm.usage.total_tokens\":396,"
     "\"gen_ai.usage.prompt_tokens\":159,\"gen_ai.usage.completion_tokens\":237,\"traceloop.association.properties."
     "user_id\":\"u1\",\"traceloop.association.properties.chat_id\":\"t1\"}"},
    {"Vercel AI SDK", "ai.streamText.doStream",
     "{\"ai.operationId\":\"ai.streamText.doStream\",\"ai.model.provider\":\"openai.chat\",\"ai.model.id\":\"gpt-4o\","
     "\"ai.settings.temperature\":0.7,\"ai.usage.inputTokens\":159,\"ai.usage.outputTokens\":237,"
     "\"ai.response.finishReason\":\"stop\",\"ai.response.msToFirstChunk\":312.5,\"ai.telemetry.metadata.userId\":"
     "\"u1\",\"ai.response.text\":\"The Alpine Shell\",\"ai.prompt.messages\":\"" MESSAGE "\"}"},
    {"Langfuse", "generation",
     "{\"langfuse.observation.type\":\"generation\",\"langfuse.observation.model.name\":\"gpt-4o\",\"langfuse."
     "observation.usage_details\":\"{\\\"input\\\":159,\\\"output\\\":237}\","
     "\"langfuse.observation.model.parameters\":\"{\\\"temperature\\\":0.7}\",\"langfuse.observation.input\":\"" MESSAGE
     "\",\"langfuse.observation.output\":\"The Alpine "
     "Shell\",\"langfuse.user.id\":\"u1\",\"langfuse.session.id\":\"t1\"}"},
    {"storefront log line", "openai.chat.completions.create",
     "{\"service.name\":\"ai-storefront\",\"service.version\":\"1.0.0\",\"llm.vendor\":\"openai\",\"llm.request."
     "model\":\"gpt-4o\",\"llm.request.temperature\":0.7,\"llm.request.max_tokens\":0,"
     "\"llm.usage.prompt_tokens\":159,\"llm.usage.completion_tokens\":237,\"llm.usage.total_tokens\":396,\"user.id\":"
     "\"u1\",\"thread.id\":\"t1\",\"prompt.length\":40,\"response.length\":0,\"response.finish_reason\":\"stop\"}"},
};
const int dialect_sample_count = sizeof dialect_samples / sizeof *dialect_samples;
