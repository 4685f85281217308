/* A borrowed piece of text or bytes: never owned, never NUL-terminated, valid as long as what it points into.
 * An empty slice (len 0) stands for "absent" wherever a text may be missing. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *ptr; /* may be NULL when len is 0 */
    size_t len;      /* bytes */
};

#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})

static inline struct slice slice_of(const char *text) {
    return (struct slice){text, text ? strlen(text) : 0};
}
static inline struct slice slice_make(const void *ptr, size_t len) {
    return (struct slice){(const char *)ptr, len};
}
static inline bool slice_eq(struct slice a, struct slice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
/* The length of a literal is known when this is compiled, and so is how to compare it. */
static inline bool slice_is(struct slice a, const char *text) {
    size_t len = strlen(text);
    return a.len == len && (len == 0 || memcmp(a.ptr, text, len) == 0);
}
static inline bool slice_starts(struct slice a, struct slice prefix) {
    return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.ptr, prefix.ptr, prefix.len) == 0);
}
static inline bool slice_ends(struct slice a, struct slice suffix) {
    return a.len >= suffix.len && (suffix.len == 0 || memcmp(a.ptr + a.len - suffix.len, suffix.ptr, suffix.len) == 0);
}
/* Where `part` stands in `a` for the first time, or NULL. */
static inline const char *slice_find(struct slice a, struct slice part) {
    return a.len < part.len || !part.len ? NULL : (const char *)memmem(a.ptr, a.len, part.ptr, part.len);
}
/* The rest after `from` bytes; empty when there is none. */
static inline struct slice slice_from(struct slice a, size_t from) {
    return from >= a.len ? (struct slice){NULL, 0} : (struct slice){a.ptr + from, a.len - from};
}

#endif
