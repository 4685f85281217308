/* One turn: search the catalogue, ask the model, look up stock when it asks for that, answer. */
#include "chat.h"

#include "catalogue.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vitrine.h>

enum { CALLS_MAX = 3 }; /* of the model in one turn: a model that only calls tools must come to an end */

static const char system_prompt[] = "You are the shop assistant of an outdoor store. Be brief and friendly. Recommend "
                                    "only what the catalogue below has; "
                                    "look up stock with check_stock before you promise it.";
static const char canned_answer[] =
    "I can't reach our assistant just now, sorry! Our bestsellers are the Alpine Shell (€189) and the Ridge Mid boots "
    "(€159); a colleague will write to you within the hour.";

int conversation_start(struct conversation *c, const struct llm_settings *llm, const char *user_id,
                       const char *thread_id) {
    *c = (struct conversation){.llm = llm};
    snprintf(c->user_id, sizeof c->user_id, "%s", user_id);
    snprintf(c->thread_id, sizeof c->thread_id, "%s", thread_id);
    c->messages = json_pack("[{s:s,s:s}]", "role", "system", "content", system_prompt);
    return c->messages ? 0 : -1;
}

void conversation_end(struct conversation *c) {
    json_decref(c->messages);
}

static void add_message(struct conversation *c, const char *role, const char *content) {
    json_array_append_new(c->messages, json_pack("{s:s,s:s}", "role", role, "content", content));
}

/* Puts what the catalogue has for these words behind the system's words, so that the model knows it. */
static void search_catalogue(struct conversation *c, const char *text) {
    const struct product *found[FOUND_MAX];
    char knowledge[2048];
    vt_span *span = vt_span_start("catalogue.search");
    vt_span_set_str(span, "traceloop.span.kind", "retrieval");
    vt_span_set_str(span, "search.query", text);
    size_t count = catalogue_search(text, found),
           used = (size_t)snprintf(knowledge, sizeof knowledge, "%s\nCatalogue:", system_prompt);
    for (size_t i = 0; i < count && used < sizeof knowledge; i++)
        used += (size_t)snprintf(knowledge + used, sizeof knowledge - used, "\n%s %s, EUR %.0f: %s", found[i]->sku,
                                 found[i]->name, found[i]->price_eur, found[i]->about);
    vt_span_set_int(span, "search.results", (int64_t)count);
    json_object_set_new(json_array_get(c->messages, 0), "content", json_string(knowledge));
    vt_span_end(span);
}

static char *check_stock(const char *arguments) {
    json_t *given = json_loads(arguments, 0, NULL);
    const char *sku = json_string_value(json_object_get(given, "sku")),
               *size = json_string_value(json_object_get(given, "size"));
    vt_span *span = vt_span_start("execute_tool check_stock");
    vt_span_set_str(span, "gen_ai.operation.name", "execute_tool");
    vt_span_set_str(span, "gen_ai.tool.name", "check_stock");
    vt_span_set_str(span, "gen_ai.tool.call.arguments", arguments);
    const struct product *product = sku ? product_by_sku(sku) : NULL;
    json_t *result = product ? json_pack("{s:s,s:s,s:s?,s:i}", "sku", product->sku, "name", product->name, "size", size,
                                         "in_stock", product_stock(product, size))
                             : json_pack("{s:s}", "error", "no product has that sku");
    char *text = json_dumps(result, JSON_COMPACT);
    if (!product) vt_span_error(span, "no product has that sku");
    vt_span_set_str(span, "gen_ai.tool.call.result", text);
    vt_span_end(span);
    json_decref(result);
    json_decref(given);
    return text;
}

/* The model's call and our answer, as the API wants to see them in the next request. */
static void add_tool_messages(struct conversation *c, const struct llm_answer *answer) {
    char *result = check_stock(answer->arguments);
    json_array_append_new(c->messages, json_pack("{s:s,s:n,s:[{s:s,s:s,s:{s:s,s:s}}]}", "role", "assistant", "content",
                                                 "tool_calls", "id", answer->tool_call_id, "type", "function",
                                                 "function", "name", answer->tool, "arguments", answer->arguments));
    json_array_append_new(c->messages, json_pack("{s:s,s:s,s:s}", "role", "tool", "tool_call_id", answer->tool_call_id,
                                                 "content", result ? result : "{}"));
    free(result);
}

/* Asks the model until it has words rather than tools to call. False when it failed. */
static bool ask(struct conversation *c, const struct turn_options *options, char *words, size_t size) {
    json_t *tools =
        json_pack("[{s:s,s:{s:s,s:s,s:{s:s,s:{s:{s:s},s:{s:s}},s:[s]}}}]", "type", "function", "function", "name",
                  "check_stock", "description", "How many of a product are in stock", "parameters", "type", "object",
                  "properties", "sku", "type", "string", "size", "type", "string", "required", "sku");
    bool answered = false;
    struct llm_answer *answer = malloc(sizeof *answer);
    for (int call = 0; answer && !answered && call < CALLS_MAX; call++) {
        struct llm_request request = {.messages = c->messages,
                                      .tools = tools,
                                      .stream = options->stream,
                                      .user_id = c->user_id,
                                      .thread_id = c->thread_id,
                                      .extra_header = call == 0 ? options->trouble : NULL};
        if (llm_call(c->llm, &request, answer)) break;
        answered = !answer->tool[0];
        if (answered)
            snprintf(words, size, "%s", answer->text);
        else
            add_tool_messages(c, answer);
    }
    free(answer);
    json_decref(tools);
    return answered;
}

const char *conversation_say(struct conversation *c, const char *text, const struct turn_options *options) {
    char turn_id[96], *words = malloc(LLM_TEXT_MAX);
    snprintf(turn_id, sizeof turn_id, "%s-%d", c->thread_id, ++c->turns);
    vt_span *turn =
        vt_chat_start(c->turns == 1 ? "start_thread" : "continue_thread",
                      &(vt_chat_turn){c->user_id, c->thread_id, turn_id, (int64_t)json_array_size(c->messages)});
    vt_span_set_str(turn, "llm.input.messages", text);
    add_message(c, "user", text);
    search_catalogue(c, text);
    bool answered = words && ask(c, options, words, LLM_TEXT_MAX);
    if (!answered)
        vt_span_event(turn, "chat.fallback", (vt_attr[]){vt_attr_str("fallback.reason", "the model did not answer")},
                      1);
    add_message(c, "assistant", answered ? words : canned_answer);
    free(words);
    const char *said =
        json_string_value(json_object_get(json_array_get(c->messages, json_array_size(c->messages) - 1), "content"));
    vt_span_set_str(turn, "llm.output.messages", said);
    vt_span_end(turn);
    return said;
}
