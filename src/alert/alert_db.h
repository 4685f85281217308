/* What alerts remember in the catalog's SQLite file: states, their history, silences, and the outbox of notifications
 * that no target has taken yet. A state and the notifications of its change are written in one transaction, so a crash
 * between the two neither loses nor repeats one. One connection, one thread. */
#ifndef ALERT_ALERT_DB_H
#define ALERT_ALERT_DB_H

#include "alert/state.h"
#include "alert/watch.h"
#include "base/json.h"

struct alert_db;

int alert_db_open(struct alert_db **db, const char *path, struct error *err);
void alert_db_close(struct alert_db *db);
int alert_db_begin(struct alert_db *db, struct error *err);
int alert_db_commit(struct alert_db *db, struct error *err);
void alert_db_rollback(struct alert_db *db); /* nothing since begin happened; fine when nothing was begun */

/* The kept status, or a fresh one. */
int alert_db_load(struct alert_db *db, struct slice monitor, struct slice group, struct alert_status *status,
                  struct error *err);
int alert_db_save(struct alert_db *db, struct slice monitor, struct slice group, const struct alert_status *status,
                  struct error *err);
/* Groups that were seen before, so that one that falls silent is still evaluated. Texts in arena. */
int alert_db_groups(struct alert_db *db, struct slice monitor, struct arena *arena, struct slice **groups,
                    uint32_t *count, struct error *err);
int alert_db_forget_group(struct alert_db *db, struct slice monitor, struct slice group, struct error *err);
int alert_db_add_history(struct alert_db *db, struct slice monitor, struct slice group, enum alert_state from,
                         enum alert_state to, double value, int64_t at_ns, struct error *err);

/* Silences hold for a monitor ("*" = all) and a group ("" = all of it) until a time (Unix ns). */
int alert_db_silence(struct alert_db *db, struct slice monitor, struct slice group, int64_t now_ns, int64_t until_ns,
                     struct slice reason, struct error *err);
int alert_db_unsilence(struct alert_db *db, int64_t id, struct error *err); /* VT_ENOTFOUND when there is none */
bool alert_db_is_silenced(struct alert_db *db, struct slice monitor, struct slice group, int64_t now_ns);

struct outbox_entry {
    int64_t id;
    struct slice target, payload; /* in the arena given */
    int attempts;
    int64_t created_ns;
};
/* A target that is away keeps its newest OUTBOX_KEPT; older ones go. */
int alert_db_post(struct alert_db *db, struct slice target, struct slice payload, int64_t now_ns, struct error *err);
/* An entry that is due; VT_ENOTFOUND when there is none. Each target gets its own in their order: what failed is not
 * overtaken (a recovery must not come before its alert), and holds up no other target. */
int alert_db_due(struct alert_db *db, int64_t now_ns, struct arena *arena, struct outbox_entry *entry,
                 struct error *err);
int alert_db_sent(struct alert_db *db, int64_t id, struct error *err);
int alert_db_retry_at(struct alert_db *db, int64_t id, int64_t next_ns, struct error *err);

/* When nobody watched; a fresh one when nothing is kept. */
int alert_db_load_watch(struct alert_db *db, struct watch *watch, struct error *err);
int alert_db_save_watch(struct alert_db *db, const struct watch *watch, struct error *err);

/* {"state","since","value","group","history":[…]} members of all groups of a monitor, as an array; silences as an
 * array. */
int alert_db_put_states(struct alert_db *db, struct slice monitor, struct json_writer *w, struct error *err);
int alert_db_put_silences(struct alert_db *db, int64_t now_ns, struct json_writer *w, struct error *err);

#endif
