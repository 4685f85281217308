/* See secrets.h. Each scanner jumps from one place where its kind may begin to the next. */
#include "base/secrets.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif
#define XXH_INLINE_ALL
#include <xxhash.h>

const struct secret_kind secret_kinds[SECRET_COUNT] = {
    [SECRET_EMAIL] = {"email", "[email]"},
    [SECRET_PHONE] = {"phone", "[phone]"},
    [SECRET_CARD] = {"card", "[card]"},
    [SECRET_APIKEY] = {"apikey", "[apikey]"},
};

int secret_named(struct slice name) {
    for (int i = 0; i < SECRET_COUNT; i++)
        if (slice_is(name, secret_kinds[i].name)) return i;
    return -1;
}

/* ---- characters ---- */

enum class {
    DIGIT = 1,
    LOWER = 2,
    UPPER = 4,
    UNDERSCORE = 8,
    DASH = 16,
    DOT = 32,
    PLUS = 64,
    PERCENT = 128,
    SLASH = 256,
    EQUALS = 512,
    TILDE = 1024,
    LOWER_HEX = 2048, /* a … f, beside LOWER */
    BLANK = 4096,
    ALNUM = DIGIT | LOWER | UPPER,
    WORD = ALNUM | UNDERSCORE
};

static unsigned class_of(char c) {
    if (c >= '0' && c <= '9') return DIGIT;
    if (c >= 'a' && c <= 'z') return c <= 'f' ? LOWER | LOWER_HEX : LOWER;
    if (c >= 'A' && c <= 'Z') return UPPER;
    switch (c) {
    case '_': return UNDERSCORE;
    case '-': return DASH;
    case '.': return DOT;
    case '+': return PLUS;
    case '%': return PERCENT;
    case '/': return SLASH;
    case '=': return EQUALS;
    case '~': return TILDE;
    case ' ': return BLANK;
    default: return 0;
    }
}

/* Whether the character at that place is one of a class; past the ends there is none. */
static bool is_at(struct slice text, size_t at, unsigned classes) {
    return at < text.len && (class_of(text.ptr[at]) & classes);
}
static bool is_before(struct slice text, size_t at, unsigned classes) {
    return at > 0 && (class_of(text.ptr[at - 1]) & classes);
}
static bool is_char(struct slice text, size_t at, char c) {
    return at < text.len && text.ptr[at] == c;
}
/* How many from there on are of a class; `most` at most. */
static size_t run_of(struct slice text, size_t at, unsigned classes, size_t most) {
    size_t count = 0;
    while (count < most && is_at(text, at + count, classes)) count++;
    return count;
}

/* The first character from `low` to `high`, both counted in, at or behind that place; or the text's end. */
static size_t find_between(struct slice text, size_t at, char low, char high) {
#if defined(__SSE2__)
    const __m128i lowest = _mm_set1_epi8(low), width = _mm_set1_epi8((char)(high - low));
    for (; text.len - at >= 16; at += 16) {
        __m128i above = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(const void *)(text.ptr + at)), lowest);
        unsigned within = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(above, width), above));
        if (within) return at + (unsigned)__builtin_ctz(within);
    }
#endif
    while (at < text.len && (text.ptr[at] < low || text.ptr[at] > high)) at++;
    return at;
}

static bool take(struct slice text, size_t start, size_t end, struct slice *found) {
    *found = slice_make(text.ptr + start, end - start);
    return true;
}

/* ---- e-mail ---- */

enum { LOCAL = WORD | DOT | PLUS | PERCENT | DASH, LOCAL_MAX = 64, LABEL_MAX = 63, TOP_MAX = 24 };

/* Where a top-level domain that begins there ends; 0 = there is none. */
static size_t top_domain_end(struct slice text, size_t at) {
    if (!is_at(text, at, LOWER | UPPER)) return 0;
    size_t end = at + 1 + run_of(text, at + 1, WORD | DASH, TOP_MAX - 1);
    for (; end > at + 1; end--)
        if (is_before(text, end, WORD) != is_at(text, end, WORD)) return end;
    return 0;
}

/* The longest domain: labels with a dot behind each, and a top-level domain. */
static size_t domain_end(struct slice text, size_t at) {
    size_t best = 0;
    for (;;) {
        size_t label = run_of(text, at, WORD | DASH, LABEL_MAX + 1);
        if (!label || label > LABEL_MAX || !is_char(text, at + label, '.')) return best;
        if (text.ptr[at] == '-' || text.ptr[at + label - 1] == '-') return best;
        at += label + 1;
        size_t end = top_domain_end(text, at);
        if (end) best = end;
    }
}

static bool find_email(struct slice text, size_t from, struct slice *found) {
    for (size_t at = from; at < text.len; at++) {
        const char *sign = memchr(text.ptr + at, '@', text.len - at);
        if (!sign) return false;
        at = (size_t)(sign - text.ptr);
        size_t start = at;
        while (start > from && at - start <= LOCAL_MAX && is_before(text, start, LOCAL)) start--;
        if (start == at || at - start > LOCAL_MAX || is_before(text, start, LOCAL)) continue;
        size_t end = domain_end(text, at + 1);
        if (end) return take(text, start, end, found);
    }
    return false;
}

/* ---- phone ---- */

static bool is_one_of(struct slice text, size_t at, const char *chars) {
    return at < text.len && text.ptr[at] && strchr(chars, text.ptr[at]);
}

static bool digits_at(struct slice text, size_t at, size_t count) {
    return run_of(text, at, DIGIT, count) == count;
}

/* Digits with one of `breaks` before any of them, behind which no word goes on; `done` are there already, `least` to
 * `most` are to be. Where they end, or 0. */
static size_t separated_end(struct slice text, size_t at, const char *breaks, int done, int least, int most) {
    size_t good = 0;
    for (int count = done + 1; count <= most; count++) {
        if (is_one_of(text, at, breaks)) at++;
        if (!is_at(text, at, DIGIT)) break;
        at++;
        if (count >= least && !is_at(text, at, WORD | DASH)) good = at;
    }
    return good;
}

static size_t subscriber_end(struct slice text, size_t at) {
    return separated_end(text, at, " ./-", 0, 6, 12);
}

/* "(171)" and what may stand before it; where it ends, or 0. */
static size_t area_end(struct slice text, size_t at) {
    if (is_one_of(text, at, " ./-")) at++;
    if (!is_char(text, at, '(')) return 0;
    size_t digits = run_of(text, at + 1, DIGIT, 4);
    return digits && is_char(text, at + 1 + digits, ')') ? at + digits + 2 : 0;
}

/* "+49 (171) 1234567", "0049 171 1234567". */
static size_t international_end(struct slice text, size_t at) {
    bool zeros = is_char(text, at, '0') && is_char(text, at + 1, '0');
    if (!zeros && !is_char(text, at, '+')) return 0;
    at += zeros ? 2 : 1;
    size_t country = run_of(text, at, DIGIT, 3);
    if (!country || text.ptr[at] == '0' || (zeros && !is_char(text, at + country, ' '))) return 0;
    for (; country; country--) { /* which of the digits are the country's is not written */
        size_t area = area_end(text, at + country), end = area ? subscriber_end(text, area) : 0;
        if (!end) end = subscriber_end(text, at + country);
        if (end) return end;
    }
    return 0;
}

/* "(555) 123-4567", "555.123.4567". */
static size_t american_end(struct slice text, size_t at) {
    if (is_char(text, at, '(')) {
        if (!digits_at(text, at + 1, 3) || !is_char(text, at + 4, ')')) return 0;
        at += is_char(text, at + 5, ' ') ? 6 : 5;
    } else {
        if (!digits_at(text, at, 3) || !is_one_of(text, at + 3, " .-")) return 0;
        at += 4;
    }
    if (!digits_at(text, at, 3) || !is_one_of(text, at + 3, " .-") || !digits_at(text, at + 4, 4)) return 0;
    return is_at(text, at + 8, WORD | DASH) ? 0 : at + 8;
}

/* "030/123456", "0171 123 45 67": a leading zero and a break. */
static size_t national_end(struct slice text, size_t at) {
    if (!is_char(text, at, '0') || !is_at(text, at + 1, DIGIT) || text.ptr[at + 1] == '0') return 0;
    size_t area = run_of(text, at + 2, DIGIT, 4);
    if (!area || area > 3 || !is_one_of(text, at + 2 + area, " /-")) return 0;
    at += 3 + area;
    size_t digits = run_of(text, at, DIGIT, 9);
    if (digits < 3 || digits > 8) return 0;
    at += digits;
    size_t good = is_at(text, at, WORD | DOT | DASH) ? 0 : at;
    for (int group = 0; group < 2; group++) {
        if (!is_one_of(text, at, " -")) break;
        digits = run_of(text, at + 1, DIGIT, 7);
        if (digits < 2 || digits > 6) break;
        at += 1 + digits;
        if (!is_at(text, at, WORD | DOT | DASH)) good = at;
    }
    return good;
}

static bool find_phone(struct slice text, size_t from, struct slice *found) {
    for (size_t at = from; (at = find_between(text, at, '(', '9')) < text.len; at++) {
        char c = text.ptr[at];
        if (!((c >= '0' && c <= '9') || c == '+' || c == '(') || is_before(text, at, WORD | PLUS | DOT | DASH))
            continue;
        size_t end = international_end(text, at);
        if (!end) end = american_end(text, at);
        if (!end) end = national_end(text, at);
        if (end) return take(text, at, end, found);
    }
    return false;
}

/* ---- card ---- */

enum { CARD_DIGITS_MIN = 12, CARD_DIGITS_MAX = 19 };

static bool adds_up(struct slice text) {
    unsigned sum = 0, count = 0;
    for (size_t i = text.len; i-- > 0;) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') continue;
        unsigned digit = (unsigned)(text.ptr[i] - '0');
        if (count++ % 2 && (digit *= 2) > 9) digit -= 9;
        sum += digit;
    }
    return count >= CARD_DIGITS_MIN && count <= CARD_DIGITS_MAX && sum % 10 == 0;
}

/* How much of the digits, from their beginning to a break, is a card's number: others may stand close behind it. */
static size_t card_length(struct slice text) {
    for (size_t len = text.len; len; len--)
        if ((len == text.len || text.ptr[len] == ' ' || text.ptr[len] == '-') && adds_up(slice_make(text.ptr, len)))
            return len;
    return 0;
}

/* The first four stand together. */
static size_t card_digits_end(struct slice text, size_t at) {
    return digits_at(text, at, 4) ? separated_end(text, at + 4, " -", 4, CARD_DIGITS_MIN, CARD_DIGITS_MAX) : 0;
}

static bool find_card(struct slice text, size_t from, struct slice *found) {
    for (size_t at = from; (at = find_between(text, at, '2', '6')) < text.len; at++) {
        if (is_before(text, at, WORD | DOT | DASH)) continue;
        size_t end = card_digits_end(text, at);
        if (!end) continue;
        size_t length = card_length(slice_make(text.ptr + at, end - at));
        if (length) return take(text, at, at + length, found);
        at += run_of(text, at, DIGIT, SIZE_MAX) - 1;
    }
    return false;
}

/* ---- API keys ---- */

/* A prefix ('?' is a small letter), then so many characters of a class: `least` at least, `most` at most. */
static const struct key_form {
    const char *prefix;
    unsigned classes;
    size_t least, most;
} key_forms[] = {
    /* OpenAI, Anthropic, OpenRouter, DeepSeek; Langfuse */
    {"sk-", ALNUM | UNDERSCORE | DASH, 20, SIZE_MAX},
    {"sk-lf-", DIGIT | LOWER_HEX | DASH, 36, 36},
    {"pk-lf-", DIGIT | LOWER_HEX | DASH, 36, 36},
    /* Google */
    {"AIza", WORD | DASH, 35, 35},
    {"ya29.", WORD | DASH, 20, SIZE_MAX},
    /* AWS */
    {"AKIA", UPPER | DIGIT, 16, 16},
    {"ASIA", UPPER | DIGIT, 16, 16},
    /* GitHub, GitLab */
    {"ghp_", ALNUM, 36, SIZE_MAX},
    {"gho_", ALNUM, 36, SIZE_MAX},
    {"ghu_", ALNUM, 36, SIZE_MAX},
    {"ghs_", ALNUM, 36, SIZE_MAX},
    {"ghr_", ALNUM, 36, SIZE_MAX},
    {"github_pat_", WORD, 40, SIZE_MAX},
    {"glpat-", WORD | DASH, 20, SIZE_MAX},
    /* Slack */
    {"xoxa-", ALNUM | DASH, 10, SIZE_MAX},
    {"xoxb-", ALNUM | DASH, 10, SIZE_MAX},
    {"xoxe-", ALNUM | DASH, 10, SIZE_MAX},
    {"xoxo-", ALNUM | DASH, 10, SIZE_MAX},
    {"xoxp-", ALNUM | DASH, 10, SIZE_MAX},
    {"xoxr-", ALNUM | DASH, 10, SIZE_MAX},
    {"xoxs-", ALNUM | DASH, 10, SIZE_MAX},
    {"xapp-", ALNUM | DASH, 10, SIZE_MAX},
    /* Stripe */
    {"rk_live_", ALNUM, 16, SIZE_MAX},
    {"rk_test_", ALNUM, 16, SIZE_MAX},
    {"sk_live_", ALNUM, 16, SIZE_MAX},
    {"sk_test_", ALNUM, 16, SIZE_MAX},
    {"pk_live_", ALNUM, 16, SIZE_MAX},
    {"pk_test_", ALNUM, 16, SIZE_MAX},
    {"whsec_", ALNUM | PLUS | SLASH | EQUALS, 24, SIZE_MAX},
    /* Hugging Face, Groq, xAI, Perplexity, Replicate, Fireworks */
    {"hf_", ALNUM, 30, SIZE_MAX},
    {"gsk_", ALNUM, 40, SIZE_MAX},
    {"xai-", ALNUM, 40, SIZE_MAX},
    {"pplx-", ALNUM, 40, SIZE_MAX},
    {"r8_", ALNUM, 30, SIZE_MAX},
    {"fw_", ALNUM, 20, SIZE_MAX},
    /* npm, PyPI, DigitalOcean, Square, LangSmith */
    {"npm_", ALNUM, 36, 36},
    {"pypi-", WORD | DASH, 50, SIZE_MAX},
    {"dop_v1_", DIGIT | LOWER_HEX, 64, 64},
    {"sq0atp-", WORD | DASH, 22, SIZE_MAX},
    {"sq0csp-", WORD | DASH, 22, SIZE_MAX},
    {"lsv2_??_", WORD, 30, SIZE_MAX},
};
enum { KEY_FORMS = sizeof key_forms / sizeof *key_forms };

/* Where a text that begins as `prefix` goes on after it; 0 = it does not. */
static size_t after(struct slice text, size_t at, const char *prefix) {
    for (; *prefix; prefix++, at++)
        if (*prefix == '?' ? !is_at(text, at, LOWER) : !is_char(text, at, *prefix)) return 0;
    return at;
}

/* A run of `least` or more, at most `most`, with a dot behind it: where it goes on; 0 = there is none. */
static size_t dotted_run(struct slice text, size_t at, size_t least, size_t most) {
    size_t run = at ? run_of(text, at, WORD | DASH, most) : 0;
    return run >= least && is_char(text, at + run, '.') ? at + run + 1 : 0;
}

static size_t sendgrid_end(struct slice text, size_t at) {
    size_t second = dotted_run(text, after(text, at, "SG."), 16, 32);
    size_t run = second ? run_of(text, second, WORD | DASH, 64) : 0;
    return run >= 16 ? second + run : 0;
}

/* What one look at a text has learnt, so that no part of it is gone through twice. */
struct key_search {
    size_t no_token_before;   /* a web token that begins before cannot be one: its first part has failed already */
    size_t no_pem_end_before; /* there is no last line of a PEM file between where one was missed and here */
};

/* Three parts with dots between. What fails for one beginning fails for all later ones in the same first part. */
static size_t web_token_end(struct key_search *search, struct slice text, size_t at) {
    if (at < search->no_token_before) return 0;
    size_t first = after(text, at, "eyJ");
    if (!first) return 0;
    size_t second = dotted_run(text, first, 10, SIZE_MAX);
    size_t third = second ? dotted_run(text, after(text, second, "eyJ"), 10, SIZE_MAX) : 0;
    size_t run = third ? run_of(text, third, WORD | DASH, SIZE_MAX) : 0;
    if (run >= 10) return third + run;
    search->no_token_before = second ? second - 1 : first + run_of(text, first, WORD | DASH, SIZE_MAX);
    return 0;
}

static size_t bearer_end(struct slice text, size_t at) {
    static const char word[] = "bearer";
    for (size_t i = 0; i < sizeof word - 1; i++, at++)
        if (at >= text.len || (text.ptr[at] | 0x20) != word[i]) return 0;
    size_t blanks = run_of(text, at, BLANK, SIZE_MAX);
    size_t run = blanks ? run_of(text, at + blanks, WORD | DOT | TILDE | PLUS | SLASH | DASH, SIZE_MAX) : 0;
    if (run < 20) return 0;
    at += blanks + run;
    return at + run_of(text, at, EQUALS, SIZE_MAX);
}

/* "RSA PRIVATE KEY-----" where a line of a PEM file goes on after BEGIN or END: its end, or 0. */
static size_t pem_line_end(struct slice text, size_t at) {
    static const char what[] = "PRIVATE KEY";
    size_t run = at ? run_of(text, at, UPPER | BLANK, SIZE_MAX) : 0, len = sizeof what - 1;
    if (run < len || memcmp(text.ptr + at + run - len, what, len) != 0) return 0;
    return after(text, at + run, "-----");
}

static size_t private_key_end(struct key_search *search, struct slice text, size_t at) {
    enum { INSIDE_MAX = 8192 };
    at = pem_line_end(text, after(text, at, "-----BEGIN "));
    if (!at) return 0;
    size_t last = at + INSIDE_MAX;
    if (++at < search->no_pem_end_before) at = search->no_pem_end_before;
    for (; at < text.len && at <= last; at++) {
        size_t end = text.ptr[at] == '-' ? pem_line_end(text, after(text, at, "-----END ")) : 0;
        if (end) return end;
    }
    search->no_pem_end_before = at;
    return 0;
}

static size_t key_end(struct key_search *search, struct slice text, size_t at) {
    for (size_t i = 0; i < KEY_FORMS; i++) {
        const struct key_form *form = &key_forms[i];
        if (*form->prefix != text.ptr[at]) continue;
        size_t rest = after(text, at, form->prefix);
        size_t run = rest ? run_of(text, rest, form->classes, form->most) : 0;
        if (run >= form->least) return rest + run;
    }
    switch (text.ptr[at]) {
    case 'S': return sendgrid_end(text, at);
    case 'e': return web_token_end(search, text, at);
    case 'b':
    case 'B': return bearer_end(text, at);
    case '-': return private_key_end(search, text, at);
    default: return 0;
    }
}

/* What may follow the first character of a key, by that character: a bit for the lower half of each. Nearly no word of
 * a text goes on so. */
#define LOW(c) (1u << ((c)&31))
static const uint32_t second_chars[256] = {['-'] = LOW('-'),
                                           ['A'] = LOW('I') | LOW('K') | LOW('S'),
                                           ['B'] = LOW('e'),
                                           ['S'] = LOW('G'),
                                           ['b'] = LOW('e'),
                                           ['d'] = LOW('o'),
                                           ['e'] = LOW('y'),
                                           ['f'] = LOW('w'),
                                           ['g'] = LOW('h') | LOW('i') | LOW('l') | LOW('s'),
                                           ['h'] = LOW('f'),
                                           ['l'] = LOW('s'),
                                           ['n'] = LOW('p'),
                                           ['p'] = LOW('k') | LOW('p') | LOW('y'),
                                           ['r'] = LOW('8') | LOW('k'),
                                           ['s'] = LOW('k') | LOW('q'),
                                           ['w'] = LOW('h'),
                                           ['x'] = LOW('a') | LOW('o'),
                                           ['y'] = LOW('a')};
#undef LOW

static inline bool may_begin_key(struct slice text, size_t at) {
    return second_chars[(unsigned char)text.ptr[at]] >> (text.ptr[at + 1] & 31) & 1;
}

static bool find_key(struct slice text, size_t from, struct slice *found) {
    struct key_search search = {0};
    for (size_t at = from; at + 1 < text.len; at++) {
        if (!may_begin_key(text, at) || is_before(text, at, ALNUM)) continue;
        size_t end = key_end(&search, text, at);
        if (end) return take(text, at, end, found);
    }
    return false;
}

/* ---- all ---- */

bool secret_find(enum secret kind, struct slice text, size_t from, struct slice *found) {
    switch (kind) {
    case SECRET_EMAIL: return find_email(text, from, found);
    case SECRET_PHONE: return find_phone(text, from, found);
    case SECRET_CARD: return find_card(text, from, found);
    case SECRET_APIKEY: return find_key(text, from, found);
    case SECRET_COUNT: break;
    }
    return false;
}

void secret_put_replacement(struct buf *out, struct slice replacement, struct slice found, bool tagged) {
    buf_put_slice(out, replacement);
    if (tagged) buf_printf(out, "-%08x", (unsigned)XXH3_64bits(found.ptr, found.len));
}

bool secret_mask(enum secret kind, struct slice text, bool tagged, struct buf *out) {
    struct slice found, replacement = slice_of(secret_kinds[kind].replacement);
    size_t copied = 0;
    bool any = false;
    while (secret_find(kind, text, copied, &found)) {
        buf_put(out, text.ptr + copied, (size_t)(found.ptr - text.ptr) - copied);
        secret_put_replacement(out, replacement, found, tagged);
        copied = (size_t)(found.ptr - text.ptr) + found.len;
        any = true;
    }
    if (any) buf_put(out, text.ptr + copied, text.len - copied);
    return any;
}
