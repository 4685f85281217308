/* Panels as a table, platforms as writers. %s in a query is the service's metric prefix. */
#include "metrics/dashboards.h"

#include "base/json.h"
#include "metrics/dashboards_grafana.h"

#include <stdio.h>

enum { PREFIX_MAX = 128, SERVICES_MAX = 200, QUERY_MAX = 1024 };

struct panel {
    const char *title, *unit; /* Grafana's unit id */
    const char *promql, *legend;
    const char *datadog; /* in storefront metric names; NULL: not shown there */
};

static const struct panel panels[] = {
    {"LLM calls per minute", "cpm", "sum by (model) (rate(%s_llm_requests_total[5m])) * 60", "{{model}}",
     "sum:%s.llm.requests{*} by {model}.as_rate() * 60"},
    {"LLM latency p95 by model", "s",
     "histogram_quantile(0.95, sum by (le, model) (rate(%s_llm_duration_seconds_bucket[5m])))", "{{model}}",
     "p95:%s.llm.duration{*} by {model}"},
    {"LLM latency p50 by model", "s",
     "histogram_quantile(0.50, sum by (le, model) (rate(%s_llm_duration_seconds_bucket[5m])))", "{{model}}",
     "p50:%s.llm.duration{*} by {model}"},
    {"Time to first token p95", "s",
     "histogram_quantile(0.95, sum by (le, model) (rate(%s_llm_ttft_seconds_bucket[5m])))", "{{model}}",
     "p95:%s.llm.ttft{*} by {model}"},
    {"LLM error rate by provider", "percentunit",
     "sum by (provider) (rate(%1$s_llm_errors_total[5m])) / sum by (provider) (rate(%1$s_llm_requests_total[5m]))",
     "{{provider}}",
     "sum:%1$s.llm.errors{*} by {provider}.as_count() / sum:%1$s.llm.requests{*} by {provider}.as_count()"},
    {"Tokens per minute", "short", "sum by (type) (rate(%s_llm_tokens_total[5m])) * 60", "{{type}}",
     "sum:%s.llm.tokens{*} by {model}.as_rate() * 60"},
    {"Cost per hour by model (USD)", "currencyUSD", "sum by (model) (rate(%s_llm_cost_usd_total[5m])) * 3600",
     "{{model}}", "sum:%s.llm.cost{*} by {model}.as_rate() * 3600"},
    {"Chat turns per minute", "cpm", "sum(rate(%s_chat_turns_total[5m])) * 60", "turns",
     "sum:%s.chat.turns{*}.as_rate() * 60"},
    {"Chat turn duration p95", "s", "histogram_quantile(0.95, sum by (le) (rate(%s_chat_duration_seconds_bucket[5m])))",
     "p95", "p95:%s.chat.duration{*}"},
    {"Fallback rate", "percentunit", "sum(rate(%1$s_chat_fallbacks_total[5m])) / sum(rate(%1$s_chat_turns_total[5m]))",
     "fallbacks", "sum:%1$s.chat.fallbacks{*}.as_count() / sum:%1$s.chat.turns{*}.as_count()"},
};
enum { PANELS = sizeof panels / sizeof *panels };

static const struct {
    const char *name, *promql, *wait, *severity, *summary;
} rules[] = {
    {"HighLLMLatency",
     "sum(rate(%1$s_llm_duration_seconds_sum[5m])) / sum(rate(%1$s_llm_duration_seconds_count[5m])) > 10", "5m",
     "warning", "LLM calls of %s take over 10 s on average"},
    {"LLMErrors", "sum(increase(%s_llm_errors_total[10m])) > 5", "0m", "critical",
     "more than 5 LLM errors of %s in 10 minutes"},
    {"HighTokenUsage", "sum(increase(%s_llm_tokens_total[1h])) > 100000", "0m", "warning",
     "%s used over 100,000 tokens in an hour"},
    {"ChatFallbacks", "sum(rate(%1$s_chat_fallbacks_total[15m])) / sum(rate(%1$s_chat_turns_total[15m])) > 0.05", "5m",
     "warning", "over 5 %% of the chat turns of %s fell back"},
};

int dashboard_form_named(struct slice name) {
    static const char *const names[DASHBOARD_FORMS] = {"grafana", "grafana-clickhouse", "datadog", "prometheus"};
    for (int i = 0; i < DASHBOARD_FORMS; i++)
        if (slice_is(name, names[i])) return i;
    return -1;
}

void metric_prefix(struct slice service, char *out, size_t size) {
    size_t at = 0;
    if (!service.len) service = SLICE("unknown_service");
    if (*service.ptr >= '0' && *service.ptr <= '9') out[at++] = '_';
    for (size_t i = 0; i < service.len && at + 1 < size; i++) {
        char c = service.ptr[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        out[at++] = fits ? c : '_';
    }
    out[at] = 0;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the formats are those of the tables above */
static struct slice filled(const char *format, const char *prefix, char *out) {
    int len = snprintf(out, QUERY_MAX, format, prefix);
    return slice_make(out, len < 0 ? 0 : len < QUERY_MAX ? (size_t)len : QUERY_MAX - 1);
}
#pragma GCC diagnostic pop

static void put_text(struct json_writer *w, const char *key, const char *value) {
    json_put_key(w, key);
    json_put_cstr(w, value);
}

/* ---- Grafana ---- */

static void write_grafana(const struct slice *services, uint32_t count, struct buf *out) {
    static const struct grafana_source prometheus = {.title = "LLM storefront (Vitrine)",
                                                     .uid = "vitrine-llm",
                                                     .type = "prometheus",
                                                     .label = "Prometheus",
                                                     .put_service = metric_prefix};
    struct grafana_panel shown[PANELS];
    for (int i = 0; i < PANELS; i++)
        shown[i] = (struct grafana_panel){panels[i].title, panels[i].unit, panels[i].promql, panels[i].legend, false};
    grafana_write(&prometheus, shown, PANELS, services, count, out);
}

/* ---- Datadog ---- */

static void put_datadog_widget(struct json_writer *w, const struct panel *panel, const char *prefix) {
    char query[QUERY_MAX];
    json_open(w, '{');
    json_put_key(w, "definition");
    json_open(w, '{');
    put_text(w, "type", "timeseries");
    put_text(w, "title", panel->title);
    json_put_key(w, "requests");
    json_open(w, '[');
    json_open(w, '{');
    json_put_key(w, "q");
    json_put_string(w, filled(panel->datadog, prefix, query));
    put_text(w, "display_type", "line");
    json_close(w, '}');
    json_close(w, ']');
    json_close(w, '}');
    json_close(w, '}');
}

static void write_datadog(const struct slice *services, uint32_t count, struct buf *out) {
    struct json_writer w = json_writer_on(out);
    json_open(&w, '{');
    put_text(&w, "title", "LLM storefront (Vitrine)");
    put_text(&w, "description", "LLM calls and chat turns, from the metrics that Vitrine sends by DogStatsD");
    put_text(&w, "layout_type", "ordered");
    json_put_key(&w, "widgets");
    json_open(&w, '[');
    for (uint32_t s = 0; s < count; s++) {
        char prefix[PREFIX_MAX];
        metric_prefix(services[s], prefix, sizeof prefix);
        json_open(&w, '{');
        json_put_key(&w, "definition");
        json_open(&w, '{');
        put_text(&w, "type", "group");
        json_put_key(&w, "title");
        json_put_string(&w, services[s]);
        put_text(&w, "layout_type", "ordered");
        json_put_key(&w, "widgets");
        json_open(&w, '[');
        for (int i = 0; i < PANELS; i++)
            if (panels[i].datadog) put_datadog_widget(&w, &panels[i], prefix);
        json_close(&w, ']');
        json_close(&w, '}');
        json_close(&w, '}');
    }
    json_close(&w, ']');
    json_close(&w, '}');
    buf_putc(out, '\n');
}

/* ---- Prometheus rules ---- */

/* A YAML double-quoted scalar takes JSON's escapes. */
static void put_quoted(struct buf *out, struct slice text) {
    buf_putc(out, '"');
    json_escape(out, text);
    buf_putc(out, '"');
}

static void write_prometheus(const struct slice *services, uint32_t count, struct buf *out) {
    buf_puts(out, "# Alert rules for Prometheus. Load with rule_files; check with promtool check rules.\ngroups:\n");
    for (uint32_t s = 0; s < count; s++) {
        char prefix[PREFIX_MAX], text[QUERY_MAX], service[PREFIX_MAX];
        metric_prefix(services[s], prefix, sizeof prefix);
        snprintf(service, sizeof service, "%.*s", (int)services[s].len, services[s].ptr ? services[s].ptr : "");
        buf_printf(out, "  - name: vitrine_%s\n    rules:\n", prefix);
        for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
            buf_printf(out, "      - alert: %s\n        expr: ", rules[i].name);
            put_quoted(out, filled(rules[i].promql, prefix, text));
            buf_printf(out, "\n        for: %s\n        labels: {severity: %s, service: ", rules[i].wait,
                       rules[i].severity);
            put_quoted(out, slice_of(service));
            buf_puts(out, "}\n        annotations: {summary: ");
            put_quoted(out, filled(rules[i].summary, service, text));
            buf_puts(out, "}\n");
        }
    }
}

int dashboard_write(enum dashboard_form form, const struct slice *services, uint32_t count, struct buf *out,
                    struct error *err) {
    if (!count || count > SERVICES_MAX)
        return error_set(err, count ? VT_ELIMIT : VT_EINVAL, "a dashboard shows 1 to %d services, not %u", SERVICES_MAX,
                         count);
    switch (form) {
    case DASHBOARD_GRAFANA: write_grafana(services, count, out); break;
    case DASHBOARD_GRAFANA_CLICKHOUSE:
        grafana_write(&grafana_clickhouse, grafana_clickhouse_panels, grafana_clickhouse_panel_count, services, count,
                      out);
        break;
    case DASHBOARD_DATADOG: write_datadog(services, count, out); break;
    case DASHBOARD_PROMETHEUS: write_prometheus(services, count, out); break;
    case DASHBOARD_FORMS: return error_set(err, VT_EINVAL, "no such form of dashboard");
    }
    return out->failed ? error_set(err, VT_ENOMEM, "no memory for a dashboard") : 0;
}
