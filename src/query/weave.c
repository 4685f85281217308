/* Keeping the weave: what is new in a snapshot is looked at, suspect traces are put together, and the corrections are
 * handed out. */
#include "query/weave_internal.h"

#include "store/trace_list.h"

#include <stdlib.h>

enum {
    LOOKS_KEPT = 64, /* a group that was in none of so many snapshots is forgotten */
    LISTS_AHEAD = 8  /* the disk is asked for so many lists at a time: whoever asks for one trace is not behind all */
};

struct weave_view {
    atomic_int references;
    struct arena arena; /* the corrections and their texts */
    uint32_t count;
    struct mend *mends;
    struct group_index **indexes;
};

/* ---- maps ---- */

static uint32_t *slot_of(const struct id_map *map, const uint8_t *id) {
    uint32_t at = trace_hash(id) & (map->slot_count - 1);
    while (map->slots[at] && memcmp(map->ids[map->slots[at] - 1], id, TRACE_ID_SIZE) != 0)
        at = (at + 1) & (map->slot_count - 1);
    return &map->slots[at];
}

uint32_t id_map_find(const struct id_map *map, const uint8_t *id) {
    if (!map->count) return NONE;
    uint32_t number = *slot_of(map, id);
    return number ? number - 1 : NONE;
}

/* Slots begin where the hash says, which is trace_hash. */
bool id_map_has_hash(const struct id_map *map, uint32_t hash) {
    if (!map->count) return false;
    for (uint32_t at = hash & (map->slot_count - 1); map->slots[at]; at = (at + 1) & (map->slot_count - 1))
        if (trace_hash(map->ids[map->slots[at] - 1]) == hash) return true;
    return false;
}

static bool id_map_grow(struct id_map *map) {
    uint32_t slot_count = map->slot_count ? 4 * map->slot_count : 256;
    uint32_t *slots = calloc(slot_count, sizeof *slots), *old = map->slots;
    uint8_t(*ids)[TRACE_ID_SIZE] = slots ? realloc(map->ids, (size_t)slot_count / 2 * TRACE_ID_SIZE) : NULL;
    if (!ids) {
        free(slots);
        return false;
    }
    map->ids = ids;
    map->slots = slots;
    map->slot_count = slot_count;
    for (uint32_t i = 0; i < map->count; i++) *slot_of(map, ids[i]) = i + 1;
    free(old);
    return true;
}

uint32_t id_map_put(struct id_map *map, const uint8_t *id, bool *fresh) {
    *fresh = false;
    if (map->count * 2 >= map->slot_count && !id_map_grow(map)) return NONE;
    uint32_t *slot = slot_of(map, id);
    if (*slot) return *slot - 1;
    *fresh = true;
    memcpy(map->ids[map->count], id, TRACE_ID_SIZE);
    *slot = ++map->count;
    return map->count - 1;
}

void id_map_free(struct id_map *map) {
    free(map->ids);
    free(map->slots);
    *map = (struct id_map){0};
}

void span_key(const uint8_t *span_id, uint8_t key[TRACE_ID_SIZE]) {
    memcpy(key, span_id, SPAN_ID_SIZE);
    memset(key + SPAN_ID_SIZE, 0xff, TRACE_ID_SIZE - SPAN_ID_SIZE);
}

/* Room for one more; false without memory. */
static bool grow(void *array, uint32_t count, uint32_t *capacity, size_t size) {
    void **at = array;
    if (count < *capacity) return true;
    uint32_t more = *capacity ? 2 * *capacity : 64;
    void *memory = realloc(*at, more * size);
    if (!memory) return false;
    *at = memory;
    *capacity = more;
    return true;
}

/* ---- classes ---- */

uint32_t node_root(struct weave *w, uint32_t node) {
    while (w->nodes[node].up != node) node = w->nodes[node].up = w->nodes[w->nodes[node].up].up;
    return node;
}

static uint32_t node_of(struct look *look, const uint8_t *trace_id, uint64_t group) {
    struct weave *w = look->weave;
    bool fresh;
    uint32_t n = id_map_put(&w->node_ids, trace_id, &fresh);
    if (n == NONE || !grow(&w->nodes, n, &w->node_capacity, sizeof *w->nodes)) {
        look->failed = true;
        return NONE;
    }
    struct node *node = &w->nodes[n];
    if (fresh) *node = (struct node){.up = n, .next = n};
    uint32_t g = 0;
    while (g < node->group_count && node->groups[g] != group) g++;
    if (g < node->group_count) return n;
    if (node->group_count == node->group_capacity) {
        uint32_t capacity = node->group_capacity ? 2 * node->group_capacity : 2;
        uint64_t *groups = realloc(node->groups, capacity * sizeof *groups);
        if (!groups) {
            look->failed = true;
            return NONE;
        }
        node->groups = groups;
        node->group_capacity = capacity;
    }
    node->groups[node->group_count++] = group;
    return n;
}

void suspect(struct look *look, const uint8_t *trace_id, uint64_t group) {
    uint32_t n = node_of(look, trace_id, group);
    if (n != NONE) look->weave->nodes[node_root(look->weave, n)].dirty = true;
}

void suspect_union(struct look *look, const uint8_t *child_trace, uint64_t child_group, const uint8_t *parent_trace,
                   uint64_t parent_group) {
    struct weave *w = look->weave;
    uint32_t child = node_of(look, child_trace, child_group), parent = node_of(look, parent_trace, parent_group);
    if (child == NONE || parent == NONE) return;
    uint32_t a = node_root(w, child), b = node_root(w, parent);
    w->nodes[b].dirty = true;
    if (a == b) return;
    free(w->nodes[a].fixes);
    w->nodes[a].fixes = NULL;
    w->nodes[a].fix_count = 0;
    w->nodes[a].up = b;
    uint32_t next = w->nodes[a].next; /* two rings become one */
    w->nodes[a].next = w->nodes[b].next;
    w->nodes[b].next = next;
}

/* ---- who is waited for ---- */

static bool put_wanted(struct id_map *ids, uint32_t **first, uint32_t *first_capacity, struct wanted **list,
                       uint32_t *count, uint32_t *capacity, const uint8_t *key, const uint8_t *trace_id,
                       uint64_t group) {
    bool fresh;
    uint32_t n = id_map_put(ids, key, &fresh);
    if (n == NONE || !grow(first, n, first_capacity, sizeof **first) || !grow(list, *count, capacity, sizeof **list))
        return false;
    if (fresh) (*first)[n] = NONE;
    for (uint32_t i = (*first)[n]; i != NONE; i = (*list)[i].next)
        if ((*list)[i].group == group && memcmp((*list)[i].trace_id, trace_id, TRACE_ID_SIZE) == 0) return true;
    struct wanted *w = &(*list)[*count];
    memcpy(w->trace_id, trace_id, TRACE_ID_SIZE);
    w->group = group;
    w->next = (*first)[n];
    (*first)[n] = (*count)++;
    return true;
}

void want(struct look *look, const uint8_t *key, const uint8_t *trace_id, uint64_t group) {
    struct weave *w = look->weave;
    if (w->wanted_count >= WANTED_MAX) { /* whoever waited so long among so many is not waited for any more */
        id_map_free(&w->wanted_ids);
        w->wanted_count = 0;
    }
    if (!put_wanted(&w->wanted_ids, &w->wanted_first, &w->wanted_first_capacity, &w->wanted, &w->wanted_count,
                    &w->wanted_capacity, key, trace_id, group))
        look->failed = true;
}

void seek(struct look *look, const uint8_t *parent_span_id, const uint8_t *trace_id, uint64_t group) {
    uint8_t key[TRACE_ID_SIZE];
    span_key(parent_span_id, key);
    if (!put_wanted(&look->sought_ids, &look->sought_first, &look->sought_first_capacity, &look->sought,
                    &look->sought_count, &look->sought_capacity, key, trace_id, group))
        look->failed = true;
}

void meet_wanted(struct look *look, const uint8_t *key, const uint8_t *trace_id, uint64_t group) {
    const struct weave *w = look->weave;
    uint32_t n = id_map_find(&w->wanted_ids, key);
    for (uint32_t i = n == NONE ? NONE : w->wanted_first[n]; i != NONE; i = w->wanted[i].next) {
        if (w->wanted[i].group == group && memcmp(w->wanted[i].trace_id, trace_id, TRACE_ID_SIZE) == 0) continue;
        suspect_union(look, w->wanted[i].trace_id, w->wanted[i].group, trace_id, group);
    }
}

/* ---- groups ---- */

static uint64_t key_of(const struct rowgroup *group) {
    return group->segment ? group->segment << 13 | (uint64_t)group->index << 1 : group->memtable << 1 | 1;
}

static struct digest *find_digest(const struct weave *w, uint64_t key) {
    for (uint32_t i = 0; i < w->digest_count; i++)
        if (w->digests[i]->key == key) return w->digests[i];
    return NULL;
}

static struct digest *new_digest(struct weave *w, const struct rowgroup *group, uint64_t key) {
    struct digest *digest = calloc(1, sizeof *digest);
    if (!digest || !grow(&w->digests, w->digest_count, &w->digest_capacity, sizeof *w->digests)) {
        free(digest);
        return NULL;
    }
    digest->key = key;
    if (!group->segment && !(digest->memory = calloc(1, sizeof *digest->memory))) {
        free(digest);
        return NULL;
    }
    w->digests[w->digest_count++] = digest;
    return digest;
}

static void free_digest(struct digest *digest) {
    group_index_unref(digest->index);
    memory_rows_free(digest->memory);
    free(digest);
}

static void forget_old(struct weave *w) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < w->digest_count; i++) {
        if (w->digests[i]->seen + LOOKS_KEPT < w->looks)
            free_digest(w->digests[i]);
        else
            w->digests[kept++] = w->digests[i];
    }
    w->digest_count = kept;
}

static bool meet_snapshot(struct look *look) {
    struct weave *w = look->weave;
    w->looks++;
    for (uint32_t i = 0; i < look->count; i++) {
        const struct rowgroup *group = snapshot_rowgroup(look->snapshot, i);
        uint64_t key = key_of(group);
        struct digest *digest = find_digest(w, key);
        if (!digest && !(digest = new_digest(w, group, key))) return false;
        digest->from_ns = group->min_start_ns;
        digest->to_ns = group->max_end_ns;
        digest->seen = w->looks;
        look->digests[i] = digest;
    }
    return true;
}

static int by_key(const void *a, const void *b) {
    uint64_t x = ((const struct look_key *)a)->key, y = ((const struct look_key *)b)->key;
    return x < y ? -1 : x > y;
}

uint32_t look_group(const struct look *look, uint64_t key) {
    struct look_key wanted = {key, 0};
    const struct look_key *found =
        look->count ? bsearch(&wanted, look->keys, look->count, sizeof wanted, by_key) : NULL;
    return found ? found->group : NONE;
}

/* ---- views ---- */

static bool same_groups(const struct weave *w, const uint64_t *keys, uint32_t count) {
    if (!w->view || w->view_key_count != count) return false;
    for (uint32_t i = 0; i < count; i += 2)
        if (w->view_keys[i] != keys[i]) return false;
    return true;
}

static bool is_current(const struct weave *w, const uint64_t *keys, uint32_t count) {
    return w->view && w->view_key_count == count && memcmp(w->view_keys, keys, count * sizeof *keys) == 0;
}

static int by_row(const void *a, const void *b) {
    const struct mend_row *x = a, *y = b;
    return x->row < y->row ? -1 : x->row > y->row;
}

static bool copy_mend(struct weave_view *view, struct mend *mend, struct mend_row *to, const struct fix *fix) {
    *to = fix->mend;
    for (int t = 0; t < MEND_TEXTS; t++)
        if (to->text[t].len && !(to->text[t] = arena_copy(&view->arena, to->text[t])).ptr) return false;
    mend->drops |= to->drop;
    mend->traces |= to->moved;
    return true;
}

static struct weave_view *make_view(struct look *look) {
    struct weave *w = look->weave;
    struct weave_view *view = calloc(1, sizeof *view);
    struct mend_row **rows = calloc(look->count + 1, sizeof *rows);
    bool done = view && rows && (view->mends = arena_calloc(&view->arena, look->count + 1, sizeof *view->mends)) &&
                (view->indexes = arena_calloc(&view->arena, look->count + 1, sizeof *view->indexes));
    for (uint32_t i = 0; i < look->count && done; i++) view->indexes[i] = group_index_ref(look->digests[i]->index);
    if (view) view->count = look->count, atomic_init(&view->references, 1);
    for (uint32_t pass = 0; pass < 2 && done; pass++) {
        for (uint32_t n = 0; n < w->node_ids.count && done; n++)
            for (uint32_t f = 0; f < w->nodes[n].fix_count && done; f++) {
                const struct fix *fix = &w->nodes[n].fixes[f];
                uint32_t i = look_group(look, fix->group);
                if (i == NONE) continue;
                if (pass) done = copy_mend(view, &view->mends[i], &rows[i][view->mends[i].count], fix);
                view->mends[i].count++;
            }
        for (uint32_t i = 0; i < look->count && done && !pass; i++) {
            if (!view->mends[i].count) continue;
            if (!(rows[i] = arena_alloc(&view->arena, view->mends[i].count * sizeof **rows))) done = false;
            view->mends[i].count = 0;
        }
    }
    for (uint32_t i = 0; i < look->count && done; i++) {
        if (view->mends[i].count) qsort(rows[i], view->mends[i].count, sizeof **rows, by_row);
        view->mends[i].rows = rows[i];
    }
    free(rows);
    if (done) return view;
    weave_view_free(view);
    return NULL;
}

/* Forgets traces that turned out to be in one place and right there: bloom filters say yes a little too often. */
static bool sort_out(struct look *look) {
    struct weave *w = look->weave;
    struct id_map ids = {0};
    uint32_t *places = calloc(w->node_ids.count + 1, sizeof *places);
    bool done = places != NULL, fresh;
    for (uint32_t n = 0; n < w->node_ids.count && done; n++) {
        const struct node *root = &w->nodes[node_root(w, n)];
        places[n] = NONE;
        if (root->fix_count || root->dirty) done = (places[n] = id_map_put(&ids, w->node_ids.ids[n], &fresh)) != NONE;
    }
    for (uint32_t n = 0; n < w->node_ids.count && done; n++) {
        struct node *node = &w->nodes[n];
        if (places[n] == NONE) {
            free(node->groups);
            free(node->fixes);
            continue;
        }
        node->up = places[node->up];
        node->next = places[node->next];
        w->nodes[places[n]] = *node;
    }
    if (done) {
        id_map_free(&w->node_ids);
        w->node_ids = ids;
        w->nodes_live = ids.count;
    } else {
        id_map_free(&ids);
    }
    free(places);
    return done;
}

static void keep_view(struct look *look, uint64_t *keys) {
    struct weave *w = look->weave;
    weave_view_free(w->view);
    free(w->view_keys);
    w->view = make_view(look);
    w->view_keys = keys;
    w->view_key_count = w->view ? 2 * look->count : 0;
    if (!w->view) look->failed = true;
}

static int look_anew(struct look *look, uint64_t *keys, struct error *err) {
    struct weave *w = look->weave;
    int code = 0;
    if (!meet_snapshot(look)) return error_set(err, VT_ENOMEM, "no memory to put traces together");
    look->changed = !same_groups(w, keys, 2 * look->count);
    for (uint32_t i = 0; i < look->count; i++) look->keys[i] = (struct look_key){keys[2 * i], i};
    if (look->count) qsort(look->keys, look->count, sizeof *look->keys, by_key);
    for (uint32_t i = 0, ahead = 0; i < look->count && !code && !look->failed; i++) {
        for (; ahead < look->count && ahead < i + LISTS_AHEAD; ahead++)
            if (!look->digests[ahead]->memory && !look->digests[ahead]->done)
                rowgroup_expect_trace_list(snapshot_rowgroup(look->snapshot, ahead));
        if (look->digests[i]->memory) {
            if (look->digests[i]->memory->rows < snapshot_rowgroup(look->snapshot, i)->rows) digest_memory(look, i);
        } else if (atomic_load_explicit(&w->stop, memory_order_relaxed)) {
            code = error_set(err, VT_ECANCELLED, "the store is closing");
        } else if (!look->digests[i]->done) {
            code = digest_segment(look, i, err);
            if (code == VT_ECORRUPT) code = 0; /* it is set aside */
        }
    }
    for (uint32_t i = 0; i < look->count && !code && !look->failed; i++)
        if (look->digests[i]->born == w->looks && (code = digest_wanted(look, i, err)) == VT_ECORRUPT) code = 0;
    if (!code && !look->failed) look_for_parents(look);
    if (!code && !look->failed) code = resolve_dirty(look, err);
    if (code) return code;
    if (w->node_ids.count > 1000 + 2 * w->nodes_live && !sort_out(look)) look->failed = true;
    forget_old(w);
    keep_view(look, keys);
    return look->failed ? error_set(err, VT_ENOMEM, "no memory to put traces together") : 0;
}

int weave_look(struct weave *w, const struct snapshot *snapshot, struct weave_view **out, struct error *err) {
    struct look look = {.weave = w, .snapshot = snapshot, .count = snapshot_count(snapshot)};
    uint64_t *keys = malloc((2 * look.count + 1) * sizeof *keys);
    int code = 0;
    *out = NULL;
    look.digests = calloc(look.count + 1, sizeof *look.digests);
    look.others = malloc((look.count + 1) * sizeof *look.others);
    look.keys = malloc((look.count + 1) * sizeof *look.keys);
    if (!keys || !look.keys || !look.digests || !look.others)
        code = error_set(err, VT_ENOMEM, "no memory to put traces together");
    for (uint32_t i = 0; i < look.count && !code; i++) {
        keys[2 * i] = key_of(snapshot_rowgroup(snapshot, i));
        keys[2 * i + 1] = snapshot_rowgroup(snapshot, i)->rows;
    }
    if (!code) {
        pthread_mutex_lock(&w->lock);
        if (!is_current(w, keys, 2 * look.count)) code = look_anew(&look, keys, err);
        if (w->view && w->view_keys == keys) keys = NULL; /* kept */
        if (!code) atomic_store(&w->looked, true);
        if (!code) *out = w->view, atomic_fetch_add(&w->view->references, 1);
        pthread_mutex_unlock(&w->lock);
    }
    free(keys);
    free(look.digests);
    free(look.others);
    free(look.keys);
    id_map_free(&look.sought_ids);
    free(look.sought);
    free(look.sought_first);
    return code;
}

bool weave_is_needless(struct weave *w, const struct snapshot *snapshot) {
    if (atomic_load(&w->looked)) return false;
    for (uint32_t i = 0; i < snapshot_count(snapshot); i++) {
        const struct rowgroup *group = snapshot_rowgroup(snapshot, i);
        if (group->segment && group->joiners) return false;
        for (uint32_t row = 0; !group->segment && row < group->rows; row++)
            if (rowgroup_memory_row(group, row)->flags & SPAN_JOIN_BY_PARENT) return false;
    }
    return true;
}

void weave_view_free(struct weave_view *view) {
    if (!view || atomic_fetch_sub(&view->references, 1) > 1) return;
    for (uint32_t i = 0; view->indexes && i < view->count; i++) group_index_unref(view->indexes[i]);
    arena_free(&view->arena);
    free(view);
}

const struct mend *weave_mend(const struct weave_view *view, uint32_t i) {
    return view && view->mends[i].count ? &view->mends[i] : NULL;
}

const struct group_index *weave_index(const struct weave_view *view, uint32_t i) {
    return view ? view->indexes[i] : NULL;
}

struct weave *weave_new(void) {
    struct weave *w = calloc(1, sizeof *w);
    if (w) pthread_mutex_init(&w->lock, NULL);
    return w;
}

static void *warm(void *ctx) {
    struct weave *w = ctx;
    struct snapshot *snapshot = store_snapshot(w->store);
    struct weave_view *view = NULL;
    if (snapshot && !weave_look(w, snapshot, &view, NULL)) weave_view_free(view);
    snapshot_free(snapshot);
    return NULL;
}

void weave_warm(struct weave *w, struct store *store) {
    w->store = store;
    w->warms = pthread_create(&w->warmer, NULL, warm, w) == 0; /* without it the first request does the work */
}

void weave_free(struct weave *w) {
    if (!w) return;
    atomic_store(&w->stop, true);
    if (w->warms) pthread_join(w->warmer, NULL);
    for (uint32_t i = 0; i < w->digest_count; i++) free_digest(w->digests[i]);
    for (uint32_t n = 0; n < w->node_ids.count; n++) free(w->nodes[n].groups), free(w->nodes[n].fixes);
    free(w->digests);
    free(w->nodes);
    id_map_free(&w->node_ids);
    id_map_free(&w->wanted_ids);
    free(w->wanted);
    free(w->wanted_first);
    free(w->view_keys);
    weave_view_free(w->view);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
