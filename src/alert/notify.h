/* Telling people: what is said (template, payload) and how it is sent. Payloads are built when a state changes and kept
 * in the outbox (alert_db.h) until the target took them, so a target that is down loses nothing. */
#ifndef ALERT_NOTIFY_H
#define ALERT_NOTIFY_H

#include "alert/state.h"
#include "base/buf.h"

struct notice {
    const struct monitor *monitor;
    enum alert_notice kind;
    enum alert_state from, to;
    struct slice group; /* "model:gpt-4o,user:u1", empty without by {…} */
    double value;       /* NaN: not known */
    int64_t at_ns;      /* Unix time of the evaluation */
    struct slice link;  /* page that shows it; may be empty */
    bool for_slack;     /* while a payload for Slack is written: its control characters are escaped */
};

/* Datadog's template: {{value}} {{threshold}} {{warn_threshold}} {{name}} {{state}} {{group}} {{TAG.name}} (or {{TAG}})
 * of a group,
 * {{#is_alert}} … {{/is_alert}}, likewise is_warning, is_recovery, is_no_data, is_renotify, and {{^…}} for "not". What
 * is not known stays as it is written; @names are taken out. */
void notice_render(const struct notice *notice, struct slice template, struct buf *out);
/* True when the notice is for this target: its @name stands in the message, or no known @name does. */
bool notice_is_for(const struct notice *notice, const struct notify_target *target, const struct notify_target *all,
                   uint32_t count);
/* The body in the target's own form (webhook JSON, Slack, PagerDuty Events v2, RFC 5322 mail, JSON for a command). */
void notice_payload(const struct notice *notice, const struct notify_target *target, struct buf *out);

/* Sends one payload; blocks up to 10 s. Any thread but one at a time per target. Webhooks carry
 * `x-vitrine-signature: sha256=<hex HMAC-SHA256 of the body>` when the target has a secret. 0 when the target took it
 * (2xx, 250, exit 0); VT_EINVAL when it never will (4xx but 408 and 429), VT_EIO or VT_ETIMEOUT when it may later. */
int notify_send(const struct notify_target *target, struct slice payload, struct error *err);

#endif
