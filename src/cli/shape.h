/* How a value of an answer is shown: to people (with units, short, coloured) and in CSV (as it is). */
#ifndef CLI_SHAPE_H
#define CLI_SHAPE_H

#include "cli/doc.h"
#include "cli/term.h"

enum shape {
    SHAPE_TEXT,
    SHAPE_ID,       /* hex: its first 8 digits on a terminal */
    SHAPE_TIME,     /* ISO 8601, or Unix ms: local time, the date only when it is not today's */
    SHAPE_MS,       /* "13 ms", "4.28 s", "2 m 3 s" */
    SHAPE_COUNT,    /* "1,234" */
    SHAPE_USD,      /* "$0.0123" */
    SHAPE_PERCENT,  /* of a share: 0.25 = "25 %" */
    SHAPE_BYTES,    /* "1.2 MiB" */
    SHAPE_STATUS,   /* coloured */
    SHAPE_NAMES,    /* a list of texts: "gpt-4o, gpt-4o-mini" */
    SHAPE_FLAG,     /* its column's title, in small letters, when true */
    SHAPE_BAD,      /* a count that is red unless 0 */
    SHAPE_BADSHARE, /* a share that is red unless 0 */
    SHAPE_ERROR     /* a text in red */
};

struct shape_context {
    bool utc, terminal;
    int64_t now_ns;
};

bool shape_is_number(enum shape shape);
/* Appends the value for people; `title` is what SHAPE_FLAG says. Somebody's text is not yet harmless. Returns its
 * style. */
enum style shape_put(struct buf *out, enum shape shape, const struct doc *value, const char *title,
                     const struct shape_context *context);
/* Of an operation, by its span's kind. */
enum style shape_kind_style(struct slice kind);
/* Appends a CSV field (RFC 4180). */
void shape_put_csv(struct buf *out, const struct doc *value);
void csv_put(struct buf *out, struct slice text);

/* The same for values that are no part of an answer. */
void say_ms(struct buf *out, double ms);
void say_count(struct buf *out, double count);
void say_short(struct buf *out, double number); /* "1.2k", "3.4M" */
void say_usd(struct buf *out, double usd);
void say_percent(struct buf *out, double share);
void say_bytes(struct buf *out, double bytes);
void say_time(struct buf *out, int64_t ns, const struct shape_context *context);
/* A bar of `width` cells filled to `share` (0 … 1), in eighths of a cell. */
void say_bar(struct buf *out, double share, size_t width);
/* One character for each value, scaled to the largest; NaN is a gap. */
void say_spark(struct buf *out, const double *values, size_t count);
/* 0 when it is none. */
int64_t time_of(const struct doc *value);

#endif
