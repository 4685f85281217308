/* Text on a terminal, by utf8proc's tables. */
#include "cli/text.h"

#include "base/utf8.h"

#include <utf8proc.h>

static bool is_steering(utf8proc_int32_t c) {
    return (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c < 0xe0020);
}

void text_clean(struct buf *out, struct slice text, bool lines) {
    const uint8_t *p = (const uint8_t *)text.ptr, *end = p + text.len;
    while (p < end) {
        if (*p >= ' ' && *p < 0x7f) {
            const uint8_t *run = p;
            while (p < end && *p >= ' ' && *p < 0x7f) p++;
            buf_put(out, run, (size_t)(p - run));
            continue;
        }
        size_t len = utf8_length(p, (size_t)(end - p));
        if (!len) {
            buf_puts(out, UTF8_REPLACEMENT);
            p++;
            continue;
        }
        utf8proc_int32_t c;
        utf8proc_iterate(p, (utf8proc_ssize_t)len, &c);
        if (c == '\n' && lines)
            buf_putc(out, '\n');
        else if (c == '\n' || c == '\t' || c == 0x85)
            buf_putc(out, ' ');
        else if (c == '\r') { /* of CR LF, or a way to overwrite a line: gone either way */
        } else if (c < ' ')
            buf_put(out, (const char[]){'\xe2', '\x90', (char)(0x80 + c)}, 3);
        else if (c == 0x7f)
            buf_puts(out, "\xe2\x90\xa1");
        else if (is_steering(c))
            buf_puts(out, UTF8_REPLACEMENT);
        else
            buf_put(out, p, len);
        p += len;
    }
}

/* The next grapheme cluster of *text, taken off its front; its columns. */
static size_t next_cluster(struct slice *text, size_t *bytes) {
    utf8proc_int32_t c, before = -1, state = 0;
    size_t at = 0, width = 0;
    bool emoji = false, flag = false;
    while (at < text->len) {
        utf8proc_ssize_t len =
            utf8proc_iterate((const utf8proc_uint8_t *)text->ptr + at, (utf8proc_ssize_t)(text->len - at), &c);
        if (len <= 0) len = 1, c = 0xfffd;
        if (before >= 0 && utf8proc_grapheme_break_stateful(before, c, &state)) break;
        size_t columns = (size_t)utf8proc_charwidth(c);
        if (columns > width) width = columns;
        if (c == 0xfe0f && width) emoji = true; /* asks for the emoji's form, which is wide */
        if (before >= 0x1f1e6 && before <= 0x1f1ff && c >= 0x1f1e6 && c <= 0x1f1ff) flag = true;
        before = c;
        at += (size_t)len;
    }
    *bytes = at;
    *text = slice_from(*text, at);
    return emoji || flag ? 2 : width;
}

size_t text_width(struct slice text) {
    size_t width = 0, bytes;
    size_t plain = 0;
    while (plain < text.len && (unsigned char)text.ptr[plain] < 0x80) plain++;
    if (plain == text.len) return plain;
    while (text.len) width += next_cluster(&text, &bytes);
    return width;
}

struct slice text_fit(struct slice text, size_t width) {
    struct slice rest = text;
    size_t used = 0, taken = 0, bytes;
    while (rest.len) {
        size_t columns = next_cluster(&rest, &bytes);
        if (used + columns > width) break;
        used += columns;
        taken += bytes;
    }
    return slice_make(text.ptr, taken);
}

void text_put_cut(struct buf *out, struct slice text, size_t width) {
    if (text.len <= width || text_width(text) <= width) {
        buf_put_slice(out, text);
        return;
    }
    if (!width) return;
    struct slice head = text_fit(text, width - 1);
    while (head.len && head.ptr[head.len - 1] == ' ') head.len--;
    buf_put_slice(out, head);
    buf_puts(out, "\xe2\x80\xa6");
}

struct slice text_wrap(struct slice text, size_t width, struct slice *rest) {
    const char *newline = text.len ? memchr(text.ptr, '\n', text.len) : NULL;
    struct slice line = newline ? slice_make(text.ptr, (size_t)(newline - text.ptr)) : text;
    struct slice fit = text_fit(line, width);
    if (fit.len == line.len) {
        *rest = slice_from(text, line.len + (newline ? 1 : 0));
        return line;
    }
    size_t cut = fit.len;
    while (cut && line.ptr[cut] != ' ') cut--;
    if (!cut)
        cut = fit.len ? fit.len : text_fit(line, 2).len; /* one long word; at least a cluster, or this would not end */
    if (!cut) cut = line.len;
    *rest = slice_from(text, cut);
    while (rest->len && rest->ptr[0] == ' ') *rest = slice_from(*rest, 1);
    return slice_make(line.ptr, cut);
}
