/* The virtual table around a list, and the table of scores. */
#include "query/sql_lists.h"

#include "base/timestamp.h"
#include "query/scores.h"

#include <stdlib.h>

struct list_table {
    sqlite3_vtab base;
    struct sql_session *session;
    const struct sql_list_table *table;
};

struct list_cursor {
    sqlite3_vtab_cursor base;
    struct sql_list list;
    uint32_t at;
    sqlite3_int64 rowid;
};

struct list_module {
    struct sql_session *session;
    const struct sql_list_table *table;
};

static int list_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **error) {
    const struct list_module *module = aux;
    struct buf text = {0};
    buf_puts(&text, "CREATE TABLE x(");
    for (int i = 0; i < module->table->column_count; i++)
        buf_printf(&text, "%s%s %s", i ? ", " : "", module->table->columns[i].name, module->table->columns[i].type);
    buf_puts(&text, ")");
    int code = sqlite3_declare_vtab(db, buf_cstr(&text));
    buf_free(&text);
    struct list_table *table = code == SQLITE_OK ? calloc(1, sizeof *table) : NULL;
    if (!table) return code == SQLITE_OK ? SQLITE_NOMEM : code;
    table->session = module->session;
    table->table = module->table;
    sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
    *out = &table->base;
    return SQLITE_OK;
}

static int list_disconnect(sqlite3_vtab *table) {
    free(table);
    return SQLITE_OK;
}

/* The plan: two bytes for each condition, key and operator. */
static int list_best_index(sqlite3_vtab *base, sqlite3_index_info *info) {
    const struct sql_list_table *table = ((const struct list_table *)base)->table;
    double rows = table->rows;
    int used = 0;
    char *plan = sqlite3_malloc(2 * info->nConstraint + 1);
    if (!plan) return SQLITE_NOMEM;
    for (int i = 0; i < info->nConstraint; i++) {
        const struct sqlite3_index_constraint *k = &info->aConstraint[i];
        char key = k->usable && k->iColumn >= 0 ? table->columns[k->iColumn].key : 0;
        bool equals = k->op == SQLITE_INDEX_CONSTRAINT_EQ,
             range = equals || (k->op >= SQLITE_INDEX_CONSTRAINT_GT && k->op <= SQLITE_INDEX_CONSTRAINT_GE);
        if (!key || !(key == 't' ? range : equals)) continue;
        info->aConstraintUsage[i].argvIndex = used + 1;
        plan[2 * used] = key;
        plan[2 * used++ + 1] = (char)k->op;
        rows *= key == 1 ? 1e-5 : 0.1;
    }
    plan[2 * used] = 0;
    info->idxNum = (int)(uint32_t)info->colUsed; /* tables here have less than 31 columns */
    info->idxStr = plan;
    info->needToFreeIdxStr = 1;
    info->estimatedRows = rows < 1 ? 1 : (sqlite3_int64)rows;
    info->estimatedCost = 1000 + rows;
    return SQLITE_OK;
}

static int list_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out) {
    struct list_cursor *cursor = calloc(1, sizeof *cursor);
    if (!cursor) return SQLITE_NOMEM;
    cursor->list.session = ((struct list_table *)base)->session;
    arena_init(&cursor->list.arena, cursor->list.session->ask->engine->options.memory_bytes);
    *out = &cursor->base;
    return SQLITE_OK;
}

static int list_close(sqlite3_vtab_cursor *base) {
    struct list_cursor *cursor = (struct list_cursor *)base;
    arena_free(&cursor->list.arena);
    free(cursor);
    return SQLITE_OK;
}

/* Ranges are wider than asked for by a millisecond: SQLite checks again. */
static void take_time(struct sql_list *list, unsigned char op, sqlite3_value *value) {
    int type = sqlite3_value_type(value);
    if (type != SQLITE_INTEGER && type != SQLITE_FLOAT) return;
    double number = sqlite3_value_double(value);
    int64_t ms = number > 9e12 ? (int64_t)9e12 : number < 0 ? 0 : (int64_t)number;
    if (op != SQLITE_INDEX_CONSTRAINT_LT && op != SQLITE_INDEX_CONSTRAINT_LE && ms - 1 > list->from_ms)
        list->from_ms = ms - 1;
    if (op != SQLITE_INDEX_CONSTRAINT_GT && op != SQLITE_INDEX_CONSTRAINT_GE && ms + 1 < list->to_ms)
        list->to_ms = ms + 1;
}

static void take_key(struct sql_list *list, int key, sqlite3_value *value) {
    struct slice text = slice_make(sqlite3_value_text(value), (size_t)sqlite3_value_bytes(value));
    if (sqlite3_value_type(value) != SQLITE_TEXT) return;
    if (!text.len || (list->keys[key - 1].len && !slice_eq(list->keys[key - 1], text))) list->nothing = true;
    list->keys[key - 1] = arena_copy(&list->arena, text);
}

static int load(struct list_cursor *cursor) {
    const struct list_table *table = (const struct list_table *)cursor->base.pVtab;
    cursor->at = 0;
    cursor->list.row_count = 0;
    while (!cursor->list.row_count && cursor->list.more)
        if (!table->table->load(&cursor->list)) return sql_table_failed(cursor->base.pVtab, table->session);
    return SQLITE_OK;
}

static int list_filter(sqlite3_vtab_cursor *base, int used, const char *plan, int argc, sqlite3_value **args) {
    struct list_cursor *cursor = (struct list_cursor *)base;
    struct sql_list *list = &cursor->list;
    arena_reset(&list->arena);
    *list = (struct sql_list){.session = list->session,
                              .arena = list->arena,
                              .to_ms = INT64_MAX,
                              .from_ms = INT64_MIN,
                              .more = true,
                              .used = (uint32_t)used};
    cursor->rowid = 0;
    for (int i = 0; i < argc; i++) {
        if (plan[2 * i] == 't')
            take_time(list, (unsigned char)plan[2 * i + 1], args[i]);
        else
            take_key(list, plan[2 * i], args[i]);
    }
    if (list->nothing) list->more = false;
    return load(cursor);
}

static int list_next(sqlite3_vtab_cursor *base) {
    struct list_cursor *cursor = (struct list_cursor *)base;
    cursor->rowid++;
    return ++cursor->at < cursor->list.row_count ? SQLITE_OK : load(cursor);
}

static int list_eof(sqlite3_vtab_cursor *base) {
    const struct list_cursor *cursor = (const struct list_cursor *)base;
    return cursor->at >= cursor->list.row_count;
}

static int list_column(sqlite3_vtab_cursor *base, sqlite3_context *c, int i) {
    const struct list_cursor *cursor = (const struct list_cursor *)base;
    ((const struct list_table *)base->pVtab)->table->show(&cursor->list, cursor->at, i, c);
    return SQLITE_OK;
}

static int list_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid) {
    *rowid = ((const struct list_cursor *)base)->rowid;
    return SQLITE_OK;
}

static const sqlite3_module module = {
    .iVersion = 1,
    .xConnect = list_connect,
    .xBestIndex = list_best_index,
    .xDisconnect = list_disconnect,
    .xDestroy = list_disconnect,
    .xOpen = list_open,
    .xClose = list_close,
    .xFilter = list_filter,
    .xNext = list_next,
    .xEof = list_eof,
    .xColumn = list_column,
    .xRowid = list_rowid,
};

int sql_lists_add(sqlite3 *db, struct sql_session *session) {
    static const struct sql_list_table *const tables[] = {&sql_scores_table, &sql_traces_table, &sql_threads_table};
    int code = SQLITE_OK;
    for (size_t i = 0; i < sizeof tables / sizeof *tables && code == SQLITE_OK; i++) {
        struct list_module *aux = malloc(sizeof *aux);
        if (!aux) return SQLITE_NOMEM;
        *aux = (struct list_module){session, tables[i]};
        code = sqlite3_create_module_v2(db, tables[i]->name, &module, aux, free);
    }
    return code;
}

/* ---- values ---- */

void sql_give_slice(sqlite3_context *c, struct slice text) {
    if (text.len) sqlite3_result_text64(c, text.ptr, text.len, SQLITE_TRANSIENT, SQLITE_UTF8);
}

void sql_give_id(sqlite3_context *c, const uint8_t *id, size_t size) {
    char hex[TRACE_ID_HEX];
    hex_encode(id, size, hex);
    if (!id_is_zero(id, size)) sql_give_slice(c, slice_make(hex, 2 * size));
}

void sql_give_whole(sqlite3_context *c, int64_t value) {
    if (value != SPAN_NO_INT) sqlite3_result_int64(c, value);
}

void sql_give_number(sqlite3_context *c, double value) {
    if (isnan(value)) return;
    if (value == floor(value) && fabs(value) < 9e15)
        sqlite3_result_int64(c, (int64_t)value);
    else
        sqlite3_result_double(c, value);
}

void sql_give_time(sqlite3_context *c, int64_t ns) {
    char text[TIME_TEXT_MAX];
    sql_give_slice(c, slice_make(text, time_format(ns, 6, text)));
}

/* ---- scores ---- */

enum { SCORES_PIECE = 4096 };

static const struct sql_list_column score_columns[] = {
    {"score_id", "INTEGER", 0}, {"trace_id", "TEXT", 1},     {"span_id", "TEXT", 0},
    {"name", "TEXT", 2},        {"value", "REAL", 0},        {"comment", "TEXT", 0},
    {"user_id", "TEXT", 0},     {"time_ms", "INTEGER", 't'}, {"time", "TEXT", 0}};

static bool scores_load(struct sql_list *list) {
    struct ask *ask = list->session->ask;
    struct score_query query = {
        .name = list->keys[1], .project = ask->request->project, .after_id = list->position, .limit = SCORES_PIECE};
    uint8_t trace_id[TRACE_ID_SIZE];
    struct score *scores;
    list->more = false;
    if (list->keys[0].len) {
        if (!hex_decode(list->keys[0], trace_id, TRACE_ID_SIZE)) return true;
        query.trace_id = trace_id;
    }
    if (list->from_ms > 0) query.from_ns = list->from_ms * NS_PER_MS;
    if (list->to_ms < INT64_MAX) query.to_ns = (list->to_ms + 1) * NS_PER_MS;
    /* Texts of the piece before are let go, the conditions not: they are short. */
    struct slice keys[2] = {list->keys[0], list->keys[1]};
    char copies[2][SCORE_NAME_MAX];
    for (int i = 0; i < 2; i++) {
        if (keys[i].len > sizeof copies[i]) return true; /* no name is that long */
        memcpy(copies[i], keys[i].len ? keys[i].ptr : "", keys[i].len);
    }
    arena_reset(&list->arena);
    for (int i = 0; i < 2; i++) list->keys[i] = arena_copy(&list->arena, slice_make(copies[i], keys[i].len));
    query.name = list->keys[1];
    if (scores_list(ask->engine->scores, &query, &list->arena, &scores, &list->row_count, &list->session->err))
        return false;
    list->rows = scores;
    if (list->row_count) list->position = scores[list->row_count - 1].id;
    list->more = list->row_count == SCORES_PIECE;
    return true;
}

static void scores_show(const struct sql_list *list, uint32_t row, int column, sqlite3_context *c) {
    const struct score *score = (const struct score *)list->rows + row;
    switch (column) {
    case 0: sqlite3_result_int64(c, score->id); break;
    case 1: sql_give_id(c, score->trace_id, TRACE_ID_SIZE); break;
    case 2: sql_give_id(c, score->span_id, SPAN_ID_SIZE); break;
    case 3: sql_give_slice(c, score->name); break;
    case 4: sqlite3_result_double(c, score->value); break;
    case 5: sql_give_slice(c, score->comment); break;
    case 6: sql_give_slice(c, score->user_id); break;
    case 7: sqlite3_result_int64(c, score->time_ns / NS_PER_MS); break;
    default: sql_give_time(c, score->time_ns); break;
    }
}

const struct sql_list_table sql_scores_table = {"scores", score_columns, sizeof score_columns / sizeof *score_columns,
                                                1e4,      scores_load,   scores_show};
