/* GET /api/v1/facets: what to narrow a search by. */
#include "query/aggregate.h"

enum { FACETS_MAX = 16, VALUES_DEFAULT = 20 };

static const char fields_default[] = "status,kind,model,provider,operation,service,user_id,finish_reason";

static struct slice trimmed(struct slice text) {
    while (text.len && *text.ptr == ' ') text = slice_from(text, 1);
    while (text.len && text.ptr[text.len - 1] == ' ') text.len--;
    return text;
}

static int read_fields(struct ask *ask, struct field *fields, uint32_t *count, struct error *err) {
    struct slice list;
    if (!ask_param(ask, "fields", &list) || !list.len) list = slice_of(fields_default);
    while (list.len) {
        const char *comma = memchr(list.ptr, ',', list.len);
        struct slice name = trimmed(slice_make(list.ptr, comma ? (size_t)(comma - list.ptr) : list.len));
        list = comma ? slice_from(list, (size_t)(comma - list.ptr) + 1) : slice_from(list, list.len);
        if (!name.len) continue;
        if (*count == FACETS_MAX) return error_set(err, VT_ELIMIT, "fields: there are more than %d", FACETS_MAX);
        field_named(name, true, &fields[(*count)++], NULL); /* what is no field is an attribute */
    }
    if (*count) return 0;
    return error_set(err, VT_EINVAL, "fields: expected names of fields separated by commas");
}

static void put_value(const struct agg_key *key, struct json_writer *w) {
    json_put_key(w, "value");
    agg_put_key(key, w);
}

static int put_facet(struct ask *ask, const struct agg_result *result, struct json_writer *w, struct error *err) {
    uint32_t *order = ask_alloc(ask, result->group_count, sizeof *order, err), shown = 0, limit = ask->limit;
    const struct field *field = result->spec->group_by;
    double missing = 0;
    if (!order) return err->code;
    uint32_t top =
        agg_top(result, 0, false, limit + 2, order); /* one may be "not known", one says that there are more */
    json_open(w, '{');
    json_put_key(w, "field");
    json_put_string(w, field_name(field));
    json_put_key(w, "values");
    json_open(w, '[');
    for (uint32_t g = 0; g < result->group_count; g++)
        if (result->groups[g].keys[0].type == AGG_KEY_NONE) missing = agg_total(result, g, 0);
    for (uint32_t i = 0; i < top; i++) {
        const struct agg_key *key = &result->groups[order[i]].keys[0];
        if (key->type == AGG_KEY_NONE || shown++ >= limit) continue;
        json_open(w, '{');
        put_value(key, w);
        put_count(w, "count", agg_total(result, order[i], 0));
        json_close(w, '}');
    }
    json_close(w, ']');
    if (missing > 0) put_count(w, "missing", missing);
    if (shown > limit) json_put_key(w, "more"), json_put_bool(w, true);
    json_close(w, '}');
    return 0;
}

int facets_get(struct ask *ask, struct json_writer *w, struct error *err) {
    static const struct agg_column spans = {.op = AGG_COUNT};
    struct field fields[FACETS_MAX];
    struct agg_spec specs[FACETS_MAX];
    struct agg_result *results[FACETS_MAX];
    struct slice limit;
    uint32_t count = 0;
    int code = read_fields(ask, fields, &count, err);
    if (code) return code;
    if (!ask_param(ask, "limit", &limit) || !limit.len) ask->limit = VALUES_DEFAULT;
    for (uint32_t i = 0; i < count; i++)
        specs[i] = (struct agg_spec){.filter = ask->filter,
                                     .from_ns = ask->from_ns,
                                     .to_ns = ask->to_ns,
                                     .columns = &spans,
                                     .column_count = 1,
                                     .group_by = &fields[i],
                                     .group_by_count = 1};
    if ((code = aggregate_many(ask, specs, count, results, err))) return code;
    json_open(w, '{');
    json_put_key(w, "facets");
    json_open(w, '[');
    for (uint32_t i = 0; i < count && !code; i++) code = put_facet(ask, results[i], w, err);
    json_close(w, ']');
    ask_put_tail(ask, w);
    json_close(w, '}');
    return code;
}
