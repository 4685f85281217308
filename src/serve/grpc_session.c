/* See grpc_session.h. The frames of HTTP/2 and the life of calls; what a call is answered stands in grpc_call.c. */
#include "serve/grpc_call.h"

#include "base/timestamp.h"

#include <stdlib.h>

enum { WINDOW_UPDATE_AT_ONCE = 64 << 10, PING_AFTER_MS = 30000, PING_PATIENCE_MS = 20000 };

/* --- allowances: so many at once, so many a second --- */

static bool spend(struct allowance *a, int64_t now_ns) {
    a->left += (double)(now_ns - a->at_ns) / NS_PER_S * a->per_s;
    if (a->left > a->max) a->left = a->max;
    a->at_ns = now_ns;
    return (a->left -= 1) >= 0;
}

static int abused(struct grpc_session *session) {
    nghttp2_session_terminate_session(session->ng, NGHTTP2_ENHANCE_YOUR_CALM);
    session->doomed = true;
    return 0;
}

/* --- calls --- */

static struct grpc_call *call_of(nghttp2_session *ng, int32_t stream) {
    return stream ? nghttp2_session_get_stream_user_data(ng, stream) : NULL;
}

static void unlink_call(struct grpc_session *session, struct grpc_call *call) {
    *(call->prev ? &call->prev->next : &session->calls) = call->next;
    if (call->next) call->next->prev = call->prev;
    call->session = NULL;
    session->call_count--;
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user) {
    struct grpc_session *session = user;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    struct grpc_call *call = calloc(1, sizeof *call);
    if (!call) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    call->session = session;
    call->service = session->service;
    call->stream = frame->hd.stream_id;
    call->began_ns = time_monotonic_ns();
    call->next = session->calls;
    if (session->calls) session->calls->prev = call;
    session->calls = call;
    session->call_count++;
    nghttp2_session_set_stream_user_data(ng, call->stream, call);
    return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *user) {
    struct grpc_call *call = call_of(ng, frame->hd.stream_id);
    if (!call) return 0;
    if (name_len + value_len + 32 > GRPC_HEADER_BYTES_MAX - call->header_bytes)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    call->header_bytes += (uint32_t)(name_len + value_len + 32);
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        grpc_call_header(call, slice_make(name, name_len), slice_make(value, value_len));
    return 0;
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user) {
    struct grpc_session *session = user;
    int64_t now_ns = time_monotonic_ns();
    struct grpc_call *call = call_of(ng, frame->hd.stream_id);
    session->unfinished = 0;
    bool is_call = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (frame->hd.type == NGHTTP2_SETTINGS) session->greeted = true;
    if (frame->hd.type == NGHTTP2_PING && frame->hd.flags & NGHTTP2_FLAG_ACK) session->ping_ns = 0;
    if (!is_call && !spend(frame->hd.type == NGHTTP2_RST_STREAM ? &session->resets : &session->controls, now_ns))
        return abused(session);
    if (!call || !is_call) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) grpc_call_begin(call);
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) grpc_call_end(call);
    return 0;
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t stream, const uint8_t *data, size_t len, void *user) {
    struct grpc_session *session = user;
    struct grpc_call *call = call_of(ng, stream);
    session->unfinished = 0;
    /* What was taken into the message, which is bounded, makes room for more to come. */
    if (call) grpc_call_data(call, data, len);
    return nghttp2_session_consume(ng, stream, len) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *frame, int code, void *user) {
    struct grpc_session *session = user;
    return spend(&session->resets, time_monotonic_ns()) ? 0 : abused(session);
}

/* An answer that was sent before its question had ended: the rest of the question is not wanted. */
static int on_frame_sent(nghttp2_session *ng, const nghttp2_frame *frame, void *user) {
    if (frame->hd.type != NGHTTP2_HEADERS || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) return 0;
    struct grpc_call *call = call_of(ng, frame->hd.stream_id);
    if (call && !call->ended) nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, call->stream, NGHTTP2_NO_ERROR);
    return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t stream, uint32_t code, void *user) {
    struct grpc_call *call = call_of(ng, stream);
    if (!call) return 0;
    nghttp2_session_set_stream_user_data(ng, stream, NULL);
    unlink_call(user, call);
    if (!call->handled || call->answered) grpc_call_free(call); /* else whoever answers it frees it */
    return 0;
}

/* --- the session --- */

static int make(struct grpc_session *session) {
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, GRPC_STREAMS_MAX},
                                               {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, GRPC_STREAM_WINDOW},
                                               {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, GRPC_HEADER_BYTES_MAX},
                                               {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
    int code = nghttp2_session_callbacks_new(&callbacks);
    if (!code) code = nghttp2_option_new(&option);
    if (!code) {
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_no_closed_streams(option, 1);
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
        nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
        code = nghttp2_session_server_new2(&session->ng, callbacks, session, option);
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    if (!code)
        code = nghttp2_submit_settings(session->ng, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof *settings);
    if (!code) code = nghttp2_session_set_local_window_size(session->ng, NGHTTP2_FLAG_NONE, 0, GRPC_CONNECTION_WINDOW);
    return code;
}

struct grpc_session *grpc_session_new(const struct grpc_service *service, void *owner) {
    struct grpc_session *session = calloc(1, sizeof *session);
    if (!session) return NULL;
    int64_t now_ns = time_monotonic_ns();
    session->service = service;
    session->owner = owner;
    session->began_ns = session->heard_ns = now_ns;
    session->resets = (struct allowance){GRPC_RESETS_MAX, GRPC_RESETS_MAX, GRPC_RESETS_PER_S, now_ns};
    session->controls = (struct allowance){GRPC_CONTROLS_MAX, GRPC_CONTROLS_MAX, GRPC_CONTROLS_PER_S, now_ns};
    if (make(session) == 0) return session;
    grpc_session_free(session);
    return NULL;
}

void grpc_session_free(struct grpc_session *session) {
    if (!session) return;
    while (session->calls) {
        struct grpc_call *call = session->calls;
        unlink_call(session, call);
        if (!call->handled || call->answered) grpc_call_free(call);
    }
    nghttp2_session_del(session->ng);
    free(session);
}

bool grpc_session_recv(struct grpc_session *session, const uint8_t *data, size_t len) {
    session->heard_ns = time_monotonic_ns();
    session->unfinished += len;
    ssize_t taken = nghttp2_session_mem_recv(session->ng, data, len);
    if (taken < 0) return false;
    /* Headers without an end, frames that are never whole: bytes that lead to nothing. */
    if (session->unfinished > GRPC_UNFINISHED_BYTES_MAX) abused(session);
    return true;
}

ssize_t grpc_session_send(struct grpc_session *session, const uint8_t **data) {
    ssize_t len = nghttp2_session_mem_send(session->ng, data);
    return len < 0 ? -1 : len;
}

bool grpc_session_is_over(const struct grpc_session *session) {
    return !nghttp2_session_want_read(session->ng) && !nghttp2_session_want_write(session->ng);
}

void grpc_session_shut(struct grpc_session *session) {
    int32_t last = nghttp2_session_get_last_proc_stream_id(session->ng);
    nghttp2_submit_goaway(session->ng, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0);
}

void *grpc_session_owner(const struct grpc_session *session) {
    return session->owner;
}
unsigned grpc_session_calls(const struct grpc_session *session) {
    return session->call_count;
}

bool grpc_session_tick(struct grpc_session *session, int64_t now_ns, unsigned header_timeout_ms,
                       unsigned body_timeout_ms) {
    if (!session->greeted && now_ns - session->began_ns > (int64_t)header_timeout_ms * NS_PER_MS) return false;
    if (session->ping_ns && now_ns - session->ping_ns > (int64_t)PING_PATIENCE_MS * NS_PER_MS) return false;
    if (!session->ping_ns && now_ns - session->heard_ns > (int64_t)PING_AFTER_MS * NS_PER_MS) {
        session->ping_ns = now_ns;
        nghttp2_submit_ping(session->ng, NGHTTP2_FLAG_NONE, NULL);
    }
    for (struct grpc_call *call = session->calls; call; call = call->next) {
        if (now_ns - call->began_ns < (int64_t)body_timeout_ms * NS_PER_MS) continue;
        if (call->answered)
            nghttp2_submit_rst_stream(session->ng, NGHTTP2_FLAG_NONE, call->stream,
                                      NGHTTP2_CANCEL); /* no window for it */
        else if (!call->handled && !call->refused)
            grpc_call_refuse(call, RPC_DEADLINE_EXCEEDED, "the message took too long to come (--body-timeout)", 0);
        else if (call->refused)
            nghttp2_submit_rst_stream(session->ng, NGHTTP2_FLAG_NONE, call->stream, NGHTTP2_CANCEL);
    }
    return true;
}
