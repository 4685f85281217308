/* A stream that may be a terminal. */
#include "cli/term.h"

#include "cli/text.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WIDTH_UNKNOWN = 80, WIDTH_LEAST = 20, WIDTH_MOST = 1000 };

static const char *const codes[STYLE_COUNT] = {
    [STYLE_PLAIN] = "",        [STYLE_BOLD] = "\033[1m",  [STYLE_DIM] = "\033[2m",     [STYLE_GOOD] = "\033[32m",
    [STYLE_BAD] = "\033[31m",  [STYLE_WARN] = "\033[33m", [STYLE_ACCENT] = "\033[36m", [STYLE_CALL] = "\033[34m",
    [STYLE_TOOL] = "\033[35m", [STYLE_HEAD] = "\033[1m",
};

static bool set_and_not_empty(const char *name) {
    const char *value = getenv(name);
    return value && *value;
}

/* UTF-8 unless the locale names another encoding. An unset or "C" locale says nothing: minimal systems have it
 * everywhere. */
static bool speaks_utf8(void) {
    const char *locale = setlocale(LC_CTYPE, NULL);
    bool silent = !locale || strcmp(locale, "C") == 0 || strcmp(locale, "POSIX") == 0;
    return silent || strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

void term_open(struct term *term, int fd) {
    const char *kind = getenv("TERM"), *forced = getenv("CLICOLOR_FORCE"), *ascii = getenv("VITRINE_ASCII");
    bool dumb = kind && strcmp(kind, "dumb") == 0;
    *term = (struct term){.fd = fd, .tty = isatty(fd) == 1};
    term->colour =
        !set_and_not_empty("NO_COLOR") && ((term->tty && kind && !dumb) || (forced && *forced && *forced != '0'));
    term->ascii = term->tty && (dumb || (ascii && *ascii && *ascii != '0') || !speaks_utf8());
    term_measure(term);
}

void term_close(struct term *term) {
    buf_free(&term->buf);
}

void term_measure(struct term *term) {
    struct winsize size = {0};
    const char *columns = getenv("COLUMNS");
    if (!term->tty) return;
    unsigned width = ioctl(term->fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
    if (!width && columns) width = (unsigned)strtoul(columns, NULL, 10);
    term->width = !width ? WIDTH_UNKNOWN : width < WIDTH_LEAST ? WIDTH_LEAST : width > WIDTH_MOST ? WIDTH_MOST : width;
}

/* What a terminal without UTF-8 gets of our signs; of anything else a question mark a column. */
static void spell_in_ascii(struct buf *text) {
    static const char *const signs[][2] = {
        {"\xc2\xb7", "-"},     {"\xe2\x80\x94", "-"}, {"\xe2\x80\xa6", "~"}, {"\xe2\x86\x92", ">"},
        {"\xe2\x94\x80", "-"}, {"\xe2\x94\x82", "|"}, {"\xe2\x94\x94", "`"}, {"\xe2\x94\x9c", "|"},
        {"\xe2\x96\xb6", ">"}, {"\xe2\x94\x81", "="}, {"\xe2\x95\xb8", "="}, {"\xe2\x95\xba", "="},
        {"\xe2\x96\x81", "_"}, {"\xe2\x96\x82", "."}, {"\xe2\x96\x83", "."}, {"\xe2\x96\x84", "-"},
        {"\xe2\x96\x85", "-"}, {"\xe2\x96\x86", "="}, {"\xe2\x96\x87", "="}, {"\xe2\x96\x88", "#"},
        {"\xe2\x96\x8f", " "}, {"\xe2\x96\x8e", " "}, {"\xe2\x96\x8d", " "}, {"\xe2\x96\x8c", "#"},
        {"\xe2\x96\x8b", "#"}, {"\xe2\x96\x8a", "#"}, {"\xe2\x96\x89", "#"}, {"\xe2\x97\x8f", "*"},
        {"\xe2\x97\x86", "+"}, {"\xe2\x9c\x97", "x"}, {"\xe2\x9c\x93", "+"}, {"\xe2\x98\x85", "*"},
        {"\xe2\x8b\xaf", "."}, {"\xe2\x86\xaa", ">"}, {"\xc2\xb5", "u"}};
    struct buf out = {0};
    for (struct slice rest = buf_slice(text); rest.len;) {
        size_t plain = 0;
        while (plain < rest.len && (unsigned char)rest.ptr[plain] < 0x80) plain++;
        buf_put(&out, rest.ptr, plain);
        rest = slice_from(rest, plain);
        if (!rest.len) break;
        struct slice one = text_fit(rest, 1);
        if (!one.len) one = text_fit(rest, 2);
        const char *sign = text_width(one) == 2 ? "??" : "?";
        for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
            if (slice_is(one, signs[i][0])) sign = signs[i][1];
        buf_puts(&out, sign);
        rest = slice_from(rest, one.len ? one.len : 1);
    }
    buf_free(text);
    *text = out;
}

int term_flush(struct term *term, struct error *err) {
    size_t at = 0;
    int code = 0;
    if (term->ascii) spell_in_ascii(&term->buf);
    if (term->buf.failed) code = error_set(err, VT_ENOMEM, "no memory for the output");
    while (at < term->buf.len && !code) {
        ssize_t n = write(term->fd, term->buf.ptr + at, term->buf.len - at);
        if (n >= 0)
            at += (size_t)n;
        else if (errno != EINTR)
            code = error_set(err, VT_EIO, "cannot write the output: %s", strerror(errno));
    }
    buf_clear(&term->buf);
    return code;
}

const char *term_on(const struct term *term, enum style style) {
    return term->colour ? codes[style] : "";
}
const char *term_off(const struct term *term, enum style style) {
    return term->colour && *codes[style] ? "\033[0m" : "";
}

void term_puts(struct term *term, const char *text) {
    buf_puts(&term->buf, text);
}

void term_printf(struct term *term, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len > 0) buf_put(&term->buf, text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1);
}

void term_style(struct term *term, enum style style, const char *text) {
    buf_puts(&term->buf, term_on(term, style));
    buf_puts(&term->buf, text);
    buf_puts(&term->buf, term_off(term, style));
}

void term_stylef(struct term *term, enum style style, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    term_style(term, style, text);
}

void term_text(struct term *term, enum style style, struct slice text) {
    buf_puts(&term->buf, term_on(term, style));
    text_clean(&term->buf, text, false);
    buf_puts(&term->buf, term_off(term, style));
}

void term_spaces(struct term *term, size_t count) {
    while (count--) buf_putc(&term->buf, ' ');
}

void term_paragraph(struct term *term, enum style style, struct slice text, size_t indent, const char *margin,
                    size_t lines_max) {
    struct buf clean = {0};
    text_clean(&clean, text, true);
    struct slice rest = buf_slice(&clean);
    while (rest.len && rest.ptr[rest.len - 1] == '\n') rest.len--;
    size_t width = term->width ? (term->width > indent + 10 ? term->width - indent : 10) : SIZE_MAX / 2;
    for (size_t lines = 0; rest.len; lines++) {
        struct slice line = text_wrap(rest, width, &rest);
        bool last = lines_max && lines + 1 == lines_max && rest.len;
        if (last && line.len) line = text_fit(line, text_width(line) - (text_width(line) == width ? 1 : 0));
        if (margin)
            term_puts(term, margin);
        else
            term_spaces(term, indent);
        buf_puts(&term->buf, term_on(term, style));
        buf_put_slice(&term->buf, line);
        if (last) term_puts(term, "\xe2\x80\xa6");
        buf_puts(&term->buf, term_off(term, style));
        term_puts(term, "\n");
        if (last) break;
    }
    buf_free(&clean);
}
