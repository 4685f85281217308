/* A small OTLP collector for tests: real sockets, HTTP/1.1 with keep-alive, a thread a connection. It keeps what it
 * gets, and answers as it is told. */
#ifndef COLLECTOR_H
#define COLLECTOR_H

#include "base/slice.h"

struct request {
    char path[256];
    char headers[4096]; /* as they came, with CRLF */
    char *body;         /* unpacked */
    size_t size, packed_size;
    uint32_t spans;
    long at_ms; /* of the monotonic clock */
};

/* How it answers: status 0 hangs and never does, -1 closes the connection without a word. */
struct answer {
    int status;
    const char *headers; /* "Retry-After: 1\r\n", or NULL */
    struct slice body;
};

/* Listens on 127.0.0.1: on port, or any when 0. Answers 200. Returns the port, which stays ours until the next start
 * with 0: no other program gets it while nobody listens there. */
int collector_start(int port);
void collector_stop(void); /* closes all; what was received stays */
void collector_clear(void);
const char *collector_url(void); /* "http://127.0.0.1:port" */

void collector_answer(struct answer answer);               /* from now on */
void collector_answer_next(const struct answer *, size_t); /* these first, one a request */

size_t collector_count(void);
/* Request n; waits for it for up to a minute and fails the test when it does not come. */
const struct request *collector_request(size_t n);
uint32_t collector_spans(void); /* of all requests that were answered with 200 */
/* A header's value, "" when it is not there. */
const char *request_header(const struct request *request, const char *name);
/* The request as text, a line a resource, scope, span and event; ids as 1, 2… and times left out. */
char *request_text(const struct request *request);

#endif
