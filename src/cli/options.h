/* Options of the commands: tables, from which command lines, the environment and the configuration file are read and
 * from which help, man page and completions are written.
 *
 * A value comes from the first of: flag, environment (VITRINE_NAME), configuration file (key `name`), default. What the
 * environment and the file may say is marked OPTION_CONFIG. One thread. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "base/arena.h"
#include "base/error.h"

struct option;

/* How a value is read. `target` points at the member that `offset` names; texts are kept in `arena`. */
struct option_kind {
    const char *value; /* what help calls the value; NULL = a flag without one */
    int (*set)(void *target, const char *text, const struct option *option, struct arena *arena, struct error *err);
    bool many; /* may be given several times; each adds to the last */
};

extern const struct option_kind option_flag;     /* bool; --no-name takes it back */
extern const struct option_kind option_text;     /* const char * */
extern const struct option_kind option_texts;    /* struct texts */
extern const struct option_kind option_unsigned; /* unsigned, within least … most */
extern const struct option_kind option_size;     /* uint64_t bytes: 16MiB, 64MB, 4096 */
extern const struct option_kind option_millis;   /* unsigned milliseconds: 500ms, 30s, 5m */
extern const struct option_kind option_choice;   /* int: place in `choices` */

struct texts {
    const char *const *items;
    size_t count;
};

enum option_flags {
    OPTION_CONFIG = 1, /* environment and configuration file may set it */
    OPTION_SECRET = 2  /* its value is not shown in messages */
};

struct option {
    const char *name; /* "listen": --listen, VITRINE_LISTEN, listen: */
    const struct option_kind *kind;
    size_t offset;              /* of the member within the command's struct */
    const char *help;           /* one sentence without a period */
    const char *value;          /* overrides kind->value in help; may be NULL */
    const char *fallback;       /* the default in words; NULL = none worth telling */
    unsigned flags;             /* enum option_flags */
    unsigned least, most;       /* option_unsigned; most 0 = no bound */
    const char *const *choices; /* option_choice: ends with NULL */
    char letter;                /* -n; 0 = none */
};

/* Options that belong together in help; several commands may share a group. Its members stand in the command's struct.
 */
struct option_group {
    const char *title;
    const struct option *options; /* ends with name NULL */
};

enum { OPTION_GROUPS_MAX = 6 };

/* A configuration file, read once. */
struct config_entry {
    const char *key;
    const char *value;
    unsigned line;
};
struct config {
    const char *path; /* NULL: none was found */
    struct config_entry *entries;
    size_t count;
};

/* Reads a YAML mapping of names to scalars, lists of scalars (one entry each) or mappings (entries "name=value"). Texts
 * live in `arena`. VT_EINVAL names file and line; VT_EIO that it cannot be read. */
int config_load(struct config *config, const char *path, struct arena *arena, struct error *err);

struct option_parse {
    const struct option_group *const *groups; /* ends with NULL, at most OPTION_GROUPS_MAX */
    void *target;                             /* the command's struct, its defaults filled in */
    struct arena *arena;
    const char **words;           /* out: what is no option, in order; room for all of argv */
    size_t word_count;            /* out */
    const struct set_mark *marks; /* own: which options were set */
    bool help;                    /* out: -h or --help was there; nothing else was looked at then */
};

/* argv without program and command name. Only command-line mistakes: VT_EINVAL names the option, what was expected, and
 * the nearest name of an unknown one. `--` ends options; a word such as -model:gpt-4o is a filter, not an option. */
int options_from_words(struct option_parse *parse, int argc, char *const *argv, struct error *err);
/* Fills what the command line did not set from the environment, then from the configuration file (may be NULL). Must
 * follow options_from_words. */
int options_from_surroundings(struct option_parse *parse, const struct config *config, struct error *err);
/* Where its value came from (after the two functions above). */
enum option_origin { ORIGIN_DEFAULT, ORIGIN_FILE, ORIGIN_ENVIRONMENT, ORIGIN_WORDS };
enum option_origin option_origin(const struct option_parse *parse, const char *name);
static inline bool option_was_set(const struct option_parse *parse, const char *name) {
    return option_origin(parse, name) != ORIGIN_DEFAULT;
}

const struct option *option_named(const struct option_group *const *groups, struct slice name);
/* "VITRINE_LISTEN" into out. */
const char *option_environment(const struct option *option, char *out, size_t size);

/* The candidate that differs least from `text`; NULL when none is near enough to be what was meant. */
struct nearest {
    const char *name;
    unsigned distance;
};
void nearest_try(struct nearest *nearest, const char *candidate, struct slice text);

#endif
