/* `vitrine delete`: a user's, a thread's or a trace's spans and scores, gone from the disk. */
#include "cli/commands.h"
#include "cli/show.h"

#include "query/scores.h"

#include <stdio.h>
#include <unistd.h>

struct delete_args {
    struct shared_args shared;
    const char *user, *thread, *trace, *project;
    bool yes;
};

/* What is meant: one of three. */
static const char *meant(const struct delete_args *args, const char **member) {
    *member = args->user ? "user_id" : args->thread ? "thread_id" : "trace_id";
    return args->user ? args->user : args->thread ? args->thread : args->trace;
}

static int check(const struct delete_args *args, struct error *err) {
    int given = !!args->user + !!args->thread + !!args->trace;
    const char *member, *value = meant(args, &member);
    if (given == 1 && *value) return 0;
    error_set(err, VT_EINVAL,
              given > 1 ? "delete: --user, --thread and --trace name one thing at a time"
                        : "delete: whose data? --user, --thread or --trace is missing");
    return error_hint(err, "vitrine delete --user ID");
}

static int confirm(struct cli *cli, struct error *err) {
    const struct delete_args *args = cli->args;
    struct error ignored;
    const char *member, *value = meant(args, &member);
    char answer[16];
    if (args->yes) return 0;
    if (!isatty(STDIN_FILENO) || !cli->err.tty) {
        error_set(err, VT_EINVAL, "delete: there is nobody to ask");
        return error_hint(err, "--yes says that it is meant");
    }
    term_printf(&cli->err, "Delete for good what is kept of %.*s ", (int)strcspn(member, "_"), member);
    term_text(&cli->err, STYLE_BOLD, slice_of(value));
    term_puts(&cli->err, "? [y/N] ");
    term_flush(&cli->err, &ignored);
    if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y')) return 0;
    return error_set(err, VT_ECANCELLED, "nothing was deleted");
}

/* ---- in a directory ---- */

static int delete_here(struct store *store, const struct delete_args *args, uint64_t *spans, uint64_t *scores_gone,
                       struct error *err) {
    uint8_t trace_id[TRACE_ID_SIZE];
    struct scores *scores = NULL;
    uint64_t more = 0;
    struct store_delete what = {
        .user_id = slice_of(args->user), .thread_id = slice_of(args->thread), .project = slice_of(args->project)};
    if (args->trace) {
        if (!hex_decode(slice_of(args->trace), trace_id, sizeof trace_id))
            id_from_text(slice_of(args->trace), trace_id, sizeof trace_id);
        what.trace_id = trace_id;
    }
    int code = store_delete(store, &what, spans, err);
    if (!code) code = scores_open(&scores, store_catalog_path(store), false, err);
    if (!code && (args->user || args->trace))
        code = scores_forget(scores, &(struct score_forget){slice_of(args->user), what.trace_id, what.project},
                             scores_gone, err);
    if (!code) code = scores_sweep(scores, store, &more, err);
    *scores_gone += more;
    scores_free(scores);
    return code;
}

/* ---- over HTTP ---- */

static int delete_there(struct cli *cli, struct client *client, uint64_t *spans, uint64_t *scores, struct error *err) {
    const struct delete_args *args = cli->args;
    struct client_answer answer;
    struct buf body = {0};
    struct doc *doc;
    const char *member, *value = meant(args, &member);
    struct json_writer w = json_writer_on(&body);
    json_open(&w, '{');
    json_put_key(&w, member);
    json_put_cstr(&w, value);
    if (args->project) {
        json_put_key(&w, "project");
        json_put_cstr(&w, args->project);
    }
    json_close(&w, '}');
    int code = client_send(
        client, &(struct client_request){.method = "POST", .path = "/api/v1/delete", .body = buf_slice(&body)}, &answer,
        err);
    if (!code && answer.status / 100 != 2) code = client_error(client, &answer, err);
    if (!code && !(code = doc_parse(arena_copy(cli->arena, buf_slice(&answer.body)), cli->arena, &doc, err))) {
        *spans = (uint64_t)doc_number(doc, "spans");
        *scores = doc_get(doc, "scores") ? (uint64_t)doc_number(doc, "scores") : 0;
    }
    buf_free(&answer.body);
    buf_free(&body);
    return code;
}

static int delete_it(struct cli *cli, uint64_t *spans, uint64_t *scores, struct error *err) {
    struct client_options options;
    struct client *client;
    struct store *store = NULL;
    enum option_origin url = option_origin(cli->parse, "url"), data = option_origin(cli->parse, "data");
    const char *dir = source_data_dir(cli);
    source_client_options(cli, &options);
    /* A server that is named, or listens at the default address while no directory is named, does it itself. */
    bool there = url > ORIGIN_DEFAULT ? url >= data : data == ORIGIN_DEFAULT && client_reaches(&options);
    if (there) {
        int code = client_open(&client, &options, err);
        if (!code) code = delete_there(cli, client, spans, scores, err);
        client_close(client);
        return code;
    }
    if (access(dir, F_OK) != 0) return error_set(err, VT_ENOTFOUND, "there is no data directory %s", dir);
    int code = store_open(&store, &(struct store_options){.dir = dir}, err);
    if (!code) code = delete_here(store, cli->args, spans, scores, err);
    store_close(store);
    return code;
}

static int run(struct cli *cli) {
    const struct delete_args *args = cli->args;
    struct error err = {0};
    struct buf text = {0};
    uint64_t spans = 0, scores = 0;
    if (check(args, &err) == VT_EINVAL || confirm(cli, &err) == VT_EINVAL) return cli_usage(cli, &err);
    if (err.code || delete_it(cli, &spans, &scores, &err)) return cli_fail_at(cli, &err, NULL);
    if (args->shared.json) {
        buf_printf(&cli->out.buf, "{\"spans\":%llu,\"scores\":%llu}\n", (unsigned long long)spans,
                   (unsigned long long)scores);
        return EXIT_FINE;
    }
    buf_puts(&text, "Deleted ");
    say_count(&text, (double)spans);
    buf_puts(&text, spans == 1 ? " span and " : " spans and ");
    say_count(&text, (double)scores);
    buf_puts(&text, scores == 1 ? " score.\n" : " scores.\n");
    term_puts(&cli->out, buf_cstr(&text));
    buf_free(&text);
    return EXIT_FINE;
}

#define AT(member) offsetof(struct delete_args, member)
static const struct option options[] = {
    {.name = "user", .kind = &option_text, .value = "ID", .offset = AT(user), .help = "all of this user"},
    {.name = "thread", .kind = &option_text, .value = "ID", .offset = AT(thread), .help = "this conversation"},
    {.name = "trace", .kind = &option_text, .value = "ID", .offset = AT(trace), .help = "this trace"},
    {.name = "project", .kind = &option_text, .value = "NAME", .offset = AT(project), .help = "only in this project"},
    {.name = "yes", .letter = 'y', .kind = &option_flag, .offset = AT(yes), .help = "do not ask"},
    {.name = "json", .kind = &option_flag, .offset = AT(shared.json), .help = "how much it was, as JSON"},
    {0}};
static const struct option_group group = {"What is deleted", options};

const struct command command_delete = {
    .name = "delete",
    .words = "",
    .summary = "a user's, a thread's or a trace's data, for good",
    .about = "Takes the spans out of memory, log and files, and the scores with them: when it returns they are gone "
             "from the disk. In a trace in "
             "which the user (or thread) is named, spans that name none go too.",
    .examples = "vitrine delete --user shopper-42\nvitrine delete --trace 5b8efff798038103d269b633813fc60c --yes\n",
    .groups = (const struct option_group *const[]){&group, &group_source, &group_config, NULL},
    .args_size = sizeof(struct delete_args),
    .defaults = shared_defaults,
    .run = run,
};
