/* Who goes to the store next: so many bytes of a loop's batches are on their way at a time, and the requests behind
 * them wait as they came, not read yet by us. Waiting costs a sender less than being refused and sending again, and a
 * body costs less memory than what is made of it. Each loop has its own, on its thread alone. */
#ifndef SERVE_TURNS_H
#define SERVE_TURNS_H

#include "base/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct turn {
    struct turn *next;
    /* Its turn has come; or `late`: it waited for too long and is to be refused. Called once, from the loop. */
    void (*come)(struct turn *turn, bool late);
    int64_t since_ns;
};

struct turns {
    uint64_t bytes, bytes_max; /* on their way */
    struct turn *first, **last;
    struct loop *loop;
    struct loop_timer timer; /* for those that wait too long */
    bool calling;
};

void turns_init(struct turns *turns, struct loop *loop, uint64_t bytes_max);
/* True: go on at once. False: `turn` waits, and its `come` is called later. */
bool turns_take(struct turns *turns, struct turn *turn);
/* What went on is on its way with so many bytes; and is there: who waits may come. */
void turns_leave(struct turns *turns, uint64_t bytes);
void turns_arrive(struct turns *turns, uint64_t bytes);

#endif
