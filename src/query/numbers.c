/* Numbers of conversations, people and the overview. */
#include "query/numbers.h"

#include "base/timestamp.h"
#include "query/filter_internal.h"

#include <math.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

int number_filters_make(struct ask *ask, struct number_filters *filters, struct error *err) {
    const struct {
        struct filter **filter;
        const char *text;
    } all[] = {{&filters->llm, "kind:llm"},
               {&filters->turns, "kind:turn"},
               {&filters->fallbacks, "fallback:true"},
               {&filters->threads, "has:thread"},
               {&filters->turns_of_threads, "kind:turn has:thread"},
               {&filters->called, "(kind:llm OR kind:embedding OR kind:retrieval) has:provider"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int code = filter_parse(slice_of(all[i].text), &ask->arena, all[i].filter, err);
        if (code) return code;
    }
    return 0;
}

struct agg_column number_column(enum agg_op op, const char *field, const struct filter *where) {
    struct agg_column column = {.op = op, .where = where};
    if (field) field_named(slice_of(field), false, &column.field, NULL);
    return column;
}

void numbers_columns(const struct number_filters *f, struct agg_column columns[NUMBER_COUNT]) {
    columns[NUMBER_CALLS] = number_column(AGG_COUNT, NULL, f->llm);
    columns[NUMBER_ERRORS] = number_column(AGG_ERRORS, NULL, f->llm);
    columns[NUMBER_FALLBACKS] = number_column(AGG_COUNT, NULL, f->fallbacks);
    columns[NUMBER_TURN_SPANS] = number_column(AGG_COUNT, NULL, f->turns);
    columns[NUMBER_INPUT] = number_column(AGG_SUM, "tokens.input", NULL);
    columns[NUMBER_OUTPUT] = number_column(AGG_SUM, "tokens.output", NULL);
    columns[NUMBER_CACHED] = number_column(AGG_SUM, "tokens.cached", NULL);
    columns[NUMBER_CACHE_WRITE] = number_column(AGG_SUM, "tokens.cache_write", NULL);
    columns[NUMBER_REASONING] = number_column(AGG_SUM, "tokens.reasoning", NULL);
    columns[NUMBER_TOTAL] = number_column(AGG_SUM, "tokens.total", NULL);
    columns[NUMBER_COST] = number_column(AGG_SUM, "cost_usd", NULL);
    columns[NUMBER_FIRST] = number_column(AGG_MIN, "start", NULL);
    columns[NUMBER_LAST] = number_column(AGG_MAX, "start", NULL);
    columns[NUMBER_THREADS] = number_column(AGG_DISTINCT, "thread_id", NULL);
    columns[NUMBER_TRACES] = number_column(AGG_DISTINCT, "trace_id", f->threads);
    columns[NUMBER_TURN_TRACES] = number_column(AGG_DISTINCT, "trace_id", f->turns_of_threads);
}

void numbers_of_group(const struct agg_result *result, uint32_t group, struct numbers *numbers) {
    for (uint32_t i = 0; i < result->spec->column_count; i++) numbers->of[i] = agg_total(result, group, i);
    double without = numbers->of[NUMBER_TRACES] - numbers->of[NUMBER_TURN_TRACES];
    numbers->turns = numbers->of[NUMBER_TURN_SPANS] + (without > 0 ? without : 0);
}

double share_of(double part, double whole) {
    return whole > 0 ? part / whole : (double)NAN;
}

void put_tokens(const double tokens[5], struct json_writer *w) {
    static const char *const keys[5] = {"input", "output", "cached", "cache_write", "reasoning"};
    bool open = false;
    for (int i = 0; i < 5; i++) {
        if (isnan(tokens[i])) continue;
        if (!open) json_put_key(w, "tokens"), json_open(w, '{');
        open = true;
        put_count(w, keys[i], tokens[i]);
    }
    if (!open) return;
    if (!isnan(tokens[0]) || !isnan(tokens[1]))
        put_count(w, "total", (isnan(tokens[0]) ? 0 : tokens[0]) + (isnan(tokens[1]) ? 0 : tokens[1]));
    json_close(w, '}');
}

void put_ms_time(struct json_writer *w, const char *key, double ms) {
    if (!isnan(ms)) put_time(w, key, (int64_t)llround(ms * 1000) * NS_PER_US);
}

int rank_order(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (isnan(x->value) != isnan(y->value)) return isnan(x->value) ? 1 : -1;
    if (!isnan(x->value) && x->value != y->value) return x->value > y->value ? -1 : 1;
    size_t common = x->key.len < y->key.len ? x->key.len : y->key.len;
    int order = common ? memcmp(x->key.ptr, y->key.ptr, common) : 0;
    return order ? order : x->key.len < y->key.len ? -1 : x->key.len > y->key.len;
}

void rank(struct ranked *list, uint32_t count) {
    if (count) qsort(list, count, sizeof *list, rank_order);
}

static struct slice *slot_of(const struct text_set *set, struct slice text) {
    uint32_t at = (uint32_t)XXH3_64bits(text.ptr, text.len) & (set->capacity - 1);
    while (set->slots[at].len && !slice_eq(set->slots[at], text)) at = (at + 1) & (set->capacity - 1);
    return &set->slots[at];
}

bool text_set_has(const struct text_set *set, struct slice text) {
    return text.len && set->capacity && slot_of(set, text)->len;
}

int filter_with_any(struct ask *ask, const struct filter *filter, enum col col, const struct slice *values,
                    uint32_t count, struct filter **out, struct error *err) {
    struct filter *both = *out = ask_alloc(ask, 1, sizeof *both, err);
    struct node *nodes = both ? ask_alloc(ask, 3, sizeof *nodes, err) : NULL;
    struct term *term = nodes ? ask_alloc(ask, 1, sizeof *term, err) : NULL;
    if (!term) return err->code;
    *term = (struct term){.type = TERM_ANY_TEXT,
                          .field = {.name = span_columns[col].name, .source = FIELD_COLUMN, .col = col},
                          .set = {.capacity = 2}};
    while (term->set.capacity < 2 * count) term->set.capacity *= 2;
    if (!(term->set.slots = ask_alloc(ask, term->set.capacity, sizeof *term->set.slots, err))) return err->code;
    for (uint32_t i = 0; i < count; i++)
        if (values[i].len) *slot_of(&term->set, values[i]) = values[i];
    struct node *any = &nodes[0], *all = &nodes[1], *given = &nodes[2];
    *any = (struct node){.type = NODE_TERM, .term = term};
    *all = (struct node){.type = NODE_AND, .first = any};
    both->root = any;
    both->columns = (uint64_t)1 << col;
    if (!filter || !filter->root) return 0;
    *given = *filter->root;
    given->next = NULL;
    any->next = given;
    both->root = all;
    both->columns |= filter->columns;
    both->reads_json = filter->reads_json;
    both->needs_traces = filter->needs_traces;
    return 0;
}

/* ---- the first of many ---- */

static int numbers_by(struct ask *ask, const struct filter *filter, int64_t from_ns, int64_t to_ns, enum col col,
                      const struct agg_column *columns, uint32_t count, struct agg_result **result, struct error *err) {
    struct field *by = ask_alloc(ask, 1, sizeof *by, err);
    struct agg_spec *spec = by ? ask_alloc(ask, 1, sizeof *spec, err) : NULL;
    if (!spec) return err->code;
    field_named(slice_of(span_columns[col].name), false, by, NULL);
    *spec = (struct agg_spec){.filter = filter,
                              .from_ns = from_ns,
                              .to_ns = to_ns,
                              .columns = columns,
                              .column_count = count,
                              .group_by = by,
                              .group_by_count = 1};
    return aggregate(ask, spec, result, err);
}

/* What a number is made of. */
static uint32_t parts_of(enum number number, enum number parts[3]) {
    parts[0] = number;
    if (number != NUMBER_TURN_SPANS) return 1;
    parts[1] = NUMBER_TRACES;
    parts[2] = NUMBER_TURN_TRACES;
    return 3;
}

int numbers_rank(struct ask *ask, const struct number_range *range, enum col col, enum number by,
                 struct ranked_list *list, struct error *err) {
    struct number_filters *filters = ask_alloc(ask, 1, sizeof *filters, err);
    struct agg_column *all = ask_alloc(ask, NUMBER_COUNT, sizeof *all, err), columns[3];
    enum number parts[3];
    uint32_t count = parts_of(by, parts);
    struct agg_result *result;
    if (!filters || !all) return err->code;
    int code = number_filters_make(ask, filters, err);
    if (code) return code;
    numbers_columns(filters, all);
    for (uint32_t i = 0; i < count; i++) columns[i] = all[parts[i]];
    if ((code = numbers_by(ask, range->filter, range->from_ns, range->to_ns, col, columns, count, &result, err)))
        return code;
    if (!(list->ranked = ask_alloc(ask, result->group_count, sizeof *list->ranked, err))) return err->code;
    list->count = 0;
    for (uint32_t g = 0; g < result->group_count; g++) {
        if (result->groups[g].keys[0].type == AGG_KEY_NONE) continue;
        double value = agg_total(result, g, 0);
        double without = count == 3 ? agg_total(result, g, 1) - agg_total(result, g, 2) : 0;
        list->ranked[list->count++] =
            (struct ranked){value + (without > 0 ? without : 0), result->groups[g].keys[0].text, g};
    }
    rank(list->ranked, list->count);
    return 0;
}

int numbers_of_some(struct ask *ask, const struct number_range *range, enum col col, const struct slice *keys,
                    uint32_t count, struct numbers *numbers, struct error *err) {
    struct number_filters *filters = ask_alloc(ask, 1, sizeof *filters, err);
    struct agg_column *all = ask_alloc(ask, NUMBER_COUNT, sizeof *all, err);
    struct filter *filter;
    struct agg_result *result;
    struct ranked *found;
    if (!filters || !all) return err->code;
    int code = number_filters_make(ask, filters, err);
    if (!code) code = filter_with_any(ask, range->filter, col, keys, count, &filter, err);
    if (code) return code;
    numbers_columns(filters, all);
    if ((code = numbers_by(ask, filter, range->from_ns, range->to_ns, col, all, NUMBER_COUNT, &result, err)))
        return code;
    if (!(found = ask_alloc(ask, result->group_count, sizeof *found, err))) return err->code;
    for (uint32_t g = 0; g < result->group_count; g++) found[g] = (struct ranked){0, result->groups[g].keys[0].text, g};
    rank(found, result->group_count);
    for (uint32_t i = 0; i < count; i++) {
        const struct ranked wanted = {0, keys[i], 0};
        const struct ranked *at = bsearch(&wanted, found, result->group_count, sizeof *found, rank_order);
        if (at) {
            numbers_of_group(result, at->group, &numbers[i]);
            continue;
        }
        for (int n = 0; n < NUMBER_COUNT; n++) numbers[i].of[n] = (double)NAN; /* its segment was found corrupt */
        numbers[i].turns = 0;
    }
    return 0;
}
