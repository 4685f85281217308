/* UTF-8 (RFC 3629). */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What stands for bytes that are no UTF-8: U+FFFD. */
#define UTF8_REPLACEMENT "\xef\xbf\xbd"

/* Length of the well-formed sequence at p, of which `left` (≥ 1) bytes are there; 0 when there is none. */
static inline size_t utf8_length(const uint8_t *p, size_t left) {
    uint8_t c = p[0];
    size_t len = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    if (!len || len > left) return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    bool overlong = (c == 0xe0 && p[1] < 0xa0) || (c == 0xf0 && p[1] < 0x90);
    bool beyond = (c == 0xed && p[1] > 0x9f) || (c == 0xf4 && p[1] > 0x8f);
    return overlong || beyond ? 0 : len;
}

/* All bytes below 0x80, as most texts are. */
static inline bool utf8_is_ascii(const char *text, size_t len) {
    uint64_t all = 0, w[2];
    size_t at = 0;
    for (; len - at >= 16; at += 16) {
        memcpy(w, text + at, 16);
        all |= w[0] | w[1];
    }
    /* The rest, by pieces that overlap. */
    if (len >= 8) {
        memcpy(w, text + len - 8, 8);
        if (len - at > 8) memcpy(w + 1, text + at, 8), w[0] |= w[1];
        return !((all | w[0]) & UINT64_C(0x8080808080808080));
    }
    for (; at < len; at++) all |= (unsigned char)text[at];
    return !(all & 0x80);
}

/* One past the last byte of the longest well-formed piece at the text's beginning: len when all of it is UTF-8. */
static inline size_t utf8_valid_length(const char *text, size_t len) {
    size_t at = 0;
    while (at < len) {
        /* Plain ASCII, 32 bytes at a time. */
        while (len - at >= 32) {
            uint64_t w[4];
            memcpy(w, text + at, sizeof w);
            if ((w[0] | w[1] | w[2] | w[3]) & UINT64_C(0x8080808080808080)) break;
            at += 32;
        }
        for (uint64_t w; len - at >= 8; at += 8) {
            memcpy(&w, text + at, sizeof w);
            if (w & UINT64_C(0x8080808080808080)) break;
        }
        while (at < len && (unsigned char)text[at] < 0x80) at++;
        /* Then what is not, up to the next long plain run. */
        while (at < len && (unsigned char)text[at] >= 0x80) {
            size_t n = utf8_length((const uint8_t *)text + at, len - at);
            if (!n) return at;
            at += n;
        }
    }
    return len;
}

#endif
