/* Where each durable batch goes besides the store: live viewers, StatsD, targets of forwarding. All hang on the store's
 * one watch and run on its writer thread, so each only takes a reference or sends without waiting. */
#ifndef SERVE_OUTLETS_H
#define SERVE_OUTLETS_H

#include "base/json.h"
#include "base/statsd.h"
#include "forward/forward.h"
#include "serve/live.h"
#include "serve/serve.h"

struct outlets {
    struct live *live;
    struct statsd statsd; /* the writer's; fd -1 = not asked for */
    struct forward *forwards[FORWARDS_MAX];
    size_t forward_count;
};

/* Opens what the options ask for. On error nothing stays open. */
int outlets_open(struct outlets *outlets, const struct serve_options *options, struct live *live, struct error *err);
void outlets_close(struct outlets *outlets); /* after the store's end */
/* A store_watch. */
void outlets_watch(void *outlets, struct batch *batch);
/* The members "statsd" and "forwards" of /api/v1/status. Any thread. */
void outlets_put_status(struct outlets *outlets, struct json_writer *w);

#endif
