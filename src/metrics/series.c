/* Open addressing over label hashes; the table never grows past its bound. */
#include "metrics/series.h"

#include "metrics/exposition.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

const double token_bounds[HISTOGRAM_BUCKETS] = {1,     4,     16,     64,      256,     1024,     4096,
                                                16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864};
const double duration_bounds[HISTOGRAM_BUCKETS] = {0.01, 0.02, 0.04, 0.08,  0.16,  0.32,  0.64,
                                                   1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92};

const char *const label_names[LABEL_STYLES][LABELS] = {
    {"service", "provider", "model", "operation", "status"},
    {"service_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_operation_name", "status"}};

enum { LABEL_BYTES_MAX = 200, OVERFLOW_RESERVE = 16 };

int histogram_bucket(const double *bounds, double value) {
    int bucket = 0;
    while (bucket < HISTOGRAM_BUCKETS && value > bounds[bucket]) bucket++;
    return bucket;
}

void histogram_add(struct histogram *h, const double *bounds, double value, double weight) {
    h->counts[histogram_bucket(bounds, value)] += weight;
    h->sum += value * weight;
    h->total += weight;
}

bool series_table_init(struct series_table *t, uint32_t max) {
    memset(t, 0, sizeof *t);
    t->max = max;
    t->reserve = OVERFLOW_RESERVE;
    t->slot_count = 64;
    while (t->slot_count < 2 * (max + t->reserve)) t->slot_count *= 2;
    t->slots = calloc(t->slot_count, sizeof(struct series *));
    t->all = calloc(max + t->reserve, sizeof(struct series *));
    return t->slots && t->all;
}

void series_table_free(struct series_table *t) {
    for (uint32_t i = 0; i < t->count; i++) free(t->all[i]);
    free(t->slots);
    free(t->all);
    arena_free(&t->arena);
}

static uint64_t hash_labels(int64_t kind, const struct slice labels[LABELS]) {
    uint64_t hash = (uint64_t)kind;
    for (int i = 0; i < LABELS; i++)
        hash = XXH3_64bits_withSeed(labels[i].ptr ? labels[i].ptr : "", labels[i].len, hash + 1);
    return hash;
}

static bool same(const struct series *s, uint64_t hash, int64_t kind, const struct slice labels[LABELS]) {
    bool equal = s->hash == hash && s->kind == kind;
    for (int i = 0; equal && i < LABELS; i++) equal = slice_eq(s->labels[i], labels[i]);
    return equal;
}

static struct series *find(const struct series_table *t, int64_t kind, const struct slice labels[LABELS], uint64_t hash,
                           uint32_t *free_slot) {
    uint32_t at = (uint32_t)hash & (t->slot_count - 1);
    for (; t->slots[at]; at = (at + 1) & (t->slot_count - 1))
        if (same(t->slots[at], hash, kind, labels)) return t->slots[at];
    *free_slot = at;
    return NULL;
}

const struct series *series_table_find(const struct series_table *t, int64_t kind, const struct slice labels[LABELS]) {
    uint32_t slot;
    return find(t, kind, labels, hash_labels(kind, labels), &slot);
}

void series_put_labels(const struct series *s, enum label_style style, struct buf *out) {
    bool first = true;
    for (int i = 0; i < LABELS; i++) {
        exposition_put_label(out, first, label_names[style][i], s->labels[i]);
        first = first && !s->labels[i].len;
    }
}

/* A copy of the labels, and their text, which is written again and again later. */
static bool keep_labels(struct series_table *t, struct series *s, const struct slice labels[LABELS]) {
    struct buf text = {0};
    bool kept = true;
    for (int i = 0; i < LABELS; i++) {
        s->labels[i] = arena_copy(&t->arena, labels[i]);
        kept = kept && s->labels[i].len == labels[i].len;
    }
    for (int style = 0; kept && style < LABEL_STYLES; style++) {
        buf_clear(&text);
        series_put_labels(s, (enum label_style)style, &text);
        s->text[style] = arena_copy(&t->arena, buf_slice(&text));
        kept = !text.failed && s->text[style].len == text.len;
    }
    buf_free(&text);
    return kept;
}

struct series *series_table_get(struct series_table *t, int64_t kind, const struct slice given[LABELS]) {
    struct slice labels[LABELS];
    uint32_t slot;
    for (int i = 0; i < LABELS; i++)
        labels[i] = given[i].len > LABEL_BYTES_MAX ? slice_make(given[i].ptr, LABEL_BYTES_MAX) : given[i];
    /* First as it is, then with all but the service folded, then with the service folded too. */
    for (int fold = 0; fold < 3; fold++) {
        if (fold == 1) labels[LABEL_PROVIDER] = labels[LABEL_MODEL] = labels[LABEL_OPERATION] = SLICE("overflow");
        if (fold == 2) labels[LABEL_SERVICE] = labels[LABEL_STATUS] = SLICE("overflow");
        if (fold) t->refused += fold == 1;
        uint64_t hash = hash_labels(kind, labels);
        struct series *s = find(t, kind, labels, hash, &slot);
        if (s) return s;
        /* The last places are kept for overflow: of services while there are two or more, then of everything. */
        uint32_t room = fold == 0 ? t->max : fold == 1 ? t->max + t->reserve - 2 : t->max + t->reserve;
        if (t->count >= room) continue;
        if (!(s = calloc(1, sizeof *s))) return NULL;
        if (!keep_labels(t, s, labels)) {
            free(s);
            return NULL;
        }
        s->hash = hash;
        s->kind = kind;
        t->slots[slot] = t->all[t->count++] = s;
        return s;
    }
    return NULL;
}
