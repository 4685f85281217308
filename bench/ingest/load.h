/* What bench_ingest (HTTP) and bench_grpc (gRPC) share: bodies that no span is sent twice of, connections, and the line
 * of figures at the end. One thread; what fails ends the program. */
#ifndef BENCH_INGEST_LOAD_H
#define BENCH_INGEST_LOAD_H

#include "bodies.h"

#include <stdbool.h>
#include <stdint.h>

enum { LOAD_CONNECTIONS_MAX = 256 };

/* HOST PORT CONNECTIONS SECONDS [SPANS_PER_REQUEST] [SERVER_PID] */
struct load_args {
    const char *host;
    int port, connections, pid; /* pid 0: figures of the server are left out */
    double seconds;
    uint32_t spans;
};

/* False after a line about the usage. */
bool load_args_read(struct load_args *args, int argc, char **argv);
/* Builds the bodies and starts to count. */
void load_begin(const struct load_args *args);
bool load_goes_on(void); /* the time is not up */

/* A body with new ids and times; it belongs to the caller until load_answered. */
struct body *load_take(void);
void load_answered(struct body *body, int64_t since_ns);
void load_refused(void); /* 503, RESOURCE_EXHAUSTED or the like: the same body is sent again */

/* A connected, non-blocking socket. */
int load_dial(const struct load_args *args);
_Noreturn void load_stop(const char *what);

/* "  8 connections:  81000 spans/s (…), p50 … ms, p99 … ms, … refused; server: … us CPU a span, peak RSS … MB" */
void load_print(const struct load_args *args);

#endif
