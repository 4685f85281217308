/* The table of all that the server answers to: routing, scopes and the description of the API come from it. */
#ifndef SERVE_ROUTES_H
#define SERVE_ROUTES_H

#include "base/arena.h"
#include "serve/work.h"

struct row {
    unsigned methods; /* enum http_method */
    const char *path; /* "{id}" stands for one segment; "*" at the end for any rest */
    int scope;        /* one of these scopes is needed; 0 = none */
    unsigned flags;   /* enum route_flag */
    request_handler *handler;
    work_call *call;     /* of work_handle */
    const char *summary; /* NULL: not part of the description */
};

/* Our own rows and those of api_routes, ending with a row whose path is NULL, and the table of the HTTP core made from
 * them; both in the arena. NULL when memory ran out. */
const struct row *routes_rows(struct arena *arena);
const struct route *routes_build(const struct row *rows, struct arena *arena);

#endif
