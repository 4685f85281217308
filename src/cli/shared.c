/* Options that several commands share. */
#include "cli/shared.h"

#include "cli/client.h"

#define AT(member) offsetof(struct shared_args, member)

#define URL_OPTIONS                                                                                                    \
    {.name = "url",                                                                                                    \
     .kind = &option_text,                                                                                             \
     .value = "URL",                                                                                                   \
     .offset = AT(url),                                                                                                \
     .flags = OPTION_CONFIG,                                                                                           \
     .fallback = "http://127.0.0.1:4318",                                                                              \
     .help = "a running server"},                                                                                      \
        {.name = "key",                                                                                                \
         .kind = &option_text,                                                                                         \
         .value = "KEY",                                                                                               \
         .offset = AT(key),                                                                                            \
         .flags = OPTION_CONFIG | OPTION_SECRET,                                                                       \
         .help = "its API key; better given as VITRINE_KEY, since others can see a command line"},                     \
        {.name = "cacert",                                                                                             \
         .kind = &option_text,                                                                                         \
         .value = "FILE",                                                                                              \
         .offset = AT(cacert),                                                                                         \
         .flags = OPTION_CONFIG,                                                                                       \
         .help = "certificates (PEM) that an https server is checked against",                                         \
         .fallback = "the system's"},                                                                                  \
    {                                                                                                                  \
        .name = "timeout", .kind = &option_millis, .offset = AT(timeout_ms), .flags = OPTION_CONFIG,                   \
        .fallback = "60s", .help = "how long one answer may take"                                                      \
    }

static const struct option config_options[] = {{.name = "config",
                                                .kind = &option_text,
                                                .value = "FILE",
                                                .offset = AT(config),
                                                .help = "YAML file with settings; \"\" for none",
                                                .fallback = "$VITRINE_CONFIG, else ~/.config/vitrine/config.yaml"},
                                               {0}};
static const struct option source_options[] = {URL_OPTIONS,
                                               {.name = "data",
                                                .kind = &option_text,
                                                .value = "DIR",
                                                .offset = AT(data),
                                                .flags = OPTION_CONFIG,
                                                .help = "a data directory, instead of a server",
                                                .fallback = "~/.local/share/vitrine when no server listens"},
                                               {0}};
static const struct option server_options[] = {URL_OPTIONS, {0}};
static const struct option range_options[] = {
    {.name = "from",
     .kind = &option_text,
     .value = "TIME",
     .offset = AT(from),
     .fallback = "-24h",
     .help = "earliest start: -1h, 2026-11-23T18:00:00Z or Unix milliseconds"},
    {.name = "to", .kind = &option_text, .value = "TIME", .offset = AT(to), .fallback = "now", .help = "latest start"},
    {0}};
static const struct option page_options[] = {{.name = "limit",
                                              .letter = 'n',
                                              .kind = &option_unsigned,
                                              .offset = AT(limit),
                                              .least = 1,
                                              .most = 1000000,
                                              .fallback = "50",
                                              .help = "that many at most"},
                                             {0}};
#define OUTPUT_OPTIONS                                                                                                 \
    { .name = "json", .kind = &option_flag, .offset = AT(json), .help = "the API's answer as JSON" }
#define UTC_OPTION                                                                                                     \
    {                                                                                                                  \
        .name = "utc", .kind = &option_flag, .offset = AT(utc), .flags = OPTION_CONFIG,                                \
        .help = "times in UTC, not in local time"                                                                      \
    }
static const struct option output_options[] = {OUTPUT_OPTIONS, UTC_OPTION, {0}};
static const struct option table_options[] = {
    OUTPUT_OPTIONS,
    {.name = "csv", .kind = &option_flag, .offset = AT(csv), .help = "comma-separated values with a line of names"},
    UTC_OPTION,
    {0}};

const struct option_group group_config = {"Settings", config_options};
const struct option_group group_source = {"Where the data is", source_options};
const struct option_group group_server = {"Which server", server_options};
const struct option_group group_range = {"Which time", range_options};
const struct option_group group_page = {"How much", page_options};
const struct option_group group_output = {"Output", output_options};
const struct option_group group_table = {"Output", table_options};

void shared_defaults(void *args) {
    struct shared_args *shared = args;
    shared->timeout_ms = 60000;
    shared->limit = 50;
}

void shared_query(struct cli *cli, struct buf *query, struct slice filter) {
    const struct shared_args *args = cli->args;
    query_add(query, "q", filter);
    query_add(query, "from", slice_of(args->from));
    query_add(query, "to", slice_of(args->to));
}
