/* A program that logs its traces into a file of its own and opens it anew at SIGHUP, as logrotate's file in
 * integrations/ expects. log_client FILE   traces until its standard input ends, then says how many spans it wrote. */
#include <vitrine.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SPANS_A_STEP = 10, STEP_US = 1000 };

struct log {
    const char *path;
    FILE *file;
};

/* Its thread. freopen holds the FILE's lock, which libvitrine takes as well: no line is cut, none goes astray. */
static void *reopen_at_hangup(void *ctx) {
    const struct log *log = ctx;
    sigset_t hangup;
    int number;
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    while (sigwait(&hangup, &number) == 0)
        if (!freopen(log->path, "a", log->file)) {
            perror(log->path);
            exit(1);
        }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    struct log log = {argv[1], fopen(argv[1], "a")};
    sigset_t hangup;
    pthread_t thread;
    int64_t count = 0;
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &hangup, NULL); /* before any thread is made: all of them inherit it */
    if (!log.file || vt_init(&(vt_config){.console = VT_ON, .console_file = log.file, .queue_size = 1 << 16})) return 1;
    if (pthread_create(&thread, NULL, reopen_at_hangup, &log)) return 1;
    while (poll(&(struct pollfd){.fd = 0, .events = POLLIN}, 1, 0) == 0) {
        for (int i = 0; i < SPANS_A_STEP; i++) {
            vt_span *span = vt_span_start("tool.stock");
            vt_span_set_int(span, "number", count++);
            vt_span_end(span);
        }
        usleep(STEP_US);
    }
    vt_shutdown();
    printf("wrote %lld\n", (long long)count);
    return 0;
}
