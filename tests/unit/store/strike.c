/* See strike.h. */
#include "kit.h"
#include "strike.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_int *calls; /* both processes see it */
static enum how how;
static int strike_at;

bool strike_life(enum how way, int at_call, void (*live)(void)) {
    if (!calls) calls = mmap(NULL, sizeof *calls, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    atomic_store(calls, 0);
    fflush(NULL);
    pid_t pid = fork();
    if (!pid) {
        how = way;
        strike_at = at_call;
        live();
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        fail_msg("call %d: ended by signal %d", at_call, WTERMSIG(status));
    return WIFSIGNALED(status);
}

int strike_calls(void) {
    return atomic_load(calls);
}

/* Counts a call; true when this one is to be struck. */
static bool struck(void) {
    if (how == NOTHING) return false;
    int call = atomic_fetch_add(calls, 1) + 1;
    return how == DISK_FULL ? call >= strike_at && call < strike_at + FULL_CALLS : call == strike_at;
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static bool before(bool is_write) {
    bool now = struck();
    if (!now || how == DIE_AFTER) return now;
    if (how == DIE_BEFORE || (how == DIE_IN_THE_MIDDLE && !is_write)) die();
    return true;
}

static long full(void) {
    errno = ENOSPC;
    return -1;
}

/* These stand in the way of libc's, for our own code and for SQLite's: so they must be visible from its library. */
#define VISIBLE __attribute__((visibility("default")))

VISIBLE ssize_t write(int fd, const void *data, size_t size) {
    bool now = fd > 2 && before(true);
    if (now && how == DISK_FULL) return full();
    long n = syscall(SYS_write, fd, data, now && how == DIE_IN_THE_MIDDLE ? size / 2 : size);
    if (now) die();
    return n;
}

VISIBLE ssize_t writev(int fd, const struct iovec *parts, int count) {
    bool now = before(true);
    if (now && how == DISK_FULL) { /* a full disk takes what still fits */
        long n = syscall(SYS_write, fd, parts[0].iov_base, parts[0].iov_len);
        return n > 0 ? n : full();
    }
    if (now && how == DIE_IN_THE_MIDDLE)
        syscall(SYS_writev, fd, parts, 1), syscall(SYS_write, fd, parts[1].iov_base, parts[1].iov_len / 2), die();
    long n = syscall(SYS_writev, fd, parts, count);
    if (now) die();
    return n;
}

VISIBLE ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    bool now = before(true);
    if (now && how == DISK_FULL) return full();
    long n = syscall(SYS_pwrite64, fd, data, now && how == DIE_IN_THE_MIDDLE ? size / 2 : size, at);
    if (now) die();
    return n;
}

#define STAND_IN(name, params, is_full, call)                                                                          \
    VISIBLE int name params {                                                                                          \
        bool now = before(false);                                                                                      \
        if (now && how == DISK_FULL && (is_full)) return (int)full();                                                  \
        long n = call;                                                                                                 \
        if (now && how != DISK_FULL) die();                                                                            \
        return (int)n;                                                                                                 \
    }
STAND_IN(fsync, (int fd), true, syscall(SYS_fsync, fd))
STAND_IN(fdatasync, (int fd), true, syscall(SYS_fdatasync, fd))
STAND_IN(ftruncate, (int fd, off_t size), false, syscall(SYS_ftruncate, fd, size))
STAND_IN(rename, (const char *from, const char *to), false, syscall(SYS_rename, from, to))
STAND_IN(unlink, (const char *path), false, syscall(SYS_unlink, path))
