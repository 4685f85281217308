/* A stream that may be a terminal: colours, width, and text that cannot steer it. Output is gathered in a buffer and
 * written by term_flush; a long-running command flushes as it goes. One thread. */
#ifndef CLI_TERM_H
#define CLI_TERM_H

#include "base/buf.h"
#include "base/error.h"

enum style {
    STYLE_PLAIN,
    STYLE_BOLD,
    STYLE_DIM,
    STYLE_GOOD,   /* green */
    STYLE_BAD,    /* red */
    STYLE_WARN,   /* yellow */
    STYLE_ACCENT, /* cyan: turns, what can be typed next */
    STYLE_CALL,   /* blue: LLM calls */
    STYLE_TOOL,   /* magenta: tools, retrievals */
    STYLE_HEAD,   /* table headings */
    STYLE_COUNT
};

struct term {
    int fd;
    bool tty;    /* a terminal that can be steered */
    bool colour; /* NO_COLOR and TERM=dumb respected; CLICOLOR_FORCE=1 colours also into a pipe */
    bool ascii; /* a terminal with TERM=dumb, VITRINE_ASCII=1 or a locale that is not UTF-8: term_flush spells our signs
                   in ASCII */
    unsigned width; /* columns; 0 = no bound, since it is no terminal */
    struct buf buf;
};

void term_open(struct term *term, int fd);
void term_close(struct term *term); /* releases; does not flush */
/* Asks the terminal for its width again (it may have been resized). */
void term_measure(struct term *term);
/* VT_EIO when the stream does not take it. */
int term_flush(struct term *term, struct error *err);

/* Our own text. */
void term_puts(struct term *term, const char *text);
void term_printf(struct term *term, const char *format, ...) __attribute__((format(printf, 2, 3)));
void term_style(struct term *term, enum style style, const char *text);
void term_stylef(struct term *term, enum style style, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Somebody's text, made harmless, on one line. */
void term_text(struct term *term, enum style style, struct slice text);
/* The same, broken into lines of the terminal's width, each after `indent` columns of `margin` (may be NULL: blanks).
 * At most `lines_max` lines (0 = all), then "…". */
void term_paragraph(struct term *term, enum style style, struct slice text, size_t indent, const char *margin,
                    size_t lines_max);
void term_spaces(struct term *term, size_t count);
/* Switches a style on and off in a buffer that goes to this terminal. */
const char *term_on(const struct term *term, enum style style);
const char *term_off(const struct term *term, enum style style);

#endif
