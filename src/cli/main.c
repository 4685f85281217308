/* vitrine: finds the command, reads its options, runs it. */
#include "cli/cli.h"

#include "base/log.h"
#include "cli/help.h"

#include <curl/curl.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const struct command *command_named(const char *name) {
    for (const struct command_section *s = command_sections; s->title; s++)
        for (const struct command *const *c = s->commands; *c; c++)
            if (strcmp((*c)->name, name) == 0) return *c;
    return NULL;
}

bool setting_exists(const char *name, struct nearest *nearest) {
    bool found = false;
    for (const struct command_section *s = command_sections; s->title; s++)
        for (const struct command *const *c = s->commands; *c; c++)
            for (const struct option_group *const *g = (*c)->groups; *g; g++)
                for (const struct option *o = (*g)->options; o->name; o++) {
                    if (!(o->flags & OPTION_CONFIG)) continue;
                    found = found || strcmp(o->name, name) == 0;
                    nearest_try(nearest, o->name, slice_of(name));
                }
    return found;
}

/* ---- settings ---- */

/* --config, VITRINE_CONFIG, or the user's own file when there is one. */
static int find_config(struct cli *cli, const char *named, struct config *config, struct error *err) {
    *config = (struct config){0};
    if (!named) named = getenv("VITRINE_CONFIG");
    if (named && !*named) return 0; /* asked for none */
    if (!named) {
        named = default_config_file(cli->arena);
        if (!named || access(named, F_OK)) return 0;
    }
    int code = config_load(config, named, cli->arena, err);
    for (size_t i = 0; i < config->count && !code; i++) {
        const struct config_entry *entry = &config->entries[i];
        struct nearest nearest = {0};
        if (setting_exists(entry->key, &nearest)) continue;
        code = error_set(err, VT_EINVAL, "%s:%u: there is no setting '%s'", named, entry->line, entry->key);
        if (nearest.name) error_hint(err, "did you mean '%s'?", nearest.name);
    }
    return code;
}

/* ---- the way to a command ---- */

static int unknown_command(struct cli *cli, const char *word) {
    struct error err;
    struct nearest nearest = {0};
    bool is_family = false;
    struct buf family = {0};
    size_t len = strlen(word);
    for (const struct command_section *s = command_sections; s->title; s++)
        for (const struct command *const *c = s->commands; *c; c++) {
            nearest_try(&nearest, (*c)->name, slice_of(word));
            if (strncmp((*c)->name, word, len) == 0 && (*c)->name[len] == ' ') {
                buf_printf(&family, "%s%s", is_family ? "|" : "", (*c)->name + len + 1);
                is_family = true;
            }
        }
    if (is_family) {
        error_set(&err, VT_EINVAL, "%s what?", word);
        error_hint(&err, "vitrine %s %s", word, buf_cstr(&family));
    } else {
        error_set(&err, VT_EINVAL, "there is no command '%s'", word);
        if (nearest.name)
            error_hint(&err, "did you mean '%s'? `vitrine help` lists all", nearest.name);
        else
            error_hint(&err, "`vitrine help` lists all");
    }
    buf_free(&family);
    return cli_usage(cli, &err);
}

/* The command that the first words name; *used = how many they are. */
static const struct command *find_command(int count, char *const *words, int *used) {
    char two[64];
    *used = 2;
    if (count > 1 && snprintf(two, sizeof two, "%s %s", words[0], words[1]) < (int)sizeof two) {
        const struct command *c = command_named(two);
        if (c) return c;
    }
    *used = 1;
    return count ? command_named(words[0]) : NULL;
}

static int check_words(struct cli *cli) {
    const struct command *c = cli->command;
    struct error err;
    if (cli->word_count >= c->words_min && cli->word_count <= c->words_max) return 0;
    if (cli->word_count < c->words_min)
        error_set(&err, VT_EINVAL, "%s: %s is missing", c->name, c->words);
    else
        error_set(&err, VT_EINVAL, "%s: did not expect '%s'", c->name, cli->words[c->words_max]);
    error_hint(&err, "usage: vitrine %s [options] %s", c->name, c->words);
    return cli_usage(cli, &err);
}

static int run_command(struct cli *cli, int argc, char *const *argv) {
    const struct command *c = cli->command;
    struct error err = {0};
    struct config config;
    struct option_parse parse = {.groups = c->groups, .arena = cli->arena};
    parse.target = arena_calloc(cli->arena, 1, c->args_size + 1);
    parse.words = arena_calloc(cli->arena, (size_t)argc + 1, sizeof *parse.words);
    if (!parse.target || !parse.words) return cli_fail(cli, (error_set(&err, VT_ENOMEM, "no memory"), &err));
    if (c->defaults) c->defaults(parse.target);
    if (options_from_words(&parse, argc, argv, &err)) {
        if (!err.hint[0]) error_hint(&err, "`vitrine help %s` explains", c->name);
        return cli_usage(cli, &err);
    }
    if (parse.help) {
        help_command(&cli->out, c);
        return EXIT_FINE;
    }
    const struct option *named = option_named(c->groups, SLICE("config"));
    const char *path = named ? *(const char *const *)(const void *)((const char *)parse.target + named->offset) : NULL;
    if (find_config(cli, path, &config, &err))
        return err.code == VT_EINVAL ? cli_usage(cli, &err) : cli_fail(cli, &err);
    if (options_from_surroundings(&parse, &config, &err)) return cli_usage(cli, &err);
    cli->args = parse.target;
    cli->words = parse.words;
    cli->word_count = parse.word_count;
    cli->parse = &parse;
    cli->config = &config;
    int status = check_words(cli);
    return status ? status : c->run(cli);
}

static int dispatch(struct cli *cli, int argc, char *const *argv) {
    int used;
    const char *first = argc ? argv[0] : "";
    if (!argc) {
        help_overview(&cli->err);
        return EXIT_USAGE;
    }
    if (strcmp(first, "--version") == 0 || strcmp(first, "-V") == 0) {
        term_puts(&cli->out, "vitrine " VITRINE_VERSION "\n");
        return EXIT_FINE;
    }
    bool asks = strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0;
    if (asks) first = "help";
    char *const help[] = {(char *)(uintptr_t) "help", NULL};
    cli->command = find_command(asks ? 1 : argc, asks ? help : argv, &used);
    if (!cli->command) {
        struct error err;
        if (*first == '-') {
            error_set(&err, VT_EINVAL, "there is no option %s before a command", first);
            error_hint(&err, "options stand after the command: vitrine COMMAND [options]");
            return cli_usage(cli, &err);
        }
        return unknown_command(cli, first);
    }
    return run_command(cli, argc - used, argv + used);
}

int main(int argc, char **argv) {
    struct arena arena = {0};
    struct error err = {0};
    struct cli cli = {.arena = &arena, .program = argc ? argv[0] : "vitrine"};
    setlocale(LC_CTYPE, "");
    log_set_level(LOG_LEVEL_WARN); /* what serve says of its own life is no part of an answer */
    term_open(&cli.out, STDOUT_FILENO);
    term_open(&cli.err, STDERR_FILENO);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int status = argc > 0 ? dispatch(&cli, argc - 1, argv + 1) : EXIT_USAGE;
    if (term_flush(&cli.out, &err)) status = cli_fail(&cli, &err);
    term_flush(&cli.err, &err);
    term_close(&cli.out);
    term_close(&cli.err);
    curl_global_cleanup();
    arena_free(&arena);
    return status;
}
