/* The dialects: which attribute names of which SDK mean which canonical field (docs/format.md). A table, looked up by
 * one hash of the key for each attribute. Within a field the names stand best first: a lower rank wins over a higher
 * one. Read-only after the first call; any thread. */
#ifndef SPAN_DIALECT_H
#define SPAN_DIALECT_H

#include "base/slice.h"
#include "span/span.h"

enum dialect {
    DIALECT_GENAI,
    DIALECT_OPENINFERENCE,
    DIALECT_OPENLLMETRY,
    DIALECT_VERCEL,
    DIALECT_LANGFUSE,
    DIALECT_STOREFRONT
};

enum field {
    FIELD_PROVIDER,
    FIELD_REQUEST_MODEL,
    FIELD_RESPONSE_MODEL,
    FIELD_INPUT,
    FIELD_OUTPUT,
    FIELD_TOTAL,
    FIELD_CACHED,
    FIELD_CACHE_WRITE,
    FIELD_REASONING,
    FIELD_UNCACHED, /* input without cached parts: who sends it counts inclusively */
    FIELD_USAGE,    /* JSON object of token counts */
    FIELD_COST,
    FIELD_COSTS /* JSON object */,
    FIELD_TEMPERATURE,
    FIELD_PARAMETERS, /* JSON object with temperature */
    FIELD_FINISH_REASON,
    FIELD_TTFT,
    FIELD_PROMPT,
    FIELD_SYSTEM,
    FIELD_COMPLETION,
    FIELD_TOOL_CALLS,
    FIELD_USER,
    FIELD_THREAD,
    FIELD_TURN,
    FIELD_KIND,
    FIELD_TOOL,
    FIELD_LEVEL,
    FIELD_ERROR,
    FIELD_ERROR_TYPE,
    FIELD_SERVICE,
    FIELD_PROJECT,
    FIELD_SAMPLE_RATE,
    FIELD_COUNT
};

/* How the value of a name is to be read, where its type does not tell. */
enum form { FORM_PLAIN, FORM_SECONDS, FORM_MS, FORM_TIME };

enum { DIALECT_NAME_MAX = 48 }; /* bytes: names stand in so many, so that they are compared and copied by words */

struct dialect_name {
    char name[DIALECT_NAME_MAX]; /* ends with NUL; nothing in it needs to be escaped in JSON */
    enum field field;
    enum dialect dialect;
    enum form form;
    uint8_t rank; /* among the names of its field; set when the table is built */
};

/* NULL when the name means nothing to us. */
const struct dialect_name *dialect_find(struct slice key);

/* Flattened lists: "gen_ai.prompt.0.role", "llm.output_messages.2.message.tool_calls.0.tool_call.id". */
struct dialect_list {
    const char *prefix;
    uint8_t prefix_len;
    enum field field; /* FIELD_PROMPT or FIELD_COMPLETION */
    uint8_t rank;
};
/* The list that the key is a part of, with the message's number and what follows it ("message." taken off); or NULL. */
const struct dialect_list *dialect_list_find(struct slice key, uint32_t *index, struct slice *rest);

/* The kind of work that an SDK's word for it means ("generation", "execute_tool", "ai.generateText.doGenerate"), or -1.
 */
int dialect_kind(struct slice word);
/* "openai.chat" → "openai", "az.ai.openai" → "azure", "gcp.vertex_ai" → "vertex"; an unknown name as it is. The result
 * is a literal or a part of `name`; letters of an unknown name keep their case. */
struct slice dialect_provider(struct slice name);

#endif
