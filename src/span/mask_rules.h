/* Inside span: what masking is made of. */
#ifndef SPAN_MASK_RULES_H
#define SPAN_MASK_RULES_H

#include "base/secrets.h"
#include "span/mask.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum { MASK_RULES_MAX = 64, MASK_PROJECTS_MAX = 256, MASK_PREVIEW_CHARS = 100 };

struct mask_rule {
    struct slice name; /* of an own rule in the mask's arena, as its replacement */
    bool own;
    enum secret kind; /* of one that is built in */
    struct slice replacement;
    pcre2_code *code;
};

/* What holds for a project. */
struct mask_policy {
    struct slice project; /* empty: for all that have none of their own */
    const struct mask_rule *rules[MASK_RULES_MAX];
    uint32_t rule_count;
    enum mask_capture capture;
};

struct mask {
    struct arena arena;
    struct mask_rule rules[MASK_RULES_MAX]; /* all that any policy has; codes are freed with the mask */
    uint32_t rule_count;
    struct mask_policy *policies; /* [0] is the default */
    uint32_t policy_count;
    pcre2_match_context *limits;
};

/* The rule of that name that is built in, added to the mask when it is not there yet; NULL with *err set.
 */
const struct mask_rule *mask_rule_builtin(struct mask *mask, struct slice name, struct error *err);
/* An own rule; its first group, where it has one, is what is taken out. VT_EINVAL names the column of a mistake in the
 * pattern. */
const struct mask_rule *mask_rule_own(struct mask *mask, struct slice name, struct slice pattern,
                                      struct slice replacement, struct error *err);
const struct mask_policy *mask_policy_of(const struct mask *mask, struct slice project);

/* The text by the policy's rules. `out` stays empty when nothing was to be changed; true when it holds the text anew.
 * `tagged`: each replacement gets eight digits that tell one masked text from another (for ids). A rule that gives up
 * on a text takes all of it. */
bool mask_plain(const struct mask *mask, const struct mask_policy *policy, struct slice text, bool tagged,
                struct buf *out);

/* JSON with its strings and numbers by the rules. `what` says which keys the capture mode speaks of. True when it was
 * changed. */
enum mask_json { MASK_JSON_CONTENT, MASK_JSON_ATTRIBUTES, MASK_JSON_EVENTS };
bool mask_json(const struct mask *mask, const struct mask_policy *policy, struct slice json, enum mask_json what,
               struct buf *out);

#endif
