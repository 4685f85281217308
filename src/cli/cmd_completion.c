/* `vitrine completion`: completions for shells, written from the tables of options. */
#include "cli/commands.h"

#include <stdio.h>

static void bash_options(struct term *out, const struct command *c) {
    for (const struct option_group *const *g = c->groups; *g; g++)
        for (const struct option *o = (*g)->options; o->name; o++) term_printf(out, " --%s", o->name);
}

/* The second words of a family of commands ("keys" has add, list, revoke), or the commands' first words when `family`
 * is NULL. */
static void words_of(struct term *out, const char *family) {
    const char *last = "";
    size_t last_len = 0;
    for (const struct command_section *s = command_sections; s->title; s++)
        for (const struct command *const *c = s->commands; *c; c++) {
            const char *name = (*c)->name;
            size_t len = strcspn(name, " ");
            if (family) {
                if (name[len] && strlen(family) == len && !strncmp(name, family, len))
                    term_printf(out, " %s", name + len + 1);
            } else if (len != last_len || strncmp(name, last, len) != 0) {
                term_printf(out, " %.*s", (int)len, name);
                last = name;
                last_len = len;
            }
        }
}

static void each_family(struct term *out, void (*put)(struct term *out, const char *family)) {
    const char *last = "";
    for (const struct command_section *s = command_sections; s->title; s++)
        for (const struct command *const *c = s->commands; *c; c++) {
            char family[40];
            size_t len = strcspn((*c)->name, " ");
            if (!(*c)->name[len] || (strncmp(last, (*c)->name, len) == 0 && last[len] == ' ')) continue;
            snprintf(family, sizeof family, "%.*s", (int)len, (*c)->name);
            put(out, family);
            last = (*c)->name;
        }
}

static void bash_family(struct term *out, const char *family) {
    term_printf(out, "        %s) words=\"", family);
    words_of(out, family);
    term_puts(out, "\" ;;\n");
}

static void complete_bash(struct term *out) {
    term_puts(out, "# bash completion of vitrine\n_vitrine() {\n    local cur=${COMP_WORDS[COMP_CWORD]} words=\"\" "
                   "command=${COMP_WORDS[1]}\n"
                   "    if (( COMP_CWORD == 1 )); then\n        COMPREPLY=($(compgen -W \"");
    words_of(out, NULL);
    term_puts(out, "\" -- \"$cur\"))\n        return\n    fi\n    if (( COMP_CWORD == 2 )) && [[ $cur != -* ]]; then\n "
                   "       case $command in\n");
    each_family(out, bash_family);
    term_puts(
        out,
        "        esac\n        [[ $words ]] && { COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")); return; }\n    fi\n"
        "    [[ $cur == -* ]] || { COMPREPLY=($(compgen -f -- \"$cur\")); return; }\n"
        "    case \"$command ${COMP_WORDS[2]}\" in\n");
    for (const struct command_section *s = command_sections; s->title; s++)
        for (const struct command *const *c = s->commands; *c; c++) {
            bool two = strchr((*c)->name, ' ') != NULL;
            term_printf(out, "        \"%s\"%s) words=\"", (*c)->name, two ? "" : "\\ *");
            bash_options(out, *c);
            term_puts(out, " --help\" ;;\n");
        }
    term_puts(out, "    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -F _vitrine vitrine\n");
}

/* In single quotes, for zsh and fish; what would end them is left out, what has a meaning there is escaped. */
static void quoted(struct term *out, const char *text, const char *escaped) {
    for (const char *p = text; *p; p++) {
        if (*p == '\'') continue;
        if (strchr(escaped, *p)) buf_putc(&out->buf, '\\');
        buf_putc(&out->buf, *p);
    }
}

static void zsh_family(struct term *out, const char *family) {
    term_printf(out, "    '%s:", family);
    words_of(out, family);
    term_puts(out, "'\n");
}

static void zsh_family_words(struct term *out, const char *family) {
    term_printf(out, "    (( CURRENT == 3 )) && [[ $words[2] == %s ]] && { compadd --", family);
    words_of(out, family);
    term_puts(out, "; return }\n");
}

static void complete_zsh(struct term *out) {
    term_puts(out, "#compdef vitrine\n_vitrine() {\n  if (( CURRENT == 2 )); then\n    local -a commands=(\n");
    for (const struct command_section *s = command_sections; s->title; s++)
        for (const struct command *const *c = s->commands; *c; c++) {
            if (strchr((*c)->name, ' ')) continue;
            term_printf(out, "    '%s:", (*c)->name);
            quoted(out, (*c)->summary, ":");
            term_puts(out, "'\n");
        }
    each_family(out, zsh_family);
    term_puts(out, "    )\n    _describe command commands\n    return\n  fi\n");
    each_family(out, zsh_family_words);
    term_puts(out, "  local -a options\n  case \"$words[2] $words[3]\" in\n");
    for (const struct command_section *s = command_sections; s->title; s++)
        for (const struct command *const *c = s->commands; *c; c++) {
            bool two = strchr((*c)->name, ' ') != NULL;
            term_printf(out, "    \"%s\"%s) options=(\n", (*c)->name, two ? "" : "\\ *");
            for (const struct option_group *const *g = (*c)->groups; *g; g++)
                for (const struct option *o = (*g)->options; o->name; o++) {
                    const char *value = o->value ? o->value : o->kind->value;
                    term_printf(out, "      '%s--%s%s[", o->kind->many ? "*" : "", o->name, value ? "=" : "");
                    quoted(out, o->help, "[]:\\");
                    term_puts(out, "]");
                    if (value) {
                        term_puts(out, ":");
                        quoted(out, value, ":\\");
                        term_puts(out, strcmp(value, "FILE") == 0 || strcmp(value, "DIR") == 0 ? ":_files" : ":");
                    }
                    term_puts(out, "'\n");
                }
            term_printf(out, "    ); words=(\"$words[1]\" \"${(@)words[%d,-1]}\"); (( CURRENT -= %d )) ;;\n",
                        two ? 4 : 3, two ? 2 : 1);
        }
    term_puts(out, "  esac\n  _arguments $options '*:file:_files'\n}\n"
                   "if [[ $funcstack[1] == _vitrine ]]; then _vitrine \"$@\"; else compdef _vitrine vitrine; fi\n");
}

static void fish_family(struct term *out, const char *family) {
    term_printf(out,
                "complete -c vitrine -n __fish_use_subcommand -f -a %s\ncomplete -c vitrine -n "
                "'__fish_seen_subcommand_from %s' -f -a '",
                family, family);
    words_of(out, family);
    term_puts(out, "'\n");
}

static void complete_fish(struct term *out) {
    each_family(out, fish_family);
    for (const struct command_section *s = command_sections; s->title; s++)
        for (const struct command *const *c = s->commands; *c; c++) {
            const char *name = (*c)->name, *second = strchr(name, ' ');
            int first = (int)strcspn(name, " ");
            if (!second) {
                term_printf(out, "complete -c vitrine -n __fish_use_subcommand -f -a %s -d '", name);
                quoted(out, (*c)->summary, "");
                term_puts(out, "'\n");
            }
            for (const struct option_group *const *g = (*c)->groups; *g; g++)
                for (const struct option *o = (*g)->options; o->name; o++) {
                    term_printf(out, "complete -c vitrine -n '__fish_seen_subcommand_from %.*s", first, name);
                    if (second) term_printf(out, "; and __fish_seen_subcommand_from %s", second + 1);
                    term_printf(out, "' -l %s%s -d '", o->name, o->kind->value ? " -r" : "");
                    quoted(out, o->help, "");
                    term_puts(out, "'\n");
                }
        }
}

static int run(struct cli *cli) {
    static const struct {
        const char *shell;
        void (*write)(struct term *out);
    } shells[] = {{"bash", complete_bash}, {"zsh", complete_zsh}, {"fish", complete_fish}};
    struct error err;
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (strcmp(cli->words[0], shells[i].shell) == 0) {
            shells[i].write(&cli->out);
            return EXIT_FINE;
        }
    error_set(&err, VT_EINVAL, "completion: expected bash, zsh or fish, found '%s'", cli->words[0]);
    return cli_usage(cli, &err);
}

const struct command command_completion = {
    .name = "completion",
    .words = "bash|zsh|fish",
    .summary = "completions for a shell",
    .examples = "source <(vitrine completion bash)  # for this shell\n"
                "vitrine completion zsh > ~/.zfunc/_vitrine\n"
                "vitrine completion fish > ~/.config/fish/completions/vitrine.fish\n",
    .groups = (const struct option_group *const[]){NULL},
    .words_min = 1,
    .words_max = 1,
    .run = run,
};
