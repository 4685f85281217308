/* What was said in a prompt or completion, as one text for people. */
#ifndef QUERY_SAID_H
#define QUERY_SAID_H

#include "base/arena.h"

/* The last message of `role` in a JSON list of messages; the last of all when none has it or `role` is NULL; a text
 * that is no list as it stands. In the arena, or part of `content`. Empty when there is none. */
struct slice said_last(struct slice content, const char *role, struct arena *arena);

#endif
