/* Base64 (RFC 4648). Pure functions; any thread. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/slice.h"

#define BASE64_SIZE(bytes) (((bytes) + 2) / 3 * 4)

/* BASE64_SIZE(size) characters with padding into out, no NUL; returns how many. */
size_t base64_encode(const uint8_t *bytes, size_t size, char *out);
/* Takes both alphabets ("+/" and "-_"), with or without padding. *len is the room in `out` and becomes the number of
 * bytes; text.len / 4 * 3 + 3 is always enough. False when the text is no base64 or does not fit. */
bool base64_decode(struct slice text, uint8_t *out, size_t *len);

#endif
