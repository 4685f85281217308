/* Looking for words in prompts and completions: case-insensitive, in what was said and not in how it is written down
 * (roles and the quoting of JSON are left out). */
#ifndef QUERY_NEEDLE_H
#define QUERY_NEEDLE_H

#include "base/arena.h"
#include "base/buf.h"

struct needle {
    struct slice folded;   /* what to find, lower case */
    struct slice probe;    /* the longest part of it that stands unchanged in JSON; empty = none */
    bool at_start, at_end; /* must begin, end at a word's border */
    struct slice *words;   /* whole words that any match holds, lower case: for bloom filters */
    uint32_t word_count;
};

/* `text` may begin and end with '*' unless `literal`: without them it must stand at the borders of words. False when
 * memory ran out. */
bool needle_init(struct needle *needle, struct slice text, bool literal, struct arena *arena);
/* `scratch` is used for texts that hold messages as JSON. */
bool needle_found(const struct needle *needle, struct slice text, struct buf *scratch);
/* First place in `text` of an ASCII lower-case `part`, whatever the case; NULL when there is none. */
const char *find_folded(struct slice text, struct slice part);
/* Appends what is said in a JSON list of messages (or any JSON): its text values, a line each, without roles and types.
 */
void messages_text(struct slice json, struct buf *out);

#endif
