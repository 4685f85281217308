/* A file or standard input, unpacked on the way when it is gzip (several members too) or zstd (several frames too). One
 * thread. */
#ifndef CLI_UNPACK_H
#define CLI_UNPACK_H

#include "base/buf.h"
#include "base/error.h"

struct unpack;

/* `path`: "-" is standard input. VT_EIO: it cannot be opened; VT_EINVAL: it is a directory. */
int unpack_open(struct unpack **unpack, const char *path, struct error *err);
void unpack_close(struct unpack *unpack); /* NULL is fine */
/* Appends up to about `more` bytes; *end becomes true behind the last. VT_EIO, VT_EINVAL: broken or cut off, what came
 * before is in `out`; VT_ENOMEM. */
int unpack_read(struct unpack *unpack, struct buf *out, size_t more, bool *end, struct error *err);
uint64_t unpack_done(const struct unpack *unpack);  /* bytes of the file that were read */
uint64_t unpack_total(const struct unpack *unpack); /* of the file; 0 = not known */

#endif
