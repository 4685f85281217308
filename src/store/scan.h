/* Reading: a snapshot is a list of row groups (of Parquet segments and of memtables), each read column by column.
 * The query engine works on nothing else. A snapshot stays valid and unchanged while segments are sealed, merged or
 * deleted under it. Snapshots may be used by several threads at once; each thread brings its own arena. */
#ifndef STORE_SCAN_H
#define STORE_SCAN_H

#include "base/arena.h"
#include "span/span.h"
#include "store/store.h"

/* One column of one row group. "Not known" is SPAN_NO_INT, NaN, zeros, or the empty text. */
struct vec {
    enum col_type type;
    uint32_t count;
    union {
        const int64_t *ints;      /* COL_INT */
        const double *doubles;    /* COL_DOUBLE */
        const uint8_t *bytes;     /* COL_BYTES: count × width */
        const struct slice *text; /* COL_STRING */
        struct {                  /* COL_DICT: row i is dict[codes[i]] */
            const uint32_t *codes;
            const struct slice *dict;
            uint32_t dict_count;
        };
    };
};

struct rowgroup {
    uint32_t rows;
    int64_t min_start_ns, max_start_ns;
    int64_t max_end_ns;   /* latest start + duration */
    uint64_t segment;     /* id of the segment; 0 for a memtable */
    uint64_t memtable;    /* names a memtable: the same name later has the same rows first; 0 for a segment */
    bool joiners;         /* may have spans that are joined to their trace by their parent alone */
    bool sorted_by_trace; /* rows of one trace stand together, traces ordered by their earliest start */
    const void *source;   /* the store's own */
    uint32_t index;       /* within its segment */
};

struct snapshot;
struct snapshot *store_snapshot(struct store *store); /* NULL when memory ran out */
void snapshot_free(struct snapshot *snapshot);
uint32_t snapshot_count(const struct snapshot *snapshot);
/* Newest max_start_ns first. */
const struct rowgroup *snapshot_rowgroup(const struct snapshot *snapshot, uint32_t i);

/* Which row groups may hold one of these traces, as far as indexes of traces say (store/trace_index.h); places has
 * snapshot_count places. Mostly a page of each index is read, none of the segments. */
enum trace_place { TRACE_UNKNOWN, TRACE_ABSENT, TRACE_LIKELY };
void snapshot_find_traces(const struct snapshot *snapshot, const uint8_t (*ids)[TRACE_ID_SIZE], uint32_t count,
                          uint8_t *places);

/* Reads one column. The vectors live in `arena` or in the snapshot's mapped files, whichever outlives less.
 * VT_ECORRUPT sets the segment aside (it is named in the log and in store_stats) and the caller goes on with the rest.
 */
int rowgroup_read(const struct rowgroup *group, enum col col, struct arena *arena, struct vec *out, struct error *err);
/* A COL_DICT column of a segment without its texts: dict is NULL. */
int rowgroup_read_codes(const struct rowgroup *group, enum col col, struct arena *arena, struct vec *out,
                        struct error *err);
/* True when it is certain that no row has a value of this optional column. */
bool rowgroup_is_unknown(const struct rowgroup *group, enum col col);
/* The texts of a COL_DICT column without the codes: code c + 1 is dict[c + 1]; a memtable has none (*count = 0). */
int rowgroup_read_dictionary(const struct rowgroup *group, enum col col, struct arena *arena, const struct slice **dict,
                             uint32_t *count, struct error *err);
/* Texts of a COL_STRING column for some rows only (ascending): what a "newest 50" needs of prompts. */
int rowgroup_read_rows(const struct rowgroup *group, enum col col, const uint32_t *rows, uint32_t row_count,
                       struct arena *arena, struct slice *out, struct error *err);
/* Whole rows (ascending) as spans, texts in arena: only the pages that hold them are read. */
int rowgroup_read_spans(const struct rowgroup *group, const uint32_t *rows, uint32_t row_count, struct arena *arena,
                        struct span *out, struct error *err);
/* The same for some columns (bits 1 << COL_…); the other fields of `out` stay as they are. */
int rowgroup_read_span_columns(const struct rowgroup *group, const uint32_t *rows, uint32_t row_count, uint64_t columns,
                               struct arena *arena, struct span *out, struct error *err);
/* One of them. */
int rowgroup_read_span(const struct rowgroup *group, uint32_t row, struct arena *arena, struct span *out,
                       struct error *err);
/* A row of a memtable as it lies there; lives as long as the snapshot. */
const struct span *rowgroup_memory_row(const struct rowgroup *group, uint32_t row);

enum { TRACE_NOTES_MAX = 4096 };
/* What a row group of a segment says of its traces. Rows are of a trace's first span, or of the span itself. */
struct trace_list {
    uint32_t count;
    const uint32_t *hashes; /* ascending; trace_hash of each trace */
    const uint32_t *places; /* row << 8 | rows; what has more rows than fit is there several times */
    bool joiners;           /* some spans are joined to their trace by their parent alone */
    uint32_t unsettled_count, dangling_count, seeking_count; /* may be more than are listed: those stop at
                                                                TRACE_NOTES_MAX */
    const uint32_t *unsettled; /* traces whose spans do not say what the whole trace makes of them */
    const uint32_t *dangling;  /* traces with a span whose parent is not here */
    const uint32_t *seeking;   /* spans that are joined by a parent that is not here */
};
/* VT_ENOTFOUND: an older file has no list. In the arena. */
int rowgroup_trace_list(const struct rowgroup *group, struct arena *arena, struct trace_list *list, struct error *err);

/* Where the rows of a trace are, from two pages of the list: *rows = 0 = nowhere. Rows of other traces may be given.
 * VT_ENOTFOUND: there is no list. */
int rowgroup_trace_rows(const struct rowgroup *group, const uint8_t trace_id[TRACE_ID_SIZE], uint32_t *first,
                        uint32_t *rows, struct error *err);

/* Has the disk bring what will be read soon, without waiting for it: columns (bits 1 << COL_…), a page that tells
 * whether a trace is there, the list of traces. Cheap where it was done a moment ago; nothing for a memtable. */
void rowgroup_expect(const struct rowgroup *group, uint64_t columns);
void rowgroup_expect_trace(const struct rowgroup *group, const uint8_t trace_id[TRACE_ID_SIZE]);
void rowgroup_expect_trace_rows(const struct rowgroup *group, const uint8_t trace_id[TRACE_ID_SIZE]);
void rowgroup_expect_trace_list(const struct rowgroup *group);

/* One attribute of every row, as it stands in COL_ATTRIBUTES: row i has the JSON value dict[code of i], code 0 = none.
 */
struct attr_codes {
    bool absent;             /* no row has it */
    const uint8_t *codes8;   /* one of the two, */
    const uint16_t *codes16; /* or none: it is not known without reading the texts */
    const struct slice *dict;
    uint32_t dict_count;
};
/* `key` as it is written in JSON, with quotes. In the arena. */
int rowgroup_attribute(const struct rowgroup *group, struct slice key, struct arena *arena, struct attr_codes *out,
                       struct error *err);

/* False only when it is certain. `word` is lower-cased as words.h says. */
bool rowgroup_may_have_trace(const struct rowgroup *group, const uint8_t trace_id[TRACE_ID_SIZE]);
bool rowgroup_may_have_word(const struct rowgroup *group, struct slice word);
/* False only when no row of this dictionary column can hold the value (reads the dictionary, not the codes). */
bool rowgroup_may_have_value(const struct rowgroup *group, enum col col, struct slice value);

#endif
