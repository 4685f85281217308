/* Folding a block's rows into the cells of their groups, one column at a time. */
#include "query/agg_internal.h"
#include "query/filter_internal.h"

static int no_memory(struct error *err) {
    return error_set(err, VT_ELIMIT, "the aggregates need more memory than one request may hold");
}

struct fold {
    struct agg_worker *worker;
    struct block *block;
    const struct block_groups *groups;
    const uint32_t *rows; /* that the column counts */
    uint32_t count;
    const double *weights; /* NULL = all 1 */
    uint32_t slot;
};

#define CELL(row) (&f->groups->cells[f->groups->of_row[row]][f->slot])
#define WEIGHT(row) (f->weights ? f->weights[row] : 1.0)

/* One group and no weights is the common case of monitors: then counting is one addition. */
static void fold_count(const struct fold *f) {
    if (f->groups->count == 1 && !f->weights) {
        f->groups->cells[0][f->slot].a += f->count;
        return;
    }
    for (uint32_t i = 0; i < f->count; i++) CELL(f->rows[i])->a += WEIGHT(f->rows[i]);
}

static int fold_errors(const struct fold *f, struct error *err) {
    const struct vec *status = block_column(f->block, COL_STATUS, err);
    if (!status) return err->code;
    for (uint32_t i = 0; i < f->count; i++) {
        uint32_t row = f->rows[i];
        struct agg_cell *cell = CELL(row);
        double weight = WEIGHT(row);
        cell->a += status->ints[row] == STATUS_ERROR ? weight : 0;
        cell->b += weight;
    }
    return 0;
}

static void fold_sum(const struct fold *f, const double *values) {
    for (uint32_t i = 0; i < f->count; i++) {
        uint32_t row = f->rows[i];
        double value = values[row], weight = WEIGHT(row);
        if (isnan(value)) continue;
        struct agg_cell *cell = CELL(row);
        cell->a += value * weight;
        cell->b += weight;
    }
}

static void fold_bound(const struct fold *f, const double *values, bool least) {
    for (uint32_t i = 0; i < f->count; i++) {
        uint32_t row = f->rows[i];
        double value = values[row];
        if (isnan(value)) continue;
        struct agg_cell *cell = CELL(row);
        if (least ? value < cell->a : value > cell->a) cell->a = value;
        cell->b = 1;
    }
}

enum { RESERVE_GROUPS_MAX = 1024 };

static int fold_sketch(const struct fold *f, const double *values, struct error *err) {
    struct arena *arena = f->worker->arena;
    struct sketch *fresh = NULL;
    for (uint32_t g = 0; g < f->groups->count; g++) {
        struct agg_cell *cell = &f->groups->cells[g][f->slot];
        if (cell->sketch) continue;
        if (!(cell->sketch = arena_alloc(arena, sizeof *cell->sketch))) return no_memory(err);
        sketch_init(cell->sketch);
        const struct sketch *last = f->worker->last_sketch[f->slot]; /* groups of such a size are much alike */
        if (last && f->groups->count <= RESERVE_GROUPS_MAX && !sketch_reserve(cell->sketch, last, arena))
            return no_memory(err);
        fresh = cell->sketch;
    }
    for (uint32_t i = 0; i < f->count; i++) {
        uint32_t row = f->rows[i];
        double value = values[row];
        if (isnan(value)) continue;
        if (!sketch_add(CELL(row)->sketch, value, WEIGHT(row), arena)) return no_memory(err);
    }
    if (fresh && fresh->count) f->worker->last_sketch[f->slot] = fresh;
    return 0;
}

/* A value that was seen in its group in this block is not looked up again: pairs of group and code have a bit. */
enum { SEEN_BITS_MAX = 1 << 24 };

static int fold_distinct(const struct fold *f, const struct field *field, struct error *err) {
    struct block_codes codes;
    struct arena *arena = f->worker->arena;
    int code = block_field_codes(f->block, field, f->rows, f->count, &codes, err);
    if (code) return code;
    uint64_t bits = (uint64_t)f->groups->count * codes.count;
    uint64_t *hashes = arena_calloc(&f->block->arena, codes.count + 1, sizeof *hashes);
    uint8_t *seen = bits <= SEEN_BITS_MAX ? arena_calloc(&f->block->arena, bits / 8 + 1, 1) : NULL;
    if (!hashes) return no_memory(err);
    for (uint32_t i = 0; i < f->count; i++) {
        uint32_t row = f->rows[i], group = f->groups->of_row[row], value = codes.codes[row];
        uint64_t bit = (uint64_t)group * codes.count + value;
        if (seen) {
            if (seen[bit / 8] >> bit % 8 & 1) continue;
            seen[bit / 8] |= (uint8_t)(1u << bit % 8);
        }
        if (!hashes[value]) {
            struct agg_key key = codes_key(&codes, value);
            hashes[value] = key.type == AGG_KEY_NONE ? 1 : key_hash(&key) | 2;
        }
        if (hashes[value] == 1) continue; /* not known */
        struct agg_cell *cell = &f->groups->cells[group][f->slot];
        if (!cell->distinct && !(cell->distinct = arena_calloc(arena, 1, sizeof *cell->distinct)))
            return no_memory(err);
        if (!distinct_add(cell->distinct, hashes[value], arena)) return no_memory(err);
    }
    return 0;
}

static int fold_slot(struct fold *f, const struct agg_slot *slot, const double *values, struct error *err) {
    switch (slot->kind) {
    case SLOT_COUNT: fold_count(f); return 0;
    case SLOT_ERRORS: return fold_errors(f, err);
    case SLOT_SUM: fold_sum(f, values); return 0;
    case SLOT_MIN:
    case SLOT_MAX: fold_bound(f, values, slot->kind == SLOT_MIN); return 0;
    case SLOT_SKETCH: return fold_sketch(f, values, err);
    case SLOT_DISTINCT: return fold_distinct(f, &slot->column->field, err);
    }
    return 0;
}

static bool field_same(const struct field *a, const struct field *b) {
    return a->source == b->source && a->col == b->col && slice_eq(a->key, b->key);
}

/* What was read for a slot before, to be used again by those after it. */
struct readings {
    const double *values[AGG_COLUMNS_MAX];
    const uint32_t *rows[AGG_COLUMNS_MAX];
    uint32_t counts[AGG_COLUMNS_MAX];
};

static int read_rows(struct fold *f, struct readings *read, struct error *err) {
    const struct agg_plan *plan = f->worker->plan;
    const struct filter *where = plan->slots[f->slot].column->where;
    f->rows = f->block->rows;
    f->count = f->block->count;
    for (uint32_t s = 0; where && s < f->slot; s++) {
        if (plan->slots[s].column->where != where) continue;
        f->rows = read->rows[s];
        f->count = read->counts[s];
        where = NULL;
    }
    if (where) {
        uint32_t *kept = block_take_rows(f->block, err);
        if (!kept) return err->code;
        int code = filter_select(where, f->block, f->block->rows, f->block->count, kept, &f->count, err);
        if (code) return code;
        f->rows = kept;
    }
    read->rows[f->slot] = f->rows;
    read->counts[f->slot] = f->count;
    return 0;
}

static int read_values(struct fold *f, struct readings *read, struct error *err) {
    const struct agg_plan *plan = f->worker->plan;
    const struct agg_slot *slot = &plan->slots[f->slot];
    read->values[f->slot] = NULL;
    if (slot->kind < SLOT_SUM || slot->kind == SLOT_DISTINCT) return 0;
    for (uint32_t s = 0; s < f->slot; s++)
        if (read->values[s] && field_same(&plan->slots[s].column->field, &slot->column->field)) {
            read->values[f->slot] = read->values[s];
            return 0;
        }
    return block_numbers(f->block, &slot->column->field, f->block->rows, f->block->count, &read->values[f->slot], err);
}

int agg_fold(struct agg_worker *worker, struct block *block, const struct block_groups *groups, struct error *err) {
    struct fold f = {.worker = worker, .block = block, .groups = groups};
    struct readings read;
    const struct agg_plan *plan = worker->plan;
    int code = block_weights(block, &f.weights, err);
    /* All is read before anything is folded: a corrupt column leaves the sums as they were. */
    for (f.slot = 0; !code && f.slot < plan->slot_count; f.slot++) {
        if ((code = read_rows(&f, &read, err)) || (code = read_values(&f, &read, err))) break;
        if (plan->slots[f.slot].kind == SLOT_ERRORS && !block_column(block, COL_STATUS, err)) code = err->code;
        if (plan->slots[f.slot].kind == SLOT_DISTINCT) {
            struct block_codes codes;
            const struct field *field = &plan->slots[f.slot].column->field;
            if (field->source != FIELD_ATTR)
                code = block_field_codes(block, field, block->rows, block->count ? 1 : 0, &codes, err);
        }
    }
    for (f.slot = 0; !code && f.slot < plan->slot_count; f.slot++) {
        f.rows = read.rows[f.slot];
        f.count = read.counts[f.slot];
        code = fold_slot(&f, &plan->slots[f.slot], read.values[f.slot], err);
    }
    return code;
}
