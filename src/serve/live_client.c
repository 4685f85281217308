/* See live_client.h. */
#include "serve/live_client.h"

#include "base/json.h"
#include "base/timestamp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { TELL_EVERY_MS = 500, CONTROL_QUEUED_MAX = 16, SILENCE_PINGS = 3 };

struct frame *frame_new(struct slice text) {
    struct frame *frame = malloc(sizeof *frame + text.len);
    if (!frame) return NULL;
    frame->references = 1;
    frame->len = text.len;
    if (text.len) memcpy(frame->text, text.ptr, text.len);
    return frame;
}

void frame_drop(struct frame *frame) {
    if (frame && --frame->references == 0) free(frame);
}

static struct live_client *of(struct loop_watch *watch) {
    return container_of(watch, struct live_client, watch);
}

static void say(struct live_client *client, struct slice text) {
    struct wslay_event_msg message = {WSLAY_TEXT_FRAME, (const uint8_t *)text.ptr, text.len};
    if (wslay_event_queue_msg(client->ws, &message) != 0) client->broken = true;
}

static void end(struct live_client *client) {
    struct loop *loop = http_loop_of(client->loop);
    client->ended(client);
    loop_watch_remove(loop, &client->watch);
    loop_timer_stop(loop, &client->timer);
    wslay_event_context_free(client->ws);
    for (; client->queue_count; client->queue_count--) {
        frame_drop(client->queue[client->queue_at]);
        client->queue_at = (client->queue_at + 1) % LIVE_QUEUED_MAX;
    }
    shutdown(client->watch.fd, SHUT_RDWR);
    http_upgrade_close(client->loop, client->handle);
    arena_free(&client->arena);
    buf_free(&client->extra);
    free(client);
}

/* --- what the viewer says --- */

static int set_filter(struct live_client *client, struct slice q, struct error *err) {
    struct arena arena = {0};
    struct filter *filter;
    int code = filter_parse(q, &arena, &filter, err);
    if (code) {
        arena_free(&arena);
        return code;
    }
    arena_free(&client->arena);
    client->arena = arena;
    client->filter = filter;
    return 0;
}

/* {"q":"filter"}; anything else is told to be wrong. */
static int take_message(struct live_client *client, struct slice text, struct error *err) {
    struct arena arena = {0};
    struct json_reader r;
    struct slice key, q = {0};
    bool found = false;
    json_reader_init(&r, text, &arena);
    if (json_object(&r))
        while (json_key(&r, &key)) {
            if (slice_is(key, "q"))
                found = json_string(&r, &q);
            else
                json_skip(&r, NULL);
        }
    int code = json_end(&r) ? 0 : error_set(err, VT_EINVAL, "%s", r.err.message);
    if (!code && !found) {
        error_set(err, VT_EINVAL, "expected {\"q\":\"filter\"}");
        code = error_hint(err, "the only thing to say here is another filter");
    }
    if (!code) code = set_filter(client, q, err);
    arena_free(&arena);
    return code;
}

static void on_message(wslay_event_context_ptr ws, const struct wslay_event_on_msg_recv_arg *message, void *user) {
    struct live_client *client = user;
    struct error err = {0};
    struct buf out = {0};
    if (wslay_is_ctrl_frame(message->opcode)) return;
    int64_t now_ns = time_monotonic_ns();
    client->message_allowance += (double)(now_ns - client->message_ns) / NS_PER_S * LIVE_MESSAGES_PER_S;
    if (client->message_allowance > LIVE_MESSAGES_PER_S) client->message_allowance = LIVE_MESSAGES_PER_S;
    client->message_ns = now_ns;
    if ((client->message_allowance -= 1) < 0) {
        static const char reason[] = "too many messages";
        wslay_event_queue_close(ws, WSLAY_CODE_POLICY_VIOLATION, (const uint8_t *)reason, sizeof reason - 1);
        return;
    }
    if (take_message(client, slice_make(message->msg, message->msg_length), &err) == 0) return;
    http_error_body(&out, error_name(err.code), err.message, err.hint, err.column);
    if (!out.failed) say(client, buf_slice(&out));
    buf_free(&out);
}

static ssize_t on_recv(wslay_event_context_ptr ws, uint8_t *data, size_t size, int flags, void *user) {
    struct live_client *client = user;
    if (client->extra_at < client->extra.len) {
        size_t count = client->extra.len - client->extra_at;
        if (count > size) count = size;
        memcpy(data, client->extra.ptr + client->extra_at, count);
        client->extra_at += count;
        if (client->extra_at == client->extra.len) buf_free(&client->extra), client->extra_at = 0;
        return (ssize_t)count;
    }
    ssize_t count = recv(client->watch.fd, data, size, MSG_DONTWAIT);
    if (count > 0) {
        client->heard_ns = time_monotonic_ns();
        return count;
    }
    wslay_event_set_error(ws, count < 0 && (errno == EAGAIN || errno == EINTR) ? WSLAY_ERR_WOULDBLOCK
                                                                               : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

/* --- what it is sent --- */

static ssize_t on_send(wslay_event_context_ptr ws, const uint8_t *data, size_t len, int flags, void *user) {
    struct live_client *client = user;
    size_t room = CLIENT_OUT_BYTES - client->out_len;
    if (room == 0) {
        wslay_event_set_error(ws, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    if (len > room) len = room;
    memcpy(client->out + client->out_len, data, len);
    client->out_len += len;
    return (ssize_t)len;
}

/* False when the socket takes no more for now (or is broken). */
static bool flush(struct live_client *client) {
    while (client->out_at < client->out_len) {
        ssize_t sent = send(client->watch.fd, client->out + client->out_at, client->out_len - client->out_at,
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) {
            client->broken |= sent == 0 || errno != EAGAIN;
            return false;
        }
        client->out_at += (size_t)sent;
    }
    client->out_at = client->out_len = 0;
    return true;
}

static void tell_losses(struct live_client *client, int64_t now_ns) {
    char text[48];
    int64_t due_ns = client->told_ns + (int64_t)TELL_EVERY_MS * NS_PER_MS;
    if (now_ns < due_ns) {
        if (client->timer.at_ns > due_ns || !client->timer.place)
            loop_timer_set(http_loop_of(client->loop), &client->timer, due_ns);
        return;
    }
    int len = snprintf(text, sizeof text, "{\"dropped\":%llu}", (unsigned long long)client->dropped);
    client->dropped = 0;
    client->told_ns = now_ns;
    say(client, slice_make(text, (size_t)len));
}

/* Gives libwslay the next message; false when there is none. It copies, so one at a time keeps memory bounded. */
static bool give_next(struct live_client *client) {
    if (client->queue_count == 0) {
        uint64_t before = client->dropped;
        if (before) tell_losses(client, time_monotonic_ns());
        return before != client->dropped;
    }
    struct frame *frame = client->queue[client->queue_at];
    client->queue_at = (client->queue_at + 1) % LIVE_QUEUED_MAX;
    client->queue_count--;
    client->queue_bytes -= frame->len;
    say(client, slice_make(frame->text, frame->len));
    frame_drop(frame);
    return true;
}

void live_client_pump(struct live_client *client) {
    while (!client->broken) {
        bool wants = wslay_event_want_write(client->ws) != 0;
        if (!wants && !wslay_event_get_close_sent(client->ws) && !wslay_event_get_close_received(client->ws))
            wants = give_next(client);
        if (wants && wslay_event_send(client->ws) != 0) client->broken = true;
        if (!flush(client)) break;
        if (!wants) break;
    }
    bool over = !wslay_event_want_read(client->ws) && !wslay_event_want_write(client->ws) && client->out_len == 0;
    if (client->broken || over) {
        end(client);
        return;
    }
    /* A viewer that sends pings and does not read the answers is not read either. */
    uint32_t events = wslay_event_get_queued_msg_count(client->ws) > CONTROL_QUEUED_MAX ? 0 : EPOLLIN;
    if (client->out_len) events |= EPOLLOUT;
    if (events != client->events) loop_watch_change(http_loop_of(client->loop), &client->watch, events);
    client->events = events;
}

bool live_client_wants(const struct live_client *client, const struct span *span) {
    if (client->project[0] && !slice_is(span_get_text(span, COL_PROJECT), client->project)) return false;
    return filter_matches(client->filter, span);
}

bool live_client_has_room(struct live_client *client, int64_t now_ns) {
    client->allowance += (double)(now_ns - client->allowance_ns) / NS_PER_S * LIVE_SPANS_PER_S;
    if (client->allowance > LIVE_SPANS_PER_S) client->allowance = LIVE_SPANS_PER_S;
    client->allowance_ns = now_ns;
    if (client->allowance >= 1 && client->queue_count < LIVE_QUEUED_MAX && client->queue_bytes < LIVE_QUEUED_BYTES_MAX)
        return true;
    client->dropped++;
    return false;
}

void live_client_queue(struct live_client *client, struct frame *frame) {
    client->allowance -= 1;
    frame->references++;
    client->queue[(client->queue_at + client->queue_count++) % LIVE_QUEUED_MAX] = frame;
    client->queue_bytes += frame->len;
}

/* --- events --- */

static void on_ready(struct loop_watch *watch, uint32_t events) {
    struct live_client *client = of(watch);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && wslay_event_recv(client->ws) != 0) client->broken = true;
    live_client_pump(client);
}

static void on_timer(struct loop_timer *timer) {
    struct live_client *client = container_of(timer, struct live_client, timer);
    int64_t now_ns = time_monotonic_ns(), interval_ns = (int64_t)LIVE_PING_MS * NS_PER_MS;
    if (now_ns - client->heard_ns > SILENCE_PINGS * interval_ns) client->broken = true;
    if (now_ns - client->pinged_ns >= interval_ns) {
        struct wslay_event_msg ping = {.opcode = WSLAY_PING};
        client->pinged_ns = now_ns;
        if (wslay_event_get_queued_msg_count(client->ws) <= CONTROL_QUEUED_MAX)
            wslay_event_queue_msg(client->ws, &ping);
    }
    loop_timer_set(http_loop_of(client->loop), timer, client->pinged_ns + interval_ns);
    live_client_pump(client);
}

struct live_client *live_client_open(struct http_loop *loop, int fd, struct slice extra,
                                     struct MHD_UpgradeResponseHandle *handle, struct slice q, struct slice project) {
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv, .send_callback = on_send, .on_msg_recv_callback = on_message};
    struct live_client *client = calloc(1, sizeof *client);
    struct error err;
    if (!client) return NULL;
    if (wslay_event_context_server_init(&client->ws, &callbacks, client) != 0) {
        free(client);
        return NULL;
    }
    wslay_event_config_set_max_recv_msg_length(client->ws, LIVE_MESSAGE_BYTES_MAX);
    client->loop = loop;
    client->handle = handle;
    client->heard_ns = client->pinged_ns = client->allowance_ns = client->message_ns = time_monotonic_ns();
    client->allowance = LIVE_SPANS_PER_S;
    client->message_allowance = LIVE_MESSAGES_PER_S;
    client->watch.ready = on_ready;
    client->timer.due = on_timer;
    client->events = EPOLLIN;
    buf_put_slice(&client->extra, extra);
    snprintf(client->project, sizeof client->project, "%.*s", (int)project.len, project.len ? project.ptr : "");
    if (client->extra.failed || set_filter(client, q, &err) ||
        !loop_timer_set(http_loop_of(loop), &client->timer, client->pinged_ns + (int64_t)LIVE_PING_MS * NS_PER_MS) ||
        loop_watch_add(http_loop_of(loop), &client->watch, fd, EPOLLIN, &err)) {
        loop_timer_stop(http_loop_of(loop), &client->timer);
        wslay_event_context_free(client->ws);
        buf_free(&client->extra);
        arena_free(&client->arena);
        free(client);
        return NULL;
    }
    return client;
}

void live_client_close(struct live_client *client) {
    static const char reason[] = "the server stops";
    wslay_event_queue_close(client->ws, WSLAY_CODE_GOING_AWAY, (const uint8_t *)reason, sizeof reason - 1);
    if (wslay_event_send(client->ws) == 0) flush(client);
    end(client);
}
