/* The shelf, and a search that counts shared words. */
#include "catalogue.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const struct product products[] = {
    {"ALP-12",
     "Alpine Shell",
     "waterproof jacket for rain and wind, three layers, taped seams, hood",
     189,
     {"S", "M", "L", "XL"},
     {4, 7, 0, 2}},
    {"DRZ-01",
     "Drizzle Anorak",
     "light packable rain jacket for the city and short showers",
     89,
     {"S", "M", "L", "XL"},
     {12, 9, 14, 6}},
    {"RDG-07",
     "Ridge Mid",
     "hiking boots, mid height, leather, for scree and long walks",
     159,
     {"41", "42", "43", "44"},
     {3, 5, 0, 1}},
    {"TRN-02", "Tarn 2", "tent for two, 1.8 kg, freestanding", 299, {"one size"}, {8}},
    {"TRN-03", "Tarn 3", "tent for three or for two and a dog, 2.4 kg, large porch", 349, {"one size"}, {5}},
    {"MUG-02", "Enamel Mug Set", "two mugs, a gift that always fits", 24, {"one size"}, {40}},
};
enum { PRODUCTS = sizeof products / sizeof *products, SIZES = 4 };

const struct product *product_by_sku(const char *sku) {
    for (size_t i = 0; i < PRODUCTS; i++)
        if (strcasecmp(products[i].sku, sku) == 0) return &products[i];
    return NULL;
}

int product_stock(const struct product *product, const char *size) {
    int all = 0;
    for (size_t i = 0; i < SIZES && product->sizes[i]; i++) {
        if (size && strcasecmp(product->sizes[i], size) == 0) return product->in_stock[i];
        all += product->in_stock[i];
    }
    return all;
}

/* How many words of `text` with four letters or more stand in `in`. */
static unsigned shared_words(const char *text, const char *in) {
    unsigned shared = 0;
    while (*text) {
        size_t len = 0;
        while (isalnum((unsigned char)text[len])) len++;
        char word[32];
        if (len >= 4 && len < sizeof word) {
            memcpy(word, text, len);
            word[len] = 0;
            if (strcasestr(in, word)) shared++;
        }
        text += len ? len : 1;
    }
    return shared;
}

size_t catalogue_search(const char *text, const struct product *found[FOUND_MAX]) {
    unsigned scores[FOUND_MAX] = {0};
    size_t count = 0;
    for (size_t i = 0; i < PRODUCTS; i++) {
        unsigned score = 2 * shared_words(text, products[i].name) + shared_words(text, products[i].about);
        if (!score) continue;
        size_t at = count < FOUND_MAX ? count++ : FOUND_MAX - 1;
        if (at == FOUND_MAX - 1 && scores[at] >= score) continue;
        for (; at > 0 && scores[at - 1] < score; at--) scores[at] = scores[at - 1], found[at] = found[at - 1];
        scores[at] = score;
        found[at] = &products[i];
    }
    return count;
}
