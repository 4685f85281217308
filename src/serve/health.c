/* For supervisors and load balancers: is it alive, does it take work. No key is asked for, and nothing is told that one
 * could use. */
#include "serve/handlers.h"

#include "serve/server.h"

void answer_healthz(struct request *request) {
    request_add_header(request, "Cache-Control", "no-store");
    request_answer_static(request, 200, "application/json", SLICE("{\"status\":\"ok\"}\n"));
}

void answer_readyz(struct request *request) {
    struct server *server = server_of(request);
    request_add_header(request, "Cache-Control", "no-store");
    if (atomic_load(&server->stopping)) {
        request_answer_static(request, 503, "application/json", SLICE("{\"status\":\"stopping\"}\n"));
        return;
    }
    if (atomic_load(&server->disk_full))
        request_answer_static(request, 503, "application/json", SLICE("{\"status\":\"disk full\"}\n"));
    else
        request_answer_static(request, 200, "application/json", SLICE("{\"status\":\"ready\"}\n"));
}
