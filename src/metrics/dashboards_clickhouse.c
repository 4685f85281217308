/* The panels over ClickHouse (integrations/clickhouse/schema.sql): SQL that 18.16 understands as well as ClickHouse of
 * today, with the macros of Grafana's ClickHouse data source. `weight` gives sampled spans their number, `counts`
 * leaves usage out that a span only repeats. */
#include "metrics/dashboards_grafana.h"

#include <stdio.h>

#define STEP "toDateTime(intDiv(toUInt32(started), $__interval_s) * $__interval_s) AS time"
#define SPANS " FROM vitrine.spans WHERE service = '%1$s' AND $__timeFilter(started)"
#define BY_TIME " GROUP BY time ORDER BY time"
#define BY_TIME_AND(column) " GROUP BY time, " column " ORDER BY time, " column
#define WEIGHTED(quantile, column) "quantileTDigestWeighted(" quantile ")(" column ", toUInt32(round(weight))) / 1e9"
#define COST "sum(ifNull(cost_usd, 0) * weight * counts)"

const struct grafana_panel grafana_clickhouse_panels[] = {
    {"LLM calls per minute", "cpm",
     "SELECT " STEP ", model, sum(weight) * 60 / $__interval_s AS calls" SPANS " AND kind = 'llm'" BY_TIME_AND("model"),
     "model", false},
    {"LLM latency p95 by model", "s",
     "SELECT " STEP ", model, " WEIGHTED("0.95", "duration_ns") " AS p95" SPANS
                                                                " AND kind = 'llm'" BY_TIME_AND("model"),
     "model", false},
    {"LLM latency p50 by model", "s",
     "SELECT " STEP ", model, " WEIGHTED("0.5", "duration_ns") " AS p50" SPANS " AND kind = 'llm'" BY_TIME_AND("model"),
     "model", false},
    {"Time to first token p95 by model", "s",
     "SELECT " STEP ", model, " WEIGHTED(
         "0.95", "assumeNotNull(ttft_ns)") " AS ttft" SPANS
                                           " AND kind = 'llm' AND ttft_ns IS NOT NULL" BY_TIME_AND("model"),
     "model", false},
    {"LLM error rate by provider", "percentunit",
     "SELECT " STEP ", provider, sumIf(weight, status = 'ERROR') / sum(weight) AS errors" SPANS
     " AND kind = 'llm'" BY_TIME_AND("provider"),
     "provider", false},
    {"Tokens per minute", "short",
     "SELECT " STEP ", sum(ifNull(tokens_input, 0) * weight * counts) * 60 / $__interval_s AS input, "
     "sum(ifNull(tokens_output, 0) * weight * counts) * 60 / $__interval_s AS output, "
     "sum(ifNull(tokens_cached, 0) * weight * counts) * 60 / $__interval_s AS cached" SPANS BY_TIME,
     NULL, false},
    {"Cost per hour by model (USD)", "currencyUSD",
     "SELECT " STEP ", model, " COST " * 3600 / $__interval_s AS usd" SPANS " AND model != ''" BY_TIME_AND("model"),
     "model", false},
    {"Cost per conversation (USD)", "currencyUSD",
     "SELECT " STEP ", sumIf(ifNull(cost_usd, 0) * weight * counts, thread_id != '') / "
     "uniqExactIf(thread_id, thread_id != '') AS usd" SPANS BY_TIME,
     NULL, false},
    {"Chat turns per minute", "cpm",
     "SELECT " STEP ", sum(weight) * 60 / $__interval_s AS turns" SPANS " AND kind = 'turn'" BY_TIME, NULL, false},
    {"Turns per conversation", "short",
     "SELECT " STEP ", sumIf(weight, thread_id != '') / uniqExactIf(thread_id, thread_id != '') AS turns" SPANS
     " AND kind = 'turn'" BY_TIME,
     NULL, false},
    {"Active users", "short", "SELECT " STEP ", uniqExactIf(user_id, user_id != '') AS users" SPANS BY_TIME, NULL,
     false},
    {"Fallback rate", "percentunit",
     "SELECT " STEP ", sumIf(weight, status != 'ERROR' AND trace_id IN (SELECT trace_id" SPANS
     " AND kind = 'llm' AND status = 'ERROR')) / sum(weight) AS fallbacks" SPANS " AND kind = 'turn'" BY_TIME,
     NULL, false},
    {"Score against cost, by model", "short",
     "SELECT name AS score, model, count() AS scores, avg(value) AS mean, avg(usd) AS cost_per_trace_usd FROM "
     "(SELECT trace_id, name, value FROM vitrine.scores WHERE $__timeFilter(time)) ANY INNER JOIN "
     "(SELECT trace_id, argMaxIf(model, start_ns, kind = 'llm' AND status != 'ERROR' AND model != '') AS model, " COST
     " AS usd" SPANS " GROUP BY trace_id) USING trace_id GROUP BY score, model ORDER BY score, scores DESC",
     NULL, true},
};
const int grafana_clickhouse_panel_count = sizeof grafana_clickhouse_panels / sizeof *grafana_clickhouse_panels;

/* The inside of a string literal. Whatever might end it, or mean something to Grafana, goes as \xHH. */
static void put_service(struct slice service, char *out, size_t size) {
    size_t at = 0;
    for (size_t i = 0; i < service.len && at + 5 < size; i++) {
        unsigned char c = (unsigned char)service.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                     c == '_' || c == '.' || c == ' ' || c == '/' || c == ':';
        at += (size_t)snprintf(out + at, size - at, plain ? "%c" : "\\x%02X", c);
    }
    out[at] = 0;
}

const struct grafana_source grafana_clickhouse = {.title = "LLM storefront (Vitrine, ClickHouse)",
                                                  .uid = "vitrine-llm-clickhouse",
                                                  .type = "grafana-clickhouse-datasource",
                                                  .label = "ClickHouse",
                                                  .sql = true,
                                                  .put_service = put_service};
