/* Who is whose child: nesting, ends in any order, threads, contexts as values. */
#include "sdk_test.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Lines come in the order of ends; the pattern names each span's own id and its parent's. */
static void assert_tree(size_t line, const char *trace, const char *span, const char *parent) {
    char wanted[128];
    snprintf(wanted, sizeof wanted,
             parent ? "\"traceId\":\"%s\",\"spanId\":\"%s\",\"parentSpanId\":\"%s\","
                    : "\"traceId\":\"%s\",\"spanId\":\"%s\",\"operation\"",
             trace, span, parent);
    assert_contains(sink_line(line), wanted);
}

static void children_nest_and_siblings_do_not(void **state) {
    sink_init();
    vt_span *root = vt_span_start("root");
    vt_span *first = vt_span_start("first");
    vt_span *leaf = vt_span_start("leaf");
    vt_span_end(leaf);
    vt_span_end(first);
    vt_span *second = vt_span_start("second");
    vt_span_end(second);
    vt_span_end(root);
    vt_span_end(vt_span_start("other"));
    assert_tree(0, "T1", "S1", "S2"); /* leaf */
    assert_tree(1, "T1", "S2", "S3"); /* first */
    assert_tree(2, "T1", "S4", "S3"); /* second */
    assert_tree(3, "T1", "S3", NULL);
    assert_tree(4, "T2", "S5", NULL);
}

static void spans_may_end_in_any_order(void **state) {
    sink_init();
    vt_span *a = vt_span_start("a"), *b = vt_span_start("b"), *c = vt_span_start("c");
    vt_span_end(b); /* a hole in the stack */
    vt_span_end(vt_span_start("under c"));
    vt_span_end(a);
    vt_span_end(vt_span_start("still under c"));
    vt_span_end(c); /* everything around it is over */
    vt_span_end(vt_span_start("a new trace"));
    assert_tree(0, "T1", "S1", "S2"); /* b under a */
    assert_tree(1, "T1", "S3", "S4"); /* under c */
    assert_tree(2, "T1", "S2", NULL); /* a */
    assert_tree(3, "T1", "S5", "S4");
    assert_tree(4, "T1", "S4", "S1"); /* c under b */
    assert_tree(5, "T2", "S6", NULL);
}

static void every_order_of_ends_leaves_nothing_open(void **state) {
    sink_init();
    enum { SPANS = 5, ORDERS = 120 };
    for (unsigned order = 0; order < ORDERS; order++) {
        vt_span *spans[SPANS];
        unsigned left = SPANS, code = order;
        for (unsigned i = 0; i < SPANS; i++) spans[i] = vt_span_start("s");
        for (unsigned i = SPANS; i >= 1; i--) {
            unsigned pick = code % i;
            code /= i;
            vt_span_end(spans[pick]);
            memmove(&spans[pick], &spans[pick + 1], (--left - pick) * sizeof *spans);
        }
        vt_context context = vt_context_current(), zero = {.flags = 0};
        assert_memory_equal(&context, &zero, sizeof zero);
    }
    vt_stats stats;
    vt_stats_get(&stats);
    assert_int_equal(stats.finished, SPANS * ORDERS);
    assert_int_equal(stats.open, 0);
}

static void a_span_that_has_ended_takes_nothing_more(void **state) {
    sink_init();
    vt_span *span = vt_span_start("first");
    vt_span_end(span);
    vt_span *again = vt_span_start("second"); /* in the same memory */
    vt_span_set_str(span, "late", "x");
    vt_span_event(span, "late", NULL, 0);
    vt_span_error(span, "late");
    vt_llm_response(span, "late", "late");
    vt_llm_first_token(span);
    vt_span_end(span);
    vt_span_end(again);
    vt_span_end(again);
    assert_int_equal(sink_lines(), 2);
    assert_lacks(sink_raw(1), "late");
    assert_contains(sink_raw(1), "\"status\":\"OK\"");
}

static void context_is_that_of_the_current_span(void **state) {
    sink_init();
    vt_span *span = vt_span_start("s");
    vt_context current = vt_context_current(), own = vt_span_context(span);
    assert_memory_equal(&current, &own, sizeof own);
    assert_int_equal(own.flags, 1);
    assert_int_equal(own.remote, 0);
    vt_span_end(span);
    vt_context zero = {.flags = 0};
    current = vt_context_current(), own = vt_span_context(span);
    assert_memory_equal(&current, &zero, sizeof zero);
    assert_memory_equal(&own, &zero, sizeof zero);
}

struct job {
    vt_context context;
    vt_span *span;
};

static void *work_in_context(void *ctx) {
    struct job *job = ctx;
    vt_span_end(vt_span_start("before"));
    vt_context mine = vt_context_current();
    vt_context_attach(job->context);
    vt_span_end(vt_span_start("inside"));
    vt_context_attach(mine);
    vt_span_end(vt_span_start("after"));
    return NULL;
}

static void context_is_handed_to_another_thread(void **state) {
    sink_init();
    vt_span *root = vt_span_start("root");
    struct job job = {.context = vt_context_current()};
    pthread_t thread;
    pthread_create(&thread, NULL, work_in_context, &job);
    pthread_join(thread, NULL);
    vt_span_end(root);
    assert_tree(0, "T1", "S1", NULL);
    assert_tree(1, "T2", "S2", "S3");
    assert_tree(2, "T3", "S4", NULL);
    assert_tree(3, "T2", "S3", NULL);
}

static void *end_there(void *ctx) {
    struct job *job = ctx;
    vt_span_set_str(job->span, "there", "yes");
    vt_span_end(job->span);
    return NULL;
}

static void a_span_may_end_in_another_thread(void **state) {
    sink_init();
    vt_span *root = vt_span_start("root");
    struct job job = {.span = vt_span_start("child")};
    pthread_t thread;
    pthread_create(&thread, NULL, end_there, &job);
    pthread_join(thread, NULL);
    vt_span_end(vt_span_start("sibling")); /* child is no longer current here */
    vt_span_end(root);
    assert_tree(0, "T1", "S1", "S2");
    assert_string_equal(line_value(0, "there"), "\"yes\"");
    assert_tree(1, "T1", "S3", "S2");
}

static void attach_replaces_returns_and_leaves(void **state) {
    sink_init();
    vt_span *one = vt_span_start("one");
    vt_context in_one = vt_context_current();
    vt_context_attach((vt_context){.flags = 0}); /* out of every trace */
    vt_span *two = vt_span_start("two");
    vt_context in_two = vt_context_current();
    vt_context_attach(in_one);
    vt_span_end(vt_span_start("under one"));
    vt_context_attach(in_two);
    vt_span_end(vt_span_start("under two"));
    vt_span_end(one);
    vt_span_end(two);
    assert_tree(0, "T1", "S1", "S2");
    assert_tree(1, "T2", "S3", "S4");
    assert_tree(2, "T1", "S2", NULL);
    assert_tree(3, "T2", "S4", NULL);
}

static void deep_nesting_and_many_attachments_hold(void **state) {
    sink_init();
    enum { DEPTH = 2000 };
    static vt_span *spans[DEPTH];
    for (unsigned i = 0; i < DEPTH; i++) spans[i] = vt_span_start("deep");
    vt_context deepest = vt_context_current();
    for (unsigned i = 0; i < 100000; i++) vt_context_attach(deepest);
    for (unsigned i = DEPTH; i-- > 0;) vt_span_end(spans[i]);
    vt_context_attach((vt_context){.flags = 0});
    assert_int_equal(sink_lines(), DEPTH);
    sink_line(DEPTH - 1);
    assert_lacks(sink_line(DEPTH - 1), "parentSpanId");
}

static void attached_context_outlives_its_span(void **state) {
    sink_init();
    vt_span *root = vt_span_start("root");
    vt_context context = vt_context_current();
    vt_span_end(root);
    vt_context_attach(context); /* a message that is worked on later */
    vt_span_end(vt_span_start("late"));
    vt_context_attach((vt_context){.flags = 0});
    assert_tree(0, "T1", "S1", NULL);
    assert_tree(1, "T1", "S2", "S1");
}

static void ids_are_distinct_over_threads(void **state) {
    sink_init();
    enum { MANY = 2000 };
    static uint8_t ids[MANY][8];
    for (unsigned i = 0; i < MANY; i++) {
        vt_span *span = vt_span_start("s");
        memcpy(ids[i], vt_span_context(span).span_id, 8);
        vt_span_end(span);
        for (unsigned k = 0; k < i; k++) assert_memory_not_equal(ids[i], ids[k], 8);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(children_nest_and_siblings_do_not),       TEST(spans_may_end_in_any_order),
        TEST(every_order_of_ends_leaves_nothing_open), TEST(a_span_that_has_ended_takes_nothing_more),
        TEST(context_is_that_of_the_current_span),     TEST(context_is_handed_to_another_thread),
        TEST(a_span_may_end_in_another_thread),        TEST(attach_replaces_returns_and_leaves),
        TEST(deep_nesting_and_many_attachments_hold),  TEST(attached_context_outlives_its_span),
        TEST(ids_are_distinct_over_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
