/* The memtable: durable spans that are in no segment yet, in memory, in order of arrival. One writer appends; readers
 * see the rows that were there when they looked (memtable_rows) without a lock: rows never move and never change. */
#ifndef STORE_MEMTABLE_H
#define STORE_MEMTABLE_H

#include "base/error.h"
#include "span/span.h"

struct memtable;

struct memtable *memtable_new(uint64_t wal_number); /* one reference; NULL without memory */
struct memtable *memtable_ref(struct memtable *m);
void memtable_unref(struct memtable *m); /* any thread; frees with the last */
void memtable_trim(void); /* gives the memory of memtables that are gone back to the system; any thread */
uint64_t memtable_name(const struct memtable *m); /* no other memtable of this process has or had it; not 0 */
uint64_t memtable_wal(const struct memtable *m);
void memtable_set_wal(struct memtable *m, uint64_t number); /* before it is shared: several files read into one */
/* Copies the payload of a WAL record in (batch_encode's form), all of it or nothing. Writer only. */
int memtable_add(struct memtable *m, struct slice payload, struct error *err);
uint32_t memtable_rows(const struct memtable *m);                        /* any thread */
uint64_t memtable_bytes(const struct memtable *m);                       /* any thread; memory held */
const struct span *memtable_row(const struct memtable *m, uint32_t row); /* row < a memtable_rows seen before */

/* Bounds of the rows: they hold for the rows that were there when memtable_rows was asked before. */
struct memtable_range {
    int64_t min_start_ns, max_start_ns, max_end_ns;
};
struct memtable_range memtable_range(const struct memtable *m); /* any thread */

#endif
