/* Bodies that come compressed (Content-Encoding), unpacked within a limit. Any thread; nothing is shared between calls.
 */
#ifndef INGEST_INFLATE_H
#define INGEST_INFLATE_H

#include "base/buf.h"
#include "base/error.h"

/* Unpacks `body` into `out`, which the caller owns and which must be empty. `encoding`, in any case: "" and "identity"
 * (out stays empty: use the body as it is), "gzip" and "x-gzip" (several members too), "deflate" (zlib, or bare as some
 * clients send it), "zstd" (several frames too). VT_EUNSUPPORTED: an encoding that is not known, named (415).
 * VT_ELIMIT: the content is longer than limit_bytes; it is found while unpacking, and out never grows past the limit
 * (413). VT_EINVAL: broken or cut off (400). VT_ENOMEM. On failure `out` holds nothing of use, but must still be freed.
 */
int body_inflate(struct slice body, struct slice encoding, uint64_t limit_bytes, struct buf *out, struct error *err);

#endif
