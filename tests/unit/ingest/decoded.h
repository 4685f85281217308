/* What the tests of the decoders share: decoding into a fresh batch, and looking at what came of it. */
#ifndef TESTS_DECODED_H
#define TESTS_DECODED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "ingest/ingest.h"
#include "span/normalise.h"
#include "span/span_json.h"

#include <stdio.h>
#include <stdlib.h>

/* A copy of exactly its size, so that a sanitizer sees any byte read beyond. */
static inline struct slice exactly(struct slice text) {
    char *copy = malloc(text.len ? text.len : 1);
    if (text.len) memcpy(copy, text.ptr, text.len);
    return slice_make(copy, text.len);
}

static inline void forget(struct slice text) {
    free((void *)(uintptr_t)text.ptr);
}

static inline struct batch *decode_log(struct slice text, struct log_decode *options) {
    struct batch *batch = batch_new();
    struct error err = {0};
    if (log_decode(batch, text, options, &err)) fail_msg("%s", err.message);
    batch_finish(batch);
    return batch;
}

/* The text of a column, as a string that the next four calls leave alone. */
static inline const char *text_of(const struct span *span, enum col col) {
    static char texts[4][20000];
    static int next;
    char *text = texts[next++ % 4];
    struct slice value = span_get_text(span, col);
    snprintf(text, sizeof texts[0], "%.*s", (int)value.len, value.ptr ? value.ptr : "");
    return text;
}

static inline const char *json_of_span(const struct span *span) {
    static struct buf out;
    buf_clear(&out);
    struct json_writer w = json_writer_on(&out);
    span_put_json(&w, span);
    return buf_cstr(&out);
}

static inline void assert_contains(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("%s\n    is not in\n%s", part, text);
}

static inline const char *rejection(const struct batch *batch, uint32_t i) {
    static char text[700];
    if (i >= batch->rejection_count) fail_msg("%u rejections, expected more than %u", batch->rejection_count, i);
    snprintf(text, sizeof text, "%u: %.*s", batch->rejections[i].position, (int)batch->rejections[i].message.len,
             batch->rejections[i].message.ptr);
    return text;
}

static inline struct slice read_whole(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s cannot be opened", path);
    static char text[1 << 20];
    size_t len = fread(text, 1, sizeof text, file);
    fclose(file);
    return slice_make(text, len);
}

#endif
