/* Rules: those that are built in, and patterns compiled by PCRE2's JIT, matched within limits. */
#include "span/mask_rules.h"

#include "base/utf8.h"

enum { MATCH_LIMIT = 200000, PATTERN_BYTES_MAX = 4096 };

static const struct mask_rule *add_rule(struct mask *mask, struct mask_rule rule, struct error *err) {
    if (mask->rule_count == MASK_RULES_MAX) {
        error_set(err, VT_ELIMIT, "masking: more than %d rules", MASK_RULES_MAX);
        return NULL;
    }
    mask->rules[mask->rule_count] = rule;
    return &mask->rules[mask->rule_count++];
}

static bool compile(struct mask *mask, struct mask_rule *rule, struct slice pattern, struct error *err) {
    int number;
    PCRE2_SIZE at;
    rule->code =
        pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len, PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, &number, &at, NULL);
    if (!rule->code) {
        char why[120];
        pcre2_get_error_message(number, (PCRE2_UCHAR *)why, sizeof why);
        error_set(err, VT_EINVAL, "masking rule \"%.*s\": column %zu of its pattern: %s", (int)rule->name.len,
                  rule->name.ptr, (size_t)at + 1, why);
        if (err) err->column = (int)at + 1;
        return false;
    }
    pcre2_jit_compile(rule->code, PCRE2_JIT_COMPLETE); /* without it the same is done more slowly */
    if (!mask->limits && (mask->limits = pcre2_match_context_create(NULL)))
        pcre2_set_match_limit(mask->limits, MATCH_LIMIT);
    return true;
}

const struct mask_rule *mask_rule_builtin(struct mask *mask, struct slice name, struct error *err) {
    int kind = secret_named(name);
    for (uint32_t i = 0; i < mask->rule_count && kind >= 0; i++)
        if (!mask->rules[i].own && (int)mask->rules[i].kind == kind) return &mask->rules[i];
    if (kind >= 0)
        return add_rule(mask, (struct mask_rule){.name = slice_of(secret_kinds[kind].name), .kind = (enum secret)kind},
                        err);
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
    if (!compile(mask, &rule, pattern, err)) return NULL;
    const struct mask_rule *added = add_rule(mask, rule, err);
    if (!added) pcre2_code_free(rule.code);
    return added;
}

/* ---- matching ---- */

/* One own rule. True when `out` holds the text anew; else it is as it was. */
static bool apply_own(const struct mask *mask, const struct mask_rule *rule, struct slice text, bool tagged,
                      pcre2_match_data *found, struct buf *out) {
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
        if (secret.len && start >= copied) {
            buf_put(out, text.ptr + copied, start - copied);
            secret_put_replacement(out, rule->replacement, secret, tagged);
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
    pcre2_match_data *found = NULL;
    for (uint32_t i = 0; i < policy->rule_count; i++) {
        const struct mask_rule *rule = policy->rules[i];
        buf_clear(&steps[step]);
        if (rule->own && !found && !(found = pcre2_match_data_create(32, NULL))) {
            out->failed = true;
            break;
        }
        if (!(rule->own ? apply_own(mask, rule, text, tagged, found, &steps[step])
                        : secret_mask(rule->kind, text, tagged, &steps[step])))
            continue;
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
