/* What was said. */
#include "cli/talk.h"

#include "cli/text.h"

enum { ROLE_WIDTH = 10 };

static void put_part(struct buf *out, const struct doc *part) {
    static const char *const members[] = {"text", "content", "output_text", "input_text", "result", "response"};
    if (part->type == JSON_STRING) {
        buf_put_slice(out, part->text);
        return;
    }
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        struct slice text = doc_text(part, members[i]);
        if (!text.len) continue;
        buf_put_slice(out, text);
        return;
    }
    struct slice type = doc_text(part, "type"), name = doc_text(part, "name");
    if (name.len) {
        const struct doc *arguments = doc_get(part, "arguments");
        if (!arguments) arguments = doc_get(part, "input");
        buf_printf(out, "\xe2\x86\x92 %.*s(", (int)name.len, name.ptr);
        if (arguments) buf_put_slice(out, arguments->text);
        buf_puts(out, ")");
    } else if (type.len)
        buf_printf(out, "[%.*s]", (int)type.len, type.ptr);
}

void talk_text(struct buf *out, const struct doc *message) {
    static const char *const members[] = {"content", "parts"};
    size_t before = out->len;
    if (!message) return;
    if (message->type == JSON_STRING) {
        buf_put_slice(out, message->text);
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        const struct doc *content = doc_get(message, members[i]);
        if (!content) continue;
        if (content->type == JSON_STRING) buf_put_slice(out, content->text);
        for (const struct doc *part = content->type == JSON_ARRAY ? content->first : NULL; part; part = part->next) {
            if (out->len > before) buf_puts(out, "\n");
            put_part(out, part);
        }
    }
    for (const struct doc *call = doc_first(doc_get(message, "tool_calls")); call; call = call->next) {
        const struct doc *function = doc_get(call, "function");
        if (out->len > before) buf_puts(out, "\n");
        put_part(out, function ? function : call);
    }
    if (out->len == before && message->type == JSON_OBJECT && !doc_get(message, "content")) put_part(out, message);
}

void talk_labelled(struct term *term, const struct talk_label *label, enum style style, struct slice text,
                   size_t lines_max) {
    struct buf margin = {0};
    struct slice name = text_fit(label->name, label->width - 1);
    term_puts(term, label->prefix);
    term_text(term, label->style, name);
    term_spaces(term, label->width - text_width(name));
    buf_puts(&margin, label->prefix);
    for (size_t i = 0; i < label->width; i++) buf_putc(&margin, ' ');
    size_t from = term->buf.len;
    term_paragraph(term, style, text, label->indent + label->width, buf_cstr(&margin), lines_max);
    /* The first line stands beside the label. */
    if (term->buf.len - from > margin.len && !term->buf.failed) {
        memmove(term->buf.ptr + from, term->buf.ptr + from + margin.len, term->buf.len - from - margin.len);
        term->buf.len -= margin.len;
    } else if (term->buf.len == from)
        term_puts(term, "\n");
    buf_free(&margin);
}

static void put_one(struct term *term, struct slice role, struct slice text, const char *prefix, size_t indent,
                    bool whole) {
    bool user = slice_is(role, "user"), system = slice_is(role, "system") || slice_is(role, "developer");
    const struct talk_label label = {role,
                                     user     ? STYLE_BOLD
                                     : system ? STYLE_DIM
                                              : STYLE_ACCENT,
                                     ROLE_WIDTH, prefix, indent};
    if (whole) {
        talk_labelled(term, &label, system ? STYLE_DIM : STYLE_PLAIN, text, 0);
        return;
    }
    struct buf clean = {0};
    text_clean(&clean, text, false); /* on one line */
    talk_labelled(term, &label, system ? STYLE_DIM : STYLE_PLAIN, buf_slice(&clean), 1);
    buf_free(&clean);
}

void talk_put(struct term *term, const struct doc *content, const char *role, const char *prefix, size_t indent,
              bool whole) {
    struct buf text = {0};
    if (!content) return;
    if (content->type != JSON_ARRAY) {
        talk_text(&text, content);
        if (text.len) put_one(term, slice_of(role), buf_slice(&text), prefix, indent, whole);
    }
    for (const struct doc *message = content->type == JSON_ARRAY ? content->first : NULL; message;
         message = message->next) {
        if (!whole && message->next) continue;
        struct slice said = doc_text(message, "role");
        buf_clear(&text);
        talk_text(&text, message);
        put_one(term, said.len ? said : slice_of(role), buf_slice(&text), prefix, indent, whole);
    }
    buf_free(&text);
}
