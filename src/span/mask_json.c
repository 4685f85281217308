/* JSON by the rules: each string is looked at as it reads, and written anew only when something was taken out of it. */
#include "span/mask_rules.h"

#include "base/json.h"
#include "base/utf8.h"
#include "span/dialect.h"

struct walk {
    const struct mask *mask;
    const struct mask_policy *policy;
    struct json_reader r;
    struct arena arena; /* for unescaped strings */
    struct buf *out;
    struct buf text; /* a string without what was taken out */
    bool changed;
};

/* The first characters of a text, and "..." where it went on; false when all of it is short enough. */
static bool cut_preview(struct slice *text) {
    size_t at = 0;
    for (unsigned chars = 0; at < text->len; chars++) {
        if (chars == MASK_PREVIEW_CHARS) {
            text->len = at;
            return true;
        }
        size_t n = utf8_length((const uint8_t *)text->ptr + at, text->len - at);
        at += n ? n : 1;
    }
    return false;
}

static void put_quoted(struct walk *w, struct slice text, bool cut) {
    buf_putc(w->out, '"');
    json_escape(w->out, text);
    if (cut) buf_puts(w->out, "...");
    buf_putc(w->out, '"');
    w->changed = true;
}

/* The string that the reader stands before. `preview`: only its first characters stay. */
static void put_string(struct walk *w, bool preview) {
    const char *start = w->r.at;
    struct slice text;
    if (!json_string(&w->r, &text)) return;
    struct slice raw = slice_make(start, (size_t)(w->r.at - start));
    buf_clear(&w->text);
    bool masked = mask_plain(w->mask, w->policy, text, false, &w->text);
    w->out->failed |= w->text.failed;
    if (masked) text = buf_slice(&w->text);
    bool cut = preview && cut_preview(&text);
    if (masked || cut)
        put_quoted(w, text, cut);
    else
        buf_put_slice(w->out, raw);
}

/* A number that a rule finds something in becomes a text. */
static void put_number(struct walk *w) {
    struct slice raw;
    if (!json_skip(&w->r, &raw)) return;
    buf_clear(&w->text);
    if (raw.len >= 7 && mask_plain(w->mask, w->policy, raw, false, &w->text))
        put_quoted(w, buf_slice(&w->text), false);
    else
        buf_put_slice(w->out, raw);
}

static bool is_content_key(struct slice key) {
    static const char *const event_keys[] = {"content",          "prompt.preview",     "prompt.text",
                                             "response.preview", "response.text",      "gen_ai.event.content",
                                             "gen_ai.prompt",    "gen_ai.completion",  "message",
                                             "tool_calls",       "gen_ai.tool.message"};
    uint32_t index;
    struct slice rest;
    const struct dialect_name *name = dialect_find(key);
    if (name && (name->field == FIELD_PROMPT || name->field == FIELD_COMPLETION || name->field == FIELD_SYSTEM ||
                 name->field == FIELD_TOOL_CALLS))
        return true;
    if (dialect_list_find(key, &index, &rest)) return true;
    for (size_t i = 0; i < sizeof event_keys / sizeof *event_keys; i++)
        if (slice_is(key, event_keys[i])) return true;
    return false;
}

/* `level` counts down to the objects whose keys are attributes' names: 0 is one, below 0 what their values hold. */
static void put_value(struct walk *w, int level, bool preview);

static void put_object(struct walk *w, int level, bool preview) {
    struct slice key;
    bool comma = false;
    json_object(&w->r);
    buf_putc(w->out, '{');
    while (json_key(&w->r, &key)) {
        bool content = level == 0 && w->policy->capture != CAPTURE_FULL && is_content_key(key);
        if (content && w->policy->capture == CAPTURE_NONE) {
            json_skip(&w->r, NULL);
            w->changed = true;
            continue;
        }
        if (comma) buf_putc(w->out, ',');
        comma = true;
        buf_clear(&w->text);
        bool masked = mask_plain(w->mask, w->policy, key, false, &w->text);
        buf_putc(w->out, '"');
        json_escape(w->out, masked ? buf_slice(&w->text) : key);
        buf_puts(w->out, "\":");
        w->changed |= masked;
        put_value(w, level - 1, preview || content);
    }
    buf_putc(w->out, '}');
}

static void put_value(struct walk *w, int level, bool preview) {
    bool comma = false;
    struct slice raw;
    switch (json_peek(&w->r)) {
    case JSON_STRING: put_string(w, preview); break;
    case JSON_NUMBER: put_number(w); break;
    case JSON_OBJECT: put_object(w, level, preview); break;
    case JSON_ARRAY:
        json_array(&w->r);
        buf_putc(w->out, '[');
        while (json_item(&w->r)) {
            if (comma) buf_putc(w->out, ',');
            comma = true;
            put_value(w, level, preview);
        }
        buf_putc(w->out, ']');
        break;
    default:
        if (json_skip(&w->r, &raw)) buf_put_slice(w->out, raw);
    }
}

bool mask_json(const struct mask *mask, const struct mask_policy *policy, struct slice json, enum mask_json what,
               struct buf *out) {
    static const int levels[] = {[MASK_JSON_CONTENT] = -1, [MASK_JSON_ATTRIBUTES] = 0, [MASK_JSON_EVENTS] = 1};
    struct walk w = {.mask = mask, .policy = policy, .out = out};
    size_t mark = out->len;
    json_reader_init(&w.r, json, &w.arena);
    put_value(&w, levels[what], what == MASK_JSON_CONTENT && policy->capture == CAPTURE_PREVIEW);
    /* What cannot be read cannot be masked either. */
    if (!json_end(&w.r)) {
        out->len = mark;
        buf_puts(out, what == MASK_JSON_ATTRIBUTES ? "{}" : what == MASK_JSON_EVENTS ? "[]" : "\"\"");
        w.changed = true;
    }
    if (!w.changed) out->len = mark;
    arena_free(&w.arena);
    buf_free(&w.text);
    return w.changed;
}
