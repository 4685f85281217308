/* GET /api/openapi.json: OpenAPI 3.1, made from the table of routes, so that it can't tell of what is not there. */
#include "serve/handlers.h"

#include "serve/members.h"
#include "serve/routes.h"
#include "serve/server.h"

#include <stdio.h>

struct parameter {
    const char *name, *type, *words;
};

static const struct parameter parameters[] = {
    {"q", "string", "A filter: model:gpt-4o status:error duration:>2s \"free words\""},
    {"from", "string", "Unix ms, ISO 8601, or relative (-1h, -7d); default -24h"},
    {"to", "string", "The same; default now"},
    {"limit", "integer", "Default 50, at most 1000"},
    {"cursor", "string", "The `next` of the answer before"},
    {"sort", "string", "What comes first"},
    {"fields", "string", "Fields, with commas between"},
    {"interval", "string", "1s … 30d"},
    {"compare", "integer", "1 adds the same numbers for the time before"},
    {"trace_id", "string", "32 hex digits"},
    {"name", "string", "Of the score"},
    {"format", "string", "ndjson or csv"},
};

/* Which of them a path takes. */
static const struct {
    const char *path, *names;
} taken[] = {
    {"/api/v1/traces", "q,from,to,limit,cursor"},
    {"/api/v1/threads", "q,from,to,limit,cursor,sort"},
    {"/api/v1/users", "q,from,to,limit,sort"},
    {"/api/v1/facets", "q,from,to,limit,fields"},
    {"/api/v1/overview", "q,from,to,interval,compare"},
    {"/api/v1/services", "q,from,to"},
    {"/api/v1/scores", "trace_id,name,from,to,limit"},
    {"/api/v1/export", "format,q,from,to"},
    {"/api/v1/live", "q"},
};

static void put_parameter(struct json_writer *w, const char *name, const char *in, const char *type,
                          const char *words) {
    json_open(w, '{');
    member_str(w, "name", name);
    member_str(w, "in", in);
    if (strcmp(in, "path") == 0) member_bool(w, "required", true);
    member_str(w, "description", words);
    member_open(w, "schema", '{');
    member_str(w, "type", type);
    json_close(w, '}');
    json_close(w, '}');
}

static void put_parameters(struct json_writer *w, const struct row *row) {
    const char *brace = strchr(row->path, '{');
    const char *names = NULL;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (row->methods & METHOD_GET && strcmp(taken[i].path, row->path) == 0) names = taken[i].names;
    if (!brace && !names) return;
    member_open(w, "parameters", '[');
    for (; brace; brace = strchr(brace + 1, '{')) {
        char name[32];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(brace + 1, "}"), brace + 1);
        put_parameter(w, name, "path", "string", "Percent-encoded");
    }
    for (size_t i = 0; names && i < sizeof parameters / sizeof *parameters; i++)
        if (list_has(names, slice_of(parameters[i].name)))
            put_parameter(w, parameters[i].name, "query", parameters[i].type, parameters[i].words);
    json_close(w, ']');
}

static void put_content(struct json_writer *w, const char *const *types, const char *schema) {
    member_open(w, "content", '{');
    for (; *types; types++) {
        member_open(w, *types, '{');
        member_open(w, "schema", '{');
        if (schema && strcmp(*types, "application/json") == 0) member_str(w, *schema == '#' ? "$ref" : "type", schema);
        json_close(w, '}');
        json_close(w, '}');
    }
    json_close(w, '}');
}

static const char *const json_types[] = {"application/json", NULL};
static const char *const otlp_types[] = {"application/x-protobuf", "application/json", NULL};
static const char *const line_types[] = {"text/plain", "application/x-ndjson", "application/json", NULL};

static const char *const *types_of(const struct row *row) {
    if (row->flags & ROUTE_OTLP) return otlp_types;
    return row->flags & ROUTE_INGEST ? line_types : json_types;
}

static void put_responses(struct json_writer *w, const struct row *row) {
    static const char *const metric_types[] = {"text/plain", "application/openmetrics-text", NULL};
    static const char *const export_types[] = {"application/x-ndjson", "text/csv", NULL};
    const char *const *types = row->flags & ROUTE_OTLP ? otlp_types : json_types;
    bool live = strcmp(row->path, "/api/v1/live") == 0;
    if (strcmp(row->path, "/metrics") == 0) types = metric_types;
    if (strcmp(row->path, "/api/v1/export") == 0) types = export_types;
    member_open(w, "responses", '{');
    member_open(w, live ? "101" : "200", '{');
    member_str(w, "description", live ? "The WebSocket: one span a message" : "Done");
    if (!live) put_content(w, types, NULL);
    json_close(w, '}');
    member_open(w, "default", '{');
    member_str(w, "description", "Not done, and why");
    put_content(w, row->flags & ROUTE_OTLP ? otlp_types : json_types,
                row->flags & ROUTE_OTLP ? "object" : "#/components/schemas/Error");
    json_close(w, '}');
    json_close(w, '}');
}

static void put_operation(struct json_writer *w, const struct row *row, const char *method) {
    member_open(w, method, '{');
    member_str(w, "summary", row->summary);
    put_parameters(w, row);
    if (row->methods & (METHOD_POST | METHOD_PUT)) {
        member_open(w, "requestBody", '{');
        member_bool(w, "required", true);
        put_content(w, types_of(row), "object");
        json_close(w, '}');
    }
    put_responses(w, row);
    if (row->scope == 0) {
        member_open(w, "security", '[');
        json_close(w, ']');
    }
    json_close(w, '}');
}

/* Rows of one path stand in one object; the first of them opens it for all. */
static void put_paths(struct json_writer *w, const struct row *rows) {
    static const struct {
        unsigned method;
        const char *word;
    } methods[] = {{METHOD_GET, "get"},
                   {METHOD_POST, "post"},
                   {METHOD_PUT, "put"},
                   {METHOD_DELETE, "delete"},
                   {METHOD_PATCH, "patch"}};
    member_open(w, "paths", '{');
    for (const struct row *row = rows; row->path; row++) {
        bool known = !row->summary;
        for (const struct row *before = rows; before < row; before++) known |= strcmp(before->path, row->path) == 0;
        if (known) continue;
        member_open(w, row->path, '{');
        for (const struct row *same = row; same->path; same++)
            for (size_t m = 0; m < sizeof methods / sizeof *methods; m++)
                if (same->methods & methods[m].method && strcmp(same->path, row->path) == 0)
                    put_operation(w, same, methods[m].word);
        json_close(w, '}');
    }
    json_close(w, '}');
}

static const char components[] = "{\"securitySchemes\":{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"},"
                                 "\"apiKey\":{\"type\":\"apiKey\",\"in\":\"header\",\"name\":\"x-api-key\"},\"basic\":{"
                                 "\"type\":\"http\",\"scheme\":\"basic\"}},"
                                 "\"schemas\":{\"Error\":{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{"
                                 "\"error\":{\"type\":\"object\","
                                 "\"required\":[\"code\",\"message\"],\"properties\":{\"code\":{\"type\":\"string\"},"
                                 "\"message\":{\"type\":\"string\"},"
                                 "\"hint\":{\"type\":\"string\"},\"column\":{\"type\":\"integer\"}}}}}}}";

int answer_openapi(struct server *server, struct work *work, struct error *err) {
    struct json_writer w = json_writer_on(&work->out);
    json_open(&w, '{');
    member_str(&w, "openapi", "3.1.0");
    member_open(&w, "info", '{');
    member_str(&w, "title", "Vitrine");
    member_str(&w, "version", VITRINE_VERSION);
    member_str(&w, "description",
               "What happens inside LLM applications: spans in, traces, threads, figures and live views out.");
    json_close(&w, '}');
    put_paths(&w, server->rows);
    json_put_key(&w, "components");
    json_put_raw(&w, slice_make(components, sizeof components - 1));
    member_open(&w, "security", '[');
    json_put_raw(&w, SLICE("{},{\"bearer\":[]},{\"apiKey\":[]},{\"basic\":[]}"));
    json_close(&w, ']');
    json_close(&w, '}');
    buf_putc(&work->out, '\n');
    return 0;
}
