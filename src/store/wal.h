/* The write-ahead log: what was acknowledged but is not in a segment yet. One file per memtable, `wal/<number>.wal`; a
 * record is {length u32, ~length u32, xxh3 u64 of the payload, payload}, little endian. Written by one thread, read at
 * start. */
#ifndef STORE_WAL_H
#define STORE_WAL_H

#include "base/error.h"
#include "base/slice.h"

struct wal {
    int fd;
    uint64_t number; /* of the file; grows */
    uint64_t bytes;  /* whole records in the file */
    uint64_t synced; /* of these, known to be on the disk */
    bool broken;     /* a write or sync failed in a way after which the file is not to be written any more */
    char path[512];
};

enum { WAL_HEADER_BYTES = 16, WAL_RECORD_MAX = 1 << 30 };

/* Creates the file of that number, synced into its directory. VT_EFULL: no room for it. */
int wal_create(struct wal *wal, const char *dir, uint64_t number, struct error *err);
/* Appends records; on a short write (full disk) the file is cut back to its last whole record and VT_EFULL returned. */
int wal_append(struct wal *wal, const struct slice *payloads, uint32_t count, struct error *err);
/* On failure the records since the last sync are cut off again, and the file is `broken`: what the kernel could not
 * write once it may claim to have written the next time. */
int wal_sync(struct wal *wal, struct error *err);
void wal_close(struct wal *wal);
void wal_path(const char *dir, uint64_t number, char *path, size_t size);

struct wal_found {
    uint64_t records, bytes; /* whole */
    uint64_t torn_bytes;     /* cut off the end: never acknowledged */
    uint64_t damaged_bytes;  /* in the middle: kept as <number>.wal.corrupt and passed over */
};
/* Walks the records of a file that was left behind and cuts a torn tail off (said in the log), unless read_only. `each`
 * gets payloads that are valid during the call; its code ends the walk. VT_ENOTFOUND: the file is gone. */
int wal_recover(const char *dir, uint64_t number, bool read_only,
                int (*each)(void *ctx, struct slice payload, struct error *err), void *ctx, struct wal_found *found,
                struct error *err);
/* The numbers of the files in `dir`, ascending; caller frees. Negative code on failure, else the count. */
int wal_list(const char *dir, uint64_t **numbers, struct error *err);

#endif
