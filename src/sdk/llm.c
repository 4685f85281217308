/* LLM calls and chat turns: spans with the attribute names of the storefront's trace module. */
#include "sdk/pipeline.h"
#include "sdk/span.h"

enum { PREVIEW_CHARACTERS = 100, PREVIEW_BYTES_MAX = 4 * PREVIEW_CHARACTERS };

static struct span *open_kind(struct slice prefix, const char *operation, uint8_t kind, const struct limits **limits) {
    *limits = limits_now();
    struct thread *self = *limits && !pipeline_exporting ? thread_self() : NULL;
    return self ? span_open(self, *limits, prefix, operation, scope_current(self), kind) : NULL;
}

/* "" and 0 stand for "not given". */
static void put_given_text(struct span *span, const struct limits *limits, struct slice key, const char *value) {
    if (value && *value) span_put_text(span, limits, ITEM_ATTR, key, span_redacted(limits, key.ptr, slice_of(value)));
}

static void put_int(struct span *span, const struct limits *limits, enum item_tag tag, struct slice key,
                    int64_t value) {
    span_put_number(span, limits, tag, key, VT_INT, &value);
}

static void put_given_int(struct span *span, const struct limits *limits, struct slice key, int64_t value) {
    if (value > 0) put_int(span, limits, ITEM_ATTR, key, value);
}

/* Texts of prompts and responses ----------------------------------------------------------------------------------- */

static int64_t characters(struct slice text) {
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) count += ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
    return (int64_t)count;
}

/* Bytes of the first `most` characters. */
static size_t head_bytes(struct slice text, unsigned most) {
    unsigned count = 0;
    for (size_t i = 0; i < text.len; i++)
        if (((unsigned char)text.ptr[i] & 0xC0) != 0x80 && count++ == most) return i;
    return text.len;
}

static void put_preview(struct span *span, const struct limits *limits, struct slice key, struct slice text) {
    char cut[PREVIEW_BYTES_MAX + 3];
    /* What is no UTF-8 may hold fewer beginnings of characters than bytes that stand for some. */
    size_t len = head_bytes(slice_make(text.ptr, text.len < PREVIEW_BYTES_MAX ? text.len : PREVIEW_BYTES_MAX),
                            PREVIEW_CHARACTERS);
    if (len < text.len) {
        memcpy(cut, text.ptr, len);
        memcpy(cut + len, "...", 3);
        text = slice_make(cut, len + 3);
    }
    span_put_text(span, limits, ITEM_EVENT_ATTR, key, text);
}

/* The names under which a prompt or a response is kept. */
struct text_names {
    struct slice length, event, preview, whole;
    bool length_in_event;
};

static void put_text(struct span *span, const struct limits *limits, const struct text_names *names,
                     const char *given) {
    struct slice text = slice_of(given);
    if (!text.len) return;
    int64_t length = characters(text);
    put_int(span, limits, ITEM_ATTR, names->length, length);
    if (limits->capture == VT_CAPTURE_NONE) return;
    text = span_redacted(limits, names->whole.ptr, text);
    if (limits->capture == VT_CAPTURE_FULL) span_put_text(span, limits, ITEM_ATTR, names->whole, text);
    if (!span_put_event(span, limits, names->event)) return;
    put_preview(span, limits, names->preview, text);
    if (names->length_in_event) put_int(span, limits, ITEM_EVENT_ATTR, names->length, length);
}

#define NAME(text)                                                                                                     \
    { "" text, sizeof(text) - 1 }
static const struct text_names prompt_names = {NAME("prompt.length"), NAME("llm.prompt"), NAME("prompt.preview"),
                                               NAME("llm.input.messages"), false};
static const struct text_names response_names = {NAME("response.length"), NAME("llm.response"),
                                                 NAME("response.preview"), NAME("llm.output.messages"), true};

/* LLM calls -------------------------------------------------------------------------------------------------------- */

vt_span *vt_llm_start(const char *operation, const vt_llm_call *call) {
    const struct limits *limits;
    struct span *span = open_kind(SLICE(""), operation, VT_KIND_CLIENT, &limits);
    if (!span || !span->recording || !call) return span_handle(span);
    put_given_text(span, limits, SLICE("llm.vendor"), call->provider);
    put_given_text(span, limits, SLICE("llm.request.model"), call->model);
    if (call->temperature != 0) {
        double temperature = call->temperature == VT_TEMPERATURE_ZERO ? 0 : call->temperature;
        span_put_number(span, limits, ITEM_ATTR, SLICE("llm.request.temperature"), VT_DOUBLE, &temperature);
    }
    put_given_int(span, limits, SLICE("llm.request.max_tokens"), call->max_tokens);
    put_given_text(span, limits, SLICE("user.id"), call->user_id);
    put_given_text(span, limits, SLICE("thread.id"), call->thread_id);
    put_text(span, limits, &prompt_names, call->prompt);
    return span_handle(span);
}

void vt_llm_response(vt_span *handle, const char *text, const char *finish_reason) {
    struct span *span = span_recording(handle);
    const struct limits *limits = limits_now();
    if (!span || !limits) return;
    put_text(span, limits, &response_names, text);
    put_given_text(span, limits, SLICE("response.finish_reason"), finish_reason);
}

void vt_llm_usage(vt_span *handle, const vt_usage *usage) {
    struct span *span = span_recording(handle);
    const struct limits *limits = limits_now();
    if (!span || !limits || !usage) return;
    int64_t prompt = usage->prompt_tokens, completion = usage->completion_tokens, total = usage->total_tokens;
    if (total <= 0 && __builtin_add_overflow(prompt > 0 ? prompt : 0, completion > 0 ? completion : 0, &total))
        total = 0;
    put_given_int(span, limits, SLICE("llm.usage.prompt_tokens"), prompt);
    put_given_int(span, limits, SLICE("llm.usage.completion_tokens"), completion);
    put_given_int(span, limits, SLICE("llm.usage.total_tokens"), total);
    put_given_int(span, limits, SLICE("gen_ai.usage.cache_read.input_tokens"), usage->cached_tokens);
    put_given_int(span, limits, SLICE("llm.usage.reasoning_tokens"), usage->reasoning_tokens);
}

void vt_llm_first_token(vt_span *handle) {
    struct span *span = span_recording(handle);
    const struct limits *limits = limits_now();
    if (!span || !limits || span->first_token) return;
    span->first_token = true;
    double seconds = (double)clock_elapsed_ns(span->start) / NS_PER_S;
    span_put_number(span, limits, ITEM_ATTR, SLICE("gen_ai.response.time_to_first_chunk"), VT_DOUBLE, &seconds);
    span_put_event(span, limits, SLICE("gen_ai.first_token"));
}

/* Chat turns ------------------------------------------------------------------------------------------------------- */

vt_span *vt_chat_start(const char *operation, const vt_chat_turn *turn) {
    const struct limits *limits;
    struct span *span = open_kind(SLICE("chat."), operation, VT_KIND_INTERNAL, &limits);
    if (!span || !span->recording) return span_handle(span);
    span->chat = true;
    if (turn) {
        put_given_text(span, limits, SLICE("chat.thread_id"), turn->thread_id);
        put_given_text(span, limits, SLICE("chat.user_id"), turn->user_id);
        put_given_int(span, limits, SLICE("chat.message_count"), turn->message_count);
        put_given_text(span, limits, SLICE("chat.turn_id"), turn->turn_id);
    }
    span_put_event(span, limits, SLICE("chat.turn.start"));
    return span_handle(span);
}

/* Around a function ------------------------------------------------------------------------------------------------ */

static int run(vt_span *handle, int (*fn)(vt_span *span, void *ctx), void *ctx) {
    int result = fn ? fn(handle, ctx) : 0;
    if (result) {
        struct span *span = span_recording(handle);
        if (span && !span->record.failed) {
            char message[32];
            snprintf(message, sizeof message, "returned %d", result);
            vt_span_error(handle, message);
        }
    }
    vt_span_end(handle);
    return result;
}

int vt_trace_llm_call(const char *operation, const vt_llm_call *call, int (*fn)(vt_span *span, void *ctx), void *ctx) {
    return run(vt_llm_start(operation, call), fn, ctx);
}

int vt_trace_chat_turn(const char *operation, const vt_chat_turn *turn, int (*fn)(vt_span *span, void *ctx),
                       void *ctx) {
    return run(vt_chat_start(operation, turn), fn, ctx);
}
