/* See format.h. Text without anything to escape is the rule, and is copied in large pieces. */
#include "base/format.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static const char PAIRS[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                            "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                            "8081828384858687888990919293949596979899";

char *format_uint(char *out, uint64_t value) {
    char digits[FORMAT_INT_MAX], *at = digits + sizeof digits;
    while (value >= 100) {
        at -= 2;
        memcpy(at, PAIRS + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        at -= 2;
        memcpy(at, PAIRS + value * 2, 2);
    } else {
        *--at = (char)('0' + value);
    }
    size_t len = (size_t)(digits + sizeof digits - at);
    memcpy(out, at, len);
    return out + len;
}

char *format_int(char *out, int64_t value) {
    if (value >= 0) return format_uint(out, (uint64_t)value);
    *out = '-';
    return format_uint(out + 1, -(uint64_t)value);
}

/* Numbers of up to fifteen digits, which are nearly all that people write: value × 10^k is a whole number m, and m /
 * 10^k, both exact, is the value again. Then these digits are the shortest. NULL when it is not such a number. */
static char *format_short_decimal(char *out, double value) {
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    for (unsigned k = 0; k < sizeof powers / sizeof *powers; k++) {
        double scaled = value * powers[k];
        if (scaled >= 1e15) return NULL;
        uint64_t whole = (uint64_t)(scaled + 0.5);
        if ((double)whole / powers[k] != value) continue;
        if (!k) return format_uint(out, whole);
        uint64_t unit = (uint64_t)powers[k], fraction = whole % unit;
        out = format_uint(out, whole / unit);
        *out++ = '.';
        for (unsigned i = k; i-- > 0; fraction /= 10) out[i] = (char)('0' + fraction % 10);
        return out + k;
    }
    return NULL;
}

char *format_double(char *out, double value) {
    if (!isfinite(value)) return memcpy(out, "null", 4), out + 4;
    if (signbit(value)) *out++ = '-', value = -value;
    char *end = value == 0 || value >= 1e-6 ? format_short_decimal(out, value) : NULL;
    if (end) return end;
    char text[FORMAT_DOUBLE_MAX];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    for (const char *from = text; *from; from++) {
        bool plain = (*from >= '0' && *from <= '9') || *from == 'e' || *from == '+' || *from == '-';
        if (plain)
            *out++ = *from;
        else if (out[-1] != '.')
            *out++ = '.'; /* the locale's decimal point, which may be several bytes */
    }
    return out;
}

/* Bytes that stand for themselves: 0x20 to 0x7F but '"' and '\'. */
static inline bool is_plain(unsigned char c) {
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static char *escape_one(char *out, unsigned char c) {
    static const char names[] = "btn\0fr"; /* from 8 */
    *out++ = '\\';
    if (c == '"' || c == '\\') return *out = (char)c, out + 1;
    if (c >= 8 && c <= 13 && names[c - 8]) return *out = names[c - 8], out + 1;
    memcpy(out, "u00", 3);
    out[3] = (char)('0' + (c >> 4));
    out[4] = "0123456789abcdef"[c & 15];
    return out + 5;
}

#if defined(__SSE2__)
/* Bits of bytes that are not plain. Signed comparison: bytes of 0x80 and above are below ' ' too. */
static inline unsigned special_bytes(__m128i bytes) {
    __m128i special = _mm_or_si128(
        _mm_cmplt_epi8(bytes, _mm_set1_epi8(' ')),
        _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'))));
    return (unsigned)_mm_movemask_epi8(special);
}

/* Copies the plain bytes at the start of text, sixteen at a time; returns how many. Writes at most text.len bytes. */
static inline size_t copy_plain(char *out, const unsigned char *at, size_t left) {
    size_t done = 0;
    for (; left - done >= 16; done += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(at + done));
        unsigned special = special_bytes(bytes);
        _mm_storeu_si128((__m128i *)(void *)(out + done), bytes);
        if (special) return done + (unsigned)__builtin_ctz(special);
    }
    /* The rest by two halves that overlap. */
    size_t rest = left - done;
    uint64_t first = 0, last = 0;
    size_t half = rest >= 8 ? 8 : rest >= 4 ? 4 : 0;
    if (half == 8) {
        memcpy(&first, at + done, 8);
        memcpy(&last, at + left - 8, 8);
    } else if (half == 4) {
        memcpy(&first, at + done, 4);
        memcpy(&last, at + left - 4, 4);
        first |= UINT64_C(0x2020202000000000), last |= UINT64_C(0x2020202000000000);
    }
    if (!half || special_bytes(_mm_set_epi64x((int64_t)last, (int64_t)first))) return done;
    if (half == 8) {
        memcpy(out + done, &first, 8);
        memcpy(out + left - 8, &last, 8);
    } else {
        memcpy(out + done, &first, 4);
        memcpy(out + left - 4, &last, 4);
    }
    return left;
}
#else
static inline size_t copy_plain(char *out, const unsigned char *at, size_t left) {
    (void)out, (void)at, (void)left;
    return 0;
}
#endif

/* One byte that stands for itself, one escape, or one code point or its replacement. */
static char *put_code_point(char *out, const unsigned char **at, const unsigned char *end) {
    unsigned char c = **at;
    if (is_plain(c)) {
        *out++ = (char)c;
        (*at)++;
    } else if (c < 0x80) {
        out = escape_one(out, c);
        (*at)++;
    } else {
        size_t len = utf8_length(*at, (size_t)(end - *at));
        const char *from = len ? (const char *)*at : UTF8_REPLACEMENT;
        *at += len ? len : 1;
        for (len = len ? len : 3; len; len--) *out++ = *from++;
    }
    return out;
}

char *format_escaped(char *out, struct slice text) {
    const unsigned char *at = (const unsigned char *)text.ptr, *end = at + text.len;
    while (at < end) {
        size_t plain = copy_plain(out, at, (size_t)(end - at));
        at += plain, out += plain;
        /* Where there is one thing to escape there are often more, or the end. */
        for (unsigned i = 0; i < 8 && at < end; i++) out = put_code_point(out, &at, end);
    }
    return out;
}
