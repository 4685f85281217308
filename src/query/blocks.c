/* Handing out row groups to threads, and reading their columns for them. */
#include "query/blocks_internal.h"

#include "query/mend.h"
#include "query/pool.h"
#include "query/spare.h"
#include "query/weave.h"
#include "query/weave_index.h"

#include <stdlib.h>

/* Columns of which whole ones are not wanted ahead. */
static const uint64_t LONG_TEXTS = (uint64_t)1 << COL_PROMPT | (uint64_t)1 << COL_COMPLETION |
                                   (uint64_t)1 << COL_ATTRIBUTES | (uint64_t)1 << COL_EVENTS;

unsigned scan_workers(const struct ask *ask) {
    return ask->engine->options.threads;
}

void block_raise_floor(struct block *block, int64_t floor_ns) {
    long long now = atomic_load_explicit(&block->run->floor_ns, memory_order_relaxed);
    while (floor_ns > now && !atomic_compare_exchange_weak(&block->run->floor_ns, &now, floor_ns)) {
    }
}

int64_t block_floor(const struct block *block) {
    return atomic_load_explicit(&block->run->floor_ns, memory_order_relaxed);
}

/* ---- columns ---- */

static void *block_alloc(struct block *block, size_t count, size_t size, struct error *err) {
    void *memory = count <= SIZE_MAX / size ? arena_alloc(&block->arena, count * size + 1) : NULL;
    if (!memory)
        error_set(err, VT_ELIMIT, "the request needs more than the %llu MiB that one may hold",
                  (unsigned long long)block->ask->engine->options.memory_bytes >> 20);
    return memory;
}

static int mend_index(enum col col) {
    static const enum col cols[MEND_TEXTS] = {COL_USER_ID, COL_THREAD_ID, COL_TURN_ID};
    for (int i = 0; i < MEND_TEXTS; i++)
        if (cols[i] == col) return i;
    return -1;
}

/* Copies of the columns with the corrections in. */
static int mend_ids(struct block *block, struct vec *vec, struct error *err) {
    const struct mend *mend = block->mend;
    uint8_t *bytes = block_alloc(block, vec->count, TRACE_ID_SIZE, err);
    if (!bytes) return VT_ELIMIT;
    memcpy(bytes, vec->bytes, (size_t)vec->count * TRACE_ID_SIZE);
    for (uint32_t i = 0; i < mend->count; i++)
        memcpy(bytes + (size_t)mend->rows[i].row * TRACE_ID_SIZE, mend->rows[i].trace_id, TRACE_ID_SIZE);
    vec->bytes = bytes;
    return 0;
}

static int mend_flags(struct block *block, struct vec *vec, struct error *err) {
    const struct mend *mend = block->mend;
    int64_t *ints = block_alloc(block, vec->count, sizeof *ints, err);
    if (!ints) return VT_ELIMIT;
    memcpy(ints, vec->ints, vec->count * sizeof *ints);
    for (uint32_t i = 0; i < mend->count; i++) ints[mend->rows[i].row] = mend->rows[i].flags;
    vec->ints = ints;
    return 0;
}

static int mend_texts(struct block *block, struct vec *vec, int index, struct error *err) {
    const struct mend *mend = block->mend;
    struct slice *text = block_alloc(block, vec->count, sizeof *text, err);
    if (!text) return VT_ELIMIT;
    memcpy(text, vec->text, vec->count * sizeof *text);
    for (uint32_t i = 0; i < mend->count; i++) text[mend->rows[i].row] = mend->rows[i].text[index];
    vec->text = text;
    return 0;
}

/* A corrected text may be new to the dictionary; it is put behind, once for each row that needs it unless it is there.
 */
static int mend_codes(struct block *block, struct vec *vec, int index, struct error *err) {
    const struct mend *mend = block->mend;
    uint32_t *codes = block_alloc(block, vec->count, sizeof *codes, err);
    struct slice *dict = block_alloc(block, (size_t)vec->dict_count + mend->count, sizeof *dict, err);
    uint32_t dict_count = vec->dict_count;
    if (!codes || !dict) return VT_ELIMIT;
    memcpy(codes, vec->codes, vec->count * sizeof *codes);
    memcpy(dict, vec->dict, vec->dict_count * sizeof *dict);
    for (uint32_t i = 0; i < mend->count; i++) {
        struct slice text = mend->rows[i].text[index];
        uint32_t *code = &codes[mend->rows[i].row];
        if (slice_eq(dict[*code], text)) continue;
        /* Rows of one trace follow each other and mostly share their texts. */
        if (dict_count > vec->dict_count && slice_eq(dict[dict_count - 1], text)) {
            *code = dict_count - 1;
            continue;
        }
        for (*code = 0; *code < dict_count && !slice_eq(dict[*code], text);) ++*code;
        if (*code == dict_count) dict[dict_count++] = text;
    }
    vec->codes = codes;
    vec->dict = dict;
    vec->dict_count = dict_count;
    return 0;
}

static int mend_column(struct block *block, enum col col, struct vec *vec, struct error *err) {
    int index = mend_index(col);
    if (col == COL_FLAGS) return mend_flags(block, vec, err);
    if (col == COL_TRACE_ID) return block->mend->traces ? mend_ids(block, vec, err) : 0;
    if (index < 0) return 0;
    return vec->type == COL_DICT ? mend_codes(block, vec, index, err) : mend_texts(block, vec, index, err);
}

const struct vec *block_column(struct block *block, enum col col, struct error *err) {
    struct error own;
    struct vec *vec = &block->vecs[col];
    if (!err) err = &own;
    if (block->read & (uint64_t)1 << col) return vec;
    block->bare &= ~((uint64_t)1 << col);
    if (rowgroup_read(block->group, col, &block->arena, vec, err)) return NULL;
    if (block->mend && mend_column(block, col, vec, err)) return NULL;
    block->read |= (uint64_t)1 << col;
    return vec;
}

const struct vec *block_codes(struct block *block, enum col col, struct error *err) {
    struct error own;
    uint64_t bit = (uint64_t)1 << col;
    if (block->mend || (block->read & bit)) return block_column(block, col, err);
    if (block->bare & bit) return &block->vecs[col];
    if (rowgroup_read_codes(block->group, col, &block->arena, &block->vecs[col], err ? err : &own)) return NULL;
    block->bare |= bit;
    return &block->vecs[col];
}

int block_texts(struct block *block, enum col col, const uint32_t *rows, uint32_t row_count, struct slice *out,
                struct error *err) {
    int index = block->mend ? mend_index(col) : -1;
    if (!(block->read & (uint64_t)1 << col) && span_columns[col].type == COL_STRING && index < 0)
        return rowgroup_read_rows(block->group, col, rows, row_count, &block->arena, out, err);
    const struct vec *vec = block_column(block, col, err);
    if (!vec) return err->code;
    for (uint32_t i = 0; i < row_count; i++)
        out[i] = vec->type == COL_DICT ? vec->dict[vec->codes[rows[i]]] : vec->text[rows[i]];
    return 0;
}

int block_weights(struct block *block, const double **weights, struct error *err) {
    *weights = NULL;
    if (rowgroup_is_unknown(block->group, COL_SAMPLE_RATE)) return 0;
    const struct vec *rates = block_column(block, COL_SAMPLE_RATE, err);
    if (!rates) return err->code;
    uint32_t sampled = 0;
    for (uint32_t i = 0; i < rates->count; i++) sampled += rates->doubles[i] < 1;
    if (!sampled) return 0;
    double *out = block_alloc(block, rates->count, sizeof *out, err);
    if (!out) return VT_ELIMIT;
    for (uint32_t i = 0; i < rates->count; i++)
        out[i] = rates->doubles[i] > 0 && rates->doubles[i] < 1 ? 1 / rates->doubles[i] : 1;
    *weights = out;
    return 0;
}

void block_mend_span(const struct block *block, uint32_t row, struct span *span) {
    uint32_t low = 0, count = block->mend ? block->mend->count : 0;
    while (count) {
        uint32_t half = count / 2;
        if (block->mend->rows[low + half].row < row)
            low += half + 1, count -= half + 1;
        else
            count = half;
    }
    const struct mend_row *m = block->mend && low < block->mend->count ? &block->mend->rows[low] : NULL;
    if (!m || m->row != row) return;
    memcpy(span->trace_id, m->trace_id, TRACE_ID_SIZE);
    span->flags = m->flags;
    *span_text(span, COL_USER_ID) = m->text[0];
    *span_text(span, COL_THREAD_ID) = m->text[1];
    *span_text(span, COL_TURN_ID) = m->text[2];
}

int block_span(struct block *block, uint32_t row, struct arena *arena, struct span *out, struct error *err) {
    int code = rowgroup_read_span(block->group, row, arena, out, err);
    if (!code) block_mend_span(block, row, out);
    return code;
}

uint32_t *block_take_rows(struct block *block, struct error *err) {
    if (block->spare_count) return block->spare[--block->spare_count];
    return block_alloc(block, (size_t)block->group->rows + 8, sizeof(uint32_t), err);
}

void block_give_rows(struct block *block, uint32_t *rows) {
    if (block->spare_count == block->spare_capacity) {
        uint32_t capacity = block->spare_capacity ? 2 * block->spare_capacity : 16;
        uint32_t **more = arena_alloc(&block->arena, capacity * sizeof *more);
        if (!more) return; /* it stays in the arena until the block ends */
        if (block->spare_count) memcpy(more, block->spare, block->spare_count * sizeof *more);
        block->spare = more;
        block->spare_capacity = capacity;
    }
    block->spare[block->spare_count++] = rows;
}

/* ---- which rows ---- */

static int select_time(struct block *block, struct error *err) {
    const struct scan *scan = block->run->scan;
    uint32_t kept = 0, *rows = block->rows;
    if (scan->from_ns <= block->group->min_start_ns && scan->to_ns > block->group->max_start_ns) return 0;
    const struct vec *starts = block_column(block, COL_START_NS, err);
    if (!starts) return err->code;
    for (uint32_t i = 0; i < block->count; i++) {
        int64_t start = starts->ints[rows[i]];
        uint32_t row = rows[i];
        rows[kept] = row;
        kept += (start >= scan->from_ns) & (start < scan->to_ns);
    }
    block->count = kept;
    return 0;
}

static int select_project(struct block *block, struct error *err) {
    struct slice project = block->ask->request->project;
    if (!project.len) return 0;
    const struct vec *projects = block_column(block, COL_PROJECT, err);
    if (!projects) return err->code;
    uint32_t kept = 0, code = UINT32_MAX;
    for (uint32_t i = 0; i < projects->dict_count && code == UINT32_MAX; i++)
        if (slice_eq(projects->dict[i], project)) code = i;
    for (uint32_t i = 0; i < block->count; i++) {
        uint32_t row = block->rows[i];
        block->rows[kept] = row;
        kept += projects->codes[row] == code;
    }
    block->count = kept;
    return 0;
}

static bool is_one_of(const struct scan *scan, const uint8_t *id) {
    for (uint32_t t = 0; t < scan->trace_count; t++)
        if (memcmp(id, scan->traces[t], TRACE_ID_SIZE) == 0) return true;
    return false;
}

/* All rows are looked at: ids are compared only where a small table says that they may be one of them. */
static int select_traces_slowly(struct block *block, struct error *err) {
    enum { TABLE = 4096 };
    const struct scan *scan = block->run->scan;
    const struct vec *ids = block_column(block, COL_TRACE_ID, err);
    uint8_t table[TABLE / 8] = {0};
    uint32_t kept = 0;
    if (!ids) return err->code;
    for (uint32_t t = 0; t < scan->trace_count; t++) {
        unsigned hash = (unsigned)(scan->traces[t][14] << 8 | scan->traces[t][15]) % TABLE;
        table[hash / 8] |= (uint8_t)(1u << hash % 8);
    }
    for (uint32_t i = 0; i < block->count; i++) {
        const uint8_t *id = ids->bytes + (size_t)block->rows[i] * TRACE_ID_SIZE;
        unsigned hash = (unsigned)(id[14] << 8 | id[15]) % TABLE;
        if (table[hash / 8] >> hash % 8 & 1 && is_one_of(scan, id)) block->rows[kept++] = block->rows[i];
    }
    block->count = kept;
    return 0;
}

static int by_number(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Whether the rows of traces can be told without looking at all of them: by what the weave keeps, or, for a few and
 * before it does, by the file's own list. */
static bool is_listed(const struct block *block) {
    enum { FEW = 4 };
    uint32_t first, rows;
    if (!block->run->scan->traces || (block->mend && block->mend->traces)) return false;
    if (block->index) return true;
    return !block->ask->view && block->run->scan->trace_count <= FEW &&
           rowgroup_trace_rows(block->group, block->run->scan->traces[0], &first, &rows, NULL) == 0;
}

/* By the index; rows of others, given by a rare chance of hashes, are taken out by their ids. */
static int select_traces_by_index(struct block *block, struct error *err) {
    const struct scan *scan = block->run->scan;
    uint32_t count = 0, kept = 0, first = 0;
    for (uint32_t t = 0; t < scan->trace_count; t++) {
        uint32_t rows = 0;
        int found = 0;
        if (block->index)
            rows = group_index_rows(block->index, scan->traces[t], &first);
        else
            found = rowgroup_trace_rows(block->group, scan->traces[t], &first, &rows, err);
        if (found) return found;
        for (uint32_t row = first; row < first + rows && count < block->group->rows; row++) block->rows[count++] = row;
    }
    qsort(block->rows, count, sizeof *block->rows, by_number);
    struct span *spans = block_alloc(block, count, sizeof *spans, err);
    if (!spans) return VT_ELIMIT;
    int code = rowgroup_read_span_columns(block->group, block->rows, count, (uint64_t)1 << COL_TRACE_ID, &block->arena,
                                          spans, err);
    for (uint32_t i = 0; i < count && !code; i++)
        if ((!i || block->rows[i] != block->rows[i - 1]) && is_one_of(scan, spans[i].trace_id))
            block->rows[kept++] = block->rows[i];
    block->count = kept;
    return code;
}

static int select_traces(struct block *block, struct error *err) {
    if (!block->run->scan->traces) return 0;
    return is_listed(block) ? select_traces_by_index(block, err) : select_traces_slowly(block, err);
}

static void select_undropped(struct block *block) {
    uint32_t kept = 0, m = 0;
    if (!block->mend || !block->mend->drops) return;
    for (uint32_t i = 0; i < block->count; i++) {
        while (m < block->mend->count && block->mend->rows[m].row < block->rows[i]) m++;
        bool drop = m < block->mend->count && block->mend->rows[m].row == block->rows[i] && block->mend->rows[m].drop;
        if (!drop) block->rows[kept++] = block->rows[i];
    }
    block->count = kept;
}

int block_select(struct block *block, struct error *err) {
    const struct scan *scan = block->run->scan;
    int code;
    if (!(block->rows = block_take_rows(block, err))) return VT_ELIMIT;
    bool listed = is_listed(block);
    for (uint32_t i = 0; i < block->group->rows && !listed; i++) block->rows[i] = i;
    block->count = block->group->rows;
    if ((code = select_traces(block, err))) return code;
    atomic_fetch_add_explicit(&block->ask->scanned, listed ? block->count : block->group->rows, memory_order_relaxed);
    select_undropped(block);
    if ((code = select_time(block, err)) || (code = select_project(block, err))) return code;
    if (!block->count || !scan->filter) return 0;
    return filter_select(scan->filter, block, block->rows, block->count, block->rows, &block->count, err);
}

/* ---- row groups ---- */

struct place place_at(const struct ask *ask, uint32_t number) {
    return (struct place){snapshot_rowgroup(ask->snapshot, number), weave_mend(ask->view, number),
                          weave_index(ask->view, number), number};
}

void block_set_place(struct block *block, const struct place *place) {
    block->group = place->group;
    block->mend = place->mend;
    block->index = place->index;
}

static bool has_some_trace(const struct scan_run *run, const struct place *place) {
    const struct scan *scan = run->scan;
    uint32_t first;
    if (!scan->traces || (place->mend && place->mend->traces)) return true;
    if (run->places && run->places[place->number] == TRACE_ABSENT) return false;
    for (uint32_t t = 0; t < scan->trace_count; t++) {
        if (place->index ? group_index_rows(place->index, scan->traces[t], &first) > 0
                         : rowgroup_may_have_trace(place->group, scan->traces[t]))
            return true;
    }
    return false;
}

bool scan_wants(const struct scan_run *run, const struct place *place) {
    const struct scan *scan = run->scan;
    const struct rowgroup *group = place->group;
    struct slice project = run->ask->request->project;
    if (group->max_start_ns < scan->from_ns || group->min_start_ns >= scan->to_ns) return false;
    if (group->max_start_ns < atomic_load_explicit(&run->floor_ns, memory_order_relaxed)) return false;
    if (!has_some_trace(run, place)) return false;
    if (project.len && !rowgroup_may_have_value(group, COL_PROJECT, project)) return false;
    /* Mended rows may hold values that their row group does not know of. */
    return !scan->filter || place->mend || filter_may_match(scan->filter, group, place->index);
}

static int scan_group(struct scan_run *run, struct block *block, struct error *err) {
    enum { KEPT_MAX = 64 << 20 };
    int known = run->scan->known ? run->scan->known(run->scan->ctx, block, err) : 0;
    if (known) return known < 0 ? known : 0;
    arena_renew(&block->arena, KEPT_MAX);
    block->read = block->bare = 0;
    block->spare = NULL;
    block->spare_count = block->spare_capacity = 0;
    int code = block_select(block, err);
    scan_each *each = block->count ? run->scan->each : run->scan->none;
    return code || !each ? code : each(run->scan->ctx, block, err);
}

static void end_run(struct scan_run *run, int code, const struct error *err) {
    int none = 0;
    if (atomic_compare_exchange_strong(&run->code, &none, code)) run->err = *err;
    atomic_store(&run->ended, true);
}

static uint32_t range_left(unsigned long long range) {
    return (uint32_t)range - (uint32_t)(range >> 32);
}

/* What the last row group was read for, the next ones of this thread will be too. */
static void expect_ahead(const struct scan_run *run, const struct block *block, uint32_t number) {
    enum { AHEAD = 3 };
    uint64_t columns = (block->read | block->bare) & ~LONG_TEXTS;
    uint32_t end = (uint32_t)atomic_load_explicit(&run->ranges[block->worker % run->range_count], memory_order_relaxed);
    for (uint32_t n = number + 1; columns && n <= number + AHEAD && n < end; n++)
        rowgroup_expect(snapshot_rowgroup(run->ask->snapshot, n), columns);
}

/* Of one or a few traces nothing is known yet: the disk brings a page of each list that may hold them at once. Where
 * they are likely to be, their rows will be looked for, too. */
static void expect_traces(const struct scan_run *run) {
    enum { FEW = 4 };
    const struct scan *scan = run->scan;
    if (run->ask->view || scan->trace_count > FEW) return;
    for (uint32_t i = 0; i < snapshot_count(run->ask->snapshot); i++) {
        const struct rowgroup *group = snapshot_rowgroup(run->ask->snapshot, i);
        int place = run->places ? run->places[i] : TRACE_UNKNOWN;
        for (uint32_t t = 0; t < scan->trace_count && place != TRACE_ABSENT; t++) {
            rowgroup_expect_trace(group, scan->traces[t]);
            if (place == TRACE_LIKELY) rowgroup_expect_trace_rows(group, scan->traces[t]);
        }
    }
}

void scan_find_traces(struct scan_run *run) {
    struct ask *ask = run->ask;
    uint8_t *places = NULL;
    if (!run->scan->traces) return;
    if (!run->scan->all_places) places = arena_alloc(&ask->arena, (size_t)snapshot_count(ask->snapshot) + 1);
    if (places) snapshot_find_traces(ask->snapshot, run->scan->traces, run->scan->trace_count, places);
    run->places = places;
    expect_traces(run);
}

/* The next row group of the thread's own range, else the last one of whoever has most left. */
static bool take_group(struct scan_run *run, unsigned own, uint32_t *number) {
    unsigned from = own;
    for (;;) {
        unsigned long long range = atomic_load(&run->ranges[from]);
        if (!range_left(range)) {
            unsigned long long most = 0;
            for (unsigned i = 0; i < run->range_count; i++) {
                unsigned long long left = range_left(atomic_load(&run->ranges[i]));
                if (left > most) most = left, from = i;
            }
            if (!most) return false;
            continue;
        }
        *number = from == own ? (uint32_t)(range >> 32) : (uint32_t)range - 1;
        unsigned long long rest = from == own ? range + (1ULL << 32) : range - 1;
        if (atomic_compare_exchange_weak(&run->ranges[from], &range, rest)) return true;
    }
}

static void make_ranges(struct scan_run *run, unsigned workers) {
    unsigned long long count = snapshot_count(run->ask->snapshot);
    run->range_count = run->scan->apart && workers ? workers : 1;
    for (unsigned i = 0; i < run->range_count; i++)
        atomic_init(&run->ranges[i], (count * i / run->range_count) << 32 | count * (i + 1) / run->range_count);
}

static void scan_work(void *ctx, unsigned worker) {
    struct scan_run *run = ctx;
    struct ask *ask = run->ask;
    struct block block = {.ask = ask, .worker = worker, .run = run};
    struct error err = {0};
    spare_take(ask->engine->spare, &block.arena, ask->engine->options.memory_bytes);
    while (!atomic_load_explicit(&run->ended, memory_order_relaxed)) {
        uint32_t next;
        if (!take_group(run, worker % run->range_count, &next)) break;
        int code = ask_check(ask, &err);
        struct place place = place_at(ask, next);
        expect_ahead(run, &block, next);
        block_set_place(&block, &place);
        if (!code && scan_wants(run, &place)) code = scan_group(run, &block, &err);
        /* A corrupt segment was named in the log and is set aside; the rest answers. */
        if (code == VT_ECORRUPT) code = 0;
        if (code) end_run(run, code, &err);
    }
    spare_give(ask->engine->spare, &block.arena);
}

int scan_run(struct ask *ask, const struct scan *scan, struct error *err) {
    struct scan_run run = {.ask = ask, .scan = scan};
    unsigned workers = scan_workers(ask);
    if (scan->workers && scan->workers < workers) workers = scan->workers;
    if (snapshot_count(ask->snapshot) < workers) workers = snapshot_count(ask->snapshot);
    make_ranges(&run, workers);
    scan_find_traces(&run);
    atomic_init(&run.floor_ns, INT64_MIN);
    atomic_init(&run.ended, false);
    atomic_init(&run.code, 0);
    pool_run(ask->engine->pool, workers ? workers : 1, scan_work, &run);
    int code = atomic_load(&run.code);
    if (code && err) *err = run.err;
    return code;
}
