/* The prices that the server goes by: read at the start, and anew when costs are recomputed, since the user's file may
 * have changed. Any thread. */
#ifndef SERVE_PRICE_LIST_H
#define SERVE_PRICE_LIST_H

#include "span/prices.h"

#include <pthread.h>
#include <stdatomic.h>

struct price_list {
    const char *path;               /* the user's file; NULL = none */
    _Atomic(struct prices *) table; /* in force; never NULL once open */
    pthread_mutex_t lock;           /* guards the next two */
    struct prices **old;            /* those before: a batch may still go by one, so they stay until the end */
    size_t old_count;
};

/* `path` is borrowed. Codes as of prices_load. */
int price_list_open(struct price_list *list, const char *path, struct error *err);
void price_list_close(struct price_list *list); /* nothing may use a table any more */
/* Stays valid until price_list_close. */
static inline const struct prices *price_list_get(struct price_list *list) {
    return atomic_load_explicit(&list->table, memory_order_acquire);
}
/* Reads the file again; what comes in from now on is priced by it. On failure all stays as it is. */
int price_list_renew(struct price_list *list, struct error *err);

#endif
