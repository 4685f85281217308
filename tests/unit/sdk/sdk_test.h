/* What the library's tests share: a clean environment, a sink that keeps the lines, and lines with ids and times
 * replaced, so that they can be compared byte for byte. The tests use the public library, as an application does. One
 * thread. */
#ifndef SDK_TEST_H
#define SDK_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vitrine.h"

#include <stdbool.h>

/* Unsets every variable that the library reads; empties the sink. */
int clean_start(void **state);
/* vt_shutdown. */
int clean_stop(void **state);

/* console_write of vt_config: keeps lines (ctx is not used). */
void sink_write(void *ctx, const char *lines, size_t size);
/* A synchronous tracer of service "shop" that writes to the sink. */
vt_config sink_config(void);
void sink_init(void); /* vt_init of that */
size_t sink_lines(void);
/* Line n as it was written, without its newline. Fails the test when there is none. */
const char *sink_raw(size_t n);
/* The same with trace ids as T1, T2…, span ids as S1, S2… in the order of their first appearance, times as TIME and MS,
 * and durations as "DURATION". Valid until the sink is emptied. Fails when one of these has not its form. */
const char *sink_line(size_t n);
bool sink_has(const char *text);
void sink_clear(void);

/* The value of "key" in line n as its JSON text, "" when it is not there. Valid until the next call. */
const char *line_value(size_t n, const char *key);

/* Runs fn in a forked child with its stderr caught and its exit code given back; returns the text, which the caller
 * frees. */
char *child_stderr(void (*fn)(void *ctx), void *ctx, int *exit_code);
/* The same with its stdout. */
char *child_stdout(void (*fn)(void *ctx), void *ctx, int *exit_code);

/* Skips the test under ThreadSanitizer, which has no threads in children of processes with several. */
void needs_threads_after_fork(void);
/* The same, and under AddressSanitizer: a child of a fork amid other threads' allocations inherits its allocator's
 * locks as they stood, where libc's own are put right. */
void needs_malloc_after_fork(void);

void sleep_ms(unsigned ms);

#define assert_contains(text, part)                                                                                    \
    do {                                                                                                               \
        const char *text_ = (text), *part_ = (part);                                                                   \
        if (!strstr(text_, part_)) fail_msg("\"%s\" is not in:\n%s", part_, text_);                                    \
    } while (0)
#define assert_lacks(text, part)                                                                                       \
    do {                                                                                                               \
        const char *text_ = (text), *part_ = (part);                                                                   \
        if (strstr(text_, part_)) fail_msg("\"%s\" should not be in:\n%s", part_, text_);                              \
    } while (0)

#define TEST(name) cmocka_unit_test_setup_teardown(name, clean_start, clean_stop)

#endif
