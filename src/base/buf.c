/* Growth by doubling, with a limit. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool buf_grow(struct buf *buf, size_t more) {
    size_t need;
    if (buf->failed) return false;
    if (__builtin_add_overflow(buf->len, more, &need) || (buf->limit_bytes && need > buf->limit_bytes)) {
        buf->failed = true;
        return false;
    }
    size_t cap = buf->cap ? buf->cap : 256;
    while (cap < need) cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    char *ptr = realloc(buf->ptr, cap);
    if (!ptr) {
        buf->failed = true;
        return false;
    }
    buf->ptr = ptr;
    buf->cap = cap;
    return true;
}

void buf_free(struct buf *buf) {
    free(buf->ptr);
    *buf = (struct buf){.limit_bytes = buf->limit_bytes};
}

void buf_printf(struct buf *buf, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    size_t room = buf->cap - buf->len;
    int length = buf->failed ? -1 : vsnprintf(room ? buf->ptr + buf->len : NULL, room, format, args);
    va_end(args);
    if (length >= 0 && (size_t)length >= room && buf_reserve(buf, (size_t)length + 1))
        vsnprintf(buf->ptr + buf->len, (size_t)length + 1, format, again);
    va_end(again);
    if (length >= 0 && !buf->failed) buf->len += (size_t)length;
}

const char *buf_cstr(struct buf *buf) {
    if (!buf_reserve(buf, 1)) return "";
    buf->ptr[buf->len] = 0;
    return buf->ptr;
}
