/* The table `threads`: the conversations of /api/v1/threads, over all time. */
#include "base/timestamp.h"
#include "query/sql_lists.h"
#include "query/threads.h"

enum thread_column {
    C_THREAD_ID,
    C_USER_ID,
    C_FIRST_MS,
    C_LAST_MS,
    C_FIRST,
    C_LAST,
    C_TURN_COUNT,
    C_LLM_CALLS,
    C_ERRORS,
    C_FALLBACKS,
    C_TOKENS_INPUT,
    C_TOKENS_OUTPUT,
    C_TOKENS_CACHED,
    C_TOKENS_TOTAL,
    C_COST,
    C_MODELS,
    C_COLUMNS
};
static const struct sql_list_column thread_columns[C_COLUMNS] = {{"thread_id", "TEXT", 1},
                                                                 {"user_id", "TEXT", 0},
                                                                 {"first_ms", "INTEGER", 0},
                                                                 {"last_ms", "INTEGER", 0},
                                                                 {"first", "TEXT", 0},
                                                                 {"last", "TEXT", 0},
                                                                 {"turn_count", "INTEGER", 0},
                                                                 {"llm_calls", "INTEGER", 0},
                                                                 {"errors", "INTEGER", 0},
                                                                 {"fallbacks", "INTEGER", 0},
                                                                 {"tokens_input", "INTEGER", 0},
                                                                 {"tokens_output", "INTEGER", 0},
                                                                 {"tokens_cached", "INTEGER", 0},
                                                                 {"tokens_total", "INTEGER", 0},
                                                                 {"cost_usd", "REAL", 0},
                                                                 {"models", "TEXT", 0}};

enum { PIECE = 2000 };

/* The whole list is found once; its rows are made piece by piece. It lives in the ask's arena. */
struct loading {
    struct thread_range range;
    struct thread_list list;
};

static bool threads_load(struct sql_list *list) {
    struct ask *ask = list->session->ask;
    struct error *err = &list->session->err;
    struct loading *loading = list->state;
    struct thread_row *rows;
    list->more = false;
    if (!loading) {
        struct filter *filter = NULL;
        if (!(loading = ask_alloc(ask, 1, sizeof *loading, err))) return false;
        if (list->keys[0].len) {
            struct slice key = arena_copy(&ask->arena, list->keys[0]), *keys = ask_alloc(ask, 1, sizeof *keys, err);
            if (!keys) return false;
            *keys = key;
            if (filter_with_any(ask, NULL, COL_THREAD_ID, keys, 1, &filter, err)) return false;
        }
        loading->range = (struct thread_range){filter, INT64_MIN, INT64_MAX};
        if (threads_find(ask, &loading->range, &loading->list, err)) return false;
        list->state = loading;
    }
    uint32_t from = (uint32_t)list->position, left = loading->list.count - from, count = left < PIECE ? left : PIECE;
    bool parts = list->used & ((uint64_t)1 << C_USER_ID | (uint64_t)1 << C_MODELS);
    if (threads_rows(ask, &loading->range, &loading->list, from, count, parts, &rows, err)) return false;
    list->rows = rows;
    list->row_count = count;
    list->position += count;
    list->more = count < left;
    return true;
}

static void give_models(const struct thread_row *row, sqlite3_context *c) {
    struct buf out = {0};
    struct json_writer w = json_writer_on(&out);
    json_open(&w, '[');
    for (uint32_t i = 0; i < row->model_count; i++) json_put_string(&w, row->models[i]);
    json_close(&w, ']');
    sql_give_slice(c, buf_slice(&out));
    buf_free(&out);
}

static void threads_show(const struct sql_list *list, uint32_t at, int column, sqlite3_context *c) {
    const struct thread_row *row = (const struct thread_row *)list->rows + at;
    const double *n = row->numbers.of;
    static const enum number numbers[C_COLUMNS] = {
        [C_LLM_CALLS] = NUMBER_CALLS,    [C_ERRORS] = NUMBER_ERRORS,        [C_FALLBACKS] = NUMBER_FALLBACKS,
        [C_TOKENS_INPUT] = NUMBER_INPUT, [C_TOKENS_OUTPUT] = NUMBER_OUTPUT, [C_TOKENS_CACHED] = NUMBER_CACHED,
        [C_TOKENS_TOTAL] = NUMBER_TOTAL};
    switch (column) {
    case C_THREAD_ID: sql_give_slice(c, row->thread_id); break;
    case C_USER_ID: sql_give_slice(c, row->user_id); break;
    case C_FIRST_MS: sqlite3_result_int64(c, (int64_t)n[NUMBER_FIRST]); break;
    case C_LAST_MS: sqlite3_result_int64(c, (int64_t)n[NUMBER_LAST]); break;
    case C_FIRST: sql_give_time(c, (int64_t)llround(n[NUMBER_FIRST] * 1000) * NS_PER_US); break;
    case C_LAST: sql_give_time(c, (int64_t)llround(n[NUMBER_LAST] * 1000) * NS_PER_US); break;
    case C_TURN_COUNT: sql_give_number(c, row->numbers.turns); break;
    case C_COST:
        if (!isnan(n[NUMBER_COST])) sqlite3_result_double(c, n[NUMBER_COST]);
        break;
    case C_MODELS: give_models(row, c); break;
    default: sql_give_number(c, n[numbers[column]]); break;
    }
}

const struct sql_list_table sql_threads_table = {"threads", thread_columns, C_COLUMNS, 1e5, threads_load, threads_show};
