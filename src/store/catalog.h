/* The catalog: which segments make up the store, in SQLite. A segment counts from the moment its row is committed; the
 * row names the WAL file that it replaces, so a crash between the two leaves each span exactly once. What a change
 * removes is noted in the same transaction, and unlinked by the next start if the process did not come to it. Any
 * thread. */
#ifndef STORE_CATALOG_H
#define STORE_CATALOG_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct catalog;

enum { CATALOG_PATH_MAX = 200 };

struct catalog_entry {
    uint64_t id;
    char path[CATALOG_PATH_MAX]; /* below the data directory: "spans/2026-11-23/000000000042.parquet" */
    uint64_t rows, bytes;
    int64_t min_start_ns, max_start_ns;
};

/* Paths that do not fit are none of ours: cut, they match nothing. */
static inline void entry_set_path(struct catalog_entry *entry, const char *path) {
    size_t len = strlen(path);
    if (len >= sizeof entry->path) len = sizeof entry->path - 1;
    memcpy(entry->path, path, len);
    entry->path[len] = 0;
}
static inline int entry_by_path(const void *a, const void *b) {
    return strcmp(((const struct catalog_entry *)a)->path, ((const struct catalog_entry *)b)->path);
}

/* VT_ENOTFOUND when it is to be read only and is not there. */
int catalog_open(struct catalog **catalog, const char *path, bool read_only, struct error *err);
void catalog_close(struct catalog *catalog);
/* True when the file was made just now: segments that lie there are then unknown to it. */
bool catalog_is_new(const struct catalog *catalog);
uint64_t catalog_next_id(struct catalog *catalog);             /* never given twice, also over restarts */
void catalog_skip_ids(struct catalog *catalog, uint64_t last); /* ids up to `last` are taken */

/* All segments and, of the same moment, the highest number of a WAL file whose spans are in them; caller frees
 * *entries. */
int catalog_read(struct catalog *catalog, struct catalog_entry **entries, uint32_t *count, uint64_t *sealed_wal,
                 struct error *err);

struct catalog_change {
    const struct catalog_entry *add;
    const uint64_t *remove; /* ids */
    uint32_t add_count, remove_count;
    uint64_t sealed_wal; /* WAL file whose spans are now in segments; 0 = none */
    const char *aside;   /* why the removed ones are set aside; NULL = they are dropped, their files with them */
};
/* In one transaction, durable when it returns. */
int catalog_change(struct catalog *catalog, const struct catalog_change *change, struct error *err);

/* Each path (below the data directory): of files that were dropped but may still be there; of segments that were set
 * aside. */
typedef void catalog_each_path(void *ctx, const char *path, const char *reason);
int catalog_dropped(struct catalog *catalog, catalog_each_path *each, void *ctx, struct error *err);
int catalog_set_aside(struct catalog *catalog, catalog_each_path *each, void *ctx, struct error *err);
void catalog_forget_dropped(struct catalog *catalog); /* they are gone */

/* Deletions that were begun: what is noted here is taken up again after a crash. */
struct deletion {
    int64_t id;
    int column;            /* enum col */
    char *value, *project; /* "" = all projects; binary values in hex */
    void *traces;          /* trace ids, 16 bytes each */
    uint64_t trace_bytes;
};
int catalog_begin_deletion(struct catalog *catalog, struct deletion *deletion, struct error *err); /* sets id */
int catalog_end_deletion(struct catalog *catalog, int64_t id, struct error *err);
/* The oldest that was not ended; false when there is none. Free with deletion_free. */
bool catalog_open_deletion(struct catalog *catalog, struct deletion *deletion);
void deletion_free(struct deletion *deletion);

#endif
