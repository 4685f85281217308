/* A span as the API shows it (docs/api.md): what is not known is absent. Used wherever spans leave as JSON. Any thread.
 */
#ifndef SPAN_SPAN_JSON_H
#define SPAN_SPAN_JSON_H

#include "base/json.h"
#include "span/span.h"

/* The members of the span's object, without its braces, so that the caller may add others (scores, …). */
void span_put_json_members(struct json_writer *w, const struct span *span);
/* The whole object. */
void span_put_json(struct json_writer *w, const struct span *span);
/* A prompt or completion: a list of messages as it stands, anything else as text. */
void span_put_json_content(struct json_writer *w, struct slice content);

/* Reads back what span_put_json wrote (its members and others that the API adds, which are passed over), without loss:
 * all that was known is known again. Texts are borrowed from the reader's text or lie in its arena. False when a member
 * has no meaning or the text is no JSON: the reader has failed and its error names the member. */
bool span_read_json(struct json_reader *r, struct span *span);

#endif
