/* A segment: one Parquet file of spans under `spans/YYYY-MM-DD/`, immutable, mapped into memory, shared by reference count. */
#ifndef STORE_SEGMENT_H
#define STORE_SEGMENT_H

#include "store/scan.h"

struct segment;

/* Writes spans (sorted by the caller) as a Parquet file at `path`, synced. */
int segment_write(const char *path, const struct span *const *rows, uint32_t row_count, uint64_t *bytes, struct error *err);
/* Opens and checks the footer; one reference. VT_ECORRUPT when it is no segment of ours. */
int segment_open(struct segment **segment, const char *path, uint64_t id, struct error *err);
struct segment *segment_ref(struct segment *segment);
void segment_unref(struct segment *segment); /* with the last the file is unmapped, and unlinked when it was dropped */
void segment_drop(struct segment *segment);  /* unlink with the last reference */

const char *segment_path(const struct segment *segment);
uint64_t segment_id(const struct segment *segment);
uint64_t segment_bytes(const struct segment *segment);
uint64_t segment_rows(const struct segment *segment);
uint32_t segment_rowgroups(const struct segment *segment);
const struct rowgroup *segment_rowgroup(const struct segment *segment, uint32_t i);
int segment_read(const struct segment *segment, uint32_t rowgroup, enum col col, struct arena *arena, struct vec *out, struct error *err);
/* Texts of a COL_STRING column at some rows (ascending): pages without any of them are not inflated. */
int segment_read_rows(const struct segment *segment, uint32_t rowgroup, enum col col, const uint32_t *rows, uint32_t row_count, struct arena *arena,
                      struct slice *out, struct error *err);
bool segment_may_have_trace(const struct segment *segment, uint32_t rowgroup, const uint8_t *trace_id);
bool segment_may_have_word(const struct segment *segment, uint32_t rowgroup, struct slice word);
bool segment_may_have_value(const struct segment *segment, uint32_t rowgroup, enum col col, struct slice value);
/* Verifies every page's checksum. */
int segment_check(const struct segment *segment, struct error *err);

#endif
