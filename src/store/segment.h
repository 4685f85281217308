/* A segment: one Parquet file of spans under `spans/YYYY-MM-DD/`, immutable, mapped into memory, shared by reference
 * count. */
#ifndef STORE_SEGMENT_H
#define STORE_SEGMENT_H

#include "store/scan.h"

/* ---- writing ---- */

/* Where a writer gets its rows from, one column after the other. */
struct row_source {
    void *ctx;
    /* Rows first … first+count-1 of a column; vectors in `arena`, which is emptied after each column. */
    int (*read)(void *ctx, enum col col, uint32_t first, uint32_t count, struct arena *arena, struct vec *out,
                struct error *err);
};

/* How much work a segment is worth. */
enum segment_effort {
    /* Two for spans that come in faster than they can be packed. Both are made anew soon, and have neither a filter of
     * words nor an index of attributes. */
    EFFORT_RAW,    /* nothing is compressed: when the processor is what is short */
    EFFORT_FAST,   /* a little: when it is the disk */
    EFFORT_SEALED, /* as memory is sealed when senders leave time */
    EFFORT_MERGED  /* in the background, to stay */
};

struct segment_writer;
/* Creates the file. */
int segment_writer_open(struct segment_writer **writer, const char *path, enum segment_effort effort,
                        struct error *err);
/* Adds a row group of at most ROWGROUP_ROWS rows, sorted as order.h says. */
int segment_writer_group(struct segment_writer *writer, const struct row_source *source, uint32_t first, uint32_t count,
                         struct error *err);
/* Footer, sync, close; the writer is gone after, and on failure so is the file. `origin` says what it was made from,
 * for a catalog that must be made anew: "wal 7", "segments 12 13". */
int segment_writer_finish(struct segment_writer *writer, const char *origin, uint64_t *bytes, struct error *err);
void segment_writer_abort(struct segment_writer *writer); /* removes the file; NULL is fine */

/* ---- reading ---- */

struct segment;

/* Opens and checks the footer; one reference. VT_ENOTFOUND: no such file. VT_ECORRUPT: broken, or no segment of ours.
 * VT_EUNSUPPORTED: written by a newer version whose format this one does not know. */
int segment_open(struct segment **segment, const char *path, uint64_t id, struct error *err);
struct segment *segment_ref(struct segment *segment);
void segment_unref(struct segment *segment); /* with the last the file is unmapped */
/* Gives back the memory in which what was looked at is mapped; it stays in the system's cache. */
void segment_unmap_pages(const struct segment *segment);
/* Removes the file's name at once; who holds a reference reads on. */
void segment_drop(struct segment *segment);
/* The store that lists it: who asks to set it aside. Set once, before it is shared. */
void segment_set_owner(struct segment *segment, struct store *owner, const char *path);
struct store *segment_owner(const struct segment *segment);

const char *segment_path(const struct segment *segment);
const char *segment_origin(const struct segment *segment); /* "" when it says none */
uint64_t segment_id(const struct segment *segment);
uint64_t segment_bytes(const struct segment *segment);
uint32_t segment_seal(const struct segment *segment); /* checksum of the footer, which says what is in the file */
uint64_t segment_rows(const struct segment *segment);
uint64_t segment_text_bytes(const struct segment *segment); /* of the largest text column, inflated */
int64_t segment_min_start_ns(const struct segment *segment);
int64_t segment_max_start_ns(const struct segment *segment);
bool segment_is_quick(const struct segment *segment);     /* sealed in a hurry: wants to be made anew */
int64_t segment_opened_ns(const struct segment *segment); /* when it was made, or found at the start; monotonic */
uint32_t segment_rowgroups(const struct segment *segment);
const struct rowgroup *segment_rowgroup(const struct segment *segment, uint32_t i);

int segment_read(const struct segment *segment, uint32_t rowgroup, enum col col, struct arena *arena, struct vec *out,
                 struct error *err);
/* A COL_DICT column without its texts: `dict` stays NULL, dict_count is right. */
int segment_read_codes(const struct segment *segment, uint32_t rowgroup, enum col col, struct arena *arena,
                       struct vec *out, struct error *err);
/* True when it is certain that no row knows a value of an optional column. */
bool segment_is_unknown(const struct segment *segment, uint32_t rowgroup, enum col col);
/* The texts of a COL_DICT column. */
int segment_read_dictionary(const struct segment *segment, uint32_t rowgroup, enum col col, struct arena *arena,
                            struct vec *out, struct error *err);
/* The values of a column at some rows (ascending), each written as the field of struct span is, `stride` bytes apart.
 * Only pages with such a row are read. */
int segment_read_fields(const struct segment *segment, uint32_t rowgroup, enum col col, const uint32_t *rows,
                        uint32_t row_count, struct arena *arena, void *out, size_t stride, struct error *err);
/* A filter whose bytes are broken sets `*broken` (never NULL) and answers true. */
bool segment_may_have_trace(const struct segment *segment, uint32_t rowgroup, const uint8_t *trace_id, bool *broken);
bool segment_may_have_word(const struct segment *segment, uint32_t rowgroup, struct slice word, bool *broken);
/* As rowgroup_expect, rowgroup_expect_trace and rowgroup_expect_trace_list. */
void segment_expect_columns(const struct segment *segment, uint32_t rowgroup, uint64_t columns);
void segment_expect_trace(const struct segment *segment, uint32_t rowgroup, const uint8_t *trace_id);
/* The page that says where the trace's rows are. */
void segment_expect_trace_rows(const struct segment *segment, uint32_t rowgroup, const uint8_t *trace_id);
void segment_expect_trace_list(const struct segment *segment, uint32_t rowgroup);
/* The pages of hashes of a row group's list of traces (list_item of trace_list.h), not checked; NULL = it has none. */
const uint8_t *segment_trace_hashes(const struct segment *segment, uint32_t rowgroup, uint32_t *count);
/* As rowgroup_trace_rows. */
int segment_trace_rows(const struct segment *segment, uint32_t rowgroup, const uint8_t *trace_id, uint32_t *first,
                       uint32_t *rows, bool *broken);
/* As rowgroup_trace_list and rowgroup_attribute. */
int segment_trace_list(const struct segment *segment, uint32_t rowgroup, struct arena *arena, struct trace_list *list,
                       struct error *err);
int segment_attribute(const struct segment *segment, uint32_t rowgroup, struct slice key, struct arena *arena,
                      struct attr_codes *out, struct error *err);
bool segment_may_have_value(const struct segment *segment, uint32_t rowgroup, enum col col, struct slice value);
/* Verifies every page's and filter's checksum. */
int segment_check(const struct segment *segment, struct error *err);

#endif
