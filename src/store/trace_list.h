/* What a segment says of the traces of a row group, beside its columns: a list of hashes that finds a trace's rows, and
 * notes of traces that are not whole there. With it an engine opens a directory without looking at a span.
 *
 * In the file, at a multiple of LIST_PAGE where there are several: pages of a CRC-32 and LIST_PAGE_ITEMS hashes,
 * ascending, the last one as short as it can be; as many of places; then the notes under a CRC-32 of their own. A page
 * is enough to know that a trace is not there. */
#ifndef STORE_TRACE_LIST_H
#define STORE_TRACE_LIST_H

#include "base/buf.h"
#include "store/scan.h"

enum { LIST_PAGE = 4096, LIST_PAGE_ITEMS = LIST_PAGE / 4 - 1, RUN_BITS = 8, RUN_MAX = (1 << RUN_BITS) - 1 };

uint32_t trace_hash(const uint8_t trace_id[TRACE_ID_SIZE]);

/* Columns that the notes are made of. */
enum { TRACE_COLUMNS = 12 };
extern const enum col trace_columns[TRACE_COLUMNS];

/* From whole columns, by enum col (those of trace_columns), rows of a trace next to each other. In the arena; false
 * when memory ran out. */
bool trace_list_make(const struct vec columns[COL_COUNT], struct arena *arena, struct trace_list *list);
/* The list of hashes and places alone, from the column of trace ids. */
bool trace_list_index(const struct vec *trace_ids, struct arena *arena, struct trace_list *list);

/* Appends the pages and notes. */
void trace_list_put(struct buf *out, const struct trace_list *list);
/* Bytes of the hashes, and of the places, by the count that the footer holds. */
static inline size_t trace_list_bytes(uint32_t count) {
    uint32_t rest = count % LIST_PAGE_ITEMS;
    return (size_t)(count / LIST_PAGE_ITEMS) * LIST_PAGE + (rest ? 4 + 4 * (size_t)rest : 0);
}
/* Reads what trace_list_put wrote: `at` has `bytes` readable ones. VT_ECORRUPT without a message when a checksum or
 * a size is wrong; VT_ENOMEM. `rows`: of the row group; nothing is named beyond them. */
int trace_list_read(const uint8_t *at, size_t bytes, uint32_t count, uint32_t rows, struct arena *arena,
                    struct trace_list *list);
/* Where the page of a hash most likely begins. */
static inline int64_t trace_list_guess(uint32_t count, uint32_t hash) {
    return (int64_t)((uint64_t)hash * count / LIST_PAGE_ITEMS >> 32) * LIST_PAGE;
}
/* Whether the hash is in the list, from a page or two of it. *broken: a checksum is wrong (answers true). */
bool trace_list_has(const uint8_t *at, uint32_t count, uint32_t hash, bool *broken);
/* The rows of a trace, from a page or two of hashes and of places each: *first and the number returned, 0 = none.
 * Another trace's rows may be given or lie between. */
uint32_t trace_list_rows(const uint8_t *at, uint32_t count, uint32_t rows, uint32_t hash, uint32_t *first,
                         bool *broken);

/* ---- pages of ascending items, also of trace_index.h ---- */

/* Number of the first item that is not below `item`, `count` when there is none; its page is compared with its
 * checksum, as are those on the way. */
uint32_t list_pages_seek(const uint8_t *at, uint32_t count, uint32_t item, bool *broken);
/* Item i, and whether its page is right. */
static inline const uint8_t *list_page_of(const uint8_t *at, uint32_t i) {
    return at + (size_t)(i / LIST_PAGE_ITEMS) * LIST_PAGE;
}
static inline uint32_t list_item(const uint8_t *at, uint32_t i) {
    uint32_t item;
    memcpy(&item, list_page_of(at, i) + 4 + 4 * (size_t)(i % LIST_PAGE_ITEMS), sizeof item);
    return item;
}
bool list_page_is_right(const uint8_t *at, uint32_t count, uint32_t i);
void list_pages_put(struct buf *out, const uint32_t *items, uint32_t count);

#endif
