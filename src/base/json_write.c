/* Writing JSON into a buffer. */
#include "base/json.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void separate(struct json_writer *w) {
    if (w->comma) buf_putc(w->out, ',');
    w->comma = true;
}

void json_open(struct json_writer *w, char bracket) {
    separate(w);
    buf_putc(w->out, bracket);
    w->comma = false;
}

void json_close(struct json_writer *w, char bracket) {
    buf_putc(w->out, bracket);
    w->comma = true;
}

void json_put_key_slice(struct json_writer *w, struct slice key) {
    json_put_string(w, key);
    buf_putc(w->out, ':');
    w->comma = false;
}

void json_put_key(struct json_writer *w, const char *key) { json_put_key_slice(w, slice_of(key)); }

static void escape_byte(struct buf *out, uint8_t c) {
    static const char short_forms[] = "\bb\tt\nn\ff\rr\"\"\\\\";
    for (const char *s = short_forms; *s; s += 2)
        if (c == (uint8_t)*s) {
            buf_putc(out, '\\');
            buf_putc(out, s[1]);
            return;
        }
    buf_printf(out, "\\u%04x", c);
}

void json_escape(struct buf *out, struct slice text) {
    const uint8_t *p = (const uint8_t *)text.ptr;
    size_t at = 0, run = 0; /* run: start of bytes that go as they are */
    while (at < text.len) {
        uint8_t c = p[at];
        size_t len = c < 0x80 ? 1 : utf8_length(p + at, text.len - at);
        if (len && (c >= 0x80 || (c >= ' ' && c != '"' && c != '\\'))) {
            at += len;
            continue;
        }
        buf_put(out, text.ptr + run, at - run);
        if (len) escape_byte(out, c);
        else buf_puts(out, UTF8_REPLACEMENT);
        run = ++at;
    }
    buf_put(out, text.ptr + run, at - run);
}

void json_put_string(struct json_writer *w, struct slice value) {
    separate(w);
    buf_putc(w->out, '"');
    if (value.len) json_escape(w->out, value);
    buf_putc(w->out, '"');
}

void json_put_cstr(struct json_writer *w, const char *value) { json_put_string(w, slice_of(value)); }

void json_put_int(struct json_writer *w, int64_t value) {
    char digits[24];
    size_t at = sizeof digits;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do digits[--at] = (char)('0' + left % 10), left /= 10;
    while (left);
    if (value < 0) digits[--at] = '-';
    separate(w);
    buf_put(w->out, digits + at, sizeof digits - at);
}

void json_put_double(struct json_writer *w, double value) {
    char text[32];
    if (!isfinite(value)) {
        json_put_null(w);
        return;
    }
    if (fabs(value) < 1e15 && value == (double)(int64_t)value && !(value == 0 && signbit(value))) {
        json_put_int(w, (int64_t)value);
        return;
    }
    /* The fewest digits that read back the same. */
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    separate(w);
    buf_puts(w->out, text);
}

void json_put_bool(struct json_writer *w, bool value) { json_put_raw(w, value ? SLICE("true") : SLICE("false")); }
void json_put_null(struct json_writer *w) { json_put_raw(w, SLICE("null")); }

void json_put_raw(struct json_writer *w, struct slice json) {
    separate(w);
    buf_put_slice(w->out, json);
}
