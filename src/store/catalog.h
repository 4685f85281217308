/* The catalog: which segments make up the store, in SQLite. A segment counts from the moment its row is committed; the row names the
 * WAL file that it replaces, so a crash between the two leaves each span exactly once. Any thread. */
#ifndef STORE_CATALOG_H
#define STORE_CATALOG_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct catalog;

struct catalog_entry {
    uint64_t id;
    char path[200]; /* below the data directory: "spans/2026-11-23/000000000042.parquet" */
    uint64_t rows, bytes;
    int64_t min_start_ns, max_start_ns;
};

int catalog_open(struct catalog **catalog, const char *path, bool read_only, struct error *err);
void catalog_close(struct catalog *catalog);
uint64_t catalog_last_wal(struct catalog *catalog);   /* highest number of a WAL file whose spans are in segments */
uint64_t catalog_next_id(struct catalog *catalog);    /* never given twice, also over restarts */
/* In one transaction: adds and removes segments and, unless 0, notes the WAL file as sealed. */
int catalog_change(struct catalog *catalog, const struct catalog_entry *add, uint32_t add_count, const uint64_t *remove, uint32_t remove_count,
                   uint64_t sealed_wal, struct error *err);
int catalog_list(struct catalog *catalog, struct catalog_entry **entries, uint32_t *count, struct error *err); /* caller frees */

#endif
