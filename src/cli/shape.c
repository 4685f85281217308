/* How a value of an answer is shown. */
#include "cli/shape.h"

#include "base/timestamp.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

bool shape_is_number(enum shape shape) {
    return shape == SHAPE_MS || shape == SHAPE_COUNT || shape == SHAPE_USD || shape == SHAPE_PERCENT ||
           shape == SHAPE_BYTES || shape == SHAPE_BAD || shape == SHAPE_BADSHARE;
}

/* Three digits that matter, without trailing zeros: 0.75, 13, 4.28, 128. */
static void put_three(struct buf *out, double value) {
    double size = fabs(value);
    char text[32];
    int digits = size >= 100 || size == 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
    snprintf(text, sizeof text, "%.*f", digits, value);
    if (strchr(text, '.')) {
        size_t len = strlen(text);
        while (text[len - 1] == '0') text[--len] = 0;
        if (text[len - 1] == '.') text[len - 1] = 0;
    }
    buf_puts(out, size > 0 && strtod(text, NULL) == 0 ? "<0.001" : text);
}

void say_ms(struct buf *out, double ms) {
    if (isnan(ms)) return;
    if (ms < 1 && ms > 0) {
        put_three(out, ms * 1000);
        buf_puts(out, " \xc2\xb5s");
    } else if (ms < 1000) {
        put_three(out, ms);
        buf_puts(out, " ms");
    } else if (ms < 60e3) {
        put_three(out, ms / 1000);
        buf_puts(out, " s");
    } else if (ms < 3600e3)
        buf_printf(out, "%d m %02d s", (int)(ms / 60e3), (int)fmod(ms / 1000, 60));
    else if (ms < 86400e3)
        buf_printf(out, "%d h %02d m", (int)(ms / 3600e3), (int)fmod(ms / 60e3, 60));
    else
        buf_printf(out, "%d d %02d h", (int)(ms / 86400e3), (int)fmod(ms / 3600e3, 24));
}

void say_count(struct buf *out, double count) {
    char digits[48];
    if (isnan(count)) return;
    if (count != floor(count) || fabs(count) > 1e15) {
        put_three(out, count);
        return;
    }
    int len = snprintf(digits, sizeof digits, "%.0f", count);
    for (int i = 0; i < len; i++) {
        if (i && digits[i - 1] != '-' && (len - i) % 3 == 0) buf_putc(out, ',');
        buf_putc(out, digits[i]);
    }
}

void say_short(struct buf *out, double number) {
    static const char *const units[] = {"", "k", "M", "G", "T"};
    size_t unit = 0;
    if (isnan(number)) return;
    if (fabs(number) >= 10000) do
            number /= 1000, unit++;
        while (fabs(number) >= 1000 && unit < 4);
    if (unit == 0)
        say_count(out, number);
    else
        put_three(out, number);
    buf_puts(out, units[unit]);
}

void say_usd(struct buf *out, double usd) {
    if (isnan(usd)) return;
    double size = fabs(usd);
    buf_puts(out, usd < 0 ? "-$" : size > 0 && size < 0.0000005 ? "<$" : "$");
    if (size == 0)
        buf_puts(out, "0");
    else if (size < 0.0000005)
        buf_puts(out, "0.000001");
    else if (size < 0.0001)
        buf_printf(out, "%.6f", size);
    else if (size < 0.1)
        buf_printf(out, "%.4f", size);
    else if (size < 10)
        buf_printf(out, "%.3f", size);
    else if (size < 1000)
        buf_printf(out, "%.2f", size);
    else
        say_count(out, round(size));
}

void say_percent(struct buf *out, double share) {
    if (isnan(share)) return;
    double percent = share * 100;
    if (percent != 0 && percent < 0.1)
        buf_puts(out, "<0.1 %");
    else
        buf_printf(out, percent >= 10 || percent == 0 ? "%.0f %%" : "%.1f %%", percent);
}

void say_bytes(struct buf *out, double bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    if (isnan(bytes)) return;
    while (bytes >= 1024 && unit < 4) bytes /= 1024, unit++;
    put_three(out, bytes);
    buf_printf(out, " %s", units[unit]);
}

static void broken_down(int64_t ns, bool utc, struct tm *tm) {
    time_t seconds = (time_t)(ns / NS_PER_S);
    if (utc)
        gmtime_r(&seconds, tm);
    else
        localtime_r(&seconds, tm);
}

void say_time(struct buf *out, int64_t ns, const struct shape_context *context) {
    struct tm tm, today;
    char text[48];
    broken_down(ns, context->utc, &tm);
    broken_down(context->now_ns, context->utc, &today);
    bool same_day = tm.tm_year == today.tm_year && tm.tm_yday == today.tm_yday, same_year = tm.tm_year == today.tm_year;
    /* Into a pipe a time must not change its form overnight. */
    const char *form = !context->terminal ? "%Y-%m-%d %H:%M:%S"
                       : same_day         ? "%H:%M:%S"
                       : same_year        ? "%b %e %H:%M:%S"
                                          : "%Y-%m-%d %H:%M";
    buf_put(out, text, strftime(text, sizeof text, form, &tm));
}

int64_t time_of(const struct doc *value) {
    int64_t ns;
    if (value && value->type == JSON_STRING && time_parse(value->text, &ns)) return ns;
    if (value && value->type == JSON_NUMBER && fabs(value->number) < 9e12) return (int64_t)(value->number * 1e6);
    return 0;
}

static void put_names(struct buf *out, const struct doc *value) {
    if (value->type == JSON_STRING) buf_put_slice(out, value->text);
    for (const struct doc *each = value->type == JSON_ARRAY ? value->first : NULL; each; each = each->next) {
        if (each != value->first) buf_puts(out, ", ");
        buf_put_slice(out, each->text);
    }
}

static enum style status_style(struct slice status) {
    static const struct {
        const char *word;
        enum style style;
    } styles[] = {
        {"OK", STYLE_GOOD}, {"ERROR", STYLE_BAD}, {"ALERT", STYLE_BAD}, {"WARN", STYLE_WARN}, {"NO DATA", STYLE_WARN}};
    for (size_t i = 0; i < sizeof styles / sizeof *styles; i++)
        if (slice_is(status, styles[i].word)) return styles[i].style;
    return STYLE_DIM;
}

enum style shape_put(struct buf *out, enum shape shape, const struct doc *value, const char *title,
                     const struct shape_context *context) {
    double n = value ? value->number : (double)NAN;
    if (!value || value->type == JSON_NULL) return STYLE_PLAIN;
    switch (shape) {
    case SHAPE_TEXT: buf_put_slice(out, value->text); return STYLE_PLAIN;
    case SHAPE_ERROR: buf_put_slice(out, value->text); return STYLE_BAD;
    case SHAPE_ID:
        buf_put(out, value->text.ptr, context->terminal && value->text.len > 8 ? 8 : value->text.len);
        return STYLE_ACCENT;
    case SHAPE_TIME:
        if (time_of(value)) say_time(out, time_of(value), context);
        return STYLE_DIM;
    case SHAPE_MS: say_ms(out, n); return STYLE_PLAIN;
    case SHAPE_COUNT: say_count(out, n); return STYLE_PLAIN;
    case SHAPE_BAD: say_count(out, n); return n > 0 ? STYLE_BAD : STYLE_DIM;
    case SHAPE_USD: say_usd(out, n); return STYLE_PLAIN;
    case SHAPE_PERCENT: say_percent(out, n); return STYLE_PLAIN;
    case SHAPE_BADSHARE: say_percent(out, n); return n > 0 ? STYLE_BAD : STYLE_DIM;
    case SHAPE_BYTES: say_bytes(out, n); return STYLE_PLAIN;
    case SHAPE_STATUS: buf_put_slice(out, value->text); return status_style(value->text);
    case SHAPE_NAMES: put_names(out, value); return STYLE_PLAIN;
    case SHAPE_FLAG:
        for (const char *c = title; value->boolean && *c; c++) buf_putc(out, (char)tolower((unsigned char)*c));
        return STYLE_WARN;
    }
    return STYLE_PLAIN;
}

enum style shape_kind_style(struct slice kind) {
    static const struct {
        const char *kind;
        enum style style;
    } styles[] = {{"llm", STYLE_CALL},     {"embedding", STYLE_CALL}, {"turn", STYLE_ACCENT},
                  {"agent", STYLE_ACCENT}, {"tool", STYLE_TOOL},      {"retrieval", STYLE_TOOL}};
    for (size_t i = 0; i < sizeof styles / sizeof *styles; i++)
        if (slice_is(kind, styles[i].kind)) return styles[i].style;
    return STYLE_PLAIN;
}

void csv_put(struct buf *out, struct slice text) {
    bool quote = false;
    for (size_t i = 0; i < text.len && !quote; i++) quote = text.ptr[i] && strchr("\",\r\n", text.ptr[i]);
    if (!quote) {
        buf_put_slice(out, text);
        return;
    }
    buf_putc(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"') buf_putc(out, '"');
        buf_putc(out, text.ptr[i]);
    }
    buf_putc(out, '"');
}

void shape_put_csv(struct buf *out, const struct doc *value) {
    if (!value || value->type == JSON_NULL) return;
    if (value->type != JSON_ARRAY) {
        csv_put(out, value->text);
        return;
    }
    struct buf names = {0};
    bool plain = true;
    for (const struct doc *each = value->first; each && plain; each = each->next) plain = each->type == JSON_STRING;
    if (plain) put_names(&names, value);
    csv_put(out, plain ? buf_slice(&names) : value->text);
    buf_free(&names);
}

/* ---- bars ---- */

void say_bar(struct buf *out, double share, size_t width) {
    static const char *const eighths[] = {"",
                                          "\xe2\x96\x8f",
                                          "\xe2\x96\x8e",
                                          "\xe2\x96\x8d",
                                          "\xe2\x96\x8c",
                                          "\xe2\x96\x8b",
                                          "\xe2\x96\x8a",
                                          "\xe2\x96\x89"};
    if (isnan(share) || share < 0) share = 0;
    if (share > 1) share = 1;
    size_t parts = (size_t)llround(share * (double)width * 8);
    if (share > 0 && !parts) parts = 1;
    for (size_t i = 0; i < parts / 8; i++) buf_puts(out, "\xe2\x96\x88");
    size_t used = parts / 8;
    if (parts % 8) buf_puts(out, eighths[parts % 8]), used++;
    for (; used < width; used++) buf_putc(out, ' ');
}

void say_spark(struct buf *out, const double *values, size_t count) {
    static const char *const blocks[] = {"\xe2\x96\x81", "\xe2\x96\x82", "\xe2\x96\x83", "\xe2\x96\x84",
                                         "\xe2\x96\x85", "\xe2\x96\x86", "\xe2\x96\x87", "\xe2\x96\x88"};
    double most = 0;
    for (size_t i = 0; i < count; i++)
        if (values[i] > most) most = values[i];
    for (size_t i = 0; i < count; i++) {
        if (isnan(values[i])) {
            buf_putc(out, ' ');
            continue;
        }
        size_t level = most > 0 && values[i] > 0 ? (size_t)(values[i] / most * 7.999) : 0;
        if (values[i] > 0 && !level) level = 1;
        buf_puts(out, blocks[level > 7 ? 7 : level]);
    }
}
