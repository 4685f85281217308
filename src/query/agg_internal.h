/* What the files of the aggregator share. A scan's threads each have an agg_worker; a block's rows are first given a
 * dense local group number (agg_keys.c), then each column folds them into the cells of its groups (agg_fold.c); at the
 * end the workers are merged (aggregate.c). */
#ifndef QUERY_AGG_INTERNAL_H
#define QUERY_AGG_INTERNAL_H

#include "query/aggregate.h"
#include "query/blocks.h"
#include "query/codebook.h"
#include "query/distinct.h"
#include "query/sketch.h"

/* One column of one point, by the kind of its slot. Small, since sums of many groups jump between them. */
struct agg_cell {
    union {
        struct {
            double a; /* count, errors, sum, least, greatest */
            double b; /* weight of what a was made of */
        };
        struct sketch *sketch;
        struct distinct *distinct;
    };
};

/* What is folded; columns that differ only in what they read of it share one. */
enum slot_kind { SLOT_COUNT, SLOT_ERRORS, SLOT_SUM, SLOT_MIN, SLOT_MAX, SLOT_SKETCH, SLOT_DISTINCT };
struct agg_slot {
    enum slot_kind kind;
    const struct agg_column *column;
};

struct agg_plan {
    const struct agg_spec *spec;
    struct agg_slot slots[AGG_COLUMNS_MAX];
    uint32_t slot_of[AGG_COLUMNS_MAX]; /* by column */
    uint32_t slot_count;
};

/* A table of texts or tuples to numbers 0, 1, …: the caller keeps what they stand for. Numbers that are appended are
 * found only after table_settle. */
struct number_slot {
    uint32_t upper, number; /* of the hash; number + 1, 0 = free */
};
struct number_table {
    struct number_slot *slots;
    uint64_t *hashes; /* by number */
    uint32_t count, hash_capacity;
    uint32_t settled, capacity; /* numbers below `settled` are in slots */
};
/* Looks for the next number with this hash behind *at (start with SIZE_MAX); false = none. */
bool table_next(const struct number_table *table, uint64_t hash, size_t *at, uint32_t *number);
/* Adds the hash as number table->count. False when memory ran out. */
bool table_add(struct number_table *table, uint64_t hash, struct arena *arena);
/* The same without making it found: for who need not look. */
bool table_append(struct number_table *table, uint64_t hash, struct arena *arena);
bool table_settle(struct number_table *table, struct arena *arena);

struct key_list {
    struct number_table table;
    struct agg_key *keys; /* by number; texts in the worker's arena, or in a book that the ask holds */
    uint32_t capacity;
    bool looked_up; /* some key did not come of a book */
};
/* The number of a key; UINT32_MAX when memory ran out. `copy`: its text goes to the arena when it is new. */
uint32_t key_number_hashed(struct key_list *list, const struct agg_key *key, uint64_t hash, bool copy,
                           struct arena *arena);
uint32_t key_number(struct key_list *list, const struct agg_key *key, bool copy, struct arena *arena);

struct agg_tuple {
    uint32_t keys[GROUP_BY_MAX];
};
struct agg_place { /* a point */
    uint32_t group;
    int64_t bucket; /* start / interval, rounded down; 0 without an interval */
};

/* By a book's number. A book has each text once, so what it numbers needs no table of keys while all come of it. */
struct number_map {
    uint32_t *keys;          /* the key's number + 1, 0 = not met yet */
    struct agg_cell **cells; /* of the key's only point, where one field makes the groups and there are no steps */
    uint32_t count;
};

struct agg_worker {
    struct agg_plan *plan;
    struct arena *arena;
    struct key_list keys[GROUP_BY_MAX];
    struct number_table group_table, point_table;
    uint32_t *groups; /* numbers of keys, group_by_count for each group; see worker_keys */
    struct agg_place *points;
    struct agg_cell **cells; /* by point: slot_count of them */
    uint32_t group_capacity, point_capacity;
    const struct sketch *last_sketch[AGG_COLUMNS_MAX]; /* by slot */
    struct number_map known[GROUP_BY_MAX];             /* a book's numbers → keys */
};
/* The numbers of a group's keys. */
static inline const uint32_t *worker_keys(const struct agg_worker *worker, uint32_t group) {
    return worker->groups + (size_t)group * worker->plan->spec->group_by_count;
}
/* The key's number of a book's number, which is below map->count; UINT32_MAX when memory ran out. */
uint32_t known_number(struct key_list *list, struct number_map *map, const struct codebook *book, uint32_t number,
                      struct arena *arena);
/* Room for numbers below `count`. */
bool known_grow(struct number_map *map, uint32_t count, struct arena *arena);
/* The point of a tuple and bucket, made when it is new; UINT32_MAX when memory ran out. */
uint32_t worker_point(struct agg_worker *worker, const struct agg_tuple *tuple, int64_t bucket);
bool cell_merge(const struct agg_slot *slot, struct agg_cell *into, const struct agg_cell *from, struct arena *arena);

/* A block's rows in local groups. */
struct block_groups {
    const uint32_t *of_row; /* local group of each selected row, by row number */
    uint32_t count;
    struct agg_cell **cells; /* of each local group; NULL where no row is in it */
    uint32_t *present;       /* the groups with rows */
    uint32_t present_count;
};
/* Only the numbering: rows that have the same codes (at most GROUP_BY_MAX + 1 of each, by row number) are a group. */
struct dense_rows {
    const uint32_t *of_row;  /* group of each selected row, by row number */
    const uint32_t *samples; /* a row of each group; UINT32_MAX where none is in it */
    uint32_t count;
};
int agg_number_rows(struct block *block, const uint32_t *const *codes, const uint32_t *counts, uint32_t count,
                    struct dense_rows *out, struct error *err);
int agg_group_rows(struct agg_worker *worker, struct block *block, struct block_groups *groups, struct error *err);
int agg_fold(struct agg_worker *worker, struct block *block, const struct block_groups *groups, struct error *err);

/* agg_values.c. Values of a field at the block's rows, by row number, in the unit in which they are shown; NaN = not
 * known or not counted (restated usage). Only places of `rows` are filled for attributes. */
int block_numbers(struct block *block, const struct field *field, const uint32_t *rows, uint32_t count,
                  const double **values, struct error *err);
/* Any field's values as codes: codes by row number, what each stands for in keys. */
struct block_codes {
    const uint32_t *codes;
    const uint32_t *numbers;  /* what a book calls the codes; else NULL */
    struct codebook *book;    /* its */
    const struct slice *dict; /* else a column's own dictionary; else NULL */
    struct agg_key *keys;     /* else */
    uint32_t count;
};
int block_field_codes(struct block *block, const struct field *field, const uint32_t *rows, uint32_t count,
                      struct block_codes *codes, struct error *err);
struct agg_key codes_key(const struct block_codes *codes, uint32_t code);
uint64_t codes_hash(const struct block_codes *codes, uint32_t code); /* key_hash of it */
uint64_t key_hash(const struct agg_key *key);

#endif
