/* The monitors of a file, evaluated every ten seconds from the store, their state kept, people told.
 *
 * Two threads: one evaluates, one sends from the outbox. All functions but open and close may be called from any
 * thread. */
#ifndef ALERT_ALERTS_H
#define ALERT_ALERTS_H

#include "alert/monitor.h"
#include "alert/measure.h"

struct alerts;

struct alerts_options {
    const char *file;         /* of monitors; read again when it changes. NULL: no monitors, silences still work */
    const char *catalog_path; /* SQLite file of states (store_catalog_path) */
    const char *page_url;     /* "http://127.0.0.1:4318": links in notifications; NULL = none */
    uint32_t interval_ms;     /* 0 = 10,000 */
};

/* `asker` is copied; what it stands on must outlive the alerts. Fails only where nothing can run at all (the file as a
 * whole cannot be read, the catalog cannot be opened). */
int alerts_open(struct alerts **alerts, const struct asker *asker, const struct alerts_options *options,
                struct error *err);
/* Ends the threads; a notification on its way is finished or kept for the next start. NULL is fine. */
void alerts_close(struct alerts *alerts);

/* GET /api/v1/alerts: {"monitors":[{name, query, message, type, tags, critical, warning, …, state, error,
 * groups:[{group, state, since, value, history}]}], "silences":[…], "targets":[…]}. */
int alerts_json(struct alerts *alerts, struct buf *out, struct error *err);
/* POST /api/v1/alerts/silences {"monitor","group"?,"minutes","reason"?}; DELETE /api/v1/alerts/silences/{id}. */
int alerts_silence(struct alerts *alerts, struct slice body, struct error *err);
int alerts_unsilence(struct alerts *alerts, int64_t id, struct error *err);

/* What `vitrine alerts check` says: each monitor explained and what it would do now; `json` as an array of objects,
 * else as text. Without an asker it explains them and says nothing of now. Returns the number of monitors that cannot
 * run, or a negative code. */
int alerts_check(const struct asker *asker, const struct monitor_file *file, int64_t now_ns, bool json, struct buf *out,
                 struct error *err);
/* What `vitrine alerts test` says: when each monitor would have changed between two times, stepping by `step_ns`. */
int alerts_replay(const struct asker *asker, const struct monitor_file *file, int64_t from_ns, int64_t to_ns,
                  int64_t step_ns, bool json, struct buf *out, struct error *err);

#endif
