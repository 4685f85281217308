/* Programs that a command starts beside itself and ends with itself. One thread. */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

#include <sys/types.h>

struct child {
    pid_t pid;  /* 0: none */
    int output; /* its standard output; -1 = closed or not asked for */
};

/* The path of an example program: beside this program in the build tree, or where it was installed. NULL when it is
 * nowhere. */
const char *child_find(const char *name, struct arena *arena);
/* argv ends with NULL. `environment` ("NAME=value", ends with NULL) is laid over ours, in which OTEL_*, OPENAI_* and
 * VITRINE_* are left out. It is killed when this process dies. With `piped` its standard output is read by child_read.
 * VT_EIO. */
int child_start(struct child *child, const char *const *argv, const char *const *environment, bool piped,
                struct error *err);
/* Appends what it wrote; waits at most timeout_ms for more. False at its end (or when nothing came in time: then *open
 * is true). */
bool child_read(struct child *child, struct buf *out, unsigned timeout_ms, bool *open);
/* Waits for its end. Returns its exit status, 128 + signal, or -1. */
int child_wait(struct child *child);
/* SIGTERM, and SIGKILL when it has not ended after two seconds. */
void child_stop(struct child *child);

#endif
