/* See remote_write.h. */
#include "metrics/remote_write.h"

#include "base/pb.h"

#include <stdlib.h>

enum { LABELS_MAX = 16, LITERAL_MAX = 1 << 16 };

struct label {
    struct slice name, value;
};

static int by_name(const void *a, const void *b) {
    struct slice x = ((const struct label *)a)->name, y = ((const struct label *)b)->name;
    int order = memcmp(x.ptr, y.ptr, x.len < y.len ? x.len : y.len);
    return order ? order : (x.len > y.len) - (x.len < y.len);
}

/* A value as it stands between the quotes; its escapes are resolved into `scratch`, which has room. */
static struct slice unescaped(struct slice text, struct buf *scratch) {
    size_t start = scratch->len;
    if (!memchr(text.ptr, '\\', text.len)) return text;
    for (size_t i = 0; i < text.len; i++) {
        bool escape = text.ptr[i] == '\\' && i + 1 < text.len;
        if (escape) i++;
        buf_putc(scratch, escape && text.ptr[i] == 'n' ? '\n' : text.ptr[i]);
    }
    return slice_make(scratch->ptr + start, scratch->len - start);
}

/* name{a="b",…} value: the labels, the value's text in *value. Returns how many, 0 for a line that is none of ours. */
static uint32_t split(struct slice line, struct label *labels, struct slice *value, struct buf *scratch) {
    const char *at = line.ptr, *end = line.ptr + line.len;
    uint32_t count = 0;
    labels[count++] = (struct label){SLICE("job"), SLICE("vitrine")};
    while (at < end && *at != '{' && *at != ' ') at++;
    labels[count++] = (struct label){SLICE("__name__"), slice_make(line.ptr, (size_t)(at - line.ptr))};
    if (at < end && *at == '{')
        for (at++; at < end && *at != '}' && count < LABELS_MAX;) {
            const char *name = at, *quote;
            while (at < end && *at != '=') at++;
            if (end - at < 2) return 0;
            struct label label = {.name = slice_make(name, (size_t)(at - name))};
            for (quote = at += 2; at < end && *at != '"'; at++)
                if (*at == '\\') at++;
            if (at >= end) return 0;
            label.value = unescaped(slice_make(quote, (size_t)(at - quote)), scratch);
            labels[count++] = label;
            if (++at < end && *at == ',') at++;
        }
    if (at < end && *at == '}') at++;
    if (at >= end || *at != ' ') return 0;
    *value = slice_make(at + 1, (size_t)(end - at - 1));
    return count;
}

static bool put_sample(struct slice line, int64_t now_ms, struct buf *scratch, struct buf *out) {
    struct label labels[LABELS_MAX];
    struct slice text;
    char number[64];
    buf_clear(scratch);
    if (!buf_reserve(scratch, line.len)) return false;
    uint32_t count = split(line, labels, &text, scratch);
    if (!count || !text.len || text.len >= sizeof number) return false;
    memcpy(number, text.ptr, text.len);
    number[text.len] = 0;
    double value = strtod(number, NULL);
    qsort(labels, count, sizeof *labels, by_name); /* the protocol wants them so */
    size_t series = pb_begin(out, 1);              /* timeseries */
    for (uint32_t i = 0; i < count; i++) {
        size_t label = pb_begin(out, 1); /* labels */
        pb_put_bytes(out, 1, labels[i].name);
        pb_put_bytes(out, 2, labels[i].value);
        pb_end(out, label);
    }
    size_t sample = pb_begin(out, 2); /* samples */
    pb_put_double(out, 1, value);
    pb_put_uint(out, 2, (uint64_t)now_ms);
    pb_end(out, sample);
    pb_end(out, series);
    return true;
}

uint32_t remote_write_put(struct slice text, int64_t now_ms, struct buf *out) {
    struct buf scratch = {0};
    uint32_t count = 0;
    while (text.len) {
        const char *newline = memchr(text.ptr, '\n', text.len);
        size_t len = newline ? (size_t)(newline - text.ptr) : text.len;
        if (len && *text.ptr != '#') count += put_sample(slice_make(text.ptr, len), now_ms, &scratch, out);
        text = slice_from(text, newline ? len + 1 : len);
    }
    buf_free(&scratch);
    return count;
}

void snappy_put_literals(struct slice body, struct buf *out) {
    pb_put_varint(out, body.len); /* the same variable-length numbers as protobuf's */
    while (body.len) {
        size_t len = body.len < LITERAL_MAX ? body.len : LITERAL_MAX;
        buf_putc(out, (char)(61 << 2)); /* a literal whose length - 1 follows in two bytes */
        buf_putc(out, (char)((len - 1) & 0xff));
        buf_putc(out, (char)((len - 1) >> 8));
        buf_put(out, body.ptr, len);
        body = slice_from(body, len);
    }
}
