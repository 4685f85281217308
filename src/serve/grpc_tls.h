/* TLS 1.2 and 1.3 on a socket that does not block, by GnuTLS, for HTTP/2: ALPN "h2". Reading and writing are as those
 * of the socket itself, so that who uses it need not know which of both it is. One thread: that of the connection's
 * loop; the server's part is read-only and shared. */
#ifndef SERVE_GRPC_TLS_H
#define SERVE_GRPC_TLS_H

#include "base/error.h"
#include "base/slice.h"

#include <sys/types.h>

struct tls_server;
struct tls_link;

/* PEM texts, which are copied. VT_EINVAL: they are no certificate and key that belong together. */
int tls_server_new(struct tls_server **server, const char *cert, const char *key, struct error *err);
void tls_server_free(struct tls_server *server); /* NULL is fine; after all links */

/* On a connection that was just accepted; the socket stays the caller's. NULL when memory ran out. */
struct tls_link *tls_link_new(const struct tls_server *server, int fd);
/* Says goodbye if that can be at once, and releases. NULL is fine. */
void tls_link_free(struct tls_link *link);

/* Goes on with the handshake. False: it has failed, the connection is of no use. */
bool tls_link_greet(struct tls_link *link);
bool tls_link_is_greeted(const struct tls_link *link);
/* While greeting: it waits for room to write, not for something to read. */
bool tls_link_waits_to_write(const struct tls_link *link);

/* As recv and send: more than 0 bytes, 0 the end, -1 and errno (EAGAIN: try again; a send then with the same bytes). */
ssize_t tls_link_recv(struct tls_link *link, void *data, size_t len);
ssize_t tls_link_send(struct tls_link *link, const void *data, size_t len);

#endif
