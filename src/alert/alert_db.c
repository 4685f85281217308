/* Alert state in SQLite. One statement helper; every call names its SQL where it is used. */
#include "alert/alert_db.h"

#include "base/timestamp.h"

#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>

enum { OUTBOX_KEPT = 10000, HISTORY_KEPT = 1000, HISTORY_SHOWN = 50, BUSY_TIMEOUT_MS = 5000 };

struct alert_db {
    sqlite3 *sql;
};

static const char SCHEMA[] =
    "PRAGMA journal_mode=WAL;"
    "CREATE TABLE IF NOT EXISTS alert_state(monitor TEXT, grp TEXT, state INT, since_ns INT, value REAL, silent_ns INT,"
    " unnotified_ns INT, notified INT, PRIMARY KEY(monitor, grp)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS alert_history(id INTEGER PRIMARY KEY, monitor TEXT, grp TEXT, from_state INT, to_state "
    "INT,"
    " value REAL, at_ns INT);"
    "CREATE INDEX IF NOT EXISTS alert_history_by_monitor ON alert_history(monitor, grp, id);"
    "CREATE TABLE IF NOT EXISTS alert_silence(id INTEGER PRIMARY KEY, monitor TEXT, grp TEXT, until_ns INT, reason "
    "TEXT);"
    "CREATE TABLE IF NOT EXISTS alert_outbox(id INTEGER PRIMARY KEY, target TEXT, payload BLOB, created_ns INT,"
    " attempts INT DEFAULT 0, next_ns INT);"
    "CREATE INDEX IF NOT EXISTS alert_outbox_by_target ON alert_outbox(target, id);"
    /* id 0: the last look; the others: holes */
    "CREATE TABLE IF NOT EXISTS alert_watch(id INTEGER PRIMARY KEY, from_ns INT, to_ns INT);";

static int sql_error(struct alert_db *db, struct error *err) {
    return error_set(err, VT_EIO, "alert state: %s", sqlite3_errmsg(db->sql));
}

int alert_db_open(struct alert_db **out, const char *path, struct error *err) {
    struct alert_db *db = calloc(1, sizeof *db);
    int code = 0;
    if (!db) return error_set(err, VT_ENOMEM, "no memory for alert state");
    if (sqlite3_open_v2(path, &db->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) !=
            SQLITE_OK ||
        sqlite3_busy_timeout(db->sql, BUSY_TIMEOUT_MS) != SQLITE_OK ||
        sqlite3_exec(db->sql, SCHEMA, NULL, NULL, NULL) != SQLITE_OK) {
        code = error_set(err, VT_EIO, "alert state in %s: %s", path, sqlite3_errmsg(db->sql));
        alert_db_close(db);
        db = NULL;
    }
    *out = db;
    return code;
}

void alert_db_close(struct alert_db *db) {
    if (!db) return;
    sqlite3_close(db->sql);
    free(db);
}

struct value_arg {
    struct slice text;
    int64_t integer;
    double real;
};

/* Prepares and binds: t = struct slice, i = int64_t, d = double (NaN becomes NULL). NULL on a mistake. */
static sqlite3_stmt *prepare(struct alert_db *db, const char *sql, const char *types, const struct value_arg *args) {
    sqlite3_stmt *stmt;
    if (sqlite3_prepare_v2(db->sql, sql, -1, &stmt, NULL) != SQLITE_OK) return NULL;
    for (int i = 0; types[i]; i++) {
        const struct value_arg *a = &args[i];
        if (types[i] == 't')
            sqlite3_bind_text64(stmt, i + 1, a->text.ptr ? a->text.ptr : "", a->text.len, SQLITE_TRANSIENT,
                                SQLITE_UTF8);
        else if (types[i] == 'i')
            sqlite3_bind_int64(stmt, i + 1, a->integer);
        else if (!isnan(a->real))
            sqlite3_bind_double(stmt, i + 1, a->real);
    }
    return stmt;
}

#define TEXT(x) ((struct value_arg){.text = (x)})
#define INTEGER(x) ((struct value_arg){.integer = (x)})
#define REAL(x) ((struct value_arg){.real = (x)})
#define ARGS(...) ((const struct value_arg[]){__VA_ARGS__})

static int run(struct alert_db *db, struct error *err, const char *sql, const char *types,
               const struct value_arg *args) {
    sqlite3_stmt *stmt = prepare(db, sql, types, args);
    if (!stmt) return sql_error(db, err);
    int code = sqlite3_step(stmt) == SQLITE_DONE ? 0 : sql_error(db, err);
    sqlite3_finalize(stmt);
    return code;
}

int alert_db_begin(struct alert_db *db, struct error *err) {
    return run(db, err, "BEGIN IMMEDIATE", "", NULL);
}
int alert_db_commit(struct alert_db *db, struct error *err) {
    return run(db, err, "COMMIT", "", NULL);
}
void alert_db_rollback(struct alert_db *db) {
    if (!sqlite3_get_autocommit(db->sql)) sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
}

static double column_real(sqlite3_stmt *stmt, int i) {
    return sqlite3_column_type(stmt, i) == SQLITE_NULL ? (double)NAN : sqlite3_column_double(stmt, i);
}

static struct slice column_text(sqlite3_stmt *stmt, int i) {
    const void *text = sqlite3_column_blob(stmt, i);
    return slice_make(text, (size_t)sqlite3_column_bytes(stmt, i));
}

static enum alert_state column_state(sqlite3_stmt *stmt, int i) {
    int state = sqlite3_column_int(stmt, i);
    return state >= 0 && state < ALERT_STATES ? (enum alert_state)state : ALERT_OK;
}

int alert_db_load(struct alert_db *db, struct slice monitor, struct slice group, struct alert_status *status,
                  struct error *err) {
    alert_status_init(status);
    sqlite3_stmt *stmt = prepare(db,
                                 "SELECT state, since_ns, value, silent_ns, unnotified_ns, notified FROM alert_state "
                                 "WHERE monitor = ? AND grp = ?",
                                 "tt", ARGS(TEXT(monitor), TEXT(group)));
    if (!stmt) return sql_error(db, err);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        *status = (struct alert_status){column_state(stmt, 0),
                                        sqlite3_column_int64(stmt, 1),
                                        column_real(stmt, 2),
                                        sqlite3_column_int64(stmt, 3),
                                        sqlite3_column_int64(stmt, 4),
                                        (sqlite3_column_int(stmt, 5) & 1) != 0,
                                        (sqlite3_column_int(stmt, 5) & 2) != 0};
    sqlite3_finalize(stmt);
    return 0;
}

int alert_db_save(struct alert_db *db, struct slice monitor, struct slice group, const struct alert_status *s,
                  struct error *err) {
    return run(db, err, "INSERT OR REPLACE INTO alert_state VALUES(?, ?, ?, ?, ?, ?, ?, ?)", "ttiidiii",
               ARGS(TEXT(monitor), TEXT(group), INTEGER((int64_t)s->state), INTEGER(s->since_ns), REAL(s->value),
                    INTEGER(s->silent_ns), INTEGER(s->unnotified_ns), INTEGER(s->notified | s->owed << 1)));
}

int alert_db_groups(struct alert_db *db, struct slice monitor, struct arena *arena, struct slice **groups,
                    uint32_t *count, struct error *err) {
    enum { GROUPS_MAX = 10000 };
    sqlite3_stmt *stmt =
        prepare(db, "SELECT grp FROM alert_state WHERE monitor = ? ORDER BY grp LIMIT 10000", "t", ARGS(TEXT(monitor)));
    if (!stmt) return sql_error(db, err);
    *count = 0;
    *groups = arena_alloc(arena, GROUPS_MAX * sizeof **groups);
    while (*groups && *count < GROUPS_MAX && sqlite3_step(stmt) == SQLITE_ROW)
        (*groups)[(*count)++] = arena_copy(arena, column_text(stmt, 0));
    sqlite3_finalize(stmt);
    return *groups ? 0 : error_set(err, VT_ENOMEM, "no memory for alert groups");
}

int alert_db_forget_group(struct alert_db *db, struct slice monitor, struct slice group, struct error *err) {
    return run(db, err, "DELETE FROM alert_state WHERE monitor = ? AND grp = ?", "tt",
               ARGS(TEXT(monitor), TEXT(group)));
}

int alert_db_add_history(struct alert_db *db, struct slice monitor, struct slice group, enum alert_state from,
                         enum alert_state to, double value, int64_t at_ns, struct error *err) {
    int code = run(
        db, err, "INSERT INTO alert_history(monitor, grp, from_state, to_state, value, at_ns) VALUES(?, ?, ?, ?, ?, ?)",
        "ttiidi",
        ARGS(TEXT(monitor), TEXT(group), INTEGER((int64_t)from), INTEGER((int64_t)to), REAL(value), INTEGER(at_ns)));
    if (code) return code;
    return run(db, err,
               "DELETE FROM alert_history WHERE monitor = ?1 AND id <= (SELECT id FROM alert_history WHERE monitor = ?1"
               " ORDER BY id DESC LIMIT 1 OFFSET ?2)",
               "ti", ARGS(TEXT(monitor), INTEGER(HISTORY_KEPT)));
}

int alert_db_silence(struct alert_db *db, struct slice monitor, struct slice group, int64_t now_ns, int64_t until_ns,
                     struct slice reason, struct error *err) {
    int code = run(db, err, "DELETE FROM alert_silence WHERE until_ns <= ?", "i", ARGS(INTEGER(now_ns)));
    if (code) return code;
    return run(db, err, "INSERT INTO alert_silence(monitor, grp, until_ns, reason) VALUES(?, ?, ?, ?)", "ttit",
               ARGS(TEXT(monitor), TEXT(group), INTEGER(until_ns), TEXT(reason)));
}

int alert_db_unsilence(struct alert_db *db, int64_t id, struct error *err) {
    int code = run(db, err, "DELETE FROM alert_silence WHERE id = ?", "i", ARGS(INTEGER(id)));
    if (code) return code;
    return sqlite3_changes(db->sql) ? 0 : error_set(err, VT_ENOTFOUND, "there is no silence %lld", (long long)id);
}

bool alert_db_is_silenced(struct alert_db *db, struct slice monitor, struct slice group, int64_t now_ns) {
    sqlite3_stmt *stmt =
        prepare(db, "SELECT 1 FROM alert_silence WHERE until_ns > ? AND monitor IN ('*', ?) AND grp IN ('', ?)", "itt",
                ARGS(INTEGER(now_ns), TEXT(monitor), TEXT(group)));
    bool silenced = stmt && sqlite3_step(stmt) == SQLITE_ROW;
    sqlite3_finalize(stmt);
    return silenced;
}

int alert_db_post(struct alert_db *db, struct slice target, struct slice payload, int64_t now_ns, struct error *err) {
    int code = run(db, err, "INSERT INTO alert_outbox(target, payload, created_ns, next_ns) VALUES(?, ?, ?, ?)", "ttii",
                   ARGS(TEXT(target), TEXT(payload), INTEGER(now_ns), INTEGER(now_ns)));
    if (code) return code;
    return run(db, err,
               "DELETE FROM alert_outbox WHERE target = ?1 AND id <= (SELECT id FROM alert_outbox WHERE target = ?1"
               " ORDER BY id DESC LIMIT 1 OFFSET ?2)",
               "ti", ARGS(TEXT(target), INTEGER(OUTBOX_KEPT)));
}

int alert_db_due(struct alert_db *db, int64_t now_ns, struct arena *arena, struct outbox_entry *entry,
                 struct error *err) {
    /* A wall clock that was set back must not hold an entry for years: an attempt lies at most an hour ahead. */
    sqlite3_stmt *stmt = prepare(db,
                                 "SELECT id, target, payload, attempts, created_ns FROM alert_outbox WHERE id IN"
                                 " (SELECT min(id) FROM alert_outbox GROUP BY target)"
                                 " AND (next_ns <= ?1 OR next_ns > ?1 + 3600000000000) ORDER BY next_ns, id LIMIT 1",
                                 "i", ARGS(INTEGER(now_ns)));
    if (!stmt) return sql_error(db, err);
    int code = VT_ENOTFOUND;
    if (sqlite3_step(stmt) == SQLITE_ROW) {
        *entry = (struct outbox_entry){sqlite3_column_int64(stmt, 0), arena_copy(arena, column_text(stmt, 1)),
                                       arena_copy(arena, column_text(stmt, 2)), sqlite3_column_int(stmt, 3),
                                       sqlite3_column_int64(stmt, 4)};
        code = 0;
    }
    sqlite3_finalize(stmt);
    return code;
}

int alert_db_sent(struct alert_db *db, int64_t id, struct error *err) {
    return run(db, err, "DELETE FROM alert_outbox WHERE id = ?", "i", ARGS(INTEGER(id)));
}

int alert_db_retry_at(struct alert_db *db, int64_t id, int64_t next_ns, struct error *err) {
    return run(db, err, "UPDATE alert_outbox SET attempts = attempts + 1, next_ns = ?2 WHERE id = ?1", "ii",
               ARGS(INTEGER(id), INTEGER(next_ns)));
}

int alert_db_load_watch(struct alert_db *db, struct watch *watch, struct error *err) {
    *watch = (struct watch){0};
    sqlite3_stmt *stmt = prepare(db, "SELECT id, from_ns, to_ns FROM alert_watch ORDER BY id", "", NULL);
    if (!stmt) return sql_error(db, err);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        if (sqlite3_column_int64(stmt, 0) == 0)
            watch->seen_ns = sqlite3_column_int64(stmt, 1);
        else if (watch->hole_count < WATCH_HOLES_MAX)
            watch->holes[watch->hole_count++] =
                (struct watch_hole){sqlite3_column_int64(stmt, 1), sqlite3_column_int64(stmt, 2)};
    }
    sqlite3_finalize(stmt);
    return 0;
}

int alert_db_save_watch(struct alert_db *db, const struct watch *watch, struct error *err) {
    static const char insert[] = "INSERT OR REPLACE INTO alert_watch VALUES(?, ?, ?)";
    int code = alert_db_begin(db, err);
    if (code) return code;
    code = run(db, err, "DELETE FROM alert_watch WHERE id > ?", "i", ARGS(INTEGER(watch->hole_count)));
    if (!code) code = run(db, err, insert, "iii", ARGS(INTEGER(0), INTEGER(watch->seen_ns), INTEGER(0)));
    for (uint32_t i = 0; i < watch->hole_count && !code; i++)
        code = run(db, err, insert, "iii",
                   ARGS(INTEGER(i + 1), INTEGER(watch->holes[i].from_ns), INTEGER(watch->holes[i].to_ns)));
    if (!code) code = alert_db_commit(db, err);
    if (code) alert_db_rollback(db);
    return code;
}

static void put_time(struct json_writer *w, const char *key, int64_t ns) {
    char text[TIME_TEXT_MAX];
    json_put_key(w, key);
    json_put_string(w, slice_make(text, time_format(ns, 3, text)));
}

static void put_value(struct json_writer *w, double value) {
    if (isnan(value)) return;
    json_put_key(w, "value");
    json_put_double(w, value);
}

static void put_state(struct json_writer *w, const char *key, enum alert_state state) {
    json_put_key(w, key);
    json_put_cstr(w, alert_state_names[state]);
}

static void put_history(struct alert_db *db, struct slice monitor, struct slice group, struct json_writer *w) {
    sqlite3_stmt *stmt = prepare(db,
                                 "SELECT from_state, to_state, value, at_ns FROM alert_history WHERE monitor = ? AND "
                                 "grp = ? ORDER BY id DESC LIMIT ?",
                                 "tti", ARGS(TEXT(monitor), TEXT(group), INTEGER(HISTORY_SHOWN)));
    json_put_key(w, "history");
    json_open(w, '[');
    while (stmt && sqlite3_step(stmt) == SQLITE_ROW) {
        json_open(w, '{');
        put_time(w, "at", sqlite3_column_int64(stmt, 3));
        put_state(w, "from", column_state(stmt, 0));
        put_state(w, "to", column_state(stmt, 1));
        put_value(w, column_real(stmt, 2));
        json_close(w, '}');
    }
    json_close(w, ']');
    sqlite3_finalize(stmt);
}

int alert_db_put_states(struct alert_db *db, struct slice monitor, struct json_writer *w, struct error *err) {
    sqlite3_stmt *stmt = prepare(
        db, "SELECT grp, state, since_ns, value FROM alert_state WHERE monitor = ? ORDER BY state DESC, grp LIMIT 1000",
        "t", ARGS(TEXT(monitor)));
    if (!stmt) return sql_error(db, err);
    json_open(w, '[');
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        struct slice group = column_text(stmt, 0);
        json_open(w, '{');
        if (group.len) {
            json_put_key(w, "group");
            json_put_string(w, group);
        }
        put_state(w, "state", column_state(stmt, 1));
        put_time(w, "since", sqlite3_column_int64(stmt, 2));
        put_value(w, column_real(stmt, 3));
        put_history(db, monitor, group, w);
        json_close(w, '}');
    }
    json_close(w, ']');
    sqlite3_finalize(stmt);
    return 0;
}

int alert_db_put_silences(struct alert_db *db, int64_t now_ns, struct json_writer *w, struct error *err) {
    sqlite3_stmt *stmt = prepare(
        db, "SELECT id, monitor, grp, until_ns, reason FROM alert_silence WHERE until_ns > ? ORDER BY id LIMIT 1000",
        "i", ARGS(INTEGER(now_ns)));
    if (!stmt) return sql_error(db, err);
    json_open(w, '[');
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        json_open(w, '{');
        json_put_key(w, "id");
        json_put_int(w, sqlite3_column_int64(stmt, 0));
        json_put_key(w, "monitor");
        json_put_string(w, column_text(stmt, 1));
        if (column_text(stmt, 2).len) {
            json_put_key(w, "group");
            json_put_string(w, column_text(stmt, 2));
        }
        put_time(w, "until", sqlite3_column_int64(stmt, 3));
        if (column_text(stmt, 4).len) {
            json_put_key(w, "reason");
            json_put_string(w, column_text(stmt, 4));
        }
        json_close(w, '}');
    }
    json_close(w, ']');
    sqlite3_finalize(stmt);
    return 0;
}
