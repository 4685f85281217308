/* `vitrine serve`: its options, and the door to src/serve. */
#include "cli/commands.h"

#include "base/log.h"
#include "query/when.h"
#include "serve/serve.h"

struct serve_args {
    struct shared_args shared;
    struct serve_options serve;
    struct texts retention, upstreams, forwards, pushes;
    int durability, pack, log_level;
};

#define AT(member) offsetof(struct serve_args, member)
#define CONFIG .flags = OPTION_CONFIG

static const char *const durabilities[] = {"sync", "async", NULL};
static const char *const packings[] = {
    [STORE_HURRY_AUTO] = "auto", [STORE_HURRY_NEVER] = "now", [STORE_HURRY_SEALS] = "later", NULL};
static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};

static const struct option listen_options[] = {
    {.name = "listen",
     .kind = &option_text,
     .value = "HOST:PORT",
     .offset = AT(serve.listen),
     .fallback = "127.0.0.1:4318",
     CONFIG,
     .help = "address of HTTP: OTLP, logs, API, page; port 0 takes a free one"},
    {.name = "grpc",
     .kind = &option_text,
     .value = "HOST:PORT",
     .offset = AT(serve.grpc),
     .fallback = "127.0.0.1:4317",
     CONFIG,
     .help = "address of OTLP over gRPC; \"\" for none"},
    {.name = "threads",
     .kind = &option_unsigned,
     .offset = AT(serve.threads),
     .most = 256,
     .fallback = "one a core",
     CONFIG,
     .help = "threads that speak HTTP"},
    {.name = "tls-cert",
     .kind = &option_text,
     .value = "FILE",
     .offset = AT(serve.tls_cert),
     CONFIG,
     .help = "certificate (PEM): HTTPS instead of HTTP"},
    {.name = "tls-key",
     .kind = &option_text,
     .value = "FILE",
     .offset = AT(serve.tls_key),
     CONFIG,
     .help = "its key (PEM)"},
    {0}};
static const struct option store_options[] = {
    {.name = "data",
     .kind = &option_text,
     .value = "DIR",
     .offset = AT(serve.store.dir),
     .fallback = "~/.local/share/vitrine",
     CONFIG,
     .help = "where spans are kept; made when it is not there"},
    {.name = "retention",
     .kind = &option_texts,
     .value = "30d|50GB",
     .offset = AT(retention),
     .fallback = "keep all",
     CONFIG,
     .help = "drop what is older, or the oldest when there is more; may be given once for each"},
    {.name = "durability",
     .kind = &option_choice,
     .value = "sync|async",
     .choices = durabilities,
     .offset = AT(durability),
     .fallback = "sync",
     CONFIG,
     .help = "answer after the disk has it, or before"},
    {.name = "seal-rows",
     .kind = &option_unsigned,
     .offset = AT(serve.store.seal_rows),
     .fallback = "65536",
     CONFIG,
     .help = "spans in memory that become a file"},
    {.name = "seal-bytes",
     .kind = &option_size,
     .offset = AT(serve.store.seal_bytes),
     .fallback = "12MiB",
     CONFIG,
     .help = "the same in bytes"},
    {.name = "seal-after",
     .kind = &option_millis,
     .offset = AT(serve.store.seal_after_ms),
     .fallback = "30s",
     CONFIG,
     .help = "the same in time"},
    {.name = "pack",
     .kind = &option_choice,
     .value = "auto|now|later",
     .choices = packings,
     .offset = AT(pack),
     .fallback = "auto",
     CONFIG,
     .help = "compress and index files as they are made, or when there is time; auto: later when spans come fast"},
    {.name = "queue-batches",
     .kind = &option_unsigned,
     .offset = AT(serve.store.queue_batches),
     .fallback = "1024",
     CONFIG,
     .help = "requests that may wait for the disk; past it 503"},
    {.name = "queue-bytes",
     .kind = &option_size,
     .offset = AT(serve.store.queue_bytes),
     .fallback = "16MiB",
     CONFIG,
     .help = "the same in bytes"},
    {0}};
static const struct option meaning_options[] = {
    {.name = "upstream",
     .kind = &option_texts,
     .value = "NAME=URL",
     .offset = AT(upstreams),
     CONFIG,
     .help = "an LLM provider behind /proxy/NAME/, such as openai=https://api.openai.com; may be repeated"},
    {.name = "prices",
     .kind = &option_text,
     .value = "FILE",
     .offset = AT(serve.prices),
     CONFIG,
     .help = "prices of models, laid over those that are built in"},
    {.name = "mask",
     .kind = &option_text,
     .value = "RULES",
     .offset = AT(serve.mask),
     CONFIG,
     .help = "email, phone, card, apikey or a YAML file: taken out before anything is stored"},
    {.name = "sample",
     .kind = &option_text,
     .value = "RULES",
     .offset = AT(serve.sample),
     .fallback = "keep all",
     CONFIG,
     .help = "traces that stay for good, as \"keep=status:error; keep=duration:>5s; rate=10%\", or a YAML file"},
    {.name = "sample-wait",
     .kind = &option_millis,
     .offset = AT(serve.sample_wait_ms),
     CONFIG,
     .fallback = "2m",
     .help = "traces whose root has not ended are decided after so long without a new span; 0: at once"},
    {.name = "alerts",
     .kind = &option_text,
     .value = "FILE",
     .offset = AT(serve.alerts),
     CONFIG,
     .help = "monitors to run (Datadog's YAML)"},
    {.name = "forward",
     .kind = &option_texts,
     .value = "KIND=WHERE",
     .offset = AT(forwards),
     CONFIG,
     .help = "send everything onward too: otlp=URL, datadog=SITE or newrelic=us|eu; may be repeated"},
    {.name = "push",
     .kind = &option_texts,
     .value = "KIND=URL",
     .offset = AT(pushes),
     CONFIG,
     .help = "send the metrics: otlp=http://host:4318 or prometheus=http://host:9090; may be repeated"},
    {.name = "push-interval",
     .kind = &option_millis,
     .offset = AT(serve.push_interval_ms),
     CONFIG,
     .fallback = "60s",
     .help = "how often"},
    {.name = "statsd",
     .kind = &option_text,
     .value = "HOST:PORT",
     .offset = AT(serve.statsd),
     CONFIG,
     .help = "metrics of calls and turns by DogStatsD"},
    {.name = "statsd-plain",
     .kind = &option_flag,
     .offset = AT(serve.statsd_plain),
     CONFIG,
     .help = "plain StatsD: no tags"},
    {.name = "convex-max-skew",
     .kind = &option_millis,
     .offset = AT(serve.convex_skew_ms),
     CONFIG,
     .fallback = "5m",
     .help = "events of the log stream further off than this are refused; 0 for none"},
    {.name = "convex-secret",
     .kind = &option_text,
     .offset = AT(serve.convex_secret),
     .flags = OPTION_CONFIG | OPTION_SECRET,
     .help = "signs the Convex log stream; without it signatures are not asked for"},
    {0}};
static const struct option safety_options[] = {{.name = "require-key",
                                                .kind = &option_flag,
                                                .offset = AT(serve.require_key),
                                                CONFIG,
                                                .help = "ask for API keys on loopback too"},
                                               {.name = "insecure",
                                                .kind = &option_flag,
                                                .offset = AT(serve.insecure),
                                                CONFIG,
                                                .help = "serve beyond loopback without keys"},
                                               {.name = "host",
                                                .kind = &option_text,
                                                .value = "NAME,…",
                                                .offset = AT(serve.hosts),
                                                CONFIG,
                                                .help = "further names that a server on loopback may be called by"},
                                               {.name = "cors",
                                                .kind = &option_text,
                                                .value = "ORIGIN,…",
                                                .offset = AT(serve.cors_origins),
                                                CONFIG,
                                                .help = "web pages of these origins may send spans; * for all"},
                                               {.name = "log-level",
                                                .kind = &option_choice,
                                                .value = "error|warn|info|debug",
                                                .choices = log_levels,
                                                .offset = AT(log_level),
                                                .fallback = "info",
                                                CONFIG,
                                                .help = "what the server's own log says"},
                                               {.name = "config",
                                                .kind = &option_text,
                                                .value = "FILE",
                                                .offset = AT(shared.config),
                                                .help = "YAML file with these settings; \"\" for none",
                                                .fallback = "$VITRINE_CONFIG, else ~/.config/vitrine/config.yaml"},
                                               {0}};
static const struct option limit_options[] = {{.name = "max-body",
                                               .kind = &option_size,
                                               .offset = AT(serve.body_bytes_max),
                                               .fallback = "16MiB",
                                               CONFIG,
                                               .help = "a request as it comes over the wire"},
                                              {.name = "max-inflated",
                                               .kind = &option_size,
                                               .offset = AT(serve.inflated_bytes_max),
                                               .fallback = "64MiB",
                                               CONFIG,
                                               .help = "a request unpacked"},
                                              {.name = "max-bodies",
                                               .kind = &option_size,
                                               .offset = AT(serve.bodies_bytes_max),
                                               .fallback = "64MiB",
                                               CONFIG,
                                               .help = "all requests under way together; past it 503"},
                                              {.name = "max-connections",
                                               .kind = &option_unsigned,
                                               .offset = AT(serve.connections_max),
                                               .least = 1,
                                               .most = 1000000,
                                               .fallback = "4096",
                                               CONFIG,
                                               .help = "open connections"},
                                              {.name = "max-connections-per-ip",
                                               .kind = &option_unsigned,
                                               .offset = AT(serve.connections_per_ip_max),
                                               .fallback = "0",
                                               CONFIG,
                                               .help = "of one address; 0 for no limit"},
                                              {.name = "header-timeout",
                                               .kind = &option_millis,
                                               .offset = AT(serve.header_timeout_ms),
                                               .fallback = "10s",
                                               CONFIG,
                                               .help = "from connecting to the end of the headers"},
                                              {.name = "body-timeout",
                                               .kind = &option_millis,
                                               .offset = AT(serve.body_timeout_ms),
                                               .fallback = "60s",
                                               CONFIG,
                                               .help = "from the headers to the end of the body"},
                                              {.name = "idle-timeout",
                                               .kind = &option_millis,
                                               .offset = AT(serve.idle_timeout_ms),
                                               .fallback = "2m",
                                               CONFIG,
                                               .help = "between two requests of a connection"},
                                              {.name = "stop-timeout",
                                               .kind = &option_millis,
                                               .offset = AT(serve.stop_timeout_ms),
                                               .fallback = "10s",
                                               CONFIG,
                                               .help = "what is under way when the server stops"},
                                              {.name = "query-threads",
                                               .kind = &option_unsigned,
                                               .offset = AT(serve.query_threads),
                                               .most = 256,
                                               .fallback = "half the cores, 2 at least",
                                               CONFIG,
                                               .help = "threads that answer queries"},
                                              {.name = "query-queue",
                                               .kind = &option_unsigned,
                                               .offset = AT(serve.query_queue),
                                               .least = 1,
                                               .fallback = "256",
                                               CONFIG,
                                               .help = "queries that may wait; past it 503"},
                                              {.name = "query-timeout",
                                               .kind = &option_millis,
                                               .offset = AT(serve.query_timeout_ms),
                                               .fallback = "30s",
                                               CONFIG,
                                               .help = "one query"},
                                              {.name = "max-live",
                                               .kind = &option_unsigned,
                                               .offset = AT(serve.live_clients_max),
                                               .fallback = "64",
                                               CONFIG,
                                               .help = "live viewers"},
                                              {.name = "proxy-calls",
                                               .kind = &option_unsigned,
                                               .offset = AT(serve.proxy_calls_max),
                                               .least = 1,
                                               .fallback = "1024",
                                               CONFIG,
                                               .help = "calls to upstreams at once; past it 503"},
                                              {.name = "proxy-connect-timeout",
                                               .kind = &option_millis,
                                               .offset = AT(serve.proxy_connect_timeout_ms),
                                               .fallback = "10s",
                                               CONFIG,
                                               .help = "connecting to an upstream"},
                                              {.name = "proxy-timeout",
                                               .kind = &option_millis,
                                               .offset = AT(serve.proxy_timeout_ms),
                                               .fallback = "10m",
                                               CONFIG,
                                               .help = "an upstream that sends nothing"},
                                              {.name = "proxy-span-wait",
                                               .kind = &option_millis,
                                               .offset = AT(serve.proxy_span_wait_ms),
                                               .fallback = "2s",
                                               CONFIG,
                                               .help = "a call waits so long while the store has no room for its span"},
                                              {.name = "proxy-strict",
                                               .kind = &option_flag,
                                               .offset = AT(serve.proxy_strict),
                                               CONFIG,
                                               .help = "after it a call is refused; without this it passes unrecorded"},
                                              {0}};

static const struct option_group listen_group = {"Where it listens", listen_options};
static const struct option_group store_group = {"Where spans are kept", store_options};
static const struct option_group meaning_group = {"What it does with them", meaning_options};
static const struct option_group safety_group = {"Safety and settings", safety_options};
static const struct option_group limit_group = {"Limits", limit_options};
static const struct option_group *const groups[] = {&listen_group, &store_group, &meaning_group,
                                                    &safety_group, &limit_group, NULL};

static void defaults(void *target) {
    struct serve_args *args = target;
    serve_options_init(&args->serve);
    args->log_level = LOG_LEVEL_INFO;
}

/* "30d" is an age, "50GB" a size; the units tell them apart. */
static int take_retention(struct cli *cli, struct serve_args *args, const char *text, struct error *err) {
    static const struct option size = {.name = "retention"};
    if (duration_parse(slice_of(text), 0, &args->serve.store.retention_ns) && args->serve.store.retention_ns > 0)
        return 0;
    if (text[strcspn(text, "bBkKMGT")] &&
        !option_size.set(&args->serve.store.retention_bytes, text, &size, cli->arena, err))
        return 0;
    return error_set(err, VT_EINVAL,
                     "--retention: expected an age such as 30d or 12h, or a size such as 50GB, found \"%s\"", text);
}

static int check(struct cli *cli, struct serve_args *args, struct error *err) {
    int code = 0;
    for (size_t i = 0; i < args->retention.count && !code; i++)
        code = take_retention(cli, args, args->retention.items[i], err);
    for (size_t i = 0; i < args->upstreams.count && !code; i++) {
        const char *one = args->upstreams.items[i], *equals = strchr(one, '=');
        if (equals && equals > one && (!strncmp(equals, "=http://", 8) || !strncmp(equals, "=https://", 9))) continue;
        code = error_set(err, VT_EINVAL, "--upstream: expected NAME=https://host, found '%.*s'",
                         (int)strcspn(one, "=/@"), one); /* what follows may hold a password */
    }
    if (!code && !args->serve.tls_cert != !args->serve.tls_key)
        code = error_set(err, VT_EINVAL, "--tls-cert and --tls-key go together, and only one was given");
    return code;
}

static int run(struct cli *cli) {
    struct serve_args *args = cli->args;
    struct error err = {0};
    if (check(cli, args, &err)) return cli_usage(cli, &err);
    args->serve.forwards = args->forwards.items;
    args->serve.forward_count = args->forwards.count;
    args->serve.pushes = args->pushes.items;
    args->serve.push_count = args->pushes.count;
    args->serve.upstreams = args->upstreams.items;
    args->serve.upstream_count = args->upstreams.count;
    args->serve.store.async_durability = args->durability == 1;
    args->serve.store.hurry = (enum store_hurry)args->pack;
    args->serve.config_path = cli->config->path;
    if (!args->serve.store.dir) args->serve.store.dir = default_data_dir(cli->arena);
    log_set_level((enum log_level)args->log_level);
    if (make_parents(args->serve.store.dir, &err)) return cli_fail(cli, &err);
    if (!serve_run(&args->serve, &err)) return EXIT_FINE;
    return err.code == VT_EINVAL ? cli_usage(cli, &err) : cli_fail(cli, &err);
}

const struct command command_serve = {
    .name = "serve",
    .words = "",
    .summary = "receive spans, keep them, answer the page and the API",
    .about = "Receives spans by OTLP (HTTP and gRPC), as JSON log lines, from a Convex log stream or as a proxy before "
             "an LLM, keeps them in "
             "a directory of Parquet files and answers the web page, the API and the other commands.\n\n"
             "It listens on loopback only until told otherwise, and asks for keys beyond it (see `vitrine keys add`). "
             "SIGTERM ends it "
             "in order: what was acknowledged is on disk.",
    .examples = "vitrine serve  # on http://127.0.0.1:4318\n"
                "vitrine serve --listen 0.0.0.0:4318 --retention 30d --retention 50GB  # for others, with keys\n"
                "vitrine serve --upstream openai=https://api.openai.com  # also as a proxy: /proxy/openai/v1/…\n",
    .groups = groups,
    .args_size = sizeof(struct serve_args),
    .defaults = defaults,
    .run = run,
};
