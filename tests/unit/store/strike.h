/* Stands in the way of libc's write, writev, pwrite, fsync, fdatasync, ftruncate, rename and unlink, for our own code
 * and for SQLite's: the process is killed, or finds the disk full, at one call of them. */
#ifndef TEST_STORE_STRIKE_H
#define TEST_STORE_STRIKE_H

#include <stdbool.h>

enum how { NOTHING, DIE_BEFORE, DIE_AFTER, DIE_IN_THE_MIDDLE, DISK_FULL };
enum { FULL_CALLS = 12 }; /* so many calls find the disk full, from the one that is struck on */

/* One life in a process of its own, which is struck at the call of this number, from 1; calls are counted from 0 again.
 * True when it was killed, false when it came to its natural end; another signal fails the test. */
bool strike_life(enum how how, int at_call, void (*live)(void));
/* How many calls the last life came to. */
int strike_calls(void);

#endif
