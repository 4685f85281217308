/* POST /api/v1/query: any aggregates by any groups. */
#include "query/aggregate.h"

#include "base/timestamp.h"

#include <stdio.h>
#include <stdlib.h>

enum { SELECT_MAX = 32, GROUPS_DEFAULT = 100, GROUPS_SHOWN_MAX = 10000 };

struct wanted {
    struct agg_spec spec;
    struct agg_column columns[SELECT_MAX + 1]; /* the last may be that of order_by */
    struct slice names[SELECT_MAX];
    struct field group_by[GROUP_BY_MAX];
    struct filter *where;
    uint32_t select_count, limit, order_column;
    bool ascending;
};

/* ---- reading the body ---- */

static int bad(struct error *err, const char *member, const char *expected) {
    return error_set(err, VT_EINVAL, "%s: expected %s", member, expected);
}

/* Puts the member's name before what its reader found. */
static int in_member(struct error *err, const char *member, int code) {
    char message[sizeof err->message];
    if (!code) return 0;
    snprintf(message, sizeof message, "%s: %.480s", member, err->message);
    memcpy(err->message, message, sizeof message);
    return code;
}

/* A text, or a number as its text. */
static bool read_text(struct json_reader *r, struct slice *text) {
    enum json_type type = json_peek(r);
    if (type == JSON_STRING) return json_string(r, text);
    return type == JSON_NUMBER && json_skip(r, text);
}

static int read_select(struct json_reader *r, struct wanted *q, struct error *err) {
    if (json_peek(r) != JSON_ARRAY)
        return bad(err, "select", "a list of aggregates such as [\"count\", \"p95(duration_ms)\"]");
    json_array(r);
    while (json_item(r)) {
        struct slice text;
        if (json_peek(r) != JSON_STRING) return bad(err, "select", "texts in the list, such as \"p95(duration_ms)\"");
        if (q->select_count == SELECT_MAX)
            return error_set(err, VT_ELIMIT, "select: there are more than %d aggregates", SELECT_MAX);
        if (!json_string(r, &text)) break;
        int code = agg_column_parse(text, &q->columns[q->select_count], err);
        if (code) return in_member(err, "select", code);
        q->names[q->select_count++] = text;
    }
    return 0;
}

static int read_group_by(struct json_reader *r, struct wanted *q, struct error *err) {
    if (json_peek(r) == JSON_NULL) return json_null(r), 0;
    if (json_peek(r) != JSON_ARRAY)
        return bad(err, "group_by", "a list of fields such as [\"model\", \"attr.region\"]");
    json_array(r);
    while (json_item(r)) {
        struct slice text;
        if (json_peek(r) != JSON_STRING) return bad(err, "group_by", "names of fields in the list");
        if (q->spec.group_by_count == GROUP_BY_MAX)
            return error_set(err, VT_ELIMIT, "group_by: there are more than %d fields", GROUP_BY_MAX);
        if (!json_string(r, &text)) break;
        if (!text.len || !field_named(text, true, &q->group_by[q->spec.group_by_count++], err))
            return bad(err, "group_by", "a field or attribute, found an empty name");
    }
    return 0;
}

static int read_limit(struct json_reader *r, struct wanted *q, struct error *err) {
    int64_t limit = 0;
    if (json_peek(r) != JSON_NUMBER || !json_int64(r, &limit) || limit < 1 || limit > GROUPS_SHOWN_MAX)
        return error_set(err, VT_EINVAL, "limit: expected a whole number from 1 to %d", GROUPS_SHOWN_MAX);
    q->limit = (uint32_t)limit;
    return 0;
}

struct texts {
    struct slice from, to, where, interval, order_by, order;
};

static int read_members(struct json_reader *r, struct wanted *q, struct texts *texts, struct error *err) {
    const struct {
        const char *name;
        struct slice *text;
    } members[] = {{"from", &texts->from},         {"to", &texts->to},
                   {"where", &texts->where},       {"q", &texts->where},
                   {"interval", &texts->interval}, {"order_by", &texts->order_by},
                   {"order", &texts->order}};
    struct slice key;
    if (json_peek(r) != JSON_OBJECT) return bad(err, "the body", "a JSON object such as {\"select\":[\"count\"]}");
    json_object(r);
    while (json_key(r, &key)) {
        size_t i = 0, count = sizeof members / sizeof *members;
        int code = 0;
        while (i < count && !slice_is(key, members[i].name)) i++;
        if (i < count) {
            if (json_peek(r) == JSON_NULL)
                json_null(r);
            else if (!read_text(r, members[i].text) && !json_failed(r))
                code = bad(err, members[i].name, "a text");
        } else if (slice_is(key, "select")) {
            code = read_select(r, q, err);
        } else if (slice_is(key, "group_by")) {
            code = read_group_by(r, q, err);
        } else if (slice_is(key, "limit")) {
            code = read_limit(r, q, err);
        } else {
            error_set(err, VT_EINVAL, "there is no member '%.*s'", key.len < 60 ? (int)key.len : 60, key.ptr);
            code = error_hint(err, "members are from, to, where, select, group_by, interval, limit, order_by, order");
        }
        if (code && !json_failed(r)) return code;
        if (json_failed(r)) break;
    }
    if (json_end(r)) return 0;
    *err = r->err;
    err->code = VT_EINVAL;
    return in_member(err, "the body", VT_EINVAL);
}

static int read_order(struct wanted *q, const struct texts *texts, struct error *err) {
    if (texts->order.len && !slice_is(texts->order, "asc") && !slice_is(texts->order, "desc"))
        return bad(err, "order", "asc or desc");
    q->ascending = slice_is(texts->order, "asc");
    q->spec.column_count = q->select_count;
    if (!texts->order_by.len) return 0;
    for (q->order_column = 0; q->order_column < q->select_count; q->order_column++)
        if (slice_eq(q->names[q->order_column], texts->order_by)) return 0;
    q->spec.column_count++;
    return in_member(err, "order_by", agg_column_parse(texts->order_by, &q->columns[q->order_column], err));
}

static int read_body(struct ask *ask, struct wanted *q, struct error *err) {
    struct json_reader r;
    struct texts texts = {0};
    json_reader_init(&r, ask->request->body, &ask->arena);
    int code = read_members(&r, q, &texts, err);
    if (code) return code;
    if (!q->select_count) return bad(err, "select", "at least one aggregate, such as \"count\"");
    if ((code = read_order(q, &texts, err))) return code;
    ask->to_ns = ask->now_ns;
    if ((code = ask_read_when(ask, "to", texts.to, &ask->to_ns, err))) return code;
    ask->from_ns = ask->to_ns - 86400 * (int64_t)NS_PER_S;
    if ((code = ask_read_when(ask, "from", texts.from, &ask->from_ns, err)) || (code = ask_check_range(ask, err)))
        return code;
    if ((code = ask_read_interval("interval", texts.interval, &q->spec.interval_ns, err))) return code;
    if ((code = ask_parse_filter(ask, "where", texts.where, &q->where, err))) return code;
    q->spec.filter = q->where;
    q->spec.from_ns = ask->from_ns;
    q->spec.to_ns = ask->to_ns;
    q->spec.columns = q->columns;
    q->spec.group_by = q->group_by;
    return 0;
}

/* ---- answering ---- */

static void put_series(const struct wanted *q, const struct agg_result *result, uint32_t group, struct json_writer *w) {
    const struct agg_group *g = &result->groups[group];
    json_open(w, '{');
    json_put_key(w, "group");
    agg_put_keys(result, group, w);
    json_put_key(w, "points");
    json_open(w, '[');
    for (uint32_t p = g->first_point; p < g->first_point + g->point_count; p++) {
        json_open(w, '[');
        agg_put_number((double)(result->points[p].start_ns / NS_PER_MS), w);
        for (uint32_t c = 0; c < q->select_count; c++) agg_put_value(result, &result->points[p], c, w);
        json_close(w, ']');
    }
    json_close(w, ']');
    json_close(w, '}');
}

static void put_answer(const struct ask *ask, const struct wanted *q, const struct agg_result *result,
                       const uint32_t *order, uint32_t shown, struct json_writer *w) {
    json_put_key(w, "series");
    json_open(w, '[');
    for (uint32_t i = 0; i < shown; i++) put_series(q, result, order[i], w);
    /* One empty series stands for "nothing" where groups were not asked for. */
    if (!shown && !q->spec.group_by_count) json_put_raw(w, SLICE("{\"group\":{},\"points\":[]}"));
    json_close(w, ']');
    json_put_key(w, "columns");
    json_open(w, '[');
    for (uint32_t c = 0; c < q->select_count; c++) json_put_string(w, q->names[c]);
    json_close(w, ']');
    json_put_key(w, "from_ms");
    json_put_int(w, ask->from_ns / NS_PER_MS);
    json_put_key(w, "to_ms");
    json_put_int(w, ask->to_ns / NS_PER_MS);
    if (q->spec.interval_ns) json_put_key(w, "interval_ms"), json_put_int(w, q->spec.interval_ns / NS_PER_MS);
    if (shown < result->group_count) json_put_key(w, "truncated"), json_put_bool(w, true);
}

int query_post(struct ask *ask, struct json_writer *w, struct error *err) {
    struct wanted *q = ask_alloc(ask, 1, sizeof *q, err);
    struct agg_result *result;
    if (!q) return err->code;
    q->limit = GROUPS_DEFAULT;
    int code = read_body(ask, q, err);
    if (code || (code = aggregate(ask, &q->spec, &result, err))) return code;
    uint32_t *order = ask_alloc(ask, result->group_count, sizeof *order, err);
    if (!order) return err->code;
    uint32_t shown = agg_top(result, q->order_column, q->ascending, q->limit, order);
    json_open(w, '{');
    put_answer(ask, q, result, order, shown, w);
    ask_put_tail(ask, w);
    json_close(w, '}');
    return 0;
}
