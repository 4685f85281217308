/* HTTP to a Vitrine server, by libcurl. One thread; requests one after another over one connection. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "base/buf.h"
#include "base/error.h"

struct client;

struct client_options {
    const char *url;    /* "http://127.0.0.1:4318", with a path in front of all others if it has one */
    const char *key;    /* API key; NULL = none */
    const char *cacert; /* PEM; NULL = the system's */
    unsigned timeout_ms;
};

/* VT_EINVAL: the URL has no meaning. Does not connect. */
int client_open(struct client **client, const struct client_options *options, struct error *err);
void client_close(struct client *client); /* NULL is fine */
const char *client_url(const struct client *client);

struct client_request {
    const char *method;           /* "GET", "POST", "DELETE" */
    const char *path;             /* "/api/v1/traces/ab12", percent-encoded */
    struct slice query;           /* percent-encoded; may be empty */
    struct slice body;            /* of a POST */
    const char *content_type;     /* NULL = application/json */
    const char *content_encoding; /* NULL = as it is */
    /* Takes the body of a 200 as it comes, instead of `body` below; false ends the transfer. May be NULL. */
    bool (*sink)(void *ctx, struct slice piece);
    void *ctx;
};
struct client_answer {
    int status;             /* HTTP */
    unsigned retry_after_s; /* 0 = not said */
    struct buf body;        /* the caller frees it */
};

/* VT_EIO: nothing listens there, TLS failed, the connection broke; VT_ETIMEOUT; VT_ELIMIT: an answer over 256 MiB. The
 * message says which and the hint what to do. A status that is no success is no error here. */
int client_send(struct client *client, const struct client_request *request, struct client_answer *answer,
                struct error *err);
/* The error that an answer without success holds: {"error":{…}}, or its status in words. Returns its code. */
int client_error(const struct client *client, const struct client_answer *answer, struct error *err);
/* What a failure of libcurl (a CURLcode) on the way there means. `detail`: its error buffer, may be "". Returns the
 * code. */
int client_explain(const struct client_options *options, int code, const char *detail, struct error *err);
/* True when something listens there (tries for a second at most). */
bool client_reaches(const struct client_options *options);

/* Its host is this machine itself: no proxy stands between. */
bool client_is_loopback(const char *url);

/* "name=value" with the value percent-encoded, '&' before it where needed; nothing for an empty value. */
void query_add(struct buf *query, const char *name, struct slice value);
void percent_encode(struct buf *out, struct slice text);

#endif
