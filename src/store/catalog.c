/* Segments in SQLite. */
#include "store/catalog.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUSY_TIMEOUT_MS = 10000 };

struct catalog {
    pthread_mutex_t lock; /* guards the connection and next_id */
    sqlite3 *sql;
    uint64_t next_id;
    bool is_new;
};

static const char SCHEMA[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-512; PRAGMA secure_delete=ON;"
    "CREATE TABLE IF NOT EXISTS segment(id INTEGER PRIMARY KEY, path TEXT UNIQUE, rows INT, bytes INT, min_start_ns "
    "INT, max_start_ns INT);"
    "CREATE TABLE IF NOT EXISTS store_state(name TEXT PRIMARY KEY, value INT) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS segment_dropped(path TEXT PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS segment_aside(path TEXT PRIMARY KEY, rows INT, reason TEXT, time TEXT DEFAULT "
    "CURRENT_TIMESTAMP) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS deletion(id INTEGER PRIMARY KEY, col INT, value TEXT, project TEXT, traces BLOB);";

static int sql_error(struct catalog *c, struct error *err) {
    int full = sqlite3_errcode(c->sql) == SQLITE_FULL;
    return error_set(err, full ? VT_EFULL : VT_EIO, "catalog: %s", sqlite3_errmsg(c->sql));
}

/* Runs one statement; `types` has a letter a parameter: i int64, t text, b bytes and their count. */
static bool run(struct catalog *c, const char *sql, const char *types, ...) {
    sqlite3_stmt *stmt;
    if (sqlite3_prepare_v2(c->sql, sql, -1, &stmt, NULL) != SQLITE_OK) return false;
    va_list args;
    va_start(args, types);
    for (int i = 1; *types; types++, i++) {
        if (*types == 'i') {
            sqlite3_bind_int64(stmt, i, va_arg(args, int64_t));
        } else if (*types == 't') {
            sqlite3_bind_text(stmt, i, va_arg(args, const char *), -1, SQLITE_TRANSIENT);
        } else {
            const void *bytes = va_arg(args, const void *);
            sqlite3_bind_blob64(stmt, i, bytes, va_arg(args, uint64_t), SQLITE_TRANSIENT);
        }
    }
    va_end(args);
    int step;
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
    }
    sqlite3_finalize(stmt);
    return step == SQLITE_DONE;
}

static int64_t read_number(struct catalog *c, const char *sql, int64_t missing) {
    sqlite3_stmt *stmt;
    int64_t value = missing;
    if (sqlite3_prepare_v2(c->sql, sql, -1, &stmt, NULL) != SQLITE_OK) return value;
    if (sqlite3_step(stmt) == SQLITE_ROW) value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return value;
}

int catalog_open(struct catalog **out, const char *path, bool read_only, struct error *err) {
    *out = NULL;
    if (read_only && access(path, F_OK)) {
        error_set(err, VT_ENOTFOUND, "%s is not there: no data of vitrine is in this directory", path);
        return error_hint(err, "name the data directory with --data, or start `vitrine serve` once");
    }
    struct catalog *c = calloc(1, sizeof *c);
    if (!c) return error_set(err, VT_ENOMEM, "no memory for the catalog");
    pthread_mutex_init(&c->lock, NULL);
    int flags = SQLITE_OPEN_NOMUTEX | (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (sqlite3_open_v2(path, &c->sql, flags, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(c->sql, BUSY_TIMEOUT_MS) != SQLITE_OK ||
        (!read_only && sqlite3_exec(c->sql, SCHEMA, NULL, NULL, NULL) != SQLITE_OK)) {
        int code = error_set(err, sqlite3_errcode(c->sql) == SQLITE_FULL ? VT_EFULL : VT_EIO, "catalog %s: %s", path,
                             sqlite3_errmsg(c->sql));
        catalog_close(c);
        return code;
    }
    int64_t next = read_number(c, "SELECT value FROM store_state WHERE name = 'next_id'", -1);
    c->is_new = next < 0;
    c->next_id = next < 0 ? 0 : (uint64_t)next;
    *out = c;
    return 0;
}

void catalog_close(struct catalog *c) {
    if (!c) return;
    sqlite3_close(c->sql);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

bool catalog_is_new(const struct catalog *c) {
    return c->is_new;
}

uint64_t catalog_next_id(struct catalog *c) {
    pthread_mutex_lock(&c->lock);
    uint64_t id = ++c->next_id;
    pthread_mutex_unlock(&c->lock);
    return id;
}

void catalog_skip_ids(struct catalog *c, uint64_t last) {
    pthread_mutex_lock(&c->lock);
    if (last > c->next_id) c->next_id = last;
    pthread_mutex_unlock(&c->lock);
}

static bool begin(struct catalog *c) {
    return sqlite3_exec(c->sql, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
}

/* Ends the transaction, or takes it back when `done` is false. */
static int end(struct catalog *c, bool done, struct error *err) {
    if (done && sqlite3_exec(c->sql, "COMMIT", NULL, NULL, NULL) == SQLITE_OK) return 0;
    int code = sql_error(c, err);
    sqlite3_exec(c->sql, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

static bool apply(struct catalog *c, const struct catalog_change *change) {
    for (uint32_t i = 0; i < change->remove_count; i++) {
        int64_t id = (int64_t)change->remove[i];
        bool noted =
            change->aside
                ? run(c,
                      "INSERT OR REPLACE INTO segment_aside(path, rows, reason) SELECT path, rows, ?2 FROM segment "
                      "WHERE id = ?1",
                      "it", id, change->aside)
                : run(c, "INSERT OR REPLACE INTO segment_dropped SELECT path FROM segment WHERE id = ?", "i", id);
        if (!noted || !run(c, "DELETE FROM segment WHERE id = ?", "i", id)) return false;
    }
    for (uint32_t i = 0; i < change->add_count; i++) {
        const struct catalog_entry *e = &change->add[i];
        if (!run(c, "INSERT INTO segment(id, path, rows, bytes, min_start_ns, max_start_ns) VALUES(?, ?, ?, ?, ?, ?)",
                 "itiiii", (int64_t)e->id, e->path, (int64_t)e->rows, (int64_t)e->bytes, e->min_start_ns,
                 e->max_start_ns))
            return false;
    }
    if (change->sealed_wal &&
        !run(c, "INSERT OR REPLACE INTO store_state VALUES('sealed_wal', ?)", "i", (int64_t)change->sealed_wal))
        return false;
    return run(c, "INSERT OR REPLACE INTO store_state VALUES('next_id', ?)", "i", (int64_t)c->next_id);
}

int catalog_change(struct catalog *c, const struct catalog_change *change, struct error *err) {
    pthread_mutex_lock(&c->lock);
    int code = end(c, begin(c) && apply(c, change), err);
    pthread_mutex_unlock(&c->lock);
    return code;
}

static int read_entries(struct catalog *c, struct catalog_entry **entries, uint32_t *count, struct error *err) {
    sqlite3_stmt *stmt;
    uint32_t capacity = 0;
    int code = 0, step;
    if (sqlite3_prepare_v2(c->sql, "SELECT id, path, rows, bytes, min_start_ns, max_start_ns FROM segment", -1, &stmt,
                           NULL) != SQLITE_OK)
        return sql_error(c, err);
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
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
        *e = (struct catalog_entry){.id = (uint64_t)sqlite3_column_int64(stmt, 0),
                                    .rows = (uint64_t)sqlite3_column_int64(stmt, 2),
                                    .bytes = (uint64_t)sqlite3_column_int64(stmt, 3),
                                    .min_start_ns = sqlite3_column_int64(stmt, 4),
                                    .max_start_ns = sqlite3_column_int64(stmt, 5)};
        const char *path = (const char *)sqlite3_column_text(stmt, 1);
        if (path) entry_set_path(e, path);
    }
    if (!code && step != SQLITE_DONE) code = sql_error(c, err);
    sqlite3_finalize(stmt);
    return code;
}

int catalog_read(struct catalog *c, struct catalog_entry **entries, uint32_t *count, uint64_t *sealed_wal,
                 struct error *err) {
    *entries = NULL;
    *count = 0;
    pthread_mutex_lock(&c->lock);
    int code = sqlite3_exec(c->sql, "BEGIN", NULL, NULL, NULL) == SQLITE_OK ? read_entries(c, entries, count, err)
                                                                            : sql_error(c, err);
    *sealed_wal = (uint64_t)read_number(c, "SELECT value FROM store_state WHERE name = 'sealed_wal'", 0);
    sqlite3_exec(c->sql, "COMMIT", NULL, NULL, NULL);
    pthread_mutex_unlock(&c->lock);
    if (code) free(*entries), *entries = NULL;
    return code;
}

static int each_path(struct catalog *c, const char *sql, catalog_each_path *each, void *ctx, struct error *err) {
    sqlite3_stmt *stmt;
    int code = 0, step;
    pthread_mutex_lock(&c->lock);
    if (sqlite3_prepare_v2(c->sql, sql, -1, &stmt, NULL) != SQLITE_OK) {
        code = sql_error(c, err);
    } else {
        while ((step = sqlite3_step(stmt)) == SQLITE_ROW)
            each(ctx, (const char *)sqlite3_column_text(stmt, 0), (const char *)sqlite3_column_text(stmt, 1));
        if (step != SQLITE_DONE) code = sql_error(c, err);
        sqlite3_finalize(stmt);
    }
    pthread_mutex_unlock(&c->lock);
    return code;
}

int catalog_dropped(struct catalog *c, catalog_each_path *each, void *ctx, struct error *err) {
    return each_path(c, "SELECT path, '' FROM segment_dropped", each, ctx, err);
}

int catalog_set_aside(struct catalog *c, catalog_each_path *each, void *ctx, struct error *err) {
    return each_path(c, "SELECT path, reason FROM segment_aside", each, ctx, err);
}

void catalog_forget_dropped(struct catalog *c) {
    pthread_mutex_lock(&c->lock);
    run(c, "DELETE FROM segment_dropped", "");
    pthread_mutex_unlock(&c->lock);
}

/* ---- deletions ---- */

int catalog_begin_deletion(struct catalog *c, struct deletion *d, struct error *err) {
    pthread_mutex_lock(&c->lock);
    bool done = run(c, "INSERT INTO deletion(col, value, project, traces) VALUES(?, ?, ?, ?)", "ittb",
                    (int64_t)d->column, d->value, d->project, d->traces ? d->traces : "", d->trace_bytes);
    int code = done ? 0 : sql_error(c, err);
    d->id = sqlite3_last_insert_rowid(c->sql);
    pthread_mutex_unlock(&c->lock);
    return code;
}

int catalog_end_deletion(struct catalog *c, int64_t id, struct error *err) {
    pthread_mutex_lock(&c->lock);
    int code = run(c, "DELETE FROM deletion WHERE id = ?", "i", id) ? 0 : sql_error(c, err);
    /* What was noted names the one who asked to be forgotten: not in the journal either. */
    if (!code) sqlite3_wal_checkpoint_v2(c->sql, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    pthread_mutex_unlock(&c->lock);
    return code;
}

bool catalog_open_deletion(struct catalog *c, struct deletion *d) {
    sqlite3_stmt *stmt;
    bool found = false;
    *d = (struct deletion){0};
    pthread_mutex_lock(&c->lock);
    if (sqlite3_prepare_v2(c->sql, "SELECT id, col, value, project, traces FROM deletion ORDER BY id LIMIT 1", -1,
                           &stmt, NULL) == SQLITE_OK) {
        if (sqlite3_step(stmt) == SQLITE_ROW) {
            size_t bytes = (size_t)sqlite3_column_bytes(stmt, 4);
            const void *traces = sqlite3_column_blob(stmt, 4);
            *d = (struct deletion){.id = sqlite3_column_int64(stmt, 0),
                                   .column = sqlite3_column_int(stmt, 1),
                                   .value = strdup((const char *)sqlite3_column_text(stmt, 2)),
                                   .project = strdup((const char *)sqlite3_column_text(stmt, 3)),
                                   .traces = malloc(bytes + 1),
                                   .trace_bytes = bytes};
            if (d->traces && bytes) memcpy(d->traces, traces, bytes);
            found = d->value && d->project && d->traces;
            if (!found) deletion_free(d);
        }
        sqlite3_finalize(stmt);
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

void deletion_free(struct deletion *d) {
    free(d->value);
    free(d->project);
    free(d->traces);
    *d = (struct deletion){0};
}
