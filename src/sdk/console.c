/* Lines are collected into blocks. They pass the FILE's own buffer by, so that a fork never writes them twice, but hold
 * its lock, so that lines of the application that use the same FILE do not mix with ours. */
#include "sdk/console.h"

#include "sdk/line.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK_BYTES = 64 * 1024, KEEP_BYTES = 1 << 20 };

struct console {
    FILE *file;
    void (*write)(void *ctx, const char *lines, size_t size);
    void *ctx;
    struct line_writer writer;
    struct buf lines;
    bool told; /* of an error, once */
};

static int write_all(int fd, const char *at, size_t left) {
    while (left) {
        ssize_t written = write(fd, at, left);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0 && errno == EAGAIN) { /* someone made the terminal or pipe non-blocking */
            usleep(1000);
            continue;
        }
        if (written < 0) return -1;
        at += written;
        left -= (size_t)written;
    }
    return 0;
}

static int write_file(FILE *file, const char *lines, size_t size) {
    flockfile(file);
    int fd = fileno(file), failed;
    if (fd >= 0) {
        failed = fflush_unlocked(file) ? -1 : write_all(fd, lines, size);
    } else { /* memory, or a stream of the application's own making */
        failed = fwrite_unlocked(lines, 1, size, file) != size || fflush_unlocked(file) ? -1 : 0;
    }
    funlockfile(file);
    return failed;
}

static int pass_on(struct console *console) {
    int failed = console->lines.failed ? -1 : 0;
    if (console->lines.len) {
        if (console->write)
            console->write(console->ctx, console->lines.ptr, console->lines.len);
        else if (write_file(console->file, console->lines.ptr, console->lines.len))
            failed = -1;
    }
    if (failed && !console->told) debug_line("console: lines cannot be written: %s", strerror(errno));
    console->told = failed != 0;
    if (console->lines.cap > KEEP_BYTES) buf_free(&console->lines);
    buf_clear(&console->lines);
    return failed;
}

static int export_spans(void *ctx, const vt_attr *resource, size_t resource_count, const vt_finished *spans,
                        size_t count) {
    struct console *console = ctx;
    int failed = 0;
    for (size_t i = 0; i < count; i++) {
        line_put(&console->writer, &console->lines, resource, resource_count, &spans[i]);
        if (console->lines.len >= BLOCK_BYTES || console->lines.failed) failed |= pass_on(console);
    }
    failed |= pass_on(console);
    return failed ? VT_ERROR_EXPORT : 0;
}

static uint64_t end(void *ctx, uint32_t timeout_ms) {
    struct console *console = ctx;
    (void)timeout_ms;
    line_writer_free(&console->writer);
    buf_free(&console->lines);
    free(console);
    return 0;
}

static void forked(void *ctx) {
    /* The fork may have met the parent's thread anywhere in these: start with new ones. */
    struct console *console = ctx;
    console->lines = (struct buf){0};
    console->writer = (struct line_writer){0};
}

bool console_exporter(const struct settings *settings, vt_exporter *exporter) {
    struct console *console = calloc(1, sizeof *console);
    if (!console) return false;
    console->file = settings->console_file;
    console->write = settings->console_write;
    console->ctx = settings->console_ctx;
    *exporter = (vt_exporter){
        .name = "console", .ctx = console, .export_spans = export_spans, .shutdown = end, .forked = forked};
    return true;
}
