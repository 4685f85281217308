/* What all subcommands share: how they fail, and where things are by default. */
#include "cli/cli.h"

#include "cli/text.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- failing ---- */

static void say(struct cli *cli, const struct error *err) {
    struct error ignored;
    term_flush(&cli->out, &ignored); /* what was said before comes first */
    term_style(&cli->err, STYLE_BAD, "vitrine: ");
    term_text(&cli->err, STYLE_PLAIN, slice_of(err->message));
    term_puts(&cli->err, "\n");
    if (err->hint[0]) {
        term_puts(&cli->err, "  ");
        term_text(&cli->err, STYLE_PLAIN, slice_of(err->hint));
        term_puts(&cli->err, "\n");
    }
    term_flush(&cli->err, &ignored);
}

int cli_fail(struct cli *cli, const struct error *err) {
    say(cli, err);
    return EXIT_FAILED;
}

int cli_usage(struct cli *cli, const struct error *err) {
    say(cli, err);
    return EXIT_USAGE;
}

int cli_fail_at(struct cli *cli, const struct error *err, const char *text) {
    if (err->column > 0 && text && !strchr(text, '\n')) {
        /* The text stands above its message, with a mark under the character that is meant. */
        struct buf clean = {0};
        const char *at = text;
        for (int left = err->column - 1; *at && left > 0; left--) do
                at++;
            while ((*at & 0xc0) == 0x80);
        text_clean(&clean, slice_make(text, (size_t)(at - text)), false);
        size_t before = text_width(buf_slice(&clean));
        term_puts(&cli->err, "  ");
        term_text(&cli->err, STYLE_PLAIN, slice_of(text));
        term_puts(&cli->err, "\n");
        term_spaces(&cli->err, 2 + before);
        term_style(&cli->err, STYLE_BAD, "^\n");
        buf_free(&clean);
    }
    say(cli, err);
    return err->code == VT_EINVAL ? EXIT_USAGE : EXIT_FAILED;
}

struct slice cli_words(struct cli *cli, size_t from) {
    struct buf all = {0};
    for (size_t i = from; i < cli->word_count; i++) {
        if (i > from) buf_putc(&all, ' ');
        buf_puts(&all, cli->words[i]);
    }
    struct slice joined = arena_copy(cli->arena, buf_slice(&all));
    buf_free(&all);
    return joined;
}

/* ---- places ---- */

static const char *below(struct arena *arena, const char *variable, const char *fallback, const char *rest) {
    const char *base = getenv(variable), *home = getenv("HOME");
    if (base && *base == '/') return arena_printf(arena, "%s/%s", base, rest).ptr;
    return arena_printf(arena, "%s/%s/%s", home && *home ? home : ".", fallback, rest).ptr;
}

const char *default_config_file(struct arena *arena) {
    return below(arena, "XDG_CONFIG_HOME", ".config", "vitrine/config.yaml");
}
const char *default_data_dir(struct arena *arena) {
    return below(arena, "XDG_DATA_HOME", ".local/share", "vitrine");
}

int make_parents(const char *path, struct error *err) {
    char *copy = strdup(path);
    int code = copy ? 0 : error_set(err, VT_ENOMEM, "no memory");
    for (char *slash = copy; !code && (slash = strchr(slash + 1, '/'));) {
        *slash = 0;
        if (mkdir(copy, 0700) != 0 && errno != EEXIST)
            code = error_set(err, VT_EIO, "%s cannot be made: %s", copy, strerror(errno));
        *slash = '/';
    }
    free(copy);
    return code;
}
