/* Base64. */
#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(const uint8_t *bytes, size_t size, char *out) {
    size_t len = 0;
    for (size_t i = 0; i < size; i += 3) {
        uint32_t three = (uint32_t)bytes[i] << 16;
        if (i + 1 < size) three |= (uint32_t)bytes[i + 1] << 8;
        if (i + 2 < size) three |= bytes[i + 2];
        out[len++] = alphabet[three >> 18];
        out[len++] = alphabet[three >> 12 & 63];
        out[len++] = i + 1 < size ? alphabet[three >> 6 & 63] : '=';
        out[len++] = i + 2 < size ? alphabet[three & 63] : '=';
    }
    return len;
}

static int sextet(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+' || c == '-') return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

bool base64_decode(struct slice text, uint8_t *out, size_t *len) {
    size_t room = *len, signs = text.len;
    uint32_t bits = 0;
    unsigned bit_count = 0;
    *len = 0;
    for (int pad = 0; pad < 2 && signs && signs % 4 == (pad ? 3u : 0u) && text.ptr[signs - 1] == '='; pad++) signs--;
    if (signs % 4 == 1) return false;
    for (size_t i = 0; i < signs; i++) {
        int value = sextet(text.ptr[i]);
        if (value < 0) return false;
        bits = bits << 6 | (uint32_t)value;
        if ((bit_count += 6) < 8) continue;
        bit_count -= 8;
        if (*len == room) return false;
        out[(*len)++] = (uint8_t)(bits >> bit_count);
    }
    return (bits & ((1u << bit_count) - 1)) == 0; /* what is left over must be padding */
}
