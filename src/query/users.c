/* GET /api/v1/users: who calls, and what it costs. */
#include "query/numbers.h"

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
    static const enum number by[] = {NUMBER_COST, NUMBER_CALLS, NUMBER_TOTAL, NUMBER_ERRORS, NUMBER_LAST};
    const struct number_range range = {ask->filter, ask->from_ns, ask->to_ns};
    struct ranked_list list = {0};
    int sort = 0, code = ask_param_word(ask, "sort", sorts, &sort, err);
    if (!code) code = numbers_rank(ask, &range, COL_USER_ID, by[sort], &list, err);
    if (code) return code;
    uint32_t count = list.count < ask->limit ? list.count : ask->limit;
    struct slice *users = ask_alloc(ask, count, sizeof *users, err);
    struct numbers *numbers = ask_alloc(ask, count, sizeof *numbers, err);
    if (!users || !numbers) return err->code;
    for (uint32_t i = 0; i < count; i++) users[i] = list.ranked[i].key;
    if (count && (code = numbers_of_some(ask, &range, COL_USER_ID, users, count, numbers, err))) return code;
    json_open(w, '{');
    json_put_key(w, "users");
    json_open(w, '[');
    for (uint32_t i = 0; i < count; i++) put_user(users[i], &numbers[i], w);
    json_close(w, ']');
    if (list.count > ask->limit) json_put_key(w, "truncated"), json_put_bool(w, true);
    ask_put_tail(ask, w);
    json_close(w, '}');
    return 0;
}
