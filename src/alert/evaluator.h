/* The monitors of a file, asked once around: what each reads, what state follows, whom to tell. alerts.c does it every
 * ten seconds; a test does it with clocks of its own. */
#ifndef ALERT_EVALUATOR_H
#define ALERT_EVALUATOR_H

#include "alert/alert_db.h"
#include "alert/measure.h"
#include "alert/watch.h"

#include <pthread.h>
#include <sys/stat.h>

/* Whoever reads or writes what is under the lock holds it; one thread at a time calls evaluator_round. */
struct evaluator {
    struct asker asker;
    const char *file_path, *page_url; /* the owner's; may be NULL */
    int64_t interval_ns;
    int64_t (*now_ns)(void), (*monotonic_ns)(void);

    pthread_mutex_t *lock; /* the owner's, guards what follows */
    struct alert_db *db;
    struct monitor_file file;
    struct arena file_arena;
    struct error *faults; /* of each monitor of the file: why it was not evaluated last time; code 0 = it was */
    struct timespec file_time;
    off_t file_size;
    struct error file_problem;
    const bool *stop;

    /* The round's own. */
    struct monitor_memory *memories[MONITORS_MAX]; /* in the order of the file; NULL = none yet */
    struct watch watch;
    bool watch_loaded;
    int64_t last_ns; /* monotonic time of the round before; 0 = none */
};

/* Reads the monitors again when the file changed; one that cannot be read leaves the old ones running. Under the lock.
 */
void evaluator_reload(struct evaluator *evaluator);
/* Evaluates all monitors. Takes the lock, but not while a question is asked. */
void evaluator_round(struct evaluator *evaluator);
/* Whether a silence of this name means something: "*", or a monitor of the file. Under the lock. */
bool evaluator_knows(const struct evaluator *evaluator, struct slice monitor);
void evaluator_free(struct evaluator *evaluator); /* what it allocated; not the database */

#endif
