/* The man page, written from the tables of options. */
#include "cli/help.h"

#include <stdio.h>

/* Text for troff: no line begins with a control character, dashes and backslashes are themselves. */
static void troff(struct term *out, const char *text) {
    for (const char *p = text; *p; p++) {
        bool begins = p == text || p[-1] == '\n';
        if (begins && (*p == '.' || *p == '\'')) term_puts(out, "\\&");
        if (*p == '\\')
            term_puts(out, "\\e");
        else if (*p == '-')
            term_puts(out, "\\-");
        else if (*p == '"')
            term_puts(out, "\\(dq");
        else if (*p == '~')
            term_puts(out, "\\(ti");
        else if (*p == '^')
            term_puts(out, "\\(ha");
        else if (*p == '`')
            term_puts(out, "\\(ga");
        else if (strncmp(p, "\xe2\x80\xa6", 3) == 0)
            term_puts(out, "\\&..."), p += 2;
        else if (strncmp(p, "\xe2\x80\x94", 3) == 0)
            term_puts(out, "\\(em"), p += 2;
        else
            buf_putc(&out->buf, *p);
    }
}

static void troff_lines(struct term *out, const char *text) {
    bool literal = false;
    for (const char *line = text; *line;) {
        size_t len = strcspn(line, "\n");
        bool indented = *line == ' ';
        if (indented != literal) term_puts(out, indented ? ".nf\n" : ".fi\n");
        literal = indented;
        if (!len)
            term_puts(out, ".PP\n");
        else {
            char copy[2048];
            snprintf(copy, sizeof copy, "%.*s", (int)len, line);
            troff(out, copy);
            term_puts(out, "\n");
        }
        line += len + (line[len] == '\n');
    }
    if (literal) term_puts(out, ".fi\n");
}

static void man_command(struct term *out, const struct command *c) {
    struct buf text = {0};
    term_puts(out, ".SS vitrine ");
    troff(out, c->name);
    term_puts(out, " ");
    troff(out, c->words);
    term_puts(out, "\n");
    buf_printf(&text, "%s.\n", c->summary);
    if (text.len) text.ptr[0] = (char)(text.ptr[0] >= 'a' && text.ptr[0] <= 'z' ? text.ptr[0] - 32 : text.ptr[0]);
    troff(out, buf_cstr(&text));
    if (c->about) {
        term_puts(out, ".PP\n");
        troff_lines(out, c->about);
    }
    for (const struct option_group *const *g = c->groups; *g; g++)
        for (const struct option *o = (*g)->options; o->name; o++) {
            char usage[100];
            help_option_usage(o, usage, sizeof usage);
            term_puts(out, ".TP\n.B ");
            troff(out, usage);
            term_puts(out, "\n");
            buf_clear(&text);
            help_option_text(o, &text);
            troff(out, buf_cstr(&text));
            term_puts(out, "\n");
        }
    if (c->examples) {
        term_puts(out, ".PP\nExamples:\n.nf\n");
        troff(out, c->examples);
        term_puts(out, ".fi\n");
    }
    buf_free(&text);
}

void help_man(struct term *out) {
    term_puts(out,
              ".TH VITRINE 1 \"2026-11-24\" \"vitrine " VITRINE_VERSION "\" \"User Commands\"\n.SH NAME\nvitrine \\- ");
    term_puts(out, help_tagline);
    term_puts(out, "\n.SH SYNOPSIS\n.B vitrine\n.I COMMAND\n[options]\n.SH DESCRIPTION\n");
    troff_lines(out, "Vitrine receives what LLM applications say of themselves (OpenTelemetry spans, JSON log lines, a "
                     "Convex log stream, or "
                     "calls that pass through its proxy), keeps it, and shows it: as a web page, in the terminal, by "
                     "SQL, as metrics and "
                     "alerts.\n\nWhere a command asks for data, it asks the server named by --url, or, when none "
                     "listens at the default address, "
                     "reads the data directory itself.\n");
    term_puts(out, ".SH COMMANDS\n");
    for (const struct command_section *s = command_sections; s->title; s++)
        for (const struct command *const *c = s->commands; *c; c++) man_command(out, *c);
    term_puts(out, ".SH CONFIGURATION\n");
    troff_lines(
        out,
        "A value comes from the first of: option, environment, configuration file, default. Options that show a name "
        "such as "
        "[VITRINE_LISTEN] are read from the environment and, under the option's own name, from the file. Options that "
        "may be "
        "repeated are lists there, and separated by blanks in the environment:\n\n"
        "  listen: 0.0.0.0:4318\n  retention: [30d, 50GB]\n  upstream:\n    openai: https://api.openai.com\n\n"
        "The file is the one of --config or VITRINE_CONFIG, else ~/.config/vitrine/config.yaml when it is there.\n");
    term_puts(out, ".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nNo colours.\n.TP\n.B CLICOLOR_FORCE\nColours also where the "
                   "output is no terminal.\n"
                   ".TP\n.B VITRINE_ASCII\nNothing but ASCII: no box drawing, no bars of blocks.\n"
                   ".SH EXIT STATUS\n.TP\n.B 0\nAll went well.\n.TP\n.B 1\nSomething failed, or something was lost.\n"
                   ".TP\n.B 2\nWhat was typed has no meaning: an option, a filter, a configuration file.\n");
}
