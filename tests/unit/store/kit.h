/* What the store's tests share: a store in a directory of its own, spans whose fields depend on their number alone. */
#ifndef TEST_STORE_KIT_H
#define TEST_STORE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/timestamp.h"
#include "store/scan.h"

extern char dir[64];
extern struct store *store;
extern struct store_options options; /* of the next open; `dir` is filled in */

int start(void **state); /* a fresh directory and store */
int stop(void **state);
void open_store(void);
void reopen(void);
void shell(const char *format, ...) __attribute__((format(printf, 1, 2))); /* with the directory as its $D */
/* Span n; every third of a field is not known. Users are "user N" with N = n / 30, three spans a trace, a thread 15. */
void fill(struct span *span, uint32_t n, struct arena *arena);
void append(uint32_t first, uint32_t count); /* waits until they are durable */
/* Exactly the spans of 0 … count-1 for which `wanted` (NULL = all) is true are there, once; every `step`th is compared
 * field by field. */
void expect_those(uint32_t count, bool (*wanted)(uint32_t n), uint32_t step);
void expect(uint32_t count, uint32_t step);
struct store_stats stats(void);
void wait_for(bool (*done)(void)); /* up to two minutes: a machine may be slow */

#endif
