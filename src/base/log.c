/* Builds a line on the stack and writes it with one write(), so lines of several threads stay whole. */
#include "base/log.h"

#include "base/timestamp.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static atomic_int max_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level) {
    atomic_store(&max_level, (int)level);
}

void log_line(enum log_level level, const char *format, ...) {
    static const char *const words[] = {"ERROR", "WARN ", "INFO ", "DEBUG"};
    static const char *const colours[] = {"\033[31m", "\033[33m", "\033[32m", "\033[2m"};
    if ((int)level > atomic_load_explicit(&max_level, memory_order_relaxed)) return;
    char line[2048], time[TIME_TEXT_MAX];
    size_t time_len = time_format(time_now_ns(), 3, time);
    bool colour = isatty(STDERR_FILENO) == 1;
    int head = snprintf(line, sizeof line, "%.*s %s%s%s ", (int)time_len, time, colour ? colours[level] : "",
                        words[level], colour ? "\033[0m" : "");
    if (head < 0) return;
    va_list args;
    va_start(args, format);
    int body = vsnprintf(line + head, sizeof line - (size_t)head - 1, format, args);
    va_end(args);
    size_t len = (size_t)head + (body < 0 ? 0 : (size_t)body);
    if (len > sizeof line - 2) len = sizeof line - 2;
    /* A message is one line, whatever text from outside stands in it. */
    for (size_t i = (size_t)head; i < len; i++)
        if ((unsigned char)line[i] < ' ') line[i] = ' ';
    line[len++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written;
}
