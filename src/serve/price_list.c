/* See price_list.h. */
#include "serve/price_list.h"

#include "base/log.h"

#include <stdlib.h>

int price_list_open(struct price_list *list, const char *path, struct error *err) {
    struct prices *table;
    int code = prices_load(&table, path, err);
    if (code) return code;
    list->path = path;
    pthread_mutex_init(&list->lock, NULL);
    atomic_store(&list->table, table);
    return 0;
}

void price_list_close(struct price_list *list) {
    for (size_t i = 0; i < list->old_count; i++) prices_free(list->old[i]);
    free(list->old);
    prices_free(atomic_load(&list->table));
    *list = (struct price_list){0};
}

int price_list_renew(struct price_list *list, struct error *err) {
    struct prices *table, **old;
    int code = prices_load(&table, list->path, err);
    if (code) return code;
    pthread_mutex_lock(&list->lock);
    struct prices *before = atomic_load(&list->table);
    bool same = prices_equal(table, before);
    if (!same && !(old = realloc(list->old, (list->old_count + 1) * sizeof *old)))
        code = error_set(err, VT_ENOMEM, "no memory for prices");
    else if (!same) {
        list->old = old;
        list->old[list->old_count++] = before;
        atomic_store_explicit(&list->table, table, memory_order_release);
        table = NULL;
    }
    pthread_mutex_unlock(&list->lock);
    prices_free(table);
    if (!code && !same) log_info("prices are read anew%s%s", list->path ? " from " : "", list->path ? list->path : "");
    return code;
}
