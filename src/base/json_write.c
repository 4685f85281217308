/* Writing JSON into a buffer. */
#include "base/json.h"

#include "base/format.h"

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

/* Most texts are short: one reservation for all that is put. */
enum { SHORT_BYTES = 512 };

static inline char *put_quoted(char *out, struct json_writer *w, struct slice text) {
    if (w->comma) *out++ = ',';
    *out++ = '"';
    if (text.len) out = format_escaped(out, text);
    *out++ = '"';
    return out;
}

static inline bool reserve_quoted(struct json_writer *w, struct slice text) {
    return text.len <= SHORT_BYTES && buf_reserve(w->out, text.len * FORMAT_ESCAPE_MAX + 4);
}

void json_put_key_slice(struct json_writer *w, struct slice key) {
    if (reserve_quoted(w, key)) {
        char *end = put_quoted(w->out->ptr + w->out->len, w, key);
        *end++ = ':';
        w->out->len = (size_t)(end - w->out->ptr);
    } else {
        json_put_string(w, key);
        buf_putc(w->out, ':');
    }
    w->comma = false;
}

void json_put_key(struct json_writer *w, const char *key) {
    json_put_key_slice(w, slice_of(key));
}

void json_escape(struct buf *out, struct slice text) {
    /* In pieces, since room is reserved for the worst case. */
    enum { PIECE = 1024 };
    while (text.len) {
        size_t len = text.len < PIECE ? text.len : PIECE;
        for (unsigned back = 0; len < text.len && back < 3 && ((uint8_t)text.ptr[len] & 0xc0) == 0x80; back++) len--;
        if (!buf_reserve(out, len * FORMAT_ESCAPE_MAX)) return;
        out->len = (size_t)(format_escaped(out->ptr + out->len, slice_make(text.ptr, len)) - out->ptr);
        text = slice_from(text, len);
    }
}

void json_put_string(struct json_writer *w, struct slice value) {
    if (reserve_quoted(w, value)) {
        w->out->len = (size_t)(put_quoted(w->out->ptr + w->out->len, w, value) - w->out->ptr);
        w->comma = true;
        return;
    }
    separate(w);
    buf_putc(w->out, '"');
    if (value.len) json_escape(w->out, value);
    buf_putc(w->out, '"');
}

void json_put_cstr(struct json_writer *w, const char *value) {
    json_put_string(w, slice_of(value));
}

void json_put_int(struct json_writer *w, int64_t value) {
    char text[FORMAT_INT_MAX + 1];
    separate(w);
    buf_put(w->out, text, (size_t)(format_int(text, value) - text));
}

void json_put_double(struct json_writer *w, double value) {
    char text[FORMAT_DOUBLE_MAX];
    separate(w);
    buf_put(w->out, text, (size_t)(format_double(text, value) - text));
}

void json_put_bool(struct json_writer *w, bool value) {
    json_put_raw(w, value ? SLICE("true") : SLICE("false"));
}
void json_put_null(struct json_writer *w) {
    json_put_raw(w, SLICE("null"));
}

void json_put_raw(struct json_writer *w, struct slice json) {
    separate(w);
    buf_put_slice(w->out, json);
}
