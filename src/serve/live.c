/* See live.h. */
#include "serve/live_client.h"

#include "serve/server.h"

#include "base/base64.h"
#include "base/timestamp.h"
#include "span/span_json.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <strings.h>

enum { BATCHES_MAX = 64, ACCEPT_SIZE = BASE64_SIZE(SHA_DIGEST_LENGTH) + 1 };

struct live_loop {
    struct live *live;
    struct http_loop *loop;   /* NULL: not running */
    atomic_uint client_count; /* those on their way included; written by the loop, the writer looks whether it is worth
                                 the while */
    struct live_client *clients; /* the loop's */
    unsigned arriving;           /* the loop's: told that they may come, their sockets are not here yet */
    struct buf scratch;          /* the loop's: a span on its way to a frame */
    pthread_mutex_t lock;        /* over all below, and over `loop` for the writer */
    struct batch *batches[BATCHES_MAX];
    unsigned batch_count;
    uint64_t lost; /* spans of batches that found the queue full */
    bool posted;
    struct loop_task task;
};

struct live {
    unsigned loop_count, clients_max;
    atomic_uint clients;
    atomic_uint_least64_t sent, dropped;
    struct live_loop loops[];
};

struct live *live_new(unsigned loops, unsigned clients_max) {
    struct live *live = calloc(1, sizeof *live + loops * sizeof live->loops[0]);
    if (!live) return NULL;
    live->loop_count = loops;
    live->clients_max = clients_max;
    for (unsigned i = 0; i < loops; i++) {
        live->loops[i].live = live;
        pthread_mutex_init(&live->loops[i].lock, NULL);
    }
    return live;
}

void live_free(struct live *live) {
    if (!live) return;
    for (unsigned i = 0; i < live->loop_count; i++) {
        struct live_loop *own = &live->loops[i];
        for (unsigned b = 0; b < own->batch_count; b++) batch_unref(own->batches[b]);
        buf_free(&own->scratch);
        pthread_mutex_destroy(&own->lock);
    }
    free(live);
}

/* --- spans --- */

void live_watch(void *ctx, struct batch *batch) {
    struct live *live = ctx;
    if (atomic_load_explicit(&live->clients, memory_order_relaxed) == 0) return;
    for (unsigned i = 0; i < live->loop_count; i++) {
        struct live_loop *own = &live->loops[i];
        if (atomic_load(&own->client_count) == 0) continue;
        pthread_mutex_lock(&own->lock);
        if (own->loop && own->batch_count < BATCHES_MAX)
            own->batches[own->batch_count++] = batch_ref(batch);
        else
            own->lost += batch->count;
        if (own->loop && !own->posted) {
            own->posted = true;
            loop_post(http_loop_of(own->loop), &own->task);
        }
        pthread_mutex_unlock(&own->lock);
    }
}

static struct frame *write_span(struct live_loop *own, const struct span *span) {
    struct json_writer w = json_writer_on(&own->scratch);
    buf_clear(&own->scratch);
    span_put_json(&w, span);
    return own->scratch.failed ? NULL : frame_new(buf_slice(&own->scratch));
}

static void show_span(struct live_loop *own, const struct span *span, int64_t now_ns) {
    struct frame *frame = NULL;
    for (struct live_client *client = own->clients; client; client = client->next) {
        if (!live_client_wants(client, span)) continue;
        bool room = live_client_has_room(client, now_ns);
        if (room && !frame && !(frame = write_span(own, span))) client->dropped++;
        if (room && frame) live_client_queue(client, frame);
        atomic_fetch_add_explicit(room && frame ? &own->live->sent : &own->live->dropped, 1, memory_order_relaxed);
    }
    frame_drop(frame);
}

/* While a viewer is arriving batches wait for it: what is sent after its handshake was answered is shown to it. */
static void show_batches(struct live_loop *own) {
    struct batch *batches[BATCHES_MAX];
    pthread_mutex_lock(&own->lock);
    if (own->arriving) {
        own->posted = false;
        pthread_mutex_unlock(&own->lock);
        return;
    }
    unsigned count = own->batch_count;
    uint64_t lost = own->lost;
    memcpy(batches, own->batches, count * sizeof *batches);
    own->batch_count = 0;
    own->lost = 0;
    own->posted = false;
    pthread_mutex_unlock(&own->lock);
    int64_t now_ns = time_monotonic_ns();
    for (unsigned b = 0; b < count; b++) {
        for (uint32_t i = 0; i < batches[b]->count && own->clients; i++) show_span(own, &batches[b]->spans[i], now_ns);
        batch_unref(batches[b]);
    }
    for (struct live_client *client = own->clients, *next; client; client = next) {
        next = client->next;
        client->dropped += lost;
        live_client_pump(client);
    }
    if (own->scratch.cap > 256 << 10) buf_free(&own->scratch);
}

static void on_batches(struct loop_task *task) {
    show_batches(container_of(task, struct live_loop, task));
}

/* --- loops --- */

void live_loop_started(struct live *live, struct http_loop *loop) {
    struct live_loop *own = &live->loops[http_loop_index(loop)];
    own->task.run = on_batches;
    pthread_mutex_lock(&own->lock);
    own->loop = loop;
    pthread_mutex_unlock(&own->lock);
}

void live_loop_stopping(struct live *live, struct http_loop *loop) {
    struct live_loop *own = &live->loops[http_loop_index(loop)];
    pthread_mutex_lock(&own->lock);
    own->loop = NULL; /* the writer posts nothing from here on */
    pthread_mutex_unlock(&own->lock);
    while (own->clients) live_client_close(own->clients);
}

/* --- viewers --- */

static void count_out(struct live_loop *own) {
    atomic_fetch_sub(&own->client_count, 1);
    atomic_fetch_sub(&own->live->clients, 1);
}

static void on_ended(struct live_client *client) {
    struct live_loop *own = client->owner;
    *(client->prev ? &client->prev->next : &own->clients) = client->next;
    if (client->next) client->next->prev = client->prev;
    count_out(own);
}

struct wish { /* in the request's arena */
    struct live_loop *own;
    struct slice q, project;
};

static void on_upgraded(void *ctx, struct http_loop *loop, int fd, struct slice extra,
                        struct MHD_UpgradeResponseHandle *handle) {
    const struct wish *wish = ctx;
    struct live_loop *own = wish->own;
    struct live_client *client =
        fd >= 0 && own->loop ? live_client_open(loop, fd, extra, handle, wish->q, wish->project) : NULL;
    own->arriving--;
    if (client) {
        client->owner = own;
        client->ended = on_ended;
        client->next = own->clients;
        if (own->clients) own->clients->prev = client;
        own->clients = client;
    } else {
        count_out(own);
        if (handle) http_upgrade_close(loop, handle);
    }
    show_batches(own);
}

static bool has_word(struct slice list, const char *word) {
    const char *at = list.len ? list.ptr : "", *end = at + list.len;
    size_t len = strlen(word);
    for (; at + len <= end; at++)
        if (strncasecmp(at, word, len) == 0) return true;
    return false;
}

static void accept_of(struct slice key, char out[ACCEPT_SIZE]) {
    static const char suffix[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 §1.3 */
    char text[64 + sizeof suffix];
    uint8_t hash[SHA_DIGEST_LENGTH];
    memcpy(text, key.ptr, key.len);
    memcpy(text + key.len, suffix, sizeof suffix - 1);
    SHA1((const unsigned char *)text, key.len + sizeof suffix - 1, hash);
    out[base64_encode(hash, sizeof hash, out)] = 0;
}

void live_handle(struct request *request) {
    struct live *live = server_of(request)->live;
    struct slice key = request_header(request, "Sec-WebSocket-Key"), q = request_query(request, "q");
    struct filter *filter;
    struct error err;
    char accept[ACCEPT_SIZE];
    if (!has_word(request_header(request, "Upgrade"), "websocket") || key.len != 24 ||
        !slice_is(request_header(request, "Sec-WebSocket-Version"), "13")) {
        request_add_header(request, "Upgrade", "websocket");
        request_add_header(request, "Sec-WebSocket-Version", "13");
        request_fail(request, 426, "upgrade_required",
                     "open it with a WebSocket client (RFC 6455), or use `vitrine tail`", "this is a WebSocket");
        return;
    }
    if (filter_parse(q, &request->arena, &filter, &err)) {
        request_fail_error(request, &err);
        return;
    }
    if (atomic_load(&live->clients) >= live->clients_max) {
        request_add_header(request, "Retry-After", "5");
        request_fail(request, 503, "full", "close one, or raise --max-live", "%u viewers watch already",
                     live->clients_max);
        return;
    }
    struct wish *wish = arena_alloc(&request->arena, sizeof *wish);
    if (!wish) return;
    *wish = (struct wish){&live->loops[http_loop_index(request->loop)], q, request->project};
    wish->own->arriving++;
    atomic_fetch_add(&wish->own->client_count, 1);
    atomic_fetch_add(&live->clients, 1);
    accept_of(key, accept);
    request_add_header(request, "Upgrade", "websocket");
    request_add_header(request, "Sec-WebSocket-Accept", accept);
    if (has_word(request_header(request, "Sec-WebSocket-Protocol"), "vitrine.live"))
        request_add_header(request, "Sec-WebSocket-Protocol", "vitrine.live");
    request_upgrade(request, on_upgraded, wish);
}

void live_get_stats(const struct live *live, struct live_stats *stats) {
    *stats = (struct live_stats){atomic_load(&live->clients), atomic_load(&live->sent), atomic_load(&live->dropped)};
}
