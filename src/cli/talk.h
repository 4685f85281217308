/* What was said: prompts and completions of an answer as lines of text. */
#ifndef CLI_TALK_H
#define CLI_TALK_H

#include "cli/doc.h"
#include "cli/term.h"

struct talk_label {
    struct slice name;
    enum style style;
    size_t width;       /* columns of the label with the blanks behind it */
    const char *prefix; /* put before each line */
    size_t indent;      /* its columns */
};
/* Text beside a label, wrapped, its other lines below the first; at most lines_max of them (0 = all). */
void talk_labelled(struct term *term, const struct talk_label *label, enum style style, struct slice text,
                   size_t lines_max);
/* Appends the text of one message's content: text, a list of parts, tool calls ("→ name(arguments)"). */
void talk_text(struct buf *out, const struct doc *message);
/* "user  Which jacket …" of a prompt or completion (a text or a list of messages). Without `whole` only the last
 * message of a list, on one line; else every message, wrapped. `prefix` is put before each line; its width is `indent`
 * columns. */
void talk_put(struct term *term, const struct doc *content, const char *role, const char *prefix, size_t indent,
              bool whole);

#endif
