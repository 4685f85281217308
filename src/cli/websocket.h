/* A WebSocket to a server (RFC 6455): libcurl makes the connection (TLS, addresses), libwslay speaks the frames. One
 * thread. */
#ifndef CLI_WEBSOCKET_H
#define CLI_WEBSOCKET_H

#include "cli/client.h"

struct websocket;

enum { WEBSOCKET_MESSAGE_MAX = 64 << 20 };

/* Connects and shakes hands. VT_EIO: nothing there, or TLS failed; VT_EUNSUPPORTED: no WebSocket at that path; else
 * what the server answered instead (VT_EINVAL for a bad filter, VT_EDENIED, …). */
int websocket_open(struct websocket **socket, const struct client_options *options, const char *path,
                   struct slice query, struct error *err);
void websocket_close(struct websocket *socket); /* NULL is fine */
/* Waits for messages, at most timeout_ms, and calls `each` for every one that is there. VT_EIO: the connection has
 * ended, or nothing (no ping either) came over it for a minute. */
int websocket_wait(struct websocket *socket, unsigned timeout_ms, void (*each)(void *ctx, struct slice message),
                   void *ctx, struct error *err);

#endif
