/* See turns.h. */
#include "serve/turns.h"

#include "base/timestamp.h"

#include <stddef.h>

enum { WAIT_MAX_MS = 5000, LOOK_EVERY_MS = 500 };

static struct turn *first_out(struct turns *turns) {
    struct turn *turn = turns->first;
    turns->first = turn->next;
    if (!turns->first) turns->last = &turns->first;
    return turn;
}

static void look_later(struct turns *turns) {
    loop_timer_set(turns->loop, &turns->timer, time_monotonic_ns() + (int64_t)LOOK_EVERY_MS * NS_PER_MS);
}

static void refuse_late(struct loop_timer *timer) {
    struct turns *turns = container_of(timer, struct turns, timer);
    int64_t before_ns = time_monotonic_ns() - (int64_t)WAIT_MAX_MS * NS_PER_MS;
    while (turns->first && turns->first->since_ns < before_ns) {
        struct turn *turn = first_out(turns);
        turn->come(turn, true);
    }
    if (turns->first) look_later(turns);
}

void turns_init(struct turns *turns, struct loop *loop, uint64_t bytes_max) {
    *turns = (struct turns){.loop = loop, .bytes_max = bytes_max, .timer.due = refuse_late};
    turns->last = &turns->first;
}

bool turns_take(struct turns *turns, struct turn *turn) {
    if (!turns->first && turns->bytes < turns->bytes_max) return true;
    if (!turns->first) look_later(turns);
    turn->next = NULL;
    turn->since_ns = time_monotonic_ns();
    *turns->last = turn;
    turns->last = &turn->next;
    return false;
}

void turns_leave(struct turns *turns, uint64_t bytes) {
    turns->bytes += bytes;
}

/* Who is refused by the store at its turn is on no way, and the next one comes: so this is a loop. */
void turns_arrive(struct turns *turns, uint64_t bytes) {
    turns->bytes -= bytes;
    if (turns->calling) return;
    turns->calling = true;
    while (turns->first && turns->bytes < turns->bytes_max) {
        struct turn *turn = first_out(turns);
        turn->come(turn, false);
    }
    turns->calling = false;
}
