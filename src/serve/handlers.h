/* What stands behind the rows of routes.c, by file. Handlers run on the loop; calls (work.h) on a thread of the pool.
 */
#ifndef SERVE_HANDLERS_H
#define SERVE_HANDLERS_H

#include "serve/work.h"

/* page.c */
void answer_page(struct request *request);

/* export_route.c */
void answer_export(struct request *request);

/* health.c */
void answer_healthz(struct request *request);
void answer_readyz(struct request *request);

/* data.c */
work_call answer_api;

/* metrics.c, status.c, openapi.c. metrics_put: all of /metrics; any thread, while the server answers. */
struct prometheus_sink;
void metrics_put(struct server *server, bool openmetrics, struct prometheus_sink *sink);
work_call answer_metrics, answer_status, answer_openapi;

/* manage.c, price_routes.c */
work_call answer_keys, answer_new_key, answer_revoke_key, answer_delete, answer_prices, answer_reprice;

/* alert_routes.c */
work_call answer_alerts, answer_silence, answer_unsilence;

#endif
