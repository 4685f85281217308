/* A real store in a temporary directory, for the tests of src/query. */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/timestamp.h"
#include "store/scan.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char fixture_dir[64];
static struct store *fixture_store;

static inline void fixture_reopen(bool read_only) {
    struct store_options options = {.dir = fixture_dir, .seal_after_ms = 600000, .read_only = read_only};
    struct error err = {0};
    store_close(fixture_store);
    if (store_open(&fixture_store, &options, &err)) fail_msg("%s", err.message);
}

static inline int fixture_start(void **state) {
    snprintf(fixture_dir, sizeof fixture_dir, "/tmp/vitrine-query-XXXXXX");
    fixture_store = NULL;
    if (!mkdtemp(fixture_dir)) return -1;
    fixture_reopen(false);
    return 0;
}

static inline int fixture_stop(void **state) {
    char command[128];
    store_close(fixture_store);
    fixture_store = NULL;
    snprintf(command, sizeof command, "rm -rf %s", fixture_dir);
    return system(command);
}

/* Appends and frees the batch. */
static inline void fixture_append(struct batch *batch) {
    struct error err = {0};
    if (store_append_wait(fixture_store, batch, &err)) fail_msg("%s", err.message);
    batch_unref(batch);
}

static inline void fixture_seal(void) {
    struct error err = {0};
    if (store_seal(fixture_store, &err)) fail_msg("%s", err.message);
}

/* For calls that must go well: assert_ok(store_seal(store, &failure)). */
static struct error failure;
#define assert_ok(call)                                                                                                \
    do {                                                                                                               \
        if (call) fail_msg("%s: %s", #call, failure.message);                                                          \
    } while (0)

#endif
