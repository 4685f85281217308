/* Rules: patterns compiled by PCRE2's JIT, matched within limits. */
#include "span/mask_rules.h"

#include "base/utf8.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { MATCH_LIMIT = 200000, PATTERN_BYTES_MAX = 4096 };

static const struct {
    const char *name, *pattern, *replacement;
    char needs;
    bool luhn;
} builtins[] = {
    {"email", "(?<![\\w.+%-])[\\w.+%-]{1,64}@(?:[\\w](?:[\\w-]{0,61}[\\w])?\\.)+[A-Za-z][\\w-]{1,23}\\b", "[email]",
     '@', false},
    /* With the country's code; as written in North America; with a leading zero and a break. */
    {"phone",
     "(?<![\\w+.-])(?:\\+|00(?=[1-9]\\d{0,2} ))[1-9]\\d{0,2}(?:[ ./-]?\\(\\d{1,4}\\))?(?:[ ./-]?\\d){6,12}(?![\\w-])"
     "|(?<![\\w.+-])(?:\\(\\d{3}\\) ?|\\d{3}[ .-])\\d{3}[ .-]\\d{4}(?![\\w-])"
     "|(?<![\\w.+-])0[1-9]\\d{1,3}[ /-]\\d{3,8}(?:[ -]\\d{2,6}){0,2}(?![\\w.-])",
     "[phone]", 0, false},
    {"card", "(?<![\\w.-])[2-6]\\d{3}(?:[ -]?\\d){8,15}(?![\\w-])", "[card]", 0, true},
    {"apikey",
     "(?<![A-Za-z0-9])(?:"
     "sk-(?:[a-z0-9]+-)*[A-Za-z0-9_-]{20,}|[sp]k-lf-[0-9a-f-]{36}" /* OpenAI, Anthropic, OpenRouter, DeepSeek, Langfuse
                                                                    */
     "|AIza[\\w-]{35}|ya29\\.[\\w-]{20,}"                          /* Google */
     "|(?:AKIA|ASIA)[A-Z0-9]{16}"                                  /* AWS */
     "|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\\w{40,}|glpat-[\\w-]{20,}"        /* GitHub, GitLab */
     "|xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}"                   /* Slack */
     "|[rsp]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{24,}"         /* Stripe */
     "|hf_[A-Za-z0-9]{30,}|gsk_[A-Za-z0-9]{40,}|xai-[A-Za-z0-9]{40,}"           /* Hugging Face, Groq, xAI */
     "|pplx-[A-Za-z0-9]{40,}|r8_[A-Za-z0-9]{30,}|fw_[A-Za-z0-9]{20,}"           /* Perplexity, Replicate, Fireworks */
     "|SG\\.[\\w-]{16,32}\\.[\\w-]{16,64}|npm_[A-Za-z0-9]{36}|pypi-[\\w-]{50,}" /* SendGrid, npm, PyPI */
     "|dop_v1_[0-9a-f]{64}|sq0(?:atp|csp)-[\\w-]{22,}|lsv2_[a-z]{2}_\\w{30,}"   /* DigitalOcean, Square, LangSmith */
     "|eyJ[\\w-]{10,}\\.eyJ[\\w-]{10,}\\.[\\w-]{10,}"                           /* JSON web tokens */
     "|(?i:bearer) +[\\w.~+/-]{20,}=*"
     "|-----BEGIN [A-Z ]*PRIVATE KEY-----[\\s\\S]{1,8192}?-----END [A-Z ]*PRIVATE KEY-----"
     ")",
     "[apikey]", 0, false},
};
enum { BUILTINS = sizeof builtins / sizeof *builtins };

static const struct mask_rule *add_rule(struct mask *mask, struct mask_rule rule, struct slice pattern,
                                        struct error *err) {
    int number;
    PCRE2_SIZE at;
    if (mask->rule_count == MASK_RULES_MAX) {
        error_set(err, VT_ELIMIT, "masking: more than %d rules", MASK_RULES_MAX);
        return NULL;
    }
    rule.code =
        pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len, PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, &number, &at, NULL);
    if (!rule.code) {
        char why[120];
        pcre2_get_error_message(number, (PCRE2_UCHAR *)why, sizeof why);
        error_set(err, VT_EINVAL, "masking rule \"%.*s\": column %zu of its pattern: %s", (int)rule.name.len,
                  rule.name.ptr, (size_t)at + 1, why);
        if (err) err->column = (int)at + 1;
        return NULL;
    }
    pcre2_jit_compile(rule.code, PCRE2_JIT_COMPLETE); /* without it the same is done more slowly */
    if (!mask->limits && (mask->limits = pcre2_match_context_create(NULL)))
        pcre2_set_match_limit(mask->limits, MATCH_LIMIT);
    mask->rules[mask->rule_count] = rule;
    return &mask->rules[mask->rule_count++];
}

const struct mask_rule *mask_rule_builtin(struct mask *mask, struct slice name, struct error *err) {
    for (uint32_t i = 0; i < mask->rule_count; i++)
        if (!mask->rules[i].own && slice_eq(mask->rules[i].name, name)) return &mask->rules[i];
    for (size_t i = 0; i < BUILTINS; i++) {
        if (!slice_is(name, builtins[i].name)) continue;
        struct mask_rule rule = {.name = slice_of(builtins[i].name),
                                 .replacement = slice_of(builtins[i].replacement),
                                 .needs = builtins[i].needs,
                                 .luhn = builtins[i].luhn};
        return add_rule(mask, rule, slice_of(builtins[i].pattern), err);
    }
    error_set(err, VT_EINVAL, "masking rule \"%.*s\" is not known; expected email, phone, card or apikey",
              name.len > 60 ? 60 : (int)name.len, name.ptr ? name.ptr : "");
    if (err) error_hint(err, "own patterns stand under \"patterns\" in a YAML file");
    return NULL;
}

const struct mask_rule *mask_rule_own(struct mask *mask, struct slice name, struct slice pattern,
                                      struct slice replacement, struct error *err) {
    struct mask_rule rule = {
        .name = arena_copy(&mask->arena, name), .replacement = arena_copy(&mask->arena, replacement), .own = true};
    if (!rule.replacement.len) rule.replacement = arena_printf(&mask->arena, "[%.*s]", (int)name.len, name.ptr);
    if (pattern.len > PATTERN_BYTES_MAX) {
        error_set(err, VT_ELIMIT, "masking rule \"%.*s\": its pattern is longer than %d bytes", (int)name.len, name.ptr,
                  PATTERN_BYTES_MAX);
        return NULL;
    }
    if (!rule.name.ptr || !rule.replacement.ptr) {
        error_set(err, VT_ENOMEM, "no memory for masking");
        return NULL;
    }
    return add_rule(mask, rule, pattern, err);
}

/* ---- matching ---- */

static bool adds_up(struct slice text) {
    unsigned sum = 0, count = 0;
    for (size_t i = text.len; i-- > 0;) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') continue;
        unsigned digit = (unsigned)(text.ptr[i] - '0');
        if (count++ % 2 && (digit *= 2) > 9) digit -= 9;
        sum += digit;
    }
    return count >= 12 && count <= 19 && sum % 10 == 0;
}

/* How much of the digits, from their beginning to a break, is a card's number: others may stand close behind it. */
static size_t card_length(struct slice text) {
    for (size_t len = text.len; len; len--)
        if ((len == text.len || text.ptr[len] == ' ' || text.ptr[len] == '-') && adds_up(slice_make(text.ptr, len)))
            return len;
    return 0;
}

static size_t digits_length(struct slice text) {
    size_t len = 0;
    while (len < text.len && text.ptr[len] >= '0' && text.ptr[len] <= '9') len++;
    return len;
}

static void put_replacement(struct buf *out, const struct mask_rule *rule, struct slice found, bool tagged) {
    buf_put_slice(out, rule->replacement);
    if (tagged) buf_printf(out, "-%08x", (unsigned)XXH3_64bits(found.ptr, found.len));
}

/* One rule. True when `out` holds the text anew; else it is as it was. */
static bool apply(const struct mask *mask, const struct mask_rule *rule, struct slice text, bool tagged,
                  pcre2_match_data *found, struct buf *out) {
    if (rule->needs && !memchr(text.ptr, rule->needs, text.len)) return false;
    size_t mark = out->len, from = 0, copied = 0;
    const uint32_t options = utf8_valid_length(text.ptr, text.len) == text.len ? PCRE2_NO_UTF_CHECK : 0;
    while (from <= text.len) {
        int groups = pcre2_match(rule->code, (PCRE2_SPTR)text.ptr, text.len, from, options, found, mask->limits);
        if (groups == PCRE2_ERROR_NOMATCH) break;
        if (groups < 0) {
            /* It cannot be said what the text holds: none of it is kept. */
            out->len = mark;
            buf_printf(out, "[masked: rule %.*s gave up]", (int)rule->name.len, rule->name.ptr);
            return true;
        }
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(found);
        size_t group = groups > 1 && at[2] != PCRE2_UNSET ? 2 : 0, start = at[group], end = at[group + 1], next = at[1];
        struct slice secret = slice_make(text.ptr + start, end > start ? end - start : 0);
        if (rule->luhn) {
            size_t length = card_length(secret);
            if (!length)
                next = start + digits_length(secret);
            else
                next = start + length;
            secret.len = length;
        }
        if (secret.len && start >= copied) {
            buf_put(out, text.ptr + copied, start - copied);
            put_replacement(out, rule, secret, tagged);
            copied = start + secret.len;
        }
        from = next > from ? next : from + 1;
        while (from < text.len && ((unsigned char)text.ptr[from] & 0xc0) == 0x80) from++;
    }
    if (!copied) return false;
    buf_put(out, text.ptr + copied, text.len - copied);
    return true;
}

bool mask_plain(const struct mask *mask, const struct mask_policy *policy, struct slice text, bool tagged,
                struct buf *out) {
    struct buf steps[2] = {{0}, {0}};
    int step = 0;
    bool changed = false;
    if (!text.len || !policy->rule_count) return false;
    pcre2_match_data *found = pcre2_match_data_create(32, NULL);
    if (!found) out->failed = true;
    for (uint32_t i = 0; found && i < policy->rule_count; i++) {
        buf_clear(&steps[step]);
        if (!apply(mask, policy->rules[i], text, tagged, found, &steps[step])) continue;
        text = buf_slice(&steps[step]);
        changed = true;
        out->failed |= steps[step].failed;
        step = !step;
    }
    if (changed) buf_put_slice(out, text);
    pcre2_match_data_free(found);
    buf_free(&steps[0]);
    buf_free(&steps[1]);
    return changed;
}
