/* Environment variables and VITRINE_DEBUG: what libvitrine and libvitrine-otlp both have, each a copy of its own. */
#ifndef SDK_ENV_H
#define SDK_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An empty variable counts as unset. Values that make no sense are named by debug_line and passed over. */
const char *env_text(const char *name);
bool env_flag(const char *name, bool fallback);
uint32_t env_uint(const char *name, uint32_t least, uint32_t fallback);
/* Undoes %XX in place (of a copy); returns the new length. */
size_t percent_decode(char *text, size_t len);

/* "vitrine: …" on stderr, in one write, when VITRINE_DEBUG=1. Any thread. */
void debug_set(bool on);
bool debug_on(void);
void debug_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
