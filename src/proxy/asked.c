/* The body of a request: one table of names serves all the APIs, since they agree where they share one. */
#include "proxy/said.h"

#include "ingest/raw_build.h"

struct slice json_raw(struct json_reader *r) {
    struct slice raw = {NULL, 0};
    if (!json_skip(r, &raw) || slice_is(raw, "null")) return (struct slice){NULL, 0};
    return raw;
}

bool object_enter(struct json_reader *r) {
    if (json_peek(r) == JSON_OBJECT) return json_object(r);
    json_skip(r, NULL);
    return false;
}

struct slice json_text(struct json_reader *r) {
    struct slice text = {NULL, 0};
    if (json_peek(r) != JSON_STRING) return json_raw(r);
    return json_string(r, &text) ? text : (struct slice){NULL, 0};
}

static const struct {
    const char *key, *attribute;
} parameters[] = {
    {"temperature", "gen_ai.request.temperature"},
    {"top_p", "gen_ai.request.top_p"},
    {"top_k", "gen_ai.request.top_k"},
    {"max_tokens", "gen_ai.request.max_tokens"},
    {"max_completion_tokens", "gen_ai.request.max_tokens"},
    {"max_output_tokens", "gen_ai.request.max_tokens"},
    {"frequency_penalty", "gen_ai.request.frequency_penalty"},
    {"presence_penalty", "gen_ai.request.presence_penalty"},
    {"seed", "gen_ai.request.seed"},
    {"n", "gen_ai.request.choice.count"},
    {"stop", "gen_ai.request.stop_sequences"},
    {"stop_sequences", "gen_ai.request.stop_sequences"},
    {"reasoning_effort", "gen_ai.request.reasoning_effort"},
    {"service_tier", "openai.request.service_tier"},
    {"dimensions", "gen_ai.embeddings.dimension.count"},
    {"tools", "gen_ai.tool.definitions"},
    {"topP", "gen_ai.request.top_p"},
    {"topK", "gen_ai.request.top_k"},
    {"maxOutputTokens", "gen_ai.request.max_tokens"},
    {"frequencyPenalty", "gen_ai.request.frequency_penalty"},
    {"presencePenalty", "gen_ai.request.presence_penalty"},
    {"candidateCount", "gen_ai.request.choice.count"},
    {"stopSequences", "gen_ai.request.stop_sequences"},
    {"outputDimensionality", "gen_ai.embeddings.dimension.count"},
};

static bool read_parameter(struct asked *asked, struct slice key, struct json_reader *r) {
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        if (!slice_is(key, parameters[i].key)) continue;
        struct attr attr = {.key = slice_of(parameters[i].attribute)};
        if (value_read_json(r, &attr.value) && attr.value.type != VALUE_NONE &&
            asked->parameter_count < ASKED_PARAMETERS_MAX)
            asked->parameters[asked->parameter_count++] = attr;
        return true;
    }
    return false;
}

/* Who and in which conversation, as far as the metadata of a request says it: {"user_id","thread_id",…}. */
static void read_metadata(struct asked *asked, struct json_reader *r) {
    static const char *const users[] = {"user_id", "userId", "user"}, *const threads[] = {"thread_id", "threadId",
                                                                                          "session_id", "sessionId",
                                                                                          "conversation_id"};
    struct slice key;
    if (!object_enter(r)) return;
    while (json_key(r, &key)) {
        struct slice text = json_text(r);
        for (size_t i = 0; i < sizeof users / sizeof *users; i++)
            if (slice_is(key, users[i]) && text.len && !asked->user.len) asked->user = text;
        for (size_t i = 0; i < sizeof threads / sizeof *threads; i++)
            if (slice_is(key, threads[i]) && text.len) asked->thread = text;
    }
}

/* Responses API: the conversation's id, or {"id"}. */
static void read_conversation(struct asked *asked, struct json_reader *r) {
    struct slice key;
    if (json_peek(r) != JSON_OBJECT) {
        struct slice id = json_text(r);
        if (id.len && !asked->thread.len) asked->thread = id;
        return;
    }
    json_object(r);
    while (json_key(r, &key))
        if (slice_is(key, "id"))
            asked->thread = json_text(r);
        else
            json_skip(r, NULL);
}

/* Gemini puts the parameters into an object of their own. */
static void read_config(struct asked *asked, struct json_reader *r) {
    struct slice key;
    if (!object_enter(r)) return;
    while (json_key(r, &key))
        if (!read_parameter(asked, key, r)) json_skip(r, NULL);
}

/* {"parts":[…]}: the parts. */
static struct slice read_parts(struct json_reader *r) {
    struct slice key, parts = {NULL, 0};
    if (json_peek(r) != JSON_OBJECT) return json_raw(r);
    json_object(r);
    while (json_key(r, &key))
        if (slice_is(key, "parts"))
            parts = json_raw(r);
        else
            json_skip(r, NULL);
    return parts;
}

static const char *const prompts[] = {
    [API_NONE] = "input",       [API_CHAT] = "messages",     [API_COMPLETIONS] = "prompt", [API_RESPONSES] = "input",
    [API_EMBEDDINGS] = "input", [API_MESSAGES] = "messages", [API_GENERATE] = "contents",  [API_EMBED] = "content"};

void asked_read(struct asked *asked, enum seen_api api, struct slice body, struct arena *arena) {
    const char *prompt = prompts[api];
    bool gemini = api == API_GENERATE || api == API_EMBED;
    const char *system = api == API_MESSAGES ? "system" : api == API_RESPONSES ? "instructions" : NULL;
    struct json_reader r;
    struct slice key, user = {NULL, 0};
    *asked = (struct asked){0};
    json_reader_init(&r, body, arena);
    if (json_peek(&r) != JSON_OBJECT || !json_object(&r)) return;
    while (json_key(&r, &key)) {
        if (slice_is(key, "model"))
            asked->model = json_text(&r);
        else if (slice_is(key, prompt) || (api == API_EMBED && slice_is(key, "requests")))
            asked->prompt = json_raw(&r);
        else if (system && slice_is(key, system))
            asked->system = json_raw(&r);
        else if (gemini && (slice_is(key, "systemInstruction") || slice_is(key, "system_instruction")))
            asked->system = read_parts(&r);
        else if (gemini && (slice_is(key, "generationConfig") || slice_is(key, "generation_config")))
            read_config(asked, &r);
        else if (slice_is(key, "stream"))
            asked->stream = slice_is(json_raw(&r), "true");
        else if (slice_is(key, "user") || slice_is(key, "safety_identifier"))
            user = json_text(&r);
        else if (slice_is(key, "metadata"))
            read_metadata(asked, &r);
        else if (slice_is(key, "conversation"))
            read_conversation(asked, &r);
        else if (!read_parameter(asked, key, &r))
            json_skip(&r, NULL);
    }
    if (user.len) asked->user = user;
}
