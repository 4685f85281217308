/* `vitrine traces`, `threads`, `users`: one list each. */
#include "cli/commands.h"
#include "cli/show.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct list_args {
    struct shared_args shared;
    int sort;
};

static const struct option_group *const traces_groups[] = {&group_range,  &group_page,   &group_table,
                                                           &group_source, &group_config, NULL};

/* ---- traces ---- */

static const struct show_column trace_columns[] = {
    {"TIME", "start", SHAPE_TIME, 0, 1},           {"TRACE", "trace_id", SHAPE_ID, 0, 0},
    {"OPERATION", "operation", SHAPE_TEXT, 16, 0}, {"SERVICE", "service", SHAPE_TEXT, 13, 10},
    {"STATUS", "status", SHAPE_STATUS, 0, 2},      {"DURATION", "duration_ms", SHAPE_MS, 0, 0},
    {"SPANS", "span_count", SHAPE_COUNT, 0, 11},   {"CALLS", "llm_calls", SHAPE_COUNT, 0, 9},
    {"TOKENS", "tokens.total", SHAPE_COUNT, 0, 5}, {NULL, "tokens.input", SHAPE_COUNT, 0, 0},
    {NULL, "tokens.output", SHAPE_COUNT, 0, 0},    {"COST", "cost_usd", SHAPE_USD, 0, 5},
    {"MODEL", "models", SHAPE_NAMES, 11, 6},       {NULL, "provider", SHAPE_TEXT, 0, 0},
    {"USER", "user_id", SHAPE_TEXT, 8, 8},         {"THREAD", "thread_id", SHAPE_TEXT, 14, 7},
    {NULL, "turn_id", SHAPE_TEXT, 0, 0},           {"FALLBACK", "fallback", SHAPE_FLAG, 0, 3},
    {"ERROR", "error", SHAPE_ERROR, 20, 4},
};
static const struct listing traces_listing = {"traces", "traces", trace_columns, COUNT(trace_columns), true};

static int run_traces(struct cli *cli) {
    struct buf query = {0};
    struct slice filter = cli_words(cli, 0);
    shared_query(cli, &query, filter);
    return show_listing(cli, &traces_listing, "/api/v1/traces", &query, filter.ptr);
}

const struct command command_traces = {
    .name = "traces",
    .words = "[FILTER]",
    .summary = "the newest traces, those that match",
    .about = "Lists traces of which at least one span matches the filter, newest first. A filter reads like\n\n"
             "  model:gpt-4o status:error duration:>2s cost:>=0.01 user:u1 -operation:chat.* \"free words\"\n",
    .examples = "vitrine traces\nvitrine traces status:error --from -7d  # what went wrong this week\n"
                "vitrine traces fallback:true --csv > fallbacks.csv\n",
    .groups = traces_groups,
    .args_size = sizeof(struct list_args),
    .words_max = 1000,
    .defaults = shared_defaults,
    .run = run_traces,
};

/* ---- threads ---- */

static const struct show_column thread_columns[] = {
    {"LAST", "last", SHAPE_TIME, 0, 0},
    {NULL, "first", SHAPE_TIME, 0, 0},
    {"THREAD", "thread_id", SHAPE_TEXT, 12, 0},
    {"USER", "user_id", SHAPE_TEXT, 8, 4},
    {"TURNS", "turn_count", SHAPE_COUNT, 0, 0},
    {"CALLS", "llm_calls", SHAPE_COUNT, 0, 5},
    {"ERRORS", "errors", SHAPE_BAD, 0, 1},
    {"FALLBACKS", "fallbacks", SHAPE_BAD, 0, 2},
    {"TOKENS", "tokens.total", SHAPE_COUNT, 0, 0},
    {"COST", "cost_usd", SHAPE_USD, 0, 0},
    {"MODEL", "models", SHAPE_NAMES, 8, 3},
};
static const struct listing threads_listing = {"threads", "threads", thread_columns, COUNT(thread_columns), true};
static const char *const thread_sorts[] = {"last", "turns", "cost", "tokens", "errors", NULL};
static const struct option thread_options[] = {{.name = "sort",
                                                .kind = &option_choice,
                                                .value = "last|turns|cost|tokens|errors",
                                                .choices = thread_sorts,
                                                .offset = offsetof(struct list_args, sort),
                                                .fallback = "last",
                                                .help = "the largest first"},
                                               {0}};
static const struct option_group thread_group = {"Order", thread_options};

static int run_sorted(struct cli *cli, const struct listing *listing, const char *path, const char *const *sorts) {
    const struct list_args *args = cli->args;
    struct buf query = {0};
    struct slice filter = cli_words(cli, 0);
    shared_query(cli, &query, filter);
    query_add(&query, "sort", slice_of(sorts[args->sort]));
    return show_listing(cli, listing, path, &query, filter.ptr);
}

static int run_threads(struct cli *cli) {
    return run_sorted(cli, &threads_listing, "/api/v1/threads", thread_sorts);
}

const struct command command_threads = {
    .name = "threads",
    .words = "[FILTER]",
    .summary = "conversations, those that match",
    .about = "Lists conversations with a span that matches the filter; the numbers are of the spans that match.",
    .examples = "vitrine threads --sort cost --from -7d  # the dearest of this week\n",
    .groups = (const struct option_group *const[]){&thread_group, &group_range, &group_page, &group_table,
                                                   &group_source, &group_config, NULL},
    .args_size = sizeof(struct list_args),
    .words_max = 1000,
    .defaults = shared_defaults,
    .run = run_threads,
};

/* ---- users ---- */

static const struct show_column user_columns[] = {
    {"USER", "user_id", SHAPE_TEXT, 12, 0},        {"CALLS", "calls", SHAPE_COUNT, 0, 0},
    {"TURNS", "turns", SHAPE_COUNT, 0, 3},         {"THREADS", "threads", SHAPE_COUNT, 0, 4},
    {"ERRORS", "errors", SHAPE_BAD, 0, 2},         {"ERROR RATE", "error_rate", SHAPE_BADSHARE, 0, 5},
    {"TOKENS", "tokens.total", SHAPE_COUNT, 0, 0}, {NULL, "tokens.input", SHAPE_COUNT, 0, 0},
    {NULL, "tokens.output", SHAPE_COUNT, 0, 0},    {"COST", "cost_usd", SHAPE_USD, 0, 0},
    {"FIRST", "first", SHAPE_TIME, 0, 6},          {"LAST", "last", SHAPE_TIME, 0, 1},
};
static const struct listing users_listing = {"users", "users", user_columns, COUNT(user_columns), false};
static const char *const user_sorts[] = {"cost", "calls", "tokens", "errors", "last", NULL};
static const struct option user_options[] = {{.name = "sort",
                                              .kind = &option_choice,
                                              .value = "cost|calls|tokens|errors|last",
                                              .choices = user_sorts,
                                              .offset = offsetof(struct list_args, sort),
                                              .fallback = "cost",
                                              .help = "the largest first"},
                                             {0}};
static const struct option_group user_group = {"Order", user_options};

static int run_users(struct cli *cli) {
    return run_sorted(cli, &users_listing, "/api/v1/users", user_sorts);
}

const struct command command_users = {
    .name = "users",
    .words = "[FILTER]",
    .summary = "users by calls, tokens, cost and errors",
    .groups = (const struct option_group *const[]){&user_group, &group_range, &group_page, &group_table, &group_source,
                                                   &group_config, NULL},
    .examples = "vitrine users --sort tokens -n 10\n",
    .args_size = sizeof(struct list_args),
    .words_max = 1000,
    .defaults = shared_defaults,
    .run = run_users,
};
