/* Scores in SQLite. Statements are prepared where they are used: scoring is rare beside reading spans. */
#include "query/scores.h"

#include "base/timestamp.h"

#include <math.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>

enum { BUSY_TIMEOUT_MS = 10000, LIST_DEFAULT = 10000 };

struct scores {
    pthread_mutex_t lock; /* guards the connection */
    sqlite3 *db;
    bool read_only;
};

/* A trace without scores costs one look into the unique index, which begins with trace_id. */
static const char schema[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
    "CREATE TABLE IF NOT EXISTS score(id INTEGER PRIMARY KEY AUTOINCREMENT, trace_id BLOB NOT NULL, span_id BLOB NOT "
    "NULL,"
    " name TEXT NOT NULL, user_id TEXT NOT NULL, value REAL NOT NULL, comment TEXT NOT NULL, project TEXT NOT NULL,"
    " time_ns INTEGER NOT NULL, UNIQUE(trace_id, span_id, name, user_id));"
    "CREATE INDEX IF NOT EXISTS score_by_user ON score(user_id) WHERE user_id <> '';";

static int failed(struct scores *s, const char *what, struct error *err) {
    int code = (sqlite3_errcode(s->db) & 0xff) == SQLITE_FULL ? VT_EFULL : VT_EIO;
    return error_set(err, code, "scores cannot be %s: %s", what, sqlite3_errmsg(s->db));
}

int scores_open(struct scores **out, const char *path, bool read_only, struct error *err) {
    struct scores *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s) return error_set(err, VT_ENOMEM, "no memory for scores");
    pthread_mutex_init(&s->lock, NULL);
    s->read_only = read_only;
    int flags = SQLITE_OPEN_NOMUTEX | (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (sqlite3_open_v2(path, &s->db, flags, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MS) != SQLITE_OK ||
        (!read_only && sqlite3_exec(s->db, schema, NULL, NULL, NULL) != SQLITE_OK)) {
        int code = failed(s, "opened", err);
        scores_free(s);
        return code;
    }
    *out = s;
    return 0;
}

void scores_free(struct scores *s) {
    if (!s) return;
    sqlite3_close(s->db);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static void bind_text(sqlite3_stmt *stmt, int at, struct slice text) {
    sqlite3_bind_text64(stmt, at, text.len ? text.ptr : "", text.len, SQLITE_STATIC, SQLITE_UTF8);
}

static sqlite3_stmt *prepare(struct scores *s, const char *sql) {
    sqlite3_stmt *stmt = NULL;
    return sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL) == SQLITE_OK ? stmt : NULL;
}

/* A directory that was never served with scores has no table, and a reader cannot make it. */
static bool has_table(struct scores *s) {
    sqlite3_stmt *stmt = prepare(s, "SELECT 1 FROM sqlite_schema WHERE name = 'score'");
    bool there = stmt && sqlite3_step(stmt) == SQLITE_ROW;
    sqlite3_finalize(stmt);
    return there;
}

static int check(const struct score *score, struct error *err) {
    const struct {
        const char *field;
        struct slice text;
        size_t max;
    } texts[] = {{"name", score->name, SCORE_NAME_MAX},
                 {"comment", score->comment, SCORE_COMMENT_MAX},
                 {"user_id", score->user_id, SCORE_USER_MAX}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].text.len > texts[i].max)
            return error_set(err, VT_EINVAL, "%s is %zu bytes long, at most %zu are taken", texts[i].field,
                             texts[i].text.len, texts[i].max);
    if (!score->name.len)
        return error_set(err, VT_EINVAL, "name is empty; expected what the score measures, as \"helpful\"");
    if (!isfinite(score->value)) return error_set(err, VT_EINVAL, "value is not a finite number");
    if (id_is_zero(score->trace_id, TRACE_ID_SIZE)) return error_set(err, VT_EINVAL, "trace_id is all zeros");
    return 0;
}

int scores_put(struct scores *s, const struct score *score, int64_t *id, struct error *err) {
    int code = check(score, err);
    if (code) return code;
    if (s->read_only)
        return error_set(err, VT_EUNSUPPORTED,
                         "the data directory was opened for reading only: send scores to the running server");
    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *stmt = prepare(
        s, "INSERT INTO score(trace_id, span_id, name, user_id, value, comment, project, time_ns) VALUES(?, ?, ?, ?, "
           "?, ?, ?, ?)"
           " ON CONFLICT DO UPDATE SET value = excluded.value, comment = excluded.comment, time_ns = excluded.time_ns"
           " RETURNING id");
    if (stmt) {
        sqlite3_bind_blob(stmt, 1, score->trace_id, TRACE_ID_SIZE, SQLITE_STATIC);
        sqlite3_bind_blob(stmt, 2, score->span_id, SPAN_ID_SIZE, SQLITE_STATIC);
        bind_text(stmt, 3, score->name);
        bind_text(stmt, 4, score->user_id);
        sqlite3_bind_double(stmt, 5, score->value);
        bind_text(stmt, 6, score->comment);
        bind_text(stmt, 7, score->project);
        sqlite3_bind_int64(stmt, 8, score->time_ns);
    }
    bool kept = stmt && sqlite3_step(stmt) == SQLITE_ROW;
    if (kept) *id = sqlite3_column_int64(stmt, 0);
    kept = kept && sqlite3_step(stmt) == SQLITE_DONE; /* the row is committed only now */
    if (!kept) code = failed(s, "kept", err);
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&s->lock);
    return code;
}

static struct slice column_text(sqlite3_stmt *stmt, int column, struct arena *arena) {
    const void *text = sqlite3_column_text(stmt, column);
    return arena_copy(arena, slice_make(text, (size_t)sqlite3_column_bytes(stmt, column)));
}

static void column_id(sqlite3_stmt *stmt, int column, uint8_t *id, size_t size) {
    const void *bytes = sqlite3_column_blob(stmt, column);
    if (bytes && (size_t)sqlite3_column_bytes(stmt, column) == size) memcpy(id, bytes, size);
}

static void read_row(sqlite3_stmt *stmt, struct arena *arena, struct score *score) {
    *score = (struct score){.id = sqlite3_column_int64(stmt, 0),
                            .value = sqlite3_column_double(stmt, 5),
                            .time_ns = sqlite3_column_int64(stmt, 8)};
    column_id(stmt, 1, score->trace_id, TRACE_ID_SIZE);
    column_id(stmt, 2, score->span_id, SPAN_ID_SIZE);
    score->name = column_text(stmt, 3, arena);
    score->user_id = column_text(stmt, 4, arena);
    score->comment = column_text(stmt, 6, arena);
    score->project = column_text(stmt, 7, arena);
}

/* Appends to a list in the arena that doubles when it is full. */
static struct score *list_add(struct score **list, uint32_t *count, uint32_t *capacity, struct arena *arena) {
    if (*count == *capacity) {
        uint32_t larger = *capacity ? 2 * *capacity : 16;
        struct score *grown = arena_calloc(arena, larger, sizeof *grown);
        if (!grown) return NULL;
        if (*count) memcpy(grown, *list, *count * sizeof *grown);
        *list = grown;
        *capacity = larger;
    }
    return &(*list)[(*count)++];
}

int scores_list(struct scores *s, const struct score_query *query, struct arena *arena, struct score **list,
                uint32_t *count, struct error *err) {
    uint32_t capacity = 0;
    int code = 0, step = SQLITE_DONE;
    *list = NULL;
    *count = 0;
    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *stmt = prepare(
        s,
        query->trace_id
            ? "SELECT id, trace_id, span_id, name, user_id, value, comment, project, time_ns FROM score WHERE trace_id "
              "= ?1 AND id > ?2"
              " AND (?3 = '' OR name = ?3) AND (?4 = '' OR project = ?4) AND time_ns >= ?5 AND time_ns < ?6 ORDER BY "
              "id LIMIT ?7"
            : "SELECT id, trace_id, span_id, name, user_id, value, comment, project, time_ns FROM score WHERE id > ?2"
              " AND (?3 = '' OR name = ?3) AND (?4 = '' OR project = ?4) AND time_ns >= ?5 AND time_ns < ?6 ORDER BY "
              "id LIMIT ?7");
    if (!stmt) {
        if (has_table(s) || !s->read_only) code = failed(s, "read", err);
        goto out;
    }
    if (query->trace_id) sqlite3_bind_blob(stmt, 1, query->trace_id, TRACE_ID_SIZE, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 2, query->after_id);
    bind_text(stmt, 3, query->name);
    bind_text(stmt, 4, query->project);
    sqlite3_bind_int64(stmt, 5, query->from_ns);
    sqlite3_bind_int64(stmt, 6, query->to_ns ? query->to_ns : INT64_MAX);
    sqlite3_bind_int64(stmt, 7, query->limit ? query->limit : LIST_DEFAULT);
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct score *score = list_add(list, count, &capacity, arena);
        if (!score) {
            code = error_set(err, VT_ENOMEM, "no memory for the list of scores");
            goto out;
        }
        read_row(stmt, arena, score);
    }
    if (step != SQLITE_DONE) code = failed(s, "read", err);
out:
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&s->lock);
    return code;
}

int scores_forget(struct scores *s, const struct score_forget *what, uint64_t *deleted, struct error *err) {
    int code = 0;
    *deleted = 0;
    if (s->read_only) return error_set(err, VT_EUNSUPPORTED, "the data directory was opened for reading only");
    if (!what->user_id.len && !what->trace_id) return 0;
    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *stmt = prepare(s, "DELETE FROM score WHERE (?1 = '' OR user_id = ?1) AND (?2 IS NULL OR trace_id = "
                                    "?2) AND (?3 = '' OR project = ?3)");
    if (stmt) {
        bind_text(stmt, 1, what->user_id);
        if (what->trace_id) sqlite3_bind_blob(stmt, 2, what->trace_id, TRACE_ID_SIZE, SQLITE_STATIC);
        bind_text(stmt, 3, what->project);
    }
    if (!stmt || sqlite3_step(stmt) != SQLITE_DONE)
        code = failed(s, "deleted", err);
    else
        *deleted = (uint64_t)sqlite3_changes64(s->db);
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&s->lock);
    return code;
}

/* ---- the sweep ---- */

struct scored {
    uint8_t id[TRACE_ID_SIZE];
    bool there;
};

static int by_id(const void *a, const void *b) {
    return memcmp(a, b, TRACE_ID_SIZE);
}

/* Every trace that has a score, sorted, and the newest score's id. */
static int scored_traces(struct scores *s, struct scored **list, size_t *count, int64_t *last_id, struct error *err) {
    size_t capacity = 0;
    int step = SQLITE_ERROR, code = 0;
    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *stmt = prepare(s, "SELECT trace_id, max(id) FROM score GROUP BY trace_id ORDER BY trace_id");
    while (stmt && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (*count == capacity) {
            capacity = capacity ? 2 * capacity : 256;
            struct scored *grown = realloc(*list, capacity * sizeof *grown);
            if (!grown) {
                code = error_set(err, VT_ENOMEM, "no memory for %zu scored traces", capacity);
                break;
            }
            *list = grown;
        }
        (*list)[*count] = (struct scored){.there = false};
        column_id(stmt, 0, (*list)[(*count)++].id, TRACE_ID_SIZE);
        if (sqlite3_column_int64(stmt, 1) > *last_id) *last_id = sqlite3_column_int64(stmt, 1);
    }
    if (!code && step != SQLITE_DONE) code = failed(s, "read", err);
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&s->lock);
    return code;
}

static int mark_group(const struct rowgroup *group, struct scored *list, size_t count, struct error *err) {
    struct arena arena = {0};
    struct vec ids;
    bool maybe = false;
    for (size_t i = 0; i < count && !maybe; i++) maybe = !list[i].there && rowgroup_may_have_trace(group, list[i].id);
    int code = maybe ? rowgroup_read(group, COL_TRACE_ID, &arena, &ids, err) : 0;
    for (uint32_t row = 0; maybe && !code && row < group->rows; row++) {
        struct scored *found = bsearch(ids.bytes + (size_t)row * TRACE_ID_SIZE, list, count, sizeof *list, by_id);
        if (found) found->there = true;
    }
    arena_free(&arena);
    return code;
}

static int delete_missing(struct scores *s, const struct scored *list, size_t count, int64_t last_id, uint64_t *deleted,
                          struct error *err) {
    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *stmt = prepare(s, "DELETE FROM score WHERE trace_id = ? AND id <= ?");
    bool fine = stmt && sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
    for (size_t i = 0; i < count && fine; i++) {
        if (list[i].there) continue;
        sqlite3_bind_blob(stmt, 1, list[i].id, TRACE_ID_SIZE, SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 2, last_id);
        fine = sqlite3_step(stmt) == SQLITE_DONE;
        *deleted += fine ? (uint64_t)sqlite3_changes64(s->db) : 0;
        sqlite3_reset(stmt);
    }
    int code = fine && sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(s, "deleted", err);
    sqlite3_finalize(stmt);
    if (code && !sqlite3_get_autocommit(s->db)) sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    pthread_mutex_unlock(&s->lock);
    return code;
}

int scores_sweep(struct scores *s, struct store *store, uint64_t *deleted, struct error *err) {
    struct scored *list = NULL;
    struct snapshot *snapshot = NULL;
    size_t count = 0;
    int64_t last_id = 0;
    *deleted = 0;
    if (s->read_only) return error_set(err, VT_EUNSUPPORTED, "the data directory was opened for reading only");
    /* The snapshot is younger than the list, and later scores are left alone: a trace that was scored just now stays
     * so. */
    int code = scored_traces(s, &list, &count, &last_id, err);
    if (!code && count && !(snapshot = store_snapshot(store)))
        code = error_set(err, VT_ENOMEM, "no memory for a snapshot");
    /* A segment that cannot be read may hold any trace: then nothing is deleted. */
    for (uint32_t i = 0; !code && count && i < snapshot_count(snapshot); i++)
        code = mark_group(snapshot_rowgroup(snapshot, i), list, count, err);
    if (!code && count) code = delete_missing(s, list, count, last_id, deleted, err);
    snapshot_free(snapshot);
    free(list);
    return code;
}
