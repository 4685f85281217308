/* `vitrine prices`: what tokens cost, by the table that is built in with the user's own over it, or as a server has it.
 */
#include "cli/commands.h"
#include "cli/show.h"

#include "span/prices.h"

#include <math.h>
#include <stdlib.h>

struct prices_args {
    struct shared_args shared;
    const char *file;
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct show_column columns[] = {{"PROVIDER", "provider", SHAPE_TEXT, 0, 0},
                                             {"MODEL", "model", SHAPE_TEXT, 16, 0},
                                             {"INPUT", "input", SHAPE_USD, 0, 0},
                                             {"CACHED", "cached", SHAPE_USD, 0, 2},
                                             {"CACHE WRITE", "cache_write", SHAPE_USD, 0, 3},
                                             {"OUTPUT", "output", SHAPE_USD, 0, 0},
                                             {"VALID FROM", "valid_from", SHAPE_TEXT, 0, 4},
                                             {"SOURCE", "source", SHAPE_TEXT, 8, 5}};

static void put_number(struct json_writer *w, const char *name, double value) {
    if (isnan(value)) return;
    json_put_key(w, name);
    json_put_double(w, value);
}

static void put_text(struct json_writer *w, const char *name, const char *value) {
    if (!*value) return;
    json_put_key(w, name);
    json_put_cstr(w, value);
}

/* In the words of GET /api/v1/prices. */
static int own_prices(const char *file, struct buf *out, struct error *err) {
    struct json_writer w = json_writer_on(out);
    struct prices *prices;
    const struct price *price;
    int code = prices_load(&prices, file, err);
    if (code) return code;
    json_open(&w, '{');
    json_put_key(&w, "prices");
    json_open(&w, '[');
    for (size_t i = 0; (price = prices_each(prices, &i));) {
        json_open(&w, '{');
        put_text(&w, "provider", price->provider);
        put_text(&w, "model", price->model);
        put_number(&w, "input", price->input);
        put_number(&w, "cached", price->cached);
        put_number(&w, "cache_write", price->cache_write);
        put_number(&w, "output", price->output);
        put_text(&w, "valid_from", price->valid_from);
        put_text(&w, "source", price->source);
        json_close(&w, '}');
    }
    json_close(&w, ']');
    json_close(&w, '}');
    prices_free(prices);
    return 0;
}

static bool names(struct slice text, struct slice word) {
    return word.len == 0 || (text.len && memmem(text.ptr, text.len, word.ptr, word.len));
}

static int run(struct cli *cli) {
    const struct prices_args *args = cli->args;
    struct slice json, word = cli_words(cli, 0);
    const struct doc *answer;
    struct error err = {0};
    if (option_was_set(cli->parse, "url")) {
        int status = show_ask(cli, &(struct source_request){.path = SLICE("/api/v1/prices")}, NULL, &json, &answer);
        if (status) return status;
    } else {
        struct buf out = {0};
        struct doc *doc;
        int code = own_prices(args->file, &out, &err);
        json = arena_copy(cli->arena, buf_slice(&out));
        buf_free(&out);
        if (!code) code = doc_parse(json, cli->arena, &doc, &err);
        if (code) return code == VT_EINVAL ? cli_usage(cli, &err) : cli_fail(cli, &err);
        answer = doc;
    }
    if (args->shared.json && !word.len) {
        show_json(cli, json);
        return EXIT_FINE;
    }
    struct doc rows = {.type = JSON_ARRAY}, **last = &rows.first;
    for (struct doc *price = (struct doc *)(uintptr_t)doc_first(doc_get(answer, "prices")), *next; price;
         price = next) {
        next = price->next;
        if (!names(doc_text(price, "model"), word) && !names(doc_text(price, "provider"), word)) continue;
        *last = price;
        last = &price->next;
        *last = NULL;
    }
    if (args->shared.json) {
        buf_puts(&cli->out.buf, "{\"prices\":[");
        for (const struct doc *price = rows.first; price; price = price->next) {
            buf_put_slice(&cli->out.buf, price->text);
            if (price->next) buf_putc(&cli->out.buf, ',');
        }
        buf_puts(&cli->out.buf, "]}\n");
        return EXIT_FINE;
    }
    if (!rows.first && !args->shared.csv) {
        term_puts(&cli->err, "No price names that. A file of your own adds it: vitrine serve --prices FILE\n");
        return EXIT_FAILED;
    }
    if (show_rows(cli, &rows, columns, COUNT(columns), &err)) return cli_fail(cli, &err);
    if (cli->out.tty && !args->shared.csv) term_style(&cli->out, STYLE_DIM, "\nUS dollars a million tokens\n");
    return EXIT_FINE;
}

static const struct option options[] = {{.name = "prices",
                                         .kind = &option_text,
                                         .value = "FILE",
                                         .offset = offsetof(struct prices_args, file),
                                         .flags = OPTION_CONFIG,
                                         .help = "your own, laid over those that are built in"},
                                        {0}};
static const struct option_group group = {"Which prices", options};

const struct command command_prices = {
    .name = "prices",
    .words = "[WORD]",
    .summary = "what tokens cost",
    .about = "US dollars a million tokens, of models and providers that hold WORD in their name. With --url as that "
             "server has them.",
    .examples = "vitrine prices gpt-4o\nvitrine prices --prices own.yaml --csv\n",
    .groups = (const struct option_group *const[]){&group, &group_table, &group_server, &group_config, NULL},
    .args_size = sizeof(struct prices_args),
    .words_max = 1,
    .defaults = shared_defaults,
    .run = run,
};
