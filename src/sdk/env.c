/* See env.h. */
#include "sdk/env.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *env_text(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

bool env_flag(const char *name, bool fallback) {
    const char *value = env_text(name);
    if (!value) return fallback;
    if (!strcasecmp(value, "true") || !strcmp(value, "1")) return true;
    if (strcasecmp(value, "false") != 0 && strcmp(value, "0") != 0)
        debug_line("%s=%s is neither true nor false: taken as false", name, value);
    return false;
}

uint32_t env_uint(const char *name, uint32_t least, uint32_t fallback) {
    const char *value = env_text(name);
    if (!value) return fallback;
    char *end;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (*end || end == value || *value == '-' || errno || number > UINT32_MAX || number < least) {
        debug_line("%s=%s is no whole number of at least %u: %u is used", name, value, least, fallback);
        return fallback;
    }
    return (uint32_t)number;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t percent_decode(char *text, size_t len) {
    size_t out = 0;
    for (size_t i = 0; i < len; i++, out++) {
        int high, low;
        if (text[i] == '%' && i + 2 < len && (high = hex_value(text[i + 1])) >= 0 &&
            (low = hex_value(text[i + 2])) >= 0) {
            text[out] = (char)(high << 4 | low);
            i += 2;
        } else {
            text[out] = text[i];
        }
    }
    return out;
}
