/* What the shop sells: a fixed catalogue with stock. Read-only; any thread. */
#ifndef STOREFRONT_CATALOGUE_H
#define STOREFRONT_CATALOGUE_H

#include <stddef.h>

struct product {
    const char *sku, *name, *about;
    double price_eur;
    const char *sizes[4];
    int in_stock[4]; /* by size */
};

enum { FOUND_MAX = 3 };

const struct product *product_by_sku(const char *sku); /* NULL when there is none */
/* How many of that size are there; of all sizes together when the product has none of that name. */
int product_stock(const struct product *product, const char *size);
/* The products whose name or description shares most words with the text; returns how many (≤ FOUND_MAX). */
size_t catalogue_search(const char *text, const struct product *found[FOUND_MAX]);

#endif
