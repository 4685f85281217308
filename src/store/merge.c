/* Small segments of a day become one. Column by column, so that only one column of the rows is in memory at a time. */
#include "store/store_internal.h"

#include "base/log.h"
#include "base/timestamp.h"
#include "store/columns.h"
#include "store/order.h"
#include "store/parquet.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SMALL_ROWS = ROWGROUP_ROWS / 2, /* what has more is never merged again */
    SMALL_TEXT_BYTES = ROWGROUP_TEXT_BYTES / 2,
    INPUTS_MIN = 8, /* while the day goes on, so many wait for each other */
    INPUTS_MAX = 64,
    DAY_OVER_S = 3600, /* after its last second, when nothing came for it in QUIET_S: then two are enough */
    QUIET_S = 60,
    RETRY_S = 30,
    BACKLOG_MAX = 256, /* past so many quick segments merging takes its part of the machine, hurry or not */
    PACK_WITHIN_MS = 300000,
    REST_MS = 20
};

#define DAY_NS ((int64_t)86400 * NS_PER_S)

/* ---- rows of several segments as one source ---- */

struct piece { /* a row group of an input */
    const struct segment *segment;
    uint32_t group, first_row; /* among the rows of all */
    struct vec vec;
    uint32_t *codes; /* COL_DICT: its codes → those of the common dictionary */
    bool used;
};

static uint32_t list_pieces(const struct merged_rows *m, struct arena *arena, struct piece **out) {
    uint32_t count = 0, row = 0;
    for (uint32_t i = 0; i < m->segment_count; i++) count += segment_rowgroups(m->segments[i]);
    struct piece *pieces = arena_calloc(arena, count + 1, sizeof *pieces);
    *out = pieces;
    if (!pieces) return 0;
    for (uint32_t i = 0, at = 0; i < m->segment_count; i++)
        for (uint32_t g = 0; g < segment_rowgroups(m->segments[i]); g++, at++) {
            pieces[at].segment = m->segments[i];
            pieces[at].group = g;
            pieces[at].first_row = row;
            row += segment_rowgroup(m->segments[i], g)->rows;
        }
    pieces[count].first_row = row;
    return count;
}

/* The piece of each row, as few as there are found by halving. */
static uint32_t piece_of(const struct piece *pieces, uint32_t count, uint32_t row) {
    uint32_t low = 0, high = count;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (pieces[middle].first_row <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static int read_piece(struct piece *piece, enum col col, struct arena *arena, struct dictionary *dictionary,
                      struct error *err) {
    int code = segment_read(piece->segment, piece->group, col, arena, &piece->vec, err);
    if (code == VT_ECORRUPT && err) set_segment_aside(segment_owner(piece->segment), piece->segment, err);
    if (code || piece->vec.type != COL_DICT) return code;
    if (!(piece->codes = arena_alloc(arena, piece->vec.dict_count * sizeof *piece->codes)))
        return error_set(err, VT_ENOMEM, "no memory to merge a dictionary");
    for (uint32_t i = 0; i < piece->vec.dict_count; i++)
        if ((piece->codes[i] = dictionary_code(dictionary, piece->vec.dict[i])) == UINT32_MAX)
            return error_set(err, VT_ENOMEM, "no memory to merge a dictionary");
    return 0;
}

static void copy_value(const struct piece *piece, uint32_t row, enum col col, char *to) {
    const struct vec *v = &piece->vec;
    switch (v->type) {
    case COL_BYTES: memcpy(to, v->bytes + (size_t)row * span_columns[col].width, span_columns[col].width); break;
    case COL_INT: memcpy(to, &v->ints[row], 8); break;
    case COL_DOUBLE: memcpy(to, &v->doubles[row], 8); break;
    case COL_STRING: memcpy(to, &v->text[row], sizeof(struct slice)); break;
    case COL_DICT: memcpy(to, &piece->codes[v->codes[row]], sizeof(uint32_t)); break;
    }
}

static int gather(const struct merged_rows *m, struct piece *pieces, uint32_t piece_count, enum col col, uint32_t first,
                  uint32_t count, struct arena *arena, struct dictionary *dictionary, struct vec *out,
                  struct error *err) {
    size_t width = column_value_bytes(col);
    char *to = arena_alloc(arena, count * width + 1);
    if (!to) return error_set(err, VT_ENOMEM, "no memory for column %s", span_columns[col].name);
    int code = dictionary_code(dictionary, (struct slice){NULL, 0}) == UINT32_MAX
                   ? error_set(err, VT_ENOMEM, "no memory to merge a dictionary")
                   : 0;
    for (uint32_t i = 0; i < count && !code; i++) {
        struct piece *piece = &pieces[piece_of(pieces, piece_count, m->order[first + i])];
        if (!piece->used) code = read_piece(piece, col, arena, dictionary, err), piece->used = true;
        if (!code) copy_value(piece, m->order[first + i] - piece->first_row, col, to + i * width);
    }
    vec_use(out, col, count, to);
    if (code || out->type != COL_DICT) return code;
    struct slice *dict = arena_alloc(arena, dictionary->count * sizeof *dict);
    if (!dict) return error_set(err, VT_ENOMEM, "no memory to merge a dictionary");
    memcpy(dict, dictionary->texts, dictionary->count * sizeof *dict);
    out->dict = dict;
    out->dict_count = dictionary->count;
    return 0;
}

/* Whether so many quick segments wait, or one for so long, that it is their turn: a load that never ceases would
 * otherwise leave a whole day's spans unpacked, and without filters. */
static bool is_overdue(struct store *s) {
    const uint32_t within_ms = s->options.pack_within_ms ? s->options.pack_within_ms : PACK_WITHIN_MS;
    const int64_t latest_ns = time_monotonic_ns() - (int64_t)within_ms * NS_PER_MS;
    uint32_t count = 0;
    bool old = false;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->segment_count; i++) {
        if (!segment_is_quick(s->segments[i])) continue;
        count++;
        old |= segment_opened_ns(s->segments[i]) < latest_ns;
    }
    pthread_mutex_unlock(&s->lock);
    return old || count >= BACKLOG_MAX;
}

/* While spans come in faster than they can be packed, the machine is theirs: a low priority alone would still take a
 * tenth of it. */
static bool must_rest(struct store *s) {
    bool yields = s->options.hurry == STORE_HURRY_AUTO || s->options.hurry == STORE_HURRY_ALWAYS;
    return yields && atomic_load(&s->hurried) && !atomic_load(&s->asked_for) && !atomic_load(&s->closing) &&
           !is_overdue(s);
}

static void give_way(struct store *s) {
    while (must_rest(s)) nanosleep(&(struct timespec){.tv_nsec = (int64_t)REST_MS * NS_PER_MS}, NULL);
}

int merged_read(void *ctx, enum col col, uint32_t first, uint32_t count, struct arena *arena, struct vec *out,
                struct error *err) {
    const struct merged_rows *m = ctx;
    struct dictionary dictionary = {0};
    struct piece *pieces;
    if (m->yields_to) give_way(m->yields_to);
    if (m->stop && atomic_load(m->stop)) return error_set(err, VT_ECANCELLED, "the store is closing");
    /* What the column before was read from need not be mapped any longer. */
    for (uint32_t i = 0; i < m->segment_count; i++) segment_unmap_pages(m->segments[i]);
    uint32_t piece_count = list_pieces(m, arena, &pieces);
    if (!pieces) return error_set(err, VT_ENOMEM, "no memory for column %s", span_columns[col].name);
    int code = gather(m, pieces, piece_count, col, first, count, arena, &dictionary, out, err);
    dictionary_free(&dictionary);
    return code;
}

uint32_t rows_per_group(uint64_t rows, uint64_t text_bytes) {
    uint64_t per = rows < ROWGROUP_ROWS ? rows : ROWGROUP_ROWS;
    if (text_bytes > ROWGROUP_TEXT_BYTES && per > rows * ROWGROUP_TEXT_BYTES / text_bytes)
        per = rows * ROWGROUP_TEXT_BYTES / text_bytes;
    return per ? (uint32_t)per : 1;
}

/* ---- the order of merged rows ---- */

static int64_t merged_order(struct merged_rows *m, uint32_t *order, struct error *err) {
    struct arena arena = {0};
    struct row_key *keys = malloc(m->rows * sizeof *keys + 1);
    uint32_t at = 0;
    int code = keys ? 0 : error_set(err, VT_ENOMEM, "no memory to merge %u spans", m->rows);
    for (uint32_t i = 0; i < m->segment_count; i++)
        for (uint32_t g = 0; g < segment_rowgroups(m->segments[i]) && !code; g++) {
            struct vec traces, spans, starts;
            const struct segment *segment = m->segments[i];
            if (!(code = segment_read(segment, g, COL_TRACE_ID, &arena, &traces, err)) &&
                !(code = segment_read(segment, g, COL_SPAN_ID, &arena, &spans, err)))
                code = segment_read(segment, g, COL_START_NS, &arena, &starts, err);
            if (code == VT_ECORRUPT && err) set_segment_aside(segment_owner(segment), segment, err);
            for (uint32_t r = 0; !code && r < traces.count; r++)
                keys[at++] = (struct row_key){traces.bytes + (size_t)r * TRACE_ID_SIZE,
                                              spans.bytes + (size_t)r * SPAN_ID_SIZE, starts.ints[r]};
        }
    int64_t kept = code ? code : order_rows(keys, m->rows, order);
    if (!code && kept < 0) error_set(err, (int)kept, "no memory to merge %u spans", m->rows);
    arena_free(&arena);
    free(keys);
    return kept;
}

/* "segments 12 13" */
static void name_origin(struct segment *const *segments, uint32_t count, struct buf *out) {
    buf_puts(out, "segments");
    for (uint32_t i = 0; i < count; i++) buf_printf(out, " %llu", (unsigned long long)segment_id(segments[i]));
}

static int merge(struct store *s, struct segment *const *segments, uint32_t count, struct error *err) {
    struct merged_rows m = {.segments = segments, .segment_count = count, .stop = &s->closing, .yields_to = s};
    struct row_source source = {&m, merged_read};
    struct segment_writer *writer = NULL;
    struct fresh fresh = {0};
    struct buf origin = {0};
    uint64_t text_bytes = 0;
    int64_t start_ns = INT64_MAX;
    for (uint32_t i = 0; i < count; i++) {
        m.rows += (uint32_t)segment_rows(segments[i]);
        text_bytes += segment_text_bytes(segments[i]);
        if (segment_min_start_ns(segments[i]) < start_ns) start_ns = segment_min_start_ns(segments[i]);
    }
    uint32_t *order = malloc(m.rows * sizeof *order + 1);
    int64_t kept =
        order ? merged_order(&m, order, err) : error_set(err, VT_ENOMEM, "no memory to merge %u spans", m.rows);
    int code = kept < 0 ? (int)kept : 0;
    m.order = order;
    name_origin(segments, count, &origin);
    if (!code) code = fresh_begin(s, start_ns, EFFORT_MERGED, &fresh, &writer, err);
    uint32_t step = rows_per_group(m.rows, text_bytes);
    for (uint32_t first = 0; first < (uint64_t)kept && !code; first += step) {
        uint32_t rows = (uint32_t)kept - first < step ? (uint32_t)kept - first : step;
        code = segment_writer_group(writer, &source, first, rows, err);
    }
    if (!code)
        code = fresh_finish(s, &fresh, writer, buf_cstr(&origin), err);
    else
        segment_writer_abort(writer);
    if (!code && (code = segments_replace(s, &fresh, 1, segments, count, NULL, err))) fresh_discard(&fresh);
    buf_free(&origin);
    free(order);
    return code;
}

/* ---- which ones ---- */

static int by_day_and_rows(const void *a, const void *b) {
    const struct segment *x = *(const struct segment *const *)a, *y = *(const struct segment *const *)b;
    int64_t days[2] = {segment_min_start_ns(x) / DAY_NS, segment_min_start_ns(y) / DAY_NS};
    if (days[0] != days[1]) return days[0] > days[1] ? -1 : 1; /* the newest day first: that is what people look at */
    if (segment_rows(x) != segment_rows(y)) return segment_rows(x) < segment_rows(y) ? -1 : 1;
    return segment_id(x) < segment_id(y) ? -1 : 1;
}

static bool is_small(const struct segment *segment) {
    return segment_rows(segment) < SMALL_ROWS && segment_text_bytes(segment) < SMALL_TEXT_BYTES;
}

uint32_t merge_backlog(struct store *s) {
    uint32_t count = 0;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->segment_count; i++) count += segment_is_quick(s->segments[i]);
    pthread_mutex_unlock(&s->lock);
    return count;
}

/* How many of a day's small segments, the smallest first, are worth one merge; 0 = none yet. One that is larger than
 * all the others together waits for more of them, so that a row is rewritten a few times in its life and no more. */
static uint32_t worth_merging(struct segment *const *segments, uint32_t count, int64_t now_ns) {
    uint64_t rows = 0, text_bytes = 0;
    uint32_t n = 0;
    for (; n < count && n < INPUTS_MAX; n++) {
        uint64_t more = segment_rows(segments[n]), text = segment_text_bytes(segments[n]);
        if (rows + more > ROWGROUP_ROWS || text_bytes + text > ROWGROUP_TEXT_BYTES) break;
        rows += more;
        text_bytes += text;
    }
    bool full = n < count && n < INPUTS_MAX;
    while (n > 1 && segment_rows(segments[n - 1]) > rows - segment_rows(segments[n - 1]))
        rows -= segment_rows(segments[--n]);
    bool over = now_ns > (segment_min_start_ns(segments[0]) / DAY_NS + 1) * DAY_NS + (int64_t)DAY_OVER_S * NS_PER_S;
    int64_t quiet_since_ns = time_monotonic_ns() - (int64_t)QUIET_S * NS_PER_S;
    for (uint32_t i = 0; i < count && over; i++) over = segment_opened_ns(segments[i]) < quiet_since_ns;
    bool quick = false; /* and old enough: what is not packed well does not wait for company for ever */
    for (uint32_t i = 0; i < n; i++)
        quick |= segment_is_quick(segments[i]) && segment_opened_ns(segments[i]) < quiet_since_ns;
    return n >= INPUTS_MIN || (n >= 2 && (over || full)) || quick ? n : 0;
}

/* A quick one that is too large to be merged is made anew by itself. */
static struct segment *const *large_and_quick(struct segment *const *segments, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (segment_is_quick(segments[i]) && !is_small(segments[i])) return &segments[i];
    return NULL;
}

/* Drops what is as it shall be: large, and packed well. */
static uint32_t keep_unfinished(struct segment **segments, uint32_t count) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (is_small(segments[i]) || segment_is_quick(segments[i]))
            segments[kept++] = segments[i];
        else
            segment_unref(segments[i]);
    }
    return kept;
}

static bool sealer_is_behind(struct store *s) {
    pthread_mutex_lock(&s->lock);
    bool behind = s->sealing_count >= SEALING_MAX;
    pthread_mutex_unlock(&s->lock);
    return behind;
}

bool merge_once(struct store *s) {
    uint32_t count, start, n = 0;
    int64_t now = time_now_ns();
    struct error err = {0};
    if (time_monotonic_ns() < s->merge_after_ns || atomic_load(&s->disk_full)) return false;
    if (must_rest(s) || (sealer_is_behind(s) && merge_backlog(s) < BACKLOG_MAX)) return false;
    struct segment **segments = segments_list(s, &count);
    if (!segments) return false;
    count = keep_unfinished(segments, count);
    if (count) qsort(segments, count, sizeof *segments, by_day_and_rows);
    for (start = 0; start < count && !n;) {
        uint32_t end = start;
        int64_t day = segment_min_start_ns(segments[start]) / DAY_NS;
        while (end < count && segment_min_start_ns(segments[end]) / DAY_NS == day) end++;
        struct segment *const *large;
        if ((n = worth_merging(segments + start, end - start, now))) break;
        if ((large = large_and_quick(segments + start, end - start)))
            start = (uint32_t)(large - segments), n = 1;
        else
            start = end;
    }
    int code = n ? merge(s, segments + start, n, &err) : 0;
    if (n && !code) {
        pthread_mutex_lock(&s->lock);
        s->merges++;
        pthread_mutex_unlock(&s->lock);
    }
    atomic_store(&s->merge_failed, code != 0);
    /* What was set aside, or changed by another meanwhile, is left out the next time. */
    bool again = code == VT_ECANCELLED || code == VT_ECORRUPT;
    if (code && !again) {
        s->merge_after_ns = time_monotonic_ns() + (int64_t)RETRY_S * NS_PER_S;
        log_error("merging %u segments failed and is tried again later: %s", n, err.message);
    }
    segments_unref(segments, count);
    return n && (!code || (again && !atomic_load(&s->closing)));
}
