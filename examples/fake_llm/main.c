/* fake_llm: stands in for OpenAI and Anthropic in the demo and in tests. Speaks their APIs over HTTP, with and without
 * streaming, and misbehaves on demand (behaviour.h).
 *
 *     fake_llm --listen 127.0.0.1:0 --behave "ttft_ms=80, chunk_ms=5"
 *
 * One thread a connection, since answers sleep. Loopback only. */
#include "behaviour.h"
#include "pieces.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BODY_MAX = 8 << 20, CONNECTIONS_MAX = 256, STREAM_BLOCK = 4096 };

static struct behaviour usual; /* from --behave; read-only once the server runs */

struct call {
    char *body;
    size_t len, cap;
    bool too_large;
};

static void sleep_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    while (ms > 0 && nanosleep(&time, &time)) continue;
}

/* ---- a stream: pieces with pauses between them ---- */

struct stream {
    struct pieces pieces;
    struct behaviour behaviour;
    size_t next, offset; /* piece, and byte of it */
    long said;           /* pieces that carried a part of the answer */
};

static ssize_t stream_read(void *ctx, uint64_t position, char *out, size_t size) {
    struct stream *s = ctx;
    (void)position;
    if (s->next == s->pieces.count) return MHD_CONTENT_READER_END_OF_STREAM;
    const struct piece *piece = &s->pieces.list[s->next];
    if (s->offset == 0 && piece->says) {
        if (s->behaviour.cut && s->said == s->behaviour.cut) return MHD_CONTENT_READER_END_WITH_ERROR;
        sleep_ms(s->said ? s->behaviour.chunk_ms : s->behaviour.ttft_ms);
        s->said++;
    }
    size_t left = strlen(piece->text) - s->offset, n = left < size ? left : size;
    memcpy(out, piece->text + s->offset, n);
    s->offset += n;
    if (n == left) s->next++, s->offset = 0;
    return (ssize_t)n;
}

static void stream_free(void *ctx) {
    struct stream *s = ctx;
    pieces_free(&s->pieces);
    free(s);
}

/* ---- answers ---- */

static enum MHD_Result send_response(struct MHD_Connection *connection, unsigned status, const char *type,
                                     struct MHD_Response *response) {
    static _Thread_local unsigned long number;
    char id[48];
    if (!response) return MHD_NO;
    snprintf(id, sizeof id, "req_%lx%lx", (unsigned long)time(NULL), ++number);
    MHD_add_response_header(response, "content-type", type);
    MHD_add_response_header(response, "x-request-id", id);
    if (status == 429) {
        MHD_add_response_header(response, "retry-after", "1");
        MHD_add_response_header(response, "x-ratelimit-remaining-requests", "0");
    }
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned status, char *text) {
    if (!text) return MHD_NO;
    return send_response(connection, status, "application/json",
                         MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE));
}

static enum MHD_Result send_pieces(struct MHD_Connection *connection, struct pieces *pieces,
                                   const struct behaviour *behaviour) {
    struct stream *stream = malloc(sizeof *stream);
    if (!stream) return MHD_NO;
    *stream = (struct stream){.pieces = *pieces, .behaviour = *behaviour};
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_read, stream, stream_free);
    if (!response) stream_free(stream);
    return send_response(connection, 200, "text/event-stream", response);
}

/* ---- what is asked ---- */

enum endpoint { CHAT, RESPONSES, MESSAGES, EMBEDDINGS };
static const struct {
    const char *path;
    enum endpoint endpoint;
    enum dialect dialect;
} endpoints[] = {
    {"/v1/chat/completions", CHAT, DIALECT_OPENAI},
    {"/v1/responses", RESPONSES, DIALECT_OPENAI},
    {"/v1/messages", MESSAGES, DIALECT_ANTHROPIC},
    {"/v1/embeddings", EMBEDDINGS, DIALECT_OPENAI},
};

static enum MHD_Result answer(struct MHD_Connection *connection, enum endpoint endpoint, enum dialect dialect,
                              const json_t *request, const struct behaviour *behaviour) {
    if (endpoint == EMBEDDINGS) {
        char *body = embeddings_body(request);
        return body ? send_text(connection, 200, body)
                    : send_text(connection, 400, error_body(dialect, 400, "'input' must be a text or a list of texts"));
    }
    struct reply reply;
    struct pieces pieces = {0};
    reply_to(request, dialect, &reply);
    if (!json_is_true(json_object_get(request, "stream"))) {
        sleep_ms(behaviour->ttft_ms + behaviour->chunk_ms * reply.output_tokens / 6);
        return send_text(connection, 200,
                         endpoint == CHAT        ? chat_body(request, &reply)
                         : endpoint == RESPONSES ? responses_body(request, &reply)
                                                 : messages_body(request, &reply));
    }
    bool usage = json_is_true(json_object_get(json_object_get(request, "stream_options"), "include_usage")) &&
                 !behaviour->no_usage;
    if (endpoint == CHAT)
        chat_pieces(request, &reply, usage, &pieces);
    else if (endpoint == RESPONSES)
        responses_pieces(request, &reply, &pieces);
    else
        messages_pieces(request, &reply, &pieces);
    return send_pieces(connection, &pieces, behaviour);
}

static enum MHD_Result handle(struct MHD_Connection *connection, const char *url, const char *method,
                              const struct call *call) {
    if (strcmp(url, "/v1/models") == 0) return send_text(connection, 200, models_body());
    size_t which = 0, count = sizeof endpoints / sizeof *endpoints;
    while (which < count && strcmp(url, endpoints[which].path) != 0) which++;
    if (which == count || strcmp(method, "POST") != 0)
        return send_text(connection, 404, error_body(DIALECT_OPENAI, 404, "no such endpoint"));
    enum dialect dialect = endpoints[which].dialect;

    struct behaviour behaviour = usual;
    char bad[64], message[160];
    const char *asked = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "x-fake-llm");
    if (asked && !behaviour_parse(asked, &behaviour, bad, sizeof bad)) {
        snprintf(message, sizeof message, "x-fake-llm: '%s' has no meaning", bad);
        return send_text(connection, 400, error_body(dialect, 400, message));
    }
    sleep_ms(behaviour.delay_ms);
    if (behaviour.status)
        return send_text(connection, (unsigned)behaviour.status,
                         error_body(dialect, behaviour.status,
                                    behaviour.status == 429 ? "Rate limit reached for requests"
                                                            : "The server had an error while processing your request"));
    if (call->too_large) return send_text(connection, 413, error_body(dialect, 413, "the body is too large"));
    json_error_t error;
    json_t *request = json_loadb(call->body ? call->body : "", call->len, 0, &error);
    if (!json_is_object(request)) {
        json_decref(request);
        return send_text(connection, 400, error_body(dialect, 400, "the body is no JSON object"));
    }
    enum MHD_Result result = answer(connection, endpoints[which].endpoint, dialect, request, &behaviour);
    json_decref(request);
    return result;
}

/* ---- libmicrohttpd ---- */

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *data, size_t *size, void **state) {
    struct call *call = *state;
    (void)ctx, (void)version;
    if (!call) return (*state = calloc(1, sizeof *call)) ? MHD_YES : MHD_NO;
    if (!*size) return handle(connection, url, method, call);
    if (call->len + *size > BODY_MAX) call->too_large = true;
    if (!call->too_large && call->len + *size > call->cap) {
        size_t cap = (call->len + *size) * 2;
        char *body = realloc(call->body, cap);
        if (!body) return MHD_NO;
        call->body = body, call->cap = cap;
    }
    if (!call->too_large) memcpy(call->body + call->len, data, *size), call->len += *size;
    *size = 0;
    return MHD_YES;
}

static void on_end(void *ctx, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why) {
    struct call *call = *state;
    (void)ctx, (void)connection, (void)why;
    if (call) free(call->body);
    free(call);
}

static int usage_error(const char *why) {
    fprintf(stderr,
            "fake_llm: %s\nusage: fake_llm [--listen 127.0.0.1:PORT] [--behave \"status=429, delay_ms=300, "
            "ttft_ms=120, chunk_ms=15, cut=3, usage=no\"]\n",
            why);
    return 2;
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(8081), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char bad[64];
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) return usage_error("an option without its value");
        if (strcmp(argv[i], "--behave") == 0) {
            if (!behaviour_parse(argv[i + 1], &usual, bad, sizeof bad))
                return usage_error("--behave has a word without meaning");
        } else if (strcmp(argv[i], "--listen") == 0) {
            const char *colon = strrchr(argv[i + 1], ':');
            char *end = NULL;
            unsigned long port = strtoul(colon ? colon + 1 : argv[i + 1], &end, 10);
            if (*end || port > 65535) return usage_error("--listen wants 127.0.0.1:PORT");
            if (colon && strncmp(argv[i + 1], "127.0.0.1:", 10) != 0)
                return usage_error("--listen takes 127.0.0.1 alone: this server is for tests");
            address.sin_port = htons((uint16_t)port);
        } else {
            return usage_error("unknown option");
        }
    }
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    signal(SIGPIPE, SIG_IGN);
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL, 0, NULL, NULL, on_request, NULL,
        MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
        MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1, MHD_OPTION_END);
    if (!daemon) {
        perror("fake_llm: cannot listen");
        return 1;
    }
    printf("listening on http://127.0.0.1:%u\n",
           (unsigned)MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    fflush(stdout);
    int signal_number;
    sigwait(&ends, &signal_number);
    MHD_quiesce_daemon(daemon);
    _exit(0); /* connections may sleep for minutes; nothing here needs an orderly end */
}
