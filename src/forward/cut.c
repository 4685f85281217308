/* A part of a request: for a target that finds the whole too large. The bodies are of our own making (encode_*.c). */
#include "forward/target.h"

#include "base/json.h"
#include "base/pb.h"

/* Which spans, and how many have been met. */
struct range {
    uint32_t from, to, at;
};

static bool takes_next(struct range *range) {
    uint32_t at = range->at++;
    return at >= range->from && at < range->to;
}

/* ScopeSpans with those of its spans that are within; nothing when none is. */
static void cut_scope(struct slice scope, struct range *range, struct buf *out) {
    struct pb_reader r;
    struct pb_field field;
    size_t before = out->len, mark = pb_begin(out, 2), inside = out->len;
    pb_reader_init(&r, scope);
    while (pb_next(&r, &field))
        if (field.number == 2 && takes_next(range)) pb_put_bytes(out, 2, field.bytes);
    if (out->len == inside)
        out->len = before;
    else
        pb_end(out, mark);
}

void cut_otlp(struct slice body, uint32_t from, uint32_t to, struct buf *out) {
    struct range range = {from, to, 0};
    struct pb_reader groups, r;
    struct pb_field group, field;
    pb_reader_init(&groups, body);
    while (pb_next(&groups, &group)) {
        size_t before = out->len, mark = pb_begin(out, 1), spans;
        pb_reader_init(&r, group.bytes);
        while (pb_next(&r, &field))
            if (field.number == 1) pb_put_bytes(out, 1, field.bytes);
        spans = out->len;
        pb_reader_init(&r, group.bytes);
        while (pb_next(&r, &field))
            if (field.number == 2) cut_scope(field.bytes, &range, out);
        if (out->len == spans)
            out->len = before;
        else
            pb_end(out, mark);
    }
}

/* The elements of a JSON array that are within. */
static void cut_array(struct json_reader *r, struct range *range, struct json_writer *w) {
    struct slice item;
    json_open(w, '[');
    if (json_array(r))
        while (json_item(r))
            if (json_skip(r, &item) && takes_next(range)) json_put_raw(w, item);
    json_close(w, ']');
}

void cut_datadog(struct slice body, uint32_t from, uint32_t to, struct buf *out) {
    struct range range = {from, to, 0};
    struct arena arena = {0};
    struct json_reader r;
    struct json_writer w = json_writer_on(out);
    json_reader_init(&r, body, &arena);
    cut_array(&r, &range, &w);
    arena_free(&arena);
}

void cut_newrelic(struct slice body, uint32_t from, uint32_t to, struct buf *out) {
    struct range range = {from, to, 0};
    struct arena arena = {0};
    struct json_reader r;
    struct json_writer w = json_writer_on(out);
    struct slice key, raw;
    json_reader_init(&r, body, &arena);
    json_open(&w, '[');
    json_open(&w, '{');
    if (json_array(&r) && json_item(&r) && json_object(&r))
        while (json_key(&r, &key)) {
            json_put_key_slice(&w, key);
            if (slice_is(key, "logs"))
                cut_array(&r, &range, &w);
            else if (json_skip(&r, &raw))
                json_put_raw(&w, raw);
        }
    json_close(&w, '}');
    json_close(&w, ']');
    arena_free(&arena);
}
