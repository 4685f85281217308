/* Making and reading the index of attributes. */
#include "store/attr_index.h"

#include "base/json_scan.h"
#include "store/columns.h"

#include <libdeflate.h>
#include <stdlib.h>

enum { INDEX_VERSION = 1, SAMPLE = 8, KEY_BYTES_MAX = 256, SECTION_MAX = 1 << 20, PACK_LEVEL = 1 };

/* ---- making ---- */

struct key {
    bool wanted, dropped;
    uint32_t sampled, present, after; /* after: the key that came behind it last, as a guess */
    size_t bytes;                     /* of its values */
    struct dictionary values;         /* as they are written; code 0 = not there */
    uint16_t *codes;                  /* by row */
};

struct builder {
    struct dictionary names; /* with quotes; code 0 is none */
    struct key *keys;        /* by code */
    bool many;               /* more names than are kept */
    bool failed, no_memory;
};

/* The number of a name; 0 = not kept. Keys mostly follow each other in the same order. */
static uint32_t key_number(struct builder *b, struct slice name, uint32_t before) {
    uint32_t guess = b->keys[before].after;
    if (guess && slice_eq(b->names.texts[guess], name)) return guess;
    if (b->names.count > ATTR_NAMES_MAX || name.len > KEY_BYTES_MAX) {
        uint32_t code = 1;
        while (code < b->names.count && !slice_eq(b->names.texts[code], name)) code++;
        if (code == b->names.count) b->many = true, code = 0;
        return code;
    }
    uint32_t code = dictionary_code(&b->names, name);
    if (code == UINT32_MAX) b->failed = b->no_memory = true, code = 0;
    if (code) b->keys[before].after = code;
    return code;
}

/* One row in SAMPLE, in no step: spans of a trace come in patterns. */
static bool is_sampled(uint32_t row) {
    return (row * UINT32_C(2654435761) >> 16) % SAMPLE == 0;
}

static void sample_row(struct builder *b, struct slice json) {
    struct json_scan scan;
    struct slice name, value;
    uint32_t before = 0;
    json_scan_init(&scan, json);
    while (json_scan_next(&scan, &name, &value) && !b->failed)
        if ((before = key_number(b, name, before))) b->keys[before].sampled++;
}

static int by_sampled(const void *a, const void *b) {
    const struct key *x = *(const struct key *const *)a, *y = *(const struct key *const *)b;
    return x->sampled > y->sampled ? -1 : x->sampled < y->sampled;
}

static bool choose(struct builder *b, uint32_t rows) {
    struct key *order[ATTR_NAMES_MAX + 1];
    uint32_t count = 0;
    for (uint32_t i = 1; i < b->names.count; i++)
        if ((uint64_t)b->keys[i].sampled * ATTR_RARE * SAMPLE >= rows) order[count++] = &b->keys[i];
    if (count) qsort(order, count, sizeof *order, by_sampled);
    for (uint32_t i = 0; i < count && i < ATTR_KEYS_MAX; i++) {
        order[i]->wanted = true;
        order[i]->codes = calloc((size_t)rows + 1, sizeof *order[i]->codes);
        if (!order[i]->codes || dictionary_code(&order[i]->values, (struct slice){NULL, 0}) == UINT32_MAX) return false;
    }
    return true;
}

static void add_value(struct builder *b, struct key *key, uint32_t row, struct slice value) {
    uint32_t before = row ? key->codes[row - 1] : 0, known = key->values.count;
    if (key->codes[row]) return; /* of a key that stands there twice the first counts */
    if (before && slice_eq(key->values.texts[before], value)) {
        key->codes[row] = (uint16_t)before;
        key->present++;
        return;
    }
    uint32_t code = dictionary_code(&key->values, value);
    if (code == UINT32_MAX) {
        b->failed = b->no_memory = true;
        return;
    }
    if (key->values.count > known) key->bytes += value.len + sizeof(uint32_t);
    key->dropped = code > ATTR_VALUES_MAX || key->bytes > ATTR_DICTIONARY_BYTES;
    key->codes[row] = (uint16_t)code;
    key->present += code != 0;
}

static void index_row(struct builder *b, uint32_t row, struct slice json) {
    struct json_scan scan;
    struct slice name, value;
    uint32_t before = 0;
    if (!json.len) return;
    json_scan_init(&scan, json);
    while (json_scan_next(&scan, &name, &value) && !b->failed) {
        if (!(before = key_number(b, name, before))) continue;
        struct key *key = &b->keys[before];
        if (key->wanted && !key->dropped) add_value(b, key, row, value);
    }
    if (scan.failed) b->failed = true;
}

static void put_u32(struct buf *out, uint32_t value) {
    buf_put(out, &value, sizeof value);
}

/* Values that hardly repeat are not worth it. */
static bool is_worth(const struct key *key) {
    enum { FEW = 16, REPEATS = 8 };
    return key->wanted && !key->dropped && key->values.count <= FEW + key->present / REPEATS;
}

static void put_section(struct buf *out, const struct key *key, uint32_t rows, ZSTD_CCtx *zstd, struct buf *plain) {
    buf_clear(plain);
    for (uint32_t i = 1; i < key->values.count; i++) {
        put_u32(plain, (uint32_t)key->values.texts[i].len);
        buf_put_slice(plain, key->values.texts[i]);
    }
    if (key->values.count <= UINT8_MAX + 1)
        for (uint32_t row = 0; row < rows; row++) buf_putc(plain, (char)key->codes[row]);
    else {
        if (plain->len & 1) buf_putc(plain, 0);
        buf_put(plain, key->codes, rows * sizeof *key->codes);
    }
    size_t bound = ZSTD_compressBound(plain->len);
    if (plain->failed || !buf_reserve(out, bound)) {
        out->failed = true;
        return;
    }
    size_t n = ZSTD_compressCCtx(zstd, out->ptr + out->len, bound, plain->ptr, plain->len, PACK_LEVEL);
    if (ZSTD_isError(n))
        out->failed = true;
    else
        out->len += n;
}

/* key_bytes, key, value count, where the section begins behind the directory, its bytes packed and plain, its CRC. */
static void put_index(struct buf *out, const struct builder *b, uint32_t rows, ZSTD_CCtx *zstd,
                      uint32_t *directory_bytes) {
    struct buf sections = {0}, plain = {0};
    size_t mark = out->len;
    put_u32(out, 0);
    put_u32(out, INDEX_VERSION);
    put_u32(out, !b->many);
    put_u32(out, b->names.count ? b->names.count - 1 : 0);
    for (uint32_t i = 1; i < b->names.count; i++) {
        const struct key *key = &b->keys[i];
        size_t at = sections.len;
        if (is_worth(key)) put_section(&sections, key, rows, zstd, &plain);
        size_t len = sections.len - at;
        put_u32(out, (uint32_t)b->names.texts[i].len);
        buf_put_slice(out, b->names.texts[i]);
        put_u32(out, key->values.count);
        put_u32(out, (uint32_t)at);
        put_u32(out, (uint32_t)len);
        put_u32(out, len ? (uint32_t)plain.len : 0);
        put_u32(out, len ? libdeflate_crc32(0, sections.ptr + at, len) : 0);
    }
    *directory_bytes = (uint32_t)(out->len - mark);
    if (!out->failed) {
        uint32_t crc = libdeflate_crc32(0, out->ptr + mark + 4, out->len - mark - 4);
        memcpy(out->ptr + mark, &crc, 4);
    }
    buf_put_slice(out, buf_slice(&sections));
    out->failed |= sections.failed;
    buf_free(&sections);
    buf_free(&plain);
}

bool attr_index_put(struct buf *out, const struct vec *attributes, ZSTD_CCtx *zstd, uint32_t *directory_bytes) {
    struct builder b = {.keys = calloc(ATTR_NAMES_MAX + 2, sizeof *b.keys)};
    *directory_bytes = 0;
    if (!b.keys || dictionary_code(&b.names, (struct slice){NULL, 0}) == UINT32_MAX) b.failed = b.no_memory = true;
    for (uint32_t row = 0; row < attributes->count && !b.failed; row++)
        if (is_sampled(row) && attributes->text[row].len) sample_row(&b, attributes->text[row]);
    if (!b.failed && !choose(&b, attributes->count)) b.failed = b.no_memory = true;
    for (uint32_t row = 0; row < attributes->count && !b.failed; row++) index_row(&b, row, attributes->text[row]);
    /* Texts that are no objects: whoever asks reads them as they are. */
    if (!b.failed) put_index(out, &b, attributes->count, zstd, directory_bytes);
    for (uint32_t i = 0; b.keys && i < ATTR_NAMES_MAX + 2; i++) {
        dictionary_free(&b.keys[i].values);
        free(b.keys[i].codes);
    }
    dictionary_free(&b.names);
    free(b.keys);
    return !b.no_memory && !out->failed;
}

/* ---- reading ---- */

struct directory {
    const uint8_t *at, *end;
    uint32_t left;
    bool whole, failed;
};

struct place {
    struct slice key;
    uint32_t value_count, at, stored, plain, crc;
};

static uint32_t take_u32(struct directory *d) {
    uint32_t value = 0;
    if (d->end - d->at < 4) {
        d->failed = true;
        return 0;
    }
    memcpy(&value, d->at, 4);
    d->at += 4;
    return value;
}

static bool open_directory(struct directory *d, const uint8_t *at, size_t bytes) {
    *d = (struct directory){.at = at, .end = at + bytes};
    uint32_t crc = take_u32(d);
    if (d->failed || libdeflate_crc32(0, at + 4, bytes - 4) != crc || take_u32(d) != INDEX_VERSION) return false;
    d->whole = take_u32(d) == 1;
    d->left = take_u32(d);
    return !d->failed;
}

/* False at the end, or when it is broken. */
static bool next_place(struct directory *d, struct place *place) {
    if (!d->left || d->failed) return false;
    d->left--;
    uint32_t len = take_u32(d);
    if (d->failed || len > (size_t)(d->end - d->at)) {
        d->failed = true;
        return false;
    }
    place->key = slice_make(d->at, len);
    d->at += len;
    place->value_count = take_u32(d);
    place->at = take_u32(d);
    place->stored = take_u32(d);
    place->plain = take_u32(d);
    place->crc = take_u32(d);
    return !d->failed;
}

static bool section_is_right(const uint8_t *sections, size_t bytes, const struct place *place) {
    return place->at <= bytes && place->stored <= bytes - place->at && place->plain <= SECTION_MAX &&
           libdeflate_crc32(0, sections + place->at, place->stored) == place->crc;
}

/* The dictionary in front, then the codes. */
static bool read_section(const uint8_t *plain, const struct place *place, uint32_t rows, struct slice *dict,
                         struct attr_codes *out) {
    size_t at = 0, width = place->value_count <= UINT8_MAX + 1 ? 1 : 2;
    dict[0] = (struct slice){NULL, 0};
    for (uint32_t i = 1; i < place->value_count; i++) {
        uint32_t len;
        if (place->plain - at < 4) return false;
        memcpy(&len, plain + at, 4);
        at += 4;
        if (len > place->plain - at) return false;
        dict[i] = slice_make(plain + at, len);
        at += len;
    }
    if (width == 2) at += at & 1;
    if (at > place->plain || place->plain - at != rows * width) return false;
    out->dict = dict;
    out->dict_count = place->value_count;
    out->codes8 = width == 1 ? plain + at : NULL;
    out->codes16 = NULL;
    if (width == 1) {
        uint8_t most = 0;
        for (uint32_t i = 0; i < rows; i++)
            if (out->codes8[i] > most) most = out->codes8[i];
        return most < place->value_count;
    }
    const uint16_t *codes = (const uint16_t *)(const void *)(plain + at);
    uint16_t most = 0;
    for (uint32_t i = 0; i < rows; i++)
        if (codes[i] > most) most = codes[i];
    out->codes16 = codes;
    return most < place->value_count;
}

bool attr_index_read(const uint8_t *at, size_t bytes, size_t directory_bytes, uint32_t rows, struct slice key,
                     struct arena *arena, struct attr_codes *out, bool *no_memory) {
    struct directory d;
    struct place place;
    bool found = false;
    *no_memory = false;
    *out = (struct attr_codes){0};
    if (directory_bytes > bytes || !open_directory(&d, at, directory_bytes)) return false;
    while (!found && next_place(&d, &place)) found = slice_eq(place.key, key);
    if (d.failed) return false;
    out->absent = !found && d.whole;
    if (!found || !place.stored) return true;
    if (!section_is_right(at + directory_bytes, bytes - directory_bytes, &place) || !place.value_count ||
        place.value_count > UINT16_MAX)
        return false;
    uint8_t *plain = arena_alloc(arena, (size_t)place.plain + 1);
    struct slice *dict = arena_alloc(arena, place.value_count * sizeof *dict);
    if (!plain || !dict) {
        *no_memory = true;
        return false;
    }
    size_t n = ZSTD_decompress(plain, place.plain, at + directory_bytes + place.at, place.stored);
    return !ZSTD_isError(n) && n == place.plain && read_section(plain, &place, rows, dict, out);
}

bool attr_index_check(const uint8_t *at, size_t bytes, size_t directory_bytes) {
    struct directory d;
    struct place place;
    if (directory_bytes > bytes || !open_directory(&d, at, directory_bytes)) return false;
    while (next_place(&d, &place))
        if (place.stored && !section_is_right(at + directory_bytes, bytes - directory_bytes, &place)) return false;
    return !d.failed;
}
