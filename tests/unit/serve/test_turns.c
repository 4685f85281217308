/* Whose turn it is: in order, as room comes, and nobody waits for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/timestamp.h"
#include "serve/turns.h"

enum { COUNT = 4, SIZE = 100 };

static struct turns turns;
static struct turn waiting[COUNT];
static int came[COUNT + 1], came_count, late_count;

/* Each takes SIZE bytes on its way, as a request does; the third finds the store unwilling. */
static void come(struct turn *turn, bool late) {
    int n = (int)(turn - waiting);
    came[came_count++] = n;
    late_count += late;
    if (!late && n != 2) turns_leave(&turns, SIZE);
    if (late && late_count == COUNT) loop_stop(turns.loop);
}

static void line_up(struct loop *loop) {
    came_count = late_count = 0;
    turns_init(&turns, loop, SIZE);
    assert_true(turns_take(&turns, &(struct turn){0}));
    turns_leave(&turns, SIZE);
    for (int i = 0; i < COUNT; i++) {
        waiting[i] = (struct turn){.come = come};
        assert_false(turns_take(&turns, &waiting[i]));
    }
}

static void who_waits_comes_in_order_when_there_is_room(void **state) {
    struct loop *loop = loop_new(NULL);
    line_up(loop);
    assert_int_equal(came_count, 0);
    turns_arrive(&turns, SIZE);
    assert_int_equal(came_count, 1);
    turns_arrive(&turns, SIZE);
    assert_int_equal(came_count, 2);
    /* The third is on no way, so the fourth need not wait for its arrival. */
    turns_arrive(&turns, SIZE);
    assert_int_equal(came_count, 4);
    for (int i = 0; i < COUNT; i++) assert_int_equal(came[i], i);
    assert_false(turns_take(&turns, &waiting[0]));
    turns_arrive(&turns, SIZE);
    turns_arrive(&turns, SIZE);
    assert_true(turns_take(&turns, &waiting[1]));
    loop_timer_stop(loop, &turns.timer);
    loop_free(loop);
}

static void who_waits_too_long_is_refused(void **state) {
    struct loop *loop = loop_new(NULL);
    line_up(loop);
    for (int i = 0; i < COUNT; i++) waiting[i].since_ns -= (int64_t)60 * NS_PER_S; /* a minute has passed */
    loop_timer_set(loop, &turns.timer, time_monotonic_ns());
    loop_run(loop);
    assert_int_equal(late_count, COUNT);
    turns_arrive(&turns, SIZE);
    assert_int_equal(came_count, COUNT);
    assert_true(turns_take(&turns, &waiting[0]));
    loop_free(loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(who_waits_comes_in_order_when_there_is_room),
                                       cmocka_unit_test(who_waits_too_long_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
