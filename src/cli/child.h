/* Programs that a command starts beside itself and ends with itself. One thread. */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

#include <sys/types.h>

struct child {
    pid_t pid;   /* 0: none */
    int ends[2]; /* its standard output and error; -1 = closed or not asked for */
};

/* The path of an example program: beside this program in the build tree, or where it was installed. NULL when it is
 * nowhere. */
const char *child_find(const char *name, struct arena *arena);
enum child_pipes { CHILD_OUTPUT = 1, CHILD_ERRORS = 2 };
/* argv ends with NULL. `environment` ("NAME=value", ends with NULL) is laid over ours, in which OTEL_*, OPENAI_* and
 * VITRINE_* are left out. It is killed when this process dies. `pipes` (enum child_pipes) are read by child_read; what
 * is no pipe is ours. VT_EIO. */
int child_start(struct child *child, const char *const *argv, const char *const *environment, unsigned pipes,
                struct error *err);
/* Appends what it wrote to texts[0] (output) and texts[1] (errors); waits at most timeout_ms for more. False once all
 * pipes are at their end. */
bool child_read(struct child *child, struct buf texts[2], unsigned timeout_ms);
/* Waits for its end. Returns its exit status, 128 + signal, or -1. */
int child_wait(struct child *child);
/* SIGTERM, and SIGKILL when it has not ended after two seconds. */
void child_stop(struct child *child);

#endif
