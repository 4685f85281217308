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
     KIND_LLM,
     "openai",
     "gpt-4o",
     "stop",
     "u1",
     "c1",
     120,
     40,
     100,
     NONE,
     10,
     250,
     0.2,
     -1,
     "[{\"role\":\"system\",\"content\":\"Be kind\"},{\"role\":\"user\",\"content\":\"Hi\"}]",
     "[{\"role\":\"assistant\",\"content\":\"Hello\",\"tool_calls\":[{\"id\":\"t1\",\"type\":\"function\",\"function\":"
     "{\"name\":\"stock\",\"arguments\":\"{\\\"sku\\\":7}\"}}],\"finish_reason\":\"stop\"}]",
     "server.address",
     "gen_ai.input.messages"},

    {"OpenTelemetry GenAI, Anthropic counts additively",
     "chat claude-sonnet-4-5",
     "{\"gen_ai.operation.name\":\"chat\",\"gen_ai.provider.name\":\"anthropic\",\"gen_ai.request.model\":\"claude-"
     "sonnet-4-5\",\"gen_ai.usage.input_tokens\":12,"
     "\"gen_ai.usage.output_tokens\":30,\"gen_ai.usage.cache_read.input_tokens\":1000,\"gen_ai.usage.cache_creation."
     "input_tokens\":200}",
     KIND_LLM,
     "anthropic",
     "claude-sonnet-4-5",
     NULL,
     NULL,
     NULL,
     1212,
     30,
     1000,
     200,
     NONE,
     NONE,
     -1,
     -1,
     NULL,
     NULL,
     NULL,
     NULL},

    {"OpenTelemetry GenAI, Azure by its old name",
     "chat gpt-4o",
     "{\"gen_ai.system\":\"az.ai.openai\",\"gen_ai.request.model\":\"gpt-4o\",\"gen_ai.usage.prompt_tokens\":5,\"gen_"
     "ai.usage.completion_tokens\":0}",
     KIND_LLM,
     "azure",
     "gpt-4o",
     NULL,
     NULL,
     NULL,
     5,
     0,
     NONE,
     NONE,
     NONE,
     NONE,
     -1,
     -1,
     NULL,
     NULL,
     NULL,
     NULL},

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
     KIND_LLM,
     "openai",
     "gpt-4o-mini",
     "tool_calls",
     "u2",
     "s1",
     90,
     20,
     64,
     NONE,
     0,
     NONE,
     0.7,
     0.0042,
     "[{\"role\":\"system\",\"content\":\"You sell\"},{\"role\":\"user\",\"content\":\"Shoes?\"}]",
     "[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c9\",\"type\":\"function\",\"function\":{\"name\":\"find\","
     "\"arguments\":\"{}\"}}]}]",
     "input.value",
     "llm.input_messages.0.message.content"},

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
     KIND_LLM,
     "openai",
     "gpt-4o",
     "stop",
     "u3",
     "t3",
     10,
     20,
     0,
     NONE,
     NONE,
     1500,
     -1,
     -1,
     "[{\"role\":\"user\",\"content\":\"Tell a joke\"}]",
     "[{\"role\":\"assistant\",\"content\":\"No\",\"finish_reason\":\"stop\"}]",
     "llm.usage.total_tokens",
     "gen_ai.completion.0.content"},

    {"OpenLLMetry, Anthropic already summed",
     "anthropic.chat",
     "{\"gen_ai.system\":\"Anthropic\",\"llm.request.type\":\"chat\",\"gen_ai.request.model\":\"claude-3-5-haiku\","
     "\"llm.usage.total_tokens\":1130,"
     "\"gen_ai.usage.input_tokens\":1100,\"gen_ai.usage.output_tokens\":30,\"gen_ai.usage.cache_read_input_tokens\":"
     "1000}",
     KIND_LLM,
     "anthropic",
     "claude-3-5-haiku",
     NULL,
     NULL,
     NULL,
     1100,
     30,
     1000,
     NONE,
     NONE,
     NONE,
     -1,
     -1,
     NULL,
     NULL,
     NULL,
     NULL},

    {"Vercel AI SDK 4",
     "ai.streamText.doStream",
     "{\"operation.name\":\"ai.streamText.doStream\",\"ai.operationId\":\"ai.streamText.doStream\",\"ai.model."
     "provider\":\"openai.chat\",\"ai.model.id\":\"gpt-4o\","
     "\"ai.settings.temperature\":0,\"ai.usage.promptTokens\":11,\"ai.usage.completionTokens\":7,\"ai.response."
     "finishReason\":\"stop\",\"ai.response.msToFirstChunk\":312.5,"
     "\"ai.telemetry.metadata.userId\":\"u4\",\"ai.telemetry.metadata.sessionId\":\"s4\",\"ai.response.text\":\"Sure\","
     "\"ai.prompt.messages\":\"[{\\\"role\\\":\\\"user\\\",\\\"content\\\":[{\\\"type\\\":\\\"text\\\",\\\"text\\\":"
     "\\\"Help\\\"}]}]\",\"gen_ai.system\":\"openai.chat\"}",
     KIND_LLM,
     "openai",
     "gpt-4o",
     "stop",
     "u4",
     "s4",
     11,
     7,
     NONE,
     NONE,
     NONE,
     312,
     0,
     -1,
     "[{\"role\":\"user\",\"content\":\"Help\"}]",
     "Sure",
     "ai.operationId",
     "ai.response.text"},

    {"Vercel AI SDK 5, Anthropic",
     "ai.generateText.doGenerate",
     "{\"ai.operationId\":\"ai.generateText.doGenerate\",\"ai.model.provider\":\"anthropic.messages\",\"ai.model.id\":"
     "\"claude-sonnet-4-5\",\"ai.usage.inputTokens\":50,"
     "\"ai.usage.outputTokens\":7,\"ai.usage.totalTokens\":57,\"ai.usage.cachedInputTokens\":20,\"ai.response."
     "toolCalls\":\"[{\\\"toolCallId\\\":\\\"x\\\",\\\"toolName\\\":\\\"find\\\",\\\"input\\\":{\\\"q\\\":1}}]\"}",
     KIND_LLM,
     "anthropic",
     "claude-sonnet-4-5",
     NULL,
     NULL,
     NULL,
     70,
     7,
     20,
     NONE,
     NONE,
     NONE,
     -1,
     -1,
     NULL,
     "[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"x\",\"type\":\"function\",\"function\":{\"name\":\"find\","
     "\"arguments\":\"{\\\"q\\\":1}\"}}]}]",
     NULL,
     "ai.response.toolCalls"},

    {"Vercel AI SDK 6, Anthropic",
     "ai.generateText.doGenerate",
     "{\"ai.operationId\":\"ai.generateText.doGenerate\",\"ai.model.provider\":\"anthropic.messages\",\"ai.model.id\":"
     "\"claude-sonnet-4-5\",\"ai.usage.inputTokens\":70,"
     "\"ai.usage.inputTokenDetails.noCacheTokens\":50,\"ai.usage.inputTokenDetails.cacheReadTokens\":20,\"ai.usage."
     "outputTokens\":7,\"ai.usage.totalTokens\":77}",
     KIND_LLM,
     "anthropic",
     "claude-sonnet-4-5",
     NULL,
     NULL,
     NULL,
     70,
     7,
     20,
     NONE,
     NONE,
     NONE,
     -1,
     -1,
     NULL,
     NULL,
     NULL,
     NULL},

    {"Vercel wrapper",
     "ai.generateText",
     "{\"ai.operationId\":\"ai.generateText\",\"ai.model.provider\":\"openai.responses\",\"ai.model.id\":\"gpt-4o\","
     "\"ai.prompt\":\"{\\\"system\\\":\\\"Be brief\\\",\\\"prompt\\\":\\\"Hey\\\"}\"}",
     KIND_CHAIN,
     "openai",
     "gpt-4o",
     NULL,
     NULL,
     NULL,
     NONE,
     NONE,
     NONE,
     NONE,
     NONE,
     NONE,
     -1,
     -1,
     "[{\"role\":\"system\",\"content\":\"Be brief\"},{\"role\":\"user\",\"content\":\"Hey\"}]",
     NULL,
     NULL,
     "ai.prompt"},

    {"Vercel tool",
     "ai.toolCall",
     "{\"ai.operationId\":\"ai.toolCall\",\"ai.toolCall.name\":\"stock\",\"ai.toolCall.args\":\"{\\\"sku\\\":1}\",\"ai."
     "toolCall.result\":\"3\"}",
     KIND_TOOL,
     NULL,
     NULL,
     NULL,
     NULL,
     NULL,
     NONE,
     NONE,
     NONE,
     NONE,
     NONE,
     NONE,
     -1,
     -1,
     "{\"sku\":1}",
     "3",
     "ai.toolCall.name",
     "ai.toolCall.args"},

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
     KIND_LLM,
     NULL,
     "gpt-4o",
     NULL,
     "u5",
     "s5",
     100,
     60,
     20,
     NONE,
     10,
     100,
     0.5,
     0.003,
     "[{\"role\":\"user\",\"content\":\"Q\"}]",
     "A",
     NULL,
     "langfuse.observation.output"},

    {"Langfuse span with a total that proves inclusive counting",
     "x",
     "{\"langfuse.observation.type\":\"generation\",\"langfuse.observation.usage_details\":\"{\\\"input\\\":100,"
     "\\\"input_cached_tokens\\\":20,\\\"output\\\":50,\\\"total\\\":150}\"}",
     KIND_LLM,
     NULL,
     NULL,
     NULL,
     NULL,
     NULL,
     100,
     50,
     20,
     NONE,
     NONE,
     NONE,
     -1,
     -1,
     NULL,
     NULL,
     NULL,
     NULL},

    {"Vertex counts thoughts beside the answer",
     "chat gemini-2.5-pro",
     "{\"gen_ai.operation.name\":\"generate_content\",\"gen_ai.system\":\"gcp.vertex_ai\",\"gen_ai.request.model\":"
     "\"gemini-2.5-pro\",\"gen_ai.usage.input_tokens\":10,"
     "\"gen_ai.usage.output_tokens\":20,\"gen_ai.usage.reasoning.output_tokens\":15}",
     KIND_LLM,
     "vertex",
     "gemini-2.5-pro",
     NULL,
     NULL,
     NULL,
     10,
     35,
     NONE,
     NONE,
     15,
     NONE,
     -1,
     -1,
     NULL,
     NULL,
     NULL,
     NULL},

    {"retriever",
     "search",
     "{\"openinference.span.kind\":\"RETRIEVER\",\"input.value\":\"boots\"}",
     KIND_RETRIEVAL,
     NULL,
     NULL,
     NULL,
     NULL,
     NULL,
     NONE,
     NONE,
     NONE,
     NONE,
     NONE,
     NONE,
     -1,
     -1,
     "boots",
     NULL,
     NULL,
     "input.value"},
    {"agent",
     "invoke_agent shop",
     "{\"gen_ai.operation.name\":\"invoke_agent\",\"gen_ai.usage.input_tokens\":9}",
     KIND_AGENT,
     NULL,
     NULL,
     NULL,
     NULL,
     NULL,
     9,
     NONE,
     NONE,
     NONE,
     NONE,
     NONE,
     -1,
     -1,
     NULL,
     NULL,
     NULL,
     NULL},
    {"embedding",
     "embeddings m",
     "{\"gen_ai.operation.name\":\"embeddings\",\"llm.usage.total_tokens\":9}",
     KIND_EMBEDDING,
     NULL,
     NULL,
     NULL,
     NULL,
     NULL,
     9,
     NONE,
     NONE,
     NONE,
     NONE,
     NONE,
     -1,
     -1,
     NULL,
     NULL,
     NULL,
     NULL},
    {"the runtime's thread is no conversation",
     "GET /",
     "{\"thread.id\":17,\"thread.name\":\"main\"}",
     KIND_OTHER,
     NULL,
     NULL,
     NULL,
     NULL,
     NULL,
     NONE,
     NONE,
     NONE,
     NONE,
     NONE,
     NONE,
     -1,
     -1,
     NULL,
     NULL,
     "thread.id",
     NULL},
};

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
                                       cmocka_unit_test(pieces_of_a_list_come_in_any_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
