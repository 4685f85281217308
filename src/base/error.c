/* Filling and naming errors. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

int error_set(struct error *err, int code, const char *format, ...) {
    if (err) {
        va_list args;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        err->code = code;
        err->column = 0;
        err->hint[0] = 0;
    }
    return code;
}

int error_hint(struct error *err, const char *format, ...) {
    if (!err) return 0;
    va_list args;
    va_start(args, format);
    vsnprintf(err->hint, sizeof err->hint, format, args);
    va_end(args);
    return err->code;
}

const char *error_name(int code) {
    static const char *const names[] = {"ok",      "invalid",   "limit",  "out_of_memory", "io",        "full",
                                        "corrupt", "not_found", "denied", "timeout",       "cancelled", "unsupported"};
    int index = -code;
    return index >= 0 && index < (int)(sizeof names / sizeof *names) ? names[index] : "unknown";
}
