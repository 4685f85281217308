/* What /metrics says, sent to where it is wanted every so often: `--push otlp=URL` (OTLP/HTTP, protobuf) and
 * `--push prometheus=URL` (remote write). One thread a target. All is cumulative, so what a target missed is in the
 * next request, and nothing waits on disk. */
#ifndef SERVE_PUSH_H
#define SERVE_PUSH_H

#include "base/error.h"
#include "base/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PUSHES_MAX = 4 };

struct server;
struct push; /* opaque */

struct push_stats {
    char name[32];         /* "otlp-1", "prometheus-1" */
    uint64_t sent, failed; /* requests since the start */
    char problem[160];     /* of the last one; empty = it was taken */
};

/* Reads a target (forward/target.h) as the `place`th of its kind. VT_EINVAL says what is wrong with it. */
int push_open(struct push **push, const char *target, unsigned place, uint32_t interval_ms, struct error *err);
/* Once the server answers: what it says of itself is sent, too. */
int push_start(struct push *push, struct server *server, struct error *err);
/* Sends once more, if it was started; then its thread ends. Before the server's parts do. */
void push_end(struct push *push);
void push_free(struct push *push);                                /* NULL is fine */
void push_get_stats(struct push *push, struct push_stats *stats); /* any thread */

#endif
