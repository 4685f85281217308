/* `vitrine dashboards`: dashboards and alert rules for other platforms, for the services that were seen. */
#include "cli/commands.h"
#include "cli/show.h"

#include "metrics/dashboards.h"

#include <errno.h>
#include <stdio.h>

struct dashboards_args {
    struct shared_args shared;
    struct texts services;
    const char *output;
};

enum { SERVICES_MAX = 200 };

/* The services of --service, else those of the last 30 days. */
static int find_services(struct cli *cli, struct slice *services, uint32_t *count) {
    const struct dashboards_args *args = cli->args;
    struct slice json;
    const struct doc *answer;
    struct buf query = {0};
    struct error err = {0};
    for (size_t i = 0; i < args->services.count && *count < SERVICES_MAX; i++)
        services[(*count)++] = slice_of(args->services.items[i]);
    if (*count) return EXIT_FINE;
    query_add(&query, "fields", SLICE("service"));
    query_add(&query, "limit", SLICE("200"));
    query_add(&query, "from", args->shared.from ? slice_of(args->shared.from) : SLICE("-30d"));
    query_add(&query, "to", slice_of(args->shared.to));
    int status = show_ask(cli, &(struct source_request){.path = SLICE("/api/v1/facets"), .query = buf_slice(&query)},
                          NULL, &json, &answer);
    buf_free(&query);
    if (status) return status;
    for (const struct doc *value = doc_first(doc_get(doc_first(doc_get(answer, "facets")), "values"));
         value && *count < SERVICES_MAX; value = value->next)
        if (doc_text(value, "value").len) services[(*count)++] = doc_text(value, "value");
    if (*count) return EXIT_FINE;
    error_set(&err, VT_ENOTFOUND, "no service was seen in that time");
    error_hint(&err, "name one with --service");
    return cli_fail(cli, &err);
}

static int run(struct cli *cli) {
    const struct dashboards_args *args = cli->args;
    struct slice services[SERVICES_MAX];
    uint32_t count = 0;
    struct error err = {0};
    struct buf out = {0};
    int form = dashboard_form_named(slice_of(cli->words[0]));
    if (form < 0) {
        error_set(&err, VT_EINVAL,
                  "dashboards: expected grafana, grafana-clickhouse, datadog or prometheus, found '%s'", cli->words[0]);
        return cli_usage(cli, &err);
    }
    int status = find_services(cli, services, &count);
    if (status) return status;
    if (dashboard_write((enum dashboard_form)form, services, count, &out, &err))
        status = cli_fail(cli, &err);
    else if (!args->output)
        buf_put_slice(&cli->out.buf, buf_slice(&out));
    else {
        FILE *file = fopen(args->output, "we");
        bool whole = file && fwrite(out.ptr, 1, out.len, file) == out.len;
        if (file && fclose(file) != 0) whole = false;
        if (!whole) {
            error_set(&err, VT_EIO, "%s: %s", args->output, strerror(errno));
            status = cli_fail(cli, &err);
        } else
            term_printf(&cli->err, "Wrote %s for %u %s.\n", args->output, count, count == 1 ? "service" : "services");
    }
    buf_free(&out);
    return status;
}

#define AT(member) offsetof(struct dashboards_args, member)
static const struct option options[] = {{.name = "service",
                                         .kind = &option_texts,
                                         .value = "NAME",
                                         .offset = AT(services),
                                         .fallback = "those seen in 30 days",
                                         .help = "for this service; may be repeated"},
                                        {.name = "output",
                                         .letter = 'o',
                                         .kind = &option_text,
                                         .value = "FILE",
                                         .offset = AT(output),
                                         .fallback = "standard output",
                                         .help = "where to"},
                                        {0}};
static const struct option_group group = {"What is written", options};

const struct command command_dashboards = {
    .name = "dashboards",
    .words = "grafana|grafana-clickhouse|datadog|prometheus",
    .summary = "dashboards and alert rules for the services that were seen",
    .about = "Grafana: a dashboard (JSON) over Prometheus, or over ClickHouse with the tables "
             "of\nintegrations/clickhouse. Datadog: a dashboard (JSON). Prometheus: alert rules (YAML).",
    .examples = "vitrine dashboards grafana -o vitrine.json\nvitrine dashboards prometheus --service ai-storefront > "
                "rules.yml\n",
    .groups = (const struct option_group *const[]){&group, &group_range, &group_source, &group_config, NULL},
    .args_size = sizeof(struct dashboards_args),
    .words_min = 1,
    .words_max = 1,
    .defaults = shared_defaults,
    .run = run,
};
