/* Masking: loading, and a span's texts. */
#include "span/mask.h"

#include "base/json.h"
#include "base/utf8.h"
#include "span/mask_rules.h"
#include "span/yaml_file.h"

#include <stdlib.h>

const struct mask_policy *mask_policy_of(const struct mask *mask, struct slice project) {
    for (uint32_t i = 1; i < mask->policy_count; i++)
        if (slice_eq(mask->policies[i].project, project)) return &mask->policies[i];
    return &mask->policies[0];
}

/* ---- a span ---- */

static bool set_text(struct slice *text, struct buf *made, struct arena *arena) {
    *text = made->failed ? (struct slice){NULL, 0} : arena_copy(arena, buf_slice(made));
    bool good = !made->failed && text->ptr;
    buf_clear(made);
    return good;
}

/* A prompt or completion: a list of messages, or text. */
static bool mask_content(const struct mask *mask, const struct mask_policy *policy, struct slice *text,
                         struct buf *made, struct arena *arena) {
    struct json_reader r;
    struct arena none = {0};
    if (policy->capture == CAPTURE_NONE) {
        *text = (struct slice){NULL, 0};
        return true;
    }
    json_reader_init(&r, *text, &none);
    bool list = text->len > 1 && *text->ptr == '[' && json_skip(&r, NULL) && json_end(&r);
    arena_free(&none);
    if (list) return !mask_json(mask, policy, *text, MASK_JSON_CONTENT, made) || set_text(text, made, arena);
    bool changed = mask_plain(mask, policy, *text, false, made);
    if (changed && !set_text(text, made, arena)) return false;
    if (policy->capture != CAPTURE_PREVIEW) return !made->failed;
    size_t at = 0;
    for (unsigned chars = 0; at < text->len && chars < MASK_PREVIEW_CHARS; chars++) {
        size_t n = utf8_length((const uint8_t *)text->ptr + at, text->len - at);
        at += n ? n : 1;
    }
    if (at == text->len) return true;
    buf_put(made, text->ptr, at);
    buf_puts(made, "...");
    return set_text(text, made, arena);
}

bool mask_span(const struct mask *mask, struct span *span, struct arena *arena) {
    static const struct {
        enum col col;
        enum { PLAIN, ID, CONTENT, ATTRIBUTES, EVENTS } as;
    } texts[] = {{COL_PROMPT, CONTENT},        {COL_COMPLETION, CONTENT}, {COL_ERROR, PLAIN},
                 {COL_ATTRIBUTES, ATTRIBUTES}, {COL_EVENTS, EVENTS},      {COL_USER_ID, ID},
                 {COL_THREAD_ID, ID},          {COL_TURN_ID, ID},         {COL_OPERATION, PLAIN}};
    const struct mask_policy *policy = mask_policy_of(mask, span_get_text(span, COL_PROJECT));
    struct buf made = {0};
    bool good = true;
    for (size_t i = 0; good && i < sizeof texts / sizeof *texts; i++) {
        struct slice *text = span_text(span, texts[i].col);
        if (!text->len) continue;
        bool changed = false;
        switch (texts[i].as) {
        case CONTENT: good = mask_content(mask, policy, text, &made, arena); continue;
        case PLAIN: changed = mask_plain(mask, policy, *text, false, &made); break;
        case ID: changed = mask_plain(mask, policy, *text, true, &made); break;
        case ATTRIBUTES: changed = mask_json(mask, policy, *text, MASK_JSON_ATTRIBUTES, &made); break;
        case EVENTS: changed = mask_json(mask, policy, *text, MASK_JSON_EVENTS, &made); break;
        }
        if (made.failed)
            good = false;
        else if (changed)
            good = set_text(text, &made, arena);
    }
    buf_free(&made);
    return good;
}

bool mask_text(const struct mask *mask, struct slice project, struct slice text, bool json, struct buf *out) {
    const struct mask_policy *policy = mask_policy_of(mask, project);
    bool changed =
        json ? mask_json(mask, policy, text, MASK_JSON_ATTRIBUTES, out) : mask_plain(mask, policy, text, false, out);
    if (!changed) buf_put_slice(out, text);
    return !out->failed;
}

void mask_describe(const struct mask *mask, struct buf *out) {
    static const char *const modes[] = {"full", "preview", "none"};
    if (!mask) {
        buf_puts(out, "none");
        return;
    }
    const struct mask_policy *policy = &mask->policies[0];
    for (uint32_t i = 0; i < policy->rule_count; i++) {
        const struct mask_rule *rule = policy->rules[i];
        buf_printf(out, rule->own ? "%sown rule \"%.*s\"" : "%s%.*s", i ? ", " : "", (int)rule->name.len,
                   rule->name.ptr);
    }
    buf_printf(out, "%scapture %s", policy->rule_count ? "; " : "", modes[policy->capture]);
    if (mask->policy_count > 1) buf_printf(out, "; %u projects with rules of their own", mask->policy_count - 1);
}

/* ---- loading ---- */

static int read_capture(struct slice word, enum mask_capture *capture, struct error *err) {
    if (slice_is(word, "full"))
        *capture = CAPTURE_FULL;
    else if (slice_is(word, "preview"))
        *capture = CAPTURE_PREVIEW;
    else if (slice_is(word, "none"))
        *capture = CAPTURE_NONE;
    else
        return error_set(err, VT_EINVAL, "masking: capture is \"%.*s\"; expected full, preview or none",
                         word.len > 40 ? 40 : (int)word.len, word.ptr ? word.ptr : "");
    return 0;
}

static int add_to_policy(struct mask_policy *policy, const struct mask_rule *rule, struct error *err) {
    if (!rule) return err ? err->code : VT_EINVAL;
    for (uint32_t i = 0; i < policy->rule_count; i++)
        if (policy->rules[i] == rule) return 0;
    if (policy->rule_count == MASK_RULES_MAX)
        return error_set(err, VT_ELIMIT, "masking: more than %d rules", MASK_RULES_MAX);
    policy->rules[policy->rule_count++] = rule;
    return 0;
}

static int read_list(struct mask *mask, struct slice spec, struct error *err) {
    int code = 0;
    while (spec.len && !code) {
        const char *comma = memchr(spec.ptr, ',', spec.len);
        struct slice word = slice_make(spec.ptr, comma ? (size_t)(comma - spec.ptr) : spec.len);
        spec = slice_from(spec, word.len + 1);
        while (word.len && *word.ptr == ' ') word = slice_from(word, 1);
        while (word.len && word.ptr[word.len - 1] == ' ') word.len--;
        if (!word.len) continue;
        struct mask_policy *policy = &mask->policies[0];
        if (slice_starts(word, SLICE("capture=")))
            code = read_capture(slice_from(word, sizeof "capture=" - 1), &policy->capture, err);
        else
            code = add_to_policy(policy, mask_rule_builtin(mask, word, err), err);
    }
    return code;
}

static int read_patterns(struct mask *mask, struct yaml_file *file, yaml_node_t *list, struct mask_policy *policy,
                         struct error *err) {
    static const char *const keys[] = {"name", "pattern", "replace", NULL};
    yaml_node_t *node;
    int code = 0;
    if (list->type != YAML_SEQUENCE_NODE)
        return error_set(err, VT_EINVAL, "%s:%d: patterns: expected a list of {name, pattern, replace}", file->path,
                         yaml_line(list));
    for (size_t i = 0; !code && (node = yaml_item(file, list, i)); i++) {
        if ((code = yaml_check_keys(file, node, keys, err))) break;
        struct slice name = yaml_text(yaml_member(file, node, "name")),
                     pattern = yaml_text(yaml_member(file, node, "pattern"));
        if (!name.len || !pattern.len)
            return error_set(err, VT_EINVAL, "%s:%d: a pattern needs name and pattern", file->path, yaml_line(node));
        code = add_to_policy(
            policy, mask_rule_own(mask, name, pattern, yaml_text(yaml_member(file, node, "replace")), err), err);
    }
    return code;
}

static int read_policy(struct mask *mask, struct yaml_file *file, yaml_node_t *map, const char *const *keys,
                       struct mask_policy *policy, struct error *err) {
    int code = yaml_check_keys(file, map, keys, err);
    yaml_node_t *rules = yaml_member(file, map, "rules"), *capture = yaml_member(file, map, "capture"),
                *patterns = yaml_member(file, map, "patterns"), *node;
    if (!code && rules) {
        /* They take the place of those that were inherited; own patterns stay. */
        uint32_t kept = 0;
        for (uint32_t i = 0; i < policy->rule_count; i++)
            if (policy->rules[i]->own) policy->rules[kept++] = policy->rules[i];
        policy->rule_count = kept;
        if (rules->type != YAML_SEQUENCE_NODE)
            return error_set(err, VT_EINVAL, "%s:%d: rules: expected a list", file->path, yaml_line(rules));
        for (size_t i = 0; !code && (node = yaml_item(file, rules, i)); i++)
            code = add_to_policy(policy, mask_rule_builtin(mask, yaml_text(node), err), err);
    }
    if (!code && capture) code = read_capture(yaml_text(capture), &policy->capture, err);
    if (!code && patterns) code = read_patterns(mask, file, patterns, policy, err);
    return code;
}

static int read_projects(struct mask *mask, struct yaml_file *file, yaml_node_t *map, struct error *err) {
    static const char *const keys[] = {"rules", "capture", "patterns", NULL};
    int code = 0;
    if (map->type != YAML_MAPPING_NODE)
        return error_set(err, VT_EINVAL, "%s:%d: projects: expected project names as keys", file->path, yaml_line(map));
    for (yaml_node_pair_t *pair = map->data.mapping.pairs.start; !code && pair < map->data.mapping.pairs.top; pair++) {
        if (mask->policy_count == MASK_PROJECTS_MAX)
            return error_set(err, VT_ELIMIT, "%s: more than %d projects", file->path, MASK_PROJECTS_MAX - 1);
        struct mask_policy *policies = realloc(mask->policies, (mask->policy_count + 1) * sizeof *policies);
        if (!policies) return error_set(err, VT_ENOMEM, "no memory for masking");
        mask->policies = policies;
        struct mask_policy *policy = &policies[mask->policy_count++];
        *policy = policies[0];
        policy->project = arena_copy(&mask->arena, yaml_text(yaml_document_get_node(&file->doc, pair->key)));
        code = read_policy(mask, file, yaml_document_get_node(&file->doc, pair->value), keys, policy, err);
    }
    return code;
}

static int read_file(struct mask *mask, const char *path, struct error *err) {
    static const char *const keys[] = {"rules", "capture", "patterns", "projects", NULL};
    struct yaml_file file;
    int code = yaml_file_open(&file, path, err);
    yaml_node_t *root = code ? NULL : yaml_root(&file), *projects = root ? yaml_member(&file, root, "projects") : NULL;
    if (root) code = read_policy(mask, &file, root, keys, &mask->policies[0], err);
    if (!code && projects) code = read_projects(mask, &file, projects, err);
    yaml_file_close(&file);
    return code;
}

int mask_load(struct mask **out, const char *spec, struct error *err) {
    struct slice text = slice_of(spec);
    struct error own = {0};
    *out = NULL;
    if (!text.len) return 0;
    struct mask *mask = calloc(1, sizeof *mask);
    if (mask && !(mask->policies = calloc(1, sizeof *mask->policies))) free(mask), mask = NULL;
    if (!mask) return error_set(err, VT_ENOMEM, "no memory for masking");
    mask->policy_count = 1;
    bool file = memchr(text.ptr, '/', text.len) || slice_ends(text, SLICE(".yaml")) || slice_ends(text, SLICE(".yml"));
    int code = file ? read_file(mask, spec, &own) : read_list(mask, text, &own);
    if (code) {
        mask_free(mask);
        if (err) *err = own;
        return code;
    }
    *out = mask;
    return 0;
}

void mask_free(struct mask *mask) {
    if (!mask) return;
    for (uint32_t i = 0; i < mask->rule_count; i++) pcre2_code_free(mask->rules[i].code);
    pcre2_match_context_free(mask->limits);
    free(mask->policies);
    arena_free(&mask->arena);
    free(mask);
}
