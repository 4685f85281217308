/* The pool: its bound, its order, its end. */
#include "serve/workers.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static int order[8], done;

struct job {
    struct workers_job job;
    int number;
};

static void run(struct workers_job *job) {
    pthread_mutex_lock(&gate);
    order[done++] = ((struct job *)(void *)job)->number;
    pthread_mutex_unlock(&gate);
}

static void refuses_what_does_not_fit_and_does_the_rest_in_order(void **state) {
    struct workers *workers;
    struct error err;
    struct workers_stats stats;
    struct job jobs[5];
    assert_int_equal(workers_start(&workers, "test", 1, 3, &err), 0);
    pthread_mutex_lock(&gate); /* the one thread waits with the first */
    for (int i = 0; i < 5; i++) jobs[i] = (struct job){{run, NULL}, i};
    assert_true(workers_add(workers, &jobs[0].job));
    do workers_get_stats(workers, &stats);
    while (stats.busy == 0);
    for (int i = 1; i < 4; i++) assert_true(workers_add(workers, &jobs[i].job));
    assert_false(workers_add(workers, &jobs[4].job));
    workers_get_stats(workers, &stats);
    assert_int_equal(stats.waiting, 3);
    assert_int_equal(stats.refused, 1);
    pthread_mutex_unlock(&gate);
    workers_stop(workers); /* what waits is done first */
    assert_int_equal(done, 4);
    for (int i = 0; i < 4; i++) assert_int_equal(order[i], i);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(refuses_what_does_not_fit_and_does_the_rest_in_order)};
    workers_stop(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
