/* All indexes of traces of a store, in `index/`. They cover the segments that are there to stay; a new one is made once
 * sixteen segments are in none. Lost, broken or stale files cost a page of each segment, and are made again. */
#ifndef STORE_TRACE_INDEXES_H
#define STORE_TRACE_INDEXES_H

#include "store/store_internal.h"
#include "store/trace_index.h"

/* Those of a moment, never changed; shared by reference count. */
struct trace_indexes;
struct trace_indexes *trace_indexes_ref(struct trace_indexes *all); /* NULL is fine */
void trace_indexes_unref(struct trace_indexes *all);                /* NULL is fine */
uint32_t trace_indexes_count(const struct trace_indexes *all);      /* 0 for NULL */
struct trace_index *trace_indexes_at(const struct trace_indexes *all, uint32_t i);
/* The index that holds a segment, and its number there; false = none. */
bool trace_indexes_place(const struct trace_indexes *all, uint64_t segment, uint32_t *index, uint32_t *number);

/* What a start finds, once segments are listed: files that are broken or hold a segment that is gone are removed, or
 * only passed over when the store is read only. */
void trace_indexes_load(struct store *store);
/* Makes what is due. Holds `keeping`. */
void trace_indexes_keep(struct store *store);
/* A segment is to be written anew without some of its spans: what an index says of it goes from the disk. Holds
 * `keeping`. */
void trace_indexes_forget(struct store *store, const struct segment *segment);

#endif
