/* Numbers and strings as JSON text, written straight to memory that the caller has made large enough. Each function
 * returns one past the last byte it wrote; no NUL. Independent of the locale. Any thread. */
#ifndef BASE_FORMAT_H
#define BASE_FORMAT_H

#include "base/slice.h"

enum {
    FORMAT_INT_MAX = 20,    /* bytes, of a 64-bit integer */
    FORMAT_DOUBLE_MAX = 32, /* of a double */
    FORMAT_ESCAPE_MAX = 6   /* of each byte of an escaped text */
};

char *format_uint(char *out, uint64_t value);
char *format_int(char *out, int64_t value);
/* The shortest text that reads back as the same number; "null" for NaN and the infinities. */
char *format_double(char *out, double value);
/* The inside of a JSON string: control characters, '"' and '\' escaped, other text as it is, each byte that is part of
 * no code point as U+FFFD. */
char *format_escaped(char *out, struct slice text);

#endif
