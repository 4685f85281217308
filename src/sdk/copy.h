/* Copying a text whose length is not known yet: one pass instead of strlen and memcpy, which for the short texts of
 * attributes are most of what tracing costs. */
#ifndef SDK_COPY_H
#define SDK_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COPY_WHOLE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define COPY_WHOLE 0
#endif
#endif
#if !defined(COPY_WHOLE) && defined(__SSE2__)
#define COPY_WHOLE 1
#endif

enum { COPY_PIECE = 16, COPY_PAGE = 4096 };

/* Copies text up to its NUL to `to` and returns where the NUL stands there; NULL when it would not fit before end (what
 * stands from `to` on is then undefined, as it is behind the NUL). Like the C library's own string functions it reads
 * whole pieces, which may go past the NUL but never into another page. */
static inline char *copy_text(char *to, const char *end, const char *text) {
#if COPY_WHOLE
    while (end - to >= COPY_PIECE && ((uintptr_t)text & (COPY_PAGE - 1)) <= COPY_PAGE - COPY_PIECE) {
        __m128i piece = _mm_loadu_si128((const __m128i *)(const void *)text);
        unsigned zeros = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(piece, _mm_setzero_si128()));
        _mm_storeu_si128((__m128i *)(void *)to, piece);
        if (zeros) return to + __builtin_ctz(zeros);
        to += COPY_PIECE, text += COPY_PIECE;
    }
#endif
    size_t size = strlen(text) + 1;
    if ((size_t)(end - to) < size) return NULL;
    memcpy(to, text, size);
    return to + size - 1;
}

#endif
