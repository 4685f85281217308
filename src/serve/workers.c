/* See workers.h: one mutex, one condition, a list. */
#include "serve/workers.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct workers {
    const char *name;
    pthread_mutex_t lock; /* over all below */
    pthread_cond_t wake;
    struct workers_job *first, **last;
    struct workers_stats stats;
    bool stopping;
    pthread_t threads[];
};

static void *workers_main(void *arg) {
    struct workers *workers = arg;
    pthread_setname_np(pthread_self(), workers->name);
    pthread_mutex_lock(&workers->lock);
    for (;;) {
        while (!workers->first && !workers->stopping) pthread_cond_wait(&workers->wake, &workers->lock);
        struct workers_job *job = workers->first;
        if (!job) break;
        workers->first = job->next;
        if (!workers->first) workers->last = &workers->first;
        workers->stats.waiting--;
        workers->stats.busy++;
        pthread_mutex_unlock(&workers->lock);
        job->run(job);
        pthread_mutex_lock(&workers->lock);
        workers->stats.busy--;
        workers->stats.done++;
    }
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

int workers_start(struct workers **out, const char *name, unsigned threads, unsigned queue_max, struct error *err) {
    struct workers *workers = calloc(1, sizeof *workers + threads * sizeof workers->threads[0]);
    if (!workers) return error_set(err, VT_ENOMEM, "no memory for %u query threads", threads);
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->wake, NULL);
    workers->name = name;
    workers->last = &workers->first;
    workers->stats.queue_max = queue_max;
    for (; workers->stats.threads < threads; workers->stats.threads++) {
        int failed = pthread_create(&workers->threads[workers->stats.threads], NULL, workers_main, workers);
        if (!failed) continue;
        workers_stop(workers);
        return error_set(err, VT_EIO, "cannot start a query thread: %s", strerror(failed));
    }
    *out = workers;
    return 0;
}

bool workers_add(struct workers *workers, struct workers_job *job) {
    pthread_mutex_lock(&workers->lock);
    bool taken = workers->stats.waiting < workers->stats.queue_max && !workers->stopping;
    if (taken) {
        job->next = NULL;
        *workers->last = job;
        workers->last = &job->next;
        workers->stats.waiting++;
        pthread_cond_signal(&workers->wake);
    } else {
        workers->stats.refused++;
    }
    pthread_mutex_unlock(&workers->lock);
    return taken;
}

void workers_get_stats(struct workers *workers, struct workers_stats *stats) {
    pthread_mutex_lock(&workers->lock);
    *stats = workers->stats;
    pthread_mutex_unlock(&workers->lock);
}

void workers_stop(struct workers *workers) {
    if (!workers) return;
    pthread_mutex_lock(&workers->lock);
    workers->stopping = true;
    pthread_cond_broadcast(&workers->wake);
    pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->stats.threads; i++) pthread_join(workers->threads[i], NULL);
    pthread_cond_destroy(&workers->wake);
    pthread_mutex_destroy(&workers->lock);
    free(workers);
}
