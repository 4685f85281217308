/* The dialect table, and the words that SDKs have for kinds of work and providers. */
#include "span/dialect.h"

#include <pthread.h>
#include <stdatomic.h>
#include <strings.h>

/* Where two SDKs use the same name it stands once, at the place that serves both. */
static struct dialect_name names[] = {
    {"gen_ai.provider.name", FIELD_PROVIDER, DIALECT_GENAI, 0, 0},
    {"llm.provider", FIELD_PROVIDER, DIALECT_OPENINFERENCE, 0, 0},
    {"gen_ai.system", FIELD_PROVIDER, DIALECT_GENAI, 0, 0},
    {"llm.vendor", FIELD_PROVIDER, DIALECT_STOREFRONT, 0, 0},
    {"llm.system", FIELD_PROVIDER, DIALECT_OPENINFERENCE, 0, 0},
    {"ai.model.provider", FIELD_PROVIDER, DIALECT_VERCEL, 0, 0},

    {"gen_ai.request.model", FIELD_REQUEST_MODEL, DIALECT_GENAI, 0, 0},
    {"llm.model_name", FIELD_REQUEST_MODEL, DIALECT_OPENINFERENCE, 0, 0},
    {"llm.request.model", FIELD_REQUEST_MODEL, DIALECT_STOREFRONT, 0, 0},
    {"ai.model.id", FIELD_REQUEST_MODEL, DIALECT_VERCEL, 0, 0},
    {"langfuse.observation.model.name", FIELD_REQUEST_MODEL, DIALECT_LANGFUSE, 0, 0},
    {"embedding.model_name", FIELD_REQUEST_MODEL, DIALECT_OPENINFERENCE, 0, 0},
    {"reranker.model_name", FIELD_REQUEST_MODEL, DIALECT_OPENINFERENCE, 0, 0},

    {"gen_ai.response.model", FIELD_RESPONSE_MODEL, DIALECT_GENAI, 0, 0},
    {"llm.response.model", FIELD_RESPONSE_MODEL, DIALECT_STOREFRONT, 0, 0},
    {"ai.response.model", FIELD_RESPONSE_MODEL, DIALECT_VERCEL, 0, 0},

    {"gen_ai.usage.input_tokens", FIELD_INPUT, DIALECT_GENAI, 0, 0},
    {"gen_ai.usage.prompt_tokens", FIELD_INPUT, DIALECT_GENAI, 0, 0},
    {"llm.token_count.prompt", FIELD_INPUT, DIALECT_OPENINFERENCE, 0, 0},
    {"ai.usage.inputTokens", FIELD_INPUT, DIALECT_VERCEL, 0, 0},
    {"ai.usage.promptTokens", FIELD_INPUT, DIALECT_VERCEL, 0, 0},
    {"llm.usage.prompt_tokens", FIELD_INPUT, DIALECT_STOREFRONT, 0, 0},
    {"llm.usage.input_tokens", FIELD_INPUT, DIALECT_STOREFRONT, 0, 0},
    {"ai.usage.tokens", FIELD_INPUT, DIALECT_VERCEL, 0, 0},

    {"gen_ai.usage.output_tokens", FIELD_OUTPUT, DIALECT_GENAI, 0, 0},
    {"gen_ai.usage.completion_tokens", FIELD_OUTPUT, DIALECT_GENAI, 0, 0},
    {"llm.token_count.completion", FIELD_OUTPUT, DIALECT_OPENINFERENCE, 0, 0},
    {"ai.usage.outputTokens", FIELD_OUTPUT, DIALECT_VERCEL, 0, 0},
    {"ai.usage.completionTokens", FIELD_OUTPUT, DIALECT_VERCEL, 0, 0},
    {"llm.usage.completion_tokens", FIELD_OUTPUT, DIALECT_STOREFRONT, 0, 0},
    {"llm.usage.output_tokens", FIELD_OUTPUT, DIALECT_STOREFRONT, 0, 0},

    {"gen_ai.usage.total_tokens", FIELD_TOTAL, DIALECT_OPENLLMETRY, 0, 0},
    {"llm.token_count.total", FIELD_TOTAL, DIALECT_OPENINFERENCE, 0, 0},
    {"llm.usage.total_tokens", FIELD_TOTAL, DIALECT_OPENLLMETRY, 0, 0},
    {"ai.usage.totalTokens", FIELD_TOTAL, DIALECT_VERCEL, 0, 0},

    {"gen_ai.usage.cache_read.input_tokens", FIELD_CACHED, DIALECT_GENAI, 0, 0},
    {"llm.token_count.prompt_details.cache_read", FIELD_CACHED, DIALECT_OPENINFERENCE, 0, 0},
    {"gen_ai.usage.cache_read_input_tokens", FIELD_CACHED, DIALECT_OPENLLMETRY, 0, 0},
    {"ai.usage.cachedInputTokens", FIELD_CACHED, DIALECT_VERCEL, 0, 0},
    {"ai.usage.inputTokenDetails.cacheReadTokens", FIELD_CACHED, DIALECT_VERCEL, 0, 0},
    {"llm.usage.cached_tokens", FIELD_CACHED, DIALECT_STOREFRONT, 0, 0},
    {"llm.usage.cache_read_input_tokens", FIELD_CACHED, DIALECT_OPENLLMETRY, 0, 0},
    {"gen_ai.usage.details.cache_read_tokens", FIELD_CACHED, DIALECT_GENAI, 0, 0},
    {"gen_ai.usage.cached_tokens", FIELD_CACHED, DIALECT_GENAI, 0, 0},

    {"gen_ai.usage.cache_creation.input_tokens", FIELD_CACHE_WRITE, DIALECT_GENAI, 0, 0},
    {"llm.token_count.prompt_details.cache_write", FIELD_CACHE_WRITE, DIALECT_OPENINFERENCE, 0, 0},
    {"gen_ai.usage.cache_creation_input_tokens", FIELD_CACHE_WRITE, DIALECT_OPENLLMETRY, 0, 0},
    {"gen_ai.usage.cache_write_input_tokens", FIELD_CACHE_WRITE, DIALECT_OPENLLMETRY, 0, 0},
    {"ai.usage.inputTokenDetails.cacheWriteTokens", FIELD_CACHE_WRITE, DIALECT_VERCEL, 0, 0},
    {"llm.usage.cache_write_tokens", FIELD_CACHE_WRITE, DIALECT_STOREFRONT, 0, 0},
    {"llm.usage.cache_creation_input_tokens", FIELD_CACHE_WRITE, DIALECT_OPENLLMETRY, 0, 0},
    {"gen_ai.usage.details.cache_write_tokens", FIELD_CACHE_WRITE, DIALECT_GENAI, 0, 0},

    {"gen_ai.usage.reasoning.output_tokens", FIELD_REASONING, DIALECT_GENAI, 0, 0},
    {"llm.token_count.completion_details.reasoning", FIELD_REASONING, DIALECT_OPENINFERENCE, 0, 0},
    {"gen_ai.usage.reasoning_tokens", FIELD_REASONING, DIALECT_OPENLLMETRY, 0, 0},
    {"llm.usage.reasoning_tokens", FIELD_REASONING, DIALECT_OPENLLMETRY, 0, 0},
    {"ai.usage.reasoningTokens", FIELD_REASONING, DIALECT_VERCEL, 0, 0},
    {"ai.usage.outputTokenDetails.reasoningTokens", FIELD_REASONING, DIALECT_VERCEL, 0, 0},
    {"gen_ai.usage.details.reasoning_tokens", FIELD_REASONING, DIALECT_GENAI, 0, 0},

    {"ai.usage.inputTokenDetails.noCacheTokens", FIELD_UNCACHED, DIALECT_VERCEL, 0, 0},
    {"langfuse.observation.usage_details", FIELD_USAGE, DIALECT_LANGFUSE, 0, 0},

    {"llm.cost.total", FIELD_COST, DIALECT_OPENINFERENCE, 0, 0},
    {"gen_ai.usage.cost", FIELD_COST, DIALECT_GENAI, 0, 0},
    {"llm.usage.cost_usd", FIELD_COST, DIALECT_STOREFRONT, 0, 0},
    {"operation.cost", FIELD_COST, DIALECT_GENAI, 0, 0},
    {"langfuse.observation.cost_details", FIELD_COSTS, DIALECT_LANGFUSE, 0, 0},

    {"gen_ai.request.temperature", FIELD_TEMPERATURE, DIALECT_GENAI, 0, 0},
    {"ai.settings.temperature", FIELD_TEMPERATURE, DIALECT_VERCEL, 0, 0},
    {"llm.request.temperature", FIELD_TEMPERATURE, DIALECT_STOREFRONT, 0, 0},
    {"llm.temperature", FIELD_TEMPERATURE, DIALECT_OPENLLMETRY, 0, 0},
    {"llm.invocation_parameters", FIELD_PARAMETERS, DIALECT_OPENINFERENCE, 0, 0},
    {"langfuse.observation.model.parameters", FIELD_PARAMETERS, DIALECT_LANGFUSE, 0, 0},

    {"gen_ai.response.finish_reasons", FIELD_FINISH_REASON, DIALECT_GENAI, 0, 0},
    {"llm.finish_reason", FIELD_FINISH_REASON, DIALECT_OPENINFERENCE, 0, 0},
    {"gen_ai.response.finish_reason", FIELD_FINISH_REASON, DIALECT_GENAI, 0, 0},
    {"ai.response.finishReason", FIELD_FINISH_REASON, DIALECT_VERCEL, 0, 0},
    {"response.finish_reason", FIELD_FINISH_REASON, DIALECT_STOREFRONT, 0, 0},
    {"llm.response.finish_reason", FIELD_FINISH_REASON, DIALECT_OPENLLMETRY, 0, 0},
    {"llm.response.stop_reason", FIELD_FINISH_REASON, DIALECT_OPENLLMETRY, 0, 0},

    {"gen_ai.response.time_to_first_chunk", FIELD_TTFT, DIALECT_GENAI, FORM_SECONDS, 0},
    {"gen_ai.server.time_to_first_token", FIELD_TTFT, DIALECT_GENAI, FORM_SECONDS, 0},
    {"gen_ai.client.time_to_first_chunk", FIELD_TTFT, DIALECT_GENAI, FORM_SECONDS, 0},
    {"llm.response.time_to_first_token_ms", FIELD_TTFT, DIALECT_STOREFRONT, FORM_MS, 0},
    {"ai.response.msToFirstChunk", FIELD_TTFT, DIALECT_VERCEL, FORM_MS, 0},
    {"ai.stream.msToFirstChunk", FIELD_TTFT, DIALECT_VERCEL, FORM_MS, 0},
    {"langfuse.observation.completion_start_time", FIELD_TTFT, DIALECT_LANGFUSE, FORM_TIME, 0},

    /* Message lists before bodies as they went over the wire: OpenInference sends both. */
    {"gen_ai.input.messages", FIELD_PROMPT, DIALECT_GENAI, 0, 0},
    {"llm.input_messages", FIELD_PROMPT, DIALECT_OPENINFERENCE, 0, 0}, /* here the flattened lists take their rank */
    {"gen_ai.prompt", FIELD_PROMPT, DIALECT_OPENLLMETRY, 0, 0},
    {"ai.prompt.messages", FIELD_PROMPT, DIALECT_VERCEL, 0, 0},
    {"ai.prompt", FIELD_PROMPT, DIALECT_VERCEL, 0, 0},
    {"langfuse.observation.input", FIELD_PROMPT, DIALECT_LANGFUSE, 0, 0},
    {"llm.input.messages", FIELD_PROMPT, DIALECT_STOREFRONT, 0, 0},
    {"llm.prompt", FIELD_PROMPT, DIALECT_STOREFRONT, 0, 0},
    {"input.value", FIELD_PROMPT, DIALECT_OPENINFERENCE, 0, 0},
    {"gen_ai.tool.call.arguments", FIELD_PROMPT, DIALECT_GENAI, 0, 0},
    {"ai.toolCall.args", FIELD_PROMPT, DIALECT_VERCEL, 0, 0},
    {"tool_call.function.arguments", FIELD_PROMPT, DIALECT_OPENINFERENCE, 0, 0},
    {"traceloop.entity.input", FIELD_PROMPT, DIALECT_OPENLLMETRY, 0, 0},
    {"ai.value", FIELD_PROMPT, DIALECT_VERCEL, 0, 0},
    {"ai.values", FIELD_PROMPT, DIALECT_VERCEL, 0, 0},
    {"langfuse.trace.input", FIELD_PROMPT, DIALECT_LANGFUSE, 0, 0},

    {"gen_ai.system_instructions", FIELD_SYSTEM, DIALECT_GENAI, 0, 0},

    {"gen_ai.output.messages", FIELD_COMPLETION, DIALECT_GENAI, 0, 0},
    {"llm.output_messages", FIELD_COMPLETION, DIALECT_OPENINFERENCE, 0, 0},
    {"gen_ai.completion", FIELD_COMPLETION, DIALECT_OPENLLMETRY, 0, 0},
    {"ai.response.text", FIELD_COMPLETION, DIALECT_VERCEL, 0, 0},
    {"ai.response.object", FIELD_COMPLETION, DIALECT_VERCEL, 0, 0},
    {"langfuse.observation.output", FIELD_COMPLETION, DIALECT_LANGFUSE, 0, 0},
    {"llm.output.messages", FIELD_COMPLETION, DIALECT_STOREFRONT, 0, 0},
    {"llm.response", FIELD_COMPLETION, DIALECT_STOREFRONT, 0, 0},
    {"output.value", FIELD_COMPLETION, DIALECT_OPENINFERENCE, 0, 0},
    {"gen_ai.tool.call.result", FIELD_COMPLETION, DIALECT_GENAI, 0, 0},
    {"ai.toolCall.result", FIELD_COMPLETION, DIALECT_VERCEL, 0, 0},
    {"traceloop.entity.output", FIELD_COMPLETION, DIALECT_OPENLLMETRY, 0, 0},
    {"ai.result.text", FIELD_COMPLETION, DIALECT_VERCEL, 0, 0},
    {"ai.result.object", FIELD_COMPLETION, DIALECT_VERCEL, 0, 0},
    {"langfuse.trace.output", FIELD_COMPLETION, DIALECT_LANGFUSE, 0, 0},

    {"ai.response.toolCalls", FIELD_TOOL_CALLS, DIALECT_VERCEL, 0, 0},
    {"ai.result.toolCalls", FIELD_TOOL_CALLS, DIALECT_VERCEL, 0, 0},

    {"langfuse.user.id", FIELD_USER, DIALECT_LANGFUSE, 0, 0},
    {"user.id", FIELD_USER, DIALECT_GENAI, 0, 0},
    {"enduser.id", FIELD_USER, DIALECT_GENAI, 0, 0},
    {"chat.user_id", FIELD_USER, DIALECT_STOREFRONT, 0, 0},
    {"traceloop.association.properties.user_id", FIELD_USER, DIALECT_OPENLLMETRY, 0, 0},
    {"ai.telemetry.metadata.userId", FIELD_USER, DIALECT_VERCEL, 0, 0},
    {"ai.telemetry.metadata.user_id", FIELD_USER, DIALECT_VERCEL, 0, 0},

    {"gen_ai.conversation.id", FIELD_THREAD, DIALECT_GENAI, 0, 0},
    {"thread.id", FIELD_THREAD, DIALECT_STOREFRONT, 0, 0}, /* a number is the runtime's own thread, see normalise.c */
    {"chat.thread_id", FIELD_THREAD, DIALECT_STOREFRONT, 0, 0},
    {"langfuse.session.id", FIELD_THREAD, DIALECT_LANGFUSE, 0, 0},
    {"session.id", FIELD_THREAD, DIALECT_OPENINFERENCE, 0, 0},
    {"traceloop.association.properties.session_id", FIELD_THREAD, DIALECT_OPENLLMETRY, 0, 0},
    {"traceloop.association.properties.thread_id", FIELD_THREAD, DIALECT_OPENLLMETRY, 0, 0},
    {"traceloop.association.properties.chat_id", FIELD_THREAD, DIALECT_OPENLLMETRY, 0, 0},
    {"ai.telemetry.metadata.sessionId", FIELD_THREAD, DIALECT_VERCEL, 0, 0},
    {"ai.telemetry.metadata.session_id", FIELD_THREAD, DIALECT_VERCEL, 0, 0},
    {"ai.telemetry.metadata.threadId", FIELD_THREAD, DIALECT_VERCEL, 0, 0},
    {"ai.telemetry.metadata.thread_id", FIELD_THREAD, DIALECT_VERCEL, 0, 0},

    {"chat.turn_id", FIELD_TURN, DIALECT_STOREFRONT, 0, 0},
    {"turn.id", FIELD_TURN, DIALECT_STOREFRONT, 0, 0},
    {"traceloop.association.properties.turn_id", FIELD_TURN, DIALECT_OPENLLMETRY, 0, 0},
    {"ai.telemetry.metadata.turnId", FIELD_TURN, DIALECT_VERCEL, 0, 0},

    {"vitrine.kind", FIELD_KIND, DIALECT_STOREFRONT, 0, 0},
    {"openinference.span.kind", FIELD_KIND, DIALECT_OPENINFERENCE, 0, 0},
    {"langfuse.observation.type", FIELD_KIND, DIALECT_LANGFUSE, 0, 0},
    {"ai.operationId", FIELD_KIND, DIALECT_VERCEL, 0, 0},
    {"gen_ai.operation.name", FIELD_KIND, DIALECT_GENAI, 0, 0},
    {"traceloop.span.kind", FIELD_KIND, DIALECT_OPENLLMETRY, 0, 0},
    {"llm.request.type", FIELD_KIND, DIALECT_OPENLLMETRY, 0, 0},

    {"gen_ai.tool.name", FIELD_TOOL, DIALECT_GENAI, 0, 0},
    {"tool.name", FIELD_TOOL, DIALECT_OPENINFERENCE, 0, 0},
    {"ai.toolCall.name", FIELD_TOOL, DIALECT_VERCEL, 0, 0},
    {"gen_ai.tool.call.id", FIELD_TOOL, DIALECT_GENAI, 0, 0},
    {"tool_call.function.name", FIELD_TOOL, DIALECT_OPENINFERENCE, 0, 0},
    {"tool_call.id", FIELD_TOOL, DIALECT_OPENINFERENCE, 0, 0},

    {"langfuse.observation.level", FIELD_LEVEL, DIALECT_LANGFUSE, 0, 0},
    {"langfuse.observation.status_message", FIELD_ERROR, DIALECT_LANGFUSE, 0, 0},
    {"error.message", FIELD_ERROR, DIALECT_GENAI, 0, 0},
    {"exception.message", FIELD_ERROR, DIALECT_GENAI, 0, 0},
    {"error.type", FIELD_ERROR_TYPE, DIALECT_GENAI, 0, 0},
    {"exception.type", FIELD_ERROR_TYPE, DIALECT_GENAI, 0, 0},

    {"service.name", FIELD_SERVICE, DIALECT_GENAI, 0, 0},
    {"openinference.project.name", FIELD_PROJECT, DIALECT_OPENINFERENCE, 0, 0},
    {"vitrine.sample_rate", FIELD_SAMPLE_RATE, DIALECT_STOREFRONT, 0, 0},
};

#define PREFIX(text) (text), sizeof(text) - 1
static struct dialect_list lists[] = {
    {PREFIX("llm.input_messages."), FIELD_PROMPT, 0},
    {PREFIX("gen_ai.prompt."), FIELD_PROMPT, 0},
    {PREFIX("llm.output_messages."), FIELD_COMPLETION, 0},
    {PREFIX("gen_ai.completion."), FIELD_COMPLETION, 0},
};
#undef PREFIX

enum { NAME_COUNT = sizeof names / sizeof *names, LIST_COUNT = sizeof lists / sizeof *lists, SLOTS = 1024 };

static struct {
    uint32_t tag; /* high half of the hash */
    uint16_t len;
    uint16_t name; /* 1-based, 0 = free */
} slots[SLOTS];
static pthread_once_t built = PTHREAD_ONCE_INIT;
static atomic_bool is_built; /* asked first, since it costs nothing */

static void build_words(void);

enum { WORD = 8, NAME_MIN = 4 }; /* bytes */

static inline uint64_t load_word(const char *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint64_t load_half(const char *at) {
    uint32_t half;
    memcpy(&half, at, sizeof half);
    return half;
}

/* Of the length and both ends, which tell nearly all names apart; what they do not is compared. len ≥ NAME_MIN. */
static inline uint64_t hash_name(const char *name, size_t len) {
    uint64_t first, last;
    if (len >= WORD)
        first = load_word(name), last = load_word(name + len - WORD);
    else
        first = load_half(name), last = load_half(name + len - WORD / 2);
    uint64_t hash = (first ^ len) * UINT64_C(0x9e3779b97f4a7c15) ^ last * UINT64_C(0xc2b2ae3d27d4eb4f);
    return hash ^ hash >> 29;
}

/* By words, the last of which may overlap the one before. len ≥ NAME_MIN. */
static inline bool same_name(const char *a, const char *b, size_t len) {
    if (len < WORD)
        return load_half(a) == load_half(b) && load_half(a + len - WORD / 2) == load_half(b + len - WORD / 2);
    for (size_t at = 0; at + WORD <= len; at += WORD)
        if (load_word(a + at) != load_word(b + at)) return false;
    return load_word(a + len - WORD) == load_word(b + len - WORD);
}

static void build(void) {
    uint8_t ranks[FIELD_COUNT] = {0};
    for (uint32_t i = 0; i < NAME_COUNT; i++) {
        size_t len = strlen(names[i].name);
        uint64_t hash = hash_name(names[i].name, len);
        uint32_t at = (uint32_t)hash % SLOTS;
        while (slots[at].name) at = (at + 1) % SLOTS;
        slots[at].tag = (uint32_t)(hash >> 32);
        slots[at].len = (uint16_t)len;
        slots[at].name = (uint16_t)(i + 1);
        names[i].rank = ranks[names[i].field]++;
        /* A flattened list ranks as the same name without its numbers. */
        for (int l = 0; l < LIST_COUNT; l++)
            if (strlen(lists[l].prefix) == len + 1 && memcmp(lists[l].prefix, names[i].name, len) == 0)
                lists[l].rank = names[i].rank;
    }
    build_words();
    atomic_store_explicit(&is_built, true, memory_order_release);
}

static inline void ensure_built(void) {
    if (__builtin_expect(!atomic_load_explicit(&is_built, memory_order_acquire), 0)) pthread_once(&built, build);
}

const struct dialect_name *dialect_find(struct slice key) {
    if (key.len < NAME_MIN) return NULL;
    ensure_built();
    uint64_t hash = hash_name(key.ptr, key.len);
    for (uint32_t at = (uint32_t)hash % SLOTS; slots[at].name; at = (at + 1) % SLOTS) {
        const struct dialect_name *name = &names[slots[at].name - 1];
        if (slots[at].tag == (uint32_t)(hash >> 32) && slots[at].len == key.len &&
            same_name(name->name, key.ptr, key.len))
            return name;
    }
    return NULL;
}

const struct dialect_list *dialect_list_find(struct slice key, uint32_t *index, struct slice *rest) {
    ensure_built();
    for (int l = 0; l < LIST_COUNT; l++) {
        struct slice prefix = slice_make(lists[l].prefix, lists[l].prefix_len);
        /* Every attribute of every span comes by: hardly one has a dot and a digit there. */
        if (key.len <= prefix.len || key.ptr[prefix.len - 1] != '.' || key.ptr[prefix.len] < '0' ||
            key.ptr[prefix.len] > '9' || !slice_starts(key, prefix))
            continue;
        struct slice left = slice_from(key, prefix.len);
        size_t digits = 0;
        uint32_t number = 0;
        while (digits < left.len && digits < 7 && left.ptr[digits] >= '0' && left.ptr[digits] <= '9')
            number = number * 10 + (uint32_t)(left.ptr[digits++] - '0');
        if (!digits || digits == left.len || left.ptr[digits] != '.') return NULL;
        left = slice_from(left, digits + 1);
        if (slice_starts(left, SLICE("message."))) left = slice_from(left, sizeof "message." - 1);
        *index = number;
        *rest = left;
        return left.len ? &lists[l] : NULL;
    }
    return NULL;
}

/* Wrappers of the Vercel SDK ("ai.generateText") hold the calls (".doGenerate") that they make, so they are chains.
 * "span" and "event" of Langfuse say nothing about the work and are left out. */
static struct {
    const char *word;
    enum span_kind kind;
    uint8_t len;
} kinds[] = {
    {"chat", KIND_LLM, 0},
    {"text_completion", KIND_LLM, 0},
    {"generate_content", KIND_LLM, 0},
    {"completion", KIND_LLM, 0},
    {"llm", KIND_LLM, 0},
    {"generation", KIND_LLM, 0},
    {"ai.generateText.doGenerate", KIND_LLM, 0},
    {"ai.streamText.doStream", KIND_LLM, 0},
    {"ai.generateObject.doGenerate", KIND_LLM, 0},
    {"ai.streamObject.doStream", KIND_LLM, 0},
    {"ai.generateText", KIND_CHAIN, 0},
    {"ai.streamText", KIND_CHAIN, 0},
    {"ai.generateObject", KIND_CHAIN, 0},
    {"ai.streamObject", KIND_CHAIN, 0},
    {"embeddings", KIND_EMBEDDING, 0},
    {"embedding", KIND_EMBEDDING, 0},
    {"ai.embed.doEmbed", KIND_EMBEDDING, 0},
    {"ai.embedMany.doEmbed", KIND_EMBEDDING, 0},
    {"ai.embed", KIND_CHAIN, 0},
    {"ai.embedMany", KIND_CHAIN, 0},
    {"execute_tool", KIND_TOOL, 0},
    {"tool", KIND_TOOL, 0},
    {"ai.toolCall", KIND_TOOL, 0},
    {"invoke_agent", KIND_AGENT, 0},
    {"create_agent", KIND_AGENT, 0},
    {"agent", KIND_AGENT, 0},
    {"retriever", KIND_RETRIEVAL, 0},
    {"retrieval", KIND_RETRIEVAL, 0},
    {"reranker", KIND_RETRIEVAL, 0},
    {"rerank", KIND_RETRIEVAL, 0},
    {"ai.rerank", KIND_CHAIN, 0},
    {"ai.rerank.doRerank", KIND_RETRIEVAL, 0},
    {"chain", KIND_CHAIN, 0},
    {"workflow", KIND_CHAIN, 0},
    {"invoke_workflow", KIND_CHAIN, 0},
    {"task", KIND_CHAIN, 0},
    {"step", KIND_CHAIN, 0},
    {"guardrail", KIND_CHAIN, 0},
    {"evaluator", KIND_CHAIN, 0},
    {"turn", KIND_TURN, 0},
    {"chat_turn", KIND_TURN, 0},
    {"other", KIND_OTHER, 0},
};

/* Letters of either case; the words are mostly written in small ones. */
static bool same_letters(const char *word, struct slice text) {
    return (*word | 0x20) == (*text.ptr | 0x20) && strncasecmp(word, text.ptr, text.len) == 0;
}

int dialect_kind(struct slice word) {
    ensure_built();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].len == word.len && same_letters(kinds[i].word, word)) return (int)kinds[i].kind;
    return -1;
}

static struct {
    const char *given, *provider;
    uint8_t len;
} providers[] = {
    {"openai", "openai", 0},
    {"anthropic", "anthropic", 0},
    {"az.ai.openai", "azure", 0},
    {"azure.ai.openai", "azure", 0},
    {"az.ai.inference", "azure", 0},
    {"azure.ai.inference", "azure", 0},
    {"azure-openai", "azure", 0},
    {"azure_openai", "azure", 0},
    {"azure", "azure", 0},
    {"aws.bedrock", "bedrock", 0},
    {"aws_bedrock", "bedrock", 0},
    {"amazon-bedrock", "bedrock", 0},
    {"aws", "bedrock", 0},
    {"bedrock", "bedrock", 0},
    {"gcp.gemini", "google", 0},
    {"gcp.gen_ai", "google", 0},
    {"gemini", "google", 0},
    {"google.generative-ai", "google", 0},
    {"google_genai", "google", 0},
    {"google", "google", 0},
    {"gcp.vertex_ai", "vertex", 0},
    {"google.vertex", "vertex", 0},
    {"vertex_ai", "vertex", 0},
    {"vertexai", "vertex", 0},
    {"vertex", "vertex", 0},
    {"vertex.anthropic", "anthropic", 0},
    {"mistral_ai", "mistral", 0},
    {"mistralai", "mistral", 0},
    {"mistral", "mistral", 0},
    {"x_ai", "xai", 0},
    {"xai", "xai", 0},
    {"ibm.watsonx.ai", "watsonx", 0},
    {"watsonx", "watsonx", 0},
    {"together.ai", "together", 0},
    {"togetherai", "together", 0},
    {"together_ai", "together", 0},
    {"cohere", "cohere", 0},
    {"deepseek", "deepseek", 0},
    {"groq", "groq", 0},
    {"perplexity", "perplexity", 0},
    {"ollama", "ollama", 0},
    {"openrouter", "openrouter", 0},
    {"fireworks", "fireworks", 0},
    {"fireworks_ai", "fireworks", 0},
    {"cerebras", "cerebras", 0},
};

/* What the Vercel SDK hangs on the provider to say which of its APIs was called. */
static const char *const apis[] = {".chat",        ".responses", ".messages",   ".completion",
                                   ".completions", ".embedding", ".embeddings", ".image"};

static void build_words(void) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) kinds[i].len = (uint8_t)strlen(kinds[i].word);
    for (size_t i = 0; i < sizeof providers / sizeof *providers; i++)
        providers[i].len = (uint8_t)strlen(providers[i].given);
}

struct slice dialect_provider(struct slice name) {
    ensure_built();
    /* None without a dot behind its first letter. */
    bool api = name.len > 1 && memchr(name.ptr + 1, '.', name.len - 1);
    for (size_t i = 0; api && i < sizeof apis / sizeof *apis; i++)
        if (slice_ends(name, slice_of(apis[i])) && name.len > strlen(apis[i])) {
            name.len -= strlen(apis[i]);
            break;
        }
    for (size_t i = 0; i < sizeof providers / sizeof *providers; i++)
        if (providers[i].len == name.len && same_letters(providers[i].given, name))
            return slice_of(providers[i].provider);
    return name;
}
