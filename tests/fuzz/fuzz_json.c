/* The JSON reader by itself: two ways through a text agree, and what was read can be written and read again. */
#include "fuzz.h"

static void copy(struct json_reader *r, struct json_writer *w) {
    struct slice text;
    struct json_number number;
    bool truth;
    switch (json_peek(r)) {
    case JSON_OBJECT:
        json_object(r);
        json_open(w, '{');
        while (json_key(r, &text)) json_put_key_slice(w, text), copy(r, w);
        json_close(w, '}');
        break;
    case JSON_ARRAY:
        json_array(r);
        json_open(w, '[');
        while (json_item(r)) copy(r, w);
        json_close(w, ']');
        break;
    case JSON_STRING:
        if (json_string(r, &text)) json_put_string(w, text);
        break;
    case JSON_NUMBER:
        if (!json_number(r, &number)) break;
        if (number.is_int || number.real == 0)
            json_put_int(w, number.integer); /* -0 is 0 */
        else
            json_put_double(w, number.real);
        break;
    case JSON_BOOL:
        if (json_bool(r, &truth)) json_put_bool(w, truth);
        break;
    case JSON_NULL:
        if (json_null(r)) json_put_null(w);
        break;
    case JSON_ERROR: json_skip(r, NULL); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = {0};
    struct json_reader r, again;
    struct buf out = {0}, twice = {0};
    struct slice raw;
    json_reader_init(&r, slice_make(data, size), &arena);
    bool skipped = json_skip(&r, &raw) && json_end(&r);
    json_reader_init(&r, slice_make(data, size), &arena);
    struct json_writer w = json_writer_on(&out);
    copy(&r, &w);
    must((json_end(&r) && !json_failed(&r)) == skipped, "passing over a text and reading it agree");
    if (skipped) {
        json_reader_init(&again, buf_slice(&out), &arena);
        w = json_writer_on(&twice);
        copy(&again, &w);
        must(json_end(&again) && slice_eq(buf_slice(&out), buf_slice(&twice)), "what is written reads back the same");
    } else {
        must(r.err.message[0] || r.failed, "a mistake is named");
    }
    buf_free(&out), buf_free(&twice);
    arena_free(&arena);
    return 0;
}
