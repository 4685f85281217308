/* A conversation with one shopper: keeps what was said, asks the model, looks up stock for it, and falls back to a
 * canned answer when the model fails. Each turn is traced. */
#ifndef STOREFRONT_CHAT_H
#define STOREFRONT_CHAT_H

#include "llm.h"

struct conversation {
    const struct llm_settings *llm;
    char user_id[64], thread_id[64];
    json_t *messages; /* all that was said, the system's words first */
    int turns;
};

struct turn_options {
    bool stream;
    const char *trouble; /* header for the demo's fake model's first call; NULL = none */
};

int conversation_start(struct conversation *conversation, const struct llm_settings *llm, const char *user_id,
                       const char *thread_id);
void conversation_end(struct conversation *conversation);
/* What the shop answers; borrowed until the next call. Never fails: a failing model is what the canned answer is for.
 */
const char *conversation_say(struct conversation *conversation, const char *text, const struct turn_options *options);

#endif
