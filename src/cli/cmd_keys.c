/* `vitrine keys`: who may send, read and administer. On a data directory (its owner needs no key for that), or over
 * HTTP with an admin key. A running server notices within a second what is changed in its directory. */
#include "cli/commands.h"
#include "cli/show.h"

#include "base/timestamp.h"
#include "serve/keys.h"
#include "store/store.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <sys/stat.h>

struct keys_args {
    struct shared_args shared;
    const char *scopes, *project;
    bool all;
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct show_column columns[] = {
    {"ID", "id", SHAPE_TEXT, 0, 0},           {"NAME", "name", SHAPE_TEXT, 8, 0},
    {"SCOPES", "scopes", SHAPE_TEXT, 0, 0},   {"PROJECT", "project", SHAPE_TEXT, 8, 1},
    {"CREATED", "created", SHAPE_TIME, 0, 2}, {"REVOKED", "revoked", SHAPE_TIME, 0, 0}};

static bool over_http(struct cli *cli) {
    enum option_origin url = option_origin(cli->parse, "url"), data = option_origin(cli->parse, "data");
    return url > ORIGIN_DEFAULT && url >= data;
}

/* The keys of the directory; one that is not there yet is made, so that the first key can be before the first start. */
static int open_keys(struct cli *cli, bool make, struct keys **keys, struct error *err) {
    const char *dir = source_data_dir(cli);
    struct stat st;
    struct store *store;
    bool there = stat(dir, &st) == 0;
    *keys = NULL;
    if (!there && !make) {
        error_set(err, VT_ENOTFOUND, "there is no data directory %s", dir);
        return error_hint(err, "name it with --data, or a server with --url");
    }
    if (!there) {
        int code = make_parents(dir, err);
        if (!code) code = store_open(&store, &(struct store_options){.dir = dir}, err);
        if (code) return code;
        store_close(store);
    }
    int code = store_open(&store, &(struct store_options){.dir = dir, .read_only = true}, err);
    if (code) return code;
    code = keys_open(keys, store_catalog_path(store), err);
    store_close(store);
    return code;
}

static void put_text(struct json_writer *w, const char *name, const char *value) {
    if (!*value) return;
    json_put_key(w, name);
    json_put_cstr(w, value);
}

static void put_time(struct json_writer *w, const char *name, int64_t ns) {
    char text[TIME_TEXT_MAX];
    if (!ns) return;
    json_put_key(w, name);
    json_put_string(w, slice_make(text, time_format(ns, 6, text)));
}

static void put_members(struct json_writer *w, const struct key *key) {
    char scopes[64];
    put_text(w, "id", key->id);
    put_text(w, "name", key->name);
    put_text(w, "scopes", scopes_format(key->scopes, scopes, sizeof scopes));
    put_text(w, "project", key->project);
    put_time(w, "created", key->created_ns);
    put_time(w, "revoked", key->revoked_ns);
}

static void put_key(void *ctx, const struct key *key) {
    json_open(ctx, '{');
    put_members(ctx, key);
    json_close(ctx, '}');
}

/* ---- list ---- */

static int list_json(struct cli *cli, struct buf *out, struct error *err) {
    struct keys *keys;
    struct json_writer w = json_writer_on(out);
    int code = open_keys(cli, false, &keys, err);
    if (code) return code;
    json_open(&w, '{');
    json_put_key(&w, "keys");
    json_open(&w, '[');
    code = keys_list(keys, put_key, &w, err);
    json_close(&w, ']');
    json_close(&w, '}');
    keys_close(keys);
    return code;
}

static int run_list(struct cli *cli) {
    const struct keys_args *args = cli->args;
    struct slice json = {NULL, 0};
    const struct doc *answer = NULL;
    struct error err = {0};
    if (over_http(cli)) {
        int status = show_ask(cli, &(struct source_request){.path = SLICE("/api/v1/keys")}, NULL, &json, &answer);
        if (status) return status;
    } else {
        struct buf out = {0};
        struct doc *doc;
        int code = list_json(cli, &out, &err);
        json = arena_copy(cli->arena, buf_slice(&out));
        buf_free(&out);
        if (!code) code = doc_parse(json, cli->arena, &doc, &err);
        if (code) return cli_fail(cli, &err);
        answer = doc;
    }
    if (args->shared.json) {
        show_json(cli, json);
        return EXIT_FINE;
    }
    struct doc good = {.type = JSON_ARRAY}, **last = &good.first;
    for (struct doc *key = (struct doc *)(uintptr_t)doc_first(doc_get(answer, "keys")), *next; key; key = next) {
        next = key->next;
        if (!args->all && doc_get(key, "revoked")) continue;
        *last = key;
        last = &key->next;
        *last = NULL;
    }
    if (!good.first && !args->shared.csv) {
        term_puts(&cli->err, "No keys. `vitrine keys add NAME` makes one.\n");
        return EXIT_FINE;
    }
    return show_rows(cli, &good, columns, COUNT(columns), &err) ? cli_fail(cli, &err) : EXIT_FINE;
}

/* ---- add ---- */

static void say_added(struct cli *cli, const char *text, struct slice scopes) {
    if (!cli->out.tty) {
        term_puts(&cli->out, text); /* for KEY=$(vitrine keys add ci) */
        term_puts(&cli->out, "\n");
        return;
    }
    term_style(&cli->out, STYLE_BOLD, text);
    term_printf(&cli->out, "\n\nIt may %.*s. It is shown this once: keep it now.\n", (int)scopes.len, scopes.ptr);
    term_printf(&cli->out,
                "  VITRINE_KEY=%s vitrine traces\n  OTEL_EXPORTER_OTLP_HEADERS=\"authorization=Bearer %s\"\n", text,
                text);
}

static int add_over_http(struct cli *cli) {
    const struct keys_args *args = cli->args;
    struct buf body = {0};
    struct json_writer w = json_writer_on(&body);
    struct slice json;
    const struct doc *made;
    json_open(&w, '{');
    put_text(&w, "name", cli->words[0]);
    put_text(&w, "scopes", args->scopes);
    put_text(&w, "project", args->project ? args->project : "");
    json_close(&w, '}');
    int status = show_ask(
        cli, &(struct source_request){.method = "POST", .path = SLICE("/api/v1/keys"), .body = buf_slice(&body)}, NULL,
        &json, &made);
    buf_free(&body);
    if (status) return status;
    if (args->shared.json)
        show_json(cli, json);
    else
        say_added(cli, arena_copy(cli->arena, doc_text(made, "key")).ptr, doc_text(made, "scopes"));
    return EXIT_FINE;
}

static int run_add(struct cli *cli) {
    const struct keys_args *args = cli->args;
    struct keys *keys;
    struct key made;
    struct error err = {0};
    char text[KEY_TEXT_MAX], scopes[64];
    int set = scopes_parse(args->scopes, &err);
    if (!set) return cli_usage(cli, &err);
    if (over_http(cli)) return add_over_http(cli);
    int code = open_keys(cli, true, &keys, &err);
    if (!code) code = keys_add(keys, cli->words[0], args->project ? args->project : "", set, text, &made, &err);
    if (!code && args->shared.json) {
        struct json_writer w = json_writer_on(&cli->out.buf);
        json_open(&w, '{');
        put_text(&w, "key", text);
        put_members(&w, &made);
        json_close(&w, '}');
        term_puts(&cli->out, "\n");
    } else if (!code)
        say_added(cli, text, slice_of(scopes_format(made.scopes, scopes, sizeof scopes)));
    OPENSSL_cleanse(text, sizeof text);
    keys_close(keys);
    return !code ? EXIT_FINE : code == VT_EINVAL ? cli_usage(cli, &err) : cli_fail(cli, &err);
}

/* ---- revoke ---- */

static int run_revoke(struct cli *cli) {
    struct keys *keys;
    struct error err = {0};
    int code;
    if (over_http(cli)) {
        struct buf path = {0};
        struct slice json;
        buf_puts(&path, "/api/v1/keys/");
        percent_encode(&path, slice_of(cli->words[0]));
        int status =
            show_ask(cli, &(struct source_request){.method = "DELETE", .path = buf_slice(&path)}, NULL, &json, NULL);
        buf_free(&path);
        if (status) return status;
    } else {
        code = open_keys(cli, false, &keys, &err);
        if (!code) code = keys_revoke(keys, cli->words[0], &err);
        keys_close(keys);
        if (code) return cli_fail(cli, &err);
    }
    term_puts(&cli->out, "Revoked ");
    term_text(&cli->out, STYLE_BOLD, slice_of(cli->words[0]));
    term_puts(&cli->out, ". A running server refuses it within a second.\n");
    return EXIT_FINE;
}

#define AT(member) offsetof(struct keys_args, member)

static const struct option add_options[] = {
    {.name = "scopes",
     .kind = &option_text,
     .value = "LIST",
     .offset = AT(scopes),
     .fallback = "ingest,read",
     .help = "what it may: ingest, read, admin"},
    {.name = "project",
     .kind = &option_text,
     .value = "NAME",
     .offset = AT(project),
     .help = "what is sent with it goes there, and it sees nothing else"},
    {.name = "json", .kind = &option_flag, .offset = AT(shared.json), .help = "the key and what it may, as JSON"},
    {0}};
static const struct option_group add_group = {"The key", add_options};
static const struct option list_options[] = {
    {.name = "all", .kind = &option_flag, .offset = AT(all), .help = "revoked ones too"}, {0}};
static const struct option_group list_group = {"Which keys", list_options};

static void defaults(void *target) {
    shared_defaults(target);
    ((struct keys_args *)target)->scopes = "ingest,read";
}

const struct command command_keys_add = {
    .name = "keys add",
    .words = "NAME",
    .summary = "make an API key; it is shown this once",
    .about = "NAME says what it is for. Without --url the key is put into the data directory, where a running server "
             "finds it.",
    .examples = "vitrine keys add storefront --scopes ingest\nvitrine keys add grafana --scopes read\n",
    .groups = (const struct option_group *const[]){&add_group, &group_source, &group_config, NULL},
    .args_size = sizeof(struct keys_args),
    .words_min = 1,
    .words_max = 1,
    .defaults = defaults,
    .run = run_add,
};
const struct command command_keys_list = {
    .name = "keys list",
    .words = "",
    .summary = "the keys, without their secrets",
    .groups = (const struct option_group *const[]){&list_group, &group_table, &group_source, &group_config, NULL},
    .args_size = sizeof(struct keys_args),
    .defaults = defaults,
    .run = run_list,
};
const struct command command_keys_revoke = {
    .name = "keys revoke",
    .words = "ID|NAME",
    .summary = "refuse a key from now on",
    .groups = (const struct option_group *const[]){&group_source, &group_config, NULL},
    .args_size = sizeof(struct keys_args),
    .words_min = 1,
    .words_max = 1,
    .defaults = defaults,
    .run = run_revoke,
};
