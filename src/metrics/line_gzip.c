/* A line is compared with the one before it from the start; where they part, both go on behind their next quote, so
 * that a label or a bucket that differs costs only itself. */
#include "metrics/line_gzip.h"

#include <endian.h>
#include <libdeflate.h>

enum { MATCH_MIN = 4, MATCH_MAX = 258, DISTANCE_MAX = 32768, END_OF_BLOCK_BITS = 7 };

/* ---- codes ---- */

static uint16_t reversed(unsigned code, unsigned count) {
    unsigned out = 0;
    for (; count--; code >>= 1) out = out << 1 | (code & 1);
    return (uint16_t)out;
}

/* Of a symbol of the literal and length alphabet, as RFC 1951 3.2.6 fixes it. */
static struct deflate_code symbol_code(unsigned symbol) {
    if (symbol < 144) return (struct deflate_code){reversed(0x30 + symbol, 8), 8};
    if (symbol < 256) return (struct deflate_code){reversed(0x190 + symbol - 144, 9), 9};
    if (symbol < 280) return (struct deflate_code){reversed(symbol - 256, 7), 7};
    return (struct deflate_code){reversed(0xc0 + symbol - 280, 8), 8};
}

/* Symbols 265 to 284 stand for ranges of 2, 4, … 32 lengths, four symbols each; 285 for the longest. */
static struct deflate_code length_code(unsigned length) {
    unsigned index = length - 3, extra = 0;
    if (length == MATCH_MAX) return symbol_code(285);
    while (index >> extra >= 8) extra++;
    struct deflate_code code = symbol_code(257 + extra * 4 + (index >> extra));
    code.bits = (uint16_t)(code.bits | (index & ((1u << extra) - 1)) << code.count);
    code.count = (uint8_t)(code.count + extra);
    return code;
}

/* ---- bits ---- */

/* At most 32 at a time; the caller has made room. */
static inline void put_bits(struct line_gzip *g, uint32_t bits, unsigned count) {
    g->bits |= (uint64_t)bits << g->count;
    g->count += count;
    if (g->count < 32) return;
    uint32_t word = htole32((uint32_t)g->bits);
    memcpy(g->out->ptr + g->out->len, &word, sizeof word);
    g->out->len += 4;
    g->bits >>= 32;
    g->count -= 32;
}

static inline void put_literals(struct line_gzip *g, const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        struct deflate_code code = g->literals[(uint8_t)text[i]];
        put_bits(g, code.bits, code.count);
    }
}

static void put_distance(struct line_gzip *g, uint32_t distance) {
    unsigned index = distance - 1, extra = index < 4 ? 0 : 30 - (unsigned)__builtin_clz(index);
    put_bits(g, g->distances[extra * 2 + (index >> extra)] | (index & ((1u << extra) - 1)) << 5, 5 + extra);
}

static void put_match(struct line_gzip *g, size_t len, uint32_t distance) {
    while (len) {
        /* Not so much at once that a rest too short for a match remains. */
        size_t piece = len <= MATCH_MAX ? len : len < MATCH_MAX + MATCH_MIN ? len - MATCH_MIN : MATCH_MAX;
        put_bits(g, g->lengths[piece].bits, g->lengths[piece].count);
        put_distance(g, distance);
        len -= piece;
    }
}

/* ---- lines ---- */

static inline size_t common_length(const char *a, const char *b, size_t max) {
    size_t len = 0;
    for (; len + 8 <= max; len += 8) {
        uint64_t x, y;
        memcpy(&x, a + len, 8);
        memcpy(&y, b + len, 8);
        if (x != y) return len + (size_t)(__builtin_ctzll(htole64(x ^ y)) >> 3);
    }
    while (len < max && a[len] == b[len]) len++;
    return len;
}

/* Behind the next quote, or the end. */
static inline const char *behind_quote(const char *at, const char *end) {
    const char *quote = memchr(at, '"', (size_t)(end - at));
    return quote ? quote + 1 : end;
}

/* `before` ends where `line` begins. */
static void put_line(struct line_gzip *g, const char *before, const char *line, const char *end) {
    const char *old = before, *at = line;
    while (at < end) {
        size_t left = (size_t)(end - at), old_left = (size_t)(line - old);
        size_t same = common_length(old, at, left < old_left ? left : old_left);
        if (same >= MATCH_MIN && at - old <= DISTANCE_MAX)
            put_match(g, same, (uint32_t)(at - old));
        else
            put_literals(g, at, same);
        at += same, old += same;
        const char *next = behind_quote(at, end);
        put_literals(g, at, (size_t)(next - at));
        at = next;
        old = behind_quote(old, line);
    }
}

void line_gzip_begin(struct line_gzip *g, struct buf *out) {
    static const char header[10] = {0x1f, (char)0x8b, 8, 0, 0, 0, 0, 0, 4 /* fastest */, 3 /* Unix */};
    g->out = out;
    g->bits = g->count = g->crc = g->length = 0;
    for (unsigned i = 0; i < 256; i++) g->literals[i] = symbol_code(i);
    for (unsigned i = 3; i <= MATCH_MAX; i++) g->lengths[i] = length_code(i);
    for (unsigned i = 0; i < sizeof g->distances; i++) g->distances[i] = (uint8_t)reversed(i, 5);
    buf_put(out, header, sizeof header);
    if (buf_reserve(out, 8)) put_bits(g, 3, 3); /* the last block, of fixed codes */
}

void line_gzip_put(struct line_gzip *g, struct slice text) {
    const char *before = text.ptr, *line = text.ptr, *end = text.ptr + text.len;
    /* Nine bits a byte is the worst: a match is never longer than what it stands for. */
    if (!text.len || !buf_reserve(g->out, text.len + text.len / 8 + 16)) return;
    g->crc = libdeflate_crc32(g->crc, text.ptr, text.len);
    g->length += (uint32_t)text.len;
    while (line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line)), *next = newline ? newline + 1 : end;
        put_line(g, before, line, next);
        before = line;
        line = next;
    }
}

void line_gzip_end(struct line_gzip *g) {
    uint32_t trailer[2] = {htole32(g->crc), htole32(g->length)};
    if (!buf_reserve(g->out, 32)) return;
    put_bits(g, 0, END_OF_BLOCK_BITS);
    for (unsigned bytes = (g->count + 7) / 8; bytes--; g->bits >>= 8) buf_putc(g->out, (char)(g->bits & 0xff));
    buf_put(g->out, trailer, sizeof trailer);
}
