/* A span as the API shows it (docs/api.md): what is not known is absent. Used wherever spans leave as JSON. Any thread. */
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

#endif
