/* Reading JSON in place. */
#include "base/json.h"

#include "base/utf8.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void json_reader_init(struct json_reader *r, struct slice text, struct arena *arena) {
    /* Field by field: the error's texts are large, and cost more to clear than many a document to read. */
    r->start = r->at = text.ptr ? text.ptr : "";
    r->arena = arena;
    r->depth = 0;
    r->first = r->failed = false;
    r->err.code = r->err.column = 0;
    r->err.message[0] = r->err.hint[0] = 0;
    r->end = r->start + text.len;
    /* A byte order mark is no JSON, but files that begin with one are met. */
    if (text.len >= 3 && memcmp(r->start, "\xef\xbb\xbf", 3) == 0) r->at += 3;
}

void json_fail(struct json_reader *r, const char *format, ...) {
    if (r->failed) return;
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    r->failed = true;
    error_set(&r->err, VT_EINVAL, "byte %zu: %s", json_offset(r), text);
    r->err.column = json_offset(r) < INT32_MAX ? (int)json_offset(r) + 1 : 0;
}

static bool expected(struct json_reader *r, const char *what) {
    if (r->at >= r->end)
        json_fail(r, "expected %s, found the end", what);
    else if ((unsigned char)*r->at < ' ' || (unsigned char)*r->at >= 0x7f)
        json_fail(r, "expected %s, found byte 0x%02x", what, (unsigned char)*r->at);
    else
        json_fail(r, "expected %s, found '%c'", what, *r->at);
    return false;
}

static inline void skip_space(struct json_reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r')) r->at++;
}

enum json_type json_peek(struct json_reader *r) {
    if (r->failed) return JSON_ERROR;
    skip_space(r);
    if (r->at >= r->end) return JSON_ERROR;
    static const uint8_t types[256] = {
        ['{'] = JSON_OBJECT, ['['] = JSON_ARRAY,  ['"'] = JSON_STRING, ['t'] = JSON_BOOL,   ['f'] = JSON_BOOL,
        ['n'] = JSON_NULL,   ['-'] = JSON_NUMBER, ['0'] = JSON_NUMBER, ['1'] = JSON_NUMBER, ['2'] = JSON_NUMBER,
        ['3'] = JSON_NUMBER, ['4'] = JSON_NUMBER, ['5'] = JSON_NUMBER, ['6'] = JSON_NUMBER, ['7'] = JSON_NUMBER,
        ['8'] = JSON_NUMBER, ['9'] = JSON_NUMBER};
    return (enum json_type)types[(unsigned char)*r->at];
}

static inline bool open_bracket(struct json_reader *r, char bracket, const char *what) {
    if (r->failed) return false;
    skip_space(r);
    if (r->at >= r->end || *r->at != bracket) return expected(r, what);
    if (r->depth == JSON_DEPTH_MAX) {
        json_fail(r, "nested deeper than %d", JSON_DEPTH_MAX);
        r->err.code = VT_ELIMIT;
        return false;
    }
    r->at++;
    r->depth++;
    r->first = true;
    return true;
}

bool json_object(struct json_reader *r) {
    return open_bracket(r, '{', "an object");
}
bool json_array(struct json_reader *r) {
    return open_bracket(r, '[', "an array");
}

/* True when another member follows; false after the taken closing bracket or a mistake. */
static inline bool next_member(struct json_reader *r, char close, const char *what) {
    if (r->failed) return false;
    skip_space(r);
    if (r->at < r->end && *r->at == close) {
        r->at++;
        r->depth--;
        r->first = false; /* the one around it has this as a member now */
        return false;
    }
    if (!r->first) {
        if (r->at >= r->end || *r->at != ',') return expected(r, what);
        r->at++;
        skip_space(r);
    }
    r->first = false;
    return true;
}

bool json_key(struct json_reader *r, struct slice *key) {
    if (!next_member(r, '}', "',' or '}'")) return false;
    if (r->at >= r->end || *r->at != '"') return expected(r, "a key in quotes");
    if (!json_string(r, key)) return false;
    skip_space(r);
    if (r->at >= r->end || *r->at != ':') return expected(r, "':'");
    r->at++;
    return true;
}

bool json_item(struct json_reader *r) {
    if (!next_member(r, ']', "',' or ']'")) return false;
    if (r->at < r->end && *r->at == ']') return expected(r, "a value after ','");
    return true;
}

/* ---- strings ---- */

static size_t put_utf8(char *out, uint32_t c) {
    if (c < 0x80) return out[0] = (char)c, 1;
    if (c < 0x800) return out[0] = (char)(0xc0 | c >> 6), out[1] = (char)(0x80 | (c & 0x3f)), 2;
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12), out[1] = (char)(0x80 | (c >> 6 & 0x3f)), out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18), out[1] = (char)(0x80 | (c >> 12 & 0x3f)), out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* Four hex digits at p, or -1. */
static int32_t hex4(const char *p, const char *end) {
    int32_t value = 0;
    if (end - p < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* What a letter behind a backslash stands for; 0 = it is none of these. */
static const char escapes[256] = {
    ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'};

/* One escape behind the backslash that r->at stands on; writes it to out (4 bytes at most). 0 on a mistake. */
static size_t unescape(struct json_reader *r, char *out) {
    if (r->end - r->at < 2) return r->at = r->end, expected(r, "the end of an escape"), 0;
    char known = escapes[(unsigned char)r->at[1]];
    if (known) {
        *out = known;
        r->at += 2;
        return 1;
    }
    int32_t unit = r->at[1] == 'u' ? hex4(r->at + 2, r->end) : -1;
    if (unit < 0) return json_fail(r, "bad escape in a string"), 0;
    r->at += 6;
    uint32_t c = (uint32_t)unit;
    if (unit >= 0xd800 && unit < 0xe000) {
        int32_t low =
            unit < 0xdc00 && r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u' ? hex4(r->at + 2, r->end) : -1;
        c = 0xfffd;
        if (low >= 0xdc00 && low < 0xe000) {
            c = 0x10000 + (((uint32_t)unit - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
            r->at += 6;
        }
    }
    return put_utf8(out, c);
}

/* ---- plain runs, sixteen bytes at a time where the machine can ---- */

#ifdef __SSE2__
/* One bit for each of 16 bytes that is not printable ASCII other than quote and backslash. */
static inline unsigned special_16(const char *at) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i marks = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
    /* Signed: below a space are control characters and all beyond ASCII. */
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(marks, _mm_cmplt_epi8(bytes, _mm_set1_epi8(' '))));
}
#endif

/* From `at` on, past plain bytes: printable ASCII but quote and backslash. */
static inline const char *past_plain(const char *at, const char *end) {
#ifdef __SSE2__
    while (end - at >= 16) {
        unsigned special = special_16(at);
        if (special) return at + __builtin_ctz(special);
        at += 16;
    }
#else
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = UINT64_C(0x8080808080808080);
    while (end - at >= 8) {
        uint64_t w;
        memcpy(&w, at, 8);
        uint64_t quote = w ^ ones * '"', slash = w ^ ones * '\\';
        uint64_t stop = ((quote - ones) & ~quote) | ((slash - ones) & ~slash) | (w - ones * ' ') | w;
        stop &= highs;
        if (stop) break;
        at += 8;
    }
#endif
    while (at < end && (unsigned char)*at >= ' ' && (unsigned char)*at < 0x80 && *at != '"' && *at != '\\') at++;
    return at;
}

/* The quote that ends the string, or the end of the text. Which bytes lie between does not matter here. */
static const char *find_close(const char *at, const char *end) {
    while ((at = past_plain(at, end)) < end && *at != '"') at += *at == '\\' && end - at > 1 ? 2 : 1;
    return at < end ? at : end;
}

/* The slow way: from the first byte that needs a change, into the arena. */
static bool string_into_arena(struct json_reader *r, const char *start, struct slice *value) {
    const char *close = find_close(r->at, r->end);
    /* A replacement has three bytes for one. */
    size_t len = (size_t)(r->at - start), room = len + 3 * (size_t)(close - r->at) + 8;
    char *out = arena_alloc_aligned(r->arena, room, 1);
    if (!out) {
        json_fail(r, "no memory for a string");
        r->err.code = VT_ENOMEM;
        return false;
    }
    if (len) memcpy(out, start, len);
    for (;;) {
        const char *run = r->at;
        r->at = past_plain(run, r->end);
        memcpy(out + len, run, (size_t)(r->at - run));
        len += (size_t)(r->at - run);
        if (r->at >= r->end) return expected(r, "the end of a string");
        uint8_t c = (uint8_t)*r->at;
        if (c == '"') break;
        if (c < ' ') return expected(r, "a string without control characters");
        if (c == '\\') {
            size_t n = unescape(r, out + len);
            if (!n) return false;
            len += n;
        } else {
            size_t n = utf8_length((const uint8_t *)r->at, (size_t)(r->end - r->at));
            if (n)
                memcpy(out + len, r->at, n);
            else
                memcpy(out + len, UTF8_REPLACEMENT, 3);
            len += n ? n : 3;
            r->at += n ? n : 1;
        }
    }
    r->at++;
    /* What was not needed goes back: ours is the newest allocation. */
    if (r->arena->next == out + room) r->arena->next = out + len;
    *value = slice_make(out, len);
    return true;
}

/* Past a string that is only checked. r->at stands on its quote. */
static bool pass_string(struct json_reader *r) {
    char out[4];
    r->at++;
    for (;;) {
        r->at = past_plain(r->at, r->end);
        if (r->at >= r->end) return expected(r, "the end of a string");
        uint8_t c = (uint8_t)*r->at;
        if (c == '"') break;
        if (c < ' ') return expected(r, "a string without control characters");
        if (c == '\\') {
            if (r->end - r->at >= 2 && escapes[(unsigned char)r->at[1]])
                r->at += 2;
            else if (!unescape(r, out))
                return false;
        } else {
            size_t n = utf8_length((const uint8_t *)r->at, (size_t)(r->end - r->at));
            r->at += n ? n : 1;
        }
    }
    r->at++;
    return true;
}

bool json_string(struct json_reader *r, struct slice *value) {
    if (r->failed) return false;
    skip_space(r);
    if (r->at >= r->end || *r->at != '"') return expected(r, "a string");
    const char *start = ++r->at;
    for (;;) {
        r->at = past_plain(r->at, r->end);
        if (r->at >= r->end) return expected(r, "the end of a string");
        uint8_t c = (uint8_t)*r->at;
        if (c == '"') break;
        size_t len = c >= 0x80 ? utf8_length((const uint8_t *)r->at, (size_t)(r->end - r->at)) : 0;
        if (!len) return string_into_arena(r, start, value);
        r->at += len;
    }
    *value = slice_make(start, (size_t)(r->at - start));
    r->at++;
    return true;
}

/* ---- numbers and words ---- */

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static bool slow_number(struct json_reader *r, struct slice text, double *real) {
    char stack[64], *copy = text.len < sizeof stack ? stack : malloc(text.len + 1);
    if (!copy) return json_fail(r, "no memory for a number"), false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    *real = strtod(copy, NULL);
    if (copy != stack) free(copy);
    return true;
}

static inline bool is_digit(const struct json_reader *r) {
    return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

bool json_number(struct json_reader *r, struct json_number *value) {
    if (r->failed) return false;
    skip_space(r);
    const char *start = r->at;
    uint64_t digits = 0;
    int count = 0, scale = 0;
    bool negative = r->at < r->end && *r->at == '-', integer = true;
    r->at += negative;
    if (!is_digit(r)) return expected(r, "a number");
    const char *lead = r->at;
    for (; is_digit(r); r->at++, count++) digits = digits * 10 + (uint64_t)(*r->at - '0');
    if (*lead == '0' && count > 1) return r->at = lead, json_fail(r, "a number has a zero in front"), false;
    if (r->at < r->end && *r->at == '.') {
        integer = false;
        r->at++;
        if (!is_digit(r)) return expected(r, "a digit after the point");
        for (; is_digit(r); r->at++, count++, scale--) digits = digits * 10 + (uint64_t)(*r->at - '0');
    }
    if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
        integer = false;
        r->at++;
        bool down = r->at < r->end && *r->at == '-';
        if (r->at < r->end && (*r->at == '-' || *r->at == '+')) r->at++;
        if (!is_digit(r)) return expected(r, "a digit of the exponent");
        int exponent = 0;
        for (; is_digit(r); r->at++) exponent = exponent < 100000 ? exponent * 10 + (*r->at - '0') : exponent;
        scale += down ? -exponent : exponent;
    }
    *value = (struct json_number){0};
    if (integer && count <= 18) {
        value->is_int = true;
        value->integer = negative ? -(int64_t)digits : (int64_t)digits;
        value->real = (double)value->integer;
        return true;
    }
    /* Exact when both the digits and the power of ten are doubles without rounding. */
    if (count <= 15 && scale >= -22 && scale <= 22) {
        value->real = scale < 0 ? (double)digits / powers[-scale] : (double)digits * powers[scale];
        if (negative) value->real = -value->real;
        return true;
    }
    struct slice text = slice_make(start, (size_t)(r->at - start));
    if (!slow_number(r, text, &value->real)) return false;
    if (integer && count == 19) {
        char copy[24];
        memcpy(copy, text.ptr, text.len);
        copy[text.len] = 0;
        errno = 0;
        value->integer = strtoll(copy, NULL, 10);
        value->is_int = errno == 0;
    }
    return true;
}

static bool take_word(struct json_reader *r, struct slice word) {
    if ((size_t)(r->end - r->at) < word.len || memcmp(r->at, word.ptr, word.len) != 0) return false;
    r->at += word.len;
    return true;
}

bool json_bool(struct json_reader *r, bool *value) {
    if (r->failed) return false;
    skip_space(r);
    *value = take_word(r, SLICE("true"));
    return *value || take_word(r, SLICE("false")) || expected(r, "true or false");
}

bool json_null(struct json_reader *r) {
    if (r->failed) return false;
    skip_space(r);
    return take_word(r, SLICE("null")) || expected(r, "null");
}

static bool digits_of(struct slice text, bool *negative, uint64_t *value) {
    *negative = text.len && *text.ptr == '-';
    if (*negative) text = slice_from(text, 1);
    *value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
        if (__builtin_mul_overflow(*value, 10u, value) ||
            __builtin_add_overflow(*value, (uint64_t)(text.ptr[i] - '0'), value))
            return false;
    }
    return text.len > 0;
}

/* The digits of an integer, as number or string. */
static bool read_integer(struct json_reader *r, bool *negative, uint64_t *value) {
    struct slice text = {NULL, 0};
    struct json_number number;
    if (json_peek(r) == JSON_STRING) {
        if (!json_string(r, &text)) return false;
    } else {
        const char *start = r->at;
        if (!json_number(r, &number)) return false;
        text = slice_make(start, (size_t)(r->at - start));
        /* 1e3 and 5.0 are integers too, by value. */
        if (!number.is_int && number.real >= -9e15 && number.real <= 9e15 &&
            number.real == (double)(int64_t)number.real) {
            *negative = number.real < 0;
            *value = (uint64_t)(*negative ? -number.real : number.real);
            return true;
        }
    }
    if (digits_of(text, negative, value)) return true;
    json_fail(r, "expected an integer, found %.*s", text.len > 40 ? 40 : (int)text.len, text.ptr);
    return false;
}

bool json_int64(struct json_reader *r, int64_t *value) {
    bool negative;
    uint64_t digits;
    if (!read_integer(r, &negative, &digits)) return false;
    if (digits > (uint64_t)INT64_MAX + negative) return json_fail(r, "integer out of range"), false;
    *value = negative ? (int64_t)(0 - digits) : (int64_t)digits;
    return true;
}

bool json_uint64(struct json_reader *r, uint64_t *value) {
    bool negative;
    if (!read_integer(r, &negative, value)) return false;
    if (negative && *value) return json_fail(r, "expected an integer of 0 or more"), false;
    return true;
}

/* A member's key and its colon, only checked; false after the taken '}' or a mistake. */
static inline bool pass_key(struct json_reader *r) {
    if (!next_member(r, '}', "',' or '}'")) return false;
    if (r->at >= r->end || *r->at != '"') return expected(r, "a key in quotes");
    if (!pass_string(r)) return false;
    skip_space(r);
    if (r->at >= r->end || *r->at != ':') return expected(r, "':'");
    r->at++;
    return true;
}

bool json_skip(struct json_reader *r, struct slice *raw) {
    uint32_t depth = r->depth;
    struct json_number number;
    bool flag, objects[JSON_DEPTH_MAX + 1];
    json_peek(r); /* past white space */
    const char *start = r->at;
    do {
        /* A value, then as many closings as follow. */
        switch (json_peek(r)) {
        case JSON_OBJECT:
            if (json_object(r)) objects[r->depth] = true;
            break;
        case JSON_ARRAY:
            if (json_array(r)) objects[r->depth] = false;
            break;
        case JSON_STRING: pass_string(r); break;
        case JSON_NUMBER: json_number(r, &number); break;
        case JSON_BOOL: json_bool(r, &flag); break;
        case JSON_NULL: json_null(r); break;
        case JSON_ERROR: expected(r, "a value"); break;
        }
        while (r->depth > depth && !(objects[r->depth] ? pass_key(r) : json_item(r)) && !r->failed) {
        }
    } while (r->depth > depth && !r->failed);
    if (raw && !r->failed) *raw = slice_make(start, (size_t)(r->at - start));
    return !r->failed;
}

bool json_end(struct json_reader *r) {
    if (r->failed) return false;
    skip_space(r);
    return r->at == r->end || expected(r, "nothing more");
}
