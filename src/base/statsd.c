/* Packing lines into datagrams. */
#include "base/statsd.h"

#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Finds the listener that has the path now. 0 or -1 with errno. */
static int connect_unix(int fd, const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path));
    return connect(fd, (struct sockaddr *)&address, sizeof address);
}

/* Whether somebody may yet listen there: the directory exists. */
static bool may_come(const char *path) {
    char dir[sizeof((struct sockaddr_un *)0)->sun_path];
    const char *slash = strrchr(path, '/');
    struct stat info;
    if (!slash || (errno != ENOENT && errno != ECONNREFUSED)) return false;
    size_t len = slash == path ? 1 : (size_t)(slash - path);
    memcpy(dir, path, len);
    dir[len] = 0;
    return stat(dir, &info) == 0 && S_ISDIR(info.st_mode);
}

static int open_unix(const char *path, struct error *err) {
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return error_set(err, VT_EINVAL, "StatsD socket path %s is too long", path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && (connect_unix(fd, path) == 0 || may_come(path))) return fd;
    int code = error_set(err, VT_EIO, "StatsD socket %s: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    return code;
}

static int open_udp(const char *text, struct error *err) {
    char host[256];
    const char *colon = strrchr(text, ':'), *start = text;
    size_t len = colon ? (size_t)(colon - text) : 0;
    if (len > 2 && *text == '[' && text[len - 1] == ']') start++, len -= 2;
    if (!colon || !len || len >= sizeof host)
        return error_set(err, VT_EINVAL, "StatsD address \"%s\" is not host:port or unix:///path", text);
    memcpy(host, start, len);
    host[len] = 0;
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *found = NULL;
    int status = getaddrinfo(host, colon + 1, &hints, &found);
    if (status) return error_set(err, VT_EINVAL, "StatsD address \"%s\": %s", text, gai_strerror(status));
    int fd = -1;
    for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen)) close(fd), fd = -1;
    }
    freeaddrinfo(found);
    return fd >= 0 ? fd : error_set(err, VT_EIO, "StatsD address \"%s\": %s", text, strerror(errno));
}

int statsd_open(struct statsd *s, const char *address, bool plain, struct error *err) {
    memset(s, 0, sizeof *s);
    s->plain = plain;
    bool unix_socket = strncmp(address, "unix://", 7) == 0;
    s->fd = unix_socket ? open_unix(address + 7, err) : open_udp(address, err);
    if (s->fd >= 0 && unix_socket) memcpy(s->path, address + 7, strlen(address + 7) + 1);
    return s->fd < 0 ? s->fd : 0;
}

/* An error may be of the past: by UDP one hears of a lost packet at the next, and a Unix socket stays with a listener
 * that has gone. So each packet has a second try. */
static bool send_packet(struct statsd *s) {
    for (int tries = 0; tries < 2; tries++) {
        if (send(s->fd, s->packet, s->used, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return true;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) return false;
        if (*s->path && connect_unix(s->fd, s->path)) return false;
    }
    return false;
}

void statsd_flush(struct statsd *s) {
    if (!s->used) return;
    if (s->fd < 0 || !send_packet(s))
        s->dropped++;
    else
        s->packets++;
    s->used = 0;
}

void statsd_close(struct statsd *s) {
    statsd_flush(s);
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
}

/* Tag values hold no separators of the format. */
static size_t put_clean(char *out, size_t at, size_t size, struct slice text, bool name) {
    for (size_t i = 0; i < text.len && at < size; i++) {
        char c = text.ptr[i];
        bool bad = (unsigned char)c <= ' ' || c == '|' || c == ',' || c == '#' || c == '@' || (name && c == ':');
        out[at++] = bad ? '_' : c;
    }
    return at;
}

static size_t put_str(char *out, size_t at, size_t size, const char *text) {
    size_t len = strlen(text);
    if (len > size - at) len = size - at;
    memcpy(out + at, text, len);
    return at + len;
}

void statsd_put(struct statsd *s, struct slice name, double value, const char *type, double rate,
                const struct statsd_tag *tags, size_t tag_count) {
    char line[STATSD_PACKET_MAX + 1], number[32];
    size_t size = sizeof line, at = put_clean(line, 0, size, name, true);
    if (!isfinite(value)) return;
    snprintf(number, sizeof number, ":%.10g|", value);
    at = put_str(line, at, size, number);
    if (s->plain && (strcmp(type, "d") == 0 || strcmp(type, "h") == 0))
        type = "ms"; /* distributions are DogStatsD's own */
    at = put_str(line, at, size, type);
    if (rate < 1) snprintf(number, sizeof number, "|@%.6g", rate), at = put_str(line, at, size, number);
    bool first = true;
    for (size_t i = 0; !s->plain && i < tag_count; i++) {
        if (!tags[i].value.len) continue;
        at = put_str(line, at, size, first ? "|#" : ",");
        at = put_str(line, at, size, tags[i].name);
        at = put_str(line, at, size, ":");
        at = put_clean(line, at, size, tags[i].value, false);
        first = false;
    }
    if (at > STATSD_PACKET_MAX) {
        s->dropped++;
        return;
    }
    if (s->used && s->used + 1 + at > STATSD_PACKET_MAX) statsd_flush(s);
    if (s->used) s->packet[s->used++] = '\n';
    memcpy(s->packet + s->used, line, at);
    s->used += at;
}
