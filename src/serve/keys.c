/* Keys in SQLite, and in memory for the loops to check against. */
#include "serve/keys.h"

#include "base/id.h"
#include "base/log.h"
#include "base/timestamp.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum { ID_CHARS = 8, SECRET_CHARS = 32, BUSY_MS = 5000 };
#define KEY_PREFIX "vt_"
/* 62 signs: what a double-click selects whole. */
static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

struct stored_key {
    struct key key;
    uint8_t hash[SHA256_DIGEST_LENGTH];
};

struct keys {
    sqlite3 *db;          /* under db_lock */
    int64_t data_version; /* of the file when `all` was read; under db_lock */
    pthread_mutex_t db_lock;
    struct stored_key *all; /* good ones; under lock */
    size_t count;
    pthread_rwlock_t lock;
};

static int db_failed(struct keys *keys, const char *what, struct error *err) {
    return error_set(err, VT_EIO, "cannot %s keys: %s", what, sqlite3_errmsg(keys->db));
}

static int64_t data_version(sqlite3 *db) {
    sqlite3_stmt *statement = NULL;
    int64_t version = -1;
    if (sqlite3_prepare_v2(db, "PRAGMA data_version", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        version = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return version;
}

static void copy_text(char *out, size_t size, sqlite3_stmt *statement, int column) {
    const unsigned char *text = sqlite3_column_text(statement, column);
    snprintf(out, size, "%s", text ? (const char *)text : "");
}

static void read_row(sqlite3_stmt *statement, struct stored_key *stored) {
    struct key *key = &stored->key;
    memset(stored, 0, sizeof *stored);
    copy_text(key->id, sizeof key->id, statement, 0);
    copy_text(key->name, sizeof key->name, statement, 1);
    copy_text(key->project, sizeof key->project, statement, 2);
    key->scopes = sqlite3_column_int(statement, 3) & SCOPE_ALL;
    key->created_ns = sqlite3_column_int64(statement, 4);
    key->revoked_ns = sqlite3_column_int64(statement, 5);
    const void *hash = sqlite3_column_blob(statement, 6);
    if (hash && sqlite3_column_bytes(statement, 6) == SHA256_DIGEST_LENGTH)
        memcpy(stored->hash, hash, SHA256_DIGEST_LENGTH);
    else
        key->scopes = 0;
}

#define SELECT_KEYS "SELECT id, name, project, scopes, created_ns, revoked_ns, hash FROM api_keys "

/* Reads the good keys into memory. db_lock is held. */
static int load(struct keys *keys, struct error *err) {
    sqlite3_stmt *statement = NULL;
    struct stored_key *all = NULL;
    size_t count = 0, capacity = 0;
    int code = 0, step;
    int64_t version = data_version(keys->db);
    if (sqlite3_prepare_v2(keys->db, SELECT_KEYS "WHERE revoked_ns = 0 ORDER BY created_ns", -1, &statement, NULL) !=
        SQLITE_OK)
        return db_failed(keys, "read", err);
    while ((step = sqlite3_step(statement)) == SQLITE_ROW) {
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 8;
            struct stored_key *grown = realloc(all, capacity * sizeof *all);
            if (!grown) {
                code = error_set(err, VT_ENOMEM, "no memory for %zu keys", capacity);
                goto out;
            }
            all = grown;
        }
        read_row(statement, &all[count++]);
    }
    if (step != SQLITE_DONE) {
        code = db_failed(keys, "read", err);
        goto out;
    }
    pthread_rwlock_wrlock(&keys->lock);
    struct stored_key *old = keys->all;
    keys->all = all;
    keys->count = count;
    pthread_rwlock_unlock(&keys->lock);
    keys->data_version = version;
    all = old;
out:
    sqlite3_finalize(statement);
    free(all);
    return code;
}

int keys_open(struct keys **out, const char *catalog_path, struct error *err) {
    static const char schema[] =
        "CREATE TABLE IF NOT EXISTS api_keys (id TEXT PRIMARY KEY, name TEXT NOT NULL, project TEXT NOT NULL, scopes "
        "INTEGER NOT "
        "NULL, created_ns INTEGER NOT NULL, revoked_ns INTEGER NOT NULL DEFAULT 0, hash BLOB NOT NULL)";
    struct keys *keys = calloc(1, sizeof *keys);
    if (!keys) return error_set(err, VT_ENOMEM, "no memory for keys");
    pthread_mutex_init(&keys->db_lock, NULL);
    pthread_rwlock_init(&keys->lock, NULL);
    int code = 0;
    if (sqlite3_open_v2(catalog_path, &keys->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        code = db_failed(keys, "open the catalog for", err);
    if (!code) sqlite3_busy_timeout(keys->db, BUSY_MS);
    if (!code && sqlite3_exec(keys->db, schema, NULL, NULL, NULL) != SQLITE_OK)
        code = db_failed(keys, "make the table of", err);
    if (!code) code = load(keys, err);
    if (code)
        keys_close(keys);
    else
        *out = keys;
    return code;
}

void keys_close(struct keys *keys) {
    if (!keys) return;
    sqlite3_close(keys->db);
    pthread_mutex_destroy(&keys->db_lock);
    pthread_rwlock_destroy(&keys->lock);
    free(keys->all);
    free(keys);
}

void keys_refresh(struct keys *keys) {
    struct error err;
    pthread_mutex_lock(&keys->db_lock);
    if (data_version(keys->db) != keys->data_version && load(keys, &err)) log_warn("%s", err.message);
    pthread_mutex_unlock(&keys->db_lock);
}

/* --- making, revoking, listing --- */

static int random_text(char *out, size_t count, struct error *err) {
    for (size_t i = 0; i < count;) {
        uint8_t byte;
        if (getrandom(&byte, 1, 0) != 1) return error_set(err, VT_EIO, "the system gives no random numbers");
        if (byte < 4 * (sizeof alphabet - 1))
            out[i++] = alphabet[byte % (sizeof alphabet - 1)]; /* each sign as likely */
    }
    return 0;
}

static int check_word(const char *what, const char *text, size_t max, struct error *err) {
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return error_set(err, VT_EINVAL, "%s has a control character at %zu", what, i + 1);
    if (len >= max) return error_set(err, VT_EINVAL, "%s is %zu bytes long, at most %zu are taken", what, len, max - 1);
    return 0;
}

static int insert(struct keys *keys, const struct stored_key *stored, struct error *err) {
    sqlite3_stmt *statement = NULL;
    const struct key *key = &stored->key;
    int code = 0;
    if (sqlite3_prepare_v2(keys->db,
                           "INSERT INTO api_keys (id, name, project, scopes, created_ns, hash) VALUES (?,?,?,?,?,?)",
                           -1, &statement, NULL) != SQLITE_OK)
        return db_failed(keys, "store", err);
    sqlite3_bind_text(statement, 1, key->id, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, key->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 3, key->project, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 4, key->scopes);
    sqlite3_bind_int64(statement, 5, key->created_ns);
    sqlite3_bind_blob(statement, 6, stored->hash, sizeof stored->hash, SQLITE_STATIC);
    if (sqlite3_step(statement) != SQLITE_DONE) code = db_failed(keys, "store", err);
    sqlite3_finalize(statement);
    return code;
}

int keys_add(struct keys *keys, const char *name, const char *project, int scopes, char text[KEY_TEXT_MAX],
             struct key *made, struct error *err) {
    struct stored_key stored = {0};
    struct key *key = &stored.key;
    char secret[SECRET_CHARS + 1] = "";
    int code = check_word("the key's name", name, KEY_NAME_MAX, err);
    if (!code) code = check_word("the project", project, KEY_PROJECT_MAX, err);
    if (!code && !(scopes & SCOPE_ALL)) code = error_set(err, VT_EINVAL, "a key needs a scope: ingest, read or admin");
    if (!code) code = random_text(key->id, ID_CHARS, err);
    if (!code) code = random_text(secret, SECRET_CHARS, err);
    if (code) return code;
    snprintf(key->name, sizeof key->name, "%s", name);
    snprintf(key->project, sizeof key->project, "%s", project);
    key->scopes = scopes & SCOPE_ALL;
    key->created_ns = time_now_ns();
    snprintf(text, KEY_TEXT_MAX, KEY_PREFIX "%s_%s", key->id, secret);
    SHA256((const unsigned char *)text, strlen(text), stored.hash);
    pthread_mutex_lock(&keys->db_lock);
    code = insert(keys, &stored, err);
    if (!code) code = load(keys, err);
    pthread_mutex_unlock(&keys->db_lock);
    if (made) *made = *key;
    OPENSSL_cleanse(secret, sizeof secret);
    return code;
}

int keys_revoke(struct keys *keys, const char *id_or_name, struct error *err) {
    static const char sql[] =
        "UPDATE api_keys SET revoked_ns = ?1 WHERE revoked_ns = 0 AND (id = ?2 OR (name = ?2 AND (SELECT "
        "count(*) FROM api_keys WHERE name = ?2 AND revoked_ns = 0) = 1))";
    char id[KEY_NAME_MAX] = "";
    sqlite3_stmt *statement = NULL;
    /* Of a whole key only the id is used, and only the id is ever repeated in a message. */
    bool whole =
        strncmp(id_or_name, KEY_PREFIX, strlen(KEY_PREFIX)) == 0 && strlen(id_or_name) > strlen(KEY_PREFIX) + ID_CHARS;
    if (whole)
        snprintf(id, ID_CHARS + 1, "%s", id_or_name + strlen(KEY_PREFIX));
    else
        snprintf(id, sizeof id, "%s", id_or_name);
    pthread_mutex_lock(&keys->db_lock);
    int code = 0;
    if (sqlite3_prepare_v2(keys->db, sql, -1, &statement, NULL) != SQLITE_OK) code = db_failed(keys, "revoke", err);
    if (!code) {
        sqlite3_bind_int64(statement, 1, time_now_ns());
        sqlite3_bind_text(statement, 2, id, -1, SQLITE_STATIC);
        if (sqlite3_step(statement) != SQLITE_DONE)
            code = db_failed(keys, "revoke", err);
        else if (sqlite3_changes(keys->db) == 0) {
            code = error_set(err, VT_ENOTFOUND, "there is no key \"%s\" that is good (or several have that name)", id);
            error_hint(err, "`vitrine keys list` shows ids and names");
        }
    }
    sqlite3_finalize(statement);
    if (!code) code = load(keys, err);
    pthread_mutex_unlock(&keys->db_lock);
    return code;
}

int keys_list(struct keys *keys, void (*each)(void *ctx, const struct key *key), void *ctx, struct error *err) {
    sqlite3_stmt *statement = NULL;
    int code = 0, step = SQLITE_DONE;
    pthread_mutex_lock(&keys->db_lock);
    if (sqlite3_prepare_v2(keys->db, SELECT_KEYS "ORDER BY created_ns, id", -1, &statement, NULL) != SQLITE_OK)
        code = db_failed(keys, "list", err);
    while (!code && (step = sqlite3_step(statement)) == SQLITE_ROW) {
        struct stored_key stored;
        read_row(statement, &stored);
        each(ctx, &stored.key);
    }
    if (!code && step != SQLITE_DONE) code = db_failed(keys, "list", err);
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&keys->db_lock);
    return code;
}

/* --- checking --- */

size_t keys_count(struct keys *keys) {
    pthread_rwlock_rdlock(&keys->lock);
    size_t count = keys->count;
    pthread_rwlock_unlock(&keys->lock);
    return count;
}

bool keys_check(struct keys *keys, struct slice text, struct key *found) {
    uint8_t hash[SHA256_DIGEST_LENGTH];
    bool good = false;
    if (!slice_starts(text, SLICE(KEY_PREFIX)) || text.len >= KEY_TEXT_MAX || text.len < strlen(KEY_PREFIX) + ID_CHARS)
        return false;
    struct slice id = slice_make(text.ptr + strlen(KEY_PREFIX), ID_CHARS);
    SHA256((const unsigned char *)text.ptr, text.len, hash);
    pthread_rwlock_rdlock(&keys->lock);
    for (size_t i = 0; i < keys->count && !good; i++) {
        const struct stored_key *stored = &keys->all[i];
        if (!slice_is(id, stored->key.id) || CRYPTO_memcmp(hash, stored->hash, sizeof hash) != 0) continue;
        if (found) *found = stored->key;
        good = true;
    }
    pthread_rwlock_unlock(&keys->lock);
    return good;
}

/* --- scopes --- */

static const char *const scope_words[] = {"ingest", "read", "admin"};

int scopes_parse(const char *text, struct error *err) {
    int scopes = 0;
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, ", ");
        int found = 0;
        for (int i = 0; i < 3; i++)
            if (strlen(scope_words[i]) == len && strncmp(at, scope_words[i], len) == 0) found = 1 << i;
        if (len && !found) {
            error_set(err, VT_EINVAL, "\"%.*s\" is no scope", (int)(len > 100 ? 100 : len), at);
            error_hint(err, "scopes are ingest, read and admin, with commas between");
            return 0;
        }
        scopes |= found;
        at += len;
        at += strspn(at, ", ");
    }
    if (!scopes) error_set(err, VT_EINVAL, "no scope is given: ingest, read or admin");
    return scopes;
}

const char *scopes_format(int scopes, char *out, size_t size) {
    out[0] = 0;
    for (int i = 0; i < 3; i++)
        if (scopes & (1 << i)) {
            size_t len = strlen(out);
            snprintf(out + len, size - len, "%s%s", len ? "," : "", scope_words[i]);
        }
    return out;
}
