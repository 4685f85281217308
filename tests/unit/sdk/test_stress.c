/* Several threads at once, with everything that they may do at the same time. Made for ThreadSanitizer; in a plain
 * build it checks that no span is lost or counted twice. */
#include "sdk_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, ROUNDS = 400 };

static struct {
    pthread_mutex_t lock;
    vt_span *span; /* left by one thread to be ended by another */
    vt_context context;
} handed = {.lock = PTHREAD_MUTEX_INITIALIZER};

static atomic_ulong ended;
static _Atomic unsigned long exported;

static int count_export(void *ctx, const vt_attr *resource, size_t resource_count, const vt_finished *spans,
                        size_t count) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(spans[i].operation, "work") != 0) abort();
    exported += count;
    return 0;
}

static void hand_over(void) {
    vt_span *span = vt_span_start("work");
    vt_baggage_set("k", "v");
    pthread_mutex_lock(&handed.lock);
    vt_span *other = handed.span;
    vt_context context = handed.context;
    handed.span = span;
    handed.context = vt_context_current();
    pthread_mutex_unlock(&handed.lock);
    if (other) {
        vt_context mine = vt_context_current();
        vt_context_attach(context);
        vt_span_end(vt_span_start("work"));
        vt_span_set_str(other, "ended", "elsewhere");
        vt_span_end(other);
        vt_context_attach(mine);
        ended += 2;
    }
}

static void *work(void *ctx) {
    for (unsigned i = 0; i < ROUNDS; i++) {
        vt_span *span = vt_llm_start("work", &(vt_llm_call){.provider = "p", .model = "m", .prompt = "hello"});
        char text[2000];
        memset(text, 'y', sizeof text - 1);
        text[sizeof text - 1] = 0;
        vt_span_set_str(span, "text", text);
        vt_span_end(vt_span_start("work"));
        vt_llm_response(span, text, "stop");
        vt_span_end(span);
        ended += 2;
        hand_over();
        vt_context_attach((vt_context){.flags = 0});
        if (i % 50 == 0) vt_flush(i % 100 ? 0 : 60000);
        vt_stats stats;
        vt_stats_get(&stats);
    }
    return NULL;
}

static void run_threads(void *(*fn)(void *)) {
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, fn, NULL);
    for (unsigned i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

static void nothing_is_lost_between_threads(void **state) {
    static const vt_exporter exporter = {.export_spans = count_export};
    vt_config config = {.exporters = &exporter,
                        .exporter_count = 1,
                        .console_write = sink_write,
                        .queue_size = 100000,
                        .batch_size = 64,
                        .delay_ms = 1};
    assert_int_equal(vt_init(&config), 0);
    ended = exported = 0;
    run_threads(work);
    vt_span_end(handed.span);
    handed.span = NULL;
    ended++;
    assert_int_equal(vt_flush(60000), 0);
    vt_stats stats;
    vt_stats_get(&stats);
    assert_int_equal(stats.finished, ended);
    assert_int_equal(stats.exported, ended);
    assert_int_equal(exported, ended);
    assert_int_equal(stats.open, 0);
    assert_int_equal(stats.dropped_queue + stats.dropped_export + stats.dropped_memory, 0);
}

static atomic_bool stop;

static void *trace_until_stopped(void *ctx) {
    while (!stop) {
        vt_span *span = vt_span_start("work");
        vt_span_set_int(span, "n", 1);
        vt_span_event(span, "e", NULL, 0);
        vt_span_end(span);
    }
    return NULL;
}

static void tracing_may_stop_and_start_amid_spans(void **state) {
    pthread_t threads[2];
    stop = false;
    for (unsigned i = 0; i < 2; i++) pthread_create(&threads[i], NULL, trace_until_stopped, NULL);
    for (unsigned i = 0; i < 30; i++) {
        vt_exporter exporter = {.export_spans = count_export};
        vt_config config = {.exporters = &exporter, .exporter_count = 1, .delay_ms = 1, .synchronous = i % 4 == 3};
        assert_int_equal(vt_init(&config), 0);
        sleep_ms(5);
        vt_flush(i % 2 ? 0 : 5000);
        vt_shutdown();
    }
    stop = true;
    for (unsigned i = 0; i < 2; i++) pthread_join(threads[i], NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {TEST(nothing_is_lost_between_threads),
                                       TEST(tracing_may_stop_and_start_amid_spans)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
