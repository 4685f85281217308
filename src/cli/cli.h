/* What all subcommands share: the table of commands, what a running command knows, and how it fails.
 *
 * A command is one row: name ("keys add" has two words), options, and a function that returns an exit status. Its
 * struct holds the options' values and begins zeroed; it may fill in defaults first. All of it runs on one thread. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "cli/options.h"
#include "cli/term.h"

enum exit_status { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct cli {
    const struct command *command;
    void *args;         /* the command's struct */
    const char **words; /* what is no option */
    size_t word_count;
    struct arena *arena;              /* as long as the command runs */
    const struct option_parse *parse; /* for option_was_set */
    const struct config *config;      /* path NULL: there is none */
    const char *program;              /* argv[0], to find other programs beside it */
    struct term out, err;             /* stdout and stderr */
};

struct command {
    const char *name;                         /* "trace", "keys add" */
    const char *words;                        /* what follows the options in the usage line: "ID", "[FILTER]" */
    const char *summary;                      /* one line, for the list of commands */
    const char *about;                        /* help: paragraphs; a line that begins with blanks stands as it is */
    const char *examples;                     /* help: lines "command  # what it does"; may be NULL */
    const struct option_group *const *groups; /* ends with NULL */
    size_t args_size;
    size_t words_min, words_max;
    void (*defaults)(void *args); /* may be NULL */
    int (*run)(struct cli *cli);  /* returns enum exit_status */
};

/* In the order in which help lists them. */
struct command_section {
    const char *title;
    const struct command *const *commands; /* ends with NULL */
};
extern const struct command_section command_sections[]; /* ends with title NULL */
/* By full name; NULL. */
const struct command *command_named(const char *name);
/* Any command has a setting of that name that a configuration file may hold. */
bool setting_exists(const char *name, struct nearest *nearest);

/* "vitrine: message" with its hint on stderr; returns EXIT_FAILED. */
int cli_fail(struct cli *cli, const struct error *err);
/* The same for a mistake in what was typed; returns EXIT_USAGE. */
int cli_usage(struct cli *cli, const struct error *err);
/* One of both, by the error's code: what has no meaning (VT_EINVAL) came from the one who typed it. With a column, the
 * mistake is shown under `text` (may be NULL). */
int cli_fail_at(struct cli *cli, const struct error *err, const char *text);
/* The words joined by blanks, in the arena. */
struct slice cli_words(struct cli *cli, size_t from);

/* $VITRINE_DATA is an option's business; this is what stands behind it: $XDG_DATA_HOME/vitrine or
 * ~/.local/share/vitrine. */
const char *default_data_dir(struct arena *arena);
/* Makes the directories above `path` that are not there (the store makes the last one itself). VT_EIO. */
int make_parents(const char *path, struct error *err);
/* Behind --config and $VITRINE_CONFIG: $XDG_CONFIG_HOME/vitrine/config.yaml or ~/.config/vitrine/config.yaml. */
const char *default_config_file(struct arena *arena);

#endif
