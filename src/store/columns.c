/* Gathering fields of spans into vectors. */
#include "store/columns.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { FIRST_SLOTS = 256, FIRST_TEXTS = 64 };

static bool grow_slots(struct dictionary *d) {
    uint32_t count = d->slot_count ? 4 * d->slot_count : FIRST_SLOTS;
    uint32_t *slots = calloc(count, sizeof *slots);
    if (!slots) return false;
    for (uint32_t code = 1; code < d->count; code++) {
        uint32_t at = (uint32_t)XXH3_64bits(d->texts[code].ptr, d->texts[code].len) & (count - 1);
        while (slots[at]) at = (at + 1) & (count - 1);
        slots[at] = code;
    }
    free(d->slots);
    d->slots = slots;
    d->slot_count = count;
    return true;
}

static bool grow_texts(struct dictionary *d) {
    uint32_t capacity = d->text_capacity ? 2 * d->text_capacity : FIRST_TEXTS;
    struct slice *texts = realloc(d->texts, capacity * sizeof *texts);
    if (!texts) return false;
    d->texts = texts;
    d->text_capacity = capacity;
    return true;
}

uint32_t dictionary_code(struct dictionary *d, struct slice text) {
    if (d->count == d->text_capacity && !grow_texts(d)) return UINT32_MAX;
    if (!d->count) d->texts[d->count++] = (struct slice){NULL, 0};
    if (!text.len) return 0;
    if (d->count == d->text_capacity && !grow_texts(d)) return UINT32_MAX;
    if (2 * d->count >= d->slot_count && !grow_slots(d)) return UINT32_MAX;
    uint32_t at = (uint32_t)XXH3_64bits(text.ptr, text.len) & (d->slot_count - 1);
    for (; d->slots[at]; at = (at + 1) & (d->slot_count - 1))
        if (slice_eq(d->texts[d->slots[at]], text)) return d->slots[at];
    d->texts[d->count] = text;
    d->slots[at] = d->count;
    return d->count++;
}

void dictionary_free(struct dictionary *d) {
    free(d->texts);
    free(d->slots);
    *d = (struct dictionary){0};
}

size_t column_value_bytes(enum col col) {
    static const size_t sizes[] = {[COL_INT] = sizeof(int64_t),
                                   [COL_DOUBLE] = sizeof(double),
                                   [COL_DICT] = sizeof(uint32_t),
                                   [COL_STRING] = sizeof(struct slice)};
    return span_columns[col].type == COL_BYTES ? span_columns[col].width : sizes[span_columns[col].type];
}

void vec_use(struct vec *vec, enum col col, uint32_t count, void *memory) {
    *vec = (struct vec){.type = span_columns[col].type, .count = count};
    switch (vec->type) {
    case COL_BYTES: vec->bytes = memory; break;
    case COL_INT: vec->ints = memory; break;
    case COL_DOUBLE: vec->doubles = memory; break;
    case COL_STRING: vec->text = memory; break;
    case COL_DICT: vec->codes = memory; break;
    }
}

static int no_memory(enum col col, struct error *err) {
    return error_set(err, VT_ENOMEM, "no memory for column %s", span_columns[col].name);
}

static int dict_column(const struct span *const *rows, uint32_t count, enum col col, struct arena *arena,
                       struct vec *out, struct error *err) {
    struct dictionary d = {0};
    uint32_t *codes = arena_alloc(arena, count * sizeof *codes), code = 0;
    struct slice last = {NULL, 0};
    bool failed = !codes || dictionary_code(&d, last) == UINT32_MAX;
    for (uint32_t i = 0; i < count && !failed; i++) {
        struct slice text = span_get_text(rows[i], col);
        /* Neighbours mostly say the same. */
        if (!slice_eq(text, last)) code = dictionary_code(&d, text), last = text;
        failed = code == UINT32_MAX;
        codes[i] = code;
    }
    struct slice *dict = failed ? NULL : arena_alloc(arena, d.count * sizeof *dict);
    if (dict) memcpy(dict, d.texts, d.count * sizeof *dict);
    *out = (struct vec){.type = COL_DICT, .count = count, .codes = codes, .dict = dict, .dict_count = d.count};
    dictionary_free(&d);
    return dict ? 0 : no_memory(col, err);
}

int rows_column(const struct span *const *rows, uint32_t count, enum col col, struct arena *arena, struct vec *out,
                struct error *err) {
    const struct column *c = &span_columns[col];
    if (c->type == COL_DICT) return dict_column(rows, count, col, arena, out, err);
    size_t width = column_value_bytes(col);
    char *to = arena_alloc(arena, count * width + 1);
    if (!to) return no_memory(col, err);
    for (uint32_t i = 0; i < count; i++) memcpy(to + i * width, (const char *)rows[i] + c->offset, width);
    vec_use(out, col, count, to);
    return 0;
}
