/* Segments in SQLite. */
#include "store/catalog.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum { BUSY_TIMEOUT_MS = 10000 };

struct catalog {
    pthread_mutex_t lock; /* guards the connection and next_id */
    sqlite3 *sql;
    uint64_t next_id;
};

static const char SCHEMA[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
    "CREATE TABLE IF NOT EXISTS segment(id INTEGER PRIMARY KEY, path TEXT UNIQUE, rows INT, bytes INT, min_start_ns INT, max_start_ns INT);"
    "CREATE TABLE IF NOT EXISTS store_state(name TEXT PRIMARY KEY, value INT) WITHOUT ROWID;";

static int sql_error(struct catalog *c, struct error *err) { return error_set(err, VT_EIO, "catalog: %s", sqlite3_errmsg(c->sql)); }

static int64_t read_number(struct catalog *c, const char *sql) {
    sqlite3_stmt *stmt;
    int64_t value = 0;
    if (sqlite3_prepare_v2(c->sql, sql, -1, &stmt, NULL) != SQLITE_OK) return 0;
    if (sqlite3_step(stmt) == SQLITE_ROW) value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return value;
}

int catalog_open(struct catalog **out, const char *path, bool read_only, struct error *err) {
    struct catalog *c = calloc(1, sizeof *c);
    *out = NULL;
    if (!c) return error_set(err, VT_ENOMEM, "no memory for the catalog");
    pthread_mutex_init(&c->lock, NULL);
    int flags = SQLITE_OPEN_NOMUTEX | (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (sqlite3_open_v2(path, &c->sql, flags, NULL) != SQLITE_OK || sqlite3_busy_timeout(c->sql, BUSY_TIMEOUT_MS) != SQLITE_OK ||
        (!read_only && sqlite3_exec(c->sql, SCHEMA, NULL, NULL, NULL) != SQLITE_OK)) {
        int code = error_set(err, VT_EIO, "catalog %s: %s", path, sqlite3_errmsg(c->sql));
        catalog_close(c);
        return code;
    }
    c->next_id = (uint64_t)read_number(c, "SELECT value FROM store_state WHERE name = 'next_id'");
    *out = c;
    return 0;
}

void catalog_close(struct catalog *c) {
    if (!c) return;
    sqlite3_close(c->sql);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

uint64_t catalog_last_wal(struct catalog *c) {
    pthread_mutex_lock(&c->lock);
    uint64_t value = (uint64_t)read_number(c, "SELECT value FROM store_state WHERE name = 'sealed_wal'");
    pthread_mutex_unlock(&c->lock);
    return value;
}

uint64_t catalog_next_id(struct catalog *c) {
    pthread_mutex_lock(&c->lock);
    uint64_t id = ++c->next_id;
    pthread_mutex_unlock(&c->lock);
    return id;
}

static bool run(struct catalog *c, const char *sql, const int64_t *numbers, int count, const char *text) {
    sqlite3_stmt *stmt;
    if (sqlite3_prepare_v2(c->sql, sql, -1, &stmt, NULL) != SQLITE_OK) return false;
    for (int i = 0; i < count; i++) sqlite3_bind_int64(stmt, i + 1, numbers[i]);
    if (text) sqlite3_bind_text(stmt, count + 1, text, -1, SQLITE_TRANSIENT);
    bool done = sqlite3_step(stmt) == SQLITE_DONE;
    sqlite3_finalize(stmt);
    return done;
}

static bool change(struct catalog *c, const struct catalog_entry *add, uint32_t add_count, const uint64_t *remove, uint32_t remove_count,
                   uint64_t sealed_wal) {
    for (uint32_t i = 0; i < remove_count; i++)
        if (!run(c, "DELETE FROM segment WHERE id = ?", (int64_t[]){(int64_t)remove[i]}, 1, NULL)) return false;
    for (uint32_t i = 0; i < add_count; i++)
        if (!run(c, "INSERT INTO segment(id, rows, bytes, min_start_ns, max_start_ns, path) VALUES(?, ?, ?, ?, ?, ?)",
                 (int64_t[]){(int64_t)add[i].id, (int64_t)add[i].rows, (int64_t)add[i].bytes, add[i].min_start_ns, add[i].max_start_ns}, 5, add[i].path))
            return false;
    if (sealed_wal && !run(c, "INSERT OR REPLACE INTO store_state VALUES('sealed_wal', ?)", (int64_t[]){(int64_t)sealed_wal}, 1, NULL)) return false;
    return run(c, "INSERT OR REPLACE INTO store_state VALUES('next_id', ?)", (int64_t[]){(int64_t)c->next_id}, 1, NULL);
}

int catalog_change(struct catalog *c, const struct catalog_entry *add, uint32_t add_count, const uint64_t *remove, uint32_t remove_count,
                   uint64_t sealed_wal, struct error *err) {
    pthread_mutex_lock(&c->lock);
    int code = 0;
    if (sqlite3_exec(c->sql, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK || !change(c, add, add_count, remove, remove_count, sealed_wal) ||
        sqlite3_exec(c->sql, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        code = sql_error(c, err);
        sqlite3_exec(c->sql, "ROLLBACK", NULL, NULL, NULL);
    }
    pthread_mutex_unlock(&c->lock);
    return code;
}

int catalog_list(struct catalog *c, struct catalog_entry **entries, uint32_t *count, struct error *err) {
    sqlite3_stmt *stmt;
    uint32_t capacity = 0;
    int code = 0;
    *entries = NULL;
    *count = 0;
    pthread_mutex_lock(&c->lock);
    if (sqlite3_prepare_v2(c->sql, "SELECT id, path, rows, bytes, min_start_ns, max_start_ns FROM segment", -1, &stmt, NULL) != SQLITE_OK) {
        code = sql_error(c, err);
        pthread_mutex_unlock(&c->lock);
        return code;
    }
    while (!code && sqlite3_step(stmt) == SQLITE_ROW) {
        if (*count == capacity) {
            capacity = capacity ? 2 * capacity : 64;
            struct catalog_entry *more = realloc(*entries, capacity * sizeof **entries);
            if (!more) {
                code = error_set(err, VT_ENOMEM, "no memory for the catalog");
                break;
            }
            *entries = more;
        }
        struct catalog_entry *e = &(*entries)[(*count)++];
        *e = (struct catalog_entry){.id = (uint64_t)sqlite3_column_int64(stmt, 0), .rows = (uint64_t)sqlite3_column_int64(stmt, 2),
                                    .bytes = (uint64_t)sqlite3_column_int64(stmt, 3), .min_start_ns = sqlite3_column_int64(stmt, 4),
                                    .max_start_ns = sqlite3_column_int64(stmt, 5)};
        const char *path = (const char *)sqlite3_column_text(stmt, 1);
        if (path) strncpy(e->path, path, sizeof e->path - 1);
    }
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&c->lock);
    return code;
}
