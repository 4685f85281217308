/* Programs that a command starts beside itself. */
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ENVIRONMENT_MAX = 512, STOP_TRIES = 200, STOP_STEP_MS = 10 };

extern char **environ;

const char *child_find(const char *name, struct arena *arena) {
    /* build/src/cli/vitrine beside build/examples/NAME; /usr/bin/vitrine beside /usr/libexec/vitrine/NAME. */
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len <= 0) return NULL;
    self[len] = 0;
    const char *dir = dirname(self);
    const char *const places[] = {
        arena_printf(arena, "%s/../../examples/%s", dir, name).ptr,
        arena_printf(arena, "%s/../libexec/vitrine/%s", dir, name).ptr,
        arena_printf(arena, "%s/%s", dir, name).ptr,
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (places[i] && access(places[i], X_OK) == 0) return places[i];
    return NULL;
}

static bool is_ours(const char *entry) {
    static const char *const left_out[] = {"OTEL_", "OPENAI_", "VITRINE_", "STOREFRONT_", "LLM_"};
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (strncmp(entry, left_out[i], strlen(left_out[i])) == 0) return false;
    return true;
}

static void close_ends(int ends[2]) {
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0) close(ends[i]);
        ends[i] = -1;
    }
}

int child_start(struct child *child, const char *const *argv, const char *const *environment, unsigned pipes,
                struct error *err) {
    const char *entries[ENVIRONMENT_MAX + 1];
    size_t count = 0;
    int theirs[2] = {-1, -1};
    pid_t parent = getpid(), pid = -1;
    *child = (struct child){0, {-1, -1}};
    for (; *environment && count < ENVIRONMENT_MAX; environment++) entries[count++] = *environment;
    for (char **e = environ; *e && count < ENVIRONMENT_MAX; e++)
        if (is_ours(*e)) entries[count++] = *e;
    entries[count] = NULL;
    bool piped = true;
    for (int i = 0; i < 2 && piped; i++) {
        int ends[2];
        if (!(pipes & (i ? CHILD_ERRORS : CHILD_OUTPUT))) continue;
        piped = pipe2(ends, O_CLOEXEC) == 0;
        if (piped) child->ends[i] = ends[0], theirs[i] = ends[1];
    }
    if (piped) pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent) _exit(1);
        if (theirs[0] >= 0) dup2(theirs[0], STDOUT_FILENO);
        if (theirs[1] >= 0) dup2(theirs[1], STDERR_FILENO);
        execve(argv[0], (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)entries);
        _exit(127);
    }
    int why = errno;
    close_ends(theirs);
    if (pid > 0) {
        child->pid = pid;
        return 0;
    }
    close_ends(child->ends);
    return error_set(err, VT_EIO, "%s: %s", argv[0], strerror(why));
}

bool child_read(struct child *child, struct buf texts[2], unsigned timeout_ms) {
    struct pollfd fds[2] = {{child->ends[0], POLLIN, 0}, {child->ends[1], POLLIN, 0}}; /* poll passes over -1 */
    char piece[4096];
    if (poll(fds, 2, (int)timeout_ms) > 0)
        for (int i = 0; i < 2; i++) {
            if (child->ends[i] < 0 || !fds[i].revents) continue;
            ssize_t n = read(child->ends[i], piece, sizeof piece);
            if (n > 0)
                buf_put(&texts[i], piece, (size_t)n);
            else if (n == 0 || errno != EINTR) {
                close(child->ends[i]);
                child->ends[i] = -1;
            }
        }
    return child->ends[0] >= 0 || child->ends[1] >= 0;
}

static int status_of(int status) {
    return WIFEXITED(status) ? WEXITSTATUS(status) : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : -1;
}

int child_wait(struct child *child) {
    int status;
    if (!child->pid) return -1;
    while (waitpid(child->pid, &status, 0) < 0)
        if (errno != EINTR) return -1;
    child->pid = 0;
    return status_of(status);
}

void child_stop(struct child *child) {
    int status;
    if (!child->pid) return; /* also when it was never started */
    close_ends(child->ends);
    kill(child->pid, SIGTERM);
    for (int i = 0; i < STOP_TRIES; i++) {
        if (waitpid(child->pid, &status, WNOHANG) != 0) {
            child->pid = 0;
            return;
        }
        nanosleep(&(struct timespec){0, STOP_STEP_MS * 1000000L}, NULL);
    }
    kill(child->pid, SIGKILL);
    child_wait(child);
}
