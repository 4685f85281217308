/* GET /api/v1/users: who calls, and what it costs. */
#include "query/numbers.h"

static double sort_value(int sort, const struct numbers *n) {
    static const enum number numbers[] = {NUMBER_COST, NUMBER_CALLS, NUMBER_TOTAL, NUMBER_ERRORS, NUMBER_LAST};
    return n->of[numbers[sort]];
}

static void put_user(struct slice user, const struct numbers *n, struct json_writer *w) {
    json_open(w, '{');
    put_text(w, "user_id", user);
    put_count(w, "calls", n->of[NUMBER_CALLS]);
    put_count(w, "turns", n->turns);
    put_count(w, "threads", n->of[NUMBER_THREADS]);
    put_count(w, "errors", n->of[NUMBER_ERRORS]);
    put_number(w, "error_rate", share_of(n->of[NUMBER_ERRORS], n->of[NUMBER_CALLS]));
    put_tokens(&n->of[NUMBER_INPUT], w);
    put_number(w, "cost_usd", n->of[NUMBER_COST]);
    put_ms_time(w, "first", n->of[NUMBER_FIRST]);
    put_ms_time(w, "last", n->of[NUMBER_LAST]);
    json_close(w, '}');
}

int users_list(struct ask *ask, struct json_writer *w, struct error *err) {
    static const char *const sorts[] = {"cost", "calls", "tokens", "errors", "last", NULL};
    struct number_filters filters;
    struct agg_column columns[NUMBER_COUNT];
    struct agg_result *result;
    struct field user;
    int sort = 0, code = ask_param_word(ask, "sort", sorts, &sort, err);
    if (!code) code = number_filters_make(ask, &filters, err);
    if (code) return code;
    numbers_columns(&filters, columns);
    field_named(SLICE("user_id"), false, &user, NULL);
    struct agg_spec spec = {.filter = ask->filter,
                            .from_ns = ask->from_ns,
                            .to_ns = ask->to_ns,
                            .columns = columns,
                            .column_count = NUMBER_COUNT,
                            .group_by = &user,
                            .group_by_count = 1};
    if ((code = aggregate(ask, &spec, &result, err))) return code;
    struct ranked *list = ask_alloc(ask, result->group_count, sizeof *list, err);
    struct numbers n;
    uint32_t count = 0;
    if (!list) return err->code;
    for (uint32_t g = 0; g < result->group_count; g++) {
        const struct agg_key *key = &result->groups[g].keys[0];
        if (key->type == AGG_KEY_NONE) continue;
        numbers_of_group(result, g, &n);
        list[count++] = (struct ranked){sort_value(sort, &n), key->text, g};
    }
    rank(list, count);
    json_open(w, '{');
    json_put_key(w, "users");
    json_open(w, '[');
    for (uint32_t i = 0; i < count && i < ask->limit; i++) {
        numbers_of_group(result, list[i].group, &n);
        put_user(list[i].key, &n, w);
    }
    json_close(w, ']');
    if (count > ask->limit) json_put_key(w, "truncated"), json_put_bool(w, true);
    ask_put_tail(ask, w);
    json_close(w, '}');
    return 0;
}
