/* A line on stderr that says how far a long job is, when stderr is a terminal. One thread. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "cli/cli.h"

struct progress {
    struct term *term; /* NULL: nothing is shown */
    const char *what;  /* "app.log" */
    const char *noun;  /* "spans" */
    int64_t start_ns, shown_ns;
    bool visible;
    bool bare; /* what is done is not counted in bytes: only its share is shown */
};

void progress_start(struct progress *progress, struct cli *cli, const char *what, const char *noun);
/* `total` 0 = not known; `count` of nouns so far. Draws ten times a second at most. */
void progress_show(struct progress *progress, uint64_t done, uint64_t total, uint64_t count);
void progress_clear(struct progress *progress); /* takes the line away, so that other text can stand there */
double progress_seconds(const struct progress *progress);

#endif
