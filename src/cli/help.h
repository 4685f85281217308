/* Help and man page, written from the tables of options. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "cli/cli.h"

extern const char help_tagline[];

void help_overview(struct term *out);
void help_command(struct term *out, const struct command *command);
void help_man(struct term *out); /* man.c; troff */

/* "-n, --limit N" */
void help_option_usage(const struct option *option, char *out, size_t size);
/* Its help with default and environment. */
void help_option_text(const struct option *option, struct buf *out);

#endif
