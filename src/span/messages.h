/* Message lists: the many shapes in which SDKs send prompts and completions become one, [{"role","content",…}], the
 * shape of OpenAI's chat API. Text that is no message list stays as it is. Any thread. */
#ifndef SPAN_MESSAGES_H
#define SPAN_MESSAGES_H

#include "base/arena.h"
#include "base/buf.h"
#include "span/raw.h"

/* Writes the list that `text` (JSON of any SDK: an array of messages, {"messages":[…]}, {"system","prompt"}, a message
 * with "parts", …) stands for, led by a message of role system when `system` (text or JSON parts) is not empty. False
 * when it is no message list: nothing is written then. `role` is given to messages that have none but are known to be
 * messages. */
bool messages_from_json(struct buf *out, struct slice text, struct slice system, const char *role, struct arena *arena);

/* One piece of a flattened list: "gen_ai.prompt.1.tool_calls.0.name" is message 1, rest "tool_calls.0.name". */
struct message_piece {
    uint32_t message;
    uint32_t order; /* as it came; filled by messages_from_pieces */
    struct slice rest;
    const struct value *value;
};
/* Sorts the pieces by message and writes the list. */
void messages_from_pieces(struct buf *out, struct message_piece *pieces, uint32_t count, struct slice system,
                          struct arena *arena);

/* The answer of a model that called tools: text (may be empty) and a JSON list of calls in any SDK's shape. False, with
 * nothing written, when `calls` is not a list. */
bool messages_from_tool_calls(struct buf *out, struct slice text, struct slice calls, struct arena *arena);

/* The value as JSON, at the writer's place. */
struct json_writer;
void value_write_json(struct json_writer *w, const struct value *value);

#endif
