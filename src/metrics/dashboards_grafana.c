/* (see dashboards_grafana.h) */
#include "metrics/dashboards_grafana.h"

#include "base/json.h"

#include <stdio.h>

enum { PANEL_WIDTH = 12, PANEL_HEIGHT = 8, GRID_WIDTH = 24 };

static void put_text(struct json_writer *w, const char *key, const char *value) {
    json_put_key(w, key);
    json_put_cstr(w, value);
}

static void put_int(struct json_writer *w, const char *key, int64_t value) {
    json_put_key(w, key);
    json_put_int(w, value);
}

static void put_place(struct json_writer *w, int x, int y, int width, int height) {
    json_put_key(w, "gridPos");
    json_open(w, '{');
    put_int(w, "x", x);
    put_int(w, "y", y);
    put_int(w, "w", width);
    put_int(w, "h", height);
    json_close(w, '}');
}

static void put_datasource(struct json_writer *w, const struct grafana_source *source) {
    json_put_key(w, "datasource");
    json_open(w, '{');
    put_text(w, "type", source->type);
    put_text(w, "uid", "${datasource}");
    json_close(w, '}');
}

static void put_field_config(struct json_writer *w, const struct grafana_source *source,
                             const struct grafana_panel *panel) {
    char name[128];
    json_put_key(w, "fieldConfig");
    json_open(w, '{');
    json_put_key(w, "defaults");
    json_open(w, '{');
    if (!panel->table) {
        put_text(w, "unit", panel->unit);
        put_int(w, "min", 0);
    }
    if (source->sql && panel->legend) {
        snprintf(name, sizeof name, "${__field.labels.%s}", panel->legend);
        put_text(w, "displayName", name);
    }
    json_close(w, '}');
    json_put_key(w, "overrides");
    json_open(w, '[');
    json_close(w, ']');
    json_close(w, '}');
}

static void put_target(struct json_writer *w, const struct grafana_source *source, const struct grafana_panel *panel,
                       const char *service) {
    char query[GRAFANA_QUERY_MAX];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the formats are those of the tables of panels */
    snprintf(query, sizeof query, panel->query, service);
#pragma GCC diagnostic pop
    json_open(w, '{');
    put_text(w, "refId", "A");
    put_datasource(w, source);
    put_text(w, source->sql ? "rawSql" : "expr", query);
    if (source->sql) {
        put_text(w, "editorType", "sql");
        put_text(w, "queryType", panel->table ? "table" : "timeseries");
        put_int(w, "format", panel->table ? 1 : 0);
    } else {
        put_text(w, "legendFormat", panel->legend);
        json_put_key(w, "exemplar");
        json_put_bool(w, true);
    }
    json_close(w, '}');
}

static void put_panel(struct json_writer *w, const struct grafana_source *source, const struct grafana_panel *panel,
                      const char *service, int id, int x, int y) {
    json_open(w, '{');
    put_int(w, "id", id);
    put_text(w, "type", panel->table ? "table" : "timeseries");
    put_text(w, "title", panel->title);
    put_datasource(w, source);
    put_place(w, x, y, PANEL_WIDTH, PANEL_HEIGHT);
    put_field_config(w, source, panel);
    json_put_key(w, "targets");
    json_open(w, '[');
    put_target(w, source, panel, service);
    json_close(w, ']');
    json_close(w, '}');
}

static void put_datasource_choice(struct json_writer *w, const struct grafana_source *source) {
    json_put_key(w, "templating");
    json_open(w, '{');
    json_put_key(w, "list");
    json_open(w, '[');
    json_open(w, '{');
    put_text(w, "name", "datasource");
    put_text(w, "label", source->label);
    put_text(w, "type", "datasource");
    put_text(w, "query", source->type);
    json_close(w, '}');
    json_close(w, ']');
    json_close(w, '}');
}

static void put_head(struct json_writer *w, const struct grafana_source *source) {
    put_text(w, "title", source->title);
    put_text(w, "uid", source->uid);
    put_int(w, "schemaVersion", 39);
    put_text(w, "refresh", "30s");
    json_put_key(w, "tags");
    json_open(w, '[');
    json_put_cstr(w, "llm");
    json_put_cstr(w, "vitrine");
    json_close(w, ']');
    json_put_key(w, "time");
    json_open(w, '{');
    put_text(w, "from", "now-6h");
    put_text(w, "to", "now");
    json_close(w, '}');
    put_datasource_choice(w, source);
}

static void put_row(struct json_writer *w, struct slice service, int id, int y) {
    json_open(w, '{');
    put_int(w, "id", id);
    put_text(w, "type", "row");
    json_put_key(w, "title");
    json_put_string(w, service);
    put_place(w, 0, y, GRID_WIDTH, 1);
    json_close(w, '}');
}

void grafana_write(const struct grafana_source *source, const struct grafana_panel *panels, int panel_count,
                   const struct slice *services, uint32_t service_count, struct buf *out) {
    struct json_writer w = json_writer_on(out);
    json_open(&w, '{');
    put_head(&w, source);
    json_put_key(&w, "panels");
    json_open(&w, '[');
    for (uint32_t s = 0; s < service_count; s++) {
        char name[GRAFANA_SERVICE_MAX];
        int y = (int)s * ((panel_count + 1) / 2 * PANEL_HEIGHT + 1), first = (int)s * (panel_count + 1);
        source->put_service(services[s], name, sizeof name);
        put_row(&w, services[s], first + panel_count + 1, y);
        for (int i = 0; i < panel_count; i++)
            put_panel(&w, source, &panels[i], name, first + i + 1, i % 2 * PANEL_WIDTH, y + 1 + i / 2 * PANEL_HEIGHT);
    }
    json_close(&w, ']');
    json_close(&w, '}');
    buf_putc(out, '\n');
}
