/* Where a command's data comes from. */
#include "cli/source.h"

#include "query/api.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct source {
    struct client *client; /* or: */
    struct store *store;
    struct engine *engine;
    const char *dir;
};

static bool is_directory(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

const char *source_data_dir(struct cli *cli) {
    const struct shared_args *args = cli->args;
    return args->data ? args->data : default_data_dir(cli->arena);
}

void source_client_options(struct cli *cli, struct client_options *options) {
    const struct shared_args *args = cli->args;
    *options =
        (struct client_options){args->url ? args->url : SOURCE_URL_DEFAULT, args->key, args->cacert, args->timeout_ms};
}

static int open_directory(struct source *s, const char *dir, struct error *err) {
    struct store_options options = {.dir = dir, .read_only = true};
    s->dir = dir;
    if (!is_directory(dir)) {
        if (access(dir, F_OK) == 0) {
            error_set(err, VT_EINVAL, "%s is a file, not a data directory", dir);
            return error_hint(err, "`vitrine import %s` reads a file of traces", dir);
        }
        error_set(err, VT_ENOTFOUND, "there is no data directory %s", dir);
        return error_hint(err, "`vitrine serve --data %s` or `vitrine import --data %s FILE` makes it", dir, dir);
    }
    int code = store_open(&s->store, &options, err);
    return code ? code : engine_open(&s->engine, s->store, NULL, err);
}

static int open_default(struct source *s, struct cli *cli, struct error *err) {
    struct client_options options;
    const char *dir = default_data_dir(cli->arena);
    source_client_options(cli, &options);
    if (client_reaches(&options)) return client_open(&s->client, &options, err);
    if (is_directory(dir)) return open_directory(s, dir, err);
    error_set(err, VT_ENOTFOUND, "nothing listens at %s, and there is no data directory %s", options.url, dir);
    return error_hint(err, "start it with `vitrine serve`, or name a server with --url or a directory with --data");
}

bool source_unnamed(struct cli *cli) {
    return option_origin(cli->parse, "url") == ORIGIN_DEFAULT && option_origin(cli->parse, "data") == ORIGIN_DEFAULT;
}

int source_open(struct source **source, struct cli *cli, struct error *err) {
    const struct shared_args *args = cli->args;
    enum option_origin url = option_origin(cli->parse, "url"), data = option_origin(cli->parse, "data");
    struct client_options options;
    struct source *s = calloc(1, sizeof *s);
    int code;
    *source = NULL;
    if (!s) return error_set(err, VT_ENOMEM, "no memory");
    source_client_options(cli, &options);
    if (url == ORIGIN_WORDS && data == ORIGIN_WORDS)
        code = error_set(err, VT_EINVAL, "--url and --data name two places; give one");
    else if (source_unnamed(cli))
        code = open_default(s, cli, err);
    else if (url >= data)
        code = client_open(&s->client, &options, err);
    else
        code = open_directory(s, args->data, err);
    if (code)
        source_close(s);
    else
        *source = s;
    return code;
}

void source_close(struct source *source) {
    if (!source) return;
    client_close(source->client);
    engine_free(source->engine);
    store_close(source->store);
    free(source);
}

struct client *source_client(struct source *source) {
    return source->client;
}
struct engine *source_engine(struct source *source) {
    return source->engine;
}
const char *source_name(const struct source *source) {
    return source->client ? client_url(source->client) : source->dir;
}

static int call_server(struct source *s, const struct source_request *request, struct buf *out, struct error *err) {
    struct client_answer answer;
    struct buf path = {0};
    buf_put_slice(&path, request->path);
    struct client_request r = {.method = request->method ? request->method : "GET",
                               .path = buf_cstr(&path),
                               .query = request->query,
                               .body = request->body};
    int code = client_send(s->client, &r, &answer, err);
    if (!code && answer.status / 100 != 2) code = client_error(s->client, &answer, err);
    if (!code) buf_put_slice(out, buf_slice(&answer.body));
    buf_free(&answer.body);
    buf_free(&path);
    return code;
}

int source_call(struct source *s, const struct source_request *request, struct buf *out, struct error *err) {
    if (s->client) return call_server(s, request, out, err);
    struct api_request api = {.method = slice_of(request->method ? request->method : "GET"),
                              .path = request->path,
                              .query = request->query,
                              .body = request->body};
    return api_call(s->engine, &api, out, err);
}
