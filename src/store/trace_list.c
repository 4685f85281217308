/* Lists of traces: made while a row group is written, or from the columns of files that have none. */
#include "store/trace_list.h"

#include <libdeflate.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { NOTES_VERSION = 1, NOTES_HEAD = 6, CHAIN_MAX = 64, NO_ROW = -1 };

const enum col trace_columns[TRACE_COLUMNS] = {COL_TRACE_ID, COL_SPAN_ID, COL_PARENT_SPAN_ID, COL_FLAGS,
                                               COL_KIND,     COL_STATUS,  COL_TOKENS_INPUT,   COL_TOKENS_OUTPUT,
                                               COL_COST_USD, COL_USER_ID, COL_THREAD_ID,      COL_TURN_ID};

uint32_t trace_hash(const uint8_t trace_id[TRACE_ID_SIZE]) {
    return (uint32_t)XXH3_64bits(trace_id, TRACE_ID_SIZE);
}

/* ---- hashes and places ---- */

struct entry {
    uint32_t hash, place;
};

/* By hash, three passes of 11 bits; stable, so that rows stay in order. */
static void sort_entries(struct entry *entries, struct entry *spare, uint32_t count) {
    for (unsigned shift = 0; shift < 33; shift += 11) {
        uint32_t starts[2049] = {0};
        for (uint32_t i = 0; i < count; i++) starts[(entries[i].hash >> shift & 2047) + 1]++;
        for (uint32_t b = 1; b < 2049; b++) starts[b] += starts[b - 1];
        for (uint32_t i = 0; i < count; i++) spare[starts[entries[i].hash >> shift & 2047]++] = entries[i];
        struct entry *swap = entries;
        entries = spare;
        spare = swap;
    }
    memcpy(spare, entries, count * sizeof *spare); /* three swaps: the result lies in the other one */
}

static const uint8_t *id_at(const struct vec *ids, size_t width, uint32_t row) {
    return ids->bytes + row * width;
}

static uint32_t run_end(const struct vec *ids, uint32_t first, uint32_t most) {
    const uint8_t *id = id_at(ids, TRACE_ID_SIZE, first);
    uint32_t end = first + 1;
    while (end < ids->count && end - first < most && memcmp(id_at(ids, TRACE_ID_SIZE, end), id, TRACE_ID_SIZE) == 0)
        end++;
    return end;
}

bool trace_list_index(const struct vec *ids, struct arena *arena, struct trace_list *list) {
    uint32_t count = 0;
    if (ids->count > 1u << (32 - RUN_BITS)) return false;
    for (uint32_t row = 0; row < ids->count; row = run_end(ids, row, RUN_MAX)) count++;
    struct entry *entries = malloc(2 * ((size_t)count + 1) * sizeof *entries);
    uint32_t *hashes = arena_alloc(arena, 2 * ((size_t)count + 1) * sizeof *hashes);
    if (!entries || !hashes) {
        free(entries);
        return false;
    }
    uint32_t *places = hashes + count + 1;
    for (uint32_t row = 0, end, n = 0; row < ids->count; row = end) {
        end = run_end(ids, row, RUN_MAX);
        entries[n++] = (struct entry){trace_hash(id_at(ids, TRACE_ID_SIZE, row)), row << RUN_BITS | (end - row)};
    }
    sort_entries(entries, entries + count + 1, count);
    for (uint32_t i = 0; i < count; i++) hashes[i] = entries[i].hash, places[i] = entries[i].place;
    free(entries);
    list->count = count;
    list->hashes = hashes;
    list->places = places;
    return true;
}

/* ---- notes ---- */

/* The rows of one trace, and each one's parent among them. */
struct run {
    const struct vec *columns;
    uint32_t first, end;
    int32_t *parent; /* from `first`, by row - first */
    uint32_t *slots; /* row - first + 1 by span id; mask + 1 of them */
    uint32_t mask;
};

static uint64_t span_id(const struct vec *columns, enum col col, uint32_t row) {
    uint64_t id;
    memcpy(&id, columns[col].bytes + (size_t)row * SPAN_ID_SIZE, SPAN_ID_SIZE);
    return id;
}

static uint32_t slot_of(const struct run *run, uint64_t id) {
    return (uint32_t)((id ^ id >> 29) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & run->mask;
}

static int32_t find_span(const struct run *run, uint64_t id, uint32_t but) {
    enum { FEW = 16 };
    if (run->end - run->first <= FEW) {
        for (uint32_t row = run->first; row < run->end; row++)
            if (row != but && span_id(run->columns, COL_SPAN_ID, row) == id) return (int32_t)(row - run->first);
        return NO_ROW;
    }
    for (uint32_t at = slot_of(run, id); run->slots[at]; at = (at + 1) & run->mask) {
        uint32_t row = run->first + run->slots[at] - 1;
        if (row != but && span_id(run->columns, COL_SPAN_ID, row) == id) return (int32_t)(run->slots[at] - 1);
    }
    return NO_ROW;
}

static void link_run(struct run *run) {
    const struct vec *c = run->columns;
    uint32_t n = run->end - run->first;
    run->mask = 15;
    while (run->mask < 2 * n) run->mask = 2 * run->mask + 1;
    memset(run->slots, 0, ((size_t)run->mask + 1) * sizeof *run->slots);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = slot_of(run, span_id(c, COL_SPAN_ID, run->first + i));
        while (run->slots[at]) at = (at + 1) & run->mask;
        run->slots[at] = i + 1;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint64_t up = span_id(c, COL_PARENT_SPAN_ID, run->first + i);
        run->parent[i] = up ? find_span(run, up, run->first + i) : NO_ROW;
    }
}

static bool reports(const struct vec *c, uint32_t row) {
    if (c[COL_FLAGS].ints[row] & SPAN_USAGE_ESTIMATED) return false;
    return c[COL_TOKENS_INPUT].ints[row] != SPAN_NO_INT || c[COL_TOKENS_OUTPUT].ints[row] != SPAN_NO_INT ||
           !isnan(c[COL_COST_USD].doubles[row]);
}

/* Whether what row `up` says as an ancestor is not known to row `row` yet. */
static bool pair_unsettled(const struct vec *c, uint32_t row, uint32_t up, bool direct) {
    const int64_t *flags = c[COL_FLAGS].ints;
    if (direct && ((!c[COL_USER_ID].codes[row] && c[COL_USER_ID].codes[up]) ||
                   (!c[COL_THREAD_ID].codes[row] && c[COL_THREAD_ID].codes[up]) ||
                   (!c[COL_TURN_ID].text[row].len && c[COL_TURN_ID].text[up].len)))
        return true;
    if (reports(c, row) && reports(c, up) && !(flags[up] & SPAN_USAGE_RESTATED)) return true;
    if (flags[row] & SPAN_USAGE_ESTIMATED && reports(c, up) && !(flags[up] & SPAN_USAGE_RESTATED) &&
        !(flags[row] & SPAN_USAGE_RESTATED))
        return true;
    return c[COL_KIND].ints[row] == KIND_LLM && c[COL_STATUS].ints[row] == STATUS_ERROR &&
           c[COL_KIND].ints[up] == KIND_TURN && c[COL_STATUS].ints[up] != STATUS_ERROR && !(flags[up] & SPAN_FALLBACK);
}

static bool run_unsettled(const struct run *run) {
    for (uint32_t i = 0; i < run->end - run->first; i++) {
        int32_t up = run->parent[i];
        for (unsigned steps = 0; up != NO_ROW; steps++, up = run->parent[up])
            if (steps == CHAIN_MAX ||
                pair_unsettled(run->columns, run->first + i, run->first + (uint32_t)up, steps == 0))
                return true;
    }
    return false;
}

/* What is not whole, by row. */
static void note_run(const struct run *run, struct trace_list *list, uint32_t *unsettled, uint32_t *dangling,
                     uint32_t *seeking) {
    bool dangles = false;
    if (run->end - run->first > 1 && run_unsettled(run)) unsettled[list->unsettled_count++] = run->first;
    for (uint32_t row = run->first; row < run->end; row++) {
        bool joiner = run->columns[COL_FLAGS].ints[row] & SPAN_JOIN_BY_PARENT;
        list->joiners |= joiner;
        if (run->parent[row - run->first] != NO_ROW || !span_id(run->columns, COL_PARENT_SPAN_ID, row)) continue;
        /* A span may be its own parent: nobody else is looked for. */
        if (span_id(run->columns, COL_PARENT_SPAN_ID, row) == span_id(run->columns, COL_SPAN_ID, row)) continue;
        if (joiner)
            seeking[list->seeking_count++] = row;
        else
            dangles = true;
    }
    if (dangles) dangling[list->dangling_count++] = run->first;
}

bool trace_list_make(const struct vec columns[COL_COUNT], struct arena *arena, struct trace_list *list) {
    const struct vec *ids = &columns[COL_TRACE_ID];
    uint32_t slot_count = 16;
    *list = (struct trace_list){0};
    if (!trace_list_index(ids, arena, list)) return false;
    while (slot_count < 4 * (uint64_t)ids->count) slot_count *= 2;
    struct run run = {.columns = columns};
    uint32_t *notes = arena_alloc(arena, (3 * (size_t)ids->count + 1) * sizeof *notes);
    run.parent = malloc(((size_t)ids->count + 1) * sizeof *run.parent);
    run.slots = malloc(slot_count * sizeof *run.slots);
    bool done = notes && run.parent && run.slots;
    for (run.end = 0; done && run.end < ids->count;) {
        run.first = run.end;
        run.end = run_end(ids, run.first, UINT32_MAX);
        link_run(&run);
        note_run(&run, list, notes, notes + ids->count, notes + 2 * (size_t)ids->count);
    }
    free(run.parent);
    free(run.slots);
    list->unsettled = notes;
    list->dangling = notes ? notes + ids->count : NULL;
    list->seeking = notes ? notes + 2 * (size_t)ids->count : NULL;
    return done;
}

/* ---- in the file ---- */

static void put_u32(struct buf *out, uint32_t value) {
    buf_put(out, &value, sizeof value);
}

void list_pages_put(struct buf *out, const uint32_t *items, uint32_t count) {
    uint32_t page[1 + LIST_PAGE_ITEMS];
    for (uint32_t at = 0; at < count; at += LIST_PAGE_ITEMS) {
        uint32_t n = count - at < LIST_PAGE_ITEMS ? count - at : LIST_PAGE_ITEMS;
        memcpy(page + 1, items + at, n * sizeof *items);
        page[0] = libdeflate_crc32(0, page + 1, n * sizeof *items);
        buf_put(out, page, 4 + n * sizeof *items);
    }
}

/* Of too many the first ones are kept, and the count, which says so. */
static uint32_t kept(uint32_t count) {
    return count < TRACE_NOTES_MAX ? count : TRACE_NOTES_MAX;
}

void trace_list_put(struct buf *out, const struct trace_list *list) {
    list_pages_put(out, list->hashes, list->count);
    list_pages_put(out, list->places, list->count);
    size_t mark = out->len;
    const uint32_t head[NOTES_HEAD] = {
        0, NOTES_VERSION, list->joiners, list->unsettled_count, list->dangling_count, list->seeking_count};
    for (int i = 0; i < NOTES_HEAD; i++) put_u32(out, head[i]);
    buf_put(out, list->unsettled, kept(list->unsettled_count) * sizeof(uint32_t));
    buf_put(out, list->dangling, kept(list->dangling_count) * sizeof(uint32_t));
    buf_put(out, list->seeking, kept(list->seeking_count) * sizeof(uint32_t));
    if (out->failed) return;
    uint32_t crc = libdeflate_crc32(0, out->ptr + mark + 4, out->len - mark - 4);
    memcpy(out->ptr + mark, &crc, 4);
}

static bool page_is_right(const uint8_t *page, uint32_t items) {
    uint32_t crc;
    memcpy(&crc, page, 4);
    return libdeflate_crc32(0, page + 4, (size_t)items * 4) == crc;
}

static bool read_pages(const uint8_t *at, uint32_t count, uint32_t *items) {
    for (uint32_t done = 0; done < count; done += LIST_PAGE_ITEMS, at += LIST_PAGE) {
        uint32_t n = count - done < LIST_PAGE_ITEMS ? count - done : LIST_PAGE_ITEMS;
        if (!page_is_right(at, n)) return false;
        memcpy(items + done, at + 4, n * sizeof *items);
    }
    return true;
}

static bool in_order(const struct trace_list *list, uint32_t rows) {
    for (uint32_t i = 0; i < list->count; i++) {
        uint32_t row = list->places[i] >> RUN_BITS;
        if ((i && list->hashes[i] < list->hashes[i - 1]) || row >= rows || (list->places[i] & RUN_MAX) > rows - row)
            return false;
    }
    for (uint32_t i = 0; i < kept(list->unsettled_count) + kept(list->dangling_count) + kept(list->seeking_count); i++)
        if (list->unsettled[i] >= rows) return false;
    return true;
}

static bool read_notes(const uint8_t *at, size_t bytes, struct arena *arena, struct trace_list *list) {
    uint32_t head[NOTES_HEAD];
    if (bytes < sizeof head) return false;
    memcpy(head, at, sizeof head);
    if (libdeflate_crc32(0, at + 4, bytes - 4) != head[0] || head[1] != NOTES_VERSION) return false;
    list->joiners = head[2];
    list->unsettled_count = head[3];
    list->dangling_count = head[4];
    list->seeking_count = head[5];
    size_t count = (size_t)kept(head[3]) + kept(head[4]) + kept(head[5]);
    if (bytes != sizeof head + count * sizeof(uint32_t)) return false;
    uint32_t *rows = arena_alloc(arena, (count + 1) * sizeof *rows);
    if (!rows) return false;
    memcpy(rows, at + sizeof head, count * sizeof *rows);
    list->unsettled = rows;
    list->dangling = rows + kept(head[3]);
    list->seeking = list->dangling + kept(head[4]);
    return true;
}

int trace_list_read(const uint8_t *at, size_t bytes, uint32_t count, uint32_t rows, struct arena *arena,
                    struct trace_list *list) {
    size_t part = trace_list_bytes(count);
    uint32_t *items = arena_alloc(arena, 2 * ((size_t)count + 1) * sizeof *items);
    if (!items) return VT_ENOMEM;
    *list = (struct trace_list){.count = count, .hashes = items, .places = items + count + 1};
    bool right = bytes >= 2 * part && read_pages(at, count, items) && read_pages(at + part, count, items + count + 1) &&
                 read_notes(at + 2 * part, bytes - 2 * part, arena, list) && in_order(list, rows);
    return right ? 0 : VT_ECORRUPT;
}

bool list_page_is_right(const uint8_t *at, uint32_t count, uint32_t i) {
    uint32_t first = i - i % LIST_PAGE_ITEMS;
    return page_is_right(list_page_of(at, i), count - first < LIST_PAGE_ITEMS ? count - first : LIST_PAGE_ITEMS);
}

/* Items are spread evenly, so their place is guessed; pages before or behind are looked at when the guess was off. */
uint32_t list_pages_seek(const uint8_t *at, uint32_t count, uint32_t item, bool *broken) {
    uint32_t from = 0, end = count; /* it is in there, or is `end` */
    uint32_t first = count ? (uint32_t)(trace_list_guess(count, item) / LIST_PAGE) * LIST_PAGE_ITEMS : 0;
    *broken = false;
    while (from < end) {
        uint32_t n = count - first < LIST_PAGE_ITEMS ? count - first : LIST_PAGE_ITEMS, low = 0;
        if ((*broken = !list_page_is_right(at, count, first))) return count;
        for (uint32_t left = n; left;) {
            uint32_t half = left / 2;
            if (list_item(at, first + low + half) < item)
                low += half + 1, left -= half + 1;
            else
                left = half;
        }
        if (low == n) {
            from = first += n;
        } else if (low || first == from) {
            return first + low;
        } else {
            end = first;
            first -= LIST_PAGE_ITEMS;
        }
    }
    return end;
}

bool trace_list_has(const uint8_t *at, uint32_t count, uint32_t hash, bool *broken) {
    uint32_t i = list_pages_seek(at, count, hash, broken);
    return *broken || (i < count && list_item(at, i) == hash);
}

uint32_t trace_list_rows(const uint8_t *at, uint32_t count, uint32_t rows, uint32_t hash, uint32_t *first,
                         bool *broken) {
    const uint8_t *places = at + trace_list_bytes(count);
    uint32_t begin = list_pages_seek(at, count, hash, broken), end = 0;
    for (uint32_t i = begin; i < count && !*broken; i++) {
        bool fresh = i == begin || i % LIST_PAGE_ITEMS == 0;
        if (fresh && (!list_page_is_right(at, count, i) || !list_page_is_right(places, count, i))) *broken = true;
        if (*broken || list_item(at, i) != hash) break;
        uint32_t place = list_item(places, i), row = place >> RUN_BITS;
        if (row >= rows || (place & RUN_MAX) > rows - row) *broken = true;
        if (!end) *first = row;
        end = row + (place & RUN_MAX);
    }
    return *broken || !end ? 0 : end - *first;
}
