/* A growable byte buffer. A zeroed struct is valid and empty. Not thread-safe.
 * Running out of memory or passing the limit sets `failed`, after which writes do nothing: check once at the end. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/slice.h"

struct buf {
    char *ptr;
    size_t len;         /* bytes used */
    size_t cap;         /* bytes owned */
    size_t limit_bytes; /* 0 = none */
    bool failed;        /* something did not fit: the content is not whole */
};

void buf_free(struct buf *buf); /* releases; buf is empty and usable after */
bool buf_grow(struct buf *buf, size_t more);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline void buf_clear(struct buf *buf) {
    buf->len = 0, buf->failed = false;
}
/* Room for `more` bytes at ptr + len; false when it cannot be had. */
static inline bool buf_reserve(struct buf *buf, size_t more) {
    return !buf->failed && (buf->cap - buf->len >= more || buf_grow(buf, more));
}
static inline void buf_put(struct buf *buf, const void *data, size_t len) {
    if (len && buf_reserve(buf, len)) {
        memcpy(buf->ptr + buf->len, data, len);
        buf->len += len;
    }
}
static inline void buf_putc(struct buf *buf, char c) {
    if (buf_reserve(buf, 1)) buf->ptr[buf->len++] = c;
}
static inline void buf_puts(struct buf *buf, const char *text) {
    buf_put(buf, text, strlen(text));
}
static inline void buf_put_slice(struct buf *buf, struct slice text) {
    buf_put(buf, text.ptr, text.len);
}
static inline struct slice buf_slice(const struct buf *buf) {
    return slice_make(buf->ptr, buf->len);
}
/* The content with a NUL behind it (not counted); "" when memory ran out. */
const char *buf_cstr(struct buf *buf);

#endif
