/* One connection for one statement: an empty database in memory, with our tables and functions, where only reading is
 * allowed. */
#include "query/sql.h"

#include "query/sql_functions.h"
#include "query/sql_group.h"
#include "query/sql_internal.h"
#include "query/sql_rewrite.h"
#include "query/sql_temp.h"

#include <malloc.h>
#include <strings.h>

enum {
    VALUE_BYTES_MAX = 8 << 20, /* of one text */
    ANSWER_BYTES_MAX = 64 << 20,
    TEMP_BYTES_MAX = 1 << 30,
    SQLITE_BYTES_MAX = 768 << 20, /* what SQLite may hold in the whole process before a statement is stopped */
    MUCH_BYTES = 32 << 20,
    PROGRESS_OPS = 200 /* between two looks at the clock */
};

/* ---- what is allowed ---- */

static int authorize(void *ctx, int action, const char *first, const char *second, const char *database,
                     const char *view) {
    static const char *const pragmas[] = {"table_info", "table_xinfo", "table_list", "function_list", NULL};
    static const char *const denied[] = {"load_extension", "fts3_tokenizer", "readfile", "writefile",
                                         "edit",           "sqlite_log",     NULL};
    struct sql_session *session = ctx;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE: return SQLITE_OK;
    /* A virtual table that is used for the first time declares its columns so. A statement that does it is not run: see
     * prepare. */
    case SQLITE_CREATE_TABLE:
        if (first && strcmp(first, "x") == 0) return SQLITE_OK;
        goto deny;
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
        if (first && strcmp(first, "sqlite_master") == 0) return SQLITE_OK;
        goto deny;
    case SQLITE_FUNCTION:
        for (const char *const *name = denied; *name; name++)
            if (second && strcasecmp(second, *name) == 0) goto deny;
        return SQLITE_OK;
    case SQLITE_PRAGMA:
        for (const char *const *name = pragmas; *name; name++)
            if (first && strcasecmp(first, *name) == 0) return SQLITE_OK;
        goto deny;
    default: goto deny;
    }
deny:
    if (action == SQLITE_FUNCTION)
        error_set(&session->err, VT_EINVAL, "sql: the function %.60s is not taken", second);
    else if (action == SQLITE_PRAGMA)
        error_set(&session->err, VT_EINVAL, "sql: PRAGMA %.60s is not taken", first);
    else
        error_set(&session->err, VT_EINVAL, "sql: only reading is taken: one SELECT, or WITH … SELECT");
    return SQLITE_DENY;
}

static int progress(void *ctx) {
    struct sql_session *session = ctx;
    if (ask_check(session->ask, &session->err)) return 1;
    if (sqlite3_memory_used() < SQLITE_BYTES_MAX) return 0;
    error_set(&session->err, VT_ELIMIT, "sql: statements hold more than %d MiB of memory together",
              SQLITE_BYTES_MAX >> 20);
    return 1;
}

static void set_limits(sqlite3 *db) {
    static const struct {
        int what, limit;
    } limits[] = {{SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX},
                  {SQLITE_LIMIT_SQL_LENGTH, 2 * SQL_BYTES_MAX},
                  {SQLITE_LIMIT_COLUMN, 200},
                  {SQLITE_LIMIT_EXPR_DEPTH, 200},
                  {SQLITE_LIMIT_COMPOUND_SELECT, 50},
                  {SQLITE_LIMIT_FUNCTION_ARG, 50},
                  {SQLITE_LIMIT_ATTACHED, 0},
                  {SQLITE_LIMIT_VARIABLE_NUMBER, 0},
                  {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
                  {SQLITE_LIMIT_WORKER_THREADS, 0}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) sqlite3_limit(db, limits[i].what, limits[i].limit);
}

static int open_connection(struct sql_session *session, bool text_in_double_quotes, sqlite3 **db, struct error *err) {
    static const char *keep[] = {"json_each", "json_tree", NULL};
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_MEMORY;
    int code = sqlite3_open_v2(":memory:", db, flags, sql_temp_vfs());
    if (code == SQLITE_OK)
        code = sqlite3_exec(*db, "PRAGMA temp_store = FILE; PRAGMA cache_size = -16384", NULL, NULL, NULL);
    if (code == SQLITE_OK) code = sqlite3_drop_modules(*db, keep);
    if (code == SQLITE_OK) code = sql_functions_add(*db, &session->ask->now_ns);
    if (code == SQLITE_OK) code = sql_spans_add(*db, session);
    if (code == SQLITE_OK) code = sql_lists_add(*db, session);
    if (code == SQLITE_OK) code = sqlite3_db_config(*db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (code == SQLITE_OK) code = sqlite3_db_config(*db, SQLITE_DBCONFIG_DQS_DML, (int)text_in_double_quotes, NULL);
    if (code != SQLITE_OK) return error_set(err, VT_ENOMEM, "sql: no connection: %s", sqlite3_errstr(code));
    set_limits(*db);
    sqlite3_set_authorizer(*db, authorize, session);
    sqlite3_progress_handler(*db, PROGRESS_OPS, progress, session);
    sql_temp_limit(TEMP_BYTES_MAX);
    return 0;
}

/* ---- what went wrong ---- */

static int failed(struct sql_session *session, sqlite3 *db, const struct sql_text *text, struct error *err) {
    int code = sqlite3_errcode(db) & 0xff, offset = sqlite3_error_offset(db);
    if (session->err.code) {
        *err = session->err;
        return err->code;
    }
    switch (code) {
    case SQLITE_NOMEM: return error_set(err, VT_ENOMEM, "sql: memory ran out");
    case SQLITE_FULL:
        error_set(err, VT_ELIMIT,
                  "sql: sorting and intermediate tables need more than %d MiB, or the disk for temporary files is full",
                  TEMP_BYTES_MAX >> 20);
        return error_hint(err, "a WHERE on start_ms, fewer columns or a LIMIT takes less");
    case SQLITE_TOOBIG: return error_set(err, VT_ELIMIT, "sql: a text grew over %d MiB", VALUE_BYTES_MAX >> 20);
    default: break;
    }
    int column = offset < 0 ? 0 : sql_column_of(text, (size_t)offset);
    if (column)
        error_set(err, VT_EINVAL, "sql: column %d: %s", column, sqlite3_errmsg(db));
    else
        error_set(err, VT_EINVAL, "sql: %s", sqlite3_errmsg(db));
    if (strstr(err->message, "no such table"))
        error_hint(err, "tables are spans, traces, threads, scores and ai_storefront_traces");
    if (strstr(err->message, "no such column"))
        error_hint(err, "PRAGMA table_info(spans) lists the columns; a text stands in 'single quotes'");
    err->column = column;
    return VT_EINVAL;
}

/* ---- the answer ---- */

static void put_value(sqlite3_stmt *stmt, int i, struct json_writer *w) {
    char hex[2 * 32];
    switch (sqlite3_column_type(stmt, i)) {
    case SQLITE_INTEGER: json_put_int(w, sqlite3_column_int64(stmt, i)); break;
    case SQLITE_FLOAT: json_put_double(w, sqlite3_column_double(stmt, i)); break;
    case SQLITE_TEXT: {
        const void *text = sqlite3_column_text(stmt, i);
        json_put_string(w, slice_make(text, (size_t)sqlite3_column_bytes(stmt, i)));
        break;
    }
    case SQLITE_BLOB: { /* none of ours: x'…' or zeroblob of the statement; its beginning will do */
        const uint8_t *bytes = sqlite3_column_blob(stmt, i);
        int size = sqlite3_column_bytes(stmt, i);
        size_t shown = size < 32 ? (size_t)size : 32;
        hex_encode(bytes, shown, hex);
        json_put_string(w, slice_make(hex, 2 * shown));
        break;
    }
    default: json_put_null(w); break;
    }
}

static void put_columns(sqlite3_stmt *stmt, struct json_writer *w) {
    json_put_key(w, "columns");
    json_open(w, '[');
    for (int i = 0; i < sqlite3_column_count(stmt); i++) json_put_cstr(w, sqlite3_column_name(stmt, i));
    json_close(w, ']');
}

static int put_rows(struct sql_session *session, sqlite3_stmt *stmt, const struct sql_text *text, uint32_t limit,
                    struct json_writer *w, struct error *err) {
    uint32_t count = 0;
    size_t before = w->out->len;
    int step, columns = sqlite3_column_count(stmt);
    json_put_key(w, "rows");
    json_open(w, '[');
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW && count < limit) {
        json_open(w, '[');
        for (int i = 0; i < columns; i++) put_value(stmt, i, w);
        json_close(w, ']');
        count++;
        if (w->out->len - before > ANSWER_BYTES_MAX) {
            error_set(err, VT_ELIMIT, "sql: the answer has over %d MiB after %u rows", ANSWER_BYTES_MAX >> 20, count);
            return error_hint(err, "select fewer columns or set a smaller limit");
        }
    }
    json_close(w, ']');
    if (step != SQLITE_ROW && step != SQLITE_DONE) return failed(session, sqlite3_db_handle(stmt), text, err);
    if (step == SQLITE_ROW) json_put_key(w, "truncated"), json_put_bool(w, true);
    return 0;
}

static bool is_rest_empty(const char *tail) {
    while (*tail && strchr(" \t\r\n\f;", *tail)) tail++;
    if (tail[0] == '-' && tail[1] == '-') {
        const char *end = strchr(tail, '\n');
        return !end || is_rest_empty(end);
    }
    if (tail[0] == '/' && tail[1] == '*') {
        const char *end = strstr(tail + 2, "*/");
        return !end || is_rest_empty(end + 2);
    }
    return !*tail;
}

static int prepare(struct sql_session *session, sqlite3 *db, struct buf *sqlite, const struct sql_text *text,
                   sqlite3_stmt **stmt, struct error *err) {
    const char *tail = NULL;
    if (sqlite3_prepare_v2(db, buf_cstr(sqlite), (int)sqlite->len, stmt, &tail) != SQLITE_OK)
        return failed(session, db, text, err);
    if (!*stmt) {
        error_set(err, VT_EINVAL, "sql: there is no statement");
        return error_hint(err, "as in SELECT model, count(*) FROM spans GROUP BY model");
    }
    if (!is_rest_empty(tail)) {
        int column = sql_column_of(text, (size_t)(tail - sqlite->ptr));
        error_set(err, VT_EINVAL, "sql: column %d: a second statement begins; one at a time is taken", column);
        if (err) err->column = column;
        return VT_EINVAL;
    }
    if (!sqlite3_stmt_readonly(*stmt) || !sqlite3_column_count(*stmt))
        return error_set(err, VT_EINVAL, "sql: only reading is taken: one SELECT, or WITH … SELECT");
    return 0;
}

/* The same statement over spans that are grouped before SQLite sees them, where that gives the same. *stmt stays NULL
 * where not. */
static int prepare_grouped(struct sql_session *session, sqlite3 *db, struct slice sqlite, sqlite3_stmt **stmt,
                           struct error *err) {
    struct arena *arena = &session->ask->arena;
    struct group_plans *plans = arena_alloc(arena, sizeof *plans);
    struct buf text = {0};
    if (!plans) return error_set(err, VT_ENOMEM, "no memory for the statement");
    int code = sql_group_rewrite(sqlite, arena, plans, &text, err), rc = SQLITE_OK;
    if (!code && plans->count) {
        rc = sql_group_functions_add(db);
        for (int i = 0; i < plans->count && rc == SQLITE_OK; i++) rc = sql_grouped_add(db, session, &plans->plans[i]);
        if (rc == SQLITE_OK) rc = sqlite3_prepare_v2(db, buf_cstr(&text), (int)text.len, stmt, NULL);
        /* What cannot be said so is no mistake of who asked. */
        if (rc != SQLITE_OK) session->err = (struct error){0};
    }
    buf_free(&text);
    return code;
}

/* The answer of `stmt`, with the names of results as `named` has them. */
static int put_answer(struct sql_session *session, sqlite3_stmt *named, sqlite3_stmt *stmt, const struct sql_text *text,
                      uint32_t limit, struct json_writer *w, struct error *err) {
    put_columns(named, w);
    return put_rows(session, stmt, text, limit, w, err);
}

int sql_run(struct ask *ask, struct slice sql, uint32_t limit, struct json_writer *w, struct error *err) {
    struct sql_session session = {.ask = ask};
    struct error own = {0};
    struct sql_text *text;
    struct buf sqlite = {0};
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL, *grouped = NULL;
    if (!err) err = &own;
    int code = sql_rewrite(sql, &ask->arena, &sqlite, &text, err);
    if (!code) code = open_connection(&session, sql_reads_log_lines(text), &db, err);
    if (!code) code = prepare(&session, db, &sqlite, text, &stmt, err);
    if (!code) code = prepare_grouped(&session, db, buf_slice(&sqlite), &grouped, err);
    if (!code) {
        struct json_writer before = *w;
        size_t len = w->out->len;
        bool same = grouped && sqlite3_column_count(grouped) == sqlite3_column_count(stmt);
        code = put_answer(&session, stmt, same ? grouped : stmt, text, limit, w, err);
        if (session.abandoned) {
            *w = before;
            w->out->len = len;
            session.err = *err = (struct error){0};
            session.abandoned = false;
            sqlite3_finalize(grouped);
            grouped = NULL;
            code = put_answer(&session, stmt, stmt, text, limit, w, err);
        }
    }
    sqlite3_finalize(grouped);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    buf_free(&sqlite);
    if (sqlite3_memory_highwater(true) > MUCH_BYTES) malloc_trim(0); /* else the heap keeps it */
    return code;
}

/* ---- POST /api/v1/sql ---- */

static int read_body(struct ask *ask, struct slice *sql, int64_t *limit, struct error *err) {
    struct json_reader r;
    struct slice key;
    json_reader_init(&r, ask->request->body, &ask->arena);
    if (json_object(&r))
        while (json_key(&r, &key)) {
            if (slice_is(key, "sql"))
                json_string(&r, sql);
            else if (slice_is(key, "limit"))
                json_int64(&r, limit);

            else
                json_skip(&r, NULL);
        }
    if (!json_end(&r)) {
        error_set(err, VT_EINVAL, "body: %s", r.err.message);
        return error_hint(err, "as in {\"sql\":\"SELECT count(*) FROM spans\",\"limit\":1000}");
    }
    if (*limit < 1 || *limit > SQL_ROWS_MAX)
        return error_set(err, VT_EINVAL, "limit: expected a number from 1 to %d, found %lld", SQL_ROWS_MAX,
                         (long long)*limit);
    return 0;
}

int sql_post(struct ask *ask, struct json_writer *w, struct error *err) {
    struct slice sql = {NULL, 0};
    int64_t limit = SQL_ROWS_DEFAULT;
    int code = read_body(ask, &sql, &limit, err);
    if (code) return code;
    json_open(w, '{');
    if ((code = sql_run(ask, sql, (uint32_t)limit, w, err))) return code;
    ask_put_tail(ask, w);
    json_close(w, '}');
    return 0;
}
