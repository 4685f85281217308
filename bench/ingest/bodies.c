/* (see bodies.h) */
#include "bodies.h"

#include "base/pb.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { VOCABULARY = 6000, USERS = 40000, TEXT_MAX = 4096 };

static uint64_t draw64(uint64_t *state) { /* splitmix64 */
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}
static uint32_t draw(uint64_t *state, uint32_t below) {
    return (uint32_t)((draw64(state) >> 32) * below >> 32);
}
static double draw_real(uint64_t *state) {
    return (double)(draw64(state) >> 11) * 0x1p-53;
}
static uint32_t draw_skewed(uint64_t *state, uint32_t below) {
    double x = draw_real(state);
    return (uint32_t)(x * x * x * below);
}

static size_t put_word(char *out, uint32_t n) {
    static const char *const syllables[] = {"ka",  "ro",  "mi", "ten", "sol", "ar",  "vi", "del", "po", "nu",
                                            "shi", "fer", "la", "gom", "es",  "tri", "ba", "lo",  "ce", "dur"};
    size_t len = 0;
    for (uint32_t left = n + 20; left; left /= 20) {
        size_t more = strlen(syllables[left % 20]);
        memcpy(out + len, syllables[left % 20], more);
        len += more;
    }
    return len;
}

static struct slice put_sentence(char *out, uint64_t *state, uint32_t words) {
    size_t len = 0;
    for (uint32_t i = 0; i < words && len < TEXT_MAX - 64; i++) {
        len += put_word(out + len, draw_skewed(state, VOCABULARY));
        out[len++] = i % 11 == 10 ? '.' : ' ';
    }
    return slice_make(out, len);
}

static void put_attr(struct buf *out, const char *key, const struct buf *value) {
    struct buf pair = {0};
    pb_put_bytes(&pair, 1, slice_of(key));
    pb_put_bytes(&pair, 2, buf_slice(value));
    pb_put_bytes(out, 9, buf_slice(&pair));
    buf_free(&pair);
}

static void put_text(struct buf *out, const char *key, struct slice text) {
    struct buf value = {0};
    pb_put_bytes(&value, 1, text);
    put_attr(out, key, &value);
    buf_free(&value);
}

static void put_int(struct buf *out, const char *key, int64_t number) {
    struct buf value = {0};
    pb_put_tag(&value, 3, PB_VARINT);
    pb_put_varint(&value, (uint64_t)number);
    put_attr(out, key, &value);
    buf_free(&value);
}

static void put_real(struct buf *out, const char *key, double number) {
    struct buf value = {0};
    uint64_t bits;
    memcpy(&bits, &number, 8);
    pb_put_fixed64(&value, 4, bits);
    put_attr(out, key, &value);
    buf_free(&value);
}

static void put_call(struct buf *span, uint64_t *state, char *text) {
    static const char *const models[] = {"gpt-4o",           "gpt-4o-mini",      "claude-sonnet-4",
                                         "claude-haiku-3.5", "gemini-2.0-flash", "mistral-large"};
    static const char *const providers[] = {"openai", "openai", "anthropic", "anthropic", "google", "mistral"};
    uint32_t model = draw_skewed(state, 6);
    put_text(span, "gen_ai.operation.name", SLICE("chat"));
    put_text(span, "gen_ai.system", slice_of(providers[model]));
    put_text(span, "gen_ai.request.model", slice_of(models[model]));
    put_real(span, "gen_ai.request.temperature", draw(state, 3) ? 0.7 : 0.2);
    put_int(span, "gen_ai.request.max_tokens", 256 << draw(state, 4));
    put_int(span, "gen_ai.usage.input_tokens", 120 + draw(state, 900));
    put_int(span, "gen_ai.usage.output_tokens", 20 + draw(state, 400));
    put_text(span, "gen_ai.response.finish_reasons", draw(state, 12) ? SLICE("stop") : SLICE("length"));
    put_text(span, "gen_ai.prompt.0.role", SLICE("user"));
    put_text(span, "gen_ai.prompt.0.content", put_sentence(text, state, 30 + draw(state, 40)));
    put_text(span, "gen_ai.completion.0.role", SLICE("assistant"));
    put_text(span, "gen_ai.completion.0.content", put_sentence(text, state, 20 + draw(state, 50)));
}

/* The span's fields in an order that puts ids and times at known places. Returns the offset of the span's content in
 * `out`. */
static void put_span(struct buf *out, uint64_t *state, bool root, struct slice user, struct slice thread,
                     uint32_t *places) {
    static const uint8_t zeros[16];
    static const char *const operations[] = {"chat.completions.create", "messages.create", "search_products",
                                             "responses.create"};
    char text[TEXT_MAX];
    struct buf span = {0};
    pb_put_bytes(&span, 1, slice_make(zeros, 16));
    pb_put_bytes(&span, 2, slice_make(zeros, 8));
    if (!root) pb_put_bytes(&span, 4, slice_make(zeros, 8));
    size_t at = span.len;
    pb_put_fixed64(&span, 7, 0);
    pb_put_fixed64(&span, 8, 0);
    pb_put_bytes(&span, 5, root ? SLICE("chat.continue_thread") : slice_of(operations[draw(state, 4)]));
    pb_put_uint(&span, 6, 3);
    put_text(&span, "user.id", user);
    put_text(&span, "session.id", thread);
    put_text(&span, "region", draw(state, 2) ? SLICE("eu-west-1") : SLICE("us-east-2"));
    put_int(&span, "retry.count", draw(state, 20) ? 0 : 1);
    put_call(&span, state, text);
    pb_put_bytes(out, 2, buf_slice(&span));
    uint32_t base = (uint32_t)(out->len - span.len);
    places[0] = base + 2;
    places[1] = base + 2 + 16 + 2;
    places[2] = root ? 0 : base + 2 + 16 + 2 + 8 + 2;
    places[3] = base + (uint32_t)at + 1;
    places[4] = base + (uint32_t)at + 10;
    buf_free(&span);
}

void body_build(struct body *body, uint64_t seed, uint32_t spans) {
    struct buf scope = {0}, resource = {0}, attrs = {0}, pair = {0}, value = {0};
    uint64_t state = seed * 7919 + 1;
    char user[32], thread[48];
    *body = (struct body){.span_count = spans, .places = calloc(spans, PLACES * sizeof *body->places)};
    for (uint32_t i = 0; i < spans; i++) {
        if (i % SPANS_PER_TRACE == 0) {
            uint32_t n = draw_skewed(&state, USERS);
            snprintf(user, sizeof user, "user-%u", n);
            snprintf(thread, sizeof thread, "thread-%u-%u", n, draw(&state, 4 + n % 8));
        }
        put_span(&scope, &state, i % SPANS_PER_TRACE == 0, slice_of(user), slice_of(thread), body->places + PLACES * i);
    }
    pb_put_bytes(&value, 1, SLICE("ai-storefront"));
    pb_put_bytes(&pair, 1, SLICE("service.name"));
    pb_put_bytes(&pair, 2, buf_slice(&value));
    pb_put_bytes(&attrs, 1, buf_slice(&pair));
    pb_put_bytes(&resource, 1, buf_slice(&attrs));
    pb_put_bytes(&resource, 2, buf_slice(&scope));
    pb_put_bytes(&body->bytes, 1, buf_slice(&resource));
    uint32_t shift = (uint32_t)(body->bytes.len - scope.len);
    for (uint32_t i = 0; i < PLACES * spans; i++)
        if (body->places[i]) body->places[i] += shift;
    buf_free(&scope);
    buf_free(&resource);
    buf_free(&attrs);
    buf_free(&pair);
    buf_free(&value);
}

void body_renew(struct body *body, uint64_t first, int64_t start_ns, int64_t step_ns) {
    for (uint32_t i = 0; i < body->span_count; i++) {
        const uint32_t *place = body->places + PLACES * i;
        uint64_t trace = first + i / SPANS_PER_TRACE, state = trace, root = trace * 2654435761u,
                 ids[2] = {draw64(&state), draw64(&state)};
        uint64_t parent = draw64(&root), own = i % SPANS_PER_TRACE ? parent + i % SPANS_PER_TRACE : parent,
                 timing = own;
        int64_t start = start_ns + (int64_t)(i / SPANS_PER_TRACE) * step_ns + (int64_t)(i % SPANS_PER_TRACE) * 1300417;
        int64_t end = start + (int64_t)(exp(6 + 3 * draw_real(&timing)) * 1e6);
        memcpy(body->bytes.ptr + place[0], ids, 16);
        memcpy(body->bytes.ptr + place[1], &own, 8);
        if (place[2]) memcpy(body->bytes.ptr + place[2], &parent, 8);
        memcpy(body->bytes.ptr + place[3], &start, 8);
        memcpy(body->bytes.ptr + place[4], &end, 8);
    }
}

void body_free(struct body *body) {
    buf_free(&body->bytes);
    free(body->places);
}
