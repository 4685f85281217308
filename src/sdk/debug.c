/* What VITRINE_DEBUG=1 shows on stderr. */
#include "sdk/env.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static atomic_bool shown;

void debug_set(bool on) {
    atomic_store_explicit(&shown, on, memory_order_relaxed);
}
bool debug_on(void) {
    return atomic_load_explicit(&shown, memory_order_relaxed);
}

void debug_line(const char *format, ...) {
    if (!debug_on()) return;
    int saved = errno;
    char line[1024] = "vitrine: ";
    size_t head = strlen(line);
    va_list args;
    va_start(args, format);
    int body = vsnprintf(line + head, sizeof line - head - 1, format, args);
    va_end(args);
    size_t len = head + (body < 0 ? 0 : (size_t)body);
    if (len > sizeof line - 2) len = sizeof line - 2;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < ' ') line[i] = ' ';
    line[len++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written;
    errno = saved;
}
