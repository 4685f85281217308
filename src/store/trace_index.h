/* Which of many segments may hold a trace, in one small file beside them: instead of a page of each segment's list of
 * traces (trace_list.h), one page or two of this. It is made of those lists, can be made again at any time, and is
 * believed only as far as its checksums and what it says of its segments go; what is not in it is looked for in the
 * segments themselves.
 *
 * The file, in pages of LIST_PAGE: a head (magic, counts, the segments it is of, a CRC-32), then items as trace_list.h
 * has them, ascending: the upper 24 bits of a trace's hash, and the number of a segment of the head. */
#ifndef STORE_TRACE_INDEX_H
#define STORE_TRACE_INDEX_H

#include "store/segment.h"

#include <stdatomic.h>

enum { TRACE_INDEX_SEGMENTS = 256 };

/* How a segment is known again: a file of the same name may be another one once a catalog was lost. */
struct trace_index_segment {
    uint64_t id, rows, bytes;
    uint32_t seal; /* segment_seal */
    uint32_t none; /* 0 */
};
bool trace_index_is_of(const struct trace_index_segment *entry, const struct segment *segment);

struct trace_index;

/* Whether a segment has what an index is made of: files of old versions have not. */
bool trace_index_can_hold(const struct segment *segment);
/* Writes the file of 1 … TRACE_INDEX_SEGMENTS segments as PATH.tmp, syncs it, and gives it its name. On failure nothing
 * is left. VT_ECORRUPT names a segment in *broken; VT_ECANCELLED once *stop is true (NULL = never). */
int trace_index_write(const char *path, struct segment *const *segments, uint32_t count, const atomic_bool *stop,
                      const struct segment **broken, struct error *err);

/* Maps it and checks the head; one reference. VT_ECORRUPT, VT_EIO, VT_ENOMEM, VT_ENOTFOUND. */
int trace_index_open(struct trace_index **index, const char *path, struct error *err);
struct trace_index *trace_index_ref(struct trace_index *index);
void trace_index_unref(struct trace_index *index);      /* NULL is fine */
void trace_index_drop(const struct trace_index *index); /* removes the file's name; who holds a reference reads on */
const char *trace_index_path(const struct trace_index *index);
const struct trace_index_segment *trace_index_segments(const struct trace_index *index, uint32_t *count);

/* Bits by number of a segment. */
struct trace_index_found {
    uint64_t bits[TRACE_INDEX_SEGMENTS / 64];
};
/* Has the disk bring what trace_index_find will read, without waiting for it. */
void trace_index_expect(const struct trace_index *index, const uint8_t *trace_id);
/* Adds the segments that may hold the trace. False when the file is broken, which is said in the log once; it is not to
 * be believed from then on. Any thread. */
bool trace_index_find(struct trace_index *index, const uint8_t *trace_id, struct trace_index_found *found);
bool trace_index_is_broken(const struct trace_index *index);
/* Reads all of it: VT_ECORRUPT when a checksum or the order is wrong. */
int trace_index_check(const struct trace_index *index, struct error *err);
#endif
