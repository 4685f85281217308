/* See routes.h. */
#include "serve/routes.h"

#include "serve/handlers.h"
#include "serve/ingest_routes.h"
#include "serve/proxy.h"
#include "serve/server.h"

enum {
    ASK = SCOPE_READ,
    SEND = SCOPE_INGEST,
    OTLP = ROUTE_OTLP | ROUTE_INGEST,
};

static const struct row own[] = {
    {METHOD_POST, "/v1/traces", SEND, OTLP, receive_traces, NULL, "Spans by OTLP (protobuf or JSON)"},
    {METHOD_POST, "/v1/logs", SEND, OTLP, receive_logs, NULL, "GenAI events of OTLP logs"},
    {METHOD_POST, "/v1/metrics", SEND, OTLP, receive_metrics, NULL, "OTLP metrics: taken politely, not kept"},
    {METHOD_POST, "/api/public/otel/v1/traces", SEND, OTLP, receive_traces, NULL,
     "Spans by OTLP, where Langfuse's SDKs send them"},
    {METHOD_POST, "/otel/v1/traces", SEND, OTLP, receive_traces, NULL,
     "Spans by OTLP, where LangSmith's SDKs send them"},
    {METHOD_POST, "/v1/private/otel/v1/traces", SEND, OTLP, receive_traces, NULL,
     "Spans by OTLP, where Opik's SDKs send them"},
    {METHOD_POST, "/ingest/logs", SEND, ROUTE_INGEST, receive_lines, NULL,
     "Trace log lines: JSON lines, an array, or console text"},
    {METHOD_POST, "/ingest/convex", SEND, ROUTE_SIGNED, receive_convex, NULL, "A Convex log stream"},
    {METHOD_ANY & ~METHOD_OPTIONS, "/proxy/{upstream}/{path}", SEND, ROUTE_PROXY, proxy_handle, NULL,
     "Passed on to the upstream of that name (--upstream), with a span of each LLM call"},
    {METHOD_GET, "/api/v1/live", ASK, 0, live_handle, NULL, "Spans as they come, over a WebSocket"},
    {METHOD_GET, "/api/v1/export", ASK, 0, answer_export, NULL, "All spans that match, as JSON lines or CSV"},
    {METHOD_GET, "/api/v1/status", ASK, ROUTE_QUICK, work_handle, answer_status, "How the server is doing"},
    {METHOD_GET, "/api/v1/keys", SCOPE_ADMIN, ROUTE_QUICK, work_handle, answer_keys, "The keys, without their secrets"},
    {METHOD_POST, "/api/v1/keys", SCOPE_ADMIN, ROUTE_QUICK, work_handle, answer_new_key, "A new key, shown this once"},
    {METHOD_DELETE, "/api/v1/keys/{id}", SCOPE_ADMIN, ROUTE_QUICK, work_handle, answer_revoke_key, "Revokes a key"},
    {METHOD_GET, "/api/v1/prices", ASK, ROUTE_QUICK, work_handle, answer_prices,
     "What tokens cost, in US dollars a million"},
    {METHOD_POST, "/api/v1/prices/recompute", SCOPE_ADMIN, 0, work_handle, answer_reprice,
     "Computes the costs of stored spans by the present prices"},
    {METHOD_POST, "/api/v1/delete", SCOPE_ADMIN, 0, work_handle, answer_delete,
     "Deletes the data of a user, a thread or a trace, for good"},
    {METHOD_GET, "/api/v1/alerts", ASK, 0, work_handle, answer_alerts, "Monitors, their states and silences"},
    {METHOD_POST, "/api/v1/alerts/silences", SCOPE_ADMIN, 0, work_handle, answer_silence,
     "Silences a monitor for a while"},
    {METHOD_DELETE, "/api/v1/alerts/silences/{id}", SCOPE_ADMIN, 0, work_handle, answer_unsilence, "Ends a silence"},
    {METHOD_GET, "/metrics", ASK, ROUTE_QUICK, work_handle, answer_metrics,
     "Metrics for Prometheus, or OpenMetrics by Accept"},
    {METHOD_GET, "/api/openapi.json", 0, ROUTE_QUICK, work_handle, answer_openapi, "This description"},
    {METHOD_GET, "/healthz", 0, 0, answer_healthz, NULL, "The server runs"},
    {METHOD_GET, "/readyz", 0, 0, answer_readyz, NULL, "The server takes spans and answers questions"},
};

static const struct row page[] = {
    {METHOD_GET, "/*", 0, 0, answer_page, NULL, NULL},
    {0, NULL, 0, 0, NULL, NULL, NULL},
};

static struct row row_of_api(const struct api_route *route) {
    bool get = strcmp(route->method, "GET") == 0;
    bool scores =
        strcmp(route->pattern, "/api/v1/scores") == 0; /* an application that sends spans tells what they were worth */
    return (struct row){get ? METHOD_GET : METHOD_POST,
                        route->pattern,
                        !get && scores ? SCOPE_READ | SCOPE_INGEST : SCOPE_READ,
                        0,
                        work_handle,
                        answer_api,
                        route->summary};
}

const struct row *routes_rows(struct arena *arena) {
    size_t own_count = sizeof own / sizeof *own, page_count = sizeof page / sizeof *page, api_count = 0;
    while (api_routes[api_count].method) api_count++;
    struct row *rows = arena_calloc(arena, own_count + api_count + page_count, sizeof *rows);
    if (!rows) return NULL;
    memcpy(rows, own, sizeof own);
    for (size_t i = 0; i < api_count; i++) rows[own_count + i] = row_of_api(&api_routes[i]);
    memcpy(rows + own_count + api_count, page, sizeof page);
    return rows;
}

/* "/api/v1/traces/{id}" to "/api/v1/traces/" and "*". */
static const char *pattern_of(const char *path, struct arena *arena) {
    const char *brace = strchr(path, '{');
    return brace ? arena_printf(arena, "%.*s*", (int)(brace - path), path).ptr : path;
}

const struct route *routes_build(const struct row *rows, struct arena *arena) {
    size_t count = 0, used = 0;
    while (rows[count].path) count++;
    struct route *routes =
        arena_calloc(arena, count * 2 + 1, sizeof *routes); /* and a preflight for each that pages may send to */
    if (!routes) return NULL;
    for (const struct row *row = rows; row->path; row++) {
        struct route route = {pattern_of(row->path, arena), row->methods, row->handler, row->scope, row->flags, row};
        if (!route.path) return NULL;
        routes[used++] = route;
        if (!(row->flags & ROUTE_INGEST)) continue;
        route.methods = METHOD_OPTIONS;
        route.handler = admit_preflight;
        routes[used++] = route;
    }
    return routes;
}
