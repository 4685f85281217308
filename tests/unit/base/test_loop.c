/* The event loop: order of tasks and timers, tasks from other threads, watches that are removed while events are
 * pending. */
#include "base/loop.h"

#include "base/id.h"
#include "base/timestamp.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { THREADS = 4, TASKS = 2000, TIMERS = 500 };

static struct loop *loop;
static int done;

struct numbered {
    struct loop_task task;
    int thread, number;
};

static int last_of[THREADS];

static void run_numbered(struct loop_task *task) {
    struct numbered *n = container_of(task, struct numbered, task);
    assert_int_equal(n->number, last_of[n->thread] + 1);
    last_of[n->thread] = n->number;
    if (++done == THREADS * TASKS) loop_stop(loop);
    free(n);
}

static void *post_many(void *arg) {
    for (int i = 1; i <= TASKS; i++) {
        struct numbered *n = malloc(sizeof *n);
        *n = (struct numbered){{run_numbered, NULL}, *(int *)arg, i};
        loop_post(loop, &n->task);
    }
    return NULL;
}

static void runs_tasks_of_many_threads_in_the_order_of_each(void **state) {
    pthread_t threads[THREADS];
    int numbers[THREADS];
    done = 0;
    loop = loop_new(NULL);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        last_of[i] = 0;
        pthread_create(&threads[i], NULL, post_many, &numbers[i]);
    }
    loop_run(loop);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(done, THREADS * TASKS);
    loop_free(loop);
}

static struct loop_timer timers[TIMERS];
static int64_t last_due_ns;

static void on_due(struct loop_timer *timer) {
    assert_true(timer->at_ns >= last_due_ns);
    assert_true(time_monotonic_ns() >= timer->at_ns);
    last_due_ns = timer->at_ns;
    if (++done == TIMERS / 2) loop_stop(loop);
}

static void runs_timers_in_order_however_they_were_set_moved_and_stopped(void **state) {
    int64_t now_ns = time_monotonic_ns();
    done = 0;
    loop = loop_new(NULL);
    for (int i = 0; i < TIMERS; i++) {
        timers[i].due = on_due;
        assert_true(loop_timer_set(loop, &timers[i], now_ns + (int64_t)(random_u64() % (50 * NS_PER_MS))));
    }
    for (int i = 0; i < TIMERS; i += 3)
        loop_timer_set(loop, &timers[i], now_ns + (int64_t)(random_u64() % (50 * NS_PER_MS)));
    for (int i = 0; i < TIMERS; i += 2) loop_timer_stop(loop, &timers[i]);
    loop_run(loop);
    assert_int_equal(done, TIMERS / 2);
    loop_free(loop);
}

static struct loop_watch watches[2];

static void on_ready(struct loop_watch *watch, uint32_t events) {
    done++;
    loop_watch_remove(loop, &watches[0]);
    loop_watch_remove(loop, &watches[1]);
    loop_stop(loop);
}

static void gives_no_event_to_a_watch_that_was_removed(void **state) {
    int pair[2][2];
    done = 0;
    loop = loop_new(NULL);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]), 0);
        watches[i].ready = on_ready;
        assert_int_equal(loop_watch_add(loop, &watches[i], pair[i][0], EPOLLIN, NULL), 0);
        assert_int_equal(write(pair[i][1], "x", 1), 1);
    }
    loop_run(loop); /* both are ready at once; the first removes the second */
    assert_int_equal(done, 1);
    loop_free(loop);
    for (int i = 0; i < 4; i++) close(pair[i / 2][i % 2]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_tasks_of_many_threads_in_the_order_of_each),
        cmocka_unit_test(runs_timers_in_order_however_they_were_set_moved_and_stopped),
        cmocka_unit_test(gives_no_event_to_a_watch_that_was_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
