/* Allocations per span in the steady state: none, on the caller's thread and on the background one. The program's
 * malloc and its kin are wrapped here, which the shared library uses as well. */
#include "sdk_test.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_bool counting;
static atomic_long allocations;

/* glibc's own names, to be called by the wrappers. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t align, size_t size);

static void count(void) {
    if (counting) allocations++;
}
VT_EXPORT void *malloc(size_t size) {
    count();
    return __libc_malloc(size);
}
VT_EXPORT void *calloc(size_t number, size_t size) {
    count();
    return __libc_calloc(number, size);
}
VT_EXPORT void *realloc(void *old, size_t size) {
    count();
    return __libc_realloc(old, size);
}
VT_EXPORT void *aligned_alloc(size_t align, size_t size) {
    count();
    return __libc_memalign(align, size);
}

static void discard(void *ctx, const char *lines, size_t size) {}

/* A turn with a call and a tool: 40 attributes, events, an error, and one text that outgrows the slot. */
static void one_turn(const char *large) {
    vt_span *turn =
        vt_chat_start("continue_thread", &(vt_chat_turn){.user_id = "u", .thread_id = "t", .message_count = 3});
    vt_span *call = vt_llm_start(
        "openai.chat", &(vt_llm_call){.provider = "openai", .model = "gpt-4o", .temperature = 0.7, .prompt = large});
    vt_llm_first_token(call);
    vt_llm_response(call, large, "stop");
    vt_llm_usage(call, &(vt_usage){.prompt_tokens = 159, .completion_tokens = 237});
    vt_span_set_str(call, "large", large);
    vt_span_end(call);
    vt_span *tool = vt_span_start("tool.stock");
    vt_attr attrs[] = {vt_attr_str("sku", "J-1"), vt_attr_int("stock", 4), vt_attr_double("price", 99.5),
                       vt_attr_bool("found", true)};
    vt_span_set_attrs(tool, attrs, 4);
    vt_span_event(tool, "found", attrs, 4);
    vt_span_error(tool, "out of stock");
    vt_context context = vt_context_current();
    vt_context_attach(context);
    char header[56];
    vt_inject(header, sizeof header);
    vt_span_end(tool);
    vt_span_end(turn);
}

enum { TURNS = 1000, BURST = 100 };

static void measure(vt_config config) {
    static char large[6001];
    memset(large, 'x', sizeof large - 1);
    if (config.mask) { /* something to take out, in plain text and in JSON with escapes */
        size_t len = (size_t)snprintf(large, sizeof large, "[{\"content\":\"I am\\njane@shop.example ");
        memset(large + len, 'x', sizeof large - 1 - len);
        memcpy(large + sizeof large - 4, "\"}]", 3);
    }
    assert_int_equal(vt_init(&config), 0);
    /* The first warms up: slots, blocks and buffers are made. A slow background thread may want a further block in a
     * later one, but then it has it: one of them must do without. */
    unsigned rounds = 0;
    while (rounds < 8 && (rounds < 2 || allocations)) {
        counting = rounds++ > 0;
        allocations = 0;
        for (unsigned i = 0; i < TURNS; i++) {
            one_turn(large);
            if (i % BURST == BURST - 1) vt_flush(60000);
        }
        counting = false;
    }
    vt_stats stats;
    vt_stats_get(&stats);
    assert_int_equal(stats.exported, rounds * 3 * TURNS);
    assert_int_equal(allocations, 0);
}

static void spans_in_the_background_allocate_nothing(void **state) {
    measure((vt_config){
        .service_name = "shop", .console_write = discard, .queue_size = 4096, .batch_size = 256, .delay_ms = 60000});
}
static void synchronous_spans_allocate_nothing(void **state) {
    measure(
        (vt_config){.service_name = "shop", .console_write = discard, .synchronous = true, .capture = VT_CAPTURE_FULL});
}
static void masked_spans_allocate_nothing(void **state) {
    measure((vt_config){.service_name = "shop",
                        .console_write = discard,
                        .synchronous = true,
                        .capture = VT_CAPTURE_FULL,
                        .mask = VT_MASK_ALL});
}
static void unsampled_spans_allocate_nothing(void **state) {
    static const char large[] = "x";
    vt_config config = {.console_write = discard, .sampler = VT_SAMPLER_OFF};
    assert_int_equal(vt_init(&config), 0);
    one_turn(large);
    allocations = 0;
    counting = true;
    for (unsigned i = 0; i < TURNS; i++) one_turn(large);
    counting = false;
    assert_int_equal(allocations, 0);
}

/* The wrappers do count what the library asks for. */
static void first_spans_are_counted(void **state) {
    vt_config config = {.console_write = discard, .synchronous = true};
    allocations = 0;
    counting = true;
    assert_int_equal(vt_init(&config), 0);
    vt_span_end(vt_span_start("s"));
    counting = false;
    assert_true(allocations > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(first_spans_are_counted),
        TEST(spans_in_the_background_allocate_nothing),
        TEST(synchronous_spans_allocate_nothing),
        TEST(masked_spans_allocate_nothing),
        TEST(unsampled_spans_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
