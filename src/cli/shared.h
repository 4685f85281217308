/* Options that several commands share. The struct of each command that uses one of these groups begins with
 * shared_args. */
#ifndef CLI_SHARED_H
#define CLI_SHARED_H

#include "cli/cli.h"

struct shared_args {
    const char *config;
    /* where the data is */
    const char *url, *key, *data, *cacert;
    unsigned timeout_ms;
    /* which of it */
    const char *from, *to, *q;
    unsigned limit;
    /* how it is shown */
    bool json, csv, utc;
};

extern const struct option_group group_config; /* --config */
extern const struct option_group group_source; /* --url --key --data --cacert --timeout */
extern const struct option_group group_server; /* the same without --data: what only a running server can do */
extern const struct option_group group_range;  /* --from --to */
extern const struct option_group group_page;   /* --limit */
extern const struct option_group group_output; /* --json --utc */
extern const struct option_group group_table;  /* --json --csv --utc */

void shared_defaults(void *args); /* for struct command.defaults */
/* Adds from and to, and the filter that the words make, to a query string. */
void shared_query(struct cli *cli, struct buf *query, struct slice filter);

#endif
