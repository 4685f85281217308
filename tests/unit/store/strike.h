/* Stands in the way of libc's write, writev, pwrite, fsync, fdatasync, ftruncate, rename and unlink, for our own code
 * and for SQLite's: the process is killed, or finds the disk full, at one call of them. */
#ifndef TEST_STORE_STRIKE_H
#define TEST_STORE_STRIKE_H

enum how { NOTHING, DIE_BEFORE, DIE_AFTER, DIE_IN_THE_MIDDLE, DISK_FULL };
enum { FULL_CALLS = 12 }; /* so many calls find the disk full, from the one that is struck on */

/* Before the fork of the process that is to be struck: counts from 0. */
void strike_prepare(void);
/* In that process: it is struck at the call of this number, from 1. */
void strike(enum how how, int at_call);
/* How many calls it came to. */
int strike_calls(void);

#endif
