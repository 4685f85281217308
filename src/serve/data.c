/* The data's own door over HTTP: what src/query answers, answered by the pool. */
#include "serve/handlers.h"

#include "serve/server.h"

int answer_api(struct server *server, struct work *work, struct error *err) {
    return api_call(server->engine, &work->ask, &work->out, err);
}
