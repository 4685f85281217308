/* `vitrine prices recompute`: the costs of stored spans by the present prices. In a directory it is done here; a server
 * is asked for one UTC day after the other, so that no answer takes long and it can be shown how far it is. */
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/show.h"

#include "base/timestamp.h"
#include "query/reprice_json.h"

#include <math.h>
#include <unistd.h>

#define DAY_MS INT64_C(86400000)
#define COUNT(array) (sizeof(array) / sizeof *(array))

struct recompute_args {
    struct shared_args shared;
    const char *file, *model;
    bool dry_run;
};

struct asked {
    int64_t from_ns, to_ns; /* to 0 = no bound */
    struct progress progress;
};

/* ---- in a directory ---- */

static bool show_bytes(void *ctx, uint64_t bytes, uint64_t bytes_total, uint64_t spans) {
    progress_show(ctx, bytes, bytes_total, spans);
    return true;
}

static int recompute_here(struct cli *cli, struct asked *asked, struct repriced *out, struct error *err) {
    const struct recompute_args *args = cli->args;
    struct reprice what = {.from_ns = asked->from_ns,
                           .to_ns = asked->to_ns,
                           .model = args->model,
                           .dry_run = args->dry_run,
                           .progress = show_bytes,
                           .ctx = &asked->progress};
    const char *dir = source_data_dir(cli);
    struct prices *prices = NULL;
    struct store *store = NULL;
    if (access(dir, F_OK) != 0) return error_set(err, VT_ENOTFOUND, "there is no data directory %s", dir);
    asked->progress.bare = args->dry_run;
    int code = prices_load(&prices, args->file, err);
    if (!code) code = store_open(&store, &(struct store_options){.dir = dir, .read_only = args->dry_run}, err);
    what.prices = prices;
    if (!code) code = store_reprice(store, &what, out, err);
    store_close(store);
    prices_free(prices);
    return code;
}

/* ---- by a server ---- */

static int call(struct cli *cli, struct client *client, const struct client_request *request, struct doc **doc,
                struct error *err) {
    struct client_answer answer;
    int code = client_send(client, request, &answer, err);
    if (!code && answer.status / 100 != 2) code = client_error(client, &answer, err);
    if (!code) code = doc_parse(arena_copy(cli->arena, buf_slice(&answer.body)), cli->arena, doc, err);
    buf_free(&answer.body);
    return code;
}

static void put_time(struct json_writer *w, const char *name, int64_t ms) {
    json_put_key(w, name);
    json_put_int(w, ms);
}

static int ask_part(struct cli *cli, struct client *client, int64_t from_ms, int64_t to_ms, struct doc **doc,
                    struct error *err) {
    const struct recompute_args *args = cli->args;
    struct buf body = {0};
    struct json_writer w = json_writer_on(&body);
    json_open(&w, '{');
    if (from_ms > 0) put_time(&w, "from", from_ms);
    if (to_ms > 0) put_time(&w, "to", to_ms);
    if (args->model) json_put_key(&w, "model"), json_put_cstr(&w, args->model);
    json_put_key(&w, "dry_run"), json_put_bool(&w, args->dry_run);
    json_close(&w, '}');
    const struct client_request request = {
        .method = "POST", .path = "/api/v1/prices/recompute", .body = buf_slice(&body)};
    int code = call(cli, client, &request, doc, err);
    buf_free(&body);
    return code;
}

static void add_sum(struct reprice_sum *sum, const struct doc *doc) {
    sum->spans += (uint64_t)doc_number(doc, "spans");
    sum->changed += (uint64_t)doc_number(doc, "changed");
    sum->uncosted += (uint64_t)doc_number(doc, "uncosted");
    sum->unpriced += (uint64_t)doc_number(doc, "unpriced");
    sum->reported += (uint64_t)doc_number(doc, "reported");
    if (doc_get(doc, "old_usd")) sum->old_usd += doc_number(doc, "old_usd");
    if (doc_get(doc, "new_usd")) sum->new_usd += doc_number(doc, "new_usd");
}

/* Its texts stay borrowed from the answers, which live as long as the command. */
static void add_part(struct repriced *out, const struct doc *doc) {
    add_sum(&out->total, doc);
    out->segments += (uint64_t)doc_number(doc, "segments");
    out->models_left_out |= doc_true(doc, "models_left_out");
    for (const struct doc *model = doc_first(doc_get(doc, "models")); model; model = model->next) {
        struct slice provider = doc_text(model, "provider"), name = doc_text(model, "model");
        uint32_t i = 0;
        while (i < out->model_count &&
               !(slice_eq(out->models[i].model, name) && slice_eq(out->models[i].provider, provider)))
            i++;
        if (i == REPRICE_MODELS_MAX) {
            out->models_left_out = true;
            continue;
        }
        if (i == out->model_count) out->models[out->model_count++] = (struct reprice_model){provider, name, {0}};
        add_sum(&out->models[i].sum, model);
    }
}

/* The days that hold spans and are meant; false: the store is empty. */
static int find_days(struct cli *cli, struct client *client, const struct asked *asked, int64_t *first, int64_t *last,
                     struct error *err) {
    struct doc *status;
    int64_t oldest, newest;
    int code = call(cli, client, &(struct client_request){.method = "GET", .path = "/api/v1/status"}, &status, err);
    if (code) return code;
    oldest = time_of(doc_get(status, "store.oldest"));
    newest = time_of(doc_get(status, "store.newest"));
    if (asked->from_ns > oldest) oldest = asked->from_ns;
    if (asked->to_ns && asked->to_ns < newest) newest = asked->to_ns;
    *first = oldest / NS_PER_MS / DAY_MS;
    *last = newest / NS_PER_MS / DAY_MS;
    if (*last < *first) *last = *first;
    return 0;
}

static int recompute_there(struct cli *cli, struct client *client, struct asked *asked, struct repriced *out,
                           struct error *err) {
    int64_t first, last, from_ms = asked->from_ns / NS_PER_MS, to_ms = asked->to_ns / NS_PER_MS;
    int code = find_days(cli, client, asked, &first, &last, err);
    out->models = arena_calloc(&out->arena, REPRICE_MODELS_MAX, sizeof *out->models);
    if (!code && !out->models) code = error_set(err, VT_ENOMEM, "no memory for the answer");
    asked->progress.bare = true;
    for (int64_t day = first; day <= last && !code; day++) {
        struct doc *doc;
        progress_show(&asked->progress, (uint64_t)(day - first), (uint64_t)(last - first + 1),
                      out->total.spans + out->total.reported);
        /* The first and the last part have the bounds that were asked for: a span may have come before or after. */
        code = ask_part(cli, client, day == first ? from_ms : day * DAY_MS, day == last ? to_ms : (day + 1) * DAY_MS,
                        &doc, err);
        if (!code) add_part(out, doc);
    }
    if (!code) reprice_sort(out);
    return code;
}

/* ---- showing ---- */

static const struct show_column columns[] = {
    {"PROVIDER", "provider", SHAPE_TEXT, 0, 4},  {"MODEL", "model", SHAPE_TEXT, 16, 0},
    {"SPANS", "spans", SHAPE_COUNT, 0, 0},       {"CHANGED", "changed", SHAPE_COUNT, 0, 0},
    {"OLD COST", "old_usd", SHAPE_USD, 0, 0},    {"NEW COST", "new_usd", SHAPE_USD, 0, 0},
    {"NO PRICE", "unpriced", SHAPE_COUNT, 0, 2}, {"REPORTED", "reported", SHAPE_COUNT, 0, 3}};

static void say_result(struct cli *cli, const struct repriced *done) {
    const struct recompute_args *args = cli->args;
    const struct reprice_sum *total = &done->total;
    struct buf line = {0};
    buf_puts(&line, done->model_count ? "\n" : "");
    say_count(&line, (double)total->changed);
    buf_puts(&line, " of ");
    say_count(&line, (double)total->spans);
    buf_puts(&line, args->dry_run ? " costs would change, from " : " costs changed, from ");
    say_usd(&line, total->old_usd);
    buf_puts(&line, " to ");
    say_usd(&line, total->new_usd);
    buf_puts(&line, args->dry_run ? ". Nothing was written.\n" : ".\n");
    if (done->models_left_out) buf_puts(&line, "Not all models are shown.\n");
    term_puts(&cli->out, buf_cstr(&line));
    buf_free(&line);
}

static int show(struct cli *cli, const struct repriced *done, struct error *err) {
    const struct recompute_args *args = cli->args;
    struct buf json = {0};
    struct doc *doc;
    reprice_write(done, args->dry_run, &json);
    struct slice text = arena_copy(cli->arena, buf_slice(&json));
    buf_free(&json);
    if (args->shared.json) {
        show_json(cli, text);
        return 0;
    }
    int code = doc_parse(text, cli->arena, &doc, err);
    if (!code && (done->model_count || args->shared.csv))
        code = show_rows(cli, doc_get(doc, "models"), columns, COUNT(columns), err);
    if (!code && !args->shared.csv) say_result(cli, done);
    return code;
}

static int recompute(struct cli *cli, struct asked *asked, struct repriced *done, struct error *err) {
    struct client_options options;
    struct client *client;
    enum option_origin url = option_origin(cli->parse, "url"), data = option_origin(cli->parse, "data");
    source_client_options(cli, &options);
    if (!option_was_set(cli->parse, "timeout")) options.timeout_ms = 0; /* a day may hold much */
    if (url == ORIGIN_WORDS && data == ORIGIN_WORDS)
        return error_set(err, VT_EINVAL, "--url and --data name two places; give one");
    /* A server that is named, or listens at the default address while no directory is named, does it itself. */
    if (url > ORIGIN_DEFAULT ? url >= data : data == ORIGIN_DEFAULT && client_reaches(&options)) {
        int code = client_open(&client, &options, err);
        if (!code) code = recompute_there(cli, client, asked, done, err);
        client_close(client);
        return code;
    }
    return recompute_here(cli, asked, done, err);
}

static int run(struct cli *cli) {
    const struct recompute_args *args = cli->args;
    struct error err = {0};
    struct repriced done = {0};
    struct asked asked = {0};
    int code = args->shared.from ? reprice_time(slice_of(args->shared.from), "--from", &asked.from_ns, &err) : 0;
    if (!code && args->shared.to) code = reprice_time(slice_of(args->shared.to), "--to", &asked.to_ns, &err);
    if (!code && asked.to_ns && asked.to_ns <= asked.from_ns)
        code = error_set(&err, VT_EINVAL, "--to lies not after --from");
    progress_start(&asked.progress, cli, args->dry_run ? "looking at costs" : "recomputing costs", "spans");
    if (!code) code = recompute(cli, &asked, &done, &err);
    progress_clear(&asked.progress);
    if (!code) code = show(cli, &done, &err);
    reprice_free(&done);
    return code ? cli_fail_at(cli, &err, NULL) : EXIT_FINE;
}

#define AT(member) offsetof(struct recompute_args, member)
static const struct option options[] = {
    {.name = "from",
     .kind = &option_text,
     .value = "TIME",
     .offset = AT(shared.from),
     .fallback = "the oldest span",
     .help = "earliest start: -30d, 2026-11-01 or Unix milliseconds"},
    {.name = "to",
     .kind = &option_text,
     .value = "TIME",
     .offset = AT(shared.to),
     .fallback = "the newest span",
     .help = "all that started before"},
    {.name = "model",
     .kind = &option_text,
     .value = "PATTERN",
     .offset = AT(model),
     .help = "only these models; '*' stands for any text: 'gpt-4o*'"},
    {.name = "prices",
     .kind = &option_text,
     .value = "FILE",
     .offset = AT(file),
     .flags = OPTION_CONFIG,
     .help = "your own, laid over those that are built in; a server goes by its own"},
    {.name = "dry-run", .letter = 'n', .kind = &option_flag, .offset = AT(dry_run), .help = "tell what would change"},
    {0}};
static const struct option_group group = {"Which costs", options};

const struct command command_prices_recompute = {
    .name = "prices recompute",
    .words = "",
    .summary = "costs of stored spans by the present prices",
    .about =
        "Computes the cost of each stored span anew, by the prices that were valid when it started in the table that "
        "is built in with your own over it. A cost that its sender reported stays. A server reads its file of prices "
        "again first; its key needs the scope admin. When it is stopped in its midst, what was done until then "
        "stays, and the same again does the rest.",
    .examples = "vitrine prices recompute --dry-run\nvitrine prices recompute --from -30d --model 'gpt-4o*'\n",
    .groups = (const struct option_group *const[]){&group, &group_table, &group_source, &group_config, NULL},
    .args_size = sizeof(struct recompute_args),
    .defaults = shared_defaults,
    .run = run,
};
