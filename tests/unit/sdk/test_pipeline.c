/* From finished spans to exporters: queue, batches, flush, shutdown, losses, and callbacks that call back. */
#include "sdk_test.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* An exporter that counts, and can be held and made to fail. */
static struct {
    atomic_int spans, calls, largest, flushes, shutdowns, forks, fails, lost, lost_last;
    atomic_bool held;
    sem_t entered;
    vt_span *(*inside)(void);
} probe;

static int probe_export(void *ctx, const vt_attr *resource, size_t resource_count, const vt_finished *spans,
                        size_t count) {
    probe.calls++;
    if ((int)count > probe.largest) probe.largest = (int)count;
    sem_post(&probe.entered);
    while (probe.held) sleep_ms(1);
    if (probe.inside) assert_null(probe.inside());
    if (probe.fails) return VT_ERROR_EXPORT;
    probe.spans += (int)count;
    return 0;
}
static int probe_flush(void *ctx, uint32_t timeout_ms) {
    probe.flushes++;
    return 0;
}
static uint64_t probe_shutdown(void *ctx, uint32_t timeout_ms) {
    probe.shutdowns++;
    return (uint64_t)probe.lost_last;
}
static uint64_t probe_lost(void *ctx) {
    return (uint64_t)atomic_exchange(&probe.lost, 0);
}
static const vt_exporter probe_exporter = {.name = "probe",
                                           .export_spans = probe_export,
                                           .flush = probe_flush,
                                           .shutdown = probe_shutdown,
                                           .lost = probe_lost};

/* With the probe alone; what else is set stays. */
static void start_probe(vt_config config) {
    memset(&probe, 0, sizeof probe);
    sem_init(&probe.entered, 0, 0);
    config.exporters = &probe_exporter;
    config.exporter_count = 1;
    config.service_name = "shop";
    assert_int_equal(vt_init(&config), 0);
}

static void spans(unsigned count) {
    while (count--) vt_span_end(vt_span_start("s"));
}

static vt_stats stats_now(void) {
    vt_stats stats;
    vt_stats_get(&stats);
    return stats;
}

/* Losses told to on_drop. */
static struct { atomic_int queue, export, calls; } told;

static void on_drop(void *ctx, uint64_t count, const char *reason) {
    told.calls++;
    if (!strcmp(reason, "queue full")) told.queue += (int)count;
    if (!strcmp(reason, "export failed")) told.export += (int)count;
    /* Whoever is told of losses may well trace, flush or stop: nothing of it may wait for us. */
    vt_span_end(vt_span_start("in on_drop"));
    vt_flush(1000);
    vt_shutdown();
}

static void flush_exports_all_that_ended_before(void **state) {
    start_probe((vt_config){.delay_ms = 60000});
    spans(100);
    assert_int_equal(vt_flush(60000), 0);
    assert_int_equal(probe.spans, 100);
    assert_int_equal(probe.flushes, 1);
    assert_int_equal(stats_now().exported, 100);
    assert_int_equal(vt_flush(60000), 0); /* nothing new */
    assert_int_equal(probe.spans, 100);
}

static void flush_of_no_time_only_starts_it(void **state) {
    start_probe((vt_config){.delay_ms = 60000});
    spans(1);
    assert_int_equal(vt_flush(0), 0);
    sem_wait(&probe.entered);
    assert_int_equal(probe.calls, 1);
}

static void flush_gives_up_after_its_time_and_the_work_goes_on(void **state) {
    start_probe((vt_config){.delay_ms = 60000});
    probe.held = true;
    spans(3);
    assert_int_equal(vt_flush(20), VT_ERROR_TIMEOUT);
    probe.held = false;
    assert_int_equal(vt_flush(60000), 0);
    assert_int_equal(probe.spans, 3);
}

static void full_batches_go_out_without_waiting(void **state) {
    start_probe((vt_config){.delay_ms = 60000, .queue_size = 1000, .batch_size = 10});
    spans(100);
    sem_wait(&probe.entered); /* a minute before its time */
    assert_int_equal(vt_flush(60000), 0);
    assert_int_equal(probe.spans, 100);
    assert_true(probe.largest <= 10);
}

static void spans_go_out_after_the_delay(void **state) {
    start_probe((vt_config){.delay_ms = 10});
    spans(1);
    sem_wait(&probe.entered);
}

static void full_queue_drops_exactly_what_does_not_fit(void **state) {
    memset(&told, 0, sizeof told);
    start_probe((vt_config){.delay_ms = 60000, .queue_size = 256, .batch_size = 64, .on_drop = on_drop});
    probe.held = true;
    spans(64);
    sem_wait(&probe.entered); /* the exporter stands with its first batch, which still counts as waiting */
    spans(1000);
    vt_stats stats = stats_now();
    assert_int_equal(stats.finished, 1064);
    assert_int_equal(stats.dropped_queue, 1064 - 256);
    probe.held = false;
    assert_int_equal(vt_flush(60000), 0);
    assert_int_equal(probe.spans, 256);
    assert_int_equal(stats_now().exported, 256);
    spans(10); /* and goes on */
    assert_int_equal(vt_flush(60000), 0);
    assert_int_equal(probe.spans, 266);
    vt_shutdown();
    assert_int_equal(told.queue, 1064 - 256);
    assert_int_equal(told.export, 0);
}

static void caller_never_waits_for_an_exporter(void **state) {
    start_probe((vt_config){.delay_ms = 1, .queue_size = 100, .batch_size = 10, .timeout_ms = 60000});
    probe.held = true;
    spans(10);
    sem_wait(&probe.entered);
    vt_stats before = stats_now();
    spans(100000); /* would never return */
    assert_int_equal(stats_now().memory_bytes, before.memory_bytes);
    probe.held = false;
}

static void failed_exports_are_counted_and_told(void **state) {
    memset(&told, 0, sizeof told);
    start_probe((vt_config){.delay_ms = 60000, .on_drop = on_drop});
    probe.fails = 1;
    spans(5);
    assert_int_equal(vt_flush(60000), VT_ERROR_EXPORT);
    probe.fails = 0;
    spans(3);
    assert_int_equal(vt_flush(60000), 0);
    vt_stats stats = stats_now();
    assert_int_equal(stats.dropped_export, 5);
    assert_int_equal(stats.exported, 3);
    vt_shutdown();
    assert_int_equal(told.export, 5);
}

static void losses_told_later_are_counted_too(void **state) {
    start_probe((vt_config){.delay_ms = 60000});
    spans(5);
    assert_int_equal(vt_flush(60000), 0);
    probe.lost = 2;
    assert_int_equal(vt_flush(60000), VT_ERROR_EXPORT);
    assert_int_equal(stats_now().exported, 3);
    assert_int_equal(stats_now().dropped_export, 2);
    probe.lost_last = 1;
    vt_shutdown(); /* tells of the last */
    assert_int_equal(stats_now().dropped_export, 3);
}

static void synchronous_mode_exports_inside_the_end(void **state) {
    start_probe((vt_config){.synchronous = true});
    vt_span *span = vt_span_start("s");
    assert_int_equal(probe.spans, 0);
    vt_span_end(span);
    assert_int_equal(probe.spans, 1);
    assert_int_equal(vt_flush(1000), 0);
    assert_int_equal(probe.flushes, 1);
    probe.fails = 1;
    spans(1);
    assert_int_equal(vt_flush(1000), VT_ERROR_EXPORT);
    assert_int_equal(stats_now().dropped_export, 1);
}

static vt_span *start_span(void) {
    return vt_span_start("inside an exporter");
}
static vt_span *outer;
static vt_span *end_outer(void) {
    vt_span_end(outer);
    return NULL;
}
static vt_span *init_flush_shutdown(void) {
    vt_init(NULL);
    vt_flush(1000);
    vt_shutdown();
    return NULL;
}

static void what_an_exporter_does_is_not_traced_and_does_not_hang(void **state) {
    static vt_span *(*const cases[])(void) = {start_span, init_flush_shutdown, end_outer};
    for (int synchronous = 0; synchronous < 2; synchronous++)
        for (unsigned i = 0; i < 3; i++) {
            start_probe((vt_config){.delay_ms = 60000, .synchronous = synchronous});
            outer = vt_span_start("outer");
            probe.inside = cases[i];
            spans(1);
            vt_flush(60000);
            probe.inside = NULL;
            vt_span_end(outer);
            vt_shutdown();
            assert_int_equal(probe.spans, cases[i] == end_outer && synchronous ? 1 : 2);
        }
}

static void shutdown_exports_what_waits_and_ends_exporters_once(void **state) {
    start_probe((vt_config){.delay_ms = 60000});
    spans(7);
    vt_span *open = vt_span_start("open");
    vt_shutdown();
    assert_int_equal(probe.spans, 7);
    assert_int_equal(probe.shutdowns, 1);
    vt_shutdown();
    vt_span_end(open);
    assert_int_equal(probe.spans, 7);
    assert_int_equal(probe.shutdowns, 1);
}

static void shutdown_without_any_span_starts_no_thread(void **state) {
    start_probe((vt_config){.delay_ms = 60000});
    vt_shutdown();
    assert_int_equal(probe.calls, 0);
    assert_int_equal(probe.shutdowns, 1);
}

static void init_twice_changes_nothing_and_frees_what_it_was_given(void **state) {
    start_probe((vt_config){.delay_ms = 60000});
    vt_config second = sink_config();
    second.exporters = &probe_exporter;
    second.exporter_count = 1;
    assert_int_equal(vt_init(&second), 0);
    assert_int_equal(vt_init(NULL), 0);
    assert_int_equal(probe.shutdowns, 1); /* the second's */
    spans(1);
    assert_int_equal(vt_flush(60000), 0);
    assert_int_equal(probe.spans, 1);
    assert_int_equal(sink_lines(), 0);
}

static void init_after_shutdown_starts_anew(void **state) {
    for (unsigned i = 0; i < 20; i++) {
        start_probe((vt_config){.delay_ms = 60000, .synchronous = i % 3 == 0});
        spans(i);
        vt_stats stats = stats_now();
        assert_int_equal(stats.finished, i); /* counts begin again */
        vt_shutdown();
        assert_int_equal(probe.spans, i);
    }
}

/* The views ----------------------------------------------------------------------------------------------------------
 */

static int checked;
static int check_views(void *ctx, const vt_attr *resource, size_t resource_count, const vt_finished *spans,
                       size_t count) {
    assert_int_equal(resource_count, 2);
    assert_string_equal(resource[0].key, "service.name");
    assert_string_equal(resource[0].value.string, "shop");
    assert_int_equal(resource[1].value.integer, 7);
    assert_int_equal(count, 1);
    const vt_finished *span = &spans[0];
    checked++;
    assert_string_equal(span->operation, "op");
    assert_int_equal(span->operation_size, 2);
    assert_true(span->end_ns >= span->start_ns);
    if (span->failed) {
        assert_string_equal(span->error, "broken");
        assert_int_equal(span->error_size, 6);
        assert_string_equal(span->tracestate, "v=1");
        assert_int_equal(span->remote_parent, 1);
        assert_int_equal(span->attr_count, 2);
        assert_string_equal(span->attrs[0].value.string, "text");
        assert_int_equal(span->attrs[0].value_size, 4);
        assert_string_equal(span->attrs[1].key, "k");
        assert_int_equal(span->attrs[1].value.integer, 2);
        assert_int_equal(span->event_count, 1);
        assert_int_equal(span->dropped_events, 1);
        assert_string_equal(span->events[0].name, "e");
        assert_in_range(span->events[0].time_ns, span->start_ns, span->end_ns);
        assert_string_equal(span->events[0].attrs[0].key, "ek");
    } else {
        assert_null(span->error);
        assert_null(span->tracestate);
    }
    return 0;
}

static const char *get_header(void *carrier, const char *name) {
    if (!strcmp(name, "traceparent")) return "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    return strcmp(name, "tracestate") ? NULL : "v=1";
}

static void exporter_gets_whole_spans_and_the_resource(void **state) {
    static const vt_exporter exporter = {.export_spans = check_views};
    vt_attr resource = vt_attr_int("pid", 7);
    vt_config config = {.service_name = "shop",
                        .resource = &resource,
                        .resource_count = 1,
                        .exporters = &exporter,
                        .exporter_count = 1,
                        .synchronous = true,
                        .max_events = 1};
    assert_int_equal(vt_init(&config), 0);
    checked = 0;
    vt_context_attach(vt_extract_headers(get_header, NULL));
    vt_span *span = vt_span_start("op");
    vt_span_set_int(span, "k", 1);
    vt_span_set_str(span, "t", "text");
    vt_span_set_int(span, "k", 2);
    vt_attr attr = vt_attr_bool("ek", true);
    vt_span_event(span, "e", &attr, 1);
    vt_span_event(span, "past the limit", &attr, 1);
    vt_span_error(span, "broken");
    vt_span_end(span);
    vt_context_attach((vt_context){.flags = 0});
    vt_span_end(vt_span_start("op"));
    assert_int_equal(checked, 2);
}

/* VITRINE_DEBUG tells of losses once when they begin and once when they are over. */
static void lose_and_recover(void *ctx) {
    setenv("VITRINE_DEBUG", "1", 1);
    start_probe((vt_config){.delay_ms = 1, .queue_size = 10, .batch_size = 5});
    probe.fails = 1;
    for (unsigned i = 0; i < 30; i++) {
        spans(5);
        vt_flush(60000);
        sleep_ms(50);
    }
    probe.fails = 0;
    for (unsigned i = 0; i < 25; i++) {
        spans(5);
        vt_flush(60000);
        sleep_ms(50);
    }
}

/* It speaks at most once a second, and takes a second without losses for the end of them: where the machine let none be
 * lost for so long, this is told in several parts. */
static bool was_held_up(const char *text) {
    const char *over = strstr(text, "now all go out again");
    return !over || strstr(over + 1, "now all go out again");
}

static void debug_tells_of_losses_once(void **state) {
    char *text = child_stderr(lose_and_recover, NULL, NULL);
    for (int i = 0; i < 20 && was_held_up(text); i++) {
        free(text);
        text = child_stderr(lose_and_recover, NULL, NULL);
    }
    const char *begins = strstr(text, "exporter probe loses spans"),
               *told_at = strstr(text, "spans are dropped: an exporter failed");
    const char *over = strstr(text, "150 spans were dropped; now all go out again");
    assert_true(begins && told_at && over && over > told_at);
    assert_null(strstr(told_at, "loses spans"));
    assert_null(strstr(told_at + 1, "spans are dropped"));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(flush_exports_all_that_ended_before),
        TEST(exporter_gets_whole_spans_and_the_resource),
        TEST(flush_of_no_time_only_starts_it),
        TEST(flush_gives_up_after_its_time_and_the_work_goes_on),
        TEST(full_batches_go_out_without_waiting),
        TEST(spans_go_out_after_the_delay),
        TEST(full_queue_drops_exactly_what_does_not_fit),
        TEST(caller_never_waits_for_an_exporter),
        TEST(failed_exports_are_counted_and_told),
        TEST(losses_told_later_are_counted_too),
        TEST(synchronous_mode_exports_inside_the_end),
        TEST(what_an_exporter_does_is_not_traced_and_does_not_hang),
        TEST(shutdown_exports_what_waits_and_ends_exporters_once),
        TEST(shutdown_without_any_span_starts_no_thread),
        TEST(init_twice_changes_nothing_and_frees_what_it_was_given),
        TEST(init_after_shutdown_starts_anew),
        TEST(debug_tells_of_losses_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
