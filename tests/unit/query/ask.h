/* A real store in a directory of its own, and asking it through the API, for the tests of src/query. */
#ifndef TESTS_QUERY_ASK_H
#define TESTS_QUERY_ASK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/timestamp.h"
#include "query/api.h"
#include "span/normalise.h"

#include <stdio.h>
#include <stdlib.h>

struct fixture {
    char dir[64];
    struct store *store;
    struct engine *engine;
    struct buf answer;
    struct error err;
};

static void fixture_open(struct fixture *f) {
    struct store_options options = {.dir = f->dir, .seal_after_ms = 600000, .no_merging = true};
    if (store_open(&f->store, &options, &f->err)) fail_msg("%s", f->err.message);
    if (engine_open(&f->engine, f->store, NULL, &f->err)) fail_msg("%s", f->err.message);
}

static void fixture_close(struct fixture *f) {
    engine_free(f->engine);
    store_close(f->store);
    f->engine = NULL;
    f->store = NULL;
}

static inline int fixture_start(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/vitrine-query-XXXXXX");
    if (!mkdtemp(f->dir)) return -1;
    fixture_open(f);
    *state = f;
    return 0;
}

static inline int fixture_stop(void **state) {
    struct fixture *f = *state;
    char command[128];
    fixture_close(f);
    buf_free(&f->answer);
    snprintf(command, sizeof command, "rm -rf %s", f->dir);
    int code = system(command);
    free(f);
    return code;
}

/* Takes over the batch's reference. */
static inline void fixture_append(struct fixture *f, struct batch *batch) {
    batch_finish(batch);
    if (store_append_wait(f->store, batch, &f->err)) fail_msg("%s", f->err.message);
    batch_unref(batch);
}

static inline void fixture_seal(struct fixture *f) {
    if (store_seal(f->store, &f->err)) fail_msg("%s", f->err.message);
}

/* The code; the answer or the error's JSON is in f->answer, with a NUL. `target` is path?query; `body` NULL = a GET. */
static inline int fixture_ask(struct fixture *f, const char *target, const char *body, const char *project) {
    struct slice whole = slice_of(target);
    const char *mark = strchr(target, '?');
    struct api_request request = {.method = body ? SLICE("POST") : SLICE("GET"),
                                  .path = mark ? slice_make(target, (size_t)(mark - target)) : whole,
                                  .query = mark ? slice_of(mark + 1) : slice_of(""),
                                  .body = slice_of(body),
                                  .project = slice_of(project)};
    buf_clear(&f->answer);
    memset(&f->err, 0, sizeof f->err);
    int code = api_call(f->engine, &request, &f->answer, &f->err);
    if (code) api_put_error(&f->answer, &f->err);
    buf_cstr(&f->answer);
    return code;
}

static inline const char *fixture_get(struct fixture *f, const char *target) {
    if (fixture_ask(f, target, NULL, NULL)) fail_msg("%s: %s", target, f->answer.ptr);
    return f->answer.ptr;
}

static inline const char *fixture_post(struct fixture *f, const char *target, const char *body) {
    if (fixture_ask(f, target, body, NULL)) fail_msg("%s %s: %s", target, body, f->answer.ptr);
    return f->answer.ptr;
}

/* Fails unless `part` stands in the last answer. */
static inline void expect_part(struct fixture *f, const char *part) {
    if (!strstr(f->answer.ptr, part)) fail_msg("expected %s in %s", part, f->answer.ptr);
}
static inline void expect_no_part(struct fixture *f, const char *part) {
    if (strstr(f->answer.ptr, part)) fail_msg("did not expect %s in %s", part, f->answer.ptr);
}
static inline unsigned count_parts(const char *text, const char *part) {
    unsigned count = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) count++;
    return count;
}

#endif
