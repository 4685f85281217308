/* Monitors over HTTP: how they stand, and silences. */
#include "serve/handlers.h"

#include "alert/alerts.h"
#include "serve/members.h"
#include "serve/server.h"

#include <stdlib.h>

/* NULL in the moment between listening and being ready. */
static struct alerts *alerts_of(struct server *server, struct error *err) {
    struct alerts *alerts = atomic_load(&server->alerts);
    if (!alerts) error_set(err, VT_EFULL, "the server is starting; ask again in a moment");
    return alerts;
}

int answer_alerts(struct server *server, struct work *work, struct error *err) {
    struct alerts *alerts = alerts_of(server, err);
    int code = alerts ? alerts_json(alerts, &work->out, err) : VT_EFULL;
    if (!code) buf_putc(&work->out, '\n');
    return code;
}

static int done(struct work *work, int code) {
    if (!code) buf_puts(&work->out, "{\"done\":true}\n");
    return code;
}

int answer_silence(struct server *server, struct work *work, struct error *err) {
    struct alerts *alerts = alerts_of(server, err);
    return done(work, alerts ? alerts_silence(alerts, work->ask.body, err) : VT_EFULL);
}

int answer_unsilence(struct server *server, struct work *work, struct error *err) {
    char text[24] = "", *end;
    if (work->rest.len < sizeof text) memcpy(text, work->rest.ptr, work->rest.len);
    long long id = strtoll(text, &end, 10);
    if (!text[0] || *end) {
        error_set(err, VT_ENOTFOUND, "there is no silence of that id");
        return error_hint(err, "GET /api/v1/alerts lists silences");
    }
    struct alerts *alerts = alerts_of(server, err);
    return done(work, alerts ? alerts_unsilence(alerts, id, err) : VT_EFULL);
}
