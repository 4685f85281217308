/* Help, written from the tables of options, and `vitrine help`. */
#include "cli/help.h"
#include "cli/commands.h"

#include "cli/text.h"

#include <stdio.h>

enum { HELP_WIDTH = 100, OPTION_COLUMN = 30 };

const char help_tagline[] = "see what happens inside LLM applications";

/* "--listen HOST:PORT" */
void help_option_usage(const struct option *o, char *out, size_t size) {
    const char *value = o->value ? o->value : o->kind->value;
    char letter[8] = "";
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(out, size, "%s--%s%s%s", letter, o->name, o->kind->value ? " " : "", o->kind->value ? value : "");
}

void help_option_text(const struct option *o, struct buf *out) {
    char env[80];
    buf_puts(out, o->help);
    if (o->fallback) buf_printf(out, " (default: %s)", o->fallback);
    if (o->flags & OPTION_CONFIG) buf_printf(out, " [%s]", option_environment(o, env, sizeof env));
}

static void wrapped(struct term *out, struct slice text, size_t indent, size_t width) {
    bool first = true;
    while (text.len) {
        struct slice line = text_wrap(text, width - indent, &text);
        if (!first) term_spaces(out, indent);
        buf_put_slice(&out->buf, line);
        term_puts(out, "\n");
        first = false;
    }
}

static size_t help_width(const struct term *out) {
    return out->width && out->width < HELP_WIDTH ? out->width : HELP_WIDTH;
}

/* Paragraphs; a line that begins with blanks stands as it is. */
static void paragraphs(struct term *out, const char *text) {
    for (const char *line = text; *line;) {
        size_t len = strcspn(line, "\n");
        if (*line == ' ' || !len) {
            buf_put(&out->buf, line, len);
            term_puts(out, "\n");
        } else
            wrapped(out, slice_make(line, len), 0, help_width(out));
        line += len + (line[len] == '\n');
    }
}

static void options_of(struct term *out, const struct option_group *group) {
    struct buf text = {0};
    term_puts(out, "\n");
    term_style(out, STYLE_HEAD, group->title);
    term_puts(out, "\n");
    for (const struct option *o = group->options; o->name; o++) {
        char usage[100];
        help_option_usage(o, usage, sizeof usage);
        size_t used = 2 + text_width(slice_of(usage));
        term_puts(out, "  ");
        term_style(out, STYLE_ACCENT, usage);
        if (used + 2 > OPTION_COLUMN) {
            term_puts(out, "\n");
            used = 0;
        }
        term_spaces(out, OPTION_COLUMN - used);
        buf_clear(&text);
        help_option_text(o, &text);
        wrapped(out, buf_slice(&text), OPTION_COLUMN, help_width(out));
    }
    buf_free(&text);
}

static void examples_of(struct term *out, const char *examples) {
    size_t widest = 0;
    for (const char *line = examples; *line; line += strcspn(line, "\n") + 1) {
        const char *comment = strstr(line, "  # ");
        size_t len = comment && comment < line + strcspn(line, "\n") ? (size_t)(comment - line) : strcspn(line, "\n");
        if (len > widest && len < 56) widest = len;
    }
    term_puts(out, "\n");
    term_style(out, STYLE_HEAD, "Examples");
    term_puts(out, "\n");
    for (const char *line = examples; *line;) {
        size_t len = strcspn(line, "\n");
        const char *comment = strstr(line, "  # ");
        size_t command = comment && comment < line + len ? (size_t)(comment - line) : len;
        term_puts(out, "  ");
        buf_put(&out->buf, line, command);
        if (command < len) {
            term_spaces(out, command < widest ? widest - command : 0);
            term_stylef(out, STYLE_DIM, "  %.*s", (int)(len - command - 2), comment + 2);
        }
        term_puts(out, "\n");
        line += len + (line[len] == '\n');
    }
}

void help_command(struct term *out, const struct command *c) {
    term_printf(out, "%svitrine %s%s — %s\n\n", term_on(out, STYLE_BOLD), c->name, term_off(out, STYLE_BOLD),
                c->summary);
    term_printf(out, "Usage: vitrine %s [options]%s%s\n", c->name, *c->words ? " " : "", c->words);
    if (c->about) {
        term_puts(out, "\n");
        paragraphs(out, c->about);
    }
    for (const struct option_group *const *g = c->groups; *g; g++) options_of(out, *g);
    if (c->examples) examples_of(out, c->examples);
}

void help_overview(struct term *out) {
    term_printf(out, "%svitrine%s — %s\n\n", term_on(out, STYLE_BOLD), term_off(out, STYLE_BOLD), help_tagline);
    term_puts(out, "Usage: vitrine COMMAND [options]\n");
    for (const struct command_section *s = command_sections; s->title; s++) {
        term_puts(out, "\n");
        term_style(out, STYLE_HEAD, s->title);
        term_puts(out, "\n");
        for (const struct command *const *c = s->commands; *c; c++) {
            char name[64];
            snprintf(name, sizeof name, "%s%s%s", (*c)->name, *(*c)->words ? " " : "", (*c)->words);
            if (text_width(slice_of(name)) > 26) snprintf(name, sizeof name, "%s", (*c)->name);
            term_puts(out, "  ");
            term_style(out, STYLE_ACCENT, name);
            term_spaces(out, 28 - text_width(slice_of(name)));
            wrapped(out, slice_of((*c)->summary), 30, help_width(out));
        }
    }
    term_puts(out, "\n");
    wrapped(out, slice_of("New here? `vitrine demo` shows it all at once. `vitrine help COMMAND` explains a command."),
            0, help_width(out));
}

/* ---- vitrine help ---- */

struct help_args {
    bool man;
};

static int run(struct cli *cli) {
    const struct help_args *args = cli->args;
    struct error err;
    if (args->man) {
        help_man(&cli->out);
        return EXIT_FINE;
    }
    if (!cli->word_count) {
        help_overview(&cli->out);
        return EXIT_FINE;
    }
    const char *name = cli_words(cli, 0).ptr;
    const struct command *c = command_named(name);
    if (c) {
        help_command(&cli->out, c);
        return EXIT_FINE;
    }
    /* "keys": each command of the family. */
    size_t len = strlen(name), found = 0;
    struct nearest nearest = {0};
    for (const struct command_section *s = command_sections; s->title; s++)
        for (const struct command *const *each = s->commands; *each; each++) {
            nearest_try(&nearest, (*each)->name, slice_of(name));
            if (strncmp((*each)->name, name, len) != 0 || (*each)->name[len] != ' ') continue;
            if (found++) term_puts(&cli->out, "\n");
            help_command(&cli->out, *each);
        }
    if (found) return EXIT_FINE;
    error_set(&err, VT_EINVAL, "there is no command '%s'", name);
    if (nearest.name) error_hint(&err, "did you mean '%s'?", nearest.name);
    return cli_usage(cli, &err);
}

static const struct option options[] = {{.name = "man",
                                         .kind = &option_flag,
                                         .offset = offsetof(struct help_args, man),
                                         .help = "the whole manual as a man page (troff)"},
                                        {0}};
static const struct option_group group = {"Options", options};

const struct command command_help = {
    .name = "help",
    .words = "[COMMAND]",
    .summary = "explain a command, or list all",
    .examples = "vitrine help serve\nvitrine help --man | man -l -  # the whole manual\n",
    .groups = (const struct option_group *const[]){&group, NULL},
    .args_size = sizeof(struct help_args),
    .words_max = 2,
    .run = run,
};
