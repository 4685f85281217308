/* Addresses as people write them ("127.0.0.1:4318", "[::1]:0", ":4318", "localhost:4318") and sockets that listen
 * there. */
#ifndef BASE_NET_H
#define BASE_NET_H

#include "base/error.h"
#include "base/slice.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct net_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
    socklen_t len;
};

enum { NET_TEXT_MAX = 64 };

/* VT_EINVAL names the text and what was expected. A host that is left out means every interface. Names are resolved. */
int net_parse(const char *text, struct net_address *address, struct error *err);
/* "127.0.0.1:4318", "[::1]:4318"; returns out. */
const char *net_format(const struct net_address *address, char out[NET_TEXT_MAX]);
uint16_t net_port(const struct net_address *address);
bool net_is_loopback(const struct net_address *address);

/* A non-blocking socket that listens; *address gets the port that port 0 became. `shared`: other sockets of this
 * process may listen on the same port, and the kernel spreads connections over them (SO_REUSEPORT). A port that another
 * process listens on is VT_EIO also then, as long as this is the first socket of the process there (`first`). */
int net_listen(struct net_address *address, bool shared, bool first, int *fd, struct error *err);

#endif
