/* One connection to the collector, and what its answers mean (OTLP 1.3, "OTLP/HTTP Response"). One thread. */
#ifndef SDK_OTLP_HTTP_H
#define SDK_OTLP_HTTP_H

#include "base/buf.h"
#include "sdk/otlp_config.h"

#include <stdatomic.h>

enum otlp_verdict {
    OTLP_TAKEN,   /* all, or all but `rejected` */
    OTLP_LATER,   /* no connection, time out, 429, 502, 503, 504: try again */
    OTLP_REFUSED, /* it will never be taken */
};

enum { OTLP_SOCKETS = 4 };

struct otlp_http {
    const struct otlp_settings *settings; /* borrowed */
    void *curl;                           /* made by the first request; NULL in a child of fork */
    void *headers;                        /* curl's list */
    void *headers_gzip;
    struct buf answer;
    int sockets[OTLP_SOCKETS];  /* open ones, 0 = none: a child of fork closes its copies */
    _Atomic int64_t give_up_ns; /* of the monotonic clock: requests end then at the latest; 0: never. Any thread */

    /* What the last request came to. */
    uint64_t rejected;       /* spans, when taken */
    uint32_t retry_after_ms; /* what the collector asked for, 0 = nothing */
    char why[320];           /* in words, for people; "" when all went well */
};

void otlp_http_init(struct otlp_http *http, const struct otlp_settings *settings);
enum otlp_verdict otlp_http_post(struct otlp_http *http, struct slice body);
void otlp_http_free(struct otlp_http *http);
void otlp_http_forked(struct otlp_http *http); /* in a child: what the parent has open stays the parent's */

#endif
