/* Helper threads, and the list of tasks that could use one. */
#include "query/pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct task {
    struct task *next;
    void (*work)(void *, unsigned);
    void *ctx;
    unsigned workers, taken, running; /* numbers given out; helpers at work */
};

struct pool {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t wake, done;
    struct task *tasks; /* that still take helpers */
    bool stop;
    unsigned count;
    pthread_t threads[];
};

static void unlink_task(struct pool *pool, const struct task *task) {
    for (struct task **at = &pool->tasks; *at; at = &(*at)->next)
        if (*at == task) {
            *at = task->next;
            return;
        }
}

static void *help(void *ctx) {
    struct pool *pool = ctx;
    pthread_mutex_lock(&pool->lock);
    while (!pool->stop) {
        struct task *task = pool->tasks;
        if (!task) {
            pthread_cond_wait(&pool->wake, &pool->lock);
            continue;
        }
        unsigned worker = task->taken++;
        task->running++;
        if (task->taken == task->workers) unlink_task(pool, task);
        pthread_mutex_unlock(&pool->lock);
        task->work(task->ctx, worker);
        pthread_mutex_lock(&pool->lock);
        if (--task->running == 0) pthread_cond_broadcast(&pool->done);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

struct pool *pool_new(unsigned helpers) {
    struct pool *pool = calloc(1, sizeof *pool + helpers * sizeof *pool->threads);
    if (!pool) return NULL;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    for (; pool->count < helpers; pool->count++)
        if (pthread_create(&pool->threads[pool->count], NULL, help, pool)) {
            pool_free(pool);
            return NULL;
        }
    return pool;
}

void pool_free(struct pool *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->count; i++) pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_cond_destroy(&pool->done);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

void pool_run(struct pool *pool, unsigned workers, void (*work)(void *, unsigned), void *ctx) {
    struct task task = {.work = work, .ctx = ctx, .workers = workers, .taken = 1};
    if (workers < 2 || !pool->count) {
        work(ctx, 0);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    struct task **last = &pool->tasks;
    while (*last) last = &(*last)->next;
    *last = &task;
    if (workers == 2)
        pthread_cond_signal(&pool->wake);
    else
        pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    work(ctx, 0);
    pthread_mutex_lock(&pool->lock);
    unlink_task(pool, &task);
    while (task.running) pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}
