/* What the files of the weave share. All of it belongs to who holds the weave's lock. */
#ifndef QUERY_WEAVE_INTERNAL_H
#define QUERY_WEAVE_INTERNAL_H

#include "query/weave.h"
#include "query/weave_index.h"

#include <pthread.h>
#include <stdatomic.h>

enum { NONE = UINT32_MAX, CLASS_SPANS_MAX = 20000, FAR_MAX = 2000, WANTED_MAX = 500000 };

/* 16-byte ids, numbered as they come. */
struct id_map {
    uint8_t (*ids)[TRACE_ID_SIZE];
    uint32_t *slots; /* number + 1, 0 = free */
    uint32_t count, slot_count;
};
uint32_t id_map_find(const struct id_map *map, const uint8_t *id); /* NONE */
/* Whether some id may be there whose trace_hash this is; false only when it is certain. */
bool id_map_has_hash(const struct id_map *map, uint32_t hash);
/* *fresh: it was not there. NONE without memory. */
uint32_t id_map_put(struct id_map *map, const uint8_t *id, bool *fresh);
void id_map_free(struct id_map *map);
/* A span id as a key of its own kind. */
void span_key(const uint8_t *span_id, uint8_t key[TRACE_ID_SIZE]);

/* A correction, and whose. */
struct fix {
    uint64_t group;
    struct mend_row mend;
};

/* A trace id that stands in more than one place, or whose spans do not fit together where they stand. Ids of one tree
 * (log lines have one each until their parent is found) form a class, a ring; its root holds what was found of it. */
struct node {
    uint32_t up, next; /* towards the root; round the ring */
    uint64_t *groups;  /* where its spans are, or may be */
    uint32_t group_count, group_capacity;
    /* of the root */
    bool dirty;
    uint64_t present;  /* hash of the groups it was resolved with */
    struct fix *fixes; /* texts behind them in the same block */
    uint32_t fix_count;
};

/* A memtable's rows by trace. */
struct memory_rows {
    uint32_t rows; /* looked at so far */
    struct id_map traces, joiners;
    uint32_t *last, *before; /* by trace: its last row; by row: the row of its trace before it */
    uint32_t *joiner_rows;   /* by joiner */
    uint32_t last_capacity, before_capacity, joiner_capacity;
};

/* What is kept of a row group. */
struct digest {
    uint64_t key;
    int64_t from_ns, to_ns; /* of its spans, ends included */
    uint64_t seen, born;    /* numbers of the looks that met it last and, for a segment, first */
    bool done, joiners;
    struct memory_rows *memory;
    struct group_index *index; /* of a segment; NULL when it could not be read */
};

/* Who looks for a parent (of a log line) or for the rest of a trace. */
struct wanted {
    uint8_t trace_id[TRACE_ID_SIZE];
    uint64_t group;
    uint32_t next;
};

struct weave {
    atomic_bool looked; /* once, at the least */
    atomic_bool stop;   /* the engine closes: a look under way is given up */
    pthread_t warmer;
    bool warms;
    struct store *store;  /* the warmer's */
    pthread_mutex_t lock; /* guards all below */
    uint64_t looks;
    struct digest **digests;
    uint32_t digest_count, digest_capacity;
    struct id_map node_ids;
    struct node *nodes;
    uint32_t node_capacity, nodes_live; /* nodes that mattered when they were sorted out last */
    struct id_map wanted_ids;
    struct wanted *wanted;
    uint32_t *wanted_first;
    uint32_t wanted_count, wanted_capacity, wanted_first_capacity;
    struct weave_view *view; /* the last one; holds a reference */
    uint64_t *view_keys;     /* what it was made for: key and rows of each group */
    uint32_t view_key_count;
};

struct look_key {
    uint64_t key;
    uint32_t group;
};

/* One call of weave_look. */
struct look {
    struct weave *weave;
    const struct snapshot *snapshot;
    uint32_t count;
    struct digest **digests;                   /* by row group of the snapshot */
    struct look_key *keys;                     /* the same by key */
    uint32_t *others, near_count, other_count; /* see list_others */
    struct id_map sought_ids;                  /* parents of log lines that are not in their own group */
    struct wanted *sought;
    uint32_t *sought_first;
    uint32_t sought_count, sought_capacity, sought_first_capacity;
    bool failed;  /* memory ran out */
    bool changed; /* groups came or went since the last look */
};

/* The snapshot's row group with that key; NONE. */
uint32_t look_group(const struct look *look, uint64_t key);
uint32_t node_root(struct weave *weave, uint32_t node);
/* Notes that spans of the trace are in that group and that it must be looked at as a whole. */
void suspect(struct look *look, const uint8_t *trace_id, uint64_t group);
void suspect_union(struct look *look, const uint8_t *child_trace, uint64_t child_group, const uint8_t *parent_trace,
                   uint64_t parent_group);
void want(struct look *look, const uint8_t *key, const uint8_t *trace_id, uint64_t group);
/* A span with this key has come: whoever wanted it is suspect with it. */
void meet_wanted(struct look *look, const uint8_t *key, const uint8_t *trace_id, uint64_t group);
void seek(struct look *look, const uint8_t *parent_span_id, const uint8_t *trace_id, uint64_t group);

/* weave_digest.c */
int digest_segment(struct look *look, uint32_t i, struct error *err);
/* Traces of a segment that others wait for; after all new ones were digested. */
int digest_wanted(struct look *look, uint32_t i, struct error *err);
void digest_memory(struct look *look, uint32_t i);
void look_for_parents(struct look *look);
void memory_rows_free(struct memory_rows *memory);
/* weave_resolve.c */
int resolve_dirty(struct look *look, struct error *err);

#endif
