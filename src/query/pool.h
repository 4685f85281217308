/* A few threads that help requests with their scans. A request never waits for a helper: its own thread works too, and
 * help that did not come in time is called off. */
#ifndef QUERY_POOL_H
#define QUERY_POOL_H

struct pool;

struct pool *pool_new(unsigned helpers); /* 0 is fine; NULL when memory or threads ran out */
void pool_free(struct pool *pool);       /* nothing may be running; NULL is fine */

/* Calls work(ctx, worker) on this thread as worker 0 and, as helpers are free, on others as 1 … workers-1; each number
 * is used at most once. Returns when all that began have ended. Any thread. */
void pool_run(struct pool *pool, unsigned workers, void (*work)(void *ctx, unsigned worker), void *ctx);

#endif
