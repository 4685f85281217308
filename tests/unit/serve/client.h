/* A blocking HTTP/1.1 client of few lines for tests: it sends bytes as they are told, also wrong ones. */
#ifndef TEST_CLIENT_H
#define TEST_CLIENT_H

#include "base/buf.h"

int client_connect(uint16_t port);
void client_send(int fd, const char *text);
/* Reads one answer (Content-Length or chunked or to the end) into out, headers included; the status, or 0 when the
 * server closed without one. */
int client_read(int fd, struct buf *out);
/* Waits up to a minute, as a machine may be slow, and fails the test when `done` is not true then. */
void client_wait_for(bool (*done)(void));
/* Sends and reads in one. */
int client_ask(uint16_t port, const char *request, struct buf *out);

#endif
