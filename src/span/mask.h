/* Masking: what must not be stored is taken out of a span's texts at ingest (docs/masking.md), before anything of it
 * reaches the disk, a viewer or a metric. Read-only once loaded; any thread. */
#ifndef SPAN_MASK_H
#define SPAN_MASK_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "span/span.h"

struct mask; /* opaque */

enum mask_capture { CAPTURE_FULL, CAPTURE_PREVIEW, CAPTURE_NONE }; /* of prompts and completions */

/* `spec` is a list of rules and at most one capture mode ("email,phone,card,apikey,capture=preview"), or the path of a
 * YAML file (when it has a '/' or ends in .yaml or .yml). *mask is NULL when `spec` is NULL or empty. Free with
 * mask_free. VT_EINVAL: an unknown rule, a bad pattern (with its column) or key; VT_EIO: the file cannot be read. */
int mask_load(struct mask **mask, const char *spec, struct error *err);
void mask_free(struct mask *mask); /* NULL is fine */

/* Masks prompt, completion, error, attributes, events and the ids of user, thread and turn of `span`, by the rules of
 * its project. New texts are put into the arena. False when memory ran out: the span must not be stored then. */
bool mask_span(const struct mask *mask, struct span *span, struct arena *arena);

/* One text by the rules of `project`, appended to `out`; `json` says that it is JSON, in which only strings are
 * changed. */
bool mask_text(const struct mask *mask, struct slice project, struct slice text, bool json, struct buf *out);

/* What is in force, as one line for people: "email, card, own rule \"order\"; capture preview". */
void mask_describe(const struct mask *mask, struct buf *out);

#endif
