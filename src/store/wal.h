/* The write-ahead log: what was acknowledged but is not in a segment yet. One file per memtable, `wal/<number>.wal`; a record is
 * {length u32, ~length u32, xxh3 u64 of the payload, payload}, little endian. Written by one thread, read at start. */
#ifndef STORE_WAL_H
#define STORE_WAL_H

#include "base/error.h"
#include "base/slice.h"

struct wal {
    int fd;
    uint64_t number;   /* of the file; grows */
    uint64_t bytes;    /* whole records in the file */
    bool dirty;        /* something was written since the last sync */
    char path[512];
};

enum { WAL_HEADER_BYTES = 16, WAL_RECORD_MAX = 1 << 30 };

/* Creates the file of that number, synced into its directory. */
int wal_create(struct wal *wal, const char *dir, uint64_t number, struct error *err);
/* Appends records with one write; on a short write (full disk) the file is cut back to its last whole record and VT_EFULL returned. */
int wal_append(struct wal *wal, const struct slice *payloads, uint32_t count, struct error *err);
int wal_sync(struct wal *wal, struct error *err);
void wal_close(struct wal *wal);
void wal_remove(struct wal *wal); /* closes and unlinks */

/* Walks the records of a file that was left behind, cuts a torn tail off (said in the log), and leaves it open for appending.
 * `each` gets payloads that are valid during the call. */
int wal_recover(struct wal *wal, const char *dir, uint64_t number, bool read_only, int (*each)(void *ctx, struct slice payload, struct error *err), void *ctx,
                struct error *err);
/* The numbers of the files in `dir`, ascending; caller frees. Negative code on failure, else the count. */
int wal_list(const char *dir, uint64_t **numbers, struct error *err);

#endif
