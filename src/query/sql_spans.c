/* `spans` and `ai_storefront_traces` as virtual tables: a cursor steps through the blocks of a scan, with the
 * conditions of the WHERE pushed into it, and reads of each row only the columns that the statement uses. ORDER BY the
 * start is given for free: then several blocks are open at once, and the row that is next of all is shown. */
#include "query/sql_group.h"
#include "query/sql_lookup.h"

#include <stdlib.h>
#include <strings.h>

enum { CHUNK_FIRST = 64, CHUNK_MAX = 4096 };

struct spans_table {
    sqlite3_vtab base;
    struct sql_session *session;
    const struct sql_column_list *list;
    const struct group_plan *plan; /* spans are shown in groups; NULL = each by itself */
    struct lookup *lookup;         /* made when the first trace is looked up */
};

/* Long texts of some rows, in the order in which they are shown. */
struct chunk {
    struct arena arena;
    uint32_t first, count, next_size; /* rows [first, first + count) of the part's order */
    struct slice *texts;
};

/* A block whose rows are being shown: all that the scan selected, or those of one trace. */
struct part {
    struct block *block;
    uint32_t *rows;
    uint32_t count;
    struct found found;     /* of a trace that was looked up; its block is the lookup's */
    struct grouped grouped; /* where spans are shown in groups */
    const int64_t *starts;  /* ordered scans only */
    uint32_t at;            /* into rows */
    struct chunk *chunks[COL_TEXT_COUNT];
};

struct spans_cursor {
    sqlite3_vtab_cursor base;
    struct sql_row row; /* first: sql_row.text gets back to the cursor */
    struct arena arena; /* of the filter's conditions */
    struct sql_bounds bounds;
    struct steps *steps;
    bool ordered, oldest_first;
    struct part **parts; /* not ordered: at most one */
    uint32_t part_count, part_capacity;
    struct part *current; /* NULL at the end */
    sqlite3_int64 rowid;
};

/* ---- parts ---- */

static void part_free(struct lookup *lookup, struct part *part) {
    for (int t = 0; t < COL_TEXT_COUNT; t++) {
        if (!part->chunks[t]) continue;
        arena_free(&part->chunks[t]->arena);
        free(part->chunks[t]);
    }
    if (part->found.block)
        lookup_let_go(lookup, &part->found);
    else
        block_close(part->block);
    free(part);
}

static struct spans_table *table_of(const struct spans_cursor *cursor) {
    return (struct spans_table *)cursor->base.pVtab;
}
static struct sql_session *session_of(const struct spans_cursor *cursor) {
    return table_of(cursor)->session;
}

static int no_memory(struct sql_session *session) {
    return error_set(&session->err, VT_ENOMEM, "sql: no memory for a block of spans");
}

static _Thread_local const int64_t *sort_starts;
static _Thread_local bool sort_oldest_first;
static int by_start(const void *a, const void *b) {
    int64_t x = sort_starts[*(const uint32_t *)a], y = sort_starts[*(const uint32_t *)b];
    int order = x < y ? -1 : x > y;
    return sort_oldest_first ? order : -order;
}

static int sort_part(struct spans_cursor *cursor, struct part *part) {
    const struct vec *starts = block_column(part->block, COL_START_NS, &session_of(cursor)->err);
    if (!starts) return session_of(cursor)->err.code;
    part->starts = sort_starts = starts->ints;
    sort_oldest_first = cursor->oldest_first;
    qsort(part->rows, part->count, sizeof *part->rows, by_start);
    return 0;
}

/* Takes over the block, or what was found. */
static int add_part(struct spans_cursor *cursor, struct block *block, const struct found *found) {
    struct part *part = calloc(1, sizeof *part);
    const struct group_plan *plan = table_of(cursor)->plan;
    if (cursor->part_count == cursor->part_capacity) {
        uint32_t capacity = cursor->part_capacity ? 2 * cursor->part_capacity : 4;
        struct part **grown = realloc(cursor->parts, capacity * sizeof *grown);
        if (grown) cursor->parts = grown, cursor->part_capacity = capacity;
    }
    if (!part || cursor->part_count == cursor->part_capacity) {
        struct found held = found ? *found : (struct found){0};
        if (found)
            lookup_let_go(table_of(cursor)->lookup, &held);
        else
            block_close(block);
        free(part);
        return no_memory(session_of(cursor));
    }
    int code = plan && block ? sql_group_block(plan, block, &part->grouped, &session_of(cursor)->err) : 0;
    session_of(cursor)->abandoned |= code == VT_EFULL;
    part->block = block;
    part->rows = found ? found->rows : block->rows;
    part->count = found ? found->count : block->count;
    if (found) part->found = *found;
    cursor->parts[cursor->part_count++] = part;
    if (code) return code;
    return cursor->ordered ? sort_part(cursor, part) : 0;
}

static void drop_part(struct spans_cursor *cursor, uint32_t i) {
    part_free(table_of(cursor)->lookup, cursor->parts[i]);
    cursor->parts[i] = cursor->parts[--cursor->part_count];
}

/* ---- which row is next ---- */

/* NULL at the end, and where traces are looked up: then all parts are there from the beginning. */
static int next_block(struct spans_cursor *cursor, struct block **block) {
    *block = NULL;
    return cursor->steps ? steps_next(cursor->steps, block, &session_of(cursor)->err) : 0;
}

static int next_unordered(struct spans_cursor *cursor) {
    struct block *block;
    int code;
    if (cursor->part_count && cursor->current) drop_part(cursor, 0);
    while (!cursor->part_count) {
        if ((code = next_block(cursor, &block))) return code;
        if (!block) break;
        code = add_part(cursor, block, NULL);
        if (code != VT_ECORRUPT) {
            if (code) return code;
            continue;
        }
        drop_part(cursor, 0); /* the segment was named and is set aside, the rest answers */
        session_of(cursor)->err = (struct error){0};
    }
    cursor->current = cursor->part_count ? cursor->parts[0] : NULL;
    return 0;
}

/* The open part whose next row comes first; parts without rows left are closed on the way. */
static struct part *first_part(struct spans_cursor *cursor) {
    struct part *best = NULL;
    for (uint32_t i = 0; i < cursor->part_count;) {
        struct part *part = cursor->parts[i];
        if (part->at == part->count) {
            drop_part(cursor, i);
            continue;
        }
        int64_t start = part->starts[part->rows[part->at]], other = best ? best->starts[best->rows[best->at]] : 0;
        if (!best || (cursor->oldest_first ? start < other : start > other)) best = part;
        i++;
    }
    return best;
}

/* Blocks are opened until none that is left can hold an earlier row than the first of the open ones. */
static int next_ordered(struct spans_cursor *cursor) {
    for (;;) {
        struct part *best = first_part(cursor);
        int64_t none = cursor->oldest_first ? INT64_MAX : INT64_MIN;
        int64_t bound = cursor->steps ? steps_bound(cursor->steps) : none,
                start = best ? best->starts[best->rows[best->at]] : 0;
        if (best && (cursor->oldest_first ? start <= bound : start >= bound)) {
            cursor->current = best;
            return 0;
        }
        struct block *block;
        int code = next_block(cursor, &block);
        if (!code && block) code = add_part(cursor, block, NULL);
        if (code) return code;
        if (!block && !best) {
            cursor->current = NULL;
            return 0;
        }
    }
}

/* ---- texts ---- */

struct numbered {
    uint32_t row, place;
};
static int by_row(const void *a, const void *b) {
    uint32_t x = ((const struct numbered *)a)->row, y = ((const struct numbered *)b)->row;
    return x < y ? -1 : x > y;
}

/* Reads the texts of the next rows of the part into its chunk: few at first, since many statements want few rows. */
static int fill_chunk(struct spans_cursor *cursor, struct part *part, enum col col, struct chunk *chunk) {
    struct sql_session *session = session_of(cursor);
    uint32_t left = part->count - part->at, count = chunk->next_size ? chunk->next_size : CHUNK_FIRST;
    if (count > left) count = left;
    chunk->next_size = 2 * count < CHUNK_MAX ? 2 * count : CHUNK_MAX;
    arena_reset(&chunk->arena);
    struct numbered *order = arena_alloc(&chunk->arena, count * sizeof *order);
    uint32_t *rows = arena_alloc(&chunk->arena, count * sizeof *rows);
    struct slice *read = arena_alloc(&chunk->arena, count * sizeof *read);
    chunk->texts = arena_alloc(&chunk->arena, count * sizeof *chunk->texts);
    if (!order || !rows || !read || !chunk->texts) return no_memory(session);
    for (uint32_t i = 0; i < count; i++) order[i] = (struct numbered){part->rows[part->at + i], i};
    if (cursor->ordered) qsort(order, count, sizeof *order, by_row);
    for (uint32_t i = 0; i < count; i++) rows[i] = order[i].row;
    int code = rowgroup_read_rows(part->block->group, col, rows, count, &chunk->arena, read, &session->err);
    for (uint32_t i = 0; i < count; i++) chunk->texts[order[i].place] = read[i];
    chunk->first = part->at;
    chunk->count = code ? 0 : count;
    return code;
}

static bool cursor_text(struct sql_row *row, enum col col, struct slice *out) {
    struct spans_cursor *cursor = (struct spans_cursor *)(void *)((char *)row - offsetof(struct spans_cursor, row));
    struct part *part = cursor->current;
    struct chunk **chunk = &part->chunks[col - COL_TEXT_FIRST];
    /* Columns of few distinct texts, and turn ids, which may be mended, are read whole. */
    if (span_columns[col].type == COL_DICT || col == COL_TURN_ID) {
        const struct vec *vec = block_column(part->block, col, &row->session->err);
        if (!vec) return false;
        *out = vec->type == COL_DICT ? vec->dict[vec->codes[row->row]] : vec->text[row->row];
        return true;
    }
    if (!*chunk) {
        if (!(*chunk = calloc(1, sizeof **chunk))) return no_memory(row->session), false;
        arena_init(&(*chunk)->arena, row->session->ask->engine->options.memory_bytes / 4);
    }
    if (part->at < (*chunk)->first || part->at >= (*chunk)->first + (*chunk)->count)
        if (fill_chunk(cursor, part, col, *chunk)) return false;
    *out = (*chunk)->texts[part->at - (*chunk)->first];
    return true;
}

/* ---- SQLite's interface ---- */

int sql_table_failed(sqlite3_vtab *table, const struct sql_session *session) {
    sqlite3_free(table->zErrMsg);
    table->zErrMsg = sqlite3_mprintf("%s", session->err.message);
    return session->err.code == VT_ENOMEM ? SQLITE_NOMEM : SQLITE_ERROR;
}

struct spans_module {
    struct sql_session *session;
    const struct sql_column_list *list;
    const struct group_plan *plan;
};

static int spans_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **error) {
    const struct spans_module *module = aux;
    struct buf declaration = {0};
    if (module->plan)
        sql_group_put_declaration(module->plan, &declaration);
    else
        sql_put_declaration(module->list, &declaration);
    int code = sqlite3_declare_vtab(db, buf_cstr(&declaration));
    buf_free(&declaration);
    struct spans_table *table = code == SQLITE_OK ? calloc(1, sizeof *table) : NULL;
    if (!table) return code == SQLITE_OK ? SQLITE_NOMEM : code;
    table->session = module->session;
    table->list = module->list;
    table->plan = module->plan;
    sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
    *out = &table->base;
    return SQLITE_OK;
}

static int spans_disconnect(sqlite3_vtab *base) {
    struct spans_table *table = (struct spans_table *)base;
    lookup_free(table->lookup);
    free(table);
    return SQLITE_OK;
}

/* What a condition leaves of the rows, roughly; the planner needs only the order of such guesses. */
static double selectivity(const struct sql_column *column, unsigned char op) {
    if (column->form == SQL_ID) return column->col == COL_PARENT_SPAN_ID ? 1e-5 : 1e-6;
    if (column->col == COL_THREAD_ID || column->col == COL_TURN_ID) return 1e-4;
    if (column->col == COL_USER_ID) return 1e-3;
    return op == SQLITE_INDEX_CONSTRAINT_EQ ? 0.1 : 0.3;
}

enum { PLAIN = 1, LIST = 2, EXACT = 3 };

/* How a condition is taken: 0 = not at all. In groups, what their rows do not show must be answered exactly. */
static char taken_as(const struct spans_table *table, sqlite3_index_info *info, int i) {
    const struct sqlite3_index_constraint *k = &info->aConstraint[i];
    if (!k->usable || k->iColumn < 0 || k->iColumn >= table->list->count) return 0;
    const struct sql_column *column = &table->list->columns[k->iColumn];
    const char *collation = sqlite3_vtab_collation(info, i);
    if (collation && strcasecmp(collation, "BINARY") != 0) return 0;
    if (table->plan && !(table->plan->keys >> k->iColumn & 1))
        return sql_exact_helps(column) && sql_exact_op(k->op) ? EXACT : 0;
    if (!sql_constraint_helps(column, k->op)) return 0;
    return sqlite3_vtab_in(info, i, -1) && sqlite3_vtab_in(info, i, 1) ? LIST : PLAIN;
}

/* The plan goes to spans_filter as a text: three bytes for each condition (column + 1, operator, how it is taken), and
 * the order of rows as idxNum. */
static int spans_best_index(sqlite3_vtab *base, sqlite3_index_info *info) {
    enum { ROWS = 10000000 };
    const struct spans_table *table = (const struct spans_table *)base;
    double rows = ROWS;
    int used = 0;
    bool by_id = false;
    char *plan = sqlite3_malloc(info->nConstraint * 3 + 1);
    if (!plan) return SQLITE_NOMEM;
    for (int i = 0; i < info->nConstraint; i++) {
        const struct sqlite3_index_constraint *k = &info->aConstraint[i];
        char how = taken_as(table, info, i);
        if (!how) continue;
        const struct sql_column *column = &table->list->columns[k->iColumn];
        info->aConstraintUsage[i].argvIndex = used + 1;
        info->aConstraintUsage[i].omit = how == EXACT;
        plan[3 * used] = (char)(k->iColumn + 1);
        plan[3 * used + 1] = (char)k->op;
        plan[3 * used + 2] = how;
        used++;
        by_id |= column->col == COL_TRACE_ID && column->form == SQL_ID;
        rows *= selectivity(column, k->op);
    }
    plan[3 * used] = 0;
    info->idxStr = plan;
    info->needToFreeIdxStr = 1;
    info->idxNum = 0;
    if (!table->plan && info->nOrderBy == 1 && info->aOrderBy[0].iColumn >= 0) {
        enum sql_form form = table->list->columns[info->aOrderBy[0].iColumn].form;
        bool start = table->list->columns[info->aOrderBy[0].iColumn].col == COL_START_NS && form != SQL_END_MS &&
                     form != SQL_FLAG;
        info->idxNum = !start ? 0 : info->aOrderBy[0].desc ? 1 : 2;
        info->orderByConsumed = start;
    }
    info->estimatedRows = rows < 1 ? 1 : (sqlite3_int64)rows;
    info->estimatedCost = by_id ? 100 + rows : ROWS / 50.0 + rows;
    return SQLITE_OK;
}

static int spans_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out) {
    struct sql_session *session = ((struct spans_table *)base)->session;
    if (session->scans == SQL_SCANS_MAX) {
        error_set(&session->err, VT_ELIMIT, "sql: the statement reads spans in over %d places at once", SQL_SCANS_MAX);
        return sql_table_failed(base, session);
    }
    struct spans_cursor *cursor = calloc(1, sizeof *cursor);
    if (!cursor) return SQLITE_NOMEM;
    session->scans++;
    cursor->row.session = session;
    cursor->row.text = cursor_text;
    *out = &cursor->base;
    return SQLITE_OK;
}

static void rewind_cursor(struct spans_cursor *cursor) {
    while (cursor->part_count) drop_part(cursor, 0);
    steps_close(cursor->steps);
    cursor->steps = NULL;
    cursor->current = NULL;
    arena_reset(&cursor->arena);
}

static int spans_close(sqlite3_vtab_cursor *base) {
    struct spans_cursor *cursor = (struct spans_cursor *)base;
    rewind_cursor(cursor);
    cursor->row.session->scans--;
    free(cursor->parts);
    arena_free(&cursor->arena);
    buf_free(&cursor->row.made);
    free(cursor);
    return SQLITE_OK;
}

static int advance(struct spans_cursor *cursor) {
    int code = cursor->ordered ? next_ordered(cursor) : next_unordered(cursor);
    if (code) return sql_table_failed(cursor->base.pVtab, session_of(cursor));
    if (!cursor->current) return SQLITE_OK;
    cursor->row.moves++;
    cursor->row.block = cursor->current->block;
    cursor->row.row = cursor->current->rows[cursor->current->at];
    return SQLITE_OK;
}

/* One trace: its rows in all row groups, without a scan. What else the WHERE says SQLite checks for these few. */
static int look_up(struct spans_cursor *cursor) {
    struct spans_table *table = table_of(cursor);
    struct sql_session *session = table->session;
    const uint8_t *id = cursor->bounds.scan.traces[0];
    int code = 0;
    if (!table->lookup && !(table->lookup = lookup_new(session->ask, &session->err))) code = session->err.code;
    for (uint32_t i = 0; !code && i < lookup_groups(table->lookup); i++) {
        struct found found;
        code = lookup_find(table->lookup, i, id, &found, &session->err);
        if (!code && found.count) code = add_part(cursor, found.block, &found);
    }
    return code ? sql_table_failed(cursor->base.pVtab, session) : advance(cursor);
}

static int spans_filter(sqlite3_vtab_cursor *base, int order, const char *plan, int argc, sqlite3_value **args) {
    struct spans_cursor *cursor = (struct spans_cursor *)base;
    struct sql_session *session = session_of(cursor);
    const struct sql_column_list *list = ((const struct spans_table *)base->pVtab)->list;
    rewind_cursor(cursor);
    cursor->rowid = 0;
    cursor->ordered = order != 0;
    cursor->oldest_first = order == 2;
    struct sql_constraint *constraints = arena_alloc(&cursor->arena, ((size_t)argc + 1) * sizeof *constraints);
    if (!constraints) return SQLITE_NOMEM;
    for (int i = 0; i < argc; i++)
        constraints[i] = (struct sql_constraint){&list->columns[plan[3 * i] - 1], (unsigned char)plan[3 * i + 1],
                                                 plan[3 * i + 2] == LIST, plan[3 * i + 2] == EXACT, args[i]};
    if (sql_bounds_of(session, constraints, argc, &cursor->arena, &cursor->bounds))
        return sql_table_failed(base->pVtab, session);
    if (session->abandoned) return SQLITE_ERROR;
    if (cursor->bounds.nothing) return SQLITE_OK;
    if (cursor->bounds.scan.trace_count == 1) return look_up(cursor);
    if (!(cursor->steps = steps_open(session->ask, &cursor->bounds.scan, cursor->oldest_first, &session->err)))
        return sql_table_failed(base->pVtab, session);
    return advance(cursor);
}

static int spans_next(sqlite3_vtab_cursor *base) {
    struct spans_cursor *cursor = (struct spans_cursor *)base;
    struct part *part = cursor->current;
    cursor->rowid++;
    cursor->row.moves++;
    part->at++;
    if (!cursor->ordered && part->at < part->count) {
        cursor->row.row = part->rows[part->at];
        return SQLITE_OK;
    }
    return advance(cursor);
}

static int spans_eof(sqlite3_vtab_cursor *base) {
    return !((struct spans_cursor *)base)->current;
}

static int spans_column(sqlite3_vtab_cursor *base, sqlite3_context *c, int i) {
    struct spans_cursor *cursor = (struct spans_cursor *)base;
    const struct spans_table *table = (const struct spans_table *)base->pVtab;
    bool own = i < table->list->count, done;
    if (own && table->plan && !(table->plan->keys >> i & 1)) {
        table->session->abandoned = true;
        return SQLITE_ERROR;
    }
    if (own)
        done = sql_column_show(&cursor->row, &table->list->columns[i], c);
    else
        done = sql_group_show(&cursor->current->grouped, &cursor->row, i - table->list->count, cursor->current->at, c);
    return done ? SQLITE_OK : sql_table_failed(base->pVtab, table->session);
}

static int spans_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid) {
    *rowid = ((struct spans_cursor *)base)->rowid;
    return SQLITE_OK;
}

/* Without xCreate: the table is there by its name, and nobody can make another. */
static const sqlite3_module module = {
    .iVersion = 1,
    .xConnect = spans_connect,
    .xBestIndex = spans_best_index,
    .xDisconnect = spans_disconnect,
    .xDestroy = spans_disconnect,
    .xOpen = spans_open,
    .xClose = spans_close,
    .xFilter = spans_filter,
    .xNext = spans_next,
    .xEof = spans_eof,
    .xColumn = spans_column,
    .xRowid = spans_rowid,
};

static int add_module(sqlite3 *db, const char *name, struct sql_session *session, const struct sql_column_list *list,
                      const struct group_plan *plan) {
    struct spans_module *aux = malloc(sizeof *aux);
    if (!aux) return SQLITE_NOMEM;
    *aux = (struct spans_module){session, list, plan};
    return sqlite3_create_module_v2(db, name, &module, aux, free);
}

int sql_spans_add(sqlite3 *db, struct sql_session *session) {
    int code = add_module(db, sql_span_columns.table, session, &sql_span_columns, NULL);
    return code == SQLITE_OK ? add_module(db, sql_log_columns.table, session, &sql_log_columns, NULL) : code;
}

int sql_grouped_add(sqlite3 *db, struct sql_session *session, const struct group_plan *plan) {
    return add_module(db, plan->name, session, &sql_span_columns, plan);
}
