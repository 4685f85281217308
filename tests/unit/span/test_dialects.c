/* One real-looking span of each SDK, and what it must mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "spans.h"

#include <stdio.h>

enum { NONE = -1 };

struct dialect_case {
    const char *sdk, *name, *attributes;
    enum span_kind kind;
    const char *provider, *model, *finish_reason, *user, *thread;
    int64_t input, output, cached, cache_write, reasoning, ttft_ms;
    double temperature, cost; /* -1 = not known */
    const char *prompt, *completion;
    const char *kept, *left_out; /* attributes: a key that must be there, one that must not */
};

/* A case: the attributes; kind, provider, model, finish reason, user, thread; tokens in, out, cached, written to a
 * cache, reasoning, ms to the first; temperature, cost; prompt, completion; a key that is kept, one that is not. */
// clang-format off
static const struct dialect_case cases[] = {
    {"OpenTelemetry GenAI",
     "chat gpt-4o",
     "{\"gen_ai.operation.name\":\"chat\",\"gen_ai.provider.name\":\"openai\",\"gen_ai.request.model\":\"gpt-4o\","
     "\"gen_ai.response.model\":\"gpt-4o-2024-08-06\","
     "\"gen_ai.request.temperature\":0.2,\"gen_ai.usage.input_tokens\":120,\"gen_ai.usage.output_tokens\":40,\"gen_ai."
     "usage.cache_read.input_tokens\":100,"
     "\"gen_ai.usage.reasoning.output_tokens\":10,\"gen_ai.response.finish_reasons\":[\"stop\",\"length\"],\"gen_ai."
     "conversation.id\":\"c1\",\"user.id\":\"u1\","
     "\"gen_ai.response.time_to_first_chunk\":0.25,\"gen_ai.system_instructions\":\"[{\\\"type\\\":\\\"text\\\","
     "\\\"content\\\":\\\"Be kind\\\"}]\","
     "\"gen_ai.input.messages\":\"[{\\\"role\\\":\\\"user\\\",\\\"parts\\\":[{\\\"type\\\":\\\"text\\\","
     "\\\"content\\\":\\\"Hi\\\"}]}]\","
     "\"gen_ai.output.messages\":\"[{\\\"role\\\":\\\"assistant\\\",\\\"parts\\\":[{\\\"type\\\":\\\"text\\\","
     "\\\"content\\\":\\\"Hello\\\"},{\\\"type\\\":\\\"tool_call\\\",\\\"id\\\":\\\"t1\\\","
     "\\\"name\\\":\\\"stock\\\",\\\"arguments\\\":{\\\"sku\\\":7}}],\\\"finish_reason\\\":\\\"stop\\\"}]\",\"server."
     "address\":\"api.openai.com\"}",
     KIND_LLM, "openai", "gpt-4o", "stop", "u1", "c1", 120, 40, 100, NONE, 10, 250, 0.2, -1,
     "[{\"role\":\"system\",\"content\":\"Be kind\"},{\"role\":\"user\",\"content\":\"Hi\"}]",
     "[{\"role\":\"assistant\",\"content\":\"Hello\",\"tool_calls\":[{\"id\":\"t1\",\"type\":\"function\",\"function\":"
     "{\"name\":\"stock\",\"arguments\":\"{\\\"sku\\\":7}\"}}],\"finish_reason\":\"stop\"}]",
     "server.address", "gen_ai.input.messages"},

    {"OpenTelemetry GenAI, Anthropic counts additively",
     "chat claude-sonnet-4-5",
     "{\"gen_ai.operation.name\":\"chat\",\"gen_ai.provider.name\":\"anthropic\",\"gen_ai.request.model\":\"claude-"
     "sonnet-4-5\",\"gen_ai.usage.input_tokens\":12,"
     "\"gen_ai.usage.output_tokens\":30,\"gen_ai.usage.cache_read.input_tokens\":1000,\"gen_ai.usage.cache_creation."
     "input_tokens\":200}",
     KIND_LLM, "anthropic", "claude-sonnet-4-5", NULL, NULL, NULL, 1212, 30, 1000, 200, NONE, NONE, -1, -1, NULL,
     NULL, NULL, NULL},

    {"OpenTelemetry GenAI, Azure by its old name",
     "chat gpt-4o",
     "{\"gen_ai.system\":\"az.ai.openai\",\"gen_ai.request.model\":\"gpt-4o\",\"gen_ai.usage.prompt_tokens\":5,\"gen_"
     "ai.usage.completion_tokens\":0}",
     KIND_LLM, "azure", "gpt-4o", NULL, NULL, NULL, 5, 0, NONE, NONE, NONE, NONE, -1, -1, NULL, NULL, NULL, NULL},

    {"OpenInference",
     "ChatCompletion",
     "{\"openinference.span.kind\":\"LLM\",\"llm.system\":\"openai\",\"llm.model_name\":\"gpt-4o-mini\",\"llm.token_"
     "count.prompt\":90,\"llm.token_count.completion\":20,"
     "\"llm.token_count.total\":110,\"llm.token_count.prompt_details.cache_read\":64,\"llm.token_count.completion_"
     "details.reasoning\":0,"
     "\"llm.invocation_parameters\":\"{\\\"model\\\":\\\"gpt-4o-mini\\\",\\\"temperature\\\":0.7}\",\"llm.cost.total\":"
     "0.0042,"
     "\"input.value\":\"{\\\"messages\\\":[]}\",\"input.mime_type\":\"application/"
     "json\",\"llm.input_messages.0.message.role\":\"system\","
     "\"llm.input_messages.0.message.content\":\"You "
     "sell\",\"llm.input_messages.1.message.role\":\"user\",\"llm.input_messages.1.message.contents.0.message_content."
     "type\":\"text\","
     "\"llm.input_messages.1.message.contents.0.message_content.text\":\"Shoes?\",\"output.value\":\"{}\",\"llm.output_"
     "messages.0.message.role\":\"assistant\","
     "\"llm.output_messages.0.message.tool_calls.0.tool_call.id\":\"c9\",\"llm.output_messages.0.message.tool_calls.0."
     "tool_call.function.name\":\"find\","
     "\"llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments\":\"{}\",\"llm.finish_reason\":\"tool_"
     "calls\",\"session.id\":\"s1\",\"user.id\":\"u2\"}",
     KIND_LLM, "openai", "gpt-4o-mini", "tool_calls", "u2", "s1", 90, 20, 64, NONE, 0, NONE, 0.7, 0.0042,
     "[{\"role\":\"system\",\"content\":\"You sell\"},{\"role\":\"user\",\"content\":\"Shoes?\"}]",
     "[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c9\",\"type\":\"function\",\"function\":{\"name\":\"find\","
     "\"arguments\":\"{}\"}}]}]",
     "input.value", "llm.input_messages.0.message.content"},

    {"OpenLLMetry",
     "openai.chat",
     "{\"gen_ai.system\":\"OpenAI\",\"llm.request.type\":\"chat\",\"gen_ai.request.model\":\"gpt-4o\",\"gen_ai."
     "response.model\":\"gpt-4o-2024-08-06\",\"gen_ai.prompt.0.role\":\"user\","
     "\"gen_ai.prompt.0.content\":\"Tell a "
     "joke\",\"gen_ai.completion.0.role\":\"assistant\",\"gen_ai.completion.0.content\":\"No\",\"gen_ai.completion.0."
     "finish_reason\":\"stop\","
     "\"llm.usage.total_tokens\":30,\"gen_ai.usage.prompt_tokens\":10,\"gen_ai.usage.completion_tokens\":20,\"gen_ai."
     "usage.cache_read_input_tokens\":0,"
     "\"traceloop.association.properties.user_id\":\"u3\",\"traceloop.association.properties.chat_id\":\"t3\",\"gen_ai."
     "server.time_to_first_token\":1.5}",
     KIND_LLM, "openai", "gpt-4o", "stop", "u3", "t3", 10, 20, 0, NONE, NONE, 1500, -1, -1,
     "[{\"role\":\"user\",\"content\":\"Tell a joke\"}]",
     "[{\"role\":\"assistant\",\"content\":\"No\",\"finish_reason\":\"stop\"}]",
     "llm.usage.total_tokens", "gen_ai.completion.0.content"},

    {"OpenLLMetry, Anthropic already summed",
     "anthropic.chat",
     "{\"gen_ai.system\":\"Anthropic\",\"llm.request.type\":\"chat\",\"gen_ai.request.model\":\"claude-3-5-haiku\","
     "\"llm.usage.total_tokens\":1130,"
     "\"gen_ai.usage.input_tokens\":1100,\"gen_ai.usage.output_tokens\":30,\"gen_ai.usage.cache_read_input_tokens\":"
     "1000}", KIND_LLM, "anthropic", "claude-3-5-haiku", NULL, NULL, NULL, 1100, 30, 1000, NONE, NONE, NONE, -1, -1,
     NULL, NULL, NULL, NULL},

    {"Vercel AI SDK 4",
     "ai.streamText.doStream",
     "{\"operation.name\":\"ai.streamText.doStream\",\"ai.operationId\":\"ai.streamText.doStream\",\"ai.model."
     "provider\":\"openai.chat\",\"ai.model.id\":\"gpt-4o\","
     "\"ai.settings.temperature\":0,\"ai.usage.promptTokens\":11,\"ai.usage.completionTokens\":7,\"ai.response."
     "finishReason\":\"stop\",\"ai.response.msToFirstChunk\":312.5,"
     "\"ai.telemetry.metadata.userId\":\"u4\",\"ai.telemetry.metadata.sessionId\":\"s4\",\"ai.response.text\":\"Sure\","
     "\"ai.prompt.messages\":\"[{\\\"role\\\":\\\"user\\\",\\\"content\\\":[{\\\"type\\\":\\\"text\\\",\\\"text\\\":"
     "\\\"Help\\\"}]}]\",\"gen_ai.system\":\"openai.chat\"}",
     KIND_LLM, "openai", "gpt-4o", "stop", "u4", "s4", 11, 7, NONE, NONE, NONE, 312, 0, -1,
     "[{\"role\":\"user\",\"content\":\"Help\"}]",
     "Sure", "ai.operationId", "ai.response.text"},

    {"Vercel AI SDK 5, Anthropic",
     "ai.generateText.doGenerate",
     "{\"ai.operationId\":\"ai.generateText.doGenerate\",\"ai.model.provider\":\"anthropic.messages\",\"ai.model.id\":"
     "\"claude-sonnet-4-5\",\"ai.usage.inputTokens\":50,"
     "\"ai.usage.outputTokens\":7,\"ai.usage.totalTokens\":57,\"ai.usage.cachedInputTokens\":20,\"ai.response."
     "toolCalls\":\"[{\\\"toolCallId\\\":\\\"x\\\",\\\"toolName\\\":\\\"find\\\",\\\"input\\\":{\\\"q\\\":1}}]\"}",
     KIND_LLM, "anthropic", "claude-sonnet-4-5", NULL, NULL, NULL, 70, 7, 20, NONE, NONE, NONE, -1, -1, NULL,
     "[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"x\",\"type\":\"function\",\"function\":{\"name\":\"find\","
     "\"arguments\":\"{\\\"q\\\":1}\"}}]}]",
     NULL, "ai.response.toolCalls"},

    {"Vercel AI SDK 6, Anthropic",
     "ai.generateText.doGenerate",
     "{\"ai.operationId\":\"ai.generateText.doGenerate\",\"ai.model.provider\":\"anthropic.messages\",\"ai.model.id\":"
     "\"claude-sonnet-4-5\",\"ai.usage.inputTokens\":70,"
     "\"ai.usage.inputTokenDetails.noCacheTokens\":50,\"ai.usage.inputTokenDetails.cacheReadTokens\":20,\"ai.usage."
     "outputTokens\":7,\"ai.usage.totalTokens\":77}",
     KIND_LLM, "anthropic", "claude-sonnet-4-5", NULL, NULL, NULL, 70, 7, 20, NONE, NONE, NONE, -1, -1, NULL, NULL,
     NULL, NULL},

    {"Vercel wrapper",
     "ai.generateText",
     "{\"ai.operationId\":\"ai.generateText\",\"ai.model.provider\":\"openai.responses\",\"ai.model.id\":\"gpt-4o\","
     "\"ai.prompt\":\"{\\\"system\\\":\\\"Be brief\\\",\\\"prompt\\\":\\\"Hey\\\"}\"}",
     KIND_CHAIN, "openai", "gpt-4o", NULL, NULL, NULL, NONE, NONE, NONE, NONE, NONE, NONE, -1, -1,
     "[{\"role\":\"system\",\"content\":\"Be brief\"},{\"role\":\"user\",\"content\":\"Hey\"}]",
     NULL, NULL, "ai.prompt"},

    {"Vercel tool",
     "ai.toolCall",
     "{\"ai.operationId\":\"ai.toolCall\",\"ai.toolCall.name\":\"stock\",\"ai.toolCall.args\":\"{\\\"sku\\\":1}\",\"ai."
     "toolCall.result\":\"3\"}",
     KIND_TOOL, NULL, NULL, NULL, NULL, NULL, NONE, NONE, NONE, NONE, NONE, NONE, -1, -1,
     "{\"sku\":1}",
     "3", "ai.toolCall.name", "ai.toolCall.args"},

    {"Langfuse",
     "answer",
     "{\"langfuse.observation.type\":\"generation\",\"langfuse.observation.model.name\":\"gpt-4o\",\"langfuse."
     "observation.usage_details\":\"{\\\"input\\\":80,\\\"input_cached_tokens\\\":20,"
     "\\\"output\\\":50,\\\"output_reasoning_tokens\\\":10,\\\"total\\\":160}\",\"langfuse.observation.cost_details\":"
     "\"{\\\"input\\\":0.001,\\\"output\\\":0.002}\","
     "\"langfuse.observation.model.parameters\":\"{\\\"temperature\\\":\\\"0.5\\\"}\",\"langfuse.observation.input\":"
     "\"{\\\"role\\\":\\\"user\\\",\\\"content\\\":\\\"Q\\\"}\","
     "\"langfuse.observation.output\":\"A\",\"langfuse.observation.completion_start_time\":\"\\\"2025-11-23T18:59:51."
     "822Z\\\"\",\"user.id\":\"u5\",\"session.id\":\"s5\"}",
     KIND_LLM, NULL, "gpt-4o", NULL, "u5", "s5", 100, 60, 20, NONE, 10, 100, 0.5, 0.003,
     "[{\"role\":\"user\",\"content\":\"Q\"}]",
     "A", NULL, "langfuse.observation.output"},

    {"Langfuse span with a total that proves inclusive counting",
     "x",
     "{\"langfuse.observation.type\":\"generation\",\"langfuse.observation.usage_details\":\"{\\\"input\\\":100,"
     "\\\"input_cached_tokens\\\":20,\\\"output\\\":50,\\\"total\\\":150}\"}",
     KIND_LLM, NULL, NULL, NULL, NULL, NULL, 100, 50, 20, NONE, NONE, NONE, -1, -1, NULL, NULL, NULL, NULL},

    {"Vertex counts thoughts beside the answer",
     "chat gemini-2.5-pro",
     "{\"gen_ai.operation.name\":\"generate_content\",\"gen_ai.system\":\"gcp.vertex_ai\",\"gen_ai.request.model\":"
     "\"gemini-2.5-pro\",\"gen_ai.usage.input_tokens\":10,"
     "\"gen_ai.usage.output_tokens\":20,\"gen_ai.usage.reasoning.output_tokens\":15}",
     KIND_LLM, "vertex", "gemini-2.5-pro", NULL, NULL, NULL, 10, 35, NONE, NONE, 15, NONE, -1, -1, NULL, NULL, NULL,
     NULL},

    {"retriever",
     "search",
     "{\"openinference.span.kind\":\"RETRIEVER\",\"input.value\":\"boots\"}",
     KIND_RETRIEVAL, NULL, NULL, NULL, NULL, NULL, NONE, NONE, NONE, NONE, NONE, NONE, -1, -1, "boots", NULL, NULL,
     "input.value"},
    {"agent",
     "invoke_agent shop",
     "{\"gen_ai.operation.name\":\"invoke_agent\",\"gen_ai.usage.input_tokens\":9}",
     KIND_AGENT, NULL, NULL, NULL, NULL, NULL, 9, NONE, NONE, NONE, NONE, NONE, -1, -1, NULL, NULL, NULL, NULL},
    {"embedding",
     "embeddings m",
     "{\"gen_ai.operation.name\":\"embeddings\",\"llm.usage.total_tokens\":9}",
     KIND_EMBEDDING, NULL, NULL, NULL, NULL, NULL, 9, NONE, NONE, NONE, NONE, NONE, -1, -1, NULL, NULL, NULL, NULL},
    {"the runtime's thread is no conversation",
     "GET /",
     "{\"thread.id\":17,\"thread.name\":\"main\"}",
     KIND_OTHER, NULL, NULL, NULL, NULL, NULL, NONE, NONE, NONE, NONE, NONE, NONE, -1, -1, NULL, NULL, "thread.id",
     NULL},
};
// clang-format on

static void expect_text(const struct dialect_case *c, const struct span *span, enum col col, const char *expected) {
    struct slice text = span_get_text(span, col);
    if (!slice_is(text, expected ? expected : ""))
        fail_msg("%s: %s is \"%.*s\", expected \"%s\"", c->sdk, span_columns[col].name, (int)text.len,
                 text.ptr ? text.ptr : "", expected ? expected : "");
}

static void expect_int(const struct dialect_case *c, const char *what, int64_t found, int64_t expected) {
    if (expected == NONE) expected = SPAN_NO_INT;
    if (found != expected)
        fail_msg("%s: %s is %lld, expected %lld", c->sdk, what, (long long)found, (long long)expected);
}

static void expect_double(const struct dialect_case *c, const char *what, double found, double expected) {
    if (expected < 0 ? !isnan(found) : !(fabs(found - expected) < 1e-9))
        fail_msg("%s: %s is %g, expected %g", c->sdk, what, found, expected);
}

static bool has_key(struct slice json, const char *key) {
    char quoted[128];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    return json.len && memmem(json.ptr, json.len, quoted, strlen(quoted));
}

static void every_sdk_means_the_same(void **state) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct dialect_case *c = &cases[i];
        struct batch *batch = batch_new();
        struct raw_span raw = raw_of_json(&batch->arena, c->name, c->attributes);
        if (raw.attr_count == UINT32_MAX) fail_msg("%s: the test's JSON is broken", c->sdk);
        assert_int_equal(normalise(batch, &raw, 1), 0);
        const struct span *span = &batch->spans[0];
        expect_int(c, "kind", span->kind, c->kind);
        expect_text(c, span, COL_OPERATION, c->name);
        expect_text(c, span, COL_PROVIDER, c->provider);
        expect_text(c, span, COL_MODEL, c->model);
        expect_text(c, span, COL_FINISH_REASON, c->finish_reason);
        expect_text(c, span, COL_USER_ID, c->user);
        expect_text(c, span, COL_THREAD_ID, c->thread);
        expect_text(c, span, COL_PROMPT, c->prompt);
        expect_text(c, span, COL_COMPLETION, c->completion);
        expect_int(c, "input", span->tokens_input, c->input);
        expect_int(c, "output", span->tokens_output, c->output);
        expect_int(c, "cached", span->tokens_cached, c->cached);
        expect_int(c, "cache_write", span->tokens_cache_write, c->cache_write);
        expect_int(c, "reasoning", span->tokens_reasoning, c->reasoning);
        expect_int(c, "ttft", span->ttft_ns == SPAN_NO_INT ? SPAN_NO_INT : span->ttft_ns / 1000000, c->ttft_ms);
        expect_double(c, "temperature", span->temperature, c->temperature);
        if (c->cost >= 0) expect_double(c, "cost", span->cost_usd, c->cost);
        if (c->kept && !has_key(span_get_text(span, COL_ATTRIBUTES), c->kept))
            fail_msg("%s: attribute %s is lost", c->sdk, c->kept);
        if (c->left_out && has_key(span_get_text(span, COL_ATTRIBUTES), c->left_out))
            fail_msg("%s: attribute %s is kept twice", c->sdk, c->left_out);
        batch_unref(batch);
    }
}

/* The words of one SDK never hide what another, better one says, whatever stands first. */
static void better_name_wins_in_any_order(void **state) {
    static const char *const orders[] = {
        "{\"llm.usage.prompt_tokens\":1,\"gen_ai.usage.input_tokens\":2,\"ai.usage.inputTokens\":3}",
        "{\"gen_ai.usage.input_tokens\":2,\"ai.usage.inputTokens\":3,\"llm.usage.prompt_tokens\":1}"};
    for (int i = 0; i < 2; i++) {
        struct batch *batch = batch_new();
        struct raw_span raw = raw_of_json(&batch->arena, "x", orders[i]);
        assert_int_equal(normalise(batch, &raw, 1), 0);
        assert_int_equal(batch->spans[0].tokens_input, 2);
        batch_unref(batch);
    }
}

/* What each SDK calls a field, best first. */
static const struct {
    const char *sdk;
    enum col col;
    const char *names[6];
} orders[] = {
    {"GenAI", COL_PROVIDER, {"gen_ai.provider.name", "gen_ai.system"}},
    {"OpenInference", COL_PROVIDER, {"llm.provider", "llm.system"}},
    {"Vercel", COL_PROVIDER, {"ai.model.provider"}},
    {"storefront", COL_PROVIDER, {"llm.vendor", "llm.system"}},
    {"GenAI", COL_MODEL, {"gen_ai.request.model", "gen_ai.response.model"}},
    {"OpenInference", COL_MODEL, {"llm.model_name"}},
    {"Vercel", COL_MODEL, {"ai.model.id", "ai.response.model"}},
    {"Langfuse", COL_MODEL, {"langfuse.observation.model.name"}},
    {"storefront", COL_MODEL, {"llm.request.model"}},
    {"GenAI", COL_TOKENS_INPUT, {"gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"}},
    {"OpenInference", COL_TOKENS_INPUT, {"llm.token_count.prompt"}},
    {"OpenLLMetry, storefront", COL_TOKENS_INPUT, {"llm.usage.prompt_tokens"}},
    {"Vercel", COL_TOKENS_INPUT, {"ai.usage.inputTokens", "ai.usage.promptTokens"}},
    {"GenAI", COL_TOKENS_OUTPUT, {"gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"}},
    {"OpenInference", COL_TOKENS_OUTPUT, {"llm.token_count.completion"}},
    {"OpenLLMetry, storefront", COL_TOKENS_OUTPUT, {"llm.usage.completion_tokens"}},
    {"Vercel", COL_TOKENS_OUTPUT, {"ai.usage.outputTokens", "ai.usage.completionTokens"}},
    {"GenAI", COL_TOKENS_CACHED, {"gen_ai.usage.cache_read.input_tokens"}},
    {"OpenInference", COL_TOKENS_CACHED, {"llm.token_count.prompt_details.cache_read"}},
    {"OpenLLMetry", COL_TOKENS_CACHED, {"gen_ai.usage.cache_read_input_tokens"}},
    {"Vercel", COL_TOKENS_CACHED, {"ai.usage.cachedInputTokens"}},
    {"GenAI", COL_TOKENS_REASONING, {"gen_ai.usage.reasoning.output_tokens"}},
    {"OpenInference", COL_TOKENS_REASONING, {"llm.token_count.completion_details.reasoning"}},
    {"OpenLLMetry", COL_TOKENS_REASONING, {"llm.usage.reasoning_tokens"}},
    {"Vercel", COL_TOKENS_REASONING, {"ai.usage.reasoningTokens"}},
    {"OpenInference", COL_COST_USD, {"llm.cost.total"}},
    {"GenAI", COL_TEMPERATURE, {"gen_ai.request.temperature"}},
    {"Vercel", COL_TEMPERATURE, {"ai.settings.temperature"}},
    {"storefront", COL_TEMPERATURE, {"llm.request.temperature"}},
    {"GenAI", COL_FINISH_REASON, {"gen_ai.response.finish_reasons"}},
    {"OpenInference", COL_FINISH_REASON, {"llm.finish_reason"}},
    {"OpenLLMetry", COL_FINISH_REASON, {"gen_ai.completion.0.finish_reason"}},
    {"Vercel", COL_FINISH_REASON, {"ai.response.finishReason"}},
    {"storefront", COL_FINISH_REASON, {"response.finish_reason"}},
    {"GenAI", COL_PROMPT, {"gen_ai.input.messages"}},
    {"OpenInference", COL_PROMPT, {"input.value"}},
    {"Vercel", COL_PROMPT, {"ai.prompt.messages", "ai.prompt"}},
    {"Langfuse", COL_PROMPT, {"langfuse.observation.input", "langfuse.trace.input"}},
    {"storefront", COL_PROMPT, {"llm.input.messages"}},
    {"GenAI", COL_COMPLETION, {"gen_ai.output.messages"}},
    {"OpenInference", COL_COMPLETION, {"output.value"}},
    {"Vercel", COL_COMPLETION, {"ai.response.text", "ai.response.object"}},
    {"Langfuse", COL_COMPLETION, {"langfuse.observation.output"}},
    {"storefront", COL_COMPLETION, {"llm.output.messages"}},
    {"GenAI", COL_USER_ID, {"user.id", "enduser.id"}},
    {"OpenLLMetry", COL_USER_ID, {"traceloop.association.properties.user_id"}},
    {"Vercel", COL_USER_ID, {"ai.telemetry.metadata.userId"}},
    {"Langfuse", COL_USER_ID, {"langfuse.user.id", "user.id"}},
    {"storefront", COL_USER_ID, {"user.id", "chat.user_id"}},
    {"GenAI", COL_THREAD_ID, {"gen_ai.conversation.id"}},
    {"OpenInference", COL_THREAD_ID, {"session.id"}},
    {"OpenLLMetry",
     COL_THREAD_ID,
     {"traceloop.association.properties.session_id", "traceloop.association.properties.thread_id",
      "traceloop.association.properties.chat_id"}},
    {"Vercel", COL_THREAD_ID, {"ai.telemetry.metadata.sessionId", "ai.telemetry.metadata.threadId"}},
    {"Langfuse", COL_THREAD_ID, {"langfuse.session.id", "session.id"}},
    {"storefront", COL_THREAD_ID, {"thread.id", "chat.thread_id", "session.id"}},
    {"storefront", COL_TURN_ID, {"chat.turn_id"}},
};

/* A value that tells its place, of the column's type: "v3", 103, 1.03. */
static void put_value(struct json_writer *w, enum col col, int place) {
    char text[8];
    snprintf(text, sizeof text, "v%d", place);
    if (span_columns[col].type == COL_INT)
        json_put_int(w, 100 + place);
    else if (span_columns[col].type == COL_DOUBLE)
        json_put_double(w, 1 + place / 100.0);
    else
        json_put_cstr(w, text);
}

/* The place that the span's value tells. */
static int place_told(const struct span *span, enum col col) {
    struct slice text;
    switch (span_columns[col].type) {
    case COL_INT: return (int)(span_get_int(span, col) - 100);
    case COL_DOUBLE: return (int)lround((span_get_double(span, col) - 1) * 100);
    default: text = span_get_text(span, col); return text.len == 2 && *text.ptr == 'v' ? text.ptr[1] - '0' : -1;
    }
}

static void names_count_in_the_order_that_each_sdk_gives_them(void **state) {
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        enum col col = orders[i].col;
        bool count = col == COL_TOKENS_CACHED || col == COL_TOKENS_REASONING;
        for (int best = 0; best < 6 && orders[i].names[best]; best++)
            for (int backwards = 0; backwards < 2; backwards++) {
                struct buf json = {0};
                struct json_writer w = json_writer_on(&json);
                int last = best;
                while (last < 5 && orders[i].names[last + 1]) last++;
                json_open(&w, '{');
                for (int n = best; n <= last; n++) {
                    int place = backwards ? best + last - n : n;
                    json_put_key(&w, orders[i].names[place]), put_value(&w, col, place);
                }
                /* Parts of a whole that is told too, lest they be added to it. */
                if (count) json_put_key(&w, "gen_ai.usage.input_tokens"), json_put_int(&w, 1000);
                if (count) json_put_key(&w, "gen_ai.usage.output_tokens"), json_put_int(&w, 1000);
                json_close(&w, '}');
                struct batch *batch = batch_new();
                struct raw_span raw = raw_of_json(&batch->arena, "x", buf_cstr(&json));
                assert_int_equal(normalise(batch, &raw, 1), 0);
                int told = place_told(&batch->spans[0], col);
                if (told != best)
                    fail_msg("%s: %s of %s: number %d was taken", orders[i].sdk, span_columns[col].name,
                             buf_cstr(&json), told);
                batch_unref(batch);
                buf_free(&json);
            }
    }
}

static void whatever_names_a_tool_makes_one(void **state) {
    static const char *const names[] = {"gen_ai.tool.name", "gen_ai.tool.call.id",     "tool.name",
                                        "tool_call.id",     "tool_call.function.name", "ai.toolCall.name"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct batch *batch = batch_new();
        struct raw_span raw = raw_of_json(
            &batch->arena, "x",
            arena_printf(&batch->arena, "{\"%s\":\"stock\",\"tool_call.function.arguments\":\"{}\"}", names[i]).ptr);
        assert_int_equal(normalise(batch, &raw, 1), 0);
        assert_int_equal(batch->spans[0].kind, KIND_TOOL);
        assert_true(slice_is(span_get_text(&batch->spans[0], COL_PROMPT), "{}"));
        batch_unref(batch);
    }
}

static struct batch *take(const char *attributes) {
    struct batch *batch = batch_new();
    struct raw_span raw = raw_of_json(&batch->arena, "x", attributes);
    assert_int_equal(normalise(batch, &raw, 1), 0);
    return batch;
}

/* A streamed answer whose usage the SDK was never told. */
static void zeros_of_an_answer_are_no_usage(void **state) {
    static const char *const senders[] = {
        "{\"gen_ai.operation.name\":\"chat\",\"gen_ai.usage.input_tokens\":0,\"gen_ai.usage.output_tokens\":0,"
        "\"gen_ai.input.messages\":\"hello there\",\"gen_ai.output.messages\":\"and hello to you\"}",
        "{\"langfuse.observation.type\":\"generation\",\"langfuse.observation.usage_details\":\"{\\\"input\\\":0,"
        "\\\"output\\\":0}\","
        "\"langfuse.observation.input\":\"hello there\",\"langfuse.observation.output\":\"and hello to you\"}",
        "{\"ai.operationId\":\"ai.streamText.doStream\",\"ai.usage.inputTokens\":0,\"ai.usage.outputTokens\":0,"
        "\"ai.prompt\":\"hello there\",\"ai.response.text\":\"and hello to you\"}",
        "{\"openinference.span.kind\":\"LLM\",\"llm.token_count.prompt\":0,\"llm.token_count.completion\":0,"
        "\"llm.token_count.total\":0,\"input.value\":\"hello there\",\"output.value\":\"and hello to you\"}",
        "{\"llm.request.type\":\"chat\",\"traceloop.entity.input\":\"hello there\",\"traceloop.entity.output\":\"and "
        "hello to you\"}"};
    for (size_t i = 0; i < sizeof senders / sizeof *senders; i++) {
        struct batch *batch = take(senders[i]);
        const struct span *span = &batch->spans[0];
        if (!(span->flags & SPAN_USAGE_ESTIMATED) || span->tokens_input <= 0 || span->tokens_output <= 0)
            fail_msg("%s: %lld and %lld tokens", senders[i], (long long)span->tokens_input,
                     (long long)span->tokens_output);
        batch_unref(batch);
    }
    /* A cache answers for nothing and says so; a call that failed used nothing; what is cut cannot be counted. */
    struct batch *batch =
        take("{\"gen_ai.operation.name\":\"chat\",\"gen_ai.usage.input_tokens\":0,\"gen_ai.usage.output_tokens\":0,"
             "\"gen_ai.usage.cost\":0,\"gen_ai.output.messages\":\"and hello\"}");
    assert_int_equal(batch->spans[0].tokens_input, 0);
    assert_int_equal(batch->spans[0].flags & SPAN_USAGE_ESTIMATED, 0);
    batch_unref(batch);
    batch = take("{\"gen_ai.operation.name\":\"embeddings\",\"gen_ai.usage.input_tokens\":0,\"output.value\":\"x\"}");
    assert_int_equal(batch->spans[0].tokens_input, 0);
    batch_unref(batch);
}

static void pieces_of_a_list_come_in_any_order(void **state) {
    struct batch *batch = batch_new();
    struct raw_span raw = raw_of_json(&batch->arena, "x",
                                      "{\"gen_ai.prompt.10.content\":\"k\",\"gen_ai.prompt.2.content\":\"c\",\"gen_ai."
                                      "prompt.10.role\":\"user\",\"gen_ai.prompt.2.role\":\"system\","
                                      "\"gen_ai.prompt.x.role\":\"kept\"}");
    assert_int_equal(normalise(batch, &raw, 1), 0);
    assert_true(slice_is(span_get_text(&batch->spans[0], COL_PROMPT),
                         "[{\"role\":\"system\",\"content\":\"c\"},{\"role\":\"user\",\"content\":\"k\"}]"));
    assert_true(slice_is(span_get_text(&batch->spans[0], COL_ATTRIBUTES), "{\"gen_ai.prompt.x.role\":\"kept\"}"));
    batch_unref(batch);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_sdk_means_the_same),
                                       cmocka_unit_test(better_name_wins_in_any_order),
                                       cmocka_unit_test(names_count_in_the_order_that_each_sdk_gives_them),
                                       cmocka_unit_test(whatever_names_a_tool_makes_one),
                                       cmocka_unit_test(zeros_of_an_answer_are_no_usage),
                                       cmocka_unit_test(pieces_of_a_list_come_in_any_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
