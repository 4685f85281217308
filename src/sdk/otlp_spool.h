/* Batches kept as files while the collector is away: one file a batch, written aside and renamed, oldest first out. The
 * directory may be shared by processes: a file is locked while it is sent, and its name begins with its time.
 *
 * A file is a head (magic, spans, size, XXH3 of the body) and the request's body, gzip or not. Files that were torn are
 * removed and named by VITRINE_DEBUG. One thread. */
#ifndef SDK_OTLP_SPOOL_H
#define SDK_OTLP_SPOOL_H

#include "base/buf.h"
#include "base/error.h"

struct spool {
    const char *dir; /* the settings'; NULL: there is none */
    uint64_t max_bytes;
    uint32_t sequence; /* of files of this process */
    int taken_fd;      /* the file that spool_take opened and locked; -1: none */
    char taken_name[64];
};

/* Makes the directory if it is not there (one level, for the owner alone) and clears away what crashes left. VT_EIO. */
int spool_open(struct spool *spool, const char *dir, uint64_t max_bytes, struct error *err);
bool spool_has_files(const struct spool *spool);
/* Keeps a batch; the oldest go when room is short: *lost is how many spans that cost. VT_EIO, VT_ELIMIT (one batch is
 * larger than the whole spool). */
int spool_put(struct spool *spool, struct slice body, uint32_t spans, uint32_t *lost, struct error *err);
/* The oldest batch that no other process is sending, copied to body. False: there is none. */
bool spool_take(struct spool *spool, struct buf *body, uint32_t *spans);
void spool_done(struct spool *spool, bool sent); /* of the one taken: removed, or kept for later */
/* In a child of fork: the parent goes on with what it has taken. */
void spool_forked(struct spool *spool);

#endif
