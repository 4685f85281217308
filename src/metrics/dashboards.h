/* Dashboards and alert rules for the services actually seen: Grafana (over Prometheus or ClickHouse), Datadog,
 * Prometheus rules. One table of panels says what is shown; each platform writes it in its own form. */
#ifndef METRICS_DASHBOARDS_H
#define METRICS_DASHBOARDS_H

#include "base/buf.h"
#include "base/error.h"

enum dashboard_form {
    DASHBOARD_GRAFANA,
    DASHBOARD_GRAFANA_CLICKHOUSE,
    DASHBOARD_DATADOG,
    DASHBOARD_PROMETHEUS,
    DASHBOARD_FORMS
};

/* "grafana", "grafana-clickhouse", "datadog", "prometheus", or -1. */
int dashboard_form_named(struct slice name);
/* `services` as the spans name them; at least one. The result is a whole file (JSON, but YAML for Prometheus). */
int dashboard_write(enum dashboard_form form, const struct slice *services, uint32_t service_count, struct buf *out,
                    struct error *err);
/* The name of a service within metric names: what is no letter or digit becomes _. `out` holds 128 bytes. */
void metric_prefix(struct slice service, char *out, size_t size);

#endif
