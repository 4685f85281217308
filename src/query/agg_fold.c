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

/* Rows are first summed by the block's own groups, and those then go to their cells. Neighbours are mostly of one
 * group, and a sum cannot be added to before the addition before it is done. So rows are taken by turns from LANES
 * stretches of the block; where groups are few, so that other stretches have them too, each has sums of its own. */
enum { LANES = 4, LANE_GROUPS_MAX = 2048 };

typedef double two_doubles __attribute__((vector_size(16)));
typedef int64_t two_bits __attribute__((vector_size(16)));
struct tally {
    two_doubles sum_and_weight;
};

static void *new_tallies(const struct fold *f, size_t size, uint32_t groups, uint32_t *lane) {
    uint32_t lanes = groups <= LANE_GROUPS_MAX ? LANES : 1;
    *lane = lanes > 1 ? groups : 0;
    return arena_calloc(&f->block->arena, (size_t)groups * lanes + 1, size);
}

static int fold_count(const struct fold *f, struct error *err) {
    const struct block_groups *groups = f->groups;
    const uint32_t *of = groups->of_row, *rows = f->rows;
    uint32_t lane, i = 0;
    if (groups->present_count == 1 && !f->weights) { /* the common case of monitors */
        groups->cells[groups->present[0]][f->slot].a += f->count;
        return 0;
    }
    if (f->weights) {
        for (; i < f->count; i++) CELL(rows[i])->a += f->weights[rows[i]];
        return 0;
    }
    uint32_t *counts = new_tallies(f, sizeof *counts, groups->count, &lane);
    if (!counts) return no_memory(err);
    uint32_t apart = f->count / LANES;
    for (; i < apart; i++)
        for (uint32_t l = 0; l < LANES; l++) counts[l * lane + of[rows[i + l * apart]]]++;
    for (i = LANES * apart; i < f->count; i++) counts[of[rows[i]]]++;
    for (uint32_t p = 0; p < groups->present_count; p++) {
        uint32_t g = groups->present[p], sum = counts[g];
        for (uint32_t l = 1; l < LANES && lane; l++) sum += counts[l * lane + g];
        groups->cells[g][f->slot].a += sum;
    }
    return 0;
}

/* Counts of good and bad ones stand next to each other. */
static int fold_errors(const struct fold *f, struct error *err) {
    const struct block_groups *groups = f->groups;
    const uint32_t *of = groups->of_row, *rows = f->rows;
    const struct vec *status = block_column(f->block, COL_STATUS, err);
    uint32_t lane, i = 0;
    if (!status) return err->code;
    const int64_t *is = status->ints;
    for (; i < f->count && f->weights; i++) {
        struct agg_cell *cell = CELL(rows[i]);
        cell->a += is[rows[i]] == STATUS_ERROR ? f->weights[rows[i]] : 0;
        cell->b += f->weights[rows[i]];
    }
    if (f->weights) return 0;
    uint32_t *counts = new_tallies(f, sizeof *counts, 2 * groups->count, &lane);
    if (!counts) return no_memory(err);
    uint32_t apart = f->count / LANES;
    for (; i < apart; i++)
        for (uint32_t l = 0; l < LANES; l++) {
            uint32_t row = rows[i + l * apart];
            counts[l * lane + 2 * of[row] + (is[row] == STATUS_ERROR)]++;
        }
    for (i = LANES * apart; i < f->count; i++) counts[2 * of[rows[i]] + (is[rows[i]] == STATUS_ERROR)]++;
    for (uint32_t p = 0; p < groups->present_count; p++) {
        uint32_t g = groups->present[p], good = 0, bad = 0;
        for (uint32_t l = 0; l < (lane ? LANES : 1); l++)
            good += counts[l * lane + 2 * g], bad += counts[l * lane + 2 * g + 1];
        groups->cells[g][f->slot].a += bad;
        groups->cells[g][f->slot].b += (double)good + bad;
    }
    return 0;
}

/* What is not known adds nothing, without a branch: half of all spans have no cost. */
static inline void add_known(struct tally *tally, double value, double weight) {
    two_bits known = {-(int64_t)(value == value), -(int64_t)(value == value)};
    two_doubles more = {value * weight, weight};
    tally->sum_and_weight += (two_doubles)((two_bits)more & known);
}

static int fold_sum(const struct fold *f, const double *values, struct error *err) {
    const struct block_groups *groups = f->groups;
    const uint32_t *of = groups->of_row, *rows = f->rows;
    uint32_t lane, i = 0;
    struct tally *tallies = new_tallies(f, sizeof *tallies, groups->count, &lane);
    if (!tallies) return no_memory(err);
    uint32_t apart = f->weights ? 0 : f->count / LANES;
    for (; i < apart; i++)
        for (uint32_t l = 0; l < LANES; l++) {
            uint32_t row = rows[i + l * apart];
            add_known(&tallies[l * lane + of[row]], values[row], 1);
        }
    for (i = LANES * apart; i < f->count; i++) add_known(&tallies[of[rows[i]]], values[rows[i]], WEIGHT(rows[i]));
    for (uint32_t p = 0; p < groups->present_count; p++) {
        uint32_t g = groups->present[p];
        for (uint32_t l = 0; l < (lane ? LANES : 1); l++) {
            groups->cells[g][f->slot].a += tallies[l * lane + g].sum_and_weight[0];
            groups->cells[g][f->slot].b += tallies[l * lane + g].sum_and_weight[1];
        }
    }
    return 0;
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
    struct sketch **sketches = arena_alloc(&f->block->arena, ((size_t)f->groups->count + 1) * sizeof *sketches);
    if (!sketches) return no_memory(err);
    for (uint32_t p = 0; p < f->groups->present_count; p++) {
        uint32_t g = f->groups->present[p];
        struct agg_cell *cell = &f->groups->cells[g][f->slot];
        sketches[g] = cell->sketch;
        if (cell->sketch) continue;
        if (!(cell->sketch = arena_alloc(arena, sizeof *cell->sketch))) return no_memory(err);
        sketch_init(cell->sketch);
        const struct sketch *last = f->worker->last_sketch[f->slot]; /* groups of such a size are much alike */
        sketches[g] = cell->sketch;
        if (last && f->groups->present_count <= RESERVE_GROUPS_MAX && !sketch_reserve(cell->sketch, last, arena))
            return no_memory(err);
        fresh = cell->sketch;
    }
    for (uint32_t i = 0; i < f->count; i++) {
        uint32_t row = f->rows[i];
        double value = values[row];
        if (isnan(value)) continue;
        if (!sketch_add(sketches[f->groups->of_row[row]], value, WEIGHT(row), arena)) return no_memory(err);
    }
    if (fresh && fresh->count) f->worker->last_sketch[f->slot] = fresh;
    return 0;
}

/* A value that was seen in its group in this block is not looked up again: pairs of group and code have a mark, and
 * only marked pairs are looked at. */
enum { MARKS_MAX = 1 << 22, MARKS_SHARE = 8 };

static int add_distinct(const struct fold *f, const struct block_codes *codes, uint32_t group, uint32_t value,
                        struct error *err) {
    uint64_t hash = codes_hash(codes, value);
    if (hash == 1) return 0; /* not known */
    struct agg_cell *cell = &f->groups->cells[group][f->slot];
    struct arena *arena = f->worker->arena;
    if (!cell->distinct && !(cell->distinct = arena_calloc(arena, 1, sizeof *cell->distinct))) return no_memory(err);
    return distinct_add(cell->distinct, hash | 2, arena) ? 0 : no_memory(err);
}

static int fold_distinct(const struct fold *f, const struct field *field, struct error *err) {
    struct block_codes codes;
    const uint32_t *of = f->groups->of_row, *rows = f->rows;
    int code = block_field_codes(f->block, field, rows, f->count, &codes, err);
    if (code) return code;
    uint64_t pairs = (uint64_t)f->groups->count * codes.count, most = (uint64_t)f->count * MARKS_SHARE;
    if (pairs > MARKS_MAX || pairs > (most < DISTINCT_EXACT ? DISTINCT_EXACT : most)) {
        uint32_t group = UINT32_MAX, value = UINT32_MAX; /* of the row before: rows of a trace stand together */
        for (uint32_t i = 0; i < f->count && !code; i++) {
            if (of[rows[i]] == group && codes.codes[rows[i]] == value) continue;
            group = of[rows[i]];
            value = codes.codes[rows[i]];
            code = add_distinct(f, &codes, group, value, err);
        }
        return code;
    }
    uint8_t *marks = arena_calloc(&f->block->arena, (size_t)pairs + 1, 1);
    if (!marks) return no_memory(err);
    if (f->groups->count == 1)
        for (uint32_t i = 0; i < f->count; i++) marks[codes.codes[rows[i]]] = 1;
    else
        for (uint32_t i = 0; i < f->count; i++) marks[(size_t)of[rows[i]] * codes.count + codes.codes[rows[i]]] = 1;
    for (uint32_t p = 0; p < f->groups->present_count; p++) {
        uint32_t g = f->groups->present[p];
        for (uint32_t value = 0; value < codes.count && !code; value++)
            if (marks[(size_t)g * codes.count + value]) code = add_distinct(f, &codes, g, value, err);
    }
    return code;
}

static int fold_slot(struct fold *f, const struct agg_slot *slot, const double *values, struct error *err) {
    switch (slot->kind) {
    case SLOT_COUNT: return fold_count(f, err);
    case SLOT_ERRORS: return fold_errors(f, err);
    case SLOT_SUM: return fold_sum(f, values, err);
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

/* Is it made of numbers? */
static bool slot_reads(const struct agg_slot *slot) {
    return slot->kind >= SLOT_SUM && slot->kind != SLOT_DISTINCT;
}

/* Leaves the slot's values NULL when no row has one. */
static int read_values(struct fold *f, struct readings *read, struct error *err) {
    const struct agg_plan *plan = f->worker->plan;
    const struct agg_slot *slot = &plan->slots[f->slot];
    read->values[f->slot] = NULL;
    if (!slot_reads(slot)) return 0;
    for (uint32_t s = 0; s < f->slot; s++)
        if (read->values[s] && field_same(&plan->slots[s].column->field, &slot->column->field)) {
            read->values[f->slot] = read->values[s];
            return 0;
        }
    const struct field *field = &slot->column->field;
    if (field->source == FIELD_COLUMN && span_columns[field->col].optional &&
        rowgroup_is_unknown(f->block->group, field->col))
        return 0; /* nothing to look at */
    return block_numbers(f->block, field, f->block->rows, f->block->count, &read->values[f->slot], err);
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
        f.count = slot_reads(&plan->slots[f.slot]) && !read.values[f.slot] ? 0 : read.counts[f.slot];
        code = fold_slot(&f, &plan->slots[f.slot], read.values[f.slot], err);
    }
    return code;
}
