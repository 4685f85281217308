/* A call as the proxy saw it pass, and what it means: the bytes of OpenAI's, Anthropic's and Gemini's APIs, streamed or
 * not, become a span. Pure functions: nothing here knows of sockets, and nothing that the bytes hold makes them fail;
 * what has no meaning is left out. Any thread. */
#ifndef PROXY_SEEN_H
#define PROXY_SEEN_H

#include "base/arena.h"
#include "proxy/upstream.h"
#include "span/batch.h"

enum seen_api {
    API_NONE,
    API_CHAT,
    API_COMPLETIONS,
    API_RESPONSES,
    API_EMBEDDINGS,
    API_MESSAGES,
    API_GENERATE,
    API_EMBED
};

enum seen_end {
    SEEN_WHOLE,
    SEEN_UNREACHABLE, /* no connection to upstream */
    SEEN_TIMED_OUT,   /* it did not answer, or fell silent */
    SEEN_CUT,         /* it broke off */
    SEEN_CLIENT_GONE  /* who called did not wait for the end */
};

enum { SEEN_PROPERTIES_MAX = 32, SEEN_SECRETS_MAX = 8, SEEN_TEXT_MAX = 1024 };
enum { SEEN_BODY_MAX = 4 << 20 }; /* of an answer or a prompt; what is larger is not kept whole */

struct seen_property {
    struct slice name, value;
};

/* The answer had so many bytes at that time. */
struct seen_mark {
    size_t bytes;
    int64_t after_ns; /* since the call began */
};

struct seen {
    const struct upstream *upstream;
    struct slice path;    /* behind the upstream's name, without the query */
    struct slice project; /* of Vitrine's key; empty = default */

    /* From headers, see seen_take_header. */
    struct slice user, thread, service;
    struct seen_property properties[SEEN_PROPERTIES_MAX];
    uint32_t property_count;
    struct slice secrets[SEEN_SECRETS_MAX]; /* keys of the provider: taken out of messages of errors */
    uint32_t secret_count;
    struct slice request_encoding;

    uint8_t trace_id[TRACE_ID_SIZE], span_id[SPAN_ID_SIZE], parent_span_id[SPAN_ID_SIZE]; /* see seen_place */
    uint8_t trace_flags;

    struct slice request; /* the body */

    unsigned status; /* 0: none came */
    struct slice answer_type, answer_encoding, request_id;
    struct slice answer; /* the body as it came over the wire, or its beginning */
    struct slice tail;   /* its end, when it was longer */
    bool answer_cut;
    const struct seen_mark *marks; /* rising */
    uint32_t mark_count;

    enum seen_end end;
    struct slice words; /* more on how it ended; may be empty */
    int64_t start_ns;   /* Unix time */
    int64_t duration_ns;
};

/* Which API a path is of; API_NONE: it is passed on and nothing is kept of it. The path may have a query. */
enum seen_api seen_api_of(struct slice path);
/* Of Gemini's paths, which name the model: "…/models/NAME:generateContent"; else empty. */
struct slice seen_model_of(struct slice path);
bool seen_path_streams(struct slice path);

/* What a header of the request tells: user, thread and properties (x-vitrine-…, helicone-…), W3C traceparent and
 * baggage, and which texts are keys. Call it for each; texts are copied into the arena. True when the header is meant
 * for us alone and goes no further. */
bool seen_take_header(struct seen *seen, struct slice name, struct slice value, struct arena *arena);
/* A key that came in another place (a query). */
void seen_keep_secret(struct seen *seen, struct slice value, struct arena *arena);
/* After the headers: gives the span its ids, below the caller's span or as the root of a trace of its own. */
void seen_place(struct seen *seen);
enum { TRACEPARENT_TEXT_MAX = 56 };
/* "00-…-…-01" that names this call's span as the parent; returns out. */
const char *seen_traceparent(const struct seen *seen, char out[TRACEPARENT_TEXT_MAX]);

/* Adds the call's span to the batch; `scratch` is for what is only needed meanwhile. Errors as of normalise
 * (VT_EINVAL: refused, with the reason in the batch). Paths of API_NONE must not come here. */
int seen_to_span(const struct seen *seen, struct batch *batch, struct arena *scratch);

#endif
