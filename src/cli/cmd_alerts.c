/* `vitrine alerts …`: monitors explained, replayed, run against a server, and how those of a server stand. */
#include "cli/commands.h"
#include "cli/show.h"

#include "alert/alerts.h"
#include "base/log.h"
#include "base/timestamp.h"
#include "query/when.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct alerts_args {
    struct shared_args shared;
    unsigned step_ms, minutes, interval_ms;
    const char *group, *reason, *state;
};

/* ---- whom monitors ask ---- */

struct asked {
    struct source *source;
    pthread_mutex_t lock; /* a source serves one thread */
};

static int call_source(void *ctx, const struct api_request *request, struct buf *out, struct error *err) {
    struct asked *asked = ctx;
    struct source_request own = {.method = slice_is(request->method, "POST") ? "POST" : "GET",
                                 .path = request->path,
                                 .query = request->query,
                                 .body = request->body};
    pthread_mutex_lock(&asked->lock);
    int code = source_call(asked->source, &own, out, err);
    pthread_mutex_unlock(&asked->lock);
    return code;
}

/* ---- check and test ---- */

static int64_t moment_of(const char *text, int64_t now_ns, int64_t otherwise, const char *name, struct error *err) {
    int64_t at = otherwise;
    if (text && !when_parse(slice_of(text), now_ns, &at))
        error_set(err, VT_EINVAL, "--%s: \"%s\" is no time", name, text);
    return at;
}

static int report(struct cli *cli, bool replay) {
    const struct alerts_args *args = cli->args;
    struct asked asked = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct asker asker = {call_source, &asked};
    struct monitor_file file;
    struct buf out = {0};
    struct error err = {0};
    int64_t now_ns = time_now_ns(),
            from = moment_of(args->shared.from, now_ns, now_ns - INT64_C(86400) * NS_PER_S, "from", &err);
    int64_t to = moment_of(args->shared.to, now_ns, now_ns, "to", &err);
    if (err.code) return cli_usage(cli, &err);
    int bad = monitor_file_load(cli->words[0], cli->arena, &file, &err);
    bool alone = false;
    if (!bad) {
        bad = source_open(&asked.source, cli, &err);
        alone = bad == VT_ENOTFOUND && !replay && source_unnamed(cli); /* a file is checked anywhere */
    }
    if (!bad || alone)
        bad = replay ? alerts_replay(&asker, &file, from, to, (int64_t)args->step_ms * NS_PER_MS, args->shared.json,
                                     &out, &err)
                     : alerts_check(alone ? NULL : &asker, &file, now_ns, args->shared.json, &out, &err);
    source_close(asked.source);
    if (bad >= 0) {
        term_puts(&cli->out, buf_cstr(&out));
        if (args->shared.json) term_puts(&cli->out, "\n");
    }
    buf_free(&out);
    if (bad < 0) return cli_fail(cli, &err);
    if (alone)
        term_printf(&cli->err, "What they would do now is not known: there is no server and no data directory.\n");
    if (bad > 0) term_printf(&cli->err, "%d of %u monitors cannot run.\n", bad, file.count);
    return bad ? EXIT_FAILED : EXIT_FINE;
}

static int run_check(struct cli *cli) {
    return report(cli, false);
}
static int run_test(struct cli *cli) {
    return report(cli, true);
}

/* ---- run ---- */

static const char *state_path(struct cli *cli) {
    const struct alerts_args *args = cli->args;
    const char *home = getenv("XDG_STATE_HOME");
    if (args->state) return args->state;
    if (home && *home) return arena_printf(cli->arena, "%s/vitrine/alerts.db", home).ptr;
    return arena_printf(cli->arena, "%s/.local/state/vitrine/alerts.db", getenv("HOME") ? getenv("HOME") : ".").ptr;
}

static int run_run(struct cli *cli) {
    const struct alerts_args *args = cli->args;
    struct asked asked = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct asker asker = {call_source, &asked};
    struct alerts *alerts = NULL;
    struct error err = {0};
    sigset_t ends;
    int number;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    struct alerts_options options = {
        .file = cli->words[0], .catalog_path = state_path(cli), .interval_ms = args->interval_ms};
    int code = source_open(&asked.source, cli, &err);
    if (!code) code = make_parents(options.catalog_path, &err);
    if (!code) options.page_url = source_client(asked.source) ? source_name(asked.source) : NULL;
    if (!code) code = alerts_open(&alerts, &asker, &options, &err);
    if (!code) {
        log_info("monitors of %s run over %s; Ctrl-C ends", options.file, source_name(asked.source));
        sigwait(&ends, &number);
    }
    alerts_close(alerts);
    source_close(asked.source);
    return code ? cli_fail(cli, &err) : EXIT_FINE;
}

/* ---- list and silence, on a server ---- */

static enum style style_of_state(struct slice state) {
    return slice_is(state, "ALERT")  ? STYLE_BAD
           : slice_is(state, "OK")   ? STYLE_GOOD
           : slice_is(state, "WARN") ? STYLE_WARN
                                     : STYLE_DIM;
}

static void put_group(struct cli *cli, const struct doc *monitor, const struct doc *group) {
    struct slice state = group ? doc_text(group, "state") : SLICE("-");
    char padded[12];
    snprintf(padded, sizeof padded, "%-8.*s", (int)state.len, state.ptr ? state.ptr : "");
    term_text(&cli->out, style_of_state(state), slice_of(padded));
    term_puts(&cli->out, " ");
    term_text(&cli->out, STYLE_BOLD, doc_text(monitor, "name"));
    struct slice name = group ? doc_text(group, "group") : (struct slice){0};
    if (name.len) term_puts(&cli->out, " on "), term_text(&cli->out, STYLE_PLAIN, name);
    const struct doc *value = group ? doc_get(group, "value") : NULL;
    if (value && value->type == JSON_NUMBER) {
        term_puts(&cli->out, "  ");
        term_text(&cli->out, STYLE_PLAIN, value->text);
        term_printf(&cli->out, " %.*s", (int)doc_text(monitor, "unit").len,
                    doc_text(monitor, "unit").ptr ? doc_text(monitor, "unit").ptr : "");
    }
    struct slice since = group ? doc_text(group, "since") : (struct slice){0};
    if (since.len) term_puts(&cli->out, "  since "), term_text(&cli->out, STYLE_DIM, since);
    term_puts(&cli->out, "\n");
    struct slice problem = doc_text(monitor, "error");
    if (!group && problem.len)
        term_puts(&cli->out, "         "), term_text(&cli->out, STYLE_BAD, problem), term_puts(&cli->out, "\n");
}

static int run_list(struct cli *cli) {
    const struct alerts_args *args = cli->args;
    struct slice json;
    const struct doc *answer;
    int status = show_ask(cli, &(struct source_request){.path = SLICE("/api/v1/alerts")}, NULL, &json, &answer);
    if (status) return status;
    if (args->shared.json) {
        show_json(cli, json);
        return EXIT_FINE;
    }
    const struct doc *monitors = doc_get(answer, "monitors");
    for (const struct doc *m = doc_first(monitors); m; m = m->next) {
        const struct doc *groups = doc_get(m, "groups");
        if (!doc_first(groups)) put_group(cli, m, NULL);
        for (const struct doc *g = doc_first(groups); g; g = g->next) put_group(cli, m, g);
    }
    if (!doc_first(monitors))
        term_puts(&cli->err, "The server runs no monitors: start it with `vitrine serve --alerts FILE`.\n");
    return EXIT_FINE;
}

static int run_silence(struct cli *cli) {
    const struct alerts_args *args = cli->args;
    struct buf body = {0};
    struct slice json;
    struct json_writer w = json_writer_on(&body);
    json_open(&w, '{');
    json_put_key(&w, "monitor"), json_put_cstr(&w, cli->words[0]);
    json_put_key(&w, "minutes"), json_put_int(&w, args->minutes);
    if (args->group) json_put_key(&w, "group"), json_put_cstr(&w, args->group);
    if (args->reason) json_put_key(&w, "reason"), json_put_cstr(&w, args->reason);
    json_close(&w, '}');
    int status = show_ask(
        cli,
        &(struct source_request){.method = "POST", .path = SLICE("/api/v1/alerts/silences"), .body = buf_slice(&body)},
        NULL, &json, NULL);
    buf_free(&body);
    if (!status) term_printf(&cli->err, "Quiet for %u minutes.\n", args->minutes);
    return status;
}

/* ---- the rows ---- */

static void defaults(void *memory) {
    struct alerts_args *args = memory;
    shared_defaults(memory);
    args->step_ms = 60000;
    args->minutes = 60;
    args->interval_ms = 10000;
}

#define AT(member) offsetof(struct alerts_args, member)
static const struct option test_options[] = {{.name = "step",
                                              .kind = &option_millis,
                                              .offset = AT(step_ms),
                                              .fallback = "1m",
                                              .help = "time between two evaluations"},
                                             {0}};
static const struct option silence_options[] = {
    {.name = "minutes",
     .kind = &option_unsigned,
     .offset = AT(minutes),
     .least = 1,
     .most = 527040,
     .fallback = "60",
     .help = "for how long"},
    {.name = "group",
     .kind = &option_text,
     .value = "TAG:VALUE",
     .offset = AT(group),
     .help = "of its groups this one only"},
    {.name = "reason", .kind = &option_text, .value = "TEXT", .offset = AT(reason), .help = "for those who wonder"},
    {0}};
static const struct option run_options[] = {{.name = "state",
                                             .kind = &option_text,
                                             .value = "FILE",
                                             .offset = AT(state),
                                             .fallback = "~/.local/state/vitrine/alerts.db",
                                             .help = "where states and the outbox are kept"},
                                            {.name = "interval",
                                             .kind = &option_millis,
                                             .offset = AT(interval_ms),
                                             .fallback = "10s",
                                             .help = "time between two evaluations"},
                                            {0}};
static const struct option_group group_test = {"Replay", test_options}, group_silence = {"Silence", silence_options},
                                 group_run = {"Run", run_options};

#define COMMON .args_size = sizeof(struct alerts_args), .defaults = defaults
const struct command command_alerts_list = {
    .name = "alerts list",
    .words = "",
    .summary = "how the server's monitors stand",
    .about = "The monitors that `vitrine serve --alerts FILE` runs, one line for each group.",
    .groups = (const struct option_group *const[]){&group_output, &group_server, &group_config, NULL},
    .run = run_list,
    COMMON,
};
const struct command command_alerts_check = {
    .name = "alerts check",
    .words = "FILE",
    .summary = "explain monitors and say what they would do now",
    .about = "Reads Datadog's monitor YAML as it stands. Exit status 1 when a monitor cannot run. Without a server and "
             "a data directory it checks the file alone.",
    .examples = "vitrine alerts check integrations/datadog/monitors.yaml\n",
    .groups = (const struct option_group *const[]){&group_output, &group_source, &group_config, NULL},
    .words_min = 1,
    .words_max = 1,
    .run = run_check,
    COMMON,
};
const struct command command_alerts_test = {
    .name = "alerts test",
    .words = "FILE",
    .summary = "replay history: when would they have fired?",
    .examples = "vitrine alerts test monitors.yaml --from -7d --step 1m\n",
    .about = "Evaluates each monitor at every step between --from and --to and prints the changes of state.",
    .groups = (const struct option_group *const[]){&group_test, &group_range, &group_output, &group_source,
                                                   &group_config, NULL},
    .words_min = 1,
    .words_max = 1,
    .run = run_test,
    COMMON,
};
const struct command command_alerts_run = {
    .name = "alerts run",
    .words = "FILE",
    .summary = "run monitors in a process of their own",
    .about = "Evaluates them over a server (or a directory that is only read) and tells people. `vitrine serve "
             "--alerts FILE` does the same within the server.",
    .groups = (const struct option_group *const[]){&group_run, &group_source, &group_config, NULL},
    .words_min = 1,
    .words_max = 1,
    .run = run_run,
    COMMON,
};
const struct command command_alerts_silence = {
    .name = "alerts silence",
    .words = "MONITOR",
    .summary = "keep a monitor quiet for a while",
    .about = "\"*\" stands for all. The state goes on being watched; nobody is told.",
    .groups = (const struct option_group *const[]){&group_silence, &group_server, &group_config, NULL},
    .words_min = 1,
    .words_max = 1,
    .run = run_silence,
    COMMON,
};
