/* The providers behind /proxy/NAME/…, as `--upstream NAME=URL` names them. Made once at the start, then read-only; any
 * thread. */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include "base/arena.h"
#include "base/error.h"

enum { UPSTREAMS_MAX = 64, UPSTREAM_NAME_MAX = 64 };

struct upstream {
    struct slice name;     /* as in /proxy/NAME/ */
    const char *url;       /* without a slash at its end; what follows the name in a request is put behind it */
    struct slice host;     /* of the URL */
    struct slice provider; /* of the host where it is a known one, else the name */
    int port;              /* 0 = the scheme's own */
    bool loopback;         /* this machine: no proxy of the environment stands between */
};

struct upstreams {
    struct upstream *list;
    size_t count;
};

/* Reads "openai=https://api.openai.com". All texts are copied into the arena. VT_EINVAL says what is wrong with which
 * one: no name, a name with other characters than letters, digits, '-', '_' and '.', a name given twice, a URL that is
 * not http(s)://host[:port][/path] (user names, passwords and queries have no place in it). */
int upstreams_read(struct upstreams *upstreams, const char *const *texts, size_t count, struct arena *arena,
                   struct error *err);

/* The one that the path behind "/proxy/" begins with, and what follows its name ("/v1/models?limit=3", or empty); NULL
 * when there is none of that name. */
const struct upstream *upstream_of(const struct upstreams *upstreams, struct slice path, struct slice *rest);

/* True when a segment of the path is "..", also percent-encoded: it would leave the upstream's own path. */
bool path_climbs(struct slice path);

#endif
