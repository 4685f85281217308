/* JSON (RFC 8259): a pull reader that works in place on a slice and a writer into a buffer.
 *
 * Reading: the caller says what it expects and steps through; nothing is built. Strings without escapes are borrowed
 * from the input, others are unescaped into the arena. Invalid UTF-8 and lone surrogates become U+FFFD. Duplicate keys
 * come as they stand. The first mistake sticks: every later call does nothing and returns false or JSON_ERROR, so a
 * decoder may check once, at the end, with json_failed. The error names byte offset and what was expected.
 *
 *     json_reader_init(&r, text, &arena);
 *     if (json_object(&r))
 *         while (json_key(&r, &key)) {
 *             if (slice_is(key, "model")) json_string(&r, &model);
 *             else json_skip(&r);
 *         }
 *     if (!json_end(&r)) report(&r.err);
 *
 * Not thread-safe: one reader, one thread. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

enum json_type { JSON_ERROR, JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };
enum { JSON_DEPTH_MAX = 128 };

struct json_reader {
    const char *start, *at, *end; /* the text, and where we stand */
    struct arena *arena;          /* for unescaped strings; owned by the caller */
    uint32_t depth;               /* open objects and arrays */
    bool first;                   /* no member of the innermost object or array was read yet */
    bool failed;
    struct error err;
};

struct json_number {
    bool is_int;     /* written without fraction and exponent, and fits int64 */
    int64_t integer; /* when is_int */
    double real;     /* always, nearest double */
};

void json_reader_init(struct json_reader *r, struct slice text, struct arena *arena);
/* What comes next, without taking it. JSON_ERROR at the end of the text or at a byte that starts nothing. */
enum json_type json_peek(struct json_reader *r);
bool json_object(struct json_reader *r);                 /* takes '{' */
bool json_key(struct json_reader *r, struct slice *key); /* next key and ':'; false after the taken '}' */
bool json_array(struct json_reader *r);                  /* takes '[' */
bool json_item(struct json_reader *r);                   /* stands before the next element; false after the taken ']' */
bool json_string(struct json_reader *r, struct slice *value);
bool json_number(struct json_reader *r, struct json_number *value);
bool json_bool(struct json_reader *r, bool *value);
bool json_null(struct json_reader *r);
/* Lenient scalars that real senders need: an integer may come as number or as string of digits. False (and an error)
 * else. */
bool json_int64(struct json_reader *r, int64_t *value);
bool json_uint64(struct json_reader *r, uint64_t *value);
/* Passes over any value, checking it; `raw` (may be NULL) becomes its text as it stands. */
bool json_skip(struct json_reader *r, struct slice *raw);
/* Only white space is left (and nothing failed before); otherwise an error. */
bool json_end(struct json_reader *r);
/* Sets the error unless one stands already; for decoders that find a value of the right type but no meaning. */
void json_fail(struct json_reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline bool json_failed(const struct json_reader *r) {
    return r->failed;
}
static inline size_t json_offset(const struct json_reader *r) {
    return (size_t)(r->at - r->start);
}

/* Writing. Commas and colons are put by the writer: call json_put_key inside objects and values elsewhere.
 * NaN and infinities become null. Doubles are written as the shortest text that reads back the same. */
struct json_writer {
    struct buf *out;
    bool comma; /* the next value or key needs a comma before it */
};

static inline struct json_writer json_writer_on(struct buf *out) {
    return (struct json_writer){out, false};
}
void json_open(struct json_writer *w, char bracket);  /* '{' or '[' */
void json_close(struct json_writer *w, char bracket); /* '}' or ']' */
void json_put_key(struct json_writer *w, const char *key);
void json_put_key_slice(struct json_writer *w, struct slice key);
void json_put_string(struct json_writer *w, struct slice value); /* escapes; invalid UTF-8 becomes U+FFFD */
void json_put_cstr(struct json_writer *w, const char *value);
void json_put_int(struct json_writer *w, int64_t value);
void json_put_double(struct json_writer *w, double value);
void json_put_bool(struct json_writer *w, bool value);
void json_put_null(struct json_writer *w);
void json_put_raw(struct json_writer *w, struct slice json); /* already JSON; put as it stands */
/* Text with escapes but without the quotes around it, straight into a buffer. */
void json_escape(struct buf *out, struct slice text);

#endif
