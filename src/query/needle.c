/* Word search: a fast look for the bytes first; only texts that have them are looked at closely. */
#include "query/needle.h"

#include "base/json.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline char fold(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c | 32) : c;
}
static inline bool is_letter(char c) {
    return (c | 32) >= 'a' && (c | 32) <= 'z';
}
/* Bytes of a multi-byte character are taken as letters. */
static inline bool in_word(char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c < 0;
}

static bool folded_eq(const char *text, const char *folded, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (fold(text[i]) != folded[i]) return false;
    return true;
}

const char *find_folded(struct slice text, struct slice part) {
    if (!part.len) return text.ptr;
    if (text.len < part.len) return NULL;
    const char *at = text.ptr, *last = text.ptr + (text.len - part.len);
    char first_char = part.ptr[0], last_char = part.ptr[part.len - 1];
#ifdef __SSE2__
    /* A place where the first and the last byte fit is rare enough to compare the rest there. Letters fold by setting
     * bit 5. */
    __m128i first_bit = _mm_set1_epi8(is_letter(first_char) ? 32 : 0),
            last_bit = _mm_set1_epi8(is_letter(last_char) ? 32 : 0);
    __m128i first = _mm_set1_epi8(first_char), final = _mm_set1_epi8(last_char);
    while (last - at >= 15) {
        __m128i a = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(at + part.len - 1));
        __m128i hit = _mm_and_si128(_mm_cmpeq_epi8(_mm_or_si128(a, first_bit), first),
                                    _mm_cmpeq_epi8(_mm_or_si128(b, last_bit), final));
        for (unsigned bits = (unsigned)_mm_movemask_epi8(hit); bits; bits &= bits - 1) {
            const char *here = at + __builtin_ctz(bits);
            if (folded_eq(here, part.ptr, part.len)) return here;
        }
        at += 16;
    }
#endif
    for (; at <= last; at++)
        if (fold(*at) == first_char && fold(at[part.len - 1]) == last_char && folded_eq(at, part.ptr, part.len))
            return at;
    return NULL;
}

/* Lower case of the letters beyond ASCII that have two bytes: Latin-1, Greek, Cyrillic. */
static void fold_wide(char *text, size_t len) {
    for (size_t i = 0; i + 1 < len; i++) {
        uint8_t a = (uint8_t)text[i], b = (uint8_t)text[i + 1];
        if (a < 0xc3 || a > 0xd0) continue;
        unsigned code = (a & 0x1fU) << 6 | (b & 0x3fU);
        if ((code >= 0xc0 && code <= 0xde && code != 0xd7) || (code >= 0x391 && code <= 0x3a9) ||
            (code >= 0x410 && code <= 0x42f))
            code += 32;
        else if (code >= 0x400 && code <= 0x40f)
            code += 80;
        else
            continue;
        text[i] = (char)(0xc0 | code >> 6);
        text[i + 1] = (char)(0x80 | (code & 0x3f));
    }
}

static void fold_all(char *text, size_t len) {
    bool wide = false;
    for (size_t i = 0; i < len; i++) {
        text[i] = fold(text[i]);
        wide |= text[i] < 0;
    }
    if (wide) fold_wide(text, len);
}

/* The longest run of bytes that neither JSON nor folding changes but for ASCII case. */
static struct slice longest_plain(struct slice text) {
    struct slice best = {NULL, 0};
    for (size_t start = 0, i = 0; i <= text.len; i++) {
        bool plain =
            i < text.len && text.ptr[i] >= ' ' && text.ptr[i] != '"' && text.ptr[i] != '\\' && text.ptr[i] != '/';
        if (plain) continue;
        if (i - start > best.len) best = slice_make(text.ptr + start, i - start);
        start = i + 1;
    }
    return best;
}

/* Words whose both ends are certain: those at an open end of the needle may go on in the text. */
static bool collect_words(struct needle *n, struct arena *arena) {
    struct slice text = n->folded;
    n->words = arena_alloc(arena, (text.len / 2 + 1) * sizeof *n->words);
    if (!n->words) return false;
    for (size_t i = 0; i < text.len;) {
        size_t start = i;
        while (i < text.len && in_word(text.ptr[i])) i++;
        bool whole = i > start && (start > 0 || n->at_start) && (i < text.len || n->at_end);
        if (whole) n->words[n->word_count++] = slice_make(text.ptr + start, i - start);
        if (i < text.len && i == start) i++;
    }
    return true;
}

bool needle_init(struct needle *n, struct slice text, bool literal, struct arena *arena) {
    *n = (struct needle){0};
    bool open_start = !literal && text.len && text.ptr[0] == '*';
    if (open_start) text = slice_from(text, 1);
    bool open_end = !literal && text.len && text.ptr[text.len - 1] == '*';
    if (open_end) text.len--;
    n->folded = arena_copy(arena, text);
    if (!n->folded.ptr) return false;
    char *copy = arena_alloc(arena, text.len + 1);
    if (!copy) return false;
    if (text.len) memcpy(copy, text.ptr, text.len);
    fold_all(copy, text.len);
    n->folded.ptr = copy;
    n->at_start = !open_start && text.len && in_word(copy[0]);
    n->at_end = !open_end && text.len && in_word(copy[text.len - 1]);
    n->probe = longest_plain(n->folded);
    return collect_words(n, arena);
}

static bool found_in_plain(const struct needle *n, struct slice text) {
    struct slice rest = text;
    for (const char *at; (at = find_folded(rest, n->folded)); rest = slice_from(rest, (size_t)(at - rest.ptr) + 1)) {
        const char *after = at + n->folded.len;
        bool start_fits = !n->at_start || at == text.ptr || !in_word(at[-1]);
        bool end_fits = !n->at_end || after == text.ptr + text.len || !in_word(*after);
        if (start_fits && end_fits) return true;
        if (!n->folded.len) return true;
    }
    return false;
}

static bool has_wide(struct slice text) {
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0) return true;
    return false;
}

bool needle_found(const struct needle *n, struct slice text, struct buf *scratch) {
    bool json = text.len && (text.ptr[0] == '[' || text.ptr[0] == '{');
    bool wide = has_wide(n->folded);
    if (!text.len) return false;
    if (!json && !wide) return found_in_plain(n, text);
    if (!wide && n->probe.len && !find_folded(text, n->probe)) return false;
    buf_clear(scratch);
    if (json)
        messages_text(text, scratch);
    else
        buf_put_slice(scratch, text);
    if (scratch->failed) return false;
    if (wide) fold_all(scratch->ptr, scratch->len);
    return found_in_plain(n, buf_slice(scratch));
}

static void put_texts(struct json_reader *r, struct buf *out) {
    struct slice key, text;
    switch (json_peek(r)) {
    case JSON_OBJECT:
        json_object(r);
        while (json_key(r, &key)) {
            if (slice_is(key, "role") || slice_is(key, "type"))
                json_skip(r, NULL);
            else
                put_texts(r, out);
        }
        break;
    case JSON_ARRAY:
        json_array(r);
        while (json_item(r)) put_texts(r, out);
        break;
    case JSON_STRING:
        if (json_string(r, &text)) {
            buf_put_slice(out, text);
            buf_putc(out, '\n');
        }
        break;
    default: json_skip(r, NULL);
    }
}

void messages_text(struct slice json, struct buf *out) {
    struct arena arena;
    struct json_reader r;
    size_t before = out->len;
    arena_init(&arena, 0);
    json_reader_init(&r, json, &arena);
    put_texts(&r, out);
    if (!json_end(&r)) { /* it only looked like JSON */
        out->len = before;
        buf_put_slice(out, json);
    }
    arena_free(&arena);
}
