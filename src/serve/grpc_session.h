/* One gRPC connection without its socket: bytes in, calls out, answers back as bytes. HTTP/2 is libnghttp2's; this adds
 * gRPC's framing (one message a call), what a call must look like, and limits on every game that a sender can play:
 * streams, headers, resets, pings and other frames that cost us more than them. One thread: that of its loop.
 *
 * A call lives until it was answered and its stream has ended, whichever comes last: the one who holds it to answer
 * later need not know whether the sender is still there. */
#ifndef SERVE_GRPC_SESSION_H
#define SERVE_GRPC_SESSION_H

#include "base/buf.h"
#include "base/error.h"
#include "serve/admit.h"
#include "serve/otlp_answer.h"

#include <sys/types.h>

struct grpc_session; /* opaque */
struct nghttp2_session;

enum {
    GRPC_STREAMS_MAX = 100,           /* at once, a connection */
    GRPC_HEADER_BYTES_MAX = 16 << 10, /* of one call */
    GRPC_STREAM_WINDOW = 1 << 20,
    GRPC_CONNECTION_WINDOW = 4 << 20,
    GRPC_RESETS_MAX = 200,
    GRPC_RESETS_PER_S = 20, /* calls that were taken back */
    GRPC_CONTROLS_MAX = 2000,
    GRPC_CONTROLS_PER_S = 200,             /* pings, settings, priorities, window updates */
    GRPC_UNFINISHED_BYTES_MAX = 256 << 10, /* that may come without completing a frame or a piece of data */
    GRPC_CREDENTIAL_MAX = 320
};

enum grpc_encoding { GRPC_IDENTITY, GRPC_GZIP, GRPC_DEFLATE, GRPC_ZSTD, GRPC_UNKNOWN_ENCODING };

struct grpc_service;

struct grpc_call {
    struct grpc_call *prev, *next; /* in the session's list; NULL session: in none */
    struct grpc_session *session;  /* NULL: the stream has ended, nobody hears the answer */
    const struct grpc_service *service;
    int32_t stream;
    int signal; /* the service's own: which of its methods */
    int64_t began_ns;
    enum grpc_encoding encoding;
    bool is_post, is_grpc, compressed, ended, handled, answered, refused;
    unsigned prefix_len; /* of the five bytes before the message */
    uint8_t prefix[5];
    uint32_t message_len; /* as announced */
    uint32_t header_bytes;
    struct buf message;
    uint64_t budget_bytes;
    char path[128];
    char authorization[GRPC_CREDENTIAL_MAX], api_key[64];
    char project[KEY_PROJECT_MAX];
    char unknown_encoding[32];
    /* the answer */
    struct buf out; /* prefix and message */
    size_t out_at;
};

/* What the calls are for. */
struct grpc_service {
    void *ctx;
    uint64_t message_bytes_max;
    /* When the headers are there. RPC_OK lets the call in; otherwise *words says why (static text). */
    enum rpc_code (*admit)(void *ctx, struct grpc_call *call, const char **words);
    /* The whole message is in call->message (as it came, maybe compressed). Answers now or later with grpc_call_answer
     * or grpc_call_fail; takes what it needs out of the call. */
    void (*handle)(void *ctx, struct grpc_call *call);
    /* Memory for messages under way; false = there is none for now. May be NULL. */
    bool (*take_budget)(void *ctx, uint64_t bytes);
    void (*give_budget)(void *ctx, uint64_t bytes);
    /* Called once a call is over, answered or not. May be NULL. */
    void (*over)(void *ctx, struct grpc_call *call);
};

/* NULL when memory ran out; service is borrowed. `owner` is the caller's. */
struct grpc_session *grpc_session_new(const struct grpc_service *service, void *owner);
void *grpc_session_owner(const struct grpc_session *session);
/* Its calls that are not answered yet go on without it. NULL is fine. */
void grpc_session_free(struct grpc_session *session);

/* False: the connection has no future; send what is left and close. */
bool grpc_session_recv(struct grpc_session *session, const uint8_t *data, size_t len);
/* The next bytes to send; 0 = none for now, -1 = broken. They stay good until the next call. */
ssize_t grpc_session_send(struct grpc_session *session, const uint8_t **data);
bool grpc_session_is_over(const struct grpc_session *session); /* nothing more to read or to write */
/* No new calls; those under way are finished (GOAWAY). */
void grpc_session_shut(struct grpc_session *session);
/* Each second or so: ends calls whose body (or whose reader) is too slow. False: the connection must be closed (no
 * preface within header_timeout_ms, or no answer to a ping). */
bool grpc_session_tick(struct grpc_session *session, int64_t now_ns, unsigned header_timeout_ms,
                       unsigned body_timeout_ms);
unsigned grpc_session_calls(const struct grpc_session *session); /* open streams */

/* Exactly one of these for each call that `handle` got. The call is gone after. */
void grpc_call_answer(struct grpc_call *call, struct slice message);
void grpc_call_fail(struct grpc_call *call, enum rpc_code code, const char *message, unsigned retry_ms);

#endif
