/* Finds in texts what mostly must not be kept: e-mail addresses, phone numbers, cards, API keys. Hand-written scanners
 * without allocation, the same for the library (sdk/mask.h) and the server (span/mask.h), so that both take out the
 * same. They find what looks like it and understand nothing. Letters, digits and borders of words are ASCII's; any
 * bytes are taken. Time is linear in the text. Any thread. */
#ifndef BASE_SECRETS_H
#define BASE_SECRETS_H

#include "base/buf.h"

enum secret { SECRET_EMAIL, SECRET_PHONE, SECRET_CARD, SECRET_APIKEY, SECRET_COUNT };

extern const struct secret_kind {
    const char *name;        /* "email" */
    const char *replacement; /* "[email]" */
} secret_kinds[SECRET_COUNT];
/* The kind of that name, or -1. */
int secret_named(struct slice name);

/* The first of that kind that begins at or after `from`; what stands before `from` is looked at for borders alone. */
bool secret_find(enum secret kind, struct slice text, size_t from, struct slice *found);
/* True, and the text with replacements is appended to `out`; false, and nothing is, when there is none in it. `tagged`:
 * a replacement gets '-' and eight digits that tell one masked text from another (a plain hash, no secret). */
bool secret_mask(enum secret kind, struct slice text, bool tagged, struct buf *out);
/* The replacement alone. */
void secret_put_replacement(struct buf *out, struct slice replacement, struct slice found, bool tagged);

#endif
