/* Grafana's form of a dashboard, over any data source: a row of panels for each service. */
#ifndef METRICS_DASHBOARDS_GRAFANA_H
#define METRICS_DASHBOARDS_GRAFANA_H

#include "base/buf.h"

struct grafana_panel {
    const char *title, *unit; /* Grafana's unit id */
    const char *query;        /* %s: the service, as the source names it */
    const char *legend; /* PromQL: legendFormat; SQL: the column that names a series, NULL = the values' own names */
    bool table;         /* rows instead of lines over time */
};

struct grafana_source {
    const char *title, *uid; /* of the dashboard */
    const char *type, *label;
    bool sql; /* rawSql instead of expr */
    void (*put_service)(struct slice service, char *out, size_t size);
};

enum { GRAFANA_QUERY_MAX = 2048, GRAFANA_SERVICE_MAX = 512 };

/* A whole file. */
void grafana_write(const struct grafana_source *source, const struct grafana_panel *panels, int panel_count,
                   const struct slice *services, uint32_t service_count, struct buf *out);

/* The dashboard over integrations/clickhouse/schema.sql. */
extern const struct grafana_source grafana_clickhouse;
extern const struct grafana_panel grafana_clickhouse_panels[];
extern const int grafana_clickhouse_panel_count;

#endif
