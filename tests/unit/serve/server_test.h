/* A server of its own for each test, on free ports and in a directory that is gone after; what tests of src/serve
 * share. */
#ifndef SERVER_TEST_H
#define SERVER_TEST_H

#include "client.h"
#include "serve/serve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct test_server {
    char dir[64];
    struct serve_options options;
    struct server *server;
    uint16_t port, grpc_port;
};

/* Fills in the defaults of tests; the directory is made. */
void test_server_init(struct test_server *t);
void test_server_start(struct test_server *t); /* fails the test when it does not start */
void test_server_stop(struct test_server *t);
void test_server_free(struct test_server *t); /* stops, and removes the directory */

#define HOST "Host: localhost\r\n"

/* A request with a body of any bytes; `headers` are whole lines. Returns the status; the answer with its headers is in
 * out. */
int post_bytes(uint16_t port, const char *path, const char *headers, struct slice body, struct buf *out);
int post(uint16_t port, const char *path, const char *headers, const char *body, struct buf *out);
int get(uint16_t port, const char *path, const char *headers, struct buf *out);
/* What stands behind the headers of an answer. */
struct slice body_of(struct buf *answer);
void assert_has(struct buf *answer, const char *part);
void assert_has_not(struct buf *answer, const char *part);

/* An ExportTraceServiceRequest of `count` LLM spans that start now; ids count up from `seed`. */
void put_otlp(struct buf *out, unsigned count, unsigned seed, const char *service);
/* A trace log line of now. */
void put_line(struct buf *out, const char *trace_id, const char *span_id, const char *operation);

#endif
