/* (see story.h) */
#include "story.h"

#include "base/timestamp.h"

#include <math.h>
#include <stdio.h>

enum { WORDS = 6000, USERS = 40000, SPANS_PER_TURN_10 = 38 };

static uint64_t draw64(struct story *s) { /* splitmix64 */
    uint64_t z = s->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}
static uint32_t draw(struct story *s, uint32_t below) {
    return (uint32_t)((draw64(s) >> 32) * below >> 32);
}
static double draw_real(struct story *s) {
    return (double)(draw64(s) >> 11) * 0x1p-53;
}
/* Small numbers are drawn much more often. */
static uint32_t draw_skewed(struct story *s, uint32_t below) {
    double x = draw_real(s);
    return (uint32_t)(x * x * x * below);
}
/* Log-normal with that median. */
static double draw_latency(struct story *s, double median, double spread) {
    double sum = -6;
    for (int i = 0; i < 12; i++) sum += draw_real(s);
    return median * exp(sum * spread);
}

void story_init(struct story *story, uint64_t seed, uint64_t spans, int64_t start_ns, int64_t end_ns) {
    uint64_t turns = spans * 10 / SPANS_PER_TURN_10 + 1;
    *story = (struct story){seed, start_ns, (end_ns - start_ns) / (int64_t)turns, 0};
}

static struct slice word(uint32_t n, char *out) {
    static const char *const syllables[] = {"ka",  "ro",  "mi", "ten", "sol", "ar",  "vi", "del", "po", "nu",
                                            "shi", "fer", "la", "gom", "es",  "tri", "ba", "lo",  "ce", "dur"};
    size_t len = 0;
    for (uint32_t left = n + 20; left; left /= 20) {
        const char *syllable = syllables[left % 20];
        size_t more = strlen(syllable);
        memcpy(out + len, syllable, more);
        len += more;
    }
    return slice_make(out, len);
}

static struct slice sentence(struct story *s, struct arena *arena, uint32_t words, bool as_messages) {
    char *text = arena_alloc(arena, words * 16 + 300), spelled[40];
    size_t len = 0;
    if (as_messages)
        len +=
            (size_t)sprintf(text, "[{\"role\":\"system\",\"content\":\"You help customers of an outdoor shop. Answer "
                                  "shortly and only from the catalogue.\"},{\"role\":\"user\",\"content\":\"");
    for (uint32_t i = 0; i < words; i++) {
        struct slice w = word(draw_skewed(s, WORDS), spelled);
        if (i) text[len++] = i % 12 ? ' ' : '.';
        memcpy(text + len, w.ptr, w.len);
        len += w.len;
    }
    /* One text in 400,000 holds a word that no other does. */
    if (draw(s, 400000) == 0) len += (size_t)sprintf(text + len, " zanzibar");
    if (as_messages) len += (size_t)sprintf(text + len, "\"}]");
    return slice_make(text, len);
}

static const struct {
    const char *provider, *model;
    double median_ms, input_usd, output_usd;
    unsigned share;
} models[] = {{"openai", "gpt-4o", 2100, 2.5e-6, 1e-5, 38},
              {"openai", "gpt-4o-mini", 900, 1.5e-7, 6e-7, 27},
              {"anthropic", "claude-sonnet-4", 2600, 3e-6, 1.5e-5, 18},
              {"anthropic", "claude-haiku-3.5", 800, 8e-7, 4e-6, 8},
              {"google", "gemini-2.0-flash", 700, 1e-7, 4e-7, 6},
              {"mistral", "mistral-large", 1500, 2e-6, 6e-6, 3}};

static unsigned draw_model(struct story *s) {
    unsigned at = draw(s, 100), m = 0;
    while (at >= models[m].share) at -= models[m++].share;
    return m;
}

struct turn {
    uint8_t trace_id[TRACE_ID_SIZE], span_id[SPAN_ID_SIZE];
    struct slice user, thread, turn_id;
    int64_t start_ns;
};

static struct span *add_span(struct story *s, struct batch *batch, const struct turn *turn, bool root) {
    static const struct slice resources[] = {
        {"{\"service.version\":\"1.14.2\",\"deployment.environment\":\"production\",\"host.name\":\"web-1\"}", 86},
        {"{\"service.version\":\"1.14.2\",\"deployment.environment\":\"production\",\"host.name\":\"web-2\"}", 86}};
    struct span *span = batch_add(batch);
    uint64_t id = draw64(s);
    memcpy(span->trace_id, turn->trace_id, TRACE_ID_SIZE);
    if (root)
        memcpy(span->span_id, turn->span_id, SPAN_ID_SIZE);
    else
        memcpy(span->span_id, &id, SPAN_ID_SIZE), memcpy(span->parent_span_id, turn->span_id, SPAN_ID_SIZE);
    span->status = STATUS_OK;
    *span_text(span, COL_PROJECT) = SLICE("default");
    *span_text(span, COL_SERVICE) = draw(s, 10) ? SLICE("ai-storefront") : SLICE("ai-search");
    *span_text(span, COL_USER_ID) = turn->user;
    *span_text(span, COL_THREAD_ID) = turn->thread;
    *span_text(span, COL_TURN_ID) = turn->turn_id;
    *span_text(span, COL_RESOURCE) = resources[draw(s, 2)];
    return span;
}

static void fill_llm(struct story *s, struct batch *batch, struct span *span) {
    unsigned m = draw_model(s);
    bool failed = draw(s, 50) == 0;
    span->kind = KIND_LLM;
    span->duration_ns = (int64_t)(draw_latency(s, models[m].median_ms, 0.6) * 1e6);
    span->ttft_ns = span->duration_ns / (3 + draw(s, 6));
    span->temperature = draw(s, 3) ? 0.7 : 0.2;
    span->tokens_input = 120 + (int64_t)draw_latency(s, 600, 0.8);
    *span_text(span, COL_PROVIDER) = slice_of(models[m].provider);
    *span_text(span, COL_MODEL) = slice_of(models[m].model);
    *span_text(span, COL_OPERATION) = arena_printf(&batch->arena, "%s.chat.completions.create", models[m].provider);
    *span_text(span, COL_PROMPT) = sentence(s, &batch->arena, 30 + draw(s, 60), true);
    *span_text(span, COL_ATTRIBUTES) =
        arena_printf(&batch->arena,
                     "{\"http.status_code\":%d,\"region\":\"eu-west-%u\",\"gen_ai.request.max_tokens\":%u,\"retry."
                     "count\":%u,\"experiment\":\"variant-%c\",\"cart.value\":%u.%02u}",
                     failed ? 429 : 200, 1 + draw(s, 3), 256 << draw(s, 4), draw(s, 20) ? 0 : 1, 'a' + (char)draw(s, 4),
                     draw(s, 400), draw(s, 100));
    if (failed) {
        span->status = STATUS_ERROR;
        *span_text(span, COL_ERROR) =
            draw(s, 3) ? SLICE("429 Rate limit reached for requests") : SLICE("Connection timed out after 30000 ms");
        return;
    }
    span->tokens_output = 20 + (int64_t)draw_latency(s, 180, 0.9);
    if (draw(s, 2)) span->tokens_cached = span->tokens_input / 2;
    span->cost_usd =
        (double)span->tokens_input * models[m].input_usd + (double)span->tokens_output * models[m].output_usd;
    *span_text(span, COL_FINISH_REASON) = draw(s, 12) ? SLICE("stop") : SLICE("length");
    *span_text(span, COL_COMPLETION) = sentence(s, &batch->arena, 20 + draw(s, 60), false);
}

static void fill_tool(struct story *s, struct batch *batch, struct span *span) {
    static const char *const tools[] = {"search_products", "get_cart", "check_stock", "shipping_quote", "lookup_order"};
    span->kind = draw(s, 3) ? KIND_TOOL : KIND_RETRIEVAL;
    span->duration_ns = (int64_t)(draw_latency(s, 60, 0.9) * 1e6);
    span->status = draw(s, 100) ? STATUS_OK : STATUS_ERROR;
    *span_text(span, COL_OPERATION) = arena_printf(&batch->arena, "tool.%s", tools[draw(s, 5)]);
    *span_text(span, COL_ATTRIBUTES) = arena_printf(
        &batch->arena, "{\"region\":\"eu-west-%u\",\"results\":%u,\"db.system\":\"postgresql\",\"cache.hit\":%s}",
        1 + draw(s, 3), draw(s, 50), draw(s, 3) ? "true" : "false");
}

static void tell_turn(struct story *s, struct batch *batch) {
    struct turn turn;
    uint32_t user = draw_skewed(s, USERS), calls = 1 + (draw(s, 3) == 0), tools = draw(s, 3);
    uint64_t ids[3] = {draw64(s), draw64(s), draw64(s)};
    memcpy(turn.trace_id, ids, TRACE_ID_SIZE);
    memcpy(turn.span_id, &ids[2], SPAN_ID_SIZE);
    turn.start_ns = s->now_ns;
    turn.user = arena_printf(&batch->arena, "user-%u", user);
    /* Somebody's turns of an hour are one conversation; who is there all the time has two at once. */
    turn.thread = arena_printf(&batch->arena, "thread-%u-%u", user,
                               (uint32_t)(s->now_ns / ((int64_t)3600 * NS_PER_S) % 24) * 2 + draw(s, 2));
    turn.turn_id = arena_printf(&batch->arena, "turn-%llx", (unsigned long long)s->turns++);
    uint32_t first = batch->count;
    struct span *root = add_span(s, batch, &turn, true);
    root->kind = KIND_TURN;
    root->start_ns = turn.start_ns;
    *span_text(root, COL_OPERATION) = draw(s, 4) ? SLICE("chat.continue_thread") : SLICE("chat.start_thread");
    *span_text(root, COL_ATTRIBUTES) =
        arena_printf(&batch->arena, "{\"chat.message_count\":%u,\"region\":\"eu-west-%u\",\"channel\":\"%s\"}",
                     1 + draw(s, 12), 1 + draw(s, 3), draw(s, 3) ? "web" : "app");
    int64_t at = turn.start_ns + (int64_t)(1 + draw(s, 20)) * NS_PER_MS;
    for (uint32_t i = 0; i < tools + calls + 1; i++) {
        struct span *span = add_span(s, batch, &turn, false);
        if (i < tools)
            fill_tool(s, batch, span);
        else
            fill_llm(s, batch, span);
        span->start_ns = at;
        at += span->duration_ns + (int64_t)draw(s, 5) * NS_PER_MS;
    }
    batch->spans[first].duration_ns = at - turn.start_ns;
    s->now_ns += (int64_t)(-log(1 - draw_real(s)) * (double)s->step_ns);
}

void story_tell(struct story *s, struct batch *batch, uint32_t count) {
    while (batch->count < count) tell_turn(s, batch);
}
