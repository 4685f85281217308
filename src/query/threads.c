/* GET /api/v1/threads: conversations. Which are shown is found first, by the one number that orders them, then their
 * numbers, and who and what took part. */
#include "query/threads.h"

#include "query/threads_newest.h"

#include "query/numbers.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- who and what took part ---- */

/* Groups of (thread, something) with a count of spans, sorted by thread. */
struct part {
    struct agg_result *result;
    struct ranked *by_thread; /* key: thread; value: 0 */
    uint32_t count;
};

static int sort_part(struct ask *ask, struct part *part, struct error *err) {
    if (!(part->by_thread = ask_alloc(ask, part->result->group_count, sizeof *part->by_thread, err))) return err->code;
    for (uint32_t g = 0; g < part->result->group_count; g++) {
        const struct agg_key *keys = part->result->groups[g].keys;
        if (keys[1].type == AGG_KEY_TEXT) part->by_thread[part->count++] = (struct ranked){0, keys[0].text, g};
    }
    rank(part->by_thread, part->count);
    return 0;
}

/* parts[0]: models, parts[1]: users. */
static int load_parts(struct ask *ask, const struct thread_range *range, const struct slice *threads, uint32_t count,
                      struct part parts[2], struct error *err) {
    static const struct agg_column spans = {.op = AGG_COUNT};
    static const char *const fields[] = {"thread_id", "model", "thread_id", "user_id"};
    struct field *by = ask_alloc(ask, 4, sizeof *by, err);
    struct agg_spec *specs = by ? ask_alloc(ask, 2, sizeof *specs, err) : NULL;
    struct agg_result *results[2];
    struct filter *filter;
    if (!specs) return err->code;
    int code = filter_with_any(ask, range->filter, COL_THREAD_ID, threads, count, &filter, err);
    if (code) return code;
    for (int i = 0; i < 4; i++) field_named(slice_of(fields[i]), false, &by[i], NULL);
    for (int i = 0; i < 2; i++)
        specs[i] = (struct agg_spec){.filter = filter,
                                     .from_ns = range->from_ns,
                                     .to_ns = range->to_ns,
                                     .columns = &spans,
                                     .column_count = 1,
                                     .group_by = &by[2 * i],
                                     .group_by_count = 2};
    code = aggregate_many(ask, specs, 2, results, err);
    for (int i = 0; i < 2 && !code; i++) {
        parts[i] = (struct part){.result = results[i]};
        code = sort_part(ask, &parts[i], err);
    }
    return code;
}

/* What the thread has, the most frequent first. */
static uint32_t values_of(const struct part *part, struct slice thread, struct slice *out, uint32_t max) {
    struct ranked found[THREAD_MODELS_MAX], wanted = {0, thread, 0};
    uint32_t low = 0, high = part->count, count = 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (rank_order(&part->by_thread[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < part->count && count < THREAD_MODELS_MAX && slice_eq(part->by_thread[low].key, thread); low++) {
        uint32_t group = part->by_thread[low].group;
        found[count++] =
            (struct ranked){agg_total(part->result, group, 0), part->result->groups[group].keys[1].text, group};
    }
    rank(found, count);
    if (count > max) count = max;
    for (uint32_t i = 0; i < count; i++) out[i] = found[i].key;
    return count;
}

static void take_parts(const struct part parts[2], struct thread_row *row) {
    row->model_count = values_of(&parts[0], row->thread_id, row->models, THREAD_MODELS_MAX);
    values_of(&parts[1], row->thread_id, &row->user_id, 1);
}

/* ---- the list ---- */

int threads_find(struct ask *ask, const struct thread_range *range, struct thread_list *out, struct error *err) {
    struct number_filters *filters = ask_alloc(ask, 1, sizeof *filters, err);
    struct agg_column *columns = ask_alloc(ask, NUMBER_COUNT, sizeof *columns, err);
    struct field *thread = ask_alloc(ask, 1, sizeof *thread, err);
    struct agg_spec *spec = ask_alloc(ask, 1, sizeof *spec, err);
    if (!filters || !columns || !thread || !spec) return err->code;
    int code = number_filters_make(ask, filters, err);
    if (code) return code;
    numbers_columns(filters, columns);
    field_named(SLICE("thread_id"), false, thread, NULL);
    *spec = (struct agg_spec){.filter = range->filter,
                              .from_ns = range->from_ns,
                              .to_ns = range->to_ns,
                              .columns = columns,
                              .column_count = NUMBER_COUNT,
                              .group_by = thread,
                              .group_by_count = 1};
    if ((code = aggregate(ask, spec, &out->result, err))) return code;
    if (!(out->ranked = ask_alloc(ask, out->result->group_count, sizeof *out->ranked, err))) return err->code;
    out->count = 0;
    for (uint32_t g = 0; g < out->result->group_count; g++) {
        struct numbers n;
        const struct agg_key *key = &out->result->groups[g].keys[0];
        if (key->type == AGG_KEY_NONE) continue;
        numbers_of_group(out->result, g, &n);
        out->ranked[out->count++] = (struct ranked){n.of[NUMBER_LAST], key->text, g};
    }
    rank(out->ranked, out->count);
    return 0;
}

static int rows_of(struct ask *ask, const struct thread_range *range, const struct slice *threads, uint32_t count,
                   bool with_parts, struct thread_row **rows, struct error *err) {
    struct part parts[2];
    int code = (*rows = ask_alloc(ask, count, sizeof **rows, err)) ? 0 : err->code;
    if (!code && count && with_parts) code = load_parts(ask, range, threads, count, parts, err);
    for (uint32_t i = 0; i < count && !code; i++) {
        (*rows)[i].thread_id = threads[i];
        if (with_parts) take_parts(parts, &(*rows)[i]);
    }
    return code;
}

int threads_rows(struct ask *ask, const struct thread_range *range, const struct thread_list *list, uint32_t from,
                 uint32_t count, bool with_parts, struct thread_row **rows, struct error *err) {
    struct slice *threads = ask_alloc(ask, count, sizeof *threads, err);
    if (!threads) return err->code;
    for (uint32_t i = 0; i < count; i++) threads[i] = list->ranked[from + i].key;
    int code = rows_of(ask, range, threads, count, with_parts, rows, err);
    for (uint32_t i = 0; i < count && !code; i++)
        numbers_of_group(list->result, list->ranked[from + i].group, &(*rows)[i].numbers);
    return code;
}

/* ---- the answer ---- */

static void put_row(const struct thread_row *row, struct json_writer *w) {
    const double *n = row->numbers.of;
    json_open(w, '{');
    put_text(w, "thread_id", row->thread_id);
    put_text(w, "user_id", row->user_id);
    put_ms_time(w, "first", n[NUMBER_FIRST]);
    put_ms_time(w, "last", n[NUMBER_LAST]);
    put_count(w, "turn_count", row->numbers.turns);
    put_count(w, "llm_calls", n[NUMBER_CALLS]);
    put_count(w, "errors", n[NUMBER_ERRORS]);
    put_count(w, "fallbacks", n[NUMBER_FALLBACKS]);
    put_tokens(&n[NUMBER_INPUT], w);
    put_number(w, "cost_usd", n[NUMBER_COST]);
    if (row->model_count) json_put_key(w, "models"), json_open(w, '[');
    for (uint32_t i = 0; i < row->model_count; i++) json_put_string(w, row->models[i]);
    if (row->model_count) json_close(w, ']');
    json_close(w, '}');
}

/* The cursor: the bits of the last row's value, and its thread. */
static int read_cursor(struct ask *ask, struct ranked *after, struct error *err) {
    enum { DIGITS = 16 };
    uint8_t bits[8];
    if (ask->cursor.len > DIGITS && ask->cursor.ptr[DIGITS] == '-' &&
        hex_decode(slice_make(ask->cursor.ptr, DIGITS), bits, sizeof bits)) {
        memcpy(&after->value, bits, sizeof bits);
        after->key = slice_from(ask->cursor, DIGITS + 1);
        return 0;
    }
    error_set(err, VT_EINVAL, "cursor: expected what the answer before gave as 'next'");
    return error_hint(err, "leave it out for the first page");
}

static void put_next(struct ask *ask, const struct ranked *last, struct json_writer *w) {
    char hex[16];
    hex_encode((const uint8_t *)&last->value, sizeof last->value, hex);
    json_put_key(w, "next");
    json_put_string(w, arena_printf(&ask->arena, "%.16s-%.*s", hex, (int)last->key.len, last->key.ptr));
}

/* Those of the list behind the cursor, at most `limit`; *more: there are others. */
static int find_shown(struct ask *ask, const struct thread_range *range, int sort, const struct ranked *after,
                      struct ranked *shown, uint32_t *count, bool *more, struct error *err) {
    static const enum number by[] = {NUMBER_LAST, NUMBER_TURN_SPANS, NUMBER_COST, NUMBER_TOTAL, NUMBER_ERRORS};
    const struct number_range numbers = {range->filter, range->from_ns, range->to_ns};
    struct ranked_list list = {0};
    uint32_t from = 0;
    int code = sort ? numbers_rank(ask, &numbers, COL_THREAD_ID, by[sort], &list, err)
                    : newest_threads(ask, range, after, ask->limit + 1, &list, err);
    if (code) return code;
    while (after && from < list.count && rank_order(&list.ranked[from], after) <= 0) from++;
    *count = list.count - from < ask->limit ? list.count - from : ask->limit;
    *more = from + *count < list.count;
    if (*count) memcpy(shown, &list.ranked[from], *count * sizeof *shown);
    return 0;
}

int threads_list(struct ask *ask, struct json_writer *w, struct error *err) {
    static const char *const sorts[] = {"last", "turns", "cost", "tokens", "errors", NULL};
    struct thread_range range = {ask->filter, ask->from_ns, ask->to_ns};
    const struct number_range numbers_range = {ask->filter, ask->from_ns, ask->to_ns};
    struct ranked after, *shown = ask_alloc(ask, ask->limit, sizeof *shown, err);
    struct slice *threads = ask_alloc(ask, ask->limit, sizeof *threads, err);
    struct numbers *numbers = ask_alloc(ask, ask->limit, sizeof *numbers, err);
    struct thread_row *rows;
    uint32_t count = 0;
    bool more = false;
    int sort = 0;
    if (!shown || !threads || !numbers) return err->code;
    int code = ask_param_word(ask, "sort", sorts, &sort, err);
    if (!code && ask->cursor.len) code = read_cursor(ask, &after, err);
    if (!code) code = find_shown(ask, &range, sort, ask->cursor.len ? &after : NULL, shown, &count, &more, err);
    for (uint32_t i = 0; i < count; i++) threads[i] = shown[i].key;
    if (!code && count) code = numbers_of_some(ask, &numbers_range, COL_THREAD_ID, threads, count, numbers, err);
    if (code || (code = rows_of(ask, &range, threads, count, true, &rows, err))) return code;
    json_open(w, '{');
    json_put_key(w, "threads");
    json_open(w, '[');
    for (uint32_t i = 0; i < count; i++) {
        rows[i].numbers = numbers[i];
        put_row(&rows[i], w);
    }
    json_close(w, ']');
    if (more) put_next(ask, &shown[count - 1], w);
    ask_put_tail(ask, w);
    json_close(w, '}');
    return 0;
}
