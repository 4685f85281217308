/* Inside span: the public prices that are built in. */
#ifndef SPAN_PRICES_TABLE_H
#define SPAN_PRICES_TABLE_H

#include <stddef.h>

/* The day of which the table is; prices that changed later are not in it. */
#define PRICES_AS_OF "2025-11-24"

struct price_row {
    const char *provider, *model, *valid_from; /* valid_from NULL: since ever */
    double input, cached, cache_write, output; /* US dollars per million tokens; cached and cache_write 0: as input */
};
extern const struct price_row price_rows[];
extern const size_t price_row_count;

#endif
