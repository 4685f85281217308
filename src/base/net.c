/* Addresses and listening sockets. */
#include "base/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

static int bad_address(const char *text, struct error *err) {
    error_set(err, VT_EINVAL, "\"%.200s\" is no address to listen on", text);
    error_hint(err, "write host:port, for example 127.0.0.1:4318, [::1]:4318 or 0.0.0.0:4318");
    return VT_EINVAL;
}

int net_parse(const char *text, struct net_address *address, struct error *err) {
    const char *colon = strrchr(text, ':');
    char host[256], *end = NULL;
    if (!colon || !colon[1]) return bad_address(text, err);
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (*end || port > 65535 || colon[1] < '0' || colon[1] > '9') return bad_address(text, err);
    struct slice name = slice_make(text, (size_t)(colon - text));
    if (name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
        name = slice_make(name.ptr + 1, name.len - 2);
    else if (memchr(name.ptr, ':', name.len))
        return bad_address(text, err); /* IPv6 without brackets: which colon begins the port cannot be told */
    if (name.len >= sizeof host) return bad_address(text, err);
    snprintf(host, sizeof host, "%.*s", (int)name.len, name.ptr);

    struct addrinfo want = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    bool any = !host[0] || strcmp(host, "*") == 0;
    if (any) want.ai_family = AF_INET; /* 0.0.0.0: hosts without IPv6 are common, IPv6 is asked for as [::] */
    int code = getaddrinfo(any ? NULL : host, colon + 1, &want, &found);
    if (code != 0 || !found || found->ai_addrlen > sizeof(struct sockaddr_in6)) {
        if (found) freeaddrinfo(found);
        error_set(err, VT_EINVAL, "cannot resolve \"%s\": %s", host, gai_strerror(code));
        error_hint(err, "give an IP address, for example 127.0.0.1:%lu", port);
        return VT_EINVAL;
    }
    memset(address, 0, sizeof *address);
    memcpy(&address->any, found->ai_addr, found->ai_addrlen);
    address->len = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

uint16_t net_port(const struct net_address *address) {
    return ntohs(address->any.sa_family == AF_INET6 ? address->v6.sin6_port : address->v4.sin_port);
}

const char *net_format(const struct net_address *address, char out[NET_TEXT_MAX]) {
    char host[INET6_ADDRSTRLEN] = "?";
    bool v6 = address->any.sa_family == AF_INET6;
    if (v6) inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof host);
    if (address->any.sa_family == AF_INET) inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof host);
    snprintf(out, NET_TEXT_MAX, v6 ? "[%s]:%u" : "%s:%u", host, net_port(address));
    return out;
}

bool net_is_loopback(const struct net_address *address) {
    if (address->any.sa_family == AF_INET) return (ntohl(address->v4.sin_addr.s_addr) >> 24) == 127;
    return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

static int open_listener(struct net_address *address, bool shared, int *fd, struct error *err) {
    int one = 1;
    char text[NET_TEXT_MAX];
    *fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0) return error_set(err, VT_EIO, "cannot open a socket: %s", strerror(errno));
    setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (shared) setsockopt(*fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (bind(*fd, &address->any, address->len) == 0 && listen(*fd, BACKLOG) == 0 &&
        getsockname(*fd, &address->any, &address->len) == 0)
        return 0;
    int code = errno;
    close(*fd);
    *fd = -1;
    error_set(err, VT_EIO, "cannot listen on %s: %s", net_format(address, text), strerror(code));
    if (code == EADDRINUSE) error_hint(err, "another program listens there; stop it or choose another port");
    if (code == EACCES) error_hint(err, "ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher port");
    if (code == EADDRNOTAVAIL) error_hint(err, "this machine has no such address; see `ip address`");
    return VT_EIO;
}

int net_listen(struct net_address *address, bool shared, bool first, int *fd, struct error *err) {
    if (shared && first) {
        /* SO_REUSEPORT would let a second server of the same user take half of the first one's connections in silence.
         * A socket without it is refused when anyone listens there. */
        int code = open_listener(address, false, fd, err);
        if (code) return code;
        close(*fd);
    }
    return open_listener(address, shared, fd, err);
}
