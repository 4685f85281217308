/* API keys: who may send, read or administer, and into which project what they send goes.
 *
 * A key is "vt_<id>_<secret>": the id (8 characters) names it in lists and logs, the secret is 32 random characters
 * (190 bits). Only the SHA-256 of the whole key is kept, in the catalog's table `api_keys`: a slow password hash would
 * buy nothing, since nobody can guess 190 bits, and would cost every request. The secret is shown once, when the key is
 * made.
 *
 * A running server reads the table again when another process (`vitrine keys add`) has changed it. */
#ifndef SERVE_KEYS_H
#define SERVE_KEYS_H

#include "base/error.h"
#include "base/slice.h"

#include <stddef.h>

enum scope { SCOPE_INGEST = 1, SCOPE_READ = 2, SCOPE_ADMIN = 4, SCOPE_ALL = 7 };
enum { KEY_TEXT_MAX = 48, KEY_ID_MAX = 12, KEY_NAME_MAX = 64, KEY_PROJECT_MAX = 64 };

struct key {
    char id[KEY_ID_MAX];
    char name[KEY_NAME_MAX];       /* what it is for, in its maker's words */
    char project[KEY_PROJECT_MAX]; /* "" = default */
    int scopes;                    /* enum scope, or-ed */
    int64_t created_ns;
    int64_t revoked_ns; /* 0 = good */
};

struct keys; /* opaque; any thread may call */

/* Opens (and makes) the table in the catalog's SQLite file. */
int keys_open(struct keys **keys, const char *catalog_path, struct error *err);
void keys_close(struct keys *keys); /* NULL is fine */

/* Makes a key; `text` gets it whole, NUL-terminated: the only time that it is known. VT_EINVAL: name or project too
 * long or not printable, no scope. */
int keys_add(struct keys *keys, const char *name, const char *project, int scopes, char text[KEY_TEXT_MAX],
             struct key *made, struct error *err);
/* By id, by name when only one has it, or by the whole key. VT_ENOTFOUND names it. From now on it is refused. */
int keys_revoke(struct keys *keys, const char *id_or_name, struct error *err);
/* Calls `each` for every key, oldest first, revoked ones too. */
int keys_list(struct keys *keys, void (*each)(void *ctx, const struct key *key), void *ctx, struct error *err);
/* How many are good now. */
size_t keys_count(struct keys *keys);

/* True when `text` is a key that is good; *found (may be NULL) is filled. Takes the same time for every wrong key of a
 * known id. Never touches the disk. */
bool keys_check(struct keys *keys, struct slice text, struct key *found);
/* Reads the table again if another process changed the file. Cheap; call it every second or so. */
void keys_refresh(struct keys *keys);

/* "ingest,read" to a set, 0 with an error for unknown words; and back (returns out). */
int scopes_parse(const char *text, struct error *err);
const char *scopes_format(int scopes, char *out, size_t size);

#endif
