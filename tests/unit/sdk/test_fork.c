/* Processes: forked children trace on their own, and exit() exports what waits. */
#include "sdk_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static FILE *file; /* shared by parent and children */

static void start_on_file(bool synchronous) {
    file = tmpfile();
    vt_config config = {.service_name = "shop", .console_file = file, .synchronous = synchronous, .delay_ms = 60000};
    assert_int_equal(vt_init(&config), 0);
}

static void span_named(const char *name) {
    vt_span_end(vt_span_start(name));
}

static void wait_for(pid_t pid) {
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* How many lines of the file contain text. */
static unsigned count_lines(const char *text) {
    static char content[1 << 22];
    size_t len = (size_t)pread(fileno(file), content, sizeof content - 1, 0);
    content[len] = 0;
    unsigned count = 0;
    for (char *rest = content, *line; (line = strsep(&rest, "\n"));) {
        if (!*line) continue;
        assert_int_equal(*line, '{'); /* lines are whole */
        assert_int_equal(line[strlen(line) - 1], '}');
        count += strstr(line, text) != NULL;
    }
    return count;
}

static void child_exports_its_own_and_the_parent_its_own(void **state) {
    needs_threads_after_fork();
    start_on_file(false);
    span_named("before"); /* waits in the queue at the fork */
    pid_t pid = fork();
    if (pid == 0) {
        span_named("child");
        _exit(vt_flush(60000) ? 1 : 0);
    }
    wait_for(pid);
    span_named("after");
    vt_shutdown();
    assert_int_equal(count_lines("\"operation\":\"before\""), 1);
    assert_int_equal(count_lines("\"operation\":\"child\""), 1);
    assert_int_equal(count_lines("\"operation\":\"after\""), 1);
    fclose(file);
}

static void child_draws_other_ids_and_stays_in_its_parents_trace(void **state) {
    needs_threads_after_fork();
    start_on_file(false);
    vt_span *around = vt_span_start("around");
    for (unsigned i = 0; i < 4; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            span_named("child");
            exit(0); /* exports */
        }
        wait_for(pid);
    }
    vt_span_end(around);
    vt_shutdown();
    static char content[1 << 16];
    content[pread(fileno(file), content, sizeof content - 1, 0)] = 0;
    char ids[5][17], trace[33] = "";
    unsigned count = 0;
    for (char *rest = content, *line; (line = strsep(&rest, "\n")) && *line; count++) {
        assert_true(count < 5);
        memcpy(ids[count], strstr(line, "\"spanId\":\"") + 10, 16);
        for (unsigned k = 0; k < count; k++) assert_memory_not_equal(ids[count], ids[k], 16);
        const char *its_trace = strstr(line, "\"traceId\":\"") + 11;
        if (*trace) assert_memory_equal(its_trace, trace, 32);
        memcpy(trace, its_trace, 32);
    }
    assert_int_equal(count, 5);
    fclose(file);
}

static void span_open_at_the_fork_may_end_in_either(void **state) {
    needs_threads_after_fork();
    start_on_file(false);
    vt_span *span = vt_span_start("open");
    pid_t pid = fork();
    if (pid == 0) {
        vt_span_end(span);
        exit(0);
    }
    wait_for(pid);
    vt_span_end(span);
    vt_shutdown();
    assert_int_equal(count_lines("\"operation\":\"open\""), 2);
    fclose(file);
}

static void synchronous_child_and_grandchild(void **state) {
    start_on_file(true);
    pid_t pid = fork();
    if (pid == 0) {
        span_named("child");
        pid_t grandchild = fork();
        if (grandchild == 0) {
            span_named("grandchild");
            exit(0);
        }
        int status;
        waitpid(grandchild, &status, 0);
        exit(status != 0);
    }
    wait_for(pid);
    vt_shutdown();
    assert_int_equal(count_lines("child\""), 2);
    fclose(file);
}

/* Forks at any moment of other threads' tracing and of the background thread's exporting. */
static atomic_bool stop;

static void *trace_all_the_time(void *ctx) {
    char text[600];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    while (!stop) {
        vt_span *span = vt_span_start("busy");
        for (unsigned i = 0; i < 10; i++) vt_span_set_str(span, "text", text);
        vt_baggage_set("k", "v");
        vt_span_end(span);
    }
    return NULL;
}

static void forks_amid_other_threads_hang_nobody(void **state) {
    needs_threads_after_fork();
    file = tmpfile();
    FILE *nowhere = fopen("/dev/null", "w");
    vt_config config = {.console_file = nowhere, .delay_ms = 1, .queue_size = 512, .batch_size = 16};
    assert_int_equal(vt_init(&config), 0);
    stop = false;
    pthread_t threads[2];
    for (unsigned i = 0; i < 2; i++) pthread_create(&threads[i], NULL, trace_all_the_time, NULL);
    for (unsigned i = 0; i < 100; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            alarm(120); /* a child that hangs dies of it */
            for (unsigned k = 0; k < 50; k++) span_named("child");
            int failed = vt_flush(60000);
            vt_shutdown();
            _exit(failed ? 1 : 0);
        }
        wait_for(pid);
    }
    stop = true;
    for (unsigned i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    vt_shutdown();
    fclose(nowhere);
    fclose(file);
}

/* exit()
 * --------------------------------------------------------------------------------------------------------------- */

static void trace_and_return(void *ctx) {
    vt_config config = {.console = VT_ON, .delay_ms = 60000};
    vt_init(&config);
    for (unsigned i = 0; i < 100; i++) span_named("waits");
    vt_span_start("never ended");
}

static void *exit_there(void *ctx) {
    span_named("there");
    exit(0);
}
static void trace_and_exit_in_another_thread(void *ctx) {
    trace_and_return(NULL);
    pthread_t thread;
    pthread_create(&thread, NULL, exit_there, NULL);
    pthread_join(thread, NULL);
}

static unsigned count_of(const char *text, const char *part) {
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, part)); at++) count++;
    return count;
}

static void exit_exports_what_waits(void **state) {
    needs_threads_after_fork();
    int code;
    char *text = child_stdout(trace_and_return, NULL, &code);
    assert_int_equal(code, 0);
    assert_int_equal(count_of(text, "\"operation\":\"waits\""), 100);
    assert_null(strstr(text, "never ended"));
    free(text);
    text = child_stdout(trace_and_exit_in_another_thread, NULL, &code);
    assert_int_equal(code, 0);
    assert_int_equal(count_of(text, "\"operation\":\"waits\""), 100);
    assert_int_equal(count_of(text, "\"operation\":\"there\""), 1);
    free(text);
}

static int export_and_exit(void *ctx, const vt_attr *resource, size_t resource_count, const vt_finished *spans,
                           size_t count) {
    exit(7);
}
static int export_never_returns(void *ctx, const vt_attr *resource, size_t resource_count, const vt_finished *spans,
                                size_t count) {
    while (pause()) {
    }
    return 0;
}

static void exit_from_an_exporter(void *ctx) {
    vt_exporter exporter = {.export_spans = export_and_exit};
    vt_config config = {.exporters = &exporter, .exporter_count = 1, .delay_ms = 60000, .timeout_ms = 100};
    vt_init(&config);
    span_named("s");
    vt_flush(60000);
    pause();
}
static void exit_past_an_exporter_that_hangs(void *ctx) {
    vt_exporter exporter = {.export_spans = export_never_returns};
    vt_config config = {.exporters = &exporter, .exporter_count = 1, .delay_ms = 60000, .timeout_ms = 50};
    setenv("VITRINE_DEBUG", "1", 1);
    vt_init(&config);
    span_named("s");
}

static void exit_is_not_held_by_exporters(void **state) {
    needs_threads_after_fork();
    int code;
    char *text = child_stderr(exit_from_an_exporter, NULL, &code);
    assert_int_equal(code, 7);
    free(text);
    text = child_stderr(exit_past_an_exporter_that_hangs, NULL, &code);
    assert_int_equal(code, 0);
    assert_contains(text, "an exporter did not return within 50 ms");
    free(text);
}

static void *some_spans(void *ctx) {
    for (unsigned i = 0; i < 10; i++) span_named("of a thread");
    return NULL;
}
static void threads_that_end_leave_their_spans_behind(void **state) {
    start_on_file(false);
    for (unsigned round = 0; round < 20; round++) {
        pthread_t threads[4];
        for (unsigned i = 0; i < 4; i++) pthread_create(&threads[i], NULL, some_spans, NULL);
        for (unsigned i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    }
    vt_shutdown();
    assert_int_equal(count_lines("of a thread"), 800);
    fclose(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(child_exports_its_own_and_the_parent_its_own),
        TEST(child_draws_other_ids_and_stays_in_its_parents_trace),
        TEST(span_open_at_the_fork_may_end_in_either),
        TEST(synchronous_child_and_grandchild),
        TEST(forks_amid_other_threads_hang_nobody),
        TEST(exit_exports_what_waits),
        TEST(exit_is_not_held_by_exporters),
        TEST(threads_that_end_leave_their_spans_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
