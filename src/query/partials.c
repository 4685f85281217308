/* Kept parts: a table by key, in order of use. */
#include "query/partials.h"

#include "query/filter_internal.h"
#include "query/partials_internal.h"

#include "base/id.h"
#include "base/timestamp.h"

#include <pthread.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { SLOTS = 1 << 14 };
static const int64_t IN_USE_NS = 20 * (int64_t)NS_PER_S;

struct kept {
    struct partial_key key;
    struct partial *partial;
    int64_t used_ns;
    struct kept *next;          /* of its slot */
    struct kept *newer, *older; /* by use */
};

struct partials {
    uint64_t seed;        /* of questions: nobody can choose filters that are taken for another project's */
    pthread_mutex_t lock; /* guards the rest */
    struct kept *slots[SLOTS];
    struct kept *newest, *oldest;
    size_t bytes;
};

struct partials *partials_new(void) {
    struct partials *partials = calloc(1, sizeof *partials);
    if (!partials) return NULL;
    pthread_mutex_init(&partials->lock, NULL);
    partials->seed = random_u64();
    return partials;
}

void partials_free(struct partials *partials) {
    if (!partials) return;
    for (struct kept *kept = partials->newest, *older; kept; kept = older) {
        older = kept->older;
        partial_unref(kept->partial);
        free(kept);
    }
    pthread_mutex_destroy(&partials->lock);
    free(partials);
}

void partial_unref(struct partial *partial) {
    if (partial && atomic_fetch_sub(&partial->references, 1) == 1) free(partial);
}

/* ---- keys ---- */

static uint64_t hash_filter(const struct filter *filter, uint64_t seed, bool *good) {
    if (!filter || !filter->root) return XXH3_64bits_withSeed("", 0, seed);
    if (!filter->text_hash || filter->speaks_of_now) *good = false;
    return XXH3_64bits_withSeed(&filter->text_hash, sizeof filter->text_hash, seed);
}

static uint64_t hash_field(const struct field *field, uint64_t seed) {
    const uint64_t numbers[] = {(uint64_t)field->source, (uint64_t)field->col, (uint64_t)field->usage};
    seed = XXH3_64bits_withSeed(numbers, sizeof numbers, seed);
    return XXH3_64bits_withSeed(field->key.ptr ? field->key.ptr : "", field->key.len, seed);
}

uint64_t partial_question_named(const struct ask *ask, const struct filter *filter, const char *name) {
    struct slice project = ask->request->project;
    bool good = true;
    uint64_t hash = XXH3_64bits_withSeed(name, strlen(name), ask->engine->partials->seed);
    hash = XXH3_64bits_withSeed(project.len ? project.ptr : "", project.len, hash);
    hash = hash_filter(filter, hash, &good);
    return good ? hash | 1 : 0;
}

uint64_t partial_question(const struct ask *ask, const struct agg_spec *specs, uint32_t count) {
    uint64_t hash = partial_question_named(ask, specs->filter, "aggregate");
    bool good = hash != 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct agg_spec *spec = &specs[i];
        const uint64_t numbers[] = {(uint64_t)spec->interval_ns, spec->group_by_count, spec->column_count};
        hash = XXH3_64bits_withSeed(numbers, sizeof numbers, hash);
        for (uint32_t f = 0; f < spec->group_by_count; f++) hash = hash_field(&spec->group_by[f], hash);
        for (uint32_t c = 0; c < spec->column_count; c++) {
            const uint64_t op = (uint64_t)spec->columns[c].op;
            hash = XXH3_64bits_withSeed(&op, sizeof op, hash);
            hash = hash_field(&spec->columns[c].field, hash);
            hash = hash_filter(spec->columns[c].where, hash, &good);
        }
    }
    return good ? hash | 1 : 0;
}

static uint64_t hash_mends(const struct mend *mend) {
    uint64_t hash = 0;
    for (uint32_t i = 0; mend && i < mend->count; i++) {
        const struct mend_row *row = &mend->rows[i];
        const uint64_t numbers[] = {row->row, (uint64_t)row->moved << 1 | row->drop, (uint64_t)row->flags};
        hash = XXH3_64bits_withSeed(numbers, sizeof numbers, hash + 1);
        hash = XXH3_64bits_withSeed(row->trace_id, TRACE_ID_SIZE, hash);
        for (int t = 0; t < MEND_TEXTS; t++)
            hash = XXH3_64bits_withSeed(row->text[t].len ? row->text[t].ptr : "", row->text[t].len, hash);
    }
    return hash;
}

bool partial_key_of(uint64_t question, const struct rowgroup *group, const struct mend *mend, int64_t from_ns,
                    int64_t to_ns, struct partial_key *key) {
    if (!question || !group->segment || group->min_start_ns < from_ns || group->max_start_ns >= to_ns) return false;
    *key = (struct partial_key){question, group->segment, hash_mends(mend), group->index};
    return true;
}

static struct kept **slot_of(struct partials *partials, const struct partial_key *key) {
    const uint64_t numbers[] = {key->question, key->segment, key->mends, key->index};
    return &partials->slots[XXH3_64bits(numbers, sizeof numbers) % SLOTS];
}

static bool key_same(const struct partial_key *a, const struct partial_key *b) {
    return a->question == b->question && a->segment == b->segment && a->mends == b->mends && a->index == b->index;
}

/* ---- the list ---- */

static void take_out(struct partials *partials, struct kept *kept) {
    *(kept->newer ? &kept->newer->older : &partials->newest) = kept->older;
    *(kept->older ? &kept->older->newer : &partials->oldest) = kept->newer;
}

static void put_first(struct partials *partials, struct kept *kept) {
    kept->newer = NULL;
    kept->older = partials->newest;
    *(partials->newest ? &partials->newest->newer : &partials->oldest) = kept;
    partials->newest = kept;
    kept->used_ns = time_monotonic_ns();
}

static void drop(struct partials *partials, struct kept *kept) {
    struct kept **link = slot_of(partials, &kept->key);
    while (*link != kept) link = &(*link)->next;
    *link = kept->next;
    take_out(partials, kept);
    partials->bytes -= kept->partial->bytes;
    partial_unref(kept->partial);
    free(kept);
}

/* Under the lock. */
static struct kept *look(struct partials *partials, const struct partial_key *key) {
    struct kept *kept = *slot_of(partials, key);
    while (kept && !key_same(&kept->key, key)) kept = kept->next;
    return kept;
}

struct partial *partials_find(struct partials *partials, const struct partial_key *key) {
    struct partial *found = NULL;
    pthread_mutex_lock(&partials->lock);
    struct kept *kept = look(partials, key);
    if (kept) {
        take_out(partials, kept);
        put_first(partials, kept);
        found = kept->partial;
        atomic_fetch_add(&found->references, 1);
    }
    pthread_mutex_unlock(&partials->lock);
    return found;
}

void partials_put(struct partials *partials, const struct partial_key *key, struct partial *partial) {
    struct kept *kept = partial ? calloc(1, sizeof *kept) : NULL;
    if (!kept) {
        partial_unref(partial);
        return;
    }
    int64_t now_ns = time_monotonic_ns();
    pthread_mutex_lock(&partials->lock);
    while (partials->oldest && partials->bytes + partial->bytes > PARTIALS_BYTES_MAX &&
           now_ns - partials->oldest->used_ns > IN_USE_NS)
        drop(partials, partials->oldest);
    bool fits = partials->bytes + partial->bytes <= PARTIALS_BYTES_MAX && !look(partials, key);
    if (fits) {
        struct kept **slot = slot_of(partials, key);
        *kept = (struct kept){.key = *key, .partial = partial, .next = *slot};
        *slot = kept;
        put_first(partials, kept);
        partials->bytes += partial->bytes;
    }
    pthread_mutex_unlock(&partials->lock);
    if (fits) return;
    partial_unref(partial);
    free(kept);
}
