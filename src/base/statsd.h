/* DogStatsD datagrams: `name:value|type|@rate|#tag:value,…` lines, packed into UDP packets of at most 1,432 bytes (the
 * payload that crosses Ethernet with VPN headers unfragmented; Datadog's own clients use it). Plain StatsD servers get
 * no tags. Not thread-safe: one sender, one thread. Sending never blocks; what the socket does not take is counted and
 * dropped. A listener that goes and comes back gets what is sent from then on, also on a Unix socket that is made anew.
 */
#ifndef BASE_STATSD_H
#define BASE_STATSD_H

#include "base/error.h"
#include "base/slice.h"

enum { STATSD_PACKET_MAX = 1432, STATSD_TAGS_MAX = 12 };

struct statsd {
    int fd;         /* connected UDP or Unix datagram socket, -1 = none */
    char path[108]; /* of the Unix socket; "" = UDP */
    bool plain;     /* no tags; distributions go as timers */
    size_t used;
    char packet[STATSD_PACKET_MAX];
    uint64_t packets, dropped; /* dropped: packets that the socket refused, and lines too long for any packet */
};

struct statsd_tag {
    const char *name;
    struct slice value; /* empty: the tag is left out */
};

/* `address`: "host:port", "[::1]:8125" or "unix:///path", whose listener may come later (its directory may not). */
int statsd_open(struct statsd *statsd, const char *address, bool plain, struct error *err);
void statsd_close(struct statsd *statsd); /* sends what is pending */
/* type: "c", "g", "ms", "h", "d". rate: 1, or below 1 when only that part is sent. Adds to the packet, sending full
 * ones. */
void statsd_put(struct statsd *statsd, struct slice name, double value, const char *type, double rate,
                const struct statsd_tag *tags, size_t tag_count);
void statsd_flush(struct statsd *statsd);

#endif
