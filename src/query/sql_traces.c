/* The table `traces`: spans folded by trace, in one scan of the time that the statement asks for and one around it for
 * what of these traces lies outside. */
#include "base/timestamp.h"
#include "query/blocks.h"
#include "query/sql_lists.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum trace_column {
    T_TRACE_ID,
    T_START_MS,
    T_START,
    T_DURATION_MS,
    T_OPERATION,
    T_SERVICE,
    T_STATUS,
    T_ERROR,
    T_PROVIDER,
    T_MODEL,
    T_SPAN_COUNT,
    T_LLM_CALLS,
    T_ERRORS,
    T_TOKENS_INPUT,
    T_TOKENS_OUTPUT,
    T_TOKENS_CACHED,
    T_TOKENS_TOTAL,
    T_COST,
    T_PROJECT,
    T_USER_ID,
    T_THREAD_ID,
    T_TURN_ID,
    T_FALLBACK,
    T_COLUMNS
};
static const struct sql_list_column trace_columns[T_COLUMNS] = {{"trace_id", "TEXT", 1},
                                                                {"start_ms", "INTEGER", 't'},
                                                                {"start", "TEXT", 0},
                                                                {"duration_ms", "REAL", 0},
                                                                {"operation", "TEXT", 0},
                                                                {"service", "TEXT", 0},
                                                                {"status", "TEXT", 0},
                                                                {"error", "TEXT", 0},
                                                                {"provider", "TEXT", 0},
                                                                {"model", "TEXT", 0},
                                                                {"span_count", "INTEGER", 0},
                                                                {"llm_calls", "INTEGER", 0},
                                                                {"errors", "INTEGER", 0},
                                                                {"tokens_input", "INTEGER", 0},
                                                                {"tokens_output", "INTEGER", 0},
                                                                {"tokens_cached", "INTEGER", 0},
                                                                {"tokens_total", "INTEGER", 0},
                                                                {"cost_usd", "REAL", 0},
                                                                {"project", "TEXT", 0},
                                                                {"user_id", "TEXT", 0},
                                                                {"thread_id", "TEXT", 0},
                                                                {"turn_id", "TEXT", 0},
                                                                {"fallback", "INTEGER", 0}};

/* Texts that a trace has: of its root (head), or of any span that says something. */
enum text {
    TEXT_OPERATION,
    TEXT_SERVICE,
    TEXT_PROJECT,
    TEXT_PROVIDER,
    TEXT_MODEL,
    TEXT_USER,
    TEXT_THREAD,
    TEXT_TURN,
    TEXT_ERROR,
    TEXT_COUNT
};
static const struct {
    enum col col;
    enum trace_column shown;
    bool of_head;
} texts[TEXT_COUNT] = {
    {COL_OPERATION, T_OPERATION, true},  {COL_SERVICE, T_SERVICE, true},  {COL_PROJECT, T_PROJECT, true},
    {COL_PROVIDER, T_PROVIDER, false},   {COL_MODEL, T_MODEL, false},     {COL_USER_ID, T_USER_ID, false},
    {COL_THREAD_ID, T_THREAD_ID, false}, {COL_TURN_ID, T_TURN_ID, false}, {COL_ERROR, T_ERROR, false}};

struct trace_row {
    uint8_t id[TRACE_ID_SIZE];
    int64_t head_ns, end_ns, error_ns;
    int64_t tokens[3]; /* input, output, cached */
    double cost;
    uint32_t spans, calls, errors;
    uint8_t status;
    bool has_root, fallback;
    bool said[TEXT_COUNT]; /* of_head texts: by the head; others: by the root or, less, by any */
    struct slice text[TEXT_COUNT];
};

struct fold {
    struct sql_list *list;
    struct trace_row **rows;
    uint32_t count, capacity;
    uint32_t *slots; /* row + 1, 0 = free; a power of two, twice the capacity */
    bool wanted[TEXT_COUNT], add;
    struct trace_row *last;
};

static int too_many(const struct fold *f, struct error *err) {
    error_set(err, VT_ELIMIT, "traces: %u traces need more memory than a request may hold", f->count);
    return error_hint(err, "a condition on start_ms takes fewer, as in WHERE start_ms > now_ms() - 3600000; spans can "
                           "be grouped by trace_id without that limit");
}

/* ---- finding a trace ---- */

static uint32_t slot_of(const uint8_t *id, uint32_t mask) {
    return (uint32_t)XXH3_64bits(id, TRACE_ID_SIZE) & mask;
}

static bool grow(struct fold *f) {
    struct arena *arena = &f->list->arena;
    uint32_t capacity = f->capacity ? 2 * f->capacity : 1024, mask = 2 * capacity - 1;
    struct trace_row **rows = arena_alloc(arena, capacity * sizeof *rows);
    uint32_t *slots = arena_calloc(arena, 2 * (size_t)capacity, sizeof *slots);
    if (!rows || !slots) return false;
    if (f->count) memcpy(rows, f->rows, f->count * sizeof *rows);
    for (uint32_t i = 0; i < f->count; i++) {
        uint32_t at = slot_of(rows[i]->id, mask);
        while (slots[at]) at = (at + 1) & mask;
        slots[at] = i + 1;
    }
    f->rows = rows;
    f->slots = slots;
    f->capacity = capacity;
    return true;
}

/* NULL: not there and not to be added (*failed says whether memory ran out). */
static struct trace_row *find(struct fold *f, const uint8_t *id, bool *failed) {
    if (f->last && memcmp(f->last->id, id, TRACE_ID_SIZE) == 0) return f->last;
    uint32_t mask = 2 * f->capacity - 1, at = f->capacity ? slot_of(id, mask) : 0;
    for (; f->capacity && f->slots[at]; at = (at + 1) & mask)
        if (memcmp(f->rows[f->slots[at] - 1]->id, id, TRACE_ID_SIZE) == 0) return f->last = f->rows[f->slots[at] - 1];
    if (!f->add) return NULL;
    if (f->count == f->capacity && !grow(f)) goto no_memory;
    struct trace_row *row = arena_alloc(&f->list->arena, sizeof *row);
    if (!row) goto no_memory;
    *row = (struct trace_row){.head_ns = INT64_MAX,
                              .end_ns = INT64_MIN,
                              .error_ns = INT64_MAX,
                              .tokens = {SPAN_NO_INT, SPAN_NO_INT, SPAN_NO_INT},
                              .cost = (double)NAN};
    memcpy(row->id, id, TRACE_ID_SIZE);
    mask = 2 * f->capacity - 1;
    for (at = slot_of(id, mask); f->slots[at];) at = (at + 1) & mask;
    f->rows[f->count] = row;
    f->slots[at] = ++f->count;
    return f->last = row;
no_memory:
    *failed = true;
    return NULL;
}

/* ---- folding a block ---- */

struct columns {
    const struct vec *ids, *starts, *durations, *parents, *kinds, *statuses, *flags, *tokens[3], *costs,
        *texts[TEXT_COUNT];
    struct slice *errors; /* by position among the block's rows */
};

static bool read_columns(struct fold *f, struct block *block, struct columns *c, struct error *err) {
    const struct {
        const struct vec **vec;
        enum col col;
    } all[] = {{&c->ids, COL_TRACE_ID},
               {&c->starts, COL_START_NS},
               {&c->durations, COL_DURATION_NS},
               {&c->parents, COL_PARENT_SPAN_ID},
               {&c->kinds, COL_KIND},
               {&c->statuses, COL_STATUS},
               {&c->flags, COL_FLAGS},
               {&c->tokens[0], COL_TOKENS_INPUT},
               {&c->tokens[1], COL_TOKENS_OUTPUT},
               {&c->tokens[2], COL_TOKENS_CACHED},
               {&c->costs, COL_COST_USD}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!(*all[i].vec = block_column(block, all[i].col, err))) return false;
    for (int t = 0; t < TEXT_COUNT; t++)
        if (f->wanted[t] && t != TEXT_ERROR && !(c->texts[t] = block_column(block, texts[t].col, err))) return false;
    if (!f->wanted[TEXT_ERROR]) return true;
    c->errors = arena_alloc(&block->arena, block->count * sizeof *c->errors + 1);
    return c->errors && block_texts(block, COL_ERROR, block->rows, block->count, c->errors, err) == 0;
}

static bool take_text(struct fold *f, struct trace_row *trace, enum text t, struct slice text, bool root) {
    if (!text.len) {
        if (texts[t].of_head) trace->text[t] = text;
        return true;
    }
    if (!texts[t].of_head && trace->text[t].len && (trace->said[t] || !root)) return true;
    trace->said[t] = root;
    if (slice_eq(trace->text[t], text)) return true;
    trace->text[t] = arena_copy(&f->list->arena, text);
    return trace->text[t].ptr != NULL;
}

static struct slice text_at(const struct columns *c, enum text t, uint32_t row) {
    const struct vec *vec = c->texts[t];
    return vec->type == COL_DICT ? vec->dict[vec->codes[row]] : vec->text[row];
}

/* The head is the root, the earliest of several; without one, the earliest span. */
static bool take_row(struct fold *f, struct trace_row *trace, const struct columns *c, uint32_t row,
                     uint32_t position) {
    int64_t start = c->starts->ints[row], end = start + c->durations->ints[row];
    bool root = id_is_zero(c->parents->bytes + (size_t)row * SPAN_ID_SIZE, SPAN_ID_SIZE),
         failed = c->statuses->ints[row] == STATUS_ERROR;
    bool head = root == trace->has_root ? start < trace->head_ns : root;
    bool fine = true;
    trace->spans++;
    trace->calls += c->kinds->ints[row] == KIND_LLM;
    trace->errors += failed && c->kinds->ints[row] == KIND_LLM;
    trace->fallback |= (c->flags->ints[row] & SPAN_FALLBACK) != 0;
    if (end > trace->end_ns) trace->end_ns = end;
    if (!(c->flags->ints[row] & SPAN_USAGE_RESTATED)) {
        for (int t = 0; t < 3; t++) {
            int64_t value = c->tokens[t]->ints[row];
            if (value != SPAN_NO_INT)
                trace->tokens[t] = trace->tokens[t] == SPAN_NO_INT ? value : trace->tokens[t] + value;
        }
        double cost = c->costs->doubles[row];
        if (!isnan(cost)) trace->cost = isnan(trace->cost) ? cost : trace->cost + cost;
    }
    if (head) {
        trace->head_ns = start;
        trace->has_root |= root;
        trace->status = (uint8_t)c->statuses->ints[row];
    }
    for (int t = 0; t < TEXT_ERROR && fine; t++)
        if (f->wanted[t] && (head || !texts[t].of_head))
            fine = take_text(f, trace, (enum text)t, text_at(c, (enum text)t, row), head && root);
    /* The root's error, else that of the first failed span. */
    if (!fine || !f->wanted[TEXT_ERROR] || !failed || !c->errors[position].len) return fine;
    bool own = head && root;
    if (!own && (trace->said[TEXT_ERROR] || start >= trace->error_ns)) return true;
    trace->error_ns = start;
    trace->said[TEXT_ERROR] = own;
    trace->text[TEXT_ERROR] = arena_copy(&f->list->arena, c->errors[position]);
    return trace->text[TEXT_ERROR].ptr != NULL;
}

static int fold_block(void *ctx, struct block *block, struct error *err) {
    struct fold *f = ctx;
    struct columns c = {0};
    bool failed = false;
    if (!read_columns(f, block, &c, err)) return err->code ? err->code : too_many(f, err);
    for (uint32_t i = 0; i < block->count; i++) {
        struct trace_row *trace = find(f, c.ids->bytes + (size_t)block->rows[i] * TRACE_ID_SIZE, &failed);
        if (failed || (trace && !take_row(f, trace, &c, block->rows[i], i))) return too_many(f, err);
    }
    return 0;
}

/* ---- the table ---- */

static int fold_range(struct fold *f, const uint8_t (*ids)[TRACE_ID_SIZE], int64_t from_ns, int64_t to_ns) {
    struct sql_session *session = f->list->session;
    struct scan scan = {.from_ns = from_ns,
                        .to_ns = to_ns,
                        .traces = ids,
                        .trace_count = ids ? 1 : 0,
                        .workers = 1,
                        .each = fold_block,
                        .ctx = f};
    return from_ns < to_ns ? scan_run(session->ask, &scan, &session->err) : 0;
}

static bool some_without_root(const struct fold *f) {
    for (uint32_t i = 0; i < f->count; i++)
        if (!f->rows[i]->has_root) return true;
    return false;
}

static bool traces_load_list(struct sql_list *list) {
    static const int64_t DAY_NS = 86400 * (int64_t)NS_PER_S;
    struct fold f = {.list = list, .add = true};
    uint8_t id[1][TRACE_ID_SIZE];
    const uint8_t(*ids)[TRACE_ID_SIZE] = NULL;
    int64_t from = list->from_ms > -(int64_t)9e12 ? list->from_ms * NS_PER_MS : INT64_MIN,
            to = list->to_ms < (int64_t)9e12 ? (list->to_ms + 1) * NS_PER_MS : INT64_MAX;
    list->more = false;
    for (int t = 0; t < TEXT_COUNT; t++) f.wanted[t] = list->used >> texts[t].shown & 1;
    if (list->keys[0].len) {
        if (!hex_decode(list->keys[0], id[0], TRACE_ID_SIZE)) return true;
        ids = (const uint8_t(*)[TRACE_ID_SIZE])id;
        from = INT64_MIN, to = INT64_MAX;
    }
    int code = fold_range(&f, ids, from, to);
    /* What of these traces lies before and behind: a day, as traces go. */
    f.add = false;
    if (!code && to < INT64_MAX && f.count) code = fold_range(&f, NULL, to, to + DAY_NS);
    if (!code && from > INT64_MIN && some_without_root(&f)) code = fold_range(&f, NULL, from - DAY_NS, from);
    list->rows = f.rows;
    list->row_count = code ? 0 : f.count;
    return !code;
}

static void traces_show(const struct sql_list *list, uint32_t row, int column, sqlite3_context *c) {
    const struct trace_row *trace = ((struct trace_row *const *)list->rows)[row];
    int64_t input = trace->tokens[0], output = trace->tokens[1];
    switch (column) {
    case T_TRACE_ID: sql_give_id(c, trace->id, TRACE_ID_SIZE); break;
    case T_START_MS: sqlite3_result_int64(c, trace->head_ns / NS_PER_MS); break;
    case T_START: sql_give_time(c, trace->head_ns); break;
    case T_DURATION_MS:
        sqlite3_result_double(c, (double)(trace->end_ns > trace->head_ns ? trace->end_ns - trace->head_ns : 0) /
                                     NS_PER_MS);
        break;
    case T_STATUS:
        sqlite3_result_text(c, span_status_names[trace->status < STATUS_COUNT ? trace->status : STATUS_UNSET], -1,
                            SQLITE_STATIC);
        break;
    case T_SPAN_COUNT: sqlite3_result_int64(c, trace->spans); break;
    case T_LLM_CALLS: sqlite3_result_int64(c, trace->calls); break;
    case T_ERRORS: sqlite3_result_int64(c, trace->errors); break;
    case T_TOKENS_INPUT: sql_give_whole(c, input); break;
    case T_TOKENS_OUTPUT: sql_give_whole(c, output); break;
    case T_TOKENS_CACHED: sql_give_whole(c, trace->tokens[2]); break;
    case T_TOKENS_TOTAL: sql_give_whole(c, tokens_total(input, output)); break;
    case T_COST:
        if (!isnan(trace->cost)) sqlite3_result_double(c, trace->cost);
        break;
    case T_FALLBACK: sqlite3_result_int(c, trace->fallback); break;
    default:
        for (int t = 0; t < TEXT_COUNT; t++)
            if ((int)texts[t].shown == column) sql_give_slice(c, trace->text[t]);
    }
}

const struct sql_list_table sql_traces_table = {"traces", trace_columns, T_COLUMNS, 1e6, traces_load_list, traces_show};
