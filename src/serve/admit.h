/* Who may come in: keys and their scopes, and the guards that keep web pages of other origins away from a server that
 * asks for no key because only this machine can reach it. The same rules for HTTP, WebSocket and gRPC. Read-only once
 * the loops run; any thread. */
#ifndef SERVE_ADMIT_H
#define SERVE_ADMIT_H

#include "serve/http.h"
#include "serve/keys.h"

enum route_flag {
    ROUTE_OTLP = 1,   /* failures are told as google.rpc.Status, in the encoding of the request */
    ROUTE_INGEST = 2, /* pages of other origins may send here when --cors names them */
    ROUTE_SIGNED = 4, /* a signature of the body takes the place of a key where a secret is set */
    ROUTE_QUICK = 8,  /* answered by a thread that no query can hold up */
    ROUTE_PROXY = 16  /* Authorization and the like are for another server; the key for us is in x-vitrine-key */
};

struct admission {
    struct keys *keys;
    bool key_required;
    bool hosts_guarded;       /* the Host of a request must be this machine or one of `hosts` */
    bool signature_required;  /* of routes with ROUTE_SIGNED */
    const char *hosts;        /* "name,name"; may be NULL */
    const char *cors_origins; /* "https://a.example,…" or "*"; may be NULL */
};

/* Where a key may stand; empty slices for what is not there. */
struct credentials {
    struct slice authorization; /* Bearer KEY, Basic base64(name:KEY), or the bare key */
    struct slice api_key;       /* x-api-key, api-key, x-honeycomb-team */
    struct slice protocols;     /* Sec-WebSocket-Protocol: vitrine.live, key.KEY */
};

enum verdict { ADMITTED, KEY_MISSING, KEY_UNKNOWN, SCOPE_TOO_SMALL };

/* `scope`: the caller needs one of these (0 = nothing). Fills *key on ADMITTED; without a key it has all scopes and no
 * name. */
enum verdict admission_check(const struct admission *admission, const struct credentials *credentials, int scope,
                             struct key *key);
/* The same in words; a hint comes with it. */
const char *verdict_words(enum verdict verdict, const char **hint);

/* Callbacks of the HTTP core; http_ctx is the server. */
void admit_request(struct request *request);
void admit_decorate(struct request *request);
/* OPTIONS of routes that take what pages of other origins send. */
void admit_preflight(struct request *request);

/* True when `item` is one of the comma-separated words of `list`, in any case. For tests and for hosts and origins. */
bool list_has(const char *list, struct slice item);
/* True for the name of this machine or an address as a number: what a page from elsewhere can't have as its Host. */
bool host_is_local(struct slice host);

#endif
