/* Trace and span ids (W3C Trace Context: 16 and 8 bytes, not all zero), their hex form, and random ones. */
#ifndef BASE_ID_H
#define BASE_ID_H

#include "base/slice.h"

enum { TRACE_ID_SIZE = 16, SPAN_ID_SIZE = 8, TRACE_ID_HEX = 32, SPAN_ID_HEX = 16 };

/* Lower-case hex of `size` bytes into out (2 * size characters, no NUL). */
void hex_encode(const uint8_t *bytes, size_t size, char *out);
/* True when text is exactly 2 * size hex digits of either case. */
bool hex_decode(struct slice text, uint8_t *bytes, size_t size);
bool id_is_zero(const uint8_t *id, size_t size);
/* Fills with random bytes, not all zero. Any thread, no lock, some nanoseconds; a forked child draws other numbers. */
void id_random(uint8_t *id, size_t size);
/* The same for a span's id and, unless it is NULL, its trace's, at once. */
void id_random_span(uint8_t trace_id[TRACE_ID_SIZE], uint8_t span_id[SPAN_ID_SIZE]);
/* A uniformly random 64-bit number from the same source. */
uint64_t random_u64(void);
/* Ids that came in another form than hex are mapped by hash (XXH3, seed 0): the same text gives the same id. */
void id_from_text(struct slice text, uint8_t *id, size_t size);

#endif
