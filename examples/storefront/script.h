/* Conversations for the demo: several shoppers at once, with a rate limit, an outage and a broken stream among their
 * turns. */
#ifndef STOREFRONT_SCRIPT_H
#define STOREFRONT_SCRIPT_H

#include "llm.h"

/* Plays all of them, each on a thread of its own, and prints what is said to standard error unless `quiet`. 0, or 1
 * when a thread could not be had. */
int script_play(const struct llm_settings *llm, bool quiet);

#endif
