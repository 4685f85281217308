/* Words of prompts and completions, for the word filters of segments and the search: runs of letters, digits and bytes
 * above 0x7f, ASCII letters lower-cased (other scripts are taken as written). Words of over 64 bytes are cut there. */
#ifndef STORE_WORDS_H
#define STORE_WORDS_H

#include "base/slice.h"

enum { WORD_MAX = 64 };

/* The next word of *text, lower-cased into `word` (WORD_MAX bytes); *text is moved past it. 0 at the end, else the
 * length. */
static inline size_t word_next(struct slice *text, char *word) {
    const unsigned char *p = (const unsigned char *)text->ptr, *end = p + text->len;
    size_t len = 0;
    for (; p < end; p++) {
        unsigned char c = *p;
        if (c >= 'A' && c <= 'Z') c |= 0x20;
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80) {
            if (len < WORD_MAX) word[len++] = (char)c;
        } else if (len) {
            break;
        }
    }
    *text = slice_make(p, (size_t)(end - p));
    return len;
}

#endif
